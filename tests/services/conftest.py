from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.services.world import World


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    """Return a shop with one workflow, on each kind of database in turn."""
    return World(engine, tmp_path)
