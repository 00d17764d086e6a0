from dataclasses import replace
from datetime import date
from decimal import Decimal

from sqlalchemy import Engine

from followup.store import audit, decisions
from followup.store.decisions import Decided
from followup.store.engine import writing
from tests.store.make import a_customer, a_message, an_enrollment, an_order, at


def test_a_decision_comes_back_with_the_values_it_rests_on(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        order = an_order(conn, ana)
        entry = an_enrollment(conn, ana, order_id=order)
        decided = Decided(
            at=at(1),
            customer_id=ana,
            workflow="care",
            verdict="postponed",
            reason="outside the window",
            order_id=order,
            enrollment_id=entry,
            message_id=a_message(conn, customer_id=ana, enrollment_id=entry),
            step="hello",
            round=1,
            gate="window",
            values={"letters": 3, "words": ["a", {"b": None}], "yes": True},
            until=at(9),
        )
        decisions.add(conn, [decided])
        assert decisions.about(conn, order_id=order, enrollment_ids=[]) == [decided]


def test_moments_dates_and_amounts_are_kept_as_text(engine: Engine) -> None:
    values = {"at": at(1), "on": date(2026, 3, 2), "total": Decimal("49.90"), "of": (at(2), {"by": [date(2026, 1, 1)]})}
    with writing(engine) as conn:
        ana = a_customer(conn)
        order = an_order(conn, ana)
        one = Decided(at=at(1), customer_id=ana, workflow="w", verdict="branch", reason="r", order_id=order)
        decisions.add(conn, [replace(one, values=values)])
        [kept] = decisions.about(conn, order_id=order, enrollment_ids=[])
    assert kept.values == {
        "at": "2026-03-02T10:00:00+00:00",
        "on": "2026-03-02",
        "total": "49.90",
        "of": ["2026-03-02T11:00:00+00:00", {"by": ["2026-01-01"]}],
    }


def test_what_concerns_an_order_or_its_enrollments_is_listed_in_order(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        order, other = an_order(conn, ana, "1"), an_order(conn, ana, "2")
        entry, elsewhere = an_enrollment(conn, ana), an_enrollment(conn, ana)

        def decide(reason: str, hour: int, **about: int) -> Decided:
            return Decided(at=at(hour), customer_id=ana, workflow="w", verdict="held", reason=reason, **about)

        decisions.add(
            conn,
            [
                decide("c", 3, order_id=order),
                decide("a", 1, enrollment_id=entry),
                decide("x", 2, order_id=other, enrollment_id=elsewhere),
                decide("b", 1, order_id=order),
                decide("y", 2),
            ],
        )
        decisions.add(conn, [])
        listed = decisions.about(conn, order_id=order, enrollment_ids=[entry])
    assert [one.reason for one in listed] == ["a", "b", "c"]


def test_operators_leave_a_trail(engine: Engine) -> None:
    with writing(engine) as conn:
        audit.add(conn, "conversation.close", {"customer_id": 7}, now=at(1))
        [row] = conn.execute(audit.audit.select()).all()
    assert (row.action, row.data, row.at) == ("conversation.close", {"customer_id": 7}, at(1))
