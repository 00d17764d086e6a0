"""The tree of steps."""

from datetime import timedelta

from followup.core.workflow import Condition, Exit, Goal
from tests.core.make import a_workflow, branch, case, is_set, otherwise, send, wait, wait_for

TREE = a_workflow(
    wait("first"),
    branch("outer", case(is_set("replied"), send("a"), branch("inner", otherwise(send("b"))), send("c")), otherwise()),
    send("last"),
)


def test_steps_come_in_the_order_of_the_file():
    assert [step.id for step in TREE.all_steps] == ["first", "outer", "a", "inner", "b", "c", "last"]


def test_after_each_step_comes_the_next_at_its_level_or_above():
    assert {step.id: TREE.following(step.id) for step in TREE.all_steps} == {
        "first": "outer",
        "outer": "last",
        "a": "inner",
        "inner": "c",
        "b": "c",
        "c": "last",
        "last": None,
    }


def test_a_step_is_found_by_its_id():
    assert TREE.step("b").id == "b"
    assert TREE.step("gone") is None


def test_the_first_step_is_where_a_run_begins():
    assert TREE.first_step == "first"
    assert a_workflow().first_step is None


def test_two_readings_of_a_condition_are_equal_by_what_they_say():
    assert Condition("replied", lambda _: True) == Condition("replied", lambda _: False)
    assert Condition("replied", lambda _: True) != Condition("no_reply", lambda _: True)


def test_a_workflow_knows_every_event_that_means_something_to_it():
    deep = branch("b", otherwise(wait_for("w", "parcel.seen")))
    workflow = a_workflow(deep, exit_on=(Exit("ticket.opened"),), goal=Goal("order.placed", timedelta(days=9)))
    assert workflow.events == {"order.delivered", "parcel.seen", "ticket.opened", "order.placed"}
    assert a_workflow().events == {"order.delivered"}
