"""Which letters may leave now: the customers' rows are locked, every gate is asked, every objection recorded."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core import tokens
from followup.core.facts import Facts
from followup.core.gates import DAY, PER_DAY, Candidate, Verdict, VerdictKind, judge, last_chance
from followup.core.message import Action
from followup.core.workflow import Workflow, letter_of
from followup.services import facts
from followup.services.facts import Known
from followup.services.lacking import signer_of
from followup.services.library import Library
from followup.services.room import Room, Standing
from followup.services.surroundings import Surroundings, Wanting
from followup.services.transfer import signed_by
from followup.services.verdicts import decided_about
from followup.store import customers, decisions, enrollments, messages, workflow_limits
from followup.store.messages import StoredMessage


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter that may leave: what was claimed, as which attempt, and what is known of it."""

    message: StoredMessage
    attempt: int
    workflow: Workflow
    facts: Facts


@dataclass(frozen=True, slots=True)
class Wave:
    """What one claim did: letters that may leave, and the ids it dealt with, those it stopped included."""

    claimed: list[Claimed]
    handled: set[int]
    bundle: Bundle


_ACTION = {
    VerdictKind.HOLD: Action.HOLD,
    VerdictKind.POSTPONE: Action.POSTPONE,
    VerdictKind.SKIP: Action.SKIP,
    VerdictKind.EXPIRE: Action.EXPIRE,
    VerdictKind.CANCEL: Action.CANCEL,
    VerdictKind.DOUBT: Action.DOUBT,
}
_MOVES_ON = frozenset({VerdictKind.SKIP, VerdictKind.EXPIRE, VerdictKind.CANCEL})


def claim(
    conn: Connection,
    ids: Collection[int],
    *,
    library: Library,
    suppression_key: str,
    now: datetime,
    limit: int,
    lease_seconds: int,
    per_minute: int | None = None,
) -> Wave:
    """
    Claim up to *limit* messages, one a customer: of all that is due to the customers of *ids*, the highest
    priority first.

    Nothing here waits for the row of a customer, an enrollment or a message, so claiming can be part of no
    deadlock: what somebody else holds is left for the next sweep. Whoever does wait takes rows in the order
    customer, enrollment, message, workflow, sender.

    Args:
        per_minute: how many letters each sender may send; None: as many as there are.
    """
    # a letter whose sender has no room is passed over, or it would stand before the customer's others for ever
    standing = Standing.read(conn, per_minute)
    due = messages.due_beside(conn, ids, now=now, except_senders=standing.resting)
    wanted = _one_each(due)[:limit]
    free_customers = customers.lock_free(conn, {message.customer_id for message in wanted})
    wanted = [message for message in wanted if message.customer_id in free_customers]
    held = {one.id: one for one in enrollments.lock_free(conn, {message.enrollment_id for message in wanted})}
    still_due = messages.lock_due(conn, {one.id for one in wanted if one.enrollment_id in held}, now=now)
    wanted = [message for message in wanted if message.id in still_due]
    bundle = library.newest(conn)
    known = facts.read(conn, list(held.values()), library=library, now=now)
    wanted = [_as_its_step_says(conn, message, known) for message in wanted]
    _hold_limits(conn, wanted, known)
    candidates = _candidates(conn, wanted, known, bundle=bundle, suppression_key=suppression_key, now=now)
    today = _left_today(conn, wanted, known, now)
    room = Room.of(conn, {message.id: _signer(bundle, message, known) for message in wanted}, standing)
    stopped: list[tuple[StoredMessage, Verdict]] = []
    passed: list[StoredMessage] = []
    for message in wanted:
        left = today.get(message.workflow, [])
        verdict = judge(replace(candidates[message.id], today=tuple(left)), now=now)
        if verdict is not None:
            stopped.append((message, verdict))
            if verdict.gate == PER_DAY and verdict.until is not None:
                left.append(verdict.until)  # the next one waits for the slot after this one's
        elif room.take(message.id):
            passed.append(message)
            left.append(now)
    _stop(conn, stopped, known, now)
    room.settle(conn, wanted)
    attempts = messages.claim(conn, [message.id for message in passed], seconds=lease_seconds)
    claimed = [
        Claimed(message, attempts[message.id], known[message.enrollment_id].workflow, candidates[message.id].facts)
        for message in passed
    ]
    return Wave(claimed, {message.id for message in wanted}, bundle)


def _one_each(due: Sequence[StoredMessage]) -> list[StoredMessage]:
    """Return the first message of each customer: the cap of the next one has to see it."""
    first: dict[int, StoredMessage] = {}
    for message in due:
        first.setdefault(message.customer_id, message)
    return list(first.values())


def _as_its_step_says(conn: Connection, message: StoredMessage, known: Mapping[int, Known]) -> StoredMessage:
    """Return a letter as its step has it: one that was on its way when that was changed has come back as it was."""
    workflow = known[message.enrollment_id].workflow
    step = workflow.step(message.step)
    letter, sender = letter_of(step, message.round), signed_by(step, workflow)
    if letter is None or (letter, sender) == (message.letter, message.sender):
        return message
    messages.reassign(conn, message.enrollment_id, message.step, message.round, letter=letter, sender=sender)
    return replace(message, letter=letter, sender=sender)


