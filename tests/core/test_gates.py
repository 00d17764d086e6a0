"""Every reason not to send, each alone, in order, and within its bounds."""

from dataclasses import replace
from datetime import time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.asks import OPENED
from followup.core.customer import ConsentBasis
from followup.core.enrollment import EnrollmentState, Phase, Position
from followup.core.gates import (
    FIRST_LETTERS,
    GATES,
    SHORTEST_POSTPONE,
    Candidate,
    VerdictKind,
    judge,
    last_chance,
)
from followup.core.message import MessageState, Purpose
from followup.core.order import OrderStatus
from followup.core.schedule import Calendar, SendWindow
from followup.core.transfer import UNNEEDED
from followup.core.workflow import Cap, WorkflowStatus
from tests.core.make import (
    START,
    a_customer,
    a_response,
    a_shop,
    a_workflow,
    an_enrollment,
    an_order,
    answer,
    ask,
    by_step,
    days,
    equals,
    facts,
    is_set,
    on,
    send,
    sent,
    utc,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EVENING = SendWindow(opens=time(18), closes=time(20))  # the start of all stories is 09:00 UTC
A_WEEK_OF_ONE = Cap(1, 7 * DAY)


def a_candidate(*, step=None, due_at=START, known=None, workflow=None, **options):
    """Return a letter due at the start to which nobody objects, unless told otherwise."""
    step = step or send("s")
    workflow = a_workflow(step, **workflow or {})
    defaults = {
        "workflow": workflow,
        "enrollment": an_enrollment(workflow),
        "facts": facts(**known or {}),
        "step": step.id,
        "round": 0,
        "postponed_since": None,
        "due_at": due_at,
        "not_after": due_at + workflow.max_late,
        "purpose": Purpose.RELATIONSHIP,
    }
    return Candidate(**defaults | options)


def a_question(**options):
    """Return a question that is reminded of."""
    return ask("q", **{"remind_after": days(3), **options})


def a_reminder(*, responses=(), **options):
    """Return a reminder due three days after its question, which is given five."""
    known = {"sent": by_step(sent("q")), "responses": responses}
    return a_candidate(**{"step": a_question(), "due_at": on(3), "known": known, "round": 1, **options})


def kind_and_gate(verdict):
    return verdict and (verdict.kind, verdict.gate)


def test_nobody_objects_to_a_letter_in_its_time():
    assert judge(a_candidate(), now=START) is None


def test_a_reminder_that_its_question_does_not_want_any_more_does_not_leave():
    verdict = judge(a_reminder(step=ask("q")), now=on(3))
    assert (verdict.kind, verdict.gate, verdict.reason) == (VerdictKind.CANCEL, "step", UNNEEDED)


def test_nobody_objects_to_a_reminder_in_its_time():
    assert judge(a_reminder(), now=on(3)) is None


# -- each gate alone --


@pytest.mark.parametrize("status", [WorkflowStatus.PAUSED, WorkflowStatus.DRAFT])
def test_a_workflow_that_is_not_live_holds_its_letters(status):
    verdict = judge(a_candidate(workflow={"status": status}), now=START)
    assert kind_and_gate(verdict) == (VerdictKind.HOLD, "paused")
    assert verdict.reason == f"the workflow is {status.value}"


def test_an_archived_workflow_cancels_its_letters_and_reminders():
    for candidate in (a_candidate, a_reminder):
        verdict = judge(candidate(workflow={"status": WorkflowStatus.ARCHIVED}), now=on(3))
        assert kind_and_gate(verdict) == (VerdictKind.CANCEL, "paused")
        assert verdict.reason == "the workflow is archived"


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.REFUNDED])
def test_a_void_order_cancels_its_letters(status):
    verdict = judge(a_candidate(known={"order": an_order(status=status)}), now=START)
    assert kind_and_gate(verdict) == (VerdictKind.CANCEL, "order")
    assert verdict.values == {"order": "1007"}


def test_a_letter_without_an_order_needs_none():
    assert judge(a_candidate(known={"order": None}), now=START) is None


def test_a_suppressed_address_gets_nothing_and_the_reason_is_kept():
    verdict = judge(a_candidate(suppressed="complained", purpose=Purpose.SERVICE), now=START)
    assert kind_and_gate(verdict) == (VerdictKind.CANCEL, "suppressed")
    assert "complained" in verdict.reason


