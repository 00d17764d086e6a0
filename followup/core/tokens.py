"""
Signed, purpose-bound tokens, made for mail addresses and links.

A token is 16 base32 characters of randomness (80 bits; it names the message) followed by 12 of a
truncated HMAC-SHA256 (60 bits) over purpose and name. Base32 because local parts lose their case on
the way (RFC 5321, section 2.4); 28 characters leave room within the 64 of a local part.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from enum import StrEnum

NAME_BYTES = 10
NAME_LENGTH = 16
MAC_LENGTH = 12


class TokenPurpose(StrEnum):
    REPLY = "reply"  # in the Reply-To address
    ANSWER = "answer"  # in answer links
    STOP = "stop"  # in unsubscribe links and addresses


def name_from(random: bytes) -> str:
    """Return the message name for ten random bytes: 16 lower-case base32 characters."""
    if len(random) != NAME_BYTES:
        raise ValueError(f"a message name takes {NAME_BYTES} random bytes, not {len(random)}")
    return base64.b32encode(random).decode().lower()


def _mac(purpose: TokenPurpose, name: str, key: str) -> str:
    digest = hmac.new(key.encode(), f"{purpose.value}:{name}".encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode().lower()[:MAC_LENGTH]


def sign(purpose: TokenPurpose, name: str, keys: Sequence[str]) -> str:
    """Return the token for *name*, signed with the first (newest) of *keys*."""
    return name + _mac(purpose, name, keys[0])


def verify(purpose: TokenPurpose, token: str, keys: Sequence[str]) -> str | None:
    """Return the name in *token* if any of *keys* signed it for *purpose*, else None. Case is ignored."""
    token = token.lower()
    if len(token) != NAME_LENGTH + MAC_LENGTH or not token.isascii():
        return None
    name, mac = token[:NAME_LENGTH], token[NAME_LENGTH:]
    signed = [hmac.compare_digest(mac, _mac(purpose, name, key)) for key in keys]
    return name if any(signed) else None
