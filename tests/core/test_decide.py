"""What happens next to one enrollment: each rule as one test."""

from dataclasses import replace
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from followup.core.asks import ASKED_BEFORE, names_for
from followup.core.decide import decide, goes_on_unasked, is_heeded
from followup.core.decision import CancelMessages, NewMessage
from followup.core.enrollment import Action, EnrollmentState, Phase, Position
from followup.core.facts import value_at
from followup.core.message import MessageState
from followup.core.replies import Absence
from followup.core.schedule import Calendar, Duration
from followup.core.workflow import Condition, Exit, Trigger, WorkflowStatus
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
    hours,
    is_set,
    on,
    otherwise,
    remember,
    send,
    sent,
    split,
    stop,
    text_of,
    utc,
    variant,
    wait,
    wait_for,
)

HOUR = timedelta(hours=1)


def letters(decision):
    return [(e.step, e.round, e.due_at) for e in decision.effects if isinstance(e, NewMessage)]


def reasons(decision):
    return [(note.step, note.verdict, note.reason) for note in decision.notes]


def an_asked_story(*then, **options):
    """A run whose question ``q`` the provider took at the start."""
    story = a_story(ask("q", **options), *then)
    story.decide(START)
    story.accepts("q", START)
    return story


# -- waiting --


def test_a_wait_sleeps_until_it_is_over():
    decision = a_story(wait("w", days(2))).decide(START)
    assert decision.position == Position("w", Phase.WAITING, START)
    assert decision.wake_at == on(2)
    assert decision.effects == ()


def test_a_wait_is_over_at_its_very_moment():
    story = a_story(wait("w", days(2)), send("s"))
    story.decide(START)
    assert letters(story.decide(on(2))) == [("s", 0, on(2))]


def test_a_late_worker_counts_the_second_wait_from_the_planned_end_of_the_first():
    story = a_story(wait("one", days(2)), wait("two", days(2)))
    story.decide(START)
    decision = story.decide(on(3))
    assert decision.position == Position("two", Phase.WAITING, on(2))
    assert decision.wake_at == on(4)


def test_a_backfilled_run_has_its_due_times_in_the_past():
    story = a_story(wait("w", days(2)), send("s"))
    assert letters(story.decide(on(30))) == [("s", 0, on(2))]


def test_a_wait_of_business_days_follows_the_customers_calendar():
    friday = utc("2026-03-06 09:00")
    story = a_story(wait("w", Duration(business_days=1)))
    story.enrollment = replace(story.enrollment, position=Position("w", Phase.BEFORE, friday))
    assert story.decide(friday).wake_at == utc("2026-03-09 09:00")


def test_a_wait_goes_on_to_the_next_wall_time():
    berlin = Calendar(ZoneInfo("Europe/Berlin"))
    story = a_story(wait("w", days(1), until=time(8, 30)), known={"calendar": berlin})
    assert story.decide(START).wake_at == utc("2026-03-04 07:30")  # 3 March 10:00 in Berlin, then 08:30


def test_a_wait_for_a_date_field_ends_at_that_date():
    story = a_story(wait("w", until_field="order.promised_at"), known={"order": an_order(promised_at=on(4))})
    assert story.decide(START).wake_at == on(4)


def test_a_date_field_in_the_past_is_no_wait_and_turns_no_clock_back():
    story = a_story(wait("w", until_field="order.placed_at"), send("s"))
    assert letters(story.decide(on(1))) == [("s", 0, START)]


def test_a_day_that_was_remembered_begins_where_the_customer_lives():
    berlin = Calendar(ZoneInfo("Europe/Berlin"))
    known = {"calendar": berlin, "customer": a_customer(remembered={"renewal_on": "2026-04-01"})}
    story = a_story(wait("w", until_field="customer.renewal_on"), known=known)
    assert story.decide(START).wake_at == utc("2026-03-31 22:00")


@pytest.mark.parametrize("remembered", ["soon", "2026-02-30", "", 20260401, True])
def test_what_is_no_date_is_no_wait_and_leaves_a_note(remembered):
    customer = a_customer(remembered={"renewal_on": remembered})
    decision = a_story(wait("w", until_field="customer.renewal_on"), known={"customer": customer}).decide(START)
    assert (decision.outcome, reasons(decision)[0]) == ("finished", ("w", "skipped", "customer.renewal_on is no date"))


