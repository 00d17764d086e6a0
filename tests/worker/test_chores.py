"""What a worker looks after by itself, with a real loop and a real database."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.app import App
from followup.clock import VirtualClock
from followup.core.sender import Sender
from followup.settings import Settings
from followup.store import senders
from followup.store.engine import writing
from followup.worker.run import Worker
from tests.services.attempts import AT_ONCE, LOST, Reporting, given_up, quiet_day
from tests.services.world import World, a_purchase

PATIENCE = 30.0


@pytest.fixture
def lost(engine: Engine, tmp_path: Path) -> World:
    """Return a shop with a letter of which it is proven that it was not accepted."""
    shop = World(engine, tmp_path, transport=Reporting(LOST), check_in=AT_ONCE)
    shop.take_in(a_purchase())
    shop.drain()
    return quiet_day(shop)


def work_until(shop: World, database_url: str, over: Callable[[], bool], **settings: object) -> None:
    """Let a worker run until *over*."""
    known = {"project": shop.folder, "database_url": database_url, "sweep_seconds": 0.05}
    app, stopping = App(Settings(**known | settings), clock=VirtualClock(shop.clock.now())), threading.Event()
    worker = Worker(app, stopping)
    thread = threading.Thread(target=worker.run)
    late = threading.Timer(PATIENCE, stopping.set)
    thread.start()
    late.start()
    try:
        while thread.is_alive() and not over():
            pass
    finally:
        stopping.set()
        worker.wake()
        thread.join(PATIENCE)
        late.cancel()
        app.close()


def test_what_is_proven_goes_again_by_itself_where_that_is_asked_for(lost: World, database_url: str) -> None:
    work_until(lost, database_url, lambda: lost.states()[0] == "accepted", resend_unknown="auto")
    assert lost.states()[0] == "accepted"
    assert len(given_up(lost)) == 1


def test_nothing_goes_again_by_itself_unless_it_is_asked_for(lost: World, database_url: str) -> None:
    lost.take_in(a_purchase("T-9", email="zoe@example.com", delivered_at=lost.clock.now()))
    work_until(lost, database_url, lambda: lost.states()[-1] == "accepted")
    assert (lost.states()[0], lost.states()[-1], given_up(lost)) == ("unknown", "accepted", [])


def test_a_start_of_a_worker_lets_refused_senders_try_again(lost: World, database_url: str) -> None:
    with writing(lost.engine) as conn:
        senders.lock(conn, ["nell"])
        senders.save(conn, Sender(key="nell", paused="401"))
    lost.take_in(a_purchase("T-9", email="zoe@example.com", delivered_at=lost.clock.now()))
    work_until(lost, database_url, lambda: lost.states()[-1] == "accepted")
    assert lost.states()[-1] == "accepted"
