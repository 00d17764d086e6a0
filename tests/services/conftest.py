from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.services.attempts import AT_ONCE, LOST, Reporting
from tests.services.world import World, a_purchase


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    """Return a shop with one workflow, on each kind of database in turn."""
    return World(engine, tmp_path)


@pytest.fixture
def lost(engine: Engine, tmp_path: Path) -> World:
    """Return a shop whose one letter left, and no answer came."""
    shop = World(engine, tmp_path, transport=Reporting(LOST), check_in=AT_ONCE)
    shop.take_in(a_purchase())
    shop.drain()
    assert shop.states() == ["unknown"]
    return shop
