"""YAML with positions: what scalars mean, what is refused, and that nothing crashes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.authoring.diagnostics import Report, Spot
from followup.authoring.source import Mapping, Scalar, Sequence, decode, read_yaml


def value_of(text: str) -> object:
    report = Report("x.yaml")
    node = read_yaml(f"key: {text}\n", report)
    assert isinstance(node, Mapping), report.diagnostics
    value = node.get("key")
    assert isinstance(value, Scalar)
    return value.value


def complaint(text: str | bytes) -> str:
    report = Report("x.yaml")
    if isinstance(text, bytes):
        assert decode(text, report) is None
    else:
        assert read_yaml(text, report) is None
    assert len(report.diagnostics) == 1
    found = report.diagnostics[0]
    return f"{found.line}:{found.column} {found.code} {found.message}"


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "NO", "Y", "n", "09:30", "1:30:00", "2026-03-01", "1_000"])
def test_what_yaml_1_1_took_for_something_else_is_text(word: str) -> None:
    assert value_of(word) == word


@pytest.mark.parametrize(
    ("written", "meant"),
    [("true", True), ("False", False), ("12", 12), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("~", None), ("", None)],
)
def test_core_scalars_have_their_types(written: str, meant: object) -> None:
    assert value_of(written) == meant
    assert type(value_of(written)) is type(meant)


@pytest.mark.parametrize("quoted", ["'true'", '"12"', "'~'"])
def test_quoted_scalars_are_text(quoted: str) -> None:
    assert value_of(quoted) == quoted[1:-1]


def test_numbers_too_long_to_mean_anything_stay_text() -> None:
    assert value_of("9" * 5000) == "9" * 5000


def test_every_key_and_value_knows_its_place() -> None:
    node = read_yaml("a: 1\nlist:\n  - x\n  - key:   'value'\n", Report("x"))
    assert isinstance(node, Mapping)
    items = node.get("list")
    assert isinstance(items, Sequence)
    inner = items.items[1]
    assert isinstance(inner, Mapping)
    entry = inner.entries["key"]
    assert (items.items[0].spot, entry.spot, entry.value.spot) == (Spot(3, 5), Spot(4, 5), Spot(4, 12))
    assert isinstance(entry.value, Scalar)
    assert entry.value.place(2) == Spot(4, 15)  # inside the quotes


def test_places_count_from_the_line_on_which_front_matter_begins() -> None:
    node = read_yaml("subject: x", Report("x"), first_line=2)
    assert isinstance(node, Mapping)
    assert node.entries["subject"].spot == Spot(2, 1)


def test_folded_text_has_no_places_inside() -> None:
    node = read_yaml("a: >\n  one\n  two\n", Report("x"))
    assert isinstance(node, Mapping)
    folded = node.get("a")
    assert isinstance(folded, Scalar)
    assert folded.raw == "one two\n"
    assert folded.place(5) == folded.spot


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: *b", "1:4 W005 Aliases (*name) are not used here."),
        ("a: &b c", "1:4 W005 Anchors (&name) are not used here."),
        ("a: &b [c]", "1:4 W005 Anchors (&name) are not used here."),
        ("a: !!str c", "1:4 W005 Tags (!name) are not used here."),
        ("!x\na: b", "1:1 W005 Tags (!name) are not used here."),
        ("a:\n\t- b", "2:1 W001 YAML cannot be read here: a tab."),
        ("a: 1\nb: 2\na: 3", '3:1 W003 "a" is set twice.'),
        ("a: 1\n---\nb: 2", "2:1 W001 A file holds one YAML document, and a second one starts here."),
        ("a: {{ b }}", "1:4 W002 A value starting with {{ must be in quotes, or YAML reads it as a mapping."),
        ("a: {{ b }} c", "1:4 W002 A value starting with {{ must be in quotes, or YAML reads it as a mapping."),
        ("- {{ b }}", "1:3 W002 A value starting with {{ must be in quotes, or YAML reads it as a mapping."),
        ("a: b: c", "1:5 W001 YAML cannot be read here: a second colon."),
        ("a: 'b", "1:4 W001 YAML cannot be read here: a quote that is never closed."),
        ("a: `b", "1:4 W001 YAML cannot be read here: a value starting with `."),
        ('a: "\\q"', "1:5 W001 YAML cannot be read here: an unknown escape."),
        ("[a]: b", "1:1 W001 A key must be plain text."),
        ("a: \x00", "1:4 W001 An invisible character (U+0000) stands here."),
        ("a: b\x85c", "1:5 W001 An invisible character (U+0085) stands here."),
        ("a: \ud800", "1:4 W001 An invisible character (U+D800) stands here."),
        ("[" * 900, "1:41 W001 Lists and mappings are nested more than 40 deep."),
        ("a: " + "x" * 10_000_000, "1:1 W004 The file is larger than 1,000,000 characters."),
    ],
    ids=lambda value: str(value)[:20],
)
def test_hostile_and_mistaken_yaml_is_refused_with_its_place(text: str, expected: str) -> None:
    assert complaint(text) == expected


def test_however_deep_it_nests_it_is_refused() -> None:
    found = complaint("[" * 100_000)  # libyaml may give up before we do, and says so itself
    assert " W001 " in found
    assert "nest" in found


def test_a_billion_laughs_cost_nothing() -> None:
    lines = ["a: &a [x]"] + [f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(9)]
    assert complaint("\n".join(lines)) == "1:4 W005 Anchors (&name) are not used here."


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a: ü\n".encode("utf-16"), "1:1 W004 The file is UTF-16 or not text at all."),
        ("a: b\n".encode("utf-16-le"), "1:1 W004 The file is UTF-16 or not text at all."),
        ("a: b\nc: für\n".encode("cp1252"), "2:5 W004 The file is not UTF-8: byte 0xfc (in Windows-1252 'ü')."),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "1:1 W004 The file is UTF-16 or not text at all."),
    ],
)
def test_other_encodings_are_named(raw: bytes, expected: str) -> None:
    assert complaint(raw) == expected


def test_a_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    assert decode(b"\xef\xbb\xbfa: b\r\nc: d\re: f", Report("x")) == "a: b\nc: d\ne: f"


@given(st.text())
def test_no_text_crashes_the_reader(text: str) -> None:
    report = Report("x.yaml")
    node = read_yaml(text, report)
    assert node is None or not report.diagnostics


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,?\n\t 1~", max_size=60))
def test_no_soup_of_yaml_characters_crashes_the_reader(text: str) -> None:
    report = Report("x.yaml")
    read_yaml(text, report)
    lines = text.split("\n")
    for found in report.diagnostics:
        assert 1 <= found.line <= len(lines) + 1
        found.format(text)


@given(st.binary())
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    report = Report("x.yaml")
    text = decode(raw, report)
    if text is not None:
        read_yaml(text, report)
