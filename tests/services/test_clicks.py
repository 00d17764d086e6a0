"""Clicks on answers and on the stop link, many at once, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from followup.errors import NotFound
from followup.services import answers, stop
from followup.services.answers import Taken, cleaned
from tests.services.world import MONDAY, World, a_purchase, a_reply


@pytest.fixture
def asked(world: World) -> World:
    """Return a shop that has just asked its one customer."""
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    return world


def confirm(world: World, choice: str, comment: str = "") -> Taken:
    token = world.rows("messages")[0].token
    return answers.confirm(world.engine, token, choice, comment, library=world.library, clock=world.clock)


def test_the_same_answer_sent_by_many_at_once_is_one(asked: World) -> None:
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda _: confirm(asked, "broken", "a dent"), range(8)))
    assert sorted(taken) == [Taken.RECORDED] + [Taken.UNCHANGED] * 7
    assert len(asked.rows("answers")) == len(asked.rows("conversations")) == 1
    assert [row.kind for row in asked.rows("events")].count("answer.given") == 1


def test_unsubscribing_many_times_at_once_is_once(asked: World) -> None:
    token = asked.rows("messages")[0].token
    with ThreadPoolExecutor(4) as threads:
        wanted = [
            threads.submit(
                stop.unsubscribe_by_link, asked.engine, token, suppression_key="never-changes", clock=asked.clock
            )
            for _ in range(8)
        ]
        assert [one.result() for one in wanted] == [None] * 8
    assert len(asked.rows("suppressions")) == 1
    assert [row.kind for row in asked.rows("events")].count("customer.unsubscribed") == 1


def test_an_answer_by_mail_stands_on_the_page_as_well(asked: World) -> None:
    asked.hear(a_reply(asked.letters()[0], "Something is broken"))
    token = asked.rows("messages")[0].token
    page = answers.look_up(asked.engine, token, library=asked.library, clock=asked.clock)
    assert (page.answer, page.comment) == ("broken", None)
    assert confirm(asked, "broken") is Taken.UNCHANGED
    assert confirm(asked, "fine") is Taken.RECORDED
    assert [(row.answer, row.source) for row in asked.rows("answers")] == [("broken", "reply"), ("fine", "click")]


def test_the_last_choice_is_what_a_run_reads_and_the_first_moves_it_on(asked: World) -> None:
    asked.later(hours=1)
    confirm(asked, "fine")
    confirm(asked, "broken")
    asked.drain()
    assert asked.rows("enrollments")[0].outcome == "a person took over"


def test_a_letter_that_asks_nothing_to_click_has_no_page(asked: World) -> None:
    confirm(asked, "fine")
    asked.drain()
    asked.later(days=10)
    assert [row.letter for row in asked.rows("messages")] == ["arrived", "cooking"]
    open_question = asked.rows("messages")[1].token
    with pytest.raises(NotFound):
        answers.look_up(asked.engine, open_question, library=asked.library, clock=asked.clock)
    assert (
        stop.look_up(
            asked.engine, open_question, library=asked.library, suppression_key="never-changes", clock=asked.clock
        ).head.sender
        == "Nell Harrow"
    )


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("  \r\n ", None),
        ("a\r\nb\rc\n", "a\nb\nc"),
        ("\x00a\x1b[31m\x85\x7f\ud800b\tc", "a[31mb\tc"),
        ("x" * 5000, "x" * 4000),
        ("x" * 3999 + "  y", "x" * 3999),
    ],
)
def test_what_is_kept_of_a_comment(written: str, kept: str | None) -> None:
    assert cleaned(written) == kept
