"""The server: HTTP/1.1 by hand, a thread for each connection, so that it can misbehave byte by byte."""

import json
import random
import socket
import ssl
import struct
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO

from tests.local_sendgrid.behaviour import ACCEPTING, CLOSING, SILENT, Behaviour, answer, errors, http
from tests.local_sendgrid.hooks import Signer, events_for, post_events
from tests.local_sendgrid.limits import broken

Decide = Callable[["Entry"], Behaviour | None]


@dataclass(frozen=True, slots=True)
class Head:
    """A request up to its body."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass(slots=True)
class Entry:
    """A request as it came, and what was done with it. ``accepted`` says whether the mail would leave."""

    number: int
    connection: int
    at: float
    body: bytes = field(default=b"", repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    behaviour: Behaviour = Behaviour.ACCEPT
    problems: tuple[str, ...] = ()
    accepted: bool = False
    provider_id: str = ""

    @property
    def to(self) -> str:
        groups = self.payload.get("personalizations") or [{}]
        return str((groups[0].get("to") or [{}])[0].get("email", ""))

    @property
    def subject(self) -> str:
        return str(self.payload.get("subject", ""))

    @property
    def custom_args(self) -> dict[str, str]:
        return dict(self.payload.get("custom_args", {}))

    @property
    def token(self) -> str | None:
        return self.custom_args.get("fu_token")


class LocalSendGrid:
    """
    A SendGrid on a port of this machine, from ``with`` to its end.

    What happens to a letter is decided by the first of these that says something: `script` (one behaviour
    for each request to come), the recipient's local part (``hang@…``), *decide*, `default`. A key that is
    wrong, or a letter that breaks a limit, is refused before any of them but the script.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str = "SG.local",
        default: Behaviour = Behaviour.ACCEPT,
        decide: Decide | None = None,
        latency_seconds: float = 0,
        drip_seconds: float = 1,
        scopes: Iterable[str] = ("mail.send",),
        tls: ssl.SSLContext | None = None,
        signer: Signer | None = None,
        on_entry: Callable[[Entry], None] | None = None,
    ) -> None:
        self.api_key, self.default, self.scopes = api_key, default, tuple(scopes)
        self.latency_seconds, self.drip_seconds = latency_seconds, drip_seconds
        self.signer = signer or Signer()
        self.connections = 0
        self.most_at_once = 0
        self._decide, self._tls, self._on_entry = decide, tls, on_entry
        self._script: deque[Behaviour] = deque()
        self._ledger: list[Entry] = []
        self._at_once = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._closed: set[int] = set()
        self._closing = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    @property
    def ledger(self) -> list[Entry]:
        """Return every letter that came so far, refused ones too."""
        with self._lock:
            return list(self._ledger)

    @property
    def accepted(self) -> list[Entry]:
        """Return the letters that would leave."""
        return [entry for entry in self.ledger if entry.accepted]

    def script(self, *behaviours: Behaviour) -> None:
        """Do these with the next requests, one each, in the order in which they come."""
        with self._lock:
            self._script.extend(behaviours)

    def start(self) -> "LocalSendGrid":
        self._run(self._accept)
        return self

    def stop(self) -> None:
        """Close everything and wait for every thread."""
        self._stopping.set()
        with self._lock:
            doomed = [self._listener, *self._open]
        for one in doomed:
            _shut(one)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def until_closed(self, connection: int) -> None:
        """Wait until the server has closed its end of *connection*, the first being 1."""
        with self._closing:
            assert self._closing.wait_for(lambda: connection in self._closed, timeout=10)

    def wait(self) -> None:
        """Return when somebody stops the server."""
        self._stopping.wait()

    def __enter__(self) -> "LocalSendGrid":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                number = self.connections
            self._run(self._serve, client, number)

    def _serve(self, client: socket.socket, number: int) -> None:
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            with self._lock:
                self._open.add(client)
            with client.makefile("rb") as stream:
                while not self._stopping.is_set() and self._answer_one(client, stream, number):
                    pass
        except OSError:
            pass  # the other side went away, or we are stopping
        finally:
            with self._lock:
                self._open.discard(client)
            _shut(client)
            client.close()
            with self._closing:
                self._closed.add(number)
                self._closing.notify_all()

    def _answer_one(self, client: socket.socket, stream: BinaryIO, connection: int) -> bool:
        """Deal with one request; tell whether the connection goes on."""
        head = _read_head(stream)
        if head is None:
            return False
        if head.path != "/v3/mail/send":
            client.sendall(self._other(head))
            return True
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return self._letter(client, stream, connection, head)
        finally:
            with self._lock:
                self._at_once -= 1

    def _other(self, head: Head) -> bytes:
        if (head.method, head.path) != ("GET", "/v3/scopes"):
            return http(404, {}, errors([("not found", None)]))
        with self._lock:
            scripted = self._script.popleft() if self._script else None
        if scripted:
            return answer(scripted, "")
        if not self._knows(head):
            return answer(Behaviour.UNAUTHORIZED, "")
        return http(200, {}, json.dumps({"scopes": self.scopes}).encode())

    def _letter(self, client: socket.socket, stream: BinaryIO, connection: int, head: Head) -> bool:
        with self._lock:
            entry = Entry(len(self._ledger) + 1, connection, time.time(), headers=head.headers)
            scripted = self._script.popleft() if self._script else None
            self._ledger.append(entry)
        if scripted is Behaviour.BREAK_BEFORE:
            entry.behaviour = scripted
            return False
        entry.body = stream.read(int(head.headers.get("content-length", "0")))
        found = broken(entry.body)
        if not found:
            entry.payload = json.loads(entry.body)
        entry.problems = tuple(said for said, _ in found)
        self._settle(entry, scripted, head)
        if self.latency_seconds:
            self._stopping.wait(self.latency_seconds)
        said = http(400, {}, errors(found)) if found and not scripted else answer(entry.behaviour, entry.provider_id)
        if self._on_entry:
            self._on_entry(entry)
        return self._say(client, entry.behaviour, said)

    def _settle(self, entry: Entry, scripted: Behaviour | None, head: Head) -> None:
        """Decide what becomes of *entry*, and write it down before anything is answered."""
        with self._lock:
            if scripted:
                entry.behaviour = scripted
            elif not self._knows(head):
                entry.behaviour = Behaviour.UNAUTHORIZED
            elif entry.problems:
                entry.behaviour = Behaviour.REFUSE
            else:
                entry.behaviour = _named(entry.to) or (self._decide and self._decide(entry)) or self.default
            entry.accepted = entry.behaviour in ACCEPTING and not entry.problems
            entry.provider_id = uuid.uuid4().hex[:22]

    def _knows(self, head: Head) -> bool:
        return head.headers.get("authorization") == f"Bearer {self.api_key}"

    def _say(self, client: socket.socket, behaviour: Behaviour, said: bytes) -> bool:
        if behaviour is Behaviour.RESET:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        elif behaviour in (Behaviour.HANG, Behaviour.ACCEPT_THEN_HANG):
            client.recv(1)  # until the other side gives up, or stop() shuts the socket
        elif behaviour is Behaviour.ACCEPT_SLOWLY:
            for place in range(len(said)):
                if self._stopping.wait(self.drip_seconds):
                    break
                client.sendall(said[place : place + 1])
        elif behaviour not in SILENT:
            client.sendall(said)
        return behaviour not in SILENT | CLOSING