RECENT, OLD = on(-30), on(-731)
SERVICE, RELATIONSHIP, MARKETING = Purpose
CONSENT = [
    # basis, last order, strict shop, the purposes that may go out
    (ConsentBasis.OPT_IN, RECENT, False, {SERVICE, RELATIONSHIP, MARKETING}),
    (ConsentBasis.OPT_IN, None, True, {SERVICE, RELATIONSHIP, MARKETING}),
    (ConsentBasis.EXISTING_CUSTOMER, RECENT, False, {SERVICE, RELATIONSHIP}),
    (ConsentBasis.EXISTING_CUSTOMER, RECENT, True, {SERVICE, RELATIONSHIP}),
    (ConsentBasis.EXISTING_CUSTOMER, OLD, False, {SERVICE}),
    (ConsentBasis.EXISTING_CUSTOMER, None, False, {SERVICE}),
    (ConsentBasis.UNKNOWN, RECENT, False, {SERVICE, RELATIONSHIP}),
    (ConsentBasis.UNKNOWN, OLD, False, {SERVICE}),
    (ConsentBasis.UNKNOWN, RECENT, True, {SERVICE}),
    (ConsentBasis.NONE, RECENT, False, {SERVICE}),
    (ConsentBasis.NONE, RECENT, True, {SERVICE}),
]


@pytest.mark.parametrize(("basis", "last_order_at", "strict", "allowed"), CONSENT)
def test_consent_decides_by_basis_purpose_and_strictness(basis, last_order_at, strict, allowed):
    known = {
        "customer": a_customer(consent_basis=basis, last_order_at=last_order_at),
        "shop": a_shop(strict_consent=strict),
    }
    verdicts = {purpose: judge(a_candidate(known=known, purpose=purpose), now=START) for purpose in Purpose}
    assert {purpose for purpose, verdict in verdicts.items() if verdict is None} == allowed
    objections = {kind_and_gate(verdict) for verdict in verdicts.values() if verdict}
    assert objections <= {(VerdictKind.SKIP, "consent")}


def test_a_refusal_for_want_of_consent_says_what_it_rests_on():
    known = {"customer": a_customer(consent_basis=ConsentBasis.NONE)}
    verdict = judge(a_candidate(known=known), now=START)
    assert verdict.values == {"consent_basis": "none", "last_order_at": on(-5), "purpose": "relationship"}


@pytest.mark.parametrize("purpose", Purpose)
def test_nothing_goes_to_a_customer_who_waits_for_us(purpose):
    verdict = judge(a_candidate(waiting_since=on(-1), purpose=purpose), now=START)
    assert kind_and_gate(verdict) == (VerdictKind.HOLD, "waiting_for_us")
    assert verdict.values == {"waiting_since": on(-1)}


@pytest.mark.parametrize(("provisional", "reason"), [(False, "already answered"), (True, OPENED)])
def test_a_reminder_is_not_for_those_who_answered(provisional, reason):
    said = a_response("q", on(1), provisional=provisional)
    verdict = judge(a_reminder(responses=(said,)), now=on(3))
    assert kind_and_gate(verdict) == (VerdictKind.SKIP, "answered")
    assert verdict.reason == reason


def test_an_answer_to_another_question_stops_no_reminder():
    assert judge(a_reminder(responses=(a_response("other", on(1)),)), now=on(3)) is None


def test_a_condition_that_no_longer_holds_skips_the_letter():
    step = send("s", when=equals("order.is_gift", True))
    verdict = judge(a_candidate(step=step), now=START)
    assert kind_and_gate(verdict) == (VerdictKind.SKIP, "when")
    assert verdict.reason == "no longer true: order.is_gift == True"
    assert verdict.values == {"order.is_gift": False}


