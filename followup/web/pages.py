"""
The pages that letters lead to: answering a question, and unsubscribing.

Opening a page decides nothing, for mail scanners open every link; only a form that is sent does. Whatever
is wrong with a link looks the same from outside.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from followup.core.tokens import TokenPurpose, verify
from followup.errors import ConfigurationError, NotFound, TemporaryError
from followup.services import answers, stop
from followup.services.answers import LONGEST_COMMENT, Asked, Taken
from followup.settings import Mode
from followup.web.forms import Unreadable, read_form
from followup.web.limits import Limits, client_address
from followup.web.screens import Screens
from followup.web.site import Site
from followup.web.words import Words, preferred, words_of

log = logging.getLogger(__name__)

SHORT_LABEL = 3  # characters: the numbers of a scale stand side by side


def routes(site: Site, limits: Limits) -> list[BaseRoute]:
    """Return the pages."""
    pages = _Pages(site, limits)
    return [
        Route("/a/{token}/{choice}", pages.answer, methods=["GET"], name="answer_link"),
        Route("/a/{token}", pages.answer, methods=["GET", "POST"], name="answer"),
        Route("/u/{token}", pages.stop, methods=["GET", "POST"], name="stop"),
        Route("/robots.txt", _robots, methods=["GET"], name="robots"),
        Route("/", pages.root, methods=["GET"], name="root"),
    ]


def screens_of(site: Site) -> Screens:
    """Return what writes this site's pages."""
    return Screens(test_mode=site.app.settings.mode is Mode.TEST)


def _robots(request: Request) -> Response:
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


def _is_prefetch(request: Request) -> bool:
    """Tell whether a browser only fetches the page in case somebody wants it."""
    return "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", ""))


