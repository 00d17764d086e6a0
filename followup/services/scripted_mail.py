"""Turning a mail from a file into the one a customer's mail client would have sent in answer to a letter."""

import hashlib
from datetime import datetime
from email import message_from_bytes
from email.policy import compat32
from email.utils import format_datetime

from followup.mail.message import MailIdentity
from followup.store.messages import AcceptedLetter


def as_reply(raw: bytes, letter: AcceptedLetter, identity: MailIdentity, *, key: str, at: datetime) -> bytes:
    """
    Return *raw* addressed and threaded as an answer to *letter*, sent at *at*.

    Body and all other headers stay as they are. *key* makes the Message-ID, so that the same act is the
    same mail whenever it is played.
    """
    mail = message_from_bytes(raw, policy=compat32)
    sent_as = identity.message_id(letter.token)
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    for name, value in {
        "To": identity.reply_address(letter.token),
        "In-Reply-To": sent_as,
        "References": sent_as,
        "Date": format_datetime(at),
        "Message-ID": f"<{digest}@replay.invalid>",
    }.items():
        del mail[name]
        mail[name] = value
    if "From" not in mail:
        mail["From"] = letter.email
    return mail.as_bytes()
