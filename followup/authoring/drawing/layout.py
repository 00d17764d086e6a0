"""
Where everything in the picture of a workflow stands.

Each part of it is a block around an axis, down which its arrow runs: a step, a list of steps, or a fork with its
ways side by side. Blocks know how far they reach, so none lies over another; nothing is measured twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from followup.authoring.drawing.lines import balanced
from followup.authoring.drawing.measure import text_width
from followup.authoring.drawing.picture import Picture
from followup.authoring.in_words import Way, named_in_words, ways_through
from followup.core.workflow import Ask, Branch, Handoff, Send, Split, Step, Stop

FONT, SMALL = 14, 12  # pixels
LINE, SMALL_LINE = 19, 16
ROOM, WAY_ROOM = 210, 180  # for the text in a box
BESIDE, ABOVE = 14, 9  # between a text and its box
DOWN, ASIDE, RAIL = 28, 26, 16  # between boxes one below the other, and side by side; from a box to its rail
PEOPLE_HEIGHT = 38
INSIDE = "inside"
_KINDS: dict[type[Step], str] = {
    Ask: "letter",
    Send: "letter",
    Branch: "fork",
    Split: "fork",
    Handoff: "person",
    Stop: "end",
}

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Text in a box; ``people`` stand there. ``x`` is the left edge, ``reserved`` the room at the right for people."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    kind: str = "step"
    people: int = 0
    reserved: float = 0

    @property
    def is_small(self) -> bool:
        return self.kind in {"way", "else"}

    def moved(self, x: float, y: float) -> "Box":
        return replace(self, x=self.x + x, y=self.y + y)


@dataclass(frozen=True, slots=True)
class Path:
    """A line through *points*, with an arrow at its end or without."""

    points: tuple[Point, ...]
    arrow: bool = False

    def moved(self, x: float, y: float) -> "Path":
        return replace(self, points=tuple((px + x, py + y) for px, py in self.points))


@dataclass(frozen=True, slots=True)
class Block:
    """
    Shapes around an axis (x = 0), from y = 0 down to ``height``.

    ``left`` and ``right`` are how far it reaches from the axis. Whoever comes to the end of an ``open`` one goes on.
    """

    left: float
    right: float
    height: float
    shapes: tuple[Box | Path, ...] = ()
    open: bool = True

    def moved(self, x: float, y: float) -> tuple[Box | Path, ...]:
        return tuple(shape.moved(x, y) for shape in self.shapes)


def laid_out(picture: Picture) -> Block:
    """Return the whole way through the workflow of *picture*, from what begins a run to its end."""
    blocks = [_box(picture.begins, "end"), *(_step(step, picture) for step in picture.workflow.steps)]
    if blocks[-1].open:
        blocks.append(replace(_box("end", "end"), open=False))
    return _stacked(blocks)


def _step(step: Step, picture: Picture) -> Block:
    box = _box(named_in_words(step), _KINDS.get(type(step), "step"), people=picture.at(step))
    ways = ways_through(step)
    if ways:
        return _forked(box, [_way(way, picture) for way in ways])
    return replace(box, open=not isinstance(step, Stop) or step.when is not None)


def _way(way: Way, picture: Picture) -> Block:
    label = _box(way.words, "way" if way.written else "else")
    return _stacked([label, *(_step(step, picture) for step in way.do)])


def _box(text: str, kind: str, *, people: int = 0) -> Block:
    small = kind in {"way", "else"}
    size, line, room = (SMALL, SMALL_LINE, WAY_ROOM) if small else (FONT, LINE, ROOM)
    measure = partial(text_width, size=size, bold=kind == "fork")
    lines = tuple(balanced(text, room, measure))
    reserved = 0.0
    if people:
        number = max(text_width(f"{people:,}", FONT, bold=True), text_width(INSIDE, SMALL))
        reserved = number + BESIDE
    width = max(map(measure, lines)) + 2 * BESIDE + reserved
    height = max(len(lines) * line, PEOPLE_HEIGHT - 6 if people else 0) + 2 * (ABOVE - 4 * small)
    shape = Box(x=-width / 2, y=0, width=width, height=height, lines=lines, kind=kind, people=people, reserved=reserved)
    return Block(width / 2, width / 2, height, (shape,))


def _stacked(blocks: Sequence[Block]) -> Block:
    """Put *blocks* one below the other, an arrow from each to the next."""
    shapes: list[Box | Path] = []
    y = 0.0
    for above, below in pairwise([None, *blocks]):
        assert below is not None
        if above is not None:
            if above.open:
                shapes.append(Path(((0, y), (0, y + DOWN)), arrow=True))
            y += DOWN
        shapes += below.moved(0, y)
        y += below.height
    left, right = max(block.left for block in blocks), max(block.right for block in blocks)
    return Block(left, right, y, tuple(shapes), blocks[-1].open)


def _forked(box: Block, ways: Sequence[Block]) -> Block:
    """Put *ways* side by side below *box*; those that are open come together again below all of them."""
    axes = list(_axes(ways))
    top = box.height + 2 * RAIL
    bottom = top + max(way.height for way in ways) + RAIL
    shapes = [*box.shapes, *_rail(axes, box.height, box.height + RAIL)]
    for axis, way in zip(axes, ways, strict=True):
        shapes.append(Path(((axis, box.height + RAIL), (axis, top))))
        shapes += way.moved(axis, top)
    going_on = [(axis, way) for axis, way in zip(axes, ways, strict=True) if way.open]
    for axis, way in going_on:
        shapes.append(Path(((axis, top + way.height), (axis, bottom))))
    if going_on:
        shapes += _rail([axis for axis, _ in going_on], bottom, bottom)
    left = max(box.left, ways[0].left - axes[0])
    right = max(box.right, axes[-1] + ways[-1].right)
    return Block(left, right, bottom, tuple(shapes), open=bool(going_on))


def _axes(ways: Sequence[Block]) -> Iterator[float]:
    """
    Yield where the axis of each of *ways* stands, so that the first and the last are about equally far from ours.

    One that comes to stand close to ours stands on it: the line to it does not bend by a hair.
    """
    axes = [0.0]
    for before, after in pairwise(ways):
        axes.append(axes[-1] + before.right + ASIDE + after.left)
    middle = axes[-1] / 2
    nearest = min(axes, key=lambda axis: abs(axis - middle))
    if abs(nearest - middle) <= ASIDE:
        middle = nearest
    yield from (axis - middle for axis in axes)


def _rail(axes: Iterable[float], start: float, rail: float) -> Iterator[Path]:
    """Yield the line from our axis at *start* down to *rail*, and the one along it that meets all *axes*."""
    reached = [0.0, *axes]
    if start != rail:
        yield Path(((0, start), (0, rail)))
    if min(reached) != max(reached):
        yield Path(((min(reached), rail), (max(reached), rail)))
