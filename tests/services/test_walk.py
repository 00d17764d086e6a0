"""One customer across all workflows: what was, what comes in silence, and what each answer leads to."""

import gc
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from contextlib import suppress as passing_over
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from followup.authoring.bundle import load
from followup.core.feel import FeelKind
from followup.core.order import OrderStatus
from followup.errors import NotFound
from followup.mail.message import OutgoingMail
from followup.mail.transport import Answered
from followup.services import halt, happen, walk
from followup.services.deliver import Post
from followup.services.rehearsal import TakesAll, rehearsing
from followup.services.suppress import suppress
from followup.services.transfer import StrandedPeople
from followup.services.walk import Folder, Walk
from followup.store import schema
from followup.store.engine import writing
from tests.services.rehearsed import dump, let_go_on
from tests.services.test_a_run import click
from tests.services.world import CHECK_IN, MONDAY, SEND, World, a_purchase, a_reply

DAY = timedelta(days=1)
TIPS = """\
workflow: tips
title: A tip
status: live
owner: tomas
sender: tomas
trigger: {event: order.delivered}
steps:
  - wait: 8 days
  - send: advice
  - wait: 60 days
  - send: advice
    id: once-more
"""


def walked(world: World, **how: object) -> Walk:
    post = rehearsing(world.identity, suppression_key="never-changes")
    before = dump(world.engine)
    found = walk.walk(world.engine, "ana@example.com", library=world.library, post=post, now=world.clock.now(), **how)  # type: ignore[arg-type]
    assert dump(world.engine) == before
    return found


def leads_to(found: Walk, letter: str) -> dict[str, list[str]]:
    """Return what each response to a letter leads to, in kinds of moves."""
    (question,) = (one for one in found.questions if one.asked.letter == letter)
    return {str(way.response): [move.kind for move in way.moves] for way in question.ways}


@pytest.fixture
def busy(world: World) -> World:
    """Return a shop whose customer is in two workflows."""
    world.apply(check_in=CHECK_IN, tips=TIPS)
    world.take_in(a_purchase())
    world.drain()
    return world


def test_the_past_is_the_record_and_the_future_is_what_then_happens(busy: World) -> None:
    busy.later(hours=5)
    found = walked(busy)
    assert [(move.kind, move.workflow) for move in found.past] == [
        ("entered", "check-in"),
        ("wait", "check-in"),
        ("entered", "tips"),
        ("wait", "tips"),
    ]
    assert found.ended
    live = let_go_on(busy.engine, [1], library=busy.library, post=busy.post, clock=busy.clock)[1]
    assert [*found.past, *found.future] == live


def test_what_lasts_since_before_is_no_future_though_nobody_has_looked_at_the_run_yet(world: World) -> None:
    world.take_in(a_purchase())
    world.clock.move_to(MONDAY + timedelta(hours=5))
    found = walked(world)
    assert [(move.kind, move.at) for move in found.past] == [("entered", MONDAY), ("wait", MONDAY)]
    assert all(move.at > world.clock.now() for move in found.future)


def waits(found: Walk) -> list[tuple[datetime, datetime | None]]:
    return [(move.at, move.until) for move in found.past if move.kind == "wait"]


def test_who_was_moved_and_not_looked_at_since_waits_once_and_as_long_as_it_says_now(world: World) -> None:
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + timedelta(hours=5))
    world.apply(check_in=CHECK_IN.replace("wait: 2 days", "wait: 3 days"))
    assert waits(walked(world)) == [(MONDAY, MONDAY + 3 * DAY)]
    world.clock.move_to(MONDAY + timedelta(hours=6))
    assert waits(walked(world)) == [(MONDAY, MONDAY + 3 * DAY)]


def test_whom_something_has_woken_waits_as_long_as_before(world: World) -> None:
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + timedelta(hours=5))
    about = {"email": "ana@example.com", "order_number": None, "data": {}, "key": None, "at": None}
    happen.happen(world.engine, "support.solved", **about, library=world.library, clock=world.clock)
    world.clock.move_to(MONDAY + timedelta(hours=6))
    assert waits(walked(world)) == [(MONDAY, MONDAY + 2 * DAY)]


