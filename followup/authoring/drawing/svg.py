"""A workflow as an SVG document that stands alone: no fonts, scripts or pictures from elsewhere, light or dark."""

from collections.abc import Iterator
from functools import partial
from html import escape

from followup.authoring.drawing.layout import (
    ABOVE,
    FONT,
    INSIDE,
    LINE,
    PEOPLE_HEIGHT,
    SMALL,
    SMALL_LINE,
    Box,
    Path,
    laid_out,
)
from followup.authoring.drawing.lines import broken
from followup.authoring.drawing.measure import text_width
from followup.authoring.drawing.picture import Picture
from followup.authoring.in_words import named_in_words, terms_in_words, ways_through
from followup.core.workflow import Step

MARGIN = 28
TITLE, TITLE_LINE = 18, 25
TERM = 78  # room for the word before each term
NARROWEST, WIDEST_TERMS = 560, 760
CORNER = 6
_STYLE = """
.paper{fill:#fff}
text{fill:#1f2328;font:14px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;\
text-anchor:middle}
.title,.term,.about{text-anchor:start}
.title{font-size:18px;font-weight:700}
.term,.about,.way text,.else text,.unit{font-size:12px}
.about{fill:#59636e}
.fork text,.number{font-weight:700}
rect{fill:#f6f8fa;stroke:#818b98}
.letter rect{fill:#eaf2fd;stroke:#2f6ebd}
.person rect{fill:#fdf2e2;stroke:#a8650c}
.fork rect{fill:#fff;stroke:#1f2328;stroke-width:1.5}
.way rect,.else rect{fill:#fff;stroke:#818b98}
.else rect{stroke-dasharray:4 3}
.people rect{fill:#1a6b45;stroke:none}
.people text{fill:#fff}
.line{fill:none;stroke:#59636e;stroke-width:1.5}
.tip{fill:#59636e}
@media (prefers-color-scheme:dark){
.paper{fill:#15191e}
text{fill:#e6edf3}
.about{fill:#9aa4af}
rect{fill:#21262d;stroke:#7d8792}
.letter rect{fill:#152a45;stroke:#6ba3e8}
.person rect{fill:#3a2a12;stroke:#d9a04e}
.fork rect{fill:#15191e;stroke:#e6edf3}
.way rect,.else rect{fill:#15191e;stroke:#7d8792}
.people rect{fill:#3fb27f;stroke:none}
.people text{fill:#0b1410}
.line{stroke:#9aa4af}
.tip{fill:#9aa4af}
}
"""
_ARROW = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
    '<path class="tip" d="M0 0 8 4 0 8z"/></marker>'
)


def as_svg(picture: Picture) -> str:
    """Return *picture* as an SVG document, with the terms of the workflow above its steps."""
    block = laid_out(picture)
    width = max(block.left + block.right, NARROWEST) + 2 * MARGIN
    head, top = _head(picture, width)
    height = top + block.height + MARGIN
    axis = MARGIN + block.left + (width - 2 * MARGIN - block.left - block.right) / 2
    body = [line for shape in block.moved(axis, top) for line in _drawn(shape)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_number(width)}" height="{_number(height)}" '
            f'viewBox="0 0 {_number(width)} {_number(height)}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(picture.title)}</title>',
            f'<desc id="desc">{escape(_described(picture))}</desc>',
            f"<style>{_STYLE}</style>",
            f"<defs>{_ARROW}</defs>",
            '<path class="paper" d="M0 0H' + f'{_number(width)}V{_number(height)}H0z"/>',
            *head,
            *body,
            "</svg>",
            "",
        ]
    )


def _head(picture: Picture, width: float) -> tuple[list[str], float]:
    """Return title and terms, and where they end."""
    y = float(MARGIN)
    lines = []
    room = width - 2 * MARGIN
    for text in broken(picture.title, room, partial(text_width, size=TITLE, bold=True)):
        lines.append(_text(MARGIN, y + TITLE, text, "title"))
        y += TITLE_LINE
    y += 6
    told = ""
    for about, words in [*terms_in_words(picture.workflow), *(("besides", words) for words in picture.beside)]:
        if about != told:
            lines.append(_text(MARGIN, y + SMALL, about, "about"))
        told = about
        for text in broken(words, min(room, WIDEST_TERMS) - TERM, partial(text_width, size=SMALL)):
            lines.append(_text(MARGIN + TERM, y + SMALL, text, "term"))
            y += SMALL_LINE + 1
    return lines, y + MARGIN


def _drawn(shape: Box | Path) -> Iterator[str]:
    if isinstance(shape, Path):
        start, *others = (f"{_number(x)} {_number(y)}" for x, y in shape.points)
        tip = ' marker-end="url(#tip)"' if shape.arrow else ""
        yield f'<path class="line" d="M{start}L{" ".join(others)}"{tip}/>'
        return
    round_ = min(shape.height / 2, LINE) if shape.kind in {"end", "way", "else"} else CORNER
    yield f'<g class="box {shape.kind}">'
    yield _rect(shape.x, shape.y, shape.width, shape.height, round_)
    size, line = (SMALL, SMALL_LINE) if shape.is_small else (FONT, LINE)
    middle = shape.x + (shape.width - shape.reserved) / 2
    first = shape.y + (shape.height - len(shape.lines) * line) / 2
    for number, text in enumerate(shape.lines):
        yield _text(middle, first + number * line + line / 2 + size * 0.35, text)
    if shape.people:
        yield from _people(shape)
    yield "</g>"


def _people(shape: Box) -> Iterator[str]:
    """Yield the right part of a box, which says how many runs are inside at its step."""
    left, width = shape.x + shape.width - shape.reserved - ABOVE / 2, shape.reserved
    middle, centre = left + width / 2, shape.y + shape.height / 2
    yield '<g class="people">'
    yield _rect(left, centre - PEOPLE_HEIGHT / 2, width, PEOPLE_HEIGHT, CORNER - 2)
    yield _text(middle, centre - 2, f"{shape.people:,}", "number")
    yield _text(middle, centre + SMALL, INSIDE, "unit")
    yield "</g>"


def _rect(x: float, y: float, width: float, height: float, corner: float) -> str:
    numbers = {"x": x, "y": y, "width": width, "height": height, "rx": corner}
    return "<rect " + " ".join(f'{name}="{_number(value)}"' for name, value in numbers.items()) + "/>"


def _text(x: float, y: float, text: str, style: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{_number(x)}" y="{_number(y)}"{named}>{escape(text, quote=False)}</text>'


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _described(picture: Picture) -> str:
    """Return in words what the picture shows, for those who cannot see it."""
    told = [f"Begins with {picture.begins}.", *_told(picture.workflow.steps, picture)]
    return " ".join([*told, *(f"{line}." for line in picture.beside)])


def _told(steps: tuple[Step, ...], picture: Picture) -> Iterator[str]:
    for step in steps:
        people = picture.at(step)
        yield named_in_words(step) + (f" ({people:,} {INSIDE})" if people else "") + "."
        for way in ways_through(step):
            yield f"{way.words}:"
            yield from _told(way.do, picture) if way.do else ["go on."]
