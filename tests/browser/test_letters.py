"""The shop's letters as a phone and a desktop show them, in real Chromium."""

import itertools
import shutil
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, sync_playwright

from followup.cli.main import followup

PHONE, DESKTOP = 360, 1280
CONTRAST = """
() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/rgba\\(.*, 0\\)|transparent/.test(colour)) return colour;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)';
  };
  return [...document.querySelectorAll('p, a, li')].map((element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}
"""


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the HTML of one letter of each kind that the demo sends."""
    folder = tmp_path_factory.mktemp("demo") / "shop"
    ran = CliRunner().invoke(followup, ["demo", "--keep", str(folder)], catch_exceptions=False)
    assert ran.exit_code == 0
    found = {}
    for file in sorted((folder / "outbox").glob("*.eml")):
        body = message_from_bytes(file.read_bytes(), policy=default).get_body(("html",))
        assert body is not None
        found[file.name.split("_")[1]] = body.get_content()
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "these tests need Debian's chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def opened(browser: Browser, html: str, width: int, scheme: str = "light") -> Page:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.set_content(html)
    return page


def test_the_demo_sends_letters_of_many_kinds(letters: dict[str, str]) -> None:
    assert {"arrived-well", "how-does-it-cook", "when-it-sticks", "what-do-you-cook"} <= set(letters)


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_nothing_has_to_be_scrolled_sideways(browser: Browser, letters: dict[str, str], width: int) -> None:
    for name, html in letters.items():
        page = opened(browser, html, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page.close()


def test_each_answer_is_large_enough_for_a_thumb_and_stands_on_a_line_of_its_own(browser, letters) -> None:
    page = opened(browser, letters["arrived-well"], PHONE)
    answers = [
        page.get_by_role("link", name=name) for name in ("Yes, all good", "Not opened yet", "Something is wrong")
    ]
    boxes = [answer.bounding_box() for answer in answers]
    assert all(box and box["height"] >= 44 for box in boxes)
    assert all(above["y"] + above["height"] <= below["y"] for above, below in itertools.pairwise(boxes))
    page.close()


def test_the_question_and_its_answers_are_seen_without_scrolling(browser, letters) -> None:
    page = opened(browser, letters["arrived-well"], PHONE)
    last = page.get_by_role("link", name="Something is wrong").bounding_box()
    assert last["y"] + last["height"] < 500
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_light_and_in_dark(browser, letters, scheme: str) -> None:
    for name, html in letters.items():
        page = opened(browser, html, PHONE, scheme)
        contrasts = page.evaluate(CONTRAST)
        assert contrasts, name
        assert min(contrasts) >= 4.5, f"{name}: {min(contrasts):.1f} to 1 (WCAG 2.2, 1.4.3 asks for 4.5)"
        page.close()


def test_a_letter_loads_nothing_from_anywhere(browser, letters) -> None:
    for html in letters.values():
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.set_content(html)
        assert asked == []
        page.close()
