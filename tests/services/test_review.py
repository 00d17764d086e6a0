"""What a reviewer found: letters in doubt, evidence that races a decision, and runs that are over."""

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from followup.core.message import Accepted, RetrySafe, Unknown
from followup.errors import UsageError
from followup.services import answers, deploy, fate, restore, stop, suppress, watch
from followup.services.advance import advance
from followup.services.claim import claim
from followup.services.track import store_events, track
from followup.store import customers, gaps, halts, suppressions, workflow_limits
from followup.store.engine import make_engine, reading, writing
from tests.services.world import CHECK_IN, MONDAY, OrderStatus, Scripted, World, a_purchase

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
LEAVES = AT_ONCE.replace("steps:", "exit_on: [{event: order.placed}]\nsteps:")
KEY = "never-changes"
HOUR = timedelta(hours=1)


def shop_with(engine: Engine, folder: Path, answer: Any = None, check_in: str = AT_ONCE) -> World:
    transport = Scripted(answer or Accepted("X1"))
    transport.name = "sendgrid"
    return World(engine, folder, transport=transport, check_in=check_in)


def reported(shop: World, token: str, *, hours_ago: float = 0) -> None:
    at = int((shop.clock.now() - hours_ago * HOUR).timestamp())
    event = {"event": "delivered", "email": "x@example.com", "timestamp": at, "sg_event_id": token, "fu_token": token}
    ids = store_events(shop.engine, json.dumps([event]).encode(), clock=shop.clock)
    track(shop.engine, ids, suppression_key=KEY, clock=shop.clock)


def write_letters(shop: World) -> None:
    advance(shop.engine, [row.id for row in shop.rows("enrollments")], library=shop.library, clock=shop.clock)


def waits_for_a_lock(engine: Engine, thread: threading.Thread) -> None:
    waiting = select(text("count(*)")).select_from(text("pg_locks WHERE NOT granted"))
    with reading(engine) as conn:
        assert any(conn.scalar(waiting) for _ in iter(thread.is_alive, False))


# -- a database that was restored --


