"""Bundles that were applied before: what they had, and which of them runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.errors import NotFound, UsageError
from followup.services import find
from followup.services.deploy import APPLY, ROLLBACK
from followup.store import audit, bundles
from followup.store.bundles import StoredBundle
from followup.store.engine import reading

SHORTEST = 4  # letters of a hash
HOW = {APPLY: "applied", ROLLBACK: "back"}  # by the operator's action


@dataclass(frozen=True, slots=True)
class Past:
    """
    A bundle that came to run: ``applied``, or because somebody went ``back`` to it.

    ``changed`` are the paths that differ from what ran before, with those ``added`` and ``removed``; None: nothing ran
    before.
    """

    hash: str
    at: datetime
    how: str
    runs: bool
    changed: tuple[str, ...] | None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Change:
    changed: tuple[str, ...] | None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def listing(engine: Engine, *, limit: int) -> list[Past]:
    """Return what came to run, the newest first."""
    with reading(engine) as conn:
        happened = audit.of(conn, HOW)[::-1]
        listed = [str(one.data["bundle"]) for one in happened[: limit + 1]]
        changes = list(_changes(conn, listed)) if listed else []
    return [
        Past(hash_, one.at, HOW[one.action], number == 0, change.changed, change.added, change.removed)
        for number, (one, hash_, change) in enumerate(list(zip(happened, listed, changes, strict=False))[:limit])
    ]


def _changes(conn: Connection, listed: Sequence[str]) -> Iterator[_Change]:
    """Yield what each of *listed* differs in from the next one; of whole folders no more than two are in memory."""
    newer = bundles.load(conn, listed[0]).files
    for hash_ in listed[1:]:
        older = bundles.load(conn, hash_).files
        added = tuple(path for path in sorted(newer) if path not in older)
        removed = tuple(path for path in sorted(older) if path not in newer)
        yield _Change(tuple(differing(older, newer)), added, removed)
        newer = older
    yield _Change(None)


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
    Return the bundle that ran before the one that runs; whoever goes back repeatedly goes back further.

    Raises:
        NotFound: nothing did.
    """
    with reading(engine) as conn:
        ran: list[str] = []
        for one in audit.of(conn, HOW):
            hash_ = str(one.data["bundle"])
            if one.action == ROLLBACK and hash_ in ran:
                del ran[len(ran) - 1 - ran[::-1].index(hash_) :]  # to where it ran last
            ran.append(hash_)
        if len(ran) < 2:
            raise NotFound("there is no bundle before the one that runs", hint="followup bundles list")
        return bundles.load(conn, ran[-2])


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
