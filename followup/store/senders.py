"""Senders: what keeps the letters of each person from leaving for a while, the same for all workers."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Row, bindparam, or_, select, true, update

from followup.core.sender import Sender
from followup.store.schema import senders
from followup.store.types import insert_new, real_now

_FIELDS = tuple(Sender.__dataclass_fields__)


def _sender(row: Row[tuple[object, ...]]) -> Sender:
    return Sender(**{name: getattr(row, name) for name in _FIELDS})


def all_of(conn: Connection) -> tuple[dict[str, Sender], datetime]:
    """Return every sender that something was ever noted of, by key, and the database's time."""
    rows = conn.execute(_ALL).all()  # one row at least: it has the time
    return {row.key: _sender(row) for row in rows if row.key is not None}, rows[0].now


_CLOCK = select(real_now().label("now")).subquery()
_ALL = select(_CLOCK.c.now, senders).select_from(_CLOCK.outerjoin(senders, true())).order_by(senders.c.key)


def lock(conn: Connection, keys: Collection[str]) -> tuple[dict[str, Sender], datetime]:
    """Wait for and hold the rows of *keys*, made where there are none; return them and the database's time."""
    insert_new(conn, senders, [{"key": key} for key in sorted(set(keys))], senders.c.key)
    wanted = select(senders).where(senders.c.key.in_(list(keys))).order_by(senders.c.key).with_for_update()
    held = {row.key: _sender(row) for row in conn.execute(wanted)}
    now: datetime | None = conn.scalar(select(real_now()))
    assert now is not None
    return held, now


def save(conn: Connection, sender: Sender) -> None:
    """Write a sender down; the caller holds the row."""
    conn.execute(update(senders).where(senders.c.key == sender.key).values(asdict(sender)))


_WRONG = or_(senders.c.failures > 0, senders.c.trips > 0, senders.c.closed_until.is_not(None))
_WELL = {name: getattr(Sender(key=""), name) for name in _FIELDS if name not in {"key", "paused", "next_at"}}
_RECOVERED = update(senders).where(senders.c.key == bindparam("sender"), _WRONG).values(_WELL)


def recovered(conn: Connection, keys: Collection[str]) -> None:
    """Note that the provider took letters of *keys*; where nothing was wrong, nothing is written."""
    for key in sorted(keys):  # one by one, in the order in which everybody takes them
        conn.execute(_RECOVERED, {"sender": key})


def resume(conn: Connection) -> int:
    """Let every sender that the provider refused try again; return how many there were."""
    return conn.execute(update(senders).where(senders.c.paused.is_not(None)).values(paused=None)).rowcount
