"""A shop with a past: any number of customers who were written to, runs that are over, and reports on it all."""

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, Text, cast, insert, literal, select

from followup.store.engine import writing
from followup.store.postgresql import unhurried
from followup.store.schema import customers, enrollments, messages, provider_events, workflow_versions
from tests.services.world import MONDAY

EACH = 4  # letters to a customer
FIRST = 1_000_000_000  # the number of the first row
LONG_AGO = MONDAY - timedelta(days=600)
FAR_AWAY = MONDAY + timedelta(days=300)


def grow(engine: Engine, number: int) -> None:
    """Add the past of *number* letters to a shop that has applied a workflow, and let the database learn of it."""
    people = max(1, number // EACH)
    with writing(engine) as conn, unhurried(conn) if conn.dialect.name == "postgresql" else nullcontext():
        numbers = numbers_to(number)
        n, version = numbers.c.n, conn.scalar(select(workflow_versions.c.id).limit(1))
        key, name = FIRST + n, literal("past", Text) + cast(n, Text)
        run = {"workflow": "check-in", "customer_id": FIRST + n % people}
        _fill(
            conn, customers, select(n).where(n < people), id=key, address=name + "@example.com",
            consent_basis="opt_in", tags=[], remembered={}, as_of=LONG_AGO, created_at=LONG_AGO,
        )  # fmt: skip
        _fill(
            conn, enrollments, select(n), id=key, version_id=version, entry_key=name, state="completed", phase="done",
            since=LONG_AGO, entered_at=LONG_AGO, ended_at=LONG_AGO, outcome="silent", **run,
        )  # fmt: skip
        _fill(
            conn, messages, select(n), id=key, enrollment_id=key, step="arrived", round=0, letter="arrived",
            sender="nell", priority=0, state="accepted", due_at=LONG_AGO, not_after=LONG_AGO, sending_at=LONG_AGO,
            accepted_at=LONG_AGO, token=name, outcome="delivered", transport="sendgrid", **run,
        )  # fmt: skip
        _fill(
            conn, provider_events, select(n), id=key, provider="sendgrid", event_id=name, token=name,
            state="applied", received_at=LONG_AGO, raw={"event": "delivered"},
        )  # fmt: skip
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("ANALYZE")


def sleep(engine: Engine, number: int) -> None:
    """Add *number* runs that sleep in a wait of theirs, for months to come, and let the database learn of it."""
    people = max(1, number // EACH)
    with writing(engine) as conn, unhurried(conn) if conn.dialect.name == "postgresql" else nullcontext():
        numbers = numbers_to(number)
        n, version = numbers.c.n, conn.scalar(select(workflow_versions.c.id).limit(1))
        key, name = FIRST + n, literal("asleep", Text) + cast(n, Text)
        _fill(
            conn, customers, select(n).where(n < people), id=key, address=name + "@example.com",
            email=name + "@example.com", consent_basis="opt_in", tags=[], remembered={}, as_of=LONG_AGO,
            created_at=LONG_AGO,
        )  # fmt: skip
        _fill(
            conn, enrollments, select(n), id=key, version_id=version, entry_key=name, state="active", step="wait-1",
            phase="waiting", since=MONDAY, entered_at=MONDAY, wake_at=FAR_AWAY, workflow="check-in",
            customer_id=FIRST + n % people,
        )  # fmt: skip
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("ANALYZE")


def numbers_to(number: int) -> Any:
    begin = select(literal(0).label("n")).cte("numbers", recursive=True)
    return begin.union_all(select(begin.c.n + 1).where(begin.c.n < number - 1))


def _fill(conn: Connection, table: Table, rows: Any, **values: Any) -> None:
    columns = [
        value if isinstance(value, ColumnElement) else literal(value, table.c[name].type)
        for name, value in values.items()
    ]
    conn.execute(insert(table).from_select(list(values), rows.with_only_columns(*columns)))
