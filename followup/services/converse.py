"""Conversations with people: closing one lets the letters it held go on."""

from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.events import EventKind
from followup.errors import NotFound
from followup.services import find
from followup.services.library import Library
from followup.store import audit, conversations, customers, enrollments, events, messages
from followup.store.engine import writing
from followup.store.events import NewEvent


def close(engine: Engine, address: str, *, library: Library, clock: Clock) -> int:
    """
    Close the conversation with the customer at *address* (normalised); return how many letters go on.

    Raises:
        NotFound: no such customer, or nothing is open.
    """
    released = close_if_open(engine, address, library=library, clock=clock)
    if released is None:
        raise NotFound(
            f"no conversation with {address} is open", hint="followup conversations list shows those that are"
        )
    return released


def close_if_open(
    engine: Engine, address: str, *, library: Library, clock: Clock, key: str | None = None
) -> int | None:
    """
    Close the conversation if there is one; return how many letters go on, None when nothing was open.

    Args:
        key: names this closing, so that doing it again closes no later conversation.
    """
    now = clock.now()
    with writing(engine, "converse.close") as conn:
        customer_id = find.customer_id(conn, address)
        customers.lock(conn, [customer_id])
        if key is not None and events.exists(conn, "operator", f"closed:{key}"):
            return None
        conversation_id = conversations.close(conn, customer_id, at=now)
        if conversation_id is None:
            return None
        closed = NewEvent(
            customer_id=customer_id,
            kind=EventKind.CONVERSATION_CLOSED.value,
            occurred_at=now,
            source="operator",
            external_id=f"closed:{key or conversation_id}",
        )
        events.add(conn, [closed], now=now)
        enrollments.wake_for_events(conn, [customer_id], at=now)
        released = release(conn, messages.held(conn, customer_id=customer_id), library=library, now=now)
        audit.add(conn, "conversation.close", {"customer_id": customer_id, "released": released}, now=now)
    return released


def release(conn: Connection, held: list[tuple[int, int]], *, library: Library, now: datetime) -> int:
    """Let held letters (id, enrollment id) go on at *now*, as late as their workflows allow; return how many."""
    runs = enrollments.by_id(conn, {enrollment_id for _, enrollment_id in held})
    max_late = {key: library.workflow(conn, run.version_id).max_late for key, run in runs.items()}
    return messages.release(conn, held, now=now, max_late=max_late)
