"""Letters that have not left: how many, of which runs, waiting for what; nothing here changes one."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, literal_column, select, union_all

from followup.core.message import CANCELLABLE, MessageState
from followup.store.schema import customers, messages


@dataclass(frozen=True, slots=True)
class Unsent:
    """
    How many letters of a step have not left yet.

    ``sender`` is the key of who would sign them, ``language`` that of the customers they are for (BCP 47), if known.
    """

    workflow: str
    step: str
    letter: str
    sender: str
    language: str | None
    number: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many letters are due by now, due later, and held."""

    due: int
    later: int
    held: int


def count(conn: Connection) -> list[Unsent]:
    """Return how many letters have not left yet, by workflow, step, letter, sender and language."""
    columns = messages.c.workflow, messages.c.step, messages.c.letter, messages.c.sender, customers.c.language
    each = select(*columns).join_from(messages, customers, customers.c.id == messages.c.customer_id)
    of_state = [each.where(messages.c.state == literal_column(f"'{s.value}'")) for s in sorted(CANCELLABLE)]
    unsent = union_all(*of_state).subquery()
    grouped = select(*unsent.c, func.count().label("number")).group_by(*unsent.c).order_by(*unsent.c)
    return [Unsent(**row) for row in conn.execute(grouped).mappings()]


def count_waiting(conn: Connection, workflow: str, *, now: datetime) -> Waiting:
    """Return how many messages of *workflow* wait, those that are due told by *now* (business time, inclusive)."""
    counts = []
    due_ = messages.c.state == literal_column("'due'")
    for waits in (due_ & (messages.c.due_at <= now), due_, messages.c.state == literal_column("'held'")):
        theirs = messages.c.workflow == workflow, waits
        counts.append(conn.scalar(select(func.count()).select_from(messages).where(*theirs)) or 0)
    due, ever, held = counts
    return Waiting(due, ever - due, held)


def waiting_ids(conn: Connection, workflow: str, *, now: datetime) -> list[int]:
    """Return the messages of *workflow* that are held, or due at *now* (business time), oldest first."""
    held_ = messages.c.state == literal_column("'held'")
    due_ = (messages.c.state == literal_column("'due'")) & (messages.c.due_at <= now)
    wanted = [select(messages.c.id).where(messages.c.workflow == workflow, waiting) for waiting in (held_, due_)]
    return sorted(conn.scalars(union_all(*wanted)))  # each half has an index of its own


def held_ids(conn: Connection, workflow: str, reason: str) -> list[int]:
    """Return the messages of *workflow* that are held for *reason*, oldest first."""
    theirs = messages.c.workflow == workflow, messages.c.reason == reason
    wanted = select(messages.c.id).where(messages.c.state == literal_column("'held'"), *theirs)
    return list(conn.scalars(wanted.order_by(messages.c.id)))


def runs_among(conn: Connection, enrollment_ids: Collection[int]) -> set[int]:
    """Return those of these runs that have a message which has not left yet and can be withdrawn."""
    unsent = messages.c.state.in_([state.value for state in CANCELLABLE])
    wanted = select(messages.c.enrollment_id).where(messages.c.enrollment_id.in_(list(enrollment_ids)), unsent)
    return set(conn.scalars(wanted))


def runs_due_by(conn: Connection, until: datetime, *, limit: int) -> list[int]:
    """Return the runs whose letters are due by *until* (business time), the first first; each may come repeatedly."""
    due_ = messages.c.state == literal_column("'due'"), messages.c.due_at <= until
    wanted = select(messages.c.enrollment_id).where(*due_)
    return list(conn.scalars(wanted.order_by(messages.c.due_at, messages.c.id).limit(limit)))


def runs_held(conn: Connection, workflows: Collection[str], *, limit: int) -> list[int]:
    """Return the runs of *workflows* that have letters which are held; each may come repeatedly."""
    held_ = messages.c.state == literal_column("'held'"), messages.c.workflow.in_(list(workflows))
    return list(conn.scalars(select(messages.c.enrollment_id).where(*held_).order_by(messages.c.id).limit(limit)))


def runs_blocked(conn: Connection, *, limit: int) -> list[int]:
    """Return the runs whose letters are blocked; each may come repeatedly."""
    wanted = select(messages.c.enrollment_id).where(messages.c.state == literal_column("'blocked'"))
    return list(conn.scalars(wanted.order_by(messages.c.id).limit(limit)))


def runs_of(conn: Connection, senders: Collection[str], letters: Collection[str], *, limit: int) -> list[int]:
    """Return the runs whose letters have not left yet and are signed by *senders*, or are *letters*; repeatedly."""
    if not senders and not letters:
        return []
    theirs = messages.c.sender.in_(list(senders)) | messages.c.letter.in_(list(letters))
    of_state = [
        select(messages.c.id, messages.c.enrollment_id).where(
            messages.c.state == literal_column(f"'{s.value}'"), theirs
        )
        for s in sorted(CANCELLABLE)
    ]
    unsent = union_all(*of_state).subquery()  # each state has an index of its own
    return list(conn.scalars(select(unsent.c.enrollment_id).order_by(unsent.c.id).limit(limit)))


def next_due(conn: Connection) -> datetime | None:
    """Return the earliest due time there is."""
    earliest: datetime | None = conn.scalar(_NEXT_DUE)
    return earliest


def next_expiry(conn: Connection) -> datetime | None:
    """Return when the first of the blocked messages will be given up."""
    earliest: datetime | None = conn.scalar(_NEXT_EXPIRY)
    return earliest


_NEXT_DUE = select(func.min(messages.c.due_at)).where(messages.c.state == literal_column("'due'"))
_NEXT_EXPIRY = select(func.min(messages.c.not_after)).where(messages.c.state == literal_column("'blocked'"))


def blocked_reasons(conn: Connection) -> list[str]:
    """Return why messages are blocked, each reason once."""
    wanted = select(messages.c.reason).where(messages.c.state == MessageState.BLOCKED.value).distinct()
    return [reason or "" for reason in conn.scalars(wanted.order_by(messages.c.reason).limit(20))]
