"""Comparing what a rehearsal foresees with what the engine then does."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select

from followup.clock import VirtualClock
from followup.services.deliver import Post
from followup.services.library import Library
from followup.services.moves import Move, moves
from followup.services.rehearsal import Rehearsal, TakesAll
from followup.services.sweep import drain, next_moment
from followup.store.engine import reading
from followup.store.schema import decisions, metadata

MOST = 500  # moments


def dump(engine: Engine) -> dict[str, list[Any]]:
    """Return every row of every table."""
    with reading(engine) as conn:
        return {
            table.name: [tuple(row) for row in conn.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def decided(engine: Engine, customer_id: int) -> list[tuple[Any, ...]]:
    """Return what was decided about a customer, in the order of the rows."""
    d = decisions.c
    wanted = select(d.at, d.workflow, d.step, d.round, d.verdict, d.gate, d.reason, d["values"], d.until)
    with reading(engine) as conn:
        rows = conn.execute(wanted.where(d.customer_id == customer_id).order_by(d.at, d.id))
        return [tuple(row) for row in rows]


def let_go_on(
    engine: Engine, customer_ids: Iterable[int], *, library: Library, post: Post, clock: VirtualClock
) -> dict[int, list[Move]]:
    """Let the engine go on until nothing more falls due; return the moves of each customer that were seen."""
    seen: dict[int, list[Move]] = {customer_id: [] for customer_id in customer_ids}
    for _ in range(MOST):
        drain(engine, library=library, post=post, clock=clock)
        with reading(engine) as conn:
            for customer_id, known in seen.items():
                known += [move for move in moves(conn, customer_id, library=library) if move not in known]
            due = next_moment(conn)
        if due is None:
            return {key: sorted(found, key=lambda move: move.at) for key, found in seen.items()}
        assert due > clock.now(), f"what fell due at {due} could not be done"
        clock.move_to(due)
    raise AssertionError("it does not come to rest")


def copies(
    engine: Engine, addresses: dict[str, int], *, library: Library, post: Post, at: datetime
) -> dict[int, Rehearsal]:
    """Return a rehearsal of each customer (address -> id), in which nobody answers those who wait for us."""
    rehearsing = Post(transport=TakesAll(), identity=post.identity, suppression_key=post.suppression_key)
    return {
        customer_id: Rehearsal.of_customer(
            engine, address, customer_id, library=library, post=rehearsing, at=at, close_after=None
        )
        for address, customer_id in addresses.items()
    }


def foresee(rehearsals: Iterable[Rehearsal]) -> None:
    """Let each rehearsal go on until nothing more happens in it."""
    for rehearsal in rehearsals:
        rehearsal.begin()
        rehearsal.go_on()


def compare(engine: Engine, live: dict[int, list[Move]], rehearsals: dict[int, Rehearsal]) -> None:
    """Assert that each rehearsal saw and decided what the engine did."""
    for customer_id, rehearsal in rehearsals.items():
        assert rehearsal.moves == live[customer_id]
        assert [move.values for move in rehearsal.moves] == [move.values for move in live[customer_id]]
        assert decided(rehearsal.engine, customer_id) == decided(engine, customer_id)
        rehearsal.close()
