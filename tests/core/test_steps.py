"""The steps that listen, choose and hand over: each rule as one test."""

from collections import Counter
from dataclasses import replace

import pytest

from followup.core.asks import ASKED_BEFORE
from followup.core.chance import is_held_out, share, variant_of
from followup.core.decide import decide
from followup.core.decision import CancelMessages, HandOff, NewMessage, RememberValues, StartWorkflow
from followup.core.enrollment import Action, EnrollmentState, Phase, Position
from followup.core.gates import LOOK_AGAIN, Candidate, VerdictKind, judge
from followup.core.message import MessageState, Purpose
from followup.core.order import OrderStatus
from followup.core.workflow import Exit, Per, Trigger
from tests.core.make import (
    START,
    TRIGGER_EVENT,
    a_customer,
    a_response,
    a_story,
    a_workflow,
    an_enrollment,
    an_order,
    answer,
    ask,
    branch,
    by_step,
    case,
    days,
    equals,
    facts,
    hand_off,
    hours,
    is_set,
    on,
    otherwise,
    remember,
    send,
    sent,
    split,
    start,
    stop,
    text_of,
    variant,
    wait,
    wait_for,
)

DELIVERED, TICKET = "order.delivered", "support.ticket_opened"
PLACED = Trigger("order.placed")


def listening(*before, then=(), **options):
    """Return a run that comes, after *before*, to a wait of four days for the order to be delivered."""
    return a_story(*before, wait_for("parcel", DELIVERED), *then, trigger=PLACED, **options)


def did(decision, kind):
    return [effect for effect in decision.effects if isinstance(effect, kind)]


def reasons(decision):
    return [(note.step, note.verdict, note.reason) for note in decision.notes]


# -- wait_for --


def test_it_waits_until_the_event_or_the_timeout():
    story = listening()
    decision = story.decide(START)
    assert (decision.position, decision.wake_at) == (Position("parcel", Phase.WAITING, START), on(4))


def test_the_event_ends_it_at_the_moment_it_happened_however_late_we_look():
    story = listening(then=[wait("pause", days(1))])
    story.decide(START)
    story.happens(DELIVERED, on(2))
    decision = story.decide(on(2, hour=5))
    assert decision.position == Position("pause", Phase.WAITING, on(2))
    assert reasons(decision) == [("parcel", "happened", DELIVERED)]
    assert not decision.waited.timed_out


def test_without_it_the_timeout_is_an_outcome_that_branches_see():
    story = listening(then=[branch("b", case(is_set("timed_out"), stop("lost")), otherwise(stop("here")))])
    story.decide(START)
    decision = story.decide(on(4))
    assert (decision.outcome, reasons(decision)[0]) == ("lost", ("parcel", "timed out", f"no {DELIVERED}"))


def test_an_event_at_the_very_timeout_is_too_late_and_one_before_it_counts_though_we_look_later():
    for moment, outcome in ((on(4), "lost"), (on(4, hour=-1), "here")):
        story = listening(then=[branch("b", case(is_set("timed_out"), stop("lost")), otherwise(stop("here")))])
        story.decide(START)
        story.happens(DELIVERED, moment)
        assert story.decide(on(6)).outcome == outcome


def test_timed_out_is_of_the_last_wait_for_an_event_and_a_plain_wait_does_not_change_it():
    story = listening(then=[wait("pause", days(1)), wait_for("more", TICKET), stop("end", when=is_set("timed_out"))])
    story.decide(START)
    assert story.decide(on(5)).waited.timed_out, "the parcel never came, and the pause is over"
    story.happens(TICKET, on(6))
    decision = story.decide(on(6))
    assert not decision.waited.timed_out
    assert decision.outcome == "finished"


def test_what_happened_while_a_letter_was_on_its_way_counts():
    story = listening(send("hello"))
    story.decide(START)
    story.happens(DELIVERED, on(1))
    story.accepts("hello", on(3))
    decision = story.decide(on(3))
    assert decision.ended is Action.COMPLETE
    assert decision.position.since == on(3), "and it goes on from when it came here"


def test_what_happened_while_a_question_waited_for_its_answer_counts():
    story = listening(ask("know"))
    story.decide(START)
    story.accepts("know", START)
    story.happens(DELIVERED, on(2))
    assert story.decide(on(5)).ended is Action.COMPLETE


def test_what_happened_before_the_last_wait_was_over_does_not_count():
    story = listening(wait("pause", days(3)))
    story.decide(START)
    story.happens(DELIVERED, on(2))
    assert story.decide(on(3)).position == Position("parcel", Phase.WAITING, on(3))


