"""The documented limits of POST /v3/mail/send, read from the documentation and not from our transport."""

import json
from typing import Any

FORBIDDEN = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from",
    "subject", "reply-to", "cc", "bcc",
}  # fmt: skip
Found = list[tuple[str, str | None]]


def broken(body: bytes) -> Found:
    """Return what is wrong with a request's *body*, as (message, field) pairs."""
    if len(body) >= 30 * 1000 * 1000:
        return [("The payload is too large", None)]
    try:
        mail = json.loads(body)
    except ValueError:
        return [("Bad Request: the JSON is invalid", None)]
    if not isinstance(mail, dict):
        return [("Bad Request", None)]
    return [
        *_people(mail),
        *_words(mail),
        *_args(mail.get("custom_args", {})),
        *_headers(mail.get("headers", {})),
    ]


def _people(mail: dict[str, Any]) -> Found:
    found: Found = []
    sender = mail.get("from", {}).get("email", "")
    if "@" not in sender or not sender.isascii():
        found.append(("The from object must hold an ASCII address", "from.email"))
    if "@" not in mail.get("reply_to", {"email": "@"}).get("email", ""):
        found.append(("Does not contain a valid address", "reply_to.email"))
    groups = mail.get("personalizations") or []
    if not 1 <= len(groups) <= 1000:
        found.append(("There must be 1 to 1000 personalizations", "personalizations"))
    everybody = [person for group in groups for kind in ("to", "cc", "bcc") for person in group.get(kind, [])]
    if not groups or not all(group.get("to") for group in groups) or len(everybody) > 1000:
        found.append(("There must be 1 to 1000 recipients", "personalizations.to"))
    addresses = [person.get("email", "").lower() for person in everybody]
    if len(set(addresses)) != len(addresses):
        found.append(("Each email address should be unique", "personalizations"))
    for person in everybody:
        if "@" not in person.get("email", ""):
            found.append(("Does not contain a valid address", "personalizations.0.to.0.email"))
        if any(mark in person.get("name", "") for mark in ";,"):
            found.append(("The name cannot include ; or ,", "personalizations.0.to.0.name"))
    return found


def _words(mail: dict[str, Any]) -> Found:
    found: Found = []
    if not isinstance(mail.get("subject"), str) or not mail["subject"]:
        found.append(("The subject is required", "subject"))
    parts = mail.get("content") or [{}]
    if not all(isinstance(part.get("value"), str) and part["value"] for part in parts):
        found.append(("The content value must be a string at least one character in length", "content.0.value"))
    kinds = [part.get("type") for part in parts]
    if "text/plain" in kinds[1:]:
        found.append(("text/plain must be first, followed by text/html", "content"))
    return found


def _args(args: dict[str, Any]) -> Found:
    if not all(isinstance(value, str) for value in args.values()):
        return [("custom_args must be strings", "custom_args")]
    if len(json.dumps(args, separators=(",", ":")).encode()) > 10_000:
        return [("custom_args must be less than 10000 bytes", "custom_args")]
    return []


def _headers(headers: dict[str, Any]) -> Found:
    found: Found = [
        (f"The header {name} may not be set", f"headers.{name}") for name in headers if name.lower() in FORBIDDEN
    ]
    for name, value in headers.items():
        if not isinstance(value, str) or not value.isascii() or any(mark in name + value for mark in "\r\n"):
            found.append((f"The header {name} is not valid", f"headers.{name}"))
    return found
