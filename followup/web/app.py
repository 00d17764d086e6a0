"""The site: everything the web process answers, put together."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from followup.app import WEB_THREADS, App
from followup.errors import ConfigurationError, TemporaryError
from followup.services.hints import Hints
from followup.web import health, hooks, pages
from followup.web.frame import Frame
from followup.web.limits import Limits
from followup.web.site import Site

log = logging.getLogger(__name__)


def make_site(app: App, hints: Hints, *, monotonic: Callable[[], float] = time.monotonic) -> Starlette:
    """
    Return the site; nothing connects yet.

    Args:
        monotonic: real time in seconds, for limits and durations.
    """
    site = Site(app, hints)
    screens = pages.screens_of(site)

    def unavailable(request: Request, error: Exception) -> Response:
        log.warning("web.unavailable", extra={"reason": str(error)})
        return screens.notice(request, "later", status=503, headers=pages.LATER)

    def not_found(request: Request, error: Exception) -> Response:
        return screens.notice(request, "dead", status=404)

    def not_allowed(request: Request, error: Exception) -> Response:
        headers = error.headers if isinstance(error, HTTPException) else None
        return screens.notice(request, "refused", status=405, headers=headers)

    https = app.settings.public_url.startswith("https://")
    starlette = Starlette(
        routes=[*hooks.routes(site), *health.routes(site), *pages.routes(site, Limits(monotonic=monotonic))],
        middleware=[Middleware(Frame, screens=screens, https=https, monotonic=monotonic)],
        exception_handlers={
            404: not_found,
            405: not_allowed,
            TemporaryError: unavailable,
            ConfigurationError: unavailable,
        },
        lifespan=_lifespan,
    )
    starlette.router.redirect_slashes = False  # a redirect would show that there is something
    return starlette


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = WEB_THREADS
    yield
