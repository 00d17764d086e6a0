"""Whose mail it is, by what we gave them: the signed address, then our own message ids."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from followup.core.tokens import NAME_LENGTH, TokenPurpose, verify
from followup.inbound.mime import ReadMail

_PURPOSES = {"r": TokenPurpose.REPLY, "u": TokenPurpose.STOP}
_NAME = re.compile(rf"<([a-z2-7]{{{NAME_LENGTH}}})@([^<>\s@]+)>", re.IGNORECASE)
_RETURNED_ID = re.compile(r"^message-id:\s{0,5}(<[^<>\s]{1,500}>)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Addressed:
    """The message whose address a mail was sent to, and what that address is for."""

    name: str
    purpose: TokenPurpose


def addressed_token(mail: ReadMail, reply_domain: str, keys: Sequence[str]) -> Addressed | None:
    """
    Return the message whose ``r+…`` or ``u+…`` address *mail* came to, or None.

    Only a valid signature counts, and of several the first. An address to stop outranks one to reply
    to: who wrote to both wants no more mail.
    """
    found = [hit for address in mail.recipients if (hit := _addressed(address, reply_domain, keys))]
    return min(found, key=lambda hit: hit.purpose is not TokenPurpose.STOP, default=None)


def _addressed(address: str, reply_domain: str, keys: Sequence[str]) -> Addressed | None:
    local, _, domain = address.rpartition("@")
    prefix, _, token = local.partition("+")
    purpose = _PURPOSES.get(prefix.lower())
    if purpose is None or domain.lower() != reply_domain.lower():
        return None
    name = verify(purpose, token, keys)
    return Addressed(name, purpose) if name else None


def referenced_names(mail: ReadMail, reply_domain: str) -> list[str]:
    """
    Return the names of our messages that *mail* refers to, nearest first, each once.

    From In-Reply-To, from References (last first), and from the mail that a delivery report encloses.
    Anyone can write these: they say which message is meant, not who wrote the mail.
    """
    nearest = [mail.in_reply_to or "", *reversed(mail.references), *_RETURNED_ID.findall(mail.returned)]
    matches = (_NAME.fullmatch(message_id) for message_id in nearest)
    return list(dict.fromkeys(m[1].lower() for m in matches if m and m[2].lower() == reply_domain.lower()))
