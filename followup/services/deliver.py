"""
Deliver letters, in waves: claim, render, commit, send, settle.

No transaction is open while the transport works. What is committed before the request may leave (token
and payload) is what every later answer, event, click or reply is matched to.
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core.events import EventKind
from followup.core.message import (
    Accepted,
    Action,
    Answer,
    HaltScope,
    MessageState,
    Misconfigured,
    Outcome,
    Rejected,
    RetrySafe,
)
from followup.errors import FollowupError
from followup.mail.message import MailIdentity
from followup.mail.transport import Transport
from followup.services.claim import Claimed, Wave, claim
from followup.services.library import Library
from followup.services.write import Written, write
from followup.store import bundles, enrollments, events, halts, messages
from followup.store.engine import durably, writing
from followup.store.events import NewEvent
from followup.store.messages import StoredMessage

log = logging.getLogger(__name__)

WAVE = 32  # letters in flight at once
LEASE_SECONDS = 120  # longer than the longest a transport may take for a wave
NO_LATER = 22  # seconds before a lease ends at which no request begins: a transport's deadline of 12, and 10 to settle


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What delivering takes besides the database: the way out, and what makes mail ours."""

    transport: Transport
    identity: MailIdentity
    suppression_key: str


def deliver(
    engine: Engine,
    ids: Collection[int],
    *,
    library: Library,
    post: Post,
    clock: Clock,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """
    Send those of the due messages *ids* that may leave; return how many were dealt with.

    Safe to run twice and in several processes: a message that somebody else has claimed, or that is no
    longer due, is passed over.

    Args:
        stopping: True, and no request begins any more; what was claimed is given back.
    """
    left, dealt_with = set(ids), 0
    while left and not stopping():
        with writing(engine) as conn:
            wave = claim(
                conn,
                left,
                library=library,
                suppression_key=post.suppression_key,
                now=clock.now(),
                limit=WAVE,
                lease_seconds=LEASE_SECONDS,
            )
            if not wave.handled:  # somebody else has them; what they leave over is due for the next sweep
                messages.unlease(conn, left)
        if not wave.handled:
            break
        _send(engine, wave, post=post, clock=clock, stopping=stopping)
        left -= wave.handled
        dealt_with += len(wave.handled)
    if left and stopping():
        with writing(engine) as conn:
            messages.unlease(conn, left)
    return dealt_with


def _send(engine: Engine, wave: Wave, *, post: Post, clock: Clock, stopping: Callable[[], bool]) -> None:
    if not wave.claimed:
        return
    written, broken = _write(wave.claimed, wave.bundle, post.identity, clock.now())
    begin_by, enough = time.monotonic() + LEASE_SECONDS - NO_LATER, stopping()
    with durably(engine) as conn:
        ours = _still_ours(conn, wave.claimed)
        if enough or halts.current(conn):
            messages.move(conn, Action.GIVE_BACK, [{"id": message_id} for message_id in ours])
            return
        ready = [one for one in written if one.claimed.message.id in ours]
        _begin(conn, ready, now=clock.now())
        blocked = [{"id": one.message.id, "reason": why} for one, why in broken if one.message.id in ours]
        # what was applied meanwhile may have mended it, and will not look at it again
        outdated = bundles.newest_hash(conn) != wave.bundle.hash
        messages.move(conn, Action.GIVE_BACK if outdated else Action.BLOCK, blocked)
    for row in blocked:
        log.error("message.blocked", extra={"message_id": row["id"], "reason": row["reason"]})
    answers = [
        (mail.token, answer) for mail, answer in post.transport.send([one.mail for one in ready], begin_by=begin_by)
    ]
    settle(engine, {one.claimed.message.id: one.mail.token for one in ready}, dict(answers), clock=clock)


def _write(
    claimed: Sequence[Claimed], bundle: Bundle, identity: MailIdentity, now: datetime
) -> tuple[list[Written], list[tuple[Claimed, str]]]:
    """Render each letter; one that cannot be is set aside with the reason."""
    written, broken = [], []
    for one in claimed:
        try:
            written.append(write(one, bundle, identity, now))
        except FollowupError as error:
            broken.append((one, str(error)))
        except Exception as error:  # a bug of ours with one letter must not keep the others from leaving
            log.exception("message.unwritable", extra={"message_id": one.message.id})
            broken.append((one, f"{type(error).__name__} while the letter was written; see the log"))
    return written, broken


def _still_ours(conn: Connection, claimed: Sequence[Claimed]) -> set[int]:
    """Hold and return the messages that nobody claimed anew since: a lease may have ended meanwhile."""
    held = messages.lock(conn, [one.message.id for one in claimed], MessageState.CLAIMED)
    attempts = {one.message.id: one.attempt for one in claimed}
    return {key for key, message in held.items() if message.attempts == attempts[key]}


def _begin(conn: Connection, ready: Sequence[Written], *, now: datetime) -> None:
    """Write down token and payload of letters that are about to leave."""
    rows = [
        {
            "id": one.claimed.message.id,
            "token": one.mail.token,
            "sending_at": now,
            "payload": one.mail.to_json(),
            "subject": one.mail.subject,
            "question": one.rendered.question,
            "choices": [asdict(choice) for choice in one.choices],
            "letter_hash": one.letter_hash,
            "purpose": one.purpose.value,
            "reason": None,
        }
        for one in ready
    ]
    messages.move(conn, Action.BEGIN, rows, lease_seconds=LEASE_SECONDS)


def settle(
    engine: Engine, tokens_of: dict[int, str], answers: dict[str, Answer], *, clock: Clock, at: datetime | None = None
) -> None:
    """
    Write down what the transport said, by token: an answer to an attempt that is not the row's own is dropped.

    Args:
        tokens_of: the token that each message id was sent under.
        answers: by token; a message whose token has none stays as it is until its lease ends.
        at: when the provider took the accepted ones (business time); default now.
    """
    moment = at or clock.now()
    with writing(engine) as conn:
        enrollment_ids = messages.enrollments_of(conn, tokens_of)
        enrollments.lock(conn, enrollment_ids)
        held = messages.lock(conn, tokens_of, MessageState.SENDING)
        answered = [
            (message, answers[token])
            for message_id, token in tokens_of.items()
            if (message := held.get(message_id)) and message.token == token and token in answers
        ]
        for action, rows in _settled(answered, moment).items():
            messages.move(conn, action, rows)
        taken = [message for message, answer in answered if isinstance(answer, Accepted)]
        events.add(conn, [accepted_event(message, moment) for message in taken], now=moment)
        refused = [answer.reason for _, answer in answered if isinstance(answer, Misconfigured)]
        if refused:  # the others would be refused as well
            halts.halt(conn, HaltScope.SENDER, reason=refused[0], now=clock.now())
        done = [message.enrollment_id for message, answer in answered if isinstance(answer, Accepted | Rejected)]
        enrollments.wake(conn, done, at=moment)
    for message, answer in answered:
        log.info("message.settled", extra={"message_id": message.id, "answer": type(answer).__name__})


def _settled(answered: Sequence[tuple[StoredMessage, Answer]], at: datetime) -> dict[Action, list[dict[str, object]]]:
    """Return the rows to write for each action."""
    rows: dict[Action, list[dict[str, object]]] = {}
    for message, answer in answered:
        row: dict[str, object] = {"id": message.id}
        match answer:
            case Accepted(provider_id):
                action, more = (
                    Action.ACCEPT,
                    {"accepted_at": at, "provider_id": provider_id, "outcome": Outcome.ACCEPTED},
                )
            case RetrySafe(not_before, reason):
                action, more = Action.RETRY, {"due_at": not_before, "reason": reason, "token": None, "sending_at": None}
            case Rejected(reason):
                action, more = Action.REJECT, {"reason": reason}
            case Misconfigured(reason):
                action, more = Action.BLOCK, {"reason": reason, "token": None, "sending_at": None}
            case _:
                action, more = Action.LOSE, {"reason": answer.reason}
        rows.setdefault(action, []).append(row | more)
    return rows


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
