"""
Settling: what a way out said of each attempt is written down, by token.

An answer to an attempt that is not the row's own any more is dropped. The provider's answer is worth more than
a database that is away for a moment: it is kept and written down when the database is back.
"""

import logging
import random
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.message import (
    Accepted,
    Action,
    Answer,
    Cause,
    MessageState,
    Misconfigured,
    Outcome,
    Rejected,
    RetrySafe,
)
from followup.core.schedule import backoff
from followup.core.sender import settled
from followup.errors import TemporaryError
from followup.services import record
from followup.services.verdicts import note_blocked
from followup.store import enrollments, events, messages, senders
from followup.store.engine import writing
from followup.store.messages import StoredMessage

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5  # between two tries to reach the database


class Settling:
    """
    The answers of one wave on their way to the record.

    Args:
        ids: the message that each token was sent under.
        by: in seconds of ``time.monotonic()``; when the lease has run out, others have looked after the rest.
    """

    def __init__(self, engine: Engine, ids: Mapping[str, int], *, clock: Clock, by: float) -> None:
        self._engine, self._ids, self._clock, self._by = engine, ids, clock, by
        self._left: dict[str, Answer] = {}

    def add(self, answers: Mapping[str, Answer]) -> None:
        """Write down *answers*, and what could not be written before; try once."""
        self._left |= answers
        try:
            self._settle()
        except TemporaryError as error:
            log.warning("answers.waiting", extra={"answers": len(self._left), "reason": str(error)})

    def finish(self) -> None:
        """
        Write down what is left, as soon as the database is there.

        Raises:
            TemporaryError: it did not come back in time.
        """
        while self._left:
            try:
                self._settle()
            except TemporaryError:
                if time.monotonic() >= self._by:
                    raise
                time.sleep(AGAIN_SECONDS)

    def _settle(self) -> None:
        settle(self._engine, {self._ids[token]: token for token in self._left}, self._left, clock=self._clock)
        self._left = {}


def settle(
    engine: Engine,
    tokens_of: Mapping[int, str],
    answers: Mapping[str, Answer],
    *,
    clock: Clock,
    at: datetime | None = None,
    heard_now: bool = True,
) -> None:
    """
    Write down what the transport said, by token: an answer to an attempt that is not the row's own is dropped.

    A letter that was given up as unknown meanwhile is accepted all the same when that is the answer, and an attempt
    that was given up for a newer one is evidence of it.

    Args:
        tokens_of: the token that each message id was sent under.
        answers: by token; a message whose token has none stays as it is until its lease ends.
        at: when the provider took the accepted ones (business time); default now.
        heard_now: the answers just came from the provider, and say something of how it does.
    """
    moment = at or clock.now()
    with writing(engine, "settle") as conn:
        enrollment_ids = messages.enrollments_of(conn, tokens_of)
        enrollments.lock(conn, enrollment_ids)
        held = messages.lock(conn, tokens_of, MessageState.SENDING, MessageState.UNKNOWN)
        answered = [
            (message, answers[token])
            for message_id, token in tokens_of.items()
            if (message := held.get(message_id)) and message.token == token and token in answers
        ]
        answered = [
            (message, answer)
            for message, answer in answered
            if message.state is MessageState.SENDING or isinstance(answer, Accepted)
        ]
        for action, rows in _settled(answered, moment).items():
            messages.move(conn, action, rows)
        refused = [(message, answer.reason) for message, answer in answered if isinstance(answer, Misconfigured)]
        note_blocked(conn, refused, gate="sender", now=moment)
        taken = [message for message, answer in answered if isinstance(answer, Accepted)]
        events.add(conn, [record.accepted_event(message, moment) for message in taken], now=moment)
        done = [message.enrollment_id for message, answer in answered if isinstance(answer, Rejected)]
        enrollments.wake(conn, done, at=moment)
        enrollments.wake_for_events(conn, {message.customer_id for message in taken}, at=moment)
        _take_as_evidence(conn, answers, {message.token for message in taken}, clock.now())
        if heard_now:
            _tell_senders(conn, answered, clock.now())
    for message, answer in answered:
        log.info("message.settled", extra={"message_id": message.id, "answer": type(answer).__name__})


def _take_as_evidence(
    conn: Connection, answers: Mapping[str, Answer], taken: Collection[str | None], now: datetime
) -> None:
    """Let the acceptance of an attempt that was given up count as any other evidence of it does."""
    for token, answer in answers.items():
        if not isinstance(answer, Accepted) or token in taken:
            continue
        message = messages.lock_by_token(conn, token)
        if message is not None and message.past:
            record.prove_accepted(conn, message, now, provider_id=answer.provider_id)


def _tell_senders(conn: Connection, answered: Iterable[tuple[StoredMessage, Answer]], now: datetime) -> None:
    """Let what the provider said of letters count for whoever signed them."""
    heard: dict[str, list[tuple[int, Answer]]] = {}
    for message, answer in answered:
        if not (isinstance(answer, RetrySafe) and answer.cause is Cause.KEPT):
            heard.setdefault(message.sender, []).append((message.id, answer))
    if all(isinstance(answer, Accepted | Rejected) for some in heard.values() for _, answer in some):
        senders.recovered(conn, heard)
        return
    held, real_now = senders.lock(conn, heard)
    for key in sorted(held):
        after = settled(held[key], heard[key], real_now, now)
        if after == held[key]:
            continue
        senders.save(conn, after)
        if after.paused and not held[key].paused:
            log.error("sender.paused", extra={"sender": key, "reason": after.paused})
        elif after.trips > held[key].trips:
            log.error("sender.closed", extra={"sender": key, "until": str(after.closed_until), "reason": after.because})


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
            case RetrySafe(not_before, reason, cause):
                failures = 0 if cause is Cause.KEPT else message.failures + 1
                wait = backoff(failures, random.random()) if failures else timedelta()  # noqa: S311 - no secret
                due_at = max(not_before, at + wait)
                more = {"due_at": due_at, "reason": reason, "failures": failures, "token": None, "sending_at": None}
                action = Action.RETRY
            case Rejected(reason):
                action, more = Action.REJECT, {"reason": reason}
            case Misconfigured(reason):
                action, more = Action.BLOCK, {"reason": reason, "token": None, "sending_at": None}
            case _:
                action, more = Action.LOSE, {"reason": answer.reason}
        rows.setdefault(action, []).append(row | more)
    return rows
