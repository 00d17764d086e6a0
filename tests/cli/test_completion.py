"""Shells complete followup's commands: in real bash, zsh and fish, as far as they are here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from followup.cli.main import COMMANDS
from tests.cli.conftest import Cli

SHELL = os.environ  # noqa: TID251 - a shell inherits all of it
HERE = {**SHELL, "PATH": f"{Path(sys.executable).parent}:{SHELL['PATH']}"}
IN_BASH = """
source <(followup completion bash)
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_followup_completion followup
printf '%s\\n' "${COMPREPLY[@]}"
"""
IN_ZSH = """
autoload -Uz compinit; compinit -D
source <(followup completion zsh)
print -r -- ${_comps[followup]}
compadd() { print -rl -- ${(P)5} }
_describe() { print -rl -- ${(P)3} }
words=("$@"); CURRENT=$#
_followup_completion
"""


def in_bash(*words: str, **environment: str) -> list[str]:
    """Return what bash offers for the last of *words*; nothing else may show."""
    ran = subprocess.run(
        ["bash", "--norc", "-c", IN_BASH, "bash", "followup", *words],
        env={**HERE, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("st",), ["status"]),
        (("sh",), ["show"]),
        (("messages", "re"), ["release", "resend"]),
        (("messages", "list", "--st"), ["--state"]),
        (("messages", "list", "--state", "un"), ["unknown"]),
        (("replies", "list", "--kind", "cl"), ["click"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("show", ""), ["after-arrival", "later"]),
        (("simulate", ""), ["after-arrival", "later"]),
        (("simulate", "later", "--sample", ""), ["gift", "typical"]),
        (("simulate", "later", "--sample", "g"), ["gift"]),
        (("report", "af"), ["after-arrival"]),
        (("pause", "l"), ["later"]),
        (("resume", "l"), ["later"]),
        (("archive", "l"), ["later"]),
        (("trigger", "l"), ["later"]),
        (("messages", "list", "--workflow", "l"), ["later"]),
        (("messages", "release", "--workflow", "l"), ["later"]),
        (("suppressions", "add", "a@example.com", "--workflow", "l"), ["later"]),
        (("suppressions", "remove", "a@example.com", "--workflow", "l"), ["later"]),
        (("send-test", ""), ["arrived", "thanks"]),
        (("show", "nothing-like-this"), []),
        (("nonsense", "--nothing"), []),
        (("messages", "nonsense", "--nothing"), []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bash_completes(project: Path, words: tuple[str, ...], offered: list[str]) -> None:
    (project / "workflows/later.yaml").write_text("not even: [a workflow")
    (project / "templates/thanks.de.md").write_text("a translation")
    (project / "templates/_samples").mkdir()
    for name in ("gift.yaml", "typical.yaml", "notes.txt"):
        (project / "templates/_samples" / name).write_text("not even: [a sample")
    (project / "templates/$(touch hacked) *.md").write_text("no name for a letter")
    assert in_bash(*words) == offered
    assert not (project / "hacked").exists()


def test_bash_completes_every_command(folder: Path) -> None:
    assert in_bash("") == list(COMMANDS)


def test_the_project_is_where_its_variable_says(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert in_bash("show", "") == []
    assert in_bash("show", "", FOLLOWUP_PROJECT=str(project)) == ["after-arrival"]
    assert in_bash("show", "", FOLLOWUP_PROJECT=str(project / "orders.csv")) == []


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here")
def test_fish_completes(project: Path) -> None:
    def in_fish(line: str) -> list[str]:
        script = f"followup completion fish | source; complete -C {line!r}"
        ran = subprocess.run(["fish", "-N", "-c", script], env=HERE, capture_output=True, text=True, check=True)
        assert ran.stderr == ""
        return ran.stdout.splitlines()

    assert in_fish("followup st") == [f"status\t{COMMANDS['status'][1]}"]
    assert in_fish("followup show ") == ["after-arrival"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not here")
def test_zsh_completes(project: Path) -> None:
    def in_zsh(*words: str) -> list[str]:
        command = ["zsh", "-f", "-c", IN_ZSH, "zsh", "followup", *words]
        ran = subprocess.run(command, env=HERE, capture_output=True, text=True, check=True)
        assert ran.stderr == ""
        name, *offered = ran.stdout.splitlines()
        assert name == "_followup_completion"
        return offered

    assert in_zsh("show", "a") == ["after-arrival"]
    assert in_zsh("st") == [f"status:{COMMANDS['status'][1]}"]


@pytest.mark.parametrize(
    "environment",
    [
        {"COMP_WORDS": "followup show ", "COMP_CWORD": "2"},
        {"COMP_WORDS": "followup messages list --state ", "COMP_CWORD": "4"},
        {"COMP_WORDS": "followup 'unclosed", "COMP_CWORD": "1"},
        {"COMP_WORDS": "followup show", "COMP_CWORD": "nonsense"},
        {},
    ],
    ids=str,
)
def test_it_is_silent_and_imports_nothing_heavy(project: Path, environment: dict[str, str]) -> None:
    code = (
        "import sys; from followup.cli.main import main\n"
        "try: main()\n"
        "finally:\n"
        "  heavy = {'sqlalchemy', 'pydantic', 'jinja2', 'alembic', 'holidays', 'structlog', 'psycopg'}\n"
        "  print(*heavy & set(sys.modules), file=sys.stderr, end='')"
    )
    asked = {**HERE, **environment, "_FOLLOWUP_COMPLETE": "bash_complete"}
    ran = subprocess.run([sys.executable, "-c", code], env=asked, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert not (project / "followup.db").exists()


def test_completing_a_command_imports_none_of_them(folder: Path) -> None:
    code = (
        "import sys; from followup.cli.main import main\n"
        "try: main()\n"
        "finally: print(*(name for name in sys.modules if name.startswith('followup.cli.')), file=sys.stderr)"
    )
    asked = {**HERE, "COMP_WORDS": "followup ", "COMP_CWORD": "1", "_FOLLOWUP_COMPLETE": "bash_complete"}
    ran = subprocess.run([sys.executable, "-c", code], env=asked, capture_output=True, text=True, check=False)
    assert set(ran.stderr.split()) == {"followup.cli.main", "followup.cli.output", "followup.cli.completion"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_help_says_in_a_line_how_to_install_it(cli: Cli, shell: str) -> None:
    (line,) = [line for line in cli("completion", "--help").out.splitlines() if line.strip().startswith(f"{shell} ")]
    assert f"followup completion {shell}" in line
    assert cli("completion", shell).err == ""


def test_a_shell_that_is_none_of_them_is_wrong_usage(cli: Cli) -> None:
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in cli("completion", "tcsh", code=2).err
