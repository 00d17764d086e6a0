"""
The mail itself: who writes to whom, how an answer finds its way back, and how it looks as MIME.

An `OutgoingMail` is complete. It is stored before it is sent, and each transport builds the same mail
from it, however late and however often it looks.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.generator import BytesGenerator
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime
from io import BytesIO
from typing import Any
from urllib.parse import quote

from followup.core.message import is_message_id
from followup.core.people import Person
from followup.core.tokens import TokenPurpose, sign
from followup.mail.headers import SUBJECT_LENGTH, display_name, encoded, folded, mailbox, named_mailbox, one_line

REFERENCES_KEPT = 20  # a thread's first and its newest are what clients use (RFC 5322, 3.6.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailIdentity:
    """
    What makes our mail ours, and brings answers back to us.

    ``reply_domain`` receives our mail (ASCII), ``public_url`` is where the web process answers
    (https, without a slash at the end), ``keys`` sign tokens, newest first.
    """

    reply_domain: str
    public_url: str
    keys: tuple[str, ...] = field(repr=False)

    def message_id(self, name: str) -> str:
        """Return the RFC 5322 Message-ID of the message called *name*, with its angle brackets."""
        return f"<{name}@{self.reply_domain}>"

    def reply_address(self, name: str) -> str:
        """Return the signed address at which the answer to *name* arrives."""
        return f"r+{sign(TokenPurpose.REPLY, name, self.keys)}@{self.reply_domain}"

    def stop_address(self, name: str) -> str:
        """Return the signed address to which a mail means: no more mail to the customer of *name*."""
        return f"u+{sign(TokenPurpose.STOP, name, self.keys)}@{self.reply_domain}"

    def stop_url(self, name: str) -> str:
        """Return the page on which the customer of *name* unsubscribes; also takes the RFC 8058 POST."""
        return stop_url(self.public_url, sign(TokenPurpose.STOP, name, self.keys))

    def answer_url(self, name: str, choice_id: str) -> str:
        """Return the page that opens with *choice_id* preselected for the question in *name*."""
        return answer_url(self.public_url, sign(TokenPurpose.ANSWER, name, self.keys), choice_id)


def answer_url(public_url: str, token: str, choice_id: str) -> str:
    """Return ``<public_url>/a/<token>/<choice id>`` for a signed ANSWER *token*."""
    return f"{public_url.rstrip('/')}/a/{token}/{quote(choice_id, safe='')}"


def stop_url(public_url: str, token: str) -> str:
    """Return ``<public_url>/u/<token>`` for a signed STOP *token*."""
    return f"{public_url.rstrip('/')}/u/{token}"


@dataclass(frozen=True, slots=True)
class Content:
    """A rendered letter."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Recipient:
    email: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a mail comes from in the project folder: for Feedback-ID and file names; no personal data."""

    workflow: str
    step: str
    letter: str
    shop: str


@dataclass(frozen=True, slots=True)
class Thread:
    """The mail this one continues. Ids are RFC 5322 Message-IDs with brackets; ``references`` oldest first."""

    in_reply_to: str
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMail:
    """
    A mail, ready to leave. Every value is fit for a header; build it with `compose`.

    ``token`` is the message's name (`core.tokens`). ``headers`` holds what goes beyond From, To,
    Reply-To, Subject, Date and MIME, Message-ID included. ``composed_at`` is the Date (aware UTC).
    """

    token: str
    letter: str
    composed_at: datetime
    from_name: str
    from_email: str
    to_email: str
    to_name: str | None
    reply_to: str
    subject: str
    text: str
    html: str
    headers: Mapping[str, str]

    @property
    def message_id(self) -> str:
        return self.headers["Message-ID"]

    def to_json(self) -> dict[str, Any]:
        """Return the mail as a JSON object; `from_json` turns it into an equal mail."""
        return {**asdict(self), "headers": dict(self.headers), "composed_at": self.composed_at.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "OutgoingMail":
        """Return the mail that `to_json` stored."""
        return cls(**{**stored, "composed_at": datetime.fromisoformat(stored["composed_at"])})


def compose(
    content: Content,
    *,
    sender: Person,
    recipient: Recipient,
    name: str,
    origin: Origin,
    identity: MailIdentity,
    now: datetime,
    thread: Thread | None = None,
) -> OutgoingMail:
    """
    Build the mail in which *sender* brings *content* to *recipient*.

    Args:
        name: the message's name, fresh from `core.tokens.name_from`.
        now: aware; becomes the Date header.
        thread: set when the customer has mail from us or to us that this one belongs under.

    Raises:
        InvalidAddress: the sender's or the recipient's address cannot stand in a header.
    """
    stop_url, stop_address = identity.stop_url(name), identity.stop_address(name)
    return OutgoingMail(
        token=name,
        letter=origin.letter,
        composed_at=now.astimezone(UTC).replace(microsecond=0),
        from_name=display_name(sender.name),
        from_email=mailbox(sender.email),
        to_email=mailbox(recipient.email),
        to_name=display_name(recipient.name or "") or None,
        reply_to=identity.reply_address(name),
        subject=one_line(content.subject, SUBJECT_LENGTH),
        text=_body(content.text),
        html=_body(content.html),
        headers={
            "Message-ID": identity.message_id(name),
            **_thread_headers(thread),
            "List-Unsubscribe": f"<{stop_url}>, <mailto:{stop_address}?subject=unsubscribe>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",  # RFC 8058
            "Feedback-ID": feedback_id(origin.workflow, origin.step, origin.shop),
            # Exchange only, and not "OOF": an out-of-office note tells us when to come back.
            "X-Auto-Response-Suppress": "AutoReply",
            # No Auto-Submitted: by RFC 3834 it asks programs not to answer, but help desks and mail
            # apps also hide or drop what carries it, and a letter wants a person's answer. What we
            # send in answer to a mail without a person having asked for it must carry it.
        },
    )


def feedback_id(workflow: str, step: str, shop_name: str) -> str:
    """
    Return the Feedback-ID by which Gmail's Postmaster Tools groups complaints.

    Four fields, the widest grouping last; each lower case, of ``a-z0-9_-`` and at most 40 characters.
    """
    return ":".join(_feedback_field(text) for text in (workflow, step, shop_name, "followup"))


def _feedback_field(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_]+", "-", plain.lower())[:40].strip("-") or "none"


def _thread_headers(thread: Thread | None) -> dict[str, str]:
    """Return In-Reply-To and References; ids that are none are left out, for they come from outside."""
    if thread is None:
        return {}
    known = [*thread.references, thread.in_reply_to]
    ids = [given for given in dict.fromkeys(known) if is_message_id(given)]
    if len(ids) > REFERENCES_KEPT:
        ids = [ids[0], *ids[1 - REFERENCES_KEPT :]]
    parent = {"In-Reply-To": thread.in_reply_to} if is_message_id(thread.in_reply_to) else {}
    return parent | ({"References": " ".join(ids)} if ids else {})


def _body(text: str) -> str:
    """Return *text* with LF line ends and without what no charset carries."""
    return text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")


def to_mime(mail: OutgoingMail) -> MIMEMultipart:
    """
    Return *mail* as multipart/alternative: text first, HTML last and so preferred (RFC 2046, 5.1.4).

    Bodies are UTF-8 in quoted-printable: the one encoding that survives every relay and still reads
    as text in the source. The same mail gives the same bytes, its boundary included.
    """
    # Values are folded here, not by a policy: the modern one turns ASCII tokens longer than a line
    # (List-Unsubscribe links, References) into encoded words, which no reader of them undoes.
    message = MIMEMultipart("alternative", boundary=f"=_{mail.token}")  # "=_" never occurs in quoted-printable
    message["From"] = named_mailbox(mail.from_name, mail.from_email, "From")
    message["To"] = named_mailbox(mail.to_name, mail.to_email, "To")
    message["Reply-To"] = named_mailbox(mail.from_name, mail.reply_to, "Reply-To")
    message["Subject"] = encoded(mail.subject, "Subject")
    message["Date"] = format_datetime(mail.composed_at)
    for name, value in mail.headers.items():
        message[name] = folded(value, name)
    for body, subtype in ((mail.text, "plain"), (mail.html, "html")):
        message.attach(MIMEText(body, subtype, _utf8()))  # type: ignore[arg-type]  # takes a Charset too
    return message


def _utf8() -> Charset:
    charset = Charset("utf-8")
    charset.body_encoding = QP
    return charset


def to_bytes(mail: OutgoingMail) -> bytes:
    """Return *mail* as it goes over SMTP or into an ``.eml`` file: CRLF line ends, 7-bit throughout."""
    out = BytesIO()
    policy = compat32.clone(linesep="\r\n", max_line_length=0)
    BytesGenerator(out, mangle_from_=False, policy=policy).flatten(to_mime(mail))
    return out.getvalue()
