"""What runs is what was applied: the folder becomes a bundle in the database."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from followup.authoring.bundle import Bundle, load
from followup.clock import Clock
from followup.services.library import version_of
from followup.store import audit, bundles, messages
from followup.store.engine import writing


@dataclass(frozen=True, slots=True)
class Applied:
    """The bundle that runs now; ``changed`` is False when it already did. ``unblocked`` letters try again."""

    bundle: Bundle
    changed: bool
    unblocked: int = 0


def apply(engine: Engine, files: Mapping[str, str], *, clock: Clock) -> Applied:
    """
    Check *files* (path -> text) and make them what runs. The same files again change nothing.

    Raises:
        BundleError: something in the files is wrong; nothing was stored.
    """
    bundle = load(files)
    now = clock.now()
    with writing(engine) as conn:
        if not bundles.add(conn, bundle.hash, bundle.files, now=now):
            return Applied(bundle, changed=False)
        bundles.version_ids(conn, {name: version_of(bundle, name) for name in bundle.workflows})
        unblocked = messages.unblock(conn)
        audit.add(conn, "apply", {"bundle": bundle.hash}, now=now)
    return Applied(bundle, changed=True, unblocked=unblocked)
