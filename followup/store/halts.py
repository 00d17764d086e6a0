"""What stands still, and why."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from followup.core.message import HaltScope
from followup.store.schema import halts
from followup.store.types import insert_new


@dataclass(frozen=True, slots=True)
class Halt:
    """Why something stands still, and since when (business time)."""

    reason: str
    since: datetime


def halt(conn: Connection, scope: HaltScope, *, reason: str, now: datetime) -> bool:
    """Halt *scope*; return False when it was halted already, for the reason given then."""
    row = {"scope": scope.value, "reason": reason, "since": now}
    return bool(insert_new(conn, halts, [row], halts.c.scope))


def lift(conn: Connection, scope: HaltScope) -> bool:
    """Let *scope* go on; return False when it was not halted."""
    return conn.execute(delete(halts).where(halts.c.scope == scope.value)).rowcount == 1


_CURRENT = select(halts).where(halts.c.scope.in_(list(HaltScope))).order_by(halts.c.scope)
_HELD = _CURRENT.with_for_update(read=True, skip_locked=True)


def current(conn: Connection, *, hold: bool = False) -> dict[HaltScope, Halt]:
    """
    Return what stands still.

    Args:
        hold: it stands still until this transaction ends, so that whoever lifts a halt sees all that it held;
            a halt that is being lifted at this moment is none any more.
    """
    rows = conn.execute(_HELD if hold else _CURRENT)
    return {HaltScope(row.scope): Halt(row.reason, row.since) for row in rows}
