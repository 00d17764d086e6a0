"""
Marks: short words that stand in for Jinja while Markdown and CSS are worked on.

A letter's expressions and statements are replaced by marks before Markdown sees the text, and put back
afterwards, so everything slow happens once per letter and no customer's name is ever read as Markdown.
A mark is lower-case ASCII letters and digits around a nonce that occurs nowhere in the sources.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from followup.authoring.diagnostics import Spot
from followup.authoring.jinja_source import Chunk, Kind

OPENERS = {"if": "endif", "for": "endfor"}
BETWEEN = {"elif", "else"}
CLOSERS = {closer: opener for opener, closer in OPENERS.items()}


class Sink(Enum):
    """How a value is written where its mark stands."""

    PLAIN = "plain"
    URL = "url"  # a whole link, or its beginning
    URL_PART = "url part"
    MAILBOX = "mailbox"
    RAW = "raw"  # ours, and already written the way it should be


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file something was written."""

    path: str
    spot: Spot


@dataclass(frozen=True, slots=True)
class Mark:
    """What one mark stands for. ``code`` is the inside of the tag; ``special`` a name the renderer knows."""

    kind: Kind
    code: str
    place: Place
    sink: Sink = Sink.PLAIN
    special: str | None = None

    @property
    def word(self) -> str:
        return self.code.split(None, 1)[0] if self.kind is Kind.STATEMENT and self.code else ""


class Misplaced(Exception):
    """Something in a letter stands where it cannot stand."""

    def __init__(self, place: Place, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.place, self.code, self.message, self.help = place, code, message, help


class Marks:
    """Hands out marks, and finds them again in text."""

    def __init__(self, sources: Iterable[str]) -> None:
        everything = "\n".join(sources).casefold()
        nonce = "q"
        while nonce in everything:
            nonce = "q" + hashlib.sha256((nonce + everything).encode("utf-8", "replace")).hexdigest()[:9]
        self.found: list[Mark] = []
        self.pattern = re.compile(f"{nonce}[ib]([0-9]+)z")
        self.block = re.compile(f"{nonce}b[0-9]+z")  # a statement on a line of its own
        self.ours = Place("", Spot())  # of marks that we add ourselves
        self._nonce = nonce

    def add(self, mark: Mark, *, block: bool = False) -> str:
        """Return the text that stands for *mark* from now on; *block* for one on its own line."""
        self.found.append(mark)
        return f"{self._nonce}{'b' if block else 'i'}{len(self.found) - 1}z"

    def of(self, found: re.Match[str]) -> Mark:
        return self.found[int(found[1])]

    def within(self, text: str) -> list[Mark]:
        """Return the marks in *text*, in order."""
        return [self.of(found) for found in self.pattern.finditer(text)]

    def only(self, text: str) -> Mark | None:
        """Return the mark that makes up all of *text*, or None."""
        found = self.pattern.fullmatch(text.strip())
        return self.of(found) if found else None


def hide(chunks: Sequence[Chunk], places: Sequence[Place], specials: frozenset[str], marks: Marks) -> str:
    """
    Return the text of *chunks* with a mark for every tag.

    A statement whose partners stand on other lines, each at the beginning or end of its line, gets a line
    of its own: ``{% for item in order.items %}- {{ item.name }}`` starts a list as an author expects.

    Args:
        places: where each chunk stands in its file.
        specials: names that the renderer fills in itself when they stand alone.
    """
    alone = _on_own_lines(chunks)
    writer = _Writer()
    for number, (chunk, place) in enumerate(zip(chunks, places, strict=True)):
        if chunk.kind is Kind.DATA:
            writer.text(chunk.text)
            continue
        special = chunk.text if chunk.kind is Kind.EXPRESSION and chunk.text in specials else None
        mark = marks.add(Mark(chunk.kind, chunk.text, place, special=special), block=number in alone)
        if number in alone:
            writer.own_line(mark)
        else:
            writer.inline(mark)
    return "".join(writer.out)


class _Writer:
    """Writes lines; ``pending`` after a statement that must stay alone on its line."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.line = ""
        self.pending = False

    def text(self, text: str) -> None:
        if self.pending:
            text = text.lstrip(" \t")
            if not text:
                return
            if text.startswith("\n"):
                self.pending = False
            else:
                self._break()
        self._put(text)

    def inline(self, mark: str) -> None:
        if self.pending:
            self._break()
        self._put(mark)

    def own_line(self, mark: str) -> None:
        if self.pending or self.line.strip():
            self._break()
        self._put(mark)
        self.pending = True

    def _break(self) -> None:
        indent = self.line[: len(self.line) - len(self.line.lstrip())]
        self._put("\n" + indent)
        self.pending = False

    def _put(self, text: str) -> None:
        self.out.append(text)
        self.line = (self.line + text).rsplit("\n", 1)[-1]


def _on_own_lines(chunks: Sequence[Chunk]) -> set[int]:
    """Return the statements that get a line of their own, by number; see ``hide``."""
    alone: set[int] = set()
    stack: list[list[int]] = []
    for number, chunk in enumerate(chunks):
        if chunk.word in OPENERS:
            stack.append([number])
        elif chunk.word in BETWEEN and stack:
            stack[-1].append(number)
        elif chunk.word in CLOSERS and stack:
            group = [*stack.pop(), number]
            spread = any("\n" in c.text for c in chunks[group[0] : number] if c.kind is Kind.DATA)
            if spread and all(_at_an_edge(chunks, member) for member in group):
                alone.update(group)
    return alone


def _at_an_edge(chunks: Sequence[Chunk], number: int) -> bool:
    return _blank_until_break(reversed(chunks[:number]), backwards=True) or _blank_until_break(
        iter(chunks[number + 1 :]), backwards=False
    )


def _blank_until_break(chunks: Iterable[Chunk], *, backwards: bool) -> bool:
    for chunk in chunks:
        if chunk.kind is Kind.STATEMENT:
            continue
        if chunk.kind is Kind.EXPRESSION:
            return False
        lines = chunk.text.split("\n")
        if (lines[-1] if backwards else lines[0]).strip():
            return False
        if len(lines) > 1:
            return True
    return True
