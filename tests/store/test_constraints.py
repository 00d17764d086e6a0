"""Each rule that the database repeats, broken once."""

from typing import Any

import pytest
from sqlalchemy import Connection, Engine, insert, update
from sqlalchemy.exc import IntegrityError

from followup.core.message import MessageState
from followup.store.schema import answers, metadata
from tests.store.make import (
    START,
    a_customer,
    a_mail,
    a_message,
    a_reply,
    an_order,
    at,
    taken_back,
)


def refused(conn: Connection, table: str, key: int, **values: Any) -> None:
    of = metadata.tables[table]
    with pytest.raises(IntegrityError):
        conn.execute(update(of).where(of.c.id == key).values(values))


@pytest.mark.parametrize(
    ("state", "values"),
    [
        (MessageState.DUE, {"state": "somewhere"}),
        (MessageState.DUE, {"due_at": None}),
        (MessageState.HELD, {"due_at": START}),
        (MessageState.SENDING, {"token": None}),
        (MessageState.SENDING, {"sending_at": None}),
        (MessageState.UNKNOWN, {"token": None}),
        (MessageState.UNKNOWN, {"sending_at": None}),
        (MessageState.ACCEPTED, {"token": None}),
        (MessageState.ACCEPTED, {"sending_at": None}),
        (MessageState.ACCEPTED, {"accepted_at": None}),
        (MessageState.SENDING, {"accepted_at": START}),
        (MessageState.ACCEPTED, {"outcome": "lost"}),
        (MessageState.ACCEPTED, {"purpose": "spam"}),
    ],
)
def test_a_message_that_contradicts_itself_is_refused(
    engine: Engine, state: MessageState, values: dict[str, Any]
) -> None:
    with taken_back(engine) as conn:
        refused(conn, "messages", a_message(conn, state), **values)


def test_a_token_names_one_message(engine: Engine) -> None:
    with taken_back(engine) as conn:
        key = a_message(conn, MessageState.SENDING)
        refused(conn, "messages", a_message(conn), token=f"token {key}")


def test_a_step_and_round_of_an_enrollment_is_one_message(engine: Engine) -> None:
    with taken_back(engine) as conn:
        ana = a_customer(conn)
        one = a_message(conn, customer_id=ana)
        entry = conn.execute(metadata.tables["messages"].select()).one().enrollment_id
        assert one
        refused(conn, "messages", a_message(conn, customer_id=ana, enrollment_id=entry, round=1), round=0)


def test_words_nobody_knows_are_refused(engine: Engine) -> None:
    with taken_back(engine) as conn:
        refused(conn, "customers", a_customer(conn), consent_basis="maybe")
    with taken_back(engine) as conn:
        refused(conn, "orders", an_order(conn, a_customer(conn)), status="eaten")
    with taken_back(engine) as conn:
        refused(conn, "inbound_mail", a_mail(conn), state="somewhere")
    with taken_back(engine) as conn:
        refused(conn, "replies", a_reply(conn, a_customer(conn)), kind="poem")
    with taken_back(engine) as conn:
        ana = a_customer(conn)
        message = a_message(conn, customer_id=ana)
        row = {"customer_id": ana, "message_id": message, "enrollment_id": 1, "letter": "l", "step": "s"}
        row |= {"answer": "a", "label": "A", "source": "telepathy", "at": at(0)}
        with pytest.raises(IntegrityError):
            conn.execute(insert(answers), [row])


def test_what_belongs_to_nobody_is_refused(engine: Engine) -> None:
    with taken_back(engine) as conn:
        refused(conn, "orders", an_order(conn, a_customer(conn)), customer_id=999_999)


def test_an_order_and_a_reply_are_on_the_record_once(engine: Engine) -> None:
    with taken_back(engine) as conn:
        ana = a_customer(conn)
        an_order(conn, ana, "o1")
        refused(conn, "orders", an_order(conn, ana, "o2"), external_id="o1")
    with taken_back(engine) as conn:
        ana = a_customer(conn)
        a_reply(conn, ana, rfc_message_id="<1>")
        refused(conn, "replies", a_reply(conn, ana, rfc_message_id="<2>"), rfc_message_id="<1>")
