"""Databases in memory: they are what migrations make, and a fork goes on without its origin."""

from pathlib import Path

import pytest
from sqlalchemy import Inspector, create_engine, inspect

from followup.core.timer import TimerKind
from followup.store import timers
from followup.store.engine import reading, writing
from followup.store.schema import metadata
from followup.store.scratch import fork, scratch_engine
from tests.store.make import START

TABLES = metadata.sorted_tables


def described(inspector: Inspector, table: str) -> object:
    names = {index["name"] for index in inspector.get_indexes(table)}
    return {(column["name"], column["nullable"]) for column in inspector.get_columns(table)}, names


def test_a_scratch_database_has_the_schema_that_migrations_make(sqlite_database: Path) -> None:
    scratch, migrated = scratch_engine(), create_engine(f"sqlite:///{sqlite_database}")
    for table in TABLES:
        assert described(inspect(scratch), table.name) == described(inspect(migrated), table.name)
    scratch.dispose()
    migrated.dispose()


def test_scratch_databases_know_nothing_of_each_other() -> None:
    one, other = scratch_engine(), scratch_engine()
    with writing(one) as conn:
        timers.put(conn, TimerKind.PROMISE, {7: START})
    with reading(one) as conn:
        assert timers.next_due(conn) == START
    with reading(other) as conn:
        assert timers.next_due(conn) is None
    one.dispose()
    other.dispose()


def test_a_fork_has_everything_and_goes_on_by_itself() -> None:
    origin = scratch_engine()
    with writing(origin) as conn:
        timers.put(conn, TimerKind.PROMISE, {7: START})
    copy = fork(origin)
    with writing(copy) as conn:
        assert timers.next_due(conn) == START
        timers.stop(conn, TimerKind.PROMISE, [7])
    with reading(origin) as conn:
        assert timers.next_due(conn) == START
    origin.dispose()
    with reading(copy) as conn:
        assert timers.next_due(conn) is None
    copy.dispose()


def test_what_fails_half_way_is_taken_back() -> None:
    engine = scratch_engine()

    def fail() -> None:
        with writing(engine) as conn:
            timers.put(conn, TimerKind.PROMISE, {7: START})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with reading(engine) as conn:
        assert timers.next_due(conn) is None
    engine.dispose()
