"""
Alerts: what is wrong now, and whether somebody was told.

The row stands as long as the trouble does. ``told_at`` is also the claim on telling: whoever sets it tells.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, update

from followup.store.schema import alerts
from followup.store.types import insert, insert_new, real_now


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is wrong; ``told_at`` is None until somebody could be told (both in database time)."""

    key: str
    text: str
    raised_at: datetime
    told_at: datetime | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """An alert that is ours to tell; ``before`` is when it was told the last time."""

    key: str
    before: datetime | None
    claim: datetime


def raise_(conn: Connection, texts: Mapping[str, str]) -> set[str]:
    """Raise an alert for each key, or bring its text up to date; return those that were not raised yet."""
    new: set[str] = set()
    for key in sorted(texts):
        row = insert(conn, alerts).values(key=key, text=texts[key], raised_at=real_now())
        new |= set(conn.scalars(row.on_conflict_do_nothing().returning(alerts.c.key)))
    for key in sorted(set(texts) - new):
        changed = (alerts.c.key == key) & (alerts.c.text != texts[key])
        conn.execute(update(alerts).where(changed).values(text=texts[key]))
    return new


def claim(conn: Connection, keys: Collection[str], *, every: timedelta, lease: timedelta) -> list[Claimed]:
    """
    Claim those of *keys* that nobody was told of for so long as *every*, by key.

    The claim is a ``told_at`` that runs out after *lease*, so that whoever dies before `told` keeps the alert from
    others no longer than that.
    """
    every_seconds = round(every.total_seconds())
    due = alerts.c.told_at.is_(None) | (alerts.c.told_at <= real_now(-every_seconds))
    wanted = select(alerts).where(alerts.c.key.in_(list(keys)), due).order_by(alerts.c.key)
    provisional = real_now(round(lease.total_seconds()) - every_seconds)
    claimed = []
    for row in list(conn.execute(wanted)):
        ours = update(alerts).where(alerts.c.key == row.key, _told_at(row.told_at)).values(told_at=provisional)
        until = conn.scalar(ours.returning(alerts.c.told_at))
        if until is not None:  # else another process was faster
            claimed.append(Claimed(row.key, row.told_at, until))
    return claimed


def told(conn: Connection, claimed: Claimed) -> None:
    """Note that somebody was told just now."""
    ours = (alerts.c.key == claimed.key) & _told_at(claimed.claim)
    conn.execute(update(alerts).where(ours).values(told_at=real_now()))


def give_back(conn: Connection, claimed: Claimed) -> None:
    """Undo a claim: nobody could be told."""
    ours = (alerts.c.key == claimed.key) & _told_at(claimed.claim)
    conn.execute(update(alerts).where(ours).values(told_at=claimed.before))


def _told_at(moment: datetime | None) -> ColumnElement[bool]:
    return alerts.c.told_at.is_(None) if moment is None else alerts.c.told_at == moment


def clear(conn: Connection, *, except_: Collection[str]) -> list[Alert]:
    """Take away and return the alerts whose trouble is over: all but those of *except_*."""
    over = delete(alerts).where(alerts.c.key.not_in(list(except_))).returning(alerts)
    return sorted((_alert(row) for row in conn.execute(over)), key=lambda alert: alert.key)


def put_back(conn: Connection, alert: Alert) -> None:
    """Undo the clearing of *alert*: nobody could be told that it is over."""
    row = {"key": alert.key, "text": alert.text, "raised_at": alert.raised_at, "told_at": alert.told_at}
    insert_new(conn, alerts, [row], alerts.c.key)


def listed(conn: Connection) -> list[Alert]:
    """Return what is wrong now, by key."""
    return [_alert(row) for row in conn.execute(select(alerts).order_by(alerts.c.key))]


def count(conn: Connection) -> int:
    return conn.scalar(select(func.count()).select_from(alerts)) or 0


def _alert(row: Row[Any]) -> Alert:
    return Alert(row.key, row.text, row.raised_at, row.told_at)
