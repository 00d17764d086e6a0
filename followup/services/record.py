"""Putting what customers say and do on their record: the writes that mails and clicks share."""

import logging
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.events import EventKind
from followup.core.message import UNSETTLED, Action, Outcome, sources
from followup.core.people import covering
from followup.core.replies import Choice, Source
from followup.store import conversations, customers, enrollments, events, messages, replies, suppressions
from followup.store.events import NewEvent
from followup.store.messages import StoredMessage
from followup.store.replies import NewAnswer

log = logging.getLogger(__name__)

STOPS = {  # what makes an address one we write to no more, and the reason on the suppression
    EventKind.CUSTOMER_UNSUBSCRIBED: "unsubscribed",
    EventKind.MESSAGE_COMPLAINED: "complained",
    EventKind.MESSAGE_BOUNCED: "bounced",
}


def tell(
    conn: Connection, message: StoredMessage, kind: EventKind, external_id: str, now: datetime, **data: object
) -> bool:
    """Put what a customer did about *message* on the timeline, and wake their runs; return False if it is there."""
    return tell_from(conn, message, kind, source="customer", external_id=external_id, now=now, data=data)


def tell_from(
    conn: Connection,
    message: StoredMessage,
    kind: EventKind,
    *,
    source: str,
    external_id: str,
    now: datetime,
    data: Mapping[str, object],
) -> bool:
    """Do what `tell` does, for what somebody else than the customer says."""
    about = {"message_id": message.id, "workflow": message.workflow, "step": message.step, "letter": message.letter}
    event = NewEvent(
        customer_id=message.customer_id,
        order_id=None if kind in STOPS else message.order_id,  # it concerns all the customer is in
        kind=kind.value,
        occurred_at=now,
        source=source,
        external_id=external_id,
        data={**about, **data},
    )
    if not events.add(conn, [event], now=now):
        return False
    enrollments.wake_for_events(conn, [message.customer_id], at=now)
    return True


def answer(
    conn: Connection,
    message: StoredMessage,
    choice: Choice,
    source: Source,
    now: datetime,
    *,
    reply_id: int | None = None,
    comment: str | None = None,
) -> None:
    """Write down which of the offered answers was given, and how."""
    replies.add_answer(
        conn,
        NewAnswer(
            customer_id=message.customer_id,
            message_id=message.id,
            enrollment_id=message.enrollment_id,
            letter=message.letter,
            step=message.step,
            answer=choice.id,
            label=choice.label,
            source=source,
            at=now,
            reply_id=reply_id,
            comment=comment,
        ),
    )


def prove_accepted(conn: Connection, message: StoredMessage, now: datetime, *, provider_id: str | None = None) -> None:
    """
    Whoever answers a letter has got it, and who reports on one took it, whatever we knew of it.

    That may be about an attempt that was given up: then the letter does not go again, unless it has already.
    *message* is as it was found by that attempt's token; what it is by now is looked at here.
    """
    if message.token is None or not (message.past or message.state in UNSETTLED):
        return
    enrollments.lock(conn, [message.enrollment_id])  # before the message, as whoever settles it does
    found = messages.lock_by_token(conn, message.token)  # somebody may have given the attempt up meanwhile
    if found is None or found.sending_at is None or not (found.past or found.state in UNSETTLED):
        return
    message = found
    sending_at = found.sending_at
    accepted = {
        "id": message.id,
        "accepted_at": sending_at,
        "provider_id": provider_id,
        "outcome": Outcome.ACCEPTED.value,
        "reason": None,
    }
    if message.past:
        newer = messages.lock(conn, [message.id], *sources(Action.PROVE))
        for one in newer.values():
            if one.token is not None:
                messages.give_up_token(conn, one, now=now)
        proven = {**accepted, "token": message.token, "sending_at": sending_at}
        moved = messages.move(conn, Action.PROVE, [proven])
        if moved:
            messages.take_up_token(conn, message.token or "")
    else:
        moved = messages.move(conn, Action.ACCEPT, [accepted])
    if moved:
        events.add(conn, [accepted_event(message, sending_at)], now=now)
        enrollments.wake_for_events(conn, [message.customer_id], at=now)
    elif message.past:
        log.error("message.sent_again", extra={"message_id": message.id, "state": message.state.value})
        tell_from(
            conn,
            message,
            EventKind.MESSAGE_SENT_AGAIN,
            source="message",
            external_id=f"again:{message.id}:{message.token}",
            now=now,
            data={"letter": message.letter, "state": message.state.value},
        )


def accepted_event(message: StoredMessage, at: datetime) -> NewEvent:
    """Return the timeline's entry for a letter that the provider took."""
    return NewEvent(
        customer_id=message.customer_id,
        order_id=message.order_id,
        kind=EventKind.MESSAGE_ACCEPTED.value,
        occurred_at=at,
        source="message",
        external_id=f"{message.id}:{message.token}",
        data={
            "workflow": message.workflow,
            "step": message.step,
            "round": message.round,
            "letter": message.letter,
            "sender": message.sender,
            "subject": message.subject,
            "question": message.question,
        },
    )


def waits_for_us(conn: Connection, message: StoredMessage, bundle: Bundle, now: datetime, *, because: str) -> None:
    """Open the customer's conversation, or note that it is our turn again."""
    workflow = bundle.workflows.get(message.workflow)
    owner = workflow.owner if workflow else message.sender
    owner = covering(bundle.people, owner, now, otherwise=bundle.shop.zone)
    if conversations.customer_wrote(conn, message.customer_id, owner, at=now):
        tell(conn, message, EventKind.CONVERSATION_OPENED, f"conversation:{because}", now, owner=owner)


def stop_writing_to(
    conn: Connection, message: StoredMessage, suppression_key: str, event: EventKind, now: datetime, *, source: str
) -> None:
    """Suppress the customer's address for every letter, whatever order or workflow it is about."""
    address = customers.address_of(conn, message.customer_id)
    if address is not None:
        hash_ = suppressions.address_hash(address, suppression_key)
        suppressions.add(conn, hash_, reason=STOPS[event], source=source, now=now)
