"""Move enrollments on: facts for the whole batch, one decision each in memory, one bulk write."""

import logging
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.decide import decide
from followup.core.decision import CancelMessages, Decision, NewMessage, Note
from followup.core.enrollment import moved
from followup.core.gates import last_chance
from followup.services import facts
from followup.services.facts import Known
from followup.services.library import Library
from followup.store import decisions, enrollments, messages
from followup.store.decisions import Decided
from followup.store.engine import writing
from followup.store.enrollments import Moved
from followup.store.messages import DueMessage

log = logging.getLogger(__name__)


def advance(engine: Engine, ids: Collection[int], *, library: Library, clock: Clock) -> int:
    """
    Take each enrollment to the next thing it has to wait for; return how many were looked at.

    Safe to run twice and in several processes: the rows are held from the reading of the facts to the
    writing of the decision, and an enrollment that has ended is passed over.
    """
    now = clock.now()
    with writing(engine, "advance") as conn:
        held = enrollments.lock(conn, ids)
        known = facts.read(conn, held, library=library, now=now)
        decided = list(_decided(known.values(), now))
        enrollments.save(conn, [_moved(one, decision, now) for one, decision in decided])
        for one, decision in decided:
            _withdraw(conn, one, decision)
        messages.add(conn, [message for one, decision in decided for message in _new_messages(one, decision)])
        decisions.add(conn, [_noted(one, note, now) for one, decision in decided for note in decision.notes])
    return len(held)


def _decided(known: Iterable[Known], now: datetime) -> Iterator[tuple[Known, Decision]]:
    """Yield the next move of each; one that cannot be decided is left for when its lease ends."""
    for one in known:
        try:
            yield one, decide(one.workflow, one.stored.enrollment, one.facts, now=now)
        except Exception:  # a bug of ours with one run must not keep the others standing
            log.exception("enrollment.undecided", extra={"enrollment_id": one.stored.id})


def _moved(one: Known, decision: Decision, now: datetime) -> Moved:
    state = one.stored.enrollment.state
    return Moved(
        id=one.stored.id,
        rev=one.stored.rev,
        state=moved(state, decision.ended) if decision.ended else state,
        position=decision.position,
        wake_at=decision.wake_at,
        ended_at=now if decision.ended else None,
        outcome=decision.outcome,
    )


def _withdraw(conn: Connection, one: Known, decision: Decision) -> None:
    for effect in decision.effects:
        if isinstance(effect, CancelMessages) and one.facts.sent:
            reason = f"the run ended: {decision.outcome}" if decision.ended else "no longer needed"
            messages.cancel(conn, one.stored.id, effect.step, effect.round, reason=reason)


def _new_messages(one: Known, decision: Decision) -> list[DueMessage]:
    return [
        DueMessage(
            enrollment_id=one.stored.id,
            customer_id=one.stored.customer_id,
            order_id=one.stored.order_id,
            workflow=one.workflow.name,
            step=effect.step,
            round=effect.round,
            letter=effect.letter,
            sender=effect.sender,
            priority=one.workflow.priority,
            due_at=effect.due_at,
            not_after=last_chance(one.workflow, effect.step, effect.due_at, one.facts.calendar),
        )
        for effect in decision.effects
        if isinstance(effect, NewMessage)
    ]


def _noted(one: Known, note: Note, now: datetime) -> Decided:
    return Decided(
        at=now,
        customer_id=one.stored.customer_id,
        order_id=one.stored.order_id,
        enrollment_id=one.stored.id,
        workflow=one.workflow.name,
        step=note.step,
        verdict=note.verdict,
        reason=note.reason,
        values=note.values,
    )
