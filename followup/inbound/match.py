"""Whose mail it is, by what we gave them: the signed address, then our own message ids."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from followup.core.tokens import NAME_LENGTH, TokenPurpose, verify
from followup.inbound.mime import ReadMail

MAX_REFERENCES = 200

_PURPOSES = {"r": TokenPurpose.REPLY, "u": TokenPurpose.STOP}
_NAME = re.compile(rf"<([a-z2-7]{{{NAME_LENGTH}}})@([^<>\s@]+)>", re.IGNORECASE)
_RETURNED_ID = re.compile(r"^message-id:\s{0,5}(<[^<>\s]{1,500}>)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Addressed:
    """The message whose address a mail was sent to, and what that address is for."""

    name: str
    purpose: TokenPurpose


def addressed_token(
    mail: ReadMail, reply_domain: str, keys: Sequence[str], *, envelope: Sequence[str] = ()
) -> Addressed | None:
    """
    Return the message whose ``r+…`` or ``u+…`` address *mail* came to, or None.

    Only a valid signature counts, and of several the first. An address to stop outranks one to reply
    to: who wrote to both wants no more mail.

    Args:
        envelope: the addresses it was delivered to, where that is known (RFC 5321). The sender's headers
            are asked only when none of them is ours.
    """
    return _first(envelope, reply_domain, keys) or _first(mail.recipients, reply_domain, keys)


def _first(addresses: Sequence[str], reply_domain: str, keys: Sequence[str]) -> Addressed | None:
    found = [hit for address in addresses if (hit := _addressed(address, reply_domain, keys))]
    return min(found, key=lambda hit: hit.purpose is not TokenPurpose.STOP, default=None)


def _addressed(address: str, reply_domain: str, keys: Sequence[str]) -> Addressed | None:
    local, _, domain = address.rpartition("@")
    prefix, _, token = local.partition("+")
    purpose = _PURPOSES.get(prefix.lower())
    if purpose is None or domain.lower() != reply_domain.lower():
        return None
    name = verify(purpose, token, keys)
    return Addressed(name, purpose) if name else None


def referenced_ids(mail: ReadMail) -> list[str]:
    """
    Return the Message-IDs that *mail* refers to, nearest first, each once, at most `MAX_REFERENCES`.

    From In-Reply-To, from References (last first), and from the mail that a delivery report encloses.
    Anyone can write these: they say which message is meant, not who wrote the mail.
    """
    nearest = [mail.in_reply_to or "", *reversed(mail.references), *_RETURNED_ID.findall(mail.returned)]
    return [message_id for message_id in dict.fromkeys(nearest) if message_id][:MAX_REFERENCES]


def name_in(message_id: str, reply_domain: str) -> str | None:
    """Return the name of the message of ours that *message_id* was made for, or None."""
    match = _NAME.fullmatch(message_id)
    return match[1].lower() if match and match[2].lower() == reply_domain.lower() else None
