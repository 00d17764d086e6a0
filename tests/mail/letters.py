"""Letters to send, for tests."""

import time
from datetime import UTC, datetime
from itertools import chain

from followup.core.message import Answer
from followup.core.people import Person
from followup.mail.message import Content, MailIdentity, Origin, OutgoingMail, Recipient, compose
from followup.mail.transport import Transport, always

KEYS = ("the newest key, long enough to sign", "an older key")
NAME = "abcdefghijklmnop"
NOW = datetime(2026, 3, 2, 9, 0, 0, 123, tzinfo=UTC)
IDENTITY = MailIdentity(reply_domain="reply.lumen.example", public_url="https://follow.lumen.example", keys=KEYS)
MARA = Person(key="mara", name="Mara Lind", email="mara@lumen.example", signature="Mara")


def a_mail(*, subject="How is the lamp?", sender=MARA, to="joan@customer.example", to_name="Joan", **changes):
    content = Content(subject, changes.pop("text", "Hello Joan"), changes.pop("html", "<p>Hello Joan</p>"))
    return compose(
        content,
        sender=sender,
        recipient=Recipient(to, to_name),
        name=NAME,
        origin=changes.pop("origin", Origin("After a lamp", "ask", "ask", "Lumen")),
        identity=IDENTITY,
        now=NOW,
        **changes,
    )


def named(name):
    return Person(key="mara", name=name, email="mara@lumen.example", signature="Mara")


def all_sent(transport: Transport, mails, *, may_begin=always) -> list[tuple[OutgoingMail, Answer]]:
    """Send *mails* and return every answer with its mail, in the order in which they came."""
    return list(chain.from_iterable(transport.send(mails, may_begin=may_begin)))


def within(seconds: float):
    """Return a `may_begin` that says yes for so long."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end
