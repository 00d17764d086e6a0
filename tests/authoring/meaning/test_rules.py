"""What no file shows yet, or shows badly: replies and what they mean, rules among each other, bounds."""

import pytest

from followup.authoring.meaning import Meant
from followup.authoring.meaning.ways import MOST_EDGES, Ways
from followup.core.schedule import SendWindow
from followup.core.workflow import Case, Exit, Send, Trigger
from tests.authoring.meaning.make import LETTERS, asking, found, numbers
from tests.authoring.meaning.said import when
from tests.core.make import (
    a_workflow,
    ask,
    branch,
    case,
    days,
    hand_off,
    otherwise,
    send,
    split,
    start,
    stop,
    variant,
    wait,
    wait_for,
)

NEGATIVE, PROBLEM = 'reply.sentiment == "negative"', 'reply.intent == "problem"'


# -- replies in words --


@pytest.mark.parametrize("said", [NEGATIVE, PROBLEM, f'{PROBLEM} or reply.sentiment in ["negative", "unsure"]'])
def test_an_answer_taken_together_with_negative_replies_must_reach_a_person(said: str) -> None:
    together = case(when(f'answer == "tight" or {said}'), stop("refund"))
    assert found(ask("fit"), branch("b", together, otherwise(stop("fine")))) == [
        (
            "208",
            'Nobody would hear of the answer "tight": it opens no conversation, and no handoff or letter follows.',
        )
    ]
    assert not numbers(ask("fit"), hand_off("h", when=when(f'answer == "tight" or {said}')))
    assert numbers(ask("fit"), stop("s", when=when(f'answer == "tight" or {said}'))) == ["208"]


@pytest.mark.parametrize(
    "condition",
    [
        f'answer == "problem" or {NEGATIVE}',  # opens a conversation by itself
        f'answer == "not-opened" and {NEGATIVE}',
        f"replied or {NEGATIVE}",
        f'answer != "all-good" or {NEGATIVE}',
        'answer == "not-opened" or reply.sentiment != "positive"',
        'answer == "not-opened" or order.is_gift',
        f"answer is not none or {NEGATIVE}",
        NEGATIVE,
    ],
)
def test_other_conditions_about_replies_say_nothing_of_an_answer(condition: str) -> None:
    assert not numbers(ask("arrived"), branch("b", case(when(condition), stop("one")), otherwise(stop("two"))))


def test_an_answer_that_a_case_before_takes_is_not_taken_together_with_negative_replies() -> None:
    tight, together = when('answer == "tight"'), when(f'answer == "tight" or {NEGATIVE}')
    cases = [case(tight, wait("w")), case(together, stop("refund")), otherwise(stop("fine"))]
    assert not numbers(ask("fit"), branch("b", *cases))


def test_it_is_enough_that_a_person_can_come_to_hear_of_trouble() -> None:
    letters = {**LETTERS, "whole": asking("fine", "broken")}
    for steps in ([hand_off("h", when=when("order.is_gift"))], [hand_off("h", when=when("timed_out"))]):
        assert not numbers(wait_for("w", "order.placed"), ask("whole"), *steps, letters=letters)
    assert numbers(ask("whole"), hand_off("h", when=when('answer == "fine"')), letters=letters) == ["208"]


@pytest.mark.parametrize("said", [NEGATIVE, PROBLEM])
def test_an_offer_right_after_a_negative_reply_is_refused(said: str) -> None:
    assert numbers(ask("open"), branch("b", case(when(said), send("offer")), otherwise(stop("told us")))) == ["211"]
    assert not numbers(ask("open"), branch("b", case(when(said), stop("talk")), otherwise(send("offer"))))
    waiting = [wait("w", days(20)), send("offer")]
    assert not numbers(ask("open"), branch("b", case(when(said), *waiting), otherwise(stop("told us"))))
    assert not numbers(ask("open"), send("offer", when=when(f"replied and not ({said})")))


@pytest.mark.parametrize(
    ("said", "who"),
    [
        (NEGATIVE, 'wrote what is "negative"'),
        (f"{NEGATIVE} or {PROBLEM}", 'wrote what is "negative" or "problem"'),
        (f'answer == "problem" or {NEGATIVE}', 'answered "problem" or wrote what is "negative"'),
    ],
)
def test_whoever_wrote_badly_is_asked_for_a_review_as_well(said: str, who: str) -> None:
    leaving = branch("b", case(when(said), hand_off("h"), stop("talk")))
    assert found(ask("arrived"), leaving, wait("w"), send("review")) == [
        ("215", f"This request for a public review leaves out those who {who}.")
    ]
    staying = branch("b", case(when(said), hand_off("h"), wait("v", days(9))))
    assert not numbers(ask("arrived"), staying, wait("w"), send("review"))


