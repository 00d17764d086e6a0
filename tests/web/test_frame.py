"""What holds for every page: headers, limits, and what is said when something is wrong."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from followup.app import App
from followup.services.hints import NoHints
from followup.settings import load
from followup.web.app import make_site
from followup.web.frame import Frame
from followup.web.limits import Buckets, client_address
from followup.web.screens import Screens
from followup.web.words import WORDS, preferred
from tests.services.world import KEYS
from tests.web.visiting import Seconds, Visiting

STRICT = {
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000",
}


@pytest.fixture
def asked(engine: Engine, database_url: str, tmp_path: Path) -> Visiting:
    visiting = Visiting(engine, database_url, tmp_path)
    visiting.ask()
    return visiting


def is_strict(answer: Any) -> bool:
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert policy[1].startswith("style-src 'sha256-")
    assert policy[2:] == ["form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
    assert {name: answer.headers[name] for name in STRICT} == STRICT
    return True


def test_every_response_has_strict_headers(asked: Visiting) -> None:
    with asked.site() as browser:
        for path in (asked.link("fine"), asked.link(), asked.stop_link, "/", "/robots.txt", "/healthz", "/readyz"):
            answer = browser.get(path)
            assert (answer.status_code, is_strict(answer)) == (200, True)
        for path in ("/nothing", "/a/x", "/metrics", "/hooks/sendgrid/nothing"):
            assert (browser.get(path).status_code, is_strict(browser.get(path))) == (404, True)
        for method, path in (
            ("PUT", asked.link()),
            ("POST", "/"),
            ("OPTIONS", asked.stop_link),
            ("GET", "/hooks/sendgrid/events"),
        ):
            answer = browser.request(method, path)
            assert (answer.status_code, is_strict(answer)) == (405, True)
            assert answer.headers["allow"]
        redirect = browser.post(asked.link(), data={"choice": "fine"}, follow_redirects=False)
        assert (redirect.status_code, is_strict(redirect)) == (303, True)
        assert is_strict(browser.post(asked.link(), content=b"x" * 70_000))
        assert is_strict(browser.post(asked.stop_link, data={"List-Unsubscribe": "One-Click"}))


def test_without_https_there_is_no_promise_of_https(asked: Visiting) -> None:
    with asked.site(public_url="http://localhost:8000") as browser:
        assert "strict-transport-security" not in browser.get("/").headers


def test_robots_are_asked_to_stay_away(asked: Visiting) -> None:
    with asked.site() as browser:
        assert browser.get("/robots.txt").text == "User-agent: *\nDisallow: /\n"


def test_in_test_mode_every_page_says_so_and_in_live_mode_none_does(asked: Visiting) -> None:
    paths = [asked.link("fine"), asked.stop_link, "/", "/nothing"]
    with asked.site() as browser:
        assert all("Test mode" in browser.get(path).text for path in paths)
    with asked.site(mode="live") as browser:
        assert not any("Test mode" in browser.get(path).text for path in paths)


def test_a_bug_is_told_plainly_and_logged_without_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: Request) -> PlainTextResponse:
        try:
            raise ValueError(request.path_params["token"])
        except ValueError as error:
            raise RuntimeError(str(error)) from error

    frame = Middleware(Frame, screens=Screens(test_mode=True), https=True)
    caplog.set_level(logging.INFO, "followup")
    with TestClient(Starlette(routes=[Route("/{token}", fail, name="fail")], middleware=[frame])) as browser:
        answer = browser.get("/abcdef-ana@example.com", headers={"Accept-Language": "nl"})
    assert (answer.status_code, is_strict(answer)) == (500, True)
    assert WORDS["nl"].broken_text in answer.text
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "RuntimeError" in logged
    assert "ValueError" in logged
    assert "in fail" in logged
    assert "abcdef" not in logged
    assert "ana@" not in logged


class TestCrowds:
    @staticmethod
    def framed(under_way: list[str], go_on: anyio.Event, *, most: int) -> Frame:
        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            under_way.append(scope["path"])
            await go_on.wait()
            await PlainTextResponse("done")(scope, receive, send)

        return Frame(slow, screens=Screens(test_mode=True), https=False, most_requests=most)

    @staticmethod
    async def ask(frame: Frame, path: str, answers: list[tuple[str, int, str | None]]) -> None:
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answers.append((path, message["status"], Headers(raw=message["headers"]).get("retry-after")))

        await frame(scope, receive, send)

    def test_only_so_many_requests_are_under_way_and_more_are_told_to_come_again(self) -> None:
        under_way: list[str] = []
        answers: list[tuple[str, int, str | None]] = []

        async def crowd() -> None:
            go_on = anyio.Event()
            frame = self.framed(under_way, go_on, most=2)
            async with anyio.create_task_group() as asking:
                for path in ("/a", "/b", "/hooks/sendgrid/inbound", "/healthz", "/healthz"):
                    asking.start_soon(self.ask, frame, path, answers)
                await anyio.wait_all_tasks_blocked()
                assert answers == [("/hooks/sendgrid/inbound", 503, "10")]
                assert sorted(under_way) == ["/a", "/b", "/healthz", "/healthz"]
                go_on.set()
            await self.ask(frame, "/c", answers)
            assert answers[-1] == ("/c", 200, None)

        anyio.run(crowd)


def test_only_a_hook_is_asked_with_a_path_of_any_length(asked: Visiting) -> None:
    with asked.site() as browser:
        assert browser.post("/hooks/sendgrid/inbound?" + "x" * 5_000, content=b"").status_code == 200
        assert browser.post("/hooks/sendgrid/events?" + "x" * 5_000, content=b"[]").status_code == 200
        assert browser.get(asked.link("fine") + "?" + "x" * 5_000).status_code == 404


class TestTheDatabaseAway:
    @pytest.fixture
    def browser(self, tmp_path: Path) -> Any:
        (tmp_path / "gone").mkdir()
        settings = load(
            project=tmp_path,
            database_url="postgresql://nobody@127.0.0.1:1/none",
            secret_keys=",".join(KEYS),
            public_url="https://forge.example",
        )
        with TestClient(make_site(App(settings), NoHints())) as browser:
            yield browser

    def test_a_page_says_to_come_again(self, browser: Any) -> None:
        from followup.core.tokens import TokenPurpose, sign

        for path in (
            f"/a/{sign(TokenPurpose.ANSWER, 'a' * 16, KEYS)}/fine",
            f"/u/{sign(TokenPurpose.STOP, 'a' * 16, KEYS)}",
        ):
            answer = browser.get(path)
            assert (answer.status_code, answer.headers["retry-after"], is_strict(answer)) == (503, "60", True)
            assert WORDS["en"].later_text in answer.text

    def test_what_a_customer_wrote_is_given_back_in_a_form_that_can_be_sent_again(self, browser: Any) -> None:
        from followup.core.tokens import TokenPurpose, sign

        path = f"/a/{sign(TokenPurpose.ANSWER, 'a' * 16, KEYS)}"
        answer = browser.post(path, data={"choice": "fine", "comment": "two <b>lines</b>\nof it"})
        assert (answer.status_code, is_strict(answer)) == (503, True)
        assert 'name="choice" value="fine"' in answer.text
        assert ">\ntwo &lt;b&gt;lines&lt;/b&gt;\nof it</textarea>" in answer.text

    def test_a_link_that_is_none_needs_no_database(self, browser: Any) -> None:
        assert browser.get("/a/nothing").status_code == 404
        assert browser.get("/").status_code == 200


class TestLimits:
    def test_too_many_requests_from_one_address_wait(self, asked: Visiting) -> None:
        with asked.site() as browser:
            codes = [browser.head(asked.link("fine")).status_code for _ in range(121)]
            limited = browser.get(asked.link("fine"))
            assert (limited.status_code, limited.headers["retry-after"], is_strict(limited)) == (429, "1", True)
            other = browser.get(asked.link("fine"), headers={"X-Forwarded-For": "203.0.113.9"})
            asked.seconds.now += 1
            again = browser.get(asked.link("fine"))
        assert codes == [200] * 120 + [429]
        assert (other.status_code, again.status_code) == (200, 200)

    def test_links_that_do_not_work_are_few_and_those_that_do_still_work(self, asked: Visiting) -> None:
        with asked.site() as browser:
            codes = [browser.get(f"/{kind}/nothing").status_code for kind in "au" * 6]
            assert browser.get(asked.link("fine")).status_code == 200
            asked.seconds.now += 6
            assert browser.get("/a/nothing").status_code == 404
            assert browser.get("/a/nothing").status_code == 429
        assert codes == [404] * 10 + [429] * 2

    def test_unsubscribing_is_never_limited(self, asked: Visiting) -> None:
        with asked.site() as browser:
            for _ in range(130):
                browser.head(asked.link("fine"))
            one_click = browser.post(asked.stop_link, data={"List-Unsubscribe": "One-Click"})
            forged = browser.post("/u/forged", data={"List-Unsubscribe": "One-Click"})
        assert (one_click.status_code, forged.status_code) == (200, 429)

    def test_hooks_and_health_are_never_limited(self, asked: Visiting) -> None:
        with asked.site() as browser:
            for _ in range(130):
                browser.head(asked.link("fine"))
            assert browser.get("/healthz").status_code == 200
            assert browser.post("/hooks/sendgrid/events", content=b"[]").status_code != 429

    def test_only_so_many_addresses_are_remembered(self) -> None:
        buckets = Buckets(per_minute=60, burst=1, monotonic=Seconds(), most_addresses=2)
        assert [buckets.take(address) for address in "aabbca"] == [0, 1, 0, 1, 0, 0]
        assert len(buckets._known) == 2

    @pytest.mark.parametrize(
        ("forwarded", "proxies", "address"),
        [
            ([], 1, "10.0.0.1"),
            (["203.0.113.1"], 0, "10.0.0.1"),
            (["203.0.113.1"], 1, "203.0.113.1"),
            (["6.6.6.6, 203.0.113.1"], 1, "203.0.113.1"),
            (["6.6.6.6, 203.0.113.1, 198.51.100.2"], 2, "203.0.113.1"),
            (["6.6.6.6", "203.0.113.1", "198.51.100.2"], 2, "203.0.113.1"),
            (["203.0.113.1"], 3, "203.0.113.1"),
            ([""], 1, "10.0.0.1"),
            (["2001:db8:1:2:3:4:5:6"], 1, "2001:db8:1:2::/64"),
            (["::ffff:203.0.113.1"], 1, "203.0.113.1"),
            (["x" * 1000], 1, "x" * 64),
        ],
    )
    def test_whom_a_request_is_counted_for(self, forwarded: list[str], proxies: int, address: str) -> None:
        headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
        request = Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 1234)})
        assert client_address(request, proxies=proxies) == address


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("ja, zh", "en"),
        ("ja, FR-ca;q=0.9, de;q=0.8", "fr"),
        ("de;q=0.1, it;q=0.9", "it"),
        ("de;q=x, nl;q=0.5", "nl"),
        (";;,=,;q=,", "en"),
        ("es," * 100_000, "es"),
    ],
)
def test_the_language_a_browser_asks_for(header: str, language: str) -> None:
    assert preferred(header).language == language


def test_the_languages_are_those_of_the_letters() -> None:
    from followup.authoring.locales import LOCALES

    assert set(WORDS) == set(LOCALES)
    fields = ["reader", "noted", "too_often", "stop_text", "stopped_text"]
    for words in WORDS.values():
        english = WORDS["en"]
        places: Callable[[str], set[str]] = lambda text: {  # noqa: E731 - short, and used twice
            name for name in ("{sender}", "{shop}", "{answer}") if name in text
        }
        for field in fields:
            assert places(getattr(words, field)) == places(getattr(english, field)), (words.language, field)
