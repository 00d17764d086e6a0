"""A rehearsal foresees what the engine then does: it is the same engine, on a copy of one customer's record."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from followup.core.order import OrderStatus
from followup.services.library import Library
from followup.services.sweep import next_moment
from followup.store.engine import reading
from followup.store.schema import customers
from tests.paths.player import Player
from tests.paths.story import FOLDER, read
from tests.services.engine_files import NAMES, Data, workflows
from tests.services.engine_machine import STARTS
from tests.services.engine_stage import DEEDS, EVENTS, HOUR, REACTIONS, REPORTS, Act, Stage
from tests.services.rehearsed import MOST, compare, copies, decided, dump, foresee, let_go_on

BOUGHT = ((0, OrderStatus.PLACED), (40, OrderStatus.FULFILLED), (90, OrderStatus.DELIVERED))
RESTS = "a-timeout-counts-from-when-the-letter-was-taken"  # in which a sender rests: that is knowingly left out
PATHS = [path for path in sorted(FOLDER.glob("*.yaml")) if path.stem != RESTS]
# every third: all of them take minutes, and hold the same
ALONE = [path for path in PATHS if len(read(path).customers) == 1 and len(read(path).happens) > 1][::3]


def everybody(engine: Engine) -> dict[str, int]:
    with reading(engine) as conn:
        rows = conn.execute(select(customers.c.address, customers.c.id).order_by(customers.c.id))
        return {row.address: row.id for row in rows}


# every story on SQLite, every third on PostgreSQL as well: all of them there would take minutes
ON = [("sqlite", path) for path in PATHS] + [("postgresql", path) for path in PATHS[::3]]


@pytest.mark.parametrize(
    ("database_url", "path"), ON, indirect=["database_url"], ids=[f"{kind}-{path.stem}" for kind, path in ON]
)
def test_what_it_foresees_in_the_middle_of_a_story_comes_true(engine: Engine, tmp_path: Path, path: Path) -> None:
    story = read(path)
    happens = story.happens[: len(story.happens) // 2 + 1]
    player = Player(engine, tmp_path, replace(story, happens=happens, until=happens[-1].at))
    player.play()
    player.provider.answer = None
    parts = {"library": player.library, "post": player.post}
    before = dump(engine)
    rehearsals = copies(engine, everybody(engine), at=player.clock.now(), **parts)
    foresee(rehearsals.values())
    assert dump(engine) == before
    live = let_go_on(engine, everybody(engine).values(), clock=player.clock, **parts)
    compare(engine, live, rehearsals)


@pytest.mark.parametrize("path", ALONE, ids=lambda path: path.stem)
def test_what_happens_from_the_middle_of_a_story_on_comes_out_alike_on_a_copy(
    engine: Engine, tmp_path: Path, path: Path
) -> None:
    story = read(path)
    half = len(story.happens) // 2
    begun = replace(story, happens=story.happens[:half], until=story.happens[half - 1].at)
    live = Player(engine, tmp_path / "live", begun)
    live.play()
    ((address, customer_id),) = everybody(engine).items()
    parts = {"library": Library(), "post": live.post, "at": live.clock.now()}
    (rehearsal,) = copies(engine, {address: customer_id}, **parts).values()
    copied = Player(rehearsal.engine, tmp_path / "copy", begun)
    copied.orders, copied.workflows, copied.others = {**live.orders}, {**live.workflows}, {**live.others}
    copied.works, copied.provider.answer, copied.seen = live.works, live.provider.answer, [*live.seen]
    copied.clock.move_to(live.clock.now())
    for player in (live, copied):
        player.story = replace(story, happens=story.happens[half:])
        player.go_on()
    assert copied.seen == live.seen
    assert decided(rehearsal.engine, customer_id) == decided(engine, customer_id)
    rehearsal.close()


THEIRS = st.sampled_from([0, 3])  # numbers that mean the first customer, whatever an act counts
THINGS = st.sampled_from([*REPORTS, *EVENTS, *REACTIONS, *REACTIONS, *DEEDS])


def everything_until(stage: Stage, moment: datetime) -> None:
    """Let workers look at each moment before *moment* at which something falls due."""
    for _ in range(MOST):
        with reading(stage.engine) as conn:
            due = next_moment(conn)
        if due is None or due >= moment:
            break
        stage.clock.move_to(due)
        stage.work()
    stage.clock.move_to(moment)


@settings(max_examples=10, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    start=st.sampled_from(STARTS),
    drawn=st.tuples(*(workflows(name) for name in NAMES)),
    things=st.lists(st.tuples(st.integers(0, 400), st.builds(Act, THINGS, THEIRS)), max_size=12),
)
def test_it_foresees_what_becomes_of_random_workflows(
    engine: Engine, tmp_path: Path, start: datetime, drawn: tuple[Data, ...], things: list[tuple[int, Act]]
) -> None:
    stage = Stage(engine, tmp_path)
    stage.clock.move_to(start)
    stage.workflows = {data["workflow"]: data for data in drawn}
    stage.statuses = dict.fromkeys(NAMES, "live")
    stage.apply()
    orders = [(hours, Act(("reports", status), 0)) for hours, status in BOUGHT]
    for hours, act in sorted([*orders, *things], key=lambda one: one[0]):
        everything_until(stage, start + hours * HOUR)
        stage.play(act)
        stage.work()
    parts = {"library": stage.library, "post": stage.world.post}
    before = dump(engine)
    rehearsals = copies(engine, everybody(engine), at=stage.now, **parts)
    foresee(rehearsals.values())
    assert dump(engine) == before
    live = let_go_on(engine, everybody(engine).values(), clock=stage.clock, **parts)
    compare(engine, live, rehearsals)
