"""Letters of unknown fate: what is missing to the proof that one was not accepted, and what a person decides."""

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.absence import NEIGHBOURS, REPEATED, REPORTS_LAST, Feed, doubts
from followup.core.enrollment import EnrollmentState
from followup.core.message import CANCELLABLE, Action, MessageState
from followup.errors import NotFound, UsageError
from followup.inbound.sendgrid import PROVIDER
from followup.services import record
from followup.services.facts import last_chances
from followup.services.library import Library
from followup.services.verdicts import decided_about
from followup.store import audit, decisions, enrollments, feed, gaps, messages, pulse, visits
from followup.store.engine import reading, writing
from followup.store.messages import ListedMessage, StoredMessage

log = logging.getLogger(__name__)

BATCH = 100
NO_FEED = Feed(reports=False, later=0, silent=0, unread=0, last_at=None)
WITHDRAWN = "a person withdrew it"


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as an operator looks at it; ``doubts`` are None unless its fate is unknown."""

    listed: ListedMessage
    doubts: tuple[str, ...] | None
    reports: tuple[tuple[datetime, str], ...]
    past: tuple[tuple[str, datetime], ...]

    @property
    def message(self) -> StoredMessage:
        return self.listed.message


def listing(
    engine: Engine, *, state: MessageState | None, workflow: str | None, limit: int, clock: Clock
) -> list[tuple[ListedMessage, tuple[str, ...] | None]]:
    """Return messages, the newest first, each with the doubts about its absence where its fate is unknown."""
    now = clock.now()
    with reading(engine) as conn:
        found = messages.listed(conn, states=[state] if state else [], workflow=workflow, limit=limit)
        return [(one, _doubts(conn, one.message, now)) for one in found]


def show(engine: Engine, message_id: int, *, clock: Clock) -> Shown:
    """
    Return everything about one message.

    Raises:
        NotFound: there is none of that number.
    """
    with reading(engine) as conn:
        listed = messages.find(conn, message_id)
        if listed is None:
            raise _unknown_number(message_id)
        past = messages.past_tokens_of(conn, message_id)
        tokens = [token for token in (listed.message.token, *(token for token, _ in past)) if token]
        reports = feed.about_tokens(conn, tokens)
        return Shown(listed, _doubts(conn, listed.message, clock.now()), tuple(reports), tuple(past))


def mark_sent(engine: Engine, message_id: int, *, clock: Clock) -> None:
    """
    Count a letter of unknown fate as accepted, from when it left: a person has found it at the provider.

    Raises:
        NotFound: there is none of that number.
        UsageError: its fate is known.
    """
    now = clock.now()
    with writing(engine, "fate.mark_sent") as conn:
        message = _held(conn, message_id, MessageState.UNKNOWN)
        record.prove_accepted(conn, message, now)
        _note(conn, message, now, "marked as sent")


def resend(engine: Engine, message_id: int, *, library: Library, clock: Clock) -> None:
    """
    Let a letter of unknown fate go again, under a new token: a person orders it, and every gate is asked again.

    Raises:
        NotFound: there is none of that number.
        UsageError: its fate is known, or its run has ended.
    """
    now = clock.now()
    with writing(engine, "fate.resend") as conn:
        message = _held(conn, message_id, MessageState.UNKNOWN)
        run = enrollments.by_id(conn, [message.enrollment_id])[message.enrollment_id].enrollment
        if run.state is not EnrollmentState.ACTIVE:
            raise UsageError(
                f"the run of message {message_id} is {run.state.value}: no letter of it leaves any more",
                hint=f"If it did leave: followup messages mark-sent {message_id}",
            )
        _send_again(conn, message, library, now)
        messages.approve(conn, [message.id], now=now)  # whoever orders it has read it
        _note(conn, message, now, "sent again by order of a person")


def cancel(engine: Engine, message_id: int, *, clock: Clock) -> None:
    """
    Withdraw a letter that has not left; its run goes on without it.

    Raises:
        NotFound: there is none of that number.
        UsageError: it may have left, or has ended.
    """
    now = clock.now()
    with writing(engine, "fate.cancel") as conn:
        message = _held(conn, message_id, *CANCELLABLE)
        messages.move(conn, Action.SKIP, [{"id": message.id, "reason": WITHDRAWN}])
        enrollments.wake(conn, [message.enrollment_id], at=now)
        _note(conn, message, now, "withdrawn")


def resend_proven(engine: Engine, *, library: Library, clock: Clock) -> int:
    """Let those letters go again that are proven not to have been accepted; return how many."""
    now, sent_again, last = clock.now(), 0, 0
    while True:  # page by page: those that nobody can ever prove stay where they are
        with reading(engine) as conn:
            old = messages.unknown(conn, before=now - REPORTS_LAST, after_id=last, limit=BATCH)
            proven = [one for one in old if not doubts_about(conn, one, now)]
        if not old:
            return sent_again
        sent_again += sum(_resent(engine, candidate, library, now) for candidate in proven)
        last = old[-1].id


def _resent(engine: Engine, candidate: StoredMessage, library: Library, now: datetime) -> bool:
    """Let a letter go again if it is still unknown, and its absence is proven."""
    with writing(engine, "fate.resend_proven") as conn:
        enrollments.lock(conn, [candidate.enrollment_id])
        message = messages.lock(conn, [candidate.id], MessageState.UNKNOWN).get(candidate.id)
        if message is None or doubts_about(conn, message, now):
            return False
        _send_again(conn, message, library, now)
        _note(conn, message, now, "sent again: it is proven that it was not accepted")
    log.warning("message.resent", extra={"message_id": message.id})
    return True


def doubts_about(conn: Connection, message: StoredMessage, now: datetime) -> tuple[str, ...]:
    """Return what is missing to the proof that a letter of unknown fate was not accepted; nothing: it is proven."""
    assert message.sending_at is not None
    transport, at = message.transport or "", message.sending_at
    if message.transport is None:
        return ("the database was restored, and the token it may have left under is lost",)
    if transport.rpartition(", ")[2] != PROVIDER:  # test mode puts its name before
        return doubts(at, message.not_after, NO_FEED, now=now)
    known = Feed(
        reports=True,
        later=feed.reported_later(conn, transport, at, at + REPEATED),
        silent=feed.unreported(conn, transport, at - NEIGHBOURS, at + REPORTS_LAST),
        unread=feed.unread_since(conn, at),
        last_at=pulse.last_event(conn),
        opened=visits.any_of(conn, message.id),
        lost=(restored := gaps.doubtful_until(conn)) is not None and restored >= at,
    )
    return doubts(at, message.not_after, known, now=now)


def _doubts(conn: Connection, message: StoredMessage, now: datetime) -> tuple[str, ...] | None:
    return doubts_about(conn, message, now) if message.state is MessageState.UNKNOWN else None


def _held(conn: Connection, message_id: int, *states: MessageState) -> StoredMessage:
    """Hold and return a message that is in one of *states*: first its enrollment, as everybody does."""
    listed = messages.find(conn, message_id)
    if listed is None:
        raise _unknown_number(message_id)
    enrollments.lock(conn, [listed.message.enrollment_id])
    message = messages.lock(conn, [message_id], *states).get(message_id)
    if message is not None:
        return message
    state = listed.message.state
    hint = f"followup messages show {message_id}"
    if state is MessageState.UNKNOWN:
        hint = f"It may have left: followup messages mark-sent {message_id}, or resend {message_id}"
    raise UsageError(f"message {message_id} is {state.value}, not {' or '.join(sorted(states))}", hint=hint)


def _unknown_number(message_id: int) -> NotFound:
    return NotFound(f"there is no message {message_id}", hint="followup messages list shows their numbers")


def _send_again(conn: Connection, message: StoredMessage, library: Library, now: datetime) -> None:
    messages.give_up_token(conn, message, now=now)
    not_after = last_chances(conn, [message], library=library, due_at=now)[message.id]
    again = {"token": None, "sending_at": None, "due_at": now, "not_after": not_after, **messages.ANEW}
    messages.move(conn, Action.RESEND, [{"id": message.id, **again}])


def _note(conn: Connection, message: StoredMessage, now: datetime, what: str) -> None:
    decisions.add(conn, [decided_about(message, at=now, verdict=what, gate="operator", reason=message.reason or "")])
    audit.add(conn, "message", {"message_id": message.id, "was": message.state.value, "what": what}, now=now)
