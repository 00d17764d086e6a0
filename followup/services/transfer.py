"""
People inside a workflow whose file has changed: they go on in the version that was applied.

Whoever looks at a run moves it (services.advance), so it does not matter who applied what when, or whether that broke
off; services.deploy has everybody looked at.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.enrollment import Phase, Position, moved
from followup.core.transfer import QUESTION_OUT, STOPPED, UNNEEDED, InFlight, Landing, land, unchanged
from followup.core.workflow import Ask, Letter, Step, Workflow, letter_of
from followup.errors import FollowupError, NotFound
from followup.services import find
from followup.services.library import Library, version_of
from followup.services.verdicts import withdraw
from followup.store import bundles, decisions, enrollments, messages, unsent
from followup.store.decisions import Decided
from followup.store.enrollments import Standing, StoredEnrollment, Transferred


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranded:
    """
    People at a step that what is to be applied does not have; ``how`` is what was decided, None: nothing was.

    ``gone`` tells that it has not even the workflow, so that there is nothing to go on to.
    """

    workflow: str
    step: str
    number: int
    how: InFlight | None
    gone: bool


class StrandedPeople(FollowupError):
    """Somebody stands at a step that what is to be applied does not have, and nobody decided what becomes of them."""

    def __init__(self, undecided: Sequence[Stranded]) -> None:
        self.undecided = undecided
        total = sum(one.number for one in undecided)
        people = "1 person stands" if total == 1 else f"{total:,} people stand"
        where = "; ".join(_whereabouts(one) for one in undecided)
        options = " ".join(f"--in-flight {one.workflow}/{one.step}={_choices(one)}" for one in undecided)
        kept = "the workflow's file" if all(one.gone for one in undecided) else "the step's id"
        skipped = any(one.how is not None for one in undecided)
        unskipped = ". Skip is not possible where the workflow is gone: only finish or stop" if skipped else ""
        super().__init__(
            f"{people} where the folder has no step any more, and nothing was applied: {where}{unskipped}",
            hint=f"followup plan shows it. Keep {kept}, or decide: {options}",
        )


def _whereabouts(one: Stranded) -> str:
    return f"{one.number:,} at {one.workflow}/{one.step}{', whose workflow is gone' if one.gone else ''}"


def _choices(one: Stranded) -> str:
    return "finish|stop" if one.gone else "finish|skip|stop"


def decided(in_flight: Mapping[str, str], workflow: str, step: str) -> InFlight | None:
    """Return what becomes of those at a step: what was said of it in this workflow, of such steps, of the workflow."""
    for key in (f"{workflow}/{step}", step, workflow):
        if key in in_flight:
            return InFlight(in_flight[key])
    return None


def outdated(conn: Connection, bundle: Bundle, library: Library, places: Collection[Standing]) -> list[Standing]:
    """Return where people stand in other versions than *bundle* has, and do not finish those."""
    return [
        one for one in places if not one.finishes and not library.is_current(conn, bundle, one.workflow, one.version_id)
    ]


def taken_up(
    conn: Connection, bundle: Bundle, library: Library, places: Collection[Standing], in_flight: Mapping[str, str]
) -> list[Standing]:
    """Return those who finish an older version than *bundle*, where it is decided now that they do not."""
    return [
        one
        for one in places
        if one.finishes
        and decided(in_flight, one.workflow, one.step or "") in {InFlight.SKIP, InFlight.STOP}
        and not library.is_current(conn, bundle, one.workflow, one.version_id)
    ]


def stranded(
    conn: Connection, bundle: Bundle, library: Library, places: Collection[Standing], in_flight: Mapping[str, str]
) -> list[Stranded]:
    """Return who stands at steps that *bundle* does not have, by workflow and step."""
    numbers: dict[tuple[str, str], int] = {}
    for one in outdated(conn, bundle, library, places):
        place = one.workflow, one.version_id, one.step, one.phase
        if not _has_place(conn, *place, bundle=bundle, library=library):
            step = one.step or ""
            numbers[one.workflow, step] = numbers.get((one.workflow, step), 0) + one.number
    return [
        Stranded(
            workflow=workflow,
            step=step,
            number=number,
            how=decided(in_flight, workflow, step),
            gone=workflow not in bundle.workflows,
        )
        for (workflow, step), number in sorted(numbers.items())
    ]


def _has_place(
    conn: Connection, name: str, version_id: int, step: str | None, phase: Phase, *, bundle: Bundle, library: Library
) -> bool:
    """Tell whether who stands there in a version has a place in *bundle*; whoever is held out stands nowhere."""
    return step is None or new_step(conn, name, version_id, step, phase, bundle=bundle, library=library) is not None


def new_step(
    conn: Connection, name: str, version_id: int, step: str, phase: Phase, *, bundle: Bundle, library: Library
) -> str | None:
    """Return the step of *bundle* at which those go on who stand at *step* of a version; None: there is none."""
    new = bundle.workflows.get(name)
    if new is None:
        return None
    if phase is Phase.BEFORE and step == library.workflow(conn, version_id).first_step:
        return new.first_step
    return library.matches(conn, version_id, bundle, name).get(step)


def would_stray(
    conn: Connection,
    run: StoredEnrollment,
    onward: Position,
    in_flight: Mapping[str, str],
    *,
    bundle: Bundle,
    library: Library,
) -> bool:
    """
    Tell whether a run would go on, in an older version, to a step that *bundle* does not have, undecided.

    It stands where it has a place, or where it was decided what becomes of it: so it is moved from there instead.
    """
    name, stands = run.enrollment.workflow, run.enrollment.position
    if run.finishes or library.is_current(conn, bundle, name, run.version_id):
        return False

    def is_settled(at: Position) -> bool:
        if decided(in_flight, name, at.step or "") is not None:
            return True
        return _has_place(conn, name, run.version_id, at.step, at.phase, bundle=bundle, library=library)

    return not is_settled(onward) and is_settled(stands)


@dataclass(frozen=True, slots=True)
class SamePlace:
    """Where people go on for whom nothing changes: the version, by name and content, and the step there."""

    version: tuple[str, str]
    step: str | None


def same_place(conn: Connection, place: Standing, bundle: Bundle, library: Library) -> SamePlace | None:
    """Return where those at *place* go on in *bundle* if it says the same there, and hears and ends by the same."""
    if library.is_current(conn, bundle, place.workflow, place.version_id):  # somebody went back to it meanwhile
        return None
    new, old = bundle.workflows.get(place.workflow), library.workflow(conn, place.version_id)
    if new is None or _around(new) != _around(old):
        return None
    to = SamePlace((place.workflow, version_of(bundle, place.workflow)[0]), None)
    if place.step is None:
        return to
    there = library.matches(conn, place.version_id, bundle, place.workflow).get(place.step)
    was, now = old.step(place.step), new.step(there or "")
    if was is None or now is None or not unchanged(was, now) or signed_by(was, old) != signed_by(now, new):
        return None
    return replace(to, step=there)


def _around(workflow: Workflow) -> tuple[object, ...]:
    """Return what a workflow says beside its steps that decides what those inside hear, and when their waits end."""
    window = workflow.send_window
    return workflow.exit_on, workflow.trigger, window.fallback_zone if window else None


def signed_by(step: Step | None, workflow: Workflow) -> str:
    """Return the key of who signs what *step* sends, unless the letter itself names somebody."""
    return (step.sender if isinstance(step, Letter) else None) or workflow.sender


def check_names(in_flight: Mapping[str, str], places: Collection[Standing], *bundles_: Bundle | None) -> None:
    """
    Look for decisions about places that there are not: nobody need stand there, for a deployment repeats its options.

    Raises:
        NotFound: no workflow and no step goes by that name; the hint names the nearest.
    """
    standing = [(one.workflow, one.step) for one in places if one.step is not None]
    known = {name for workflow, step in standing for name in (workflow, step, f"{workflow}/{step}")}
    for bundle in bundles_:
        for workflow in bundle.workflows.values() if bundle else ():
            steps = [step.id for step in workflow.all_steps]
            known |= {workflow.name, *steps, *(f"{workflow.name}/{step}" for step in steps)}
    for name in in_flight:
        if name not in known:
            raise NotFound(f"--in-flight: there is no step or workflow {name!r}", hint=find.nearest(name, known))


def unused(
    in_flight: Mapping[str, str], found: Collection[Stranded], anew: Collection[Standing] = ()
) -> tuple[str, ...]:
    """
    Return the decisions that concern nobody: their step is not gone, or nobody stands there.

    Args:
        anew: who finishes an older version, and is taken up again by them.
    """
    places = {(one.workflow, one.step) for one in found} | {(one.workflow, one.step or "") for one in anew}
    concerned = {name for workflow, step in places for name in (f"{workflow}/{step}", step, workflow)}
    return tuple(name for name in in_flight if name not in concerned)


def undecided(found: Collection[Stranded]) -> list[Stranded]:
    """Return those about whom nothing was decided that can be done."""
    return [one for one in found if one.how is None or (one.gone and one.how is InFlight.SKIP)]


def straying(conn: Connection, onward: Iterable[tuple[StoredEnrollment, Position]], library: Library) -> set[int]:
    """Return which runs would go on as `would_stray` says, of those that would go on to these positions."""
    bundle = library.newest(conn)
    behind = [(run, to) for run, to in onward if not run.finishes and not _is_current(conn, run, bundle, library)]
    in_flight = bundles.in_flight_of(conn, bundle.hash) if behind else {}
    return {run.id for run, to in behind if would_stray(conn, run, to, in_flight, bundle=bundle, library=library)}


def passes_through(conn: Connection, run: StoredEnrollment, bundle: Bundle, library: Library) -> bool:
    """
    Tell whether a run goes on in *bundle* without a look by the version it is in.

    That is one that was only moved there: whoever goes back at once undoes what nobody has acted by yet.
    """
    return run.is_fresh and not run.finishes and not _is_current(conn, run, bundle, library)


def _is_current(conn: Connection, run: StoredEnrollment, bundle: Bundle, library: Library) -> bool:
    return library.is_current(conn, bundle, run.enrollment.workflow, run.version_id)


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of people inside: how many go on in what was applied, finish as they began, or are stopped."""

    on: int = 0
    finishing: int = 0
    stopped: int = 0

    def __add__(self, other: "Moved") -> "Moved":
        return Moved(self.on + other.on, self.finishing + other.finishing, self.stopped + other.stopped)

    def __bool__(self) -> bool:
        return self != Moved()


