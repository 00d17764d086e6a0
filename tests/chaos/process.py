"""A worker or a web process of the shop under chaos: the real ones, with leases and deadlines of seconds."""

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from followup import failpoints
from followup.app import App
from followup.cli.serving import stop_on_signals
from followup.logs import configure
from followup.mail.sendgrid import SendGrid
from followup.mail.transport import Transport
from followup.services.deliver import Pace, Post
from followup.settings import load
from followup.web.app import make_site
from followup.web.server import serve
from followup.worker.actors import sending_only
from followup.worker.run import Worker

DEADLINE_SECONDS = 1.5
QUICK = Pace(lease_seconds=6, no_later_seconds=3)


class QuickApp(App):
    """An application that waits for seconds where the real one waits for minutes; all else is the same."""

    @cached_property
    def _provider(self) -> Transport | None:
        key = self.settings.sendgrid_api_key
        assert key is not None
        url = self.settings.sendgrid_url
        return SendGrid(key.get_secret_value(), self.clock, url=url, deadline_seconds=DEADLINE_SECONDS)

    def post(self) -> Post:
        return replace(super().post(), pace=QUICK)


def main(role: str, env: Mapping[str, str], log: str) -> None:
    """Be a process with the environment *env*; what it logs is appended to the file *log*."""
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()  # noqa: TID251 - this process has the environment it is given
    os.environ.update(env)  # noqa: TID251 - as above
    settings = load()
    configure(settings.log_level, "json", stream=sys.stdout)
    failpoints.arm(settings.failpoint)
    app = QuickApp(settings)
    stopping = threading.Event()
    if role == "worker":
        worker = Worker(app, stopping)
        stop_on_signals(stopping.set, worker.wake)
        worker.run()
    else:
        stop_on_signals(stopping.set)
        serve(make_site(app, sending_only(settings)), port=settings.port, stopping=stopping)
    app.close()
