"""The command line itself: help, suggestions, exit codes, streams, signals."""

import io
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import click
import pytest

from followup.cli import output
from followup.cli.main import COMMANDS, followup, main
from followup.core.customer import Customer
from tests.cli.conftest import Cli
from tests.cli.terminal import terminal

Start = Callable[..., subprocess.Popen[str]]
SOURCES = sorted((Path(__file__).parents[2] / "followup").rglob("*.py"))


def every_command() -> list[tuple[str, ...]]:
    """Return every command and subcommand, by its words."""
    context = click.Context(followup)
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = followup.get_command(context, name)
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, below) for below in command.list_commands(context)]
    return found


def test_help_is_shown_without_anything_heavy() -> None:
    code = (
        "import sys; from followup.cli.main import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'sqlalchemy', 'pydantic', 'jinja2', 'alembic'} & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("Usage: followup ")
    assert ran.stderr == "[]\n"


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_explains_itself_in_eighty_columns(cli: Cli, words: tuple[str, ...]) -> None:
    for option in ("-h", "--help"):
        ran = cli(*words, option)
        assert ran.out.startswith(f"Usage: followup {' '.join(words)}")
        assert ran.err == ""
        assert max(map(len, ran.out.splitlines())) <= 80
        assert "..." not in ran.out.split("\n\n", 1)[1]  # no sentence is cut


def test_every_reading_command_has_json() -> None:
    context = click.Context(followup)
    for words in (
        ("status",),
        ("config",),
        ("report",),
        ("why",),
        ("customers", "show"),
        ("replies", "list"),
        ("workflows", "list"),
    ):
        command = followup.get_command(context, words[0])
        if isinstance(command, click.Group):
            command = command.get_command(context, words[-1])
        assert command is not None
        assert any("--json" in parameter.opts for parameter in command.params), words


def test_every_command_that_a_hint_names_exists() -> None:
    named = set()
    for source in SOURCES:
        for text in re.findall(r"""(?:hint\(|hint=)f?(".*?")""", source.read_text(encoding="utf-8")):
            named |= set(re.findall(r"followup ([a-z-]+)(?: ([a-z-]+))?", text))
    assert ("trigger", "") in {(name, "") for name, _ in named}
    known = every_command()
    for name, below in named:
        assert (name,) in known, f"followup {name}"
        is_group = any(words[0] == name and len(words) == 2 for words in known)
        assert not is_group or (name, below) in known, f"followup {name} {below}"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("wyh",), "Did you mean 'why'?"),
        (("stats",), "Did you mean 'status'?"),
        (("customers", "shwo"), "Did you mean 'show'?"),
        (("status", "--jsn"), "Did you mean '--json'?"),
        (("why",), "Missing argument 'ORDER|EMAIL'."),
        (("replies", "list", "--limit", "0"), "0 is not in the range"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_explained_and_exits_2(cli: Cli, args: tuple[str, ...], said: str) -> None:
    ran = cli(*args, code=2)
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert said in ran.err
    assert re.search(r"\nhint: followup( \w+)* --help\n$", ran.err)


def test_without_a_command_help_is_shown_as_wrong_usage(cli: Cli) -> None:
    ran = cli(code=2)
    assert ran.out == ""
    assert ran.err.startswith("Usage: followup [OPTIONS] COMMAND")


def test_the_version_is_told(cli: Cli) -> None:
    assert re.fullmatch(r"followup, version \d+\.\d+\.\d+\n", cli("--version").out)


def test_a_reader_who_leaves_early_is_no_failure(played: Path, start: Start) -> None:
    with start("customers", "show", "bo@example.com") as story:
        assert story.stdout is not None
        assert story.stderr is not None
        story.stdout.close()  # before a line was written
        assert story.stderr.read() == ""
    assert story.returncode == 0


def test_output_that_cannot_be_written_is_a_failure(played: Path, start: Start) -> None:
    with Path("/dev/full").open("w") as full:
        status = start("status", stdout=full)
        _, err = status.communicate()
    assert status.returncode == 1
    assert "error: the output cannot be written: No space left on device\n" in err
    assert "Traceback" not in err


def test_output_that_is_not_utf_8_loses_signs_but_not_json(
    played: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    text, err = start("customers", "show", "ana@example.com").communicate()
    assert "2 ? Cup" in text
    assert err == ""
    document, _ = start("customers", "show", "ana@example.com", "--json").communicate()
    assert document.isascii()
    assert '"question": "Is everything in one piece?"' in document


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_worker_that_is_asked_to_stop_ends_well(
    project: Path, cli: Cli, start: Start, number: signal.Signals
) -> None:
    cli("apply")
    worker = start("worker")
    assert worker.stdout is not None
    started = worker.stdout.readline()
    assert '"worker.started"' in started
    assert '"mode": "test"' in started
    worker.send_signal(number)
    worker.send_signal(number)
    out, err = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert '"worker.stopped"' in out, "platforms keep what a process says on stdout"
    assert err == ""


def test_ctrl_c_ends_a_command_without_a_traceback(project: Path, start: Start) -> None:
    os.mkfifo(project / "slow.eml")
    reading = start("inbound", "add", "slow.eml")
    with (project / "slow.eml").open("wb"):  # opens once the command reads
        reading.send_signal(signal.SIGINT)
        out, err = reading.communicate(timeout=30)
    assert reading.returncode == 130
    assert out == ""
    assert err == "\nStopped.\n"


def on_a_terminal(start: Start, *args: str, columns: int = 80) -> str:
    """Return what a command shows on a terminal that is so wide."""
    ours, theirs = pty.openpty()
    process = start(*args, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                piece = terminal.read(4096)
            except OSError:  # how Linux says that the other side has hung up
                break
            if not piece:
                break
            shown += piece
    process.wait()
    return shown.decode()


@pytest.mark.parametrize("command", ["web", "run"])
def test_a_terminal_is_told_where_the_pages_are_once_they_are(
    project: Path, cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    cli("apply")
    monkeypatch.setenv("NO_COLOR", "1")
    ours, theirs = pty.openpty()
    process = start(command, "--port", "0", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    with open(ours, "rb") as terminal:
        try:
            said = next(line.decode().strip() for line in terminal if line.startswith(b"listening on "))
            with urlopen(f"{said.removeprefix('listening on ')}/healthz", timeout=10) as page:
                assert page.read().strip() == b"ok"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


@pytest.mark.parametrize("command", ["web", "run"])
def test_a_port_that_is_taken_is_not_said_to_be_listened_on(
    project: Path, cli: Cli, start: Start, command: str
) -> None:
    cli("apply")
    with socket.create_server(("0.0.0.0", 0)) as taken:
        shown = on_a_terminal(start, command, "--port", str(taken.getsockname()[1]))
    assert "cannot be listened on: Address already in use" in shown
    assert "listening on" not in shown


@pytest.fixture
def stopped(played: Path, cli: Cli) -> Path:
    """Return the project after somebody has stopped things, with long reasons."""
    cli("suppressions", "add", "x@example.com", "--reason", "they asked us in a long letter, and more than once")
    cli("pause", "after-arrival", "--reason", "the price in it was wrong, and nobody had noticed that for days")
    return played


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize(
    "args",
    [
        ("status",),
        ("config",),
        ("why", "A-2"),
        ("customers", "show", "bo@example.com"),
        ("replies", "list"),
        ("conversations", "list"),
        ("workflows", "list"),
        ("messages", "list"),
        ("suppressions", "list"),
        ("report", "after-arrival"),
        ("show", "after-arrival"),
        ("pause", "after-arival"),
    ],
    ids=" ".join,
)
def test_what_is_shown_keeps_within_the_terminal(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], columns: int
) -> None:
    with terminal(monkeypatch, columns) as seen, pytest.raises(SystemExit):
        main([*args])
    assert len(seen.shown.splitlines()) > 1
    assert "\x1b[" not in seen.shown
    assert [line for line in seen.shown.splitlines() if output.cells_wide(line) > columns] == []


def test_colour_is_for_terminals_that_want_it(played: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1m" in on_a_terminal(start, "workflows", "list")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[" not in on_a_terminal(start, "workflows", "list")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in on_a_terminal(start, "workflows", "list")
    assert "\x1b[" not in on_a_terminal(start, "why", "nothing")


def test_a_question_is_asked_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert not output.confirm("Much would change.", yes=False)
    assert capsys.readouterr().err == "Much would change. Nothing was done: add --yes.\n"
    assert output.confirm("Much would change.", yes=True)


def test_a_remark_is_written_at_one_go_beside_another_threads_log(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[str] = []

    class Screen(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Screen())
    output.tell("listening on\nhttp://localhost:8000")
    assert [piece for piece in pieces if piece] == ["listening on\nhttp://localhost:8000\n"]


def test_strangers_text_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("red \x1b[31m\x9b31m bell\x07 turn\u202e tab\there nbsp\u00a0here family 👨\u200d👩")
    assert capsys.readouterr().out == "red �[31m�31m bell� turn� tab here nbsp here family 👨\u200d👩\n"


def test_a_strangers_name_stays_on_its_line() -> None:
    forged = Customer(id=1, email="ann@example.com", first_name="Ann\nSun 22 Mar", last_name=" Lee\r\n")
    assert output.named(forged) == "Ann Sun 22 Mar Lee <ann@example.com>"
    assert output.named(Customer(id=1, email="ann@example.com", first_name=" \n")) == "(no name) <ann@example.com>"


def test_strangers_text_survives_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.document({"text": "\x1b[31m \x9b \u202e é \udc80"})
    assert capsys.readouterr().out == '{\n  "text": "\\u001b[31m \\u009b \\u202e é \\udc80"\n}\n'


def test_columns_of_wide_signs_stay_in_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name", "n", "x"), [("佐藤", 1, "a"), ("Zoe\u0308", 10, "b")])
    assert capsys.readouterr().out == "name  n   x\n佐藤  1   a\nZoe\u0308   10  b\n"


TABLE = (
    ("customer", "since", "last words"),
    [
        ("ana.ferreira@example.com", "Mon 02 Mar 2026 09:00", "I have not even opened it yet"),
        ("bo@example.com", "–", ""),
    ],
)
ROW_BY_ROW = """\
customer    ana.ferreira@example.com
since       Mon 02 Mar 2026 09:00
last words  I have not even opened it
            yet

customer    bo@example.com
since       –
"""
BELOW = """\
customer                  since                  last words
ana.ferreira@example.com  Mon 02 Mar 2026 09:00
    I have not even opened it yet
bo@example.com            –
"""
BESIDE = """\
customer                  since                  last words
ana.ferreira@example.com  Mon 02 Mar 2026 09:00  I have not even opened it yet
bo@example.com            –
"""


@pytest.mark.parametrize(("columns", "shown"), [(40, ROW_BY_ROW), (60, BELOW), (120, BESIDE), (None, BESIDE)])
def test_a_table_takes_the_room_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int | None, shown: str
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: columns is not None)
    monkeypatch.setenv("COLUMNS", str(columns or 1))
    output.table(*TABLE)
    assert capsys.readouterr().out == shown
