"""What holds for every response: strict headers, one line in the log, and no detail of what went wrong."""

import logging
import time
import traceback
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from followup.web.screens import STYLE_HASH, Screens

log = logging.getLogger(__name__)

LONGEST_PATH = 2_048
MOST_REQUESTS = 200  # under way at once; more are told to come again
COME_AGAIN = {"Retry-After": "10"}
POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",  # links hold tokens
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class Frame:
    """
    The outermost layer of the site.

    Nothing it logs holds a path, an address or what an error says: paths hold tokens, and SQLAlchemy's errors
    the values of the statement.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        screens: Screens,
        https: bool,
        most_requests: int = MOST_REQUESTS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app, self.screens, self.monotonic = app, screens, monotonic
        self.most_requests, self.under_way = most_requests, 0
        self.headers = HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = self.monotonic(), 0

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        answer = self._turned_away(scope) or self.app
        self.under_way += 1
        try:
            await answer(scope, receive, framed)
        except ClientDisconnect:
            status = status or 499  # there is nobody left to answer
        except Exception as error:  # noqa: BLE001 - the edge of the process, which stays up
            log.error("web.failed", extra={"error": type(error).__name__, "at": _where(error)})
            if not status:
                await self.screens.notice(Request(scope), "broken", status=500)(scope, receive, framed)
        finally:
            self.under_way -= 1
            spent = round((self.monotonic() - began) * 1000, 1)
            route = getattr(scope.get("route"), "name", None) or "none"
            about = {"method": scope["method"], "route": route, "status": status, "ms": spent}
            log.info("web.request", extra=about)

    def _turned_away(self, scope: Scope) -> Response | None:
        """Return the answer to a request that is not to be worked on; None for all others."""
        if self.under_way >= self.most_requests and scope["path"] != "/healthz":
            log.warning("web.crowded", extra={"under_way": self.under_way})
            return self.screens.notice(Request(scope), "later", status=503, headers=COME_AGAIN)
        long = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > LONGEST_PATH
        if long and not scope["path"].startswith("/hooks/"):  # a mail answered 404 would be gone
            return self.screens.notice(Request(scope), "dead", status=404)
        return None


def _where(error: BaseException) -> str:
    """Return the lines of code an error and its causes came through, without a word of what they say."""
    found = []
    cause: BaseException | None = error
    while cause is not None:
        found.append(f"{type(cause).__name__}:\n{''.join(traceback.format_tb(cause.__traceback__))}")
        cause = cause.__cause__ or cause.__context__
    return "\n".join(found)
