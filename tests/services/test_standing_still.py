"""What stops letters: an operator, a provider that refuses us, a worker that is asked to stop."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.core.message import Misconfigured
from followup.services import deploy
from followup.services.deliver import deliver
from followup.services.halt import halt, unhalt
from followup.services.sweep import lease
from followup.store import senders
from followup.store.engine import reading
from tests.services.world import CHECK_IN, Scripted, World, a_purchase, a_reply

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> World:
    return World(engine, tmp_path, check_in=AT_ONCE)


def letter_ids(shop: World) -> list[int]:
    return [row.id for row in shop.rows("messages")]


def write_but_do_not_send(shop: World) -> None:
    """Let letters fall due while the way out is closed."""
    halt(shop.engine, "not yet", clock=shop.clock)
    shop.drain()
    unhalt(shop.engine, library=shop.library, clock=shop.clock)


# -- an operator --


def test_halted_nothing_leaves_and_released_it_does(shop: World) -> None:
    assert halt(shop.engine, "wrong prices", clock=shop.clock)
    assert not halt(shop.engine, "again", clock=shop.clock)
    shop.take_in(a_purchase())
    shop.drain()
    assert shop.states() == ["held"]
    assert shop.letters() == []
    assert shop.verdicts() == [("held", "everything is halted")]
    assert shop.rows("decisions")[0].values == {"because": "wrong prices"}

    shop.later(days=6)  # lateness starts anew: that long ago would be too late
    assert unhalt(shop.engine, library=shop.library, clock=shop.clock) == 1
    assert unhalt(shop.engine, library=shop.library, clock=shop.clock) is None
    shop.drain()
    assert shop.states() == ["accepted"]
    assert [row.action for row in shop.rows("audit")][-2:] == ["halt", "unhalt"]


def test_releasing_everything_leaves_held_what_waits_for_us(shop: World) -> None:
    shop.take_in(a_purchase("T-1"))
    shop.drain()
    shop.hear(a_reply(shop.letters()[0]))
    shop.take_in(a_purchase("T-2"))
    shop.drain()
    held = [row.reason for row in shop.rows("messages") if row.state == "held"]
    assert held == ["the customer waits for an answer from us"]
    halt(shop.engine, "a moment", clock=shop.clock)
    assert unhalt(shop.engine, library=shop.library, clock=shop.clock) == 0
    shop.drain()
    assert [row.reason for row in shop.rows("messages") if row.state == "held"] == held


def test_a_reminder_that_falls_into_a_halt_is_left_out(shop: World) -> None:
    shop.take_in(a_purchase())
    shop.drain()
    halt(shop.engine, "a moment", clock=shop.clock)
    shop.later(days=3)
    assert shop.states() == ["accepted", "skipped"]


def test_a_halt_stops_what_is_claimed_and_has_not_begun(shop: World) -> None:
    shop.take_in(a_purchase())
    write_but_do_not_send(shop)

    asked = iter(("before the claim", "after the claim"))

    def stopping() -> bool:
        when = next(asked, None)
        if when == "after the claim":
            halt(shop.engine, "now", clock=shop.clock)
        return when is None

    deliver(
        shop.engine,
        letter_ids(shop),
        library=shop.library,
        post=shop.post,
        clock=shop.clock,
        stopping=stopping,
    )
    assert shop.letters() == []
    assert shop.states() == ["due"]


# -- a provider that refuses us --


def test_a_provider_that_refuses_us_is_asked_once_and_again_after_a_change(engine: Engine, tmp_path: Path) -> None:
    refusing = Scripted(answer=Misconfigured("the key is not valid"))
    shop = World(engine, tmp_path, transport=refusing, check_in=AT_ONCE)
    shop.take_in(a_purchase("T-1"))
    shop.drain()
    shop.take_in(a_purchase("T-2", email="ben@example.com"))
    shop.drain()
    assert len(refusing.sent) == 1
    assert shop.states() == ["blocked", "due"], "the second one waits"
    with reading(engine) as conn:
        assert senders.all_of(conn)[0]["nell"].paused == "the key is not valid"
    assert lease(engine, now=shop.clock.now()) == {}

    refusing.answer = Scripted().answer
    deploy.retry_blocked(engine)
    shop.drain()
    assert shop.states() == ["accepted", "accepted"]
    with reading(engine) as conn:
        assert senders.all_of(conn)[0]["nell"].is_plain


# -- a worker that is asked to stop --


def test_a_worker_that_stops_begins_nothing_and_gives_back_what_it_claimed(shop: World) -> None:
    shop.take_in(a_purchase())
    write_but_do_not_send(shop)
    asked = iter([False, True, True])
    done = deliver(
        shop.engine,
        letter_ids(shop),
        library=shop.library,
        post=shop.post,
        clock=shop.clock,
        stopping=lambda: next(asked, True),
    )
    assert done == 1
    assert shop.letters() == []
    (row,) = shop.rows("messages")
    assert (row.state, row.leased_until, row.token) == ("due", None, None)
    shop.drain()
    assert shop.states() == ["accepted"]


# -- two workers with the letters of one customer --

TWICE = AT_ONCE.replace("workflow: check-in", "workflow: more-important").replace(
    "status: live", "status: live\nlimits: {priority: 90}"
)


def test_the_more_important_letter_goes_first_whichever_id_a_worker_is_given(engine: Engine, tmp_path: Path) -> None:
    shop = World(engine, tmp_path, check_in=AT_ONCE, more_important=TWICE)
    shop.take_in(a_purchase())
    write_but_do_not_send(shop)
    lesser = next(row.id for row in shop.rows("messages") if row.workflow == "check-in")
    deliver(
        shop.engine,
        [lesser],
        library=shop.library,
        post=shop.post,
        clock=shop.clock,
        stopping=lambda: len(shop.letters()) > 0,
    )
    assert {row.workflow: row.state for row in shop.rows("messages")} == {
        "check-in": "due",
        "more-important": "accepted",
    }
