"""The real people behind the letters, and the shop they work for."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

UTC_ZONE = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone customers can trust: whose name, address and signature a letter carries."""

    key: str
    name: str
    email: str
    signature: str

    @property
    def first_name(self) -> str:
        return self.name.split()[0]


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
