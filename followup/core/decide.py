"""
The engine: what happens next to one enrollment, and why.

``decide`` walks from where the enrollment stands to the next thing it has to wait for. Everybody who
wants to know the future calls it: the live engine, replay, the demo and the tests.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from followup.core.asks import ask_result, names_for, timeout_at
from followup.core.chance import variant_of
from followup.core.decision import (
    NO_CASE,
    CancelMessages,
    Decision,
    Effect,
    HandOff,
    NewMessage,
    Note,
    RememberValues,
    StartWorkflow,
    case_words,
)
from followup.core.enrollment import Action, Enrollment, EnrollmentState, Phase, Position, Waited
from followup.core.events import Event
from followup.core.exits import event_names, find_exit
from followup.core.facts import ASK, Facts, Sent, value_at, values_of
from followup.core.message import NOT_SENT, MessageState
from followup.core.schedule import as_moment, next_wall_time
from followup.core.transfer import PASSED_BY
from followup.core.workflow import (
    FINISHED,
    IMPLIED_EXITS,
    Ask,
    Branch,
    Condition,
    Handoff,
    Letter,
    Per,
    Remember,
    Send,
    Split,
    Start,
    Step,
    Stop,
    Text,
    Wait,
    WaitFor,
    Workflow,
    WorkflowStatus,
    inside,
)

NEVER_ASKED = "not asked: "
ARCHIVED = "archived"  # the outcome of runs that were under way when their workflow was archived


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
    return _Walk(workflow, enrollment, facts, now).run()


class _Walk:
    """One call of ``decide``: the steps taken so far and what they left behind."""

    def __init__(self, workflow: Workflow, enrollment: Enrollment, facts: Facts, now: datetime) -> None:
        self.workflow, self.enrollment, self.facts, self.now = workflow, enrollment, facts, now
        self.waited = enrollment.waited
        self.effects: list[Effect] = []
        self.notes: list[Note] = []

    def run(self) -> Decision:
        position = self.enrollment.position
        if left := self._left(position):
            return left
        if self.enrollment.state is EnrollmentState.HELD_OUT:
            return self._decision(position)
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
        return self._ended(None, _End(Action.COMPLETE, FINISHED, since))

    def _left(self, position: Position) -> Decision | None:
        """Return the end of the run if something takes it out, wherever it stands."""
        if self.workflow.status is WorkflowStatus.ARCHIVED:  # by an operator, whatever else has happened
            return self._ended(position.step, _End(Action.EXIT, ARCHIVED, max(self.now, position.since)))
        if found := find_exit(self.workflow, self.enrollment, self.facts, now=self.now):
            outcome, event = found
            end = _End(Action.EXIT, outcome, max(event.occurred_at, position.since))
            return self._ended(position.step, end, event=event.kind)
        order = self.facts.order
        if order is not None and order.is_void and not self.workflow.is_about_void_orders:  # however that was dated
            over = _End(Action.EXIT, IMPLIED_EXITS[f"order.{order.status.value}"], position.since)
            return self._ended(position.step, over, event=f"order.{order.status.value}")
        return None

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
            waited=self.waited,
            effects=tuple(self.effects),
            notes=tuple(self.notes),
        )

    def _ended(self, step: str | None, end: _End, **values: object) -> Decision:
        kept = [one for one in self.effects if not isinstance(one, CancelMessages)]
        self.effects = [*kept, CancelMessages()]
        self.notes.append(Note(step, "exited" if end.action is Action.EXIT else "ended", end.outcome, values))
        return self._decision(Position(step, Phase.DONE, end.at), ended=end.action, outcome=end.outcome)

    def _move(self, step: Step, since: datetime, phase: Phase) -> _Move:
        onward = self.workflow.following(step.id)
        if phase is Phase.BEFORE and step.when is not None and not self._holds(step, step.when):
            return _Go(onward, since)
        match step:
            case Wait():
                return self._wait(step, since, onward)
            case WaitFor():
                return self._wait_for(step, since, onward)
            case Send():
                return self._send(step, since, onward)
            case Ask():
                return self._ask(step, since, onward)
        return self._pass(step, since, onward)

    def _pass(self, step: Step, since: datetime, onward: str | None) -> _Move:
        """Do what takes no time."""
        match step:
            case Branch():
                onward = self._branch(step, onward)
            case Split():
                onward = self._variant(step, onward)
            case Handoff():
                self._hand_off(step, since)
            case Remember():
                self._remember(step)
            case Start():
                self.effects.append(StartWorkflow(step.id, step.workflow, since))
                self.notes.append(Note(step.id, "started", step.workflow))
            case Stop():
                return _End(Action.COMPLETE, step.outcome, since)
            case _:
                raise AssertionError(f"no rule for {type(step).__name__}")
        return _Go(onward, since)

    def _names(self) -> dict[str, object]:
        return names_for(self.workflow, self.facts, now=self.now)

    def _holds(self, step: Step, condition: Condition) -> bool:
        known = self._names()
        if condition(known):
            return True
        self.notes.append(Note(step.id, "skipped", f"when {condition.source}", values_of(condition, known)))
        return False

    def _hand_off(self, step: Handoff, since: datetime) -> None:
        said = step.note(self._names()).strip() if step.note else ""
        self.effects.append(HandOff(step=step.id, person=step.person, note=said or None, urgent=step.urgent, at=since))
        self.notes.append(Note(step.id, "handed off", f"to {step.person}", {"note": said} if said else {}))

    def _remember(self, step: Remember) -> None:
        """Keep what was said; a text that comes out empty takes nothing away that is known."""
        known = self._names()
        filled = {key: value(known).strip() if isinstance(value, Text) else value for key, value in step.values.items()}
        learned = {key: value for key, value in filled.items() if value != ""}
        if not learned:
            self.notes.append(Note(step.id, "skipped", "there is nothing to remember"))
            return
        customer = self.facts.customer
        customer = replace(customer, remembered={**customer.remembered, **learned})
        self.facts = replace(self.facts, customer=customer)  # the steps after this one see it
        self.effects.append(RememberValues(step.id, learned))
        self.notes.append(Note(step.id, "remembered", ", ".join(learned), learned))

    def _variant(self, step: Split, onward: str | None) -> str | None:
        chosen = variant_of(self.workflow, step, self.facts.customer.id)
        self.notes.append(Note(step.id, "split", chosen.name))
        return chosen.do[0].id if chosen.do else onward

    def _wait(self, step: Wait, since: datetime, onward: str | None) -> _Move:
        over = self._not_before_move(max(self._wait_over(step, since), since))
        if over > self.now:
            return _Sleep(Phase.WAITING, over)
        self._waited(over, timed_out=self.facts.timed_out)
        return _Go(onward, over)

    def _wait_for(self, step: WaitFor, since: datetime, onward: str | None) -> _Move:
        gives_up = self._not_before_move(step.timeout.after(since, self.facts.calendar))
        event = next((event for event in self._awaited(step) if event.occurred_at < gives_up), None)
        if event is not None:
            self._waited(event.occurred_at, timed_out=False, event_id=event.id)
            self.notes.append(Note(step.id, "happened", step.event, {"at": event.occurred_at}))
            return _Go(onward, event.occurred_at)
        if self.now < gives_up:
            return _Sleep(Phase.WAITING, gives_up)
        self._waited(gives_up, timed_out=True)
        self.notes.append(Note(step.id, "timed out", f"no {step.event}", {"until": gives_up}))
        return _Go(onward, gives_up)

    def _awaited(self, step: WaitFor) -> Iterator[Event]:
        """Yield the events that would end *step*, oldest first: those since the last wait was over."""
        since = (self.waited.until, self.waited.event_id or 0) if self.waited else self.enrollment.began
        own_order = self.facts.order.id if self.facts.order else None
        for event in self.facts.events:
            if event.kind != step.event or (event.occurred_at, event.id) <= since:
                continue
            if self.workflow.trigger.per is Per.ORDER and event.order_id not in {None, own_order}:
                continue
            if step.where is None or step.where(event_names(self.workflow, self.facts, event, self.now)):
                yield event

    def _not_before_move(self, at: datetime) -> datetime:
        """Return when something ends that may have been over already when the run was moved to this version."""
        return max(at, self.enrollment.moved_at or at)

    def _waited(self, until: datetime, *, timed_out: bool, event_id: int | None = None) -> None:
        heard = event_id or (self.waited.event_id if self.waited else self.enrollment.trigger_event_id)
        self.waited = Waited(until, heard, timed_out)
        self.facts = replace(self.facts, timed_out=timed_out)

    def _wait_over(self, step: Wait, since: datetime) -> datetime:
        if step.until_field is not None:
            day = value_at(self._names(), step.until_field)
            moment = as_moment(day, self.facts.calendar)
            if moment is None:
                why = "is not set" if day is None else "is no date"
                self.notes.append(Note(step.id, "skipped", f"{step.until_field} {why}"))
            return moment or since
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
        if _ends_run(sent):
            return _End(Action.EXIT, sent.reason or "cancelled", sent.due_at or since)
        if sent.state in NOT_SENT:
            return _Go(onward, sent.due_at or since)
        return _Sleep(Phase.SENDING, None)

    def _ask(self, step: Ask, since: datetime, onward: str | None) -> _Move:
        sent = self.facts.sent.get((step.id, 0))
        if sent is None:
            self._write(step, 0, step.letter, since)
            return _Sleep(Phase.SENDING, None)
        if _ends_run(sent):
            return _End(Action.EXIT, sent.reason or "cancelled", sent.due_at or since)
        result = ask_result(step, self.facts, self.now)
        if result.not_asked is not None:
            return self._not_asked(step, result.not_asked, sent.due_at or since, onward)
        gives_up = timeout_at(step, sent, self.facts)
        if result.response is None and not result.timed_out:
            return _Sleep(Phase.SENDING, None) if gives_up is None else self._listen(step, sent, gives_up)
        if (step.id, 1) in self.facts.sent:
            self.effects.append(CancelMessages(step.id, 1))
        if result.response is not None:
            return _Go(onward, result.response.at)
        assert gives_up is not None
        self.notes.append(Note(step.id, "timed out", "no answer", {"until": gives_up}))
        return _Go(onward, gives_up)

    def _not_asked(self, step: Ask, reason: str, at: datetime, onward: str | None) -> _Move:
        if goes_on_unasked(self.workflow, step):
            return _Go(onward, at)
        return _End(Action.COMPLETE, NEVER_ASKED + reason, at)

    def _listen(self, step: Ask, sent: Sent, gives_up: datetime) -> _Move:
        """The question is with the customer: remind once, unless a gate knows better, and wait."""
        assert sent.accepted_at is not None
        if step.remind_after is None or (step.id, 1) in self.facts.sent:
            return _Sleep(Phase.ASKED, gives_up)
        remind_at = step.remind_after.after(sent.accepted_at, self.facts.calendar)
        if self.now < remind_at:
            return _Sleep(Phase.ASKED, min(remind_at, gives_up))
        self._write(step, 1, step.remind_with or step.letter, remind_at)
        return _Sleep(Phase.ASKED, gives_up)

    def _branch(self, step: Branch, onward: str | None) -> str | None:
        known = self._names()
        for number, case in enumerate(step.cases, start=1):
            if case.when is None or case.when(known):
                values = values_of(case.when, known) if case.when else {}
                self.notes.append(Note(step.id, "branch", f"case {number}: {case_words(case)}", values))
                return case.do[0].id if case.do else onward
        self.notes.append(Note(step.id, "branch", NO_CASE))
        return onward


def _ends_run(sent: Sent) -> bool:
    """Tell whether a gate found that there is nobody to write to any more; who was sent past a step is no such case."""
    return sent.state is MessageState.CANCELLED and sent.reason not in PASSED_BY


def goes_on_unasked(workflow: Workflow, ask: Ask) -> bool:
    """Tell whether a run goes on when *ask* was not sent: a branch before the next question reads ``not_asked``."""
    return any(_reads_not_asked(later, ask.id) for later in _until_next_ask(workflow, workflow.following(ask.id)))


def is_heeded(workflow: Workflow, ask: Ask) -> bool:
    """Tell whether a condition may read what is said to *ask*, so that it can lead a run elsewhere."""
    own = f"asks.{ask.id}.", f"answers.{ask.letter}", "last_reply"
    latest = {name for step in _until_next_ask(workflow, workflow.following(ask.id)) for name in _read_by(step)}
    anywhere = [name for step in workflow.all_steps for name in _read_by(step)]
    anywhere += [name for way_out in workflow.exit_on if way_out.where for name in way_out.where.names]
    return any(name.split(".")[0] in ASK for name in latest) or any(name.startswith(own) for name in anywhere)


def _read_by(step: Step) -> Iterator[str]:
    """Yield the names that decide what *step* does, or that it keeps for others to read."""
    conditions = [step.when]
    match step:
        case Branch():
            conditions += [case.when for case in step.cases]
        case WaitFor():
            conditions.append(step.where)
        case Remember():
            yield from (name for value in step.values.values() if isinstance(value, Text) for name in value.names)
    yield from (name for condition in conditions if condition for name in condition.names)


def _until_next_ask(workflow: Workflow, first: str | None) -> Iterator[Step]:
    """Yield what can come from *first* on and before the next question, once, whichever way a run would take."""
    ahead, seen = [first], set[str]()
    while ahead:
        step_id = ahead.pop()
        step = workflow.step(step_id) if step_id else None
        if step is None or isinstance(step, Ask) or step.id in seen:
            continue
        seen.add(step.id)
        yield step
        ahead += [workflow.following(step.id), *(steps[0].id for steps in inside(step) if steps)]


def _reads_not_asked(step: Step, ask: str) -> bool:
    wanted = {"not_asked", f"asks.{ask}.not_asked"}
    return isinstance(step, Branch) and any(case.when and wanted.intersection(case.when.names) for case in step.cases)
