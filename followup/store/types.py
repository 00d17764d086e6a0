"""Column types and SQL functions that hide what SQLite and PostgreSQL do differently."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    BindParameter,
    CheckConstraint,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Executable,
    Integer,
    Select,
    Table,
    bindparam,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeDecorator

Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only as INTEGER
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC moment: ``timestamptz``, or fixed-width text on SQLite, where it sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class real_now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's own clock, plus some seconds: what leases are measured by."""

    type = UTCDateTime()
    inherit_cache = True

    def __init__(self, plus_seconds: int = 0) -> None:
        super().__init__(literal(plus_seconds, Integer))


@compiles(real_now, "postgresql")
def _real_now_postgresql(element: real_now, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **kw)}))"


@compiles(real_now, "sqlite")
def _real_now_sqlite(element: real_now, compiler: SQLCompiler, **kw: Any) -> str:
    # %f has milliseconds; three zeros make it the width of UTCDateTime
    seconds = compiler.process(element.clauses, **kw)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """
    Return the condition that *column* is in the list that is given as the parameter *name* when a statement is run.

    Statements that run for every letter or run are built once, as constants: to build one takes several times as
    long as to run it.
    """
    return column.in_(bindparam(name, expanding=True))


def moment(name: str) -> BindParameter[datetime]:
    """Return a moment that is given as the parameter *name* when a statement is run."""
    return bindparam(name, type_=UTCDateTime())


def one_of(column: str, states: type[StrEnum]) -> CheckConstraint:
    """Return a CHECK that *column* holds a member of *states*."""
    members = ", ".join(f"'{state.value}'" for state in states)
    return CheckConstraint(f"{column} IN ({members})", name=f"{column}_known")


def insert(conn: Connection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Return an INSERT that knows ON CONFLICT; both dialects spell it alike but own a class each."""
    return _insert(conn.dialect.name, table)


def _insert(dialect: str, table: Table) -> "postgresql.Insert | sqlite.Insert":
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def unleased(column: ColumnElement[datetime | None]) -> ColumnElement[bool]:
    """Return the condition that nobody holds a lease on the row."""
    return column.is_(None) | (column < real_now())


def leasing(table: Table, due: Select[tuple[int]], seconds: int) -> ReturningUpdate[tuple[int]]:
    """
    Return the UPDATE that leases the rows whose ids *due* selects and nobody else holds; it returns their ids.

    The selection is a CTE because one with FOR UPDATE is run once. As a plain subquery PostgreSQL may
    run it again for every row of the table, each time past the ids it took before: its LIMIT then limits nothing.
    """
    picked = due.with_for_update(skip_locked=True, key_share=True).cte("due")
    leased = update(table).where(table.c.id.in_(select(picked.c.id))).values(leased_until=real_now(seconds))
    return leased.returning(table.c.id)


def insert_new(conn: Connection, table: Table, rows: Sequence[dict[str, Any]], *returning: Any) -> list[Any]:
    """Insert those *rows* that break no unique constraint; return *returning* of the inserted ones."""
    if not rows:
        return []
    return list(conn.execute(_inserting_new(conn.dialect.name, table, *returning), list(rows)))


@cache
def _inserting_new(dialect: str, table: Table, *returning: Any) -> Executable:
    return _insert(dialect, table).on_conflict_do_nothing().returning(*returning)
