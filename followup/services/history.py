"""Bundles that were applied before: what they had, and which of them runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.errors import NotFound, UsageError
from followup.services import find, transfer
from followup.services.library import Library
from followup.store import audit, bundles, enrollments
from followup.store.bundles import ListedBundle, StoredBundle
from followup.store.engine import reading, writing

SHORTEST = 4  # letters of a hash


@dataclass(frozen=True, slots=True)
class Past:
    """A bundle and what differs, by path, from the one applied before it (None: it was the first)."""

    hash: str
    applied_at: datetime
    runs: bool
    changed: tuple[str, ...] | None


def listing(engine: Engine, *, limit: int) -> list[Past]:
    """Return the bundles that were applied, the newest first: each once, by when it was applied last."""
    with reading(engine) as conn:
        listed = bundles.listed(conn, limit=limit + 1)
        changes = list(_changes(conn, listed)) if listed else []
    return [
        Past(hash=one.hash, applied_at=one.applied_at, runs=number == 0, changed=changed)
        for number, (one, changed) in enumerate(list(zip(listed, changes, strict=True))[:limit])
    ]


def _changes(conn: Connection, listed: Sequence[ListedBundle]) -> Iterator[tuple[str, ...] | None]:
    """Yield what each of *listed* differs in from the next one; of whole folders no more than two are in memory."""
    newer = bundles.load(conn, listed[0].hash).files
    for one in listed[1:]:
        older = bundles.load(conn, one.hash).files
        yield tuple(differing(older, newer))
        newer = older
    yield None


def differing(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Yield the paths that two sets of files do not have alike, in order."""
    return (path for path in sorted({*was, *now}) if was.get(path) != now.get(path))


def get(engine: Engine, prefix: str | None) -> StoredBundle:
    """
    Return the bundle whose hash begins with *prefix*; None: the one that runs.

    Raises:
        NotFound: there is none.
        UsageError: there are several, or *prefix* is too short to mean one.
    """
    with reading(engine) as conn:
        return bundles.load(conn, _hash(conn, prefix))


def before(engine: Engine) -> StoredBundle:
    """
    Return the bundle that was applied before the one that runs.

    Raises:
        NotFound: nothing was.
    """
    with reading(engine) as conn:
        listed = bundles.listed(conn, limit=2)
        if len(listed) < 2:
            raise NotFound("there is no bundle before the one that runs", hint="followup bundles list")
        return bundles.load(conn, listed[1].hash)


def check_stranding(engine: Engine, bundle: Bundle, in_flight: Mapping[str, str], *, library: Library) -> None:
    """
    Look whether *bundle* may run as things stand; applying it looks again.

    Raises:
        StrandedPeople: somebody stands at a step that it does not have, and it is not said what becomes of them.
    """
    with reading(engine) as conn:
        found = transfer.stranded(conn, bundle, library, enrollments.standing(conn), in_flight)
    if undecided := transfer.undecided(found):
        raise transfer.StrandedPeople(undecided)


def note_rollback(engine: Engine, hash_: str, *, before: str | None, clock: Clock) -> None:
    """Put on the audit trail that an operator went back from the bundle *before* to that of *hash_*."""
    with writing(engine, "history.rollback") as conn:
        audit.add(conn, "rollback", {"bundle": hash_, "before": before}, now=clock.now())


def _hash(conn: Connection, prefix: str | None) -> str:
    if prefix is None:
        newest = bundles.newest_hash(conn)
        if newest is None:
            raise NotFound("nothing was applied yet", hint="Run: followup apply")
        return newest
    if len(prefix) < SHORTEST:
        raise UsageError(f"{prefix!r} is too short to name a bundle", hint=f"Give {SHORTEST} letters of it, or more")
    found = bundles.hashes_like(conn, prefix.lower())
    if len(found) > 1:
        raise UsageError(f"several bundles begin with {prefix!r}", hint=", ".join(one[:16] for one in found))
    if not found:
        known = [one.hash[: len(prefix)] for one in bundles.listed(conn, limit=1_000)]
        raise NotFound(f"there is no bundle {prefix!r}", hint=find.nearest(prefix, known) or "followup bundles list")
    return found[0]
