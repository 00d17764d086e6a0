"""Applied bundles: the whole folder by content hash, and each workflow version once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select, update

from followup.core.workflow import WorkflowStatus
from followup.store import switches
from followup.store.schema import bundles, workflow_versions
from followup.store.types import insert_new


@dataclass(frozen=True, slots=True)
class StoredBundle:
    hash: str
    files: Mapping[str, str]
    applied_at: datetime


_NEWEST = select(bundles.c.hash).order_by(bundles.c.applied_at.desc(), bundles.c.id.desc()).limit(1)
_NEWEST_AND_SWITCHED = _NEWEST.add_columns(switches.TOLD.label("told"))


def newest_hash(conn: Connection) -> str | None:
    """Return the hash of what runs, or None when nothing was applied yet."""
    return conn.scalar(_NEWEST)


def newest_and_switched(conn: Connection) -> tuple[str | None, Mapping[str, WorkflowStatus]]:
    """Return the hash of what runs (None: nothing was applied yet), and the workflows an operator has switched."""
    row = conn.execute(_NEWEST_AND_SWITCHED).one_or_none()
    return (None, {}) if row is None else (row.hash, switches.read_told(row.told))


_BY_HASH = select(bundles).where(bundles.c.hash == bindparam("of"))


def load(conn: Connection, hash_: str) -> StoredBundle:
    """Return one stored bundle."""
    row = conn.execute(_BY_HASH, {"of": hash_}).one()
    return StoredBundle(row.hash, row.files, row.applied_at)


def add(
    conn: Connection, hash_: str, files: Mapping[str, str], *, now: datetime, in_flight: Mapping[str, str] | None = None
) -> bool:
    """
    Make this bundle the newest; return False when it already was.

    Args:
        in_flight: what becomes of those who stand at steps it does not have (core.transfer.InFlight).
    """
    if newest_hash(conn) == hash_:
        if in_flight:
            known = in_flight_of(conn, hash_)
            conn.execute(update(bundles).where(bundles.c.hash == hash_).values(in_flight={**known, **in_flight}))
        return False
    last = conn.scalar(select(func.max(bundles.c.applied_at)))
    moment = now if last is None else max(now, last + timedelta(microseconds=1))  # whatever clock applied the last one
    values = {"applied_at": moment, "in_flight": dict(in_flight or {})}
    if not insert_new(conn, bundles, [{"hash": hash_, "files": dict(files), **values}], bundles.c.id):
        conn.execute(update(bundles).where(bundles.c.hash == hash_).values(values))
    return True


def in_flight_of(conn: Connection, hash_: str) -> Mapping[str, str]:
    """Return what was decided about those who stand at steps that this bundle does not have."""
    return conn.scalar(select(bundles.c.in_flight).where(bundles.c.hash == hash_)) or {}


@dataclass(frozen=True, slots=True)
class ListedBundle:
    hash: str
    applied_at: datetime


def listed(conn: Connection, *, limit: int) -> list[ListedBundle]:
    """Return the bundles that were ever applied, the newest first: each once, by when it was applied last."""
    wanted = select(bundles.c.hash, bundles.c.applied_at).order_by(bundles.c.applied_at.desc(), bundles.c.id.desc())
    return [ListedBundle(row.hash, row.applied_at) for row in conn.execute(wanted.limit(limit))]


def hashes_like(conn: Connection, prefix: str, *, limit: int = 10) -> list[str]:
    """Return the hashes that begin with *prefix*, in order."""
    wanted = select(bundles.c.hash).where(bundles.c.hash.startswith(prefix, autoescape=True))
    return list(conn.scalars(wanted.order_by(bundles.c.hash).limit(limit)))


def version_ids(conn: Connection, versions: Mapping[str, tuple[str, str]]) -> dict[str, int]:
    """
    Store each workflow's (hash, source) if it is new; return the version id by workflow name.

    The versions are held, beside others who do the same: see `lock_versions`.
    """
    rows = [{"name": name, "hash": hash_, "source": source} for name, (hash_, source) in sorted(versions.items())]
    insert_new(conn, workflow_versions, rows, workflow_versions.c.id)
    hashes = [hash_ for hash_, _ in versions.values()]
    wanted = select(workflow_versions).where(
        workflow_versions.c.name.in_(list(versions)), workflow_versions.c.hash.in_(hashes)
    )
    held = wanted.order_by(workflow_versions.c.id).with_for_update(read=True, key_share=True)
    return {row.name: row.id for row in conn.execute(held) if row.hash == versions[row.name][0]}


_VERSION = select(workflow_versions).where(workflow_versions.c.id == bindparam("version"))
_VERSION_NAMED = select(workflow_versions.c.id).where(
    workflow_versions.c.name == bindparam("called"), workflow_versions.c.hash == bindparam("of")
)


def version_hash(conn: Connection, version_id: int) -> str:
    """Return the content hash of one workflow version."""
    hash_: str = conn.execute(_VERSION, {"version": version_id}).one().hash
    return hash_


def find_version(conn: Connection, name: str, hash_: str) -> int | None:
    """Return the id of the version of the workflow *name* with that content, if it is stored."""
    return conn.scalar(_VERSION_NAMED, {"called": name, "of": hash_})


def lock_versions(conn: Connection, workflow: str) -> None:
    """Wait for whoever is letting somebody into *workflow*, and keep others from it until this transaction ends."""
    wanted = select(workflow_versions.c.id).where(workflow_versions.c.name == workflow)
    conn.execute(wanted.order_by(workflow_versions.c.id).with_for_update()).all()


def version_source(conn: Connection, version_id: int) -> tuple[str, str]:
    """Return the name and the YAML of one workflow version."""
    row = conn.execute(_VERSION, {"version": version_id}).one()
    return row.name, row.source
