"""Unsubscribing: by a mail to our List-Unsubscribe address, by the link in a letter, by a mail program's button."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.events import EventKind
from followup.errors import NotFound
from followup.services import record
from followup.services.letterhead import Letterhead, letterhead
from followup.services.library import Library
from followup.store import customers, events, messages, suppressions, visits
from followup.store.engine import reading, writing
from followup.store.messages import StoredMessage


@dataclass(frozen=True, slots=True)
class Stoppable:
    """What the page to unsubscribe shows; ``stopped`` is set once nothing more will be sent."""

    head: Letterhead
    stopped: bool


def unsubscribe(
    conn: Connection, message: StoredMessage, *, suppression_key: str, source: str, key: str, now: datetime
) -> None:
    """
    Write to the customer of *message* no more, and take them out of every run; the caller holds their row.

    Args:
        source: how they told us.
        key: makes the same wish one entry on the timeline.
    """
    record.prove_accepted(conn, message, now)
    record.stop_writing_to(conn, message, suppression_key, EventKind.CUSTOMER_UNSUBSCRIBED, now, source=source)
    record.tell(conn, message, EventKind.CUSTOMER_UNSUBSCRIBED, key, now)


def unsubscribe_by_link(engine: Engine, token_name: str, *, suppression_key: str, clock: Clock) -> None:
    """
    Unsubscribe the customer whose letter goes by that token, however old it is. Safe to repeat.

    Raises:
        NotFound: no letter does.
    """
    now = clock.now()
    with writing(engine, "stop.unsubscribe") as conn:
        message = _message(conn, token_name)
        customers.lock(conn, [message.customer_id])
        key = _key(message)
        unsubscribe(conn, message, suppression_key=suppression_key, source="page", key=key, now=now)


def look_up(engine: Engine, token_name: str, *, library: Library, suppression_key: str, clock: Clock) -> Stoppable:
    """
    Return what the page to unsubscribe shows.

    Raises:
        NotFound: no letter goes by that token.
    """
    with reading(engine) as conn:
        message = _message(conn, token_name)
        head = letterhead(conn, message, library.newest(conn), clock.now())
        return Stoppable(head, _stopped(conn, message, suppression_key))


def visit(engine: Engine, token_name: str, *, clock: Clock) -> None:
    """Note that the stop link was opened, which unsubscribes nobody: mail scanners open it too."""
    with writing(engine, "stop.visit") as conn:
        visits.add(conn, _message(conn, token_name), None, at=clock.now())


def _message(conn: Connection, token_name: str) -> StoredMessage:
    message = messages.by_token(conn, token_name)
    if message is None:
        raise NotFound("no letter goes by that token")
    return message


def _key(message: StoredMessage) -> str:
    return f"stop:message:{message.id}"


def _stopped(conn: Connection, message: StoredMessage, suppression_key: str) -> bool:
    """Tell whether the customer is rid of us: an address that merely bounced may work again one day."""
    address = customers.address_of(conn, message.customer_id)
    if address is None:
        return True
    hash_ = suppressions.address_hash(address, suppression_key)
    reason = suppressions.reasons(conn, [hash_], []).get((hash_, suppressions.ALL))
    wished = record.STOPS[EventKind.CUSTOMER_UNSUBSCRIBED], record.STOPS[EventKind.MESSAGE_COMPLAINED]
    return reason in wished or (reason is not None and events.exists(conn, "customer", _key(message)))
