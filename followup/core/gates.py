"""
Every reason to hold, postpone, skip or expire a letter, in one ordered list.

The gates are asked inside the claim, with the customer's row locked, right before a letter may leave.
The first that objects decides; its verdict is recorded with the values it rests on.

Two bounds keep a letter from going out at the wrong time. ``max_late``: it may leave at most that long
after it could first have gone (``last_chance``; the due time moves when a gate postpones, so waiting for
a window or a cap is not lateness). ``max_postpone``: all postponing together may take at most that long,
counted from the first time a gate postponed it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from followup.core.asks import ASKED_BEFORE, OPENED, names_for, timeout_at
from followup.core.customer import ConsentBasis
from followup.core.enrollment import Enrollment, EnrollmentState
from followup.core.facts import Facts, values_of
from followup.core.message import Purpose
from followup.core.schedule import Calendar, SendWindow, in_words
from followup.core.transfer import GONE_ON, UNNEEDED
from followup.core.workflow import Ask, Send, Workflow, WorkflowStatus

EXISTING_CUSTOMER = timedelta(days=730)  # 24 months after the last order
HALTED = "everything is halted"
FIRST_LETTERS = "the first letters wait until a person has read them"
DAY = timedelta(hours=24)
PER_DAY = "per_day"
RESTORED = "the database was restored: it may have left already"
REMINDER_MARGIN = timedelta(hours=24)  # a reminder closer than this to the timeout helps nobody
SHORTEST_POSTPONE = timedelta(seconds=60)
LOOK_AGAIN = timedelta(hours=4)  # whether the owner has room for more answers


class VerdictKind(StrEnum):
    HOLD = "held"  # no due time until something releases it
    POSTPONE = "postponed"  # due again at ``until``
    SKIP = "skipped"
    EXPIRE = "expired"
    CANCEL = "cancelled"  # and with it the run, unless that has gone on: there is nobody to write to any more
    DOUBT = "unknown"  # it may have left already


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate's objection."""

    kind: VerdictKind
    gate: str
    reason: str
    values: Mapping[str, object] = field(default_factory=dict)
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """
    A letter that wants to leave, and what the gates look at besides its enrollment's facts.

    ``postponed_since`` is when a gate first postponed it, None while none has. ``recent`` holds when each
    letter to this customer left (``now`` for one on its way), of all workflows, oldest first, this ask's
    own rounds left out.
    """

    workflow: Workflow
    enrollment: Enrollment
    facts: Facts
    step: str
    round: int
    postponed_since: datetime | None
    due_at: datetime
    not_after: datetime
    purpose: Purpose
    halted: str | None = None  # why, if an operator stopped every letter
    suppressed: str | None = None  # why, if the address is
    waiting_since: datetime | None = None  # since when the customer has been waiting for us
    recent: tuple[datetime, ...] = ()
    in_doubt_until: datetime | None = None  # what was due by then may have left: the database was restored
    today: tuple[datetime, ...] = ()  # when letters of the workflow left in the last 24 hours, oldest first
    backlog: int | None = None  # how many customers may wait for the owner while they ask more; None: any number
    waiting_for_owner: int = 0
    unread: bool = False  # it is one of the first letters, and no person has let it go

    @property
    def is_reminder(self) -> bool:
        return self.round > 0


Gate = Callable[[Candidate, datetime], Verdict | None]


def last_chance(workflow: Workflow, step_id: str, due_at: datetime, calendar: Calendar) -> datetime:
    """Return until when a letter due at *due_at* may leave: max_late after its window is first open."""
    return (_opens(workflow, step_id, due_at, calendar) or due_at) + workflow.max_late


def _opens(workflow: Workflow, step_id: str, at: datetime, calendar: Calendar) -> datetime | None:
    """Return *at* if the step's letter may leave then, else when its window opens; None if it never does."""
    rule, step = workflow.send_window, workflow.step(step_id)
    if rule is None or (isinstance(step, Send) and step.ignore_send_window):
        return at
    return rule.next_open(at, _window_calendar(rule, calendar))


def _window_calendar(rule: SendWindow, calendar: Calendar) -> Calendar:
    return calendar if rule.zone is None else Calendar(rule.zone, calendar.is_holiday)


def judge(candidate: Candidate, *, now: datetime) -> Verdict | None:
    """Return the first objection to sending *candidate* at *now* (aware UTC), or None: it may leave."""
    for gate in GATES:
        if verdict := gate(candidate, now):
            return _bounded(verdict, candidate, now)
    return None


