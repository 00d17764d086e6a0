"""What questions and answers amount to, by hand-counted examples and by what holds for all."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.comparison import Conclusion
from followup.core.lessons import Answers, Asked, Chosen, Heard, Said, Standing, answers, choices, heard, of_split
from followup.core.replies import Choice, Question
from followup.core.workflow import Split, Variant
from tests.core.make import START

HOUR = timedelta(hours=1)
QUESTION = Question("All good?", (Choice("yes", "Yes, all good"), Choice("no", "No")))
OPEN = Question("What do you cook?")


def at(hours: float) -> datetime:
    return START + hours * HOUR


def was_asked(run: int = 1, *, step: str = "q", unanswered: Standing = Standing.SILENT) -> Asked:
    return Asked(run, step, 0, START, unanswered)


def reminded(run: int = 1, hours: float = 24, *, step: str = "q") -> Asked:
    return Asked(run, step, 1, at(hours), Standing.SILENT)


def chose(run: int, hours: float, answer: str, *, label: str | None = None, comment: bool = False) -> Said:
    return Said(run, "q", at(hours), answer, label or answer, has_words=comment)


def wrote(run: int, hours: float, *, step: str = "q", names_a_choice: bool = False) -> Said:
    return Said(run, step, at(hours), None, None, has_words=not names_a_choice)


def counted(asked: Sequence[Asked], said: Sequence[Said], question: Question | None = QUESTION) -> Answers:
    return answers(question, heard(asked, said))


def test_nobody_was_asked() -> None:
    assert counted([], []) == Answers(
        question="All good?",
        answered=0,
        choices=[Chosen("yes", "Yes, all good", 0), Chosen("no", "No", 0)],
        wrote=0,
        only_wrote=0,
        silent=0,
        waiting=0,
        left=0,
        median=None,
        reminded=0,
        after_reminder=0,
    )


def test_whoever_has_not_answered_stands_where_their_run_does() -> None:
    standings = [Standing.SILENT, Standing.SILENT, Standing.SILENT, Standing.WAITING, Standing.WAITING, Standing.LEFT]
    found = counted([was_asked(run, unanswered=standing) for run, standing in enumerate(standings)], [])
    assert (found.asked, found.answered, found.silent, found.waiting, found.left) == (6, 0, 3, 2, 1)


def test_an_answer_counts_wherever_the_run_stands_and_however_late() -> None:
    found = counted([was_asked(run, unanswered=standing) for run, standing in enumerate(Standing)], [
        chose(run, 10_000, "yes") for run, _ in enumerate(Standing)
    ])  # fmt: skip
    assert (found.asked, found.answered) == (len(Standing), len(Standing))


def test_the_last_answer_counts_and_the_first_one_says_how_long_it_took() -> None:
    found = counted([was_asked()], [chose(1, 30, "no"), chose(1, 2, "yes"), chose(1, 5, "no"), chose(1, 40, "yes")])
    assert [(one.answer, one.runs) for one in found.choices] == [("yes", 1), ("no", 0)]
    assert found.median == 2 * HOUR


def test_of_two_answers_at_one_moment_the_later_row_counts() -> None:
    found = counted([was_asked()], [chose(1, 2, "yes"), chose(1, 2, "no")])
    assert [(one.answer, one.runs) for one in found.choices] == [("yes", 0), ("no", 1)]


def test_a_median_is_of_first_answers_of_whatever_kind() -> None:
    asked = [was_asked(run) for run in range(4)]
    assert counted(asked, [chose(0, 1, "yes"), wrote(1, 3), chose(2, 11, "yes")]).median == 3 * HOUR
    assert counted(asked, [chose(0, 1, "yes"), wrote(1, 3)]).median == 2 * HOUR


def test_words_are_comments_and_mails_that_name_no_choice() -> None:
    asked = [was_asked(run) for run in range(1, 7)]
    said = [
        chose(1, 1, "yes"),
        chose(2, 1, "yes", comment=True),
        wrote(3, 1),
        wrote(4, 1),
        chose(4, 2, "no"),
        chose(5, 1, "no"),
        wrote(5, 1, names_a_choice=True),
    ]
    found = counted(asked, said)
    assert (found.answered, found.chose, found.wrote, found.only_wrote) == (5, 4, 3, 1)
    assert (found.silent, found.chose + found.only_wrote) == (1, found.answered)


def test_who_answered_only_after_the_reminder() -> None:
    asked = [*(was_asked(run) for run in range(1, 6)), *(reminded(run) for run in range(1, 5))]
    said = [chose(1, 25, "yes"), chose(2, 23, "yes"), chose(2, 30, "no"), chose(3, 24, "yes"), chose(5, 90, "yes")]
    found = counted(asked, said)
    assert (found.reminded, found.after_reminder) == (4, 1), "3 answered at the very moment, 5 was not reminded"


def test_answers_of_other_steps_and_to_questions_that_never_left_do_not_count() -> None:
    found = heard([was_asked(1), was_asked(1, step="other")], [wrote(1, 3, step="other"), wrote(2, 3)])
    assert [(one.asked.step, len(one.said)) for one in found] == [("q", 0), ("other", 1)]


def test_choices_stand_in_the_order_of_the_question_then_what_it_once_offered() -> None:
    rows = [*(chose(run, 1, "later", label="Ask me later") for run in (1, 2)), chose(3, 1, "no", label="Nein")]
    said = heard([was_asked(run) for run in (1, 2, 3, 4)], [*rows, chose(4, 1, "never")])
    assert choices(QUESTION, said) == [
        Chosen("yes", "Yes, all good", 0),
        Chosen("no", "No", 1),
        Chosen("later", "Ask me later", 2),
        Chosen("never", "never", 1),
    ]


def test_a_question_that_is_gone_is_told_by_what_was_answered() -> None:
    found = counted([was_asked()], [chose(1, 1, "no", label="Nein")], question=None)
    assert (found.question, found.choices) == (None, [Chosen("no", "Nein", 1)])


def test_an_open_question_has_words_only() -> None:
    found = counted([was_asked(1), was_asked(2)], [wrote(1, 4)], question=OPEN)
    assert (found.choices, found.answered, found.wrote, found.only_wrote) == ([], 1, 1, 1)


SPLIT = Split(id="split-tone", name="tone", variants=(Variant("warm", 1, ()), Variant("plain", 1, ())))


def test_a_split_tells_what_each_variant_was_answered() -> None:
    asked = [was_asked(run) for run in (1, 2, 3, 4)] + [was_asked(1, step="r")]
    said = [chose(1, 1, "yes"), wrote(1, 1, step="r"), chose(2, 1, "no"), chose(4, 1, "no")]
    by_step: dict[str, list[Heard]] = {"q": [], "r": []}
    for one in heard(asked, said):
        by_step[one.asked.step].append(one)
    taken = {1: "warm", 2: "warm", 3: "warm", 5: "plain", 6: "gone", 7: "warm"}
    found = of_split(SPLIT, taken, {"q": QUESTION, "r": OPEN}, by_step)
    assert [(one.name, one.answered.did, one.answered.of) for one in found.variants] == [
        ("warm", 2, 4),
        ("plain", 0, 1),
        ("gone", 0, 1),
    ]
    warm = found.variants[0]
    assert [(step, one.asked, one.answered) for step, one in warm.asks.items()] == [("q", 3, 2), ("r", 1, 1)]
    assert [(one.answer, one.runs) for one in warm.asks["q"].choices] == [("yes", 1), ("no", 1)]
    assert found.comparison is None, "there are three"


def test_two_variants_are_compared() -> None:
    taken = {run: "warm" if run % 2 else "plain" for run in range(200)}
    said = [chose(run, 1, "yes") for run in range(200) if run % 2 or run < 40]
    found = of_split(SPLIT, taken, {"q": QUESTION}, {"q": heard([was_asked(run) for run in range(200)], said)})
    assert found.comparison is not None
    assert (found.comparison.ours.did, found.comparison.others.did) == (100, 20)
    assert found.comparison.conclusion is Conclusion.MORE


said_to_it = st.one_of(
    st.builds(chose, st.integers(1, 5), st.integers(0, 99), st.sampled_from(["yes", "no", "x"]), comment=st.booleans()),
    st.builds(wrote, st.integers(1, 5), st.integers(0, 99), names_a_choice=st.booleans()),
)


@given(st.lists(st.sampled_from(Standing), max_size=5), st.lists(said_to_it, max_size=12), st.sets(st.integers(1, 5)))
def test_every_run_is_counted_once(standings: list[Standing], said: list[Said], again: set[int]) -> None:
    unanswered = [Standing.SILENT if one is Standing.ANSWERED else one for one in standings]
    asked = [was_asked(run, unanswered=standing) for run, standing in enumerate(unanswered, start=1)]
    found = counted([*asked, *(reminded(run) for run in again if run <= len(asked))], said)
    assert found.asked == len(asked)
    assert sum(one.runs for one in found.choices) == found.chose == found.answered - found.only_wrote
    assert found.only_wrote <= found.answered
    assert found.after_reminder <= min(found.reminded, found.answered)
    assert (found.median is None) == (found.answered == 0)
    assert counted(asked, said[::-1]).answered == found.answered


@pytest.mark.parametrize("hours", [0, 1])
def test_how_long_it_took_is_from_when_the_letter_left(hours: int) -> None:
    (one,) = heard([was_asked()], [wrote(1, hours)])
    assert one.took == hours * HOUR