def test_an_unset_date_field_is_no_wait_and_leaves_a_note():
    story = a_story(wait("w", until_field="customer.renewal_on"), send("s"))
    decision = story.decide(START)
    assert letters(decision) == [("s", 0, START)]
    assert reasons(decision) == [("w", "skipped", "customer.renewal_on is not set")]


# -- sending --


def test_a_send_writes_its_letter_once_and_sleeps():
    story = a_story(send("s"))
    first = story.decide(START)
    assert first.effects == (NewMessage(step="s", round=0, letter="s", sender="mara", due_at=START),)
    assert (first.position.phase, first.wake_at) == (Phase.SENDING, None)
    assert story.decide(START).effects == ()


def test_a_step_may_name_its_own_sender():
    (effect,) = a_story(send("s", sender="jonas")).decide(START).effects
    assert effect.sender == "jonas"


def test_after_a_send_the_run_goes_on_from_when_it_was_accepted():
    story = a_story(send("s"), wait("w", days(1)))
    story.decide(START)
    story.accepts("s", on(0, 5))
    assert story.decide(on(0, 6)).wake_at == on(1, 5)


@pytest.mark.parametrize("state", [MessageState.SKIPPED, MessageState.EXPIRED, MessageState.REJECTED])
def test_a_send_that_is_not_sent_goes_on(state):
    story = a_story(send("s"), send("next"))
    story.decide(START)
    story.settles("s", state, due_at=on(1))
    assert letters(story.decide(on(2))) == [("next", 0, on(1))]


@pytest.mark.parametrize(
    "state",
    [
        MessageState.DUE,
        MessageState.HELD,
        MessageState.CLAIMED,
        MessageState.SENDING,
        MessageState.UNKNOWN,
        MessageState.BLOCKED,
    ],
)
@pytest.mark.parametrize("step", [send("x"), ask("x")], ids=["send", "ask"])
def test_while_a_letter_is_on_its_way_the_run_sleeps(step, state):
    story = a_story(step, send("next"))
    story.decide(START)
    story.settles("x", state)
    decision = story.decide(on(30))
    assert (decision.effects, decision.wake_at, decision.position.phase) == ((), None, Phase.SENDING)


# -- asking --


def test_an_ask_waits_for_its_timeout_from_when_it_was_accepted():
    story = a_story(ask("q", timeout=days(5)))
    story.decide(START)
    story.accepts("q", on(1))
    decision = story.decide(on(1))
    assert decision.position == Position("q", Phase.ASKED, START)
    assert decision.wake_at == on(6)


def test_a_timeout_is_an_outcome():
    story = an_asked_story(branch("b", case(is_set("no_reply"), stop("silent"))))
    assert story.decide(on(5) - HOUR).ended is None
    decision = story.decide(on(5))
    assert (decision.ended, decision.outcome) == (Action.COMPLETE, "silent")
    assert decision.position.since == on(5)
    assert reasons(decision)[0] == ("q", "timed out", "no answer")


def test_a_timeout_in_business_days_follows_the_calendar():
    story = an_asked_story(timeout=Duration(business_days=5))
    assert story.decide(START).wake_at == on(7)  # Monday to Monday


@pytest.mark.parametrize(
    ("back_on", "gives_up"),
    [
        (date(2026, 3, 4), on(5)),  # back before the time is over
        (date(2026, 3, 10), utc("2026-03-11 00:00")),
        (date(2026, 6, 1), on(35)),
    ],
)
def test_an_out_of_office_note_extends_the_timeout_to_the_day_of_return_by_30_days_at_most(back_on, gives_up):
    story = an_asked_story()
    story.facts = replace(story.facts, absences={"q": Absence(on(1), back_on)})
    assert story.decide(on(1)).wake_at == gives_up


def test_an_out_of_office_note_after_the_timeout_does_not_rewind_the_run():
    story = an_asked_story(wait("w", days(9)), branch("b", case(is_set("no_reply"), stop("silent"))))
    story.decide(on(5))
    story.facts = replace(story.facts, absences={"q": Absence(on(5), date(2026, 3, 30))})
    story.answers("q", on(6), "good")
    assert story.decide(on(14)).outcome == "silent"


