"""Reading an answer out of what someone wrote: only when it is nothing but that answer."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.replies import BURST, Choice, Question, Visit, bursts, lone_mark, matching_choice

CHECK_IN = Question(
    "Did it arrive well?",
    (
        Choice("good", "Yes – all good!"),
        Choice("problem", "Something is wrong", negative=True),
        Choice("not_yet", "Not here yet"),
    ),
)
SCALE = Question("How likely?", tuple(Choice(str(n), str(n)) for n in range(11)))
HINDI = Question("कैसा लगा?", (Choice("small", "छोटा"), Choice("small_f", "छोटी")))  # they differ by a vowel mark
THUMBS = Question("And?", (Choice("up", "👍"), Choice("down", "👎")))
OPEN = Question("How do you use it?")


@pytest.mark.parametrize(
    ("text", "question", "choice"),
    [
        ("Yes – all good!", CHECK_IN, "good"),
        ("yes all good", CHECK_IN, "good"),
        ("  YES, ALL GOOD.\n", CHECK_IN, "good"),
        ("good", CHECK_IN, "good"),
        ("Problem", CHECK_IN, "problem"),
        ("Something is wrong", CHECK_IN, "problem"),
        ("not yet", CHECK_IN, "not_yet"),
        ("not_yet", CHECK_IN, "not_yet"),
        ("2", CHECK_IN, "problem"),
        ("2.", CHECK_IN, "problem"),
        ("(3)", CHECK_IN, "not_yet"),
        ("２", CHECK_IN, "problem"),  # full width
        ("ｇｏｏｄ", CHECK_IN, "good"),
        ("0", CHECK_IN, None),
        ("4", CHECK_IN, None),
        ("-1", CHECK_IN, "good"),  # punctuation is dropped; nobody means minus one
        ("All good, but the lid is cracked", CHECK_IN, None),
        ("Yes", CHECK_IN, None),
        ("goodness", CHECK_IN, None),
        ("1 2", CHECK_IN, None),
        ("not good", CHECK_IN, None),
        ("", CHECK_IN, None),
        ("   ", CHECK_IN, None),
        ("!?", CHECK_IN, None),
        ("10", SCALE, "10"),
        ("0", SCALE, "0"),
        ("1", SCALE, "1"),  # the answer 1, not the first in the list
        ("11", SCALE, None),
        ("छोटी", HINDI, "small_f"),
        ("छोटा", HINDI, "small"),
        ("👍", THUMBS, None),
        ("up", THUMBS, "up"),
        ("every morning", OPEN, None),
        ("1", OPEN, None),
    ],
)
def test_a_text_is_a_choice_only_when_it_is_nothing_else(text, question, choice):
    found = matching_choice(text, question)
    assert (found and found.id) == choice


def test_a_choice_is_found_by_its_id():
    assert CHECK_IN.choice("problem").negative
    assert CHECK_IN.choice("nothing") is None


def visits(*opened: tuple[float, str | None]) -> list[Visit]:
    """Return visits so many seconds after the letter came."""
    came = datetime(2026, 3, 4, 10, tzinfo=UTC)
    return [Visit(came + timedelta(seconds=seconds), choice) for seconds, choice in opened]


@pytest.mark.parametrize(
    ("opened", "counts"),
    [
        ([], None),
        ([(0, "good")], (0, "good")),
        ([(0, "good"), (20, "good"), (70, "good")], (0, "good")),  # one visit, looked at for long
        ([(0, "good"), (1, "problem"), (2, "not_yet"), (3, None)], None),  # a scanner
        ([(0, "good"), (1, None)], None),
        ([(0, None)], None),  # looking at the stop page answers nothing
        ([(0, "good"), (60, "problem")], None),
        ([(0, "good"), (61, "problem")], (61, "problem")),  # a changed mind: the last one counts
        ([(0, "good"), (1, "problem"), (300, "problem")], (300, "problem")),  # the scanner, then the person
        ([(0, "problem"), (300, "good"), (301, "problem")], (0, "problem")),
    ],
)
def test_which_visit_counts_as_an_unconfirmed_answer(
    opened: list[tuple[float, str | None]], counts: tuple[float, str] | None
) -> None:
    assert lone_mark(visits(*opened)) == (visits(counts)[0] if counts else None)
    assert lone_mark(visits(*reversed(opened))) == (visits(counts)[0] if counts else None)


@given(st.lists(st.tuples(st.integers(0, 600), st.sampled_from(["good", "problem", None])), max_size=12))
def test_nothing_else_was_opened_within_a_minute_of_a_visit_that_counts(opened: list[tuple[float, str | None]]) -> None:
    known = visits(*opened)
    mark = lone_mark(known)
    if mark is not None:
        assert mark.choice is not None
        assert {visit.choice for visit in known if abs(visit.at - mark.at) <= BURST} == {mark.choice}
    assert sum(len(burst.visits) for burst in bursts(known)) == len(known)
