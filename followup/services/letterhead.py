"""Whose letter it was, and in which language: what a page that a letter leads to says about itself."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.errors import NotFound
from followup.store import customers
from followup.store.messages import StoredMessage


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who wrote, for which shop, in which language (BCP 47)."""

    language: str
    shop: str
    sender: str


def letterhead(conn: Connection, message: StoredMessage, bundle: Bundle, now: datetime) -> Letterhead:
    """Return the head of a letter, chosen as `services.write` did; what is gone since is taken from the mail itself."""
    spoken = customers.load(conn, [message.customer_id], now=now)[message.customer_id].language
    try:
        letter = bundle.letter(message.letter, spoken)
        language, key = letter.language, letter.sender or message.sender
    except NotFound:
        language, key = spoken or "en", message.sender
    person = bundle.people.get(key)
    name = person.name if person else (message.payload or {}).get("from_name")
    return Letterhead(language, bundle.shop.name, name or bundle.shop.name)