def test_an_answer_in_time_moves_the_run_on_from_that_moment():
    story = an_asked_story(branch("b", case(answer("good"), wait("w", days(1)))))
    story.decide(START)
    story.answers("q", on(2), "good")
    decision = story.decide(on(2, 3))
    assert decision.position == Position("w", Phase.WAITING, on(2))
    assert decision.wake_at == on(3)


def test_an_answer_at_the_timeout_is_late_and_ignored():
    story = an_asked_story(branch("b", case(answer("good"), stop("good")), case(is_set("no_reply"), stop("silent"))))
    story.answers("q", on(5), "good")
    assert story.decide(on(6)).outcome == "silent"


def test_a_late_answer_never_rewinds_a_run():
    story = an_asked_story(wait("w", days(10)), branch("b", case(answer("good"), stop("good")), otherwise(stop("no"))))
    story.decide(on(5))
    story.answers("q", on(6), "good")
    assert story.decide(on(6)).position.step == "w"
    assert story.decide(on(15)).outcome == "no"


def test_an_answer_in_time_counts_though_the_worker_comes_late():
    story = an_asked_story(branch("b", case(answer("good"), stop("good"))))
    story.answers("q", on(5) - HOUR, "good")
    assert story.decide(on(40)).outcome == "good"


def test_a_provisional_click_is_not_seen_by_branches():
    story = an_asked_story(branch("b", case(answer("good"), stop("good")), case(is_set("no_reply"), stop("silent"))))
    story.answers("q", on(1), "good", provisional=True)
    assert story.decide(on(1)).ended is None
    assert story.decide(on(5)).outcome == "silent"


def test_the_first_answer_moves_the_run_a_second_one_does_not():
    story = an_asked_story(branch("b", case(answer("good"), wait("w", days(9)))))
    story.answers("q", on(1), "good")
    story.decide(on(1))
    story.answers("q", on(2), "bad")
    assert story.decide(on(2)).position == Position("w", Phase.WAITING, on(1))


def test_an_answer_to_a_letter_whose_fate_is_unknown_is_an_answer():
    story = a_story(ask("q"), branch("b", case(answer("good"), stop("good"))))
    story.decide(START)
    story.settles("q", MessageState.UNKNOWN)
    story.answers("q", on(1), "good")
    assert story.decide(on(1)).outcome == "good"


@pytest.mark.parametrize("state", [MessageState.SKIPPED, MessageState.EXPIRED, MessageState.REJECTED])
def test_a_question_that_was_not_asked_ends_the_run(state):
    story = a_story(ask("q"), send("s"))
    story.decide(START)
    story.settles("q", state, reason="no consent")
    decision = story.decide(on(1))
    assert (decision.ended, decision.outcome) == (Action.COMPLETE, "not asked: no consent")


def test_a_question_that_was_not_asked_for_no_stated_reason_names_the_state():
    story = a_story(ask("q"))
    story.decide(START)
    story.settles("q", MessageState.EXPIRED)
    assert story.decide(on(1)).outcome == "not asked: expired"


@pytest.mark.parametrize("name", ["not_asked", "asks.q.not_asked"])
def test_a_branch_that_reads_not_asked_takes_over(name):
    story = a_story(
        ask("q"), branch("b", case(is_set("no_reply"), stop("silent")), case(is_set(name), stop("unasked")))
    )
    story.decide(START)
    story.settles("q", MessageState.SKIPPED, reason="cap")
    assert story.decide(on(1)).outcome == "unasked"


def test_a_branch_about_another_question_does_not_handle_not_asked():
    later = branch("b", case(is_set("not_asked"), stop("unasked")))
    story = a_story(ask("q"), ask("other"), later)
    story.decide(START)
    story.settles("q", MessageState.SKIPPED, reason="cap")
    assert story.decide(on(1)).outcome == "not asked: cap"


def test_a_branch_within_a_branch_handles_not_asked_and_one_behind_the_next_question_does_not():
    handling = branch("inner", case(is_set("not_asked"), stop("unasked")))
    for steps, outcome in (
        ([branch("outer", case(answer("bad"), stop("bad")), otherwise(handling))], "unasked"),
        ([branch("outer", otherwise(ask("other"), handling)), send("s")], "not asked: cap"),
        ([branch("outer", case(answer("bad"), ask("other"))), handling], "unasked"),
    ):
        story = a_story(ask("q"), *steps)
        story.decide(START)
        story.settles("q", MessageState.SKIPPED, reason="cap")
        assert story.decide(on(1)).outcome == outcome


