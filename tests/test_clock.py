"""Business time."""

from datetime import UTC, datetime, timedelta, timezone

from followup.clock import SystemClock, VirtualClock

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_the_wall_clock_shows_utc():
    assert SystemClock().now().tzinfo is UTC


def test_a_virtual_clock_stands_until_it_is_moved():
    clock = VirtualClock(NINE.astimezone(timezone(timedelta(hours=-5))))
    assert clock.now() == clock.now() == NINE
    assert clock.now().tzinfo is UTC
    clock.move_to(NINE + timedelta(days=1))
    assert clock.now() == NINE + timedelta(days=1)


def test_a_virtual_clock_never_goes_back():
    clock = VirtualClock(NINE)
    clock.move_to(NINE - timedelta(days=1))
    assert clock.now() == NINE
