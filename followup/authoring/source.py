"""
YAML with positions, and text out of bytes.

Plain scalars mean what the YAML 1.2 core schema says, so ``on``, ``no`` and ``09:30`` are text. Anchors,
aliases and tags are refused: they add nothing to a file this small, and expand without bound. The tree is
built from parser events without recursion, so that no nesting can exhaust the stack.
"""

import re
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from followup.authoring.diagnostics import Report, Spot, spot_at

LARGEST_YAML = 1_000_000  # characters
DEEPEST = 40

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Scalar:
    """
    A single value. ``raw`` is the text before any typing.

    ``inner`` is where ``raw`` begins if it stands in the file exactly as it is (no escapes, one line).
    """

    value: str | int | float | bool | None
    raw: str
    spot: Spot
    inner: Spot | None = None

    def place(self, offset: int) -> Spot:
        """Return the place of the character *offset* of ``raw``, or of the whole value when that is lost."""
        if self.inner is None:
            return self.spot
        return Spot(self.inner.line, self.inner.column + offset)


@dataclass(slots=True)
class Sequence:
    """A list."""

    spot: Spot
    items: list["Node"] = field(default_factory=list)


@dataclass(slots=True)
class Entry:
    """A key and its value."""

    key: str
    spot: Spot
    value: "Node"


@dataclass(slots=True)
class Mapping:
    """Keys with values, in the order of the file."""

    spot: Spot
    entries: dict[str, Entry] = field(default_factory=dict)

    def get(self, key: str) -> "Node | None":
        """Return the value of *key*, or None."""
        entry = self.entries.get(key)
        return entry.value if entry else None


Node: TypeAlias = Scalar | Sequence | Mapping


class _Refused(Exception):
    """Stops reading; the report already says why."""


def decode(raw: bytes, report: Report) -> str | None:
    """Return the text of a file, line ends as ``\\n`` and no byte order mark; None when it is not UTF-8."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in raw[:200]:
        help = "open it in an editor and save it with the encoding UTF-8"
        report.add(Spot(), "004", "The file is UTF-16 or not text at all.", help)
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        read = raw[: error.start].decode("utf-8", "replace").removeprefix("\ufeff")
        guess = raw[error.start : error.start + 1].decode("cp1252", "replace")
        message = f"The file is not UTF-8: byte 0x{raw[error.start]:02x} (in Windows-1252 {guess!r})."
        help = "open it in an editor and save it with the encoding UTF-8"
        report.add(spot_at(read, len(read)), "004", message, help)
        return None
    return unix_lines(text)


def unix_lines(text: str) -> str:
    """Return *text* with line ends as ``\\n`` and without a byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def refuse_unprintable(text: str, report: Report) -> bool:
    """Report the first character that no editor shows, if any."""
    found = _UNPRINTABLE.search(text)
    if found is None:
        return False
    message = f"An invisible character (U+{ord(found[0]):04X}) stands here."
    report.add(spot_at(text, found.start()), "001", message, "delete it, and type what should be there")
    return True


def read_yaml(text: str, report: Report, *, first_line: int = 1) -> Node | None:
    """
    Read one YAML document, or report why that cannot be done and return None.

    Args:
        text: with line ends as ``\\n``.
        first_line: the line of the file on which *text* begins (front matter begins on the second).
    """
    if len(text) > LARGEST_YAML:
        report.add(Spot(), "004", f"The file is larger than {LARGEST_YAML:,} characters.")
        return None
    padded = "\n" * (first_line - 1) + text
    if refuse_unprintable(padded, report):
        return None
    before = len(report.diagnostics)
    try:
        node = _Builder(padded, report).build()
    except _Refused:
        return None
    except yaml.MarkedYAMLError as error:
        if len(report.diagnostics) == before:  # a W002 explains what follows from it
            _report_syntax(error, padded, report)
        return None
    return node if len(report.diagnostics) == before else None


def _report_syntax(error: yaml.MarkedYAMLError, text: str, report: Report) -> None:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        report.add(Spot(), "001", f"This is not YAML: {error.problem or error.context}.")
        return
    spot = Spot(mark.line + 1, mark.column + 1)
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    problem = error.problem or ""
    at = line[mark.column : mark.column + 1]
    help = "keys on one level start in the same column, and a space follows each colon"
    if "\t" in line[: len(line) - len(line.lstrip())] or at == "\t":
        problem, help = "a tab", "YAML is indented with spaces; replace every tab by spaces"
        spot = Spot(spot.line, line.index("\t") + 1)
    elif "mapping values are not allowed" in problem:
        problem, help = "a second colon", 'text that contains ": " goes in quotes; or this line is indented too far'
    elif "cannot start any token" in problem:
        problem, help = f"a value starting with {at}", "put the value in quotes"
    elif "unexpected end of stream" in problem and error.context_mark is not None:
        spot = Spot(error.context_mark.line + 1, error.context_mark.column + 1)
        problem, help = "a quote that is never closed", "close it at the end of the value"
    elif "another document" in problem:
        problem, help = "a second document", "a file holds one document; remove the line ---"
    elif "unknown escape" in problem:
        problem, help = "an unknown escape", "inside double quotes write \\\\ for \\, or use single quotes"
    report.add(spot, "001", f"YAML cannot be read here: {problem}.", help)


