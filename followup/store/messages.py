"""Messages: every move between states is one guarded UPDATE."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, case, func, literal_column, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from followup.core.facts import Sent
from followup.core.message import CANCELLABLE, GRAVITY, MAY_HAVE_LEFT, Action, MessageState, Outcome, goal, sources
from followup.core.replies import Choice, Question
from followup.store.schema import customers, messages, orders
from followup.store.types import UTCDateTime, insert_new, leasing, real_now, unleased


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMessage:
    """A letter to be written: the row before it has a due time of its own."""

    enrollment_id: int
    customer_id: int
    order_id: int | None
    workflow: str
    step: str
    round: int
    letter: str
    sender: str
    priority: int
    due_at: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message as it stands; ``due_at`` and ``not_after`` are None while it is held."""

    id: int
    enrollment_id: int
    customer_id: int
    order_id: int | None
    workflow: str
    step: str
    round: int
    letter: str
    sender: str
    priority: int
    state: MessageState
    postponed_since: datetime | None
    due_at: datetime | None
    not_after: datetime | None
    token: str | None
    sending_at: datetime | None
    payload: Mapping[str, Any] | None
    transport: str | None
    choices: Sequence[Mapping[str, Any]] | None
    subject: str | None
    question: str | None
    accepted_at: datetime | None
    reason: str | None
    attempts: int

    @property
    def asked(self) -> Question:
        """Return the question as this customer read it, with the choices it offered."""
        return Question(self.question or "", tuple(Choice(**choice) for choice in self.choices or ()))

    @property
    def sent(self) -> Sent:
        """Return the message as decisions see it."""
        return Sent(
            id=self.id,
            step=self.step,
            round=self.round,
            state=self.state,
            due_at=self.due_at,
            accepted_at=self.accepted_at,
            reason=self.reason,
            token=self.token,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedLetter:
    """A letter the provider took, with whom and what it is about."""

    letter: str
    round: int
    token: str
    accepted_at: datetime
    customer_id: int
    email: str
    order_number: str


_COLUMNS = tuple(StoredMessage.__dataclass_fields__)


def _stored(row: Row[Any]) -> StoredMessage:
    return StoredMessage(**{name: getattr(row, name) for name in _COLUMNS} | {"state": MessageState(row.state)})


def add(conn: Connection, new: Sequence[DueMessage]) -> None:
    """Write due messages; one that exists for its (enrollment, step, round) stays as it is."""
    rows = [
        {name: getattr(one, name) for name in DueMessage.__dataclass_fields__} | {"state": MessageState.DUE.value}
        for one in new
    ]
    insert_new(conn, messages, rows, messages.c.id)


def lease_due(conn: Connection, *, now: datetime, seconds: int, limit: int) -> list[int]:
    """Lease messages due at *now* (business time) for *seconds* of real time; the oldest first."""
    return sorted(conn.scalars(_lease_due(seconds, limit), {"now": now}))


@cache
def _lease_due(seconds: int, limit: int) -> ReturningUpdate[tuple[int]]:
    """Build the statement once: every worker runs it every few seconds."""
    by_now = messages.c.due_at <= bindparam("now", type_=UTCDateTime())
    due_ = (
        select(messages.c.id)
        .where(messages.c.state == literal_column("'due'"), by_now, unleased(messages.c.leased_until))
        .order_by(messages.c.due_at, messages.c.id)
        .limit(limit)
    )
    return leasing(messages, due_, seconds)


def due_beside(conn: Connection, ids: Collection[int], *, now: datetime) -> list[StoredMessage]:
    """
    Return what is due at *now* to the customers of those of *ids* that still are: highest priority first, then oldest.

    However the ids of one customer were spread over workers, each of them sees what goes first.
    """
    is_due = (messages.c.state == MessageState.DUE.value) & (messages.c.due_at <= now)
    whose = select(messages.c.customer_id).where(messages.c.id.in_(list(ids)), is_due)
    wanted = select(messages).where(messages.c.customer_id.in_(whose), is_due)
    ordered = wanted.order_by(messages.c.priority.desc(), messages.c.due_at, messages.c.id)
    return [_stored(row) for row in conn.execute(ordered)]


def lock_due(conn: Connection, ids: Collection[int]) -> set[int]:
    """Hold those of *ids* that are still due and that nobody else holds, without waiting; return their ids."""
    wanted = select(messages.c.id).where(messages.c.id.in_(list(ids)), messages.c.state == "due")
    return set(conn.scalars(wanted.order_by(messages.c.id).with_for_update(skip_locked=True, key_share=True)))


def lock(conn: Connection, ids: Collection[int], *states: MessageState) -> dict[int, StoredMessage]:
    """Wait for, hold and return those of *ids* that are in one of *states*."""
    wanted = select(messages).where(messages.c.id.in_(list(ids)), messages.c.state.in_([s.value for s in states]))
    return {
        row.id: _stored(row) for row in conn.execute(wanted.order_by(messages.c.id).with_for_update(key_share=True))
    }


def move(
    conn: Connection, action: Action, rows: Sequence[Mapping[str, Any]], *, lease_seconds: int | None = None
) -> int:
    """
    Take *action* for each row that is in a state from which it is legal.

    Args:
        rows: ``id`` and the columns to set besides, the same ones in every row.
        lease_seconds: lease the rows anew, for so long in real time; None gives their lease back.

    Returns:
        how many moved; the others were somewhere else already.
    """
    if not rows:
        return 0
    legal = or_(*(messages.c.state == state.value for state in sources(action)))  # IN takes no list of parameter sets
    guarded = update(messages).where(messages.c.id == bindparam("key"), legal)
    values = [{"key": row["id"]} | {name: row[name] for name in row if name != "id"} for row in rows]
    until = real_now(lease_seconds) if lease_seconds is not None else None
    return conn.execute(guarded.values(state=goal(action).value, leased_until=until), values).rowcount


def claim(conn: Connection, ids: Collection[int], *, seconds: int) -> dict[int, int]:
    """Claim due messages (the caller holds them) for *seconds* of real time; return the attempt number of each."""
    claimed = (
        update(messages)
        .where(messages.c.id.in_(list(ids)), messages.c.state == MessageState.DUE.value)
        .values(state=MessageState.CLAIMED.value, leased_until=real_now(seconds), attempts=messages.c.attempts + 1)
    )
    return {row.id: row.attempts for row in conn.execute(claimed.returning(messages.c.id, messages.c.attempts))}


def unlease(conn: Connection, ids: Collection[int]) -> None:
    """Give back the leases of due messages that were not got round to."""
    due_ = messages.c.id.in_(list(ids)), messages.c.state == MessageState.DUE.value
    conn.execute(update(messages).where(*due_).values(leased_until=None))


def abandoned(
    conn: Connection, state: MessageState, *, limit: int, whatever_lease: bool = False
) -> list[StoredMessage]:
    """Hold and return messages that rest in *state* though their lease is over (or *whatever_lease*), by its end."""
    return [_stored(row) for row in conn.execute(_abandoned(state, limit, whatever_lease))]


@cache
def _abandoned(state: MessageState, limit: int, whatever_lease: bool) -> Select[Any]:
    wanted = select(messages).where(messages.c.state == literal_column(f"'{state.value}'"))
    if not whatever_lease:
        wanted = wanted.where(unleased(messages.c.leased_until))
    return (
        wanted.order_by(messages.c.leased_until, messages.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )


def free_leases(conn: Connection) -> None:
    """Take back the leases of due messages, whoever holds them."""
    conn.execute(update(messages).where(messages.c.state == MessageState.DUE.value).values(leased_until=None))


def blocked_too_long(conn: Connection, *, now: datetime, limit: int) -> list[StoredMessage]:
    """Return blocked messages whose time is over at *now* (business time), by its end."""
    return [_stored(row) for row in conn.execute(_blocked_too_long(limit), {"now": now})]


@cache
def _blocked_too_long(limit: int) -> Select[Any]:
    over = messages.c.not_after < bindparam("now", type_=UTCDateTime())
    wanted = select(messages).where(messages.c.state == literal_column("'blocked'"), over)
    return wanted.order_by(messages.c.not_after, messages.c.id).limit(limit)


def unblock(conn: Connection) -> int:
    """Make every blocked message due again, as it was; return how many."""
    blocked = [{"id": key} for key in conn.scalars(_in_state(MessageState.BLOCKED))]
    return move(conn, Action.UNBLOCK, blocked)


def _in_state(state: MessageState) -> Select[Any]:
    return (
        select(messages.c.id)
        .where(messages.c.state == state.value)
        .order_by(messages.c.id)
        .with_for_update(key_share=True)
    )


def cancel(conn: Connection, enrollment_id: int, step: str | None, round_: int | None, *, reason: str) -> None:
    """Withdraw what has not left yet: of one step and round, or of the whole enrollment."""
    wanted = [messages.c.enrollment_id == enrollment_id, messages.c.state.in_([s.value for s in CANCELLABLE])]
    if step is not None:
        wanted += [messages.c.step == step, messages.c.round == round_]
    values = {"state": MessageState.CANCELLED.value, "leased_until": None, "reason": reason}
    conn.execute(update(messages).where(*wanted).values(values))


def held(
    conn: Connection,
    *,
    customer_id: int | None = None,
    workflows: Collection[str] | None = None,
    reason: str | None = None,
) -> list[tuple[int, int]]:
    """Hold and return (id, enrollment id) of the held messages of a customer, of these workflows, for this reason."""
    wanted = select(messages.c.id, messages.c.enrollment_id).where(messages.c.state == MessageState.HELD.value)
    if customer_id is not None:
        wanted = wanted.where(messages.c.customer_id == customer_id)
    if workflows is not None:
        wanted = wanted.where(messages.c.workflow.in_(list(workflows)))
    if reason is not None:
        wanted = wanted.where(messages.c.reason == reason)
    rows = conn.execute(wanted.order_by(messages.c.id).with_for_update(key_share=True))
    return [(row.id, row.enrollment_id) for row in rows]


def release(
    conn: Connection, held_: Sequence[tuple[int, int]], *, now: datetime, max_late: Mapping[int, timedelta]
) -> int:
    """
    Make held messages due at *now*; lateness and postponing start anew.

    Args:
        held_: as `held` returned them.
        max_late: by enrollment id.
    """
    rows = [
        {"id": key, "postponed_since": None, "due_at": now, "not_after": now + max_late[of], "reason": None}
        for key, of in held_
    ]
    return move(conn, Action.RELEASE, rows)


def of_enrollments(conn: Connection, enrollment_ids: Collection[int]) -> dict[int, list[StoredMessage]]:
    """Return every message by enrollment, oldest first."""
    found: dict[int, list[StoredMessage]] = {}
    wanted = select(messages).where(messages.c.enrollment_id.in_(list(enrollment_ids))).order_by(messages.c.id)
    for row in conn.execute(wanted):
        found.setdefault(row.enrollment_id, []).append(_stored(row))
    return found


def recent(conn: Connection, customer_ids: Collection[int], *, since: datetime) -> dict[int, list[StoredMessage]]:
    """Return by customer what may have left since *since*, of all workflows."""
    left = messages.c.state.in_([state.value for state in MAY_HAVE_LEFT])
    left_at = func.coalesce(messages.c.accepted_at, messages.c.sending_at)
    lately = left_at.is_(None) | (left_at > since)
    wanted = select(messages).where(messages.c.customer_id.in_(list(customer_ids)), left, lately)
    found: dict[int, list[StoredMessage]] = {}
    for row in conn.execute(wanted.order_by(messages.c.id)):
        found.setdefault(row.customer_id, []).append(_stored(row))
    return found


def enrollments_of(conn: Connection, ids: Collection[int]) -> set[int]:
    """Return the enrollments that messages belong to."""
    return set(conn.scalars(select(messages.c.enrollment_id).where(messages.c.id.in_(list(ids)))))


def by_token(conn: Connection, token: str) -> StoredMessage | None:
    """Return the message whose current attempt is called *token*."""
    row = conn.execute(select(messages).where(messages.c.token == token)).one_or_none()
    return _stored(row) if row else None


def lock_by_token(conn: Connection, token: str) -> StoredMessage | None:
    """Wait for, hold and return the message whose current attempt is called *token*."""
    wanted = select(messages).where(messages.c.token == token).with_for_update(key_share=True)
    row = conn.execute(wanted).one_or_none()
    return _stored(row) if row else None


def fold(conn: Connection, message_id: int, reported: Outcome, *, provider_id: str | None) -> None:
    """Let the gravest outcome stand, in whatever order they are reported; keep the provider's name for the message."""
    milder = [known.value for known in Outcome if GRAVITY[known] < GRAVITY[reported]]
    graver = or_(messages.c.outcome.is_(None), messages.c.outcome.in_(milder))
    unnamed = [messages.c.provider_id.is_(None)] if provider_id else []
    values = {
        "outcome": case((graver, reported.value), else_=messages.c.outcome),
        "provider_id": func.coalesce(messages.c.provider_id, provider_id),
    }
    conn.execute(update(messages).where(messages.c.id == message_id, or_(graver, *unnamed)).values(values))


def accepted_letters(conn: Connection, *, at: datetime | None) -> list[AcceptedLetter]:
    """Return the letters about orders that were accepted at *at* (business time), or all of them, oldest first."""
    wanted = (
        select(messages, customers.c.email, orders.c.number.label("order_number"))
        .join(customers, customers.c.id == messages.c.customer_id)
        .join(orders, orders.c.id == messages.c.order_id)
        .where(messages.c.state == MessageState.ACCEPTED.value)
        .order_by(messages.c.accepted_at, messages.c.id)
    )
    if at is not None:
        wanted = wanted.where(messages.c.accepted_at == at)
    fields = AcceptedLetter.__dataclass_fields__
    return [AcceptedLetter(**{name: getattr(row, name) for name in fields}) for row in conn.execute(wanted)]


def last_accepted_at(conn: Connection, workflow: str, customer_id: int) -> datetime | None:
    """Return when the customer last got a letter of *workflow*."""
    theirs = (messages.c.workflow == workflow) & (messages.c.customer_id == customer_id)
    last: datetime | None = conn.scalar(select(func.max(messages.c.accepted_at)).where(theirs))
    return last


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


def count_by_state(conn: Connection) -> dict[str, int]:
    wanted = select(messages.c.state, func.count()).group_by(messages.c.state).order_by(messages.c.state)
    return {state: number for state, number in conn.execute(wanted)}
