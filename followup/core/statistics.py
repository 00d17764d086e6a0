"""
The few statistics of the reports: intervals for shares, for the difference of two shares, and a median.

Shares of small numbers are the rule here (a holdout of 10% of a small shop), so the intervals are those that
hold with few and with none; the textbook's ``p ± 1.96 · sqrt(p(1-p)/n)`` says ``0% ± 0%`` of 0 out of 5.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from math import hypot, sqrt
from statistics import NormalDist

Z_95 = NormalDist().inv_cdf(0.975)  # 1.96


@dataclass(frozen=True, slots=True)
class Interval:
    """What a value lies between with 95% confidence, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(successes: int, trials: int) -> Interval:
    """
    Return the 95% score interval of the share *successes* / *trials*; of no trials, that of all shares.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 22 (1927) 209-212; method 3 (no continuity correction) in Newcombe's comparison of seven
    methods for the single proportion, Statistics in Medicine 17 (1998) 857-872.
    """
    if trials == 0:
        return Interval(0.0, 1.0)
    share, square = successes / trials, Z_95**2
    middle = 2 * successes + square
    half = Z_95 * sqrt(square + 4 * successes * (1 - share))
    whole = 2 * (trials + square)
    return Interval(  # at 0 and at all the formula is exact, but rounding is not
        0.0 if successes == 0 else (middle - half) / whole,
        1.0 if successes == trials else (middle + half) / whole,
    )


def newcombe_difference(successes: int, trials: int, other_successes: int, other_trials: int) -> Interval:
    """
    Return the 95% interval of the share *successes* / *trials* minus the share of the others, who are other people.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
    methods", Statistics in Medicine 17 (1998) 873-890: method 10, the hybrid score interval. Where one side has no
    trials, that of all differences.
    """
    if trials == 0 or other_trials == 0:
        return Interval(-1.0, 1.0)
    share, other_share = successes / trials, other_successes / other_trials
    own, others = wilson(successes, trials), wilson(other_successes, other_trials)
    difference = share - other_share
    return Interval(
        max(-1.0, difference - hypot(share - own.low, others.high - other_share)),
        min(1.0, difference + hypot(own.high - share, other_share - others.low)),
    )


def median(spans: Collection[timedelta]) -> timedelta | None:
    """Return the middle one of *spans*; of an even number, the mean of the middle two; None if there is none."""
    ordered = sorted(spans)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
