"""Whether one person's letters may leave: a pause, a breaker, a rate."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.message import Accepted, Answer, Cause, Misconfigured, Rejected, RetrySafe, Unknown
from followup.core.sender import (
    BURST,
    FAILURES,
    FAILURES_WITHIN,
    MANY,
    OPEN_FIRST,
    OPEN_MOST,
    PROBE_LASTS,
    Sender,
    allowance,
    begun,
    settled,
)
from tests.core.make import START

MARA = Sender(key="mara")
SECOND = timedelta(seconds=1)
LOST = Unknown("no answer")
BUSINESS = START + timedelta(days=400)  # another clock altogether


def limited(span: timedelta) -> RetrySafe:
    return RetrySafe(BUSINESS + span, "429", Cause.LIMITED)


def after(sender: Sender, *answers: Answer, seconds: float = 0, first: int = 1) -> Sender:
    """Return how the sender stands once letters *first*, *first* + 1, … were answered at that time."""
    return settled(sender, enumerate(answers, start=first), START + seconds * SECOND, BUSINESS)


def opened(trips: int = 1) -> Sender:
    """Return a sender whose breaker opened at the start, for the *trips*-th time in a row."""
    sender = after(MARA, LOST, LOST, LOST)
    return replace(sender, trips=trips)


# -- the breaker --


def test_three_letters_of_unknown_fate_within_a_minute_open_the_breaker():
    assert allowance(after(MARA, LOST, LOST), START, None) == MANY
    sender = after(MARA, LOST, LOST, LOST)
    assert (sender.trips, sender.because, sender.closed_until) == (1, "no answer", START + OPEN_FIRST)
    assert allowance(sender, START, None) == 0


def test_they_need_not_come_in_one_wave():
    sender = after(after(after(MARA, LOST), LOST, seconds=30), LOST, seconds=60)
    assert sender.trips == 1


def test_what_is_spread_over_more_than_a_minute_opens_nothing():
    sender = after(after(MARA, LOST, LOST), LOST, seconds=61)
    assert (sender.trips, sender.failures, sender.failing_since) == (0, 1, START + 61 * SECOND)


@pytest.mark.parametrize("well", [Accepted("X"), Rejected("no such mailbox")])
def test_an_answer_that_shows_the_provider_is_there_begins_the_count_anew(well: Answer):
    assert after(MARA, LOST, LOST, well) == MARA
    assert after(MARA, LOST, LOST, well, LOST, LOST).trips == 0


def test_a_limit_shows_it_as_well_and_losses_before_it_count_no_more():
    sender = after(MARA, LOST, LOST, limited(2 * SECOND))
    assert after(sender, LOST, seconds=3).failures == 1
    assert after(sender, LOST, LOST, seconds=3).trips == 0


@pytest.mark.parametrize("neither", [RetrySafe(START, "no connection"), Misconfigured("401")])
def test_what_did_not_get_there_neither_counts_nor_clears(neither: Answer):
    assert after(MARA, LOST, LOST, neither).failures == 2
    assert after(MARA, *[neither] * 9).trips == 0


def test_when_its_time_is_over_exactly_one_letter_tries():
    sender, later = opened(), START + OPEN_FIRST
    assert allowance(sender, later - SECOND, None) == 0
    assert allowance(sender, later, None) == 1
    assert allowance(sender, later, per_minute=6_000) == 1
    probing = begun(sender, [7], later, None)
    assert (probing.probe, probing.closed_until) == (7, later + PROBE_LASTS)
    assert allowance(probing, later, None) == 0


@pytest.mark.parametrize("well", [Accepted("X"), Rejected("no such mailbox")])
def test_a_probe_that_gets_through_lets_all_go(well: Answer):
    probing = begun(opened(), [7], START + OPEN_FIRST, None)
    assert after(probing, well, first=7) == MARA


@pytest.mark.parametrize("bad", [LOST, RetrySafe(BUSINESS, "no connection")])
def test_a_probe_that_does_not_makes_all_wait_twice_as_long(bad: Answer):
    probing = begun(opened(), [7], START + OPEN_FIRST, None)
    sender = after(probing, bad, first=7)
    assert (sender.trips, sender.closed_until, sender.probe) == (2, START + 2 * OPEN_FIRST, None)


def test_the_wait_grows_to_ten_minutes_and_no_longer():
    waits = []
    for trips in (*range(1, 8), 40):
        probing = begun(opened(trips), [7], START, None)
        sender = after(probing, LOST, first=7)
        waits.append(sender.closed_until - START)
    assert waits == [timedelta(seconds=s) for s in (60, 120, 240, 480, 600, 600, 600, 600)]
    assert max(waits) == OPEN_MOST


def test_a_probe_whose_worker_died_is_followed_by_another():
    probing = begun(opened(), [7], START, None)
    assert allowance(probing, START + PROBE_LASTS - SECOND, None) == 0
    assert allowance(probing, START + PROBE_LASTS, None) == 1
    assert begun(probing, [8], START + PROBE_LASTS, None).probe == 8


def test_a_straggler_that_left_before_the_breaker_opened_does_not_lengthen_it():
    sender = opened()
    assert after(sender, LOST, LOST, LOST, first=90, seconds=5) == sender
    probing = begun(sender, [7], START + OPEN_FIRST, None)
    assert after(probing, LOST, LOST, LOST, first=90, seconds=40) == probing


def test_what_is_lost_after_a_trip_and_before_its_probe_does_not_count():
    sender = opened()
    assert after(sender, LOST, first=90, seconds=31) == sender


def test_a_straggler_that_was_accepted_shows_that_the_provider_is_back():
    assert after(opened(), Accepted("X"), first=90) == MARA


def test_what_we_kept_back_ourselves_says_nothing():
    kept = RetrySafe(BUSINESS, "not begun", Cause.KEPT)
    probing = begun(opened(), [7], START, None)
    assert after(probing, kept, first=7) == probing
    assert after(MARA, *[kept] * 9) == MARA


# -- a limit of the provider's --


def test_a_limit_closes_the_sender_until_it_ends_by_the_other_clock_too():
    sender = after(MARA, limited(90 * SECOND))
    assert (sender.closed_until, sender.because, sender.trips) == (START + 90 * SECOND, "429", 0)
    assert allowance(sender, START + 89 * SECOND, None) == 0
    assert allowance(sender, START + 90 * SECOND, None) == MANY


def test_a_limit_is_an_answer_and_no_failure():
    assert after(MARA, LOST, LOST, limited(SECOND), LOST, LOST).trips == 0


def test_the_longest_of_several_limits_holds():
    for spans in ((60, 5), (5, 60)):
        sender = after(MARA, *(limited(span * SECOND) for span in spans))
        assert sender.closed_until == START + 60 * SECOND


def test_a_probe_that_is_told_a_limit_has_reached_the_provider():
    probing = begun(opened(), [7], START, None)
    sender = after(probing, limited(5 * SECOND), first=7)
    assert (sender.trips, sender.probe, sender.closed_until) == (0, None, START + 5 * SECOND)


# -- a pause --


def test_a_provider_that_refuses_the_sender_pauses_it_whatever_comes_after():
    sender = after(MARA, Misconfigured("401"), Misconfigured("403"))
    assert (sender.paused, sender.is_plain) == ("401", False)
    assert allowance(sender, START + timedelta(days=99), None) == 0
    assert after(sender, Accepted("X")).paused == "401", "it left before; the settings are as wrong as they were"
    assert after(sender, LOST, LOST, LOST).paused == "401"


# -- the rate --


def test_letters_are_spread_evenly_and_no_more_at_once_than_five_seconds_hold():
    assert allowance(MARA, START, per_minute=60) == 5
    sender = begun(MARA, range(5), START, 60)
    assert allowance(sender, START, 60) == 0
    assert [allowance(sender, START + n * SECOND, 60) for n in range(7)] == [0, 1, 2, 3, 4, 5, 5]


def test_a_slow_rate_still_lets_one_go():
    assert allowance(MARA, START, per_minute=1) == 1
    sender = begun(MARA, [1], START, 1)
    assert allowance(sender, START + 59 * SECOND, 1) == 0
    assert allowance(sender, START + 60 * SECOND, 1) == 1


def test_a_rate_survives_what_clears_the_rest():
    sender = begun(MARA, range(5), START, 60)
    assert after(sender, Accepted("X")).next_at == sender.next_at
    assert after(sender, LOST, LOST, LOST).next_at == sender.next_at


def test_a_rate_that_was_taken_away_does_not_count():
    assert allowance(begun(MARA, range(500), START, 60), START, None) == MANY


def test_nothing_taken_changes_nothing():
    assert begun(opened(), [], START, 60) == opened()


ANSWERS = st.sampled_from(
    [
        Accepted("X"),
        Rejected("no"),
        Misconfigured("401"),
        LOST,
        RetrySafe(BUSINESS, "no connection"),
        RetrySafe(BUSINESS, "not begun", Cause.KEPT),
        limited(30 * SECOND),
    ]
)


@given(st.lists(st.tuples(ANSWERS, st.integers(0, 200)), max_size=40), st.sampled_from([None, 1, 60, 6_000]))
def test_however_it_goes_letters_leave_again_by_themselves_unless_it_is_paused(told, per_minute):
    sender, now = MARA, START
    for number, (answer, seconds) in enumerate(told):
        now += seconds * SECOND
        if allowance(sender, now, per_minute):
            sender = begun(sender, [number], now, per_minute)
        sender = settled(sender, [(number, answer)], now, BUSINESS)
    assert (allowance(sender, now + OPEN_MOST + PROBE_LASTS, per_minute) > 0) is (sender.paused is None)


@given(st.integers(1, 100_000), st.lists(st.floats(0, 20), min_size=1, max_size=60))
def test_no_more_leave_than_the_rate_and_one_burst_allow(per_minute, pauses):
    sender, now, left = MARA, START, 0
    for pause in pauses:
        now += pause * SECOND
        room = allowance(sender, now, per_minute)
        sender, left = begun(sender, range(room), now, per_minute), left + room
    passed = (now - START - pauses[0] * SECOND) / SECOND
    allowed = max(1, per_minute * BURST / timedelta(minutes=1)) + per_minute * passed / 60
    assert left <= 1.001 * allowed + 1, "an interval is whole microseconds"


def test_the_numbers_are_what_the_documentation_says():
    assert (FAILURES, FAILURES_WITHIN, OPEN_FIRST, OPEN_MOST) == (3, 60 * SECOND, 30 * SECOND, 600 * SECOND)