def test_many_branches_after_a_question_are_walked_once_each():
    steps = [branch(f"b{n}", case(answer("x"), send(f"s{n}")), otherwise(send(f"t{n}"))) for n in range(40)]
    story = a_story(ask("q"), *steps)
    story.decide(START)
    story.settles("q", MessageState.SKIPPED, reason="cap")
    assert story.decide(on(1)).outcome == "not asked: cap"


def test_a_branch_after_the_one_the_question_stands_in_handles_not_asked():
    story = a_story(branch("b", otherwise(ask("q"))), branch("c", case(is_set("not_asked"), stop("unasked"))))
    story.decide(START)
    story.settles("q", MessageState.SKIPPED, reason="cap")
    assert story.decide(on(1)).outcome == "unasked"


# -- what the names speak of --


def test_answer_speaks_of_the_latest_question_and_asks_of_each():
    story = an_asked_story(ask("second"), branch("b", otherwise()))
    story.answers("q", on(1), "good", label="All good")
    story.decide(on(1))
    story.accepts("second", on(1))
    story.answers("second", on(2), "bad")
    known = names_for(story.workflow, story.facts, now=on(2))
    assert known["answer"] == "bad"
    assert value_at(known, "asks.q.answer") == "good"
    assert value_at(known, "asks.q.answer_label") == "All good"


def test_a_question_that_was_not_sent_hides_no_answer_to_the_one_before():
    story = an_asked_story(ask("second"), branch("b", case(is_set("not_asked"), ask("third"))))
    story.answers("q", on(1), "good", label="All good", text="Thanks")
    story.decide(on(1))
    story.settles("second", MessageState.SKIPPED, reason="cap")
    known = names_for(story.workflow, story.facts, now=on(1))
    assert (known["answer"], known["answer_label"], known["replied"]) == ("good", "All good", True)
    assert (known["reply"]["text"], known["not_asked"]) == ("Thanks", "cap")
    story.decide(on(1))
    assert names_for(story.workflow, story.facts, now=on(1))["not_asked"] == "cap", "the third is still on its way"
    story.accepts("third", on(1))
    known = names_for(story.workflow, story.facts, now=on(2))
    assert (known["answer"], known["replied"], known["not_asked"]) == (None, False, None)


def test_silence_is_of_the_latest_question_that_was_sent():
    story = an_asked_story(ask("second"), branch("b", case(is_set("not_asked"), wait("w"))))
    story.decide(on(6))
    story.settles("second", MessageState.EXPIRED, reason="too late")
    known = names_for(story.workflow, story.facts, now=on(6))
    assert (known["no_reply"], known["not_asked"], value_at(known, "asks.second.no_reply")) == (True, "too late", False)


def test_a_question_answered_elsewhere_counts_as_the_latest_that_was_sent():
    story = an_asked_story(ask("second"), branch("b", case(is_set("not_asked"), wait("w"))))
    told = {"second": a_response("theirs", on(0), answer="fine", label="Fine")}
    story.facts = replace(story.facts, elsewhere=told)
    story.answers("q", on(1), "good")
    story.decide(on(1))
    story.settles("second", MessageState.SKIPPED, reason=ASKED_BEFORE)
    known = names_for(story.workflow, story.facts, now=on(1))
    assert (known["answer"], known["not_asked"]) == ("fine", None)


@pytest.mark.parametrize("state", [MessageState.DUE, MessageState.HELD, MessageState.CLAIMED, MessageState.SENDING])
def test_a_question_on_its_way_out_has_not_been_asked_yet(state):
    """Its own condition and its letter read the answer to the question before."""
    story = an_asked_story(ask("second", when=answer("good")))
    story.answers("q", on(1), "good")
    story.decide(on(1))
    story.settles("second", state)
    assert names_for(story.workflow, story.facts, now=on(1))["answer"] == "good"


def test_a_reminder_reads_what_its_question_read():
    story = an_asked_story(ask("second"))
    story.answers("q", on(1), "good")
    story.decide(on(1))
    story.accepts("second", on(1))
    assert names_for(story.workflow, story.facts, now=on(2))["answer"] is None
    assert names_for(story.workflow, story.facts, now=on(2), before="second")["answer"] == "good"


