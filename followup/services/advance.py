"""Move enrollments on: facts for the whole batch, one decision each in memory, one bulk write."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core.decide import decide
from followup.core.decision import (
    CancelMessages,
    Decision,
    HandOff,
    NewMessage,
    Note,
    RememberValues,
    StartWorkflow,
)
from followup.core.enrollment import moved
from followup.core.gates import last_chance
from followup.services import facts, transfer
from followup.services.enroll import Entry, enroll
from followup.services.facts import Known
from followup.services.handoff import hand_off
from followup.services.library import Library
from followup.services.transfer import Moved as MovedOn
from followup.services.verdicts import withdraw
from followup.store import customers, decisions, enrollments, messages
from followup.store.decisions import Decided
from followup.store.engine import writing
from followup.store.enrollments import Moved, StoredEnrollment
from followup.store.messages import DueMessage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """How many runs were looked at, and what became of those in older versions of their workflows."""

    number: int
    moved: MovedOn


def advance(engine: Engine, ids: Collection[int], *, library: Library, clock: Clock) -> Looked:
    """
    Take each enrollment to the next thing it has to wait for.

    One that is in an older version of its workflow is taken to there in that, and goes on from there in what was
    applied since: what was over already is over. One that was only moved to that version goes on as it stands; so does
    one that would come to a step which is gone, undecided.

    Safe to run twice and in several processes: the rows are held from the reading of the facts to the
    writing of the decision, and an enrollment that has ended is passed over.
    """
    now = clock.now()
    with writing(engine, "advance") as conn:
        held = enrollments.lock(conn, ids)
        known = facts.read(conn, held, library=library, now=now)
        passing = _passing(conn, held, library)
        decided = list(_decided(_without(known, passing), now))
        onward = [(one.stored, decision.position) for one, decision in decided if not decision.ended]
        straying = transfer.straying(conn, onward, library)
        passing += [one.stored for one, _ in decided if one.stored.id in straying]
        decided = _with_free_customers(conn, [(one, to) for one, to in decided if one.stored.id not in straying])
        enrollments.save(conn, [_moved(one, decision, now) for one, decision in decided])
        for one, decision in decided:
            _withdraw(conn, one, decision, now)
        messages.add(conn, [message for one, decision in decided for message in _new_messages(one, decision)])
        decisions.add(conn, [_noted(one, note, now) for one, decision in decided for note in decision.notes])
        _act(conn, decided, library=library, now=now)
        going_on = [_after(one, decision) for one, decision in decided if not decision.ended]
        became = transfer.move(conn, [*passing, *going_on], library=library, now=now)
    return Looked(len(held), became)


def _passing(conn: Connection, held: Sequence[StoredEnrollment], library: Library) -> list[StoredEnrollment]:
    bundle = library.newest(conn)
    return [run for run in held if transfer.passes_through(conn, run, bundle, library)]


def _without(known: Mapping[int, Known], runs: Collection[StoredEnrollment]) -> list[Known]:
    left_out = {run.id for run in runs}
    return [one for key, one in known.items() if key not in left_out]


def _after(one: Known, decision: Decision) -> StoredEnrollment:
    """Return the run as the decision leaves it."""
    enrollment = replace(one.stored.enrollment, position=decision.position, waited=decision.waited)
    return replace(one.stored, enrollment=enrollment, wake_at=decision.wake_at)


def _decided(known: Iterable[Known], now: datetime) -> Iterator[tuple[Known, Decision]]:
    """Yield the next move of each; one that cannot be decided is left for when its lease ends."""
    for one in known:
        try:
            yield one, decide(one.workflow, one.stored.enrollment, one.facts, now=now)
        except Exception:  # a bug of ours with one run must not keep the others standing
            log.exception("enrollment.undecided", extra={"enrollment_id": one.stored.id})


_OF_CUSTOMERS = (HandOff, RememberValues, StartWorkflow)  # what changes more than the run itself


def _with_free_customers(conn: Connection, decided: Sequence[tuple[Known, Decision]]) -> list[tuple[Known, Decision]]:
    """
    Hold the customers whose record is to change; leave those runs whose customer somebody else holds to the end of
    their lease.

    Nobody who holds an enrollment may wait for a customer: others hold the customer and wait for the enrollment.
    """
    touching = {
        one.stored.customer_id
        for one, decision in decided
        if any(isinstance(e, _OF_CUSTOMERS) for e in decision.effects)
    }
    busy = touching - customers.lock_free(conn, touching) if touching else set()
    waiting = {one.stored.id for one, _ in decided if one.stored.customer_id in busy}
    return [(one, decision) for one, decision in decided if one.stored.id not in waiting]


def _act(conn: Connection, decided: Iterable[tuple[Known, Decision]], *, library: Library, now: datetime) -> None:
    """Carry out what changes more than the run itself, in the order of the steps."""
    for one, decision in decided:
        for effect in decision.effects:
            match effect:
                case HandOff():
                    hand_off(conn, one, effect, library.newest(conn), now)
                case RememberValues(values=values):
                    customers.remember(conn, one.stored.customer_id, values)
                case StartWorkflow():
                    _start(conn, one, effect, library.newest(conn), now)


def _start(conn: Connection, one: Known, effect: StartWorkflow, bundle: Bundle, now: datetime) -> None:
    workflow = bundle.workflows.get(effect.workflow)
    if workflow is None:  # it was there when this version was applied
        log.error("workflow.gone", extra={"enrollment_id": one.stored.id, "workflow": effect.workflow})
        return
    entry = Entry(
        workflow=workflow,
        customer_id=one.stored.customer_id,
        order_id=one.stored.order_id,
        trigger=None,
        entered_at=effect.at,
        because=one.stored.entry_key.removeprefix(f"customer:{one.stored.customer_id}:"),
    )
    enroll(conn, [entry], bundle=bundle, now=now)


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
        waited=decision.waited,
    )


def _withdraw(conn: Connection, one: Known, decision: Decision, now: datetime) -> None:
    for effect in decision.effects:
        if isinstance(effect, CancelMessages) and one.facts.sent:
            reason = f"the run ended: {decision.outcome}" if decision.ended else "no longer needed"
            withdraw(conn, one.stored.id, effect.step, effect.round, reason=reason, now=now)


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
