"""
Trying a workflow as it stands in the folder: on a made-up customer, or on a copy of a real one.

The trigger happens when somebody says so, whatever it is; what else a sample's order goes through happens around it.
The workflow runs as if it were live and nobody were held out. No other one does, unless it is started by this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.authoring.diagnostics import did_you_mean, listed
from followup.authoring.samples import Sample, placed
from followup.core.chance import variant_of
from followup.core.customer import CustomerReport
from followup.core.events import OURS, EventKind, is_custom
from followup.core.order import Purchase
from followup.core.timer import PATIENCE
from followup.core.workflow import Split, Start, Trigger, Workflow, WorkflowStatus
from followup.errors import FollowupError, NotFound, UsageError
from followup.services import backfill, find
from followup.services.begun import Begun
from followup.services.choices import REACHED, Asking, Awaiting, asked, awaited, happening
from followup.services.deliver import Post
from followup.services.enroll import Entry, enroll
from followup.services.library import Library, version_of
from followup.services.moves import Move
from followup.services.rehearsal import A_DAY, Rehearsal
from followup.store import bundles, customers, enrollments, events, orders
from followup.store.engine import reading, writing
from followup.store.excerpt import lift_stops, take_out
from followup.store.scratch import scratch_engine

MOST_TRIED = 200_000  # ids of customers that are looked through for one who goes a wanted way
USUAL = {  # after an order was placed, where a sample does not say
    "paid": timedelta(minutes=10),
    "fulfilled": timedelta(days=2),
    "promised": timedelta(days=6),
    "delivered": timedelta(days=5),
    "cancelled": timedelta(days=1),
}
LATER = timedelta(hours=1)  # after everything else, for a trigger that no order brings about
YEARS = range(1971, 3000)  # in which a simulation may begin, so that what was before and comes after can be reckoned
MANUAL = "manual"
WORDS = "There is something I would like to tell you."  # a free reply that matches no answer


class Kind(StrEnum):
    """How a customer responds to a question."""

    ANSWER = "answer"  # by one of the answers it offers
    REPLY = "reply"  # by mail, in their own words
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class Response:
    kind: Kind
    text: str = ""

    def __str__(self) -> str:
        return self.text if self.kind is Kind.ANSWER else self.kind.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a simulation needs besides the customer; ``close_after`` as for a `Rehearsal`."""

    bundle: Bundle  # the folder
    workflow: str
    at: datetime  # when the trigger happens
    post: Post
    close_after: timedelta | None = A_DAY

    @property
    def meant(self) -> Workflow:
        return self.bundle.workflows[self.workflow]

    @property
    def scope(self) -> frozenset[str]:
        """Return the workflow and those it can start, directly or not."""
        found, ahead = set[str](), [self.workflow]
        while ahead:
            name = ahead.pop()
            if name in found or name not in self.bundle.workflows:
                continue
            found.add(name)
            steps = self.bundle.workflows[name].all_steps
            ahead += [step.workflow for step in steps if isinstance(step, Start)]
        return frozenset(found)

    @property
    def splits(self) -> list[tuple[Workflow, Split]]:
        """Return every split of the workflows in scope."""
        workflows = [self.bundle.workflows[name] for name in sorted(self.scope)]
        return [(workflow, step) for workflow in workflows for step in workflow.all_steps if isinstance(step, Split)]


@dataclass(slots=True)
class Simulated:
    """
    What came of it: the moves from the trigger on, and what was given and not needed.

    ``in_vain`` are the waits that went on although their event was made to happen.
    """

    moves: list[Move]
    unused: list[Response] = field(default_factory=list)
    not_happened: list[str] = field(default_factory=list)
    in_vain: list[Awaiting] = field(default_factory=list)


def setting(
    bundle: Bundle, workflow: str, *, at: datetime, post: Post, close_after: timedelta | None = A_DAY
) -> Setting:
    """
    Return the setting for *workflow* of the folder.

    Raises:
        NotFound: there is no such workflow.
        UsageError: *at* is too far away.
    """
    if at.year not in YEARS:
        hint = f"The years {YEARS[0]} to {YEARS[-1]} can be simulated"
        raise UsageError(f"{at.date().isoformat()} is too far away to be simulated", hint=hint)
    if workflow not in bundle.workflows:
        hint = find.nearest(workflow, bundle.workflows) or f"There are {', '.join(sorted(bundle.workflows))}"
        raise NotFound(f"there is no workflow {workflow!r}", hint=hint)
    return Setting(bundle=bundle, workflow=workflow, at=at, post=post, close_after=close_after)


