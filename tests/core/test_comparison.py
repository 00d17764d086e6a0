"""What is concluded from two shares: never more than the numbers bear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.comparison import FEWEST, Comparison, Conclusion, Share


@pytest.mark.parametrize(
    ("ours", "others", "conclusion"),
    [
        ((0, 0), (0, 0), Conclusion.NOTHING),
        ((9, 80), (0, 0), Conclusion.NOTHING),
        ((0, 0), (9, 80), Conclusion.NOTHING),
        ((10, 10), (0, 10), Conclusion.TOO_FEW),
        ((FEWEST, FEWEST), (0, FEWEST - 1), Conclusion.TOO_FEW),
        ((FEWEST, FEWEST), (0, FEWEST), Conclusion.MORE),
        ((0, FEWEST), (FEWEST, FEWEST), Conclusion.LESS),
        ((30, 300), (25, 300), Conclusion.CANNOT_TELL),
        ((0, 300), (0, 300), Conclusion.CANNOT_TELL),
        ((56, 70), (48, 80), Conclusion.MORE),
    ],
)
def test_a_conclusion_needs_numbers_and_a_difference(
    ours: tuple[int, int], others: tuple[int, int], conclusion: Conclusion
) -> None:
    assert Comparison(Share(*ours), Share(*others)).conclusion is conclusion


def test_the_figures_of_a_comparison() -> None:
    comparison = Comparison(Share(56, 70), Share(48, 80))
    assert comparison.ours.value == 0.8
    assert comparison.difference == pytest.approx(0.2)
    assert (round(comparison.interval.low, 4), round(comparison.interval.high, 4)) == (0.0524, 0.3339)
    assert Comparison(Share(0, 0), Share(1, 2)).difference is None


groups = st.integers(0, 5_000).flatmap(lambda of: st.builds(Share, st.integers(0, of), st.just(of)))
MIRRORED = {Conclusion.MORE: Conclusion.LESS, Conclusion.LESS: Conclusion.MORE}


@given(groups, groups)
def test_whoever_is_named_first_the_conclusion_is_the_same(ours: Share, others: Share) -> None:
    there, back = Comparison(ours, others).conclusion, Comparison(others, ours).conclusion
    assert back is MIRRORED.get(there, there)


@given(groups, groups)
def test_nobody_wins_by_small_numbers_or_while_it_may_be_nothing(ours: Share, others: Share) -> None:
    comparison = Comparison(ours, others)
    if comparison.conclusion in MIRRORED:
        assert min(ours.of, others.of) >= FEWEST
        assert 0 not in comparison.interval
