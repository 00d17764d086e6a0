"""Make text safe and small enough for a header; nothing in here can start a second header line."""

import re
from email.header import Header

from followup.core.customer import InvalidAddress, normalize_address

SUBJECT_LENGTH = 150  # characters; more is cut off by every client's list anyway
NAME_LENGTH = 80
FOLD = "\n "

# C0, DEL, C1, and the two separators that str.splitlines() and some relays take for line ends.
_BREAKING = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
# Marks that turn the direction of what follows: a name must not rewrite the address beside it.
_BIDI = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NAME_SPECIALS = str.maketrans("", "", ',;<>"')
_NEEDS_QUOTES = re.compile(r"[^A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]")


def one_line(text: str, limit: int) -> str:
    """
    Return *text* on one line of at most *limit* characters.

    Controls and line separators collapse to a single space; lone surrogates, which no charset can
    carry, become ``?``. A cut text ends in an ellipsis.
    """
    line = _BREAKING.sub(" ", text.encode("utf-8", "replace").decode()).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def display_name(text: str) -> str:
    """Return *text* as a display name: one line, without ``,;<>"`` (SendGrid refuses the first two)."""
    return one_line(_BIDI.sub("", text).translate(_NAME_SPECIALS), NAME_LENGTH)


def mailbox(address: str) -> str:
    """
    Return *address* as it may stand in a header: local part as given, domain as IDNA (RFC 5891).

    Raises:
        InvalidAddress: not a single address, one with control characters, or one whose local part is
            not ASCII. The last would need SMTPUTF8 (RFC 6531), which SendGrid does not speak.
    """
    domain = normalize_address(address).rpartition("@")[2]
    local = address.strip().rpartition("@")[0]
    if not local.isascii() or not domain.isascii():
        raise InvalidAddress(f"{address!r} needs SMTPUTF8 (RFC 6531), which our transports do not speak")
    return f"{local}@{domain}"


def encoded(text: str, header: str) -> str:
    """Return one-line *text* for *header*, folded at 78 and in encoded words (RFC 2047) where it must."""
    # Text that looks like an encoded word is encoded itself, or clients would decode what nobody wrote.
    charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
    return Header(text, charset, header_name=header).encode(linesep="\n")


def named_mailbox(name: str | None, address: str, header: str) -> str:
    """Return ``name <address>`` for *header*; *name* has been through `display_name`, *address* through `mailbox`."""
    if not name:
        return address
    if not name.isascii() or "=?" in name:
        shown = encoded(name, header)
    else:
        shown = f'"{_quoted(name)}"' if _NEEDS_QUOTES.search(name) else name
    last_line = len(shown.rpartition("\n")[2]) + len(header)
    return f"{shown}{FOLD if last_line + len(address) > 70 else ' '}<{address}>"


def folded(value: str, header: str) -> str:
    """
    Return ASCII *value* folded between its tokens, never inside one and never right after the colon.

    A first line with nothing on it is legal (RFC 5322, 2.2.3), yet some relays drop what follows.
    """
    first, *rest = value.split(" ")
    lines = [first]
    for token in rest:
        width = len(lines[-1]) + (len(header) + 1 if len(lines) == 1 else 0)
        if width + len(token) > 76:
            lines.append(token)
        else:
            lines[-1] += " " + token
    return FOLD.join(lines)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