def test_what_comes_after_a_question_is_looked_through_once_however_many_splits_there_are():
    halves = [split(f"s{n}", variant("a", 1, wait(f"a{n}")), variant("b", 1, wait(f"b{n}"))) for n in range(60)]
    assert not goes_on_unasked(a_workflow(ask("q"), *halves), ask("q"))
    last = branch("last", case(is_set("not_asked"), stop("unasked")))
    assert goes_on_unasked(a_workflow(ask("q"), *halves, last), ask("q"))


@pytest.mark.parametrize(
    ("reads", "heeded"),
    [
        ("answer", (False, True)),
        ("replied", (False, True)),
        ("asks.q1.answer", (True, False)),
        ("answers.q1", (True, False)),
        ("last_reply", (True, True)),
        ("order.total", (False, False)),
    ],
)
def test_a_question_is_heeded_if_a_condition_may_read_what_is_said_to_it(reads: str, heeded: tuple[bool, bool]):
    asked = ask("q1"), ask("q2")
    turns = branch("turns", case(is_set(reads), stop("yes")))
    kept = remember("kept", taste=text_of(reads))
    for last in (turns, kept, send("thanks", when=is_set(reads))):
        workflow = a_workflow(asked[0], wait("w"), asked[1], last)
        assert tuple(is_heeded(workflow, one) for one in asked) == heeded


def test_nobody_is_silent_who_was_not_asked():
    story = a_story(ask("q"))
    story.decide(START)
    story.settles("q", MessageState.SKIPPED, reason="cap")
    known = names_for(story.workflow, story.facts, now=on(30))
    assert (known["no_reply"], known["not_asked"], known["replied"]) == (False, "cap", False)


# -- reminding --


def test_a_reminder_is_written_at_its_time():
    story = an_asked_story(remind_after=days(3), remind_with="nudge")
    assert story.decide(START).wake_at == on(3)
    decision = story.decide(on(3))
    assert decision.effects == (NewMessage(step="q", round=1, letter="nudge", sender="mara", due_at=on(3)),)
    assert (decision.position.phase, decision.wake_at) == (Phase.ASKED, on(5))


def test_a_reminder_repeats_the_letter_when_no_other_is_named():
    (reminder,) = an_asked_story(remind_after=days(3)).decide(on(3)).effects
    assert reminder.letter == "q"


def test_there_is_one_reminder():
    story = an_asked_story(remind_after=days(1))
    story.decide(on(1))
    assert story.decide(on(3)).effects == ()


def test_a_late_worker_writes_the_reminder_for_its_planned_time():
    assert letters(an_asked_story(remind_after=days(1)).decide(on(2))) == [("q", 1, on(1))]


def test_a_reminder_that_nobody_should_get_is_written_for_a_gate_to_skip_it_on_the_record():
    story = an_asked_story(timeout=days(5), remind_after=hours(110))
    story.answers("q", on(1), "good", provisional=True)
    decision = story.decide(START + timedelta(hours=110))
    assert letters(decision) == [("q", 1, START + timedelta(hours=110))]
    assert decision.wake_at == on(5)


def test_a_reminder_after_the_timeout_wakes_nobody_up_late():
    assert an_asked_story(timeout=days(5), remind_after=days(9)).decide(START).wake_at == on(5)


def test_a_reminder_is_cancelled_when_the_answer_comes():
    story = an_asked_story(send("thanks"), remind_after=days(3))
    story.decide(on(3))
    story.answers("q", on(3, 1), "good")
    decision = story.decide(on(3, 1))
    assert CancelMessages("q", 1) in decision.effects
    assert story.letter("q", 1).state is MessageState.CANCELLED
    assert story.letter("thanks").state is MessageState.DUE


def test_a_reminder_still_waiting_at_the_timeout_is_cancelled():
    story = an_asked_story(send("next"), remind_after=days(3))
    story.decide(on(3))
    story.decide(on(5))
    assert story.letter("q", 1).state is MessageState.CANCELLED


def test_a_reminder_does_not_prolong_the_timeout():
    story = an_asked_story(remind_after=days(3))
    story.decide(on(3))
    story.accepts("q", on(3, 5), round_=1)
    assert story.decide(on(4)).wake_at == on(5)


