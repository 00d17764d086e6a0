"""Intervals as they were published, and what holds for all."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.statistics import Interval, median, newcombe_difference, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_as_newcombe_published_it(successes: int, trials: int, low: float, high: float) -> None:
    """Newcombe 1998a (the single proportion), table I, method 3."""
    assert rounded(wilson(successes, trials)) == (low, high)


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_the_difference_is_as_newcombe_published_it(
    ours: tuple[int, int], theirs: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe 1998b (the difference), table II, method 10, contrasts (a) to (h)."""
    assert rounded(newcombe_difference(*ours, *theirs)) == (low, high)


def rounded(interval: Interval) -> tuple[float, float]:
    return round(interval.low, 4), round(interval.high, 4)


def test_none_and_all_are_exact() -> None:
    for trials in (1, 3, 7, 49, 1_000_003):
        assert wilson(0, trials).low == 0
        assert wilson(trials, trials).high == 1
        assert newcombe_difference(trials, trials, 0, trials).high == 1
        assert newcombe_difference(0, trials, trials, trials).low == -1


def test_of_nobody_nothing_is_known() -> None:
    assert wilson(0, 0) == Interval(0, 1)
    assert newcombe_difference(0, 0, 3, 4) == newcombe_difference(3, 4, 0, 0) == Interval(-1, 1)


counts = st.integers(1, 100_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@given(counts)
def test_an_interval_holds_its_share_within_0_and_1(group: tuple[int, int]) -> None:
    successes, trials = group
    interval = wilson(successes, trials)
    assert 0 <= interval.low <= interval.high <= 1
    assert successes / trials in interval


@given(counts)
def test_those_who_did_not_are_the_mirror_of_those_who_did(group: tuple[int, int]) -> None:
    successes, trials = group
    did, did_not = wilson(successes, trials), wilson(trials - successes, trials)
    assert (did.low, did.high) == pytest.approx((1 - did_not.high, 1 - did_not.low), abs=1e-12)


@given(counts, st.integers(2, 9))
def test_more_of_the_same_narrows_an_interval(group: tuple[int, int], times: int) -> None:
    successes, trials = group
    few, many = wilson(successes, trials), wilson(successes * times, trials * times)
    assert many.high - many.low < few.high - few.low


@given(counts, counts)
def test_a_difference_lies_in_its_interval_within_minus_1_and_1(ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    interval = newcombe_difference(*ours, *theirs)
    assert -1 <= interval.low <= interval.high <= 1
    assert ours[0] / ours[1] - theirs[0] / theirs[1] in interval


@given(counts, counts)
def test_a_difference_the_other_way_round_is_its_mirror(ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    there, back = newcombe_difference(*ours, *theirs), newcombe_difference(*theirs, *ours)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-12)


@given(counts)
def test_two_that_are_alike_do_not_differ(group: tuple[int, int]) -> None:
    assert 0 in newcombe_difference(*group, *group)


def test_a_median_is_in_the_middle() -> None:
    one, two, three, nine = (timedelta(hours=hours) for hours in (1, 2, 3, 9))
    assert median([]) is None
    assert median([three]) == three
    assert median([nine, one, two]) == two
    assert median([nine, one, two, three]) == timedelta(hours=2, minutes=30)
