"""Finding what an operator named, or saying what it may have been meant to be."""

from collections.abc import Collection

from sqlalchemy import Connection

from followup.authoring.diagnostics import did_you_mean
from followup.errors import NotFound
from followup.store import customers, orders
from followup.store.orders import Found


def customer_id(conn: Connection, address: str, *, typed: str | None = None) -> int:
    """
    Return the id of the customer at *address* (normalised); *typed* is how the operator wrote it.

    Raises:
        NotFound: it is nobody's; the hint names the nearest that is.
    """
    found = customers.id_of_address(conn, address)
    if found is None:
        hint = nearest(address, customers.addresses(conn))
        raise NotFound(f"{typed or address} is no customer on the record", hint=hint)
    return found


def orders_called(conn: Connection, number: str) -> list[Found]:
    """
    Return the orders that go by *number*, of each shop that has one.

    Raises:
        NotFound: there is none; the hint names the nearest.
    """
    found = orders.find(conn, number)
    if not found:
        raise NotFound(f"there is no order {number!r}", hint=nearest(number, orders.numbers(conn)))
    return found


def nearest(name: str, known: Collection[str]) -> str:
    """Return a hint at the one of *known* that *name* may stand for, or nothing."""
    meant = did_you_mean(name, known)
    return f"Did you mean {meant!r}?" if meant else ""
