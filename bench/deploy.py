"""
What does a change of a workflow cost in which many people are asleep?

All of them stand in its first wait. Measured are the seconds of a plan, of applying a change that concerns nobody where
they stand (they are carried over together), and of one that shortens that wait (each is decided about); and beside them
those of one plain UPDATE of all rows, in the same run: what counts are the ratios to that.

    python bench/deploy.py [--people 100000] [--rounds 5] [--url URL] [--json]

Without --url: an SQLite file, and PostgreSQL from the wheel. With --url: an empty database is made on that server.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import Engine, update

from bench.soak import a_folder, servers
from followup.authoring.bundle import Bundle, load_applied
from followup.services import deploy
from followup.services.library import Library
from followup.services.plan import plan
from followup.store.engine import make_engine, writing
from followup.store.schema import enrollments
from followup.store.upgrade import upgrade
from tests.services.growth import sleep
from tests.services.world import CHECK_IN, Scripted, World

COMMENT = CHECK_IN.replace("steps:", "# other words\nsteps:")
SHORTENED = CHECK_IN.replace("wait: 2 days", "wait: 1 day")


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def bundle_with(world: World, workflow: str) -> Bundle:
    return load_applied({**world.files, "workflows/check-in.yaml": workflow})


def planned(world: World, bundle: Bundle) -> None:
    how = {"library": Library(), "suppression_key": world.post.suppression_key, "clock": world.clock}
    found = plan(world.engine, bundle, {}, **how)
    assert found, "there is something to plan"


def touch(engine: Engine) -> None:
    """Write every row once."""
    with writing(engine) as conn:
        conn.execute(update(enrollments).values(rev=enrollments.c.rev + 1))


def measure(url: str, folder: Path, *, people: int, rounds: int) -> dict[str, float]:
    engine = make_engine(url)
    upgrade(engine)
    world = World(engine, folder, transport=Scripted(), check_in=CHECK_IN)
    sleep(engine, people)
    plain = statistics.median(seconds(lambda: touch(engine)) for _ in range(rounds))
    comment, shortened = bundle_with(world, COMMENT), bundle_with(world, SHORTENED)
    found = {
        "update_s": plain,
        "plan_comment_s": statistics.median(seconds(lambda: planned(world, comment)) for _ in range(rounds)),
        "plan_shortened_s": statistics.median(seconds(lambda: planned(world, shortened)) for _ in range(rounds)),
        "carry_over_s": seconds(lambda: moved(world, comment, people)),
        "shortened_s": seconds(lambda: moved(world, shortened, people)),
    }
    engine.dispose()
    ratios = {name.removesuffix("_s") + "_ratio": took / plain for name, took in found.items() if name != "update_s"}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {name: round(value, 2) for name, value in (found | ratios | {"memory_mb": memory}).items()}


def moved(world: World, bundle: Bundle, people: int) -> None:
    applied = deploy.put_in_force(world.engine, bundle, clock=world.clock)
    assert applied.moved.on == people


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url", help="of a PostgreSQL server")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with a_folder() as folder, servers(given.url, folder) as kinds:
        found = {
            kind: measure(make("deploy"), folder, people=given.people, rounds=given.rounds)
            for kind, make in kinds.items()
        }
    if given.json:
        print(json.dumps(found))
        return 0
    for kind, figures in found.items():
        print(kind)
        for name, value in figures.items():
            print(f"  {name:<24} {value:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
