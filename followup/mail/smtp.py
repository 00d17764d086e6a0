"""
Mail over SMTP (RFC 5321), to a server that takes submissions.

A letter has left once the line with the single dot has: before it no server may keep what came, after it
only the server's answer says whether it did.
"""

import logging
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from followup.clock import Clock
from followup.core.message import Accepted, Answer, Cause, Misconfigured, Rejected, RetrySafe, Unknown
from followup.errors import ConfigurationError
from followup.failpoints import reach
from followup.mail.http import CONNECT_SECONDS, DEADLINE_SECONDS, certificates
from followup.mail.message import OutgoingMail, to_bytes
from followup.mail.reasons import fit
from followup.mail.transport import NOT_BEGUN, Answered, Check

log = logging.getLogger(__name__)

AFTER_A_BUG = timedelta(hours=1)
GOODBYE_SECONDS = 2.0

_OWN_HOST = frozenset({"localhost", "127.0.0.1", "::1"})
_LOGIN_WANTED = frozenset({530, 534, 535, 538})  # RFC 4954, 6: whichever letter it is about, all will meet it
_MORE = 354  # the answer to DATA
_LEFT_OUT = "nothing was handed over"


class Tls(Enum):
    STARTTLS = "starttls"  # demanded, never only hoped for
    IMPLICIT = "implicit"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Server:
    """Where an SMTP URL leads."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


def parse_server(url: str) -> Server:
    """
    Read ``smtp://USER:PASSWORD@HOST:587`` or ``smtps://USER:PASSWORD@HOST:465``.

    The first demands STARTTLS, unless the host is this machine or ``?tls=off`` follows.

    Raises:
        ConfigurationError: it is neither; the message shows nothing of the URL, which holds a password.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _not_a_server("is not a URL") from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme not in ("smtp", "smtps"):
        raise _not_a_server("begins with neither smtp:// nor smtps://")
    if not host or parts.path not in ("", "/") or parts.fragment:
        raise _not_a_server("names no host, or holds more than one")
    if query not in ({}, {"tls": "off"}) or (query and parts.scheme == "smtps"):
        raise _not_a_server("ends in a parameter that there is not; smtp:// takes tls=off")
    if (parts.username is None) != (parts.password is None):
        raise _not_a_server("holds a user without a password")
    encrypted = Tls.IMPLICIT if parts.scheme == "smtps" else Tls.STARTTLS
    tls = Tls.OFF if query or (encrypted is Tls.STARTTLS and host in _OWN_HOST) else encrypted
    user = unquote(parts.username) if parts.username else None
    return Server(host, port or (465 if tls is Tls.IMPLICIT else 587), tls, user, unquote(parts.password or ""))


def _not_a_server(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the SMTP server's URL {why}",
        hint="Such as smtp://USER:PASSWORD@smtp.example.com:587. In the password write @ as %40, / as %2F, # as %23,"
        " ? as %3F, : as %3A and % as %25",
    )