def _bounded(verdict: Verdict, candidate: Candidate, now: datetime) -> Verdict:
    """A reminder is never held; a postponement is strictly later and has an end."""
    if verdict.kind is VerdictKind.HOLD and candidate.is_reminder:
        return Verdict(VerdictKind.SKIP, verdict.gate, verdict.reason, verdict.values)
    if verdict.kind is not VerdictKind.POSTPONE:
        return verdict
    assert verdict.until is not None
    until = max(verdict.until, now + SHORTEST_POSTPONE)
    last = (candidate.postponed_since or now) + candidate.workflow.max_postpone
    if until > last:
        values = {**verdict.values, "next_chance": until, "postponable_until": last}
        return Verdict(VerdictKind.EXPIRE, "max_postpone", f"no chance in time ({verdict.reason})", values)
    return Verdict(VerdictKind.POSTPONE, verdict.gate, verdict.reason, verdict.values, until)


def in_doubt(candidate: Candidate, now: datetime) -> Verdict | None:
    """A restored database does not know what left in the time it has lost."""
    until = candidate.in_doubt_until
    if until is None or candidate.due_at > until:
        return None
    values = {"due_at": candidate.due_at, "lost_until": until}
    return Verdict(VerdictKind.DOUBT, "restored", RESTORED, values)


def run_over(candidate: Candidate, now: datetime) -> Verdict | None:
    """A letter that was given up and is due again may have outlived its run."""
    if candidate.enrollment.state is EnrollmentState.ACTIVE:
        return None
    return Verdict(VerdictKind.CANCEL, "run", f"its run is {candidate.enrollment.state.value}")


def gone_on(candidate: Candidate, now: datetime) -> Verdict | None:
    """A letter that was given up and is due again may be of a step that was passed by, or that reminds no more."""
    stands_at, step = candidate.enrollment.position.step, candidate.workflow.step(candidate.step)
    if stands_at != candidate.step:
        return Verdict(VerdictKind.CANCEL, "step", GONE_ON, {"stands_at": stands_at})
    if candidate.is_reminder and isinstance(step, Ask) and step.remind_after is None:
        return Verdict(VerdictKind.CANCEL, "step", UNNEEDED)
    return None


def halted(candidate: Candidate, now: datetime) -> Verdict | None:
    if candidate.halted is None:
        return None
    return Verdict(VerdictKind.HOLD, "halted", HALTED, {"because": candidate.halted})


def paused(candidate: Candidate, now: datetime) -> Verdict | None:
    status = candidate.workflow.status
    if status is WorkflowStatus.LIVE:
        return None
    kind = VerdictKind.CANCEL if status is WorkflowStatus.ARCHIVED else VerdictKind.HOLD
    return Verdict(kind, "paused", not_live(status))


def not_live(status: WorkflowStatus) -> str:
    """Return why a letter of a workflow with that status does not leave."""
    return f"the workflow is {status.value}"


def order_void(candidate: Candidate, now: datetime) -> Verdict | None:
    order = candidate.facts.order
    if order is None or not order.is_void or candidate.workflow.is_about_void_orders:
        return None
    return Verdict(VerdictKind.CANCEL, "order", f"the order was {order.status.value}", {"order": order.number})


def suppressed(candidate: Candidate, now: datetime) -> Verdict | None:
    if candidate.suppressed is None:
        return None
    return Verdict(VerdictKind.CANCEL, "suppressed", f"the address is suppressed: {candidate.suppressed}")


def consent(candidate: Candidate, now: datetime) -> Verdict | None:
    if candidate.purpose is Purpose.SERVICE:
        return None
    customer, basis = candidate.facts.customer, candidate.facts.customer.consent_basis
    if basis is ConsentBasis.UNKNOWN:
        basis = ConsentBasis.NONE if candidate.facts.shop.strict_consent else ConsentBasis.EXISTING_CUSTOMER
    if basis is ConsentBasis.OPT_IN:
        return None
    last = customer.last_order_at
    lasting = basis is ConsentBasis.EXISTING_CUSTOMER and last is not None and now < last + EXISTING_CUSTOMER
    if lasting and candidate.purpose is Purpose.RELATIONSHIP:
        return None
    values = {
        "consent_basis": customer.consent_basis.value,
        "last_order_at": last,
        "purpose": candidate.purpose.value,
    }
    return Verdict(VerdictKind.SKIP, "consent", f"no consent for a {candidate.purpose.value} letter", values)


def waiting_for_us(candidate: Candidate, now: datetime) -> Verdict | None:
    if candidate.waiting_since is None:
        return None
    values = {"waiting_since": candidate.waiting_since}
    return Verdict(VerdictKind.HOLD, "waiting_for_us", "the customer waits for an answer from us", values)


def answered(candidate: Candidate, now: datetime) -> Verdict | None:
    """A reminder is for those who have not answered, not even provisionally; and nobody is asked the same twice."""
    step = candidate.workflow.step(candidate.step)
    said = [r for r in candidate.facts.responses if r.step == candidate.step]
    if candidate.is_reminder and said:
        is_sent = any(not r.provisional for r in said)
        return Verdict(VerdictKind.SKIP, "answered", "already answered" if is_sent else OPENED)
    told = candidate.facts.elsewhere.get(step.letter) if isinstance(step, Ask) else None
    if told is None:
        return None
    return Verdict(VerdictKind.SKIP, "answered", ASKED_BEFORE, {"answered_at": told.at, "answer": told.answer})


