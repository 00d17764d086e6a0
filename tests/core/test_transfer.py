"""From one version of a workflow to the next: which step is which, and where people go."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.decide import decide
from followup.core.enrollment import Action, Phase, Position
from followup.core.message import MessageState
from followup.core.transfer import GONE_ON, STOPPED, InFlight, Landing, following, land, matches
from followup.core.workflow import Step, Workflow
from tests.core.make import (
    START,
    a_workflow,
    an_enrollment,
    answer,
    ask,
    branch,
    by_step,
    case,
    days,
    facts,
    on,
    otherwise,
    send,
    sent,
    split,
    stop,
    variant,
    wait,
)

NOW = on(3)


def counted(step: Step) -> Step:
    """Return *step* as one whose id only counts."""
    return replace(step, numbered=True)


def waits(*lengths: float) -> list[Step]:
    return [counted(wait(f"wait-{number}", days(length))) for number, length in enumerate(lengths, start=1)]


def landed(position: Position, old: Workflow, new: Workflow | None, how: InFlight = InFlight.FINISH) -> Landing | None:
    return land(position, old, new, matches(old, new) if new else {}, how, now=NOW)


def test_a_named_step_is_the_same_one_wherever_it_stands() -> None:
    old = a_workflow(send("hello"), ask("arrived"))
    new = a_workflow(ask("arrived"), branch("way", case(answer("fine"), send("hello"))))

    assert matches(old, new) == {"hello": "hello", "arrived": "arrived"}


def test_a_step_of_another_kind_is_another_step() -> None:
    assert matches(a_workflow(send("hello")), a_workflow(ask("hello"))) == {}
    assert matches(a_workflow(counted(wait("wait-1"))), a_workflow(wait("wait-1"))) == {}  # now somebody calls one so


@pytest.mark.parametrize(
    ("was", "now", "same"),
    [
        ((5,), (3,), {"wait-1": "wait-1"}),  # another length
        ((5,), (1, 5), {"wait-1": "wait-2"}),  # one more before it
        ((5,), (5, 1), {"wait-1": "wait-1"}),
        ((1, 5), (5,), {"wait-2": "wait-1"}),  # one less before it
        ((1, 5), (1,), {"wait-1": "wait-1"}),
        ((1, 5, 9), (1, 9), {"wait-1": "wait-1", "wait-3": "wait-2"}),
        ((1, 5, 9), (1, 6, 9), {"wait-1": "wait-1", "wait-2": "wait-2", "wait-3": "wait-3"}),
        ((5,), (), {}),
    ],
)
def test_steps_that_only_count_are_matched_by_what_they_say_and_in_order(
    was: tuple[float, ...], now: tuple[float, ...], same: dict[str, str]
) -> None:
    assert matches(a_workflow(*waits(*was), send("end")), a_workflow(*waits(*now), send("end"))) == {
        **same,
        "end": "end",
    }


def test_what_stands_between_two_named_steps_stays_there() -> None:
    first, second = waits(1, 9)
    old = a_workflow(first, ask("arrived"), second, ask("cooking"))
    new = a_workflow(ask("arrived"), counted(wait("wait-1", days(1))), ask("cooking"))

    assert matches(old, new)["wait-2"] == "wait-1"
    assert "wait-1" not in matches(old, new)


def test_ways_are_matched_by_their_condition_however_they_are_ordered() -> None:
    bad, fine = waits(1, 9)
    old = a_workflow(ask("arrived"), counted(branch("branch-1", case(answer("bad"), bad), otherwise(fine))))
    one, other = counted(wait("wait-1", days(2))), counted(wait("wait-2", days(8)))
    more = case(answer("so-so"), stop("so so"))
    new = a_workflow(ask("arrived"), counted(branch("branch-1", more, case(answer("bad"), one), otherwise(other))))

    assert matches(old, new) == {
        "arrived": "arrived",
        "branch-1": "branch-1",
        "wait-1": "wait-1",
        "wait-2": "wait-2",
    }


def test_what_a_named_split_holds_is_matched_where_it_has_gone() -> None:
    (inner,) = waits(4)
    old = a_workflow(split("words", variant("long", 1, inner), variant("short", 1)))
    new = a_workflow(branch("way", otherwise(split("words", variant("short", 1), variant("long", 2, inner)))))

    assert matches(old, new) == {"words": "words", "wait-1": "wait-1"}


lengths = st.lists(st.integers(1, 6), max_size=6)


@given(lengths)
def test_a_workflow_is_the_same_as_itself(some: list[float]) -> None:
    one = a_workflow(*waits(*some), ask("arrived"), *[counted(wait(f"wait-{9 + n}", days(n))) for n in range(1, 3)])
    assert matches(one, one) == {step.id: step.id for step in one.all_steps}


@given(lengths, lengths)
def test_no_two_steps_become_one_and_none_overtakes_another(some: list[float], others: list[float]) -> None:
    old, new = a_workflow(*waits(*some), send("end")), a_workflow(*waits(*others), send("end"))
    same = matches(old, new)
    there = [step.id for step in new.all_steps]
    places = [there.index(same[step.id]) for step in old.all_steps if step.id in same]
    assert places == sorted(set(places))


@given(lengths, st.data())
def test_putting_one_step_in_or_taking_one_out_loses_no_other(some: list[float], data: st.DataObject) -> None:
    more = list(some)
    more.insert(data.draw(st.integers(0, len(some))), 30)
    shorter, longer = a_workflow(*waits(*some), send("end")), a_workflow(*waits(*more), send("end"))

    assert len(matches(shorter, longer)) == len(some) + 1
    lost = {step.id for step in longer.all_steps} - set(matches(longer, shorter))
    assert lost == {f"wait-{more.index(30) + 1}"}


def test_whoever_stands_at_a_step_that_is_there_goes_on_at_it() -> None:
    old, new = a_workflow(*waits(5), send("end")), a_workflow(*waits(1, 5), send("end"))
    there = landed(Position("wait-1", Phase.WAITING, on(1)), old, new)

    assert there == Landing(Position("wait-2", Phase.WAITING, on(1)))


def test_whoever_has_only_just_come_in_begins_with_the_new_first_step() -> None:
    old, new = a_workflow(send("hello"), send("end")), a_workflow(ask("arrived"), send("end"))
    there = landed(Position("hello", Phase.BEFORE, on(1)), old, new)

    assert there == Landing(Position("arrived", Phase.BEFORE, on(1)))


def test_whoever_stands_where_no_step_is_any_more_goes_as_is_decided() -> None:
    old, new = a_workflow(ask("arrived"), *waits(5), send("end")), a_workflow(*waits(5), send("end"))
    stands = Position("arrived", Phase.ASKED, on(1))

    assert landed(stands, old, new, InFlight.FINISH) is None
    stopped = landed(stands, old, new, InFlight.STOP)
    assert stopped is not None
    assert (stopped.ended, stopped.outcome) == (Action.EXIT, STOPPED)
    assert landed(stands, old, new, InFlight.SKIP) == Landing(Position("wait-1", Phase.BEFORE, NOW), left="arrived")


def test_past_the_last_step_that_is_gone_comes_the_end() -> None:
    old, new = a_workflow(send("hello"), ask("arrived")), a_workflow(send("hello"))
    there = landed(Position("arrived", Phase.ASKED, on(1)), old, new, InFlight.SKIP)

    assert there is not None
    assert there.ended is Action.COMPLETE
    assert there.position.step is None


def test_what_follows_is_looked_for_outside_of_a_branch_too() -> None:
    inside = branch("way", case(answer("bad"), ask("arrived"), send("advice")))
    old, new = a_workflow(inside, send("end")), a_workflow(branch("way"), send("end"))

    assert following(old, "arrived", matches(old, new)) == "end"


def test_where_the_workflow_is_gone_nobody_can_go_on() -> None:
    old = a_workflow(ask("arrived"), send("end"))
    stands = Position("arrived", Phase.ASKED, on(1))

    assert landed(stands, old, None, InFlight.FINISH) is None
    assert landed(stands, old, None, InFlight.SKIP) is None
    stopped = landed(stands, old, None, InFlight.STOP)
    assert stopped is not None
    assert stopped.ended is Action.EXIT


def test_whoever_is_held_out_goes_along() -> None:
    nowhere = Position(None, Phase.BEFORE, on(1))
    one = a_workflow(send("hello"))

    assert landed(nowhere, one, a_workflow(ask("arrived"))) == Landing(nowhere)
    assert landed(nowhere, one, None) is None


@pytest.mark.parametrize("reason", [STOPPED, GONE_ON])
def test_who_comes_again_to_a_step_they_were_sent_past_goes_on(reason: str) -> None:
    workflow = a_workflow(send("s"), wait("w", days(1)))
    run = replace(an_enrollment(workflow), position=Position("s", Phase.BEFORE, START))
    withdrawn = sent("s", state=MessageState.CANCELLED, accepted_at=None, reason=reason)
    decision = decide(workflow, run, facts(sent=by_step(withdrawn)), now=on(0))
    assert (decision.position.step, decision.ended) == ("w", None)
    gone = replace(withdrawn, reason="the order was cancelled")
    assert decide(workflow, run, facts(sent=by_step(gone)), now=on(0)).ended is Action.EXIT


def test_a_question_they_were_sent_past_was_not_asked() -> None:
    workflow = a_workflow(ask("q"))
    run = replace(an_enrollment(workflow), position=Position("q", Phase.BEFORE, START))
    withdrawn = sent("q", state=MessageState.CANCELLED, accepted_at=None, reason=STOPPED)
    decision = decide(workflow, run, facts(sent=by_step(withdrawn)), now=on(0))
    assert decision.outcome == f"not asked: {STOPPED}"