def _signer(bundle: Bundle, message: StoredMessage, known: Mapping[int, Known]) -> str:
    """Return who signs the letter as it stands: itself may say so, else its step or workflow does."""
    one = known[message.enrollment_id]
    otherwise = signed_by(one.workflow.step(message.step), one.workflow)
    return signer_of(bundle, message.letter, otherwise, one.facts.customer.language)


def _hold_limits(conn: Connection, wanted: Sequence[StoredMessage], known: Mapping[int, Known]) -> None:
    """
    Hold the rows of workflows that count: nobody else counts and sends, or lets first letters go, meanwhile.

    All at once and in order, as everybody takes them.
    """
    workflows = {message.workflow for message in wanted}
    first = workflow_limits.first_letters(conn, workflows)
    counted = {message.workflow for message in wanted if known[message.enrollment_id].workflow.per_day}
    counted |= {name for name, one in first.items() if one.pending}
    if counted:
        workflow_limits.lock(conn, counted)


def _left_today(
    conn: Connection, wanted: Sequence[StoredMessage], known: Mapping[int, Known], now: datetime
) -> dict[str, list[datetime]]:
    """
    Return when letters of each workflow that has a daily limit left in the last 24 hours, oldest first.
    """
    limited: dict[str, int] = {}
    for message in wanted:  # a workflow that is gone from the bundle has as many limits as versions
        if limit := known[message.enrollment_id].workflow.per_day:
            limited[message.workflow] = max(limit, limited.get(message.workflow, 0))
    return {name: messages.left_since(conn, name, now - DAY, now=now, limit=limit) for name, limit in limited.items()}


def _unread(conn: Connection, wanted: Sequence[StoredMessage]) -> set[int]:
    """Return which of *wanted* are of workflows whose first letters wait for a person, and are not let go by one."""
    workflows = {message.workflow for message in wanted}
    pending = {name for name, one in workflow_limits.first_letters(conn, workflows).items() if one.pending}
    return {message.id for message in wanted if message.workflow in pending and message.approved_at is None}


def _candidates(
    conn: Connection,
    wanted: Sequence[StoredMessage],
    known: Mapping[int, Known],
    *,
    bundle: Bundle,
    suppression_key: str,
    now: datetime,
) -> dict[int, Candidate]:
    around = Surroundings.read(
        conn,
        list(known.values()),
        {message.workflow for message in wanted},
        bundle=bundle,
        suppression_key=suppression_key,
        now=now,
        hold=True,
    )
    unread = _unread(conn, wanted)
    return {
        one.id: around.candidate(known[one.enrollment_id], Wanting.stored(one, unread=one.id in unread))
        for one in wanted
    }


def _stop(
    conn: Connection, stopped: Sequence[tuple[StoredMessage, Verdict]], known: dict[int, Known], now: datetime
) -> None:
    """Carry out and record the gates' objections; runs whose letter will not leave move on."""
    for kind, action in _ACTION.items():
        rows = [_stopped_row(message, verdict, known, now) for message, verdict in stopped if verdict.kind is kind]
        moved = messages.move(conn, action, rows)
        assert moved == len(rows), "a message moved while its row was held"
    moving_on = {message.enrollment_id for message, verdict in stopped if verdict.kind in _MOVES_ON}
    enrollments.wake(conn, moving_on, at=now)
    decided = [
        decided_about(
            message,
            at=now,
            verdict=verdict.kind.value,
            gate=verdict.gate,
            reason=verdict.reason,
            values=verdict.values,
            until=verdict.until,
        )
        for message, verdict in stopped
    ]
    decisions.add(conn, decided)


def _stopped_row(message: StoredMessage, verdict: Verdict, known: dict[int, Known], now: datetime) -> dict[str, object]:
    row: dict[str, object] = {"id": message.id, "reason": verdict.reason}
    if verdict.kind is VerdictKind.HOLD:
        return row | {"due_at": None, "not_after": None}
    if verdict.kind is VerdictKind.DOUBT:  # a token that no letter carries: nothing can prove that it left
        return row | doubtful(message, now)
    if verdict.kind is VerdictKind.POSTPONE:
        assert verdict.until is not None
        one = known[message.enrollment_id]
        not_after = last_chance(one.workflow, message.step, verdict.until, one.facts.calendar)
        since = message.postponed_since or now
        return row | {"due_at": verdict.until, "not_after": not_after, "postponed_since": since}
    return row


def doubtful(message: StoredMessage, otherwise: datetime) -> dict[str, object]:
    """Return the columns of a message that may have left in a time that is lost; by which way nobody knows."""
    token = message.token or tokens.name_from(secrets.token_bytes(tokens.NAME_BYTES))
    return {"token": token, "sending_at": message.sending_at or message.due_at or otherwise, "transport": None}
