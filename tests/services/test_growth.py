"""What a shop costs does not grow with its past: no statement of a sweep reads a table from end to end."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from followup.services import watch
from followup.services.track import store_events
from followup.store.engine import reading
from tests.services.growth import grow
from tests.services.world import CHECK_IN, World, a_purchase, a_reply

PAST = 30_000  # so many that reading them all costs more than finding a batch
GROWING = "customers|enrollments|messages|provider_events"
PARTIAL = "due|leased|blocked|held|unknown|new"  # indices of what has not ended: they do not grow
READ_THROUGH = {
    "sqlite": re.compile(rf"^SCAN ({GROWING})(?!.* USING (COVERING )?INDEX ix_\w+_({PARTIAL})\b).*$", re.MULTILINE),
    "postgresql": re.compile(
        rf"Seq Scan on ({GROWING})\b"
        rf"|Index (Only )?Scan using (?!ix_\w+_({PARTIAL})\b)\w+ on ({GROWING})\b[^\n]*(?!\n +Index Cond)(\n|$)"
    ),
}


@contextmanager
def listened(engine: Engine) -> Iterator[dict[str, Any]]:
    """Yield what is said to the database meanwhile: each statement, with the first parameters it had."""
    said: dict[str, Any] = {}

    def note(_conn: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "WITH", "DELETE")):
            said.setdefault(statement, parameters[0] if many else parameters)

    event.listen(engine, "before_cursor_execute", note)
    yield said
    event.remove(engine, "before_cursor_execute", note)


def plan(conn: Connection, statement: str, parameters: Any) -> str:
    how = "EXPLAIN QUERY PLAN" if conn.dialect.name == "sqlite" else "EXPLAIN (COSTS OFF)"
    return "\n".join(str(row[-1]) for row in conn.exec_driver_sql(f"{how} {statement}", parameters))


def token_of(letter: Any) -> str:
    """Return the name of a letter, which is in its Message-ID."""
    return str(letter["Message-ID"])[1:].partition("@")[0]


def test_no_statement_of_a_worker_reads_a_table_that_grows_from_end_to_end(world: World) -> None:
    world.apply(check_in=CHECK_IN.replace("steps:", "limits: {per_day: 500}\nsteps:", 1))
    grow(world.engine, PAST)
    with listened(world.engine) as said:
        world.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(40)))
        world.later(days=2)
        world.later(days=3)
        [first, *_] = world.letters()
        world.hear(a_reply(first))
        about = {"event": "delivered", "email": "c0@example.com", "sg_event_id": "1", "fu_token": token_of(first)}
        store_events(world.engine, json.dumps([about]).encode(), clock=world.clock)
        world.drain()
        with reading(world.engine) as conn:
            watch.conditions(conn, now=world.clock.now(), expects_events=True)
    assert len(world.letters()) == 80
    assert [row.outcome for row in world.rows("messages") if row.token == token_of(first)] == ["delivered"]
    with reading(world.engine) as conn:
        if conn.dialect.name == "postgresql":  # one that ends early looks as if it read an index to its end
            conn.exec_driver_sql("SET LOCAL enable_mergejoin = off")
        plans = {statement: plan(conn, statement, parameters) for statement, parameters in said.items()}
    assert len(plans) > 50
    growing = READ_THROUGH[world.engine.dialect.name]
    assert [f"{statement}\n{how}" for statement, how in plans.items() if growing.search(how)] == []
    if world.engine.dialect.name == "sqlite":
        due = next(how for statement, how in plans.items() if statement.startswith("WITH due") and "messages" in how)
        assert "ix_messages_due" in due
