"""What reviewers found: each was wrong once."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from followup.clock import VirtualClock
from followup.core.message import Accepted, MessageState, Misconfigured, RetrySafe, Unknown
from followup.core.order import OrderStatus
from followup.core.replies import InboundState
from followup.errors import UsageError
from followup.services import backfill, deliver, deploy
from followup.services.advance import advance
from followup.services.answers import record_click
from followup.services.claim import Wave, claim
from followup.services.replay import replay, reserve
from followup.services.settle import settle
from followup.services.sweep import recover
from followup.store import customers, messages, suppressions
from followup.store.engine import make_engine, writing
from followup.store.schema import messages as table
from followup.store.types import real_now
from tests.services.test_hearing import BOUNCE
from tests.services.world import ASK, CHECK_IN, MONDAY, Scripted, World, a_purchase, a_reply, about_cooking

COMPLAINT = """\
From: staff@provider.example
To: {to}
Subject: complaint
Message-ID: <c@provider.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
--b--
"""


def two_asked(world: World) -> None:
    """Let one customer be asked about two orders."""
    world.take_in(a_purchase("T-1"), a_purchase("T-2"))
    world.go_to(MONDAY + timedelta(days=2))
    world.drain()
    assert world.states() == ["accepted", "accepted"]


def stop_mail(letter) -> bytes:
    stop = letter["List-Unsubscribe"].split("mailto:")[1].split("?")[0]
    return a_reply({"Reply-To": stop, "Subject": "x", "Message-ID": "<x@y.example>"}, "unsubscribe")


@pytest.mark.parametrize("what", ["unsubscribed", "complained", "bounced"])
def test_who_wants_or_gets_no_mail_leaves_every_run_and_gets_no_other_letter(world: World, what: str) -> None:
    two_asked(world)
    letter = world.letters()[0]
    to = letter["Reply-To"]
    world.hear(
        {
            "unsubscribed": stop_mail(letter),
            "complained": COMPLAINT.format(to=to).encode(),
            "bounced": BOUNCE.format(to=to, action="failed", status="5.1.1").encode(),
        }[what]
    )
    world.drain()
    assert [(run.state, run.outcome) for run in world.rows("enrollments")] == [("exited", what)] * 2
    world.take_in(a_purchase("T-3", delivered_at=world.clock.now()))
    world.later(days=10)
    assert len(world.letters()) == 2


def test_a_control_character_in_a_message_id_stops_nothing(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    mail = a_reply(world.letters()[0]).replace(b"<1@mail.example>", b"<1\x00@mail.example>")
    assert world.hear(mail).state is InboundState.PROCESSED


def test_an_answer_is_read_by_the_choices_the_customer_saw(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    turned = ASK.replace('{fine: "Yes, all good", broken: Something is broken}', "{broken: Broken, well: Well}")
    world.apply({"templates/arrived.md": turned})
    assert world.hear(a_reply(world.letters()[0], "1")).answer == "fine"
    token = world.rows("messages")[0].token
    assert record_click(world.engine, token, "fine", library=world.library, clock=world.clock, key="k")


def test_somebody_else_who_has_seen_the_letter_cannot_answer_for_the_customer(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    shown = {"Reply-To": "nell@forge.example", "Subject": "x", "Message-ID": world.letters()[0]["Message-ID"]}
    mail = a_reply(shown, "Something is broken").replace(b"ana@example.com", b"eve@evil.example")
    assert world.hear(mail).state is InboundState.UNMATCHED
    assert world.rows("replies") == []


def test_a_letter_due_at_the_weekend_is_not_late_on_monday_evening(world: World) -> None:
    weekdays = CHECK_IN.replace("steps:", "send_window: {days: weekdays, hours: 09:00-21:00}\nsteps:")
    world.apply(check_in=weekdays)
    friday = MONDAY + timedelta(days=4, hours=11)  # Friday 21:00: the window has just closed
    world.take_in(a_purchase(delivered_at=MONDAY + timedelta(days=-1)), enroll=False)
    world.clock.move_to(friday - timedelta(days=2))
    world.take_in(a_purchase("T-2", delivered_at=friday - timedelta(days=2)))
    world.clock.move_to(friday + timedelta(days=2, hours=23))  # nobody was there until Sunday
    world.drain()
    world.go_to(friday + timedelta(days=3, hours=-1))  # Monday 20:00, three days late less an hour
    assert world.states() == ["accepted"]


def test_a_cancelling_dated_before_the_entry_ends_the_run(world: World) -> None:
    world.take_in(a_purchase(delivered_at=MONDAY - timedelta(days=9)), enroll=False)
    backfill.trigger(
        world.engine, "check-in", order_number="T-1", since=None, start_now=True, dry_run=False,
        library=world.library, clock=world.clock,
    )  # fmt: skip
    world.later(hours=1)
    world.take_in(a_purchase(delivered_at=MONDAY - timedelta(days=9), status=OrderStatus.REFUNDED))
    world.drain()
    (run,) = world.rows("enrollments")
    assert (run.state, run.outcome) == ("exited", "order refunded")


@pytest.mark.parametrize("how", ["apply", "start"])
def test_a_mended_setting_sends_what_it_had_blocked(engine: Engine, tmp_path, how: str) -> None:
    transport = Scripted(Misconfigured("bad key"))
    world = World(engine, tmp_path, transport=transport)
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    transport.answer = Accepted("X1")
    if how == "apply":
        assert world.apply().unblocked == 1
    else:
        assert deploy.retry_blocked(engine) == 1
    world.drain()
    assert world.states() == ["accepted"]


def claimed(world: World, *, lease_seconds: int = 60) -> Wave:
    """Take the customer's letter as far as a worker's claim."""
    world.clock.move_to(MONDAY + timedelta(days=2))
    runs = [row.id for row in world.rows("enrollments")]
    advance(world.engine, runs, library=world.library, clock=world.clock)
    with writing(world.engine) as conn:
        return claim(
            conn,
            [row.id for row in world.rows("messages")],
            library=world.library,
            suppression_key="never-changes",
            now=world.clock.now(),
            limit=9,
            lease_seconds=lease_seconds,
        )


def test_a_letter_mended_while_it_was_being_written_is_written_again(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path)
    world.apply({"templates/arrived.md": ASK.replace('customer.first_name | default("there")', "customer.first_name")})
    world.take_in(a_purchase(first_name=None))
    wave = claimed(world)
    world.apply()  # somebody mends it while the worker still has the old letter in its hands
    deliver._send(engine, wave, post=world.post, clock=world.clock, stopping=lambda: False)
    assert world.states() == ["due"]
    world.drain()
    assert world.states() == ["accepted"]


def test_an_answer_for_another_attempt_is_dropped(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path, transport=Scripted(Unknown("x")))
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    with engine.begin() as conn:
        conn.execute(table.update().values(state="sending", leased_until=real_now(60)))
    (row,) = world.rows("messages")
    settle(engine, {row.id: "a" * 16}, {"a" * 16: Accepted("X")}, clock=world.clock)
    assert world.states() == ["sending"]
    settle(engine, {row.id: row.token}, {row.token: Accepted("X")}, clock=world.clock)
    assert world.states() == ["accepted"]


def test_a_letter_claimed_anew_by_somebody_else_is_not_sent_by_the_first(engine: Engine, tmp_path) -> None:
    transport = Scripted()
    world = World(engine, tmp_path, transport=transport)
    world.take_in(a_purchase())
    wave = claimed(world, lease_seconds=0)
    with engine.begin() as conn:  # its lease ended, and another worker claimed it
        conn.execute(table.update().values(attempts=table.c.attempts + 1))
    deliver._send(engine, wave, post=world.post, clock=world.clock, stopping=lambda: False)
    assert (world.states(), transport.sent) == (["claimed"], [])


def test_a_reminder_is_not_held_back_by_its_own_question(world: World) -> None:
    world.apply(check_in=about_cooking(CHECK_IN.replace("steps:", "limits: {cap: 1 message per 6 days}\nsteps:")))
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    world.go_to(MONDAY + timedelta(days=5))
    assert [(row.round, row.state) for row in world.rows("messages")] == [(0, "accepted"), (1, "accepted")]


def test_a_replay_keeps_out_of_a_database_in_use(world: World) -> None:
    world.take_in(a_purchase(), enroll=False)
    reserve(world.engine, clock=world.clock)  # orders alone are in nobody's way
    reserve(world.engine, clock=world.clock)


def test_a_replay_does_not_run_away_with_real_customers(world: World) -> None:
    world.take_in(a_purchase())
    with pytest.raises(UsageError, match="real use"):
        reserve(world.engine, clock=world.clock)


@pytest.mark.parametrize("what", ["message", "customer"])
def test_claiming_leaves_what_somebody_else_holds(postgres_url: str, tmp_path, what: str) -> None:
    engine = make_engine(postgres_url)  # SQLite has one writer at a time
    world = World(engine, tmp_path)
    world.take_in(a_purchase("T-1"), a_purchase("T-2", email="ben@example.com"))
    world.clock.move_to(MONDAY + timedelta(days=2))
    runs = [row.id for row in world.rows("enrollments")]
    advance(engine, runs, library=world.library, clock=world.clock)
    ana, ben = world.rows("messages")
    with writing(engine) as first:
        if what == "message":
            messages.lock(first, [ana.id], MessageState.DUE)
        else:
            customers.lock(first, [ana.customer_id])
        wave = claimed(world)
        assert wave.handled == {ben.id}
    engine.dispose()


def test_an_address_can_be_suppressed_for_one_workflow_alone(world: World) -> None:
    world.apply(check_in=CHECK_IN, second=CHECK_IN.replace("check-in", "second"))
    with writing(world.engine) as conn:
        hash_ = suppressions.address_hash("ana@example.com", "never-changes")
        suppressions.add(conn, hash_, reason="asked", source="test", now=MONDAY, scope="second")
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    assert {row.workflow: row.state for row in world.rows("messages")} == {
        "check-in": "accepted",
        "second": "cancelled",
    }


def test_a_replay_comes_past_the_moment_at_which_a_blocked_letter_is_given_up(world: World) -> None:
    nameless = ASK.replace('customer.first_name | default("there")', "customer.first_name")
    world.apply({"templates/arrived.md": nameless})
    purchase = a_purchase(first_name=None)
    world.clock = VirtualClock(purchase.order.placed_at)
    replay(world.engine, [purchase], [], library=world.library, post=world.post, clock=world.clock)
    assert world.states() == ["expired"]
    assert world.rows("enrollments")[0].state == "completed"


def test_what_was_proved_not_to_have_left_is_due_when_it_was_tried(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path, transport=Scripted(Unknown("x"), RetrySafe(MONDAY, "not there")))
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    with engine.begin() as conn:
        conn.execute(table.update().values(state="sending", reason=None, leased_until=real_now(60)))
    world.clock.move_to(MONDAY + timedelta(days=4))
    recover(engine, post=world.post, clock=world.clock, take_over=True)
    (row,) = world.rows("messages")
    assert (row.state, row.due_at) == ("due", MONDAY + timedelta(days=2))
