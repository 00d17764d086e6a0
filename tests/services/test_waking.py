"""A run hears of what happens to its customer, whoever brings it about: another run, a customer, one of us."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from followup.services import answers, converse, track
from tests.services.world import MONDAY, World, a_purchase, a_reply

ASKS = """\
workflow: asks
title: It asks, and hands over who is unhappy
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
steps:
  - wait: 1 hour
  - ask: arrived
    timeout: 5 days
  - handoff: nell
    when: no_reply
"""
LISTENS = """\
workflow: listens
title: It only listens
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
steps:
  - wait_for: EVENT
    timeout: 30 days
  - stop: heard of it
"""


def heard(world: World) -> str | None:
    """Return how the run that listens has ended, as soon as a worker has looked."""
    world.drain()
    [run] = [row for row in world.rows("enrollments") if row.workflow == "listens"]
    return run.outcome


@pytest.fixture
def listening(engine: Engine, tmp_path, request: pytest.FixtureRequest) -> World:
    """Return a shop in which one run has just asked, and another waits for an event; the test names it."""
    world = World(engine, tmp_path, asks=ASKS, listens=LISTENS.replace("EVENT", request.param))
    world.take_in(a_purchase())
    world.drain()
    world.go_to(MONDAY + timedelta(hours=1))
    world.clock.move_to(MONDAY + timedelta(hours=2))
    return world


def about(event: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("listening", [event], indirect=True)


@about("message.accepted")
def test_that_a_letter_of_another_run_was_taken(listening: World) -> None:
    assert heard(listening) == "heard of it"


@about("answer.given")
def test_an_answer_to_another_run(listening: World) -> None:
    assert heard(listening) is None
    token = listening.rows("messages")[0].token
    answers.confirm(listening.engine, token, "fine", "", library=listening.library, clock=listening.clock)
    assert heard(listening) == "heard of it"


@pytest.mark.parametrize("listening", ["reply.received", "conversation.opened"], indirect=True)
def test_a_reply_to_another_run(listening: World) -> None:
    assert heard(listening) is None
    listening.hear(a_reply(listening.letters()[0]))
    assert heard(listening) == "heard of it"


@about("support.solved")
def test_that_a_letter_of_another_run_bounced(listening: World) -> None:
    token = listening.rows("messages")[0].token
    event = {"event": "bounce", "email": "ana@example.com", "fu_token": token, "sg_event_id": "1"}
    track.store_events(listening.engine, json.dumps([event]).encode(), clock=listening.clock)
    assert heard(listening) == "bounced"


@about("conversation.handed_off")
def test_that_another_run_hands_the_customer_over(listening: World) -> None:
    listening.go_to(MONDAY + timedelta(days=5, hours=1))
    assert heard(listening) == "heard of it"


@about("conversation.closed")
def test_that_the_conversation_is_closed(listening: World) -> None:
    listening.hear(a_reply(listening.letters()[0]))
    assert heard(listening) is None
    converse.close(listening.engine, "ana@example.com", library=listening.library, clock=listening.clock)
    assert heard(listening) == "heard of it"
