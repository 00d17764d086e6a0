"""What a workflow has taught us: counted from the record when somebody wants to know, and stored nowhere."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle, BundleError
from followup.clock import Clock
from followup.core.comparison import Share
from followup.core.enrollment import EnrollmentState
from followup.core.lessons import (
    Answers,
    Entries,
    GoalLesson,
    Group,
    Heard,
    Lessons,
    LetterLesson,
    SplitLesson,
    Unsent,
    answers,
    heard,
    of_split,
)
from followup.core.message import NOT_SENT, MessageState
from followup.core.replies import Question
from followup.core.workflow import Ask, Letter, Send, Split, Step, Workflow
from followup.services import find
from followup.services.library import Library
from followup.store import lessons
from followup.store.engine import reading
from followup.store.lessons import Cohort, LetterCount, RunCount

NOT_ANY_MORE = NOT_SENT | {MessageState.UNKNOWN}  # one of unknown fate counts as sent once there is evidence
STANDING_STILL = frozenset({MessageState.HELD, MessageState.BLOCKED})  # and say why


def of_workflow(engine: Engine, cohort: Cohort, *, library: Library, clock: Clock) -> Lessons:
    """
    Return what the runs of *cohort* have taught.

    Raises:
        NotFound: there is no such workflow and never was; the hint names the nearest.
    """
    with reading(engine) as conn:
        return read(conn, cohort, library=library, now=clock.now())


def read(conn: Connection, cohort: Cohort, *, library: Library, now: datetime) -> Lessons:
    """Do what `of_workflow` does, in a transaction of the caller's."""
    bundle = library.find_newest(conn)
    newest = bundle.workflows.get(cohort.workflow) if bundle else None
    versions = _versions(conn, cohort.workflow, library)
    shapes = [*([newest] if newest else ()), *versions.values()]
    if not shapes:
        known = {*lessons.known_workflows(conn), *(bundle.workflows if bundle else ())}
        raise find.no_workflow(cohort.workflow, known)
    runs = lessons.runs(conn, cohort)
    letters, skipped = lessons.letters(conn, cohort), lessons.skipped(conn, cohort)
    steps = _steps(shapes, letters, skipped)
    asks = {step.id: _question(step, bundle) for step in steps if isinstance(step, Ask)}
    said = _heard(conn, cohort, asks)
    return Lessons(
        workflow=cohort.workflow,
        title=shapes[0].title,
        learn=shapes[0].learn,
        status=newest.status if newest else None,
        since=cohort.since,
        until=cohort.until,
        entries=_entries(conn, cohort, runs),
        letters=[
            _letter(
                step,
                [one for one in (*letters, *skipped) if one.step == step.id],
                answers(asks[step.id], said[step.id]) if step.id in asks else None,
                in_file=shapes[0].step(step.id) is not None,
            )
            for step in steps
            if isinstance(step, Letter)
        ],
        splits=_splits(conn, cohort, steps, asks, said),
        replies=lessons.replies_by_kind(conn, cohort),
        waiting=lessons.waiting_for_us(conn, cohort),
        goal=_goal(conn, cohort, newest, runs, versions, now=now) if newest and newest.goal else None,
    )


def _versions(conn: Connection, name: str, library: Library) -> dict[int, Workflow]:
    """Return the versions of a workflow by id, the newest first, but for those that no reader understands any more."""
    found = {}
    for key in lessons.versions(conn, name):
        with suppress(BundleError):
            found[key] = library.workflow(conn, key)
    return found


def _steps(shapes: Sequence[Workflow], letters: Iterable[LetterCount], skipped: Iterable[LetterCount]) -> list[Step]:
    """Return the steps of the newest version, then those of earlier ones that runs came to; each once."""
    found = {step.id: step for step in shapes[0].all_steps}
    met = {one.step for one in (*letters, *skipped)}
    for workflow in shapes[1:]:
        found |= {step.id: step for step in workflow.all_steps if step.id in met and step.id not in found}
    unread = {one.step for one in letters} - found.keys()  # only in a version that cannot be read
    return [*found.values(), *(Send(id=step, letter=step) for step in sorted(unread))]


def _question(step: Letter, bundle: Bundle | None) -> Question | None:
    return bundle.question(step.letter) if bundle and step.letter in bundle.defaults else None


