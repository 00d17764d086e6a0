"""When it is proven that a letter of unknown fate was not accepted: then, and only then, it may go again by itself."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from followup.core.message import Accepted
from followup.errors import NotFound
from followup.services import fate, track
from followup.services.sweep import recover
from followup.store import gaps, schema
from followup.store.engine import writing
from tests.services.attempts import (
    DAY,
    HOUR,
    LONG_AGO,
    LOST,
    given_up,
    message,
    quiet_day,
    report,
    resend,
)
from tests.services.world import MONDAY, World, a_purchase


def doubts(shop: World) -> tuple[str, ...]:
    found = fate.show(shop.engine, message(shop).id, clock=shop.clock).doubts
    assert found is not None
    return found


def resend_proven(shop: World) -> int:
    return fate.resend_proven(shop.engine, library=shop.library, clock=shop.clock)


def test_what_is_proven_not_to_have_been_accepted_goes_again(lost: World) -> None:
    quiet_day(lost)
    token = message(lost).token
    assert doubts(lost) == ()
    assert resend_proven(lost) == 1
    assert (message(lost).state, [one.token for one in given_up(lost)]) == ("due", [token])
    assert resend_proven(lost) == 0
    lost.drain()
    assert lost.states() == ["accepted", "accepted"]
    assert ("sent again: it is proven that it was not accepted", "no answer") in lost.verdicts()


def no_later_letter(shop: World) -> None:
    """Let the other letter have left a moment before the lost one."""
    set_(shop, 1, sending_at=MONDAY - timedelta(minutes=1))


def a_silent_neighbour(shop: World) -> None:
    with writing(shop.engine) as conn:
        conn.execute(insert_copy(shop, 1, sending_at=MONDAY - HOUR))


def insert_copy(shop: World, number: int, **other: Any) -> Any:
    """Return the statement that writes a letter like that one, of another step."""
    row = dict(message(shop, number)._mapping)
    return insert(schema.messages).values({**row, "id": 999, "step": "another", "token": "s" * 16, **other})


def something_unread(shop: World) -> None:
    track.store_events(shop.engine, b"what is this?", clock=shop.clock)


def not_worked_on(shop: World) -> None:
    event = {"event": "open", "sg_event_id": "waits"}
    track.store_events(shop.engine, json.dumps([event]).encode(), clock=shop.clock)


def nothing_since(shop: World) -> None:
    with writing(shop.engine) as conn:
        events = schema.provider_events
        conn.execute(update(events).where(events.c.received_at > MONDAY + DAY).values(received_at=MONDAY + 24 * HOUR))


def another_way_out(shop: World) -> None:
    set_(shop, 0, transport="smtp")


def too_late(shop: World) -> None:
    set_(shop, 0, not_after=shop.clock.now())


def too_early(shop: World) -> None:
    """Let it have left two minutes later than it did, and something else have been reported since."""
    set_(shop, 0, sending_at=MONDAY + timedelta(minutes=2))
    with writing(shop.engine) as conn:
        events = schema.provider_events
        last = events.c.received_at > MONDAY + DAY
        conn.execute(update(events).where(last).values(received_at=MONDAY + timedelta(hours=26)))


def reported_a_day_later(shop: World) -> None:
    """Let the reports have been away all the day: the first that came was about a letter of the next one."""
    with writing(shop.engine) as conn:
        conn.execute(update(schema.provider_events).values(received_at=MONDAY + timedelta(hours=25, minutes=1)))


def left_a_day_later(shop: World) -> None:
    reported_a_day_later(shop)
    set_(shop, 1, sending_at=MONDAY + timedelta(hours=25, minutes=1))


def restored(shop: World) -> None:
    """Let the reports that came until an hour after it left be lost with the database they were in."""
    with writing(shop.engine) as conn:
        gaps.add(conn, since=MONDAY, until=MONDAY + HOUR)


def restored_before(shop: World) -> None:
    with writing(shop.engine) as conn:
        gaps.add(conn, since=MONDAY - 2 * HOUR, until=MONDAY - HOUR)


def set_(shop: World, number: int, **values: object) -> None:
    with writing(shop.engine) as conn:
        letters = schema.messages
        conn.execute(update(letters).where(letters.c.id == message(shop, number).id).values(**values))


DOUBTS = {
    no_later_letter: "no letter that left later",
    reported_a_day_later: "no letter that left later",
    left_a_day_later: "no letter that left later",
    a_silent_neighbour: "1 accepted letters of that time",
    something_unread: "1 reports that came since",
    not_worked_on: "1 reports that came since",
    nothing_since: "no report has come since",
    another_way_out: "the way out",
    too_late: "it is too late",
    too_early: "a report may still come",
    restored: "the database was restored",
}


@pytest.mark.parametrize(("doubt", "why"), DOUBTS.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_each_doubt_alone_keeps_it_here(lost: World, doubt: Any, why: str) -> None:
    quiet_day(lost)
    doubt(lost)
    (said,) = doubts(lost)
    assert said.startswith(why)
    assert resend_proven(lost) == 0
    assert message(lost).state == "unknown"


def test_a_restore_of_the_time_before_leaves_the_proof_as_it_is(lost: World) -> None:
    quiet_day(lost)
    restored_before(lost)
    assert doubts(lost) == ()


def test_a_report_about_it_is_no_absence(lost: World) -> None:
    quiet_day(lost)
    report(lost, message(lost).token)
    assert resend_proven(lost) == 0
    assert message(lost).state == "accepted"


def test_what_a_person_said_and_nobody_reported_is_silent_too(lost: World) -> None:
    lost.take_in(a_purchase("T-3", email="cy@example.com"))
    lost.drain()
    fate.mark_sent(lost.engine, message(lost, 1).id, clock=lost.clock)
    lost.post.transport.answer = Accepted("X")
    lost.clock.move_to(MONDAY + 2 * HOUR)
    lost.take_in(a_purchase("T-2", email="ben@example.com"))
    lost.drain()
    report(lost, message(lost, 2).token)
    lost.clock.move_to(MONDAY + timedelta(hours=25, minutes=1))
    report(lost, message(lost, 2).token, "open")
    assert doubts(lost) == ("1 accepted letters of that time were not reported on either",)


def test_in_test_mode_the_way_out_reports_as_well(lost: World) -> None:
    quiet_day(lost)
    with writing(lost.engine) as conn:
        conn.execute(update(schema.messages).values(transport="test mode, sendgrid"))
    assert doubts(lost) == ()


def test_old_letters_that_nobody_can_prove_keep_no_other_from_being_proven(lost: World) -> None:
    quiet_day(lost)
    with writing(lost.engine) as conn:
        for number in range(fate.BATCH + 5):
            older = {"id": 1_000 + number, "step": f"old-{number}", "token": f"old {number}", "transport": None}
            conn.execute(insert_copy(lost, 0, **older, sending_at=MONDAY - 9 * DAY))
    assert resend_proven(lost) == 1


def test_a_list_says_what_is_missing_to_each_proof(lost: World) -> None:
    quiet_day(lost)
    unknown, accepted = reversed(fate.listing(lost.engine, state=None, workflow=None, limit=9, clock=lost.clock))
    assert (unknown[1], accepted[1]) == ((), None)
    (only,) = fate.listing(lost.engine, state=accepted[0].message.state, workflow="check-in", limit=9, clock=lost.clock)
    assert (only[0].email, only[0].order_number) == ("ben@example.com", "T-2")
    assert fate.listing(lost.engine, state=None, workflow="other", limit=9, clock=lost.clock) == []
    with pytest.raises(NotFound, match="there is no message 77"):
        fate.show(lost.engine, 77, clock=lost.clock)


def test_what_was_reported_on_every_attempt_is_shown(lost: World) -> None:
    token = resend(lost)
    lost.post.transport.answer = Accepted("X2")
    lost.drain()
    report(lost, token, "processed")
    report(lost, message(lost).token)
    shown = fate.show(lost.engine, message(lost).id, clock=lost.clock)
    assert [kind for _, kind in shown.reports] == ["processed", "delivered"]


def test_what_a_dead_worker_left_can_be_given_up_and_proven_like_any_other(lost: World) -> None:
    with writing(lost.engine) as conn:
        conn.execute(update(schema.messages).values(state="sending", leased_until=LONG_AGO))
    lost.post.transport.recovered = LOST
    recover(lost.engine, post=lost.post, clock=lost.clock)
    quiet_day(lost)
    assert resend_proven(lost) == 1