def test_a_held_letter_is_in_doubt_after_a_restore(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    with writing(engine) as conn:
        workflow_limits.ask_for_first(conn, "check-in", 3, anew=True)
    shop.take_in(a_purchase())
    shop.drain()
    assert shop.states() == ["held"]
    assert restore.recovered(engine, MONDAY - HOUR, clock=shop.clock).doubtful == 1
    assert shop.states() == ["unknown"]


def test_nobody_knows_by_which_way_a_letter_in_doubt_left(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, RetrySafe(MONDAY, "no connection"))
    shop.take_in(a_purchase())
    shop.drain()
    shop.clock.move_to(MONDAY + 2 * HOUR)
    with writing(engine) as conn:
        gaps.add(conn, since=MONDAY, until=shop.clock.now())
    shop.drain()
    (row,) = shop.rows("messages")
    assert (row.state, row.transport) == ("unknown", None)


def test_the_same_restore_is_noted_once(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    restore.recovered(engine, MONDAY - HOUR, clock=shop.clock)
    shop.clock.move_to(MONDAY + HOUR)
    shop.take_in(a_purchase(delivered_at=MONDAY + HOUR / 2))
    write_letters(shop)
    assert restore.recovered(engine, MONDAY - HOUR, clock=shop.clock).doubtful == 0
    shop.drain()
    assert shop.states() == ["accepted"]


def test_late_reports_about_what_is_lost_raise_no_new_alarm(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    shop.clock.move_to(MONDAY + 5 * HOUR)
    restore.recovered(engine, MONDAY, clock=shop.clock)
    shop.clock.move_to(MONDAY + 6 * HOUR)
    reported(shop, "a" * 16, hours_ago=2)
    with reading(engine) as conn:
        assert watch.strangers(conn, shop.clock.now()) is None
    reported(shop, "b" * 16, hours_ago=0.5)
    with reading(engine) as conn:
        assert "1 letter" in (watch.strangers(conn, shop.clock.now()) or "")


# -- evidence --


def test_a_click_that_waits_while_somebody_resends_still_stops_the_second_letter(
    postgres_url: str, tmp_path: Path
) -> None:
    engine = make_engine(postgres_url)
    shop = shop_with(engine, tmp_path, Unknown("lost"))
    shop.take_in(a_purchase())
    shop.drain()
    (row,) = shop.rows("messages")
    clicking = threading.Thread(
        target=answers.confirm,
        args=(engine, row.token, "fine", ""),
        kwargs={"library": shop.library, "clock": shop.clock},
    )
    with writing(engine) as other:
        customers.lock(other, [row.customer_id])
        clicking.start()
        waits_for_a_lock(engine, clicking)
        fate.resend(engine, row.id, library=shop.library, clock=shop.clock)
    clicking.join(30)
    shop.post.transport.answer = Accepted("X")
    shop.drain()
    assert len(shop.post.transport.sent) == 1
    assert shop.rows("messages")[0].state == "accepted"
    engine.dispose()


def test_who_unsubscribes_by_a_letters_link_has_got_it(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Unknown("lost"))
    shop.take_in(a_purchase())
    shop.drain()
    stop.unsubscribe_by_link(engine, shop.rows("messages")[0].token, suppression_key=KEY, clock=shop.clock)
    assert shop.states() == ["accepted"]


def test_a_link_that_was_opened_is_a_doubt_and_no_proof(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Unknown("lost"))
    shop.take_in(a_purchase())
    shop.drain()
    (row,) = shop.rows("messages")
    answers.visit(engine, row.token, "fine", clock=shop.clock)
    assert shop.states() == ["unknown"], "a mail scanner may have opened it"
    assert any("opened a link" in doubt for doubt in fate.show(engine, row.id, clock=shop.clock).doubts or ())


# -- runs that are over --


def test_no_letter_of_a_run_that_is_over_is_sent_again_by_order(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Unknown("lost"), LEAVES)
    shop.take_in(a_purchase())
    shop.drain()
    shop.clock.move_to(MONDAY + 2 * HOUR)
    shop.take_in(a_purchase("T-2", delivered_at=None, status=OrderStatus.PLACED, placed_at=shop.clock.now()))
    shop.drain()
    with pytest.raises(UsageError, match="the run of message 1 is exited"):
        fate.resend(engine, 1, library=shop.library, clock=shop.clock)
    assert len(shop.post.transport.sent) == 1


def test_a_letter_that_outlives_its_run_is_withdrawn_before_it_leaves(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Unknown("lost"), LEAVES)
    shop.take_in(a_purchase())
    shop.drain()
    fate.resend(engine, 1, library=shop.library, clock=shop.clock)
    with writing(engine) as conn:
        conn.execute(text("UPDATE enrollments SET state = 'exited', wake_at = NULL, ended_at = entered_at"))
    shop.drain()
    assert shop.states() == ["cancelled"]
    assert ("cancelled", "its run is exited") in shop.verdicts()


# -- limits --


def test_a_pause_that_ends_while_a_letter_is_being_held_holds_it_no_longer_than_a_minute(
    postgres_url: str, tmp_path: Path
) -> None:
    engine, other = make_engine(postgres_url), make_engine(postgres_url)
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase())
    write_letters(shop)
    shop.apply(check_in=AT_ONCE.replace("status: live", "status: paused"))
    how: dict[str, Any] = {"library": shop.library, "suppression_key": KEY, "limit": 5, "lease_seconds": 120}
    live = {**shop.files, "workflows/check-in.yaml": AT_ONCE}
    applying = threading.Thread(target=deploy.apply, args=(other, live), kwargs={"clock": shop.clock})
    with writing(engine) as conn:
        claim(conn, [1], now=shop.clock.now(), **how)
        applying.start()
        waits_for_a_lock(engine, applying)  # it runs already; whom the claim holds is moved as soon as it is over
    applying.join(30)
    shop.drain()
    assert shop.states() == ["held"]
    assert deploy.release_resumed(engine, library=shop.library, clock=shop.clock) == 1
    shop.drain()
    assert shop.states() == ["accepted"]
    engine.dispose()
    other.dispose()


def test_letters_held_for_a_pause_that_lasts_stay_held(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase())
    write_letters(shop)
    shop.apply(check_in=AT_ONCE.replace("status: live", "status: paused"))
    shop.drain()
    assert deploy.release_resumed(engine, library=shop.library, clock=shop.clock) == 0
    assert shop.states() == ["held"]


def test_what_exceeds_a_days_limit_waits_for_a_slot_of_its_own(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, check_in=AT_ONCE + "limits: {per_day: 2}\n")
    for hour in range(2):
        shop.clock.move_to(MONDAY + hour * HOUR)
        shop.take_in(a_purchase(f"T-{hour}", email=f"c{hour}@example.com"))
        shop.drain()
    shop.take_in(*(a_purchase(f"U-{n}", email=f"u{n}@example.com") for n in range(3)))
    shop.drain()
    waits = [row.due_at - MONDAY for row in shop.rows("messages") if row.state == "due"]
    assert waits == [24 * HOUR, 25 * HOUR, 48 * HOUR]


def test_a_version_without_a_limit_takes_the_limit_from_no_other(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, check_in=AT_ONCE + "limits: {per_day: 1}\n")
    shop.take_in(a_purchase("T-1", email="a@example.com"), a_purchase("T-2", email="b@example.com"))
    shop.apply(check_in=AT_ONCE)
    shop.take_in(a_purchase("T-3", email="c@example.com"))
    shop.drain()
    assert shop.states() == ["accepted"] * 3, "the newest file sets no limit, and limits follow the newest file"


def test_a_list_is_brought_in_while_a_customer_is_being_written_to(postgres_url: str, tmp_path: Path) -> None:
    engine = make_engine(postgres_url)
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase(email="a@example.com"))
    how: dict[str, Any] = {"reason": "x", "key": KEY, "clock": shop.clock}
    importing = threading.Thread(target=suppress.import_list, args=(engine, b"a@example.com\n"), kwargs=how)
    with writing(engine) as conn:  # as whoever applies a bounce does: the customer, then the list
        customers.lock(conn, [1])
        importing.start()
        waits_for_a_lock(engine, importing)
        hash_ = suppressions.address_hash("a@example.com", KEY)
        assert suppressions.add(conn, hash_, reason="bounced", source="sendgrid", now=shop.clock.now())
    importing.join(30)
    assert not importing.is_alive()
    engine.dispose()


# -- the version before --


def test_what_the_version_before_writes_of_a_refused_sender_stops_nothing(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    with writing(engine) as conn:
        row = {"scope": "sender", "reason": "401", "since": MONDAY}
        conn.execute(halts.halts.insert(), [row])
        assert halts.current(conn) == {}
    shop.take_in(a_purchase())
    shop.drain()
    assert shop.states() == ["accepted"]
