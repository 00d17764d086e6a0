"""
How many letters would leave soon, of the people who are inside now.

Their runs are played on in memory, with the engine's own decisions and gates, as if every letter were taken at once,
nobody answered and nobody came in. Nothing is written, and nobody waits for it.
"""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

from followup.core.decide import decide
from followup.core.decision import CancelMessages, NewMessage
from followup.core.enrollment import EnrollmentState
from followup.core.facts import Sent
from followup.core.gates import DAY, PER_DAY, VerdictKind, judge, last_chance, not_live
from followup.core.message import MessageState
from followup.core.workflow import WorkflowStatus
from followup.services.facts import Known
from followup.services.surroundings import Surroundings, Wanting
from followup.store.messages import StoredMessage

_STATE = {
    VerdictKind.SKIP: MessageState.SKIPPED,
    VerdictKind.EXPIRE: MessageState.EXPIRED,
    VerdictKind.CANCEL: MessageState.CANCELLED,
}
_WAITS = (MessageState.DUE, MessageState.HELD)


@dataclass(frozen=True, slots=True)
class Leaving:
    """A letter that would leave: when, and of which workflow."""

    at: datetime
    workflow: str
    letter: str


@dataclass(slots=True)
class _Run:
    known: Known
    letters: dict[tuple[str, int], Wanting] = field(default_factory=dict)  # that want to leave
    over: bool = False


class Forecast:
    """
    Plays runs on until ``until``.

    Args:
        left_today: by workflow that counts them: when letters left in the last 24 hours.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        now: datetime,
        until: datetime,
        left_today: Mapping[str, Sequence[datetime]],
    ) -> None:
        self.around, self.now, self.until = around, now, until
        self.today = {name: list(left) for name, left in left_today.items()}
        self.left: list[Leaving] = []
        self.lately: dict[int, list[tuple[datetime, int, str]]] = {}  # by customer: when, of which run and step
        self._agenda: list[tuple[datetime, int, int, _Run, tuple[str, int] | None]] = []
        self._numbers = count()

    def add(self, known: Known, written: Sequence[StoredMessage], *, live_again: bool, unread: Collection[int]) -> None:
        """Take a run in, with its letters; *live_again*: those that a pause held go now."""
        run = _Run(known)
        for message in written:
            if message.state is MessageState.DUE:
                self._want(run, Wanting.stored(message, unread=message.id in unread))
            elif message.state is MessageState.HELD and live_again and message.reason in _PAUSES:
                self._write(run, message.step, message.round, message.letter, self.now)
        if known.stored.enrollment.state is EnrollmentState.ACTIVE and known.stored.wake_at is not None:
            self._plan(max(known.stored.wake_at, self.now), run, None)

    def play(self) -> list[Leaving]:
        """Return what leaves, the first first."""
        while self._agenda:
            at, _, _, run, letter = heapq.heappop(self._agenda)
            if letter is None:
                self._look(run, at)
            elif letter in run.letters and not run.over:
                self._try(run, run.letters[letter], at)
        return self.left

    def _plan(self, at: datetime, run: _Run, letter: tuple[str, int] | None) -> None:
        if at <= self.until:
            priority = -run.known.workflow.priority if letter else -1_000  # runs are looked at before letters leave
            heapq.heappush(self._agenda, (at, priority, next(self._numbers), run, letter))

    def _want(self, run: _Run, letter: Wanting) -> None:
        run.letters[letter.step, letter.round] = letter
        self._plan(max(letter.due_at, self.now), run, (letter.step, letter.round))

    def _write(self, run: _Run, step: str, round_: int, letter: str, due_at: datetime) -> None:
        not_after = last_chance(run.known.workflow, step, due_at, run.known.facts.calendar)
        self._want(run, Wanting(step=step, round=round_, letter=letter, due_at=due_at, not_after=not_after))

    def _look(self, run: _Run, at: datetime) -> None:
        """Take a run to where it has to wait next."""
        if run.over:
            return
        enrollment = run.known.stored.enrollment
        decision = decide(run.known.workflow, enrollment, run.known.facts, now=at)
        enrollment = replace(enrollment, position=decision.position, waited=decision.waited)
        run.known = replace(run.known, stored=replace(run.known.stored, enrollment=enrollment))
        for effect in decision.effects:
            if isinstance(effect, CancelMessages):
                cancelled = [key for key in run.letters if effect.step is None or key == (effect.step, effect.round)]
                for key in cancelled:
                    del run.letters[key]
            elif isinstance(effect, NewMessage):
                self._sent(run, effect.step, effect.round, MessageState.DUE, due_at=effect.due_at)
                self._write(run, effect.step, effect.round, effect.letter, effect.due_at)
        if decision.ended:
            run.over = True
        elif decision.wake_at is not None:
            self._plan(max(decision.wake_at, at), run, None)

    def _try(self, run: _Run, letter: Wanting, at: datetime) -> None:
        """Ask the gates whether a letter may leave, and have what follows from it."""
        customer, name = run.known.stored.customer_id, run.known.workflow.name
        own = (run.known.stored.id, letter.step)
        lately = tuple(left for left, *whose in self.lately.get(customer, ()) if tuple(whose) != own)
        today = [left for left in self.today.get(name, ()) if left > at - DAY]
        candidate = self.around.candidate(run.known, letter)
        candidate = replace(candidate, recent=tuple(sorted((*candidate.recent, *lately))), today=tuple(today))
        verdict = judge(candidate, now=at)
        key = (letter.step, letter.round)
        if verdict is None:
            del run.letters[key]
            self.left.append(Leaving(at, name, letter.letter))
            self.lately.setdefault(customer, []).append((at, *own))
            self.today.setdefault(name, []).append(at)
            self._sent(run, letter.step, letter.round, MessageState.ACCEPTED, due_at=letter.due_at, accepted_at=at)
            self._plan(at, run, None)
        elif verdict.until is not None:
            if verdict.gate == PER_DAY:
                self.today[name].append(verdict.until)  # the next one waits for the slot after this one's
            not_after = last_chance(run.known.workflow, letter.step, verdict.until, run.known.facts.calendar)
            since = letter.postponed_since or at
            self._want(run, replace(letter, due_at=verdict.until, not_after=not_after, postponed_since=since))
        elif verdict.kind in _STATE:
            del run.letters[key]
            state = _STATE[verdict.kind]
            self._sent(run, letter.step, letter.round, state, due_at=letter.due_at, reason=verdict.reason)
            self._plan(at, run, None)

    def _sent(self, run: _Run, step: str, round_: int, state: MessageState, **values: object) -> None:
        sent = dict(run.known.facts.sent)
        known = sent.get((step, round_))
        number = known.id if known else 1_000_000_000 + next(self._numbers)  # later than what is on the record
        sent[step, round_] = Sent(id=number, step=step, round=round_, state=state, **values)  # type: ignore[arg-type]
        run.known = replace(run.known, facts=replace(run.known.facts, sent=sent))


_PAUSES = {not_live(status) for status in WorkflowStatus if status is not WorkflowStatus.LIVE}
