"""
Follow what becomes of letters: the events that the mail provider posts.

They come late, twice and out of order, and some never come. Every one is kept as it came; what they
amount to is the same in whatever order they are looked at.
"""

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.customer import InvalidAddress, normalize_address
from followup.core.message import Outcome
from followup.core.provider import EventState, Report, occurred_at
from followup.errors import FollowupError
from followup.inbound.sendgrid import PROVIDER, read_events, report
from followup.services import record
from followup.store import aliases, customers, enrollments, messages, provider_events, signs
from followup.store.engine import reading, writing
from followup.store.messages import StoredMessage
from followup.store.provider_events import NewReport, StoredReport

log = logging.getLogger(__name__)

BATCH = 500


def store_events(engine: Engine, body: bytes, *, clock: Clock) -> list[int]:
    """
    Commit a post of events, each as it came; return the ids of those that are new and can be worked on.

    What is no event is kept as well, in one row that has failed. The same post twice is stored once.
    """
    posted = read_events(body)
    new = [NewReport(event_id=one.event_id, token=one.token, raw=one.raw) for one in posted.events]
    if posted.trouble:
        new.append(
            NewReport(
                event_id=hashlib.sha256(body).hexdigest(),
                token=None,
                raw={"unread": posted.unread},
                state=EventState.FAILED,
                error=posted.trouble,
            )
        )
        log.error("events.unreadable", extra={"reason": posted.trouble})
    with writing(engine, "track.store") as conn:
        ids = provider_events.add(conn, PROVIDER, new, now=clock.now())
        signs.seen(conn, signs.EVENTS)
    log.info("events.stored", extra={"posted": len(posted.events), "new": len(ids)})
    return ids


def track(engine: Engine, ids: Sequence[int], *, suppression_key: str, clock: Clock) -> int:
    """
    Apply stored events to the letters they are about; return how many were dealt with.

    Safe to run twice and in several workers at once. Each event has a transaction of its own, so that one
    we stumble over keeps no other from being applied.
    """
    done = 0
    for start in range(0, len(ids), BATCH):
        with reading(engine) as conn:
            new = provider_events.new(conn, ids[start : start + BATCH])
        done += sum(_tracked(engine, stored, suppression_key=suppression_key, clock=clock) for stored in new)
    return done


def _tracked(engine: Engine, stored: StoredReport, *, suppression_key: str, clock: Clock) -> bool:
    try:
        with writing(engine, "track.apply") as conn:
            if not provider_events.lock_new(conn, stored.id):
                return False
            state = _apply(conn, stored, report(stored.raw), suppression_key, clock.now())
            provider_events.finish(conn, stored.id, state)
    except FollowupError:
        raise  # the database is away: nothing is wrong with the event
    except Exception as trouble:
        log.exception("event.failed", extra={"event_id": stored.id})
        with writing(engine, "track.failed") as conn:
            if provider_events.lock_new(conn, stored.id):
                provider_events.finish(
                    conn, stored.id, EventState.FAILED, error=f"{type(trouble).__name__}; see the log"
                )
    return True


def _apply(conn: Connection, stored: StoredReport, reported: Report, suppression_key: str, now: datetime) -> EventState:
    """Take rows in the order customer, enrollment, message: a worker may be settling the same letter."""
    message = messages.by_token(conn, stored.token) if stored.token else None
    if message is None or stored.token is None:
        return EventState.IGNORED if reported.says_nothing else EventState.UNMATCHED
    customers.lock(conn, [message.customer_id])
    if reported.stops is not None and _is_about_the_customer(conn, message, reported):
        _stop(conn, message, stored, reported, suppression_key)
    enrollments.lock(conn, [message.enrollment_id])
    message = messages.lock_by_token(conn, stored.token)
    if message is None:  # just now the provider said that it did not take this attempt
        return EventState.UNMATCHED
    record.prove_accepted(conn, message, now, provider_id=reported.provider_id)
    messages.fold(conn, message.id, reported.outcome or Outcome.ACCEPTED, provider_id=reported.provider_id)
    if reported.message_id and stored.token not in reported.message_id:  # not the one we gave it
        aliases.add(conn, reported.message_id, message.id)
    return EventState.IGNORED if reported.says_nothing else EventState.APPLIED


def _is_about_the_customer(conn: Connection, message: StoredMessage, reported: Report) -> bool:
    """
    Tell whether it was the customer's own address that the provider wrote to.

    In test mode letters go to another inbox, and a bounce there says nothing of the customer's.
    """
    try:
        return normalize_address(reported.address) == customers.address_of(conn, message.customer_id)
    except InvalidAddress:
        return False


def _stop(
    conn: Connection, message: StoredMessage, stored: StoredReport, reported: Report, suppression_key: str
) -> None:
    """Write to the address no more: once for a letter and a reason, however often it is reported."""
    kind = reported.stops
    assert kind is not None
    at = occurred_at(reported, sending_at=message.sending_at or stored.received_at, received_at=stored.received_at)
    told: dict[str, object] = {"reason": reported.reason or None, "reported": reported.kind}
    key = f"{message.token}:{kind.value}"
    if record.tell_from(conn, message, kind, source=PROVIDER, external_id=key, now=at, data=told):
        record.stop_writing_to(conn, message, suppression_key, kind, at, source=PROVIDER)
