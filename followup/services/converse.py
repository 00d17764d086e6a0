"""Conversations with people: closing one lets the letters it held go on."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.events import EventKind
from followup.errors import NotFound
from followup.services import find
from followup.services.facts import last_chances
from followup.services.library import Library
from followup.services.verdicts import decided_about
from followup.store import audit, conversations, customers, decisions, enrollments, events, messages
from followup.store.engine import writing
from followup.store.events import NewEvent
from followup.store.messages import StoredMessage

CLOSED = "the conversation was closed"  # why letters go on


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
        held = messages.held(conn, customer_id=customer_id)
        released = release(conn, held, because=CLOSED, library=library, now=now)
        audit.add(conn, "conversation.close", {"customer_id": customer_id, "released": released}, now=now)
    return released


def release(conn: Connection, held: Sequence[StoredMessage], *, because: str, library: Library, now: datetime) -> int:
    """Let held letters go on at *now*, as late as their workflows allow; return how many."""
    not_after = last_chances(conn, held, library=library, due_at=now)
    decisions.add(conn, [decided_about(one, at=now, verdict="released", reason=because) for one in held])
    return messages.release(conn, held, now=now, not_after=not_after)
