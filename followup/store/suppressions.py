"""Suppressions: addresses we never write to, kept as hashes that outlive the customer's record."""

import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, or_, select

from followup.store.schema import suppressions
from followup.store.types import among, insert_new

ALL = "all"


def address_hash(address: str, key: str) -> str:
    """Return the HMAC-SHA256 (hex) of a normalised address; *key* must never change."""
    return hmac.new(key.encode(), address.encode(), hashlib.sha256).hexdigest()


def add(conn: Connection, hash_: str, *, reason: str, source: str, now: datetime, scope: str = ALL) -> bool:
    """Suppress an address for all letters, or for those of one workflow; return False if it was already."""
    row = {"address_hash": hash_, "scope": scope, "reason": reason, "source": source, "at": now}
    return bool(insert_new(conn, suppressions, [row], suppressions.c.id))


_REASONS = select(suppressions).where(
    among(suppressions.c.address_hash, "hashes"),
    or_(suppressions.c.scope == ALL, among(suppressions.c.scope, "scopes")),
)


def reasons(conn: Connection, hashes: Collection[str], workflows: Collection[str]) -> dict[tuple[str, str], str]:
    """Return why addresses are suppressed, by (hash, scope), for all letters and these *workflows*."""
    rows = conn.execute(_REASONS, {"hashes": list(hashes), "scopes": list(workflows)})
    return {(row.address_hash, row.scope): row.reason for row in rows}


@dataclass(frozen=True, slots=True)
class Suppression:
    """One entry of the list."""

    address_hash: str
    scope: str
    reason: str
    source: str
    at: datetime


def remove(conn: Connection, hash_: str, scope: str) -> bool:
    """Take an entry off the list; return False when it was not on it."""
    entry = suppressions.c.address_hash == hash_, suppressions.c.scope == scope
    return conn.execute(delete(suppressions).where(*entry)).rowcount == 1


def of(conn: Connection, hash_: str) -> list[Suppression]:
    """Return the entries of one address, by scope."""
    wanted = select(suppressions).where(suppressions.c.address_hash == hash_).order_by(suppressions.c.scope)
    return [_entry(row) for row in conn.execute(wanted)]


def listed(conn: Connection, *, limit: int | None) -> list[Suppression]:
    """Return the entries, the newest first; *limit* None: all of them."""
    wanted = select(suppressions).order_by(suppressions.c.id.desc())
    return [_entry(row) for row in conn.execute(wanted if limit is None else wanted.limit(limit))]


def _entry(row: Row[Any]) -> Suppression:
    return Suppression(row.address_hash, row.scope, row.reason, row.source, row.at)
