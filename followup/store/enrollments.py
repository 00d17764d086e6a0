"""Enrollments: who stands where, and when to look again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, bindparam, case, func, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from followup.core.enrollment import Action, Enrollment, EnrollmentState, Phase, Position, Waited, moved
from followup.store.schema import enrollments
from followup.store.types import among, insert_new, leasing, moment, unleased

AT_ONCE = 5_000  # ids in one statement; PostgreSQL takes 65,535
# the version a run came into
ENTERED: ColumnElement[int] = func.coalesce(enrollments.c.entered_version_id, enrollments.c.version_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEnrollment:
    """An entry into a workflow; (workflow, entry_key) never enters twice."""

    workflow: str
    version_id: int
    customer_id: int
    order_id: int | None
    entry_key: str
    trigger_event_id: int | None
    entered_at: datetime
    first_step: str | None
    wake_at: datetime | None
    state: EnrollmentState = EnrollmentState.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Where an enrollment stands after a decision."""

    id: int
    rev: int
    state: EnrollmentState
    position: Position
    wake_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    waited: Waited | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEnrollment:
    """An enrollment and the rows it belongs to; ``entered_version_id`` is that of the version it came into."""

    enrollment: Enrollment
    version_id: int
    entered_version_id: int
    customer_id: int
    order_id: int | None
    entry_key: str
    rev: int
    wake_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    finishes: bool

    @property
    def id(self) -> int:
        return self.enrollment.id

    @property
    def is_fresh(self) -> bool:
        """Tell whether the run was moved to its version, and nobody has looked at it since."""
        return self.wake_at is not None and self.wake_at == self.enrollment.moved_at

    def ended(self, outcome: str, *, at: datetime) -> Moved:
        """Return the run as an exit with *outcome* leaves it; what it has under way is the caller's to withdraw."""
        return Moved(
            id=self.id,
            rev=self.rev,
            state=moved(self.enrollment.state, Action.EXIT),
            position=replace(self.enrollment.position, phase=Phase.DONE),
            wake_at=None,
            ended_at=at,
            outcome=outcome,
            waited=self.enrollment.waited,
        )


def add(conn: Connection, new: NewEnrollment) -> int | None:
    """Enroll; return the id, or None when this entry key has entered already."""
    row = {
        "workflow": new.workflow,
        "version_id": new.version_id,
        "customer_id": new.customer_id,
        "order_id": new.order_id,
        "entry_key": new.entry_key,
        "trigger_event_id": new.trigger_event_id,
        "state": new.state.value,
        "step": new.first_step,
        "phase": Phase.BEFORE.value,
        "since": new.entered_at,
        "entered_at": new.entered_at,
        "wake_at": new.wake_at,
    }
    added = insert_new(conn, enrollments, [row], enrollments.c.id)
    return added[0].id if added else None


def lease_due(conn: Connection, *, now: datetime, seconds: int, limit: int) -> list[int]:
    """Lease enrollments whose ``wake_at`` has come by *now* (business time), oldest first, for *seconds* real time."""
    return sorted(conn.scalars(_lease_due(seconds, limit), {"now": now}))


@cache
def _lease_due(seconds: int, limit: int) -> ReturningUpdate[tuple[int]]:
    """Build the statement once: every worker runs it every few seconds."""
    due = (
        select(enrollments.c.id)
        .where(enrollments.c.wake_at <= moment("now"), unleased(enrollments.c.leased_until))
        .order_by(enrollments.c.wake_at, enrollments.c.id)
        .limit(limit)
    )
    return leasing(enrollments, due, seconds)


_WITH_THEIR_OTHERS = (
    select(enrollments)
    .where(
        enrollments.c.customer_id.in_(select(enrollments.c.customer_id).where(among(enrollments.c.id, "ids"))),
        enrollments.c.ended_at.is_(None),
    )
    .order_by(enrollments.c.id)
    .with_for_update(key_share=True)
)


