"""Orders come in, customers come into workflows, or the record says why not."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from followup.core.customer import ConsentBasis
from followup.core.order import OrderStatus
from followup.errors import NotFound, UsageError
from followup.services import backfill
from followup.services.intake import import_orders
from tests.services.world import CHECK_IN, MONDAY, World, a_purchase


def trigger(world: World, name: str = "check-in", **more) -> list[backfill.Asked]:
    given = {"order_number": None, "since": None, "start_now": False, "dry_run": False, **more}
    return backfill.trigger(world.engine, name, library=world.library, clock=world.clock, **given)


def test_the_same_report_again_changes_nothing(world: World) -> None:
    first = world.take_in(a_purchase())
    again = world.take_in(a_purchase())
    assert (first.orders_added, first.customers_added, first.events, first.enrolled) == (1, 1, 2, 1)
    assert (again.orders_unchanged, again.events, again.enrolled) == (1, 0, 0)
    assert (again.orders_added, again.orders_changed, again.customers_added, again.customers_changed) == (0, 0, 0, 0)


def test_what_a_shop_announces_for_later_has_not_happened_yet(world: World) -> None:
    world.take_in(a_purchase(delivered_at=MONDAY + timedelta(days=3)))
    assert [row.kind for row in world.rows("events")] == ["order.placed"]
    world.clock.move_to(MONDAY + timedelta(days=3))
    assert world.take_in(a_purchase(delivered_at=MONDAY + timedelta(days=3))).enrolled == 1


UNTIL_THEN = CHECK_IN.replace("order.delivered", "order.placed").replace("wait: 2 days", "wait: {until: %s}")


@pytest.mark.parametrize("promised", [3, 9])
def test_a_day_that_a_run_waits_for_counts_as_it_stands_by_now(world: World, promised: int) -> None:
    world.apply(check_in=UNTIL_THEN % "order.promised_at")
    ordered = {"delivered_at": None, "status": OrderStatus.PLACED, "placed_at": MONDAY}
    for day in (6, promised):
        world.take_in(a_purchase(promised_at=MONDAY + timedelta(days=day), **ordered))
        world.later(hours=1)
    assert world.rows("enrollments")[0].wake_at == MONDAY + timedelta(days=promised)


def test_an_hour_of_the_day_that_a_run_waits_for_moves_with_the_customer(world: World) -> None:
    world.apply(check_in=UNTIL_THEN % '"18:00"')
    ordered = {"delivered_at": None, "status": OrderStatus.PLACED, "placed_at": MONDAY}
    world.take_in(a_purchase(**ordered))
    world.drain()
    world.take_in(a_purchase(timezone="Europe/Berlin", **ordered))
    world.drain()
    assert world.rows("enrollments")[0].wake_at == MONDAY + timedelta(hours=7)


def test_what_a_later_order_does_not_say_of_its_customer_stays_known(world: World) -> None:
    world.take_in(a_purchase("T-1", timezone="Europe/Lisbon", consent=ConsentBasis.OPT_IN))
    world.clock.move_to(MONDAY + timedelta(days=1))
    world.take_in(a_purchase("T-2", timezone=None, first_name="Anna", consent=ConsentBasis.UNKNOWN))
    (row,) = world.rows("customers")
    assert (row.timezone, row.first_name, row.consent_basis) == ("Europe/Lisbon", "Anna", "opt_in")


def test_an_import_without_enroll_lets_nobody_in(world: World) -> None:
    assert world.take_in(a_purchase(), enroll=False).enrolled == 0
    assert world.rows("enrollments") == []
    assert world.verdicts() == []


def test_an_event_older_than_max_late_lets_nobody_in_and_says_so(world: World) -> None:
    world.take_in(a_purchase("T-1", delivered_at=MONDAY - timedelta(days=3)))
    world.take_in(a_purchase("T-2", delivered_at=MONDAY - timedelta(days=3, seconds=1), email="ben@example.com"))
    assert len(world.rows("enrollments")) == 1
    assert world.verdicts() == [("not_entered", "the trigger is older than max_late")]


def test_an_entry_condition_that_is_false_is_recorded_with_its_values(world: World) -> None:
    world.apply(check_in=CHECK_IN.replace("steps:", "entry: {only_if: [order.total >= 200]}\nsteps:"))
    world.take_in(a_purchase())
    (decided,) = world.rows("decisions")
    assert (decided.verdict, decided.reason) == ("not_entered", "entry: order.total >= 200 is false")
    assert decided.values == {"order.total": "129"}


def test_re_entry_never_refuses_the_second_order(world: World) -> None:
    world.apply(check_in=CHECK_IN.replace("steps:", "entry: {re_entry: never}\nsteps:"))
    world.take_in(a_purchase("T-1"))
    world.take_in(a_purchase("T-2"))
    assert len(world.rows("enrollments")) == 1
    assert "never" in world.verdicts()[0][1]


def test_re_entry_after_a_span_counts_from_the_last_letter(world: World) -> None:
    world.apply(check_in=CHECK_IN.replace("steps:", "entry: {re_entry: after 30 days}\nsteps:"))
    world.take_in(a_purchase("T-1"))
    world.go_to(MONDAY + timedelta(days=2))  # the letter leaves
    world.clock.move_to(MONDAY + timedelta(days=31))
    assert world.take_in(a_purchase("T-2", delivered_at=world.clock.now())).enrolled == 0
    world.clock.move_to(MONDAY + timedelta(days=32))
    assert world.take_in(a_purchase("T-3", delivered_at=world.clock.now())).enrolled == 1


def test_two_reports_of_one_delivery_at_once_let_the_customer_in_once(world: World) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: world.take_in(a_purchase()), range(8)))
    assert len(world.rows("enrollments")) == 1
    assert len(world.rows("events")) == 2


def test_two_orders_at_once_of_a_customer_who_may_come_in_once_let_one_in(world: World) -> None:
    world.apply(check_in=CHECK_IN.replace("steps:", "entry: {re_entry: never}\nsteps:"))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: world.take_in(a_purchase(f"T-{n}")), range(6)))
    assert len(world.rows("enrollments")) == 1


def test_a_dry_import_counts_across_batches_and_writes_nothing(world: World) -> None:
    purchases = [a_purchase(f"T-{n}", email=f"c{n % 300}@example.com") for n in range(700)]
    taken = import_orders(world.engine, purchases, clock=world.clock, dry_run=True)
    assert (taken.orders_added, taken.customers_added) == (700, 300)
    assert world.rows("orders") == []


class TestTrigger:
    def test_a_backfill_is_placed_relative_to_when_the_trigger_happened(self, world: World) -> None:
        world.take_in(a_purchase(delivered_at=MONDAY - timedelta(days=1)), enroll=False)
        (asked,) = trigger(world, order_number="T-1")
        assert asked.result.enrollment_id is not None
        world.go_to(MONDAY + timedelta(days=1) - timedelta(seconds=1))
        assert world.letters() == []
        world.go_to(MONDAY + timedelta(days=1))
        assert len(world.letters()) == 1

    def test_overdue_steps_are_skipped_with_a_reason(self, world: World) -> None:
        world.take_in(a_purchase(delivered_at=MONDAY - timedelta(days=30)), enroll=False)
        trigger(world, since=MONDAY - timedelta(days=60))
        world.drain()
        assert world.states() == ["expired"]
        assert world.verdicts()[0] == ("expired", "too late")
        assert world.letters() == []

    def test_later_steps_of_an_old_order_still_come_at_their_time(self, world: World) -> None:
        handled = CHECK_IN.replace('answer == "broken"', "not_asked").replace("a person took over", "x")
        handled = handled.replace(
            "- stop: x", "- wait: 38 days\n          - ask: cooking\n            timeout: 2 days\n            id: later"
        )
        world.apply(check_in=handled)
        world.take_in(a_purchase(delivered_at=MONDAY - timedelta(days=30)), enroll=False)
        trigger(world, order_number="T-1")
        world.drain()
        assert world.states() == ["expired"]
        world.go_to(MONDAY + timedelta(days=10))  # 2 + 38 days after the delivery
        assert world.states() == ["expired", "accepted"]

    def test_now_begins_at_the_first_step_today(self, world: World) -> None:
        world.take_in(a_purchase(delivered_at=MONDAY - timedelta(days=30)), enroll=False)
        trigger(world, order_number="T-1", start_now=True)
        world.go_to(MONDAY + timedelta(days=2))
        assert world.states() == ["accepted"]

    def test_a_dry_run_says_the_same_and_writes_nothing(self, world: World) -> None:
        world.take_in(a_purchase(), enroll=False)
        (foreseen,) = trigger(world, order_number="T-1", dry_run=True)
        assert foreseen.result.enrollment_id is not None
        assert world.rows("enrollments") == []
        assert world.rows("audit")[-1].action == "apply"

    @pytest.mark.parametrize(("days", "late"), [(4.9, False), (5.1, True)])  # a wait of 2 days, and max_late
    def test_a_first_letter_that_would_be_too_late_is_foreseen(self, world: World, days: float, late: bool) -> None:
        world.take_in(a_purchase(delivered_at=MONDAY - timedelta(days=days)), enroll=False)
        (foreseen,) = trigger(world, order_number="T-1", dry_run=True)
        (asked,) = trigger(world, order_number="T-1")
        assert (foreseen.too_late, asked.too_late) == (late, late)
        world.drain()
        assert world.states() == ["expired" if late else "accepted"]

    def test_the_same_order_never_enters_twice(self, world: World) -> None:
        world.take_in(a_purchase())
        (asked,) = trigger(world, order_number="T-1")
        assert asked.result == backfill.Entered(None, "entered already with this order")

    def test_conditions_hold_for_a_backfill_too(self, world: World) -> None:
        world.take_in(a_purchase(status=OrderStatus.CANCELLED, delivered_at=None), enroll=False)
        with pytest.raises(NotFound, match=r"order\.delivered has not happened to order T-1"):
            trigger(world, order_number="T-1")

    def test_names_that_do_not_exist_are_told_with_the_nearest(self, world: World) -> None:
        world.take_in(a_purchase("T-1042"), enroll=False)
        with pytest.raises(NotFound) as error:
            trigger(world, "chek-in", order_number="T-1042")
        assert "check-in" in error.value.hint
        with pytest.raises(NotFound) as error:
            trigger(world, order_number="T-1043")
        assert "T-1042" in error.value.hint

    def test_a_draft_takes_nobody_in(self, world: World) -> None:
        world.apply(check_in=CHECK_IN.replace("status: live", "status: draft"))
        with pytest.raises(UsageError, match="draft"):
            trigger(world, since=MONDAY)


def test_a_customer_who_said_no_gets_service_letters_only(world: World) -> None:
    world.apply(
        check_in=CHECK_IN,
        second=CHECK_IN.replace("check-in", "second")
        .replace("ask: arrived", "ask: cooking")
        .replace("- ask: cooking\n            timeout", "- ask: arrived\n            timeout")
        .replace('answer == "broken"', "replied"),
    )
    world.take_in(a_purchase(consent=ConsentBasis.NONE))
    world.go_to(MONDAY + timedelta(days=2))
    assert {row.workflow: row.state for row in world.rows("messages")} == {"check-in": "accepted", "second": "skipped"}
    assert ("skipped", "no consent for a relationship letter") in world.verdicts()
