"""Which letters may leave now: the customers' rows are locked, every gate is asked, every objection recorded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.customer import normalize_address
from followup.core.facts import Facts
from followup.core.gates import Candidate, Verdict, VerdictKind, judge
from followup.core.message import Action, HaltScope, Purpose
from followup.core.workflow import Workflow
from followup.services import facts
from followup.services.facts import Known
from followup.services.library import Library
from followup.store import conversations, customers, decisions, enrollments, halts, messages, suppressions
from followup.store.decisions import Decided
from followup.store.messages import StoredMessage

LOOK_BACK = timedelta(days=400)  # the longest span a cap may have


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
) -> Wave:
    """
    Claim up to *limit* messages, one a customer: of all that is due to the customers of *ids*, the highest
    priority first.

    Nothing here waits for a lock, so claiming can be part of no deadlock: what somebody else holds is
    left for the next sweep. Whoever does wait takes rows in the order customer, enrollment, message.
    """
    wanted = _one_each(messages.due_beside(conn, ids, now=now))[:limit]
    free_customers = customers.lock_free(conn, {message.customer_id for message in wanted})
    wanted = [message for message in wanted if message.customer_id in free_customers]
    held = {one.id: one for one in enrollments.lock_free(conn, {message.enrollment_id for message in wanted})}
    still_due = messages.lock_due(conn, {message.id for message in wanted if message.enrollment_id in held})
    wanted = [message for message in wanted if message.id in still_due]
    bundle = library.newest(conn)
    known = facts.read(conn, list(held.values()), library=library, now=now)
    candidates = _candidates(conn, wanted, known, bundle=bundle, suppression_key=suppression_key, now=now)
    verdicts = {message.id: judge(candidates[message.id], now=now) for message in wanted}
    _stop(conn, [(message, verdict) for message in wanted if (verdict := verdicts[message.id])], known, now)
    passed = [message for message in wanted if verdicts[message.id] is None]
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


def _candidates(
    conn: Connection,
    wanted: Sequence[StoredMessage],
    known: dict[int, Known],
    *,
    bundle: Bundle,
    suppression_key: str,
    now: datetime,
) -> dict[int, Candidate]:
    people = {message.customer_id for message in wanted}
    waiting = conversations.waiting_since(conn, people)
    recent = messages.recent(conn, people, since=now - LOOK_BACK)
    hashes = {
        one.facts.customer.id: suppressions.address_hash(normalize_address(one.facts.customer.email), suppression_key)
        for one in known.values()
    }
    halt = halts.current(conn, hold=True).get(HaltScope.ALL)
    why = suppressions.reasons(conn, hashes.values(), {message.workflow for message in wanted})

    def candidate(message: StoredMessage) -> Candidate:
        one = known[message.enrollment_id]
        hash_ = hashes[message.customer_id]
        assert message.due_at is not None
        assert message.not_after is not None
        return Candidate(
            workflow=one.workflow,
            enrollment=one.stored.enrollment,
            facts=one.facts,
            step=message.step,
            round=message.round,
            postponed_since=message.postponed_since,
            due_at=message.due_at,
            not_after=message.not_after,
            purpose=_purpose(bundle, message, one.facts),
            halted=halt.reason if halt else None,
            suppressed=why.get((hash_, suppressions.ALL)) or why.get((hash_, message.workflow)),
            waiting_since=waiting.get(message.customer_id),
            recent=_left_lately(recent.get(message.customer_id, ()), message, now),
        )

    return {message.id: candidate(message) for message in wanted}


def _purpose(bundle: Bundle, message: StoredMessage, about: Facts) -> Purpose:
    """Return the purpose of the letter as it stands; a letter that is gone is found out when it is written."""
    if message.letter not in bundle.defaults:
        return Purpose.RELATIONSHIP
    return bundle.letter(message.letter, about.customer.language).purpose


def _left_lately(recent: Sequence[StoredMessage], message: StoredMessage, now: datetime) -> tuple[datetime, ...]:
    """Return when other letters left, oldest first; an ask and its reminder do not count against each other."""
    own = (message.enrollment_id, message.step)
    others = (other for other in recent if (other.enrollment_id, other.step) != own)
    return tuple(sorted(other.accepted_at or other.sending_at or now for other in others))


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
    if verdict.kind is VerdictKind.POSTPONE:
        assert verdict.until is not None
        max_late = known[message.enrollment_id].workflow.max_late
        since = message.postponed_since or now
        return row | {"due_at": verdict.until, "not_after": verdict.until + max_late, "postponed_since": since}
    return row


def decided_about(
    message: StoredMessage,
    *,
    at: datetime,
    verdict: str,
    gate: str,
    reason: str,
    values: Mapping[str, object] | None = None,
    until: datetime | None = None,
) -> Decided:
    """Return the record of a decision about *message*."""
    return Decided(
        at=at,
        customer_id=message.customer_id,
        order_id=message.order_id,
        enrollment_id=message.enrollment_id,
        message_id=message.id,
        workflow=message.workflow,
        step=message.step,
        round=message.round,
        verdict=verdict,
        gate=gate,
        reason=reason,
        values=values or {},
        until=until,
    )
