"""Who stands where something changes: what each of them waits for as it is, and once the folder is applied."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from followup.core.asks import timeout_at
from followup.core.decide import decide
from followup.core.decision import Decision, NewMessage
from followup.core.enrollment import Phase, Position
from followup.core.facts import Facts, Sent
from followup.core.gates import Verdict
from followup.core.message import CANCELLABLE, MessageState
from followup.core.transfer import InFlight
from followup.core.workflow import Ask, Letter, Wait, WaitFor, Workflow, letter_of
from followup.services.afterwards import Afterwards
from followup.services.facts import Known
from followup.services.forecast import PAUSES
from followup.services.lacking import Lack, lack_of
from followup.services.transfer import decided, signed_by
from followup.store.enrollments import Standing
from followup.store.messages import StoredMessage

NAMED = 50  # of the people at a step


class Next(StrEnum):
    """What comes next for a run if nothing is heard of its customer."""

    LOOK = "look"  # it is looked at, and goes on if it can
    WAIT = "wait"  # its wait is over
    EVENT = "event"  # it waits for an event no longer
    LETTER = "letter"  # its letter is due
    HELD = "held"  # its letter is held
    BLOCKED = "blocked"  # its letter is blocked
    UNDER_WAY = "under way"  # its letter is on its way
    UNKNOWN = "unknown"  # nobody knows whether its letter left
    REMINDER = "reminder"  # its reminder is due
    ANSWER = "answer"  # it waits for an answer no longer
    END = "end"  # it ends


@dataclass(frozen=True, slots=True)
class Outlook:
    """
    What comes next for a run, and when, None: that is not known; ``is_due`` when it would come now.

    ``until`` is when what it waits for, at the step where it stands, is over at the latest; None: it waits for nothing.
    """

    next: Next
    at: datetime | None = None
    until: datetime | None = None
    is_due: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """
    One of those who stand at a step that changes, and with which order, if with any.

    What is ``now`` ahead of them is so as it is, and ``then`` afterwards. They go on ``at_once`` when the folder is
    applied, ``onward`` with that step where theirs is gone. Their letter cannot leave then for what it ``lacks``, or
    does not leave at once for an ``objection`` of the gates.
    """

    email: str
    order: str | None
    timezone: str | None
    now: Outlook
    then: Outlook
    at_once: bool = False
    onward: str | None = None
    lacks: Lack | None = None
    objection: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """What comes at another time for ``number`` of those at a step: for the first of them ``then``, not as ``now``."""

    next: Next
    now: datetime
    then: datetime
    timezone: str | None
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    People who stand at a step of a workflow that changes: at ``step`` as they know it, at ``to`` from then on.

    ``to`` is None where the step is gone, with its workflow if that is ``gone``; ``how`` is what was decided about them
    then, None: nothing was. ``at_once`` of them would go on when the folder is applied, for what they wait for would be
    over; ``shift`` tells of the others to whom something happens earlier or later. ``phases`` tells how far they are,
    ``who`` names the first of them.
    """

    workflow: str
    step: str
    to: str | None
    number: int
    phases: Mapping[Phase, int]
    at_once: int = 0
    shift: Shift | None = None
    how: InFlight | None = None
    gone: bool = False
    who: tuple[Who, ...] = ()


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whose letter that has not left yet cannot leave."""

    email: str
    order: str | None
    letter: str


def places(
    changing: Iterable[Standing],
    known: Collection[Known],
    afterwards: Afterwards,
    *,
    undecided: Collection[tuple[str, str]],
    live_again: Collection[str],
    objections: Mapping[int, Verdict],
) -> Iterator[Place]:
    """
    Yield where people stand that something changes for.

    Args:
        known: runs that may be named.
        undecided: the steps that are gone, and their workflows, about which it has to be said what becomes of people.
        live_again: workflows whose letters that a pause holds go when the folder is applied.
        objections: by run, why its letter that is due then does not leave at once.
    """
    found: dict[tuple[str, str, str | None], list[Standing]] = {}
    for one in changing:
        to = afterwards.new_step(one.workflow, one.version_id, one.step, one.phase)
        found.setdefault((one.workflow, one.step or "", to), []).append(one)
    there: dict[tuple[str, str, str | None], list[Who]] = {}
    for run in known:
        position, name = run.stored.enrollment.position, run.workflow.name
        if position.step is not None and afterwards.is_behind(run):
            to = afterwards.new_step(name, run.stored.version_id, position.step, position.phase)
            is_open = to is None and (name, position.step) in undecided
            who = _who(run, afterwards, is_open=is_open, live_again=name in live_again)
            if who.then.next in {Next.LETTER, Next.REMINDER} and who.then.is_due:
                who = replace(who, objection=objections.get(run.stored.id))
            there.setdefault((name, position.step, to), []).append(who)
    for (workflow, step, to), standing in found.items():
        phases: Counter[Phase] = Counter()
        for one in standing:
            phases[one.phase] += one.number
        named = there.get((workflow, step, to), [])
        yield Place(
            workflow=workflow,
            step=step,
            to=to,
            number=sum(phases.values()),
            phases=phases,
            at_once=sum(one.at_once for one in named),
            shift=_shift(named),
            how=decided(afterwards.in_flight, workflow, step) if to is None else None,
            gone=workflow not in afterwards.bundle.workflows,
            who=tuple(named[:NAMED]),
        )


def _who(one: Known, afterwards: Afterwards, *, is_open: bool, live_again: bool) -> Who:
    """Return who is in a run that is behind, and what comes for them; *is_open* where that has to be decided yet."""
    order, customer = one.facts.order, one.facts.customer
    now = as_it_is(one, afterwards.now)
    who = Who(
        email=customer.email,
        order=order.number if order else None,
        timezone=one.facts.calendar.zone.key,
        now=now,
        then=now,
    )
    if is_open or afterwards.is_due(one):
        return who
    moved = afterwards.moved(one)
    if moved is None:
        return replace(who, then=Outlook(Next.END))
    landing = afterwards.landing(one)
    facts = _tried_again(moved.facts, live_again=live_again, now=afterwards.now)
    decision = decide(moved.workflow, moved.stored.enrollment, facts, now=afterwards.now)
    then = _after(decision, moved.workflow, facts, afterwards.now)
    goes_on = bool(decision.ended) or decision.position.step != moved.stored.enrollment.position.step
    return replace(
        who,
        then=then,
        at_once=landing is not None and goes_on,
        onward=landing.position.step if landing is not None and landing.left is not None else None,
        lacks=_lack(then, decision.position, moved, afterwards),
    )


def as_it_is(one: Known, now: datetime) -> Outlook:
    """Return what comes next for a run if nothing is applied."""
    stands, wake_at = one.stored.enrollment.position, one.stored.wake_at
    if wake_at is not None and wake_at <= now:
        decision = decide(one.workflow, one.stored.enrollment, one.facts, now=now) if one.stored.is_fresh else None
        if decision is not None and not decision.ended and decision.position.step == stands.step:
            return _after(decision, one.workflow, one.facts, now)  # it was only moved, and waits for what it waited for
        return Outlook(Next.LOOK, wake_at, is_due=True)
    return _outlook(one.workflow, stands, one.facts, wake_at, now)


def _after(decision: Decision, workflow: Workflow, facts: Facts, now: datetime) -> Outlook:
    """Return what comes after *decision*, with the letters that it writes."""
    if decision.ended:
        return Outlook(Next.END)
    sent = dict(facts.sent)
    for effect in decision.effects:
        if isinstance(effect, NewMessage):
            new = Sent(id=0, step=effect.step, round=effect.round, state=MessageState.DUE, due_at=effect.due_at)
            sent[effect.step, effect.round] = new
    return _outlook(workflow, decision.position, replace(facts, sent=sent), decision.wake_at, now)


def _tried_again(facts: Facts, *, live_again: bool, now: datetime) -> Facts:
    """Have letters be due that are blocked, or that a pause holds which is over: applying does so."""
    sent = {}
    for key, one in facts.sent.items():
        if one.state is MessageState.BLOCKED:
            sent[key] = replace(one, state=MessageState.DUE)
        elif one.state is MessageState.HELD and live_again and one.reason in PAUSES:
            sent[key] = replace(one, state=MessageState.DUE, due_at=now)
        else:
            sent[key] = one
    return replace(facts, sent=sent)


def _outlook(workflow: Workflow, position: Position, facts: Facts, wake_at: datetime | None, now: datetime) -> Outlook:
    """Return what comes next for a run that stands at *position* and is looked at again at *wake_at*."""
    found = _next(workflow, position, facts, wake_at)
    return replace(found, is_due=found.at is not None and found.at <= now)


def _next(workflow: Workflow, position: Position, facts: Facts, wake_at: datetime | None) -> Outlook:
    match workflow.step(position.step or ""), position.phase:
        case Wait(), Phase.WAITING:
            return Outlook(Next.WAIT, wake_at, until=wake_at)
        case WaitFor(), Phase.WAITING:
            return Outlook(Next.EVENT, wake_at, until=wake_at)
        case Letter() as step, Phase.SENDING:
            return _letter(facts.sent.get((step.id, 0)))
        case Ask() as step, Phase.ASKED:
            return _answer(step, facts, wake_at)
    return Outlook(Next.LOOK, wake_at)


def _letter(sent: Sent | None) -> Outlook:
    if sent is None:
        return Outlook(Next.LETTER)
    match sent.state:
        case MessageState.DUE:
            return Outlook(Next.LETTER, sent.due_at)
        case MessageState.HELD:
            return Outlook(Next.HELD)
        case MessageState.BLOCKED:
            return Outlook(Next.BLOCKED)
        case MessageState.UNKNOWN:
            return Outlook(Next.UNKNOWN)
    return Outlook(Next.UNDER_WAY)


def _answer(step: Ask, facts: Facts, wake_at: datetime | None) -> Outlook:
    """Return what comes for whoever was asked: the reminder, if there is to be one, or the end of the wait."""
    sent, reminder = facts.sent.get((step.id, 0)), facts.sent.get((step.id, 1))
    until = timeout_at(step, sent, facts) if sent else None
    is_marked = any(one.step == step.id for one in facts.responses)  # who has looked at an answer is not reminded
    if reminder is not None and reminder.state is MessageState.DUE and not is_marked:
        return Outlook(Next.REMINDER, reminder.due_at, until=until)
    if reminder is None and wake_at is not None and until is not None and wake_at < until and not is_marked:
        return Outlook(Next.REMINDER, wake_at, until=until)
    return Outlook(Next.ANSWER, until, until=until)


def _lack(then: Outlook, position: Position, moved: Known, afterwards: Afterwards) -> Lack | None:
    """Return why the letter that comes next cannot leave, if one does."""
    if then.next not in {Next.LETTER, Next.HELD, Next.REMINDER}:
        return None
    step = moved.workflow.step(position.step or "")
    letter = letter_of(step, 1 if then.next is Next.REMINDER else 0)
    if letter is None:
        return None
    otherwise, language = signed_by(step, moved.workflow), moved.facts.customer.language
    return lack_of(afterwards.bundle, letter, otherwise, language)


def _shift(people: Sequence[Who]) -> Shift | None:
    """Return what happens earlier or later, to those who do not go on at once; of the first of them, when."""
    shifts = [shift for one in people if not one.at_once if (shift := _shift_of(one))]
    if not shifts:
        return None
    first = min(shifts, key=lambda one: one.then)
    return replace(first, number=sum(one.next is first.next for one in shifts))


def _shift_of(one: Who) -> Shift | None:
    now, then = one.now, one.then
    if now.until and then.until and now.until != then.until:
        kind = Next.ANSWER if then.next is Next.REMINDER else then.next
        return Shift(kind, now.until, then.until, one.timezone, 1)
    if now.next is then.next is Next.REMINDER and now.at and then.at and now.at != then.at:
        return Shift(Next.REMINDER, now.at, then.at, one.timezone, 1)
    return None


def without_letter(
    known: Iterable[Known], written: Mapping[int, Sequence[StoredMessage]], afterwards: Afterwards
) -> dict[Lack, list[Addressee]]:
    """Return whose letters that have not left yet cannot leave once the folder is applied, by what they lack."""
    found: dict[Lack, list[Addressee]] = {}
    for one in known:
        moved = afterwards.moved(one)
        for message in written.get(one.stored.id, ()) if moved else ():
            assert moved is not None
            step, about = moved.workflow.step(message.step), moved.facts
            letter = letter_of(step, message.round) if message.state in CANCELLABLE else None
            otherwise = signed_by(step, moved.workflow)
            if letter and (lack := lack_of(afterwards.bundle, letter, otherwise, about.customer.language)):
                order = about.order.number if about.order else None
                found.setdefault(lack, []).append(Addressee(about.customer.email, order, letter))
    return found