def condition(candidate: Candidate, now: datetime) -> Verdict | None:
    step = candidate.workflow.step(candidate.step)
    if step is None or step.when is None:
        return None
    known = names_for(candidate.workflow, candidate.facts, now=now, before=candidate.step)
    if step.when(known):
        return None
    values = values_of(step.when, known)
    return Verdict(VerdictKind.SKIP, "when", f"no longer true: {step.when.source}", values)


def late(candidate: Candidate, now: datetime) -> Verdict | None:
    if now <= candidate.not_after:
        return None
    values = {"due_at": candidate.due_at, "not_after": candidate.not_after}
    return Verdict(VerdictKind.EXPIRE, "max_late", "too late", values)


def reminder_margin(candidate: Candidate, now: datetime) -> Verdict | None:
    """A reminder too near the timeout of its question is dropped, wherever it was put."""
    step = candidate.workflow.step(candidate.step)
    if not candidate.is_reminder or not isinstance(step, Ask):
        return None
    gives_up = timeout_at(step, candidate.facts.sent[candidate.step, 0], candidate.facts)
    if gives_up is not None and now < gives_up - REMINDER_MARGIN:
        return None
    return Verdict(VerdictKind.SKIP, "timeout", "less than 24 hours to the timeout", {"timeout_at": gives_up})


def capacity(candidate: Candidate, now: datetime) -> Verdict | None:
    """Nobody is asked while more people wait for an answer from the owner than they can listen to."""
    limit = candidate.backlog
    asks = isinstance(candidate.workflow.step(candidate.step), Ask) and not candidate.is_reminder
    if limit is None or not asks or candidate.waiting_for_owner <= limit:
        return None
    values = {"owner": candidate.workflow.owner, "waiting": candidate.waiting_for_owner, "backlog": limit}
    waiting = (
        "1 customer waits" if candidate.waiting_for_owner == 1 else f"{candidate.waiting_for_owner} customers wait"
    )
    reason = f"{waiting} for an answer from {candidate.workflow.owner}"
    return Verdict(VerdictKind.POSTPONE, "capacity", reason, values, until=now + LOOK_AGAIN)


def cap(candidate: Candidate, now: datetime) -> Verdict | None:
    rule = candidate.workflow.cap
    if rule is None or candidate.purpose is Purpose.SERVICE:
        return None
    counted = [at for at in candidate.recent if at > now - rule.span]
    if len(counted) < rule.count:
        return None
    values: dict[str, object] = {
        "cap": rule.count,
        "span_hours": rule.span / timedelta(hours=1),
        "last": counted[-1],
    }
    letters = f"{len(counted)} letter{'' if len(counted) == 1 else 's'}"
    reason = f"{letters} in the last {in_words(rule.span)} (the cap is {rule.count})"
    if rule.skip:
        return Verdict(VerdictKind.SKIP, "cap", reason, values)
    return Verdict(VerdictKind.POSTPONE, "cap", reason, values, until=counted[-rule.count] + rule.span)


def window(candidate: Candidate, now: datetime) -> Verdict | None:
    rule, calendar = candidate.workflow.send_window, candidate.facts.calendar
    opens = _opens(candidate.workflow, candidate.step, now, calendar)
    if rule is None or opens == now:
        return None
    if opens is None:
        return Verdict(VerdictKind.EXPIRE, "window", "the send window never opens")
    values = {"local_time": _window_calendar(rule, calendar).local(now).isoformat(timespec="minutes")}
    return Verdict(VerdictKind.POSTPONE, "window", "outside the send window", values, until=opens)


def per_day(candidate: Candidate, now: datetime) -> Verdict | None:
    limit = candidate.workflow.per_day
    if limit is None or len(candidate.today) < limit:
        return None
    values: dict[str, object] = {"per_day": limit, "left": sum(at <= now for at in candidate.today)}
    reason = f"{limit} letter{'' if limit == 1 else 's'} of this workflow in the last 24 hours"
    return Verdict(VerdictKind.POSTPONE, PER_DAY, reason, values, until=candidate.today[-limit] + DAY)


def first_letters(candidate: Candidate, now: datetime) -> Verdict | None:
    """Reminders go: somebody has read what they remind of."""
    if not candidate.unread or candidate.is_reminder:
        return None
    return Verdict(VerdictKind.HOLD, "first_letters", FIRST_LETTERS)


GATES: tuple[Gate, ...] = (
    in_doubt,
    run_over,
    gone_on,
    halted,
    paused,
    order_void,
    suppressed,
    consent,
    waiting_for_us,
    answered,
    condition,
    late,
    reminder_margin,
    capacity,
    cap,
    window,
    per_day,
    first_letters,
)
