"""The audit trail: what operators did, and when."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, insert, select

from followup.store.schema import audit


def add(conn: Connection, action: str, data: Mapping[str, object], *, now: datetime) -> None:
    """Record an operator's action."""
    conn.execute(insert(audit), [{"at": now, "action": action, "data": dict(data)}])


def has(conn: Connection, action: str) -> bool:
    """Tell whether *action* was ever taken."""
    return conn.scalar(select(audit.c.id).where(audit.c.action == action).limit(1)) is not None


def last(conn: Connection, action: str, *, by: datetime) -> Mapping[str, object] | None:
    """Return what was noted when *action* was last taken at or before *by*; None when it had not been."""
    taken = select(audit.c.data).where(audit.c.action == action, audit.c.at <= by)
    return conn.scalar(taken.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(1))
