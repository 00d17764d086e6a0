"""Where the words of a workflow file stand, for complaints that come after all of it was read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from followup.authoring.diagnostics import Spot
from followup.authoring.source import Entry, Node, Scalar, Sequence
from followup.authoring.source import Mapping as YamlMapping


@dataclass(frozen=True, slots=True)
class Place:
    """A value of a workflow: ``path`` are keys, and numbers from 0, from the top or from the step with that id."""

    path: tuple[str | int, ...] = ()
    step: str | None = None

    def __truediv__(self, key: str | int) -> "Place":
        return Place((*self.path, key), self.step)


@dataclass(frozen=True, slots=True)
class Places:
    """The tree of a file, and the mapping of each step in it by the step's id."""

    root: YamlMapping = field(default_factory=lambda: YamlMapping(Spot()))
    steps: Mapping[str, YamlMapping] = field(default_factory=dict)

    def value(self, place: Place, offset: int | None = None) -> Spot:
        """
        Return where the value at *place* stands; of a path that ends early, where it ends.

        Args:
            offset: of the character meant, when it is a text.
        """
        node = self._nodes(place)[-1]
        return node.place(offset) if isinstance(node, Scalar) and offset is not None else node.spot

    def text(self, place: Place) -> str | None:
        """Return the text at *place* as it is written, space around it included."""
        node = self._nodes(place)[-1]
        return node.raw if isinstance(node, Scalar) else None

    def key(self, place: Place) -> Spot:
        """Return where the key of *place* stands, or else its value."""
        parent = self._nodes(Place(place.path[:-1], place.step))[-1]
        entry = _entry(parent, place.path[-1])
        return entry.spot if entry else self.value(place)

    def _nodes(self, place: Place) -> list[Node]:
        """Return what lies on the way to *place*; at least the root or the step."""
        nodes: list[Node] = [self.root if place.step is None else self.steps.get(place.step, self.root)]
        for key in place.path:
            if (below := _child(nodes[-1], key)) is None:
                break
            nodes.append(below)
        return nodes


def _entry(node: Node, key: str | int) -> Entry | None:
    return node.entries.get(key) if isinstance(node, YamlMapping) and isinstance(key, str) else None


def _child(node: Node, key: str | int) -> Node | None:
    if isinstance(node, Sequence) and isinstance(key, int):
        return node.items[key] if key < len(node.items) else None
    entry = _entry(node, key)
    return entry.value if entry else None
