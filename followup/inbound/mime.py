"""
Reading a mail: bytes in, a `ReadMail` out, never an exception.

Nothing in a mail is trusted. `structure` bounds what is looked at, `charsets` what it can become,
and whatever had to be left out is marked by ``truncated``.
"""

import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from followup.inbound.charsets import clean, decode
from followup.inbound.header_values import addresses, decoded, lenient_base64, message_ids, moment
from followup.inbound.html_text import plain_text
from followup.inbound.structure import Headers, Part, Structure, take_apart

MAX_TEXT = 1_000_000  # characters of one mail, HTML before it is read included
MAX_RECIPIENTS = 500

# In the order in which they are to be believed: first what the delivering server wrote down.
_RECIPIENT_HEADERS = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to", "cc")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came along; it is never unpacked. ``size`` is in bytes once decoded, or nearly so."""

    name: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMail:
    """
    A mail as far as we look at it.

    Ids carry their angle brackets. ``recipients`` are all addresses it was sent or delivered to,
    each once, as written. ``headers`` holds the first value of each header, lower-case names, decoded.
    ``text`` is what a reader sees; with ``from_html`` its quotes are marked with ``>`` by us.
    ``returned`` is the text of the reports and mails that a delivery report encloses.
    """

    message_id: str | None
    in_reply_to: str | None
    references: tuple[str, ...]
    from_address: str | None
    from_name: str
    recipients: tuple[str, ...]
    subject: str
    date: datetime | None
    text: str
    from_html: bool
    content_type: str
    report_type: str | None
    part_types: tuple[str, ...]
    returned: str
    headers: Mapping[str, str]
    attachments: tuple[Attachment, ...]
    truncated: bool

    @property
    def is_delivery_report(self) -> bool:
        """Tell whether it is a delivery status notification by its form (RFC 3464)."""
        return self.report_type == "delivery-status" or "message/delivery-status" in self.part_types


def read(raw: bytes) -> ReadMail:
    """Read a mail (RFC 5322, CRLF or LF line ends). Any bytes are a mail, if only an empty one."""
    structure = take_apart(raw)
    headers = structure.headers
    body = _Body(raw)
    text, from_html = body.text(structure.parts)
    sender = next(iter(addresses(headers.first("from"))), ("", ""))
    return ReadMail(
        message_id=_id(headers, "message-id"),
        in_reply_to=_id(headers, "in-reply-to"),
        references=message_ids(headers.first("references")),
        from_address=clean(sender[1]) or None,
        from_name=sender[0],
        recipients=_recipients(headers),
        subject=decoded(headers.first("subject")),
        date=moment(headers.first("date")),
        text=text,
        from_html=from_html,
        content_type=structure.content_type,
        report_type=(headers.parameter("content-type", "report-type") or "").lower() or None,
        part_types=tuple(part.content_type for part in structure.parts),
        returned=body.returned(structure),
        headers={name: decoded(values[0]) for name, values in headers.values.items()},
        attachments=tuple(body.attachment(part) for part in structure.parts if _is_file(part)),
        truncated=structure.truncated or body.truncated,
    )


def _id(headers: Headers, name: str) -> str | None:
    return next(iter(message_ids(headers.first(name))), None)


def _recipients(headers: Headers) -> tuple[str, ...]:
    found = (
        clean(address)
        for name in _RECIPIENT_HEADERS
        for value in headers.all(name)[:20]
        for _, address in addresses(value)
    )
    return tuple(dict.fromkeys(found))[:MAX_RECIPIENTS]


def _is_file(part: Part) -> bool:
    return part.attached or bool(part.file_name) or not part.content_type.startswith(("text/", "message/"))


def _is_body(part: Part) -> bool:
    return part.content_type in ("text/plain", "text/html") and not part.attached and not part.file_name


class _Body:
    """Decodes parts of one mail within one budget of text."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._left = MAX_TEXT
        self.truncated = False

    def text(self, parts: Iterable[Part]) -> tuple[str, bool]:
        """Return the body's text, and whether it was made from HTML: plain text wins where both are offered."""
        bodies = [(part, self._decoded(part)) for part in parts if _is_body(part)]
        offered = {
            number
            for part, text in bodies
            if part.content_type == "text/plain" and text.strip()
            for number in part.alternatives
        }
        texts, from_html = [], False
        for part, text in bodies:
            if part.content_type == "text/plain":
                texts.append(text)
            elif offered.isdisjoint(part.alternatives):
                read, cut = plain_text(text)
                texts.append(clean(read))
                from_html = True
                self.truncated = self.truncated or cut
        return "\n".join(text.rstrip("\n") for text in texts if text.strip()), from_html

    def returned(self, structure: Structure) -> str:
        """Return what a report encloses: status fields and the head of the mail it is about."""
        inside = [part for part in structure.parts if part.content_type.startswith(("message/", "text/rfc822"))]
        return "\n".join(self._decoded(part, 20_000) for part in inside[:5])

    def attachment(self, part: Part) -> Attachment:
        size = part.end - part.start
        if part.headers.first("content-transfer-encoding").strip().lower() == "base64":
            line_ends = self._raw.count(b"\n", part.start, part.end) + self._raw.count(b"\r", part.start, part.end)
            padding = self._raw.count(b"=", max(part.start, part.end - 4), part.end)
            size = max(0, (size - line_ends) * 3 // 4 - padding)
        return Attachment(decoded(part.file_name or "")[:200], part.content_type[:100], size)

    def _decoded(self, part: Part, most: int = MAX_TEXT) -> str:
        """Return *part* as text, taking its length from the budget."""
        room = min(self._left, most)
        # Base64 and quoted-printable need at most three bytes for one, a character at most four bytes.
        encoded = self._raw[part.start : min(part.end, part.start + room * 4)]
        cut = part.end - part.start > room * 4
        data = _bytes(encoded, part.headers.first("content-transfer-encoding").strip().lower())
        text = clean(decode(data, part.headers.parameter("content-type", "charset")))
        if cut or len(text) > room:
            self.truncated = self.truncated or most == MAX_TEXT
        text = text[:room]
        self._left -= len(text)
        return text


def _bytes(encoded: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return lenient_base64(encoded)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(encoded)
    return encoded
