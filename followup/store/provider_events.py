"""Delivery events as the provider reported them, stored before anything else happens to them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, func, literal_column, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from followup.core.provider import EventState
from followup.store.schema import provider_events
from followup.store.types import insert_new, leasing, unleased


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReport:
    """An event as it came; (provider, event_id) makes its repetition a no-op."""

    event_id: str
    token: str | None
    raw: Mapping[str, Any]
    state: EventState = EventState.RECEIVED
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StoredReport:
    id: int
    received_at: datetime
    token: str | None
    raw: Mapping[str, Any]


def add(conn: Connection, provider: str, new: Sequence[NewReport], *, now: datetime) -> list[int]:
    """
    Write those of *new* that are not there yet; return the ids of those to be worked on.

    They are written in the order of their event ids: posts of the same events that come at once wait for each
    other's, and would do so for ever if each began with what the other ends with.
    """
    rows = [
        {
            "provider": provider,
            "event_id": one.event_id,
            "received_at": now,
            "token": one.token,
            "raw": dict(one.raw),
            "state": one.state.value,
            "error": one.error,
        }
        for one in sorted(new, key=lambda one: one.event_id)
    ]
    added = insert_new(conn, provider_events, rows, provider_events.c.id, provider_events.c.state)
    return sorted(row.id for row in added if row.state == EventState.RECEIVED.value)


def lease_new(conn: Connection, *, seconds: int, limit: int) -> list[int]:
    """Lease events nobody has worked on, oldest first, for *seconds* of real time."""
    return sorted(conn.scalars(_lease_new(seconds, limit)))


@cache
def _lease_new(seconds: int, limit: int) -> ReturningUpdate[tuple[int]]:
    """Build the statement once: every worker runs it every few seconds."""
    new = (
        select(provider_events.c.id)
        .where(provider_events.c.state == literal_column("'received'"), unleased(provider_events.c.leased_until))
        .order_by(provider_events.c.id)
        .limit(limit)
    )
    return leasing(provider_events, new, seconds)


def free_leases(conn: Connection) -> None:
    """Take back every lease, whoever holds it."""
    conn.execute(update(provider_events).where(provider_events.c.leased_until.is_not(None)).values(leased_until=None))


def new(conn: Connection, ids: Collection[int]) -> list[StoredReport]:
    """Return those of *ids* that nobody has worked on yet, oldest first."""
    wanted = select(provider_events).where(provider_events.c.id.in_(list(ids)), provider_events.c.state == "received")
    rows = conn.execute(wanted.order_by(provider_events.c.id))
    return [StoredReport(row.id, row.received_at, row.token, row.raw) for row in rows]


def lock_new(conn: Connection, event_id: int) -> bool:
    """Wait for and hold an event; tell whether it is still to be worked on."""
    wanted = select(provider_events.c.id).where(provider_events.c.id == event_id, provider_events.c.state == "received")
    return conn.scalar(wanted.with_for_update(key_share=True)) is not None


def finish(conn: Connection, event_id: int, state: EventState, *, error: str | None = None) -> None:
    """Note how an event ended; the caller holds it."""
    ended = update(provider_events).where(provider_events.c.id == event_id, provider_events.c.state == "received")
    conn.execute(ended.values(state=state.value, error=error, leased_until=None))


def count_by_state(conn: Connection) -> dict[str, int]:
    wanted = select(provider_events.c.state, func.count()).group_by(provider_events.c.state)
    return {state: number for state, number in conn.execute(wanted.order_by(provider_events.c.state))}
