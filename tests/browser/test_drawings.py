"""Drawings of workflows in real Chromium: every text within its box, readable in light and in dark."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from followup.authoring.drawing.picture import Picture
from followup.authoring.drawing.svg import as_svg
from tests.authoring.drawing.pictures import PICTURES

STICKING_OUT = """
() => [...document.querySelectorAll('.box, .people')].flatMap((group) => {
  const box = group.querySelector(':scope > rect').getBBox();
  return [...group.querySelectorAll('text')].filter((text) => {
    const b = text.getBBox();
    const deep = b.height / 4;  // of a line's box, what no sign of it fills
    return b.x < box.x || b.x + b.width > box.x + box.width
      || b.y + deep < box.y || b.y + b.height - deep > box.y + box.height;
  }).map((text) => text.textContent);
})
"""
BEYOND_THE_EDGE = """
() => [...document.querySelectorAll('text, rect')].filter((one) => {
  const b = one.getBBox(), root = document.documentElement;
  return b.x < 0 || b.y < 0 || b.x + b.width > root.width.baseVal.value || b.y + b.height > root.height.baseVal.value;
}).map((one) => one.textContent || one.outerHTML)
"""
CONTRAST = """
() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return [...document.querySelectorAll('text')].map((text) => {
    const behind = text.parentElement.querySelector(':scope > rect') || document.querySelector('.paper');
    const [a, b] = [light(getComputedStyle(text).fill), light(getComputedStyle(behind).fill)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}
"""
FONTS = ("system-ui", "DejaVu Sans", "DejaVu Serif")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "these tests need Debian's chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def drawn(browser: Browser, folder: Path, picture: Picture, *, scheme: str = "light") -> Page:
    file = folder / "drawing.svg"
    file.write_text(as_svg(picture), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    page.goto(file.as_uri())
    return page


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("font", FONTS)
def test_no_text_sticks_out_of_its_box_in_any_font(browser: Browser, tmp_path: Path, name: str, font: str) -> None:
    page = drawn(browser, tmp_path, PICTURES[name])
    assert page.evaluate("document.querySelectorAll('.box text').length") > 2
    page.evaluate(
        "(font) => document.querySelectorAll('text').forEach((one) => { one.style.fontFamily = font; })", font
    )
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate(BEYOND_THE_EDGE) == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_in_dark(browser: Browser, tmp_path: Path, scheme: str) -> None:
    page = drawn(browser, tmp_path, PICTURES["ordinary"], scheme=scheme)
    contrasts = page.evaluate(CONTRAST)
    assert len(contrasts) > 20
    assert min(contrasts) >= 4.5, f"{min(contrasts):.1f} to 1 (WCAG 2.2, 1.4.3 asks for 4.5)"
    page.close()


def test_a_drawing_is_named_and_described_and_loads_nothing(browser: Browser, tmp_path: Path) -> None:
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    file = tmp_path / "drawing.svg"
    file.write_text(as_svg(PICTURES["hostile"]), encoding="utf-8")
    page.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert page.evaluate("document.querySelectorAll('script, image, foreignObject, a').length") == 0
    assert "when <b>bold</b> & <script>alert(1)</script>:" in page.evaluate(
        "document.querySelector('desc').textContent"
    )
    page.close()