# -- exits --


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("customer.unsubscribed", "unsubscribed"),
        ("message.bounced", "bounced"),
        ("message.complained", "complained"),
        ("customer.erased", "erased"),
        ("order.cancelled", "order cancelled"),
    ],
)
def test_some_events_always_end_a_run(kind, outcome):
    story = a_story(wait("w", days(9)))
    story.decide(START)
    story.happens(kind, on(1))
    decision = story.decide(on(2))
    assert (decision.ended, decision.outcome) == (Action.EXIT, outcome)
    assert decision.position == Position("w", Phase.DONE, on(1))
    assert reasons(decision) == [("w", "exited", outcome)]
    assert decision.notes[0].values == {"event": kind}


def test_an_exit_withdraws_what_has_not_left():
    story = a_story(send("s"))
    story.decide(START)
    story.happens("order.cancelled", on(1))
    assert story.decide(on(1)).effects == (CancelMessages(),)
    assert story.letter("s").state is MessageState.CANCELLED


@pytest.mark.parametrize("state", [EnrollmentState.ACTIVE, EnrollmentState.HELD_OUT])
def test_a_run_of_a_workflow_that_was_archived_ends_where_it_stands(state):
    story = a_story(send("s"), wait("w", days(9)))
    story.decide(START)
    story.happens("order.cancelled", on(1))
    story.workflow = replace(story.workflow, status=WorkflowStatus.ARCHIVED)
    story.enrollment = replace(story.enrollment, state=state)
    decision = story.decide(on(2))
    assert (decision.ended, decision.outcome) == (Action.EXIT, "archived")
    assert decision.position == Position("s", Phase.DONE, on(2))
    assert decision.effects == (CancelMessages(),)
    assert reasons(decision) == [("s", "exited", "archived")]


def test_a_paused_workflow_stops_no_wait_and_no_timeout():
    story = an_asked_story(wait("w", days(1)), stop("done"))
    story.workflow = replace(story.workflow, status=WorkflowStatus.PAUSED)
    assert story.decide(on(5)).wake_at == on(6)
    assert story.decide(on(6)).outcome == "done"


def test_an_exit_outranks_a_schedule_a_late_worker_missed():
    story = a_story(wait("w", days(1)), send("s"))
    story.happens("customer.unsubscribed", on(2))
    assert letters(story.decide(on(3))) == []


@pytest.mark.parametrize(("full", "ends"), [(True, True), (False, False)])
def test_only_a_full_refund_ends_a_run(full, ends):
    story = a_story(wait("w", days(9)))
    story.happens("order.refunded", on(1), full=full)
    decision = story.decide(on(1))
    assert decision.outcome == ("order refunded" if ends else None)


def test_a_refund_of_unstated_size_is_not_a_full_one():
    story = a_story(wait("w", days(9)))
    story.happens("order.refunded", on(1))
    assert story.decide(on(1)).ended is None


def test_a_file_may_exit_on_any_refund():
    story = a_story(wait("w", days(9)), exit_on=(Exit("order.refunded", label="some money back"),))
    story.happens("order.refunded", on(1), full=False)
    assert story.decide(on(1)).outcome == "some money back"


def test_the_cancellation_of_another_order_does_not_end_this_run():
    story = a_story(wait("w", days(9)))
    story.happens("order.cancelled", on(1), order=an_order(id=8, number="1008"))
    assert story.decide(on(1)).ended is None


def test_an_exit_of_the_file_names_the_outcome_or_the_event_does():
    for label, outcome in (("bought again", "bought again"), (None, "order.placed")):
        story = a_story(wait("w", days(9)), exit_on=(Exit("order.placed", label=label),))
        story.happens("order.placed", on(1), order=an_order(id=8, number="1008"))
        assert story.decide(on(1)).outcome == outcome


def test_a_files_own_label_goes_before_the_implied_one():
    story = a_story(wait("w", days(9)), exit_on=(Exit("order.cancelled", label="they left"),))
    story.happens("order.cancelled", on(1))
    assert story.decide(on(1)).outcome == "they left"


def test_the_triggering_event_is_no_exit():
    story = a_story(wait("w", days(9)), exit_on=(Exit("support.opened"),), trigger=Trigger("support.opened"))
    story.happens("support.opened", on(1), event_id=TRIGGER_EVENT)
    assert story.decide(on(1)).ended is None


