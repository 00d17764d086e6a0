"""Parcels that do not come, customers of whom nothing is heard, and events of the shop's own."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from followup.core.order import OrderStatus
from followup.errors import NotFound, UsageError
from followup.services.happen import Happened, happen
from followup.services.intake import import_orders
from followup.services.timers import ring
from followup.store import timers
from followup.store.engine import reading
from tests.services.world import MONDAY, World, a_purchase, a_reply

DAY = timedelta(days=1)
LATE = """\
workflow: late
title: It has not come
status: live
owner: nell
sender: nell
trigger: {event: order.promise_missed}
entry: {only_if: [order.days_late >= 1]}
steps:
  - send: advice
  - wait_for: order.delivered
    timeout: 4 days
  - branch:
      - when: timed_out
        do: [{ask: arrived, timeout: 3 days}]
"""
QUIET = """\
workflow: quiet
title: Nothing was heard
status: live
owner: nell
sender: nell
trigger: {event: customer.quiet, after: 60 days}
entry: {re_entry: after 90 days}
steps:
  - ask: cooking
    timeout: 5 days
"""
TICKET = """\
workflow: ticket
title: After a ticket
status: live
owner: nell
sender: nell
trigger: {event: support.solved}
steps:
  - wait_for: support.rated
    where: event.stars < 3
    timeout: 9 days
  - branch:
      - when: timed_out
        do: [{stop: no complaint}]
      - otherwise: [{stop: unhappy}]
