"""A workflow as a tree of its steps, one below the other, with the people at each of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from followup.cli import output

if TYPE_CHECKING:
    from followup.authoring.drawing.picture import Picture
    from followup.core.workflow import Step

INSIDE = "inside"
LEADER = 4  # cells that lead from the words to the number at least, a space before them
LEAST_ROOM = 16  # cells for the words of a step, however deep in the tree it is
NOTHING = "(nothing)"
GO_ON = "go on"  # whom no case of a branch takes


@dataclass(frozen=True, slots=True)
class Lines:
    """The signs a tree is drawn with: before a step, before the last one, and below each of the two."""

    step: str
    last: str
    below: str
    below_last: str
    leader: str


UNICODE = Lines("├─ ", "└─ ", "│  ", "   ", "·")
ASCII = Lines("|- ", "`- ", "|  ", "   ", ".")


@dataclass(frozen=True, slots=True)
class _Row:
    lead: str
    hanging: str  # before what does not fit on the first line
    words: str
    people: int = 0


def outline(picture: "Picture", *, columns: int | None, lines: Lines = UNICODE) -> list[str]:
    """
    Return the tree of the steps as lines of text, the numbers of people in a column beside it.

    Args:
        columns: how many cells a line may take; None: as many as it needs. Words give way to the numbers: they
            go on below themselves.
    """
    from followup.authoring.drawing.lines import broken

    rows = list(_rows(picture.workflow.steps, picture, lines, "", None))
    counts = max((len(f" {row.people:,}") for row in rows if row.people), default=0)
    drawn: list[tuple[str, int]] = []
    for row in rows:
        beside = LEADER + counts if row.people else 0
        before = max(map(output.cells_wide, (row.lead, row.hanging)))
        room = float("inf") if columns is None else max(columns - before - beside, LEAST_ROOM)
        first, *rest = broken(row.words, room, output.cells_wide)
        drawn.append((row.lead + first, row.people))
        drawn += [(f"{row.hanging}{line}", 0) for line in rest]
    edge = max((output.cells_wide(text) + LEADER + counts for text, people in drawn if people), default=0)
    head = [f"{INSIDE:>{edge}}"] if counts else []
    return [*head, *(_with_people(text, people, edge, lines) for text, people in drawn)]


def _with_people(text: str, people: int, edge: int, lines: Lines) -> str:
    if not people:
        return text.rstrip()
    number = f" {people:,}"
    return f"{text} {lines.leader * (edge - output.cells_wide(text) - len(number) - 1)}{number}"


def _rows(steps: "Sequence[Step]", picture: "Picture", lines: Lines, margin: str, empty: str | None) -> Iterator[_Row]:
    from followup.authoring.in_words import named_in_words, ways_through

    if not steps and empty is not None:
        yield _Row(margin + lines.last, margin + lines.below_last, empty)
    for step in steps:
        last = step is steps[-1]
        lead, below = (lines.last, lines.below_last) if last else (lines.step, lines.below)
        ways = ways_through(step)
        hanging = margin + below + (lines.below if ways else "")
        yield _Row(margin + lead, hanging, named_in_words(step), picture.at(step))
        for way in ways:
            final = way is ways[-1]
            lead, deeper = (lines.last, lines.below_last) if final else (lines.step, lines.below)
            if not way.written:
                yield _Row(margin + below + lead, margin + below + deeper, f"{way.words}: {GO_ON}")
                continue
            yield _Row(margin + below + lead, margin + below + deeper + lines.below, way.words)
            yield from _rows(way.do, picture, lines, margin + below + deeper, NOTHING)
