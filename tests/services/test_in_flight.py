"""People in flight, where a reviewer found them lost: each was wrong once."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from followup.authoring.bundle import load
from followup.core.transfer import UNNEEDED, InFlight
from followup.services import deploy
from followup.services.advance import advance
from followup.services.library import Library
from followup.services.plan import Plan, plan
from followup.services.transfer import Moved, StrandedPeople
from followup.store import enrollments
from followup.store.engine import reading, writing
from followup.store.schema import messages
from tests.services.world import MONDAY, World, a_purchase

HOUR = timedelta(hours=1)
HEAD = "workflow: tale\ntitle: A tale\nstatus: live\nowner: nell\nsender: nell\ntrigger: {event: order.delivered}\n"


def tale(steps: str) -> str:
    return f"{HEAD}steps:\n" + "".join(f"  {line}\n" for line in steps.strip().splitlines())


ASKS = tale("- wait: 1 hour\n- ask: arrived\n  timeout: 5 days\n- send: advice")
TELLS = tale("- wait: 1 hour\n- send: advice")


def planned(world: World, in_flight: Mapping[str, str] | None = None, **workflows: str) -> Plan:
    files = {path: text for path, text in world.files.items() if not path.endswith("tale.yaml")}
    files |= {f"workflows/{name}.yaml": text for name, text in workflows.items()}
    return plan(
        world.engine,
        load(files),
        in_flight or {},
        library=Library(),
        suppression_key="never-changes",
        clock=world.clock,
    )


def test_who_is_due_does_not_walk_onto_a_step_that_is_gone(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path, tale=ASKS)
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + 2 * HOUR)  # the wait is over, and no worker has looked
    found = planned(world, tale=TELLS)
    assert (found.undecided, found.then.hour) == ((), 1)
    world.apply(tale=TELLS)
    world.drain()
    assert [(row.step, row.state) for row in world.rows("messages")] == [("advice", "accepted")]
    assert [row.finishes for row in world.rows("enrollments")] == [False]


def test_who_was_decided_about_goes_by_that_also_when_they_are_due(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path, tale=ASKS)
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + 2 * HOUR)
    applied = world.apply(tale=TELLS, in_flight={"arrived": "finish"})
    assert applied.moved == Moved(finishing=1)
    world.drain()
    assert [(row.step, row.state) for row in world.rows("messages")] == [("arrived", "accepted")]


def test_going_back_while_people_are_moved_comes_to_an_end(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path, tale=ASKS)
    world.take_in(a_purchase())
    world.drain()
    with reading(engine) as conn:
        places = enrollments.standing(conn)  # as whoever applied something else a moment ago has read them
    before = world.rows("enrollments")
    deploy._move(engine, places, Library(), world.clock)
    assert [row.version_id for row in world.rows("enrollments")] == [row.version_id for row in before]


def test_who_has_only_come_in_hides_nobody_who_is_stranded(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path, tale=ASKS)
    world.take_in(a_purchase("T-1"))
    world.drain()
    world.take_in(a_purchase("T-2", email="ben@example.com"))  # nobody has looked at them yet
    gone = tale("- ask: arrived\n  timeout: 5 days\n- send: advice")
    found = planned(world, tale=gone)
    assert [(one.step, one.number) for one in found.undecided] == [("wait-1", 1)]
    assert {(one.to, one.number) for one in found.places} == {(None, 1), ("arrived", 1)}
    with pytest.raises(StrandedPeople, match="1 person stands"):
        world.apply(tale=gone)


def test_a_reminder_that_was_in_hand_when_it_was_taken_out_does_not_leave(engine: Engine, tmp_path: Path) -> None:
    reminds = tale("- ask: arrived\n  timeout: 5 days\n  remind_after: 1 day")
    world = World(engine, tmp_path, tale=reminds)
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + 25 * HOUR)
    advance(engine, [1], **{"library": world.library, "clock": world.clock})
    hold(engine, "claimed")
    world.apply(tale=tale("- ask: arrived\n  timeout: 5 days"))
    hold(engine, "due")
    world.drain()
    reminder = next(row for row in world.rows("messages") if row.round == 1)
    assert (reminder.state, reminder.reason) == ("cancelled", UNNEEDED)
    assert [row.state for row in world.rows("enrollments")] == ["active"]


def hold(engine: Engine, state: str) -> None:
    """Have a reminder be in a worker's hands, or come back from them."""
    with writing(engine) as conn:
        leased = MONDAY + 400 * 24 * HOUR if state == "claimed" else None
        conn.execute(update(messages).where(messages.c.round == 1).values(state=state, leased_until=leased))


