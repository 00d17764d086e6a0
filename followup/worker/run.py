"""Sweep every few seconds until somebody asks to stop."""

import logging
import signal
import threading

from followup.app import App
from followup.errors import TemporaryError
from followup.services.sweep import drain

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0


def run_once(app: App) -> int:
    """Do what is due now; return how much there was to do."""
    return drain(app.engine, library=app.library, post=app.post(), clock=app.clock)


def run_until_stopped(app: App) -> None:
    """
    Sweep until SIGTERM or SIGINT; what is under way then is finished first.

    A database that is away for a while is waited for: the next sweep tries again.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    engine, post = app.engine, app.post()
    settings = app.settings
    log.info("worker.started", extra={"mode": settings.mode.value, "transport": settings.transport.value})
    while not stopping.is_set():
        try:
            drain(engine, library=app.library, post=post, clock=app.clock)
        except TemporaryError as error:
            log.warning("worker.waiting", extra={"reason": str(error)})
        stopping.wait(INTERVAL_SECONDS)
    log.info("worker.stopped")
