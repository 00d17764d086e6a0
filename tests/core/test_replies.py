"""Reading an answer out of what someone wrote: only when it is nothing but that answer."""

import pytest

from followup.core.replies import Choice, Question, matching_choice

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
