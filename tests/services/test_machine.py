"""Letters, whatever happens to them in whatever order; on both databases."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Engine

from tests.failpoints import committed
from tests.services.machine import FAILPOINTS, Letters

STEPS = 12


def test_nothing_twice_nothing_lost_nothing_made_up(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    machine = type("Letters", (Letters,), {"engine": engine, "folder": tmp_path})
    examples = request.config.getoption("--machine-examples")
    how = settings(
        max_examples=examples or 20,
        stateful_step_count=STEPS,
        derandomize=not examples,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=how)


def test_the_machine_dies_at_failpoints_that_there_are() -> None:
    assert set(FAILPOINTS) <= set(committed())
