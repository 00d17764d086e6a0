"""The folder of a shop in one process: applied when it is saved, and refused without wearing the database out."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from followup.app import App
from followup.clock import VirtualClock
from followup.core.message import Accepted
from followup.settings import Settings
from followup.worker.folder import AGAIN_SECONDS, FolderWatch
from tests.services.attempts import AT_ONCE
from tests.services.world import Scripted, World, a_purchase

RENAMED = AT_ONCE.replace("  - ask: arrived", "  - id: question\n    ask: arrived", 1)


class Watched:
    """A shop whose folder is watched; real seconds pass as the test says."""

    def __init__(self, engine: Engine, database_url: str, folder: Path) -> None:
        self.world = World(engine, folder, transport=Scripted(Accepted("X")), check_in=AT_ONCE)
        self.clock = VirtualClock(self.world.clock.now())
        self.app = App(Settings(project=folder, database_url=database_url), clock=self.clock)
        self.seconds, self.said = 0.0, 0
        self.look: Callable[[], None] = FolderWatch(self.app, seconds=lambda: self.seconds)
        event.listen(self.app.engine, "before_cursor_execute", self._note)
        self.save(AT_ONCE)

    def _note(self, *_: Any) -> None:
        self.said += 1

    def save(self, workflow: str) -> None:
        for name, text in {**self.world.files, "workflows/check-in.yaml": workflow}.items():
            path = self.world.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def asks(self) -> bool:
        """Look once more; tell whether the database was asked anything."""
        before = self.said
        self.look()
        return self.said > before

    def buys(self, name: str) -> None:
        self.world.take_in(a_purchase(name, email=f"{name}@example.com", delivered_at=self.world.clock.now()))
        self.world.drain()

    def runs(self, workflow: str) -> bool:
        newest = max(self.world.rows("bundles"), key=lambda row: row.applied_at)
        return bool(newest.files["workflows/check-in.yaml"] == workflow)


@pytest.fixture
def shop(engine: Engine, database_url: str, tmp_path: Path) -> Any:
    shop = Watched(engine, database_url, tmp_path)
    yield shop
    shop.app.close()


def complaints(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelno == logging.ERROR for record in caplog.records)


def test_what_is_saved_runs_and_is_not_asked_about_again(shop: Watched) -> None:
    assert shop.asks()
    shop.save(RENAMED)
    assert shop.asks()
    assert shop.runs(RENAMED)
    shop.seconds += 10 * AGAIN_SECONDS
    assert not shop.asks()


def test_what_would_strand_people_is_tried_again_once_a_minute_and_when_it_is_saved(
    shop: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    shop.buys("ana")
    shop.save(RENAMED)
    assert shop.asks()
    assert not shop.asks()
    shop.save(RENAMED + "# a remark\n")
    assert shop.asks()
    shop.seconds += AGAIN_SECONDS - 1
    assert not shop.asks()
    shop.buys("ben")
    shop.seconds += 1
    assert shop.asks()
    assert complaints(caplog) == 1, "it is the same complaint, of more people"
    shop.save(AT_ONCE)
    shop.look()
    shop.save(RENAMED)
    shop.look()
    assert complaints(caplog) == 2, "it was mended in between"
    assert shop.runs(AT_ONCE)


def test_what_would_strand_people_runs_as_soon_as_nobody_stands_there(shop: Watched) -> None:
    shop.buys("ana")
    shop.save(RENAMED)
    shop.look()
    shop.world.later(days=30)
    shop.clock.move_to(shop.clock.now() + timedelta(days=30))
    assert not shop.asks()
    shop.seconds += AGAIN_SECONDS
    shop.look()
    assert shop.runs(RENAMED)


def test_a_folder_with_errors_is_not_read_again_until_it_is_saved(
    shop: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    shop.look()
    shop.save(AT_ONCE.replace("ask: arrived", "ask: arived"))
    shop.look()
    shop.look()
    assert complaints(caplog) == 1
    shop.save(AT_ONCE)
    assert shop.asks()
    assert shop.runs(AT_ONCE)
