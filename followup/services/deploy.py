"""What runs is what was applied: the folder becomes a bundle in the database."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle, load
from followup.clock import Clock
from followup.core.gates import not_live
from followup.core.workflow import WorkflowStatus
from followup.services import timers
from followup.services.converse import release
from followup.services.library import Library, version_of
from followup.store import audit, bundles, messages, senders, switches, workflow_limits
from followup.store.engine import writing
from followup.store.switches import Switch

RESUMED = "the workflow is live again"


@dataclass(frozen=True, slots=True)
class Applied:
    """
    The bundle that runs now; ``changed`` is False when it already did.

    ``unblocked`` letters try again; ``released`` ones were held by a workflow that is live again. ``first`` has,
    by workflow, how many first letters a person has to read now, and ``switched`` those that do not run although their
    files say live: an operator paused or archived them.
    """

    bundle: Bundle
    changed: bool
    unblocked: int = 0
    released: int = 0
    first: Mapping[str, int] = field(default_factory=dict)
    switched: Mapping[str, Switch] = field(default_factory=dict)


def apply(engine: Engine, files: Mapping[str, str], *, clock: Clock, first: int | None = None) -> Applied:
    """
    Check *files* (path -> text) and make them what runs. The same files again change nothing.

    Args:
        first: how many letters of each workflow that goes live a person wants to read before others leave; None:
            as many as its file says, where it was never live before.

    Raises:
        BundleError: something in the files is wrong; nothing was stored.
    """
    return put_in_force(engine, load(files), clock=clock, first=first)


def put_in_force(engine: Engine, bundle: Bundle, *, clock: Clock, first: int | None = None) -> Applied:
    """Make *bundle* what runs, as `apply` does with files."""
    now = clock.now()
    with writing(engine, "deploy.apply") as conn:
        library = Library()
        before = library.find_newest(conn)
        unblocked = _unblock(conn)
        switched = {name: switch for name, switch in switches.current(conn).items() if name in _live(bundle)}
        if not bundles.add(conn, bundle.hash, bundle.files, now=now):
            return Applied(bundle, changed=False, unblocked=unblocked, switched=switched)
        resumed = _live(bundle) - set(switched) - (_live(before) if before else set())
        asked = ask_for_first(conn, bundle, resumed, first)  # before messages: see services.approve
        bundles.version_ids(conn, {name: version_of(bundle, name) for name in bundle.workflows})
        timers.reset(conn, before, bundle, now=now)
        held = messages.held(conn, workflows=resumed) if resumed else []
        released = release(conn, held, because=RESUMED, library=library, now=now)
        audit.add(conn, "apply", {"bundle": bundle.hash, "released": released}, now=now)
    return Applied(bundle, changed=True, unblocked=unblocked, released=released, first=asked, switched=switched)


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


def _live(bundle: Bundle) -> set[str]:
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
        return release_paused(conn, _live(bundle) if bundle else (), library=library, now=clock.now())


def release_paused(conn: Connection, workflows: Collection[str], *, library: Library, now: datetime) -> int:
    """Let letters of *workflows*, which are live, go that are held because they were not; return how many."""
    reasons = [not_live(status) for status in WorkflowStatus if status is not WorkflowStatus.LIVE]
    held = [one for reason in reasons for one in messages.held(conn, workflows=workflows, reason=reason)]
    return release(conn, held, because=RESUMED, library=library, now=now) if held else 0


def _unblock(conn: Connection) -> int:
    unblocked = messages.unblock(conn)
    senders.resume(conn)  # after messages, as everybody takes them
    return unblocked
