"""
The customer's own words: a mail without the mail it answers, with and without its signature.

When in doubt a line is kept. Words of ours in the record are a blemish; words of the customer that
are missing are a loss.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from followup.inbound import quotes
from followup.inbound.mime import ReadMail, read
from followup.inbound.signature import signature_start

MAX_LINES = 5_000  # of a mail; nobody answers at that length


@dataclass(frozen=True, slots=True)
class OwnWords:
    """``text`` is ``with_signature`` without closing formula, name, and what the mail app added."""

    text: str
    with_signature: str


def own_words(mail: ReadMail, our_addresses: Collection[str]) -> OwnWords:
    """
    Return what the sender of *mail* wrote.

    Each line of it is a line of the body, or the beginning of one, in the body's order.

    Args:
        our_addresses: whatever our mail bears, best of all the reply domain: a quote is cut where it
            names one of them, in whatever language.
    """
    return words_in(mail.text, our_addresses)


def words_in(text: str, our_addresses: Collection[str] = ()) -> OwnWords:
    """Return what the writer of *text* (LF line ends) wrote anew; see `own_words`."""
    lines = [line.rstrip() for line in text.split("\n", MAX_LINES)[:MAX_LINES]]
    kept = _unquoted(lines, [address.lower() for address in our_addresses if address])
    return OwnWords(text=_joined(kept[: signature_start(kept)]), with_signature=_joined(kept))


def reply_of(source: bytes | str) -> dict[str, str]:
    """Return ``reply`` and ``with_signature`` of a whole mail, or of a plain text body."""
    if isinstance(source, str):
        found = words_in(source)
    else:
        mail = read(source)
        found = own_words(mail, mail.recipients)
    return {"reply": found.text, "with_signature": found.with_signature}


def _unquoted(lines: Sequence[str], ours: Sequence[str]) -> list[str]:
    kept: list[str] = []
    index, anything = 0, False
    while index < len(lines):
        line = lines[index]
        if quotes.is_quoted(line):
            index += 1
            continue
        if quotes.is_forward(line):
            return [*kept, *lines[index:]]
        found = _answered_mail(lines, index, ours)
        if found is None:
            kept.append(line)
            anything = anything or bool(line)
            index += 1
            continue
        head, after = found
        if head:
            kept.append(head)
            anything = True
        else:
            _drop_rules(kept)
        if _cuts(lines, index, after, ours, anything=anything):
            return kept
        index = after
    return kept


def _answered_mail(lines: Sequence[str], index: int, ours: Sequence[str]) -> tuple[str, int] | None:
    """Return what stands before the head of a quoted mail on line *index*, and the index after that head."""
    if quotes.is_divider(lines[index]):
        return "", index + 1
    block_end = quotes.header_block(lines, index)
    if block_end is not None:
        return "", block_end
    return quotes.attribution(lines, index, ours)


def _cuts(lines: Sequence[str], start: int, after: int, ours: Sequence[str], *, anything: bool) -> bool:
    """
    Tell whether everything behind a quoted mail's head is that mail.

    Not when its lines are marked, for answers may stand between them; and not when not *anything*
    stands above it: then the writer may have answered below, unless it is a mail of ours.
    """
    following = next((line for line in lines[after : after + 4] if line.strip()), "")
    if quotes.is_quoted(following):
        return False
    if anything:
        return True
    head = " ".join(line[: quotes.LINE_SEEN] for line in lines[start:after]).lower()
    return any(own in head for own in ours)


def _drop_rules(kept: list[str]) -> None:
    """Take from the end what only sets a quoted mail apart."""
    end = len(kept)
    while end and (not kept[end - 1] or quotes.is_rule(kept[end - 1])):
        end -= 1
    if any(kept[end:]):
        del kept[end:]


def _joined(lines: Sequence[str]) -> str:
    """Join *lines*, dropping empty ones around them and all but one in a row within."""
    out: list[str] = []
    for line in lines:
        if line.strip() or (out and out[-1]):
            out.append(line if line.strip() else "")
    return "\n".join(out).strip("\n").rstrip()