@pytest.mark.parametrize(
    ("second", "round_"),
    [
        ({"state": MessageState.DUE, "accepted_at": None}, 0),
        ({"state": MessageState.CLAIMED, "accepted_at": None}, 0),
        ({}, 1),
    ],
    ids=["due", "claimed", "reminder"],
)
def test_the_condition_of_a_second_question_reads_the_answer_to_the_first(second, round_):
    step = ask("second", when=answer("good"), remind_after=days(3))
    workflow = a_workflow(ask("first"), step)
    known = facts(
        sent=by_step(sent("first", id=1), sent("second", id=2, **second)),
        responses=(a_response("first", START, answer="good"),),
    )
    candidate = replace(a_candidate(step=step), workflow=workflow, facts=known, round=round_)
    assert judge(candidate, now=START) is None


def test_a_condition_that_still_holds_lets_the_letter_go():
    assert judge(a_candidate(step=send("s", when=is_set("customer.first_name"))), now=START) is None


@pytest.mark.parametrize(
    ("late", "objects"), [(-HOUR, False), (timedelta(0), False), (timedelta(microseconds=1), True)]
)
def test_a_letter_may_leave_up_to_its_last_moment(late, objects):
    verdict = judge(a_candidate(), now=on(3) + late)
    assert kind_and_gate(verdict) == ((VerdictKind.EXPIRE, "max_late") if objects else None)
    if objects:
        assert verdict.values == {"due_at": START, "not_after": on(3)}


@pytest.mark.parametrize(("now", "objects"), [(on(4) - HOUR, False), (on(4), True), (on(5), True)])
def test_a_reminder_that_slipped_too_near_the_timeout_is_dropped(now, objects):
    verdict = judge(a_reminder(), now=now)
    assert kind_and_gate(verdict) == ((VerdictKind.SKIP, "timeout") if objects else None)


def test_the_first_letter_of_a_question_knows_no_timeout_yet():
    waiting = {"sent": by_step(sent("q", state=MessageState.CLAIMED, accepted_at=None))}
    assert judge(a_candidate(step=a_question(), known=waiting), now=START) is None


# -- the cap --


@pytest.mark.parametrize(
    ("count", "recent", "until"),
    [
        (1, (), None),
        (1, (on(-6),), on(1)),
        (1, (on(-7),), None),  # exactly a span ago no longer counts
        (1, (on(-7) + HOUR,), START + HOUR),
        (1, (on(-6), on(-2)), on(5)),
        (2, (on(-6),), None),
        (2, (on(-6), on(-2)), on(1)),
        (2, (on(-6), on(-2), on(-1)), on(5)),
        (2, (on(-9), on(-2)), None),
        (3, (on(-3), on(-2), on(-1)), on(4)),
        (1, (START,), on(7)),  # another letter is on its way out
    ],
)
def test_the_cap_counts_a_rolling_span(count, recent, until):
    verdict = judge(a_candidate(workflow={"cap": Cap(count, 7 * DAY)}, recent=recent), now=START)
    assert (verdict and verdict.until) == until
    assert kind_and_gate(verdict) == ((VerdictKind.POSTPONE, "cap") if until else None)


def test_when_the_cap_lets_go_there_is_room():
    candidate = a_candidate(workflow={"cap": Cap(2, 7 * DAY)}, recent=(on(-6), on(-2), on(-1)))
    until = judge(candidate, now=START).until
    assert judge(replace(candidate, not_after=until), now=until) is None


def test_a_cap_explains_itself():
    verdict = judge(a_candidate(workflow={"cap": Cap(1, 5 * DAY)}, recent=(on(-2),)), now=START)
    assert verdict.reason == "1 letter in the last 5 days (the cap is 1)"
    assert verdict.values == {"cap": 1, "span_hours": 120, "last": on(-2)}


@pytest.mark.parametrize(("span", "words"), [(DAY, "1 day"), (2 * DAY, "2 days"), (36 * HOUR, "36 hours")])
def test_a_span_is_told_in_the_unit_a_person_would_use(span, words):
    verdict = judge(a_candidate(workflow={"cap": Cap(1, span)}, recent=(START,)), now=START)
    assert verdict.reason == f"1 letter in the last {words} (the cap is 1)"


def test_a_cap_may_skip_instead():
    verdict = judge(a_candidate(workflow={"cap": Cap(1, 7 * DAY, skip=True)}, recent=(on(-1),)), now=START)
    assert kind_and_gate(verdict) == (VerdictKind.SKIP, "cap")


