"""Timers: when to look whether something that should have happened did not. One row each, no table is scanned."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from followup.core.timer import TimerKind
from followup.store.schema import timers
from followup.store.types import insert, leasing, moment, unleased


@dataclass(frozen=True, slots=True)
class Timer:
    """``workflow`` is whose patience it is, or empty; ``subject_id`` is an order's or a customer's."""

    id: int
    kind: TimerKind
    workflow: str
    subject_id: int
    due_at: datetime


def put(conn: Connection, kind: TimerKind, due: Mapping[int, datetime], *, workflow: str = "") -> None:
    """Set, or move, the timers of these subjects."""
    rows = [
        {"kind": kind.value, "workflow": workflow, "subject_id": key, "due_at": at} for key, at in sorted(due.items())
    ]
    if rows:
        new = insert(conn, timers)
        moved = {"due_at": new.excluded.due_at, "leased_until": None}
        names = ["kind", "workflow", "subject_id"]
        conn.execute(
            new.on_conflict_do_update(index_elements=names, set_=moved, where=timers.c.due_at != new.excluded.due_at),
            rows,
        )


def stop(conn: Connection, kind: TimerKind, subjects: Collection[int]) -> None:
    """Take away the timers of these subjects that concern every workflow."""
    theirs = timers.c.workflow == "", timers.c.subject_id.in_(list(subjects))
    conn.execute(delete(timers).where(timers.c.kind == kind.value, *theirs))


def stop_all(conn: Connection, kind: TimerKind, *, workflow: str) -> None:
    """Take away every timer of *kind* that *workflow* has."""
    conn.execute(delete(timers).where(timers.c.kind == kind.value, timers.c.workflow == workflow))


def remove(conn: Connection, ids: Collection[int]) -> None:
    conn.execute(delete(timers).where(timers.c.id.in_(list(ids))))


def lease_due(conn: Connection, *, now: datetime, seconds: int, limit: int) -> list[int]:
    """Lease timers due at *now* (business time) for *seconds* of real time, the earliest first."""
    return sorted(conn.scalars(_lease_due(seconds, limit), {"now": now}))


@cache
def _lease_due(seconds: int, limit: int) -> ReturningUpdate[tuple[int]]:
    by_now = timers.c.due_at <= moment("now")
    due = select(timers.c.id).where(by_now, unleased(timers.c.leased_until))
    return leasing(timers, due.order_by(timers.c.due_at, timers.c.id).limit(limit), seconds)


def due(conn: Connection, ids: Collection[int], *, now: datetime) -> list[Timer]:
    """Return those of *ids* that are due at *now* (business time), by id."""
    wanted = select(timers).where(timers.c.id.in_(list(ids)), timers.c.due_at <= now).order_by(timers.c.id)
    return [
        Timer(row.id, TimerKind(row.kind), row.workflow, row.subject_id, row.due_at) for row in conn.execute(wanted)
    ]


def lock(conn: Connection, ids: Collection[int]) -> set[int]:
    """Wait for and hold those of *ids* that are still there; the caller holds their customers."""
    wanted = select(timers.c.id).where(timers.c.id.in_(list(ids))).order_by(timers.c.id)
    return set(conn.scalars(wanted.with_for_update()))


def free_leases(conn: Connection) -> None:
    """Take back every lease, whoever holds it."""
    conn.execute(update(timers).where(timers.c.leased_until.is_not(None)).values(leased_until=None))


_NEXT_DUE = select(func.min(timers.c.due_at))


def next_due(conn: Connection) -> datetime | None:
    """Return the earliest moment at which one is due."""
    earliest: datetime | None = conn.scalar(_NEXT_DUE)
    return earliest
