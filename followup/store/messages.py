"""Messages: every move between states is one guarded UPDATE."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    Update,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from followup.core.facts import Sent
from followup.core.message import CANCELLABLE, GRAVITY, MAY_HAVE_LEFT, Action, MessageState, Outcome, goal, sources
from followup.core.replies import Choice, Question
from followup.store.schema import customers, messages, orders, past_tokens
from followup.store.types import among, insert_new, leasing, moment, real_now, unleased


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
    failures: int
    approved_at: datetime | None
    past: bool = False  # token and sending_at are of an attempt that was given up since

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
            asked=self.question is not None,
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


ANEW: Mapping[str, object] = {"postponed_since": None, "failures": 0, "reason": None}  # what begins again with a letter

_COLUMNS = tuple(name for name in StoredMessage.__dataclass_fields__ if name != "past")


def _stored(row: Row[Any]) -> StoredMessage:
    return StoredMessage(**{name: getattr(row, name) for name in _COLUMNS} | {"state": MessageState(row.state)})


def add(conn: Connection, new: Sequence[DueMessage]) -> None:
    """Write due messages; one that exists for its (enrollment, step, round) stays as it is."""
    rows = [
        {name: getattr(one, name) for name in DueMessage.__dataclass_fields__} | {"state": MessageState.DUE.value}
        for one in new
    ]
    insert_new(conn, messages, rows, messages.c.id)


def lease_due(
    conn: Connection, *, now: datetime, seconds: int, limit: int, except_senders: Collection[str] = ()
) -> list[int]:
    """Lease messages due at *now* (business time) for *seconds* of real time; the oldest first."""
    values = {"now": now, "except_senders": list(except_senders)}
    return sorted(conn.scalars(_lease_due(seconds, limit), values))


@cache
def _lease_due(seconds: int, limit: int) -> ReturningUpdate[tuple[int]]:
    """Build the statement once: every worker runs it every few seconds."""
    by_now = messages.c.due_at <= moment("now")
    may_send = messages.c.sender.not_in(bindparam("except_senders", expanding=True))
    due_ = (
        select(messages.c.id)
        .where(messages.c.state == literal_column("'due'"), by_now, unleased(messages.c.leased_until), may_send)
        .order_by(messages.c.due_at, messages.c.id)
        .limit(limit)
    )
    return leasing(messages, due_, seconds)


_MAY_SEND_DUE = (
    (messages.c.state == MessageState.DUE.value)
    & (messages.c.due_at <= moment("now"))
    & messages.c.sender.not_in(bindparam("except_senders", expanding=True))
)
_DUE_BESIDE = (
    select(messages)
    .where(
        messages.c.customer_id.in_(select(messages.c.customer_id).where(among(messages.c.id, "ids"), _MAY_SEND_DUE)),
        _MAY_SEND_DUE,
    )
    .order_by(messages.c.priority.desc(), messages.c.due_at, messages.c.id)
)


def due_beside(
    conn: Connection, ids: Collection[int], *, now: datetime, except_senders: Collection[str] = ()
) -> list[StoredMessage]:
    """
    Return what is due at *now* to the customers of those of *ids* that still are: highest priority first, then oldest.

    However the ids of one customer were spread over workers, each of them sees what goes first.
    """
    wanted = {"ids": list(ids), "now": now, "except_senders": list(except_senders)}
    return [_stored(row) for row in conn.execute(_DUE_BESIDE, wanted)]


_FREE_AND_DUE = (
    select(messages.c.id)
    .where(
        among(messages.c.id, "ids"),
        messages.c.state == MessageState.DUE.value,
        messages.c.due_at <= moment("now"),
    )
    .order_by(messages.c.id)
    .with_for_update(skip_locked=True, key_share=True)
)


def lock_due(conn: Connection, ids: Collection[int], *, now: datetime) -> set[int]:
    """Hold those of *ids* that are still due at *now* and that nobody else holds, without waiting; return their ids."""
    return set(conn.scalars(_FREE_AND_DUE, {"ids": list(ids), "now": now}))


_IN_STATES = (
    select(messages)
    .where(among(messages.c.id, "ids"), among(messages.c.state, "states"))
    .order_by(messages.c.id)
    .with_for_update(key_share=True)
)


def lock(conn: Connection, ids: Collection[int], *states: MessageState) -> dict[int, StoredMessage]:
    """Wait for, hold and return those of *ids* that are in one of *states*."""
    wanted = {"ids": list(ids), "states": [state.value for state in states]}
    return {row.id: _stored(row) for row in conn.execute(_IN_STATES, wanted)}


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
    values = [{"key": row["id"]} | {name: row[name] for name in row if name != "id"} for row in rows]
    return conn.execute(_moving(action, lease_seconds), values).rowcount


@cache
def _moving(action: Action, lease_seconds: int | None) -> Update:
    legal = or_(*(messages.c.state == state.value for state in sources(action)))  # IN takes no list of parameter sets
    guarded = update(messages).where(messages.c.id == bindparam("key"), legal)
    until = real_now(lease_seconds) if lease_seconds is not None else None
    return guarded.values(state=goal(action).value, leased_until=until)


def claim(conn: Connection, ids: Collection[int], *, seconds: int) -> dict[int, int]:
    """Claim due messages (the caller holds them) for *seconds* of real time; return the attempt number of each."""
    return {row.id: row.attempts for row in conn.execute(_claiming(seconds), {"ids": list(ids)})}


@cache
def _claiming(seconds: int) -> ReturningUpdate[tuple[int, int]]:
    return (
        update(messages)
        .where(among(messages.c.id, "ids"), messages.c.state == MessageState.DUE.value)
        .values(state=MessageState.CLAIMED.value, leased_until=real_now(seconds), attempts=messages.c.attempts + 1)
        .returning(messages.c.id, messages.c.attempts)
    )


def unlease(conn: Connection, ids: Collection[int]) -> None:
    """Give back the leases of due messages that were not got round to."""
    if not ids:
        return
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
    over = messages.c.not_after < moment("now")
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


def cancel(
    conn: Connection, enrollment_id: int, step: str | None, round_: int | None, *, reason: str
) -> list[StoredMessage]:
    """Withdraw what has not left yet: of one step and round, or of the whole enrollment; return it, by id."""
    wanted = [messages.c.enrollment_id == enrollment_id, messages.c.state.in_([s.value for s in CANCELLABLE])]
    if step is not None:
        wanted += [messages.c.step == step, messages.c.round == round_]
    values = {"state": MessageState.CANCELLED.value, "leased_until": None, "reason": reason}
    withdrawn = conn.execute(update(messages).where(*wanted).values(values).returning(messages))
    return sorted((_stored(row) for row in withdrawn), key=lambda one: one.id)


def reassign(conn: Connection, enrollment_id: int, step: str, round_: int, *, letter: str, sender: str) -> None:
    """Have a message that has not left yet, if there is one, be another letter, or somebody else's."""
    unsent = messages.c.state.in_([state.value for state in CANCELLABLE])
    mine = messages.c.enrollment_id == enrollment_id, messages.c.step == step, messages.c.round == round_
    conn.execute(update(messages).where(*mine, unsent).values(letter=letter, sender=sender))