class Smtp:
    """
    A `mail.transport.Transport` over one connection per call, letter after letter.

    Several threads may use it at once. The provider id of a letter that was taken is its own token:
    SMTP has no name for it that every server gives.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        """
        Args:
            deadline_seconds: for opening the connection, and then for each letter.

        Raises:
            ConfigurationError: *url* is not one that `parse_server` takes.
        """
        self._server = parse_server(url)
        self._context = _context(self._server)
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._connect_seconds = min(connect_seconds, deadline_seconds)

    @property
    def name(self) -> str:
        return "smtp"

    def send(self, mails: Sequence[OutgoingMail], *, may_begin: Callable[[], bool]) -> Iterator[Answered]:
        """Hand over each of *mails* in turn; a connection that ends is opened again for the next."""
        connection: _Connection | None = None
        closed: Answer | None = None  # why there is no way in, which is asked for once
        try:
            for mail in mails:
                if connection is None and closed is None and may_begin():
                    connection, closed = self._opened()
                if closed is not None:
                    yield [(mail, closed)]
                elif connection is None or not may_begin():
                    yield [(mail, RetrySafe(self._clock.now(), NOT_BEGUN, Cause.KEPT))]
                else:
                    yield [(mail, self._handed_over(connection, mail))]
                    connection = connection if connection.sock else None
        finally:
            if connection is not None:
                connection.say_goodbye()

    def recover(self, mail: OutgoingMail) -> Answer:
        """Return ``Unknown``: no SMTP server can be asked about a letter."""
        return Unknown("the SMTP server's answer was lost")

    def _opened(self) -> "tuple[_Connection | None, Answer | None]":
        seconds = self._deadline_seconds
        try:
            return _open(self._server, self._context, seconds, connect_seconds=self._connect_seconds), None
        except _NoWayIn as error:
            return None, Misconfigured(error.reason) if error.is_ours else self._later(error.reason)
        except Exception as error:  # a bug of ours; nothing has left, and the letters need an answer each
            log.exception("smtp.broken")
            reason = f"{type(error).__name__} while connecting; see the log"
            return None, RetrySafe(self._clock.now() + AFTER_A_BUG, reason)

    def _handed_over(self, connection: "_Connection", mail: OutgoingMail) -> Answer:
        connection.begin(time.monotonic() + self._deadline_seconds)
        try:
            code, text = connection.hand_over(mail.from_email, mail.to_email, to_bytes(mail))
        except (OSError, ValueError, LookupError) as error:
            connection.close()
            return self._broken_off(error, ended=connection.ended)
        except Exception as error:  # a bug with one letter must not keep the others from leaving
            log.exception("smtp.broken", extra={"letter": mail.letter})
            connection.close()
            reason = f"{type(error).__name__} while the letter was handed over; see the log"
            return Unknown(reason) if connection.ended else RetrySafe(self._clock.now() + AFTER_A_BUG, reason)
        return self._said(connection, mail, code, fit(_text(text)))

    def _broken_off(self, error: OSError | ValueError | LookupError, *, ended: bool) -> Answer:
        if ended:
            return Unknown(f"no answer to a letter that was handed over: {fit(str(error))}")
        if isinstance(error, OSError):
            return self._later(f"the connection ended, {_LEFT_OUT}: {fit(str(error))}")
        return Rejected(f"the letter cannot be written as a mail: {fit(str(error))}")

    def _said(self, connection: "_Connection", mail: OutgoingMail, code: int, text: str) -> Answer:
        """Return what the server's last answer to *mail* means, and leave the connection fit for the next."""
        said = f"the SMTP server answered {code}: {text}"
        if connection.ended and 200 <= code < 300:
            return Accepted(mail.token)
        if 400 <= code < 600:
            connection.start_afresh(code)
            if code in _LOGIN_WANTED:
                return Misconfigured(f"{said}. FOLLOWUP_SMTP_URL needs a user, or encryption")
            return self._later(said) if code < 500 else Rejected(said)
        connection.close()  # it speaks something else; what it says next would be about another letter
        return Unknown(said) if connection.ended else self._later(f"{said}; {_LEFT_OUT}")

    def _later(self, reason: str) -> RetrySafe:
        return RetrySafe(self._clock.now(), reason)


def check(url: str, *, timeout_seconds: float = 10) -> Check:
    """
    Connect, encrypt and log in as for a letter, and say goodbye, which may take `GOODBYE_SECONDS` more.

    Raises:
        ConfigurationError: *url* is not one that `parse_server` takes.
    """
    server = parse_server(url)
    try:
        connection = _open(server, _context(server), timeout_seconds, connect_seconds=timeout_seconds)
    except _NoWayIn as error:
        correct = "Correct FOLLOWUP_SMTP_URL"
        return Check(error.reason, correct if error.is_ours else f"{correct}, or let this machine connect there")
    connection.say_goodbye()
    return Check()


class _NoWayIn(Exception):
    """No letter can be handed over there; ``is_ours`` when waiting does not help, because a setting is wrong."""

    def __init__(self, reason: str, *, is_ours: bool) -> None:
        super().__init__(reason)
        self.reason, self.is_ours = reason, is_ours


def _context(server: Server) -> ssl.SSLContext | None:
    return None if server.tls is Tls.OFF else ssl.create_default_context(cafile=certificates())


def _open(
    server: Server, context: ssl.SSLContext | None, deadline_seconds: float, *, connect_seconds: float
) -> "_Connection":
    """
    Return a connection that is ready for letters.

    Raises:
        _NoWayIn: there is none. The text holds nothing of the password.
    """
    connection = _Connection(time.monotonic() + deadline_seconds)
    try:
        connection.open(server, context, connect_seconds)
    except (OSError, UnicodeError) as error:  # every SMTPException is an OSError
        connection.close()
        raise _no_way_in(server.place, error) from error
    except Exception:
        connection.close()
        raise
    return connection


