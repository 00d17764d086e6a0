"""The whole engine, whatever happens to a shop in whatever order; on both databases."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Engine

from tests.failpoints import committed
from tests.services.engine_machine import FAILPOINTS, Engines

EXAMPLES, STEPS = 6, 14


def test_the_promises_are_kept_whatever_happens(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    machine = type("Engines", (Engines,), {"engine": engine, "folder": tmp_path})
    examples = request.config.getoption("--machine-examples")
    how = settings(
        max_examples=examples or EXAMPLES,
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
