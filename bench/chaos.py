"""
Kill a shop's processes at every failpoint while servers are restarted and the provider misbehaves, and hold the
record against the provider's ledger. Then the same with a control that sends again whatever got no answer.

    python bench/chaos.py --kills 300 [--sqlite] [--seed N] [--json] [--no-control]

Exit 1 when a promise was not kept, or when the control did not send anything twice: then the oracle is blind.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

if TYPE_CHECKING:
    from tests.chaos.run import Figures

CONTROL_KILLS = 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-control", action="store_true")
    given = parser.parse_args()
    found = run(given.kills, given, naive=False)
    control = None if given.no_control else run(min(given.kills, CONTROL_KILLS), given, naive=True)
    blind = control is not None and not control.accepted_twice
    figures = {**vars(found), "broken": found.broken}
    if control is not None:
        figures["control"] = {
            "kills": control.kills,
            "letters": control.letters,
            "accepted_twice": control.accepted_twice,
        }
    if given.json:
        print(json.dumps(figures, indent=2))
    else:
        for key, value in figures.items():
            print(f"{key:<24} {value}")
    return 1 if found.broken or blind else 0


def run(kills: int, given: argparse.Namespace, *, naive: bool) -> "Figures":
    from tests.chaos.run import Chaos  # noqa: PLC0415 - every process that is started imports this module

    with tempfile.TemporaryDirectory(prefix="followup-chaos-", ignore_cleanup_errors=True) as folder:
        return Chaos(Path(folder), kills=kills, seed=given.seed, sqlite=given.sqlite, naive=naive, tell=say).run()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
