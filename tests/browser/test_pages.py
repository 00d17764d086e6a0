"""The pages that letters lead to, in real Chromium: a phone, no script, light and dark."""

import itertools
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from followup.app import App
from followup.services.hints import NoHints
from followup.settings import load
from followup.store.engine import make_engine
from followup.store.upgrade import upgrade
from followup.web.app import make_site
from followup.web.server import serve
from tests.browser.test_letters import CONTRAST
from tests.services.world import ASK, CHECK_IN, KEYS, MONDAY, a_purchase
from tests.web.visiting import Visiting

PHONE = {"width": 320, "height": 640}
ALL_TEXT = CONTRAST.replace("'p, a, li'", "'h1, p, a, span, label, textarea, button, dt, dd'")
LONG = ASK.replace(
    "fine:", "so_so: It is all right, although I had thought it would be a little larger and heavier\n    fine:"
)
LONG = LONG.replace("answers: {", "answers:\n    ").replace(", broken:", "\n    broken:").replace("}\n---", "\n---")
SCALE = """\
---
subject: One number
purpose: service
question: {ask: How likely are you to tell a friend about Lindqvistkupferpfannenmanufaktur?, scale: 0-10}
---
{{ question }}

{{ answers }}

{{ signature }}
"""


@dataclass(frozen=True)
class Shop:
    """A running site and the links of one letter."""

    visiting: Visiting
    url: str

    def answer(self, choice: str | None = None) -> str:
        return self.url + self.visiting.link(choice)

    @property
    def stop(self) -> str:
        return self.url + self.visiting.stop_link


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "these tests need Debian's chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def running(folder: Path, letter: str) -> Iterator[Shop]:
    url = f"sqlite:///{folder / 'test.db'}"
    engine = make_engine(url)
    upgrade(engine)
    visiting = Visiting(engine, url, folder)
    trouble = "broken" if "broken:" in letter else "0"
    visiting.world.apply({"templates/arrived.md": letter}, check_in=CHECK_IN.replace('"broken"', f'"{trouble}"'))
    visiting.world.take_in(a_purchase())
    visiting.world.go_to(MONDAY + timedelta(days=2))
    settings = load(
        project=folder,
        database_url=url,
        secret_keys=",".join(KEYS),
        suppression_key="never-changes",
        public_url="http://127.0.0.1",
    )
    app = App(settings, clock=visiting.world.clock)
    stopping, listening, ports = threading.Event(), threading.Event(), []

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    with ThreadPoolExecutor(1) as beside:
        serving = beside.submit(serve, make_site(app, NoHints()), port=0, stopping=stopping, ready=ready)
        assert listening.wait(20)
        yield Shop(visiting, f"http://127.0.0.1:{ports[0]}")
        stopping.set()
        serving.result(20)
    app.close()
    engine.dispose()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    yield from running(tmp_path, LONG)


@pytest.fixture
def scale(tmp_path: Path) -> Iterator[Shop]:
    yield from running(tmp_path, SCALE)


def opened(browser: Browser, url: str, scheme: str = "light", size: dict[str, int] | None = None) -> Page:
    """Open a page with scripts switched off, as in a careful browser."""
    page = browser.new_page(java_script_enabled=False, color_scheme=scheme, viewport=size or PHONE)
    page.goto(url)
    return page


def every_page(browser: Browser, shop: Shop, scheme: str = "light") -> Iterator[tuple[str, Page]]:
    """Yield each page that a customer can come to, by name."""
    page = opened(browser, shop.answer("broken"), scheme)
    yield "answer", page
    page.get_by_role("textbox").fill("The lid has a dent.\n\nIt was wrapped well, though.")
    page.get_by_role("button").click()
    page.get_by_role("heading", name="Thank you").wait_for()
    yield "thanks", page
    page.get_by_role("link", name="Change my answer").click()
    page.get_by_role("textbox").wait_for()
    yield "changed", page
    page.goto(shop.stop)
    yield "stop", page
    page.get_by_role("button").click()
    page.get_by_role("heading", name="You will get no more letters").wait_for()
    yield "stopped", page
    page.goto(shop.url + "/a/nothing")
    yield "dead", page
    page.close()