def test_a_service_letter_is_not_held_by_the_cap():
    letter = a_candidate(workflow={"cap": A_WEEK_OF_ONE}, recent=(on(-1),), purpose=Purpose.SERVICE)
    assert judge(letter, now=START) is None


# -- the window --


def test_outside_the_window_a_letter_is_postponed_to_its_opening():
    verdict = judge(a_candidate(workflow={"send_window": EVENING}), now=START)
    assert kind_and_gate(verdict) == (VerdictKind.POSTPONE, "window")
    assert verdict.until == utc("2026-03-02 18:00")
    assert verdict.values == {"local_time": "2026-03-02T09:00+00:00"}


def test_inside_the_window_it_leaves():
    assert judge(a_candidate(workflow={"send_window": EVENING}), now=START + 9 * HOUR) is None


def test_a_window_follows_the_customers_clock():
    tokyo = {"calendar": Calendar(ZoneInfo("Asia/Tokyo"))}  # 18:00 there is our 09:00
    assert judge(a_candidate(workflow={"send_window": EVENING}, known=tokyo), now=START) is None


def test_a_window_with_a_zone_of_its_own_does_not_but_keeps_the_customers_holidays():
    new_york = replace(EVENING, zone=ZoneInfo("America/New_York"), business_days=True)
    tuesday_off = Calendar(ZoneInfo("Asia/Tokyo"), lambda day: day.isoformat() == "2026-03-03")
    letter = a_candidate(workflow={"send_window": new_york}, known={"calendar": tuesday_off})
    assert judge(letter, now=START).until == utc("2026-03-02 18:00-05:00")
    late_on_monday = utc("2026-03-02 21:00-05:00")
    assert judge(letter, now=late_on_monday).until == utc("2026-03-04 18:00-05:00")


def test_a_letter_with_a_reason_ignores_the_window():
    urgent = send("s", ignore_send_window="recall")
    assert judge(a_candidate(step=urgent, workflow={"send_window": EVENING}), now=START) is None


def test_a_window_that_never_opens_expires_the_letter():
    never = SendWindow(weekdays=frozenset())
    verdict = judge(a_candidate(workflow={"send_window": never}), now=START)
    assert kind_and_gate(verdict) == (VerdictKind.EXPIRE, "window")


# -- a database that was restored, a daily limit, first letters --


@pytest.mark.parametrize(("until", "doubtful"), [(START - HOUR, False), (START, True), (on(1), True), (None, False)])
def test_what_was_due_in_a_time_that_is_lost_may_have_left(until, doubtful):
    verdict = judge(a_candidate(in_doubt_until=until), now=on(1, 1))
    if not doubtful:
        assert verdict is None
        return
    assert kind_and_gate(verdict) == (VerdictKind.DOUBT, "restored")
    assert verdict.values == {"due_at": START, "lost_until": until}


def test_a_reminder_may_have_left_as_well():
    assert judge(a_reminder(in_doubt_until=on(9)), now=on(3)).kind is VerdictKind.DOUBT


@pytest.mark.parametrize(("left", "leaves"), [(0, True), (2, True), (3, False), (4, False)])
def test_a_workflow_sends_so_many_letters_in_24_hours(left, leaves):
    today = tuple(START + n * HOUR for n in range(left))
    verdict = judge(a_candidate(workflow={"per_day": 3}, today=today), now=on(0, 6))
    assert (verdict is None) is leaves


def test_what_exceeds_the_limit_waits_until_enough_of_the_others_are_a_day_old():
    today = (on(0, 1), on(0, 2), on(0, 5), on(0, 5))
    verdict = judge(a_candidate(workflow={"per_day": 3}, today=today), now=on(0, 6))
    assert kind_and_gate(verdict) == (VerdictKind.POSTPONE, "per_day")
    assert verdict.until == on(1, 2), "with the one of 01:00 gone there are still three"
    assert verdict.values == {"per_day": 3, "left": 4}


def test_waiting_for_the_daily_limit_has_the_end_of_all_postponing():
    letter = a_candidate(workflow={"per_day": 1, "max_postpone": HOUR}, today=(START,))
    assert kind_and_gate(judge(letter, now=on(0, 1))) == (VerdictKind.EXPIRE, "max_postpone")


