"""Databases in memory, to try out what would happen: made in a few milliseconds, and copied in less."""

import sqlite3
from functools import cache
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateIndex, CreateTable

from followup.store.schema import metadata


def scratch_engine() -> Engine:
    """Return an engine on an empty database of its own in memory; `Engine.dispose` forgets it."""
    connection = _connect()
    connection.executescript(_schema())
    return _engine(connection)


def fork(engine: Engine) -> Engine:
    """Return an engine on a copy of the database in memory that *engine* has; they go on without each other."""
    connection = _connect()
    with engine.connect() as conn:
        original = conn.connection.driver_connection
        assert isinstance(original, sqlite3.Connection), "only a database in memory is copied whole"
        original.backup(connection)
    return _engine(connection)


def _connect() -> sqlite3.Connection:
    """
    Return an empty database.

    It does not watch over foreign keys: an excerpt of a record may name what belongs to somebody else.
    """
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def _engine(connection: sqlite3.Connection) -> Engine:
    """Return an engine on *connection*. All of them share what was compiled: that takes longer than to run it."""
    shared = _shared()
    engine = Engine(
        StaticPool(cast(Any, lambda: connection), dialect=shared.dialect),
        shared.dialect,
        shared.url,
        execution_options={"compiled_cache": _compiled()},
    )
    event.listen(engine, "begin", _begin)
    event.listen(engine, "engine_disposed", lambda _: connection.close())  # the pool may not have taken it yet
    return engine


def _begin(conn: Connection) -> None:
    original = conn.connection.driver_connection
    assert original is not None
    original.execute("BEGIN")  # past SQLAlchemy, which would take ten times as long


@cache
def _shared() -> Engine:
    """Return an engine that was connected once, so that its dialect knows what it speaks to."""
    engine = create_engine("sqlite://")
    engine.connect().close()
    engine.dispose()
    return engine


@cache
def _compiled() -> dict[object, object]:
    return {}


@cache
def _schema() -> str:
    dialect: Dialect = _shared().dialect
    tables = metadata.sorted_tables
    made = [str(CreateTable(table).compile(dialect=dialect)) for table in tables]
    indices = [index for table in tables for index in table.indexes]
    return ";\n".join([*made, *(str(CreateIndex(index).compile(dialect=dialect)) for index in indices)])
