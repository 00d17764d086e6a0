"""
A message taken apart into parts, in bounded time and memory, whatever it is made of.

The parser of the standard library recurses once per level and looks for every open boundary on every
line, so that 1 MB of nested multiparts takes it minutes or breaks its stack. This one walks offsets of
one bytes object: each level is searched once, for one boundary, at most `MAX_DEPTH` deep and up to
`MAX_PARTS` parts. No body is decoded here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message

from followup.inbound.charsets import decode

MAX_HEADER_BLOCK = 256_000  # bytes
MAX_HEADERS = 1_000
MAX_HEADER_LENGTH = 8_000  # bytes used of one header
MAX_PARTS = 200
MAX_DEPTH = 20
MAX_BOUNDARY = 200  # characters; RFC 2046 allows 70

_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*:[ \t]*")
_MBOX_LINES = (b"From ", b">From ")


@dataclass(frozen=True, slots=True)
class Headers:
    """
    A header block: lower-case names to their values, unfolded, undecoded, in order of appearance.

    Bytes that are not ASCII are kept by ``surrogateescape`` (`header_values.decoded` undoes it).
    """

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    truncated: bool = False

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of *name* (lower case)."""
        return self.values.get(name, ())

    def first(self, name: str) -> str:
        """Return the first value of *name* (lower case), or an empty string."""
        return next(iter(self.all(name)), "")

    def parameter(self, name: str, parameter: str) -> str | None:
        """Return *parameter* of header *name* with RFC 2231 undone, or None."""
        holder = Message()
        holder["x"] = self.first(name)
        found = holder.get_param(parameter, header="x")
        if isinstance(found, tuple):  # (charset, language, value), the bytes of value as Latin-1
            return decode(found[2].encode("latin-1", "replace"), found[0])
        return found


@dataclass(frozen=True, slots=True)
class Part:
    """
    A part that is no multipart. ``start`` and ``end`` frame its encoded body within the message.

    ``alternatives`` numbers the multipart/alternative it stands in, outermost first.
    """

    headers: Headers
    start: int
    end: int
    content_type: str
    alternatives: tuple[int, ...] = ()

    @property
    def file_name(self) -> str | None:
        """Return the file's name as its sender gave it, undecoded, or None."""
        return self.headers.parameter("content-disposition", "filename") or self.headers.parameter(
            "content-type", "name"
        )

    @property
    def attached(self) -> bool:
        return self.headers.first("content-disposition").lower().startswith("attachment")


@dataclass(frozen=True, slots=True)
class Structure:
    """A message: its own headers and content type, and its leaf parts in order."""

    headers: Headers
    content_type: str
    parts: tuple[Part, ...]
    truncated: bool


def take_apart(raw: bytes) -> Structure:
    """Return headers and leaf parts of *raw*; ``truncated`` when it broke a bound."""
    headers, body = read_headers(raw, 0, len(raw))
    walk = _Walk(raw)
    walk.visit(headers, body, len(raw), depth=0, alternatives=())
    return Structure(headers, content_type_of(headers), tuple(walk.parts), walk.truncated)


def is_mail(raw: bytes) -> bool:
    """Tell whether *raw* begins with a header that every mail has one of, and other files do not."""
    headers, _ = read_headers(raw, 0, len(raw))
    return any(headers.all(name) for name in ("from", "date", "received", "message-id", "subject"))


def content_type_of(headers: Headers) -> str:
    """Return the content type in lower case; text/plain when there is none or none that makes sense."""
    given = headers.first("content-type").partition(";")[0].strip().lower()
    return given if given.count("/") == 1 and len(given) <= 100 else "text/plain"


