"""
What the runs of a workflow add up to.

One statement for each question, however many runs there are. What takes more than counting, who said what when,
comes out as narrow rows: joins of all of it in one statement are what PostgreSQL plans worst.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    exists,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
)

from followup.core.enrollment import EnrollmentState
from followup.core.lessons import Asked, Said, Standing, WaitingForUs
from followup.core.message import MessageState
from followup.core.replies import MailKind
from followup.store.enrollments import ENTERED
from followup.store.schema import (
    answers,
    conversations,
    customers,
    decisions,
    enrollments,
    events,
    messages,
    replies,
    workflow_versions,
)

_held_out = enrollments.c.state == literal_column("'held_out'")  # no parameter: it is what some count by


@dataclass(frozen=True, slots=True)
class Cohort:
    """The runs of a workflow that came in since ``since`` and before ``until``; None is no bound."""

    workflow: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCount:
    """So many ``runs`` stand alike; ``step`` is where they are, or were when they ended."""

    version_id: int
    state: EnrollmentState
    ended: bool
    step: str | None
    outcome: str | None
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterCount:
    """So many letters of a step and round stand alike; the ``reason`` is for those that were not accepted."""

    step: str
    round: int
    state: MessageState
    reason: str | None
    runs: int


@dataclass(frozen=True, slots=True)
class GroupCount:
    """Runs that were held out, or let in: how many, of how many customers."""

    held_out: bool
    runs: int
    customers: int


@dataclass(frozen=True, slots=True)
class FirstEvent:
    """A run, and when an event first happened to its customer afterwards."""

    held_out: bool
    entered_at: datetime
    happened_at: datetime


def versions(conn: Connection, workflow: str) -> list[int]:
    """Return the versions of *workflow*, the newest first."""
    wanted = select(workflow_versions.c.id).where(workflow_versions.c.name == workflow)
    return list(conn.scalars(wanted.order_by(workflow_versions.c.id.desc())))


def known_workflows(conn: Connection) -> list[str]:
    """Return every workflow that has a version, by name."""
    return list(conn.scalars(select(workflow_versions.c.name).distinct().order_by(workflow_versions.c.name)))


def runs(conn: Connection, cohort: Cohort) -> list[RunCount]:
    """Count runs by version, state, step and outcome."""
    ended = enrollments.c.ended_at.is_not(None)
    by = (
        ENTERED.label("version_id"),
        enrollments.c.state,
        ended.label("ended"),
        enrollments.c.step,
        enrollments.c.outcome,
    )
    rows = conn.execute(_counted(by).where(_of(cohort)))
    return [
        RunCount(
            version_id=row.version_id,
            state=EnrollmentState(row.state),
            ended=bool(row.ended),
            step=row.step,
            outcome=row.outcome,
            runs=row.number,
        )
        for row in rows
    ]


def customers_of(conn: Connection, cohort: Cohort) -> int:
    """Return how many customers the runs are of."""
    return conn.scalar(select(func.count(enrollments.c.customer_id.distinct())).where(_of(cohort))) or 0


def not_entered(conn: Connection, cohort: Cohort) -> dict[str, int]:
    """Return how often somebody was not let in, by reason, the most frequent first; the bounds are of the decision."""
    bounds = [decisions.c.workflow == cohort.workflow, decisions.c.verdict == literal_column("'not_entered'")]
    bounds += [decisions.c.at >= cohort.since] if cohort.since else []
    bounds += [decisions.c.at < cohort.until] if cohort.until else []
    number = func.count().label("number")
    wanted = select(decisions.c.reason, number).where(*bounds).group_by(decisions.c.reason)
    return {row.reason: row.number for row in conn.execute(wanted.order_by(number.desc(), decisions.c.reason))}


def letters(conn: Connection, cohort: Cohort) -> list[LetterCount]:
    """Count letters by step, round, state and reason."""
    is_accepted = messages.c.state == literal_column("'accepted'")
    reason = case((is_accepted, null()), else_=messages.c.reason).label("reason")
    joined = _counted((messages.c.step, messages.c.round, messages.c.state, reason)).join(
        enrollments, enrollments.c.id == messages.c.enrollment_id
    )
    return [
        LetterCount(step=row.step, round=row.round, state=MessageState(row.state), reason=row.reason, runs=row.number)
        for row in conn.execute(joined.where(_of(cohort)))
    ]


def skipped(conn: Connection, cohort: Cohort) -> list[LetterCount]:
    """Count the runs that passed a step before it had a letter, because its condition did not hold."""
    joined = _counted((decisions.c.step, decisions.c.reason)).join(
        enrollments, enrollments.c.id == decisions.c.enrollment_id
    )
    passed = decisions.c.verdict == MessageState.SKIPPED.value, decisions.c.message_id.is_(None)
    return [
        LetterCount(step=row.step, round=0, state=MessageState.SKIPPED, reason=row.reason, runs=row.number)
        for row in conn.execute(joined.where(_of(cohort), *passed))
    ]


def asked(conn: Connection, cohort: Cohort, steps: Collection[str]) -> list[Asked]:
    """Return the questions of *steps* that have left, and their reminders."""
    is_there = enrollments.c.step == messages.c.step
    unanswered = case(
        (and_(is_there, enrollments.c.ended_at.is_(None)), Standing.WAITING.value),
        (and_(is_there, enrollments.c.state == EnrollmentState.EXITED.value), Standing.LEFT.value),
        else_=Standing.SILENT.value,
    )
    wanted = (
        select(messages.c.enrollment_id, messages.c.step, messages.c.round, messages.c.accepted_at, unanswered)
        .join(enrollments, enrollments.c.id == messages.c.enrollment_id)
        .where(_of(cohort), messages.c.state == MessageState.ACCEPTED.value, messages.c.step.in_(list(steps)))
    )
    return [Asked(run, step, round_, at, Standing(else_)) for run, step, round_, at, else_ in conn.execute(wanted)]


def chosen(conn: Connection, cohort: Cohort) -> list[Said]:
    """Return every confirmed answer, by click or named in a mail, in the order they came."""
    of = answers.c
    wanted = (
        select(of.enrollment_id, of.step, of.at, of.answer, of.label, of.comment.is_not(None).label("has_words"))
        .join(enrollments, enrollments.c.id == of.enrollment_id)
        .where(_of(cohort))
        .order_by(of.id)
    )
    return [
        Said(row.enrollment_id, row.step, row.at, row.answer, row.label, bool(row.has_words))
        for row in conn.execute(wanted)
    ]


def written(conn: Connection, cohort: Cohort) -> list[Said]:
    """Return every mail by a person, in the order they came; one that only names an answer brings no words."""
    same_run = answers.c.enrollment_id == replies.c.enrollment_id
    names = exists().where(same_run, answers.c.reply_id == replies.c.id)
    wanted = (
        select(replies.c.enrollment_id, messages.c.step, replies.c.received_at, names.label("names_a_choice"))
        .join(enrollments, enrollments.c.id == replies.c.enrollment_id)
        .join(messages, messages.c.id == replies.c.message_id)
        .where(_of(cohort), replies.c.kind == MailKind.HUMAN.value)
        .order_by(replies.c.id)
    )
    return [
        Said(row.enrollment_id, row.step, row.received_at, None, None, has_words=not row.names_a_choice)
        for row in conn.execute(wanted)
    ]


def variants_taken(conn: Connection, cohort: Cohort) -> dict[str, dict[int, str]]:
    """Return by split and run which variant it took."""
    wanted = (
        select(decisions.c.enrollment_id, decisions.c.step, decisions.c.reason)
        .join(enrollments, enrollments.c.id == decisions.c.enrollment_id)
        .where(_of(cohort), decisions.c.verdict == "split")
    )
    taken: dict[str, dict[int, str]] = {}
    for run, split, variant in conn.execute(wanted):
        taken.setdefault(split, {})[run] = variant
    return taken


def replies_by_kind(conn: Connection, cohort: Cohort) -> dict[str, int]:
    """Return how many mails came back, by kind."""
    joined = _counted((replies.c.kind,)).join(enrollments, enrollments.c.id == replies.c.enrollment_id)
    return {row.kind: row.number for row in conn.execute(joined.where(_of(cohort)).order_by(replies.c.kind))}


def waiting_for_us(conn: Connection, cohort: Cohort) -> WaitingForUs | None:
    """Return how many customers who were let in wait for an answer from us now, whatever they wrote about."""
    let_in = select(enrollments.c.customer_id).where(_of(cohort), not_(_held_out))  # EXISTS is run again for each one
    theirs = conversations.c.customer_id.in_(let_in)
    wanted = (
        select(func.count().over().label("number"), conversations.c.waiting_since, customers.c.timezone)
        .join(customers, customers.c.id == conversations.c.customer_id)
        .where(conversations.c.closed_at.is_(None), conversations.c.waiting_since.is_not(None), theirs)
        .order_by(conversations.c.waiting_since, conversations.c.id)
    )
    row = conn.execute(wanted.limit(1)).one_or_none()
    return WaitingForUs(row.number, row.waiting_since, row.timezone) if row else None


def groups(conn: Connection, cohort: Cohort, version_ids: Collection[int]) -> list[GroupCount]:
    """Count the runs of these versions, and their customers, held out and not."""
    people = func.count(enrollments.c.customer_id.distinct()).label("customers")
    wanted = _counted((_held_out.label("held_out"),), people).where(_of(cohort), _in(version_ids))
    return [GroupCount(bool(row.held_out), row.number, row.customers) for row in conn.execute(wanted)]


def first_events(
    conn: Connection, cohort: Cohort, version_ids: Collection[int], kind: str, *, trigger: str
) -> Iterator[FirstEvent]:
    """
    Yield the runs of these versions to whose customer an event of *kind* happened after they came in.

    What let a run in does not count; nor does the same told again by another side, where *kind* is its *trigger*.
    """
    first = func.min(events.c.occurred_at)
    wanted = (
        select(_held_out.label("held_out"), enrollments.c.entered_at, first.label("happened_at"))
        .join(events, events.c.customer_id == enrollments.c.customer_id)
        .where(
            _of(cohort),
            _in(version_ids),
            events.c.kind == kind,
            events.c.occurred_at > enrollments.c.entered_at,
            or_(enrollments.c.trigger_event_id.is_(None), events.c.id != enrollments.c.trigger_event_id),
        )
        .group_by(enrollments.c.id)
    )
    if kind == trigger:
        of_none = or_(events.c.order_id.is_(None), enrollments.c.order_id.is_(None))
        wanted = wanted.where(or_(of_none, events.c.order_id != enrollments.c.order_id))
    return (FirstEvent(bool(row.held_out), row.entered_at, row.happened_at) for row in conn.execute(wanted))


def _of(cohort: Cohort) -> ColumnElement[bool]:
    bounds = [enrollments.c.workflow == cohort.workflow]
    bounds += [enrollments.c.entered_at >= cohort.since] if cohort.since else []
    bounds += [enrollments.c.entered_at < cohort.until] if cohort.until else []
    return and_(*bounds)


def _in(version_ids: Collection[int]) -> ColumnElement[bool]:
    return ENTERED.in_(list(version_ids))


def _counted(by: Sequence[ColumnElement[Any]], *more: ColumnElement[Any]) -> Select[Any]:
    """Return how many rows are alike in *by*, in its order."""
    return select(*by, *more, func.count().label("number")).group_by(*by).order_by(*by)
