"""One customer's record, copied: nothing of it is forgotten, and nothing of anybody else's comes along."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Table, select, text, update

from followup.core.message import MessageState
from followup.core.timer import TimerKind
from followup.store import suppressions, timers
from followup.store.engine import reading, writing
from followup.store.excerpt import BY_ADDRESS, COPIED, LEFT_OUT, OVER, copy_customer, take_out
from followup.store.schema import (
    bundles,
    customers,
    enrollments,
    gaps,
    halts,
    inbound_mail,
    message_aliases,
    messages,
    metadata,
    orders,
    past_tokens,
    replies,
    visits,
    workflow_limits,
    workflow_switches,
    workflow_versions,
)
from followup.store.schema import suppressions as suppressed
from followup.store.schema import timers as timers_table
from followup.store.scratch import scratch_engine
from followup.store.types import real_now
from tests.store.make import START, a_customer, a_message, a_reply, an_enrollment, an_order, plan_of, taken_back

KEY = "never-changes"


@pytest.fixture
def copy() -> Iterator[Engine]:
    engine = scratch_engine()
    yield engine
    engine.dispose()


def copied(engine: Engine, copy: Engine, customer_id: int) -> None:
    with reading(engine) as source, writing(copy) as target:
        copy_customer(source, target, customer_id, suppression_key=KEY, transport="rehearsal")


def rows(engine: Engine, table: Table) -> list[Any]:
    with reading(engine) as conn:
        return list(conn.execute(select(table).order_by(*table.primary_key)))


def test_every_table_is_copied_or_left_out_for_a_reason() -> None:
    parts = [set(COPIED), set(BY_ADDRESS), set(LEFT_OUT)]
    assert set().union(*parts) == set(metadata.sorted_tables), "decide what a copy of one customer has of a new table"
    assert sum(map(len, parts)) == len(metadata.sorted_tables)
    assert all(LEFT_OUT.values())


def a_story(conn: Connection, name: str) -> tuple[int, int]:
    """Return a customer, and a run of theirs, in which a letter was answered."""
    customer_id = a_customer(conn, name)
    order_id = an_order(conn, customer_id, name)
    run = an_enrollment(conn, customer_id, order_id=order_id)
    message_id = a_message(conn, MessageState.ACCEPTED, customer_id=customer_id, enrollment_id=run)
    a_reply(conn, customer_id, message_id=message_id, enrollment_id=run)
    timers.put(conn, TimerKind.PROMISE, {order_id: START})
    timers.put(conn, TimerKind.QUIET, {customer_id: START}, workflow="care")
    hash_ = suppressions.address_hash(f"{name}@shop.example", KEY)
    suppressions.add(conn, hash_, reason="asked", source="operator", now=START)
    return customer_id, run


def test_a_customers_rows_come_along_as_they_are_and_nobody_elses(engine: Engine, copy: Engine) -> None:
    with writing(engine) as conn:
        a_story(conn, "ana")
        ben, run = a_story(conn, "ben")
    copied(engine, copy, ben)
    for table in (customers, orders, enrollments, messages, replies):
        (own,) = [row for row in rows(engine, table) if ben == (row.id if table is customers else row.customer_id)]
        assert rows(copy, table) == [own], table.name
    assert [row.id for row in rows(copy, enrollments)] == [run]
    assert {(row.kind, row.subject_id) for row in rows(copy, timers_table)} == {
        ("promise", rows(copy, orders)[0].id),
        ("quiet", ben),
    }
    assert len(rows(copy, suppressed)) == 1
    assert [row.raw for row in rows(copy, inbound_mail)] == [b""]


WHOLE = {workflow_versions, workflow_switches, workflow_limits, gaps, halts, bundles}


@pytest.mark.parametrize("table", sorted({*COPIED} - WHOLE, key=lambda table: table.name), ids=lambda table: table.name)
def test_no_table_is_read_through_for_one_customer(engine: Engine, table: Table) -> None:
    with taken_back(engine) as conn:
        if conn.dialect.name == "postgresql":
            # files of other tests' dead rows are of any length, by which a planner that knows nothing guesses
            conn.execute(text(f"TRUNCATE {', '.join(one.name for one in metadata.sorted_tables)}"))
            for how in ("seqscan", "hashjoin", "mergejoin"):  # as if tables were long
                conn.execute(text(f"SET LOCAL enable_{how} = off"))
        plan = plan_of(conn, lambda: conn.execute(select(table).where(COPIED[table](1))))
    read_through = (
        r"\bSCAN (?!workflow_versions)\w+|Seq Scan on (?!workflow_versions)\w+|Index (Only )?Scan(?!.*\n.*Cond)"
    )
    assert not re.search(read_through, plan), plan
    if table is timers_table:  # those of all orders are many too
        assert plan.count("ix_timers_subject_id_kind") == 2, plan


def test_what_concerns_everybody_comes_along_whole(engine: Engine, copy: Engine) -> None:
    with writing(engine) as conn:
        ana, _ = a_story(conn, "ana")
        conn.execute(workflow_limits.insert().values(workflow="care", first=3, approved=1))
        conn.execute(gaps.insert().values(since=START, until=START, noted_at=START))
        conn.execute(halts.insert().values(scope="all", reason="a fire", since=START))
        conn.execute(workflow_switches.insert().values(workflow="care", status="paused", reason="a slip", since=START))
    copied(engine, copy, ana)
    for table in (workflow_limits, gaps, halts, workflow_switches, workflow_versions):
        assert rows(copy, table) == rows(engine, table) != [], table.name


def test_what_hangs_on_letters_comes_along(engine: Engine, copy: Engine) -> None:
    with writing(engine) as conn:
        for name in ("ana", "ben"):
            customer_id, run = a_story(conn, name)
            key = conn.scalar(select(messages.c.id).where(messages.c.customer_id == customer_id))
            past = {"token": f"past {name}", "sending_at": START, "given_up_at": START}
            conn.execute(past_tokens.insert().values(message_id=key, **past))
            conn.execute(message_aliases.insert().values(rfc_message_id=f"<{name}>", message_id=key))
            conn.execute(visits.insert().values(message_id=key, enrollment_id=run, choice="good", at=START))
    copied(engine, copy, customer_id)
    for table in (past_tokens, message_aliases, visits):
        assert [row.message_id for row in rows(copy, table)] == [key], table.name


def test_an_order_that_changed_hands_comes_along_with_the_run_it_was_in(engine: Engine, copy: Engine) -> None:
    with writing(engine) as conn:
        ana, _ = a_story(conn, "ana")
        an_order(conn, a_customer(conn, "ben"), "ana")
    copied(engine, copy, ana)
    assert [row.external_id for row in rows(copy, orders)] == ["ana"]


def test_nobody_works_on_a_copy(engine: Engine, copy: Engine) -> None:
    with writing(engine) as conn:
        ana, run = a_story(conn, "ana")
        own = {"customer_id": ana, "enrollment_id": run}
        a_message(conn, MessageState.CLAIMED, step="b", **own)
        a_message(conn, MessageState.SENDING, step="c", set_={"transport": "sendgrid"}, **own)
        conn.execute(update(messages).values(leased_until=real_now(600)))
    copied(engine, copy, ana)
    kept = {row.state: (row.leased_until, row.transport) for row in rows(copy, messages)}
    assert kept == {"accepted": (OVER, None), "claimed": (OVER, None), "sending": (OVER, "rehearsal")}


def test_a_run_can_be_left_out_with_all_that_hangs_on_it(engine: Engine, copy: Engine) -> None:
    with writing(engine) as conn:
        ana, other = a_story(conn, "ana")
        run = an_enrollment(conn, ana)
        a_message(conn, customer_id=ana, enrollment_id=run)
        answered = a_message(conn, MessageState.ACCEPTED, customer_id=ana, enrollment_id=run, step="b")
        a_reply(conn, ana, message_id=answered, enrollment_id=run)
    copied(engine, copy, ana)
    with writing(copy) as conn:
        take_out(conn, run)
        assert an_enrollment(conn, ana) > run, "the number of what was left out is not given again"
    for table in metadata.sorted_tables:
        if "enrollment_id" in table.c and table is not messages:
            assert run not in {row.enrollment_id for row in rows(copy, table)}, table.name
    left_out = [row for row in rows(copy, messages) if row.enrollment_id == run]
    assert [(row.customer_id, row.state) for row in left_out] == [(0, "cancelled"), (0, "accepted")]
    (gone,) = (row for row in rows(copy, enrollments) if row.id == run)
    assert (gone.customer_id, gone.state, gone.wake_at) == (0, "exited", None)
    assert other in {row.id for row in rows(copy, enrollments) if row.customer_id == ana}
