"""
HTTP for what must not happen twice: many requests in flight, one deadline each, and no second POST.

libcurl repeats a request by itself, a POST included, when a kept-alive connection dies before a byte of
the answer came. To a provider of mail that is a second letter. So a body is handed out through a callback
that cannot be rewound: libcurl gives up instead, and we say that nobody knows. The same callback tells
what is safe: of a request whose body was never asked for, the server cannot have had one.
"""

import logging
import select
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeVar
from urllib.parse import urlsplit

import certifi
import pycurl

from followup.errors import ConfigurationError
from followup.failpoints import reach
from followup.mail.headers import one_line
from followup.mail.transport import NOT_BEGUN, always

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 12.0  # services.deliver.NO_LATER counts on it
CONNECT_SECONDS = 5.0
IN_FLIGHT = 32
LINGER_SECONDS = 0.2  # that an answer waits for others at most
BODY_BYTES = 65_536  # of an answer; the rest is read and dropped
HEADERS_KEPT = 64
IDLE_SECONDS = 50  # a connection that rested longer is not used again: most balancers drop them after 60

_MEANINGS = {
    pycurl.E_SEND_FAIL_REWIND: "the connection ended before an answer came",
    pycurl.E_GOT_NOTHING: "the connection ended before an answer came",
    pycurl.E_UNSUPPORTED_PROTOCOL: "what came back is not HTTP",
    pycurl.E_PARTIAL_FILE: "the answer broke off",
    pycurl.E_ABORTED_BY_CALLBACK: NOT_BEGUN,
}

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Request:
    """
    A request: a POST of ``body``, which is never empty, or without one a GET.

    ``headers`` are whole lines, ``Name: value``.
    """

    url: str
    headers: tuple[str, ...] = field(default=(), repr=False)  # a key is among them
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that came whole: header names in lower case, at most ``BODY_BYTES`` of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer, or none that came whole. If not ``began``, no byte of the body left, and none ever will."""

    reason: str
    began: bool


class Http:
    """
    A client that several threads may use at once, over connections that stay open between calls.

    It follows no redirect, asks no proxy, verifies TLS, and gives each request ``deadline_seconds`` from the
    name look-up to the answer's last byte.
    """

    def __init__(
        self,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._connect_seconds = min(connect_seconds, deadline_seconds)
        self._in_flight = in_flight
        self._resting: list[_Exchange] = []  # append and pop are atomic; the last used is the first taken

    def exchange(
        self, requests: Iterable[tuple[Key, Request]], *, may_begin: Callable[[], bool] = always
    ) -> Iterator[list[tuple[Key, Response | Failure]]]:
        """
        Send each of *requests* once and yield what became of them, under their keys, as it comes.

        What is done waits for others a moment, so that a few are dealt with together.

        Args:
            may_begin: asked right before each body begins to leave; when it says no, that one stays.
        """
        exchange = self._borrow()
        try:
            yield from exchange.run(deque(requests), may_begin)
        except BaseException:  # the caller stopped early, perhaps: what is on its way breaks off
            exchange.close()
            raise
        if exchange.broken:
            exchange.close()
        else:
            self._resting.append(exchange)

    def ask(self, request: Request) -> Response | Failure:
        """Send one request and return what became of it."""
        ((_, outcome),) = chain.from_iterable(self.exchange([(None, request)]))
        return outcome

    def close(self) -> None:
        """Close the connections that no call is using."""
        while self._resting:
            self._resting.pop().close()

    def _borrow(self) -> "_Exchange":
        try:
            return self._resting.pop()
        except IndexError:
            return _Exchange(self._deadline_seconds, self._connect_seconds, self._in_flight)


class _Exchange:
    """One libcurl multi handle: the connections that one call uses at a time, and its transfers."""

    def __init__(self, deadline_seconds: float, connect_seconds: float, in_flight: int) -> None:
        self.broken = False
        self._sockets: dict[int, int] = {}  # the descriptor that belonged to a local port
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, in_flight)
        self._idle = [_Transfer(self._sockets, deadline_seconds, connect_seconds) for _ in range(in_flight)]
        self._busy: dict[pycurl.Curl, tuple[Any, _Transfer]] = {}

    def run(
        self, waiting: deque[tuple[Key, Request]], may_begin: Callable[[], bool]
    ) -> Iterator[list[tuple[Key, Response | Failure]]]:
        """Yield what became of each; what libcurl or we ourselves fail at is a failure of every request left."""
        done: list[tuple[Key, Response | Failure]] = []
        since = 0.0  # when the first of them was done
        try:
            while waiting or self._busy:
                while waiting and self._idle:
                    key, request = waiting.popleft()
                    if may_begin():
                        self._begin(key, request, may_begin)
                    else:
                        done.append((key, Failure(NOT_BEGUN, began=False)))
                self._multi.perform()
                before = len(done)
                done += self._finished()
                if len(done) > before:
                    reach("http.answer")
                since = since if before else time.monotonic()
                if done and (not self._busy or time.monotonic() - since >= LINGER_SECONDS):
                    together, done = done, []
                    yield together
        except Exception as error:  # a bug of ours must not cost anyone the difference between "no" and "unknown"
            log.exception("http.broken")
            self.broken = True
            reason = f"{type(error).__name__} in the HTTP client; see the log"
            done += [(key, Failure(reason, transfer.began)) for key, transfer in self._busy.values()]
            done += [(key, Failure(reason, began=False)) for key, _ in waiting]
        if done:
            yield done

    def close(self) -> None:
        for _, transfer in self._busy.values():
            with suppress(pycurl.error):  # it was never added, where adding it is what failed
                self._multi.remove_handle(transfer.curl)
            transfer.curl.close()
        for transfer in self._idle:
            transfer.curl.close()
        self._multi.close()

    def _begin(self, key: Any, request: Request, may_begin: Callable[[], bool]) -> None:
        transfer = self._idle.pop()
        self._busy[transfer.curl] = key, transfer
        transfer.prepare(request, may_begin)
        self._multi.add_handle(transfer.curl)

    def _finished(self) -> Iterator[tuple[Any, Response | Failure]]:
        """Yield what is done, after waiting for it a little where nothing is."""
        _, succeeded, failed = self._multi.info_read(len(self._busy) or 1)
        for curl in succeeded:
            yield self._take(curl, None)
        for curl, code, text in failed:
            transfer = self._busy[curl][1]
            if transfer.met_a_dead_connection:  # nothing left, so it is not a second time
                self._multi.remove_handle(curl)
                transfer.start_over()
                self._multi.add_handle(curl)
            else:
                yield self._take(curl, _explained(code, text))
        if not succeeded and not failed and self._busy:
            next_timer = self._multi.timeout()  # milliseconds; negative: none
            if self._multi.select(min(next_timer / 1000, LINGER_SECONDS) if next_timer >= 0 else LINGER_SECONDS) == 0:
                time.sleep(0.001)  # select() cannot wait for descriptors from 1024 on, and returns at once

    def _take(self, curl: pycurl.Curl, problem: str | None) -> tuple[Any, Response | Failure]:
        key, transfer = self._busy.pop(curl)
        outcome = transfer.outcome() if problem is None else Failure(problem, transfer.began)
        self._multi.remove_handle(curl)
        self._idle.append(transfer)
        return key, outcome


class _Transfer:
    """One request at a time on a libcurl handle of its own."""

    def __init__(self, sockets: dict[int, int], deadline_seconds: float, connect_seconds: float) -> None:
        self._sockets = sockets
        self._body: bytes = b""
        self._given = 0
        self._may_begin: Callable[[], bool] = always
        self._fresh = False
        self.met_a_dead_connection = False
        self._headers: dict[str, str] = {}
        self._headers_ended = False
        self._answer = bytearray()
        self.curl = curl = pycurl.Curl()
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROXY, ""),  # and none from the environment
            (pycurl.TIMEOUT_MS, max(1, int(deadline_seconds * 1000))),
            (pycurl.CONNECTTIMEOUT_MS, max(1, int(connect_seconds * 1000))),
            (pycurl.MAXAGE_CONN, IDLE_SECONDS),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.CAINFO, certificates()),
            (pycurl.READFUNCTION, self._hand_out),
            (pycurl.HEADERFUNCTION, self._take_header),
            (pycurl.WRITEFUNCTION, self._take_body),
            (pycurl.PREREQFUNCTION, self._look_at_connection),
        ):
            curl.setopt(option, value)

    @property
    def began(self) -> bool:
        """Tell whether a byte of the body may have left. A GET has none to tell by."""
        return self._given > 0 or not self._body

    def prepare(self, request: Request, may_begin: Callable[[], bool]) -> None:
        self._body, self._may_begin = request.body or b"", may_begin
        self.curl.setopt(pycurl.URL, request.url)
        self.curl.setopt(pycurl.HTTPHEADER, [*request.headers, "Expect:"])
        if request.body is None:
            self.curl.setopt(pycurl.HTTPGET, 1)
        else:
            self.curl.setopt(pycurl.POST, 1)
            self.curl.setopt(pycurl.POSTFIELDSIZE_LARGE, len(request.body))
        self._reset(fresh=False)

    def start_over(self) -> None:
        """Take a connection of one's own for a request of which nothing left."""
        assert not self._given
        self._reset(fresh=True)

    def outcome(self) -> Response | Failure:
        """Return the answer, while the handle still holds its connection, and keep in mind which that was."""
        if not self._headers_ended:  # libcurl lets it pass
            return Failure(_MEANINGS[pycurl.E_PARTIAL_FILE], self.began)
        if (descriptor := self.curl.getinfo(pycurl.ACTIVESOCKET)) >= 0:
            self._sockets[self.curl.getinfo(pycurl.LOCAL_PORT)] = descriptor
        return Response(self.curl.getinfo(pycurl.RESPONSE_CODE), dict(self._headers), bytes(self._answer))

    def _reset(self, *, fresh: bool) -> None:
        self._given = 0
        self._fresh, self.met_a_dead_connection = fresh, False
        self._headers, self._headers_ended, self._answer = {}, False, bytearray()
        self.curl.setopt(pycurl.FRESH_CONNECT, int(fresh))

    def _look_at_connection(self, _ip: str, _local_ip: str, _port: int, local_port: int) -> int:
        """
        Say whether the connection is fit for a request that is about to leave.

        libcurl looks once a second at most whether a server has closed a resting connection. A letter given
        to a closed one would be unknown for good.
        """
        resting = None if self._fresh else self._sockets.get(local_port)
        if resting is not None and _has_news(resting):
            self.met_a_dead_connection = True
            return int(pycurl.PREREQFUNC_ABORT)
        return int(pycurl.PREREQFUNC_OK)

    def _hand_out(self, size: int) -> bytes | int:
        if not self._given:
            if not self._may_begin():
                return int(pycurl.READFUNC_ABORT)
            reach("http.request")
        chunk = self._body[self._given : self._given + size]
        self._given += len(chunk)
        return chunk

    def _take_header(self, line: bytes) -> None:
        if line.startswith(b"HTTP/"):  # after an interim answer, such as 100, comes another
            self._headers, self._headers_ended = {}, False
        elif line in (b"\r\n", b"\n"):
            self._headers_ended = True
        elif not self._headers_ended and len(self._headers) < HEADERS_KEPT:
            name, _, value = line.decode("latin-1").partition(":")
            self._headers[name.strip().lower()] = value.strip()

    def _take_body(self, chunk: bytes) -> None:
        self._answer += chunk[: BODY_BYTES - len(self._answer)]


def _has_news(descriptor: int) -> bool:
    """Tell whether something came, or the end, on a connection on which nothing is asked."""
    if not hasattr(select, "poll"):  # Windows: libcurl's own look has to do
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _explained(code: int, text: str) -> str:
    return _MEANINGS.get(code) or one_line(text, 200) or f"libcurl error {code}"


def certificates() -> str:
    """Return the file of certificates we trust: SSL_CERT_FILE, the system's, or else certifi's."""
    return ssl.get_default_verify_paths().cafile or certifi.where()


def shown(url: str) -> str:
    """
    Return what may be shown of *url*: scheme, host and port. Paths are secrets too, with many a web hook.

    Raises:
        ConfigurationError: it is not a URL of http or https.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https") or any(c.isspace() or ord(c) < 32 for c in url):
        raise ConfigurationError(
            "the URL to post to is not one of http or https", hint="Such as https://host.example/path"
        )
    place = f"[{host}]" if ":" in host else host  # IPv6
    return f"{parts.scheme}://{place}{f':{port}' if port else ''}"
