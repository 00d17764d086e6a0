"""Who bought: the customer as a value, and how addresses are compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from followup.errors import FollowupError


class InvalidAddress(FollowupError):
    """The text is not a mail address we could ever write to."""


class ConsentBasis(StrEnum):
    """Why we may write to someone beyond the facts of an order."""

    OPT_IN = "opt_in"  # asked for it
    EXISTING_CUSTOMER = "existing_customer"  # bought lately; core.gates says how long that lasts
    NONE = "none"  # said no
    UNKNOWN = "unknown"  # the shop did not say; shop.yaml decides what that counts as


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """
    A customer as conditions and letters see one.

    ``language`` is BCP 47, ``country`` ISO 3166-1 alpha-2, ``region`` the subdivision without its
    country, ``timezone`` an IANA name as the shop gave it (it may be wrong). Amounts are in cents of
    the currency of the last order.
    """

    id: int
    email: str
    first_name: str | None = None
    last_name: str | None = None
    language: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None
    consent_basis: ConsentBasis = ConsentBasis.UNKNOWN
    tags: tuple[str, ...] = ()
    remembered: Mapping[str, object] = field(default_factory=dict)
    order_count: int = 0
    first_order_at: datetime | None = None
    last_order_at: datetime | None = None
    total_spent_cents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerReport:
    """What a shop says of a customer; ``address`` is normalised, ``email`` as it was written."""

    address: str
    email: str
    external_id: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    language: str | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None
    consent_basis: ConsentBasis = ConsentBasis.UNKNOWN


@lru_cache(maxsize=4096)
def normalize_address(text: str) -> str:
    """
    Return the form under which an address is compared and stored once.

    Lower case throughout (no provider in use tells local parts apart by case), domain as IDNA
    (RFC 5891), surrounding space dropped. Plus-addresses stay distinct: they are the customer's choice.

    Raises:
        InvalidAddress: not a single address by RFC 5321/6531; the message says why.
    """
    try:
        found = validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise InvalidAddress(f"{text!r} is not a mail address: {error}") from error
    return f"{found.local_part}@{found.ascii_domain}".lower()
