"""The audit trail: what operators did, and when."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from followup.store.schema import audit


def add(conn: Connection, action: str, data: Mapping[str, object], *, now: datetime) -> None:
    """Record an operator's action."""
    conn.execute(insert(audit), [{"at": now, "action": action, "data": dict(data)}])


@dataclass(frozen=True, slots=True)
class Action:
    """Something an operator did."""

    at: datetime
    action: str
    data: Mapping[str, object]


def of(conn: Connection, actions: Collection[str]) -> list[Action]:
    """Return all of these *actions*, oldest first."""
    wanted = select(audit).where(audit.c.action.in_(list(actions))).order_by(audit.c.id)
    return [Action(row.at, row.action, row.data) for row in conn.execute(wanted)]


def has(conn: Connection, action: str) -> bool:
    """Tell whether *action* was ever taken."""
    return conn.scalar(select(audit.c.id).where(audit.c.action == action).limit(1)) is not None


def last(conn: Connection, actions: Collection[str], *, by: datetime) -> Mapping[str, object] | None:
    """Return what was noted when one of *actions* was last taken at or before *by*; None when none had been."""
    taken = select(audit.c.data).where(audit.c.action.in_(list(actions)), audit.c.at <= by)
    return conn.scalar(taken.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(1))