def edited(world: World, in_flight: Mapping[str, str] | None = None, **workflows: str) -> Folder:
    """Return the folder with these workflows, which are not applied."""
    files = {name: text for name, text in world.files.items() if name not in {"workflows/check-in.yaml"}}
    texts = {f"workflows/{name.replace('_', '-')}.yaml": text for name, text in workflows.items()}
    return Folder(load({**files, **texts}), in_flight or {})


def asked_at(found: Walk) -> list[datetime]:
    return [move.at for move in found.future if move.kind == "ask"]


@pytest.mark.parametrize(
    ("wait", "asked"), [("3 days", MONDAY + 3 * DAY), ("1 hour", MONDAY + timedelta(hours=5))], ids=["longer", "over"]
)
def test_the_folder_is_played_as_if_it_were_applied_now(world: World, wait: str, asked: datetime) -> None:
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + timedelta(hours=5))
    shorter = CHECK_IN.replace("wait: 2 days", f"wait: {wait}")
    folder = edited(world, check_in=shorter)
    found = walked(world, folder=folder)
    assert (found.bundle, asked_at(found)[0]) == (folder.bundle.hash, asked)
    assert asked_at(walked(world))[0] == MONDAY + 2 * DAY, "and what runs is what was applied"
    world.apply(check_in=shorter)
    live = let_go_on(world.engine, [1], library=world.library, post=world.post, clock=world.clock)[1]
    told = [(move.at, move.kind) for move in live if move.at > MONDAY]
    assert [(move.at, move.kind) for move in found.future if move.kind != "wait"] == told


def test_the_folder_leaves_the_past_as_it_was(world: World) -> None:
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + timedelta(hours=5))
    found = walked(world, folder=edited(world, check_in=CHECK_IN.replace("wait: 2 days", "wait: 3 days")))
    assert waits(found) == [(MONDAY, MONDAY + 2 * DAY)]
    assert found.past == walked(world).past
    ahead = [(move.at, move.until) for move in found.future if move.kind == "wait"]
    assert ahead == [(world.clock.now(), MONDAY + 3 * DAY)], "how long it is from now on is no part of the past"
    other = walked(
        world, folder=edited(world, check_in=CHECK_IN.replace("remind_after: 3 days", "remind_after: 2 days"))
    )
    assert not [move for move in other.future if move.kind == "wait"]


def test_the_folder_leaves_the_past_of_whom_nobody_has_looked_at_as_it_was_applied_last(world: World) -> None:
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + timedelta(hours=5))
    world.apply(check_in=CHECK_IN.replace("wait: 2 days", "wait: 3 days"))
    found = walked(world, folder=edited(world, check_in=CHECK_IN.replace("wait: 2 days", "wait: 4 days")))
    assert waits(found) == [(MONDAY, MONDAY + 3 * DAY)]
    assert [move.until for move in found.future if move.kind == "wait"] == [MONDAY + 4 * DAY]


