"""Signs of life: when a sweep last ran, when the provider last reported, when mail last came in."""

from datetime import timedelta

from sqlalchemy import Connection, select

from followup.store.schema import signs_of_life
from followup.store.types import insert, real_now

SWEEP, EVENTS, INBOUND = "sweep", "events", "inbound"


def seen(conn: Connection, what: str) -> None:
    """Note that *what* (``SWEEP``, ``EVENTS`` or ``INBOUND``) happened just now, by the database's clock."""
    new = insert(conn, signs_of_life).values(what=what, seen_at=real_now())
    conn.execute(new.on_conflict_do_update(index_elements=[signs_of_life.c.what], set_={"seen_at": real_now()}))


def ages(conn: Connection) -> dict[str, timedelta]:
    """Return how long ago each was last seen, measured by the database's clock; what never was is not in it."""
    wanted = select(signs_of_life, real_now().label("now")).order_by(signs_of_life.c.what)
    return {row.what: max(row.now - row.seen_at, timedelta()) for row in conn.execute(wanted)}
