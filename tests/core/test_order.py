"""What was bought."""

from datetime import timedelta

import pytest

from followup.core.order import Item, OrderStatus
from tests.core.make import an_order, on

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("promised", "delivered", "now", "late"),
    [
        (None, None, on(9), 0),
        (None, on(5), on(9), 0),
        (on(5), None, on(4), 0),
        (on(5), None, on(6) - SECOND, 0),
        (on(5), None, on(6), 1),
        (on(5), None, on(8), 3),
        (on(5), on(4), on(9), 0),
        (on(5), on(7, 12), on(30), 2),  # it stops counting at delivery
    ],
)
def test_days_late_are_whole_days_past_the_promise(promised, delivered, now, late):
    assert an_order(promised_at=promised, delivered_at=delivered).days_late(now) == late


def test_the_main_item_is_the_line_with_the_highest_value():
    cups, pot, gift = (
        Item(name="cups", price_cents=900, quantity=6),
        Item(name="pot", price_cents=4900),
        Item(name="gift"),
    )
    assert an_order(items=(gift, pot, cups)).main_item is cups


def test_of_equal_lines_the_first_is_the_main_one():
    one, two = Item(name="one", price_cents=100), Item(name="two", price_cents=50, quantity=2)
    assert an_order(items=(one, two)).main_item is one


def test_an_empty_order_has_no_main_item():
    assert an_order(items=()).main_item is None


def test_each_category_is_named_once_in_the_order_of_the_lines():
    items = tuple(Item(name="x", category=category) for category in ("tea", None, "cups", "tea", ""))
    assert an_order(items=items).categories == ("tea", "cups")


@pytest.mark.parametrize("status", OrderStatus)
def test_nothing_is_left_of_a_cancelled_or_refunded_order(status):
    assert an_order(status=status).is_void is (status.value in {"cancelled", "refunded"})
