"""Finding what an operator named, or saying what it may have been meant to be."""

from collections.abc import Collection
from pathlib import PurePosixPath

from sqlalchemy import Connection, Engine

from followup.authoring.diagnostics import did_you_mean, listed
from followup.errors import NotFound
from followup.services.library import Library
from followup.store import customers, lessons, orders
from followup.store.engine import reading
from followup.store.orders import Found


def customer_id(conn: Connection, address: str, *, typed: str | None = None) -> int:
    """
    Return the id of the customer at *address* (normalised); *typed* is how the operator wrote it.

    Raises:
        NotFound: it is nobody's; the hint names the nearest that is.
    """
    found = customers.id_of_address(conn, address)
    if found is None:
        hint = nearest_address(address, customers.addresses(conn))
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


def workflow(engine: Engine, name: str, *, library: Library) -> None:
    """
    Make sure that there is a workflow *name*, or was one.

    Raises:
        NotFound: there never was; the hint names the nearest.
    """
    with reading(engine) as conn:
        bundle = library.find_newest(conn)
        known = {*lessons.known_workflows(conn), *(bundle.workflows if bundle else ())}
        if name not in known:
            raise no_workflow(name, known)


def no_workflow(name: str, known: Collection[str]) -> NotFound:
    """Return the error that says so; its hint names the nearest of the *known* ones, or the first of them."""
    hint = nearest(name, known) or (f"There are: {listed(sorted(known))}" if known else "")
    return NotFound(f"there is no workflow {name!r}", hint=hint)


def nearest_file(name: str, known: Collection[str]) -> str:
    """Return a hint at the one of *known* paths that *name* may stand for, or whose file is called so; or nothing."""
    called: dict[str, list[str]] = {}
    for path in sorted(known):
        file = PurePosixPath(path)
        for short in {file.name, file.stem}:
            called.setdefault(short, []).append(path)
    meant = called.get(name) or called.get(did_you_mean(name, called) or "", [])
    near = did_you_mean(name, known)
    found = [near] if near and not meant else meant
    return f"Did you mean {' or '.join(map(repr, found))}?" if found else ""


def nearest_address(address: str, known: Collection[str]) -> str:
    """
    Return a hint at the one of *known* addresses that *address* may stand for, or nothing.

    Both sides of the @ have to be near: most addresses are alike in where they are.
    """
    local, _, domain = address.rpartition("@")
    theirs: dict[str, list[str]] = {}
    for one in known:
        theirs.setdefault(one.rpartition("@")[2], []).append(one.rpartition("@")[0])
    near = sorted((one for one in theirs if did_you_mean(domain, [one])), key=lambda one: (one != domain, one))
    domains = {name: where for where in reversed(near) for name in theirs[where]}
    meant = did_you_mean(local, domains)
    return f"Did you mean {f'{meant}@{domains[meant]}'!r}?" if meant else ""


def nearest(name: str, known: Collection[str]) -> str:
    """Return a hint at the one of *known* that *name* may stand for, or nothing."""
    meant = did_you_mean(name, known)
    return f"Did you mean {meant!r}?" if meant else ""
