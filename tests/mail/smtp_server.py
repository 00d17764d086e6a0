"""An SMTP server that speaks enough of RFC 5321 to take mail, and to refuse it or break off at any point."""

import base64
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress

BREAK = "BREAK"  # the connection ends without an answer
HANG = "HANG"
DRIP = "DRIP"  # an answer that never ends, a byte at a time
SAID = {
    "GREETING": "220 local",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "END": "250 2.0.0 ok",
    "RSET": "250 ok",
    "QUIT": "221 bye",
    "STARTTLS": "220 go on",
}


class SmtpServer:
    """
    A server on a port of this machine, from ``with`` to its end.

    *says* replaces its answers: by command, ``GREETING`` and ``END`` (after the dot) being two more, by
    ``RCPT joan@x.example`` for one recipient, or by ``EHLO`` the list of what it can. A list of answers is
    given one by one, and after the last come the usual ones.
    """

    def __init__(
        self,
        says: Mapping[str, str | list[str]] | None = None,
        *,
        users=None,
        tls=None,
        implicit=False,
        latency_seconds=0,
    ):
        self.says = {key: list(value) if isinstance(value, list) else value for key, value in (says or {}).items()}
        self.users, self.tls, self.implicit = users or {}, tls, implicit
        self.latency_seconds = latency_seconds  # of the answer to a letter
        self.letters: list[tuple[str, str, bytes]] = []  # from, to, content, of what was taken whole
        self.commands: list[str] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self):
        self._run(self._accept)
        return self

    def __exit__(self, *_):
        for one in [self._listener, *self._open]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _run(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._run(self._serve, client)

    def _serve(self, client):
        self._open.append(client)
        with suppress(OSError, EOFError):
            if self.implicit:
                client = self._encrypted(client)
            _Talk(self, client).run()
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        client.close()

    def _encrypted(self, client):
        client = self.tls.wrap_socket(client, server_side=True)
        self._open.append(client)
        return client

    def answer(self, *keys):
        """Return what is said to the first of *keys* that something is scripted for."""
        for key in keys:
            said = self.says.get(key)
            if isinstance(said, list):
                said = said.pop(0) if said else None
            if said is not None:
                return said
        return SAID.get(keys[-1], "500 what")


class _Talk:
    def __init__(self, server, client):
        self.server, self.client = server, client
        self.stream = client.makefile("rb")
        self.sender = self.recipient = ""
        self.encrypted = server.implicit

    def run(self):
        try:
            self.say(self.server.answer("GREETING"))
            while line := self.stream.readline().decode().rstrip("\r\n"):
                command, _, argument = line.partition(" ")
                self.server.commands.append(command.upper())
                self.obey(command.upper(), argument)
        finally:
            self.stream.close()
            self.client.close()

    def obey(self, command, argument):
        match command:
            case "EHLO":
                can = self.server.says.get("EHLO", ["AUTH PLAIN LOGIN"] if self.server.users else [])
                offers = ["local", *can, *(["STARTTLS"] if self.server.tls and not self.encrypted else [])]
                self.say("\r\n".join(f"250{'-' if n < len(offers) else ' '}{one}" for n, one in enumerate(offers, 1)))
            case "STARTTLS":
                self.say(answer := self.server.answer("STARTTLS"))
                if answer.startswith("220"):
                    self.stream.close()
                    self.client = self.server._encrypted(self.client)
                    self.stream, self.encrypted = self.client.makefile("rb"), True
            case "AUTH":
                self.log_in(*argument.split())
            case "MAIL":
                self.sender = argument.removeprefix("FROM:<").removesuffix(">")
                self.say(self.server.answer("MAIL"))
            case "RCPT":
                self.recipient = argument.removeprefix("TO:<").removesuffix(">")
                self.say(self.server.answer(f"RCPT {self.recipient}", "RCPT"))
            case "DATA":
                self.say(answer := self.server.answer("DATA"))
                if answer.startswith("354"):
                    self.read()
            case known:
                self.say(self.server.answer(known))
                if known == "QUIT":
                    raise EOFError

    def log_in(self, method, given=None):
        if method == "CRAM-MD5":
            self.say("504 not known after all")
            return
        if method == "PLAIN":
            _, user, password = base64.b64decode(given).decode().split("\0")
        else:
            user = base64.b64decode(given or self.ask("VXNlcm5hbWU6")).decode()
            password = base64.b64decode(self.ask("UGFzc3dvcmQ6")).decode()
        self.say(self.server.answer("AUTH") if "AUTH" in self.server.says else (
            "235 welcome" if self.server.users.get(user) == password else "535 5.7.8 no"
        ))  # fmt: skip

    def ask(self, question):
        self.say(f"334 {question}")
        return self.stream.readline()

    def read(self):
        content = b""
        while (line := self.stream.readline()) != b".\r\n":
            if not line:
                raise EOFError
            content += line[1:] if line.startswith(b".") else line
        threading.Event().wait(self.server.latency_seconds)
        answer = self.server.answer("END")
        if answer.startswith("2") or answer in (BREAK, HANG, DRIP):
            self.server.letters.append((self.sender, self.recipient, content))
        self.say(answer)

    def say(self, answer):
        if answer == BREAK:
            raise EOFError
        while answer == DRIP:
            self.client.sendall(b"2")
            threading.Event().wait(0.02)
        if answer == HANG:
            self.stream.readline()
            raise EOFError
        self.client.sendall(answer.encode() + (b"" if answer.endswith("~") else b"\r\n"))
        if answer.endswith("~"):  # a line that breaks off
            raise EOFError
