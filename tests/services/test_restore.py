"""After a restore: what may have left in the time that is lost is of unknown fate, and nothing of it goes by itself."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from followup.core.gates import RESTORED
from followup.core.message import Accepted, Misconfigured, Unknown
from followup.errors import UsageError
from followup.services import fate, restore, track
from followup.services.checkup import Grade
from followup.services.checkup_record import record_findings
from followup.services.halt import halt
from followup.services.trial import send_test
from followup.services.watch import conditions
from followup.store import schema
from followup.store.engine import reading, writing
from followup.store.types import real_now
from tests.services.test_checkup import a_setup
from tests.services.test_senders import due
from tests.services.world import CHECK_IN, MONDAY, Scripted, World, a_purchase

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
HOUR = timedelta(hours=1)


def recovered(shop: World, since: datetime = MONDAY - HOUR) -> restore.Recovered:
    return restore.recovered(shop.engine, since, clock=shop.clock)


@pytest.mark.parametrize("state", ["due", "held", "claimed", "sending", "blocked"])
def test_what_may_have_left_is_in_doubt(engine: Engine, tmp_path: Path, state: str) -> None:
    shop = World(engine, tmp_path, transport=Scripted(Unknown("no answer")), check_in=AT_ONCE)
    shop.take_in(a_purchase())
    if state == "held":
        halt(engine, "a moment", clock=shop.clock)
    if state == "blocked":
        shop.post.transport.answer = Misconfigured("401")
    if state == "due":
        due(shop)
    else:
        shop.drain()
    if state in {"claimed", "sending"}:
        values = {"state": state, "leased_until": real_now(60)}
        unsent = {"token": None, "sending_at": None} if state == "claimed" else {}
        with writing(engine) as conn:
            conn.execute(update(schema.messages).values(values | unsent))
    assert shop.states() == [state]
    before = shop.rows("messages")[0]
    assert recovered(shop) == restore.Recovered(MONDAY - HOUR, MONDAY, 1)
    (row,) = shop.rows("messages")
    assert (row.state, row.reason, row.transport, row.leased_until) == ("unknown", RESTORED, None, None)
    assert row.token == before.token or before.token is None
    assert recovered(shop).doubtful == 0, "twice is once"
    assert shop.verdicts()[-1] == ("unknown", RESTORED)
    (shown,) = fate.listing(engine, state=None, workflow=None, limit=9, clock=shop.clock)
    assert shown[1] == ("the database was restored, and the token it may have left under is lost",)


def test_what_is_written_later_and_was_due_in_that_time_is_in_doubt_too(engine: Engine, tmp_path: Path) -> None:
    shop = World(engine, tmp_path, transport=Scripted(), check_in=AT_ONCE)
    recovered(shop)
    shop.clock.move_to(MONDAY + HOUR)
    shop.take_in(
        a_purchase("T-1", delivered_at=MONDAY - HOUR),
        a_purchase("T-2", email="b@example.com", delivered_at=MONDAY + HOUR),
    )
    shop.drain()
    rows = {row.due_at: row for row in shop.rows("messages")}
    assert [rows[MONDAY - HOUR].state, rows[MONDAY + HOUR].state] == ["unknown", "accepted"]
    assert rows[MONDAY - HOUR].token
    assert len(shop.post.transport.sent) == 1
    assert shop.verdicts() == [("unknown", RESTORED)]


def test_what_falls_due_afterwards_goes(engine: Engine, tmp_path: Path) -> None:
    shop = World(engine, tmp_path, transport=Scripted(), check_in=AT_ONCE)
    shop.take_in(a_purchase())
    shop.drain()
    assert recovered(shop).doubtful == 0
    shop.later(days=3)
    assert shop.states() == ["accepted", "accepted"], "the reminder"


def test_a_letter_in_doubt_can_be_ordered_again(engine: Engine, tmp_path: Path) -> None:
    shop = World(engine, tmp_path, transport=Scripted(), check_in=AT_ONCE)
    shop.take_in(a_purchase())
    due(shop)
    recovered(shop)
    shop.clock.move_to(MONDAY + HOUR)
    fate.resend(engine, shop.rows("messages")[0].id, library=shop.library, clock=shop.clock)
    shop.drain()
    assert shop.states() == ["accepted"]


def test_a_time_that_is_yet_to_come_is_refused(engine: Engine, tmp_path: Path) -> None:
    shop = World(engine, tmp_path, check_in=AT_ONCE)
    with pytest.raises(UsageError, match="is yet to come"):
        recovered(shop, MONDAY + HOUR)
    assert shop.rows("gaps") == []


# -- reports about letters that nobody here knows --


def report(shop: World, token: str, kind: str = "delivered") -> None:
    event = {"event": kind, "email": "ana@example.com", "fu_token": token, "sg_event_id": f"{kind} {token}"}
    ids = track.store_events(shop.engine, json.dumps([event]).encode(), clock=shop.clock)
    track.track(shop.engine, ids, suppression_key="never-changes", clock=shop.clock)


def noticed(shop: World) -> tuple[str | None, str | None]:
    """Return what an alert and the check-up say of it."""
    with reading(shop.engine) as conn:
        alerts = {one.key: one.text for one in conditions(conn, now=shop.clock.now(), expects_events=True)}
        found = {
            one.what: one.text
            for one in record_findings(conn, a_setup(), library=shop.library, now=shop.clock.now())
            if one.grade is Grade.FAIL
        }
    return alerts.get("restored"), found.get("restored")


def test_reports_about_letters_that_the_database_does_not_know_are_noticed(engine: Engine, tmp_path: Path) -> None:
    shop = World(engine, tmp_path, check_in=AT_ONCE)
    assert noticed(shop) == (None, None)
    for kind in ("processed", "delivered"):
        report(shop, "q" * 16, kind)
    alert, finding = noticed(shop)
    assert alert is not None
    assert "reports on 1 letter that this database does not know, since 2026-03-02 10:00 UTC" in alert
    assert "followup db recovered --since" in alert
    assert finding is not None

    shop.clock.move_to(MONDAY + HOUR)
    recovered(shop)
    report(shop, "q" * 16, "bounce")
    assert noticed(shop) == (None, None), "it was seen before, and is known to be lost"
    report(shop, "r" * 16)
    assert "reports on 1 letter" in str(noticed(shop)[0])
    shop.clock.move_to(MONDAY + timedelta(days=8))
    assert noticed(shop) == (None, None)


def test_letters_on_trial_and_mail_of_others_are_no_strangers(engine: Engine, tmp_path: Path) -> None:
    shop = World(engine, tmp_path, transport=Scripted(Accepted("X")), check_in=AT_ONCE)
    shop.take_in(a_purchase(), enroll=False)
    tried = send_test(
        engine, "arrived", to="me@forge.example", order_number="T-1",
        library=shop.library, post=shop.post, clock=shop.clock,
    )  # fmt: skip
    report(shop, tried.mail.token)
    report(shop, "somebody else's")
    assert noticed(shop) == (None, None)
