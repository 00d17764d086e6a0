"""Decisions: everything that stopped, moved or turned a run, with the values it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, or_, select

from followup.store.schema import decisions
from followup.store.types import among


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
_INSERT = insert(decisions)
_IN_ORDER = select(decisions).order_by(decisions.c.at, decisions.c.id)
_ABOUT = _IN_ORDER.where(or_(decisions.c.order_id == bindparam("of_order"), among(decisions.c.enrollment_id, "runs")))
_OF_CUSTOMER = _IN_ORDER.where(decisions.c.customer_id == bindparam("customer"))


def add(conn: Connection, decided: Sequence[Decided]) -> None:
    """Record decisions, in their order."""
    rows = [{name: getattr(one, name) for name in _COLUMNS} | {"values": _plain(one.values)} for one in decided]
    if rows:
        conn.execute(_INSERT, rows)


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
    return [_decided(row) for row in conn.execute(_ABOUT, {"of_order": order_id, "runs": list(enrollment_ids)})]


def of_customer(conn: Connection, customer_id: int) -> list[Decided]:
    """Return what was decided about a customer, in the order it was."""
    return [_decided(row) for row in conn.execute(_OF_CUSTOMER, {"customer": customer_id})]


def _decided(row: Row[Any]) -> Decided:
    return Decided(**{name: getattr(row, name) for name in _COLUMNS})
