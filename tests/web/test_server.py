"""The server: it takes connections, ends when it is told to, and leaves signals alone."""

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.request import urlopen

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from followup.errors import ConfigurationError
from followup.web.server import serve


@contextmanager
def served(site: Starlette) -> Iterator[tuple[int, threading.Event]]:
    """Yield the port of a running server and what stops it."""
    stopping, listening = threading.Event(), threading.Event()
    ports: list[int] = []

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    with ThreadPoolExecutor(1) as beside:
        serving = beside.submit(serve, site, port=0, stopping=stopping, ready=ready)
        serving.add_done_callback(lambda _: listening.set())
        assert listening.wait(20)
        try:
            yield ports[0], stopping
        finally:
            stopping.set()
            serving.result(20)


def test_it_answers_and_names_no_server() -> None:
    site = Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))])
    with served(site) as (port, _), urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        assert answer.read() == b"hello"
        assert "server" not in answer.headers


def test_a_request_under_way_is_answered_before_it_ends() -> None:
    came, go_on = threading.Event(), threading.Event()

    def slow(_: Request) -> PlainTextResponse:
        came.set()
        assert go_on.wait(10)
        return PlainTextResponse("done")

    with served(Starlette(routes=[Route("/", slow)])) as (port, stopping), ThreadPoolExecutor(1) as beside:
        asking = beside.submit(lambda: urlopen(f"http://127.0.0.1:{port}/", timeout=10).read())
        assert came.wait(10)
        stopping.set()
        go_on.set()
        assert asking.result(10) == b"done"


def test_no_signal_handler_is_installed_even_in_the_main_thread() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    during: list[object] = []
    stopping = threading.Event()

    def ready(_: int) -> None:
        during.extend(signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT))
        stopping.set()

    serve(Starlette(), port=0, stopping=stopping, ready=ready)
    assert during == before


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} cannot be listened on") as refused:
            serve(Starlette(), port=port, stopping=threading.Event())
    assert "PORT" in refused.value.hint
