"""Letters to send, for tests."""

from datetime import UTC, datetime

from followup.core.people import Person
from followup.mail.message import Content, MailIdentity, Origin, Recipient, compose

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
