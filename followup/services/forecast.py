"""
How many letters would leave soon, of the people who are inside now.

Their runs are played on in memory, with the engine's own decisions and gates, as if every letter were taken at once,
nobody answered and nobody came in. A letter that lacks who signs it, or its file, is blocked. Nothing is written, and
nobody waits for it.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from followup.core.decide import decide
from followup.core.decision import CancelMessages, Decision, Effect, HandOff, NewMessage, RememberValues
from followup.core.enrollment import EnrollmentState, Position
from followup.core.facts import Sent
from followup.core.gates import DAY, PER_DAY, Verdict, VerdictKind, judge, last_chance, not_live
from followup.core.message import MessageState
from followup.core.people import covering
from followup.core.workflow import WorkflowStatus, letter_of
from followup.services.facts import Known
from followup.services.lacking import lack_of
from followup.services.surroundings import Surroundings, Wanting
from followup.services.transfer import signed_by
from followup.store.messages import StoredMessage

_STATE = {
    VerdictKind.SKIP: MessageState.SKIPPED,
    VerdictKind.EXPIRE: MessageState.EXPIRED,
    VerdictKind.CANCEL: MessageState.CANCELLED,
}
PAUSES = {not_live(status) for status in WorkflowStatus if status is not WorkflowStatus.LIVE}  # why letters are held
INSTANT = timedelta(microseconds=1)
_TRIED = (MessageState.DUE, MessageState.BLOCKED)


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

    ``objections`` has by run why the first of its letters that was tried at once did not leave.

    Args:
        left_today: by workflow that counts them: when letters left in the last 24 hours.
        unread: workflows of which a person wants to read the first letters, and has not yet.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        now: datetime,
        until: datetime,
        left_today: Mapping[str, Sequence[datetime]],
        unread: Collection[str],
    ) -> None:
        self.around, self.now, self.until, self.unread = around, now, until, unread
        self.today = {name: list(left) for name, left in left_today.items()}
        self.left: list[Leaving] = []
        self.objections: dict[int, Verdict] = {}
        self._postponed: dict[tuple[int, str, int], tuple[datetime, ZoneInfo]] = {}  # by run, step and round
        self.lately: dict[int, list[tuple[datetime, int, str]]] = {}  # by customer: when, of which run and step
        self.waiting: dict[int, datetime] = {}  # by customer who was handed to a person: since when they wait
        self.handed: Counter[str] = Counter()  # by person: how many of them
        self.remembered: dict[int, dict[str, object]] = {}  # by customer: what was learned of them
        self._agenda: list[tuple[datetime, int, int, _Run, tuple[str, int] | None]] = []
        self._numbers = count()

    def add(self, known: Known, written: Sequence[StoredMessage]) -> None:
        """Take a run in, with its letters."""
        run = _Run(known)
        for message in written:
            if message.state is MessageState.DUE:
                self._want(run, Wanting.stored(message, unread=self._is_unread(message)))
        self._begin(run)

    def apply(
        self,
        known: Known,
        written: Sequence[StoredMessage],
        *,
        move: Callable[[Known], Known | None],
        strays: Callable[[Known, Position], bool],
        live_again: bool,
    ) -> None:
        """
        Take a run in, with its letters, as applying a folder leaves them.

        What is over already in its old version is over (services.advance), then it is moved. What is blocked is tried
        again, and leaves if nothing lacks any more.

        Args:
            move: returns a run as it stands in what was applied; None: it ends.
            strays: tells whether a run would go on, in its old version, to a step that is gone.
            live_again: letters that a pause held go now.
        """
        run = _Run(known)
        for message in written:
            if message.state in _TRIED and message.due_at is not None:
                self._want(run, Wanting.stored(message, unread=self._is_unread(message)))
            elif message.state is MessageState.HELD and live_again and message.reason in PAUSES:
                unread = self._is_unread(message)
                self._write(run, message.step, message.round, message.letter, self.now, unread=unread)
        wake_at = known.stored.wake_at
        if self._is_active(run) and wake_at is not None and wake_at <= self.now and not known.stored.is_fresh:
            self._learn(run)
            decision = self._decide(run, self.now)
            if decision.ended or not strays(run.known, decision.position):
                self._follow(run, decision, self.now)
        moved = None if run.over else move(run.known)
        if moved is None:
            run.over = True
            return
        run.known = moved
        for letter in list(run.letters.values()):
            self._take_along(run, letter)
        self._begin(run)

    @staticmethod
    def _take_along(run: _Run, letter: Wanting) -> None:
        """Have a letter be what its step says now; it does not leave if that is none."""
        name = letter_of(run.known.workflow.step(letter.step), letter.round)
        if name is None:
            del run.letters[letter.step, letter.round]
        else:
            run.letters[letter.step, letter.round] = replace(letter, letter=name)

    def _is_unread(self, message: StoredMessage) -> bool:
        return message.workflow in self.unread and message.approved_at is None

    @staticmethod
    def _is_active(run: _Run) -> bool:
        return run.known.stored.enrollment.state is EnrollmentState.ACTIVE

    def _begin(self, run: _Run) -> None:
        if self._is_active(run) and run.known.stored.wake_at is not None:
            self._plan(max(run.known.stored.wake_at, self.now), run, None)

    def play(self) -> list[Leaving]:
        """Return what leaves, the first first."""
        while self._agenda:
            at, _, _, run, letter = heapq.heappop(self._agenda)
            if letter is None:
                self._look(run, at)
            elif letter in run.letters and not run.over:
                self._try(run, run.letters[letter], at)
        return self.left

    @property
    def postponed(self) -> list[tuple[datetime, ZoneInfo]]:
        """Return until when letters wait that do not leave by ``until``, with the zones of their customers."""
        return list(self._postponed.values())

    def _plan(self, at: datetime, run: _Run, letter: tuple[str, int] | None) -> None:
        if at <= self.until:
            priority = -run.known.workflow.priority if letter else -1_000  # runs are looked at before letters leave
            heapq.heappush(self._agenda, (at, priority, next(self._numbers), run, letter))

    def _want(self, run: _Run, letter: Wanting) -> None:
        run.letters[letter.step, letter.round] = letter
        self._plan(max(letter.due_at, self.now), run, (letter.step, letter.round))

    def _write(self, run: _Run, step: str, round_: int, letter: str, due_at: datetime, *, unread: bool) -> None:
        not_after = last_chance(run.known.workflow, step, due_at, run.known.facts.calendar)
        wanting = Wanting(step=step, round=round_, letter=letter, due_at=due_at, not_after=not_after, unread=unread)
        self._want(run, wanting)

    def _look(self, run: _Run, at: datetime) -> None:
        """Take a run to where it has to wait next."""
        if not run.over:
            self._learn(run)
            self._follow(run, self._decide(run, at), at)

    @staticmethod
    def _decide(run: _Run, at: datetime) -> Decision:
        return decide(run.known.workflow, run.known.stored.enrollment, run.known.facts, now=at)

    def _follow(self, run: _Run, decision: Decision, at: datetime) -> None:
        enrollment = replace(run.known.stored.enrollment, position=decision.position, waited=decision.waited)
        timed_out = run.known.facts.timed_out if decision.waited is None else decision.waited.timed_out
        about = replace(run.known.facts, stands_at=decision.position.step, timed_out=timed_out)
        run.known = replace(run.known, stored=replace(run.known.stored, enrollment=enrollment), facts=about)
        for effect in decision.effects:
            self._do(run, effect)
        if decision.ended:
            run.over = True
        elif decision.wake_at is not None:
            self._plan(max(decision.wake_at, at), run, None)

    def _do(self, run: _Run, effect: Effect) -> None:
        customer = run.known.stored.customer_id
        match effect:
            case CancelMessages():
                cancelled = [key for key in run.letters if effect.step is None or key == (effect.step, effect.round)]
                for key in cancelled:
                    del run.letters[key]
            case NewMessage():
                self._sent(run, effect.step, effect.round, MessageState.DUE, due_at=effect.due_at)
                unread = run.known.workflow.name in self.unread
                self._write(run, effect.step, effect.round, effect.letter, effect.due_at, unread=unread)
            case HandOff() if customer not in self.waiting and customer not in self.around.waiting:
                self.waiting[customer] = effect.at
                people, zone = self.around.bundle.people, self.around.bundle.shop.zone
                self.handed[covering(people, effect.person, self.now, otherwise=zone)] += 1
            case RememberValues():
                self.remembered.setdefault(customer, {}).update(effect.values)

    def _learn(self, run: _Run) -> None:
        """Have a run know what others have learned of its customer meanwhile."""
        about = run.known.facts
        if learned := self.remembered.get(run.known.stored.customer_id):
            customer = replace(about.customer, remembered={**about.customer.remembered, **learned})
            run.known = replace(run.known, facts=replace(about, customer=customer))

    def _try(self, run: _Run, letter: Wanting, at: datetime) -> None:
        """Ask the gates whether a letter may leave, and have what follows from it."""
        self._learn(run)
        customer, name = run.known.stored.customer_id, run.known.workflow.name
        own = (run.known.stored.id, letter.step)
        lately = tuple(left for left, *whose in self.lately.get(customer, ()) if tuple(whose) != own)
        limit = run.known.workflow.per_day
        today = [left for left in self.today.get(name, [])[-limit:] if left > at - DAY] if limit else []
        candidate = self.around.candidate(run.known, letter)
        candidate = replace(
            candidate,
            recent=tuple(sorted((*candidate.recent, *lately))),
            today=tuple(today),
            waiting_since=candidate.waiting_since or self.waiting.get(customer),
            waiting_for_owner=candidate.waiting_for_owner
            + self.handed[self.around.listening[run.known.workflow.owner]],
        )
        verdict = judge(candidate, now=at)
        key = (letter.step, letter.round)
        if verdict is not None and at == self.now:
            self.objections.setdefault(run.known.stored.id, verdict)
        if verdict is None and self._is_unable(run, letter):
            self._plan(letter.not_after + INSTANT, run, key)  # it is blocked until it expires
        elif verdict is None:
            del run.letters[key]
            self._postponed.pop((run.known.stored.id, *key), None)
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
            if verdict.until >= self.until:
                until = verdict.until, run.known.facts.calendar.zone
                self._postponed.setdefault((run.known.stored.id, *key), until)
            self._want(run, replace(letter, due_at=verdict.until, not_after=not_after, postponed_since=since))
        elif verdict.kind in _STATE:
            del run.letters[key]
            state = _STATE[verdict.kind]
            self._sent(run, letter.step, letter.round, state, due_at=letter.due_at, reason=verdict.reason)
            self._plan(at, run, None)

    def _is_unable(self, run: _Run, letter: Wanting) -> bool:
        """Tell whether a letter cannot be written, for want of who signs it or of itself."""
        workflow, language = run.known.workflow, run.known.facts.customer.language
        otherwise = signed_by(workflow.step(letter.step), workflow)
        return lack_of(self.around.bundle, letter.letter, otherwise, language) is not None

    def _sent(self, run: _Run, step: str, round_: int, state: MessageState, **values: object) -> None:
        sent = dict(run.known.facts.sent)
        known = sent.get((step, round_))
        number = known.id if known else 1_000_000_000 + next(self._numbers)  # later than what is on the record
        sent[step, round_] = Sent(id=number, step=step, round=round_, state=state, **values)  # type: ignore[arg-type]
        run.known = replace(run.known, facts=replace(run.known.facts, sent=sent))