def lock(conn: Connection, ids: Collection[int]) -> list[StoredEnrollment]:
    """
    Wait for, hold and return the enrollments among *ids* that have not ended, by id.

    The others of their customers are held with them: whatever is put on a customer's timeline wakes all of them, and
    who took them one after the other would lock others out.
    """
    wanted = set(ids)
    rows = conn.execute(_WITH_THEIR_OTHERS, {"ids": list(wanted)})
    return [_stored(row) for row in rows if row.id in wanted]


_BY_ID = select(enrollments).where(among(enrollments.c.id, "ids"))
_FREE = _BY_ID.order_by(enrollments.c.id).with_for_update(skip_locked=True, key_share=True)


def lock_free(conn: Connection, ids: Collection[int]) -> list[StoredEnrollment]:
    """Hold and return those of *ids* that nobody else holds, without waiting, ended ones too."""
    return [_stored(row) for row in conn.execute(_FREE, {"ids": list(ids)})]


def _stored(row: Row[Any]) -> StoredEnrollment:
    return StoredEnrollment(
        enrollment=Enrollment(
            id=row.id,
            workflow=row.workflow,
            state=EnrollmentState(row.state),
            entered_at=row.entered_at,
            position=Position(row.step, Phase(row.phase), row.since),
            trigger_event_id=row.trigger_event_id,
            waited=Waited(row.waited_until, row.heard_event_id, row.timed_out) if row.waited_until else None,
            moved_at=row.moved_at,
        ),
        version_id=row.version_id,
        entered_version_id=row.entered_version_id or row.version_id,
        customer_id=row.customer_id,
        order_id=row.order_id,
        entry_key=row.entry_key,
        rev=row.rev,
        wake_at=row.wake_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        finishes=row.finishes,
    )


_SAVE = (
    update(enrollments)
    .where(
        enrollments.c.id == bindparam("key"),
        enrollments.c.rev == bindparam("old_rev"),
        enrollments.c.ended_at.is_(None),
    )
    .values(rev=enrollments.c.rev + 1, leased_until=None)
)


def save(conn: Connection, runs: Sequence[Moved]) -> None:
    """Write where each enrollment stands now, and give its lease back; the caller holds the rows."""
    if not runs:
        return
    rows = [
        {
            "key": one.id,
            "old_rev": one.rev,
            "state": one.state.value,
            "step": one.position.step,
            "phase": one.position.phase.value,
            "since": one.position.since,
            "wake_at": one.wake_at,
            "ended_at": one.ended_at,
            "outcome": one.outcome,
            "waited_until": one.waited.until if one.waited else None,
            "heard_event_id": one.waited.event_id if one.waited else None,
            "timed_out": one.waited.timed_out if one.waited else False,
        }
        for one in runs
    ]
    changed = conn.execute(_SAVE, rows).rowcount
    assert changed == len(rows), f"{len(rows) - changed} enrollments moved while their rows were held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """Where a run stands in another version of its workflow."""

    id: int
    version_id: int
    state: EnrollmentState
    position: Position
    moved_at: datetime
    wake_at: datetime | None
    ended_at: datetime | None = None
    outcome: str | None = None


def transfer(conn: Connection, runs: Sequence[Transferred]) -> None:
    """Write where runs go on in another version; the caller holds the rows."""
    if not runs:
        return
    rows = [
        {
            "key": one.id,
            "version": one.version_id,
            "state": one.state.value,
            "step": one.position.step,
            "phase": one.position.phase.value,
            "since": one.position.since,
            "moved_at": one.moved_at,
            "wake_at": one.wake_at,
            "ended_at": one.ended_at,
            "outcome": one.outcome,
        }
        for one in runs
    ]
    guarded = update(enrollments).where(enrollments.c.id == bindparam("key"), enrollments.c.ended_at.is_(None))
    values = {
        "version_id": bindparam("version"),
        "entered_version_id": ENTERED,
        "rev": enrollments.c.rev + 1,
        "finishes": False,
        "leased_until": None,
    }
    conn.execute(guarded.values(values), rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How many runs that have not ended are in a version, at a step of it and in a phase of that."""

    workflow: str
    version_id: int
    finishes: bool
    step: str | None
    phase: Phase
    number: int


