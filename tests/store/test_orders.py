from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from followup.core.order import Item, OrderStatus
from followup.store import orders
from followup.store.customers import Upserted
from followup.store.engine import writing
from tests.store.make import START, a_customer, an_order, an_order_report, at

KEY = ("csv", "o1")
ITEMS = (Item(name="Pot", sku="P", category="tea", quantity=2, price_cents=4990, url="https://x", image_url=None),)


def test_an_order_comes_back_as_it_was_reported(engine: Engine) -> None:
    moments = {name: at(hour) for hour, name in enumerate(orders.MILESTONES)}
    report = an_order_report(
        status=OrderStatus.DELIVERED,
        total_cents=2**40,
        currency="EUR",
        is_gift=True,
        note="Grüße 🎁",
        items=ITEMS,
        **moments,
    )
    with writing(engine) as conn:
        done = orders.upsert(conn, [(report, a_customer(conn))], as_of=START)
        assert (done.added, done.changed) == ({KEY}, set())
        [order] = orders.load(conn, done.ids.values()).values()
    assert {name: getattr(order, name) for name in orders.REPORTED} == {
        name: getattr(report, name) for name in orders.REPORTED
    }


def test_the_same_order_again_changes_nothing(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        first = orders.upsert(conn, [(an_order_report(items=ITEMS), ana)], as_of=START)
        again = orders.upsert(conn, [(an_order_report(items=ITEMS), ana)], as_of=at(1))
    assert again == replace(first, added=set())


NEW: dict[str, Any] = {
    "number": "new",
    "status": OrderStatus.PAID,
    "total_cents": 5,
    "currency": "EUR",
    "is_gift": True,
    "note": "new",
    "items": ITEMS,
    **dict.fromkeys(orders.MILESTONES, at(7)),
}


@pytest.mark.parametrize("name", orders.REPORTED)
def test_whatever_the_shop_changes_is_written(engine: Engine, name: str) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        an_order(conn, ana)
        done = orders.upsert(conn, [(an_order_report(**{name: NEW[name]}), ana)], as_of=at(1))
        assert done.changed == {KEY}
        [order] = orders.load(conn, done.ids.values()).values()
        assert getattr(order, name) == NEW[name]


def test_an_order_can_move_to_another_customer(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
        an_order(conn, ana)
        assert orders.upsert(conn, [(an_order_report(), ben)], as_of=at(1)).changed == {KEY}
        [found] = orders.find(conn, "o1")
    assert found.customer_id == ben


def test_an_older_report_changes_nothing(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        an_order(conn, ana, note="new")
        done = orders.upsert(conn, [(an_order_report(note="old"), ana)], as_of=at(-1))
        assert not done.added | done.changed
        [found] = orders.find(conn, "o1")
    assert found.order.note == "new"


def test_a_report_that_repeats_a_state_confirms_it_against_older_ones(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        for hour, note in ((0, "here"), (2, "here"), (1, "there")):
            orders.upsert(conn, [(an_order_report(note=note), ana)], as_of=at(hour))
        [found] = orders.find(conn, "o1")
    assert found.order.note == "here"


def test_an_order_reported_twice_at_once_is_one_order_as_said_last(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        orders.upsert(conn, [(an_order_report(note="a"), ana), (an_order_report(note="b"), ana)], as_of=START)
        [found] = orders.find(conn, "o1")
    assert found.order.note == "b"


def test_the_same_id_in_two_shops_is_two_orders(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        done = orders.upsert(
            conn, [(an_order_report(source="a"), ana), (an_order_report(source="b"), ana)], as_of=START
        )
        assert len(set(done.ids.values())) == 2 == orders.count(conn)


def test_no_reports_are_no_trouble(engine: Engine) -> None:
    with writing(engine) as conn:
        assert orders.upsert(conn, [], as_of=START) == Upserted({}, set(), set())


def test_two_connections_that_report_an_order_leave_the_newest_report(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)

    def report(hour: int) -> None:
        with writing(engine) as conn:
            orders.upsert(conn, [(an_order_report(note=f"{hour}"), ana)], as_of=at(hour))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(report, [3, 9, 1, 7, 2, 8, 0, 5]))
    with writing(engine) as conn:
        [found] = orders.find(conn, "o1")
    assert found.order.note == "9"


def test_orders_are_found_by_number_or_id_oldest_first(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        late = an_order(conn, ana, "77", number="#1", placed_at=at(2))
        early = an_order(conn, ana, "#1", number="A", placed_at=at(1))
        an_order(conn, ana, "78", number="#2")
        assert [found.order.id for found in orders.find(conn, "#1")] == [early, late]
        assert orders.find(conn, "#3") == []
        assert set(orders.load(conn, [late])) == {late}


def test_numbers_come_newest_first_up_to_a_limit(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        for name, hour in (("a", 1), ("b", 3), ("c", 2), ("d", 3)):
            an_order(conn, ana, name, number=name, placed_at=at(hour))
        assert orders.numbers(conn) == ["d", "b", "c", "a"]
        assert orders.numbers(conn, limit=1) == ["d"]