def test_a_customer_answers_on_a_phone_without_scripts(browser: Browser, shop: Shop) -> None:
    page = opened(browser, shop.answer("broken"))
    assert page.get_by_role("group", name="Did everything arrive in one piece?").is_visible()
    assert page.get_by_role("radio", name="Something is broken").is_checked()
    page.get_by_label("Would you like to add something?").fill("A dent.")
    page.get_by_role("button", name="Send my answer").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert page.get_by_text("Something is broken").is_visible()
    assert page.get_by_text("A dent.").is_visible()
    page.get_by_role("link", name="Change my answer").click()
    expect(page.get_by_role("radio", name="Something is broken")).to_be_checked()
    page.get_by_role("radio", name="Yes, all good").check()
    page.get_by_role("button", name="Send my answer").click()
    expect(page.get_by_role("definition").first).to_have_text("Yes, all good")
    page.reload()
    assert [row.answer for row in shop.visiting.world.rows("answers")] == ["broken", "fine"]
    page.close()


def test_a_form_without_a_choice_is_not_sent(browser: Browser, shop: Shop) -> None:
    page = opened(browser, shop.answer())
    page.get_by_role("button").click()
    assert page.url == shop.answer()
    assert shop.visiting.world.rows("answers") == []
    page.close()


def test_a_customer_unsubscribes_with_one_button(browser: Browser, shop: Shop) -> None:
    page = opened(browser, shop.stop)
    page.get_by_role("button", name="Stop the letters").click()
    expect(page.get_by_role("heading", name="You will get no more letters")).to_be_visible()
    assert len(shop.visiting.world.rows("suppressions")) == 1
    page.close()


def test_everything_can_be_done_with_the_keyboard(browser: Browser, shop: Shop) -> None:
    page = opened(browser, shop.answer("so_so"))
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("radio", name="Yes, all good").is_checked()
    page.keyboard.press("Tab")
    page.keyboard.type("by hand")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**?thanks=1")
    assert [(row.answer, row.comment) for row in shop.visiting.world.rows("answers")] == [("fine", "by hand")]
    page.close()


@pytest.mark.parametrize("kind", ["shop", "scale"])
def test_nothing_has_to_be_scrolled_sideways_and_everything_is_large_enough_for_a_thumb(
    browser: Browser, kind: str, request: pytest.FixtureRequest
) -> None:
    shop: Shop = request.getfixturevalue(kind)
    page = opened(browser, shop.answer())
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    targets = [*page.locator("label.choice").all(), page.get_by_role("button"), page.get_by_role("textbox")]
    boxes = [target.bounding_box() for target in targets]
    assert all(box and box["height"] >= 44 and box["width"] >= 44 for box in boxes)
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"] for box in boxes)
    page.close()


def test_no_page_has_to_be_scrolled_sideways(browser: Browser, shop: Shop) -> None:
    for name, page in every_page(browser, shop):
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_light_and_in_dark(browser: Browser, shop: Shop, scheme: str) -> None:
    for name, page in every_page(browser, shop, scheme):
        contrasts = page.evaluate(ALL_TEXT)
        assert contrasts, name
        assert min(contrasts) >= 4.5, f"{name}: {min(contrasts):.1f} to 1 (WCAG 2.2, 1.4.3 asks for 4.5)"


def test_the_style_is_allowed_by_the_policy_and_nothing_is_loaded(browser: Browser, shop: Shop) -> None:
    page = browser.new_page(viewport=PHONE)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(shop.answer("fine"))
    assert page.evaluate("getComputedStyle(document.querySelector('button')).minHeight") == "52px"
    assert [text for text in said if "favicon" not in text] == []
    assert asked == [shop.answer("fine")]
    page.close()


def test_answers_stand_below_each_other_and_the_numbers_of_a_scale_side_by_side(browser: Browser, shop: Shop) -> None:
    page = opened(browser, shop.answer())
    boxes = [label.bounding_box() for label in page.locator("label.choice").all()]
    assert all(one and two and one["y"] + one["height"] <= two["y"] for one, two in itertools.pairwise(boxes))
    page.close()
