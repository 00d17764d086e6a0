"""The worker: it sweeps every few seconds, hands out what is due, and works on what any worker handed out."""

import logging
import threading
import time
from collections.abc import Callable

import dramatiq
from sqlalchemy import Engine

from followup.app import App
from followup.errors import FollowupError, TemporaryError
from followup.services import deploy, fate
from followup.services.hints import Hints, NoHints
from followup.services.notify import notify
from followup.services.sweep import drain, hand_out, recover
from followup.settings import ResendUnknown
from followup.store import signs
from followup.store.engine import writing
from followup.worker.actors import Queued, register
from followup.worker.broker import make_broker, warn_of_eviction
from followup.worker.folder import FolderWatch
from followup.worker.jobs import Jobs

log = logging.getLogger(__name__)

STOP_MS = 20_000  # platforms kill after 30 seconds; a request that has left gets its 12
WATCH_SECONDS = 60.0
SIGN_SECONDS = 10.0
FOLDER_SECONDS = 2.0
IDLE_MS = 100  # how long a thread waits for its next job before it looks up


def run_once(app: App) -> int:
    """Do what is due now; return how much there was to do."""
    deploy.retry_blocked(app.engine)
    deploy.release_resumed(app.engine, library=app.library, clock=app.clock)
    done = drain(app.engine, library=app.library, post=app.post(), clock=app.clock)
    _show_life(app.engine)
    return done


class Worker:
    """
    A worker in this process.

    ``hints`` are for a web process beside it: they reach it, and every other worker that shares its Redis.

    Args:
        alone: it is the whole shop in one process, and applies the project folder whenever that changes.
    """

    def __init__(self, app: App, stopping: threading.Event, *, alone: bool = False) -> None:
        self._app, self._stopping, self._alone = app, stopping, alone
        self._woken = threading.Event()
        self._jobs = Jobs(app, stopping=stopping.is_set, done=self._woken.set)
        self._broker = make_broker(app.settings)
        actors = register(self._broker, self._jobs)
        self._queued = Queued(actors, otherwise=self._jobs)
        self.hints: Hints = Queued(actors, otherwise=NoHints())

    def wake(self) -> None:
        """Sweep at once, or stop if that is what the event says."""
        self._woken.set()

    def run(self) -> None:
        """
        Work until told to stop; what is under way then is finished first, at most 20 seconds long.

        A database that is away for a while is waited for, and no bug of ours ends the process: the next
        sweep tries again, and leases keep what failed from being tried at once.
        """
        app, settings = self._app, self._app.settings
        app.post()  # a way out that is set up wrongly is an error now, not with the first letter
        try:
            _ = app.engine
        except TemporaryError as error:
            log.warning("worker.waiting", extra={"reason": str(error)})
        warn_of_eviction(settings)
        working = dramatiq.Worker(self._broker, worker_threads=settings.worker_threads, worker_timeout=IDLE_MS)
        self._broker.emit_after("process_boot")
        working.start()
        log.info(
            "worker.started",
            extra={
                "mode": settings.mode.value,
                "transport": settings.transport.value,
                "threads": settings.worker_threads,
                "queue": "redis" if settings.redis_url else "memory",
            },
        )
        try:
            self._sweep_until_stopped()
        finally:
            working.stop(timeout=STOP_MS)
            self._broker.close()
        log.info("worker.stopped")

    def _sweep_until_stopped(self) -> None:
        chores: list[Callable[[], object]] = [
            _Chore(lambda: deploy.retry_blocked(self._app.engine), every=float("inf")),
            _Chore(self._recover, every=self._app.settings.sweep_seconds),
            _Chore(lambda: _show_life(self._app.engine), every=SIGN_SECONDS),
            _Chore(self._notify, every=self._app.settings.sweep_seconds),
            _Chore(self._release_resumed, every=WATCH_SECONDS),
            _Chore(self._app.watch, every=WATCH_SECONDS),
        ]
        if self._app.settings.resend_unknown is ResendUnknown.AUTO:
            chores.append(_Chore(self._resend_proven, every=WATCH_SECONDS))
        if self._alone:
            chores.insert(0, _Chore(FolderWatch(self._app), every=FOLDER_SECONDS))
        while not self._stopping.is_set():
            self._woken.clear()
            for work in (*chores, self._hand_out):
                try:
                    work()
                except FollowupError as error:
                    log.warning("worker.waiting", extra={"reason": str(error)})
                except Exception:
                    log.exception("worker.failed")
            self._woken.wait(self._app.settings.sweep_seconds)

    def _hand_out(self) -> None:
        app = self._app
        hand_out(
            app.engine,
            self._queued,
            now=app.clock.now(),
            kinds=self._queued.wanted(),
            per_minute=app.settings.sender_per_minute,
        )

    def _recover(self) -> None:
        recover(self._app.engine, post=self._app.post(), clock=self._app.clock)

    def _notify(self) -> None:
        app = self._app
        notify(app.engine, library=app.library, post=app.post(), clock=app.clock, stopping=self._stopping.is_set)

    def _release_resumed(self) -> None:
        deploy.release_resumed(self._app.engine, library=self._app.library, clock=self._app.clock)

    def _resend_proven(self) -> None:
        fate.resend_proven(self._app.engine, library=self._app.library, clock=self._app.clock)


def _show_life(engine: Engine) -> None:
    with writing(engine, "worker.sign") as conn:
        signs.seen(conn, signs.SWEEP)


class _Chore:
    """Something that is done every so many seconds, however often it is called; what fails is done again next time."""

    def __init__(self, do: Callable[[], object], *, every: float) -> None:
        self._do, self._every, self._next = do, every, float("-inf")

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._do()
            self._next = now + self._every