def standing(conn: Connection, *, workflow: str | None = None) -> list[Standing]:
    """Return where runs stand that have not ended, all or those in *workflow*, by workflow, version, step and phase."""
    places = (
        enrollments.c.workflow,
        enrollments.c.version_id,
        enrollments.c.finishes,
        enrollments.c.step,
        enrollments.c.phase,
    )
    wanted = select(*places, func.count().label("number")).where(enrollments.c.ended_at.is_(None))
    if workflow is not None:
        wanted = wanted.where(enrollments.c.workflow == workflow)
    return [
        Standing(
            workflow=row.workflow,
            version_id=row.version_id,
            finishes=row.finishes,
            step=row.step,
            phase=Phase(row.phase),
            number=row.number,
        )
        for row in conn.execute(wanted.group_by(*places).order_by(*places))
    ]


def carry_over(
    conn: Connection, version_id: int, step: str | None, *, to: int, new_step: str | None, now: datetime
) -> int:
    """
    Have up to AT_ONCE runs of a version, at *step* of it and with nothing due by *now*, go on in the version *to*.

    For those for whom nothing changes there: they are looked at when they would have been. Returns how many.
    """
    asleep = or_(enrollments.c.wake_at.is_(None), enrollments.c.wake_at > now)
    there = enrollments.c.step.is_(None) if step is None else enrollments.c.step == step
    wanted = select(enrollments.c.id).where(_in_version(version_id), there, asleep)
    ids = list(conn.scalars(wanted.order_by(enrollments.c.id).limit(AT_ONCE).with_for_update(key_share=True)))
    values = {
        "version_id": to,
        "entered_version_id": ENTERED,
        "step": new_step,
        "moved_at": now,
        "rev": enrollments.c.rev + 1,
    }
    conn.execute(update(enrollments).where(enrollments.c.id.in_(ids)).values(values))
    return len(ids)


def wake_version(conn: Connection, version_id: int, *, at: datetime) -> None:
    """Have those looked at by *at* who are in a version, have not ended and do not finish there."""
    conn.execute(_wake(_in_version(version_id)), {"by": at})


def _in_version(version_id: int) -> ColumnElement[bool]:
    """Return the condition that a run is in a version, has not ended, and does not finish there."""
    mine = enrollments.c.version_id == version_id
    return mine & enrollments.c.ended_at.is_(None) & enrollments.c.finishes.is_(False)


def in_version(conn: Connection, version_id: int, *, after_id: int, limit: int) -> list[int]:
    """Return runs in a version that have not ended and do not finish there, by id, past *after_id*."""
    wanted = select(enrollments.c.id).where(_in_version(version_id), enrollments.c.id > after_id)
    return list(conn.scalars(wanted.order_by(enrollments.c.id).limit(limit)))


def keys_entered(conn: Connection, workflow: str, keys: Collection[str]) -> set[str]:
    """Return those of *keys* under which somebody has come into *workflow*."""
    theirs = enrollments.c.workflow == workflow, enrollments.c.entry_key.in_(list(keys))
    return set(conn.scalars(select(enrollments.c.entry_key).where(*theirs)))


def finishing_at(conn: Connection, version_id: int, step: str | None, *, limit: int) -> list[int]:
    """Return runs that finish a version, at *step* of it, by id."""
    wanted = select(enrollments.c.id).where(*_finishing([version_id], step)).order_by(enrollments.c.id)
    return list(conn.scalars(wanted.limit(limit)))


def finish(conn: Connection, ids: Collection[int]) -> None:
    """Have runs finish the version they are in, whatever is applied; the caller holds them."""
    conn.execute(update(enrollments).where(enrollments.c.id.in_(list(ids))).values(finishes=True))


