"""The whole folder: loading, finding letters, and what only shows across files."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from followup.authoring.bundle import BundleError, load, read_folder
from followup.core.message import Purpose
from followup.core.people import Away, Person, Shop
from followup.errors import ConfigurationError, NotFound
from tests.authoring.project import FILES, GOOD_LETTER, HEAD, project, workflow


def problems(files: dict[str, str]) -> list[str]:
    with pytest.raises(BundleError) as raised:
        load(files)
    return [f"{d.path}:{d.line}:{d.column} {d.code} {d.message}" for d in raised.value.diagnostics]


def test_a_bundle_holds_everything() -> None:
    files = {**FILES, "workflows/check-in.yaml": workflow("  - ask: good-letter\n    timeout: 3 days\n")}
    bundle = load(files)
    assert list(bundle.workflows) == ["check-in"]
    assert {key for key, _ in bundle.letters} == {"good-letter", "plain-letter", "other-answers"}
    assert bundle.people["jonas"] == Person(
        key="jonas", name="Jonas Beck", email="jonas@shop.example", signature="Jonas"
    )
    assert bundle.people["mara"].signature == "Mara <3\nWorkshop, Lindqvist & Sons"
    assert bundle.shop == Shop(
        name="Lindqvist & Sons",
        postal_address="Hafenstr. 4\n20457 Hamburg",
        url="https://shop.example",
        zone=ZoneInfo("Europe/Berlin"),
    )
    assert bundle.files == files
    letter = bundle.letter("good-letter")
    assert (letter.purpose, letter.sender, letter.asks_for) == (Purpose.SERVICE, None, None)
    question = bundle.question("good-letter")
    assert question is not None
    assert [choice.id for choice in question.choices] == ["all-good", "problem"]
    assert bundle.question("plain-letter") is None


def test_the_hash_depends_on_paths_and_contents_only() -> None:
    again = load(dict(reversed(FILES.items())))
    assert again.hash == load(FILES).hash
    assert len(again.hash) == 64
    assert load({**FILES, "templates/_parts/other.md": "a: b\n"}).hash != again.hash
    assert load({path: text.replace("\n", "\r\n") for path, text in FILES.items()}).hash == again.hash


def test_a_letter_changes_its_hash_with_its_text_its_parts_and_its_layout() -> None:
    text = HEAD + "{% include '_parts/bye.md' %}"
    base = project(tried=text).letter("tried").content_hash
    assert project(tried=text).letter("tried").content_hash == base
    assert project(tried=text + "!").letter("tried").content_hash != base
    files = {**FILES, "templates/tried.md": text, "templates/_parts/bye.md": "Bye"}
    assert load(files).letter("tried").content_hash != base
    layout = '<p>{{ body }}</p><a href="{{ stop_url }}">x</a>{{ postal_address }}'
    files = {**FILES, "templates/tried.md": text, "templates/_layouts/letter.html": layout}
    assert load(files).letter("tried").content_hash != base


def test_a_letter_is_found_in_the_language_asked_for_or_the_nearest() -> None:
    bundle = load(
        {
            **FILES,
            "templates/good-letter.de.md": GOOD_LETTER.replace("Yes, all good", "Ja"),
            "templates/good-letter.pt-BR.md": GOOD_LETTER,
        }
    )
    asked = ("de", "de-AT", "DE_ch", "pt-br", "pt", "fr", None)
    found = {tag: bundle.letter("good-letter", tag).language for tag in asked}
    assert found == {"de": "de", "de-AT": "de", "DE_ch": "de", "pt-br": "pt-BR", "pt": "en", "fr": "en", None: "en"}
    with pytest.raises(NotFound, match="no letter 'nowhere'"):
        bundle.letter("nowhere")


def test_files_that_are_missing_say_what_to_write() -> None:
    said = problems({path: text for path, text in FILES.items() if not path.startswith("workflows/")})
    assert said == [
        "workflows/people.yaml:1:1 W102 workflows/people.yaml is missing.",
        "workflows/shop.yaml:1:1 W102 workflows/shop.yaml is missing.",
    ]


def test_all_errors_of_all_files_come_at_once() -> None:
    files = {
        **FILES,
        "workflows/a.yaml": "nonsense",
        "workflows/b.yaml": workflow("  - wait: 3\n", name="b"),
        "templates/c.md": HEAD + "{{ nobody }}",
        "templates/d.md": HEAD.replace("subject", "from: mra\nsubject"),
    }
    assert [line.split(" ")[0] for line in problems(files)] == [
        "templates/c.md:7:4",
        "templates/d.md:2:7",
        "workflows/a.yaml:1:1",
        "workflows/b.yaml:9:11",
    ]


def test_a_broken_letter_is_reported_once_and_not_again_as_missing() -> None:
    files = {
        **FILES,
        "workflows/check-in.yaml": workflow("  - ask: good-letter\n    timeout: 3 days\n"),
        "templates/good-letter.md": "no front matter",
    }
    assert len(problems(files)) == 1


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("templates/good-letter.de.md", HEAD, "4:8 T113 The answers differ from those of templates/good-letter.md"),
        ("templates/new.de.md", HEAD, "1:1 T112 This translates a letter that does not exist: new."),
        (
            "templates/plain-letter.en.md",
            "---\nsubject: x\n---\n",
            "1:1 T111 templates/plain-letter.md is",
        ),
        ("templates/x.de.md", HEAD.replace("---\n", "---\nlanguage: fr\n", 1), '2:11 T111 The letter says "fr"'),
        ("templates/bad name.md", HEAD, "1:1 T110 This is no name for a letter."),
        ("templates/inner/x.md", HEAD, "1:1 T110 This is no name for a letter."),
        ("workflows/bad name.yaml", "", "1:1 W114 This is no name for a workflow file."),
        ("workflows/people.yaml", "mara: Mara\n", '1:7 W103 "mara" must be keys with values, not text.'),
        ("workflows/people.yaml", "{}\n", "1:1 W102 There is nobody in this file."),
        (
            "workflows/people.yaml",
            "mara: {name: Mara, email: mara at shop, signature: M}\n",
            "1:27 W115 email: 'mara at shop' is not a mail address",
        ),
        ("workflows/people.yaml", "mara: {nmae: Mara}\n", '1:7 W102 "email", "signature" are missing in a person.'),
        ("workflows/people.yaml", "m: {name: M, email: m@a.b, signature: M, hours: 9-5}\n", "1:49 W107 hours: '9-5'"),
        ("workflows/people.yaml", "m: {name: M, email: m@a.b, signature: M, away: soon}\n", '1:48 W103 "away" must be'),
        ("workflows/shop.yaml", "name: A\n", '1:1 W102 "postal_address" is missing in the shop.'),
        ("workflows/shop.yaml", "", "1:1 W102 workflows/shop.yaml is empty."),
        ("workflows/shop.yaml", "name: A\npostal_address: B\nurl: shop\n", "3:6 W115 url: 'shop' is not a web address"),
        ("workflows/shop.yaml", "name: A\npostal_address: B\ntimezone: Mars\n", "3:11 W108 timezone: there is no"),
        (
            "workflows/shop.yaml",
            "name: A\npostal_address: B\nunknown_consent: strickt\n",
            '3:18 W105 "unknown_consent" cannot be "strickt". Did you mean "strict"?',
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_file_is_reported_at_its_place(path: str, text: str, expected: str) -> None:
    assert any(line.startswith(f"{path}:{expected}") for line in problems({**FILES, path: text}))


def test_the_strict_choice_counts_unknown_consent_as_none() -> None:
    shop = FILES["workflows/shop.yaml"] + "unknown_consent: strict\n"
    assert load({**FILES, "workflows/shop.yaml": shop}).shop.strict_consent


def test_a_person_may_have_a_backlog_a_zone_and_times_away() -> None:
    people = FILES["workflows/people.yaml"] + (
        "  hours: 09:00-17:00\n  timezone: Europe/Berlin\n  backlog: 15\n"
        "  away: {from: 2026-12-20, until: 2027-01-04, cover: mara}\n"
    )
    found = load({**FILES, "workflows/people.yaml": people}).people
    holiday = Away(date(2026, 12, 20), date(2027, 1, 4), "mara")
    assert (found["mara"].backlog, found["mara"].zone, found["mara"].away) == (None, None, ())
    assert (found["jonas"].backlog, found["jonas"].zone) == (15, ZoneInfo("Europe/Berlin"))
    assert found["jonas"].away == (holiday,)
    several = people.replace(
        "away: {from: 2026-12-20, until: 2027-01-04, cover: mara}",
        "backlog: 0\n  away:\n  - {from: 2026-12-20, until: 2027-01-04, cover: mara}\n"
        "  - {from: 2026-08-01, until: 2026-08-01, cover: mara}",
    ).replace("  backlog: 15\n", "")
    jonas = load({**FILES, "workflows/people.yaml": several}).people["jonas"]
    assert (jonas.backlog, jonas.away) == (0, (holiday, Away(date(2026, 8, 1), date(2026, 8, 1), "mara")))


REMEMBERS = workflow(
    '  - split: s\n    variants:\n      a: {do: []}\n      b:\n        do: [{remember: {customer.use_case: "x"}}]\n'
)
READS = workflow("  - branch:\n      - when: customer.use_case\n        do: [{stop: x}]\n", name="b")
LETTER = HEAD + "{{ customer.use_case | default('x') }}"


def test_every_file_may_read_what_some_workflow_remembers_of_a_customer() -> None:
    readers = {**FILES, "workflows/b.yaml": READS, "templates/c.md": LETTER}
    assert problems(readers) == [
        'templates/c.md:7:13 J001 Unknown name "customer.use_case".',
        'workflows/b.yaml:10:24 W207 Unknown name "customer.use_case".',
    ]
    assert set(load({**readers, "workflows/check-in.yaml": REMEMBERS}).workflows) == {"b", "check-in"}


def test_what_a_workflow_remembers_counts_however_wrong_its_file_is() -> None:
    readers = {**FILES, "workflows/b.yaml": READS, "templates/c.md": LETTER}
    half = REMEMBERS.replace("title: Check in", "tilte: Check in")
    assert [line.split(" ")[0] for line in problems({**readers, "workflows/check-in.yaml": half})] == [
        "workflows/check-in.yaml:2:1"
    ]
    no_yaml = REMEMBERS.replace("title: Check in", "title: 'Check in")
    assert [line.split(" ")[0] for line in problems({**readers, "workflows/check-in.yaml": no_yaml})] == [
        "workflows/check-in.yaml:2:8"
    ]


def test_a_workflow_may_start_one_whose_file_is_broken_for_now() -> None:
    files = {**FILES, "workflows/a.yaml": workflow("  - start: b\n", name="a"), "workflows/b.yaml": "steps: []\n"}
    assert {line.split(":")[0] for line in problems(files)} == {"workflows/b.yaml"}


def test_a_letter_may_say_that_nothing_happened_in_time() -> None:
    letter = project(tried=HEAD + "{% if timed_out %}Still nothing.{% endif %}").letter("tried")
    assert letter.key == "tried"


def written(folder: Path, files: dict[str, str | bytes]) -> Path:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_a_folder_is_read_with_what_belongs_and_nothing_else(tmp_path: Path) -> None:
    others = {
        "README.md": "x",
        "workflows/notes.txt": "x",
        "workflows/.first.yaml.swp": "x",
        "workflows/.hidden.yaml": "x",
        "templates/_samples/ana.yaml": "a: b\n",
        "templates/_layouts/letter.css": "x",
        "templates/logo.png": b"\x89PNG\x00",
    }
    written(tmp_path, {**FILES, **others})
    assert read_folder(tmp_path) == {**FILES, "templates/_samples/ana.yaml": "a: b\n"}


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    raw = b"\xef\xbb\xbf" + FILES["templates/good-letter.md"].replace("\n", "\r\n").encode()
    written(tmp_path, {**FILES, "templates/good-letter.md": raw})
    assert load(read_folder(tmp_path)).hash == load(FILES).hash


def test_a_folder_without_workflows_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no folder workflows/"):
        read_folder(tmp_path)


def test_files_that_cannot_be_used_are_all_named(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("secret: 1")
    folder = written(
        tmp_path / "project",
        {
            **FILES,
            "workflows/latin.yaml": "title: für\n".encode("latin-1"),
            "workflows/old.yml": "a: b",
            "workflows/huge.yaml": "x" * 1_000_001,
            "templates/wide.md": "---".encode("utf-16"),
            "templates/inner/lost.md": "x",
        },
    )
    (folder / "workflows" / "linked.yaml").symlink_to(outside)
    (folder / "workflows" / "gone.yaml").symlink_to(folder / "nowhere.yaml")
    (folder / "workflows" / "dir.yaml").mkdir()
    with pytest.raises(BundleError) as raised:
        read_folder(folder)
    assert [f"{d.path}:{d.line}:{d.column} {d.code}" for d in raised.value.diagnostics] == [
        "templates/wide.md:1:1 T004",
        "workflows/dir.yaml:1:1 W006",
        "workflows/gone.yaml:1:1 W006",
        "workflows/huge.yaml:1:1 W004",
        "workflows/latin.yaml:1:9 W004",
        "workflows/linked.yaml:1:1 W006",
        "workflows/old.yml:1:1 W007",
    ]
    assert "secret" not in str(raised.value)


def test_a_link_within_the_project_is_followed(tmp_path: Path) -> None:
    folder = written(tmp_path, FILES)
    (folder / "templates" / "same.md").symlink_to(folder / "templates" / "plain-letter.md")
    assert read_folder(folder)["templates/same.md"] == FILES["templates/plain-letter.md"]
