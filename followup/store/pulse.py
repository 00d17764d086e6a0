"""What an operator watches: numbers and moments across tables, one query each."""

from datetime import datetime

from sqlalchemy import Connection, func, literal_column, or_, select

from followup.core.message import MessageState
from followup.store.schema import conversations, inbound_mail, messages, provider_events


def oldest_unread(conn: Connection) -> datetime | None:
    """Return when the oldest mail came that nobody has read yet (business time)."""
    new = inbound_mail.c.state == literal_column("'received'")  # as the partial index has it
    oldest: datetime | None = conn.scalar(select(func.min(inbound_mail.c.received_at)).where(new))
    return oldest


def last_accepted_between(conn: Connection, earliest: datetime, latest: datetime) -> datetime | None:
    """Return when the provider took the last of the letters it took in that span; both ends count."""
    within = messages.c.accepted_at.between(earliest, latest)
    last: datetime | None = conn.scalar(select(func.max(messages.c.accepted_at)).where(within))
    return last


def last_event(conn: Connection) -> datetime | None:
    """Return when the provider last reported anything (business time)."""
    last: datetime | None = conn.scalar(select(func.max(provider_events.c.received_at)))
    return last


def longest_wait_since(conn: Connection) -> datetime | None:
    """Return since when the customer waits who has waited longest for an answer from us."""
    since = conversations.c.waiting_since
    longest: datetime | None = conn.scalar(select(func.min(since)).where(conversations.c.closed_at.is_(None)))
    return longest


def first_blocked(conn: Connection) -> tuple[int, str]:
    """Return how many letters are blocked, and why that one is whose time is over first."""
    blocked = messages.c.state == literal_column("'blocked'")
    number = conn.scalar(select(func.count()).select_from(messages).where(blocked)) or 0
    # in the order of the partial index: by id, SQLite reads every letter there ever was
    first = select(messages.c.reason).where(blocked).order_by(messages.c.not_after, messages.c.id).limit(1)
    reason = conn.scalar(first)
    return number, reason or ""


def count_unknown(conn: Connection) -> int:
    """Return how many letters may have left without an answer from the provider."""
    unknown = messages.c.state == MessageState.UNKNOWN.value
    return conn.scalar(select(func.count()).select_from(messages).where(unknown)) or 0


def count_kept_from_customers(conn: Connection) -> int:
    """Return how many letters took a way out that leads to ourselves: test mode's, or into the outbox."""
    ours = or_(messages.c.transport.startswith("test mode"), messages.c.transport == "outbox")  # as each calls itself
    return conn.scalar(select(func.count()).select_from(messages).where(ours)) or 0
