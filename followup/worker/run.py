"""Sweep every few seconds until somebody asks to stop."""

import logging
import signal
import threading

from followup.app import App
from followup.errors import FollowupError
from followup.services import deploy
from followup.services.sweep import drain

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0


def run_once(app: App) -> int:
    """Do what is due now; return how much there was to do."""
    deploy.retry_blocked(app.engine)
    return drain(app.engine, library=app.library, post=app.post(), clock=app.clock)


def run_until_stopped(app: App) -> None:
    """
    Sweep until SIGTERM or SIGINT; what is under way then is finished first.

    A database that is away for a while is waited for, and no bug of ours ends the process: the next
    sweep tries again, and leases keep what failed from being tried at once.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    engine, post = app.engine, app.post()
    settings = app.settings
    log.info("worker.started", extra={"mode": settings.mode.value, "transport": settings.transport.value})
    deploy.retry_blocked(engine)
    while not stopping.is_set():
        try:
            drain(engine, library=app.library, post=post, clock=app.clock, stopping=stopping.is_set)
        except FollowupError as error:
            log.warning("worker.waiting", extra={"reason": str(error)})
        except Exception:
            log.exception("worker.failed")
        stopping.wait(INTERVAL_SECONDS)
    log.info("worker.stopped")