def simulate(
    rehearsal: Rehearsal,
    chosen: Setting,
    responses: Sequence[Response],
    happens: Sequence[str] = (),
) -> Simulated:
    """
    Play a prepared rehearsal to its end.

    Args:
        responses: to the questions, in the order in which they reach the customer; then there is silence.
        happens: events that happen, each to the next wait for it.

    Raises:
        UsageError: a response is none of the answers that the question offers, or an event cannot be made to happen.
        FollowupError: the trigger asked for no entry.
    """
    left, coming, made = list(responses), list(happens), list[Awaiting]()
    begun = beginning(rehearsal, chosen)
    rehearsal.begin()
    while True:
        own = begun.runs(rehearsal)
        for question in asked(rehearsal):
            if question.run in own and left:
                respond(rehearsal, question, left.pop(0))
        for wait in awaited(rehearsal):
            if wait.run in own and wait.event in coming:
                coming.remove(wait.event)
                if wait.obstacle:
                    raise UsageError(f"{wait.event} cannot be made to happen at {wait.step}: {wait.obstacle}")
                bring_about(rehearsal, wait)
                made.append(wait)
        if not rehearsal.step():
            break
    if begun.entry(rehearsal) is None:
        raise FollowupError(f"the trigger of {chosen.workflow} has let nobody in")
    moves = begun.moves(rehearsal)
    return Simulated(moves, left, coming, [wait for wait in made if wait.waited_on(moves)])


def check_events(chosen: Setting, happens: Sequence[str]) -> None:
    """
    Make sure that events which are to happen are known ones, or named by a workflow of the folder.

    Raises:
        UsageError: one is not; the hint names the nearest.
    """
    named = {event for workflow in chosen.bundle.workflows.values() for event in workflow.events}
    known = (OURS | named) - {MANUAL}
    for event in happens:
        if event not in known:
            hint = find.nearest(event, known) or f"The folder names {listed(sorted(named - {MANUAL}))}"
            raise UsageError(f"no workflow of the folder names an event {event!r}", hint=hint)


def beginning(rehearsal: Rehearsal, chosen: Setting) -> Begun:
    """Return how to tell the run that a prepared rehearsal is about to begin from the customer's other ones."""
    assert rehearsal.purchase is not None, "a simulation is about an order"
    past = frozenset((move.run, move) for move in rehearsal.moves)
    return Begun(chosen.workflow, chosen.scope, chosen.at, rehearsal.purchase.order.number, past)


def bring_about(rehearsal: Rehearsal, wait: Awaiting) -> None:
    """Have an awaited event happen, a while after the wait for it began and at no other time."""
    rehearsal.unplan(wait.event)
    rehearsal.plan(wait.at, happening(wait), kind=wait.event)


def respond(rehearsal: Rehearsal, question: Asking, response: Response) -> None:
    """
    Have the customer respond to a question, a while after it came.

    Raises:
        UsageError: it offers no such answer.
    """
    if response.kind is Kind.ANSWER:
        _check(question, response.text)
        rehearsal.plan(question.answered_at, lambda other: other.answer(question.token, response.text))
    elif response.kind is Kind.REPLY:
        rehearsal.plan(question.answered_at, lambda other: other.reply(question.token, response.text))


def _check(question: Asking, answer: str) -> None:
    if answer in question.offered:
        return
    if not question.offered:
        raise UsageError(f"{question.letter} offers no answers to choose from", hint='Write --reply "in words"')
    meant = did_you_mean(answer, question.offered)
    offers = f"It offers {', '.join(question.offered)}"
    hint = f"{offers}. Did you mean {meant!r}?" if meant else offers
    raise UsageError(f"{answer!r} is no answer to {question.letter}", hint=hint)


# who it happens to


def customers_who_take(chosen: Setting, variants: Sequence[str]) -> int:
    """
    Return the id of a customer who takes these *variants*.

    Args:
        variants: each ``NAME`` where one split alone has it, or ``SPLIT=NAME``; SPLIT may be ``WORKFLOW/SPLIT``.

    Raises:
        UsageError: no split, or more than one, has a variant by one of the names, or nobody takes all of them.
    """
    wanted = [named_variant(chosen, written) for written in variants]
    for customer_id in range(1, MOST_TRIED):
        if all(variant_of(workflow, split, customer_id).name == name for workflow, split, name in wanted):
            return customer_id
    raise UsageError(f"nobody goes all these ways: {', '.join(variants)}")


