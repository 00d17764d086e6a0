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
