"""
Where SendGrid posts delivery events and mail.

A post is committed as it came before it is answered 2xx, and worked on later. SendGrid repeats events that
were answered anything else for a day, but a mail only if the answer was 5xx: with a 4xx it is gone, and
nobody is told. So mail is never answered 4xx. What is wrong with the post is kept aside and answered 200;
what is wrong with us is answered 503.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from followup.errors import FollowupError
from followup.inbound.sendgrid import (
    EVENTS_MAX_AGE,
    MAIL_MAX_AGE,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    is_signed,
    public_keys,
)
from followup.services import quarantine, receive, track
from followup.settings import Mode, variable
from followup.web.site import Site

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

log = logging.getLogger(__name__)

MAX_EVENTS = 4_000_000  # bytes; SendGrid sends 768 kB at most
MAX_MAIL = 32_000_000  # bytes; SendGrid takes mails up to 30 MB
KEPT_OF_TOO_LARGE = 256_000  # bytes
KEPT_UNSIGNED = 2_000_000  # bytes; of larger ones the beginning is, and whoever signs them tries again for three days
IN_MEMORY = 1_000_000  # bytes of a post while it comes in; the rest waits on disk
LARGE_AT_ONCE = 8  # posts that wait on disk; more are told to come again
PIECE = 65_536  # bytes
READ_SECONDS = 60.0  # for the whole of a post

_EVENT_KEYS, _INBOUND_KEYS = variable("sendgrid_event_keys"), variable("sendgrid_inbound_keys")


def routes(site: Site, *, read_seconds: float = READ_SECONDS) -> list[BaseRoute]:
    """
    Return ``/hooks/sendgrid/events`` and ``/hooks/sendgrid/inbound``.

    Raises:
        ConfigurationError: a key in the settings is none.
    """
    hooks = _Hooks(
        site,
        read_seconds,
        event_keys=public_keys(site.app.settings.sendgrid_event_keys, setting=_EVENT_KEYS),
        inbound_keys=public_keys(site.app.settings.sendgrid_inbound_keys, setting=_INBOUND_KEYS),
    )
    if not hooks.takes_unsigned_events and not hooks.event_keys:
        log.error("events.closed", extra={"missing": _EVENT_KEYS})
    return [
        Route(path + slash, endpoint, methods=["POST"])
        for path, endpoint in (("/hooks/sendgrid/events", hooks.events), ("/hooks/sendgrid/inbound", hooks.inbound))
        for slash in ("", "/")  # SendGrid follows no redirect, and takes one for a refusal
    ]


@dataclass(frozen=True, slots=True)
class _Posted:
    """A post as far as it was taken in; ``size`` is of the whole of it."""

    spool: "SpooledTemporaryFile[bytes]"
    size: int
    headers: Mapping[str, str]

    def read(self, most: int = -1) -> bytes:
        """Return its bytes, at most *most* of them."""
        self.spool.seek(0)
        return self.spool.read(most)

    def signed_by(self, keys: "tuple[EllipticCurvePublicKey, ...]", *, max_age_seconds: int) -> bool:
        self.spool.seek(0)
        return is_signed(
            iter(lambda: self.spool.read(PIECE), b""),  # so that nobody fills memory without a signature
            self.headers.get(SIGNATURE_HEADER),
            self.headers.get(TIMESTAMP_HEADER),
            keys=keys,
            max_age_seconds=max_age_seconds,
            real_now=time.time(),
        )


class _Crowded(Exception):
    """So many large posts are under way that another one has to come again."""


class _Hooks:
    def __init__(
        self,
        site: Site,
        read_seconds: float,
        *,
        event_keys: "tuple[EllipticCurvePublicKey, ...]",
        inbound_keys: "tuple[EllipticCurvePublicKey, ...]",
    ) -> None:
        self.site, self.read_seconds = site, read_seconds
        self.event_keys, self.inbound_keys = event_keys, inbound_keys
        self.large = 0  # posts under way that wait on disk

    @property
    def takes_unsigned_events(self) -> bool:
        return self.site.app.settings.mode is not Mode.LIVE

    async def events(self, request: Request) -> Response:
        return await self._answered(request, self._take_events, most=MAX_EVENTS)

    async def inbound(self, request: Request) -> Response:
        return await self._answered(request, self._take_mail, most=MAX_MAIL)

    async def _read(self, request: Request, until_answered: ExitStack, *, most: int) -> _Posted:
        """
        Take a post in, on disk where it is not small; of one that has more than *most* bytes keep the beginning.

        It is read to its end all the same: who is cut off while still sending sees no answer.
        """
        spool = until_answered.enter_context(SpooledTemporaryFile(max_size=IN_MEMORY))  # noqa: SIM115 - it is one
        size = 0
        async for chunk in request.stream():
            room, before = most - size, size
            size += len(chunk)
            if before <= IN_MEMORY < size:
                until_answered.enter_context(self._a_large_one())
            if room > 0:
                spool.write(chunk[:room])
        return _Posted(spool, size, request.headers)

    @contextmanager
    def _a_large_one(self) -> Iterator[None]:
        if self.large >= LARGE_AT_ONCE:
            raise _Crowded
        self.large += 1
        try:
            yield
        finally:
            self.large -= 1

    async def _answered(self, request: Request, take: Callable[[_Posted], Response], *, most: int) -> Response:
        """Read a post and have *take* work on it in a thread; whatever goes wrong meanwhile is answered 503."""
        path = request.url.path
        try:
            with ExitStack() as until_answered:
                with anyio.fail_after(self.read_seconds):
                    posted = await self._read(request, until_answered, most=most)
                return await run_in_threadpool(take, posted)
        except (ClientDisconnect, TimeoutError, _Crowded) as error:
            log.warning("hook.broken_off", extra={"path": path, "reason": type(error).__name__})
        except FollowupError as error:
            log.error("hook.unavailable", extra={"path": path, "reason": str(error)})
        except Exception:
            log.exception("hook.failed", extra={"path": path})
        return _answer(503, "try again later")

    def _take_events(self, posted: _Posted) -> Response:
        if not self.event_keys and not self.takes_unsigned_events:
            log.error("events.closed", extra={"missing": _EVENT_KEYS})
            return _answer(503, "not configured")
        if posted.size > MAX_EVENTS:
            log.warning("events.too_large", extra={"size": posted.size})
            return _answer(413, "too large")
        if self.event_keys and not posted.signed_by(self.event_keys, max_age_seconds=EVENTS_MAX_AGE):
            log.warning("events.unsigned", extra={"size": posted.size, "setting": _EVENT_KEYS})
            return _answer(403, "the signature does not match")
        ids = track.store_events(self.site.app.engine, posted.read(), clock=self.site.app.clock)
        if ids:
            self.site.hints.track(ids)
        return _answer(200, "stored")

    def _take_mail(self, posted: _Posted) -> Response:
        if posted.size == 0:
            return _answer(200, "nothing to store")
        app, content_type = self.site.app, posted.headers.get("content-type", "")[:500]
        if why := self._objection(posted, content_type):
            return self._set_aside(posted, why, content_type)
        stored = receive.store_post(app.engine, posted.read(), content_type=content_type, clock=app.clock)
        self.site.hints.receive([stored])
        return _answer(200, "stored")

    def _set_aside(self, posted: _Posted, why: str, content_type: str) -> Response:
        """Keep a post that nobody should work on; of a large one the beginning, so that somebody hears of it."""
        comes_again = why == quarantine.UNSIGNED and posted.size > KEPT_UNSIGNED
        body = posted.read(KEPT_OF_TOO_LARGE if comes_again or why == quarantine.TOO_LARGE else -1)
        app = self.site.app
        kept = quarantine.keep(app.engine, body, why, content_type=content_type, clock=app.clock)
        if not kept:
            log.error("mail.quarantine_full", extra={"reason": why})
        if comes_again:
            log.warning("mail.refused", extra={"size": posted.size, "reason": why})
        return _answer(200, "kept aside") if kept and not comes_again else _answer(503, "try again later")

    def _objection(self, posted: _Posted, content_type: str) -> str | None:
        """Return why nobody should work on a post, one of `quarantine.REASONS`, or None."""
        if posted.size > MAX_MAIL:  # and so the signature cannot be checked either
            return quarantine.TOO_LARGE
        if self.inbound_keys and not posted.signed_by(self.inbound_keys, max_age_seconds=MAIL_MAX_AGE):
            return quarantine.UNSIGNED
        is_form = content_type.partition(";")[0].strip().lower() == "multipart/form-data"
        return None if is_form else quarantine.NO_FORM


def _answer(status: int, text: str) -> Response:
    return PlainTextResponse(text, status_code=status)