def named_variant(chosen: Setting, written: str) -> tuple[Workflow, Split, str]:
    """
    Return the split that is meant, with its workflow, and the name of the variant.

    Raises:
        UsageError: there is none, or more than one.
    """
    place, _, name = written.rpartition("=")
    splits = [one for one in chosen.splits if not place or place in {one[1].id, f"{one[0].name}/{one[1].id}"}]
    if not splits and chosen.splits:
        places = [split.id for _, split in chosen.splits]
        hint = find.nearest(place, places) or f"There are {', '.join(sorted(places))}"
        raise UsageError(f"{chosen.workflow} comes to no split {place!r}", hint=hint)
    known = {variant.name for _, split in splits for variant in split.variants}
    if name not in known:
        hint = find.nearest(name, known) or (f"There are {', '.join(sorted(known))}" if known else "")
        raise UsageError(f"no split of {chosen.workflow} has a variant {name!r}", hint=hint)
    found = [one for one in splits if name in {variant.name for variant in one[1].variants}]
    if len(found) > 1:
        ids = [split.id for _, split in found]
        ways = [
            f"{split.id if ids.count(split.id) == 1 else f'{workflow.name}/{split.id}'}={name}"
            for workflow, split in found
        ]
        raise UsageError(f"{len(found)} splits have a variant {name!r}", hint=f"Write --variant {' or '.join(ways)}")
    return *found[0], name


def on_sample(chosen: Setting, sample: Sample, *, customer_id: int = 1) -> Rehearsal:
    """Return a rehearsal in which the trigger happens to a made-up customer; nothing of it has happened yet."""
    shop = _Shop(sample, chosen.meant.trigger, chosen.at)
    engine = scratch_engine()
    rehearsal = _rehearsal(engine, sample.customer.address, chosen, at=shop.placed_at)
    _put_in_force(engine, chosen.bundle, at=shop.placed_at)
    with writing(engine, "simulate.customer") as conn:
        customers.put(
            conn,
            customer_id,
            sample.customer.address,
            tags=sample.tags,
            remembered=sample.remembered,
            at=shop.placed_at - A_DAY,
        )
    rehearsal.purchase = shop.at_first
    rehearsal.plan(shop.placed_at, Rehearsal.report)
    for status, moment in shop.milestones:
        rehearsal.plan(moment, partial(Rehearsal.reach, status=status), kind=f"order.{status.value}")
    event = chosen.meant.trigger.event
    number = sample.order.number
    if event == MANUAL:
        rehearsal.plan(chosen.at, lambda other: _let_in_by_hand(other, chosen.workflow, number))
    elif is_custom(event):
        rehearsal.plan(chosen.at, lambda other: other.happen(event, order_number=number), kind=event)
    return rehearsal


class _Shop:
    """When a sample's order was placed, and what it goes through then, so that a trigger falls on a moment."""

    def __init__(self, sample: Sample, trigger: Trigger, at: datetime) -> None:
        spans = dict(sample.milestones)
        event = trigger.event
        name = event.removeprefix("order.")
        last = max((span for key, span in spans.items() if key != "promised"), default=timedelta())
        if event == EventKind.ORDER_PROMISE_MISSED:
            offset = spans.setdefault("promised", USUAL["promised"]) + PATIENCE
            if spans.get("delivered", offset) <= offset:
                spans["delivered"] = offset + 2 * A_DAY
        elif event == EventKind.ORDER_CANCELLED:
            offset = USUAL["cancelled"]
            spans = {key: span for key, span in spans.items() if span < offset or key == "promised"}
        elif event == EventKind.ORDER_REFUNDED:
            offset = last + 3 * A_DAY
        elif event == EventKind.CUSTOMER_QUIET:
            assert trigger.after is not None
            offset = trigger.after
        elif event == EventKind.ORDER_PLACED:
            offset = timedelta()
        elif event in REACHED:
            offset = spans.setdefault(name, USUAL[name])
        else:
            offset = last + LATER
        if event in {EventKind.ORDER_CANCELLED, EventKind.ORDER_REFUNDED}:
            spans[name] = offset
        self.placed_at = at - offset
        promised = {key: span for key, span in spans.items() if key == "promised"}  # known from the first
        self.at_first = placed(replace(sample, milestones=promised), self.placed_at)
        reached = {status: spans[status.value] for status in REACHED.values() if status.value in spans}
        self.milestones = [(status, self.placed_at + span) for status, span in reached.items()]


