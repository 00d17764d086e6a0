"""Serving the site over HTTP until somebody asks to stop."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from followup.errors import ConfigurationError

log = logging.getLogger(__name__)

HEAD_SECONDS = 20.0  # for a connection to bring the whole head of a request
LARGEST_HEAD = 64 * 1024  # bytes
# A proxy that keeps a connection longer than we do sends a request into a closed one: Heroku's keeps it for 90.
KEEP_ALIVE_SECONDS = 95
GRACE_SECONDS = 12  # for requests under way; the whole stop takes at most 15


def serve(
    asgi: ASGIApp,
    *,
    port: int,
    stopping: threading.Event,
    ready: Callable[[int], object] = lambda _: None,
    about: Mapping[str, object] = MappingProxyType({}),
    head_seconds: float = HEAD_SECONDS,
) -> None:
    """
    Serve in this thread until *stopping* is set, then let requests under way end.

    No signal handler is installed: whoever calls has their own.

    Args:
        port: 0 takes any free one.
        ready: called with the port once connections are taken.
        about: what the log says of the start besides the port.
        head_seconds: for a connection to bring the whole head of a request; who does not is cut off.

    Raises:
        ConfigurationError: the port cannot be had.
    """

    class Connection(_Connection):  # uvicorn makes one for each
        patience_seconds = head_seconds

    with _listening(port) as listener:
        port = listener.getsockname()[1]

        def started() -> None:
            log.info("web.started", extra={"port": port, **about})
            ready(port)

        config = uvicorn.Config(
            asgi,
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # pages count the proxies themselves
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = _Server(config, stopping, started)
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


class _Connection(HttpToolsProtocol):
    """
    One connection, cut off when it does not bring the whole head of a request in time and within bounds.

    uvicorn itself waits for the first request, and for the end of any head, for ever, and takes heads of any
    size. How many requests are under way is bounded elsewhere (`web.frame`): uvicorn would count connections.
    """

    patience_seconds: float
    _patience: asyncio.TimerHandle | None = None
    _head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self._patience is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()
        super().data_received(data)
        if self._patience is not None:
            self._head_size += len(data)
            if self._head_size > LARGEST_HEAD:
                self.transport.close()

    def on_headers_complete(self) -> None:
        self._forget_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_size = 0
        self._patience = self.loop.call_later(self.patience_seconds, self.timeout_keep_alive_handler)

    def _forget_head(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("0.0.0.0", port), backlog=2048)  # noqa: S104 - platforms route to any interface
    except OSError as error:
        raise ConfigurationError(
            f"port {port} cannot be listened on: {error.strerror}",
            hint="Set PORT to a free port above 1023, or stop what uses this one",
        ) from error