"""


def promised(promised_at: datetime, number: str = "T-1", **known):
    """Return an order that is on its way, and promised for that moment."""
    bought = a_purchase(number, delivered_at=None, placed_at=MONDAY - 2 * DAY, status=OrderStatus.FULFILLED, **known)
    return replace(bought, order=replace(bought.order, promised_at=promised_at))


def runs(world: World) -> list[tuple[str, str | None]]:
    return [(row.state, row.outcome) for row in world.rows("enrollments")]


def play(world: World, until: datetime) -> None:
    """Go from moment to moment at which a timer is due, and do what is due then."""
    while True:
        with reading(world.engine) as conn:
            due = timers.next_due(conn)
        if due is None or due > until:
            return world.go_to(until)
        world.go_to(due)


# -- a promise that is missed --


@pytest.fixture
def late(engine: Engine, tmp_path) -> World:
    return World(engine, tmp_path, late=LATE)


def test_a_day_after_the_promise_the_customer_is_let_in(late: World) -> None:
    late.take_in(promised(MONDAY + DAY))
    late.go_to(MONDAY + 2 * DAY - timedelta(seconds=1))
    assert runs(late) == []
    late.go_to(MONDAY + 2 * DAY)
    assert runs(late) == [("active", None)]
    [event] = [row for row in late.rows("events") if row.kind == "order.promise_missed"]
    assert event.occurred_at == MONDAY + 2 * DAY
    assert late.rows("timers") == []


@pytest.mark.parametrize("status", [OrderStatus.DELIVERED, OrderStatus.CANCELLED])
def test_what_has_come_or_is_gone_misses_nothing(late: World, status: OrderStatus) -> None:
    late.take_in(promised(MONDAY + DAY))
    late.clock.move_to(MONDAY + DAY)
    came = promised(MONDAY + DAY)
    at = MONDAY + timedelta(hours=5) if status is OrderStatus.DELIVERED else None
    late.take_in(replace(came, order=replace(came.order, status=status, delivered_at=at)))
    assert late.rows("timers") == []
    late.go_to(MONDAY + 9 * DAY)
    assert runs(late) == []


def test_a_promise_that_is_moved_moves_what_is_looked_at(late: World) -> None:
    late.take_in(promised(MONDAY + DAY))
    late.take_in(promised(MONDAY + 5 * DAY))
    play(late, MONDAY + 6 * DAY - timedelta(seconds=1))
    assert runs(late) == []
    play(late, MONDAY + 6 * DAY)
    assert len(runs(late)) == 1


def test_the_parcel_that_comes_after_all_ends_the_wait_for_it(late: World) -> None:
    late.take_in(promised(MONDAY + DAY))
    late.go_to(MONDAY + 2 * DAY)
    came = promised(MONDAY + DAY)
    late.clock.move_to(MONDAY + 3 * DAY)
    order = replace(came.order, status=OrderStatus.DELIVERED, delivered_at=MONDAY + 3 * DAY)
    late.take_in(replace(came, order=order))
    late.drain()
    assert runs(late) == [("completed", "finished")]


def test_without_it_the_customer_is_asked(late: World) -> None:
    late.take_in(promised(MONDAY + DAY))
    late.go_to(MONDAY + 2 * DAY)
    late.go_to(MONDAY + 6 * DAY)
    assert [row.step for row in late.rows("messages")] == ["advice", "arrived"]


def test_looking_twice_lets_nobody_in_twice(late: World) -> None:
    late.take_in(promised(MONDAY + DAY))
    late.clock.move_to(MONDAY + 2 * DAY)
    ids = [row.id for row in late.rows("timers")]
    assert [ring(late.engine, ids, library=late.library, clock=late.clock) for _ in range(2)] == [1, 0]
    assert len(runs(late)) == 1


def test_orders_that_are_only_brought_in_are_watched_but_what_they_missed_already_is_not(late: World) -> None:
    orders = [promised(MONDAY - 2 * DAY, "T-1"), promised(MONDAY + DAY, "T-2", email="ben@example.com")]
    import_orders(late.engine, orders, clock=late.clock, library=late.library, let_in=False)
    play(late, MONDAY + 9 * DAY)
    assert len(runs(late)) == 1


def test_what_is_promised_is_on_the_record_when_it_is_missed_though_no_workflow_wants_to_know(world: World) -> None:
    world.take_in(promised(MONDAY + DAY))
    play(world, MONDAY + 3 * DAY)
    assert "order.promise_missed" in {row.kind for row in world.rows("events")}
    assert runs(world) == []


# -- a customer who is quiet --


@pytest.fixture
def quiet(engine: Engine, tmp_path) -> World:
    shop = World(engine, tmp_path, quiet=QUIET)
    shop.take_in(a_purchase(placed_at=MONDAY))
    return shop


def test_nothing_heard_for_so_long_lets_the_customer_in_with_their_last_order(quiet: World) -> None:
    play(quiet, MONDAY + 60 * DAY)
    assert runs(quiet) == [("active", None)]
    [run] = quiet.rows("enrollments")
    assert run.order_id == quiet.rows("orders")[0].id
    assert quiet.states() == ["accepted"]


def test_another_order_begins_the_count_anew(quiet: World) -> None:
    quiet.clock.move_to(MONDAY + 30 * DAY)
    quiet.take_in(a_purchase("T-2", placed_at=MONDAY + 30 * DAY, delivered_at=None, status=OrderStatus.PLACED))
    play(quiet, MONDAY + 89 * DAY)
    assert runs(quiet) == []
    play(quiet, MONDAY + 90 * DAY)
    assert len(runs(quiet)) == 1


def test_so_does_an_answer_and_a_second_time_has_to_be_allowed(quiet: World) -> None:
    play(quiet, MONDAY + 60 * DAY)
    quiet.clock.move_to(MONDAY + 61 * DAY)
    quiet.hear(a_reply(quiet.letters()[0], "Eggs, mostly."))
    quiet.drain()
    assert [row.due_at for row in quiet.rows("timers")] == [MONDAY + 121 * DAY]
    play(quiet, MONDAY + 121 * DAY)
    assert len(runs(quiet)) == 1
    assert ("not_entered", "re_entry: less than 90 days since the last letter") in quiet.verdicts()


def test_who_has_been_quiet_for_years_is_left_alone_when_it_is_applied(world: World) -> None:
    world.take_in(
        a_purchase("T-1", placed_at=MONDAY - 400 * DAY, delivered_at=MONDAY - 399 * DAY),
        a_purchase("T-2", email="ben@example.com", placed_at=MONDAY - 61 * DAY),
        a_purchase("T-3", email="eva@example.com", placed_at=MONDAY - 10 * DAY),
    )
    world.apply(quiet=QUIET, in_flight={"check-in": "finish"})
    assert sorted(row.due_at for row in world.rows("timers")) == [MONDAY - DAY, MONDAY + 50 * DAY]


@pytest.mark.parametrize("workflow", [LATE, QUIET])
def test_what_is_reported_again_is_not_looked_at_again(world: World, workflow: str) -> None:
    long_ago = [
        promised(MONDAY - 60 * DAY),
        a_purchase("T-2", email="ben@example.com", placed_at=MONDAY - 400 * DAY, delivered_at=MONDAY - 399 * DAY),
    ]
    world.take_in(*long_ago)
    world.apply(new=workflow.replace("workflow: late", "workflow: new").replace("workflow: quiet", "workflow: new"))
    world.take_in(*long_ago)
    assert [row for row in world.rows("timers") if row.due_at <= MONDAY] == []


# -- events of the shop's own --


@pytest.fixture
def shop(engine: Engine, tmp_path) -> World:
    world = World(engine, tmp_path, ticket=TICKET)
    world.take_in(a_purchase())
    return world


def tell(world: World, kind: str, *, key: str | None = None, at: datetime | None = None, **data: object) -> Happened:
    return happen(
        world.engine,
        kind,
        email="ana@example.com",
        order_number="T-1",
        data=data,
        key=key,
        at=at,
        library=world.library,
        clock=world.clock,
    )


def test_an_event_lets_customers_in_once_each_time_it_happens(shop: World) -> None:
    assert tell(shop, "support.solved", key="7").entered == ("ticket",)
    assert not tell(shop, "support.solved", key="7").new
    assert tell(shop, "support.solved", key="8").entered == ("ticket",)
    assert len(runs(shop)) == 2


def test_a_run_waits_for_one_with_its_data(shop: World) -> None:
    tell(shop, "support.solved")
    shop.later(days=1)
    tell(shop, "support.rated", stars=5)
    shop.later(days=1)
    assert runs(shop) == [("active", None)]
    tell(shop, "support.rated", stars=1)
    shop.drain()
    assert runs(shop) == [("completed", "unhappy")]


def test_why_somebody_did_not_come_in_is_said(shop: World) -> None:
    happened = tell(shop, "support.solved", at=MONDAY - 30 * DAY)
    assert (happened.entered, happened.refused) == ((), {"ticket": "the trigger is older than max_late"})


@pytest.mark.parametrize("kind", ["order.delivered", "order.shiped", "message.bounced", "two words", "", "x" * 99])
def test_only_the_shops_own_events_can_be_told(shop: World, kind: str) -> None:
    with pytest.raises(UsageError):
        tell(shop, kind)


def test_what_cannot_be_is_refused(shop: World) -> None:
    with pytest.raises(UsageError, match="has not come yet"):
        tell(shop, "support.solved", at=MONDAY + DAY)
    with pytest.raises(UsageError, match="8,000 bytes"):
        tell(shop, "support.solved", text="x" * 9_000)
    shop.take_in(a_purchase("T-9", email="ben@example.com"))
    with pytest.raises(NotFound, match="not one of that customer's"):
        happen(
            shop.engine,
            "support.solved",
            email="ana@example.com",
            order_number="T-9",
            data={},
            key=None,
            at=None,
            library=shop.library,
            clock=shop.clock,
        )
