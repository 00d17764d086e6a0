"""
A worker or a web process as the command line starts it, save that its business time comes from a file.

    python -m tests.wire.process worker CLOCK_FILE
    python -m tests.wire.process web CLOCK_FILE PORT_FILE
"""

import sys
import threading
from pathlib import Path

from followup import failpoints
from followup.app import App
from followup.cli.serving import stop_on_signals
from followup.logs import configure
from followup.settings import load
from followup.web.app import make_site
from followup.web.server import serve
from followup.worker.actors import sending_only
from followup.worker.run import Worker
from tests.wire.clock import FileClock


def main(role: str, clock_file: Path, port_file: Path | None = None) -> None:
    settings = load()
    configure(settings.log_level, settings.log_format)
    failpoints.arm(settings.failpoint)
    app = App(settings, clock=FileClock(clock_file))
    stopping = threading.Event()
    if role == "worker":
        worker = Worker(app, stopping)
        stop_on_signals(stopping.set, worker.wake)
        worker.run()
    else:
        assert port_file is not None
        stop_on_signals(stopping.set)

        def ready(port: int) -> None:
            port_file.with_suffix(".new").write_text(str(port))
            port_file.with_suffix(".new").replace(port_file)

        serve(make_site(app, sending_only(settings)), port=0, stopping=stopping, ready=ready)
    app.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
