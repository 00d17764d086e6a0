"""What SendGrid posts to us: delivery events and inbound mail, signed as it signs them."""

import base64
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from tests.local_sendgrid.server import Entry

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
BOUNDARY = "xYzZY"

_SERVER = "geopod-ismtpd-1"
_MORE: Mapping[str, dict[str, Any]] = {
    "processed": {},
    "deferred": {"response": "451 4.7.1 try again later", "attempt": "3", "tls": 1},
    "delivered": {"response": "250 OK", "ip": "127.0.0.1", "tls": 1},
    "bounce": {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user"},
    "blocked": {"type": "blocked", "status": "5.7.1", "reason": "550 5.7.1 not accepted for policy reasons"},
    "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    "spamreport": {},
    "unsubscribe": {},
    "open": {"useragent": "Mozilla/5.0", "ip": "127.0.0.1", "sg_machine_open": False},
    "click": {"useragent": "Mozilla/5.0", "ip": "127.0.0.1", "url": "https://shop.example/"},
}


class Signer:
    """A P-256 key that signs as SendGrid does: SHA-256 over timestamp and raw body, DER, base64."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def from_pem(cls, pem: bytes) -> "Signer":
        key = serialization.load_pem_private_key(pem, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(key)

    @property
    def pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public_key(self) -> str:
        """Return the key as SendGrid shows it and FOLLOWUP_SENDGRID_EVENT_KEYS takes it: base64 of DER SPKI."""
        der = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    def headers(self, body: bytes, *, at: float | None = None) -> dict[str, str]:
        """Return the two headers that vouch for *body*; *at* in seconds since 1970."""
        timestamp = str(int(time.time() if at is None else at))
        signature = self.key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {SIGNATURE: base64.b64encode(signature).decode(), TIMESTAMP: timestamp}


def events_for(entry: "Entry", *kinds: str, at: float | None = None, **more: Any) -> list[dict[str, Any]]:
    """
    Return one event of each of *kinds* about an accepted letter, a second apart.

    ``blocked`` is SendGrid's bounce of type ``blocked``. *more* overrides fields of each, as
    ``reason="Spam Reporting Address"``. *at* is the first one's time, in seconds since 1970.
    """
    begun = int(time.time() if at is None else at)
    return [
        {
            "email": entry.to,
            "event": "bounce" if kind == "blocked" else kind,
            "timestamp": begun + number,
            "sg_event_id": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
            "sg_message_id": f"{entry.provider_id}.filter0001.{number}",
            "smtp-id": f"<{entry.provider_id}@{_SERVER}>",
            **entry.custom_args,
            **_MORE[kind],
            **more,
        }
        for number, kind in enumerate(kinds)
    ]


def events_body(events: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the body of a post of *events*, with the line end that SendGrid signs as well."""
    return json.dumps(events, separators=(",", ":")).encode() + b"\r\n"


def post_events(
    url: str, events: Sequence[Mapping[str, Any]], signer: Signer | None, *, at: float | None = None
) -> int:
    """Post *events* to *url*, signed where there is a *signer*; return the status."""
    body = events_body(events)
    return post(url, body, {"Content-Type": "application/json", **(signer.headers(body, at=at) if signer else {})})


def post_inbound(
    url: str,
    raw: bytes,
    envelope_to: str | Sequence[str],
    envelope_from: str,
    *,
    parsed: bool = False,
    signer: Signer | None = None,
) -> int:
    """Post the mail *raw* as Inbound Parse does, whole or *parsed*; return the status."""
    content_type, body = inbound_form(raw, envelope_to, envelope_from, parsed=parsed)
    return post(url, body, {"Content-Type": content_type, **(signer.headers(body) if signer else {})})


def inbound_form(
    raw: bytes, envelope_to: str | Sequence[str], envelope_from: str, *, parsed: bool = False
) -> tuple[str, bytes]:
    """Return the content type and the bytes of Inbound Parse's form for the mail *raw*."""
    message = message_from_bytes(raw)
    to = [envelope_to] if isinstance(envelope_to, str) else list(envelope_to)
    charsets = {"to": "UTF-8", "from": "UTF-8", "subject": "UTF-8", "cc": "UTF-8", "filename": "UTF-8"}
    fields: list[tuple[str, bytes]] = [
        ("dkim", b"none"),
        ("to", _decoded(message, "To")),
        ("from", _decoded(message, "From")),
        ("subject", _decoded(message, "Subject")),
        ("sender_ip", b"127.0.0.1"),
        ("SPF", b"none"),
        ("envelope", json.dumps({"to": to, "from": envelope_from}).encode()),
    ]
    files: list[tuple[str, str, str, bytes]] = []
    if parsed:
        fields.append(("headers", raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\n"))
        for kind in ("text", "html"):
            part = _first(message, f"text/{'plain' if kind == 'text' else 'html'}")
            if part is not None:
                fields.append((kind, part.get_payload(decode=True)))
                charsets[kind] = str(part.get_content_charset() or "us-ascii")
        for number, part in enumerate(_attachments(message), 1):
            files.append(
                (
                    f"attachment{number}",
                    part.get_filename() or f"attachment{number}",
                    part.get_content_type(),
                    part.get_payload(decode=True) or b"",
                )
            )
        fields.append(("attachments", str(len(files)).encode()))
        about = {name: {"filename": file, "name": file, "type": kind} for name, file, kind, _ in files}
        if files:
            fields.append(("attachment-info", json.dumps(about).encode()))
    else:
        fields.append(("email", raw))
    fields.append(("charsets", json.dumps(charsets).encode()))
    return f"multipart/form-data; boundary={BOUNDARY}", _form(fields, files)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Post *body* to *url*; return the status. A web hook that does not answer within ten seconds has failed."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("POST", parts.path or "/", body, {"User-Agent": "SendGrid Event API", **headers})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _decoded(message: Message, name: str) -> bytes:
    return str(make_header(decode_header(message.get(name, "")))).encode()


def _first(message: Message, kind: str) -> Message | None:
    return next((p for p in message.walk() if p.get_content_type() == kind and not p.get_filename()), None)


def _attachments(message: Message) -> list[Message]:
    return [part for part in message.walk() if part.get_filename() and not part.is_multipart()]


def _form(fields: Sequence[tuple[str, bytes]], files: Sequence[tuple[str, str, str, bytes]]) -> bytes:
    lines: list[bytes] = []
    for name, value in fields:
        lines += [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n'.encode(), value]
    for name, file, kind, value in files:
        about = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
        lines += [f"{about}Content-Type: {kind}\r\n".encode(), value]
    return b"\r\n".join([*lines, f"--{BOUNDARY}--\r\n".encode()])
