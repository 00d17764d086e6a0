"""What of the client no letter shows: `test_sendgrid` has the rest, over a server that breaks off at any point."""

import logging
import re
import socket
import threading
from itertools import chain

import pytest

from followup.mail.http import Failure, Http, Request
from tests.local_sendgrid import LocalSendGrid


@pytest.fixture
def server():
    with LocalSendGrid() as server:
        yield server


def test_an_answer_without_end_is_kept_within_bounds():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def flood():
            client, _ = listener.accept()
            with client:
                client.recv(10_000)
                client.sendall(
                    b"HTTP/1.1 202 OK\r\n" + b"X-%d: y\r\n" * 200 % tuple(range(200)) + b"\r\n" + b"z" * 300_000
                )

        thread = threading.Thread(target=flood)
        thread.start()
        http = Http(deadline_seconds=5)
        response = http.ask(Request(f"http://127.0.0.1:{listener.getsockname()[1]}", (), b"x"))
        http.close()
        thread.join()

    assert (response.status, len(response.body)) == (202, 65_536)
    assert len(response.headers) == 64


def test_a_request_shows_no_secret_when_it_is_printed():
    assert not re.search("secret", repr(Request("http://x.example", ("Authorization: secret",), b"secret")))


def test_a_failure_of_our_own_client_is_an_answer_too(server, caplog):
    http = Http()
    requests = [("bad", Request(server.url, ("a\0b",), b"x")), ("next", Request(server.url, (), b"x"))]

    with caplog.at_level(logging.ERROR):
        outcomes = dict(chain.from_iterable(http.exchange(requests)))

    assert all(isinstance(one, Failure) and not one.began for one in outcomes.values())
    assert outcomes.keys() == {"bad", "next"}
    assert server.ledger == []