def test_asking_only_the_pleased_in_any_words_is_refused() -> None:
    for said in ('reply.sentiment == "positive"', 'reply.intent == "praise"', 'reply.sentiment != "negative"'):
        assert numbers(ask("open"), wait("w"), send("review", when=when(said))) == ["215"]
    for said in ("replied", 'reply.text != "no"', "no_reply", "not replied", "reply.language is none"):
        assert not numbers(ask("open"), wait("w"), send("review", when=when(said)))


# -- reviews --


def test_a_review_that_only_the_unhappy_are_asked_for_is_for_their_shop_to_think_about() -> None:
    letters = {**LETTERS, "score": asking(*"12345", bad=("1", "2"))}
    others = case(when('answer != "2"'), stop("others"))
    assert not numbers(ask("score"), branch("b", others), wait("w"), send("review"), letters=letters)


@pytest.mark.parametrize("event", ["conversation.opened", "conversation.handed_off"])
def test_no_exit_leaves_the_unhappy_out(event: str) -> None:
    steps = [ask("arrived"), wait("w"), send("review")]
    assert numbers(*steps, exit_on=(Exit(event),)) == ["215"]
    assert not numbers(*steps, exit_on=(Exit(event, when('answer == "all-good"')),))
    assert not numbers(ask("fit"), wait("w"), send("review"), exit_on=(Exit(event),))
    assert not numbers(send("review"), wait("w"), ask("arrived"), exit_on=(Exit(event),))
    assert not numbers(*steps[:2], exit_on=(Exit(event),))


def test_an_exit_for_all_answers_or_for_other_reasons_is_fine() -> None:
    steps = [ask("arrived"), wait("w"), send("review")]
    for way_out in (
        Exit("answer.given"),
        Exit("reply.received"),
        Exit("answer.given", when("order.total > 9")),
        Exit("answer.given", when('event.answer == "all-good"')),
        Exit("order.placed", when('answer == "problem"')),
    ):
        assert not numbers(*steps, exit_on=(way_out,))
    for where in (
        'event.label == "Problem"',
        'answer in ["problem"] and order.total > 9',
        'event.answer != "all-good"',
    ):
        assert numbers(*steps, exit_on=(Exit("answer.given", when(where)),)) == ["215"]


def test_the_unhappy_may_be_asked_where_others_are_not() -> None:
    for said in ('answer == "problem" or order.total > 9', 'answer == "problem"', "no_reply"):
        assert not numbers(ask("arrived"), wait("w"), send("review", when=when(said)))


def test_a_review_asked_for_in_several_places_is_put_to_all_as_long_as_each_way_has_one() -> None:
    unhappy = case(when('answer == "problem"'), hand_off("h"), wait("v", days(9)), send("later", letter="review"))
    assert not numbers(ask("arrived"), branch("b", unhappy, otherwise(wait("w"), send("review"))))


def test_a_review_in_a_workflow_that_is_only_started_counts_where_it_is_started() -> None:
    by_hand = a_workflow(send("review"), name="asks", trigger=Trigger("manual"))
    by_itself = a_workflow(send("review"), name="asks", trigger=Trigger("order.delivered"))
    through = a_workflow(start("s", "asks"), name="through", trigger=Trigger("manual"))
    happy = [
        ask("arrived"),
        branch("b", case(when('answer == "all-good"'), start("go", "through")), otherwise(stop("x"))),
    ]
    assert numbers(*happy, workflows={"asks": by_hand, "through": through}) == ["215"]
    happy[1] = branch("b", case(when('answer == "all-good"'), start("go", "asks")), otherwise(stop("x")))
    assert numbers(*happy, workflows={"asks": by_hand}) == ["215"]
    assert not numbers(*happy, workflows={"asks": by_itself})
    assert not numbers(*happy)


def test_workflows_that_start_each_other_are_no_endless_search() -> None:
    ping = a_workflow(start("s", "check-in"), name="ping", trigger=Trigger("manual"))
    assert not numbers(ask("arrived"), start("s", "ping"), workflows={"ping": ping})