def _rehearsal(engine: Engine, address: str, chosen: Setting, *, at: datetime) -> Rehearsal:
    library = Library(as_if_live(chosen))
    return Rehearsal(engine, address, library=library, post=chosen.post, at=at, close_after=chosen.close_after)


def as_if_live(chosen: Setting) -> Bundle:
    """Return the folder in which the workflows in scope run, and no other; nobody is held out."""
    scope = chosen.scope

    def meant(workflow: Workflow) -> Workflow:
        if workflow.name not in scope:
            return replace(workflow, status=WorkflowStatus.DRAFT)
        live = replace(workflow, status=WorkflowStatus.LIVE, holdout=0.0)
        started = workflow.name != chosen.workflow and not workflow.is_about_void_orders
        return replace(live, trigger=replace(live.trigger, event=MANUAL)) if started else live  # by nothing else

    return replace(chosen.bundle, workflows={name: meant(one) for name, one in chosen.bundle.workflows.items()})


def _put_in_force(engine: Engine, bundle: Bundle, *, at: datetime) -> None:
    """Make the folder what runs, whatever an operator has stopped; its files are in the library already."""
    with writing(engine, "simulate.apply") as conn:
        lift_stops(conn)
        bundles.add(conn, bundle.hash, {}, now=at)
        bundles.version_ids(conn, {name: version_of(bundle, name) for name in bundle.workflows})


def _let_in_by_hand(rehearsal: Rehearsal, workflow: str, number: str) -> None:
    backfill.trigger(
        rehearsal.engine,
        workflow,
        order_number=number,
        since=None,
        start_now=True,
        dry_run=False,
        library=rehearsal.library,
        clock=rehearsal.clock,
    )


def on_order(source: Engine, chosen: Setting, number: str, *, now: datetime) -> Rehearsal:
    """
    Return a rehearsal on a copy of a real customer, in which a run about their order begins.

    Were they in that workflow with this order before, that run is left out.

    Raises:
        NotFound: there is no such order.
        UsageError: several orders go by that number, its customer is erased, or the run would begin before *now*.
    """
    if chosen.at < now:
        raise UsageError(f"{chosen.at.isoformat()} is past", hint="With --order a run begins now or later")
    with reading(source) as conn:
        found = find.orders_called(conn, number)
        if len(found) > 1:
            raise UsageError(f"{len(found)} orders go by {number!r}", hint="Name one by its id in its shop")
        order_id, customer_id = found[0].order.id, found[0].customer_id
        address = customers.address_of(conn, customer_id)
        report = orders.report_of(conn, order_id)
    if address is None:
        raise UsageError(f"the customer of order {number} is not on the record any more")
    rehearsal = Rehearsal.of_customer(
        source,
        address,
        customer_id,
        library=Library(as_if_live(chosen)),
        post=chosen.post,
        at=chosen.at,
        close_after=chosen.close_after,
    )
    _put_in_force(rehearsal.engine, chosen.bundle, at=chosen.at)
    rehearsal.purchase = Purchase(CustomerReport(address=address, email=address), report)
    _leave_out(rehearsal, chosen, customer_id, order_id)
    rehearsal.plan(chosen.at, lambda other: _enter(other, chosen, customer_id, order_id))
    return rehearsal


def _leave_out(rehearsal: Rehearsal, chosen: Setting, customer_id: int, order_id: int) -> None:
    """Take out the run that there was for the same reason."""
    with writing(rehearsal.engine, "simulate.leave_out") as conn:
        key = _entry(conn, rehearsal, chosen, customer_id, order_id).key
        for run in enrollments.of_customer(conn, customer_id):
            if (run.enrollment.workflow, run.entry_key) == (chosen.workflow, key):
                take_out(conn, run.id)
    rehearsal.look_again()


def _enter(rehearsal: Rehearsal, chosen: Setting, customer_id: int, order_id: int) -> None:
    with writing(rehearsal.engine, "simulate.enter") as conn:
        entry = _entry(conn, rehearsal, chosen, customer_id, order_id)
        enroll(conn, [entry], bundle=rehearsal.library.newest(conn), now=rehearsal.clock.now())


def _entry(conn: Connection, rehearsal: Rehearsal, chosen: Setting, customer_id: int, order_id: int) -> Entry:
    workflow = rehearsal.library.newest(conn).workflows[chosen.workflow]
    return Entry(
        workflow=workflow,
        customer_id=customer_id,
        order_id=order_id,
        trigger=events.of_order(conn, order_id, workflow.trigger.event),
        entered_at=rehearsal.clock.now(),
        backfill=True,
    )
