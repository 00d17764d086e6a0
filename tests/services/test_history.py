"""Bundles that were applied before."""

import tracemalloc

import pytest

from followup.authoring.bundle import load_applied
from followup.errors import NotFound
from followup.services import deploy, history
from followup.services.deploy import ROLLBACK
from tests.services.world import SEND, World

LONG = "It likes the warmth. " * 4_000


def test_what_a_list_of_bundles_takes_does_not_grow_with_it(world: World) -> None:
    for number in range(12):
        world.apply({"templates/advice.md": f"{SEND}\n{number}. {LONG}"})
    found = history.listing(world.engine, limit=12)
    assert [one.changed for one in found] == [("templates/advice.md",)] * 12
    assert [one.runs for one in found] == [True, *[False] * 11]
    assert history.listing(world.engine, limit=99)[-1].changed is None, "it was the first"
    assert memory(world, 12) < 2 * memory(world, 2), "two folders at a time, however many there are"


def memory(world: World, limit: int) -> int:
    tracemalloc.start()
    try:
        history.listing(world.engine, limit=limit)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def go_back(world: World) -> str:
    """Go back to what ran before, and return what advice.md says then."""
    found = history.before(world.engine)
    deploy.put_in_force(world.engine, load_applied(found.files), clock=world.clock, action=ROLLBACK)
    return found.files["templates/advice.md"].splitlines()[-1]


def test_going_back_follows_what_ran_when_though_a_bundle_ran_twice(world: World) -> None:
    for text in ("A", "B", "A", "C"):
        world.apply({"templates/advice.md": f"{SEND}\n{text}"})
    assert [go_back(world) for _ in range(3)] == ["A", "B", "A"]
    assert "{{ signature }}" in go_back(world), "as it was made"
    with pytest.raises(NotFound, match="no bundle before the one that runs"):
        history.before(world.engine)