def test_two_waits_for_the_same_kind_of_event_need_two_of_them_even_at_one_moment():
    story = a_story(wait_for("first", TICKET), wait_for("second", TICKET), wait_for("third", TICKET))
    story.decide(START)
    story.happens(TICKET, on(1))
    assert story.decide(on(1)).position.step == "second"
    story.happens(TICKET, on(1))
    assert story.decide(on(1)).position.step == "third"


def test_the_event_that_let_the_customer_in_does_not_count():
    story = a_story(wait_for("again", DELIVERED))
    story.happens(DELIVERED, START, event_id=TRIGGER_EVENT)
    assert story.decide(START).position.phase is Phase.WAITING


def test_another_event_of_the_moment_of_entry_counts():
    story = a_story(wait_for("paid", "order.paid"), trigger=PLACED)
    story.happens("order.paid", START)
    assert story.decide(START).ended is Action.COMPLETE


def test_a_run_per_order_hears_of_its_own_order_and_of_what_concerns_none():
    story = listening()
    story.decide(START)
    story.happens(DELIVERED, on(1), order=an_order(id=8))
    assert story.decide(on(1)).ended is None
    story = a_story(wait_for("w", TICKET))
    story.decide(START)
    story.facts = replace(story.facts, order=None)
    story.happens(TICKET, on(1))
    story.facts = replace(story.facts, order=an_order())
    assert story.decide(on(1)).ended is Action.COMPLETE


def test_a_run_per_customer_hears_of_every_order():
    story = a_story(wait_for("parcel", DELIVERED), trigger=Trigger("order.placed", Per.CUSTOMER))
    story.decide(START)
    story.happens(DELIVERED, on(1), order=an_order(id=8))
    assert story.decide(on(1)).ended is Action.COMPLETE


def test_where_says_which_events_count_and_order_is_the_runs_own():
    story = a_story(wait_for("w", TICKET, where=equals("event.level", 2)))
    story.decide(START)
    story.happens(TICKET, on(1), level=1)
    assert story.decide(on(1)).ended is None
    story.happens(TICKET, on(2), level=2)
    assert story.decide(on(2)).ended is Action.COMPLETE


def test_what_ends_a_run_outranks_what_it_waits_for():
    story = a_story(wait_for("w", TICKET), exit_on=(Exit(TICKET, label="support has it"),))
    story.decide(START)
    story.happens(TICKET, on(1))
    assert story.decide(on(1)).outcome == "support has it"


# -- split --

HALVES = split("wording", variant("short", 50, send("a")), variant("long", 50, send("b")))


def test_a_customer_goes_one_way_always_the_same_one():
    workflow = a_workflow(HALVES)
    for customer in range(1, 50):
        known = facts(customer=a_customer(id=customer))
        runs = [an_enrollment(workflow, id=number) for number in (1, 2)]
        assert len({decide(workflow, run, known, now=START).position.step for run in runs}) == 1


def test_weights_are_shares_of_many_customers():
    uneven = split("s", variant("rare", 1), variant("usual", 9))
    workflow = a_workflow(uneven)
    counted = Counter(variant_of(workflow, uneven, customer).name for customer in range(10_000))
    assert 900 < counted["rare"] < 1_100


def test_two_splits_fall_out_independently():
    other = split("time", variant("morning", 50), variant("evening", 50))
    workflow = a_workflow(HALVES, other)
    both = Counter(
        (variant_of(workflow, HALVES, customer).name, variant_of(workflow, other, customer).name)
        for customer in range(8_000)
    )
    assert all(1_800 < number < 2_200 for number in both.values())


def test_a_variant_without_steps_goes_on_after_the_split_and_so_does_the_end_of_one():
    story = a_story(split("s", variant("nothing", 1)), send("after"))
    assert story.decide(START).position.step == "after"
    story = a_story(split("s", variant("one", 1, wait("w", days(1)))), send("after"))
    story.decide(START)
    decision = story.decide(on(1))
    assert (decision.position.step, decision.position.since) == ("after", on(1))


def test_the_way_that_was_taken_is_on_record():
    assert reasons(a_story(split("s", variant("only", 3))).decide(START))[0] == ("s", "split", "only")


# -- handoff, remember, start --


def test_a_person_is_asked_to_take_over_and_the_run_goes_on():
    story = a_story(hand_off("help", "mara", note=text_of("order.number"), urgent=True), wait("w", days(1)))
    decision = story.decide(START)
    assert did(decision, HandOff) == [HandOff(step="help", person="mara", note="1007", urgent=True, at=START)]
    assert decision.position.step == "w"
    assert not did(story.decide(on(1)), HandOff), "once"


