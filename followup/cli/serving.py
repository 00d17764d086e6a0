"""``web``, ``worker``, ``run``, ``release``: the processes of a deployment."""

import logging
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import click

from followup.cli import output
from followup.cli.deploy import in_flight_option, tell_applied
from followup.cli.shared import make_app, tell_mode

if TYPE_CHECKING:
    from followup.app import App

log = logging.getLogger(__name__)

WATCH_SECONDS = 60.0


def stop_on_signals(*stop: Callable[[], object]) -> None:
    """
    Call each *stop*, in a thread of its own, on SIGTERM, SIGINT and SIGHUP; again for each further one.

    Platforms signal every process of a container, some more than once. A handler interrupts whatever line the
    main thread is at, with whatever lock it holds there, so it only leaves a note; `queue.SimpleQueue` is made
    for that.
    """
    notes: queue.SimpleQueue[int] = queue.SimpleQueue()
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, lambda signum, _frame: notes.put(signum))

    def listen() -> None:
        while notes.get():
            for one in stop:
                one()

    threading.Thread(target=listen, name="signals", daemon=True).start()


def say_hello(app: "App") -> None:
    """Tell a person in which mode this process works; elsewhere the log says it, and nothing but the log is wanted."""
    if output.talks_to_people():
        tell_mode(app)


def say_where(port: int) -> None:
    """Tell a person where the pages are, now that they are."""
    if output.talks_to_people():
        output.tell(f"listening on http://localhost:{port}")


def _watch(app: "App", stopping: threading.Event) -> None:
    """Look every minute whether something is wrong: a web process notices a worker that is gone."""
    from followup.errors import FollowupError

    while not stopping.wait(WATCH_SECONDS):
        try:
            app.watch()
        except FollowupError as error:
            log.warning("watch.waiting", extra={"reason": str(error)})
        except Exception:
            log.exception("watch.failed")


@click.command("web")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen here instead of on $PORT.")
def web_command(port: int | None) -> None:
    """Answer customers' clicks and the provider's posts. Ends on SIGTERM or Ctrl-C."""
    from followup.services.hints import NoHints
    from followup.web.app import make_site
    from followup.web.server import serve
    from followup.worker.actors import sending_only

    app = make_app(serving=True)
    stopping = threading.Event()
    stop_on_signals(stopping.set)
    hints = sending_only(app.settings) if app.settings.redis_url else NoHints()
    port = app.settings.port if port is None else port
    say_hello(app)
    threading.Thread(target=_watch, args=(app, stopping), name="watch", daemon=True).start()
    serve(make_site(app, hints), port=port, stopping=stopping, ready=say_where, about=app.about)


@click.command("run")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen here instead of on $PORT.")
def run_command(port: int | None) -> None:
    """
    Be worker and web process in one. Ends on SIGTERM or Ctrl-C.

    The project folder is applied at the start, and again whenever a file in it has changed.
    """
    from followup.web.app import make_site
    from followup.web.server import serve
    from followup.worker.run import Worker

    app = make_app(serving=True)
    stopping = threading.Event()
    app.upgrade()
    worker = Worker(app, stopping, alone=True)

    def stop() -> None:
        stopping.set()
        worker.wake()

    stop_on_signals(stop)
    port = app.settings.port if port is None else port
    say_hello(app)
    with ThreadPoolExecutor(1, thread_name_prefix="worker") as beside:
        working = beside.submit(worker.run)
        working.add_done_callback(lambda _: stop())
        try:
            serve(make_site(app, worker.hints), port=port, stopping=stopping, ready=say_where, about=app.about)
        finally:
            stop()
        working.result()


@click.command("release")
@in_flight_option
def release_command(decisions: Sequence[tuple[str, str]]) -> None:
    """Upgrade the database and apply the folder: what a platform runs before a new version starts."""
    from followup.authoring.bundle import load, read_folder
    from followup.services import deploy
    from followup.store import upgrade

    app = make_app()
    files = read_folder(app.settings.project)
    load(files)  # a folder with errors stops the release before anything is touched
    changed = app.upgrade()
    applied = deploy.apply(app.upgraded_engine, files, clock=app.clock, in_flight=dict(decisions))
    output.say(f"The database is at version {upgrade.newest()}{', upgraded now' if changed else ''}.")
    runs = "now runs" if applied.changed else "already runs"
    output.say(
        f"Bundle {applied.bundle.hash[:12]} {runs}: {output.plural(len(applied.bundle.workflows), 'workflow')}, "
        f"{output.plural(len(applied.bundle.letters), 'letter')}."
    )
    tell_applied(app, applied)
    output.tell(app.whereto)
