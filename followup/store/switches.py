"""Workflows that an operator has switched off: that stands above what their files say, whatever is applied."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.sql.selectable import ScalarSelect

from followup.core.workflow import WorkflowStatus
from followup.store.schema import workflow_switches
from followup.store.types import insert


@dataclass(frozen=True, slots=True)
class Switch:
    """What an operator made of a workflow, why, and since when (business time)."""

    status: WorkflowStatus
    reason: str
    since: datetime


def set_(conn: Connection, workflow: str, status: WorkflowStatus, *, reason: str, now: datetime) -> None:
    """Pause or archive *workflow*, whatever it is by now."""
    values = {"status": status.value, "reason": reason, "since": now}
    row = insert(conn, workflow_switches).values(workflow=workflow, **values)
    conn.execute(row.on_conflict_do_update(index_elements=["workflow"], set_=values))


def lift(conn: Connection, workflow: str) -> bool:
    """Let *workflow* be what its file says; return False when nobody had switched it."""
    return conn.execute(delete(workflow_switches).where(workflow_switches.c.workflow == workflow)).rowcount == 1


def current(conn: Connection) -> dict[str, Switch]:
    """Return what is switched, by workflow."""
    rows = conn.execute(select(workflow_switches).order_by(workflow_switches.c.workflow))
    return {row.workflow: Switch(WorkflowStatus(row.status), row.reason, row.since) for row in rows}


def _told() -> ScalarSelect[str]:
    pair = workflow_switches.c.workflow + "=" + workflow_switches.c.status
    return select(func.aggregate_strings(pair, ",")).scalar_subquery()


TOLD = _told()  # all of it as one text, to be read along with something else; `read_told` reads it


def read_told(text: str | None) -> Mapping[str, WorkflowStatus]:
    """Return what `TOLD` says, by workflow."""
    pairs = (pair.split("=") for pair in sorted((text or "").split(",")) if pair)
    return {workflow: WorkflowStatus(status) for workflow, status in pairs}
