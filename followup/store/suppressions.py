"""Suppressions: addresses we never write to, kept as hashes that outlive the customer's record."""

import hashlib
import hmac
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, or_, select

from followup.store.schema import suppressions
from followup.store.types import insert_new

ALL = "all"


def address_hash(address: str, key: str) -> str:
    """Return the HMAC-SHA256 (hex) of a normalised address; *key* must never change."""
    return hmac.new(key.encode(), address.encode(), hashlib.sha256).hexdigest()


def add(conn: Connection, hash_: str, *, reason: str, source: str, now: datetime, scope: str = ALL) -> bool:
    """Suppress an address for all letters, or for those of one workflow; return False if it was already."""
    row = {"address_hash": hash_, "scope": scope, "reason": reason, "source": source, "at": now}
    return bool(insert_new(conn, suppressions, [row], suppressions.c.id))


def reasons(conn: Connection, hashes: Collection[str], workflows: Collection[str]) -> dict[tuple[str, str], str]:
    """Return why addresses are suppressed, by (hash, scope), for all letters and these *workflows*."""
    scopes = or_(suppressions.c.scope == ALL, suppressions.c.scope.in_(list(workflows)))
    wanted = select(suppressions).where(suppressions.c.address_hash.in_(list(hashes)), scopes)
    return {(row.address_hash, row.scope): row.reason for row in conn.execute(wanted)}
