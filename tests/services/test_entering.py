"""Who comes into a workflow, and what is known at that moment already."""

from datetime import timedelta

from sqlalchemy import Engine

from followup.core.order import OrderStatus
from tests.services.world import MONDAY, World, a_purchase

DAY = timedelta(days=1)
HALF = """\
workflow: half
title: Half of them get something
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
holdout: 50%
goal: {event: order.placed, within: 60 days}
exit_on: [{event: order.placed}]
steps:
  - ask: arrived
    timeout: 5 days
"""


def test_what_happened_since_the_trigger_ends_a_run_at_once_held_out_or_not(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path, half=HALF)
    for number in range(8):
        who = {"email": f"c{number}@example.com"}
        again = a_purchase(f"U-{number}", delivered_at=None, placed_at=MONDAY - DAY, status=OrderStatus.PLACED, **who)
        world.take_in(a_purchase(f"T-{number}", delivered_at=MONDAY - 2 * DAY, **who), again)
    world.drain()
    runs = world.rows("enrollments")
    assert {run.state for run in runs} == {"exited", "held_out"}
    assert {run.outcome for run in runs} == {"order.placed"}
    assert world.letters() == []