class _Builder:
    """Builds the tree from the events of one document."""

    def __init__(self, text: str, report: Report) -> None:
        self.text, self.report = text, report
        self.root: Node | None = None
        self.open: list[Sequence | Mapping] = []
        self.keys: list[tuple[str, Spot] | None] = []  # the key that waits for its value, per open mapping
        self.documents = 0

    def build(self) -> Node | None:
        for event in yaml.parse(self.text, Loader=yaml.CSafeLoader):
            self._take(event)
        return self.root

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self._refuse(event, "001", "A file holds one YAML document, and a second one starts here.")
            case yaml.AliasEvent():
                self._refuse(event, "005", "Aliases (*name) are not used here.", "write the value out")
            case yaml.ScalarEvent():
                self._refuse_anchor_or_tag(event)
                self._add(self._scalar(event))
            case yaml.SequenceStartEvent():
                self._refuse_anchor_or_tag(event)
                self._enter(Sequence(_spot(event)))
            case yaml.MappingStartEvent():
                self._refuse_anchor_or_tag(event)
                self._look_for_braces(event)
                self._enter(Mapping(_spot(event)))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self.open.pop()
                self.keys.pop()

    def _refuse(self, event: yaml.Event, number: str, message: str, help: str = "") -> None:
        self.report.add(_spot(event), number, message, help)
        raise _Refused

    def _refuse_anchor_or_tag(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            self._refuse(event, "005", "Anchors (&name) are not used here.", "write the value out where it is needed")
        if getattr(event, "tag", None) is not None:
            self._refuse(event, "005", "Tags (!name) are not used here.", "put the value in quotes if it is text")

    def _look_for_braces(self, event: yaml.MappingStartEvent) -> None:
        if event.flow_style and self.text.startswith("{{", _index(event)):
            message = "A value starting with {{ must be in quotes, or YAML reads it as a mapping."
            self._refuse(event, "002", message, 'write "{{ … }}"')

    def _enter(self, node: Sequence | Mapping) -> None:
        if len(self.open) >= DEEPEST:
            self.report.add(node.spot, "001", f"Lists and mappings are nested more than {DEEPEST} deep.")
            raise _Refused
        self._add(node)
        self.open.append(node)
        self.keys.append(None)

    def _add(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        match self.open[-1]:
            case Sequence() as sequence:
                sequence.items.append(node)
            case Mapping() as mapping:
                self._add_to(mapping, node)

    def _add_to(self, mapping: Mapping, node: Node) -> None:
        waiting = self.keys[-1]
        if waiting is None:
            if not isinstance(node, Scalar):
                self.report.add(node.spot, "001", "A key must be plain text.")
                raise _Refused
            self.keys[-1] = (node.raw, node.spot)
            return
        key, spot = waiting
        self.keys[-1] = None
        first = mapping.entries.setdefault(key, Entry(key, spot, node))
        if first.value is not node:
            self.report.add(spot, "003", f'"{key}" is set twice.', f"first set on line {first.spot.line}")

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        raw, quoted = event.value, event.style in ("'", '"')
        begin = _index(event) + quoted
        as_is = self.text.startswith(raw, begin) and "\n" not in raw and event.style not in ("|", ">")
        spot = _spot(event)
        inner = Spot(spot.line, spot.column + quoted) if as_is else None
        return Scalar(raw if event.style else _typed(raw), raw, spot, inner)


def _index(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.index


def _spot(event: yaml.Event) -> Spot:
    assert event.start_mark is not None
    return Spot(event.start_mark.line + 1, event.start_mark.column + 1)


def _typed(raw: str) -> str | int | float | bool | None:
    """Apply the YAML 1.2 core schema to a plain scalar; numbers too long to mean anything stay text."""
    if raw in _NULL:
        return None
    if raw in _BOOL:
        return _BOOL[raw]
    if _INT.fullmatch(raw):
        return int(raw)
    return float(raw) if _FLOAT.fullmatch(raw) and len(raw) < 40 else raw
