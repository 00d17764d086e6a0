"""Connections and transactions, the same to their callers on SQLite and PostgreSQL."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from followup.errors import ConfigurationError, TemporaryError
from followup.failpoints import reach

BUSY_TIMEOUT_MS = 15_000
CONNECTIONS = 4  # small plans of hosted databases allow 20 in all, and a deploy doubles what is in use
POOL_SECONDS = 10  # that a thread waits for a connection others are using
STATEMENT_SECONDS = 10.0  # with what else is waited for, less than the 20 in which a process stops
_AWAY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}


def make_engine(url: str, *, connections: int = CONNECTIONS, statement_seconds: float = STATEMENT_SECONDS) -> Engine:
    """
    Return an engine for *url*; nothing connects yet.

    Args:
        connections: at most so many at once; beyond the first few they are closed after use.
        statement_seconds: what a statement may take on PostgreSQL.

    Raises:
        ConfigurationError: the URL is not one, or names a database we do not speak.
    """
    in_memory = url in {"sqlite:///", "sqlite:///:memory:"}  # every connection would have its own
    if in_memory or not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ConfigurationError(
            f"DATABASE_URL (it starts with {url.partition(':')[0]!r}) names no database that followup speaks",
            hint="Use postgresql://USER:PASSWORD@HOST/NAME or sqlite:///FILE",
        )
    try:
        if url.startswith("sqlite"):
            engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        from followup.store import postgresql  # noqa: PLC0415 - psycopg is slow to import

        given = make_url(url).query
        engine = create_engine(
            url,
            pool_size=CONNECTIONS,
            max_overflow=max(0, connections - CONNECTIONS),
            pool_timeout=POOL_SECONDS,
            pool_pre_ping=True,
            pool_recycle=300,
            connect_args={name: value for name, value in postgresql.CONNECT.items() if name not in given},
        )
        postgresql.bound(engine, statement_seconds=statement_seconds)
        return engine
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise ConfigurationError(f"DATABASE_URL cannot be read: {error}") from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    _write_ahead(connection)
    connection.execute("PRAGMA foreign_keys=ON")


def _write_ahead(connection: Any) -> None:
    """
    Have the file use a write-ahead log, as it does for good from then on.

    While another connection to a new file writes, SQLite refuses that at once: its busy timeout is not for this.
    """
    gives_up = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # of whatever kind
            if not is_busy or time.monotonic() >= gives_up:
                raise
        time.sleep(0.01)


def _begin_sqlite(conn: Connection) -> None:
    """
    Begin so that a transaction which will write never has to upgrade a read lock.

    A deferred transaction that reads first and writes later fails with "database is locked" as soon
    as another one wrote in between; BEGIN IMMEDIATE waits its turn instead.
    """
    options = conn.get_execution_options()
    synchronous = "FULL" if options.get("followup_durable") else "NORMAL"
    if conn.info.get("synchronous") != synchronous:
        conn.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
        conn.info["synchronous"] = synchronous
    conn.exec_driver_sql("BEGIN" if options.get("followup_reading") else "BEGIN IMMEDIATE")


@contextmanager
def writing(engine: Engine, name: str = "") -> Iterator[Connection]:
    """Run one short transaction that may write; its commit is a failpoint called *name*."""
    with _reachable(engine):
        with engine.begin() as conn:
            yield conn
            reach(name)
        reach(name, after=True)


@contextmanager
def durably(engine: Engine, name: str = "") -> Iterator[Connection]:
    """
    Run one short transaction, as `writing` does, whose commit survives a power cut.

    For what must be known before the network is touched. SQLite otherwise commits to the write-ahead
    log without waiting for the disk, which survives a killed process but not a dead machine.
    """
    with _reachable(engine):
        with engine.connect().execution_options(followup_durable=True) as conn, conn.begin():
            yield conn
            reach(name)
        reach(name, after=True)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Run one read-only look at a consistent state, without waiting for writers."""
    options = {"followup_reading": True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}  # type: ignore[dict-item]
    with _reachable(engine), engine.connect().execution_options(**options) as conn, conn.begin():
        yield conn


@contextmanager
def _reachable(engine: Engine) -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise TemporaryError("every connection to the database is in use", hint="Try again in a moment") from error
    except DatabaseError as error:
        where = _named(engine.url)
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise ConfigurationError(
                f"{where} is no SQLite database", hint="Correct DATABASE_URL, or move that file away"
            ) from error
        if isinstance(error, ProgrammingError) and error.statement is None:
            raise ConfigurationError(f"DATABASE_URL is not understood: {_said(error, engine.url)}") from error
        if not _passes(error):
            raise
        raise TemporaryError(
            f"the database {where} cannot be used: {_said(error, engine.url)}",
            hint="Check DATABASE_URL and that the server runs; the same command can simply be repeated",
        ) from error


def _named(url: URL) -> str:
    """Return *url* for people: without password, parameters, and a host that may be the rest of a password."""
    host = "…" if "@" in (url.host or "") else url.host
    shown = url.set(drivername=url.get_backend_name(), query={}, host=host)
    return shown.render_as_string(hide_password=True)


def _said(error: DatabaseError, url: URL) -> str:
    """Return what the driver said, on one line, without a host that may be the rest of a password."""
    said = " ".join(str(error.orig).split())
    return said.replace(url.host, "…") if url.host and "@" in url.host else said


def _passes(error: DatabaseError) -> bool:
    """Tell a database that is away, busy or full from a statement it does not understand (SQLite: one class)."""
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _AWAY
    return isinstance(error, OperationalError)
