"""Bundles that were applied before."""

import tracemalloc

from followup.services import history
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
