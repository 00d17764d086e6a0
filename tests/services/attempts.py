"""A letter of unknown fate, and what may become of its attempts."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from followup.core.message import Accepted, Unknown
from followup.services import fate, track
from followup.store import schema
from followup.store.engine import reading
from tests.services.world import CHECK_IN, MONDAY, Scripted, World, a_purchase

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEY = "never-changes"
LOST = Unknown("no answer")


class Reporting(Scripted):
    """A way out that reports what becomes of letters."""

    name = "sendgrid"


def message(shop: World, number: int = 0) -> Any:
    return shop.rows("messages")[number]


def timeline(shop: World) -> list[str]:
    return [row.kind for row in shop.rows("events")]


def resend(shop: World) -> str:
    """Order the lost letter again an hour later; return the token of the attempt that is given up."""
    token: str = message(shop).token
    shop.clock.move_to(shop.clock.now() + HOUR)
    fate.resend(shop.engine, message(shop).id, library=shop.library, clock=shop.clock)
    return token


def report(shop: World, token: str, kind: str = "delivered", **more: object) -> None:
    event = {"event": kind, "email": "ana@example.com", "fu_token": token, "sg_event_id": f"{kind} {token}", **more}
    ids = track.store_events(shop.engine, json.dumps([event]).encode(), clock=shop.clock)
    track.track(shop.engine, ids, suppression_key=KEY, clock=shop.clock)


def letter(shop: World, number: int = 0) -> dict[str, str]:
    mail = shop.post.transport.sent[number]
    return {"Reply-To": mail.reply_to, "Subject": mail.subject, "Message-ID": mail.message_id}


def given_up(shop: World) -> list[Any]:
    with reading(shop.engine) as conn:
        return list(conn.execute(select(schema.past_tokens)))


def quiet_day(shop: World) -> World:
    """Let two letters leave around the lost one and be reported on, and a day and an hour go by."""
    shop.post.transport.answer = Accepted("X")
    shop.clock.move_to(MONDAY + 2 * HOUR)
    shop.take_in(a_purchase("T-2", email="ben@example.com"))
    shop.drain()
    report(shop, message(shop, 1).token)
    shop.clock.move_to(MONDAY + timedelta(hours=25, minutes=1))
    report(shop, message(shop, 1).token, "open")
    return shop
