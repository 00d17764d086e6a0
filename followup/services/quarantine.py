"""
Set posts aside that anybody could have made: nobody works on them unless somebody asks, with `receive.retry`.

There is room for so many in a day, and for so many bytes, or whoever knows the address could fill the
database. What finds no room has to come again: SendGrid tries for three days, and by then it may be signed.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.inbound.sendgrid import PROVIDER
from followup.store import inbound_mail
from followup.store.engine import reading, writing

log = logging.getLogger(__name__)

UNSIGNED = "the signature does not match any key of FOLLOWUP_SENDGRID_INBOUND_KEYS"
TOO_LARGE = "larger than 32 MB"
NO_FORM = "the post is no multipart/form-data"
REASONS = (UNSIGNED, TOO_LARGE, NO_FORM)

PERIOD = timedelta(days=1)
MAX_POSTS = 500
MAX_BYTES = 25_000_000  # as they are stored; a small hosted database holds 1 GB


@dataclass(frozen=True, slots=True)
class Aside:
    """What was set aside within the last day and is still there; ``unsigned`` of the posts for their signature."""

    posts: int
    size_bytes: int
    unsigned: int

    @property
    def is_full(self) -> bool:
        return self.posts >= MAX_POSTS or self.size_bytes >= MAX_BYTES


def lately(conn: Connection, *, now: datetime) -> Aside:
    """Return what was set aside within the day before *now* (business time)."""
    by_reason = inbound_mail.failed(conn, REASONS, since=now - PERIOD)
    return Aside(
        posts=sum(one.number for one in by_reason.values()),
        size_bytes=sum(one.size_bytes for one in by_reason.values()),
        unsigned=by_reason[UNSIGNED].number if UNSIGNED in by_reason else 0,
    )


def mails_were(number: int) -> str:
    """Return the beginning of a sentence about so many mails."""
    return "1 mail was" if number == 1 else f"{number:,} mails were"


def keep(engine: Engine, body: bytes, why: str, *, content_type: str, clock: Clock) -> bool:
    """
    Keep a post that is not to be worked on; return False when there is no room for it today.

    The one that uses the room up is kept whole, and so is what comes in at the same moment.

    Args:
        why: one of `REASONS`.
    """
    now = clock.now()
    with reading(engine) as conn:  # whoever is turned away must not keep others from writing
        if lately(conn, now=now).is_full:
            return False
    with writing(engine, "quarantine.keep") as conn:
        kept, _ = inbound_mail.add(conn, body, channel=PROVIDER, now=now, content_type=content_type, trouble=why)
    log.warning("mail.quarantined", extra={"inbound_id": kept, "reason": why})
    return True
