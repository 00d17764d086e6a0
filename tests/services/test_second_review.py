"""What a second strict review of the engine found, one test each."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, Text, cast, insert, literal, null, select, text, true

from followup.core.customer import normalize_address
from followup.core.order import OrderStatus
from followup.core.timer import TimerKind
from followup.errors import UsageError
from followup.services import converse, switch
from followup.services.advance import advance
from followup.services.happen import Happened, happen
from followup.store import customers, timers
from followup.store.engine import make_engine, writing
from followup.store.schema import enrollments as enrollments_table
from tests.services.growth import numbers_to
from tests.services.world import MONDAY, PEOPLE, World, a_purchase, a_reply

DAY = timedelta(days=1)
HEAD = "title: x\nstatus: live\nowner: nell\nsender: nell\n"


def flow(name: str, rest: str) -> str:
    return f"workflow: {name}\n{HEAD}{rest}"


def tell(world: World, kind: str, order: str | None = "T-1", **data: object) -> Happened:
    return happen(
        world.engine,
        kind,
        email="ana@example.com",
        order_number=order,
        data=data,
        key=None,
        at=None,
        library=world.library,
        clock=world.clock,
    )


def answered(world: World, words: str = "Yes, all good") -> None:
    """Let the customer answer the first letter a day later, and us close the conversation."""
    world.later(days=1)
    world.hear(a_reply(world.letters()[0], words))
    world.drain()
    converse.close(world.engine, normalize_address("ana@example.com"), library=world.library, clock=world.clock)
    world.drain()


def test_workflows_about_no_order_that_start_each_other_come_to_an_end(engine: Engine, tmp_path) -> None:
    a = flow("a", "trigger: {event: support.solved, per: customer}\nsteps:\n  - start: b\n")
    b = flow("b", "trigger: {event: manual, per: customer}\nsteps:\n  - start: a\n")
    world = World(engine, tmp_path, a=a, b=b)
    world.take_in(a_purchase())
    tell(world, "support.solved", order=None)
    for _ in range(6):
        advance(engine, [row.id for row in world.rows("enrollments")], library=world.library, clock=world.clock)
    assert Counter(row.workflow for row in world.rows("enrollments")) == {"a": 2, "b": 1}


def test_a_second_run_of_the_same_workflow_asks_again(engine: Engine, tmp_path) -> None:
    steps = "steps:\n  - ask: arrived\n    timeout: 9 days\n"
    world = World(engine, tmp_path, t=flow("t", "trigger: {event: support.solved}\n" + steps))
    world.take_in(a_purchase())
    tell(world, "support.solved")
    world.drain()
    answered(world, "Something is broken")
    world.later(days=40)
    tell(world, "support.solved")
    world.drain()
    assert world.states() == ["accepted", "accepted"]


def test_what_another_workflow_was_told_about_the_order_is_not_asked_again(engine: Engine, tmp_path) -> None:
    steps = "trigger: {event: order.delivered}\nsteps:\n  - ask: arrived\n    timeout: 9 days\n"
    later = steps.replace("steps:\n", "steps:\n  - wait: 3 days\n") + "  - stop: told\n    when: answer == 'fine'\n"
    world = World(engine, tmp_path, a=flow("a", steps), b=flow("b", later))
    world.take_in(a_purchase())
    world.drain()
    answered(world)
    world.later(days=3)
    assert world.states() == ["accepted", "skipped"]
    assert [row.outcome for row in world.rows("enrollments")] == ["finished", "told"]


def test_conditions_of_entry_see_what_the_customer_said(engine: Engine, tmp_path) -> None:
    a = flow("a", "trigger: {event: order.delivered}\nsteps:\n  - ask: arrived\n    timeout: 5 days\n  - start: b\n")
    entry = "entry: {only_if: ['answers.arrived == \"fine\"', last_reply is not none]}\n"
    exits = "exit_on: [{event: reply.received}]\n"
    b = flow("b", f"trigger: {{event: manual}}\n{entry}{exits}steps:\n  - send: advice\n")
    world = World(engine, tmp_path, a=a, b=b)
    world.take_in(a_purchase())
    world.drain()
    answered(world)
    runs = [(row.workflow, row.state) for row in world.rows("enrollments")]
    assert runs == [("a", "completed"), ("b", "completed")], "and the reply that led to b does not end it"


def test_more_letters_can_be_released_than_a_statement_takes_numbers(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path)
    world.take_in(a_purchase())
    world.drain()
    switch.pause(engine, "check-in", "a moment", library=world.library, clock=world.clock)
    number = 70_000 if engine.dialect.name == "postgresql" else 200
    numbers = numbers_to(number)
    key = literal("k", Text) + cast(numbers.c.n, Text)
    others = {"entry_key": key, "wake_at": null()}
    names = [column.name for column in enrollments_table.c if column.name != "id"]
    with writing(engine) as conn:
        many = select(*(others.get(name, enrollments_table.c[name]) for name in names)).join_from(
            enrollments_table, numbers, true()
        )
        conn.execute(insert(enrollments_table).from_select(names, many))
        conn.execute(
            text(
                "INSERT INTO messages (enrollment_id, customer_id, workflow, step, round, letter, sender, priority,"
                " state, reason) SELECT id, customer_id, workflow, 'arrived', 0, 'arrived', 'nell', 50, 'held',"
                " 'the workflow is paused' FROM enrollments WHERE entry_key LIKE 'k%'"
            )
        )
    resumed = switch.resume(engine, "check-in", library=world.library, clock=world.clock)
    assert resumed is not None
    assert resumed.released == number


@pytest.mark.parametrize("email", ["jörg@example.com", "ana@example.com"])
def test_whatever_the_customers_address_the_person_is_told(engine: Engine, tmp_path, email: str) -> None:
    world = World(engine, tmp_path, a=flow("a", "trigger: {event: order.delivered}\nsteps:\n  - handoff: tomas\n"))
    world.take_in(a_purchase(email=email))
    world.drain()
    [mail] = world.letters()
    assert email in mail.get_body(("plain",)).get_content()
    assert ("tomas@forge.example" if "ö" in email else email) in mail["Reply-To"]
    assert world.rows("notices")[0].told_at is not None


def test_a_run_that_names_somebody_who_is_gone_is_handed_to_the_owner(engine: Engine, tmp_path) -> None:
    rest = "trigger: {event: order.delivered}\nsteps:\n  - wait: 1 day\n  - handoff: tomas\n"
    world = World(engine, tmp_path, a=flow("a", rest))
    world.take_in(a_purchase())
    world.drain()
    left = "\n".join(line for line in PEOPLE.splitlines() if not line.startswith("tomas")) + "\n"
    world.apply({"workflows/people.yaml": left}, a=flow("a", rest.replace("tomas", "nell")))
    world.later(days=1)
    assert [row.owner for row in world.rows("conversations")] == ["nell"]
    assert world.rows("notices")[0].told_at is not None


def test_a_customer_somebody_holds_is_left_to_the_end_of_the_lease(postgres_url: str, tmp_path) -> None:
    engine, other = make_engine(postgres_url), make_engine(postgres_url)
    world = World(engine, tmp_path, a=flow("a", "trigger: {event: order.delivered}\nsteps:\n  - handoff: tomas\n"))
    world.take_in(a_purchase())
    with writing(other) as conn:
        customers.lock(conn, [row.id for row in world.rows("customers")])
        working = threading.Thread(target=world.drain, daemon=True)
        working.start()
        working.join(timeout=20)
        assert not working.is_alive(), "it looks again and again"
    assert world.rows("conversations") == []
    engine.dispose()
    other.dispose()


def test_what_people_inside_wait_for_is_watched_though_the_newest_files_do_not_ask(engine: Engine, tmp_path) -> None:
    rest = (
        "trigger: {event: order.placed}\nsteps:\n  - wait_for: order.promise_missed\n    timeout: 30 days\n"
        "  - send: advice\n    when: not timed_out\n"
    )
    world = World(engine, tmp_path, a=flow("a", rest))
    bought = a_purchase(delivered_at=None, placed_at=MONDAY, status=OrderStatus.PLACED)
    world.take_in(replace(bought, order=replace(bought.order, promised_at=MONDAY + 3 * DAY)))
    world.drain()
    other = rest.replace("order.promise_missed", "order.delivered").replace("wait_for:", "id: other\n    wait_for:")
    world.apply(a=flow("a", other), in_flight={"a": "finish"})
    world.later(days=4)
    assert world.states() == ["accepted"]


def test_the_same_orders_again_set_no_timer_of_what_came_true_long_ago(engine: Engine, tmp_path) -> None:
    quiet = flow("q", "trigger: {event: customer.quiet, after: 60 days}\nsteps:\n  - send: advice\n")
    world = World(engine, tmp_path, q=quiet)
    orders = [a_purchase(f"A-{n}", email=f"c{n}@example.com", delivered_at=MONDAY - 400 * DAY) for n in range(3)]
    for _ in range(2):
        world.take_in(*orders)
        assert world.rows("timers") == []


def test_a_timer_of_an_order_that_is_gone_is_over(world: World) -> None:
    with writing(world.engine) as conn:
        timers.put(conn, TimerKind.PROMISE, {4711: MONDAY})
    world.drain()
    assert world.rows("timers") == []


def test_who_is_held_out_comes_in_again_as_seldom_as_others(engine: Engine, tmp_path) -> None:
    rules = "trigger: {event: order.delivered, per: customer}\nentry: {re_entry: never}\nholdout: 50%\n"
    goal = "goal: {event: order.placed, within: 30 days}\n"
    world = World(engine, tmp_path, a=flow("a", rules + goal + "steps:\n  - send: advice\n"))
    for again in "AB":
        for n in range(12):
            world.take_in(a_purchase(f"{again}-{n}", email=f"c{n}@example.com", delivered_at=world.clock.now()))
        world.drain()
        world.later(days=20)
    states = Counter(row.state for row in world.rows("enrollments"))
    assert states["held_out"] > 0
    assert sum(states.values()) == 12


@pytest.mark.parametrize("kind", ["manual", "customer.erased", "Support.Solved", "a b", "x" * 81])
def test_no_event_has_a_name_that_no_file_may_use_or_that_is_ours(world: World, kind: str) -> None:
    world.take_in(a_purchase())
    with pytest.raises(UsageError):
        tell(world, kind)


@pytest.mark.parametrize("value", [float("nan"), "\x00", "\ud800", object()])
def test_what_no_database_keeps_is_refused(world: World, value: object) -> None:
    world.take_in(a_purchase())
    with pytest.raises(UsageError):
        tell(world, "support.solved", value=value)
