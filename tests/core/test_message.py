"""The moves of a message, and what the provider said of it."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.message import (
    CANCELLABLE,
    FINAL,
    MAY_HAVE_LEFT,
    NOT_SENT,
    TRANSITIONS,
    Action,
    MessageState,
    Outcome,
    goal,
    moved,
    outcome,
    sources,
)
from followup.errors import IllegalTransition

UNLISTED = [pair for pair in product(MessageState, Action) if pair not in TRANSITIONS]


@pytest.mark.parametrize(("state", "action"), UNLISTED)
def test_an_unlisted_move_is_illegal(state, action):
    with pytest.raises(IllegalTransition, match=f"a message that is {state.value} cannot {action.value}"):
        moved(state, action)


def test_a_letter_goes_out_step_by_step():
    state = MessageState.DUE
    for action in (Action.CLAIM, Action.BEGIN, Action.ACCEPT):
        state = moved(state, action)
    assert state is MessageState.ACCEPTED


def test_what_may_have_left_is_never_due_again_by_itself():
    ways = {action for state, action in TRANSITIONS if state is MessageState.UNKNOWN}
    assert ways == {Action.ACCEPT, Action.PROVE, Action.RESEND}
    assert [state for state, action in TRANSITIONS if action is Action.RESEND] == [MessageState.UNKNOWN]


def test_nothing_is_rendered_or_sent_without_a_claim():
    assert sources(Action.BEGIN) == (MessageState.CLAIMED,)
    assert sources(Action.CLAIM) == (MessageState.DUE,)


def test_only_these_states_are_final():
    assert {state.value for state in FINAL} == {"accepted", "rejected", "skipped", "expired", "cancelled"}


def test_a_letter_that_is_over_was_either_sent_or_not():
    assert {MessageState.ACCEPTED} | NOT_SENT == FINAL
    assert not NOT_SENT & MAY_HAVE_LEFT


def test_cancelling_is_legal_exactly_where_nothing_can_have_left():
    assert set(sources(Action.CANCEL)) == CANCELLABLE
    assert not CANCELLABLE & MAY_HAVE_LEFT


@pytest.mark.parametrize("action", Action)
def test_every_action_has_one_goal_from_wherever_it_starts(action):
    assert sources(action)
    assert {moved(state, action) for state in sources(action)} == {goal(action)}


def test_every_state_but_the_first_can_be_reached():
    assert {*TRANSITIONS.values()} == {*MessageState}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_outcome_is_the_gravest_in_whatever_order_it_was_told(size):
    for events in permutations(Outcome, size):
        assert outcome(events) is outcome(reversed(events)) is sorted(events, key=list(Outcome).index)[-1]


@given(st.lists(st.sampled_from(Outcome)), st.randoms())
def test_the_outcome_ignores_order_and_repetition(events, random):
    shuffled = events * 2
    random.shuffle(shuffled)
    assert outcome(shuffled) is outcome(events)


def test_without_a_word_from_the_provider_a_letter_is_accepted():
    assert outcome([]) is Outcome.ACCEPTED


def test_a_bounce_after_delivery_is_a_bounce():
    assert outcome([Outcome.BOUNCED, Outcome.DELIVERED]) is Outcome.BOUNCED