def move(conn: Connection, runs: Sequence[StoredEnrollment], *, library: Library, now: datetime) -> Moved:
    """
    Move *runs* that have not ended, as they stand, to what was applied; the caller holds them.

    Those at a step that is gone, about whom nothing was decided, finish the version they are in.
    """
    bundle = library.newest(conn)
    behind = [run for run in runs if not run.finishes and not _is_current(conn, run, bundle, library)]
    if not behind:
        return Moved()
    in_flight = bundles.in_flight_of(conn, bundle.hash)
    names = {run.enrollment.workflow for run in behind} & set(bundle.workflows)
    versions = bundles.version_ids(conn, {name: version_of(bundle, name) for name in names})
    waiting = unsent.runs_among(conn, [run.id for run in behind])
    moves, finishing, noted = [], [], []
    for run in behind:
        there = landing(conn, run, in_flight, bundle=bundle, library=library, now=now)
        if there is None:
            finishing.append(run.id)
        else:
            if run.id in waiting:
                old, new = library.workflow(conn, run.version_id), bundle.workflows.get(run.enrollment.workflow)
                _take_along(conn, run, there, old=old, workflow=new, now=now)
            version = versions.get(run.enrollment.workflow, run.version_id)
            moves.append(_transferred(run, there, version, now))
        said = _what_became(run, there, library.workflow(conn, run.version_id), bundle)
        noted += [_noted(run, said, now)] if said else []
    decisions.add(conn, noted)
    enrollments.finish(conn, finishing)
    enrollments.transfer(conn, moves)
    stopped = sum(one.ended_at is not None for one in moves)
    return Moved(len(moves) - stopped, len(finishing), stopped)


