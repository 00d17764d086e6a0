"""Raw mail, stored before anything else happens to it."""

import hashlib
import zlib
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, func, literal_column, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from followup.core.replies import InboundState
from followup.store.schema import inbound_mail
from followup.store.types import insert_new, leasing, unleased


@dataclass(frozen=True, slots=True)
class RawMail:
    id: int
    content_hash: str
    raw: bytes
    received_at: datetime


def add(conn: Connection, raw: bytes, *, channel: str, now: datetime) -> tuple[int, bool]:
    """Store *raw* as received; return its id and whether it was new (the same bytes are one row)."""
    content_hash = hashlib.sha256(raw).hexdigest()
    row = {
        "content_hash": content_hash,
        "received_at": now,
        "channel": channel,
        "raw": zlib.compress(raw),
        "state": InboundState.RECEIVED.value,
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
    return RawMail(row.id, row.content_hash, zlib.decompress(row.raw), row.received_at)


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
    nobodys = [InboundState.UNMATCHED.value, InboundState.FAILED.value]
    wanted = select(inbound_mail).where(inbound_mail.c.state.in_(nobodys)).order_by(inbound_mail.c.id.desc())
    return [
        UnmatchedMail(row.id, row.received_at, InboundState(row.state), row.error)
        for row in conn.execute(wanted.limit(limit))
    ]


def count_by_state(conn: Connection) -> dict[str, int]:
    wanted = select(inbound_mail.c.state, func.count()).group_by(inbound_mail.c.state).order_by(inbound_mail.c.state)
    return {state: number for state, number in conn.execute(wanted)}
