"""
Where in a mail the answered mail begins: attribution lines, header blocks, dividers, quoted lines.

Each question looks at a fixed number of lines and at a fixed number of characters of each, so that a
mail is read in time linear in its length.
"""

import re
from collections.abc import Sequence

from followup.inbound import phrases

LOOK_AHEAD = 6  # lines of an attribution, or until a header block must have shown itself
LINE_SEEN = 300  # characters of a line that are looked at

_QUOTED = re.compile(r"\s{0,8}>")
_VERB = "|".join(re.escape(verb) for verb in sorted(phrases.words(phrases.WROTE), key=len, reverse=True))
_WROTE = re.compile(rf"(?:^|[\s>)\]\"'»])(?:{_VERB})(?=[\s:：,.*_-]|$)", re.IGNORECASE)
_ENDS_IN_VERB = re.compile(rf"(?:{_VERB})\s?[:：]?$", re.IGNORECASE)
_ON = "|".join(re.escape(word) for word in sorted(phrases.words(phrases.ON), key=len, reverse=True))
_STARTS_ON = re.compile(rf"(?:{_ON})\s", re.IGNORECASE)
_ON_WITHIN = re.compile(r"(?:^|\s|-)(?:On|Am|Le|El|Il|Op|Em|Den)\s(?=[^\s])")
_STARTS_WITH_DATE = re.compile(r"\d{1,4}(?:[./: -]|年|\.? [^\W\d])")
_STARTS_WITH_DAY = re.compile(r"[^\W\d]{2,12}[.,]{0,2} \d{1,2}[. ]")
_SENT_FROM = re.compile(r"(?:sent from|gesendet von|envoyé de|enviado desde|inviato da) [^@]{1,80}@", re.IGNORECASE)
_ADDRESS = re.compile(r"[<(\[]\s?[^\s<>()\[\]]{0,80}@|mailto:")
_TIME = re.compile(r"\d{1,2}[:.h]\d{2}")
_DIVIDER = re.compile(r"[\s>]{0,4}[-_=*—–]{2,}[\s-]{0,4}(.{0,80}?)[\s-]{0,4}[-_=*—–:]*$")
_LABEL = re.compile(r"[\s*_|]{0,6}([^\W\d][^:：*\n]{0,24}?)\s?[*_]{0,2}\s{0,2}[:：][*_]{0,2}")
_KINDS = {word: kind for kind, table in phrases.LABELS.items() for word in phrases.words(table)}


def is_quoted(line: str) -> bool:
    """Tell whether *line* is marked as quoted."""
    return _QUOTED.match(line) is not None


def attribution(lines: Sequence[str], start: int, ours: Sequence[str]) -> tuple[str, int] | None:
    """
    Look for an attribution ("On Monday, Mara wrote:") that begins on line *start*.

    Returns what stands before it on that line (nearly always nothing), and the index of the first
    line after it; None when there is none. *ours* are our addresses, lower case: a line that names
    one of them in brackets is an attribution in whatever language.
    """
    whole = lines[start][:LINE_SEEN].strip()
    first = whole.strip("-").strip()
    if whole.startswith("--") and whole.endswith("--") and _ENDS_IN_VERB.search(first):
        return "", start + 1  # "---- Mara wrote ----"
    if not _may_begin(first):
        return None
    within = None if _starts_like_one(first) else _ON_WITHIN.search(first, 1)
    if within and _complete(first[within.start() :].strip("- "), _quote_follows(lines, start + 1), ours):
        return first[: within.start()].rstrip("- "), start + 1
    joined, blanks = "", 0
    for index in range(start, min(start + LOOK_AHEAD, len(lines))):
        line = lines[index][:LINE_SEEN].strip()
        blanks += not line
        if blanks > 1 or (index > start and is_quoted(lines[index]) and not line.startswith("> ")):
            break
        joined = f"{joined} {line}".strip().strip("-").strip()
        if _complete(joined, _quote_follows(lines, index + 1), ours):
            return "", index + 1
    return None


def _may_begin(line: str) -> bool:
    return bool(line) and (
        _starts_like_one(line)
        or line.endswith((":", "："))
        or "@" in line
        or _ENDS_IN_VERB.search(line[-30:]) is not None
    )


def _starts_like_one(line: str) -> bool:
    return any(pattern.match(line) for pattern in (_STARTS_ON, _STARTS_WITH_DATE, _STARTS_WITH_DAY, _SENT_FROM))


def _complete(text: str, quote_follows: bool, ours: Sequence[str]) -> bool:
    """Tell whether *text* is an attribution from its first word to its last."""
    colon = text.endswith((":", "："))
    ends_in_verb = _ENDS_IN_VERB.search(text[-30:]) is not None
    if not (colon or ends_in_verb or quote_follows):
        return False
    verb = _WROTE.search(text) is not None
    address = _ADDRESS.search(text) is not None
    dated = sum(char.isdigit() for char in text[:120]) >= 3
    begins = _starts_like_one(text)
    if address and any(own in text.lower() for own in ours):
        return colon or quote_follows
    if begins and (colon or ends_in_verb):
        return (verb and (dated or "@" in text)) or (address and dated)
    if quote_follows:
        return (begins and address and dated) or (colon and (verb or address) and (dated or "@" in text))
    return colon and address and ends_in_verb


def _quote_follows(lines: Sequence[str], index: int) -> bool:
    following = next((line for line in lines[index : index + 3] if line.strip()), "")
    return is_quoted(following) and not _ENDS_IN_VERB.fullmatch(following.strip("> "))


def header_block(lines: Sequence[str], start: int) -> int | None:
    """
    Return the index after the header block ("From: … Sent: …") that begins on line *start*, or None.

    It takes three different labels; or two, when they come with an address or a date.
    """
    if _kind(lines[start]) is None:
        return None
    kinds: dict[str, str] = {}
    end = start
    for index in range(start, min(start + LOOK_AHEAD + 2, len(lines))):
        line = lines[index]
        kind = _kind(line)
        if kind is not None:
            kinds.setdefault(kind, line[:LINE_SEEN])
            end = index + 1
        elif not line.strip() and len(kinds) >= 3:
            break
    certain = len(kinds) >= 3 or (len(kinds) == 2 and _two_are_enough(kinds))
    return end if certain and ("from" in kinds or "date" in kinds) else None


def _kind(line: str) -> str | None:
    match = _LABEL.match(line[:60])
    return _KINDS.get(match[1].strip().lower()) if match else None


def _two_are_enough(kinds: dict[str, str]) -> bool:
    dated = sum(char.isdigit() for char in kinds.get("date", "")) >= 4
    return ("@" in kinds.get("from", "")) or (dated and _TIME.search(kinds["date"]) is not None)


def is_divider(line: str) -> bool:
    """Tell whether *line* announces the answered mail ("-----Original Message-----")."""
    return _between_dashes(line) in _ORIGINAL


def is_forward(line: str) -> bool:
    """Tell whether *line* announces a mail passed on to us, which is what its sender wants to show."""
    text = _between_dashes(line) or line.strip()[:60].rstrip(":").lower()
    return text in _FORWARDED


_ORIGINAL = phrases.words(phrases.ORIGINAL_MESSAGE)
_FORWARDED = phrases.words(phrases.FORWARDED)


def _between_dashes(line: str) -> str:
    match = _DIVIDER.match(line[:120])
    return match[1].strip(" -_=*—–:").lower() if match else ""


def is_rule(line: str) -> bool:
    """Tell whether *line* is nothing but a ruled line."""
    text = line.strip()
    return 2 <= len(text) <= 200 and not text.strip("-_=*—–")
