from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from followup.store.engine import make_engine
from followup.store.upgrade import upgrade


@pytest.fixture
def postgres_engine(postgres_url: str) -> Iterator[Engine]:
    """
    Yield an engine on a migrated PostgreSQL database: for what SQLite, with one writer, cannot show.

    Who waits for a lock there waits for itself; it fails instead.
    """
    impatient = make_url(postgres_url).update_query_dict({"options": "-c lock_timeout=3s"})
    engine = make_engine(impatient.render_as_string(hide_password=False))
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[Engine]:
    """Yield an engine on a migrated SQLite file: for what only a file can show."""
    engine = make_engine(f"sqlite:///{tmp_path / 'only.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()
