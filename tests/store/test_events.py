import re
from typing import Any

from sqlalchemy import Connection, Engine, text

from followup.store import events
from followup.store.engine import writing
from followup.store.events import NewEvent
from tests.store.make import START, a_customer, an_order, at, column, plan_of, taken_back


def an_event(customer_id: int, external_id: str, hour: float = 0, **given: Any) -> NewEvent:
    known: dict[str, Any] = {
        "customer_id": customer_id,
        "kind": "order.placed",
        "occurred_at": at(hour),
        "source": "csv",
        "external_id": external_id,
    }
    return NewEvent(**known | given)


def added(conn: Connection, *new: NewEvent) -> list[int]:
    return [one.event.id for one in events.add(conn, new, now=at(100))]


def test_an_event_comes_back_as_it_was_written(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        order = an_order(conn, ana)
        [one] = events.add(conn, [an_event(ana, "1", 2, order_id=order, data={"full": True})], now=at(100))
        assert [one] == events.of_customers(conn, [ana], ["order.placed"], since=at(-99))
        assert column(conn, "events", "recorded_at", one.event.id) == at(100)
    assert one.customer_id == ana
    assert (one.event.kind, one.event.occurred_at) == ("order.placed", at(2))
    assert (one.event.order_id, one.event.data) == (order, {"full": True})


def test_the_same_event_again_is_not_written(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        assert added(conn, an_event(ana, "1"), an_event(ana, "1", 5)), "twice at once"
        assert added(conn, an_event(ana, "1"), an_event(ana, "2"), an_event(ana, "1", source="web")) == [
            one.id for one in events.timeline(conn, ana)[1:]
        ]
        assert [event.occurred_at for event in events.timeline(conn, ana)] == [START] * 3


def test_no_events_are_no_trouble(engine: Engine) -> None:
    with writing(engine) as conn:
        assert added(conn) == []


def test_events_are_numbered_and_returned_in_the_order_they_happened(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        new = [an_event(ana, name, hour) for name, hour in (("d", 9), ("b", 1), ("a", 0), ("c", 1))]
        written = events.add(conn, new, now=at(100))
        names = [column(conn, "events", "external_id", one.event.id) for one in written]
    assert names == ["a", "b", "c", "d"], "of one moment, as they were given"
    assert [one.event.id for one in written] == sorted(one.event.id for one in written)


def test_a_customers_events_are_listed_by_kind_and_in_full_oldest_first(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben, cleo = (a_customer(conn, name) for name in ("ana", "ben", "cleo"))
        late, early = added(conn, an_event(ana, "late", 5)), added(conn, an_event(ana, "early", 1))
        same = added(conn, an_event(ana, "same", 5, kind="x"))
        other = added(conn, an_event(ben, "ben", 3))
        added(conn, an_event(cleo, "cleo"))
        listed = events.of_customers(conn, [ana, ben], ["order.placed", "order.paid"], since=at(-99))
        assert [[one.event.id] for one in listed] == [early, other, late]
        assert [[one.id] for one in events.timeline(conn, ana)] == [early, late, same]
        assert events.of_customers(conn, [], ["order.placed"], since=at(-99)) == []


def test_events_of_a_kind_are_listed_from_and_to_a_moment_both_included(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        for hour in (4, 1, 2, 3):
            added(conn, an_event(ana, f"{hour}", hour), an_event(ana, f"other {hour}", hour, kind="order.paid"))
        listed = events.of_kind_since(conn, "order.placed", at(2), at(3))
    assert [(one.event.kind, one.event.occurred_at) for one in listed] == [
        ("order.placed", at(2)),
        ("order.placed", at(3)),
    ]


def test_events_of_a_kind_are_listed_batch_by_batch(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        keys = [added(conn, an_event(ana, f"{n}", hour))[0] for n, hour in enumerate((4, 1, 2, 2, 2, 9))]
        batches: list[list[int]] = []
        last = None
        while batch := events.of_kind_since(conn, "order.placed", at(1), at(4), after=last, limit=2):
            batches.append([one.event.id for one in batch])
            last = batch[-1]
    assert batches == [[keys[1], keys[2]], [keys[3], keys[4]], [keys[0]]]


def test_events_of_a_kind_are_found_by_an_index_that_has_them_in_order(engine: Engine) -> None:
    with taken_back(engine) as conn:
        if conn.dialect.name == "postgresql":
            for how in ("seqscan", "bitmapscan", "sort"):
                conn.execute(text(f"SET LOCAL enable_{how} = off"))
        plan = plan_of(conn, lambda: events.of_kind_since(conn, "order.placed", at(1), at(4), limit=2))
    assert "ix_events_kind_occurred_at_id" in plan
    assert not re.search("sort|temp b-tree", plan, re.IGNORECASE)


def test_the_first_event_of_its_kind_stands_for_an_order(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        one, two = an_order(conn, ana, "1"), an_order(conn, ana, "2")
        added(conn, an_event(ana, "second", 2, order_id=one))
        added(conn, an_event(ana, "kind", 0, order_id=one, kind="order.paid"))
        added(conn, an_event(ana, "order", 0, order_id=two))
        [first] = added(conn, an_event(ana, "first", 1, order_id=one))
        found = events.of_order(conn, one, "order.placed")
        assert found is not None
        assert found.event.id == first
        assert events.of_order(conn, one, "order.delivered") is None
