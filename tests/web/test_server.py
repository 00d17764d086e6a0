"""The server: it takes connections, ends when it is told to, and leaves signals alone."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.request import urlopen

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from followup.errors import ConfigurationError
from followup.web.server import serve

HELLO = Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))])


@contextmanager
def served(site: Starlette, **more: Any) -> Iterator[tuple[int, threading.Event]]:
    """Yield the port of a running server and what stops it."""
    stopping, listening = threading.Event(), threading.Event()
    ports: list[int] = []

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    with ThreadPoolExecutor(1) as beside:
        serving = beside.submit(serve, site, port=0, stopping=stopping, ready=ready, **more)
        serving.add_done_callback(lambda _: listening.set())
        assert listening.wait(20)
        try:
            yield ports[0], stopping
        finally:
            stopping.set()
            serving.result(20)


def test_it_answers_and_names_no_server() -> None:
    with served(HELLO) as (port, _), urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
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


def connected(port: int, held: ExitStack) -> socket.socket:
    return held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))


def test_connections_that_ask_nothing_keep_nobody_out() -> None:
    with served(HELLO) as (port, _), ExitStack() as held:
        for _ in range(300):
            connected(port, held)
        with urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            assert answer.read() == b"hello"


def until_hello(line: socket.socket) -> bool:
    """Read an answer to its last word; tell whether that came before the end."""
    said = b""
    while not said.endswith(b"hello"):
        if not (piece := line.recv(4_000)):
            return False
        said += piece
    return True


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["at once", "after another"])
def test_who_sends_no_whole_request_is_cut_off(before: bytes, sent: bytes) -> None:
    with served(HELLO, head_seconds=0.2) as (port, _), ExitStack() as held:
        line = connected(port, held)
        line.sendall(before)
        if before:
            assert until_hello(line)
            line.sendall(sent or b"\r\n")
        else:
            line.sendall(sent)
        assert line.recv(4_000) == b""


def test_who_sends_a_head_without_end_is_cut_off() -> None:
    with served(HELLO) as (port, _), ExitStack() as held:
        line = connected(port, held)
        with pytest.raises(ConnectionError):
            line.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000_000)


def test_who_sends_the_body_later_is_waited_for() -> None:
    came = threading.Event()

    async def echo(request: Request) -> PlainTextResponse:
        came.set()
        return PlainTextResponse(await request.body())

    site = Starlette(routes=[Route("/", echo, methods=["POST"])])
    with served(site, head_seconds=0.2) as (port, _), ExitStack() as held:
        slow, silent = connected(port, held), connected(port, held)
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        assert came.wait(10)
        assert silent.recv(1) == b"", "this one was cut off, and it came later"
        slow.sendall(b"hello")
        assert until_hello(slow)


def test_a_connection_may_rest_between_two_requests() -> None:
    with served(HELLO, head_seconds=0.2) as (port, _), ExitStack() as held:
        line = connected(port, held)
        for _ in range(2):
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert until_hello(line)
            assert connected(port, held).recv(1) == b"", "so much time has passed"


def test_the_start_is_in_the_log_with_what_the_caller_knows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "followup")
    with served(HELLO, about={"mode": "test"}) as (port, _):
        pass
    (started,) = [record for record in caplog.records if record.message == "web.started"]
    assert (vars(started)["port"], vars(started)["mode"]) == (port, "test")
