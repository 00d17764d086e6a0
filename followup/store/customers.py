"""Customers: one row per address."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, case, func, select, update

from followup.core.customer import ConsentBasis, Customer, CustomerReport
from followup.core.order import VOID
from followup.store.schema import customers, orders
from followup.store.types import among, insert, moment

REPORTED = (
    "email",
    "external_id",
    "first_name",
    "last_name",
    "language",
    "country",
    "region",
    "city",
    "timezone",
    "consent_basis",
)  # what the shop tells us and may change


@dataclass(frozen=True, slots=True)
class Upserted:
    """Ids by key, and which keys were new or changed."""

    ids: dict[Any, int]
    added: set[Any]
    changed: set[Any]


def upsert(conn: Connection, reports: Sequence[CustomerReport], *, as_of: datetime) -> Upserted:
    """
    Write what the shop says of each customer; an older report changes nothing.

    What a report leaves out stays as it was known: an order without a time zone takes nobody's away.
    Of one address reported twice, the later report counts where both say something.

    The rows of all of them are held until the transaction ends, taken in one order, so that two reports
    at once wait for each other instead of locking each other out.

    Returns:
        keys are normalised addresses.
    """
    by_address: dict[str, CustomerReport] = {}
    for report in sorted(reports, key=lambda report: report.address):  # stable: later reports stay later
        earlier = by_address.get(report.address, report)
        by_address[report.address] = replace(earlier, **_told(report))
    held = _by_address(by_address).order_by(customers.c.id).with_for_update(key_share=True)
    known = {row.address: row for row in conn.execute(held)}
    added = set(by_address) - set(known)
    changed = {
        address
        for address, row in known.items()
        if row.as_of <= as_of and any(getattr(row, name) != value for name, value in _told(by_address[address]).items())
    }
    confirmed = {address for address, row in known.items() if row.as_of < as_of}  # an older report cannot undo it now
    if rows := [_row(by_address[address], as_of) for address in by_address if address in added | changed | confirmed]:
        statement = insert(conn, customers)
        statement = statement.on_conflict_do_update(
            index_elements=[customers.c.address],
            set_={name: func.coalesce(statement.excluded[name], customers.c[name]) for name in REPORTED}
            | _consent(statement.excluded)
            | {"as_of": statement.excluded.as_of},
            where=customers.c.as_of <= statement.excluded.as_of,
        )
        conn.execute(statement, rows)
    ids = {row.address: row.id for row in conn.execute(_by_address(by_address))}
    return Upserted(ids, added, changed)


def _told(report: CustomerReport) -> dict[str, Any]:
    """Return what *report* really says: neither blanks nor an unknown consent."""
    said = {name: getattr(report, name) for name in REPORTED}
    return {name: value for name, value in said.items() if value is not None and value is not ConsentBasis.UNKNOWN}


def _consent(reported: Any) -> dict[str, ColumnElement[Any]]:
    """Keep the consent, and since when it holds, unless the shop reports another one."""
    same = reported.consent_basis.in_([ConsentBasis.UNKNOWN.value, customers.c.consent_basis])
    return {
        "consent_basis": case((same, customers.c.consent_basis), else_=reported.consent_basis),
        "consent_since": case((same, customers.c.consent_since), else_=reported.consent_since),
    }


def _by_address(addresses: Collection[str]) -> Select[Any]:
    return select(customers).where(customers.c.address.in_(list(addresses)))


def _row(report: CustomerReport, as_of: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(report, name) for name in REPORTED}
    since = as_of if report.consent_basis is ConsentBasis.OPT_IN else None
    return row | {
        "address": report.address,
        "consent_since": since,
        "tags": [],
        "remembered": {},
        "as_of": as_of,
        "created_at": as_of,
    }


def put(
    conn: Connection,
    customer_id: int,
    address: str,
    *,
    tags: Sequence[str],
    remembered: Mapping[str, Any],
    at: datetime,
) -> None:
    """Write a customer of whom no shop has said anything yet, under an id that is free."""
    unknown = {"consent_basis": ConsentBasis.UNKNOWN.value, "as_of": at, "created_at": at}
    given = {"id": customer_id, "address": address, "tags": list(tags), "remembered": dict(remembered)}
    conn.execute(customers.insert().values(**unknown, **given))


def lock(conn: Connection, ids: Collection[int]) -> None:
    """Wait for, and hold, the rows of *ids* until the transaction ends (SQLite holds the whole database)."""
    conn.execute(
        select(customers.c.id)
        .where(customers.c.id.in_(list(ids)))
        .order_by(customers.c.id)
        .with_for_update(key_share=True)
    )


_FREE = (
    select(customers.c.id)
    .where(among(customers.c.id, "ids"))
    .order_by(customers.c.id)
    .with_for_update(skip_locked=True, key_share=True)
)


def lock_free(conn: Connection, ids: Collection[int]) -> set[int]:
    """Hold those rows of *ids* that nobody else holds, without waiting; return their ids."""
    return set(conn.scalars(_FREE, {"ids": list(ids)}))


_BY_ID = select(customers).where(among(customers.c.id, "ids"))
_BOUGHT = (
    select(
        orders.c.customer_id,
        func.count().label("order_count"),
        func.min(orders.c.placed_at).label("first_order_at"),
        func.max(orders.c.placed_at).label("last_order_at"),
        func.sum(orders.c.total_cents).label("total_spent_cents"),
    )
    .where(among(orders.c.customer_id, "ids"), orders.c.placed_at <= moment("now"), orders.c.status.not_in(list(VOID)))
    .group_by(orders.c.customer_id)
)


def load(conn: Connection, ids: Collection[int], *, now: datetime) -> dict[int, Customer]:
    """Return the customers by id, with what their orders up to *now* amount to."""
    sums = {row.customer_id: row for row in conn.execute(_BOUGHT, {"ids": list(ids), "now": now})}
    rows = conn.execute(_BY_ID, {"ids": list(ids)})
    return {row.id: _customer(row, sums.get(row.id)) for row in rows}


def _customer(row: Row[Any], bought: Row[Any] | None) -> Customer:
    return Customer(
        id=row.id,
        email=row.email or "",
        first_name=row.first_name,
        last_name=row.last_name,
        language=row.language,
        country=row.country,
        region=row.region,
        timezone=row.timezone,
        consent_basis=ConsentBasis(row.consent_basis),
        tags=tuple(row.tags),
        remembered=row.remembered,
        order_count=bought.order_count if bought else 0,
        first_order_at=bought.first_order_at if bought else None,
        last_order_at=bought.last_order_at if bought else None,
        total_spent_cents=int(bought.total_spent_cents) if bought else 0,
    )


def remember(conn: Connection, customer_id: int, values: Mapping[str, object]) -> None:
    """Write *values* to what is remembered of a customer, beside what is known; the caller holds the row."""
    known = conn.scalar(select(customers.c.remembered).where(customers.c.id == customer_id)) or {}
    conn.execute(update(customers).where(customers.c.id == customer_id).values(remembered={**known, **values}))


_ID_OF_ADDRESS = select(customers.c.id).where(customers.c.address == bindparam("of"))


def id_of_address(conn: Connection, address: str) -> int | None:
    """Return the id of the customer with the normalised *address*."""
    return conn.scalar(_ID_OF_ADDRESS, {"of": address})


def address_of(conn: Connection, customer_id: int) -> str | None:
    """Return the normalised address of a customer; None after erasure."""
    return conn.scalar(select(customers.c.address).where(customers.c.id == customer_id))


def addresses(conn: Connection, *, limit: int = 10_000) -> list[str]:
    """Return normalised addresses, oldest customers first, for did-you-mean."""
    wanted = select(customers.c.address).where(customers.c.address.is_not(None)).order_by(customers.c.id)
    return list(conn.scalars(wanted.limit(limit)))


def count(conn: Connection) -> int:
    return conn.scalar(select(func.count()).select_from(customers)) or 0
