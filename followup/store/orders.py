"""Orders: one row per order of a shop, the newest report wins."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select, tuple_

from followup.core.order import VOID, Item, Order, OrderReport, OrderStatus
from followup.store.customers import Upserted
from followup.store.schema import orders
from followup.store.types import among, insert

MILESTONES = ("placed_at", "paid_at", "fulfilled_at", "promised_at", "delivered_at")
REPORTED = ("number", "status", *MILESTONES, "total_cents", "currency", "is_gift", "note", "items")


def upsert(conn: Connection, reports: Sequence[tuple[OrderReport, int]], *, as_of: datetime) -> Upserted:
    """
    Write each order (each key once) with the id of its customer; an older report changes nothing.

    Returns:
        keys are (source, external id).
    """
    rows = {report.key: _row(report, customer_id, as_of) for report, customer_id in reports}
    known = {(row.source, row.external_id): row for row in conn.execute(_by_key(rows))}
    added = set(rows) - set(known)
    compared = (*REPORTED, "customer_id")
    changed = {
        key
        for key, row in known.items()
        if row.as_of <= as_of and any(getattr(row, name) != rows[key][name] for name in compared)
    }
    confirmed = {key for key, row in known.items() if row.as_of < as_of}  # an older report cannot undo it now
    if written := [row for key, row in rows.items() if key in added | changed | confirmed]:
        statement = insert(conn, orders)
        statement = statement.on_conflict_do_update(
            index_elements=[orders.c.source, orders.c.external_id],
            set_={name: statement.excluded[name] for name in (*compared, "as_of")},
            where=orders.c.as_of <= statement.excluded.as_of,
        )
        conn.execute(statement, written)
    ids = {(row.source, row.external_id): row.id for row in conn.execute(_by_key(rows))}
    return Upserted(ids, added, changed)


def _by_key(keys: Collection[tuple[str, str]]) -> Select[Any]:
    return select(orders).where(tuple_(orders.c.source, orders.c.external_id).in_(list(keys)))


def _row(report: OrderReport, customer_id: int, as_of: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(report, name) for name in REPORTED}
    return row | {
        "source": report.source,
        "external_id": report.external_id,
        "customer_id": customer_id,
        "status": report.status.value,
        "items": [asdict(item) for item in report.items],
        "as_of": as_of,
    }


_BY_ID = select(orders).where(among(orders.c.id, "ids"))


def load(conn: Connection, ids: Collection[int]) -> dict[int, Order]:
    """Return the orders by id."""
    if not ids:
        return {}
    return {row.id: _order(row) for row in conn.execute(_BY_ID, {"ids": list(ids)})}


def report_of(conn: Connection, order_id: int) -> OrderReport:
    """Return an order as its shop would report it now, were nothing new."""
    row = conn.execute(select(orders).where(orders.c.id == order_id)).one()
    known = {name: getattr(row, name) for name in REPORTED}
    known |= {"status": OrderStatus(row.status), "items": tuple(Item(**item) for item in row.items)}
    return OrderReport(source=row.source, external_id=row.external_id, **known)


def _order(row: Row[Any]) -> Order:
    return Order(
        id=row.id,
        number=row.number,
        status=OrderStatus(row.status),
        **{name: getattr(row, name) for name in MILESTONES},
        total_cents=row.total_cents,
        currency=row.currency,
        is_gift=row.is_gift,
        note=row.note,
        items=tuple(Item(**item) for item in row.items),
    )


@dataclass(frozen=True, slots=True)
class Found:
    """An order on the record and whose it is."""

    order: Order
    customer_id: int


def find(conn: Connection, number: str) -> list[Found]:
    """Return the orders that go by *number* (or by that id in their shop), oldest first."""
    wanted = select(orders).where(or_(orders.c.number == number, orders.c.external_id == number))
    return [
        Found(_order(row), row.customer_id) for row in conn.execute(wanted.order_by(orders.c.placed_at, orders.c.id))
    ]


def of_customer(conn: Connection, customer_id: int) -> list[Order]:
    """Return every order of a customer, oldest first."""
    wanted = select(orders).where(orders.c.customer_id == customer_id).order_by(orders.c.placed_at, orders.c.id)
    return [_order(row) for row in conn.execute(wanted)]


def customers_of(conn: Connection, ids: Collection[int]) -> dict[int, int]:
    """Return whose each of these orders is."""
    wanted = select(orders.c.id, orders.c.customer_id).where(orders.c.id.in_(list(ids)))
    return {row.id: row.customer_id for row in conn.execute(wanted)}


def last_of(conn: Connection, customer_id: int, *, now: datetime) -> int | None:
    """Return the customer's last order that stands, placed by *now*."""
    wanted = select(orders.c.id).where(orders.c.customer_id == customer_id, *_stands(now))
    return conn.scalar(wanted.order_by(orders.c.placed_at.desc(), orders.c.id.desc()).limit(1))


def last_of_each(conn: Connection, customer_ids: Collection[int], *, now: datetime) -> dict[int, int]:
    """Return by customer their last order that stands, placed by *now*."""
    wanted = select(orders.c.customer_id, orders.c.id).where(
        orders.c.customer_id.in_(list(customer_ids)), *_stands(now)
    )
    rows = conn.execute(wanted.order_by(orders.c.placed_at, orders.c.id))
    return {row.customer_id: row.id for row in rows}


def _stands(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return orders.c.placed_at <= now, orders.c.status.not_in(list(VOID))


def numbers(conn: Connection, *, limit: int = 10_000) -> list[str]:
    """Return order numbers, newest first, for did-you-mean."""
    wanted = select(orders.c.number).order_by(orders.c.placed_at.desc(), orders.c.id.desc())
    return list(conn.scalars(wanted.limit(limit)))


def numbers_of(conn: Connection, customer_id: int, *, limit: int = 12) -> list[str]:
    """Return the order numbers of one customer, newest first."""
    wanted = select(orders.c.number).where(orders.c.customer_id == customer_id)
    return list(conn.scalars(wanted.order_by(orders.c.placed_at.desc(), orders.c.id.desc()).limit(limit)))


def count(conn: Connection) -> int:
    return conn.scalar(select(func.count()).select_from(orders)) or 0
