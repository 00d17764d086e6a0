"""What was bought: the order as a value."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from followup.core.customer import CustomerReport


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """
    What a shop says of an order at one moment; moments aware UTC.

    ``cancelled_at`` is when it was cancelled or fully refunded; shops that do not say are taken to
    have done it at the last moment they do report.
    """

    source: str
    external_id: str
    number: str
    status: OrderStatus
    placed_at: datetime
    paid_at: datetime | None = None
    fulfilled_at: datetime | None = None
    promised_at: datetime | None = None
    delivered_at: datetime | None = None
    cancelled_at: datetime | None = None
    total_cents: int = 0
    currency: str = ""
    is_gift: bool = False
    note: str | None = None
    items: tuple[Item, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Return what names this order once and for all."""
        return self.source, self.external_id

    def milestones(self) -> list[tuple[OrderStatus, datetime]]:
        """Return what the order has been through and when, in order of time."""
        reached = [
            (OrderStatus.PLACED, self.placed_at),
            (OrderStatus.PAID, self.paid_at),
            (OrderStatus.FULFILLED, self.fulfilled_at),
            (OrderStatus.DELIVERED, self.delivered_at),
        ]
        known = [(status, at) for status, at in reached if at is not None]
        if self.status in VOID:
            known.append((self.status, self.cancelled_at or max(at for _, at in known)))
        return sorted(known, key=lambda one: one[1])  # stable: what happens at one moment keeps its order

    def as_known_at(self, moment: datetime) -> "OrderReport":
        """Return the report the shop would have given at *moment* (aware), not before the order was placed."""
        reached = [status for status, at in self.milestones() if at <= moment]

        def past(at: datetime | None) -> datetime | None:
            return at if at is not None and at <= moment else None

        return replace(
            self,
            status=max(reached, key=list(OrderStatus).index, default=OrderStatus.PLACED),  # the furthest, not the last
            paid_at=past(self.paid_at),
            fulfilled_at=past(self.fulfilled_at),
            delivered_at=past(self.delivered_at),
            cancelled_at=past(self.cancelled_at),
        )


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order and who placed it, as one source reports them."""

    customer: CustomerReport
    order: OrderReport
