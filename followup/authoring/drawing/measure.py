"""
How wide text may become, whichever font draws it.

An SVG that brings no font is drawn with whatever there is. So each sign counts as wide as in the widest of the
usual ones (Verdana and DejaVu Sans, bold ones a tenth more), and text keeps within its box everywhere.
"""

from unicodedata import combining, east_asian_width, normalize

from followup.authoring.in_words import JOINERS

_BY_CLASS = {  # of the font size
    0.36: " |",
    0.46: "!',.:;ijlI`",
    0.48: "()[]/\\-ftrJ",
    0.68: 'abcdeghknopqsuvxyzLFESTZ"*?^_{}$1234567890',
    0.79: "ABCKPRVXY&",
    0.87: "wDGHNOQU#<=>+~",
    1.1: "mMW@%",
}
_WIDTHS = {char: width for width, chars in _BY_CLASS.items() for char in chars}
_OTHER, _WIDE = 1.0, 1.2
BOLD = 1.1


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide *text* is at most, in pixels, at a font of *size* pixels."""
    return sum(map(_char_width, text)) * size * (BOLD if bold else 1)


def _char_width(char: str) -> float:
    if char in _WIDTHS:
        return _WIDTHS[char]
    if combining(char) or char in JOINERS:
        return 0
    if east_asian_width(char) in "WF":
        return _WIDE
    parts = normalize("NFKC", char)  # one sign may stand for a whole sentence
    return _OTHER * max(1, len(parts))
