"""``worker``: the process that does what falls due."""

import threading
from typing import TYPE_CHECKING

import click

from followup.cli import output
from followup.cli.serving import say_hello, stop_on_signals
from followup.cli.shared import make_app, tell_mode

if TYPE_CHECKING:
    from followup.services.lookups import Status

_WORDS = {
    "messages": {
        "accepted": ("letter", "sent"),
        "due": ("letter", "waiting for the right hour"),
        "held": ("letter", "held"),
        "skipped": ("letter", "skipped"),
        "expired": ("letter", "too late"),
        "cancelled": ("letter", "cancelled"),
        "blocked": ("letter", "blocked"),
        "rejected": ("letter", "rejected"),
        "unknown": ("letter", "of unknown fate"),
    },
    "replies": {"human": ("mail", "read"), "auto_reply": ("automatic mail", "read")},
    "enrollments": {"completed": ("run", "completed"), "exited": ("run", "ended early")},
}


@click.command("worker")
@click.option("--once", is_flag=True, help="Do what is due now, and end.")
def worker_command(once: bool) -> None:
    """Do what falls due: move runs on, send letters, read replies. Ends on SIGTERM or Ctrl-C."""
    from followup.services import lookups
    from followup.worker.run import Worker, run_once

    app = make_app(serving=not once)
    if not once:
        say_hello(app)
        stopping = threading.Event()
        worker = Worker(app, stopping)
        stop_on_signals(stopping.set, worker.wake)
        worker.run()
        return
    before = lookups.status(app.engine)
    tell_mode(app)
    done = run_once(app)
    after = lookups.status(app.engine)
    changes = _changes(before, after)
    if not done:
        output.say("Nothing was due.")
    else:
        output.say("Done: " + (", ".join(changes) or "customers moved on, no letter yet") + ".")
    if after.messages.get("blocked"):
        for reason in lookups.blocked(app.engine):
            output.tell(f"blocked: {reason}")
        output.tell("Mend it; the worker tries again at its next start, and with every followup apply.")
        raise click.exceptions.Exit(1)


def _changes(before: "Status", after: "Status") -> list[str]:
    """Return what there is more of now, in words."""
    changes = []
    for kind, states in _WORDS.items():
        for state, (thing, what) in states.items():
            more = getattr(after, kind).get(state, 0) - getattr(before, kind).get(state, 0)
            if more > 0:
                changes.append(f"{output.plural(more, thing)} {what}")
    return changes
