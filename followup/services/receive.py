"""
Hear what customers say: by mail and by click.

Raw mail is committed before anything looks at it. Whose it is follows from the signed address, then from
our own Message-IDs; a sender's address alone is only a suggestion for a person to judge.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.customer import InvalidAddress, normalize_address
from followup.core.events import EventKind
from followup.core.replies import InboundState, MailKind, Source, matching_choice
from followup.core.tokens import TokenPurpose
from followup.errors import FollowupError, NotFound, UsageError
from followup.inbound.kind import delivery_failed, mail_kind
from followup.inbound.match import addressed_token, name_in, referenced_ids
from followup.inbound.mime import ReadMail, read
from followup.inbound.reply_text import OwnWords, own_words
from followup.inbound.returns import returns_on
from followup.inbound.sendgrid import PROVIDER, InboundPost, UnreadablePost, read_post
from followup.services import quarantine, record, timers
from followup.services.deliver import Post
from followup.services.library import Library
from followup.services.stop import unsubscribe
from followup.store import aliases, customers, inbound_mail, messages, replies, signs
from followup.store.engine import reading, writing
from followup.store.messages import StoredMessage
from followup.store.replies import NewReply

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a mail."""

    state: InboundState
    kind: MailKind | None = None
    customer_id: int | None = None
    text: str = ""
    answer: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Understood:
    """
    A mail as far as it can be understood without looking at the record.

    ``envelope_to`` is where it was delivered, if that is known; ``mail_hash`` is of the mail itself, whatever
    post it came in.
    """

    mail: ReadMail
    kind: MailKind
    words: OwnWords
    envelope_to: tuple[str, ...]
    mail_hash: str


def store_raw(engine: Engine, raw: bytes, *, channel: str, clock: Clock) -> tuple[int, bool]:
    """Commit *raw* as it came; return its id and whether it is new. The same bytes are one mail."""
    with writing(engine, "receive.store_raw") as conn:
        return inbound_mail.add(conn, raw, channel=channel, now=clock.now())


def store_post(engine: Engine, body: bytes, *, content_type: str, clock: Clock) -> int:
    """Commit a provider's post of a mail as it came; return its id. The same bytes are one mail."""
    with writing(engine, "receive.store_post") as conn:
        posted, new = inbound_mail.add(conn, body, channel=PROVIDER, now=clock.now(), content_type=content_type)
        if not new:  # kept as unsigned, perhaps, before the key was known
            inbound_mail.reopen(conn, posted, errors=quarantine.REASONS)
        signs.seen(conn, signs.INBOUND)
    log.info("mail.stored", extra={"inbound_id": posted, "new": new})
    return posted


def retry(engine: Engine, inbound_id: int, *, library: Library, post: Post) -> Heard:
    """
    Work again, because somebody asked, on a mail that failed, that is nobody's, or that was set aside.

    Raises:
        NotFound: there is no such mail.
        UsageError: it is on somebody's record.
    """
    with writing(engine, "receive.retry") as conn:
        state = inbound_mail.find_state(conn, inbound_id)
        if state is None:
            raise NotFound(f"there is no inbound mail {inbound_id}", hint="followup inbound list shows them")
        if state is not InboundState.RECEIVED and not inbound_mail.reopen(conn, inbound_id):
            raise UsageError(
                f"inbound mail {inbound_id} is {state.value}; only what is on nobody's record can be retried"
            )
    log.info("mail.retried", extra={"inbound_id": inbound_id, "was": state.value})
    return receive(engine, inbound_id, library=library, post=post)


