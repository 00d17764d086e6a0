"""
What every command shows on terminals of 80 and 120 columns, in the shop of the demo: read it in tests/cli/golden.

After a change that is meant: pytest tests/cli/test_golden.py --write-golden, and read what differs.
"""

import difflib
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from sqlalchemy import update

from followup.cli import play
from followup.cli.main import followup, main
from followup.store.engine import make_engine, writing
from followup.store.schema import messages
from tests.cli.shop import FILES, PEOPLE, WORKFLOW, delivered_lately
from tests.cli.terminal import terminal
from tests.cli.test_switches import AT_ONCE

GOLDEN = Path(__file__).parent / "golden"
TOM = PEOPLE.replace("mara", "tom").replace("Mara", "Tom")
LONGER = "  - wait: 3 business days\n"
FLOW = "workflows/after-arrival.yaml"
RENAMED = ("  - ask: arrived\n", "  - id: question\n    ask: arrived\n")
EDITS: dict[str, dict[str, tuple[str, str] | None]] = {  # files that are changed (None: deleted) where it says {name}
    "{changed}": {
        "workflows/arrived.yaml": ("  - wait: 2 business days\n", LONGER),
        "templates/when-it-sticks.md": ("{{ signature }}", "Tell me how it goes.\n\n{{ signature }}"),
    },
    "{shortened}": {FLOW: ("wait: 1 day", "wait: 6 hours")},
    "{lengthened}": {FLOW: ("wait: 1 day", "wait: 3 days")},
    "{renamed}": {FLOW: RENAMED},
    "{deleted}": {FLOW: None},
    "{tom-gone}": {FLOW: ("sender: tom", "sender: mara"), "workflows/people.yaml": (TOM, "")},
    "{live}": {FLOW: ("status: draft", "status: live")},
}
MISTAKES = {"mistyped", "messages-resend-refused"}  # what is shown is the refusal
# name: the commands of which the last one is shown; {changed} changes the folder
COMMANDS = {
    "help": ["--help"],
    "mistyped": ["messages lst"],
    "status": ["status"],
    "halt": ["halt --reason 'we count stock'"],
    "unhalt": ["halt --reason 'we count stock'", "unhalt"],
    "status-halted": ["halt --reason 'we count stock'", "pause first-weeks --reason 'wrong price'", "status"],
    "pause": ["pause first-weeks --reason 'wrong price'"],
    "resume": ["pause first-weeks --reason 'wrong price'", "resume first-weeks --dry-run"],
    "archive": ["archive first-weeks --yes"],
    "customers-show": ["customers show carla.rossi@example.com"],
    "customers-nobody": ["customers show carla.rosi@example.com"],
    "replies-list": ["replies list"],
    "conversations-list": ["conversations list"],
    "conversations-close": ["conversations close carla.rossi@example.com"],
    "messages-list": ["messages list --limit 12"],
    "messages-show": ["messages show 20"],
    "messages-cancel": ["messages cancel 20"],
    "messages-resend": ["{lost}", "messages resend 45"],
    "messages-resend-refused": ["messages resend 20"],
    "messages-mark-sent": ["{lost}", "messages mark-sent 45"],
    "inbound-list": ["inbound list"],
    "inbound-retry": ["{mail}", "inbound add carla.eml", "inbound retry 5"],
    "suppressions-add": ["suppressions add carla.rossi@example.com"],
    "suppressions-check": ["suppressions check carla.rossi@example.com"],
    "suppressions-list": ["suppressions add carla.rossi@example.com", "suppressions list"],
    "suppressions-remove": ["suppressions add carla.rossi@example.com", "suppressions remove carla.rossi@example.com"],
    "workflows-list": ["workflows list"],
    "report": ["report arrived"],
    "why": ["why T-1003"],
    "why-nothing": ["why T-103"],
    "why-customer": ["why carla.rossi@example.com"],
    "why-step": ["why carla.rossi@example.com --step when-it-sticks"],
    "simulate": ["simulate arrived --from 2026-12-22T10:00"],
    "simulate-answers": ["simulate arrived --answer not-opened --reply 'The lid is cracked' --from 2026-12-22T10:00"],
    "simulate-paths": ["simulate first-weeks --paths --from 2026-12-22T10:00"],
    "walk": ["walk ana.ferreira@example.com"],
    "show-changed": ["{changed}", "show arrived"],
    "show": ["show arrived"],
    "plan": ["{changed}", "plan"],
    "plan-nothing": ["plan"],
    "apply": ["{changed}", "apply"],
    "bundles-list": ["{changed}", "apply", "bundles list"],
    "bundles-show": ["bundles show"],
    "bundles-diff": ["{changed}", "bundles diff"],
    "bundles-rollback": ["{changed}", "apply", "bundles rollback --yes"],
    "trigger": ["trigger arrived --since 2026-01-01 --dry-run"],
    "event": ["event support.solved --customer carla.rossi@example.com"],
    "inbound-add": ["{mail}", "inbound add carla.eml"],
    "db-upgrade": ["db upgrade"],
    "db-recovered": ["db recovered --since 2026-02-01 --yes"],
}
INSIDE = {  # likewise, by the shop with people inside
    "waiting": {
        "plan-shortened": ["{shortened}", "plan"],
        "plan-shortened-people": ["{shortened}", "plan --people"],
        "plan-lengthened": ["{lengthened}", "plan"],
        "plan-lengthened-people": ["{lengthened}", "plan --people"],
        "bundles-rollback-people": ["{lengthened}", "apply", "bundles rollback --people --dry-run"],
        "apply-moved": ["{shortened}", "apply"],
        "status-inside": ["status"],
        "show-inside": ["show after-arrival"],
    },
    "asked": {
        "plan-stranded": ["{renamed}", "plan"],
        "plan-stranded-people": ["{renamed}", "plan --people"],
        "plan-skip-people": ["{renamed}", "plan --people --in-flight arrived=skip"],
        "plan-stop-people": ["{renamed}", "plan --people --in-flight arrived=stop"],
        "plan-finish": ["{renamed}", "plan --in-flight arrived=finish"],
        "plan-skip": ["{renamed}", "plan --in-flight arrived=skip"],
        "plan-stop": ["{renamed}", "plan --in-flight arrived=stop"],
        "messages-resend-yes": ["{lost-1}", "messages resend 1 --yes"],
        "plan-deleted": ["{deleted}", "plan"],
        "plan-deleted-skip": ["{deleted}", "plan --people --in-flight after-arrival=skip"],
        "apply-deleted-skip": ["{deleted}", "apply --in-flight after-arrival=skip"],
        "apply-refused": ["{renamed}", "apply"],
        "apply-skip": ["{renamed}", "apply --in-flight arrived=skip"],
        "show-deleted": ["{deleted}", "apply --in-flight after-arrival=finish", "show after-arrival"],
        "bundles-rollback-refused": ["{renamed}", "apply --in-flight arrived=stop", "{more}", "bundles rollback --yes"],
    },
    "held": {
        "plan-person-gone": ["{renamed}", "{tom-gone}", "plan --in-flight arrived=finish"],
        "plan-person-gone-people": ["{renamed}", "{tom-gone}", "plan --people --in-flight arrived=finish"],
        "apply-person-gone": ["{renamed}", "{tom-gone}", "apply --in-flight arrived=finish"],
    },
    "first": {
        "messages-release": ["messages release 1"],
        "messages-release-workflow": ["messages release --workflow after-arrival"],
    },
    "draft": {"plan-goes-live": ["{live}", "plan"], "apply-goes-live": ["{live}", "apply --first 3"]},
}
CASES = [("demo", name) for name in COMMANDS] + [(shop, name) for shop, cases in INSIDE.items() for name in cases]
ELSEWHERE = {  # commands that are shown by other tests, since what they say depends on more than the shop
    "completion": "test_completion.py",
    "demo": "test_plays.py",
    "replay": "test_plays.py",
    "init": "test_projects.py",
    "config": "test_projects.py",
    "release": "test_projects.py",
    "doctor": "test_doctor.py",
    "worker": "test_runs.py",
    "web": "test_front_door.py",
    "run": "test_front_door.py",
    "send-test": "test_brake.py",
    "import orders": "test_imports.py",
    "suppressions import": "test_messages.py",
    "suppressions export": "test_exports.py",
}
DEMO = Path(play.__file__).parent.parent / "demo"
MOMENT = re.compile(r"[A-Z][a-z]{2}\s+\d\d\s+[A-Z][a-z]{2}\s+\d{4}\s+\d\d:\d\d\s+[+-]\d\d:\d\d")  # folded or not
DAY = re.compile(r"\b[A-Z][a-z]{2}\s+\d\d\s+[A-Z][a-z]{2}\b(?:\s+\d{4})?(?!\s*\d)")
ISO_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC")
JUST_NOW = timedelta(hours=2)  # the demo's story is long over
LATELY = timedelta(days=60)  # other shops have no story but the last hours, and what comes of them
TOKEN = re.compile(r"(?<=localhost:8000/[au]/)[a-z2-7]+")
HASH = re.compile(r"\b[0-9a-f]{12}\b")