def finish_no_more(conn: Connection, versions: Collection[int], *, step: str | None = None) -> None:
    """Have runs in *versions*, those at *step* or (None) all, follow what is applied: they finish no more."""
    theirs = _finishing(versions, step) if step is not None else _finishing(versions)
    held = select(enrollments.c.id).where(*theirs).order_by(enrollments.c.id).with_for_update(key_share=True)
    taken = held.cte("taken")
    conn.execute(update(enrollments).where(enrollments.c.id.in_(select(taken.c.id))).values(finishes=False))


def _finishing(versions: Collection[int], *step: str | None) -> list[ColumnElement[bool]]:
    theirs = [enrollments.c.version_id.in_(list(versions)), enrollments.c.finishes, enrollments.c.ended_at.is_(None)]
    return [*theirs, *(enrollments.c.step == one for one in step)]


def wake(conn: Connection, ids: Collection[int], *, at: datetime) -> None:
    """Have enrollments that have not ended looked at by *at* (business time), or earlier if they already are to be."""
    if ids:
        conn.execute(_WAKE, {"ids": list(ids), "by": at})


def wake_for_events(conn: Connection, customer_ids: Collection[int], *, at: datetime) -> None:
    """Have every enrollment of these customers looked at by *at*: something happened to them."""
    if customer_ids:
        conn.execute(_WAKE_ALL_OF, {"customers": list(customer_ids), "by": at})


def _wake(which: ColumnElement[bool]) -> Update:
    """Return what wakes them in the order in which everybody takes them; a bare UPDATE takes rows as it finds them."""
    by = moment("by")
    later = or_(enrollments.c.wake_at.is_(None), enrollments.c.wake_at > by)
    asleep = select(enrollments.c.id).where(which, enrollments.c.ended_at.is_(None), later).order_by(enrollments.c.id)
    taken = asleep.with_for_update(key_share=True).cte("asleep")
    return update(enrollments).where(enrollments.c.id.in_(select(taken.c.id))).values(wake_at=by)


_WAKE = _wake(among(enrollments.c.id, "ids"))
_WAKE_ALL_OF = _wake(among(enrollments.c.customer_id, "customers"))


def free_leases(conn: Connection) -> None:
    """Take back every lease, whoever holds it."""
    conn.execute(update(enrollments).where(enrollments.c.leased_until.is_not(None)).values(leased_until=None))


def next_wake(conn: Connection) -> datetime | None:
    """Return the earliest ``wake_at`` there is."""
    earliest: datetime | None = conn.scalar(_NEXT_WAKE)
    return earliest


_NEXT_WAKE = select(func.min(enrollments.c.wake_at)).where(enrollments.c.wake_at.is_not(None))


def entered_before(conn: Connection, workflow: str, customer_id: int, *, other_than: str) -> bool:
    """Tell whether the customer has ever been in *workflow*, but for the entry *other_than*."""
    wanted = select(enrollments.c.id).where(
        enrollments.c.workflow == workflow,
        enrollments.c.customer_id == customer_id,
        enrollments.c.entry_key != other_than,
    )
    return conn.scalar(wanted.limit(1)) is not None


def last_entered_at(conn: Connection, workflow: str, customer_id: int, *, other_than: str) -> datetime | None:
    """Return when the customer last came into *workflow*, but for the entry *other_than*."""
    wanted = select(func.max(enrollments.c.entered_at)).where(
        enrollments.c.customer_id == customer_id,
        enrollments.c.workflow == workflow,
        enrollments.c.entry_key != other_than,
    )
    last: datetime | None = conn.scalar(wanted)
    return last


def under_way(conn: Connection, workflow: str, customer_id: int, *, hold: bool = True) -> list[StoredEnrollment]:
    """Return (and hold) the runs of *customer_id* in *workflow* that have not ended, by id; the customer is held."""
    wanted = select(enrollments).where(
        enrollments.c.customer_id == customer_id,
        enrollments.c.workflow == workflow,
        enrollments.c.ended_at.is_(None),
    )
    ordered = wanted.order_by(enrollments.c.id)
    return [_stored(row) for row in conn.execute(ordered.with_for_update(key_share=True) if hold else ordered)]


