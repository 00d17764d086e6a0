"""What a workflow says, in short words."""

from dataclasses import replace
from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest

from followup.authoring.in_words import (
    KINDS,
    cap_in_words,
    case_in_words,
    exit_in_words,
    holdout_in_words,
    kind_of,
    named_in_words,
    plain,
    re_entry_in_words,
    step_in_words,
    terms_in_words,
    trigger_in_words,
    variant_in_words,
    ways_through,
    window_in_words,
)
from followup.authoring.steps_file import OPTIONS
from followup.core.schedule import Duration, SendWindow
from followup.core.workflow import (
    Cap,
    Condition,
    Exit,
    Goal,
    Per,
    ReEntry,
    Step,
    Text,
    Trigger,
    Variant,
    WorkflowStatus,
)
from tests.core.make import (
    a_workflow,
    ask,
    branch,
    case,
    days,
    hand_off,
    hours,
    otherwise,
    remember,
    send,
    split,
    start,
    stop,
    variant,
    wait,
    wait_for,
)


def when(source: str) -> Condition:
    return Condition(source, lambda _: True)


def text(source: str) -> Text:
    return Text(source, lambda _: "")


NOTE = text("They wrote:\n  {{ reply.text }}")
STEPS: list[tuple[Step, str]] = [
    (wait("w", Duration(business_days=2)), "wait 2 business days"),
    (wait("w", Duration(business_days=1)), "wait 1 business day"),
    (wait("w", hours(0.5)), "wait 30 minutes"),
    (wait("w", until=time(8, 30)), "wait until 08:30"),
    (wait("w", days(14), until=time(10)), "wait 14 days, then until 10:00"),
    (wait("w", until_field="customer.renewal_on"), "wait until customer.renewal_on"),
    (ask("arrived-well"), "ask arrived-well, up to 5 days"),
    (
        ask("a", remind_after=days(2), remind_with="a-again", reply_in_thread=True, sender="tom", when=when("replied")),
        "ask a, up to 5 days, reminded after 2 days with a-again, in the thread of the letter before, from tom,"
        " only when replied",
    ),
    (send("thanks"), "send thanks"),
    (send("x", sender="tom", ignore_send_window="they wait"), "send x, from tom, at any hour: they wait"),
    (wait_for("w", "order.placed"), "wait for order.placed, up to 4 days"),
    (
        wait_for("w", "order.placed", where=when("event.order.total > 20"), when=when("replied")),
        "wait for order.placed where event.order.total > 20, up to 4 days, only when replied",
    ),
    (branch("b", otherwise(stop("x"))), "branch"),
    (branch("b", otherwise(stop("x")), when=when("not no_reply")), "branch, only when not no_reply"),
    (split("subject", variant("a", 1), variant("b", 1)), "split subject"),
    (hand_off("h", "maria"), "handoff to maria"),
    (hand_off("h", "maria", urgent=True, note=NOTE), "handoff to maria (urgent): They wrote: {{reply.text}}"),
    (
        remember("r", use_case=text("{{ reply.text }}"), vip=True, size=4),
        "remember customer.use_case = {{reply.text}}, customer.vip = yes, customer.size = 4",
    ),
    (start("s", "half-a-year"), "start half-a-year"),
    (stop("told us"), "stop: told us"),
]


@pytest.mark.parametrize(("step", "words"), STEPS, ids=[words[:40] for _, words in STEPS])
def test_a_step_in_words(step: Step, words: str) -> None:
    assert step_in_words(step) == words


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (wait("wait-12", days(2)), "wait 2 days"),
        (wait("settle", days(2)), "settle: wait 2 days"),
        (send("thanks"), "send thanks"),
        (replace(send("thanks"), id="once-more"), "once-more: send thanks"),
        (replace(split("subject", variant("a", 1)), id="subject-2"), "split subject"),
    ],
    ids=str,
)
def test_a_step_that_has_an_id_of_its_own_says_it(step: Step, words: str) -> None:
    assert named_in_words(step) == words


def test_every_kind_of_step_has_words_and_the_verb_that_files_use() -> None:
    assert {kind_of(step) for step, _ in STEPS} == set(OPTIONS) == set(KINDS.values())


