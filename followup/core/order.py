"""What was bought: the order as a value."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class OrderStatus(StrEnum):
    PLACED = "placed"
    PAID = "paid"
    FULFILLED = "fulfilled"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"  # fully


VOID = frozenset({OrderStatus.CANCELLED, OrderStatus.REFUNDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of an order; ``price_cents`` is for one piece."""

    name: str
    sku: str | None = None
    category: str | None = None
    quantity: int = 1
    price_cents: int | None = None
    url: str | None = None
    image_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as the shop last reported it; all moments aware UTC."""

    id: int
    number: str
    status: OrderStatus
    placed_at: datetime
    paid_at: datetime | None = None
    fulfilled_at: datetime | None = None
    promised_at: datetime | None = None
    delivered_at: datetime | None = None
    total_cents: int = 0
    currency: str = ""
    is_gift: bool = False
    note: str | None = None
    items: tuple[Item, ...] = ()

    @property
    def is_void(self) -> bool:
        """Tell whether nothing is left of this order to talk about."""
        return self.status in VOID

    @property
    def main_item(self) -> Item | None:
        """Return the line with the highest value (the first of equals), or None for an empty order."""
        return max(self.items, key=lambda item: (item.price_cents or 0) * item.quantity, default=None)

    @property
    def categories(self) -> tuple[str, ...]:
        """Return each category once, in the order of the lines."""
        return tuple(dict.fromkeys(item.category for item in self.items if item.category))

    def days_late(self, now: datetime) -> int:
        """Return whole days past the promised moment, at delivery or so far; 0 when on time or unknown."""
        if self.promised_at is None:
            return 0
        return max(0, ((self.delivered_at or now) - self.promised_at) // timedelta(days=1))
