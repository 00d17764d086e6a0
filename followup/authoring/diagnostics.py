"""One format for everything that can be wrong in a file a marketer wrote."""

import difflib
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from followup.errors import FollowupError

FRAME_WIDTH = 110  # characters of a long line shown around the caret


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A place in a file; both numbers start at 1 and count characters."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something wrong at one place of one file, and what to do about it."""

    path: str
    line: int
    column: int
    code: str
    message: str
    help: str = ""

    def format(self, text: str | None = None) -> str:
        """Return the lines to print; with the *text* of the file, they show the place."""
        head = f"{self.path}:{self.line}:{self.column}: {self.code} {self.message}"
        frame, margin = _frame(text.split("\n"), self.line, self.column) if text else ([], 2)
        tail = [f"{' ' * margin} = help: {self.help}"] if self.help else []
        return "\n".join([head, *frame, *tail])


@dataclass(slots=True)
class Report:
    """
    Collects what is wrong with one file.

    ``series`` is the letter before the number of a code: W for workflows, people and the shop, T for letters.
    """

    path: str
    series: str = "W"
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def add(self, spot: Spot, number: str, message: str, help: str = "") -> None:
        """Note that something is wrong at *spot*; a *number* like ``101`` gets the file's series before it."""
        code = self.series + number if number.isdigit() else number
        self.diagnostics.append(Diagnostic(self.path, spot.line, spot.column, code, message, help))


class BundleError(FollowupError):
    """Some files cannot be used. ``diagnostics`` are sorted by path and place, one for each place."""

    def __init__(self, diagnostics: Iterable[Diagnostic], files: Mapping[str, str]) -> None:
        self.diagnostics = tidy(diagnostics)
        super().__init__("\n".join(d.format(files.get(d.path)) for d in self.diagnostics))


def tidy(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return *diagnostics* sorted by path, line and column, keeping the first one at each place."""
    first: dict[tuple[str, int, int], Diagnostic] = {}
    for diagnostic in diagnostics:
        first.setdefault((diagnostic.path, diagnostic.line, diagnostic.column), diagnostic)
    return [first[place] for place in sorted(first)]


def did_you_mean(word: str, known: Collection[str]) -> str | None:
    """Return the one of *known* that *word* most likely stands for, or None."""
    plain = {_plain(name): name for name in sorted(known, reverse=True)}
    hits = difflib.get_close_matches(_plain(word), list(plain), n=1, cutoff=0.7)
    return plain[hits[0]] if hits else None


def suggestion(word: str, known: Collection[str]) -> str:
    """Return `` Did you mean "…"?`` to end a message with, or nothing."""
    meant = did_you_mean(word, known)
    return f' Did you mean "{meant}"?' if meant else ""


def listed(words: Iterable[str], *, most: int = 12) -> str:
    """Return *words* for a help line, cut after *most*."""
    words = list(words)
    return ", ".join(words[:most]) + (", …" if len(words) > most else "")


def spot_at(text: str, offset: int) -> Spot:
    """Return the place of the character *offset* (from 0) of *text*."""
    before = text[:offset]
    return Spot(before.count("\n") + 1, offset - before.rfind("\n"))


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")


def _frame(lines: list[str], line: int, column: int) -> tuple[list[str], int]:
    if not 1 <= line <= len(lines):
        return [], 2
    margin = len(str(line))
    first = max(0, column - FRAME_WIDTH)
    shown = [
        f"{number:>{margin}} | {_visible(lines[number - 1][first : first + FRAME_WIDTH + 20])}".rstrip()
        for number in (line - 1, line)
        if number >= 1
    ]
    width = sum(_cells(char) for char in _visible(lines[line - 1][first : column - 1]))
    return [*shown, f"{' ' * margin} | {' ' * width}^"], margin


def _visible(text: str) -> str:
    """Replace what would disturb a terminal; tabs become one space, so that the caret stays in place."""
    return "".join(" " if char == "\t" else char if char.isprintable() else "\ufffd" for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
