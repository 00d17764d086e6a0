"""Bring a database to the newest schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from followup.errors import TemporaryError
from followup.store.engine import writing

LOCK_SECONDS = 5.0
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code
LOCK = 0x666F6C6C6F77  # "follow": the advisory lock under which one process migrates


def _config(conn: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    return config


def newest() -> str:
    """Return the revision this code needs."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(conn: Connection) -> str | None:
    """Return the revision the database is at; None when it is empty."""
    return MigrationContext.configure(conn).get_current_revision()


def upgrade(engine: Engine, *, lock_seconds: float = LOCK_SECONDS) -> bool:
    """
    Run the missing migrations in one transaction; return whether there were any.

    Two processes that start at once take turns: the second finds nothing left to do.

    Args:
        lock_seconds: how long a migration waits for a table that others use. Whoever wants that table
            next waits behind it, whatever for.

    Raises:
        TemporaryError: the table was not free in time; nothing has changed.
    """
    with writing(engine, "upgrade") as conn:
        if conn.dialect.name != "postgresql":
            return _upgraded(conn)
        from followup.store.postgresql import unhurried  # noqa: PLC0415 - psycopg is slow to import

        with unhurried(conn), _not_waiting_long():
            conn.exec_driver_sql("SET LOCAL lock_timeout = 0")  # a turn may take long
            conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            conn.exec_driver_sql(f"SET LOCAL lock_timeout = '{lock_seconds * 1000:.0f}ms'")
            return _upgraded(conn)


def _upgraded(conn: Connection) -> bool:
    if current(conn) == newest():
        return False
    command.upgrade(_config(conn), "head")
    return True


@contextmanager
def _not_waiting_long() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise TemporaryError(
            "the database was not upgraded: a table is in use, and others would wait behind us",
            hint="Nothing has changed. Run it again; if that does not help, pg_stat_activity shows who holds the table",
        ) from error
