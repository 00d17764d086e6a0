"""Header values read: encoded words (RFC 2047), addresses, message ids and dates. Linear in their length."""

import base64
import binascii
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from followup.inbound.charsets import clean, decode

MAX_ADDRESSES = 100  # of one header
MAX_IDS = 100

_ENCODED_WORD = re.compile(r"=\?([\w.:+-]{1,40})(?:\*[\w-]{1,20})?\?([bBqQ])\?([^?\s]*)\?=")
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"\\@]{1,128}@(?:[^\s<>()\[\],;:\"\\@]{1,255}|\[[0-9a-fA-F.:]{1,60}\])")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,500}>")
_SPACE = re.compile(r"\s+")


def decoded(value: str) -> str:
    """Return a header's *value* as one line of text: encoded words and raw 8-bit bytes decoded, controls gone."""
    out: list[str] = []
    end, pending, charset = 0, b"", ""
    for match in _ENCODED_WORD.finditer(value):
        between = value[end : match.start()]
        # Words of one charset are joined before they are decoded: mailers split inside a character.
        if pending and (between.strip() or match[1].lower() != charset):
            out.append(decode(pending, charset))
            pending = b""
        if between.strip() or end == 0:  # white space between encoded words is not part of the text
            out.append(_raw(between))
        charset = match[1].lower()
        pending += _word_bytes(match[2], match[3])
        end = match.end()
    if pending:
        out.append(decode(pending, charset))
    out.append(_raw(value[end:]))
    return _SPACE.sub(" ", clean("".join(out))).strip()


def _raw(text: str) -> str:
    if text.isascii():
        return text
    try:
        return decode(text.encode("utf-8", "surrogateescape"), None)
    except UnicodeEncodeError:  # a surrogate that stands for no byte, out of RFC 2231 in UTF-7
        return text.encode("utf-8", "replace").decode()


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "bB":
        return lenient_base64(data)
    return binascii.a2b_qp(data, header=True)


_BASE64_NOISE = re.compile(rb"[^A-Za-z0-9+/]+")


def lenient_base64(data: bytes) -> bytes:
    """Return *data* decoded, reading past anything that is not of the alphabet."""
    kept = _BASE64_NOISE.sub(b"", data)
    kept = kept[: len(kept) - 1] if len(kept) % 4 == 1 else kept
    return base64.b64decode(kept + b"=" * (-len(kept) % 4))


def addresses(value: str) -> list[tuple[str, str]]:
    """
    Return (name, address) for each mailbox in a header's raw *value*, at most `MAX_ADDRESSES`.

    The structure is read before encoded words are: an address inside a display name stays a name.
    """
    found = []
    for mailbox in _mailboxes(value):
        name, address = _name_and_address(mailbox)
        if address:
            found.append((name, address))
    return found


def _mailboxes(value: str) -> list[str]:
    """Split at commas and semicolons outside quotes, comments and angle brackets; comments are dropped."""
    out: list[str] = []
    current: list[str] = []
    quoted = angle = escaped = False
    comment = 0
    for char in value:
        if escaped:
            escaped = False
        elif char == "\\" and (quoted or comment):
            escaped = True
        elif char == '"' and not comment:
            quoted = not quoted
        elif not quoted and char == "(":
            comment += 1
        elif not quoted and comment and char == ")":
            comment -= 1
            continue
        elif not quoted and not comment and char in "<>":
            angle = char == "<"
        elif not quoted and not comment and not angle and char in ",;":
            out.append("".join(current))
            current = []
            if len(out) >= MAX_ADDRESSES:
                return out
            continue
        if not comment:
            current.append(char)
    out.append("".join(current))
    return out


def _name_and_address(mailbox: str) -> tuple[str, str]:
    name, bracket, rest = mailbox.rpartition("<")
    if not bracket:
        matches = _ADDRESS.findall(mailbox)
        return "", matches[-1] if matches else ""
    match = _ADDRESS.search(rest)
    return _unquoted(name), match[0] if match else ""


def _unquoted(name: str) -> str:
    name = name.strip()
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name.strip('"'))
    return decoded(name)


def message_ids(value: str) -> tuple[str, ...]:
    """Return the message ids in *value*, with their angle brackets, in order, at most `MAX_IDS`."""
    found = zip(_MESSAGE_ID.finditer(value), range(MAX_IDS), strict=False)
    return tuple(clean(match[0]) for match, _ in found)


def moment(value: str) -> datetime | None:
    """Return the instant in a Date header (aware UTC), or None; a date without a zone is taken for UTC."""
    try:
        parsed = parsedate_to_datetime(value[:200])
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