class _Pages:
    def __init__(self, site: Site, limits: Limits) -> None:
        self.app, self.limits, self.screens = site.app, limits, screens_of(site)

    async def root(self, request: Request) -> Response:
        words = preferred(request.headers.get("accept-language", ""))
        return self.screens.page("notice.html", words, title=words.hello, text="")

    async def answer(self, request: Request) -> Response:
        handle = self._take_answer if request.method == "POST" else self._show_answer
        return await self._limited(request, handle)

    async def stop(self, request: Request) -> Response:
        if request.method != "POST":
            return await self._limited(request, self._show_stop)
        name = verify(TokenPurpose.STOP, request.path_params["token"], self.app.settings.keys)
        # many customers of one mail provider unsubscribe through few addresses of its
        return await self._limited(request, self._take_stop, always=name is not None)

    async def _limited(
        self, request: Request, handle: Callable[[Request], Awaitable[Response]], *, always: bool = False
    ) -> Response:
        """Answer a request unless too many came from its address; *always*: however many did."""
        address = client_address(request, proxies=self.app.settings.proxies)
        wait = 0 if always else self.limits.requests.take(address)
        if wait:
            return self._too_fast(request, wait)
        try:
            return await handle(request)
        except NotFound:
            wait = self.limits.misses.take(address)
            return self._too_fast(request, wait) if wait else self.screens.notice(request, "dead", status=404)
        except Unreadable as error:
            return self.screens.notice(request, "unread", status=error.status)

    def _too_fast(self, request: Request, wait: int) -> Response:
        return self.screens.notice(request, "fast", status=429, headers={"Retry-After": str(wait)})

    def _name(self, request: Request, purpose: TokenPurpose) -> str:
        name = verify(purpose, request.path_params["token"], self.app.settings.keys)
        if name is None:
            raise NotFound("the token is not one of ours")
        return name

    async def _show_answer(self, request: Request) -> Response:
        name, clicked = self._name(request, TokenPurpose.ANSWER), request.path_params.get("choice")
        asked = await run_in_threadpool(self._look_up, name)
        offered = clicked in {choice.id for choice in asked.choices}
        if clicked and offered and request.method == "GET" and not _is_prefetch(request):
            await run_in_threadpool(self._visit, answers.visit, name, clicked)
        if clicked is None and "thanks" in request.query_params and asked.answer is not None:
            return self._thanks(request, asked)
        return self._form(request, asked, chosen=clicked if clicked is not None else asked.answer)

    async def _take_answer(self, request: Request) -> Response:
        name = self._name(request, TokenPurpose.ANSWER)
        form = await read_form(request)
        choice, comment = form.get("choice", ""), form.get("comment", "")
        try:
            taken = await run_in_threadpool(
                answers.confirm,
                self.app.engine,
                name,
                choice,
                comment,
                library=self.app.library,
                clock=self.app.clock,
            )
            if taken in {Taken.RECORDED, Taken.UNCHANGED}:
                return RedirectResponse(f"{request.path_params['token']}?thanks=1", status_code=303)
            asked = await run_in_threadpool(self._look_up, name)
        except (TemporaryError, ConfigurationError) as error:
            log.warning("web.unavailable", extra={"reason": str(error)})
            return self._kept(request, choice, comment)
        words = words_of(asked.head.language)
        if taken is Taken.NOT_OFFERED:
            return self._form(request, asked, comment=comment, problem=words.choose, status=422)
        problem = words.too_often.format(sender=asked.head.sender)
        return self._form(request, asked, chosen=choice, comment=comment, problem=problem, status=409)

    def _look_up(self, name: str) -> Asked:
        return answers.look_up(self.app.engine, name, library=self.app.library, clock=self.app.clock)

    def _visit(self, note: Callable[..., None], *about: str) -> None:
        try:
            note(self.app.engine, *about, clock=self.app.clock)
        except TemporaryError as error:  # the page can be read all the same
            log.warning("web.visit_lost", extra={"reason": str(error)})

    def _form(
        self,
        request: Request,
        asked: Asked,
        *,
        chosen: str | None = None,
        comment: str | None = None,
        problem: str = "",
        status: int = 200,
    ) -> Response:
        labels = {choice.id: choice.label for choice in asked.choices}
        return self.screens.page(
            "answer.html",
            words_of(asked.head.language),
            status=status,
            asked=asked,
            action=_relative(request.path_params),
            chosen=chosen,
            noted=labels.get(asked.answer or "", ""),
            comment=(asked.comment or "") if comment is None else comment[:LONGEST_COMMENT],
            problem=problem,
            short=all(len(label) <= SHORT_LABEL for label in labels.values()),
            longest=LONGEST_COMMENT,
        )

    def _thanks(self, request: Request, asked: Asked) -> Response:
        label = next((choice.label for choice in asked.choices if choice.id == asked.answer), asked.answer)
        words = words_of(asked.head.language)
        return self.screens.page("thanks.html", words, asked=asked, label=label, action=_relative(request.path_params))

    def _kept(self, request: Request, choice: str, comment: str) -> Response:
        """Return the customer's own words in a form that can be sent again: nothing else can be read just now."""
        words: Words = preferred(request.headers.get("accept-language", ""))
        kept = comment[:LONGEST_COMMENT]
        return self.screens.page(
            "kept.html", words, status=503, headers=LATER, chosen=choice[:100], comment=kept, longest=LONGEST_COMMENT
        )

    async def _show_stop(self, request: Request) -> Response:
        name, app = self._name(request, TokenPurpose.STOP), self.app
        page = await run_in_threadpool(
            stop.look_up,
            app.engine,
            name,
            library=app.library,
            suppression_key=app.settings.suppression_key.get_secret_value(),
            clock=app.clock,
        )
        if not page.stopped and request.method == "GET" and not _is_prefetch(request):
            await run_in_threadpool(self._visit, stop.visit, name)
        return self.screens.page("stop.html", words_of(page.head.language), page=page)

    async def _take_stop(self, request: Request) -> Response:
        """Unsubscribe: whoever posts to the link has decided, whatever the form says (RFC 8058, 3.2)."""
        name, app = self._name(request, TokenPurpose.STOP), self.app
        key = app.settings.suppression_key.get_secret_value()
        await run_in_threadpool(stop.unsubscribe_by_link, app.engine, name, suppression_key=key, clock=app.clock)
        try:
            form = await read_form(request)
        except Unreadable:
            form = {}
        if "page" in form:  # our own button; a mail program follows no redirect
            return RedirectResponse(request.path_params["token"], status_code=303)
        return PlainTextResponse("You are unsubscribed.\n")


LATER: Mapping[str, str] = {"Retry-After": "60"}


def _relative(path: Mapping[str, str]) -> str:
    """Return where the page without a choice lies, from the one that was asked for, under whatever prefix."""
    return f"../{path['token']}" if "choice" in path else path["token"]
