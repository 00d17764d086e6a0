"""The moves of an enrollment."""

from itertools import product

import pytest

from followup.core.enrollment import FINAL, TRANSITIONS, Action, EnrollmentState, moved
from followup.errors import IllegalTransition


def test_a_run_completes_or_exits():
    assert moved(EnrollmentState.ACTIVE, Action.COMPLETE) is EnrollmentState.COMPLETED
    assert moved(EnrollmentState.ACTIVE, Action.EXIT) is EnrollmentState.EXITED


@pytest.mark.parametrize(
    ("state", "action"), [pair for pair in product(EnrollmentState, Action) if pair not in TRANSITIONS]
)
def test_an_unlisted_move_is_illegal(state, action):
    with pytest.raises(IllegalTransition, match=f"an enrollment that is {state.value} cannot {action.value}"):
        moved(state, action)


def test_what_has_ended_stays_ended():
    assert {EnrollmentState.COMPLETED, EnrollmentState.EXITED} == FINAL
