"""
How long ``followup --help`` takes, beside Python with click alone, which it cannot beat.

Both are started in turn, so that a busy machine slows both; what counts is the ratio, and the time is only
this machine's.

    python bench/startup.py [--json]
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 7
OURS = ("-c", "from followup.cli.main import main; main()", "--help")
BARE = ("-c", "import click")
ROOT = Path(__file__).resolve().parent.parent


def seconds(args: Sequence[str]) -> float:
    """Return how long Python takes with *args*."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *args], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def measure() -> dict[str, float]:
    """Return the medians in milliseconds, and their ratio."""
    for args in (OURS, BARE):
        seconds(args)  # files are read and compiled once
    times = [(seconds(OURS), seconds(BARE)) for _ in range(ROUNDS)]
    ours, bare = (statistics.median(column) for column in zip(*times, strict=True))
    return {"help_ms": round(ours * 1000, 1), "click_ms": round(bare * 1000, 1), "ratio": round(ours / bare, 2)}


if __name__ == "__main__":
    measured = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps(measured))
    else:
        print(f"followup --help  {measured['help_ms']:6.1f} ms")
        print(f"import click     {measured['click_ms']:6.1f} ms")
        print(f"ratio            {measured['ratio']:6.2f}")
