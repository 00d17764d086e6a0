"""Rows to start from: a customer, an order, an enrollment, a message in any state, a mail and its reply."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Connection, Engine, Table, event, select, update

from followup.core.customer import ConsentBasis, CustomerReport
from followup.core.message import MessageState
from followup.core.order import OrderReport, OrderStatus
from followup.core.replies import MailKind
from followup.store import bundles, customers, enrollments, inbound_mail, messages, orders, replies
from followup.store.schema import messages as messages_table
from followup.store.schema import metadata
from followup.store.types import real_now

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_numbers = count(1)


def at(hours: float) -> datetime:
    """Return the moment so many hours after the start of every story."""
    return START + hours * HOUR


def a_report(name: str = "ana", **given: Any) -> CustomerReport:
    address = f"{name}@shop.example"
    return CustomerReport(**{"address": address, "email": address, "consent_basis": ConsentBasis.UNKNOWN} | given)


def an_order_report(external_id: str = "o1", **given: Any) -> OrderReport:
    known = {"source": "csv", "external_id": external_id, "number": f"#{external_id}", "placed_at": START}
    return OrderReport(**known | {"status": OrderStatus.PLACED} | given)


def a_customer(conn: Connection, name: str = "ana", **given: Any) -> int:
    report = a_report(name, **given)
    return customers.upsert(conn, [report], as_of=START).ids[report.address]


def an_order(conn: Connection, customer_id: int, external_id: str = "o1", **given: Any) -> int:
    report = an_order_report(external_id, **given)
    return orders.upsert(conn, [(report, customer_id)], as_of=START).ids[report.key]


def a_version(conn: Connection, name: str = "care") -> int:
    return bundles.version_ids(conn, {name: ("hash", "name: care")})[name]


def an_entry(conn: Connection, customer_id: int, **given: Any) -> enrollments.NewEnrollment:
    known: dict[str, Any] = {
        "workflow": "care",
        "version_id": a_version(conn),
        "customer_id": customer_id,
        "order_id": None,
        "entry_key": f"entry {next(_numbers)}",
        "trigger_event_id": None,
        "entered_at": START,
        "first_step": "hello",
        "wake_at": START,
    }
    return enrollments.NewEnrollment(**known | given)


def an_enrollment(conn: Connection, customer_id: int | None = None, **given: Any) -> int:
    customer_id = a_customer(conn) if customer_id is None else customer_id
    added = enrollments.add(conn, an_entry(conn, customer_id, **given))
    assert added is not None
    return added


def a_due_message(enrollment_id: int, customer_id: int, **given: Any) -> messages.DueMessage:
    known: dict[str, Any] = {
        "enrollment_id": enrollment_id,
        "customer_id": customer_id,
        "order_id": None,
        "workflow": "care",
        "step": "hello",
        "round": 0,
        "letter": "hello",
        "sender": "maria",
        "priority": 0,
        "due_at": START,
        "not_after": START + DAY,
    }
    return messages.DueMessage(**known | given)


def a_message(
    conn: Connection,
    state: MessageState = MessageState.DUE,
    *,
    customer_id: int | None = None,
    enrollment_id: int | None = None,
    set_: dict[str, Any] | None = None,
    **given: Any,
) -> int:
    """Write a message, put it in *state* by SQL, with *set_* besides; return its id."""
    customer_id = a_customer(conn) if customer_id is None else customer_id
    enrollment_id = an_enrollment(conn, customer_id) if enrollment_id is None else enrollment_id
    new = a_due_message(enrollment_id, customer_id, **given)
    messages.add(conn, [new])
    key = conn.scalar(
        select(messages_table.c.id).where(
            messages_table.c.enrollment_id == enrollment_id,
            messages_table.c.step == new.step,
            messages_table.c.round == new.round,
        )
    )
    assert key is not None
    values: dict[str, Any] = {"state": state.value} | what_the_state_needs(state, key) | (set_ or {})
    conn.execute(update(messages_table).where(messages_table.c.id == key).values(values))
    return key


def what_the_state_needs(state: MessageState, key: int) -> dict[str, Any]:
    """Return the columns without which the database takes no message in *state*."""
    values: dict[str, Any] = {}
    if state is MessageState.HELD:
        values |= {"due_at": None}
    if state in {MessageState.SENDING, MessageState.UNKNOWN, MessageState.ACCEPTED}:
        values |= {"token": f"token {key}", "sending_at": START}
    if state in {MessageState.CLAIMED, MessageState.SENDING}:
        values |= {"leased_until": real_now(-1)}
    if state is MessageState.ACCEPTED:
        values |= {"accepted_at": START}
    return values


def a_mail(conn: Connection, raw: bytes | None = None) -> int:
    raw = f"mail {next(_numbers)}".encode() if raw is None else raw
    return inbound_mail.add(conn, raw, channel="file", now=START)[0]


def a_reply(conn: Connection, customer_id: int, **given: Any) -> int:
    known: dict[str, Any] = {
        "customer_id": customer_id,
        "inbound_id": a_mail(conn),
        "message_id": None,
        "enrollment_id": None,
        "rfc_message_id": f"<{next(_numbers)}@mail.example>",
        "kind": MailKind.HUMAN,
        "from_address": "ana@shop.example",
        "subject": "Re: hello",
        "text": "all good",
        "text_signed": "all good\nAna",
        "returns_on": None,
        "received_at": START,
    }
    added = replies.add_reply(conn, replies.NewReply(**known | given))
    assert added is not None
    return added


def column(conn: Connection, table: str, name: str, key: int) -> Any:
    """Return one value of one row as it is stored."""
    of = metadata.tables[table]
    return conn.execute(select(of.c[name]).where(of.c.id == key)).scalar_one()


def set_column(conn: Connection, table: str, name: str, key: int, value: Any) -> None:
    of = metadata.tables[table]
    conn.execute(update(of).where(of.c.id == key).values({name: value}))


def end_lease(conn: Connection, table: str, key: int) -> None:
    """Let the lease of a row be over, without waiting for it."""
    set_column(conn, table, "leased_until", key, datetime(2020, 1, 1, tzinfo=UTC))


def rows_of(conn: Connection, table: Table) -> int:
    return len(conn.execute(select(table.c.id)).all())


@contextmanager
def taken_back(engine: Engine) -> Iterator[Connection]:
    """Run a transaction that is rolled back, whatever became of it."""
    with engine.connect() as conn:
        transaction = conn.begin()
        try:
            yield conn
        finally:
            transaction.rollback()


def plan_of(conn: Connection, query: Callable[[], object]) -> str:
    """Return how this database would run the one statement that *query* sends."""
    sent: list[tuple[str, Any]] = []

    def note(_conn: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(conn, "before_cursor_execute", note)
    query()
    event.remove(conn, "before_cursor_execute", note)
    [(statement, parameters)] = sent
    how = "EXPLAIN QUERY PLAN" if conn.dialect.name == "sqlite" else "EXPLAIN (COSTS OFF)"
    return "\n".join(str(row) for row in conn.exec_driver_sql(f"{how} {statement}", parameters))
