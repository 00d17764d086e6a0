"""Applied bundles: the whole folder by content hash, and each workflow version once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, update

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


def load(conn: Connection, hash_: str) -> StoredBundle:
    """Return one stored bundle."""
    row = conn.execute(select(bundles).where(bundles.c.hash == hash_)).one()
    return StoredBundle(row.hash, row.files, row.applied_at)


def add(conn: Connection, hash_: str, files: Mapping[str, str], *, now: datetime) -> bool:
    """Make this bundle the newest; return False when it already was."""
    if newest_hash(conn) == hash_:
        return False
    last = conn.scalar(select(func.max(bundles.c.applied_at)))
    moment = now if last is None else max(now, last + timedelta(microseconds=1))  # whatever clock applied the last one
    if not insert_new(conn, bundles, [{"hash": hash_, "files": dict(files), "applied_at": moment}], bundles.c.id):
        conn.execute(update(bundles).where(bundles.c.hash == hash_).values(applied_at=moment))
    return True


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


def lock_versions(conn: Connection, workflow: str) -> None:
    """Wait for whoever is letting somebody into *workflow*, and keep others from it until this transaction ends."""
    wanted = select(workflow_versions.c.id).where(workflow_versions.c.name == workflow)
    conn.execute(wanted.order_by(workflow_versions.c.id).with_for_update()).all()


def version_source(conn: Connection, version_id: int) -> tuple[str, str]:
    """Return the name and the YAML of one workflow version."""
    row = conn.execute(select(workflow_versions).where(workflow_versions.c.id == version_id)).one()
    return row.name, row.source
