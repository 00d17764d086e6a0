"""The moves of a customer, as the record has them: each source of them once."""

from datetime import timedelta

from followup.core.message import Accepted, Misconfigured
from followup.services import converse
from followup.services.moves import Move, moves
from followup.store.engine import reading
from tests.services.test_a_run import click
from tests.services.world import ASK, CHECK_IN, MONDAY, Scripted, World, a_purchase, a_reply

DAY = timedelta(days=1)


def told(world: World) -> list[Move]:
    with reading(world.engine) as conn:
        return moves(conn, 1, library=world.library)


def kinds(world: World) -> list[str]:
    return [move.kind for move in told(world)]


def test_a_customer_of_whom_nothing_is_known_has_made_no_move(world: World) -> None:
    assert told(world) == []


def test_a_wait_is_told_of_while_it_lasts(world: World) -> None:
    world.take_in(a_purchase())
    world.drain()
    entered, wait = told(world)
    about = {"at": MONDAY, "workflow": "check-in", "order": "T-1"}
    assert entered == Move(kind="entered", reason="order.delivered", **about)
    assert wait == Move(kind="wait", step="wait-1", until=MONDAY + 2 * DAY, **about)
    world.later(days=2)
    assert kinds(world) == ["entered", "ask"]


def test_how_long_a_run_waits_that_nobody_has_looked_at_since_it_was_moved_is_not_known(world: World) -> None:
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + DAY)
    world.apply(check_in=CHECK_IN.replace("wait: 2 days", "wait: 3 days"))
    assert kinds(world) == ["entered", "moved"]
    world.drain()
    waits = [(move.at, move.until) for move in told(world) if move.kind == "wait"]
    assert waits == [(MONDAY, MONDAY + 3 * DAY)]


def test_what_belongs_to_one_moment_stands_in_the_order_of_the_steps(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    world.later(hours=1)
    click(world, "broken")
    world.drain()
    assert kinds(world) == ["entered", "ask", "answer", "opened", "branch", "stop"]


def test_a_wait_stands_after_what_led_to_it_however_late_the_worker_was(world: World) -> None:
    ways = "split: way\n    variants:\n      a: {do: [{wait: 7 days}]}\n      b: {do: [{wait: 7 days}]}"
    world.apply(check_in=CHECK_IN.partition("steps:\n")[0] + f"steps:\n  - wait: 2 days\n  - {ways}\n")
    world.take_in(a_purchase())
    world.drain()
    world.later(days=2, seconds=3)
    *_, split, wait = told(world)
    assert (split.kind, wait.kind) == ("split", "wait")
    assert wait.until == MONDAY + 9 * DAY


def test_what_a_customer_writes_and_what_we_do_about_it_are_moves(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    world.later(hours=1)
    world.hear(a_reply(world.letters()[0], "Who made it?"))
    world.drain()
    world.later(days=10)
    world.later(hours=5)
    converse.close(world.engine, "ana@example.com", library=world.library, clock=world.clock)
    world.drain()
    told_of = told(world)[2:]
    assert [move.kind for move in told_of] == [
        "reply", "opened", "branch", "held", "closed", "released", "ask"
    ]  # fmt: skip
    assert (told_of[0].reason, told_of[3].letter) == ("Who made it?", "cooking")


def test_a_reminder_is_told_from_its_question(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    world.later(days=3)
    assert [(move.kind, move.reminder) for move in told(world)[1:]] == [("ask", False), ("remind", True)]


def test_a_letter_that_stands_still_is_told_of_with_the_reason(engine, tmp_path) -> None:
    world = World(engine, tmp_path, transport=Scripted(Misconfigured("bad key")))
    world.take_in(a_purchase())
    world.later(days=2)
    last = told(world)[-1]
    assert (last.at, last.kind, last.letter, last.reason) == (MONDAY + 2 * DAY, "blocked", "arrived", "bad key")


def test_a_letter_stands_still_from_when_it_was_blocked_not_from_when_it_was_due(engine, tmp_path) -> None:
    world = World(engine, tmp_path, transport=Scripted(Misconfigured("bad key")))
    world.take_in(a_purchase())
    world.clock.move_to(MONDAY + 2 * DAY + timedelta(hours=3))
    world.drain()
    assert [(move.at, move.kind) for move in told(world)][1:] == [(MONDAY + 2 * DAY + timedelta(hours=3), "blocked")]
    assert [(row.verdict, row.gate, row.reason) for row in world.rows("decisions")] == [
        ("blocked", "sender", "bad key")
    ]
    world.post.transport.answer = Accepted("X1")
    world.apply(check_in=CHECK_IN.replace("Did it arrive?", "Did it arrive well?"))
    world.later(hours=1)
    assert [move.kind for move in told(world)] == ["entered", "blocked", "ask"], "and the record keeps it"


def test_a_letter_that_cannot_be_written_stands_still_from_then_on(engine, tmp_path) -> None:
    world = World(engine, tmp_path)
    nameless = ASK.replace('customer.first_name | default("there")', "customer.first_name")
    world.apply({"templates/arrived.md": nameless})
    world.take_in(a_purchase(first_name=None))
    world.clock.move_to(MONDAY + 2 * DAY + timedelta(hours=3))
    world.drain()
    (blocked,) = world.rows("decisions")
    assert (blocked.verdict, blocked.gate, blocked.at) == ("blocked", "letter", MONDAY + 2 * DAY + timedelta(hours=3))
    assert "customer.first_name" in blocked.reason


def test_who_was_not_let_in_has_that_on_the_record(world: World) -> None:
    world.apply(check_in=CHECK_IN.replace("steps:", "entry: {only_if: [order.total >= 200]}\nsteps:"))
    world.take_in(a_purchase())
    (move,) = told(world)
    assert (move.kind, move.order, move.reason) == ("not_entered", "T-1", "entry: order.total >= 200 is false")
