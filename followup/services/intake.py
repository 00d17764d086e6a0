"""Orders come in: customers and orders upserted, events on the timeline, workflows entered."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.events import EventKind
from followup.core.order import OrderStatus, Purchase
from followup.services import timers
from followup.services.enroll import enroll, triggered_by
from followup.services.library import Library
from followup.store import customers, enrollments, events, orders
from followup.store.engine import writing
from followup.store.events import NewEvent, Recorded

BATCH = 500

EVENT_OF: dict[OrderStatus, EventKind] = {
    OrderStatus.PLACED: EventKind.ORDER_PLACED,
    OrderStatus.PAID: EventKind.ORDER_PAID,
    OrderStatus.FULFILLED: EventKind.ORDER_FULFILLED,
    OrderStatus.DELIVERED: EventKind.ORDER_DELIVERED,
    OrderStatus.CANCELLED: EventKind.ORDER_CANCELLED,
    OrderStatus.REFUNDED: EventKind.ORDER_REFUNDED,
}


@dataclass(slots=True)
class TakenIn:
    """What an intake did; ``unchanged`` orders said nothing new."""

    orders_added: int = 0
    orders_changed: int = 0
    orders_unchanged: int = 0
    customers_added: int = 0
    customers_changed: int = 0
    events: int = 0
    enrolled: int = 0

    def __iadd__(self, other: "TakenIn") -> "TakenIn":
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


def take_in(
    conn: Connection,
    purchases: Sequence[Purchase],
    *,
    now: datetime,
    library: Library | None = None,
    let_in: bool = True,
) -> TakenIn:
    """
    Take in what a shop reports at *now*; the same report again changes nothing.

    Args:
        purchases: at most a few hundred; of an order reported twice the last report counts.
        library: when given, events younger than a workflow's max_late let customers in, and what the orders
            promise is watched.
        let_in: False, and nobody comes in for what has happened by *now*.
    """
    latest = {purchase.order.key: purchase for purchase in purchases}
    people = customers.upsert(conn, [purchase.customer for purchase in latest.values()], as_of=now)
    bought = orders.upsert(
        conn, [(purchase.order, people.ids[purchase.customer.address]) for purchase in latest.values()], as_of=now
    )
    new = [
        event
        for purchase in latest.values()
        for event in _events(purchase, people.ids[purchase.customer.address], bought.ids[purchase.order.key], now)
    ]
    recorded = events.add(conn, new, now=now)
    enrollments.wake_for_events(conn, {one.customer_id for one in recorded}, at=now)
    bundle = library.find_newest(conn) if library else None
    if bundle is not None:
        after = None if let_in else now  # what is reported again stays as it is: it may have come true long ago
        changed = [bought.ids[key] for key in sorted(bought.added | bought.changed)]
        timers.order_changed(conn, changed, bundle, after=after)
        timers.customer_heard(conn, {one.customer_id for one in recorded}, bundle, after=after)
    return TakenIn(
        orders_added=len(bought.added),
        orders_changed=len(bought.changed),
        orders_unchanged=len(latest) - len(bought.added) - len(bought.changed),
        customers_added=len(people.added),
        customers_changed=len(people.changed),
        events=len(recorded),
        enrolled=_let_in(conn, recorded, library, now) if library and let_in else 0,
    )


def _events(purchase: Purchase, customer_id: int, order_id: int, now: datetime) -> list[NewEvent]:
    """Return what the order has been through by *now*; what a shop announces for later has not happened yet."""
    order = purchase.order
    return [
        NewEvent(
            customer_id=customer_id,
            order_id=order_id,
            kind=EVENT_OF[status].value,
            occurred_at=at,
            source=order.source,
            external_id=f"{order.external_id}:{status.value}",
            data={"full": True} if status is OrderStatus.REFUNDED else {},
        )
        for status, at in order.milestones()
        if at <= now
    ]


def _let_in(conn: Connection, recorded: Sequence[Recorded], library: Library, now: datetime) -> int:
    wanted = triggered_by(library.newest(conn), recorded)
    if not wanted:
        return 0
    entered = enroll(conn, wanted, bundle=library.newest(conn), now=now)
    return sum(one.enrollment_id is not None for one in entered)


class _TakeBack(Exception):
    """Ends a transaction that is not to be committed."""


def import_orders(
    engine: Engine,
    purchases: Iterable[Purchase],
    *,
    clock: Clock,
    library: Library | None = None,
    let_in: bool = True,
    dry_run: bool = False,
    progress: Callable[[Purchase], object] = lambda _: None,
) -> TakenIn:
    """
    Take in a whole file, a few hundred orders to a transaction: what was read before a failure stays.

    Args:
        library: when given, fresh events let customers in, unless not *let_in* (see `take_in`).
        dry_run: count what would be done, all in one transaction that is taken back.
        progress: called with each order once it is taken in.
    """
    total = TakenIn()
    if dry_run:
        with suppress(_TakeBack), writing(engine, "intake.try") as conn:
            for batch in _batches(purchases):
                total += take_in(conn, batch, now=clock.now(), library=library, let_in=let_in)
                _report(batch, progress)
            raise _TakeBack
        return total
    for batch in _batches(purchases):
        with writing(engine, "intake.order") as conn:
            total += take_in(conn, batch, now=clock.now(), library=library, let_in=let_in)
        _report(batch, progress)
    return total


def _batches(purchases: Iterable[Purchase]) -> Iterator[list[Purchase]]:
    rest = iter(purchases)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _report(batch: Iterable[Purchase], progress: Callable[[Purchase], object]) -> None:
    for purchase in batch:
        progress(purchase)
