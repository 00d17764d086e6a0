"""Text broken into lines, however its signs are measured."""

import re
from collections.abc import Callable, Iterator

Measure = Callable[[str], float]
_JOINTS = re.compile(r"[^._/-]*[._/-]+|[^._/-]+")  # long names are broken where they are put together


def broken(text: str, room: float, measure: Measure) -> list[str]:
    """Break *text* into lines that fit into *room*: between words, and within those that are longer."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if measure(joined) <= room:
            lines[-1] = joined
        else:
            pieces = [word] if measure(word) <= room else list(_pieces(word, room, measure))
            lines = [*(lines if lines[-1] else lines[:-1]), *pieces]
    return lines


def balanced(text: str, room: float, measure: Measure) -> list[str]:
    """Break *text* into as many lines as it needs in *room*, all about equally long; no word that fits is broken."""
    lines = broken(text, room, measure)
    while len(lines) > 1:
        narrower = broken(text, max(map(measure, lines)) - 1, measure)
        if len(narrower) > len(lines) or max(map(measure, narrower)) >= max(map(measure, lines)):
            break
        if " ".join(narrower) != " ".join(lines):  # a word came apart that had not
            break
        lines = narrower
    return lines


def _pieces(word: str, room: float, measure: Measure) -> Iterator[str]:
    piece = ""
    for part in _JOINTS.findall(word):
        if piece and measure(piece + part) > room:
            yield piece
            piece = ""
        for char in part:
            if piece and measure(piece + char) > room:
                yield piece
                piece = ""
            piece += char
    yield piece
