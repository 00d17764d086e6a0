"""One order's way, from delivery to the end of its run, through the real services."""

from datetime import timedelta

import pytest

from followup.core.message import Accepted, Misconfigured, Rejected, RetrySafe, Unknown
from followup.core.order import OrderStatus
from followup.services.answers import record_click
from followup.services.sweep import recover
from followup.store.schema import messages
from followup.store.types import real_now
from tests.services.world import ASK, CHECK_IN, MONDAY, PEOPLE, Scripted, World, a_purchase, a_reply, about_cooking


def token_of(world: World, number: int = 0) -> str:
    token: str = world.rows("messages")[number].token
    return token


def click(world: World, choice: str, *, key: str = "k1", **more) -> bool:
    return record_click(
        world.engine, token_of(world), choice, library=world.library, clock=world.clock, key=key, **more
    )


def test_a_delivered_order_is_asked_about_after_its_wait(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2) - timedelta(seconds=1))
    assert world.letters() == []
    world.go_to(MONDAY + timedelta(days=2))
    (letter,) = world.letters()
    assert letter["From"] == "Nell Harrow <nell@forge.example>"
    assert letter["Reply-To"].startswith("Nell Harrow <r+")
    assert letter["Subject"] == "Did your Pan 28 cm arrive?"
    assert "Did everything arrive in one piece?" in letter.get_body(("plain",)).get_content()
    (row,) = world.rows("messages")
    assert (row.state, row.accepted_at, row.question) == (
        "accepted",
        MONDAY + timedelta(days=2),
        "Did everything arrive in one piece?",
    )