def _no_way_in(place: str, error: OSError | UnicodeError) -> _NoWayIn:
    match error:
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=text):
            said = f"{place} answered {code}: {fit(_text(text))}"
            if isinstance(error, smtplib.SMTPAuthenticationError) and code >= 500:
                return _NoWayIn(f"{said}. The user or the password in FOLLOWUP_SMTP_URL is wrong", is_ours=True)
            return _NoWayIn(said, is_ours=False)
        case smtplib.SMTPNotSupportedError():
            return _NoWayIn(f"{place}: {error}", is_ours=True)
        case UnicodeError():
            return _NoWayIn(f"{place}: host, user and password must be ASCII", is_ours=True)
    return _NoWayIn(f"no connection to {place}: {fit(str(error)) or type(error).__name__}", is_ours=False)


class _Connection(smtplib.SMTP):
    """A connection on which nothing waits beyond a deadline, however slowly the other side drips."""

    def __init__(self, deadline: float) -> None:
        super().__init__(local_hostname=_own_name())
        self._deadline = deadline
        self.ended = False  # whether the end of a letter may have left

    def open(self, server: Server, context: ssl.SSLContext | None, connect_seconds: float) -> None:
        """Connect, encrypt and log in as *server* asks."""
        reach("smtp.connect")
        self.sock = socket.create_connection((server.host, server.port), connect_seconds)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a letter's end goes by itself
        if context and server.tls is Tls.IMPLICIT:
            self._encrypt(context, server.host)
        code, text = self.getreply()
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        self.ehlo_or_helo_if_needed()
        if context and server.tls is Tls.STARTTLS:
            if not self.has_extn("starttls"):
                raise smtplib.SMTPNotSupportedError("the server offers no STARTTLS; ?tls=off would do without")
            code, text = self.docmd("STARTTLS")
            if code != 220:
                raise smtplib.SMTPResponseException(code, text)
            self._encrypt(context, server.host)
            self.ehlo_or_helo_if_needed()
        if server.user is not None:
            self._log_in(server.user, server.password)

    def begin(self, deadline: float) -> None:
        self._deadline, self.ended = deadline, False

    def hand_over(self, sender: str, recipient: str, content: bytes) -> tuple[int, bytes]:
        """Hand over *content*, lines ending in CRLF; return the first refusal, or the answer to the whole."""
        for command, argument in (("MAIL", f"FROM:<{sender}>"), ("RCPT", f"TO:<{recipient}>"), ("DATA", "")):
            code, text = self.docmd(command, argument)
            if not (code == _MORE if command == "DATA" else 200 <= code < 300):
                return code, text
        stuffed = content.replace(b"\r\n.", b"\r\n..")  # RFC 5321, 4.5.2; a header stands first, never a dot
        self.send(stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n")
        self.ended = True
        reach("smtp.end")
        self.send(b".\r\n")
        answer = self.getreply()
        reach("smtp.answer")
        return answer

    def start_afresh(self, code: int) -> None:
        """Forget the letter that was refused with *code*, or close where that does not work."""
        try:
            if code == 421 or self.rset()[0] != 250:
                self.close()
        except OSError:
            self.close()

    def say_goodbye(self) -> None:
        self.begin(time.monotonic() + GOODBYE_SECONDS)
        with suppress(OSError):
            self.quit()
        self.close()

    def send(self, s: Any) -> None:
        self.hurry()
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            self.file = _Lines(self)
        return super().getreply()

    def hurry(self) -> None:
        """Give the next wait what is left of the time, and no more."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise smtplib.SMTPServerDisconnected("it took too long")
        if self.sock:
            self.sock.settimeout(left)

    def _encrypt(self, context: ssl.SSLContext, host: str) -> None:
        self.hurry()
        assert self.sock is not None
        self.sock = context.wrap_socket(self.sock, server_hostname=host)
        self.file = None  # what came before the encryption does not count (RFC 3207, 4.2)
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False

    def _log_in(self, user: str, password: str) -> None:
        try:
            self.login(user, password)
        except (smtplib.SMTPServerDisconnected, smtplib.SMTPResponseException, smtplib.SMTPNotSupportedError):
            raise
        except smtplib.SMTPException as error:  # it knows no way to log in that we know
            raise smtplib.SMTPNotSupportedError(str(error)) from error


class _Lines:
    """The lines that come on a connection; one that breaks off is none."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._came = bytearray()

    def readline(self, limit: int) -> bytes:
        while b"\n" not in self._came and len(self._came) < limit:
            self._connection.hurry()
            assert self._connection.sock is not None
            chunk = self._connection.sock.recv(4096)
            if not chunk:
                return b""
            self._came += chunk
        end = min(self._came.find(b"\n") + 1 or limit, limit)
        line = bytes(self._came[:end])
        del self._came[:end]
        return line

    def close(self) -> None:
        """Do nothing: the socket is the connection's."""


def _own_name() -> str:
    """Return this host's name for EHLO, without asking anybody: `smtplib` would wait for a name server."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