def test_what_was_asked_of_a_person_stands_though_the_run_ends_in_the_same_moment():
    decision = a_story(hand_off("help"), stop("a person took over")).decide(START)
    assert [type(effect) for effect in decision.effects] == [HandOff, CancelMessages]
    assert decision.outcome == "a person took over"


def test_a_note_that_comes_out_empty_is_none():
    decision = a_story(hand_off("help", note=text_of("reply.text"))).decide(START)
    assert did(decision, HandOff)[0].note is None


def test_what_is_remembered_is_seen_by_the_steps_after_it():
    story = a_story(remember("r", pace="slow"), stop("as they wish", when=equals("customer.pace", "slow")))
    decision = story.decide(START)
    assert did(decision, RememberValues) == [RememberValues("r", {"pace": "slow"})]
    assert decision.outcome == "as they wish"


def test_an_answer_is_remembered_in_their_words_and_silence_takes_nothing_away():
    steps = [ask("use"), remember("r", use_case=text_of("reply.text"))]
    story = a_story(*steps, known={"customer": a_customer(remembered={"use_case": "eggs"})})
    story.decide(START)
    story.accepts("use", START)
    assert not did(story.decide(on(5)), RememberValues)
    story = a_story(*steps)
    story.decide(START)
    story.accepts("use", START)
    story.answers("use", on(1), text="pancakes")
    assert did(story.decide(on(1)), RememberValues) == [RememberValues("r", {"use_case": "pancakes"})]


def test_plain_values_are_remembered_as_they_are():
    decision = a_story(remember("r", vip=True, level=0)).decide(START)
    assert did(decision, RememberValues)[0].values == {"vip": True, "level": 0}


def test_another_workflow_is_started_as_of_when_the_run_came_there():
    story = a_story(wait("w", days(2)), start("go", "first-weeks"))
    story.decide(START)
    decision = story.decide(on(3))
    assert did(decision, StartWorkflow) == [StartWorkflow("go", "first-weeks", on(2))]
    assert reasons(decision)[0] == ("go", "started", "first-weeks")


@pytest.mark.parametrize(
    "step", [hand_off("x"), remember("x", a=1), start("x", "w"), split("x", variant("v", 1, send("inner")))]
)
def test_each_of_them_can_be_skipped(step):
    story = a_story(replace(step, when=is_set("order.note")), send("after"))
    decision = story.decide(START)
    assert [type(effect) for effect in decision.effects] == [NewMessage]
    assert decision.position.step == "after"


def test_a_branch_in_every_variant_counts_as_handling_what_was_not_asked():
    handled = branch("b", case(is_set("not_asked"), stop("could not ask")))
    story = a_story(ask("q"), split("s", variant("v", 1, handled)))
    story.decide(START)
    story.settles("q", MessageState.EXPIRED, reason="too late")
    assert story.decide(on(1)).outcome == "could not ask"


# -- held out --


def test_a_share_of_the_customers_is_held_out_always_the_same_ones():
    workflow = a_workflow(holdout=0.1)
    held = [is_held_out(workflow, customer) for customer in range(10_000)]
    assert 900 < sum(held) < 1_100
    assert held == [is_held_out(workflow, customer) for customer in range(10_000)]
    assert not any(is_held_out(a_workflow(), customer) for customer in range(100))


def test_shares_are_even_and_inside_their_bounds():
    shares = [share("w", "q", customer) for customer in range(10_000)]
    assert min(shares) >= 0
    assert max(shares) < 1
    assert 4_800 < sum(value < 0.5 for value in shares) < 5_200


def held_out(**options):
    workflow = a_workflow(send("hello"), hand_off("help"), **options)
    nowhere = Position(None, Phase.BEFORE, START)
    return workflow, an_enrollment(workflow, state=EnrollmentState.HELD_OUT, position=nowhere)


def test_who_is_held_out_gets_nothing():
    workflow, run = held_out()
    decision = decide(workflow, run, facts(), now=on(30))
    assert (decision.effects, decision.wake_at, decision.ended) == ((), None, None)


def test_exits_of_a_held_out_run_are_tracked():
    workflow, run = held_out()
    decision = decide(workflow, run, facts(order=an_order(status=OrderStatus.CANCELLED)), now=on(3))
    assert (decision.ended, decision.outcome) == (Action.EXIT, "order cancelled")


# -- asked elsewhere, the end of orders, an owner's capacity --