def test_what_became_of_people_is_told_by_kind(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path, tale=ASKS)
    for number in range(3):
        world.take_in(a_purchase(f"T-{number}", email=f"c{number}@example.com"))
    world.drain()
    world.clock.move_to(MONDAY + 2 * HOUR)
    world.drain()
    world.take_in(a_purchase("T-9", email="ben@example.com", delivered_at=world.clock.now()))
    world.drain()
    applied = world.apply(tale=TELLS, in_flight={"arrived": "stop", "wait-1": "skip"})
    assert applied.moved == Moved(on=1, stopped=3)
    assert applied.unused == ("wait-1",)


def test_who_finishes_may_be_decided_about_anew(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path, tale=ASKS)
    world.take_in(a_purchase())
    world.drain()
    world.later(hours=2)
    assert world.apply(tale=TELLS, in_flight={"arrived": "finish"}).moved == Moved(finishing=1)
    assert world.apply(tale=TELLS).moved == Moved()
    assert world.apply(tale=TELLS, in_flight={"arrived": InFlight.STOP.value}).moved == Moved(stopped=1)
    decided = [row.data["in_flight"] for row in world.rows("audit") if row.action == "apply.decided"]
    assert decided == [{"arrived": "stop"}]


@pytest.mark.parametrize(("how", "letters", "became"), [("skip", 2, Moved(on=2)), ("stop", 0, Moved(stopped=2))])
def test_a_plan_knows_who_is_decided_about_anew(
    engine: Engine, tmp_path: Path, how: str, letters: int, became: Moved
) -> None:
    goes_on = ASKS.replace("ask: arrived", "id: whole\n    ask: arrived")
    world = World(engine, tmp_path, tale=ASKS)
    for number in range(2):
        world.take_in(a_purchase(f"T-{number}", email=f"c{number}@example.com"))
    world.drain()
    world.later(hours=2)
    world.apply(tale=goes_on, in_flight={"arrived": "finish"})
    assert not planned(world, tale=goes_on)
    found = planned(world, {"arrived": how}, tale=goes_on)
    assert (bool(found), found.anew, found.unused, found.then.hour) == (True, 2, (), letters)
    assert [(place.step, place.number, place.how) for place in found.places] == [("arrived", 2, InFlight(how))]
    applied = world.apply(tale=goes_on, in_flight={"arrived": how})
    assert (applied.moved, applied.unused) == (became, ())
    before = world.states().count("accepted")
    world.drain()
    assert world.states().count("accepted") - before == letters


def test_who_finishes_the_version_that_runs_again_is_inside_as_before(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path, tale=ASKS)
    world.take_in(a_purchase())
    world.drain()
    world.later(hours=2)
    world.apply(tale=TELLS, in_flight={"arrived": "finish"})
    assert (dict(planned(world, tale=TELLS).inside), dict(planned(world, tale=TELLS).finishing)) == ({}, {"tale": 1})
    back = planned(world, tale=ASKS)
    assert (dict(back.inside), dict(back.finishing), back.places) == ({"tale": 1}, {}, ())


def test_an_apply_that_broke_off_is_something_to_do(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path, tale=ASKS)
    world.take_in(a_purchase())
    world.drain()
    files = world.files | {"workflows/tale.yaml": ASKS + "# a remark\n"}
    deploy._store(engine, load(files), clock=world.clock, first=None, in_flight={}, action="apply")  # and then it died
    world.files = files
    found = planned(world, tale=ASKS + "# a remark\n")
    assert (bool(found), bool(found.changes), found.behind) == (True, False, 1)
    assert dict(found.inside) == {"tale": 1}
    assert world.apply(tale=ASKS + "# a remark\n").moved == Moved(on=1)
    assert not planned(world, tale=ASKS + "# a remark\n")


def test_a_letter_that_two_steps_send_needs_ids(engine: Engine, tmp_path: Path) -> None:
    twice = tale("- send: advice\n- wait: 1 day\n- send: advice")
    world = World(engine, tmp_path)
    with pytest.raises(Exception, match=r'W216 "advice" is sent by two steps'):
        world.apply(tale=twice)
    world.apply(tale=twice.replace("wait: 1 day\n  - send", "wait: 1 day\n  - id: again\n    send"))