def receive(engine: Engine, inbound_id: int, *, library: Library, post: Post) -> Heard:
    """
    Work on a stored mail: whose it is, what it says, who has to know. Safe to run twice.

    A mail that cannot be read is kept as failed with the reason; one that is nobody's, as unmatched.
    """
    with reading(engine) as conn:
        stored = inbound_mail.load(conn, inbound_id)
        if stored.state is not InboundState.RECEIVED:
            state, error = inbound_mail.state_of(conn, inbound_id)
            return Heard(state, error=error)
        writers = [person.email for person in library.newest(conn).people.values()]
    try:
        mail = _opened(stored)
        if isinstance(mail, UnreadablePost):
            log.warning("mail.unreadable", extra={"inbound_id": inbound_id, "reason": mail.reason})
            return _failed(engine, inbound_id, mail.reason)
        understood = _understand(mail, [post.identity.reply_domain, *writers])
        heard = _received(engine, stored, understood, library=library, post=post)
    except FollowupError:
        raise  # the database is away, or nothing was applied: nothing is wrong with the mail
    except Exception as trouble:  # anybody can send us anything; what we cannot read is kept, and the next one read
        log.exception("mail.unreadable", extra={"inbound_id": inbound_id})
        return _failed(engine, inbound_id, f"{type(trouble).__name__} while it was read; see the log")
    log.info("mail.received", extra={"inbound_id": inbound_id, "state": heard.state.value})
    return heard


def _received(
    engine: Engine, stored: inbound_mail.RawMail, understood: _Understood, *, library: Library, post: Post
) -> Heard:
    with writing(engine, "receive.record") as conn:
        if not inbound_mail.lock_new(conn, stored.id):
            state, error = inbound_mail.state_of(conn, stored.id)
            return Heard(state, error=error)
        heard = _put_on_record(conn, stored, understood, library=library, post=post)
        inbound_mail.finish(conn, stored.id, heard.state, error=heard.error)
    return heard


def _failed(engine: Engine, inbound_id: int, error: str) -> Heard:
    with writing(engine, "receive.failed") as conn:
        if inbound_mail.lock_new(conn, inbound_id):
            inbound_mail.finish(conn, inbound_id, InboundState.FAILED, error=error)
    return Heard(InboundState.FAILED, error=error)


def _opened(stored: inbound_mail.RawMail) -> InboundPost | UnreadablePost:
    """Return the mail that was stored: taken out of the post, if it came in one."""
    if stored.content_type is None:
        return InboundPost(stored.raw, (), None)
    return read_post(stored.raw, stored.content_type)


def _understand(posted: InboundPost, ours: Sequence[str]) -> _Understood:
    """Read a mail; *ours* are addresses that a quoted letter of ours shows."""
    mail = read(posted.raw)
    mail = replace(mail, recipients=(*posted.envelope_to, *mail.recipients))
    words = own_words(mail, ours)
    if not words.text:  # everything looked quoted: whoever reads it should see what came
        words = OwnWords("", mail.text.strip())
    return _Understood(mail, mail_kind(mail), words, posted.envelope_to, hashlib.sha256(posted.raw).hexdigest())


def _put_on_record(
    conn: Connection,
    stored: inbound_mail.RawMail,
    understood: _Understood,
    *,
    library: Library,
    post: Post,
) -> Heard:
    now = stored.received_at  # however late we got round to it
    message, purpose = _message_for(conn, understood, post)
    if message is None:
        return Heard(InboundState.UNMATCHED, understood.kind, error=_suggestion(conn, understood.mail))
    customers.lock(conn, [message.customer_id])
    if purpose is TokenPurpose.STOP:
        key, about = post.suppression_key, f"stop:{understood.mail_hash}"
        unsubscribe(conn, message, suppression_key=key, source="mail", key=about, now=now)
        return Heard(InboundState.PROCESSED, MailKind.UNSUBSCRIBE, message.customer_id)
    return _replied(conn, message, stored, understood, library=library, post=post)