def test_the_first_letters_are_held_and_their_reminders_are_not():
    verdict = judge(a_candidate(unread=True), now=START)
    assert (*kind_and_gate(verdict), verdict.reason) == (VerdictKind.HOLD, "first_letters", FIRST_LETTERS)
    assert judge(a_reminder(unread=True), now=on(3)) is None


def test_only_what_nothing_else_stops_is_given_to_somebody_to_read():
    assert judge(a_candidate(unread=True, workflow={"per_day": 1}, today=(START,)), now=START).gate == "per_day"
    assert GATES[-1].__name__ == "first_letters"


# -- bounds --


def test_a_postponement_is_at_least_a_minute():
    just_before = utc("2026-03-02 17:59:59")
    verdict = judge(a_candidate(workflow={"send_window": EVENING}), now=just_before)
    assert verdict.until == just_before + SHORTEST_POSTPONE


@pytest.mark.parametrize(("max_postpone", "expires"), [(9 * HOUR, False), (9 * HOUR - timedelta(seconds=1), True)])
def test_all_postponing_together_has_an_end(max_postpone, expires):
    options = {"send_window": EVENING, "max_postpone": max_postpone}
    verdict = judge(a_candidate(workflow=options), now=START)
    if not expires:
        assert kind_and_gate(verdict) == (VerdictKind.POSTPONE, "window")
        return
    assert kind_and_gate(verdict) == (VerdictKind.EXPIRE, "max_postpone")
    assert "outside the send window" in verdict.reason
    assert verdict.values["next_chance"] == utc("2026-03-02 18:00")
    assert verdict.values["postponable_until"] == START + max_postpone


def test_the_end_of_postponing_counts_from_when_it_began():
    letter = a_candidate(workflow={"send_window": EVENING}, postponed_since=on(-14))
    assert kind_and_gate(judge(letter, now=START)) == (VerdictKind.EXPIRE, "max_postpone")


def test_what_lay_before_a_backfill_is_not_counted_as_postponing():
    letter = a_candidate(workflow={"send_window": EVENING, "max_late": 60 * DAY}, due_at=on(-30))
    assert kind_and_gate(judge(letter, now=START)) == (VerdictKind.POSTPONE, "window")


def test_lateness_counts_from_when_the_window_was_first_open():
    workflow = a_workflow(send("s"), send_window=EVENING)
    assert last_chance(workflow, "s", START, Calendar(ZoneInfo("UTC"))) == on(0, 9) + workflow.max_late
    assert last_chance(a_workflow(send("s")), "s", START, Calendar(ZoneInfo("UTC"))) == START + workflow.max_late


@pytest.mark.parametrize(
    ("options", "gate"),
    [({"workflow": {"status": WorkflowStatus.PAUSED}}, "paused"), ({"waiting_since": on(2)}, "waiting_for_us")],
)
def test_a_reminder_is_skipped_rather_than_held(options, gate):
    assert kind_and_gate(judge(a_reminder(**options), now=on(3))) == (VerdictKind.SKIP, gate)


def test_a_reminder_is_moved_into_the_window():
    verdict = judge(a_reminder(workflow={"send_window": EVENING}), now=on(3))
    assert (verdict.kind, verdict.until) == (VerdictKind.POSTPONE, on(3, 9))


def test_a_reminder_moved_too_near_the_timeout_is_dropped_then():
    reminder = a_reminder(step=a_question(timeout=days(4.2)), workflow={"send_window": EVENING})
    until = judge(reminder, now=on(3)).until
    verdict = judge(replace(reminder, not_after=until + DAY), now=until)
    assert kind_and_gate(verdict) == (VerdictKind.SKIP, "timeout")


# -- the order between them --