@pytest.fixture(scope="session")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which each shop is made when it is first asked for."""
    return tmp_path_factory.mktemp("shops")


def make_demo(folder: Path) -> None:
    """Make the shop of the demo after its half year."""
    do("demo", "--keep", str(folder), "--json")


def make_inside(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Make a shop with six people inside, by the real clock; see INSIDE."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    flow = {
        "waiting": WORKFLOW.replace("hours: 09:00-18:00", "hours: 00:00-24:00"),
        "held": AT_ONCE.replace("sender: mara", "sender: tom"),
        "draft": WORKFLOW.replace("status: live", "status: draft"),
    }.get(kind, AT_ONCE)
    Path(FLOW).write_text(flow, encoding="utf-8")
    if kind == "held":
        Path("workflows/people.yaml").write_text(PEOPLE + TOM, encoding="utf-8")
    do("apply", *(["--first", "6"] if kind == "first" else []))
    if kind == "held":
        do("halt", "--reason", "we count stock")
    come_in(6)


def come_in(number: int) -> None:
    Path("new.csv").write_text(delivered_lately(number, days_ago=0.5), encoding="utf-8")
    do("import", "orders", "new.csv", "--enroll")
    do("worker", "--once")


def do(*words: str) -> None:
    with pytest.raises(SystemExit) as done:
        main([*words])
    assert done.value.code == 0, words


def lose(message_id: int) -> None:
    """Let nobody know whether a letter that was accepted had been."""
    unknown = {"state": "unknown", "accepted_at": None, "outcome": None, "reason": "no answer came", "attempts": 1}
    engine = make_engine("sqlite:///followup.db")
    with writing(engine) as conn:
        conn.execute(update(messages).where(messages.c.id == message_id).values(transport="sendgrid", **unknown))
    engine.dispose()


def steady(text: str, *, moments: timedelta) -> str:
    """
    Return *text* with what is of today, or of this folder's content, always the same and as wide.

    Args:
        moments: how far from now a moment may be and still be of today, not of the story.
    """
    now = datetime.now(UTC)  # noqa: TID251 - commands read the wall clock too

    def moment(found: re.Match[str]) -> str:
        at = datetime.strptime(" ".join(found.group().split()), "%a %d %b %Y %H:%M %z")
        return instead(found, "Thu 01 Jan 2099 09:00 +00:00") if abs(at - now) < moments else found.group()

    def instead(found: re.Match[str], wanted: str) -> str:
        *words, last = wanted.split()
        gaps = re.findall(r"\s+", found.group())
        return "".join(word + gap for word, gap in zip(words, gaps, strict=False)) + last

    def iso_moment(found: re.Match[str]) -> str:
        at = datetime.strptime(found[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        return "2099-01-01 09:00 UTC" if abs(at - now) < moments else found.group()

    text = ISO_MOMENT.sub(iso_moment, MOMENT.sub(moment, text))
    if moments == LATELY:
        text = DAY.sub(lambda found: instead(found, "Thu 01 Jan"), text)
    text = TOKEN.sub(lambda found: "t" * len(found.group()), text)
    return HASH.sub("abcdefabcdef", text)


@pytest.fixture
def shop(kind: str, shops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the shop of that kind, in which commands run."""
    if not (shops / kind).exists():
        make_demo(shops / kind) if kind == "demo" else make_inside(shops / kind, monkeypatch, kind)
    folder = tmp_path / "shop"
    shutil.copytree(shops / kind, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(("kind", "name"), CASES, ids=[name for _, name in CASES])
def test_it_is_shown_as_it_is_written_down(
    shop: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, *, kind: str, name: str, columns: int
) -> None:
    *before, last = COMMANDS[name] if kind == "demo" else INSIDE[kind][name]
    for command in before:
        run(command, monkeypatch, 200)
    shown = steady(run(last, monkeypatch, columns), moments=JUST_NOW if kind == "demo" else LATELY)
    assert str(shop) not in shown
    assert shown.endswith("exit code 2\n") == (name in MISTAKES), shown
    file = GOLDEN / f"{name}.{columns}.txt"
    if request.config.getoption("--write-golden"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(shown, encoding="utf-8")
    assert file.exists(), f"{file.name} is missing: {__doc__}"
    wanted = file.read_text(encoding="utf-8")
    if shown != wanted:
        diff = "\n".join(difflib.unified_diff(wanted.splitlines(), shown.splitlines(), "golden", "shown", lineterm=""))
        pytest.fail(f"{file.name}\n{diff}", pytrace=False)


def run(command: str, monkeypatch: pytest.MonkeyPatch, columns: int) -> str:
    """Run *command* on a terminal that is so wide; return what it shows."""
    if command in EDITS:
        for path, edit in EDITS[command].items():
            change(Path(path), edit)
        return ""
    if command in DONE:
        DONE[command]()
        return ""
    words = [re.sub(r"^'|'$", "", word) for word in re.findall(r"'[^']*'|\S+", command)]
    with terminal(monkeypatch, columns) as seen, pytest.raises(SystemExit) as done:
        main(words)
    return f"$ followup {command}\n{seen.shown}exit code {done.value.code}\n"


def change(path: Path, edit: tuple[str, str] | None) -> None:
    if edit is None:
        path.unlink()
        return
    text = path.read_text(encoding="utf-8")
    assert edit[0] in text
    path.write_text(text.replace(*edit, 1), encoding="utf-8")


DONE: dict[str, Callable[[], object]] = {  # what happens otherwise before a command is shown
    "{lost}": lambda: lose(45),
    "{lost-1}": lambda: lose(1),
    "{mail}": lambda: shutil.copy(DEMO / "mails/carla.eml", "carla.eml"),
    "{more}": lambda: come_in(9),
}


def leaves(command: click.Command, name: str = "") -> Iterator[str]:
    context = click.Context(followup)
    if not isinstance(command, click.Group):
        yield name
        return
    for one in command.list_commands(context):
        inner = command.get_command(context, one)
        assert inner is not None
        yield from leaves(inner, f"{name} {one}".strip())


def test_every_command_is_shown() -> None:
    shown = {last for cases in (COMMANDS, *INSIDE.values()) for *_, last in cases.values()}
    missing = [name for name in leaves(followup) if not any(f"{one} ".startswith(f"{name} ") for one in shown)]
    assert sorted(missing) == sorted(ELSEWHERE)


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_wider_than_the_terminal(columns: int) -> None:
    wide = {
        f"{file.name}: {line}"
        for file in GOLDEN.glob(f"*.{columns}.txt")
        if file.stem != f"bundles-diff.{columns}"  # files are shown as they are
        for line in file.read_text(encoding="utf-8").splitlines()[1:]
        if len(line) > columns
    }
    assert wide == set()
