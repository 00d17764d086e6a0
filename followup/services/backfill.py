"""Let customers in by hand: one order, or everyone to whom the trigger happened since a date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core.decide import decide
from followup.core.decision import NewMessage
from followup.core.events import EventKind
from followup.core.gates import last_chance
from followup.core.order import Order
from followup.core.workflow import Workflow, WorkflowStatus
from followup.errors import NotFound, UsageError
from followup.services import facts, find
from followup.services.enroll import Entered, Entry, enroll
from followup.services.library import Library
from followup.store import audit, enrollments, events, lessons, orders
from followup.store.engine import writing

BATCH = 200
ACTION = "trigger"  # what an operator did


@dataclass(frozen=True, slots=True)
class Asked:
    """One order that was to come in, and what became of it; ``too_late``: its first letter would not leave any more."""

    order: str
    happened_at: datetime
    result: Entered
    too_late: bool = False


class _DryRun(Exception):
    """Carries the results out of a transaction that is not to be committed."""

    def __init__(self, asked: list[Asked]) -> None:
        self.asked = asked


def trigger(
    engine: Engine,
    workflow_name: str,
    *,
    order_number: str | None,
    since: datetime | None,
    start_now: bool,
    dry_run: bool,
    library: Library,
    clock: Clock,
) -> list[Asked]:
    """
    Enroll one order, or all to which the trigger happened since *since* (aware), oldest first.

    A run is placed relative to when its trigger happened, so steps whose time is over are skipped with
    a reason when the engine gets to them; with *start_now* it counts from now instead. A dry run goes
    the same way and then takes everything back.

    Raises:
        NotFound: no such workflow (any more) or order, or the trigger has not happened to the order.
        UsageError: the workflow is not live.
    """
    now = clock.now()
    try:
        with writing(engine, "backfill") as conn:
            bundle = library.newest(conn)
            workflow = _workflow(conn, bundle, workflow_name)
            wanted = (
                _of_order(conn, workflow, order_number) if order_number else _since(conn, workflow, since or now, now)
            )
            asked = _enroll(conn, wanted, workflow, bundle, start_now=start_now, now=now)
            late = _too_late(conn, asked, library=library, now=now)
            asked = [replace(one, too_late=one.result.enrollment_id in late) for one in asked]
            if dry_run:
                raise _DryRun(asked)
            entered = sum(one.result.enrollment_id is not None for one in asked)
            audit.add(conn, ACTION, {"workflow": workflow_name, "asked": len(asked), "entered": entered}, now=now)
    except _DryRun as dry:
        return dry.asked
    return asked


def _workflow(conn: Connection, bundle: Bundle, name: str) -> Workflow:
    workflow = bundle.workflows.get(name)
    if workflow is None:
        if name in lessons.known_workflows(conn):
            back = f"Put workflows/{name}.yaml back, then followup apply; followup bundles list says when it went"
            raise NotFound(f"workflow {name!r} was deleted, and takes nobody in any more", hint=back)
        raise find.no_workflow(name, bundle.workflows)
    if workflow.status is not WorkflowStatus.LIVE:
        back = f"followup resume {name}" if name in bundle.switched else "Set status: live, then followup apply"
        raise UsageError(f"{name} is {workflow.status.value}", hint=back)
    return workflow


def _kind(workflow: Workflow) -> str:
    """Return the event a run counts from; one that is only started by hand counts from the order."""
    return EventKind.ORDER_PLACED if workflow.trigger.event == "manual" else workflow.trigger.event


def _of_order(conn: Connection, workflow: Workflow, number: str) -> list[events.Recorded]:
    found = find.orders_called(conn, number)
    recorded = [events.of_order(conn, one.order.id, _kind(workflow)) for one in found]
    happened = [one for one in recorded if one is not None]
    if not happened:
        raise NotFound(
            f"{_kind(workflow)} has not happened to order {number}, so {workflow.name} has nothing to count from"
        )
    return happened


def _since(conn: Connection, workflow: Workflow, since: datetime, now: datetime) -> list[events.Recorded]:
    return events.of_kind_since(conn, _kind(workflow), since, now)


def _enroll(
    conn: Connection,
    wanted: list[events.Recorded],
    workflow: Workflow,
    bundle: Bundle,
    *,
    start_now: bool,
    now: datetime,
) -> list[Asked]:
    asked = []
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        entries = [entry_for(workflow, one, at=now if start_now else one.event.occurred_at) for one in batch]
        numbers = orders.load(conn, [one.event.order_id or 0 for one in batch])
        results = enroll(conn, entries, bundle=bundle, now=now)
        asked += [
            Asked(_named(numbers, one), one.event.occurred_at, result)
            for one, result in zip(batch, results, strict=True)
        ]
    return asked


def _too_late(conn: Connection, asked: Sequence[Asked], *, library: Library, now: datetime) -> set[int]:
    """Return the runs whose first letter is older than max_late allows, where that is the next thing to happen."""
    entered = [one.result.enrollment_id for one in asked if one.result.enrollment_id is not None]
    late = set()
    for start in range(0, len(entered), BATCH):
        runs = enrollments.by_id(conn, entered[start : start + BATCH])
        for key, one in facts.read(conn, [*runs.values()], library=library, now=now).items():
            decision = decide(one.workflow, one.stored.enrollment, one.facts, now=now)
            letter = next((effect for effect in decision.effects if isinstance(effect, NewMessage)), None)
            if letter and last_chance(one.workflow, letter.step, letter.due_at, one.facts.calendar) < now:
                late.add(key)
    return late


def entry_for(workflow: Workflow, trigger: events.Recorded, *, at: datetime) -> Entry:
    """Return the request to let in whom *trigger* happened to, however long ago, with a run that counts from *at*."""
    return Entry(
        workflow=workflow,
        customer_id=trigger.customer_id,
        order_id=trigger.event.order_id,
        trigger=trigger,
        entered_at=at,
        backfill=True,
    )


def _named(known: Mapping[int, Order], one: events.Recorded) -> str:
    """Return the number of the order an event is about; one about none goes by its own."""
    order = known.get(one.event.order_id or 0)
    return order.number if order else f"event {one.event.id}"