OBJECTIONS = [
    ("restored", {"in_doubt_until": on(3)}),
    ("run", {"enrollment": {"state": EnrollmentState.EXITED}}),
    ("step", {"enrollment": {"position": Position("later", Phase.WAITING, START)}}),
    ("halted", {"halted": "an operator"}),
    ("paused", {"workflow": {"status": WorkflowStatus.PAUSED}}),
    ("order", {"known": {"order": an_order(status=OrderStatus.CANCELLED)}}),
    ("suppressed", {"suppressed": "asked to stop"}),
    ("consent", {"known": {"customer": a_customer(consent_basis=ConsentBasis.NONE)}}),
    ("waiting_for_us", {"waiting_since": on(-1)}),
    ("answered", {"known": {"responses": (a_response("q", START),)}}),
    ("when", {"step": a_question(when=is_set("order.note"))}),
    ("max_late", {"not_after": on(2)}),
    ("timeout", {"known": {"sent": by_step(sent("q", accepted_at=on(-9)))}}),
    ("cap", {"workflow": {"cap": A_WEEK_OF_ONE}, "recent": (on(2),)}),
    ("window", {"workflow": {"send_window": EVENING}}),
    ("per_day", {"workflow": {"per_day": 1}, "today": (on(3),)}),
]


def with_objections(*options):
    """Return a reminder with all of *options* together."""
    merged = {"step": a_question(), "known": {"sent": by_step(sent("q"))}, "workflow": {}}
    for option in options:
        for key, value in option.items():
            merged[key] = {**merged.get(key, {}), **value} if key in {"known", "workflow", "enrollment"} else value
    if changed := merged.pop("enrollment", None):
        merged["enrollment"] = replace(an_enrollment(a_workflow(a_question())), **changed)
    return a_candidate(**{"round": 1, "due_at": on(3), **merged})


@pytest.mark.parametrize(("gate", "option"), OBJECTIONS, ids=[gate for gate, _ in OBJECTIONS])
def test_each_objection_is_one_by_itself(gate, option):
    assert judge(with_objections(option), now=on(3)).gate == gate


@pytest.mark.parametrize(
    ("first", "second"), list(pairwise(OBJECTIONS)), ids=[f"{a[0]}, {b[0]}" for a, b in pairwise(OBJECTIONS)]
)
def test_of_two_objections_the_earlier_gate_decides(first, second):
    assert judge(with_objections(first[1], second[1]), now=on(3)).gate == first[0]


def test_every_gate_has_its_place_in_these_tests():
    assert len(GATES) == len(OBJECTIONS) + 2, "and capacity and first letters, which concern no reminder"


# -- what holds for all --

spans = st.integers(1, 400).map(lambda n: n * HOUR)
caps = st.builds(Cap, count=st.integers(1, 4), span=spans, skip=st.booleans())
walls = st.times().map(lambda wall: wall.replace(second=0, microsecond=0))
windows = st.builds(SendWindow, opens=walls, closes=walls, weekdays=st.frozensets(st.integers(0, 6)))
recents = st.lists(st.integers(0, 500), max_size=6).map(lambda ago: tuple(sorted(START - n * HOUR for n in ago)))
limits = st.fixed_dictionaries(
    {
        "cap": st.none() | caps,
        "send_window": st.none() | windows,
        "max_late": st.integers(0, 200).map(lambda n: n * HOUR),
        "max_postpone": st.integers(0, 1000).map(lambda n: n * HOUR),
    }
)


@given(limits, recents, st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"]), st.sampled_from(Purpose))
def test_postponing_ends_soon_and_within_its_bound(rules, recent, zone, purpose):
    """Wait as each verdict says: the letter leaves, or is given up, after a few rounds."""
    known = {"calendar": Calendar(ZoneInfo(zone))}
    letter = a_candidate(workflow=rules, recent=recent, purpose=purpose, known=known)
    now = START
    for _ in range(2 * len(recent) + 6):  # each round outlasts a counted letter, or meets an opening
        verdict = judge(letter, now=now)
        if verdict is None or verdict.kind is not VerdictKind.POSTPONE:
            break
        assert now + SHORTEST_POSTPONE <= verdict.until <= START + letter.workflow.max_postpone
        since = letter.postponed_since or now
        now = verdict.until
        letter = replace(letter, due_at=now, not_after=now + letter.workflow.max_late, postponed_since=since)
    else:
        raise AssertionError("still postponing")


@given(limits, recents, st.integers(0, 2000))
def test_a_verdict_depends_on_nothing_but_its_arguments(rules, recent, after):
    letter, now = a_candidate(workflow=rules, recent=recent), START + after * HOUR
    assert judge(letter, now=now) == judge(letter, now=now)
