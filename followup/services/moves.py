"""
What happened to a customer, move by move, as the record has it.

Nothing is worked out here that is not written down. A wait, and a letter that stands still, leave no line behind
them: the record tells of one while it lasts, and whoever plays a story through looks at each of its moments. Of a run
that was moved to another version, and that nobody has looked at since, it does not tell how long it waits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection

from followup.core.enrollment import EnrollmentState, Phase
from followup.core.events import Event, EventKind
from followup.core.message import MessageState
from followup.core.workflow import Ask, Stop, WaitFor, Workflow
from followup.services.handoff import run_of_notice
from followup.services.library import Library
from followup.store import decisions, enrollments, events, messages, notices, orders
from followup.store.decisions import Decided
from followup.store.enrollments import StoredEnrollment
from followup.store.messages import StoredMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """
    One thing that happened, or that lasts, in a workflow and about an order, where there is one.

    ``kind`` is entered, wait, ask, send, remind, blocked, unknown or rejected; what somebody did: answer, reply,
    auto-reply, opened, closed, told; or what was decided: branch, held, postponed, timeout, stop, ended, …
    ``until`` is when a wait will be over, or a letter due again. ``reminder`` tells a reminder from its question.
    ``values`` are those a decision rests on. ``run`` is the enrollment it belongs to, where there is one; moves that
    say the same are equal, whichever run they are of.
    """

    at: datetime
    kind: str
    workflow: str | None = None
    order: str | None = None
    step: str | None = None
    letter: str | None = None
    reminder: bool = False
    reason: str = ""
    until: datetime | None = None
    values: Mapping[str, object] = field(default_factory=dict, compare=False)
    run: int | None = field(default=None, compare=False)


_KINDS = {"handed off": "handoff", "remembered": "remember", "started": "start", "timed out": "timeout"}
_SAID = {  # the kind of move, and where the event says what it was
    EventKind.ANSWER_GIVEN.value: ("answer", "answer"),
    EventKind.REPLY_RECEIVED.value: ("reply", "text"),
    EventKind.AUTO_REPLY_RECEIVED.value: ("auto-reply", "back_on"),
    EventKind.CONVERSATION_OPENED.value: ("opened", "owner"),  # by what they said; a hand-off is a move of its own
}
_LEADS_ON = {"branch", "split", "handed off", "remembered", "started", "happened", "timed out"}
_STANDS = {MessageState.UNKNOWN, MessageState.REJECTED}  # that it is blocked was decided

Place: TypeAlias = tuple[datetime, int, int, int]  # when; of that moment: of which run, at which step, what first
_BEFORE, _AFTER = -1, 1_000_000_000
CAUSE, _DECISION, EFFECT = range(3)


@dataclass(frozen=True, slots=True)
class Places:
    """
    Where what happened in a run stands among all that did: in order of time, and what led to something before that.

    ``steps`` has the number of each, in the order of the file.
    """

    run_id: int
    steps: Mapping[str, int]

    @classmethod
    def of(cls, run_id: int, workflow: Workflow) -> "Places":
        return cls(run_id, {step.id: number for number, step in enumerate(workflow.all_steps)})

    @property
    def first(self) -> tuple[int, int, int]:
        return self.run_id, _BEFORE, CAUSE

    def at_step(self, at: datetime, step: str | None, rank: int) -> Place:
        return at, self.run_id, self.steps.get(step or "", _AFTER), rank

    def of_decision(self, decided: Decided) -> Place:
        if decided.verdict in {"ended", "exited"}:
            return decided.at, self.run_id, _AFTER, EFFECT
        if decided.verdict == "held_out" or (decided.step and decided.step not in self.steps):
            return decided.at, self.run_id, _BEFORE, _DECISION
        return self.at_step(decided.at, decided.step, _DECISION)


def moves(conn: Connection, customer_id: int, *, library: Library) -> list[Move]:
    """
    Return what happened to the customer, and what lasts, oldest first.

    What belongs to one moment stands in the order of the runs, and within a run in that of its steps.
    """
    placed = _Record(conn, customer_id, library).placed()
    return [move for _, move in sorted(placed, key=lambda one: one[0])]


class _Record:
    """The rows about one customer, and the place of each among the moves."""

    def __init__(self, conn: Connection, customer_id: int, library: Library) -> None:
        self.runs = {run.id: run for run in enrollments.of_customer(conn, customer_id)}
        self.workflows = {key: library.workflow(conn, run.version_id) for key, run in self.runs.items()}
        self.places = {key: Places.of(key, workflow) for key, workflow in self.workflows.items()}
        written = messages.of_enrollments(conn, self.runs).values()
        self.letters = {letter.id: letter for letters in written for letter in letters}
        self.timeline = events.timeline(conn, customer_id)
        self.decided = decisions.of_customer(conn, customer_id)
        self.told = notices.told_about(conn, customer_id)
        concerned = {run.order_id for run in self.runs.values()} | {decided.order_id for decided in self.decided}
        bought = orders.load(conn, [order_id for order_id in concerned if order_id is not None])
        self.numbers = {order.id: order.number for order in bought.values()}

    def placed(self) -> Iterator[tuple[Place, Move]]:
        for run in self.runs.values():
            yield from self._run(run)
        for event in self.timeline:
            yield from self._event(event)
        for decided in self.decided:
            yield self._decision(decided)
        for letter in self.letters.values():
            yield from self._letter(letter)
        for one in self.told:
            move = Move(at=one.at, kind="told", reason=f"{one.person}: {one.subject}", run=run_of_notice(one.key))
            yield (one.at, _AFTER, 0, EFFECT), move

    def _run(self, run: StoredEnrollment) -> Iterator[tuple[Place, Move]]:
        enrollment, position = run.enrollment, run.enrollment.position
        workflow, order = enrollment.workflow, self.numbers.get(run.order_id or 0)
        if enrollment.state is not EnrollmentState.HELD_OUT:
            at, trigger = enrollment.entered_at, enrollment.trigger_event_id
            because = next((event.kind for event in self.timeline if event.id == trigger), "")
            move = Move(at=at, kind="entered", workflow=workflow, order=order, reason=because, run=run.id)
            yield (at, *self.places[run.id].first), move
        if position.phase is Phase.WAITING and position.step is not None and not run.is_fresh:
            step, since = self.workflows[run.id].step(position.step), self._came_to(run)
            move = Move(
                at=since,
                kind="wait",
                workflow=workflow,
                order=order,
                step=position.step,
                reason=f"for {step.event}" if isinstance(step, WaitFor) else "",
                until=run.wake_at,
                run=run.id,
            )
            yield self.places[run.id].at_step(since, position.step, EFFECT), move

    def _came_to(self, run: StoredEnrollment) -> datetime:
        """
        Return when a run came to where it waits.

        That is later than from when the wait counts where a worker was late to decide what led there.
        """
        since = run.enrollment.position.since
        led = (
            decided.at
            for decided in self.decided
            if decided.enrollment_id == run.id and decided.verdict in _LEADS_ON and decided.at > since
        )
        return max(led, default=since)

    def _about(self, letter: StoredMessage, at: datetime) -> Move:
        """Return a move about *letter* that does not say yet what it is."""
        return Move(
            at=at,
            kind="",
            workflow=letter.workflow,
            order=self.numbers.get(letter.order_id or 0),
            step=letter.step,
            letter=letter.letter,
            reminder=letter.round > 0,
            run=letter.enrollment_id,
        )

    def _event(self, event: Event) -> Iterator[tuple[Place, Move]]:
        at = event.occurred_at
        if event.kind == EventKind.CONVERSATION_CLOSED:
            yield (at, 0, 0, CAUSE), Move(at=at, kind="closed")
            return
        message_id = event.data.get("message_id")
        letter = self.letters.get(message_id) if isinstance(message_id, int) else None
        if event.kind in _SAID and letter is not None:
            kind, where = _SAID[event.kind]
            move = replace(self._about(letter, at), kind=kind, reason=str(event.data.get(where) or ""))
            yield self.places[letter.enrollment_id].at_step(at, letter.step, CAUSE), move

    def _decision(self, decided: Decided) -> tuple[Place, Move]:
        letter, run_id = self.letters.get(decided.message_id or 0), decided.enrollment_id
        move = Move(
            at=decided.at,
            kind=self._kind(decided),
            workflow=decided.workflow,
            order=self.numbers.get(decided.order_id or 0),
            step=decided.step,
            letter=letter.letter if letter else None,
            reminder=letter is not None and letter.round > 0,
            reason=_reason(decided),
            until=decided.until,
            values=decided.values,
            run=run_id,
        )
        if run_id is None:
            return (decided.at, _AFTER, 0, _DECISION), move
        return self.places[run_id].of_decision(decided), move

    def _kind(self, decided: Decided) -> str:
        """Return what was decided in one word; a run that a ``stop`` ended is told from one that was through."""
        if decided.verdict == "ended" and decided.enrollment_id is not None and decided.step is not None:
            step = self.workflows[decided.enrollment_id].step(decided.step)
            return "stop" if isinstance(step, Stop) else "ended"
        return _KINDS.get(decided.verdict, decided.verdict)

    def _letter(self, letter: StoredMessage) -> Iterator[tuple[Place, Move]]:
        at, reason = letter.accepted_at, ""
        step = self.workflows[letter.enrollment_id].step(letter.step)
        asks = isinstance(step, Ask) or (step is None and letter.question is not None)  # None: taken out since
        kind = "remind" if letter.round else "ask" if asks else "send"
        if letter.state in _STANDS:
            at, kind, reason = letter.sending_at or letter.due_at, letter.state.value, letter.reason or ""
        if at is not None:
            move = replace(self._about(letter, at), kind=kind, reason=reason)
            yield self.places[letter.enrollment_id].at_step(at, letter.step, EFFECT), move


def _reason(decided: Decided) -> str:
    """Return why, or with what."""
    if decided.verdict == "remembered":
        return ", ".join(f"{field}: {value}" for field, value in decided.values.items())
    return decided.reason
