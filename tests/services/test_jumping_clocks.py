"""A business clock that jumps back or ahead, or passes through the hours that a country skips or repeats."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from followup.clock import VirtualClock
from followup.services.deliver import Post
from followup.services.sweep import drain, recover
from followup.store.engine import reading, writing
from followup.store.schema import messages
from followup.store.types import real_now
from tests.services.world import CHECK_IN, MONDAY, Scripted, World, a_purchase

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CUSTOMERS = 4


def shop(engine: Engine, folder: Path, **workflows: str) -> tuple[World, Scripted]:
    world = World(engine, folder, transport=(transport := Scripted()), **workflows)
    world.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(CUSTOMERS)))
    return world, transport


def live(world: World, moments: Sequence[datetime]) -> None:
    """Do what is due at each of *moments*, in whatever order they come."""
    for moment in moments:
        clock = VirtualClock(moment)
        drain(world.engine, library=world.library, post=world.post, clock=clock)


def left(world: World) -> list[tuple[Any, ...]]:
    """Return what became of each letter that was ever written."""
    return sorted((row.customer_id, row.step, row.round, row.state) for row in world.rows("messages"))


STEADY = [MONDAY + 6 * HOUR * n for n in range(4 * 24)]  # 24 days: all the workflow has
JUMPS = {
    "an hour back, now and then": [moment - (HOUR if n % 5 == 4 else 0 * HOUR) for n, moment in enumerate(STEADY)],
    "an hour back right after letters left": [
        m for n in range(24) for m in (MONDAY + n * DAY, MONDAY + n * DAY - HOUR)
    ],
    "two days ahead, and on from there": [m + (2 * DAY if m > MONDAY + DAY else 0 * DAY) for m in STEADY],
    "two days ahead for a moment, and back": [
        each for n, moment in enumerate(STEADY) for each in ([moment + 2 * DAY, moment] if n % 7 == 3 else [moment])
    ],
}


@pytest.mark.parametrize("moments", JUMPS.values(), ids=JUMPS)
def test_a_clock_that_jumps_makes_no_letter_come_twice_or_not_at_all(
    engine: Engine, tmp_path: Path, moments: list[datetime]
) -> None:
    world, transport = shop(engine, tmp_path)
    live(world, [*moments, MONDAY + 40 * DAY])
    every = [("arrived", 0), ("arrived", 1)]
    assert left(world) == [
        (customer, step, round_, "accepted") for customer in range(1, CUSTOMERS + 1) for step, round_ in every
    ]
    assert set(Counter(mail.token for mail in transport.sent).values()) == {1}
    assert len(transport.sent) == len(every) * CUSTOMERS
    assert {(run.state, run.outcome) for run in world.rows("enrollments")} == {("completed", "silent")}


def test_a_lease_is_of_real_time_whatever_business_time_it_is(engine: Engine, tmp_path: Path) -> None:
    world, transport = shop(engine, tmp_path)
    world.go_to(MONDAY + 2 * DAY)
    with writing(engine) as conn:  # as if their worker were still at it
        conn.execute(
            update(messages).values(state="sending", accepted_at=None, outcome=None, leased_until=real_now(60))
        )
    for moment in (MONDAY + 4 * DAY, MONDAY + 2 * DAY - HOUR, MONDAY + 30 * DAY):
        assert recovered(world, world.post, moment) == 0, "it is in good hands"
    assert set(world.states()) == {"sending"}
    with writing(engine) as conn:
        conn.execute(update(messages).values(leased_until=real_now(-1)))
    assert recovered(world, world.post, MONDAY + 2 * DAY - HOUR) == CUSTOMERS, "its end does not wait for business time"
    assert set(world.states()) == {"accepted"}
    assert len(transport.sent) == CUSTOMERS


def recovered(world: World, post: Post, moment: datetime) -> int:
    return recover(world.engine, post=post, clock=VirtualClock(moment))


# -- the hours that a zone skips, repeats, or shifts by half --

AT_NIGHT = CHECK_IN.replace("  - wait: 2 days\n", '  - wait: {for: 1 hour, until: "02:15"}\n').replace(
    "steps:", "send_window: {hours: 01:30-03:30}\nsteps:"
)
NIGHTS = {
    "New York skips 02:00-03:00": ("America/New_York", datetime(2026, 3, 8, tzinfo=UTC)),
    "New York repeats 01:00-02:00": ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC)),
    "London skips 01:00-02:00": ("Europe/London", datetime(2026, 3, 29, tzinfo=UTC)),
    "London repeats 01:00-02:00": ("Europe/London", datetime(2026, 10, 25, tzinfo=UTC)),
    "Lord Howe skips half an hour": ("Australia/Lord_Howe", datetime(2026, 10, 3, 12, tzinfo=UTC)),
    "Lord Howe repeats half an hour": ("Australia/Lord_Howe", datetime(2026, 4, 4, 12, tzinfo=UTC)),
}


@pytest.mark.parametrize(("zone", "night"), NIGHTS.values(), ids=NIGHTS)
def test_in_the_hours_that_are_skipped_or_repeated_each_letter_comes_once(
    engine: Engine, tmp_path: Path, zone: str, night: datetime
) -> None:
    world = World(engine, tmp_path, transport=(transport := Scripted()), check_in=AT_NIGHT)
    begun = night - 6 * HOUR
    world.clock.move_to(begun)
    delivered = (begun - minutes(40 * n) for n in range(CUSTOMERS))
    world.take_in(
        *(
            a_purchase(f"T-{n}", email=f"c{n}@example.com", delivered_at=at, timezone=zone)
            for n, at in enumerate(delivered)
        )
    )
    live(world, [begun + minutes(20 * n) for n in range(3 * 28)])
    assert [(row.round, row.state) for row in world.rows("messages")] == [(0, "accepted")] * CUSTOMERS
    assert len(transport.sent) == CUSTOMERS
    with reading(engine) as conn:
        sent_at = set(conn.scalars(select(messages.c.sending_at)))
    assert all(timedelta() <= at - night <= 20 * HOUR for at in sent_at), "in that night"


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)
