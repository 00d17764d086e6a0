"""The real people behind the letters, and the shop they work for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

UTC_ZONE = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Away:
    """When somebody is not there, both days included, and the key of who stands in."""

    since: date
    until: date
    cover: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone customers can trust: whose name, address and signature a letter carries."""

    key: str
    name: str
    email: str
    signature: str
    backlog: int | None = None  # no new questions by them while more customers than this wait for an answer from them
    zone: ZoneInfo | None = None  # where they live; None: where the shop is
    away: tuple[Away, ...] = ()

    def cover_on(self, day: date) -> str | None:
        """Return the key of who stands in for them on *day* (theirs); None while they are there."""
        return next((away.cover for away in self.away if away.since <= day <= away.until), None)

    @property
    def first_name(self) -> str:
        return self.name.split()[0]


def covering(people: Mapping[str, Person], key: str, now: datetime, *, otherwise: ZoneInfo) -> str:
    """
    Return who does what is a person's at *now* (aware): themselves, or whoever stands in for them while they are away.

    Where everybody who could is away, it stays with the first: they find it when they are back.

    Args:
        otherwise: where they live who do not say.
    """
    seen = [key]
    while True:
        person = people.get(seen[-1])
        cover = person.cover_on(now.astimezone(person.zone or otherwise).date()) if person else None
        if cover is None:
            return seen[-1]
        if cover in seen:
            return key
        seen.append(cover)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """
    The shop itself, from ``workflows/shop.yaml``.

    ``zone`` serves customers whose own zone is unknown. ``strict_consent`` counts an unknown consent
    as none instead of as an existing customer.
    """

    name: str
    postal_address: str
    url: str | None = None
    zone: ZoneInfo = UTC_ZONE
    strict_consent: bool = False