def _entries(conn: Connection, cohort: Cohort, runs: Iterable[RunCount]) -> Entries:
    held_out, inside, ended = 0, Counter[str](), Counter[str]()
    for one in runs:
        if one.state is EnrollmentState.HELD_OUT:
            held_out += one.runs
        elif one.ended:
            ended[one.outcome or "finished"] += one.runs
        else:
            inside[one.step or "the end"] += one.runs
    return Entries(
        runs=held_out + inside.total() + ended.total(),
        customers=lessons.customers_of(conn, cohort),
        held_out=held_out,
        not_let_in=lessons.not_entered(conn, cohort),
        inside=dict(inside.most_common()),
        ended=dict(ended.most_common()),
    )


def _heard(conn: Connection, cohort: Cohort, asks: Collection[str]) -> dict[str, list[Heard]]:
    """Return by step what was asked at *asks*, and said."""
    by_step: dict[str, list[Heard]] = {step: [] for step in asks}
    said = [*lessons.chosen(conn, cohort), *lessons.written(conn, cohort)]
    for one in heard(lessons.asked(conn, cohort, asks), said):
        by_step[one.asked.step].append(one)
    return by_step


def _letter(step: Letter, counts: Iterable[LetterCount], said: Answers | None, *, in_file: bool) -> LetterLesson:
    sent, not_sent, to_come = 0, Counter[tuple[MessageState, str | None]](), Counter[tuple[MessageState, str | None]]()
    for one in counts:
        if one.round > 0:
            continue
        if one.state is MessageState.ACCEPTED:
            sent += one.runs
        elif one.state in NOT_ANY_MORE:
            not_sent[one.state, one.reason] += one.runs
        elif one.state in STANDING_STILL:
            to_come[one.state, one.reason] += one.runs
        else:  # why an earlier try of it failed matters to nobody here
            to_come[MessageState.DUE, None] += one.runs
    return LetterLesson(
        step=step.id,
        letter=step.letter,
        sent=sent,
        not_sent=[Unsent(*why, runs) for why, runs in not_sent.most_common()],
        to_come=[Unsent(*why, runs) for why, runs in to_come.most_common()],
        answers=said,
        in_file=in_file,
    )


def _splits(
    conn: Connection,
    cohort: Cohort,
    steps: Sequence[Step],
    questions: Mapping[str, Question | None],
    heard: Mapping[str, Sequence[Heard]],
) -> list[SplitLesson]:
    splits = {place: step for place, step in enumerate(steps) if isinstance(step, Split)}
    taken = lessons.variants_taken(conn, cohort) if splits else {}
    return [
        of_split(
            split,
            taken.get(split.id, {}),
            {step.id: questions[step.id] for step in steps[place:] if step.id in questions},
            heard,
        )
        for place, split in splits.items()
    ]


def _goal(
    conn: Connection,
    cohort: Cohort,
    workflow: Workflow,
    runs: Sequence[RunCount],
    versions: Mapping[int, Workflow],
    *,
    now: datetime,
) -> GoalLesson:
    """
    Return who reached the goal of *workflow*, of those whose time for it is over by *now*.

    Where some versions held people out, only their runs are compared: if those from before counted as let in, what
    has changed since then (a season, say) would pass for what the workflow does.
    """
    goal = workflow.goal
    assert goal is not None
    randomised = {key for key, version in versions.items() if version.holdout}
    compared = randomised or set(versions)
    begun = now - goal.within
    over = replace(cohort, until=min(cohort.until or begun, begun))
    young = replace(cohort, since=max(cohort.since or begun, begun))
    mature = {one.held_out: one for one in lessons.groups(conn, over, compared)}
    too_young = {one.held_out: one.runs for one in lessons.groups(conn, young, compared)}
    first = lessons.first_events(conn, over, compared, goal.event, trigger=workflow.trigger.event)
    reached = Counter(one.held_out for one in first if one.happened_at < one.entered_at + goal.within)

    def group(held_out: bool) -> Group:
        there = mature.get(held_out)
        share = Share(reached[held_out], there.runs if there else 0)
        return Group(share, there.customers if there else 0, too_young.get(held_out, 0))

    return GoalLesson(
        event=goal.event,
        within=goal.within,
        let_in=group(held_out=False),
        held_out=group(held_out=True),
        not_compared=sum(one.runs for one in runs if one.version_id not in compared),
    )
