"""Why something happened to an order or a customer, and why something did not: everything the record has on it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle, load_workflow
from followup.core.asks import timeout_at
from followup.core.customer import Customer, normalize_address
from followup.core.enrollment import EnrollmentState, Phase
from followup.core.events import ORDER_EVENTS, Event, EventKind
from followup.core.message import MessageState
from followup.core.order import Order
from followup.core.reach import Reach, reach
from followup.core.replies import Response
from followup.core.schedule import Calendar
from followup.core.transfer import matches
from followup.core.workflow import Ask, WaitFor, Workflow, WorkflowStatus
from followup.errors import NotFound
from followup.services import backfill, facts, find
from followup.services.deploy import APPLY, ROLLBACK
from followup.services.enroll import would_enter
from followup.services.facts import Known, calendar_for
from followup.services.library import Library
from followup.services.moves import CAUSE, EFFECT, Place, Places
from followup.store import (
    audit,
    bundles,
    conversations,
    customers,
    decisions,
    enrollments,
    events,
    halts,
    messages,
    orders,
    replies,
    switches,
)
from followup.store.decisions import Decided
from followup.store.engine import reading
from followup.store.enrollments import StoredEnrollment
from followup.store.messages import StoredMessage

BY_HAND = "manual"  # the trigger of workflows that nothing starts by itself
TURNS = frozenset(["branch", "split", "skipped"])  # what is decided where a run may go one way or another
ENDS = frozenset(["ended", "exited", "held_out"])


class Awaits(StrEnum):
    """What a run waits for."""

    WORKER = "a worker"  # something is due, and nobody has looked at the run yet
    TIME = "time"
    EVENT = "an event"
    ANSWER = "an answer"


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    What a run waits for at ``step``, and until when at most; ``what`` names the event, or the letter to be answered.

    ``until`` of a run that nobody has looked at yet is when that fell due. ``reminds_at`` is when a question that is
    not answered is asked again.
    """

    on: Awaits
    step: str
    until: datetime
    what: str = ""
    reminds_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """
    One enrollment, with its messages, what was answered to them, and the version of its workflow.

    ``entered`` is the version it came into. ``under_way`` is the state of the letter that it waits for where it stands,
    ``waiting`` what else it waits for, and ``stopped`` why an operator lets no letter of it leave. Where only one step
    was asked about, and nothing of it is on the record, ``reach`` is how the run stands to it, and ``turn`` what was
    decided last of what keeps it from there.
    """

    enrollment: StoredEnrollment
    workflow: Workflow
    messages: list[StoredMessage]
    responses: list[Response]
    entered: Workflow
    under_way: MessageState | None = None
    waiting: Waiting | None = None
    stopped: str | None = None
    reach: Reach | None = None
    turn: Decided | None = None

    def step_of(self, decided: Decided) -> str | None:
        """
        Return the step that something *decided* is about, in the version that the run is in; None: it is gone.

        An id is what its step is known by; where it only counts, what was decided before the run was moved speaks of
        the version it came into. Should it have been in another one between the two, in which steps had yet other
        numbers, that cannot be told any more.
        """
        moved_at, now = self.enrollment.enrollment.moved_at, self.workflow.step(decided.step or "")
        if moved_at is None or decided.at > moved_at or self.entered is self.workflow or decided.step is None:
            return decided.step
        if now is not None and not now.numbered:
            return decided.step
        return matches(self.entered, self.workflow).get(decided.step)

    def is_about(self, decided: Decided, step: str) -> bool:
        """Tell whether something *decided* is about *step*, also one that the version of the run has no more."""
        return self.step_of(decided) == step or (self.workflow.step(step) is None and decided.step == step)

    def story(self, decided: Iterable[Decided]) -> "list[tuple[datetime, StoredMessage | Response | Decided]]":
        """Return letters, answers and what was *decided*, by when they were; of one moment, what led to what first."""
        places = Places.of(self.enrollment.id, self.workflow)
        placed: list[tuple[Place, StoredMessage | Response | Decided]] = [
            (places.of_decision(one), one) for one in decided
        ]
        placed += [(places.at_step(one.at, one.step, CAUSE), one) for one in self.responses]
        for letter in self.messages:
            at = letter.accepted_at or letter.sending_at or letter.due_at
            if at is not None:  # a letter that is due again has no time of sending any more
                placed.append((places.at_step(at, letter.step, EFFECT), letter))
        return [(place[0], one) for place, one in sorted(placed, key=lambda one: one[0])]