def test_where_english_answers_are_neither_good_nor_bad_one_may_choose_among_them() -> None:
    letters = {
        **LETTERS,
        "two": asking("good", "great"),
        "fit": asking("gift", "for-me"),
        "passt": asking("gut", "eng", is_english=False),
    }
    chosen = [wait("w"), send("review")]
    assert not numbers(ask("fit"), stop("s", when=when('answer == "gift"')), *chosen, letters=letters)
    assert not numbers(ask("two"), stop("s", when=when('answer == "good"')), *chosen, letters=letters)
    assert numbers(ask("passt"), stop("s", when=when('answer == "eng"')), *chosen, letters=letters) == ["215"]
    assert not numbers(ask("fit"), stop("s", when=when('answer == "well"')), *chosen)
    assert numbers(ask("fit"), stop("s", when=when('answer == "tight"')), *chosen) == ["215"]


# -- answers --


def test_a_branch_with_otherwise_drops_no_answer_and_one_that_goes_on_neither() -> None:
    good = case(when('answer == "all-good"'), stop("fine"))
    assert numbers(ask("arrived"), branch("b", good)) == ["201"]
    assert not numbers(ask("arrived"), branch("b", good, otherwise(stop("other"))))
    assert not numbers(ask("arrived"), branch("b", good), send("thanks"))
    assert numbers(ask("arrived"), branch("b", good), send("thanks", when=when("no_reply"))) == ["201"]
    assert not numbers(ask("arrived"), branch("b", case(when("no_reply"), stop("silent"))))
    assert not numbers(ask("arrived"), branch("b", good, case(when("replied"), stop("other"))))
    assert numbers(ask("arrived"), branch("b", good, case(when("order.is_gift"), stop("other")))) == ["201"]


def test_an_answer_that_something_was_done_about_before_leads_somewhere() -> None:
    good = branch("b", case(when('answer == "all-good"'), stop("fine")))
    others = when('answer in ["not-opened", "problem"]')
    assert not numbers(ask("arrived"), send("thanks", when=others), good)
    assert not numbers(ask("arrived"), branch("a", case(others, send("thanks"))), good)
    assert not numbers(ask("arrived"), send("thanks", when=when("replied")), good)
    for before in (send("thanks"), wait("w"), send("thanks", when=when("order.is_gift"))):
        assert numbers(ask("arrived"), before, good) == ["201"]
    for silent, found_here in (("no_reply", []), ("asks.arrived.no_reply", []), ("order.is_gift", ["201"])):
        rest = branch("a", case(when(silent), stop("silent")), otherwise(send("thanks")))
        assert numbers(ask("arrived"), rest, good) == found_here


def test_a_branch_drops_only_answers_to_the_question_it_speaks_of() -> None:
    reads = send("thanks", when=when('asks.arrived.answer == "problem"'))
    tight = branch("b", case(when('answer == "tight"'), stop("refund")))
    assert found(ask("arrived"), wait("w"), ask("fit"), reads, tight) == [
        ("201", 'The answer "well" of "fit" leads nowhere: no case is for it, and nothing follows.')
    ]
    early = branch("b", case(when('asks.arrived.answer == "problem"'), stop("talk")))
    assert found(ask("arrived"), wait("w"), ask("fit"), early) == [
        (
            "201",
            'The answers "all-good", "not-opened" of "arrived" lead nowhere: no case is for them, and nothing follows.',
        )
    ]


def test_a_label_depends_on_the_language_of_the_customer() -> None:
    labels = {"good": frozenset({"Good", "Gut"}), "bad": frozenset({"Bad"})}
    letters = {**LETTERS, "both": Meant("templates/both.md", asking("good", "bad").question, labels)}
    for label in ("Good", "gut"):
        assert not numbers(ask("both"), send("thanks", when=when(f'answer_label == "{label}"')), letters=letters)
    cases = [case(when(f'answer_label == "{label}"'), stop(label)) for label in ("Good", "Gut", "Bad")]
    assert not numbers(ask("both"), branch("b", *cases), letters=letters)
    assert numbers(ask("both"), branch("b", *cases[:2]), letters=letters) == ["201"]


