"""Whether a run came to a step."""

import pytest

from followup.core.enrollment import EnrollmentState, Phase, Position
from followup.core.reach import Reach, reach
from tests.core.make import (
    START,
    a_workflow,
    an_enrollment,
    answer,
    ask,
    branch,
    case,
    otherwise,
    send,
    split,
    stop,
    variant,
    wait,
)

INNER = split("half", variant("a", 1, send("tip")), variant("b", 1, send("offer")))
FLOW = a_workflow(
    wait("w"),
    ask("q"),
    branch(
        "b", case(answer("good"), wait("later"), INNER), case(answer("bad"), stop("talk")), otherwise(send("thanks"))
    ),
    send("last"),
)
GOOD, BAD, OTHERWISE = 'case 1: when answer == "good"', 'case 2: when answer == "bad"', "case 3: otherwise"


def stands(step, state=EnrollmentState.ACTIVE):
    return an_enrollment(FLOW, state=state, position=Position(step, Phase.BEFORE, START))


@pytest.mark.parametrize(
    ("at", "turned", "step", "comes"),
    [
        ("w", {}, "w", (Reach.HERE, None)),
        ("w", {}, "tip", (Reach.NOT_YET, None)),
        ("q", {}, "w", (Reach.DONE, None)),
        ("last", {"b": OTHERWISE}, "w", (Reach.DONE, None)),
        ("last", {"b": OTHERWISE}, "later", (Reach.PASSED_BY, "b")),
        ("last", {"b": OTHERWISE}, "tip", (Reach.PASSED_BY, "b")),
        ("last", {"b": "no case holds"}, "thanks", (Reach.PASSED_BY, "b")),
        ("last", {"b": None}, "thanks", (Reach.PASSED_BY, "b")),
        ("later", {"b": GOOD}, "tip", (Reach.NOT_YET, None)),
        ("later", {"b": GOOD}, "thanks", (Reach.PASSED_BY, "b")),
        ("later", {"b": GOOD}, "last", (Reach.NOT_YET, None)),
        ("tip", {"b": GOOD, "half": "a"}, "offer", (Reach.PASSED_BY, "half")),
        ("tip", {"b": GOOD, "half": "a"}, "later", (Reach.DONE, None)),
        ("last", {"b": GOOD, "half": "b"}, "tip", (Reach.PASSED_BY, "half")),
        ("last", {"b": OTHERWISE}, "thanks", (Reach.ADDED, None)),
        ("last", {}, "q", (Reach.ADDED, None)),
        ("later", {}, "thanks", (Reach.PASSED_BY, "b")),
        ("later", {"b": BAD}, "tip", (Reach.NOT_YET, None)),
        ("last", {"b": 'case 2: when answer == "good"'}, "later", (Reach.DONE, None)),
        ("last", {"b": "case 1: when order.is_gift"}, "later", (Reach.DONE, None)),
        ("last", {"b": "case 1: when order.is_gift"}, "thanks", (Reach.ADDED, None)),
        ("last", {"b": GOOD, "half": "c"}, "tip", (Reach.ADDED, None)),
    ],
)
def test_of_a_run_under_way(at, turned, step, comes):
    assert reach(FLOW, stands(at), turned, step) == comes


def test_of_a_run_that_has_ended():
    over = stands("q", EnrollmentState.EXITED)
    assert reach(FLOW, over, {}, "w") == (Reach.DONE, None)
    assert reach(FLOW, over, {}, "q") == (Reach.ENDED, None), "it left where it stood"
    assert reach(FLOW, over, {}, "last") == (Reach.ENDED, None)
    finished = stands(None, EnrollmentState.COMPLETED)
    assert reach(FLOW, finished, {"b": OTHERWISE}, "w") == (Reach.DONE, None)
    assert reach(FLOW, finished, {"b": OTHERWISE}, "later") == (Reach.PASSED_BY, "b")
    assert reach(FLOW, stands("stop: talk", EnrollmentState.COMPLETED), {"b": BAD}, "last") == (Reach.ENDED, None)


def test_whoever_is_held_out_comes_to_no_step():
    assert reach(FLOW, stands(None, EnrollmentState.HELD_OUT), {}, "w") == (Reach.HELD_OUT, None)
