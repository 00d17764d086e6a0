"""Telling our own people by mail, at least once: a notice twice is better than a customer nobody knows of."""

import html
import logging
import random
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core import tokens
from followup.core.customer import InvalidAddress
from followup.core.message import Accepted
from followup.core.schedule import backoff
from followup.errors import FollowupError, NotFound
from followup.mail.headers import SUBJECT_LENGTH, display_name, mailbox, one_line
from followup.mail.message import OutgoingMail
from followup.services.deliver import Post
from followup.services.library import Library
from followup.store import notices
from followup.store.engine import writing
from followup.store.notices import Notice

log = logging.getLogger(__name__)

BATCH = 16
LEASE_SECONDS = 120
NO_LATER = 5.0  # seconds after the first one at which no mail begins to leave
PREFIX = "notice-"  # of the token: a report about it is about no letter


def notify(
    engine: Engine, *, library: Library, post: Post, clock: Clock, stopping: Callable[[], bool] = lambda: False
) -> int:
    """
    Tell what nobody was told yet; return how many were. What does not get through is tried again later.

    It takes no longer than a way out takes for one mail and some seconds, for whoever calls it has more to do.

    Args:
        stopping: True, and no mail begins to leave any more.
    """
    with writing(engine, "notify.lease") as conn:
        due = notices.lease_new(conn, seconds=LEASE_SECONDS, limit=BATCH)
        bundle = library.newest(conn) if due else None
    if bundle is None:
        return 0
    by = time.monotonic() + NO_LATER
    told = _tell(due, bundle, post, clock.now(), lambda: time.monotonic() < by and not stopping())
    again = {notice.id: _seconds(notice) for notice in due if notice.id not in told}
    with writing(engine, "notify.told") as conn:
        notices.told(conn, told, at=clock.now())
        notices.failed(conn, again)
    return len(told)


def _tell(due: Sequence[Notice], bundle: Bundle, post: Post, now: datetime, may_begin: Callable[[], bool]) -> set[int]:
    """Send each notice; return the ids of those that were taken."""
    written: dict[str, Notice] = {}
    mails = []
    for notice in due:
        try:
            mails.append(mail := _mail(notice, bundle, post, now))
        except (FollowupError, InvalidAddress) as error:
            log.error("notice.unwritable", extra={"notice_id": notice.id, "reason": str(error)})
        else:
            written[mail.token] = notice
    told = set()
    for answered in post.transport.send(mails, may_begin=may_begin):
        for mail, answer in answered:
            notice = written[mail.token]
            if isinstance(answer, Accepted):
                told.add(notice.id)
            else:
                log.warning("notice.not_told", extra={"notice_id": notice.id, "reason": answer.reason})
    return told


def _seconds(notice: Notice) -> int:
    return round(backoff(notice.failures + 1, random.random()).total_seconds())  # noqa: S311 - no secret


def _mail(notice: Notice, bundle: Bundle, post: Post, now: datetime) -> OutgoingMail:
    """
    Return a notice as a mail whose answer goes to the customer.

    Raises:
        NotFound: the person is not in people.yaml any more.
        InvalidAddress: somebody's address cannot stand in a header.
    """
    person = bundle.people.get(notice.person)
    if person is None:
        raise NotFound(f"{notice.person!r} is not in people.yaml")
    name = PREFIX + tokens.name_from(secrets.token_bytes(tokens.NAME_BYTES))
    customer, text = _answerable(notice)
    return OutgoingMail(
        token=name,
        letter="notice",
        composed_at=now.replace(microsecond=0),
        from_name=display_name(bundle.shop.name),
        from_email=mailbox(person.email),
        to_email=mailbox(person.email),
        to_name=display_name(person.name),
        reply_to=customer or mailbox(person.email),
        subject=one_line(notice.subject, SUBJECT_LENGTH),
        text=f"{text}\n",
        html=f'<div style="white-space:pre-wrap">{html.escape(text)}</div>',
        headers={"Message-ID": post.identity.message_id(name), "Auto-Submitted": "auto-generated"},  # RFC 3834
    )


def _answerable(notice: Notice) -> tuple[str | None, str]:
    """Return the customer's address for the Reply-To, None where no header takes it, and what to say of that."""
    try:
        if notice.reply_to:
            how = f"Answer this mail, and it goes to {notice.reply_to}: take these lines out first, and the subject."
            return mailbox(notice.reply_to), f"{notice.text}\n\n{how}"
    except InvalidAddress:  # it has signs outside ASCII before the @, and this mail may pass servers that take none
        return None, f"{notice.text}\n\nWrite to them at {notice.reply_to}: an answer to this mail goes to yourself."
    return None, f"{notice.text}\n\nTheir address is not on the record."
