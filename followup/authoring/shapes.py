"""Reading one mapping: which keys it may have, and the plain types of their values."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from followup.authoring.diagnostics import Report, did_you_mean, listed
from followup.authoring.durations import Unclear
from followup.authoring.source import Mapping, Node, Scalar, Sequence

T = TypeVar("T")


def as_mapping(node: Node | None, report: Report, what: str) -> Mapping | None:
    """Return *node* if it is a mapping; otherwise report that *what* must be one."""
    if isinstance(node, Mapping):
        return node
    if node is not None:
        report.add(node.spot, "103", f"{what} must be keys with values, not {kind_of(node)}.")
    return None


def as_sequence(node: Node | None, report: Report, what: str) -> Sequence | None:
    """Return *node* if it is a list; otherwise report that *what* must be one."""
    if isinstance(node, Sequence):
        return node
    if node is not None:
        report.add(node.spot, "103", f"{what} must be a list, not {kind_of(node)}.", 'start each item with "- "')
    return None


def as_text(node: Node | None, report: Report, what: str, *, numbers: bool = False) -> str | None:
    """Return the text of *node*, without space around it; *numbers* lets a bare number count as text."""
    if isinstance(node, Scalar):
        typed = isinstance(node.value, bool) or (isinstance(node.value, int | float) and not numbers)
        if not typed and node.value is not None and node.raw.strip():
            return node.raw.strip()
    if node is None:
        return None
    help = "put it in quotes if that is the text you mean" if isinstance(node, Scalar) and node.raw.strip() else ""
    report.add(node.spot, "103", f"{what} must be text, not {kind_of(node)}.", help)
    return None


def kind_of(node: Node) -> str:
    """Name what *node* is, for a message."""
    match node:
        case Mapping():
            return "keys with values"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=bool()):
            return f"true or false ({node.raw})"
        case Scalar(value=int() | float()):
            return f"a number ({node.raw})"
        case Scalar():
            return "text" if node.raw.strip() else "empty"


@dataclass(slots=True)
class Fields:
    """
    One mapping being read. Every getter reports what is wrong and returns None (or the default) then.

    ``place`` names it in messages: ``a workflow``, ``an ask step``.
    """

    node: Mapping
    report: Report
    place: str
    allowed: Collection[str]

    def check(self, *required: str, help: str = "") -> None:
        """Report unknown keys, and (with *help*) *required* ones that are missing and have no typo in their place."""
        meant = set()
        for key, entry in self.node.entries.items():
            if key in self.allowed:
                continue
            guess = did_you_mean(key, self.allowed)
            meant.add(guess)
            hint = f' Did you mean "{guess}"?' if guess else ""
            message = f'Unknown key "{key}" in {self.place}.{hint}'
            self.report.add(entry.spot, "101", message, f"allowed here: {listed(self.allowed)}")
        missing = [f'"{key}"' for key in required if key not in self.node.entries and key not in meant]
        if missing:
            are = "are" if len(missing) > 1 else "is"
            self.report.add(self.node.spot, "102", f"{', '.join(missing)} {are} missing in {self.place}.", help)

    def get(self, key: str) -> Node | None:
        return self.node.get(key)

    def text(self, key: str, *, numbers: bool = False) -> str | None:
        return as_text(self.get(key), self.report, f'"{key}"', numbers=numbers)

    def mapping(self, key: str) -> Mapping | None:
        return as_mapping(self.get(key), self.report, f'"{key}"')

    def sequence(self, key: str) -> Sequence | None:
        return as_sequence(self.get(key), self.report, f'"{key}"')

    def flag(self, key: str) -> bool | None:
        """Return true or false."""
        node = self.get(key)
        if node is None:
            return None
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        self.report.add(node.spot, "103", f'"{key}" must be true or false, not {kind_of(node)}.')
        return None

    def integer(self, key: str, lowest: int, highest: int) -> int | None:
        """Return a whole number within both bounds (inclusive)."""
        node = self.get(key)
        if node is None:
            return None
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        self.report.add(node.spot, "105", f'"{key}" must be a whole number from {lowest} to {highest}.')
        return None

    def choice(self, key: str, words: Collection[str]) -> str | None:
        """Return one of *words*; a near miss is told apart."""
        text = self.text(key)
        if text is None or text in words:
            return text
        node = self.get(key)
        assert node is not None
        guess = did_you_mean(text, words)
        hint = f' Did you mean "{guess}"?' if guess else ""
        self.report.add(node.spot, "105", f'"{key}" cannot be "{text}".{hint}', f"allowed here: {listed(words)}")
        return None

    def parsed(self, key: str, read: Callable[[str], T]) -> T | None:
        """Return what *read* makes of the text (numbers included); it raises Unclear."""
        text = self.text(key, numbers=True)
        if text is None:
            return None
        node = self.get(key)
        assert node is not None
        return parse(node, text, self.report, key, read)


def parse(node: Node, text: str, report: Report, what: str, read: Callable[[str], T]) -> T | None:
    """Return what *read* makes of *text*, or report its complaint at *node*."""
    try:
        return read(text)
    except Unclear as error:
        report.add(node.spot, error.number, f"{what}: {error}", error.help)
        return None