@dataclass(frozen=True, slots=True)
class Unseen:
    """
    A workflow that did not look at an order, or at a customer, and why.

    ``by_hand`` tells whether the order would be let in if somebody asked for it; ``refused`` is why not, if that was
    looked at.
    """

    workflow: str
    reason: str
    values: Mapping[str, object] = field(default_factory=dict)
    by_hand: bool = False
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Why:
    """
    Everything that was decided about an order, in the order it was, how its runs stand, and who never looked at it.

    ``order`` is None for what is about a customer and no order. ``halted`` is why no letter leaves at all, if none
    does; ``asked_for`` has workflow and moment of each time when somebody asked by hand to let orders in. ``waits_for``
    is who of ours the customer waits for, and since when.
    """

    order: Order | None
    customer: Customer
    calendar: Calendar
    runs: list[Run]
    decisions: list[Decided]
    unseen: list[Unseen]
    step: str | None = None  # the only one that was asked about
    halted: str | None = None
    asked_for: frozenset[tuple[str, datetime]] = frozenset()
    waits_for: tuple[str, datetime] | None = None

    def of_run(self, run: Run) -> list[Decided]:
        """Return what was decided in *run*."""
        return [one for one in self.decisions if one.enrollment_id == run.enrollment.id]

    def is_by_hand(self, decided: Decided) -> bool:
        """Tell whether somebody had asked for the entry that was decided about."""
        return (decided.workflow, decided.at) in self.asked_for

    @property
    def refused(self) -> list[Decided]:
        """Return what was decided outside of all runs: who was not let in."""
        return [one for one in self.decisions if one.enrollment_id is None]


def about_order(engine: Engine, number: str, *, library: Library, now: datetime, step: str | None = None) -> list[Why]:
    """
    Explain the order called *number* (of each source that has one), or only what concerns *step* of its workflows.

    Raises:
        NotFound: there is none, or no such step; the hint names the nearest.
    """
    with reading(engine) as conn:
        explained = []
        for one in find.orders_called(conn, number):
            record = _Record(conn, one.customer_id, library, now)
            runs = record.runs(enrollments.of_order(conn, one.order.id))
            ids = [run.enrollment.id for run in runs]
            decided = decisions.about(conn, order_id=one.order.id, enrollment_ids=ids)
            explained.append(record.why(one.order, runs, decided, record.workflows))
        return _only(explained, step, library.find_newest(conn)) if step else explained


def about_customer(
    engine: Engine, email: str, *, library: Library, now: datetime, step: str | None = None
) -> list[Why]:
    """
    Explain each order of the customer with this address, oldest first, and last what is about no order.

    Raises:
        InvalidAddress: it is no address.
        NotFound: it is nobody's, or there is no such step; the hint names the nearest.
    """
    with reading(engine) as conn:
        customer_id = find.customer_id(conn, normalize_address(email), typed=email)
        record = _Record(conn, customer_id, library, now)
        runs = record.runs(enrollments.of_customer(conn, customer_id))
        decided = decisions.of_customer(conn, customer_id)
        explained = [
            record.why(
                order,
                [run for run in runs if run.enrollment.order_id == order.id],
                _about(order, runs, decided),
                [one for one in record.workflows if one.trigger.event in ORDER_EVENTS],
            )
            for order in record.orders(runs, decided)
        ]
        others = [one for one in record.workflows if one.trigger.event not in ORDER_EVENTS]
        seen = {run.workflow.name for run in runs} | {one.workflow for one in decided}
        explained.append(
            record.why(
                None,
                [run for run in runs if run.enrollment.order_id is None],
                _about(None, runs, decided),
                [one for one in others if one.name not in seen],
            )
        )
        return _only(explained, step, library.find_newest(conn)) if step else explained


