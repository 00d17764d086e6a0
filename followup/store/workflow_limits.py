"""What limits a workflow's letters beyond its file, and the row that whoever counts them holds."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from followup.store.schema import workflow_limits
from followup.store.types import among, insert, insert_new


@dataclass(frozen=True, slots=True)
class FirstLetters:
    """How many letters of a workflow a person wants to read before others leave, and how many they have let go."""

    first: int
    approved: int

    @property
    def pending(self) -> bool:
        return self.approved < self.first


_ASKED_FOR = (
    select(workflow_limits)
    .where(among(workflow_limits.c.workflow, "workflows"), workflow_limits.c.first > 0)
    .order_by(workflow_limits.c.workflow)
)


def first_letters(conn: Connection, workflows: Collection[str]) -> dict[str, FirstLetters]:
    """Return those of *workflows* that ever had first letters to approve."""
    rows = conn.execute(_ASKED_FOR, {"workflows": list(workflows)})
    return {row.workflow: FirstLetters(row.first, row.approved) for row in rows}


def pending(conn: Connection) -> dict[str, FirstLetters]:
    """Return the workflows whose first letters wait for a person, by name."""
    wanted = select(workflow_limits).where(workflow_limits.c.approved < workflow_limits.c.first)
    return {
        row.workflow: FirstLetters(row.first, row.approved)
        for row in conn.execute(wanted.order_by(workflow_limits.c.workflow))
    }


def lock(conn: Connection, workflows: Collection[str]) -> None:
    """Wait for and hold the rows of *workflows*, which are made where there are none."""
    insert_new(
        conn, workflow_limits, [{"workflow": name} for name in sorted(set(workflows))], workflow_limits.c.workflow
    )
    wanted = select(workflow_limits.c.workflow).where(workflow_limits.c.workflow.in_(list(workflows)))
    conn.execute(wanted.order_by(workflow_limits.c.workflow).with_for_update()).all()


def ask_for_first(conn: Connection, workflow: str, first: int, *, anew: bool) -> bool:
    """
    Have a person read the first letters of *workflow*; return False where that was asked before.

    Args:
        anew: ask again all the same.
    """
    new = insert(conn, workflow_limits).values(workflow=workflow, first=first, approved=0)
    free = None if anew else workflow_limits.c.first == 0
    values = {"first": first, "approved": 0}
    asked = new.on_conflict_do_update(index_elements=["workflow"], set_=values, where=free)
    return conn.execute(asked.returning(workflow_limits.c.workflow)).one_or_none() is not None


def approve(conn: Connection, workflow: str, letters: int) -> None:
    """Count *letters* more as read by a person; the caller holds the row."""
    approved = update(workflow_limits).where(workflow_limits.c.workflow == workflow)
    conn.execute(approved.values(approved=workflow_limits.c.approved + letters))


def approve_all(conn: Connection, workflow: str) -> None:
    """Ask for no more first letters of *workflow*; the caller holds the row."""
    approved = update(workflow_limits).where(workflow_limits.c.workflow == workflow)
    conn.execute(approved.values(approved=workflow_limits.c.first))
