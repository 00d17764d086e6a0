"""
A mail put together again from a post in which the provider had taken it apart.

The mail that comes out says the same as the one that came, to us: who wrote, in answer to what, what kind
of mail it is, and the words. Files are named and left out, but for the small reports inside a delivery
report, by which a bounce is told from a delay and the letter it is about is found.
"""

import base64
import json
import re
from collections.abc import Mapping
from urllib.parse import quote

from followup.inbound.charsets import decode
from followup.inbound.form_data import MAX_FILE, Field, Form
from followup.inbound.structure import MAX_HEADER_BLOCK, Headers, content_type_of, read_headers

MAX_BODY = 4_000_000  # bytes of text, and of HTML; more is not looked at in any mail

# Neither base64 nor a header of ours can hold it.
_OUTER, _INNER = b"=_put-together", b"=_alternatives"
_OF_THE_OLD_BODY = frozenset((b"content-type", b"content-transfer-encoding", b"mime-version"))
_TOKEN = re.compile(r"[A-Za-z0-9.+_-]{1,60}")
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9.+_-]{1,60}/[A-Za-z0-9.+_-]{1,60}")
_REPORTED = ("message/", "text/rfc822")


def put_together(form: Form) -> bytes:
    """Return the mail that *form* (SendGrid's fields ``headers``, ``text``, ``html``, ``charsets``, …) tells of."""
    charsets = _charsets(form.first("charsets"))
    given, _ = read_headers(block := form.first("headers")[:MAX_HEADER_BLOCK], 0, len(block))
    lines = _kept(block)
    for name in ("from", "to", "cc", "subject"):
        value = " ".join(decode(form.first(name)[:8_000], charsets.get(name)).split())
        if value and not given.all(name):
            lines.append(name.encode() + b": " + value.encode("utf-8", "replace"))
    lines += [b"MIME-Version: 1.0", b"Content-Type: " + _kind(given) + b'; boundary="' + _OUTER + b'"', b""]
    parts = [_words(form, charsets), *(_file(one) for one in form.files)]
    return b"\r\n".join([*lines, _multipart(_OUTER, parts)])


def _charsets(text: bytes) -> Mapping[str, str]:
    """Return the charset of each field, of those that name one."""
    try:
        given = json.loads(text[:10_000])
    except (ValueError, RecursionError):
        return {}
    if not isinstance(given, dict):
        return {}
    return {name: value for name, value in given.items() if isinstance(value, str) and _TOKEN.fullmatch(value)}


def _kept(block: bytes) -> list[bytes]:
    """Return the lines of a header block, without the headers that spoke of the body as it was."""
    kept: list[bytes] = []
    keep = False
    for line in block.splitlines():
        if line[:1] not in (b" ", b"\t"):
            name, colon, _ = line.partition(b":")
            keep = bool(colon) and name.strip().lower() not in _OF_THE_OLD_BODY
        if keep and line.strip():
            kept.append(line)
    return kept


def _kind(given: Headers) -> bytes:
    report = given.parameter("content-type", "report-type") or ""
    if content_type_of(given) == "multipart/report" and _TOKEN.fullmatch(report):
        return b"multipart/report; report-type=" + report.encode()
    return b"multipart/mixed"


def _words(form: Form, charsets: Mapping[str, str]) -> bytes:
    bodies = [
        _part(f"text/{subtype}" + (f"; charset={charsets[name]}" if name in charsets else ""), data)
        for name, subtype in (("text", "plain"), ("html", "html"))
        if (data := form.first(name)[:MAX_BODY]).strip()
    ]
    head = b'Content-Type: multipart/alternative; boundary="' + _INNER + b'"\r\n\r\n'
    return head + _multipart(_INNER, bodies or [_part("text/plain", b"")])


def _file(one: Field) -> bytes:
    content_type = one.content_type.partition(";")[0].strip().lower()
    content_type = content_type if _CONTENT_TYPE.fullmatch(content_type) else "application/octet-stream"
    if content_type.startswith(_REPORTED) and len(one.data) < MAX_FILE:
        return _part(content_type, one.data)
    name = quote((one.file_name or "")[:200].encode("utf-8", "replace"), safe="")
    return _part(content_type, b"", f"Content-Disposition: attachment; filename*=utf-8''{name}")


def _part(content_type: str, data: bytes, *headers: str) -> bytes:
    head = (f"Content-Type: {content_type}", *headers, "Content-Transfer-Encoding: base64", "", "")
    return "\r\n".join(head).encode() + base64.encodebytes(data)


def _multipart(boundary: bytes, parts: list[bytes]) -> bytes:
    opening = b"--" + boundary + b"\r\n"
    return b"".join(opening + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"