def landing(
    conn: Connection,
    run: StoredEnrollment,
    in_flight: Mapping[str, str],
    *,
    bundle: Bundle,
    library: Library,
    now: datetime,
) -> Landing | None:
    """Return where a run of another version goes on in *bundle*; None: it finishes the version it is in."""
    name, position = run.enrollment.workflow, run.enrollment.position
    how = decided(in_flight, name, position.step or "") or InFlight.FINISH
    old, new = library.workflow(conn, run.version_id), bundle.workflows.get(name)
    same = library.matches(conn, run.version_id, bundle, name) if new else {}
    return land(position, old, new, same, how, now=now)


def _take_along(
    conn: Connection,
    run: StoredEnrollment,
    landing: Landing,
    *,
    old: Workflow,
    workflow: Workflow | None,
    now: datetime,
) -> None:
    """Have what the run has not sent yet be what its step says now, or withdraw it."""
    if landing.ended is not None:
        withdraw(conn, run.id, None, None, reason=f"the run ended: {landing.outcome}", now=now)
        return
    at = landing.left or landing.position.step or ""
    step = workflow.step(at) if workflow else None
    for round_ in (0, 1):
        if reason := why_withdrawn(at, round_, landing, old, workflow):
            withdraw(conn, run.id, at, round_, reason=reason, now=now)
        elif workflow is not None and (letter := letter_of(step, round_)):
            messages.reassign(conn, run.id, at, round_, letter=letter, sender=signed_by(step, workflow))


