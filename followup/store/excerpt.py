"""One customer's whole record, copied into a database of its own."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Table, false, insert, select, true, union

from followup.core.enrollment import EnrollmentState
from followup.core.message import MessageState
from followup.core.timer import TimerKind
from followup.store import suppressions
from followup.store.schema import (
    alerts,
    answers,
    audit,
    bundles,
    conversations,
    customers,
    decisions,
    enrollments,
    events,
    gaps,
    halts,
    inbound_mail,
    message_aliases,
    messages,
    notices,
    orders,
    past_tokens,
    provider_events,
    replies,
    senders,
    signs_of_life,
    timers,
    visits,
    workflow_limits,
    workflow_switches,
    workflow_versions,
)
from followup.store.schema import suppressions as suppressed

Which: TypeAlias = ColumnElement[bool]
OVER = datetime(2000, 1, 1, tzinfo=UTC)  # when a lease has ended that nobody waits for
NOBODY = 0  # the number of no customer

LEFT_OUT: Mapping[Table, str] = {
    provider_events: "what was reported is on the letters already, or will be in seconds",
    senders: "what keeps a sender's letters back lasts for minutes, or until somebody mends it",
    audit: "the engine reads nothing of what operators did",
    signs_of_life: "nobody watches over a copy",
    alerts: "nobody is told of a copy",
}


def _theirs(table: Table) -> Callable[[int], Which]:
    return lambda customer_id: table.c.customer_id == customer_id


def _about(table: Table) -> Callable[[int], Which]:
    """Return how to find what belongs to the customer's letters."""
    own = select(messages.c.id)
    return lambda customer_id: table.c.message_id.in_(own.where(messages.c.customer_id == customer_id))


def _bought(customer_id: int) -> Which:
    """Return which orders are theirs, or are spoken of on their record: an order may have changed hands."""
    spoken_of = (
        select(table.c.order_id).where(table.c.customer_id == customer_id, table.c.order_id.is_not(None))
        for table in (events, enrollments, messages, decisions)
    )
    own = select(orders.c.id).where(orders.c.customer_id == customer_id)
    return orders.c.id.in_(union(own, *spoken_of))  # not OR: PostgreSQL would read every order


def _watched(customer_id: int) -> Which:
    """Return the timers of their orders, and their own."""
    own = select(orders.c.id).where(orders.c.customer_id == customer_id)
    late = select(timers.c.id).where(timers.c.kind == TimerKind.PROMISE.value, timers.c.subject_id.in_(own))
    quiet = select(timers.c.id).where(timers.c.kind == TimerKind.QUIET.value, timers.c.subject_id == customer_id)
    return timers.c.id.in_(union(late, quiet))


def _answered(customer_id: int) -> Which:
    return inbound_mail.c.id.in_(select(replies.c.inbound_id).where(replies.c.customer_id == customer_id))


def _newest(_: int) -> Which:
    newest = select(bundles.c.id).order_by(bundles.c.applied_at.desc(), bundles.c.id.desc()).limit(1)
    return bundles.c.id == newest.scalar_subquery()


def _whole(_: int) -> Which:
    return true()


COPIED: Mapping[Table, Callable[[int], Which]] = {
    customers: lambda customer_id: customers.c.id == customer_id,
    orders: _bought,
    events: _theirs(events),
    bundles: _newest,
    workflow_versions: _whole,
    enrollments: _theirs(enrollments),
    timers: _watched,
    workflow_switches: _whole,
    notices: _theirs(notices),
    messages: _theirs(messages),
    past_tokens: _about(past_tokens),
    workflow_limits: _whole,
    gaps: _whole,
    decisions: _theirs(decisions),
    inbound_mail: _answered,
    replies: _theirs(replies),
    answers: _theirs(answers),
    conversations: _theirs(conversations),
    visits: _about(visits),
    message_aliases: _about(message_aliases),
    halts: _whole,
}
BY_ADDRESS = frozenset({suppressed})  # its rows know no customer, only a hash of an address


def copy_customer(
    source: Connection, target: Connection, customer_id: int, *, suppression_key: str, transport: str
) -> None:
    """
    Copy everything that the engine may look at when it decides about one customer, under the same ids.

    Nobody works on the copy: leases are over, so a letter that a worker was about to send is due again.

    Args:
        source: one consistent look at the record.
        target: an empty database.
        transport: the way out that will be asked about a letter that is just leaving.
    """
    for table, which in COPIED.items():
        _copy(source, target, table, which(customer_id))
    leaving = messages.c.state == MessageState.SENDING.value
    target.execute(messages.update().where(leaving).values(transport=transport))
    address = source.scalar(select(customers.c.address).where(customers.c.id == customer_id))
    hash_ = suppressions.address_hash(address, suppression_key) if address else None
    _copy(source, target, suppressed, suppressed.c.address_hash == hash_ if hash_ else false())


def _copy(source: Connection, target: Connection, table: Table, which: Which) -> None:
    rows = [_unleased(table, dict(row._mapping)) for row in source.execute(select(table).where(which))]
    if rows:
        target.execute(insert(table), rows)


def _unleased(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """Return *row* as it is when its lease is over; a mail is needed only as something that was received."""
    if table is inbound_mail:
        row["raw"] = b""
    if "leased_until" in row:
        row["leased_until"] = OVER if row["leased_until"] else None
    return row


def lift_stops(conn: Connection) -> None:
    """Lift in a copy what operators have stopped: by a halt, by switching workflows, by reading first letters."""
    for table in (halts, workflow_switches, workflow_limits):
        conn.execute(table.delete())


def take_out(conn: Connection, enrollment_id: int) -> None:
    """
    Leave a run out of a copy, with its letters and what was decided and said about them: as if it had never begun.

    Run and letters become nobody's. Their numbers must not be given again: the timeline speaks of letters by number,
    and so do the keys of what happens once.
    """
    own = select(messages.c.id).where(messages.c.enrollment_id == enrollment_id)
    for table in (past_tokens, message_aliases, visits, answers, replies, decisions):
        conn.execute(table.delete().where(table.c.message_id.in_(own)))
    for table in (visits, answers, replies, decisions):
        conn.execute(table.delete().where(table.c.enrollment_id == enrollment_id))
    letters = messages.update().where(messages.c.enrollment_id == enrollment_id)
    conn.execute(letters.values(customer_id=NOBODY))
    conn.execute(letters.where(messages.c.accepted_at.is_(None)).values(state=MessageState.CANCELLED.value))
    ended = {"state": EnrollmentState.EXITED.value, "ended_at": enrollments.c.since, "wake_at": None}
    run = enrollments.update().where(enrollments.c.id == enrollment_id)
    conn.execute(run.values(customer_id=NOBODY, entry_key=f"left out: {enrollment_id}", **ended))