def held(
    conn: Connection,
    *,
    customer_id: int | None = None,
    workflows: Collection[str] | None = None,
    reason: str | None = None,
) -> list[StoredMessage]:
    """Hold and return the held messages of a customer, of these workflows, for this reason, by id."""
    wanted = select(messages).where(messages.c.state == MessageState.HELD.value)
    if customer_id is not None:
        wanted = wanted.where(messages.c.customer_id == customer_id)
    if workflows is not None:
        wanted = wanted.where(messages.c.workflow.in_(list(workflows)))
    if reason is not None:
        wanted = wanted.where(messages.c.reason == reason)
    return [_stored(row) for row in conn.execute(wanted.order_by(messages.c.id).with_for_update(key_share=True))]


def approve(conn: Connection, ids: Collection[int], *, now: datetime) -> None:
    """Note that a person has let these letters go."""
    conn.execute(update(messages).where(messages.c.id.in_(list(ids))).values(approved_at=now))


def release(
    conn: Connection, held_: Sequence[StoredMessage], *, now: datetime, not_after: Mapping[int, datetime]
) -> int:
    """
    Make held messages due at *now*; lateness and postponing start anew.

    Args:
        held_: the caller holds them.
        not_after: by message id, until when each may leave.
    """
    rows = [{"id": one.id, "due_at": now, "not_after": not_after[one.id], **ANEW} for one in held_]
    return move(conn, Action.RELEASE, rows)


