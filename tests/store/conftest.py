from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.store.engine import make_engine
from followup.store.upgrade import upgrade


@pytest.fixture
def postgres_engine(postgres_url: str) -> Iterator[Engine]:
    """Yield an engine on a migrated PostgreSQL database: for what SQLite, with one writer, cannot show."""
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[Engine]:
    """Yield an engine on a migrated SQLite file: for what only a file can show."""
    engine = make_engine(f"sqlite:///{tmp_path / 'only.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()