def _under_way(run: StoredEnrollment, letters: Iterable[StoredMessage]) -> MessageState | None:
    position = run.enrollment.position
    if position.phase is not Phase.SENDING:
        return None
    return next((letter.state for letter in letters if letter.step == position.step), None)


def _awaited(run: StoredEnrollment, known: Known, now: datetime) -> Waiting | None:
    """Return what an active run waits for, if that is something else than its letter."""
    position, wake_at = run.enrollment.position, run.wake_at
    if wake_at is None or position.step is None:
        return None
    if wake_at <= now:
        return Waiting(Awaits.WORKER, position.step, wake_at)
    step = known.workflow.step(position.step)
    if isinstance(step, WaitFor):
        return Waiting(Awaits.EVENT, step.id, wake_at, step.event)
    sent = known.facts.sent.get((position.step, 0))
    gives_up = timeout_at(step, sent, known.facts) if isinstance(step, Ask) and sent else None
    if isinstance(step, Ask) and gives_up is not None:
        is_marked = any(one.step == step.id for one in known.facts.responses)  # who opened an answer is not reminded
        reminds_at = wake_at if wake_at < gives_up and not is_marked else None
        return Waiting(Awaits.ANSWER, step.id, gives_up, step.letter, reminds_at)
    return Waiting(Awaits.TIME, position.step, wake_at)


def _about(order: Order | None, runs: Iterable[Run], decided: Iterable[Decided]) -> list[Decided]:
    """Return what was decided in those of *runs* that are about *order*, and about it outside of all runs."""
    order_id = order.id if order else None
    ids = {run.enrollment.id for run in runs if run.enrollment.order_id == order_id}
    return [
        one for one in decided if (one.order_id == order_id if one.enrollment_id is None else one.enrollment_id in ids)
    ]


