"""Many at once on one database: no step runs twice, none is lost, and a cap holds across ten workflows."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.services import crowd
from tests.services.world import MONDAY, World, a_purchase

CUSTOMERS = 24
GREEDY = 4  # customers of ten workflows
FIVE_DAYS = timedelta(days=5)
CARE = """\
workflow: care
title: All that a step can do
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
entry: {only_if: [order.total < 1000]}
steps:
  - remember: {customer.bought: "{{ order.number }}"}
  - send: advice
  - wait_for: order.refunded
    timeout: 1 day
  - split: way
    variants:
      short: {weight: 1, do: [{wait: 1 hour}]}
      long: {weight: 1, do: [{wait: 2 hours}]}
  - start: after
  - ask: arrived
    timeout: 2 days
    remind_after: 12 hours
  - handoff: tomas
    note: "{{ customer.bought }}"
"""
AFTER = """\
workflow: after
title: What another one starts
status: live
owner: nell
sender: nell
trigger: {event: manual, per: customer}
steps:
  - ask: cooking
    timeout: 1 day
"""
GREED = """\
workflow: greedy-{number}
title: One of ten
status: live
owner: nell
sender: nell
trigger: {{event: order.delivered}}
entry: {{only_if: [order.total >= 1000]}}
limits: {{cap: 1 message per 5 days, priority: {number}}}
steps:
  - ask: cooking
    timeout: 1 day
"""


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    ten = {f"greedy_{number}": GREED.format(number=number) for number in range(10)}
    shop = World(engine, tmp_path, care=CARE, after=AFTER, **ten)
    orders = [a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(CUSTOMERS)]
    orders += [a_purchase(f"G-{n}", email=f"greedy{n}@example.com", total_cents=100_000) for n in range(GREEDY)]
    shop.take_in(*orders)
    return shop


def test_nothing_is_done_twice_or_lost_and_the_cap_holds(world: World) -> None:
    processes = 8 if world.engine.dialect.name == "postgresql" else 4
    assert crowd.live(world, processes, until=MONDAY + timedelta(days=40), at_each=lambda _: None) == []
    messages, runs = world.rows("messages"), world.rows("enrollments")
    assert {run.state for run in runs} == {"completed"}
    assert Counter(run.workflow for run in runs if run.workflow in ("care", "after")) == dict.fromkeys(
        ("care", "after"), CUSTOMERS
    )
    letters = [mail for mail in world.letters() if not mail["Auto-Submitted"]]
    accepted = [one for one in messages if one.state == "accepted"]
    assert len(letters) == len(accepted) == len({mail["Message-ID"] for mail in letters})
    steps = Counter((one.workflow, one.step, one.round) for one in accepted if one.workflow in ("care", "after"))
    expected = [("care", "advice", 0), ("care", "arrived", 0), ("care", "arrived", 1), ("after", "cooking", 0)]
    assert steps == dict.fromkeys(expected, CUSTOMERS)
    assert Counter(event.kind for event in world.rows("events"))["conversation.handed_off"] == CUSTOMERS
    told = [mail for mail in world.letters() if mail["Auto-Submitted"]]
    assert len(told) == len(world.rows("notices")) == CUSTOMERS
    remembered = {row.remembered.get("bought") for row in world.rows("customers")}
    assert remembered == {None, *(f"T-{n}" for n in range(CUSTOMERS))}
    assert _cap_holds([one for one in messages if one.workflow.startswith("greedy")])


def _cap_holds(letters: list) -> bool:
    """Tell whether every customer of ten workflows got one letter in any five days, the most important first."""
    got: dict[int, list[tuple[datetime, str]]] = {}
    for one in letters:
        if one.state == "accepted":
            got.setdefault(one.customer_id, []).append((one.accepted_at, one.workflow))
    assert len(got) == GREEDY
    for received in got.values():
        received.sort()
        assert [workflow for _, workflow in received] == ["greedy-9", "greedy-8", "greedy-7"]
        apart = [later[0] - earlier[0] for earlier, later in pairwise(received)]
        assert min(apart) >= FIVE_DAYS
    unsent = [one for one in letters if one.state != "accepted"]
    assert {one.state for one in unsent} == {"expired"}, "the others had no chance in time, and say so"
    return True