def unknown(conn: Connection, *, before: datetime, after_id: int, limit: int) -> list[StoredMessage]:
    """Return messages of unknown fate whose attempt began before *before* (business time), by id, past *after_id*."""
    wanted = select(messages).where(messages.c.state == literal_column("'unknown'"), messages.c.id > after_id)
    older = wanted.where(messages.c.sending_at < before)
    return [_stored(row) for row in conn.execute(older.order_by(messages.c.id).limit(limit))]


def lock_doubtful(conn: Connection, *, due_by: datetime, limit: int) -> list[StoredMessage]:
    """
    Wait for, hold and return messages that may have left in a time that is lost, by id.

    They were due by *due_by* (business time), stood still, or were in somebody's hands.
    """
    due_ = (messages.c.state == MessageState.DUE.value) & (messages.c.due_at <= due_by)
    others = [state.value for state in sources(Action.DOUBT) if state is not MessageState.DUE]
    wanted = select(messages).where(or_(due_, messages.c.state.in_(others)))
    return [
        _stored(row)
        for row in conn.execute(wanted.order_by(messages.c.id).limit(limit).with_for_update(key_share=True))
    ]


def set_sender(conn: Connection, message_id: int, sender: str) -> None:
    """Note in whose name a due letter would leave, where the letter says otherwise than its workflow."""
    conn.execute(update(messages).where(messages.c.id == message_id).values(sender=sender))


def left_since(conn: Connection, workflow: str, since: datetime, *, now: datetime, limit: int) -> list[datetime]:
    """Return when letters of *workflow* left since *since*, oldest first; those in somebody's hands leave *now*."""
    theirs = [messages.c.workflow == workflow, messages.c.state.in_([state.value for state in MAY_HAVE_LEFT])]
    left = select(messages.c.sending_at).where(*theirs, messages.c.sending_at > since)
    gone = list(conn.scalars(left.order_by(messages.c.sending_at.desc()).limit(limit)))
    in_hand = select(func.count()).where(
        messages.c.workflow == workflow, messages.c.state == literal_column("'claimed'")
    )
    return [*reversed(gone), *[now] * (conn.scalar(in_hand) or 0)]


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """A message, and whom and what it is about."""

    message: StoredMessage
    email: str | None
    timezone: str | None
    order_number: str | None
    outcome: str | None
    provider_id: str | None


def listed(
    conn: Connection, *, states: Collection[MessageState] = (), workflow: str | None = None, limit: int
) -> list[ListedMessage]:
    """Return messages in *states* (none given: in any), the newest first."""
    wanted = _listing()
    if states:
        wanted = wanted.where(messages.c.state.in_([state.value for state in states]))
    if workflow is not None:
        wanted = wanted.where(messages.c.workflow == workflow)
    return [_listed(row) for row in conn.execute(wanted.order_by(messages.c.id.desc()).limit(limit))]


def find(conn: Connection, message_id: int) -> ListedMessage | None:
    """Return one message, or None if there is no such one."""
    row = conn.execute(_listing().where(messages.c.id == message_id)).one_or_none()
    return _listed(row) if row else None


def listed_by_id(conn: Connection, ids: Collection[int]) -> list[ListedMessage]:
    """Return those of *ids* that there are, by id."""
    wanted = _listing().where(messages.c.id.in_(list(ids)))
    return [_listed(row) for row in conn.execute(wanted.order_by(messages.c.id))]