class _Record:
    """What is on record about one customer, as far as several explanations need it."""

    def __init__(self, conn: Connection, customer_id: int, library: Library, now: datetime) -> None:
        self.conn, self.library, self.now = conn, library, now
        self.customer = customers.load(conn, [customer_id], now=now)[customer_id]
        self.bundle = bundle = library.find_newest(conn)
        self.halted = next((halt.reason for halt in halts.current(conn).values()), None)
        self.switched = switches.current(conn)
        self.waits_for = conversations.waiting_with(conn, customer_id)
        self.asked_for = frozenset((str(one.data["workflow"]), one.at) for one in audit.of(conn, [backfill.ACTION]))
        self.calendar = calendar_for(self.customer, None, bundle)
        self.workflows = [one for _, one in sorted(bundle.workflows.items())] if bundle else []

    def runs(self, found: Sequence[StoredEnrollment]) -> list[Run]:
        written = messages.of_enrollments(self.conn, [run.id for run in found])
        said = replies.responses(self.conn, [run.id for run in found])
        waiting = self._waiting([run for run in found if run.enrollment.state is EnrollmentState.ACTIVE])
        return [
            Run(
                run,
                self.library.workflow(self.conn, run.version_id),
                letters,
                said.get(run.id, []),
                self.library.workflow(self.conn, run.entered_version_id),
                under_way=_under_way(run, letters),
                waiting=waiting.get(run.id),
                stopped=self._stopped(run.enrollment.workflow),
            )
            for run in found
            for letters in [written.get(run.id, [])]
        ]

    def _waiting(self, active: Sequence[StoredEnrollment]) -> dict[int, Waiting]:
        known = facts.read(self.conn, active, library=self.library, now=self.now)
        found = ((run.id, _awaited(run, known[run.id], self.now)) for run in active)
        return {run_id: waiting for run_id, waiting in found if waiting is not None}

    def _stopped(self, workflow: str) -> str | None:
        if self.halted is not None:
            return f"everything is halted: {self.halted}"
        if switch := self.switched.get(workflow):
            return f"{workflow} is {switch.status.value}: {switch.reason}"
        meant = self.bundle.workflows.get(workflow) if self.bundle else None
        return f"{workflow} is paused" if meant and meant.status is WorkflowStatus.PAUSED else None

    def orders(self, runs: Iterable[Run], decided: Iterable[Decided]) -> list[Order]:
        """Return the customer's orders, oldest first, with those that were theirs when something was decided."""
        known = {order.id: order for order in orders.of_customer(self.conn, self.customer.id)}
        concerned = {run.enrollment.order_id for run in runs} | {one.order_id for one in decided}
        known |= orders.load(self.conn, [key for key in concerned - known.keys() if key is not None])
        return sorted(known.values(), key=lambda order: (order.placed_at, order.id))

    def why(self, order: Order | None, runs: list[Run], decided: list[Decided], could: Iterable[Workflow]) -> Why:
        """Explain *order*; *could* are the workflows that it, or the customer, could have come into."""
        seen = {run.workflow.name for run in runs} | {one.workflow for one in decided}
        unseen = [self._did_not_look(one, order) for one in could if one.name not in seen]
        return Why(
            order,
            self.customer,
            self.calendar,
            runs,
            decided,
            unseen,
            halted=self.halted,
            asked_for=self.asked_for,
            waits_for=self.waits_for,
        )

    def _did_not_look(self, workflow: Workflow, order: Order | None) -> Unseen:
        kind = workflow.trigger.event
        if workflow.status is WorkflowStatus.DRAFT:
            return Unseen(workflow.name, "it is a draft")
        if kind == BY_HAND:
            return Unseen(workflow.name, "it is started by hand, or by another workflow, and was not")
        event = self._begins(workflow, order)
        if event is not None:
            return self._by_hand(self._not_then(workflow, event), workflow, order)
        as_last = " with this order as their last" if order and kind == EventKind.CUSTOMER_QUIET else ""
        return Unseen(workflow.name, f"{kind} has not happened{as_last}")

    def _by_hand(self, unseen: Unseen, workflow: Workflow, order: Order | None) -> Unseen:
        """Return *unseen* with whether the order would be let in by hand, as it can be while *workflow* is live."""
        recorded = events.of_order(self.conn, order.id, workflow.trigger.event) if order else None
        if recorded is None or self.bundle is None or workflow.status is not WorkflowStatus.LIVE:
            return unseen
        entry = backfill.entry_for(workflow, recorded, at=recorded.event.occurred_at)
        (refused,) = would_enter(self.conn, [entry], bundle=self.bundle, now=self.now)
        return replace(unseen, by_hand=refused is None, refused=refused.reason if refused else "")

    def _begins(self, workflow: Workflow, order: Order | None) -> Event | None:
        """Return what has happened that lets *order*, or the customer, into *workflow*."""
        kind = workflow.trigger.event
        if order is not None and kind != EventKind.CUSTOMER_QUIET:
            recorded = events.of_order(self.conn, order.id, kind)
            return recorded.event if recorded else None
        for event in reversed(self._timeline):
            theirs = kind != EventKind.CUSTOMER_QUIET or event.data.get("workflow") == workflow.name
            if event.kind == kind and theirs and (order is None or event.order_id == order.id):
                return event
        return None

    @cached_property
    def _timeline(self) -> list[Event]:
        return events.timeline(self.conn, self.customer.id)

    def _not_then(self, workflow: Workflow, event: Event) -> Unseen:
        """Return why an event that happened was nothing to *workflow* when it was recorded."""
        recorded_at = events.recorded_at(self.conn, event.id)
        values: dict[str, object] = {"happened_at": event.occurred_at, "recorded_at": recorded_at}
        applied = audit.last(self.conn, {APPLY, ROLLBACK}, by=recorded_at)
        path = f"workflows/{workflow.name}.yaml"
        source = bundles.load(self.conn, str(applied["bundle"])).files.get(path) if applied else None
        if source is None:
            return Unseen(workflow.name, f"it was not applied yet when {event.kind} was recorded", values)
        then = load_workflow(workflow.name, source)
        if then.status is WorkflowStatus.DRAFT:
            return Unseen(workflow.name, f"it was a draft when {event.kind} was recorded", values)
        if then.trigger.event != event.kind:
            return Unseen(workflow.name, f"its trigger was {then.trigger.event} when {event.kind} was recorded", values)
        return Unseen(workflow.name, f"{event.kind} came by an import that lets nobody in", values)


