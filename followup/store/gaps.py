"""Gaps: times of which the database was restored without what happened in them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from followup.store.schema import gaps
from followup.store.types import insert_new


@dataclass(frozen=True, slots=True)
class Gap:
    """What happened from ``since`` on is lost; what was due by ``until`` may have left (business time)."""

    since: datetime
    until: datetime
    noted_at: datetime


def add(conn: Connection, *, since: datetime, until: datetime) -> None:
    """Note a gap."""
    insert_new(conn, gaps, [{"since": since, "until": until, "noted_at": until}], gaps.c.id)


def latest(conn: Connection) -> Gap | None:
    """Return the gap that ends last, or None: nothing was ever restored."""
    row = conn.execute(select(gaps).order_by(gaps.c.until.desc(), gaps.c.id.desc()).limit(1)).one_or_none()
    return Gap(row.since, row.until, row.noted_at) if row else None


_DOUBTFUL_UNTIL = select(func.max(gaps.c.until))


def doubtful_until(conn: Connection) -> datetime | None:
    """Return by when letters must have been due to be in doubt, or None: none is."""
    until: datetime | None = conn.scalar(_DOUBTFUL_UNTIL)
    return until
