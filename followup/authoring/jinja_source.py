"""
Jinja source taken apart with exact positions.

Jinja's own nodes know only their line. ``read`` therefore lays the source out anew with every token inside
``{{ }}`` and ``{% %}`` on a line of its own; the line of a node then names one token, and ``Source.offset``
leads back to where it stands in the file.
"""

import re
from dataclasses import dataclass
from enum import Enum

from jinja2 import Environment, TemplateSyntaxError, nodes

_LEXING = Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701 - never renders anything
_TOKENS = {
    "'end of print statement'": "}}",
    "'end of statement block'": "%}",
    "'begin of print statement'": "{{",
    "'begin of statement block'": "{%",
}
_AT = re.compile(r" at ([0-9]+)$")


class Kind(Enum):
    DATA = "data"
    EXPRESSION = "expression"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of text, or the inside of one tag; ``start`` is the offset of its first character."""

    kind: Kind
    text: str
    start: int

    @property
    def word(self) -> str:
        """Return the first word of a statement: ``if``, ``endfor``, …"""
        return self.text.split(None, 1)[0] if self.kind is Kind.STATEMENT and self.text else ""


class Fault(Exception):
    """The source is not what Jinja, or we, can read. ``offset`` counts characters from 0."""

    def __init__(self, code: str, message: str, offset: int, help: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.offset, self.help = code, message, offset, help


@dataclass(frozen=True, slots=True)
class Source:
    """What ``read`` returns: the chunks in order, and the tree with the way back to the file."""

    chunks: tuple[Chunk, ...]
    tree: nodes.Template
    _starts: tuple[int, ...]

    def offset(self, line: int) -> int:
        """Return the offset in the file of the token on *line* (from 1) of the laid-out source."""
        return self._starts[max(0, min(line, len(self._starts)) - 1)]


def read(source: str) -> Source:
    """
    Take *source* (line ends as ``\\n``) apart.

    Raises:
        Fault: J003, it is not a Jinja template, with the place.
    """
    layout = _Layout(source)
    try:
        layout.lay_out()
        tree = _LEXING.parse("".join(layout.out))
    except TemplateSyntaxError as error:
        raise _fault(error, layout) from error
    except RecursionError:
        raise Fault("J003", "This is nested too deeply.", 0) from None
    except ValueError as error:  # a number with thousands of digits
        raise Fault("J003", "This cannot be read as a number.", 0) from error
    return Source(tuple(layout.chunks), tree, tuple(layout.starts))


class _Layout:
    """The state of one pass over the tokens."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self.out: list[str] = []
        self.starts = [0]  # offset of the token on each line written so far
        self.chunks: list[Chunk] = []
        self.begins: list[int] = []  # of tags, closed or not
        self.complete = False

    def lay_out(self) -> None:
        begin = inside = 0
        for _, name, value in _LEXING.lexer.tokeniter(self.source, None):
            at = self.source.index(value, self.position)  # space that a "-" eats is not among the tokens
            self.position = at + len(value)
            if name == "data":
                self.chunks.append(Chunk(Kind.DATA, value, at))
                self._write(value, at)
            elif name in {"variable_begin", "block_begin"}:
                begin, inside = at, self.position
                self.begins.append(at)
                self._write(value.rstrip("-+"), at)
            elif name in {"variable_end", "block_end"}:
                kind = Kind.EXPRESSION if name == "variable_end" else Kind.STATEMENT
                self.chunks.append(Chunk(kind, self.source[inside:at].strip(), begin))
                self._line("}}" if name == "variable_end" else "%}", at)
            elif name == "raw_begin":
                raise Fault("J003", "{% raw %} is not allowed.", at, 'write {{ "{{" }} for two braces')
            elif name not in {"whitespace", "comment_begin", "comment", "comment_end"}:
                self._line(value, at)
        self.complete = True

    def _write(self, text: str, at: int) -> None:
        self.out.append(text)
        self.starts.extend(at + found.end() for found in re.finditer("\n", text))

    def _line(self, token: str, at: int) -> None:
        self.out.append("\n")
        self.starts.append(at)
        self._write(token, at)


def _fault(error: TemplateSyntaxError, layout: _Layout) -> Fault:
    message = (error.message or "unreadable").rstrip(".")
    if not layout.complete:
        found = _AT.search(message)
        return Fault("J003", f"{_AT.sub('', message)}.", int(found[1]) if found else layout.position)
    at = layout.starts[max(0, min(error.lineno, len(layout.starts)) - 1)]
    begin = max((start for start in layout.begins if start <= at), default=at)
    inside_a_tag = "end of print statement" in message or "end of statement block" in message
    if inside_a_tag and (layout.source.startswith("{", at) or "end of template" in message):
        return Fault("J003", f"This {layout.source[begin : begin + 2]} is never closed.", begin)
    for spoken, written in _TOKENS.items():
        message = message.replace(spoken, written)
    return Fault("J003", f"{message[:1].upper()}{message[1:]}.", at)