def test_the_trigger_told_again_of_the_same_order_is_no_exit():
    story = a_story(wait("w", days(9)), exit_on=(Exit("order.placed"),), trigger=Trigger("order.placed"))
    story.happens("order.placed", on(1))
    assert story.decide(on(1)).ended is None


def test_another_event_of_the_shops_own_about_the_same_order_is_an_exit():
    story = a_story(wait("w", days(9)), exit_on=(Exit("support.opened"),), trigger=Trigger("support.opened"))
    story.happens("support.opened", on(1))
    assert story.decide(on(1)).outcome == "support.opened"


def test_the_next_order_may_be_an_exit_of_a_run_that_an_order_started():
    story = a_story(wait("w", days(9)), exit_on=(Exit("order.placed", label="again"),), trigger=Trigger("order.placed"))
    story.happens("order.placed", on(1), order=an_order(id=8, number="1008"))
    assert story.decide(on(1)).outcome == "again"


def test_what_happened_before_the_run_began_does_not_end_it():
    story = a_story(wait("w", days(9)))
    story.happens("customer.unsubscribed", START - HOUR)
    assert story.decide(on(1)).ended is None


def test_of_two_orders_of_one_moment_only_the_later_one_ends_the_run_of_the_other():
    again = Exit("order.placed", label="again")
    for event_id, outcome in [(TRIGGER_EVENT - 1, None), (TRIGGER_EVENT + 1, "again")]:
        story = a_story(wait("w", days(9)), exit_on=(again,), trigger=Trigger("order.placed"))
        story.happens("order.placed", START, order=an_order(id=8, number="1008"), event_id=event_id)
        assert story.decide(on(1)).outcome == outcome


def test_what_led_another_run_to_start_this_one_neither_ends_it_nor_is_waited_for():
    story = a_story(wait_for("w", "support.opened"), exit_on=(Exit("order.placed"),))
    story.enrollment = replace(story.enrollment, trigger_event_id=None)
    story.happens("order.placed", START, order=an_order(id=8, number="1008"))
    story.happens("support.opened", START)
    assert story.decide(on(1)).position.step == "w"
    story.happens("support.opened", on(2))
    assert story.decide(on(2)).outcome == "finished"


def test_an_exit_may_depend_on_the_event_and_on_the_runs_own_order():
    bigger = Condition(
        "event.order.total > order.total", lambda names: names["event"]["order"]["total"] > names["order"]["total"]
    )
    story = a_story(wait("w", days(9)), exit_on=(Exit("order.placed", bigger, "bought more"),))
    story.happens("order.placed", on(1), order=an_order(id=8, number="1008", total_cents=100))
    assert story.decide(on(1)).ended is None
    story.happens("order.placed", on(2), order=an_order(id=9, number="1009", total_cents=9900))
    assert story.decide(on(2)).outcome == "bought more"


def test_an_exit_may_depend_on_what_the_event_carries():
    urgent = equals("event.priority", "urgent")
    story = a_story(wait("w", days(9)), exit_on=(Exit("support.opened", urgent),))
    story.happens("support.opened", on(1), priority="low")
    assert story.decide(on(1)).ended is None
    story.happens("support.opened", on(2), priority="urgent")
    assert story.decide(on(2)).outcome == "support.opened"


def test_the_earliest_of_two_exits_gives_the_outcome():
    story = a_story(wait("w", days(9)))
    story.happens("message.bounced", on(1))
    story.happens("customer.unsubscribed", on(2))
    assert story.decide(on(3)).outcome == "bounced"


def test_an_exit_told_late_does_not_turn_the_clock_back():
    story = a_story(wait("w", days(2)), wait("w2", days(2)))
    story.decide(on(2))
    story.happens("order.cancelled", on(1))
    assert story.decide(on(2, 1)).position.since == on(2)


# -- conditions, branches, ends --


def test_a_step_whose_condition_fails_is_skipped_with_a_note():
    gift = equals("order.is_gift", True)
    decision = a_story(send("s", when=gift), send("next")).decide(START)
    assert letters(decision) == [("next", 0, START)]
    assert reasons(decision) == [("s", "skipped", "when order.is_gift == True")]
    assert decision.notes[0].values == {"order.is_gift": False}


