"""What the provider's reports say of letters, and of those that nobody here knows."""

from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.core.message import MessageState
from followup.core.provider import EventState
from followup.store import feed, messages, provider_events
from followup.store.engine import writing
from followup.store.provider_events import NewReport
from tests.store.make import START, a_message, at


def report(conn: Connection, token: str | None, state: EventState = EventState.RECEIVED, *, hours: float = 1) -> None:
    new = NewReport(event_id=f"{token} {hours}", token=token, raw={"event": "delivered"}, state=state)
    provider_events.add(conn, "sendgrid", [new], now=at(hours))


def seen(conn: Connection, since_hours: float) -> list[tuple[str, datetime]]:
    return [(token, came_at) for token, came_at, _ in feed.strangers_since(conn, at(since_hours))]


def test_a_stranger_is_an_attempt_that_nobody_here_ever_made_whether_or_not_its_report_was_read(engine: Engine) -> None:
    with writing(engine) as conn:
        a_message(conn, MessageState.ACCEPTED, set_={"token": "ours"})
        given_up = a_message(conn, MessageState.UNKNOWN, set_={"token": "was ours"})
        held = messages.lock(conn, [given_up], MessageState.UNKNOWN)[given_up]
        messages.give_up_token(conn, held, now=START)
        for token in ("ours", "was ours", None):
            report(conn, token)
        assert seen(conn, 0) == []
        report(conn, "unread", hours=2)
        report(conn, "unread", hours=3)
        report(conn, "read", EventState.UNMATCHED, hours=4)
        assert seen(conn, 0) == [("unread", at(2)), ("unread", at(3)), ("read", at(4))]
        assert seen(conn, 2.5) == [("read", at(4))], "the other one was seen before"