def why_withdrawn(step: str, round_: int, landing: Landing, old: Workflow, new: Workflow | None) -> str | None:
    """Return why a letter of *step* that has not left is withdrawn where its run goes on in *new*; None: it is not."""
    if landing.left is not None:
        if step != landing.left:
            return None
        out = QUESTION_OUT if isinstance(old.step(step), Ask) else STOPPED
        return UNNEEDED if round_ else out
    there = new.step(step) if new and step == landing.position.step else None
    return UNNEEDED if isinstance(there, Letter) and letter_of(there, round_) is None else None


def _transferred(run: StoredEnrollment, landing: Landing, version: int, now: datetime) -> Transferred:
    """Return how the run goes on: it is looked at now, for what has changed may be over already."""
    enrollment = run.enrollment
    return Transferred(
        id=run.id,
        version_id=version,
        state=moved(enrollment.state, landing.ended) if landing.ended else enrollment.state,
        position=landing.position,
        moved_at=now,
        wake_at=None if landing.ended else now,
        ended_at=now if landing.ended else None,
        outcome=landing.outcome,
    )


def _what_became(
    run: StoredEnrollment, landing: Landing | None, old: Workflow, bundle: Bundle
) -> tuple[str, str] | None:
    """Return verdict and reason for the record, or None where nothing changes for who stands there."""
    step = run.enrollment.position.step
    if step is None:
        return None
    if landing is None:
        return "finishes", "the step it stands at was taken out: it goes on as it began"
    if landing.ended is not None:
        return "ended", landing.outcome or ""
    onward = landing.position.step or ""
    if landing.left is not None:
        return "moved", f"its step was taken out: on to {onward}"
    was, now = old.step(step), bundle.workflows[run.enrollment.workflow].step(onward)
    if was is None or now is None or unchanged(was, now):
        return None
    return "moved", "the step it stands at was changed"


def _noted(run: StoredEnrollment, said: tuple[str, str], now: datetime) -> Decided:
    verdict, reason = said
    return Decided(
        at=now,
        customer_id=run.customer_id,
        order_id=run.order_id,
        enrollment_id=run.id,
        workflow=run.enrollment.workflow,
        step=run.enrollment.position.step,
        verdict=verdict,
        reason=reason,
        values={},
    )