def _listing() -> Select[Any]:
    return (
        select(messages, customers.c.email, customers.c.timezone, orders.c.number.label("order_number"))
        .join(customers, customers.c.id == messages.c.customer_id)
        .outerjoin(orders, orders.c.id == messages.c.order_id)
    )


def _listed(row: Row[Any]) -> ListedMessage:
    return ListedMessage(_stored(row), row.email, row.timezone, row.order_number, row.outcome, row.provider_id)


_OF_RUNS = select(messages).where(among(messages.c.enrollment_id, "runs")).order_by(messages.c.id)


def of_enrollments(conn: Connection, enrollment_ids: Collection[int]) -> dict[int, list[StoredMessage]]:
    """Return every message by enrollment, oldest first."""
    found: dict[int, list[StoredMessage]] = {}
    for row in conn.execute(_OF_RUNS, {"runs": list(enrollment_ids)}):
        found.setdefault(row.enrollment_id, []).append(_stored(row))
    return found


_left_at = func.coalesce(messages.c.accepted_at, messages.c.sending_at)
_RECENT = (
    select(messages)
    .where(
        among(messages.c.customer_id, "customers"),
        messages.c.state.in_([state.value for state in MAY_HAVE_LEFT]),
        _left_at.is_(None) | (_left_at > moment("since")),
    )
    .order_by(messages.c.id)
)


def recent(conn: Connection, customer_ids: Collection[int], *, since: datetime) -> dict[int, list[StoredMessage]]:
    """Return by customer what may have left since *since*, of all workflows."""
    found: dict[int, list[StoredMessage]] = {}
    for row in conn.execute(_RECENT, {"customers": list(customer_ids), "since": since}):
        found.setdefault(row.customer_id, []).append(_stored(row))
    return found


_RUNS_OF = select(messages.c.enrollment_id).where(among(messages.c.id, "ids"))


def enrollments_of(conn: Connection, ids: Collection[int]) -> set[int]:
    """Return the enrollments that messages belong to."""
    return set(conn.scalars(_RUNS_OF, {"ids": list(ids)}))


def by_token(conn: Connection, token: str) -> StoredMessage | None:
    """Return the message that has an attempt called *token*: its current one, or one that was given up (``past``)."""
    return _by_token(conn, token, select(messages))


def lock_by_token(conn: Connection, token: str) -> StoredMessage | None:
    """Wait for, hold and return the message that has an attempt called *token*, as `by_token` does."""
    return _by_token(conn, token, select(messages).with_for_update(key_share=True))


def _by_token(conn: Connection, token: str, wanted: Select[Any]) -> StoredMessage | None:
    if row := conn.execute(wanted.where(messages.c.token == token)).one_or_none():
        return _stored(row)
    past = conn.execute(select(past_tokens).where(past_tokens.c.token == token)).one_or_none()
    if past is None:
        return None
    row = conn.execute(wanted.where(messages.c.id == past.message_id)).one()
    return replace(_stored(row), token=token, sending_at=past.sending_at, past=True)


def give_up_token(conn: Connection, message: StoredMessage, *, now: datetime) -> None:
    """Keep the token of an attempt that is given up: evidence of it may still come."""
    row = {"token": message.token, "message_id": message.id, "sending_at": message.sending_at, "given_up_at": now}
    insert_new(conn, past_tokens, [row], past_tokens.c.token)


def take_up_token(conn: Connection, token: str) -> None:
    """Forget that an attempt was given up: it is the one that counts after all."""
    conn.execute(delete(past_tokens).where(past_tokens.c.token == token))


def past_tokens_of(conn: Connection, message_id: int) -> list[tuple[str, datetime]]:
    """Return token and time of the attempts that were given up, oldest first."""
    wanted = select(past_tokens).where(past_tokens.c.message_id == message_id)
    return [(row.token, row.sending_at) for row in conn.execute(wanted.order_by(past_tokens.c.sending_at))]


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


def count_by_state(conn: Connection) -> dict[str, int]:
    wanted = select(messages.c.state, func.count()).group_by(messages.c.state).order_by(messages.c.state)
    return {state: number for state, number in conn.execute(wanted)}