def read_headers(raw: bytes, start: int, end: int) -> tuple[Headers, int]:
    """
    Return the header block of *raw* that begins at *start*, and where its body begins.

    As mail programs do, take a line that is no header for the first of the body.
    """
    values: dict[str, list[bytearray]] = {}
    current: bytearray | None = None
    limit = min(end, start + MAX_HEADER_BLOCK)
    position, count = start, 0
    while position < limit and count <= MAX_HEADERS:
        next_line = raw.find(b"\n", position, limit) + 1 or limit
        line = raw[position:next_line].rstrip(b"\r\n")
        if not line:
            return _headers(values, truncated=False), next_line
        if line[:1] in b" \t":
            if current is not None and len(current) <= MAX_HEADER_LENGTH:
                current += b" " + line.strip()[: MAX_HEADER_LENGTH + 1]
        elif match := _FIELD.match(line):
            current = bytearray(line[match.end() :].strip()[: MAX_HEADER_LENGTH + 1])
            values.setdefault(match[1].decode("ascii").lower(), []).append(current)
            count += 1
        elif not line.startswith(_MBOX_LINES):
            if next_line < limit or limit == end:
                return _headers(values, truncated=False), position
            break  # a line cut by the limit
        position = next_line
    if position >= end:
        return _headers(values, truncated=False), end
    return _headers(values, truncated=True), _after_empty_line(raw, position, end)


def _headers(values: Mapping[str, list[bytearray]], *, truncated: bool) -> Headers:
    long = any(len(value) > MAX_HEADER_LENGTH for given in values.values() for value in given)
    texts = {
        name: tuple(bytes(value[:MAX_HEADER_LENGTH]).decode("ascii", "surrogateescape") for value in given)
        for name, given in values.items()
    }
    return Headers(texts, truncated or long)


def _after_empty_line(raw: bytes, start: int, end: int) -> int:
    ends = [
        found + len(mark) for mark in (b"\n\n", b"\n\r\n") if (found := raw.find(mark, max(start - 1, 0), end)) >= 0
    ]
    return min(ends, default=end)


class _Walk:
    """The state of one descent: what was found, and what of the bounds is left."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.parts: list[Part] = []
        self.truncated = False
        self._alternatives = 0
        self._visited = 0

    def visit(self, headers: Headers, start: int, end: int, *, depth: int, alternatives: tuple[int, ...]) -> None:
        self._visited += 1
        self.truncated = self.truncated or headers.truncated
        content_type = content_type_of(headers)
        if content_type.startswith("multipart/"):
            inside = self._split(headers.parameter("content-type", "boundary"), start, end, depth)
            if inside:
                if content_type == "multipart/alternative":
                    self._alternatives += 1
                    alternatives = (*alternatives, self._alternatives)
                for part_start, part_end in inside:
                    if self._visited >= MAX_PARTS:
                        self.truncated = True
                        return
                    below, body = read_headers(self.raw, part_start, part_end)
                    self.visit(below, body, part_end, depth=depth + 1, alternatives=alternatives)
                return
            content_type = "text/plain"  # a multipart without parts is read as the text that it is
        self.parts.append(Part(headers, start, end, content_type, alternatives))

    def _split(self, boundary: str | None, start: int, end: int, depth: int) -> list[tuple[int, int]]:
        """Return the frames of the parts between *start* and *end*; none without a boundary in use."""
        if not boundary or len(boundary) > MAX_BOUNDARY:
            return []
        if depth >= MAX_DEPTH:
            self.truncated = True
            return []
        mark = b"--" + boundary.encode("utf-8", "surrogateescape")
        frames: list[tuple[int, int]] = []
        opened: int | None = None
        position = start
        while len(frames) <= MAX_PARTS:
            found = self.raw.find(mark, position, end)
            if found < 0:
                break
            line_end = self.raw.find(b"\n", found, end) + 1 or end
            rest = self.raw[found + len(mark) : min(line_end, found + len(mark) + 80)].strip()
            position = found + len(mark)
            if (found > start and self.raw[found - 1 : found] != b"\n") or rest not in (b"", b"--"):
                continue
            if opened is not None:
                frames.append((opened, self._before_line_end(found, opened)))
            opened, position = line_end, line_end
            if rest == b"--":
                return frames
        if opened is not None and len(frames) <= MAX_PARTS:
            frames.append((opened, end))  # the closing boundary never came
        return frames

    def _before_line_end(self, position: int, floor: int) -> int:
        """Return *position* without the line end before a boundary, which belongs to the boundary."""
        for ending in (b"\r\n", b"\n"):
            if self.raw[max(floor, position - len(ending)) : position] == ending:
                return position - len(ending)
        return max(floor, position)