def test_what_another_workflow_was_told_is_not_asked_again_and_counts_here():
    workflow = a_workflow(ask("mine", letter="arrived"))
    told = {"arrived": a_response("theirs", on(-1), answer="fine", label="Fine")}
    letter = candidate(workflow, "mine", elsewhere=told)
    verdict = judge(letter, now=START)
    assert (verdict.kind, verdict.gate, verdict.reason) == (VerdictKind.SKIP, "answered", ASKED_BEFORE)
    story = a_story(ask("mine", letter="arrived"), stop("happy", when=answer("fine")), known={"elsewhere": told})
    story.decide(START)
    story.settles("mine", MessageState.SKIPPED, reason=ASKED_BEFORE)
    decision = story.decide(START)
    assert (decision.outcome, decision.position.since) == ("happy", START)


def test_a_reminder_is_not_for_those_who_told_another_workflow():
    workflow = a_workflow(ask("mine", letter="arrived", remind_after=days(1), remind_with="nudge"))
    told = {"arrived": a_response("theirs", on(2), answer="fine", label="Fine")}
    known = {"sent": by_step(sent("mine"))}
    verdict = judge(candidate(workflow, "mine", round=1, elsewhere=told, **known), now=on(3))
    assert (verdict.kind, verdict.gate, verdict.reason) == (VerdictKind.SKIP, "answered", ASKED_BEFORE)
    assert verdict.values == {"answered_at": on(2), "answer": "fine"}
    said_of_another = {"nudge": a_response("theirs", on(2), answer="fine", label="Fine")}
    assert judge(candidate(workflow, "mine", round=1, elsewhere=said_of_another, **known), now=on(3)) is None


def candidate(workflow, step, **known):
    options = {name: known.pop(name) for name in ("backlog", "waiting_for_owner", "round") if name in known}
    return Candidate(
        **{
            "workflow": workflow,
            "enrollment": an_enrollment(workflow),
            "facts": facts(**known),
            "step": step,
            "round": 0,
            "postponed_since": None,
            "due_at": START,
            "not_after": on(3),
            "purpose": Purpose.SERVICE,
        }
        | options
    )


def test_a_workflow_about_cancelled_orders_is_not_ended_by_that():
    story = a_story(
        ask("why"), trigger=Trigger("order.cancelled"), known={"order": an_order(status=OrderStatus.CANCELLED)}
    )
    story.happens("order.cancelled", START, event_id=TRIGGER_EVENT)
    assert len(did(story.decide(START), NewMessage)) == 1
    assert judge(candidate(story.workflow, "why", order=story.facts.order), now=START) is None
    story.happens("customer.unsubscribed", on(1))
    assert story.decide(on(1)).outcome == "unsubscribed"


@pytest.mark.parametrize(("waiting", "leaves"), [(14, True), (15, True), (16, False)])
def test_no_new_question_while_more_customers_wait_than_the_owner_can_listen_to(waiting, leaves):
    workflow = a_workflow(ask("q"))
    verdict = judge(candidate(workflow, "q", backlog=15, waiting_for_owner=waiting), now=START)
    if leaves:
        assert verdict is None
    else:
        assert (verdict.kind, verdict.gate, verdict.until) == (VerdictKind.POSTPONE, "capacity", START + LOOK_AGAIN)
        assert verdict.values == {"owner": "mara", "waiting": waiting, "backlog": 15}


@pytest.mark.parametrize(("waiting", "who"), [(1, "1 customer waits"), (2, "2 customers wait")])
def test_a_lack_of_capacity_counts_in_words(waiting, who):
    verdict = judge(candidate(a_workflow(ask("q")), "q", backlog=0, waiting_for_owner=waiting), now=START)
    assert verdict.reason == f"{who} for an answer from mara"


def test_capacity_holds_back_questions_only():
    for workflow, step, round_ in (
        (a_workflow(send("s")), "s", 0),
        (a_workflow(ask("q", remind_after=days(1))), "q", 1),
    ):
        known = {"sent": by_step(sent("q"))} if round_ else {}
        letter = candidate(workflow, step, backlog=0, waiting_for_owner=9, round=round_, **known)
        assert judge(letter, now=START) is None


def test_an_owner_who_set_no_limit_listens_to_everybody():
    assert judge(candidate(a_workflow(ask("q")), "q", waiting_for_owner=1_000), now=START) is None


def test_a_wait_for_a_day_that_is_past_is_over_when_the_run_comes_to_it():
    story = a_story(wait("w", hours(1)), wait("day", until_field="order.promised_at"), wait_for("t", TICKET))
    story.facts = replace(story.facts, order=an_order(promised_at=on(-3)))
    story.decide(START)
    decision = story.decide(on(1))
    assert decision.waited.until == on(0, hour=1)
