"""Posts as SendGrid makes them: signed, and with the fields that its Inbound Parse sends."""

import base64
import json
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from followup.inbound.sendgrid import SIGNATURE_HEADER, TIMESTAMP_HEADER

BOUNDARY = "xYzZY"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


class Signer:
    """A key pair as SendGrid makes one for a webhook; ``public`` is what it shows."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        der = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public = base64.b64encode(der).decode()

    def sign(self, body: bytes, at: float) -> dict[str, str]:
        """Return the headers that sign *body* at *at* (Unix seconds)."""
        timestamp = str(int(at))
        signature = self._private.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {SIGNATURE_HEADER: base64.b64encode(signature).decode(), TIMESTAMP_HEADER: timestamp}


def a_form(fields: Iterable[tuple[str, bytes]], files: Iterable[tuple[str, str, str, bytes]] = ()) -> bytes:
    """Return a posted form; *files* are name, file name, content type and data."""
    parts = [(f'name="{name}"', "", data) for name, data in fields]
    parts += [
        (f'name="{name}"; filename="{file}"', f"Content-Type: {kind}\r\n", data) for name, file, kind, data in files
    ]
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {named}\r\n{headers}\r\n".encode() + data + b"\r\n"
        for named, headers, data in parts
    )
    return body + f"--{BOUNDARY}--\r\n".encode()


def a_raw_post(mail: bytes, *to: str, sender: str = "ana@example.com") -> bytes:
    """Return a post of Inbound Parse with "post the raw, full MIME message" on."""
    envelope = json.dumps({"to": list(to), "from": sender}).encode()
    return a_form(
        [
            ("dkim", b"{@example.com : pass}"),
            ("email", mail),
            ("to", b"whoever@reply.forge.example"),
            ("from", b"Ana <ana@example.com>"),
            ("sender_ip", b"192.0.2.1"),
            ("envelope", envelope),
            ("subject", b"Re: hello"),
            ("charsets", b'{"to":"UTF-8","from":"UTF-8","subject":"UTF-8"}'),
            ("SPF", b"pass"),
        ]
    )
