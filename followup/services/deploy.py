"""What runs is what was applied: the folder becomes a bundle in the database."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle, load
from followup.clock import Clock
from followup.core.message import HaltScope
from followup.core.workflow import WorkflowStatus
from followup.services.converse import release
from followup.services.library import Library, version_of
from followup.store import audit, bundles, halts, messages
from followup.store.engine import writing


@dataclass(frozen=True, slots=True)
class Applied:
    """
    The bundle that runs now; ``changed`` is False when it already did.

    ``unblocked`` letters try again; ``released`` ones were held by a workflow that is live again.
    """

    bundle: Bundle
    changed: bool
    unblocked: int = 0
    released: int = 0


def apply(engine: Engine, files: Mapping[str, str], *, clock: Clock) -> Applied:
    """
    Check *files* (path -> text) and make them what runs. The same files again change nothing.

    Raises:
        BundleError: something in the files is wrong; nothing was stored.
    """
    bundle = load(files)
    now = clock.now()
    with writing(engine) as conn:
        library = Library()
        before = library.find_newest(conn)
        unblocked = _unblock(conn)
        if not bundles.add(conn, bundle.hash, bundle.files, now=now):
            return Applied(bundle, changed=False, unblocked=unblocked)
        bundles.version_ids(conn, {name: version_of(bundle, name) for name in bundle.workflows})
        resumed = _live(bundle) - (_live(before) if before else set())
        released = release(conn, messages.held(conn, workflows=resumed), library=library, now=now) if resumed else 0
        audit.add(conn, "apply", {"bundle": bundle.hash, "released": released}, now=now)
    return Applied(bundle, changed=True, unblocked=unblocked, released=released)


def _live(bundle: Bundle) -> set[str]:
    return {name for name, workflow in bundle.workflows.items() if workflow.status is WorkflowStatus.LIVE}


def retry_blocked(engine: Engine) -> int:
    """Ask the provider again, and make blocked letters due, after a setting may have changed; return how many."""
    with writing(engine) as conn:
        return _unblock(conn)


def _unblock(conn: Connection) -> int:
    halts.lift(conn, HaltScope.SENDER)
    return messages.unblock(conn)
