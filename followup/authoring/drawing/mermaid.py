"""
A workflow as a Mermaid flowchart.

Mermaid reads ``#quot;`` and ``#35;`` as the sign they name, and knows no other way to escape. So every sign of a
text that might mean something to Mermaid, to Markdown or to HTML is written that way; the ids are ours.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from followup.authoring.drawing.lines import broken
from followup.authoring.drawing.picture import Picture
from followup.authoring.in_words import named_in_words, plain, ways_through
from followup.core.workflow import Ask, Branch, Send, Split, Step, Stop, Wait, WaitFor

LONGEST_LINE = 36  # characters of a label
_SPECIAL = re.compile(r"[^\w ,.:?=()/+'-]|(?<![^\W_])_|_(?![^\W_])", re.ASCII)  # as for _, Markdown's emphasis
_LIST = re.compile(r"^(\d+(?=[.)] )|)[-+.)](?= )")  # what Markdown takes for an item of one
_NAMED = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;"}
_SHAPES = {  # what stands around the text of a step; others are a plain box
    Branch: ("{", "}"),
    Split: ("{{", "}}"),
    Stop: ("([", "])"),
    Wait: ("(", ")"),
    WaitFor: ("(", ")"),
}
_CLASSES = {Ask: "letter", Send: "letter"}
_STYLES = ("classDef letter stroke-width:3px", "classDef beside stroke-dasharray:4")


def as_mermaid(picture: Picture) -> str:
    """Return *picture* as the text of a flowchart, with the numbers of people in its boxes."""
    chart = _Chart(picture)
    return "\n".join(["---", f"title: {_quoted(picture.title)}", "---", "flowchart TD", *chart.lines(), ""])


@dataclass(frozen=True, slots=True)
class _Loose:
    """An arrow that leads away from a box, and not yet anywhere."""

    box: str
    label: str = ""


@dataclass(slots=True)
class _Chart:
    picture: Picture
    written: list[str] = field(default_factory=list)
    arrows: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        self._box("begin", self.picture.begins, ("([", "])"))
        loose = self._sequence(self.picture.workflow.steps, [_Loose("begin")])
        if loose:
            self._box("finish", "end", ("([", "])"))
            self._lead(loose, "finish")
        for number, text in enumerate(self.picture.beside):
            self._box(f"beside{number}", text, ("[", "]"), "beside")
        yield from (f"    {line}" for line in [*self.written, *self.arrows, *_STYLES])

    def _sequence(self, steps: tuple[Step, ...], loose: list[_Loose]) -> list[_Loose]:
        for step in steps:
            loose = self._step(step, loose)
        return loose

    def _step(self, step: Step, loose: list[_Loose]) -> list[_Loose]:
        box = f"step{len(self.written)}"
        people = self.picture.at(step)
        inside = f"{people:,} inside" if people else ""
        style = _CLASSES.get(type(step), "")
        self._box(box, named_in_words(step), _SHAPES.get(type(step), ("[", "]")), style, below=inside)
        self._lead(loose, box)
        if isinstance(step, Stop):
            return [_Loose(box, "otherwise")] if step.when else []
        ways = ways_through(step)
        if not ways:
            return [_Loose(box)]
        ends: list[_Loose] = []
        for way in ways:
            ends += self._sequence(way.do, [_Loose(box, way.words)])
        return ends

    def _box(self, name: str, text: str, shape: tuple[str, str], style: str = "", *, below: str = "") -> None:
        label = _label(text) + (f"<br/>{_label(below)}" if below else "")
        self.written.append(f'{name}{shape[0]}"{label}"{shape[1]}' + (f":::{style}" if style else ""))

    def _lead(self, loose: list[_Loose], to: str) -> None:
        for one in loose:
            label = f'|"{_label(one.label)}"|' if one.label else ""
            self.arrows.append(f"{one.box} -->{label} {to}")


def _label(text: str) -> str:
    return "<br/>".join(_escaped(line) for line in broken(plain(text), LONGEST_LINE, len))


def _escaped(text: str) -> str:
    return _LIST.sub(lambda found: f"{found[1]}#{ord(found[0][-1])};", _SPECIAL.sub(_code, text))


def _code(found: re.Match[str]) -> str:
    char = found[0]
    return char if ord(char) > 127 else _NAMED.get(char, f"#{ord(char)};")


def _quoted(title: str) -> str:
    """Return *title* as text of YAML; Mermaid reads it as HTML in part, so angle brackets become others."""
    text = json.dumps(title.replace("<", "‹").replace(">", "›"), ensure_ascii=False)
    return re.sub(r"[%{}#;]", lambda found: rf"\u{ord(found[0]):04x}", text)
