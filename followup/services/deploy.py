"""What runs is what was applied: the folder becomes a bundle in the database."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle, load
from followup.clock import Clock
from followup.core.gates import not_live
from followup.core.workflow import WorkflowStatus
from followup.errors import FollowupError
from followup.services import lacking, timers, transfer
from followup.services.advance import advance
from followup.services.converse import release
from followup.services.lacking import Lack
from followup.services.library import Library, version_of
from followup.services.transfer import Moved
from followup.store import audit, bundles, enrollments, messages, senders, switches, workflow_limits
from followup.store.engine import reading, writing
from followup.store.enrollments import Standing
from followup.store.switches import Switch

BATCH = 200
APPLY, ROLLBACK = "apply", "rollback"  # what an operator did
RESUMED = "the workflow is live again"


@dataclass(frozen=True, slots=True)
class Applied:
    """
    The bundle that runs now; ``changed`` is False when it already did.

    ``unblocked`` letters try again; ``released`` ones were held by a workflow that is live again. ``moved`` people
    inside go on in new versions. ``first`` has,
    by workflow, how many first letters a person has to read now, and ``switched`` those that do not run although their
    files say live: an operator paused or archived them. Of what was decided about people, ``unused`` concerned nobody.
    ``unable`` has, by what they lack, how many letters that have not left yet cannot leave; ``lost`` has, by letter
    that is not there, in which workflows how many finish an older version that sends it.
    """

    bundle: Bundle
    changed: bool
    unblocked: int = 0
    released: int = 0
    moved: Moved = field(default_factory=Moved)
    first: Mapping[str, int] = field(default_factory=dict)
    switched: Mapping[str, Switch] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    unable: Mapping[Lack, int] = field(default_factory=dict)
    lost: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Overtaken(FollowupError):
    """What was decided on rests on a bundle that does not run any more."""


def apply(
    engine: Engine,
    files: Mapping[str, str],
    *,
    clock: Clock,
    first: int | None = None,
    in_flight: Mapping[str, str] | None = None,
) -> Applied:
    """
    Check *files* (path -> text) and make them what runs. The same files again change nothing.

    People inside a workflow go on in its new version, each at the step they stand at.

    Args:
        first: how many letters of each workflow that goes live a person wants to read before others leave; None:
            as many as its file says, where it was never live before.
        in_flight: what becomes of those at steps that are gone (core.transfer.InFlight): by ``WORKFLOW/STEP``, by
            step, or by workflow.

    Raises:
        BundleError: something in the files is wrong; nothing was stored.
        StrandedPeople: somebody stands at a step that is gone, and it is not said what becomes of them; likewise.
    """
    return put_in_force(engine, load(files), clock=clock, first=first, in_flight=in_flight)


def put_in_force(
    engine: Engine,
    bundle: Bundle,
    *,
    clock: Clock,
    first: int | None = None,
    in_flight: Mapping[str, str] | None = None,
    action: str = APPLY,
    instead_of: str | None = None,
) -> Applied:
    """
    Make *bundle* what runs, as `apply` does with files.

    Args:
        action: what the audit trail calls it.
        instead_of: the hash of what still has to run, or nothing is changed; None: whatever runs.

    Raises:
        Overtaken: something else was applied meanwhile.
    """
    applied = _store(
        engine, bundle, clock=clock, first=first, in_flight=in_flight or {}, action=action, instead_of=instead_of
    )
    library = Library()
    moved = _move_inside(engine, library, clock)
    with reading(engine) as conn:
        lost = lacking.lost(conn, bundle, library)
        return replace(applied, moved=moved, unable=lacking.unable(conn, bundle), lost=lost)


def check(engine: Engine, bundle: Bundle, in_flight: Mapping[str, str]) -> None:
    """
    Look whether *bundle* may run as things stand; applying it looks again.

    Raises:
        StrandedPeople: somebody stands at a step that it does not have, and it is not said what becomes of them.
    """
    library = Library()
    with reading(engine) as conn:
        _check_decisions(conn, library.find_newest(conn), bundle, library, in_flight)


def _store(
    engine: Engine,
    bundle: Bundle,
    *,
    clock: Clock,
    first: int | None,
    in_flight: Mapping[str, str],
    action: str,
    instead_of: str | None = None,
) -> Applied:
    now = clock.now()
    with writing(engine, "deploy.apply") as conn:
        library = Library()
        before = library.find_newest(conn)
        if instead_of is not None and (before is None or before.hash != instead_of):
            raise Overtaken(
                f"bundle {instead_of[:12]} does not run any more: something else was applied meanwhile",
                hint="Look at what would change now, and decide again: followup bundles list",
            )
        unused = _check_decisions(conn, before, bundle, library, in_flight)
        switched = {name: switch for name, switch in switches.current(conn).items() if name in live(bundle)}
        if not bundles.add(conn, bundle.hash, bundle.files, now=now, in_flight=in_flight):
            if in_flight:
                _decide_anew(conn, bundle, library, in_flight)
                audit.add(conn, "apply.decided", {"bundle": bundle.hash, "in_flight": dict(in_flight)}, now=now)
            return Applied(bundle, changed=False, unblocked=_unblock(conn), switched=switched, unused=unused)
        resumed = live(bundle) - set(switched) - (live(before) if before else set())
        versions = bundles.version_ids(conn, {name: version_of(bundle, name) for name in bundle.workflows})
        timers.reset(conn, before, bundle, now=now)
        enrollments.finish_no_more(conn, versions.values())
        asked = ask_for_first(conn, bundle, resumed, first)  # before messages: see services.approve
        unblocked = _unblock(conn)
        held = messages.held(conn, workflows=resumed) if resumed else []
        released = release(conn, held, because=RESUMED, library=library, now=now)
        said = {"bundle": bundle.hash, "before": before.hash if before else None, "released": released}
        audit.add(conn, action, {**said, "in_flight": dict(in_flight)}, now=now)
    return Applied(
        bundle,
        changed=True,
        unblocked=unblocked,
        released=released,
        first=asked,
        switched=switched,
        unused=unused,
    )


def _check_decisions(
    conn: Connection, before: Bundle | None, bundle: Bundle, library: Library, in_flight: Mapping[str, str]
) -> tuple[str, ...]:
    """Refuse what nobody may apply yet; return the decisions that concern nobody."""
    places = enrollments.standing(conn)
    transfer.check_names(in_flight, places, before, bundle)
    runs_already = before is not None and before.hash == bundle.hash  # what broke off goes on, whoever stands where
    anew = transfer.taken_up(conn, bundle, library, places, in_flight) if runs_already else []
    if anew:
        places = [replace(one, finishes=False) if one in anew else one for one in places]
    found = transfer.stranded(conn, bundle, library, places, in_flight)
    if not runs_already and (undecided := transfer.undecided(found)):
        raise transfer.StrandedPeople(undecided)
    return transfer.unused(in_flight, found, anew)


def _decide_anew(conn: Connection, bundle: Bundle, library: Library, in_flight: Mapping[str, str]) -> None:
    """Take those up again who finish an older version, where it is decided now that they do not."""
    for place in transfer.taken_up(conn, bundle, library, enrollments.standing(conn), in_flight):
        enrollments.finish_no_more(conn, [place.version_id], step=place.step)


@dataclass(frozen=True, slots=True)
class _Behind:
    """Where people stand who are not in the bundle that runs, which is the one of that hash."""

    bundle: str
    places: list[Standing]


def _move_inside(engine: Engine, library: Library, clock: Clock) -> Moved:
    """
    Have everybody inside go on in what was applied; return what became of them.

    Each batch is one transaction; doing it again takes up what an earlier one left. Others may apply something else, or
    move people to what ran before, at the same time: so it is looked again, until nothing changes any more. Who is busy
    all the while is looked at soon, and moved then.
    """
    moved, behind = Moved(), _behind(engine, library)
    if not behind.places:
        return moved
    while behind.places:
        moved += _move(engine, behind.places, library, clock)
        still = _behind(engine, library)
        if still == behind:
            break
        behind = still
    with writing(engine, "deploy.moved") as conn:
        for place in behind.places:
            enrollments.wake_version(conn, place.version_id, at=clock.now())
        audit.add(conn, "apply.moved", {"bundle": library.newest(conn).hash, **asdict(moved)}, now=clock.now())
    return moved


def _behind(engine: Engine, library: Library) -> _Behind:
    with reading(engine) as conn:
        bundle = library.newest(conn)
        return _Behind(bundle.hash, transfer.outdated(conn, bundle, library, enrollments.standing(conn)))


def _move(engine: Engine, places: Collection[Standing], library: Library, clock: Clock) -> Moved:
    moved = Moved()
    for place in places:
        moved += Moved(on=_carry_over(engine, place, library, clock))
    for ids in _inside(engine, places):
        moved += advance(engine, ids, library=library, clock=clock).moved
    return moved


def _carry_over(engine: Engine, place: Standing, library: Library, clock: Clock) -> int:
    """Carry those over together for whom nothing changes where they stand; return how many."""
    number = 0
    while True:
        with writing(engine, "deploy.carry_over") as conn:
            to = transfer.same_place(conn, place, library.newest(conn), library)
            version = bundles.find_version(conn, *to.version) if to else None
            if to is None or version is None:
                return number
            carried = enrollments.carry_over(
                conn, place.version_id, place.step, to=version, new_step=to.step, now=clock.now()
            )
        if not carried:
            return number
        number += carried


def _inside(engine: Engine, places: Collection[Standing]) -> Iterator[list[int]]:
    """Yield those who are still in the versions of *places*, batch by batch, by id."""
    for version_id in sorted({place.version_id for place in places}):
        last = 0
        while ids := _some_in_version(engine, version_id, last):
            yield ids
            last = ids[-1]


def _some_in_version(engine: Engine, version_id: int, after_id: int) -> list[int]:
    with reading(engine) as conn:
        return enrollments.in_version(conn, version_id, after_id=after_id, limit=BATCH)


def ask_for_first(
    conn: Connection, bundle: Bundle, going_live: Collection[str], first: int | None = None
) -> dict[str, int]:
    """Have a person read the first letters of workflows that go live; return how many of each."""
    asked = {}
    for name in sorted(going_live):
        wanted = first or bundle.workflows[name].first
        if wanted and workflow_limits.ask_for_first(conn, name, wanted, anew=first is not None):
            asked[name] = wanted
    return asked


def live(bundle: Bundle) -> set[str]:
    """Return the workflows of *bundle* that are live, by name."""
    return {name for name, workflow in bundle.workflows.items() if workflow.status is WorkflowStatus.LIVE}


def retry_blocked(engine: Engine) -> int:
    """Ask the provider again, and make blocked letters due, after a setting may have changed; return how many."""
    with writing(engine, "deploy.retry") as conn:
        return _unblock(conn)


def release_resumed(engine: Engine, *, library: Library, clock: Clock) -> int:
    """
    Let letters go that are held for a pause that is over; return how many.

    `apply` does so itself, save for what was being held at that very moment.
    """
    with writing(engine, "deploy.resume") as conn:
        bundle = library.find_newest(conn)
        return release_paused(conn, live(bundle) if bundle else (), library=library, now=clock.now())


def release_paused(conn: Connection, workflows: Collection[str], *, library: Library, now: datetime) -> int:
    """Let letters of *workflows*, which are live, go that are held because they were not; return how many."""
    reasons = [not_live(status) for status in WorkflowStatus if status is not WorkflowStatus.LIVE]
    held = [one for reason in reasons for one in messages.held(conn, workflows=workflows, reason=reason)]
    return release(conn, held, because=RESUMED, library=library, now=now) if held else 0


def _unblock(conn: Connection) -> int:
    unblocked = messages.unblock(conn)
    senders.resume(conn)  # after messages, as everybody takes them
    return unblocked
