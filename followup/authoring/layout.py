"""The HTML around every letter: one for the project, or the one that comes with followup."""

import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape, unescape
from html.parser import HTMLParser
from importlib.resources import files as package_files

from followup.authoring.diagnostics import Diagnostic, Spot, spot_at
from followup.authoring.jinja_source import Chunk, Fault, Kind, read
from followup.authoring.letter_check import check
from followup.authoring.links import secure
from followup.authoring.marks import CLOSERS, OPENERS, Mark, Marks, Misplaced, Place, Sink
from followup.core.facts import NAMES

LAYOUT = "templates/_layouts/letter.html"
LARGEST = 100_000
SPECIALS = frozenset(
    {"body", "subject", "preheader", "language", "stop_url", "stop_text", "postal_address", "reason", "signature"}
)
_LINKS = ("href", "src", "action", "background", "poster")
_ATTRIBUTE = re.compile(rf'(?<=\s)({"|".join(_LINKS)})="([^"]*)"')
_UNSAFE = frozenset({"script", "iframe", "object", "embed", "form", "base"})


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout that has passed its checks; the chunks are its text and its tags."""

    path: str
    text: str
    chunks: tuple[Chunk, ...]


@lru_cache(maxsize=1)
def default_layout() -> Layout:
    """Return the layout that comes with followup."""
    file = package_files("followup.authoring") / "layouts" / "letter.html"
    layout = read_layout("followup/authoring/layouts/letter.html", file.read_text("utf-8"))
    assert isinstance(layout, Layout), [d.format() for d in layout]
    return layout


def read_layout(path: str, text: str) -> Layout | list[Diagnostic]:
    """Return the layout in *text*, or everything that is wrong with it."""
    if len(text) > LARGEST:
        return [Diagnostic(path, 1, 1, "T161", f"The layout is larger than {LARGEST:,} characters.")]
    try:
        source = read(text)
        faults = check(source, NAMES, SPECIALS)
    except Fault as fault:
        faults = [fault]
    found = []
    for wrong in faults:
        spot = spot_at(text, wrong.offset)
        found.append(Diagnostic(path, spot.line, spot.column, wrong.code, wrong.message, wrong.help))
    if found:
        return found
    layout = Layout(path, text, source.chunks)
    try:
        marks = Marks([text])
        _Anatomy(marks, layout).check(hidden(layout, marks))
    except Misplaced as error:
        spot = error.place.spot
        return [Diagnostic(path, spot.line, spot.column, error.code, error.message, error.help)]
    return layout


def hidden(layout: Layout, marks: Marks) -> str:
    """Return the HTML of *layout* with marks; statements between elements are comments, which stay where they are."""
    out = ""
    for chunk in layout.chunks:
        if chunk.kind is Kind.DATA:
            out += chunk.text
            continue
        place = Place(layout.path, spot_at(layout.text, chunk.start))
        special = chunk.text if chunk.kind is Kind.EXPRESSION and chunk.text in SPECIALS else None
        text = marks.add(Mark(chunk.kind, chunk.text, place, special=special))
        between = out.rfind("<") <= out.rfind(">")
        out += f"<!--{text}-->" if chunk.kind is Kind.STATEMENT and between else text
    return out


def _is_ours(url: str, marks: Marks) -> bool:
    """Tell whether *url* needs no check: a link of our own, one of the letter that had its check, or an anchor."""
    only = marks.only(url)
    if only is not None and (only.special == "stop_url" or only.code.startswith("_")):
        return True
    return url.startswith("#") or any(mark.sink is not Sink.PLAIN for mark in marks.within(url))


def secure_attributes(html: str, marks: Marks) -> str:
    """
    Return *html* (as css-inline writes it) with the names in links encoding what they write.

    Raises:
        Misplaced: see ``links.secure``; not for a layout and a body that had their checks.
    """

    def checked(found: re.Match[str]) -> str:
        url = unescape(found[2])
        if _is_ours(url, marks):
            return found[0]
        safe = secure(url, marks, lambda _: marks.ours, picture=found[1] != "href")
        return f'{found[1]}="{escape(safe)}"'

    return _ATTRIBUTE.sub(checked, html)


class _Anatomy(HTMLParser):
    """Checks that body, stop link and address are there for everybody, and that nothing is where it could do harm."""

    def __init__(self, marks: Marks, layout: Layout) -> None:
        super().__init__(convert_charrefs=True)
        self.marks, self.layout = marks, layout
        self.start = Place(layout.path, Spot())
        self.depth = 0  # of statements
        self.inside: list[str] = []
        self.body = 0
        self.stop_link = self.address = False

    def check(self, html: str) -> None:
        self.feed(html)
        self.close()
        help = "see the layout that comes with followup for an example"
        if self.body != 1:
            raise Misplaced(self.start, "T160", "The layout needs {{ body }} exactly once.", help)
        if not self.stop_link:
            message = 'The layout needs a stop link: <a href="{{ stop_url }}">, outside of any {% if %}.'
            raise Misplaced(self.start, "T160", message, help)
        if not self.address:
            message = "The layout needs {{ postal_address }} in its text, outside of any {% if %}."
            raise Misplaced(self.start, "T160", message, help)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSAFE:
            raise Misplaced(self.start, "T160", f"The layout cannot have a <{tag}>: mail programs refuse it.")
        self.inside.append(tag)
        for name, value in attrs:
            for mark in self.marks.within(f"{name} {value or ''}"):
                self._attribute(tag, name, mark)
            if name in _LINKS and value and not _is_ours(value, self.marks):
                secure(value, self.marks, self._locate, picture=name != "href")

    def _locate(self, constant: str) -> Place:
        return Place(self.layout.path, spot_at(self.layout.text, max(0, self.layout.text.find(constant))))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.inside.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def _attribute(self, tag: str, name: str, mark: Mark) -> None:
        if mark.kind is Kind.STATEMENT or name == "style" or name.startswith("on") or mark.special == "body":
            raise Misplaced(mark.place, "T160", f'This cannot stand in the attribute "{name}".')
        if tag == "a" and name == "href" and mark.special == "stop_url" and self.depth == 0:
            self.stop_link = True

    def handle_data(self, data: str) -> None:
        for mark in self.marks.within(data):
            if "style" in self.inside:
                raise Misplaced(mark.place, "T160", "Jinja cannot stand in a style sheet.")
            if mark.kind is Kind.STATEMENT and "title" not in self.inside:
                raise Misplaced(mark.place, "T160", "This statement stands inside a tag.")
            if mark.special == "body":
                if self.depth or "title" in self.inside:
                    raise Misplaced(mark.place, "T160", "{{ body }} stands where not everybody would see it.")
                self.body += 1
            shown = self.depth == 0 and "title" not in self.inside
            if shown and (mark.special == "postal_address" or mark.code == "shop.postal_address"):
                self.address = True

    def handle_comment(self, data: str) -> None:
        for mark in self.marks.within(data):
            if mark.kind is not Kind.STATEMENT:
                raise Misplaced(mark.place, "T160", "This stands in a comment, where nobody sees it.")
            self.depth += (mark.word in OPENERS) - (mark.word in CLOSERS)