def test_the_ways_through_a_branch_include_the_one_that_no_case_takes() -> None:
    asked, rest = case(when("replied"), send("a")), otherwise(stop("x"))
    assert [(way.words, way.written) for way in ways_through(branch("b", asked, rest))] == [
        ("when replied", True),
        ("otherwise", True),
    ]
    assert [(way.words, way.written) for way in ways_through(branch("b", asked))] == [
        ("when replied", True),
        ("none of these", False),
    ]
    assert case_in_words(case(when('answer ==\n  "bad"'))) == 'when answer == "bad"'
    assert ways_through(send("a")) == ()


@pytest.mark.parametrize(
    ("weight", "whole", "words"),
    [(50, 100, "a: 50%"), (1, 2, "a: 50%, weight 1"), (1, 3, "a: 33.3%, weight 1"), (2, 2, "a: 100%, weight 2")],
)
def test_a_variant_has_its_share(weight: int, whole: int, words: str) -> None:
    assert variant_in_words(Variant("a", weight, ()), whole) == words


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (Trigger("order.delivered"), "order.delivered, per order"),
        (Trigger("order.placed", Per.CUSTOMER), "order.placed, per customer, a newer one begins anew"),
        (
            Trigger("customer.quiet", Per.CUSTOMER, timedelta(days=90)),
            "customer.quiet: nothing heard of them for 90 days",
        ),
        (Trigger("manual"), "by hand, with followup trigger, once per order"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_trigger_in_words(trigger: Trigger, words: str) -> None:
    assert trigger_in_words(trigger) == words


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (SendWindow(time(9), time(17, 30), business_days=True), "business days 09:00-17:30, the customer's time"),
        (SendWindow(weekdays=frozenset(range(5))), "weekdays, the customer's time"),
        (SendWindow(time(22), time(0), weekdays=frozenset({1, 3})), "Tue, Thu 22:00-24:00, the customer's time"),
        (SendWindow(time(22), time(6), zone=ZoneInfo("Europe/Berlin")), "any day 22:00-06:00, Europe/Berlin"),
        (
            SendWindow(time(9), time(12), fallback_zone=ZoneInfo("Asia/Tokyo")),
            "any day 09:00-12:00, the customer's time, else that of Asia/Tokyo",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_window_in_words(window: SendWindow, words: str) -> None:
    assert window_in_words(window) == words


def test_rules_in_words() -> None:
    assert re_entry_in_words(ReEntry()) == "again with every order"
    assert re_entry_in_words(ReEntry(never=True)) == "never again"
    assert re_entry_in_words(ReEntry(after=timedelta(days=120))) == "again 120 days after the last letter"
    assert exit_in_words(Exit("order.placed", when("event.order.total > 5"), "again")) == (
        'order.placed where event.order.total > 5, as "again"'
    )
    assert cap_in_words(Cap(1, timedelta(days=4))) == "1 letter per 4 days, or it is postponed"
    assert cap_in_words(Cap(2, timedelta(hours=1), skip=True)) == "2 letters per 1 hour, or it is skipped"
    assert holdout_in_words(0.1) == "10% get nothing, and are measured"
    assert holdout_in_words(0.125) == "12.5% get nothing, and are measured"


def test_all_terms_in_the_order_of_a_file() -> None:
    workflow = a_workflow(
        learn="Why?",
        only_if=(when("order.total > 5"), when("not order.is_gift")),
        exit_on=(Exit("order.refunded"),),
        send_window=SendWindow(),
        cap=Cap(1, timedelta(days=4)),
        per_day=1_000,
        first=3,
        holdout=0.2,
        goal=Goal("order.placed", timedelta(days=60)),
        status=WorkflowStatus.DRAFT,
    )
    assert list(terms_in_words(workflow)) == [
        ("to learn", "Why?"),
        ("trigger", "order.delivered, per order"),
        ("only if", "order.total > 5"),
        ("only if", "not order.is_gift"),
        ("re-entry", "again with every order"),
        ("exit", "order.refunded"),
        ("window", "any day, the customer's time"),
        ("cap", "1 letter per 4 days, or it is postponed"),
        ("per day", "1,000 letters"),
        ("first", "3 letters are read by a person before others leave"),
        ("late", "a letter may be 3 days late, and postponed 14 days"),
        ("holdout", "20% get nothing, and are measured"),
        ("goal", "order.placed within 60 days of coming in"),
        ("owner", "mara"),
        ("sender", "mara"),
    ]
    assert dict(terms_in_words(a_workflow()))["window"] == "letters leave at any hour"


def test_text_is_made_plain() -> None:
    assert plain("a\r\n\tb\u202ec \x1b[1m 👨\u200d👩") == "a b\ufffdc \ufffd[1m 👨\u200d👩"