def test_who_would_be_stranded_by_the_folder_is_refused_until_it_is_decided(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    gone = CHECK_IN.replace("  - ask: arrived", "  - id: question\n    ask: arrived")
    before = copies_open()
    with pytest.raises(StrandedPeople, match="1 person stands where the folder has no step any more") as raised:
        walked(world, folder=edited(world, check_in=gone))
    assert copies_open() == before, raised
    ends = walked(world, folder=edited(world, {"arrived": "stop"}, check_in=gone))
    assert [(move.kind, move.reason) for move in ends.future] == [("ended", "its step was taken out")]
    other = walked(world, folder=edited(world, {"arrived": "stop"}, check_in=CHECK_IN.replace("7 days", "8 days")))
    assert other.unused == ("arrived",)


def test_a_draft_in_the_folder_that_goes_live_takes_in_whom_its_trigger_happens_to(busy: World) -> None:
    waits = TIPS.replace("tips", "new").replace("order.delivered", "customer.quiet, after: 90 days")
    found = walked(busy, folder=edited(busy, check_in=CHECK_IN, new=waits))
    assert "new" in {move.workflow for move in found.future}


def test_each_answer_of_a_question_to_come_is_followed_and_what_silence_does_as_well_is_left_out(busy: World) -> None:
    assert leads_to(walked(busy), "arrived") == {
        "fine": ["answer", "branch", "wait", "ask", "timeout", "ended"],
        "broken": ["answer", "opened", "branch", "stop", "closed"],
        "reply": ["reply", "opened", "branch", "wait", "closed", "ask", "timeout", "ended"],
    }


def test_a_question_that_is_with_the_customer_is_followed_from_now_on(busy: World) -> None:
    busy.later(days=2)
    busy.later(hours=6)
    found = walked(busy)
    (question,) = found.questions
    assert question.asked.asked_at == MONDAY + 2 * DAY
    assert {way.moves[0].at for way in question.ways} == {busy.clock.now() + DAY}
    assert list(leads_to(found, "arrived")) == ["fine", "broken", "reply"]
    busy.later(days=1)
    click(busy, "fine")
    busy.drain()
    assert [one.asked.letter for one in walked(busy).questions] == ["cooking"]


def test_who_waits_for_us_gets_letters_once_we_have_answered(busy: World) -> None:
    busy.later(days=2)
    busy.later(hours=6)
    busy.hear(a_reply(busy.letters()[0], "Who made it?"))
    busy.drain()
    told = walked(busy)
    assert next(move.at for move in told.future if move.kind == "closed") == busy.clock.now() + DAY
    never = walked(busy, close_after=None)
    assert [move.kind for move in never.future if move.workflow == "tips"] == ["held"]
    assert {"held", "closed"} & {move.kind for move in told.future} == {"closed"}


def test_it_looks_no_further_than_it_is_asked_to(busy: World) -> None:
    found = walked(busy, days=9)
    assert max(move.at for move in found.future) <= MONDAY + 9 * DAY
    assert not found.ended
    assert walked(busy, days=100).ended


def test_what_they_would_feel_is_about_what_is_to_come(busy: World) -> None:
    found = walked(busy)
    assert [one.kind for one in found.feelings] == [FeelKind.UNANSWERED, FeelKind.GAP]
    many, gap = found.feelings
    assert many.letters == ("arrived", "arrived", "advice", "advice")
    assert gap.until - gap.since == 60 * DAY
    let_go_on(busy.engine, [1], library=busy.library, post=busy.post, clock=busy.clock)
    over = walked(busy)
    assert over.past
    assert (over.future, over.feelings) == ([], [])


def test_two_letters_that_leave_at_once_are_two_on_one_day(world: World) -> None:
    two = TIPS.partition("steps:")[0] + "steps:\n  - wait: 1 hour\n  - send: advice\n  - send: advice\n    id: more\n"
    world.apply(check_in=CHECK_IN, tips=two)
    world.take_in(a_purchase())
    world.drain()
    world.clock.move_to(MONDAY + timedelta(hours=1))
    found = walked(world)
    assert [move.at for move in found.future if move.kind == "send"] == [world.clock.now()] * 2
    (day,) = (one for one in found.feelings if one.kind is FeelKind.SAME_DAY)
    assert day.letters == ("advice", "advice")


def test_orders_that_have_not_arrived_are_told_with_what_listens_to_that(world: World) -> None:
    world.apply(check_in=CHECK_IN, tips=TIPS.replace("status: live", "status: draft"))
    world.take_in(a_purchase("T-1", delivered_at=None, status=OrderStatus.PLACED))
    world.take_in(a_purchase("T-2", delivered_at=None, status=OrderStatus.CANCELLED))
    world.take_in(a_purchase("T-3"))
    assert not walked(world).under_way[0].is_shared
    elsewhere = a_purchase("T-1", email="ben@example.com", delivered_at=None, status=OrderStatus.PLACED)
    world.take_in(replace(elsewhere, order=replace(elsewhere.order, source="other")))
    (found,) = walked(world).under_way
    assert found.is_shared, "a command could not tell which of them is meant"
    assert (found.number, found.is_shipped, found.listening) == ("T-1", False, (("order.delivered", "check-in"),))


def test_who_gets_no_letter_at_all_is_told_so(busy: World) -> None:
    assert walked(busy).suppressed == []
    suppress(
        busy.engine,
        "ana@example.com",
        reason="asked us",
        workflow=None,
        key="never-changes",
        library=busy.library,
        clock=busy.clock,
    )
    assert [(one.scope, one.reason) for one in walked(busy).suppressed] == [("all", "asked us")]


def test_a_halt_is_told_and_seen(busy: World) -> None:
    halt.halt(busy.engine, "a fire", clock=busy.clock)
    found = walked(busy)
    assert found.halted == "a fire"
    assert {move.kind for move in found.future} == {"held"}


def test_what_was_applied_counts_and_a_letter_that_cannot_be_written_is_told(world: World) -> None:
    world.apply({"templates/advice.md": SEND.replace("Wash", "{{ customer.last_name }}, wash")}, tips=TIPS)
    world.take_in(a_purchase())
    world.drain()
    assert "blocked" in {move.kind for move in walked(world).future}


def test_what_only_would_happen_is_not_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.apply({"templates/advice.md": SEND.replace("Wash", "{{ customer.last_name }}, wash")}, tips=TIPS)
    world.take_in(a_purchase())
    world.drain()
    caplog.clear()
    assert "blocked" in {move.kind for move in walked(world).future}
    assert caplog.records == []
    world.later(days=8)
    assert [record.message for record in caplog.records] == ["message.blocked"], "and what happens is"


def test_a_bug_that_the_engine_would_go_on_without_is_raised(busy: World, caplog: pytest.LogCaptureFixture) -> None:
    runs = schema.enrollments
    with writing(busy.engine) as conn:
        conn.execute(update(runs).where(runs.c.workflow == "tips").values(step="nowhere"))
    post = rehearsing(busy.identity, suppression_key="never-changes")
    with pytest.raises(AssertionError, match="nowhere is not in the pinned version"):
        walk.walk(busy.engine, "ana@example.com", library=busy.library, post=post, now=MONDAY + 9 * DAY)
    assert caplog.records == []


class Breaks(TakesAll):
    """Takes so many mails, and then shows a bug of ours."""

    def __init__(self, after: int) -> None:
        self.left = after

    def send(self, mails: Sequence[OutgoingMail], *, may_begin: Callable[[], bool]) -> Iterator[Answered]:
        self.left -= len(mails)
        if self.left < 0:
            raise ZeroDivisionError
        yield from super().send(mails, may_begin=may_begin)


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5, None])
def test_no_copy_stays_open_whatever_goes_wrong(busy: World, after: int | None) -> None:
    gc.collect()
    before = copies_open()
    way_out = TakesAll() if after is None else Breaks(after)
    post = Post(transport=way_out, identity=busy.identity, suppression_key="never-changes")
    with nullcontext() if after is None else pytest.raises(ZeroDivisionError) as raised:
        walk.walk(busy.engine, "ana@example.com", library=busy.library, post=post, now=busy.clock.now())
    assert copies_open() == before, raised  # which keeps alive what was not closed


def copies_open() -> int:
    """Return how many databases in memory this process has open."""
    number = 0
    for one in gc.get_objects():
        if isinstance(one, sqlite3.Connection):
            with passing_over(sqlite3.ProgrammingError):  # closed, or another thread's
                number += one.execute("PRAGMA database_list").fetchone()[2] == ""
    return number


def test_nobody_is_walked_who_is_not_there(world: World) -> None:
    with pytest.raises(NotFound):
        walked(world)
