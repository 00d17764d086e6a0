from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from followup.core.customer import ConsentBasis
from followup.core.order import OrderStatus
from followup.store import customers
from followup.store.engine import reading, writing
from tests.store.make import START, a_customer, a_report, an_order, at, column, rows_of


def test_a_new_customer_is_added_with_all_that_the_shop_says(engine: Engine) -> None:
    said = {
        "external_id": "77",
        "first_name": "Ana",
        "last_name": "Sá",
        "language": "pt-BR",
        "country": "BR",
        "region": "SP",
        "city": "Santos",
        "timezone": "America/Sao_Paulo",
    }
    with writing(engine) as conn:
        done = customers.upsert(conn, [a_report(email="Ana@Shop.example", **said)], as_of=START)
        key = done.ids["ana@shop.example"]
        assert (done.added, done.changed) == ({"ana@shop.example"}, set())
        assert {name: column(conn, "customers", name, key) for name in said} == said
        assert column(conn, "customers", "email", key) == "Ana@Shop.example"


def test_the_same_report_again_changes_nothing(engine: Engine) -> None:
    with writing(engine) as conn:
        first = customers.upsert(conn, [a_report()], as_of=START)
        again = customers.upsert(conn, [a_report()], as_of=at(1))
    assert again == replace(first, added=set())


@pytest.mark.parametrize("name", [name for name in customers.REPORTED if name != "consent_basis"])
def test_whatever_the_shop_changes_is_written(engine: Engine, name: str) -> None:
    with writing(engine) as conn:
        key = a_customer(conn)
        done = customers.upsert(conn, [replace(a_report(), **{name: "new"})], as_of=at(1))
        assert done.changed == {"ana@shop.example"}
        assert column(conn, "customers", name, key) == "new"


def test_an_older_report_changes_nothing(engine: Engine) -> None:
    with writing(engine) as conn:
        key = a_customer(conn, first_name="Ana")
        done = customers.upsert(conn, [a_report(first_name="Old")], as_of=at(-1))
        assert not done.added | done.changed
        assert column(conn, "customers", "first_name", key) == "Ana"


def test_a_report_that_repeats_a_state_confirms_it_against_older_ones(engine: Engine) -> None:
    with writing(engine) as conn:
        key = a_customer(conn, first_name="Ana")
        customers.upsert(conn, [a_report(first_name="Ana")], as_of=at(2))
        customers.upsert(conn, [a_report(first_name="Old")], as_of=at(1))
        assert column(conn, "customers", "first_name", key) == "Ana"


def test_an_address_reported_twice_at_once_is_one_customer_as_said_last(engine: Engine) -> None:
    with writing(engine) as conn:
        done = customers.upsert(conn, [a_report(first_name="A"), a_report(first_name="B")], as_of=START)
        assert column(conn, "customers", "first_name", done.ids["ana@shop.example"]) == "B"
        assert customers.count(conn) == 1


def test_no_reports_are_no_trouble(engine: Engine) -> None:
    with writing(engine) as conn:
        assert customers.upsert(conn, [], as_of=START) == customers.Upserted({}, set(), set())


def test_consent_counts_from_when_it_was_first_reported(engine: Engine) -> None:
    with writing(engine) as conn:
        key = a_customer(conn)
        assert column(conn, "customers", "consent_since", key) is None
        customers.upsert(conn, [a_report(consent_basis=ConsentBasis.OPT_IN)], as_of=at(1))
        assert column(conn, "customers", "consent_since", key) == at(1)
        customers.upsert(conn, [a_report(consent_basis=ConsentBasis.OPT_IN, city="Rio")], as_of=at(2))
        assert column(conn, "customers", "consent_since", key) == at(1)
        customers.upsert(conn, [a_report(consent_basis=ConsentBasis.NONE)], as_of=at(3))
        assert column(conn, "customers", "consent_since", key) is None


def test_two_connections_that_report_the_same_customers_in_opposite_order_both_succeed(engine: Engine) -> None:
    names = [f"c{number}" for number in range(300)]

    def report(these: list[str], hour: int) -> customers.Upserted:
        with writing(engine) as conn:
            return customers.upsert(conn, [a_report(name, city=f"{hour}") for name in these], as_of=at(hour))

    with ThreadPoolExecutor(2) as pool:
        for hour in range(0, 10, 2):
            one = pool.submit(report, names, hour)
            two = pool.submit(report, names[::-1], hour + 1)
            assert one.result().ids == two.result().ids
    with reading(engine) as conn:
        cities = {column(conn, "customers", "city", key) for key in one.result().ids.values()}
        assert cities == {"9"}, "the newest report wins, whoever came first"


def test_orders_up_to_now_that_still_stand_count_towards_the_customer(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn, first_name="Ana"), a_customer(conn, "ben")
        an_order(conn, ana, "1", placed_at=at(-5), total_cents=1_000)
        an_order(conn, ana, "2", placed_at=at(-2), total_cents=2_000)
        an_order(conn, ana, "3", placed_at=at(-4), total_cents=4_000, status=OrderStatus.CANCELLED)
        an_order(conn, ana, "4", placed_at=at(-4), total_cents=8_000, status=OrderStatus.REFUNDED)
        an_order(conn, ana, "5", placed_at=at(1), total_cents=16_000)
        an_order(conn, ben, "6", placed_at=at(0), total_cents=2**40)
        known = customers.load(conn, [ana, ben], now=START)
    one = known[ana]
    assert (one.order_count, one.total_spent_cents) == (2, 3_000)
    assert (one.first_order_at, one.last_order_at) == (at(-5), at(-2))
    assert one.first_name == "Ana"
    assert (known[ben].order_count, known[ben].total_spent_cents) == (1, 2**40)


def test_a_customer_without_orders_has_bought_nothing(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
        known = customers.load(conn, [ana], now=START)
    assert set(known) == {ana} != {ben}
    assert (known[ana].order_count, known[ana].total_spent_cents, known[ana].last_order_at) == (0, 0, None)


def test_a_customer_is_found_by_address_and_the_other_way_round(engine: Engine) -> None:
    with writing(engine) as conn:
        a_customer(conn, "ben", language="de")
        ana = a_customer(conn, language="pt")
        assert customers.id_of_address(conn, "ana@shop.example") == ana
        assert customers.id_of_address(conn, "nobody@shop.example") is None
        assert customers.address_of(conn, ana) == "ana@shop.example"
        assert customers.address_of(conn, ana + 1) is None


def test_addresses_come_oldest_customers_first_up_to_a_limit(engine: Engine) -> None:
    with writing(engine) as conn:
        for name in ("zoe", "ana", "ben"):
            a_customer(conn, name)
        assert customers.addresses(conn) == ["zoe@shop.example", "ana@shop.example", "ben@shop.example"]
        assert customers.addresses(conn, limit=2) == ["zoe@shop.example", "ana@shop.example"]
        assert customers.count(conn) == 3 == rows_of(conn, customers.customers)


@pytest.mark.parametrize("lock", [customers.lock, customers.lock_free])
def test_a_held_customer_is_passed_over_by_those_who_do_not_wait(
    postgres_engine: Engine, lock: Callable[..., object]
) -> None:
    with writing(postgres_engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        lock(one, [ana])
        assert customers.lock_free(two, [ana, ben]) == {ben}


def test_what_a_transaction_holds_it_can_hold_again(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
        customers.lock(conn, [ana])
        assert customers.lock_free(conn, [ana, ben]) == {ana, ben}