class EventSender:
    """
    Posts ``processed`` and ``delivered`` for every accepted letter it is told of, in batches, as SendGrid does.

    With *chaos*, a seeded source of randomness, events come twice and out of order as well.
    """

    def __init__(self, url: str, signer: Signer, *, chaos: random.Random | None = None) -> None:
        self.posted: list[tuple[int, int]] = []  # (events, status; 0: nobody answered)
        self._url, self._signer, self._chaos = url, signer, chaos
        self._accepted: list[Entry] = []
        self._news = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def tell(self, entry: Entry) -> None:
        """Take note of *entry*; give it to `LocalSendGrid` as ``on_entry``."""
        if entry.accepted:
            with self._news:
                self._accepted.append(entry)
                self._news.notify()

    def stop(self) -> None:
        """Post what is left, and end."""
        with self._news:
            self._stopping = True
            self._news.notify()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._accepted or self._stopping)
                batch, self._accepted = self._accepted, []
                if not batch:
                    return
            events = [event for entry in batch for event in events_for(entry, "processed", "delivered")]
            if self._chaos:
                events += self._chaos.sample(events, len(events) // 3)
                self._chaos.shuffle(events)
            try:
                status = post_events(self._url, events, self._signer)
            except OSError:
                status = 0
            self.posted.append((len(events), status))


def _named(address: str) -> Behaviour | None:
    """Return the behaviour that a recipient is called by, as in ``hang@…`` or ``hang+2@…``."""
    name = address.partition("@")[0].partition("+")[0].lower()
    return Behaviour(name) if name in {one.value for one in Behaviour} else None


def _read_head(stream: BinaryIO) -> Head | None:
    first = stream.readline(8192).split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while (line := stream.readline(65_536)) not in (b"\r\n", b"\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return Head(first[0].decode(), first[1].decode(), headers)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):  # it is gone already
        one.shutdown(socket.SHUT_RDWR)
