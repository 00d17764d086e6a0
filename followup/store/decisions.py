"""Decisions: everything that stopped, moved or turned a run, with the values it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, or_, select

from followup.store.schema import decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """
    One decision.

    ``verdict`` is not_entered, branch, skipped, held, released, postponed, expired, cancelled, ended, exited, …
    """

    at: datetime
    customer_id: int
    workflow: str
    verdict: str
    reason: str
    order_id: int | None = None
    enrollment_id: int | None = None
    message_id: int | None = None
    step: str | None = None
    round: int | None = None
    gate: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    until: datetime | None = None


_COLUMNS = tuple(Decided.__dataclass_fields__)


def add(conn: Connection, decided: Sequence[Decided]) -> None:
    """Record decisions, in their order."""
    rows = [{name: getattr(one, name) for name in _COLUMNS} | {"values": _plain(one.values)} for one in decided]
    if rows:
        conn.execute(insert(decisions), rows)


def _plain(value: Any) -> Any:
    """Return *value* as JSON can hold it; moments and amounts become text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, date):  # and every datetime
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def about(conn: Connection, *, order_id: int, enrollment_ids: Sequence[int]) -> list[Decided]:
    """Return what was decided about an order and its enrollments, in the order it was."""
    concerned = or_(decisions.c.order_id == order_id, decisions.c.enrollment_id.in_(list(enrollment_ids)))
    return _in_order(conn, concerned)


def of_customer(conn: Connection, customer_id: int) -> list[Decided]:
    """Return what was decided about a customer, in the order it was."""
    return _in_order(conn, decisions.c.customer_id == customer_id)


def _in_order(conn: Connection, concerned: ColumnElement[bool]) -> list[Decided]:
    rows = conn.execute(select(decisions).where(concerned).order_by(decisions.c.at, decisions.c.id))
    return [Decided(**{name: getattr(row, name) for name in _COLUMNS}) for row in rows]
