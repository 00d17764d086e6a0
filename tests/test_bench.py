"""Each benchmark runs, in a small form; what is measured is for whoever runs it in its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDERS = "followup/demo/orders.csv"
SMALL = {
    "deploy": ["--people", "20", "--rounds", "1", "--json"],
    "engine": ["--examples", "1", "--steps", "3"],
    "replay": [ORDERS, "--json"],
    "sending": ["--letters", "5", "--rounds", "1", "--json"],
    "soak": ["--past", "60", "--small", "20", "--letters", "3", "--rounds", "1", "--json"],
    "soak --asleep": ["--past", "60", "--small", "20", "--letters", "3", "--rounds", "1", "--json"],
    "startup": [],
}
ELSEWHERE = {"chaos", "wire"}  # tests/chaos and tests/wire run what is in them


def test_every_benchmark_is_run() -> None:
    there = {file.stem for file in (ROOT / "bench").glob("*.py")}
    assert there == {name.partition(" ")[0] for name in SMALL} | ELSEWHERE


@pytest.mark.parametrize("name", SMALL)
def test_it_runs(name: str) -> None:
    script, *options = name.split()
    command = [sys.executable, f"bench/{script}.py", *options, *SMALL[name]]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout
