"""What SendGrid posts to us: whose signature it bears, delivery events, and mail."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from followup.core.events import EventKind
from followup.core.message import Outcome, is_message_id
from followup.core.provider import TOKEN_ARGUMENT, Report
from followup.core.tokens import NAME_LENGTH
from followup.errors import ConfigurationError
from followup.inbound.charsets import clean
from followup.inbound.form_data import read_form
from followup.inbound.put_together import put_together

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

PROVIDER = "sendgrid"
SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"
EVENTS_MAX_AGE = 25 * 3600  # seconds
MAIL_MAX_AGE = 73 * 3600  # seconds
MAX_AHEAD_SECONDS = 600
MAX_EVENTS = 20_000  # in one post; SendGrid sends 768 kB of them at most
MAX_UNREAD = 10_000  # characters kept of what is no event
MAX_RECIPIENTS = 500
_DEEP = 20

_TOKEN = re.compile(rf"[a-z2-7]{{{NAME_LENGTH}}}")
_PROVIDER_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


# Signatures


def public_keys(texts: Sequence[str], *, setting: str) -> "tuple[EllipticCurvePublicKey, ...]":
    """
    Return the keys that *texts* hold as SendGrid shows them: base64, with or without PEM's first and last line.

    Raises:
        ConfigurationError: one of them is no such key; the message names *setting*.
    """
    return tuple(_public_key(text, setting) for text in texts)


def _public_key(text: str, setting: str) -> "EllipticCurvePublicKey":
    # the sendgrid package takes longest of all to import, and most processes check no signature
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from sendgrid.helpers.eventwebhook import EventWebhook  # noqa: PLC0415

    body = "".join(re.sub(r"-----(BEGIN|END) PUBLIC KEY-----", "", text.replace(r"\n", "\n")).split())
    try:
        key = EventWebhook(body).public_key
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigurationError(
            f"{setting} holds {text[:12]!r}…, which is no public key of SendGrid's",
            hint="Copy the verification key from Settings > Mail Settings > Signed Event Webhook, or of the policy",
        )
    return key


def is_signed(
    body: Iterable[bytes],
    signature: str | None,
    timestamp: str | None,
    *,
    keys: "Sequence[EllipticCurvePublicKey]",
    max_age_seconds: int,
    real_now: float,
) -> bool:
    """
    Tell whether one of *keys* signed *body*, at a time that may be true.

    This is what `EventWebhook.verify_signature` does, for bytes: that one takes text, and a post that brings
    a raw mail need not be any.

    Nobody says whether SendGrid signs a repetition anew, so a post is young enough for as long as it may be
    repeated, and an hour: events for 24 hours (`EVENTS_MAX_AGE`), mail for 72 (`MAIL_MAX_AGE`). What guards
    against a replayed post is that the same event, and the same mail, changes nothing the second time.

    Args:
        body: its bytes, piece by piece; it is read only if the rest may be true.
        signature: base64 of the DER signature (ECDSA, P-256, SHA-256) over timestamp and body.
        timestamp: Unix seconds, as in the header.
        real_now: Unix seconds by the wall clock.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    if not signature or not timestamp or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    if not -MAX_AHEAD_SECONDS <= real_now - int(timestamp) <= max_age_seconds:
        return False
    try:
        der = base64.b64decode(signature, validate=True)
    except ValueError:  # not base64, or not even ASCII
        return False
    digest = hashlib.sha256(timestamp.encode())
    for piece in body:
        digest.update(piece)
    signed = digest.digest()
    for key in keys:
        try:
            key.verify(der, signed, ec.ECDSA(Prehashed(SHA256())))
            return True
        except InvalidSignature:
            continue
    return False


# Delivery events


@dataclass(frozen=True, slots=True)
class PostedEvent:
    """An event as it came, fit for any database; ``token`` is of the attempt it says it is about."""

    event_id: str
    token: str | None
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PostedEvents:
    """What one post held: events, and what is none (cut at `MAX_UNREAD`), with the reason."""

    events: tuple[PostedEvent, ...] = ()
    unread: str = ""
    trouble: str = ""


def read_events(body: bytes) -> PostedEvents:
    """Read a post of delivery events: a JSON array of objects. Of an event posted twice, the first is kept."""
    try:
        # NaN and Infinity are no JSON, but Python reads them and PostgreSQL refuses them
        posted = json.loads(body, parse_constant=str, parse_float=_number)
    except (ValueError, RecursionError) as error:
        return PostedEvents((), _unread(body), f"no JSON: {type(error).__name__}")
    if not isinstance(posted, list):
        return PostedEvents((), _unread(body), "no JSON array")
    if len(posted) > MAX_EVENTS:
        return PostedEvents((), _unread(body), f"more than {MAX_EVENTS} events")
    events = [_event(one) for one in posted if isinstance(one, dict)]
    others = [one for one in posted if not isinstance(one, dict)]
    unread = _unread(json.dumps(_storable(others)).encode()) if others else ""
    first: dict[str, PostedEvent] = {}
    for one in events:
        first.setdefault(one.event_id, one)
    return PostedEvents(tuple(first.values()), unread, f"{len(others)} are no objects" if others else "")


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _unread(body: bytes) -> str:
    return clean(body[: MAX_UNREAD * 4].decode("utf-8", "replace"))[:MAX_UNREAD]


def _event(posted: Mapping[str, Any]) -> PostedEvent:
    raw = _storable(posted)
    named, token = raw.get("sg_event_id"), raw.get(TOKEN_ARGUMENT)
    known = isinstance(named, str) and 0 < len(named) <= 100
    return PostedEvent(
        event_id=str(named) if known else hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest(),
        token=token if isinstance(token, str) and _TOKEN.fullmatch(token) else None,
        raw=raw,
    )


def _storable(value: Any, depth: int = 0) -> Any:
    """Return JSON *value* without what a database stores no text with, and not too deep for whoever reads it."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, list | dict) and depth >= _DEEP:
        return "…"
    if isinstance(value, list):
        return [_storable(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(one, depth + 1) for name, one in value.items()}
    return value


_OUTCOMES = {
    "processed": Outcome.ACCEPTED,
    "deferred": Outcome.DEFERRED,
    "delivered": Outcome.DELIVERED,
    "dropped": Outcome.DROPPED,
    "bounce": Outcome.BOUNCED,
    "spamreport": Outcome.COMPLAINED,
}
_STOPS = {
    "bounce": EventKind.MESSAGE_BOUNCED,
    "spamreport": EventKind.MESSAGE_COMPLAINED,
    "unsubscribe": EventKind.CUSTOMER_UNSUBSCRIBED,
    "group_unsubscribe": EventKind.CUSTOMER_UNSUBSCRIBED,
}
_STOPS_WHEN_DROPPED = {  # SendGrid keeps suppressions of its own; the other reasons say nothing of the address
    "bounced address": EventKind.MESSAGE_BOUNCED,
    "invalid": EventKind.MESSAGE_BOUNCED,
    "spam reporting address": EventKind.MESSAGE_COMPLAINED,
    "unsubscribed address": EventKind.CUSTOMER_UNSUBSCRIBED,
}


def report(raw: Mapping[str, Any]) -> Report:
    """Return a stored event in our words; what it does not say, or says in no way we know, is left out."""
    kind, reason = _text(raw, "event")[:40], _text(raw, "reason")
    outcome, stops = _OUTCOMES.get(kind), _STOPS.get(kind)
    if kind == "bounce" and _text(raw, "type").lower() == "blocked":  # refused for now: the address may be good
        outcome, stops = Outcome.DROPPED, None
    if kind == "dropped":
        stops = _STOPS_WHEN_DROPPED.get(reason.lower())
    provider_id = _text(raw, "sg_message_id").partition(".")[0]
    message_id = _text(raw, "smtp-id")
    return Report(
        kind=kind,
        outcome=outcome,
        stops=stops,
        address=_text(raw, "email")[:320],
        at=_moment(raw.get("timestamp")),
        provider_id=provider_id if _PROVIDER_ID.fullmatch(provider_id) else None,
        message_id=message_id if is_message_id(message_id) else None,
        reason=reason[:500],
    )


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    return " ".join(clean(value[:5_000]).split()) if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None


# Mail


@dataclass(frozen=True, slots=True)
class InboundPost:
    """
    A mail out of a post. ``envelope_to`` are the addresses it was really delivered to (RFC 5321), which its
    headers need not name.
    """

    raw: bytes
    envelope_to: tuple[str, ...]
    envelope_from: str | None


@dataclass(frozen=True, slots=True)
class UnreadablePost:
    """A post without any mail in it that we could find."""

    reason: str


def read_post(body: bytes, content_type: str) -> InboundPost | UnreadablePost:
    """
    Return the mail in a post of SendGrid's Inbound Parse: as it came where it was posted raw, else put together.

    SendGrid's boundary is always the same, so a mail may contain it, and fields of its own after it. It gains
    nothing: it is read like any mail, and an address counts only with a signature of ours.
    """
    form = read_form(body, content_type, whole={"email"})
    to, sender = _envelope(form.first("envelope"))
    if (raw := form.first("email")).strip():
        return InboundPost(raw, to, sender)
    if any(form.first(name).strip() for name in ("headers", "text", "html")):
        return InboundPost(put_together(form), to, sender)
    return UnreadablePost(form.trouble or "it holds neither a mail (email) nor what one is made of (headers, text)")


def _envelope(text: bytes) -> tuple[tuple[str, ...], str | None]:
    try:
        envelope = json.loads(text[:100_000])
    except (ValueError, RecursionError):
        return (), None
    if not isinstance(envelope, dict):
        return (), None
    to, sender = envelope.get("to"), envelope.get("from")
    named = [clean(one[:320]) for one in to if isinstance(one, str)] if isinstance(to, list) else []
    return tuple(dict.fromkeys(named))[:MAX_RECIPIENTS], clean(sender[:320]) if isinstance(sender, str) else None
