"""A workflow that asks a person to take over: the conversation, the person, and the mail that tells them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from followup.core.customer import normalize_address
from followup.core.message import RetrySafe
from followup.services import converse
from followup.services.deliver import Post
from followup.services.notify import notify
from followup.services.watch import conditions
from followup.store import conversations, notices
from followup.store.engine import reading, writing
from followup.store.schema import notices as notices_table
from followup.store.types import real_now
from tests.services.world import MONDAY, PEOPLE, Scripted, World, a_purchase, a_reply

TAKES_OVER = """\
workflow: check-in
title: Did it arrive?
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
steps:
  - ask: arrived
    timeout: 5 days
  - branch:
      - when: answer == "broken"
        do:
          - handoff: tomas
            urgent: true
            note: "Order {{ order.number }}: {{ answer_label }}"
  - send: advice
"""


@pytest.fixture
def world(engine: Engine, tmp_path) -> World:
    """Return a shop in which a customer has just said that something is broken."""
    shop = World(engine, tmp_path, check_in=TAKES_OVER)
    shop.take_in(a_purchase())
    shop.drain()
    shop.clock.move_to(MONDAY + timedelta(days=1))
    shop.hear(a_reply(shop.letters()[0], "Something is broken"))
    shop.drain()
    return shop


def waiting(world: World) -> conversations.Waiting:
    with reading(world.engine) as conn:
        [one] = conversations.waiting(conn, limit=9)
    return one


def mails_to_people(world: World) -> list:
    return [mail for mail in world.letters() if mail["To"].endswith("forge.example>")]


def test_the_person_has_the_conversation_with_a_note(world: World) -> None:
    one = waiting(world)
    assert (one.owner, one.urgent, one.note) == ("tomas", True, "Order T-1: Something is broken")


def test_the_person_is_told_once_by_a_mail_whose_answer_goes_to_the_customer(world: World) -> None:
    [mail] = mails_to_people(world)
    assert mail["To"] == "Tomás Reyes <tomas@forge.example>"
    assert "<ana@example.com>" in mail["Reply-To"]
    assert mail["Subject"] == "Urgent: Ana, order T-1"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_body(("plain",)).get_content()
    assert "Order T-1: Something is broken" in text
    assert "followup conversations close ana@example.com" in text
    world.later(days=1)
    assert len(mails_to_people(world)) == 1


def test_the_letters_after_it_wait_until_the_conversation_is_closed(world: World) -> None:
    assert world.states() == ["accepted", "held"]
    converse.close(world.engine, normalize_address("ana@example.com"), library=world.library, clock=world.clock)
    world.drain()
    assert world.states() == ["accepted", "accepted"]


def test_it_is_on_the_customers_timeline(world: World) -> None:
    [event] = [row for row in world.rows("events") if row.kind == "conversation.handed_off"]
    told = {"person": "tomas", "workflow": "check-in", "urgent": True, "note": "Order T-1: Something is broken"}
    assert told.items() <= event.data.items()


def test_who_covers_for_somebody_away_is_told_instead(engine: Engine, tmp_path) -> None:
    away = PEOPLE.replace(
        "signature: Tomás}", "signature: Tomás, away: {from: 2026-03-01, until: 2026-03-02, cover: nell}}"
    )
    world = World(engine, tmp_path)
    world.apply({"workflows/people.yaml": away}, check_in=TAKES_OVER.replace('answer == "broken"', "replied"))
    for number, (email, at) in enumerate([("ana@example.com", 1), ("ben@example.com", 20)]):
        world.take_in(a_purchase(f"T-{number}", email=email, delivered_at=world.clock.now()))
        world.drain()
        world.clock.move_to(MONDAY + timedelta(hours=at))
        [letter] = [mail for mail in world.letters() if email in mail["To"]]
        world.hear(a_reply(letter, "Fine", message_id=f"<{number}@mail.example>"))
        world.drain()
    with reading(engine) as conn:
        owners = [one.owner for one in conversations.waiting(conn, limit=9)]
    assert owners == ["nell", "tomas"], "on Monday and, twenty hours later, on Tuesday"


def test_a_notice_that_does_not_get_through_is_tried_again_and_somebody_hears_of_it(world: World) -> None:
    with writing(world.engine) as conn:
        conn.execute(update(notices_table).values(told_at=None))
    world.post = _by(world, Scripted(answer=RetrySafe(MONDAY, "no connection")))
    assert _notify(world) == 0
    assert _notify(world) == 0, "and not at once"
    assert len(world.post.transport.sent) == 1
    with reading(world.engine) as conn:
        later = world.clock.now() + timedelta(hours=1)
        assert "notices" in {one.key for one in conditions(conn, now=later, expects_events=False)}
    with writing(world.engine) as conn:
        conn.execute(update(notices_table).values(leased_until=real_now(-1)))
    world.post = _by(world, Scripted())
    assert _notify(world) == 1
    with reading(world.engine) as conn:
        assert notices.count_untold(conn, since=later) == 0


def test_a_person_who_is_gone_keeps_the_notice_and_the_others_are_told(world: World) -> None:
    with writing(world.engine) as conn:
        conn.execute(update(notices_table).values(told_at=None, person="nobody"))
    assert _notify(world) == 0
    assert world.rows("notices")[0].failures == 1


def _by(world: World, transport: Scripted) -> Post:
    return replace(world.post, transport=transport)


def _notify(world: World) -> int:
    return notify(world.engine, library=world.library, post=world.post, clock=world.clock)