def test_a_slip_in_an_answer_is_reported_once_and_nothing_follows_from_it() -> None:
    slip = case(when('answer == "problm"'), stop("talk"))
    assert found(
        ask("arrived"), branch("b", slip, case(when('answer in ["all-good", "not-opened"]'), stop("fine")))
    ) == [("202", 'templates/asked.md has no answer "problm". Did you mean "problem"?')]
    assert numbers(ask("arrived"), branch("b", slip, otherwise(stop("x"))), send("thanks")) == ["202", "206"]
    assert numbers(ask("arrived"), stop("s", when=when('answer != "problm"')), send("thanks")) == ["202"]


def test_an_answer_is_that_of_the_latest_question_that_was_asked() -> None:
    both = [ask("arrived"), wait("w"), ask("fit", when=when("order.total > 9"))]
    assert not numbers(*both, stop("s", when=when('answer == "tight"')), send("thanks"))
    assert not numbers(*both, stop("s", when=when('answer == "not-opened"')), send("thanks"))
    always = [ask("arrived"), wait("w"), ask("fit")]
    assert numbers(*always, stop("s", when=when('answer == "not-opened"')), send("thanks")) == ["202"]


def test_a_question_that_was_not_asked_hides_no_answer_to_the_one_before() -> None:
    """The engine takes ``answer`` and its like from the latest question that was sent, so the rules foresee that."""

    def after(*cases: Case) -> list[str]:
        return numbers(ask("arrived"), wait("w"), ask("fit"), branch("b", *cases, otherwise(stop("x"))))

    gone = case(when("not_asked"), stop("could not ask"))
    assert not after(case(when('not_asked and answer == "not-opened"'), stop("old")), gone)
    assert not after(case(when("not_asked and no_reply"), stop("silent")), gone)
    assert not after(case(when("not_asked and replied"), stop("told us")), gone)
    assert after(case(when("not_asked and asks.fit.replied"), stop("never")), gone) == ["206"]
    assert numbers(ask("arrived"), branch("b", case(when("not_asked"), send("thanks", when=when("replied"))))) == [
        "206"
    ]


# -- what follows what --


def test_only_a_branch_goes_on_where_a_question_was_not_asked() -> None:
    unasked = send("thanks", when=when("not_asked"))
    assert numbers(ask("arrived"), unasked) == ["206"]
    assert not numbers(ask("arrived"), unasked, branch("b", case(when("not_asked"), hand_off("h"))))


def test_a_letter_may_have_been_answered_before_or_not() -> None:
    for said in ("answers.arrived is none", 'answers.arrived == "problem"', "answers.gone is none"):
        assert not numbers(stop("s", when=when(said)), send("thanks"))
        assert not numbers(send("thanks"), only_if=(when(said),))
    assert not numbers(stop("s", when=when("reply")), send("thanks")), "the fields of a reply are always there"


def test_an_answer_to_a_reminder_is_none_to_the_letter_before() -> None:
    early = branch("b", case(when('answers.arrived == "problem"'), stop("known")))
    late = send("thanks", when=when('answers.arrived == "problem"'))
    assert numbers(early, ask("arrived"), branch("c", case(when('answer == "all-good"'), late)), wait("w")) == ["206"]
    reminded = ask("arrived", remind_with="again")
    assert not numbers(reminded, branch("c", case(when('answer == "all-good"'), late)), wait("w"))


def test_an_answer_may_be_changed_while_time_passes_and_not_before() -> None:
    gone = branch("b", case(when('answer == "problem"'), stop("talk")))
    late = send("thanks", when=when('answer == "problem"'))
    assert numbers(ask("arrived"), gone, late, wait("v")) == ["206"]
    for step in (wait("w"), wait_for("w", "order.placed"), send("offer")):
        assert not numbers(ask("arrived"), gone, step, late)
    assert not numbers(
        ask("arrived"), gone, wait("w"), ask("open"), send("thanks", when=when("asks.arrived.answer == 'problem'"))
    )
    assert numbers(ask("arrived"), branch("b", case(when("replied"), stop("x"))), wait("w"), late) == ["206"]


def test_steps_after_an_end_are_reported_once() -> None:
    assert found(stop("a"), send("thanks"), branch("b", otherwise(stop("c"), send("offer")))) == [
        ("206", 'Nothing comes after "stop": the run is over there.')
    ]
    assert not numbers(stop("a", when=when("order.is_gift")), send("thanks"))
    ends = [variant("x", 1, stop("a")), variant("y", 1, wait("w"), stop("b"))]
    assert found(split("s", *ends), send("thanks")) == [
        ("206", "Nothing comes after this split: each variant ends the run.")
    ]
    assert not numbers(split("s", *ends, variant("z", 1)), send("thanks"))
    assert numbers(split("s", variant("x", 1, stop("a"), send("thanks")), variant("y", 1))) == ["206"]


