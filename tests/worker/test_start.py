"""A worker that starts while something it needs is away."""

import logging
import threading

import pytest

from followup.app import App
from followup.settings import Settings
from followup.worker.run import Worker


def test_a_database_that_is_away_at_the_start_ends_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    stopping, swept = threading.Event(), threading.Event()
    app = App(Settings(database_url="postgresql+psycopg://nobody@127.0.0.1:1/none"))
    worker = Worker(app, stopping)

    class Watching(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "worker.waiting" and started.is_set():
                swept.set()
            if record.getMessage() == "worker.started":
                started.set()

    started, handler = threading.Event(), Watching()
    ended: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001 - whatever ends it is the fault
            ended.append(error)
            swept.set()

    logger = logging.getLogger("followup.worker.run")
    logger.addHandler(handler)
    thread = threading.Thread(target=run)
    with caplog.at_level(logging.INFO, logger="followup.worker.run"):
        thread.start()
        assert swept.wait(30)
        stopping.set()
        worker.wake()
        thread.join(30)
    logger.removeHandler(handler)
    app.close()
    assert ended == []
