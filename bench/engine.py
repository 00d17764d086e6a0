"""
Play random stories of a shop with random workflows, and hold the record against the promises after every step.

    python bench/engine.py --examples 500 [--seed N] [--steps 14] [--url postgresql+psycopg://…]

Without --url in a SQLite file of its own; a database that is given is emptied again and again. Exit 1, with the
smallest story that breaks a promise, when there is one.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from followup.store.engine import make_engine
from followup.store.upgrade import upgrade
from tests.services.engine_machine import Engines

TOGETHER = 10  # stories of one seed: beyond them Hypothesis varies those it has


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--url", help="of a database that may be emptied; default: a SQLite file")
    parser.add_argument("--no-shrink", action="store_true", help="show the first story that fails, as it is")
    given = parser.parse_args()
    counted: Counter[str] = Counter()

    class Counted(Engines):
        def teardown(self) -> None:
            super().teardown()
            counted["stories"] += 1
            for table, column in (("messages", "state"), ("enrollments", "state"), ("decisions", "verdict")):
                for row in self.stage.world.rows(table):
                    counted[f"{table} {getattr(row, column)}"] += 1
            for row in self.stage.world.rows("decisions"):
                if row.gate:
                    counted[f"gate {row.gate}: {row.verdict}"] += 1
                if row.verdict == "skipped" and not row.gate:
                    counted[f"skipped step: {row.reason}"] += 1
                if row.verdict == "ended":
                    counted[f"ended: {row.reason}"] += 1
                if row.verdict == "not_entered":
                    counted[f"not entered: {row.reason.split(':')[0]}"] += 1

    with tempfile.TemporaryDirectory(prefix="followup-engine-") as folder:
        url = given.url or f"sqlite:///{Path(folder) / 'engine.db'}"
        Counted.engine, Counted.folder = make_engine(url), Path(folder)
        upgrade(Counted.engine)
        phases = [Phase.generate] if given.no_shrink else [Phase.generate, Phase.shrink]
        how = settings(
            max_examples=TOGETHER,
            stateful_step_count=given.steps,
            database=None,
            deadline=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        )
        began = time.perf_counter()
        try:
            for number in range(-(-given.examples // TOGETHER)):
                run_state_machine_as_test(seed(1_000 * given.seed + number)(Counted), settings=how)
        finally:
            print(f"{time.perf_counter() - began:.0f} seconds, seed {1_000 * given.seed + number}")
            for what, times in sorted(counted.items()):
                print(f"{times:>8}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