@pytest.mark.parametrize(
    "step",
    [
        wait("x", days(1), when=is_set("customer.last_name")),
        ask("x", when=is_set("customer.last_name")),
        branch("x", otherwise(stop("never")), when=is_set("customer.last_name")),
        stop("never", id="x", when=is_set("customer.last_name")),
    ],
    ids=["wait", "ask", "branch", "stop"],
)
def test_every_kind_of_step_can_be_skipped(step):
    assert letters(a_story(step, send("next")).decide(START)) == [("next", 0, START)]


def test_a_condition_is_asked_when_the_step_begins_not_while_it_runs():
    story = a_story(wait("w", days(2), when=is_set("order.note")), send("s"), known={"order": an_order(note="hi")})
    story.decide(START)
    story.facts = replace(story.facts, order=an_order(note=None))
    assert story.decide(on(1)).position == Position("w", Phase.WAITING, START)


def test_the_first_case_that_holds_is_taken():
    story = a_story(
        branch(
            "b",
            case(is_set("customer.last_name"), stop("one")),
            case(is_set("customer.first_name"), stop("two")),
            otherwise(stop("three")),
        )
    )
    decision = story.decide(START)
    assert decision.outcome == "two"
    assert reasons(decision)[0] == ("b", "branch", "case 2: when customer.first_name")
    assert decision.notes[0].values == {"customer.first_name": "Ana"}


def test_otherwise_is_taken_when_no_case_holds():
    decision = a_story(branch("b", case(is_set("order.note"), stop("one")), otherwise(stop("two")))).decide(START)
    assert decision.outcome == "two"
    assert reasons(decision)[0] == ("b", "branch", "case 2: otherwise")


def test_a_branch_without_a_match_goes_on():
    decision = a_story(branch("b", case(is_set("order.note"), stop("one"))), send("after")).decide(START)
    assert letters(decision) == [("after", 0, START)]
    assert reasons(decision) == [("b", "branch", "no case holds")]


def test_after_the_last_step_of_a_case_comes_what_follows_the_branch():
    inner = branch("inner", otherwise(wait("w", days(1))))
    story = a_story(branch("outer", otherwise(inner)), send("after"))
    assert letters(story.decide(on(1))) == [("after", 0, on(1))]


def test_a_nested_branch_is_followed_by_its_own_siblings_first():
    inner = branch("inner", otherwise(wait("w", days(1))))
    story = a_story(branch("outer", otherwise(inner, send("sibling"))), send("after"))
    assert letters(story.decide(on(1))) == [("sibling", 0, on(1))]


def test_an_empty_case_goes_on_after_the_branch():
    assert letters(a_story(branch("b", otherwise()), send("after")).decide(START)) == [("after", 0, START)]


def test_a_stop_ends_with_its_outcome():
    decision = a_story(stop("problem reported"), send("s")).decide(START)
    assert (decision.ended, decision.outcome) == (Action.COMPLETE, "problem reported")
    assert decision.effects == (CancelMessages(),)
    assert decision.position == Position("stop: problem reported", Phase.DONE, START)
    assert decision.wake_at is None


def test_the_end_of_the_file_ends_the_run():
    decision = a_story(wait("w", days(1))).decide(on(2))
    assert (decision.ended, decision.outcome) == (Action.COMPLETE, "finished")
    assert decision.position == Position(None, Phase.DONE, on(1))


def test_a_workflow_without_steps_ends_at_once():
    assert a_story().decide(START).outcome == "finished"


def test_a_position_that_the_version_does_not_know_is_a_bug():
    workflow = a_workflow(send("s"))
    stranded = an_enrollment(workflow, position=Position("gone", Phase.BEFORE, START))
    with pytest.raises(AssertionError, match="gone"):
        decide(workflow, stranded, facts(), now=START)


def test_a_decision_needs_no_history_to_explain_itself():
    """Facts may come from anywhere: here they are written by hand, not told by a story."""
    workflow = a_workflow(ask("q"), branch("b", case(answer("good"), stop("good"))))
    standing = an_enrollment(workflow, position=Position("q", Phase.ASKED, START))
    known = facts(customer=a_customer(), sent=by_step(sent("q")), responses=(a_response("q", on(1), answer="good"),))
    assert decide(workflow, standing, known, now=on(2)).outcome == "good"


def test_a_value_is_found_by_its_dotted_name_or_missing():
    known = {"order": {"total": 5}}
    assert [value_at(known, name) for name in ("order.total", "order.x", "x.y", "order.total.z")] == [
        5,
        None,
        None,
        None,
    ]
