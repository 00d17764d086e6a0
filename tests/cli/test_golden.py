"""
What every command shows on terminals of 80 and 120 columns, in the shop of the demo: read it in tests/cli/golden.

After a change that is meant: pytest tests/cli/test_golden.py --write-golden, and read what differs.
"""

import difflib
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from followup.cli import play
from followup.cli.main import followup, main
from tests.cli.terminal import terminal

GOLDEN = Path(__file__).parent / "golden"
LONGER = "  - wait: 3 business days\n"
CHANGED = {  # files of the shop that are changed before the command runs
    "workflows/arrived.yaml": ("  - wait: 2 business days\n", LONGER),
    "templates/when-it-sticks.md": ("{{ signature }}", "Tell me how it goes.\n\n{{ signature }}"),
}
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
    "messages-resend": ["messages resend 20"],
    "messages-mark-sent": ["messages mark-sent 20"],
    "messages-release": ["messages release 20"],
    "inbound-list": ["inbound list"],
    "inbound-retry": ["inbound retry"],
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
    "inbound-add": ["inbound add {demo}/mails/holiday.eml"],
    "db-upgrade": ["db upgrade"],
    "db-recovered": ["db recovered --since 2026-02-01 --yes"],
}
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
MOMENT = re.compile(r"[A-Z][a-z]{2} \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d")
TOKEN = re.compile(r"(?<=localhost:8000/[au]/)[a-z2-7]+")
HASH = re.compile(r"\b[0-9a-f]{12}\b")


@pytest.fixture(scope="session")
def demo_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the demo after its half year."""
    folder = tmp_path_factory.mktemp("demo") / "shop"
    with pytest.raises(SystemExit) as done:
        main(["demo", "--keep", str(folder), "--json"])
    assert done.value.code == 0
    return folder


@pytest.fixture
def shop(demo_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    shutil.copytree(demo_shop, folder)
    monkeypatch.chdir(folder)
    return folder


def steady(text: str) -> str:
    """Return *text* with what is of today, or of this folder's content, always the same and as wide."""
    today = datetime.now(UTC)  # noqa: TID251 - commands read the wall clock too

    def moment(found: re.Match[str]) -> str:
        at = datetime.strptime(found.group(), "%a %d %b %Y %H:%M").replace(tzinfo=UTC)
        return "Thu 01 Jan 2099 09:00" if abs(at - today) < timedelta(days=20) else found.group()

    text = TOKEN.sub(lambda found: "t" * len(found.group()), text)
    return HASH.sub("abcdefabcdef", MOMENT.sub(moment, text))


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_it_is_shown_as_it_is_written_down(
    shop: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, name: str, columns: int
) -> None:
    *before, last = COMMANDS[name]
    for command in before:
        run(command, monkeypatch, 200)
    shown = steady(run(last, monkeypatch, columns))
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
    if command == "{changed}":
        for path, (was, now) in CHANGED.items():
            text = Path(path).read_text(encoding="utf-8")
            assert was in text
            Path(path).write_text(text.replace(was, now, 1), encoding="utf-8")
        return ""
    words = [re.sub(r"^'|'$", "", word) for word in re.findall(r"'[^']*'|\S+", command)]
    with terminal(monkeypatch, columns) as seen, pytest.raises(SystemExit) as done:
        main([word.replace("{demo}", str(DEMO)) for word in words])
    return f"$ followup {command}\n{seen.shown}exit code {done.value.code}\n"


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
    shown = {last for *_, last in COMMANDS.values()}
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
