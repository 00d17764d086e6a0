"""What holds for every workflow: the rules never fail, and never call impossible what happens in a run."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from followup.authoring.expressions import compile_condition
from followup.authoring.meaning import Subject, findings
from followup.authoring.meaning.ways import Move, Ways
from followup.authoring.names import in_conditions
from followup.authoring.places import Places
from followup.core.schedule import SendWindow
from followup.core.workflow import (
    Ask,
    Branch,
    Case,
    Condition,
    Exit,
    Goal,
    Handoff,
    Remember,
    Send,
    Split,
    Start,
    Step,
    Stop,
    Trigger,
    Variant,
    Wait,
    WaitFor,
    Workflow,
)
from tests.authoring.meaning.make import LETTERS, asking
from tests.authoring.meaning.said import when
from tests.core.make import START, Story, a_story, a_workflow, days, hours
from tests.core.test_decide_always import histories, let_happen

REAL = [
    'answer == "yes"',
    'answer != "no"',
    'answer in ["no", "perhaps"] or not_asked',
    'answer_label == "Yes" and order.total > 10',
    "replied",
    "not replied and not no_reply",
    "no_reply",
    "not_asked",
    "timed_out",
    "asks.a1.replied",
    'asks.a2.answer == "yes" or asks.a1.not_asked',
    'answers.letter == "yes"',
    "answer | default('yes') == 'YES'",
    "reply.text is none",
    "order.is_gift",
    "order.total > 10 and order.total < 20",
    "(answer or answer_label) == 'no' if replied else timed_out",
    "not (replied or true)",
]
UNREAL = ['reply.sentiment == "negative"', 'answer == "yes" or reply.intent == "problem"', "not a condition (", ""]
KNOWN = in_conditions(["a1", "a2", "a3"])
real = st.sampled_from([compile_condition(source, KNOWN) for source in REAL])
any_condition = real | st.sampled_from(list(map(when, UNREAL)))


def plain(conditions: st.SearchStrategy[Condition], letters: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    whens, durations = st.none() | conditions, st.integers(0, 240).map(hours)
    letter, event = st.sampled_from(letters), st.sampled_from(["order.placed", "order.delivered", "shop.called"])

    def step(kind: type[Step], **options: Any) -> st.SearchStrategy[dict[str, Any]]:
        given_ = {key: one if isinstance(one, st.SearchStrategy) else st.just(one) for key, one in options.items()}
        return st.builds(dict, kind=st.just(kind), when=whens, **given_)

    asks = step(Ask, letter=letter, timeout=durations, remind_after=st.none() | durations)
    return st.one_of(
        asks,
        asks,
        step(Wait, duration=durations),
        step(WaitFor, event=event, timeout=durations, where=whens),
        step(Send, letter=letter, ignore_send_window=st.sampled_from([None, "", "urgent"])),
        step(Handoff, person="mara"),
        step(Remember, values={"note": "x"}),
        step(Start, workflow=st.sampled_from(["check-in", "nowhere"])),
        step(Stop, outcome="done"),
    )


def trees(conditions: st.SearchStrategy[Condition], letters: list[str]) -> st.SearchStrategy[list[Any]]:
    def nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        inner = st.lists(children, max_size=3)
        cases = st.lists(st.tuples(conditions, inner), max_size=3)
        branches = st.builds(
            dict, kind=st.just(Branch), when=st.none() | conditions, cases=cases, otherwise=st.none() | inner
        )
        splits = st.builds(
            dict, kind=st.just(Split), when=st.none() | conditions, variants=st.lists(inner, min_size=1, max_size=3)
        )
        return branches | splits

    return st.lists(st.recursive(plain(conditions, letters), nested, max_leaves=8), max_size=6)


def grown(tree: list[Any], numbers: Iterator[int]) -> tuple[Step, ...]:
    """Make steps of a drawn tree, with ids a1, a2, … in file order."""
    steps = []
    for drawn in tree:
        options = dict(drawn)
        kind, step_id = options.pop("kind"), f"a{next(numbers)}"
        if kind is Branch:
            cases = [Case(condition, grown(do, numbers)) for condition, do in options.pop("cases")]
            last = options.pop("otherwise")
            options["cases"] = (*cases, *([] if last is None else [Case(None, grown(last, numbers))]))
        if kind is Split:
            drawn_variants = enumerate(options.pop("variants"))
            options |= {
                "name": step_id,
                "variants": tuple(Variant(str(n), 1, grown(do, numbers)) for n, do in drawn_variants),
            }
        steps.append(kind(id=step_id, **options))
    return tuple(steps)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    steps = grown(draw(trees(any_condition, [*LETTERS, "gone"])), count(1))
    events = st.sampled_from(["order.placed", "conversation.opened", "answer.given"])
    return a_workflow(
        *steps,
        only_if=tuple(draw(st.lists(any_condition, max_size=2))),
        exit_on=tuple(draw(st.lists(st.builds(Exit, events, st.none() | any_condition), max_size=2))),
        holdout=draw(st.sampled_from([0.0, 0.1])),
        goal=draw(st.none() | st.just(Goal("order.placed", timedelta(days=5)))),
        send_window=draw(st.none() | st.builds(SendWindow, weekdays=st.frozensets(st.integers(0, 6)))),
        trigger=Trigger(draw(st.sampled_from(["manual", "order.delivered"]))),
    )


@given(workflows())
def test_the_rules_fail_for_no_workflow_and_say_everything_once(workflow: Workflow) -> None:
    found = list(findings(Subject(workflow, LETTERS, {workflow.name: workflow}, Places())))
    assert len(found) == len(set(found))
    assert all(finding.message and finding.help for _, finding in found)


def with_otherwise(steps: tuple[Step, ...]) -> bool:
    """Tell whether each branch has an ``otherwise``."""
    branches = (step for step in a_workflow(*steps).all_steps if isinstance(step, Branch))
    return all(branch.cases and branch.cases[-1].when is None for branch in branches)


@given(workflows().filter(lambda workflow: with_otherwise(workflow.steps)))
def test_no_answer_leads_nowhere_where_each_branch_has_an_otherwise(workflow: Workflow) -> None:
    numbers = {number for number, _ in findings(Subject(workflow, LETTERS, {}, Places()))}
    assert "201" not in numbers


RUN_LETTERS = {"letter": asking("yes", "no", bad=("no",))}


@st.composite
def runs(draw: st.DrawFn) -> Story:
    return a_story(*grown(draw(trees(real, ["letter"])), count(1)))


@given(runs(), histories)
def test_what_happens_in_a_run_was_never_called_impossible(story: Story, history: list[Any]) -> None:
    ways = Ways(story.workflow, RUN_LETTERS)
    now, far = START, ("time", 24 * 30)
    for act in [("time", 0), *history, far, far]:
        now += timedelta(hours=act[1]) if act[0] == "time" else timedelta(0)
        let_happen(story, act, now)
        decision = story.decide(now)
        for note in decision.notes:
            if note.verdict == "branch":
                assert (Move.FALL if note.reason == "no case holds" else Move.CASE) in moves(ways, note.step)
            elif note.verdict == "skipped" and note.reason.startswith("when "):
                assert Move.SKIP in moves(ways, note.step)
        for effect in decision.effects:
            step = getattr(effect, "step", None)
            assert step is None or {Move.RUN, Move.CASE} & moves(ways, step)
        assert decision.position.step is None or ways.all_at(decision.position.step)
        if decision.ended:
            break


def moves(ways: Ways, step: str | None) -> set[Move]:
    return {edge.move for state in ways.all_at(step) for edge in ways.edges[state]}


@given(runs())
def test_each_state_but_the_end_has_a_way_on(story: Story) -> None:
    ways = Ways(story.workflow, RUN_LETTERS)
    for state, edges in ways.edges.items():
        assert bool(edges) is (state.step is not None)
        assert all(edge.to in ways.edges for edge in edges)


def test_a_long_chain_of_splits_and_branches_is_walked_in_no_time() -> None:
    steps: list[Step] = [Ask(id="first", letter="arrived", timeout=days(3))]
    for number in range(60):
        two = tuple(Variant(name, 1, (Wait(id=f"{name}{number}"),)) for name in "ab")
        steps.append(Split(id=f"s{number}", name=f"s{number}", variants=two))
    assert not list(findings(Subject(a_workflow(*steps), LETTERS, {}, Places())))
