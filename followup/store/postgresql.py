"""What bounds our waiting for PostgreSQL, whatever became of the server and of the way to it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, Engine, event

SILENCE_SECONDS = 2.0  # that a server may be late to say that a statement took too long

CONNECT: Mapping[str, int] = {  # libpq's; a URL may say otherwise
    "connect_timeout": 5,  # a host that answers nothing would hold us for minutes
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}

_LIMIT = """
    SELECT setting::int, CASE WHEN setting = '0' THEN set_config('statement_timeout', %s, false) END
    FROM pg_settings WHERE name = 'statement_timeout'
"""  # milliseconds

T = TypeVar("T")


class Impatient(psycopg.Connection[Any]):
    """
    A connection that is closed when nothing comes from the server for too long.

    TCP alone does not tell: the machine of a server that is stopped, or stuck on its disk, acknowledges
    what we send.
    """

    patience: float | None = None  # seconds

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Do what psycopg does, and look at the clock whenever it looks up: every tenth of a second."""
        return super().wait(self._heard(gen), *args, **kwargs)

    def _heard(self, gen: PQGen[T]) -> PQGen[T]:
        since, ready = time.monotonic(), None
        while True:
            try:
                wanted = gen.send(ready)  # type: ignore[arg-type]  # None begins it
            except StopIteration as done:
                result: T = done.value
                return result
            ready = yield wanted
            if ready:
                since = time.monotonic()
            elif self.patience is not None and time.monotonic() - since >= self.patience:
                self.close()
                raise psycopg.OperationalError(f"the server did not answer for {self.patience:g} seconds")


def bound(engine: Engine, *, statement_seconds: float) -> None:
    """
    Let no statement of *engine* take longer, nor anyone wait much longer for its answer.

    A limit that is set in the URL, for the role or for the database stays. Ours is set once connected: as
    a start-up option PgBouncer would refuse it.
    """
    ours = int(statement_seconds * 1000)

    def connect(_dialect: object, _record: object, args: Any, options: Any) -> Impatient:
        connection = Impatient.connect(*args, **options)
        try:
            connection.autocommit = True  # one round trip instead of three
            [(given, _)] = connection.execute(_LIMIT, [str(ours)])
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise
        connection.patience = (given or ours) / 1000 + SILENCE_SECONDS
        return connection

    event.listen(engine, "do_connect", connect)


@contextmanager
def unhurried(conn: Connection) -> Iterator[None]:
    """Let statements take as long as they need; the server's limit comes back with the transaction's end."""
    connection = conn.connection.driver_connection
    assert isinstance(connection, Impatient)
    usual, connection.patience = connection.patience, None
    conn.exec_driver_sql("SET LOCAL statement_timeout = 0")
    try:
        yield
    finally:
        connection.patience = usual
