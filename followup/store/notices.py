"""Notices: what one of our own people has to be told, until they were."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from followup.store.schema import customers, notices
from followup.store.types import insert_new, leasing, real_now, unleased


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """What to tell whom about a customer; ``key`` makes the same thing one notice."""

    key: str
    person: str
    customer_id: int
    subject: str
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice that nobody was told yet; ``reply_to`` is the customer's address, None after erasure."""

    id: int
    person: str
    subject: str
    text: str
    reply_to: str | None
    failures: int


def add(conn: Connection, new: NewNotice) -> None:
    """Have somebody told; what they are told already, or will be, stays as it is."""
    row = {name: getattr(new, name) for name in NewNotice.__dataclass_fields__}
    insert_new(conn, notices, [row], notices.c.id)


def lease_new(conn: Connection, *, seconds: int, limit: int) -> list[Notice]:
    """Lease notices that nobody was told yet for *seconds* of real time, the oldest first."""
    ids = list(conn.scalars(_lease_new(seconds, limit)))
    if not ids:
        return []
    wanted = select(notices, customers.c.email).join(customers, customers.c.id == notices.c.customer_id)
    return [
        Notice(
            id=row.id,
            person=row.person,
            subject=row.subject,
            text=row.text,
            reply_to=row.email,
            failures=row.failures,
        )
        for row in conn.execute(wanted.where(notices.c.id.in_(ids)).order_by(notices.c.id))
    ]


@cache
def _lease_new(seconds: int, limit: int) -> ReturningUpdate[tuple[int]]:
    """Build the statement once: every worker runs it every few seconds."""
    due = select(notices.c.id).where(notices.c.told_at.is_(None), unleased(notices.c.leased_until))
    return leasing(notices, due.order_by(notices.c.id).limit(limit), seconds)


def told(conn: Connection, ids: Collection[int], *, at: datetime) -> None:
    """Note that these were told."""
    conn.execute(update(notices).where(notices.c.id.in_(list(ids))).values(told_at=at, leased_until=None))


@dataclass(frozen=True, slots=True)
class Told:
    """What one of our own people was told about a customer, and when."""

    at: datetime
    person: str
    subject: str
    key: str


def told_about(conn: Connection, customer_id: int) -> list[Told]:
    """Return what our own people were told about a customer, in the order they were."""
    wanted = select(notices).where(notices.c.customer_id == customer_id, notices.c.told_at.is_not(None))
    rows = conn.execute(wanted.order_by(notices.c.told_at, notices.c.id))
    return [Told(row.told_at, row.person, row.subject, row.key) for row in rows]


def failed(conn: Connection, waits: Mapping[int, int]) -> None:
    """Note that these could not be told; each is tried again after so many seconds of real time."""
    for notice_id, seconds in sorted(waits.items()):
        one = update(notices).where(notices.c.id == notice_id)
        conn.execute(one.values(failures=notices.c.failures + 1, leased_until=real_now(seconds)))


def count_untold(conn: Connection, *, since: datetime) -> int:
    """Return how many of those made by *since* nobody was told yet."""
    old = notices.c.told_at.is_(None) & (notices.c.created_at <= since)
    return conn.scalar(select(func.count()).select_from(notices).where(old)) or 0