def _message_for(conn: Connection, understood: _Understood, post: Post) -> tuple[StoredMessage | None, TokenPurpose]:
    """Return the message a mail answers: by the signed address, else by the Message-IDs of ours it refers to."""
    mail, domain = understood.mail, post.identity.reply_domain
    if addressed := addressed_token(mail, domain, post.identity.keys, envelope=understood.envelope_to):
        return messages.by_token(conn, addressed.name), addressed.purpose
    referenced = referenced_ids(mail)
    also = aliases.tokens(conn, referenced)
    named = (name_in(message_id, domain) or also.get(message_id) for message_id in referenced)
    for name in dict.fromkeys(name for name in named if name):
        message = messages.by_token(conn, name)
        # nobody signs References: who was only shown our letter must not speak for the customer
        if message is not None and _is_from(conn, mail, message.customer_id):
            return message, TokenPurpose.REPLY
    return None, TokenPurpose.REPLY


def _is_from(conn: Connection, mail: ReadMail, customer_id: int) -> bool:
    """Tell whether a mail names the customer as its sender, or is a machine's report about a letter."""
    try:
        sender = normalize_address(mail.from_address or "")
    except InvalidAddress:
        sender = ""
    return mail.is_delivery_report or sender == customers.address_of(conn, customer_id)


def _suggestion(conn: Connection, mail: ReadMail) -> str:
    """Say what a person may go by; a sender's address is easily forged, so nothing is attached to it."""
    try:
        address = normalize_address(mail.from_address or "")
    except InvalidAddress:
        return "answers no letter of ours, and names no sender"
    if customers.id_of_address(conn, address) is None:
        return f"answers no letter of ours, and {address} is no customer"
    return f"answers no letter of ours; it may be from the customer {address}, but anyone can write that"


def _replied(
    conn: Connection,
    message: StoredMessage,
    stored: inbound_mail.RawMail,
    understood: _Understood,
    *,
    library: Library,
    post: Post,
) -> Heard:
    now, bundle = stored.received_at, library.newest(conn)
    mail, kind, words = understood.mail, understood.kind, understood.words
    back = returns_on(words.text, now.date()) if kind is MailKind.AUTO_REPLY else None
    reply_id = replies.add_reply(
        conn,
        NewReply(
            customer_id=message.customer_id,
            inbound_id=stored.id,
            message_id=message.id,
            enrollment_id=message.enrollment_id,
            rfc_message_id=mail.message_id or understood.mail_hash,
            kind=kind,
            from_address=mail.from_address or "",
            subject=mail.subject,
            text=words.text,
            text_signed=words.with_signature,
            returns_on=back.isoformat() if back else None,
            received_at=now,
        ),
    )
    if reply_id is None:
        return Heard(InboundState.IGNORED, kind, message.customer_id, error="this mail is on the record already")
    record.prove_accepted(conn, message, now)
    if kind is not MailKind.HUMAN:
        told: dict[str, object] = {"mail_kind": kind.value, "back_on": back.isoformat() if back else None}
        event = _event_of(mail, kind)
        if event in record.STOPS:
            record.stop_writing_to(conn, message, post.suppression_key, event, now, source="mail")
        record.tell(conn, message, event, f"reply:{stored.content_hash}", now, **told)
        return Heard(InboundState.PROCESSED, kind, message.customer_id, words.text)
    choice = matching_choice(words.text, message.asked)
    if choice is not None:
        record.answer(conn, message, choice, Source.REPLY, now, reply_id=reply_id)
    record.tell(
        conn,
        message,
        EventKind.REPLY_RECEIVED,
        f"reply:{stored.content_hash}",
        now,
        text=words.text,
        answer=choice.id if choice else None,
    )
    record.waits_for_us(conn, message, bundle, now, because=f"reply:{stored.content_hash}")
    timers.customer_heard(conn, [message.customer_id], bundle, after=now - timers.LOOK_BACK)
    return Heard(InboundState.PROCESSED, kind, message.customer_id, words.text, choice.id if choice else None)


def _event_of(mail: ReadMail, kind: MailKind) -> EventKind:
    """Return what a machine's mail tells of; a notice of delay is no bounce."""
    if kind is MailKind.BOUNCE and delivery_failed(mail):
        return EventKind.MESSAGE_BOUNCED
    return EventKind.MESSAGE_COMPLAINED if kind is MailKind.COMPLAINT else EventKind.AUTO_REPLY_RECEIVED