def test_where_nobody_can_come_in_the_steps_are_looked_at_all_the_same() -> None:
    assert numbers(ask("arrived"), only_if=(when('answer == "nonsense"'),)) == ["206"]
    assert found(send("thanks"), stop("a"), wait("w"), only_if=(when("replied"),)) == [
        ("206", "This can never hold, so nobody would come in."),
        ("206", 'Nothing comes after "stop": the run is over there.'),
    ]


def test_a_condition_with_a_case_for_each_kind_of_answer_leaves_otherwise_alone() -> None:
    cases = [case(when("not_asked"), stop("a")), case(when("no_reply"), stop("b")), case(when("replied"), stop("c"))]
    assert not numbers(ask("arrived"), branch("b", *cases, otherwise(stop("d"))))
    assert numbers(ask("arrived"), branch("b", *cases, case(when("order.is_gift"), stop("d")))) == ["206"]


def test_a_question_that_was_not_asked_can_be_followed_by_another_at_once() -> None:
    instead = case(when("not_asked"), ask("open"))
    assert not numbers(ask("arrived"), branch("b", instead, otherwise(stop("told us"))))
    assert numbers(ask("arrived"), branch("b", instead), ask("fit")) == ["205"]
    not_twice = ask("fit", when=when("not_asked"))
    assert not numbers(ask("arrived"), branch("b", case(when("not_asked"), hand_off("h"))), not_twice)
    unasked = case(when("asks.fit.not_asked"), ask("open"))
    found_here = numbers(ask("arrived"), ask("fit", when=when("no_reply")), branch("b", unasked, otherwise(stop("x"))))
    assert found_here == ["205", "205"], "the second may not have been asked, the first was"


# -- events and windows --


@pytest.mark.parametrize("event", ["order.cancelled", "order.refunded"])
def test_in_a_workflow_about_void_orders_their_end_can_be_waited_for(event: str) -> None:
    assert not numbers(wait_for("w", "order.cancelled"), trigger=Trigger(event))
    assert numbers(wait_for("w", "message.bounced"), trigger=Trigger(event)) == ["204"]


@pytest.mark.parametrize(
    "window",
    [SendWindow(weekdays=frozenset()), SendWindow(weekdays=frozenset({5, 6}), business_days=True)],
    ids=["no day", "business days at weekends"],
)
def test_a_window_that_never_opens_is_refused(window: SendWindow) -> None:
    assert numbers(send("thanks"), send_window=window) == ["213"]


def test_a_reason_is_words() -> None:
    for reason in ("", " ", "?", "TRUE", "n/a", "12:00"):
        assert numbers(Send(id="s", letter="thanks", ignore_send_window=reason)) == ["214"]
    for reason in ("urgent", "他們在等"):
        assert not numbers(Send(id="s", letter="thanks", ignore_send_window=reason))


# -- bounds --


def test_where_there_are_too_many_ways_answers_are_not_told_apart_and_the_rest_is_checked() -> None:
    letters = {**LETTERS, **{f"q{number}": asking(*"abcde") for number in range(12)}}
    steps = [step for number in range(12) for step in (ask(f"q{number}"), wait(f"w{number}"))]
    reads = " or ".join(f'asks.q{number}.answer == "a"' for number in range(12))
    end = [stop("s", when=when(reads)), ask("arrived"), ask("fit"), stop("t"), send("thanks")]
    workflow = a_workflow(*steps, *end)
    ways = Ways(workflow, letters)
    assert not ways.tells_apart
    assert sum(map(len, ways.edges.values())) < MOST_EDGES
    assert sorted(numbers(*steps, *end, letters=letters)) == ["205", "206"]


def test_many_steps_and_cases_are_checked_in_no_time() -> None:
    cases = [case(when(f'order.number == "{number}"'), wait(f"w{number}")) for number in range(300)]
    steps = [send(f"s{number}", letter="thanks", when=when("order.is_gift")) for number in range(2_000)]
    assert not numbers(ask("arrived"), branch("b", *cases), *steps)
