"""
The engine: what happens next to one enrollment, and why.

``decide`` walks from where the enrollment stands to the next thing it has to wait for. Everybody who
wants to know the future calls it: the live engine, replay, the demo and the tests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import TypeAlias

from followup.core.enrollment import Action, Enrollment, Phase, Position
from followup.core.events import Event, EventKind
from followup.core.facts import AskResult, Facts, Sent, names, order_names
from followup.core.message import NOT_SENT, MessageState
from followup.core.replies import combined
from followup.core.schedule import next_wall_time
from followup.core.workflow import IMPLIED_EXITS, Ask, Branch, Condition, Letter, Send, Step, Stop, Wait, Workflow

REMINDER_MARGIN = timedelta(hours=24)  # a reminder closer than this to the timeout helps nobody
LONGEST_ABSENCE = timedelta(days=30)  # for which an out-of-office note extends a timeout
NEVER_ASKED = "not asked: "


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """Write a letter: the ask or send itself (round 0) or its reminder (round 1)."""

    step: str
    round: int
    letter: str
    sender: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class CancelMessages:
    """Withdraw what has not left yet: of one step and round, or (None) of the whole enrollment."""

    step: str | None = None
    round: int | None = None


Effect: TypeAlias = NewMessage | CancelMessages


@dataclass(frozen=True, slots=True)
class Note:
    """Something decided that a person may ask about: the step, what, why, and the values it rests on."""

    step: str | None
    verdict: str
    reason: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    The next move: where the enrollment stands now and when to look again (None: when something wakes it).

    ``ended`` is set, with an ``outcome``, when the run is over.
    """

    position: Position
    wake_at: datetime | None = None
    ended: Action | None = None
    outcome: str | None = None
    effects: tuple[Effect, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class _Go:
    """Done with this step at ``at``; ``to`` names the next one, or None for the end."""

    to: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class _Sleep:
    phase: Phase
    wake_at: datetime | None


@dataclass(frozen=True, slots=True)
class _End:
    action: Action
    outcome: str
    at: datetime


_Move: TypeAlias = _Go | _Sleep | _End


def decide(workflow: Workflow, enrollment: Enrollment, facts: Facts, *, now: datetime) -> Decision:
    """
    Choose the next move of *enrollment*.

    Reasons to stop outrank the schedule, so a late worker never mails a customer whose order is gone.

    Args:
        workflow: the version the enrollment is pinned to.
        facts: as read in the caller's transaction.
        now: aware UTC; a step is due when ``now >= `` its time.
    """
    return _Walk(workflow, facts, now).run(enrollment)


def ask_results(workflow: Workflow, facts: Facts, *, now: datetime) -> dict[str, AskResult]:
    """Return how each ask that has a message stands, by step id, in the order of the file."""
    return {
        step.id: _ask_result(step, facts, now)
        for step in workflow.all_steps
        if isinstance(step, Ask) and (step.id, 0) in facts.sent
    }


def latest_ask(facts: Facts, asks: Mapping[str, AskResult], *, before: str | None = None) -> str | None:
    """
    Return the ask that ``answer`` and its like speak of: the last one sent, or given up, so far.

    One still on its way out does not count yet, nor does *before*.
    """
    spoken = (
        step
        for step, result in asks.items()
        if step != before and (facts.sent[step, 0].accepted_at or result.not_asked or result.response)
    )
    return max(spoken, key=lambda step: facts.sent[step, 0].id, default=None)


def names_for(workflow: Workflow, facts: Facts, *, now: datetime, before: str | None = None) -> dict[str, object]:
    """
    Return the names that conditions and letters of this enrollment read at *now*.

    Args:
        before: the step whose condition or letter it is, when a letter of it may exist already. An ask and
            its reminder then both read the answer to the ask before, not (the lack of) their own.
    """
    asks = ask_results(workflow, facts, now=now)
    return names(facts, asks, latest_ask(facts, asks, before=before), now=now)


def timeout_at(step: Ask, sent: Sent, facts: Facts) -> datetime | None:
    """
    Return when the ask gives up waiting; None while its letter has not been accepted.

    An out-of-office note extends it, to the end of the stated day of return and by LONGEST_ABSENCE at most.
    """
    if sent.accepted_at is None:
        return None
    gives_up = step.timeout.after(sent.accepted_at, facts.calendar)
    back_on = facts.back_on.get(step.id)
    if back_on is None:
        return gives_up
    back_at = facts.calendar.instant(back_on + timedelta(days=1), time(0))
    return max(gives_up, min(back_at, gives_up + LONGEST_ABSENCE))


def _ask_result(step: Ask, facts: Facts, now: datetime) -> AskResult:
    sent = facts.sent[step.id, 0]
    if sent.state in NOT_SENT:
        return AskResult(not_asked=sent.reason or sent.state.value)
    gives_up = timeout_at(step, sent, facts)
    confirmed = [r for r in facts.responses if r.step == step.id and not r.provisional]
    in_time = [r for r in confirmed if gives_up is None or r.at < gives_up]
    if in_time:
        return AskResult(response=combined(in_time))
    return AskResult(timed_out=gives_up is not None and now >= gives_up)


def find_exit(workflow: Workflow, enrollment: Enrollment, facts: Facts, *, now: datetime) -> tuple[str, Event] | None:
    """Return the outcome and the event that takes the enrollment out, or None."""
    own_order = facts.order.id if facts.order else None
    for event in facts.events:
        told_again = event.kind == workflow.trigger.event and event.order_id == own_order
        if event.id == enrollment.trigger_event_id or told_again or event.occurred_at < enrollment.entered_at:
            continue
        for way_out in workflow.exit_on:
            if way_out.event == event.kind and (
                way_out.where is None or way_out.where(_event_names(workflow, facts, event, now))
            ):
                return way_out.label or event.kind, event
        if event.order_id in {None, own_order} and (outcome := _implied_exit(event)):
            return outcome, event
    return None


def _implied_exit(event: Event) -> str | None:
    if event.kind == EventKind.ORDER_REFUNDED and not event.data.get("full"):
        return None
    return IMPLIED_EXITS.get(event.kind)


def _event_names(workflow: Workflow, facts: Facts, event: Event, now: datetime) -> dict[str, object]:
    order = facts.orders.get(event.order_id or 0)
    about = {**event.data, "kind": event.kind, "order": order_names(order, now) if order else {}}
    return {**names_for(workflow, facts, now=now), "event": about}


class _Walk:
    """One call of ``decide``: the steps taken so far and what they left behind."""

    def __init__(self, workflow: Workflow, facts: Facts, now: datetime) -> None:
        self.workflow, self.facts, self.now = workflow, facts, now
        self.effects: list[Effect] = []
        self.notes: list[Note] = []

    def run(self, enrollment: Enrollment) -> Decision:
        position = enrollment.position
        if found := find_exit(self.workflow, enrollment, self.facts, now=self.now):
            outcome, event = found
            end = _End(Action.EXIT, outcome, max(event.occurred_at, position.since))
            return self._ended(position.step, end, event=event.kind)
        order = self.facts.order
        if order is not None and order.is_void:  # however its cancelling was dated
            over = _End(Action.EXIT, IMPLIED_EXITS[f"order.{order.status.value}"], position.since)
            return self._ended(position.step, over, event=f"order.{order.status.value}")
        step_id, since, phase = position.step, position.since, position.phase
        while step_id is not None:  # steps only run forward, so this ends
            step = self.workflow.step(step_id)
            assert step is not None, f"{step_id} is not in the pinned version"
            match self._move(step, since, phase):
                case _Go(to, at):
                    step_id, since, phase = to, max(at, since), Phase.BEFORE
                case _Sleep(phase, wake_at):
                    return self._decision(Position(step_id, phase, since), wake_at=wake_at)
                case _End() as end:
                    return self._ended(step_id, end)
        return self._ended(None, _End(Action.COMPLETE, "finished", since))

    def _decision(
        self,
        position: Position,
        *,
        wake_at: datetime | None = None,
        ended: Action | None = None,
        outcome: str | None = None,
    ) -> Decision:
        return Decision(
            position=position,
            wake_at=wake_at,
            ended=ended,
            outcome=outcome,
            effects=tuple(self.effects),
            notes=tuple(self.notes),
        )

    def _ended(self, step: str | None, end: _End, **values: object) -> Decision:
        self.effects = [CancelMessages()]
        self.notes.append(Note(step, "exited" if end.action is Action.EXIT else "ended", end.outcome, values))
        return self._decision(Position(step, Phase.DONE, end.at), ended=end.action, outcome=end.outcome)

    def _move(self, step: Step, since: datetime, phase: Phase) -> _Move:
        onward = self.workflow.following(step.id)
        if phase is Phase.BEFORE and step.when is not None and not self._holds(step, step.when):
            return _Go(onward, since)
        match step:
            case Wait():
                over = self._wait_over(step, since)
                return _Go(onward, over) if over <= self.now else _Sleep(Phase.WAITING, over)
            case Send():
                return self._send(step, since, onward)
            case Ask():
                return self._ask(step, since, onward)
            case Branch():
                return _Go(self._branch(step, onward), since)
            case Stop():
                return _End(Action.COMPLETE, step.outcome, since)
        raise AssertionError(f"no rule for {type(step).__name__}")

    def _names(self) -> dict[str, object]:
        return names_for(self.workflow, self.facts, now=self.now)

    def _holds(self, step: Step, condition: Condition) -> bool:
        known = self._names()
        if condition(known):
            return True
        self.notes.append(Note(step.id, "skipped", f"when {condition.source}", values_of(condition, known)))
        return False

    def _wait_over(self, step: Wait, since: datetime) -> datetime:
        if step.until_field is not None:
            day = value_at(self._names(), step.until_field)
            if isinstance(day, datetime):
                return day
            self.notes.append(Note(step.id, "skipped", f"{step.until_field} is not set"))
            return since
        over = step.duration.after(since, self.facts.calendar)
        return over if step.until is None else next_wall_time(over, step.until, self.facts.calendar)

    def _write(self, step: Letter, round_: int, letter: str, due_at: datetime) -> None:
        sender = step.sender or self.workflow.sender
        self.effects.append(NewMessage(step=step.id, round=round_, letter=letter, sender=sender, due_at=due_at))

    def _send(self, step: Send, since: datetime, onward: str | None) -> _Move:
        sent = self.facts.sent.get((step.id, 0))
        if sent is None:
            self._write(step, 0, step.letter, since)
            return _Sleep(Phase.SENDING, None)
        if sent.accepted_at is not None:
            return _Go(onward, sent.accepted_at)
        if sent.state is MessageState.CANCELLED:
            return _End(Action.EXIT, sent.reason or "cancelled", sent.due_at or since)
        if sent.state in NOT_SENT:
            return _Go(onward, sent.due_at or since)
        return _Sleep(Phase.SENDING, None)

    def _ask(self, step: Ask, since: datetime, onward: str | None) -> _Move:
        sent = self.facts.sent.get((step.id, 0))
        if sent is None:
            self._write(step, 0, step.letter, since)
            return _Sleep(Phase.SENDING, None)
        if sent.state is MessageState.CANCELLED:  # a gate found that there is nobody to write to any more
            return _End(Action.EXIT, sent.reason or "cancelled", sent.due_at or since)
        result = _ask_result(step, self.facts, self.now)
        if result.not_asked is not None:
            return self._not_asked(step, result.not_asked, sent.due_at or since, onward)
        gives_up = timeout_at(step, sent, self.facts)
        if result.response is None and not result.timed_out:
            return _Sleep(Phase.SENDING, None) if gives_up is None else self._listen(step, sent, gives_up)
        if (step.id, 1) in self.facts.sent:
            self.effects.append(CancelMessages(step.id, 1))
        ended_at = result.response.at if result.response else gives_up
        assert ended_at is not None
        return _Go(onward, ended_at)

    def _not_asked(self, step: Ask, reason: str, at: datetime, onward: str | None) -> _Move:
        if any(_reads_not_asked(later, step.id) for later in self._until_next_ask(onward)):
            return _Go(onward, at)
        return _End(Action.COMPLETE, NEVER_ASKED + reason, at)

    def _until_next_ask(self, step_id: str | None) -> Iterator[Step]:
        while step_id is not None:
            step = self.workflow.step(step_id)
            if step is None or isinstance(step, Ask):
                return
            yield step
            step_id = self.workflow.following(step_id)

    def _listen(self, step: Ask, sent: Sent, gives_up: datetime) -> _Move:
        """The question is with the customer: remind once, in time, and wait."""
        assert sent.accepted_at is not None
        if step.remind_after is None or (step.id, 1) in self.facts.sent:
            return _Sleep(Phase.ASKED, gives_up)
        remind_at = step.remind_after.after(sent.accepted_at, self.facts.calendar)
        if self.now < remind_at:
            return _Sleep(Phase.ASKED, min(remind_at, gives_up))
        if remind_at < gives_up - REMINDER_MARGIN and not any(r.step == step.id for r in self.facts.responses):
            self._write(step, 1, step.remind_with or step.letter, remind_at)
        return _Sleep(Phase.ASKED, gives_up)

    def _branch(self, step: Branch, onward: str | None) -> str | None:
        known = self._names()
        for number, case in enumerate(step.cases, start=1):
            if case.when is None or case.when(known):
                why = f"when {case.when.source}" if case.when else "otherwise"
                values = values_of(case.when, known) if case.when else {}
                self.notes.append(Note(step.id, "branch", f"case {number}: {why}", values))
                return case.do[0].id if case.do else onward
        self.notes.append(Note(step.id, "branch", "no case holds"))
        return onward


def _reads_not_asked(step: Step, ask: str) -> bool:
    wanted = {"not_asked", f"asks.{ask}.not_asked"}
    return isinstance(step, Branch) and any(case.when and wanted.intersection(case.when.names) for case in step.cases)


def value_at(known: Mapping[str, object], dotted: str) -> object:
    """Return what the dotted name (``order.total``) stands for; None where the path ends early."""
    value: object = known
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def values_of(condition: Condition, known: Mapping[str, object]) -> dict[str, object]:
    """Return the values of the names that *condition* reads, for the record."""
    return {name: value_at(known, name) for name in condition.names}
