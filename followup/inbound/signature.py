"""Where the signature begins: the delimiter, a closing formula, what a mail app adds."""

import re
from collections.abc import Sequence

from followup.inbound import phrases, quotes

MAX_SIGNATURE = 15  # lines that are not empty
_DELIMITERS = frozenset({"--", "—", "––"})
_CLOSING = phrases.words(phrases.CLOSING)
_THANKS = phrases.words(phrases.THANKS)
_SENT_FROM = tuple(phrases.words(phrases.SENT_FROM))
_INITIALS = re.compile(r"[/–—-]\s?[^\W\d_][\w.]{0,20}$")
_POSTSCRIPT = re.compile(r"p\.?\s?p?\.?s[.:\s]", re.IGNORECASE)
_CONTACT = re.compile(r"@[\w-]+\.\w|www\.|https?://|\+?\(?\d{2,5}\)?[\d ./-]{5,20}\d")
_NAME_WORD = re.compile(r"[^\W\d_][\w.'’-]{0,30}$")


def signature_start(lines: Sequence[str]) -> int:
    """
    Return the index at which the signature begins, ``len(lines)`` when there is none.

    Only the end of a text is searched, and never so that nothing would be left, except where all
    there is was added by a mail app.
    """
    filled = [index for index, line in enumerate(lines) if line.strip()]
    start = len(lines)
    for position in range(len(filled) - 1, max(-1, len(filled) - 2 - MAX_SIGNATURE), -1):
        index = filled[position]
        line = lines[index].strip()
        tail = [lines[later].strip() for later in filled[position + 1 :]]
        if any(_POSTSCRIPT.match(below) for below in tail):
            break
        apart = index > 0 and not lines[index - 1].strip()
        if _is_app_line(line, tail) or (position > 0 and (_begins(line, tail) or (apart and _is_card(line, tail)))):
            start = index
    return start


def _begins(line: str, tail: Sequence[str]) -> bool:
    """Tell whether a signature can begin with *line*, *tail* being all that follows."""
    if line in _DELIMITERS:
        return bool(tail)
    if quotes.is_rule(line):
        return 0 < len(tail) <= 12 and all(len(below) <= 90 and not below.endswith(("?", "!")) for below in tail)
    if len(line) > 60:
        return False
    said = re.sub(r"[\s,.!*_–—-]+", " ", line.lower()).strip()
    if said in _CLOSING:
        return len(tail) <= 10 and all(len(below) <= 80 for below in tail)
    if said in _THANKS:
        return bool(tail) and len(tail) <= 4 and _is_name(tail[0])
    return not tail and _INITIALS.match(line) is not None


def _is_app_line(line: str, tail: Sequence[str]) -> bool:
    """Tell whether *line* is what mail apps add ("Sent from my phone"), and not a sentence that begins so."""
    said = line.lower().lstrip("*_<[( ")
    return (
        said.startswith(_SENT_FROM)
        and len(line) <= 80
        and not line.endswith((".", "!", "?"))
        and "," not in line
        and len(tail) <= 3
    )


def _is_card(line: str, tail: Sequence[str]) -> bool:
    """Tell whether a name and lines with an address, a site or a number follow: a visiting card."""
    return (
        _is_name(line)
        and 0 < len(tail) <= 6
        and all(len(below) <= 60 and not below.endswith(("?", "!")) for below in tail)
        and any(_CONTACT.search(below) for below in tail)
    )


def _is_name(line: str) -> bool:
    words = line.strip(" ,-").split()
    return 0 < len(words) <= 4 and all(word[0].isupper() and _NAME_WORD.match(word) for word in words)
