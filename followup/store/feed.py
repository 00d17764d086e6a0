"""What the provider's delivery events prove, and what they do not, around one attempt."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Exists, exists, func, select

from followup.core.message import MessageState
from followup.core.provider import EventState
from followup.store.schema import messages, past_tokens, provider_events


def reported_later(conn: Connection, transport: str, after: datetime, until: datetime, *, limit: int = 3) -> int:
    """Return how many letters given to *transport* after *after* were reported on by *until*, up to *limit*."""
    by_then = _reported().where(provider_events.c.received_at <= until)
    later = messages.c.transport == transport, messages.c.sending_at > after, messages.c.sending_at < until, by_then
    wanted = select(messages.c.id).where(*later, messages.c.state == MessageState.ACCEPTED.value).limit(limit)
    return len(conn.scalars(wanted).all())


def unreported(conn: Connection, transport: str, since: datetime, until: datetime) -> int:
    """Return how many letters that *transport* took in that span were never reported on."""
    theirs = messages.c.transport == transport, messages.c.sending_at.between(since, until), ~_reported()
    wanted = select(func.count()).where(*theirs, messages.c.state == MessageState.ACCEPTED.value)
    return conn.scalar(wanted) or 0


def unread_since(conn: Connection, since: datetime) -> int:
    """Return how many events that came since *since* nobody could read, or has read yet."""
    unread = provider_events.c.state.in_([EventState.RECEIVED.value, EventState.FAILED.value])
    return conn.scalar(select(func.count()).where(unread, provider_events.c.received_at >= since)) or 0


def about_tokens(conn: Connection, tokens: Collection[str], *, limit: int = 50) -> list[tuple[datetime, str]]:
    """Return when each event about an attempt came, and of which kind it was, oldest first."""
    wanted = select(provider_events).where(provider_events.c.token.in_(list(tokens)))
    rows = conn.execute(wanted.order_by(provider_events.c.id).limit(limit))
    return [(row.received_at, str(row.raw.get("event", "?"))) for row in rows]


def strangers_since(conn: Connection, since: datetime, *, limit: int = 1_000) -> list[tuple[str, datetime, Any]]:
    """
    Return token, time of arrival and content of events that came since *since* about attempts nobody here knows.

    Events that no worker has read yet count as well: who has just restored a database looks before one runs.
    """
    earlier = provider_events.alias("earlier")
    seen_before = exists().where(earlier.c.token == provider_events.c.token, earlier.c.received_at < since)
    is_ours = messages.c.token == provider_events.c.token
    was_ours = past_tokens.c.token == provider_events.c.token
    unread = provider_events.c.state == EventState.RECEIVED.value
    strange = (
        (provider_events.c.state == EventState.UNMATCHED.value)
        | (unread & ~exists().where(is_ours) & ~exists().where(was_ours)),
        provider_events.c.token.is_not(None),
        provider_events.c.received_at >= since,
        ~seen_before,
    )
    wanted = select(provider_events).where(*strange).order_by(provider_events.c.received_at, provider_events.c.id)
    return [(row.token, row.received_at, row.raw) for row in conn.execute(wanted.limit(limit))]


def _reported() -> Exists:
    return exists().where(provider_events.c.token == messages.c.token)
