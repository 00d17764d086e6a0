"""Evidence of an attempt that was given up: it finds its letter, wherever the next attempt has come to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from followup.core.message import Accepted, Misconfigured, Rejected, RetrySafe
from followup.services import answers, converse, fate, stop, suppress
from followup.services.halt import halt, unhalt
from followup.services.settle import settle
from followup.store import schema
from followup.store.engine import writing
from tests.services.attempts import HOUR, KEY, LOST, given_up, letter, message, report, resend, timeline
from tests.services.world import MONDAY, World, a_reply


def by_event(shop: World, token: str) -> None:
    report(shop, token)


def by_click(shop: World, token: str) -> None:
    answers.confirm(shop.engine, token, "fine", "", library=shop.library, clock=shop.clock)


def by_reply(shop: World, token: str) -> None:
    shop.hear(a_reply(letter(shop)))


EVIDENCE = {"event": by_event, "click": by_click, "reply": by_reply}
STATES = ["due", "held", "claimed", "blocked", "sending", "unknown"]


def second_attempt(shop: World, state: str) -> str:
    """Bring the second attempt into *state*; return the token of the first one."""
    token = resend(shop)
    if state == "held":
        halt(shop.engine, "a moment", clock=shop.clock)
    if state == "blocked":
        shop.post.transport.answer = Misconfigured("401")
    if state != "due":
        shop.drain()
    if state in {"claimed", "sending"}:
        values = {"state": state, "leased_until": datetime(2999, 1, 1, tzinfo=UTC)}
        if state == "claimed":
            values |= {"token": None, "sending_at": None}
        with writing(shop.engine) as conn:
            conn.execute(update(schema.messages).values(**values))
    assert shop.states() == [state]
    return token


@pytest.mark.parametrize("evidence", EVIDENCE.values(), ids=EVIDENCE)
@pytest.mark.parametrize("state", STATES)
def test_evidence_of_the_first_attempt_settles_the_letter(lost: World, state: str, evidence: Any) -> None:
    token = second_attempt(lost, state)
    newer = message(lost).token
    requests = len(lost.post.transport.sent)
    evidence(lost, token)
    row = message(lost)
    assert (row.state, row.token, row.accepted_at, row.leased_until) == ("accepted", token, MONDAY, None)
    assert timeline(lost).count("message.accepted") == 1
    assert "message.sent_again" not in timeline(lost)
    past = [one.token for one in given_up(lost)]
    assert past == ([newer] if newer else []), "what may still come of the second one finds its letter too"
    unhalt(lost.engine, library=lost.library, clock=lost.clock)
    converse.close_if_open(lost.engine, "ana@example.com", library=lost.library, clock=lost.clock)
    lost.drain()
    assert len(lost.post.transport.sent) == requests, "the second one stays here"


@pytest.mark.parametrize("state", STATES)
def test_who_unsubscribes_by_a_link_of_the_first_attempt_gets_no_second_one(lost: World, state: str) -> None:
    token = second_attempt(lost, state)
    requests = len(lost.post.transport.sent)
    stop.unsubscribe_by_link(lost.engine, token, suppression_key=KEY, clock=lost.clock)
    unhalt(lost.engine, library=lost.library, clock=lost.clock)
    lost.drain()
    assert len(lost.post.transport.sent) == requests
    assert lost.rows("enrollments")[0].outcome == "unsubscribed"


@pytest.mark.parametrize("evidence", EVIDENCE.values(), ids=EVIDENCE)
def test_when_the_second_one_has_left_the_record_says_that_it_was_sent_again(lost: World, evidence: Any) -> None:
    token = resend(lost)
    lost.post.transport.answer = Accepted("X2")
    lost.drain()
    row = message(lost)
    for _ in range(2):
        evidence(lost, token)
    assert (message(lost).state, message(lost).token, message(lost).accepted_at) == (
        "accepted",
        row.token,
        MONDAY + HOUR,
    )
    assert timeline(lost).count("message.sent_again") == 1
    (event,) = [one for one in lost.rows("events") if one.kind == "message.sent_again"]
    assert event.data["message_id"] == row.id


def test_so_it_does_when_both_turn_out_to_have_been_accepted(lost: World) -> None:
    first = second_attempt(lost, "unknown")
    second = message(lost).token
    report(lost, first)
    report(lost, second)
    assert (message(lost).token, message(lost).state) == (first, "accepted")
    assert timeline(lost).count("message.sent_again") == 1


def test_so_it_does_when_the_provider_accepts_the_second_one_after_the_first_was_proven(lost: World) -> None:
    first = second_attempt(lost, "sending")
    second = message(lost).token
    report(lost, first)
    settle(lost.engine, {message(lost).id: second}, {second: Accepted("X2")}, clock=lost.clock)
    assert (message(lost).token, message(lost).state) == (first, "accepted")
    assert timeline(lost).count("message.sent_again") == 1


@pytest.mark.parametrize("answer", [Rejected("400"), RetrySafe(MONDAY, "busy"), Misconfigured("401"), LOST])
def test_an_answer_that_the_second_one_was_not_taken_changes_nothing_then(lost: World, answer: Any) -> None:
    first = second_attempt(lost, "sending")
    second = message(lost).token
    report(lost, first)
    before = message(lost)
    settle(lost.engine, {before.id: second}, {second: answer}, clock=lost.clock)
    assert message(lost) == before
    assert "message.sent_again" not in timeline(lost)


def test_an_acceptance_of_the_first_one_that_comes_late_is_evidence_too(lost: World) -> None:
    token = resend(lost)
    settle(lost.engine, {message(lost).id: token}, {token: Accepted("X1")}, clock=lost.clock)
    assert (message(lost).state, message(lost).token, message(lost).accepted_at) == ("accepted", token, MONDAY)
    lost.drain()
    assert len(lost.post.transport.sent) == 1


NOT_TAKEN = {"rejected": Rejected("400"), "skipped": None, "cancelled": None, "expired": None}


@pytest.mark.parametrize("state", NOT_TAKEN)
def test_a_letter_whose_second_attempt_came_to_nothing_was_sent_once(lost: World, state: str) -> None:
    token = resend(lost)
    lost.post.transport.answer = Rejected("400")
    if state == "skipped":
        fate.cancel(lost.engine, message(lost).id, clock=lost.clock)
    elif state == "cancelled":
        suppress.suppress(
            lost.engine,
            "ana@example.com",
            reason="asked",
            workflow=None,
            key=KEY,
            library=lost.library,
            clock=lost.clock,
        )
    elif state == "expired":
        lost.clock.move_to(MONDAY + timedelta(days=9))
    lost.drain()
    assert lost.states() == [state]
    second = message(lost).token
    report(lost, token)
    assert (message(lost).state, message(lost).token, message(lost).accepted_at) == ("accepted", token, MONDAY)
    assert timeline(lost).count("message.accepted") == 1
    assert "message.sent_again" not in timeline(lost)
    if second:
        report(lost, second, "dropped")
        assert lost.rows("provider_events")[-1].state == "applied", "it is no stranger"