def test_an_unanswered_question_is_reminded_of_once_and_then_given_up(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    world.go_to(MONDAY + timedelta(days=5))
    assert [(row.round, row.state) for row in world.rows("messages")] == [(0, "accepted"), (1, "accepted")]
    world.go_to(MONDAY + timedelta(days=7))
    (run,) = world.rows("enrollments")
    assert (run.state, run.outcome) == ("completed", "silent")
    assert len(world.letters()) == 2


def test_a_click_moves_the_run_on_and_cancels_the_reminder(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    world.later(hours=3)
    assert click(world, "fine")
    world.drain()
    (run,) = world.rows("enrollments")
    assert (run.step, run.wake_at) == ("wait-2", MONDAY + timedelta(days=12, hours=3))
    world.go_to(MONDAY + timedelta(days=12, hours=3))
    assert [row.letter for row in world.rows("messages")] == ["arrived", "cooking"]


def test_a_letter_that_is_withdrawn_is_a_decision_on_the_record(world: World) -> None:
    world.take_in(a_purchase())
    world.apply(check_in=CHECK_IN.replace("status: live", "status: paused"))
    world.go_to(MONDAY + timedelta(days=2))
    world.take_in(a_purchase(status=OrderStatus.CANCELLED))
    world.drain()
    assert world.states() == ["cancelled"]
    assert world.verdicts()[-2:] == [("cancelled", "the run ended: order cancelled"), ("exited", "order cancelled")]
    assert world.rows("decisions")[-2].message_id == world.rows("messages")[0].id


def test_a_click_counts_once_for_its_key(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    assert click(world, "fine")
    assert not click(world, "fine")
    assert len(world.rows("answers")) == 1


def test_a_plain_good_answer_opens_no_conversation_but_a_bad_one_or_a_comment_does(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    click(world, "fine", key="1")
    assert world.rows("conversations") == []
    click(world, "fine", key="2", comment="but the box was open")
    assert len(world.rows("conversations")) == 1
    click(world, "broken", key="3")
    assert len(world.rows("conversations")) == 1


def test_an_answer_that_was_not_offered_is_refused(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    with pytest.raises(Exception, match="it offers: fine, broken"):
        click(world, "maybe")
    assert world.rows("answers") == []


def test_nothing_automatic_goes_to_a_customer_who_waits_for_us(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    world.hear(a_reply(world.letters()[0], "Thank you, it looks lovely. Who made it?"))
    world.go_to(MONDAY + timedelta(days=13))
    assert world.states() == ["accepted", "held"]
    assert world.verdicts()[-1] == ("held", "the customer waits for an answer from us")
    held = world.rows("messages")[1]
    assert (held.due_at, held.not_after) == (None, None)


def test_an_unsubscribe_ends_the_run_and_nothing_more_is_sent(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    letter = world.letters()[0]
    stop = letter["List-Unsubscribe"].split("mailto:")[1].split("?")[0]
    mail = a_reply(letter, "unsubscribe").replace(letter["Reply-To"].encode(), stop.encode())
    mail = mail.replace(f"To: {letter['Reply-To']}".encode(), f"To: {stop}".encode())
    heard = world.hear(mail)
    assert heard.kind is not None
    assert heard.kind.value == "unsubscribe"
    world.drain()
    (run,) = world.rows("enrollments")
    assert (run.state, run.outcome) == ("exited", "unsubscribed")
    world.clock.move_to(world.clock.now() + timedelta(hours=1))
    world.take_in(a_purchase("T-2", delivered_at=world.clock.now()))
    world.later(days=3)
    assert world.states() == ["accepted", "cancelled"]
    assert world.rows("enrollments")[1].outcome == "the address is suppressed: unsubscribed"


def test_a_cancelled_order_ends_the_run_and_withdraws_its_letter(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=1)
    world.take_in(a_purchase(status=OrderStatus.REFUNDED))
    world.drain()
    (run,) = world.rows("enrollments")
    assert (run.state, run.outcome) == ("exited", "order refunded")
    world.later(days=5)
    assert world.letters() == []


def test_a_letter_that_is_too_late_is_not_sent_and_the_run_says_so(world: World) -> None:
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=6))  # nobody was there for four days
    assert world.states() == ["expired"]
    assert ("expired", "too late") in world.verdicts()
    assert world.rows("enrollments")[0].outcome == "not asked: too late"


def test_a_cap_counts_letters_of_all_workflows_and_postpones(world: World) -> None:
    capped = about_cooking(CHECK_IN.replace("steps:", "limits: {cap: 1 message per 4 days}\nsteps:"))
    world.apply(check_in=CHECK_IN, second=capped.replace("check-in", "second"))
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    assert world.states() == ["accepted", "due"]
    (row,) = [row for row in world.rows("messages") if row.state == "due"]
    assert row.due_at == MONDAY + timedelta(days=6)
    assert row.not_after == row.due_at + timedelta(days=3)
    assert row.postponed_since == MONDAY + timedelta(days=2)


@pytest.mark.parametrize(("most", "state"), [("5 days", "due"), ("4 days", "expired")])
def test_postponing_counts_from_the_first_time_whatever_postpones_again(world: World, most: str, state: str) -> None:
    rules = f"send_window: {{days: weekdays}}\nlimits: {{cap: 1 message per 4 days}}\nmax_postpone: {most}\nsteps:"
    capped = about_cooking(CHECK_IN.replace("steps:", rules))
    world.apply(check_in=CHECK_IN, second=capped.replace("check-in", "second"))
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    world.go_to(MONDAY + timedelta(days=6))  # the cap lets it go, on a Sunday
    row = world.rows("messages")[1]
    assert (row.state, row.postponed_since) == (state, MONDAY + timedelta(days=2))


def test_one_customer_gets_one_letter_of_a_wave_the_most_urgent_first(world: World) -> None:
    calm, urgent = (
        f"""\
workflow: {name}
title: One letter
status: live
owner: nell
sender: nell
trigger: {{event: order.delivered}}
limits: {{cap: 1 message per 1 day, priority: {priority}}}
steps:
  - ask: cooking
    timeout: 3 days
"""
        for name, priority in (("calm", 10), ("urgent", 90))
    )
    world.apply(calm=calm, urgent=urgent)
    world.take_in(a_purchase())
    world.drain()
    assert {row.workflow: row.state for row in world.rows("messages")} == {"urgent": "accepted", "calm": "due"}


@pytest.mark.parametrize("name", ["paused", "draft"])
def test_a_workflow_that_is_not_live_any_more_holds_the_letters_of_those_inside(world: World, name: str) -> None:
    world.take_in(a_purchase())
    world.apply(check_in=CHECK_IN.replace("status: live", f"status: {name}"))
    world.go_to(MONDAY + timedelta(days=2))
    assert world.states() == ["held"]
    assert world.take_in(a_purchase("T-2", email="ben@example.com", delivered_at=world.clock.now())).enrolled == 0


def test_letters_that_a_pause_held_go_on_when_the_workflow_is_live_again_and_are_not_late(world: World) -> None:
    windowed = CHECK_IN.replace("steps:", "send_window: {hours: 09:00-17:00}\nsteps:")
    world.apply(check_in=windowed)
    world.take_in(a_purchase())
    world.apply(check_in=windowed.replace("status: live", "status: paused"))
    world.go_to(MONDAY + timedelta(days=2))
    world.clock.move_to(MONDAY + timedelta(days=60, hours=10))  # long after max_postpone, and outside the window
    assert world.apply(check_in=windowed).released == 1
    world.drain()
    assert world.states() == ["due"], "it waits for the morning"
    assert world.verdicts()[1] == ("released", "the workflow is live again")
    world.go_to(MONDAY + timedelta(days=61))
    assert world.states() == ["accepted"]


def test_two_wants_of_the_same_due_letters_send_each_once(world: World) -> None:
    world.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(40)))
    world.go_to(MONDAY + timedelta(days=2))
    world.drain()
    assert world.states() == ["accepted"] * 40
    assert len(world.letters()) == 40


class TestWhatTheTransportSays:
    def sent(self, engine, tmp_path, answer) -> tuple[World, Scripted]:
        transport = Scripted(answer)
        world = World(engine, tmp_path, transport=transport)
        world.take_in(a_purchase())
        world.go_to(MONDAY + timedelta(days=2))
        return world, transport

    def test_a_lost_answer_is_never_followed_by_a_second_mail(self, engine, tmp_path) -> None:
        world, transport = self.sent(engine, tmp_path, Unknown("no answer"))
        transport.answer = Accepted("X1")
        world.later(days=1)
        assert (world.states(), len(transport.sent)) == (["unknown"], 1)

    def test_a_reply_to_a_letter_whose_answer_was_lost_proves_that_it_arrived(self, engine, tmp_path) -> None:
        world, transport = self.sent(engine, tmp_path, Unknown("no answer"))
        world.later(hours=1)
        letter = {"Reply-To": transport.sent[0].reply_to, "Subject": "x", "Message-ID": transport.sent[0].message_id}
        world.hear(a_reply(letter))
        world.drain()
        (row,) = world.rows("messages")
        assert (row.state, row.accepted_at) == ("accepted", MONDAY + timedelta(days=2))
        assert world.rows("enrollments")[0].step == "wait-2"

    def test_what_is_safe_to_repeat_is_repeated_under_a_new_token(self, engine, tmp_path) -> None:
        later = MONDAY + timedelta(days=2, minutes=10)
        world, transport = self.sent(engine, tmp_path, RetrySafe(later, "busy"))
        assert world.states() == ["due"]
        transport.answer = Accepted("X2")
        world.go_to(later)
        assert world.states() == ["accepted"]
        first, second = transport.sent
        assert first.token != second.token

    def test_a_refused_letter_ends_the_ask_with_the_reason(self, engine, tmp_path) -> None:
        world, _ = self.sent(engine, tmp_path, Rejected("no such mailbox"))
        assert world.states() == ["rejected"]
        assert world.rows("enrollments")[0].outcome == "not asked: no such mailbox"

    def test_a_misconfigured_sender_blocks_until_something_is_applied(self, engine, tmp_path) -> None:
        world, transport = self.sent(engine, tmp_path, Misconfigured("bad key"))
        world.later(hours=1)
        assert (world.states(), len(transport.sent)) == (["blocked"], 1)
        transport.answer = Accepted("X1")
        assert world.apply(check_in=CHECK_IN.replace("Did it arrive?", "Did it arrive well?")).unblocked == 1
        world.drain()
        assert world.states() == ["accepted"]

    def test_a_blocked_letter_is_given_up_when_its_time_is_over(self, engine, tmp_path) -> None:
        world, _ = self.sent(engine, tmp_path, Misconfigured("bad key"))
        world.later(days=3, seconds=1)
        assert world.states() == ["expired"]
        assert world.rows("enrollments")[0].outcome == "not asked: bad key"

    def test_a_letter_that_cannot_be_written_for_someone_is_blocked_and_the_others_go(self, engine, tmp_path) -> None:
        world = World(engine, tmp_path)
        nameless = ASK.replace('customer.first_name | default("there")', "customer.first_name")
        world.apply({"templates/arrived.md": nameless})
        world.take_in(a_purchase("T-1", first_name=None), a_purchase("T-2", email="ben@example.com"))
        world.go_to(MONDAY + timedelta(days=2))
        assert sorted(world.states()) == ["accepted", "blocked"]
        (blocked,) = [row for row in world.rows("messages") if row.state == "blocked"]
        assert "templates/arrived.md" in blocked.reason
        assert "customer.first_name" in blocked.reason

    def test_a_letter_whose_person_has_left_is_blocked_and_those_of_others_go(self, world: World) -> None:
        world.take_in(a_purchase("T-1"))
        without_nell = {"workflows/people.yaml": PEOPLE.replace("nell:", "nora:")}
        by_tomas = CHECK_IN.replace("nell", "tomas").replace("wait:", "id: pause\n    wait:", 1)
        world.apply(without_nell, check_in=by_tomas, in_flight={"check-in": "finish"})
        world.take_in(a_purchase("T-2", email="ben@example.com"))
        world.go_to(MONDAY + timedelta(days=2))
        assert [(row.sender, row.state, row.reason) for row in world.rows("messages")] == [
            ("nell", "blocked", "'nell' is not in people.yaml"),
            ("tomas", "accepted", None),
        ]
        world.apply(check_in=by_tomas)
        world.drain()
        assert world.states() == ["accepted", "accepted"]

    @pytest.mark.parametrize("zone", ["Mars/Phobos", "", "../../etc/passwd", "x" * 500])
    def test_a_customer_in_a_zone_nobody_knows_lives_by_the_shops_clock(self, world: World, zone: str) -> None:
        world.apply(check_in=CHECK_IN.replace("steps:", "send_window: {hours: 09:00-17:00}\nsteps:"))
        evening = MONDAY + timedelta(hours=9)  # 19:00 in London
        world.clock.move_to(evening)
        world.take_in(
            a_purchase("T-1", timezone=zone, delivered_at=evening),
            a_purchase("T-2", email="ben@example.com", delivered_at=evening),
        )
        world.go_to(evening + timedelta(days=2))
        assert world.states() == ["due", "due"]
        world.go_to(evening + timedelta(days=2, hours=14))
        assert world.states() == ["accepted", "accepted"]


class TestWhatAKilledWorkerLeft:
    """Each state a worker can die in; the lease is ended by taking over, as a replay does."""

    def left_in(self, engine, tmp_path, state: str, recovered) -> tuple[World, Scripted]:
        transport = Scripted(Unknown("x"), recovered)
        world = World(engine, tmp_path, transport=transport)
        world.take_in(a_purchase())
        world.go_to(MONDAY + timedelta(days=2))
        with engine.begin() as conn:
            values = {"state": state, "reason": None, "leased_until": real_now(3600)}
            if state == "claimed":
                values |= {"token": None, "sending_at": None}
            conn.execute(messages.update().values(values))
        return world, transport

    def test_a_claimed_letter_has_not_left_and_is_due_again(self, engine, tmp_path) -> None:
        world, transport = self.left_in(engine, tmp_path, "claimed", Unknown("x"))
        recover(engine, post=world.post, clock=world.clock)
        assert world.states() == ["claimed"], "its lease has not ended"
        recover(engine, post=world.post, clock=world.clock, take_over=True)
        assert world.states() == ["due"]
        transport.answer = Accepted("X1")
        world.drain()
        assert world.states() == ["accepted"]

    def test_one_that_was_being_sent_is_unknown_without_proof(self, engine, tmp_path) -> None:
        world, transport = self.left_in(engine, tmp_path, "sending", Unknown("x"))
        recover(engine, post=world.post, clock=world.clock, take_over=True)
        world.drain()
        assert (world.states(), len(transport.sent)) == (["unknown"], 1)

    def test_proof_that_it_was_taken_makes_it_accepted_when_it_was_sent(self, engine, tmp_path) -> None:
        world, _ = self.left_in(engine, tmp_path, "sending", Accepted("X1"))
        world.clock.move_to(MONDAY + timedelta(days=4))
        recover(engine, post=world.post, clock=world.clock, take_over=True)
        (row,) = world.rows("messages")
        assert (row.state, row.accepted_at) == ("accepted", MONDAY + timedelta(days=2))

    def test_proof_that_it_was_not_taken_makes_it_due_again(self, engine, tmp_path) -> None:
        world, transport = self.left_in(engine, tmp_path, "sending", RetrySafe(MONDAY, "not there"))
        transport.answer = Accepted("X1")
        recover(engine, post=world.post, clock=world.clock, take_over=True)
        world.drain()
        assert (world.states(), len(transport.sent)) == (["accepted"], 2)
