"""Serving the site over HTTP until somebody asks to stop."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from followup.errors import ConfigurationError

log = logging.getLogger(__name__)

MOST_REQUESTS = 200  # at once; more are told to come again
# A proxy that keeps a connection longer than we do sends a request into a closed one: Heroku's keeps it for 90.
KEEP_ALIVE_SECONDS = 95
GRACE_SECONDS = 12  # for requests under way; the whole stop takes at most 15


def serve(
    asgi: ASGIApp, *, port: int, stopping: threading.Event, ready: Callable[[int], object] = lambda _: None
) -> None:
    """
    Serve in this thread until *stopping* is set, then let requests under way end.

    No signal handler is installed: whoever calls has their own.

    Args:
        port: 0 takes any free one.
        ready: called with the port once connections are taken.

    Raises:
        ConfigurationError: the port cannot be had.
    """
    with _listening(port) as listener:
        config = uvicorn.Config(
            asgi,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # pages count the proxies themselves
            limit_concurrency=MOST_REQUESTS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = _Server(config, stopping, lambda: ready(listener.getsockname()[1]))
        with asyncio.Runner() as runner:  # its run() would handle SIGINT; its loop does not
            runner.get_loop().run_until_complete(server.serve(sockets=[listener]))
    log.info("web.stopped")


class _Server(uvicorn.Server):
    """uvicorn's server, stopped by an event instead of by signals."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self.stopping, self.ready = stopping, ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self.stopping.is_set()


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("0.0.0.0", port), backlog=2048)  # noqa: S104 - platforms route to any interface
    except OSError as error:
        raise ConfigurationError(
            f"port {port} cannot be listened on: {error.strerror}",
            hint="Set PORT to a free port above 1023, or stop what uses this one",
        ) from error
