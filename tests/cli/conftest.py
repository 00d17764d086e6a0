"""Commands through the front door, in a project folder of their own."""

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from followup.cli.main import main
from followup.settings import Settings, variable
from tests.cli.shop import FILES, ORDERS


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take away every setting of ours, and what a command did to logging afterwards."""
    take_settings_away(monkeypatch)
    root, ours = logging.getLogger(), logging.getLogger("followup")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def take_settings_away(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return a function that runs a command and expects its exit code."""

    def run(*args: object, code: int = 0) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(arg) for arg in args])
        printed = capsys.readouterr()
        assert stopped.value.code == code, printed.out + printed.err
        return Ran(code, printed.out, printed.err)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, in which commands run."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def project(folder: Path) -> Path:
    """Return a project folder with one workflow, in which commands run; nothing is applied yet."""
    write_project(folder)
    return folder


def write_project(folder: Path) -> None:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")


@pytest.fixture(scope="session")
def played_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the project after its customers have been through everything; a test's own is a copy of it."""
    folder = tmp_path_factory.mktemp("played")
    write_project(folder)
    replay = "from followup.cli.main import main; main(['replay', 'orders.csv', '--acts', 'acts.yaml'])"
    with pytest.MonkeyPatch.context() as patch:
        take_settings_away(patch)
        subprocess.run([sys.executable, "-c", replay], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def played(folder: Path, played_once: Path) -> Path:
    """Return the project after its customers have been through everything, in virtual time."""
    shutil.copytree(played_once, folder, dirs_exist_ok=True)
    return folder


# as a terminal's commands do; what a shell runs in the background inherits that it is ignored
HEEDS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"


@pytest.fixture
def start(project: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts a command as a process of its own."""

    def begin(*args: str, **more: Any) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", f"{HEEDS_CTRL_C}; from followup.cli.main import main; main()", *args]
        options = {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, "text": True} | more
        return subprocess.Popen(command, **options)

    return begin