def _only(explained: Sequence[Why], step: str, bundle: Bundle | None) -> list[Why]:
    """
    Return what concerns *step*.

    Raises:
        NotFound: no workflow has it that could have to do with them.
    """
    newest = bundle.workflows if bundle else {}
    refused = {one.workflow for why in explained for one in why.refused}
    named = refused | {one.workflow for why in explained for one in why.unseen}
    others = [newest[name] for name in sorted(named & newest.keys())]
    steps = {one.id: None for workflow in [*_versions(explained), *others] for one in workflow.all_steps}
    steps |= {one.step: None for why in explained for one in why.decisions if one.step}  # also what is gone by now
    steps |= {one.step: None for why in explained for run in why.runs for one in run.messages}
    if step not in steps:
        hint = find.nearest(step, steps) or f"The steps are: {', '.join(steps) or 'none'}"
        raise NotFound(f"no workflow that has to do with this has a step {step!r}", hint=hint)
    holding = {workflow.name for workflow in others if workflow.step(step)}
    narrowed = (_narrowed(why, step, holding) for why in explained)
    return [why for why in narrowed if why.runs or why.decisions or why.unseen]


def _versions(explained: Iterable[Why]) -> list[Workflow]:
    return [run.workflow for why in explained for run in why.runs]


def _narrowed(why: Why, step: str, holding: Collection[str]) -> Why:
    """Return *why* with nothing but what concerns *step*; *holding* are the workflows that have it by now."""
    runs = [_run_at(run, why.of_run(run), step) for run in why.runs if _has_to_do_with(run, why.of_run(run), step)]
    ids = {run.enrollment.id: run for run in runs}
    decided = [
        one
        for one in why.decisions
        if (one.enrollment_id in ids and ids[one.enrollment_id].is_about(one, step))
        or (one.enrollment_id is None and one.workflow in holding)
    ]
    unseen = [one for one in why.unseen if one.workflow in holding]
    return replace(why, runs=runs, decisions=decided, unseen=unseen, step=step)


def _has_to_do_with(run: Run, decided: Iterable[Decided], step: str) -> bool:
    written = any(message.step == step for message in run.messages)
    return run.workflow.step(step) is not None or written or any(run.is_about(one, step) for one in decided)


def _run_at(run: Run, decided: Sequence[Decided], step: str) -> Run:
    letters = [message for message in run.messages if message.step == step]
    if letters or any(run.is_about(one, step) for one in decided):
        return replace(
            run,
            messages=letters,
            responses=[one for one in run.responses if one.step == step],
            waiting=run.waiting if run.waiting and run.waiting.step == step else None,
        )
    turning = (one for one in decided if one.message_id is None and one.verdict in TURNS)
    turns = {at: one for one in turning if (at := run.step_of(one))}
    noted = {name: None if one.verdict == "skipped" else one.reason for name, one in turns.items()}
    how, where = reach(run.workflow, run.enrollment.enrollment, noted, step)
    at = run.enrollment.enrollment.position.step
    match how:
        case Reach.PASSED_BY:
            because = [turns[where]] if where in turns else []
        case Reach.NOT_YET:
            because = [one for one in decided if run.step_of(one) == at]
        case Reach.ENDED | Reach.HELD_OUT:
            because = [one for one in decided if one.verdict in ENDS]
        case _:
            because = []
    return replace(run, messages=[], responses=[], reach=how, turn=because[-1] if because else None)
