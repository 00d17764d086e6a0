"""
A workflow: what a marketer described, as values.

Steps form a tree (branches and splits hold lists of steps) and run forward only: after the last step of a
branch comes whatever follows the branch itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from functools import cached_property

from followup.core.schedule import Duration, SendWindow

NO_TIME = Duration()
FINISHED = "finished"  # the outcome of a run that came to its end without a stop


class WorkflowStatus(StrEnum):
    DRAFT = "draft"  # can be looked at, takes nobody in
    LIVE = "live"
    PAUSED = "paused"  # takes nobody in; people inside wait
    ARCHIVED = "archived"  # by an operator only: takes nobody in, and nobody is inside any more


@dataclass(frozen=True, slots=True)
class Condition:
    """
    A yes/no question about the facts.

    Equality is by source, so that two readings of the same file compare equal. ``names`` are the
    dotted names it reads (``order.total``), for explaining an outcome.
    """

    source: str
    test: Callable[[Mapping[str, object]], bool] = field(compare=False, repr=False)
    names: tuple[str, ...] = field(compare=False, repr=False, default=())

    def __call__(self, names: Mapping[str, object]) -> bool:
        return self.test(names)


@dataclass(frozen=True, slots=True)
class Text:
    """
    A text with names in it, as in ``Order {{ order.number }}``; equality is by source, as for `Condition`.

    A name that is absent leaves nothing behind. ``names`` are those it reads.
    """

    source: str
    fill: Callable[[Mapping[str, object]], str] = field(compare=False, repr=False)
    names: tuple[str, ...] = field(compare=False, repr=False, default=())

    def __call__(self, names: Mapping[str, object]) -> str:
        return self.fill(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    What every step has: an id (given or derived) and an optional condition to run at all.

    A ``numbered`` one has its id from its kind and a count, which says nothing once a step is put in before it.
    """

    id: str
    when: Condition | None = None
    numbered: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Step):
    """
    Let time pass: ``duration``, then on to the next ``until`` on the customer's wall clock, if given.

    ``until_field`` names a date field (``customer.renewal_on``) to wait for instead.
    """

    duration: Duration = NO_TIME
    until: time | None = None
    until_field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter(Step):
    """What ``ask`` and ``send`` share: a letter, and who signs it if not the workflow's sender."""

    letter: str
    sender: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Send(Letter):
    """Send a letter and go on. ``ignore_send_window`` is the reason for sending at any hour."""

    ignore_send_window: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Letter):
    """Send a question, then wait for an answer, at most ``timeout`` from when the provider took it."""

    timeout: Duration
    remind_after: Duration | None = None
    remind_with: str | None = None
    reply_in_thread: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One way out of a branch; ``when`` is None for ``otherwise``."""

    when: Condition | None
    do: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch(Step):
    """Take the first case whose condition holds; without a match, go on after the branch."""

    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor(Step):
    """
    Wait until ``event`` happens to the run's order (to its customer, in a run per customer), at most ``timeout``.

    It may have happened already since the last wait was over. ``timeout`` counts from when the run came here.
    """

    event: str
    where: Condition | None = None
    timeout: Duration


@dataclass(frozen=True, slots=True)
class Variant:
    """One way through a split; out of all weights, this is its part."""

    name: str
    weight: int
    do: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split(Step):
    """Take one variant: always the same one for a customer and a split called ``name`` (core.chance)."""

    name: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff(Step):
    """Open the customer's conversation for ``person``, tell them, and go on."""

    person: str
    note: Text | None = None
    urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remember(Step):
    """Write to the customer's record: ``values`` by field, each a text or a plain value."""

    values: Mapping[str, "Text | str | int | float | bool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Step):
    """Let the same order and customer into another workflow, by its own rules of entry, and go on."""

    workflow: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Step):
    """End the run with an outcome."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Exit:
    """An event that ends a run wherever it stands; ``label`` becomes its outcome."""

    event: str
    where: Condition | None = None
    label: str | None = None


IMPLIED_EXITS: Mapping[str, str] = {  # event: outcome; of orders, only the run's own
    "customer.unsubscribed": "unsubscribed",
    "message.bounced": "bounced",
    "message.complained": "complained",
    "customer.erased": "erased",
    "order.cancelled": "order cancelled",
    "order.refunded": "order refunded",  # fully; decide() looks at the event's data
}


class Per(StrEnum):
    ORDER = "order"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Trigger:
    """``after`` is how long nothing is heard of a customer who has become quiet; no other event has it."""

    event: str  # an event kind, "manual", or the name of an event of the shop's own
    per: Per = Per.ORDER
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """An event by the same customer that the workflow wants to see within a span of the entry; it ends nothing."""

    event: str
    within: timedelta


@dataclass(frozen=True, slots=True)
class ReEntry:
    """May a customer come in again? Never, with every order, or once ``after`` has passed since the last letter."""

    never: bool = False
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """At most ``count`` letters to one customer in any span of ``span``, across all workflows."""

    count: int
    span: timedelta
    skip: bool = False  # when reached: skip the letter instead of postponing it


def inside(step: Step) -> Iterator[tuple[Step, ...]]:
    """Yield the lists of steps that *step* holds."""
    match step:
        case Branch():
            yield from (case.do for case in step.cases)
        case Split():
            yield from (variant.do for variant in step.variants)


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A whole workflow file. ``max_late`` and ``max_postpone`` are explained in core.gates."""

    name: str
    title: str
    status: WorkflowStatus
    trigger: Trigger
    sender: str
    owner: str
    steps: tuple[Step, ...]
    learn: str | None = None
    only_if: tuple[Condition, ...] = ()
    re_entry: ReEntry = ReEntry()
    exit_on: tuple[Exit, ...] = ()
    holdout: float = 0.0  # share of the customers (0 to 1) who get nothing and are measured
    goal: Goal | None = None
    send_window: SendWindow | None = None
    cap: Cap | None = None
    priority: int = 50
    per_day: int | None = None  # letters of this workflow in any 24 hours
    first: int = 0  # letters that a person reads before the others leave, when it goes live
    max_late: timedelta = timedelta(days=3)
    max_postpone: timedelta = timedelta(days=14)

    @property
    def is_about_void_orders(self) -> bool:
        """Tell whether it begins with the end of an order, which is then no reason to leave."""
        return self.trigger.event in {"order.cancelled", "order.refunded"}

    @cached_property
    def _places(self) -> dict[str, tuple[Step, str | None]]:
        """Every step by its id, with the id of the step that follows it."""
        places: dict[str, tuple[Step, str | None]] = {}

        def visit(steps: tuple[Step, ...], after: str | None) -> None:
            followers = [*(step.id for step in steps[1:]), after]
            for step, following in zip(steps, followers, strict=False):  # an empty list has one too many
                places[step.id] = (step, following)
                for inner in inside(step):
                    visit(inner, following)

        visit(self.steps, None)
        return places

    @property
    def all_steps(self) -> Iterator[Step]:
        """Yield every step, parents before children, in file order."""
        return (step for step, _ in self._places.values())

    @property
    def events(self) -> set[str]:
        """Return every event that means something to this workflow."""
        awaited = {step.event for step in self.all_steps if isinstance(step, WaitFor)}
        goal = {self.goal.event} if self.goal else set()
        return {self.trigger.event} | {way_out.event for way_out in self.exit_on} | awaited | goal

    @property
    def first_step(self) -> str | None:
        return self.steps[0].id if self.steps else None

    def step(self, step_id: str) -> Step | None:
        """Return the step called *step_id*, or None when this version has none."""
        return self._places.get(step_id, (None, None))[0]

    def following(self, step_id: str) -> str | None:
        """Return the id of what comes after *step_id* at its level or above; None at the end."""
        return self._places[step_id][1]


def letter_of(step: Step | None, round_: int) -> str | None:
    """Return the letter that *step* sends, in round 1 that of its reminder; None: it sends none."""
    if not isinstance(step, Letter):
        return None
    if round_ == 0:
        return step.letter
    return (step.remind_with or step.letter) if isinstance(step, Ask) and step.remind_after else None
