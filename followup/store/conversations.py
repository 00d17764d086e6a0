"""Conversations: who waits for whom."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update

from followup.store.schema import conversations, customers
from followup.store.types import among, insert_new


@dataclass(frozen=True, slots=True)
class Waiting:
    """A customer who waits for an answer from us."""

    customer_id: int
    email: str | None
    timezone: str | None
    owner: str
    waiting_since: datetime
    urgent: bool
    note: str | None


def customer_wrote(conn: Connection, customer_id: int, owner: str, *, at: datetime) -> bool:
    """Note that the customer waits for us since *at*; return whether that opened a conversation."""
    row = {"customer_id": customer_id, "owner": owner, "opened_at": at, "waiting_since": at}
    if insert_new(conn, conversations, [row], conversations.c.id):
        return True
    open_ = update(conversations).where(_open(customer_id), conversations.c.waiting_since.is_(None))
    conn.execute(open_.values(waiting_since=at))
    return False


def hand_off(conn: Connection, customer_id: int, owner: str, *, note: str | None, urgent: bool, at: datetime) -> bool:
    """
    Have *owner* answer the customer, who waits since *at* or longer; return whether that opened a conversation.

    The caller holds the customer's row. Notes of several workflows stand below each other.
    """
    row = {"customer_id": customer_id, "owner": owner, "opened_at": at, "waiting_since": at, "urgent": urgent}
    if insert_new(conn, conversations, [row | {"note": note}], conversations.c.id):
        return True
    known = conversations.c.note
    both = known if note is None else func.coalesce(known + "\n", "") + note
    since = func.coalesce(conversations.c.waiting_since, at)
    taken = update(conversations).where(_open(customer_id))
    conn.execute(taken.values(owner=owner, waiting_since=since, urgent=conversations.c.urgent | urgent, note=both))
    return False


def waiting_for(conn: Connection, owners: Collection[str]) -> dict[str, int]:
    """Return by owner how many customers wait for an answer from them; who is missing has none."""
    if not owners:
        return {}
    wanted = (
        select(conversations.c.owner, func.count())
        .where(
            conversations.c.owner.in_(list(owners)),
            conversations.c.closed_at.is_(None),
            conversations.c.waiting_since.is_not(None),
        )
        .group_by(conversations.c.owner)
    )
    return {owner: number for owner, number in conn.execute(wanted)}


def waiting_with(conn: Connection, customer_id: int) -> tuple[str, datetime] | None:
    """Return who of ours has to answer the customer, and since when that waits; None: the customer waits for nobody."""
    wanted = select(conversations.c.owner, conversations.c.waiting_since).where(
        _open(customer_id), conversations.c.waiting_since.is_not(None)
    )
    row = conn.execute(wanted).one_or_none()
    return (row.owner, row.waiting_since) if row else None


def close(conn: Connection, customer_id: int, *, at: datetime) -> int | None:
    """Close the customer's conversation; return its id, or None when none was open by *at*."""
    by_then = _open(customer_id) & (conversations.c.opened_at <= at)
    closed = update(conversations).where(by_then).values(closed_at=at, waiting_since=None)
    conversation_id: int | None = conn.scalar(closed.returning(conversations.c.id))
    return conversation_id


def _open(customer_id: int) -> ColumnElement[bool]:
    return (conversations.c.customer_id == customer_id) & conversations.c.closed_at.is_(None)


_WAITING_SINCE = select(conversations.c.customer_id, conversations.c.waiting_since).where(
    among(conversations.c.customer_id, "customers"),
    conversations.c.closed_at.is_(None),
    conversations.c.waiting_since.is_not(None),
)


def waiting_since(conn: Connection, customer_ids: Collection[int]) -> dict[int, datetime]:
    """Return by customer since when they have been waiting for us."""
    rows = conn.execute(_WAITING_SINCE, {"customers": list(customer_ids)})
    return {row.customer_id: row.waiting_since for row in rows}


def waiting(conn: Connection, *, limit: int) -> list[Waiting]:
    """Return who waits for us: what is urgent first, then who waits longest."""
    wanted = (
        select(conversations, customers.c.email, customers.c.timezone)
        .join(customers, customers.c.id == conversations.c.customer_id)
        .where(conversations.c.closed_at.is_(None), conversations.c.waiting_since.is_not(None))
        .order_by(conversations.c.urgent.desc(), conversations.c.waiting_since, conversations.c.id)
    )
    return [
        Waiting(row.customer_id, row.email, row.timezone, row.owner, row.waiting_since, row.urgent, row.note)
        for row in conn.execute(wanted.limit(limit))
    ]


def count_waiting(conn: Connection) -> int:
    wanted = conversations.c.closed_at.is_(None) & conversations.c.waiting_since.is_not(None)
    return conn.scalar(select(func.count()).select_from(conversations).where(wanted)) or 0
