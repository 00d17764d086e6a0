"""Raw mail, stored before anything else happens to it."""

import hashlib
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, Integer, func, literal_column, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from followup.core.replies import InboundState
from followup.store.schema import inbound_mail
from followup.store.types import insert_new, leasing, unleased

ON_NOBODYS_RECORD = (InboundState.UNMATCHED, InboundState.FAILED)


@dataclass(frozen=True, slots=True)
class RawMail:
    """A mail as it came; with a ``content_type`` it is a provider's post that has the mail in it."""

    id: int
    content_hash: str
    raw: bytes
    received_at: datetime
    content_type: str | None
    state: InboundState


def add(
    conn: Connection,
    raw: bytes,
    *,
    channel: str,
    now: datetime,
    content_type: str | None = None,
    trouble: str | None = None,
) -> tuple[int, bool]:
    """
    Store *raw* as received; return its id and whether it was new (the same bytes are one row).

    Args:
        content_type: of a provider's post; None where *raw* is the mail itself.
        trouble: why nobody is to work on it unless a person says so.
    """
    content_hash = hashlib.sha256(raw).hexdigest()
    row = {
        "content_hash": content_hash,
        "received_at": now,
        "channel": channel,
        "content_type": content_type,
        "raw": zlib.compress(raw),
        "state": (InboundState.FAILED if trouble else InboundState.RECEIVED).value,
        "error": trouble,
    }
    if added := insert_new(conn, inbound_mail, [row], inbound_mail.c.id):
        return added[0].id, True
    return conn.execute(
        select(inbound_mail.c.id).where(inbound_mail.c.content_hash == content_hash)
    ).scalar_one(), False


def lease_new(conn: Connection, *, seconds: int, limit: int) -> list[int]:
    """Lease mails nobody has worked on, oldest first, for *seconds* of real time."""
    return sorted(conn.scalars(_lease_new(seconds, limit)))


@cache
def _lease_new(seconds: int, limit: int) -> ReturningUpdate[tuple[int]]:
    """Build the statement once: every worker runs it every few seconds."""
    new = (
        select(inbound_mail.c.id)
        .where(inbound_mail.c.state == literal_column("'received'"), unleased(inbound_mail.c.leased_until))
        .order_by(inbound_mail.c.id)
        .limit(limit)
    )
    return leasing(inbound_mail, new, seconds)


def load(conn: Connection, inbound_id: int) -> RawMail:
    """Return a mail as it came."""
    row = conn.execute(select(inbound_mail).where(inbound_mail.c.id == inbound_id)).one()
    return RawMail(
        row.id,
        row.content_hash,
        zlib.decompress(row.raw),
        row.received_at,
        row.content_type,
        InboundState(row.state),
    )


def lock_new(conn: Connection, inbound_id: int) -> bool:
    """Wait for and hold a mail; tell whether it is still to be worked on."""
    wanted = select(inbound_mail.c.id).where(inbound_mail.c.id == inbound_id, inbound_mail.c.state == "received")
    return conn.scalar(wanted.with_for_update(key_share=True)) is not None


def free_leases(conn: Connection) -> None:
    """Take back every lease, whoever holds it."""
    conn.execute(update(inbound_mail).where(inbound_mail.c.leased_until.is_not(None)).values(leased_until=None))


def finish(conn: Connection, inbound_id: int, state: InboundState, *, error: str | None = None) -> None:
    """Note how a mail ended; the caller holds it."""
    ended = update(inbound_mail).where(inbound_mail.c.id == inbound_id, inbound_mail.c.state == "received")
    conn.execute(ended.values(state=state.value, error=error, leased_until=None))


def reopen(conn: Connection, inbound_id: int, *, errors: Collection[str] | None = None) -> bool:
    """
    Have a mail that is on nobody's record worked on again; return False when it is on one, or under work.

    Args:
        errors: only if it failed with one of these.
    """
    nobodys = [state.value for state in ON_NOBODYS_RECORD]
    wanted = [inbound_mail.c.id == inbound_id, inbound_mail.c.state.in_(nobodys)]
    if errors is not None:
        wanted.append(inbound_mail.c.error.in_(list(errors)))
    opened = update(inbound_mail).where(*wanted)
    return bool(conn.execute(opened.values(state="received", error=None, leased_until=None)).rowcount)


@dataclass(frozen=True, slots=True)
class Failed:
    """So many mails failed for the same reason, and so many bytes they take as they are stored."""

    number: int
    size_bytes: int


def failed(conn: Connection, errors: Collection[str], *, since: datetime) -> dict[str, Failed]:
    """Return what came after *since* and failed with one of *errors*, by error; one that nothing has is not in it."""
    is_failed = inbound_mail.c.state == literal_column("'failed'")  # spelled out, so that the partial index is taken
    error, size = inbound_mail.c.error, func.length(inbound_mail.c.raw, type_=Integer)  # bytes on both databases
    wanted = select(error, func.count().label("number"), func.sum(size).label("size_bytes"))
    wanted = wanted.where(is_failed, inbound_mail.c.received_at > since, error.in_(list(errors)))
    found = conn.execute(wanted.group_by(error).order_by(error))
    return {row.error: Failed(row.number, row.size_bytes) for row in found}


def find_state(conn: Connection, inbound_id: int) -> InboundState | None:
    """Return how far a mail has come, or None if there is no such mail."""
    state = conn.scalar(select(inbound_mail.c.state).where(inbound_mail.c.id == inbound_id))
    return None if state is None else InboundState(state)


def state_of(conn: Connection, inbound_id: int) -> tuple[InboundState, str | None]:
    """Return how far a mail has come, and what went wrong with it, if anything."""
    row = conn.execute(select(inbound_mail.c.state, inbound_mail.c.error).where(inbound_mail.c.id == inbound_id)).one()
    return InboundState(row.state), row.error


@dataclass(frozen=True, slots=True)
class UnmatchedMail:
    """A mail that is on nobody's record, and why."""

    id: int
    received_at: datetime
    state: InboundState
    error: str | None


def unmatched(conn: Connection, *, limit: int) -> list[UnmatchedMail]:
    """Return the mails that are on nobody's record, the newest first."""
    nobodys = [state.value for state in ON_NOBODYS_RECORD]
    wanted = select(inbound_mail).where(inbound_mail.c.state.in_(nobodys)).order_by(inbound_mail.c.id.desc())
    return [
        UnmatchedMail(row.id, row.received_at, InboundState(row.state), row.error)
        for row in conn.execute(wanted.limit(limit))
    ]


def count_by_state(conn: Connection) -> dict[str, int]:
    wanted = select(inbound_mail.c.state, func.count()).group_by(inbound_mail.c.state).order_by(inbound_mail.c.state)
    return {state: number for state, number in conn.execute(wanted)}