def inside(conn: Connection, workflow: str) -> list[int]:
    """Return the runs in *workflow* that have not ended, by id."""
    wanted = select(enrollments.c.id).where(enrollments.c.workflow == workflow, enrollments.c.ended_at.is_(None))
    return list(conn.scalars(wanted.order_by(enrollments.c.id)))


def count_inside(conn: Connection, workflow: str) -> dict[str | None, int]:
    """Return how many runs in *workflow* have not ended, by the step they stand at; None: they are held out."""
    at = case((enrollments.c.state == EnrollmentState.HELD_OUT.value, None), else_=enrollments.c.step).label("at")
    wanted = select(at, func.count()).where(enrollments.c.workflow == workflow, enrollments.c.ended_at.is_(None))
    return {step: number for step, number in conn.execute(wanted.group_by(at).order_by(at))}


def due_by(conn: Connection, until: datetime, *, limit: int) -> list[int]:
    """Return the runs that are to be looked at by *until* (business time), the first first."""
    due = select(enrollments.c.id).where(enrollments.c.wake_at <= until)
    return list(conn.scalars(due.order_by(enrollments.c.wake_at, enrollments.c.id).limit(limit)))


def count_due(conn: Connection, workflow: str, *, now: datetime) -> int:
    """Return how many runs in *workflow* are to be looked at by *now* (business time)."""
    due = enrollments.c.workflow == workflow, enrollments.c.wake_at <= now
    return conn.scalar(select(func.count()).select_from(enrollments).where(*due)) or 0


def of_order(conn: Connection, order_id: int) -> list[StoredEnrollment]:
    """Return every enrollment about an order, oldest first."""
    wanted = select(enrollments).where(enrollments.c.order_id == order_id).order_by(enrollments.c.id)
    return [_stored(row) for row in conn.execute(wanted)]


_OF_CUSTOMER = select(enrollments).where(enrollments.c.customer_id == bindparam("customer")).order_by(enrollments.c.id)


def of_customer(conn: Connection, customer_id: int) -> list[StoredEnrollment]:
    """Return every enrollment of a customer, oldest first."""
    return [_stored(row) for row in conn.execute(_OF_CUSTOMER, {"customer": customer_id})]


def versions(conn: Connection, ids: Collection[int]) -> dict[int, int]:
    """Return the workflow version of each run, however many there are."""
    found: dict[int, int] = {}
    whole = sorted(ids)
    for start in range(0, len(whole), AT_ONCE):
        some = whole[start : start + AT_ONCE]
        wanted = select(enrollments.c.id, enrollments.c.version_id).where(enrollments.c.id.in_(some))
        found |= {row.id: row.version_id for row in conn.execute(wanted)}
    return found


def by_id(conn: Connection, ids: Collection[int]) -> dict[int, StoredEnrollment]:
    """Return enrollments by id, ended ones too."""
    return {row.id: _stored(row) for row in conn.execute(_BY_ID, {"ids": list(ids)})}


def count_by_state(conn: Connection) -> dict[str, int]:
    wanted = select(enrollments.c.state, func.count()).group_by(enrollments.c.state).order_by(enrollments.c.state)
    return {state: number for state, number in conn.execute(wanted)}


def count_by_workflow(conn: Connection) -> dict[str, dict[str, int]]:
    """Return the number of enrollments by workflow and state."""
    wanted = select(enrollments.c.workflow, enrollments.c.state, func.count())
    counts: dict[str, dict[str, int]] = {}
    grouped = wanted.group_by(enrollments.c.workflow, enrollments.c.state)
    for workflow, state, number in conn.execute(grouped.order_by(enrollments.c.workflow, enrollments.c.state)):
        counts.setdefault(workflow, {})[state] = number
    return counts
