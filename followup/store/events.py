"""The timeline: everything that happened to a customer, written once and never changed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, tuple_

from followup.core.events import Event
from followup.core.timer import CONTACT
from followup.store.schema import events
from followup.store.types import among, insert_new, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """One thing to put on the timeline; (source, external_id) makes its repetition a no-op."""

    customer_id: int
    kind: str
    occurred_at: datetime
    source: str
    external_id: str
    order_id: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands on the timeline."""

    event: Event
    customer_id: int


def add(conn: Connection, new: Sequence[NewEvent], *, now: datetime) -> list[Recorded]:
    """Write those of *new* that are not on the timeline yet; return them in order of occurrence."""
    rows = [
        {
            "customer_id": event.customer_id,
            "order_id": event.order_id,
            "kind": event.kind,
            "occurred_at": event.occurred_at,
            "recorded_at": now,
            "source": event.source,
            "external_id": event.external_id,
            "data": event.data,
        }
        for event in sorted(new, key=lambda event: event.occurred_at)  # stable: of one moment, as they were given
    ]
    written = [_recorded(row) for row in insert_new(conn, events, rows, events)]
    return sorted(written, key=lambda one: (one.event.occurred_at, one.event.id))


def _recorded(row: Row[Any]) -> Recorded:
    event = Event(id=row.id, kind=row.kind, occurred_at=row.occurred_at, order_id=row.order_id, data=row.data)
    return Recorded(event, row.customer_id)


def exists(conn: Connection, source: str, external_id: str) -> bool:
    """Tell whether this event is on the timeline."""
    named = (events.c.source == source) & (events.c.external_id == external_id)
    return conn.scalar(select(events.c.id).where(named)) is not None


_OF_CUSTOMERS = (
    select(events)
    .where(
        among(events.c.customer_id, "customers"),
        events.c.occurred_at >= moment("since"),
        among(events.c.kind, "kinds"),
    )
    .order_by(events.c.occurred_at, events.c.id)
)


def of_customers(
    conn: Connection, customer_ids: Collection[int], kinds: Collection[str], *, since: datetime
) -> list[Recorded]:
    """Return the events of these *kinds* that occurred at *since* or later, oldest first."""
    wanted = {"customers": list(customer_ids), "since": since, "kinds": list(kinds)}
    return [_recorded(row) for row in conn.execute(_OF_CUSTOMERS, wanted)]


def known(conn: Connection, source: str, external_ids: Collection[str]) -> set[str]:
    """Return those of *external_ids* that *source* has reported."""
    wanted = select(events.c.external_id).where(events.c.source == source, events.c.external_id.in_(list(external_ids)))
    return set(conn.scalars(wanted))


def last_contacts(
    conn: Connection, *, customer_ids: Collection[int] | None = None, since: datetime | None = None
) -> dict[int, datetime]:
    """Return by customer when they were last heard of: of these customers, of those heard of since *since*, or all."""
    wanted = select(events.c.customer_id, func.max(events.c.occurred_at).label("at")).where(
        events.c.kind.in_([kind.value for kind in CONTACT])
    )
    if customer_ids is not None:
        wanted = wanted.where(events.c.customer_id.in_(list(customer_ids)))
    if since is not None:
        wanted = wanted.where(events.c.occurred_at >= since)
    return {row.customer_id: row.at for row in conn.execute(wanted.group_by(events.c.customer_id))}


_TIMELINE = (
    select(events).where(events.c.customer_id == bindparam("customer")).order_by(events.c.occurred_at, events.c.id)
)


def timeline(conn: Connection, customer_id: int) -> list[Event]:
    """Return everything on one customer's record, oldest first."""
    return [_recorded(row).event for row in conn.execute(_TIMELINE, {"customer": customer_id})]


def recorded_at(conn: Connection, event_id: int) -> datetime:
    """Return when the event came onto the timeline."""
    moment: datetime = conn.execute(select(events.c.recorded_at).where(events.c.id == event_id)).scalar_one()
    return moment


def of_kind_since(
    conn: Connection,
    kind: str,
    since: datetime,
    until: datetime,
    *,
    after: Recorded | None = None,
    limit: int | None = None,
) -> list[Recorded]:
    """
    Return the events of *kind* that occurred in [since, until], oldest first.

    Args:
        after: only those that come after this one in that order, such as the last of the batch before.
    """
    wanted = select(events).where(events.c.kind == kind, events.c.occurred_at.between(since, until))
    if after is not None:
        wanted = wanted.where(tuple_(events.c.occurred_at, events.c.id) > (after.event.occurred_at, after.event.id))
    return [_recorded(row) for row in conn.execute(wanted.order_by(events.c.occurred_at, events.c.id).limit(limit))]


def of_order(conn: Connection, order_id: int, kind: str) -> Recorded | None:
    """Return the first event of *kind* about the order."""
    wanted = select(events).where(events.c.order_id == order_id, events.c.kind == kind)
    row = conn.execute(wanted.order_by(events.c.occurred_at, events.c.id).limit(1)).one_or_none()
    return _recorded(row) if row else None
