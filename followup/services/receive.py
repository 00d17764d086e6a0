"""
Hear what customers say: by mail and by click.

Raw mail is committed before anything looks at it. Whose it is follows from the signed address, then from
our own Message-IDs; a sender's address alone is only a suggestion for a person to judge.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core.customer import InvalidAddress, normalize_address
from followup.core.events import EventKind
from followup.core.message import Action, MessageState, Outcome
from followup.core.replies import Choice, InboundState, MailKind, Question, Source, matching_choice
from followup.core.tokens import TokenPurpose
from followup.errors import NotFound, UsageError
from followup.inbound.kind import delivery_failed, mail_kind
from followup.inbound.match import addressed_token, referenced_names
from followup.inbound.mime import ReadMail, read
from followup.inbound.reply_text import OwnWords, own_words
from followup.inbound.returns import returns_on
from followup.services.deliver import Post, accepted_event
from followup.services.library import Library
from followup.store import conversations, customers, enrollments, events, inbound_mail, messages, replies, suppressions
from followup.store.engine import reading, writing
from followup.store.events import NewEvent
from followup.store.messages import StoredMessage
from followup.store.replies import NewAnswer, NewReply

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
    """A mail as far as it can be understood without looking at the record."""

    mail: ReadMail
    kind: MailKind
    words: OwnWords


def store_raw(engine: Engine, raw: bytes, *, channel: str, clock: Clock) -> tuple[int, bool]:
    """Commit *raw* as it came; return its id and whether it is new. The same bytes are one mail."""
    with writing(engine) as conn:
        return inbound_mail.add(conn, raw, channel=channel, now=clock.now())


def receive(engine: Engine, inbound_id: int, *, library: Library, post: Post) -> Heard:
    """
    Work on a stored mail: whose it is, what it says, who has to know. Safe to run twice.

    A mail that cannot be read is kept as failed with the reason; one that is nobody's, as unmatched.
    """
    with reading(engine) as conn:
        stored = inbound_mail.load(conn, inbound_id)
        writers = [person.email for person in library.newest(conn).people.values()]
    try:
        understood = _understand(stored.raw, [post.identity.reply_domain, *writers])
    except Exception as trouble:  # anybody can send us anything; what we cannot read is kept, and the next one read
        log.exception("mail.unreadable", extra={"inbound_id": inbound_id})
        return _failed(engine, inbound_id, f"{type(trouble).__name__} while it was read; see the log")
    with writing(engine) as conn:
        if not inbound_mail.lock_new(conn, inbound_id):
            state, error = inbound_mail.state_of(conn, inbound_id)
            return Heard(state, error=error)
        heard = _put_on_record(conn, stored, understood, library=library, post=post)
        inbound_mail.finish(conn, inbound_id, heard.state, error=heard.error)
    log.info(
        "mail.received", extra={"inbound_id": inbound_id, "state": heard.state.value, "kind": understood.kind.value}
    )
    return heard


def _failed(engine: Engine, inbound_id: int, error: str) -> Heard:
    with writing(engine) as conn:
        if inbound_mail.lock_new(conn, inbound_id):
            inbound_mail.finish(conn, inbound_id, InboundState.FAILED, error=error)
    return Heard(InboundState.FAILED, error=error)


def _understand(raw: bytes, ours: Sequence[str]) -> _Understood:
    """Read a mail; *ours* are addresses that a quoted letter of ours shows."""
    mail = read(raw)
    words = own_words(mail, ours)
    if not words.text:  # everything looked quoted: better too much than nothing
        words = OwnWords(mail.text.strip(), mail.text.strip())
    return _Understood(mail, mail_kind(mail), words)


def _put_on_record(
    conn: Connection,
    stored: inbound_mail.RawMail,
    understood: _Understood,
    *,
    library: Library,
    post: Post,
) -> Heard:
    now = stored.received_at  # however late we got round to it
    message, purpose = _message_for(conn, understood.mail, post)
    if message is None:
        return Heard(InboundState.UNMATCHED, understood.kind, error=_suggestion(conn, understood.mail))
    customers.lock(conn, [message.customer_id])
    if purpose is TokenPurpose.STOP:
        return _unsubscribed(conn, message, stored, post, now)
    return _replied(conn, message, stored, understood, library.newest(conn))


def _message_for(conn: Connection, mail: ReadMail, post: Post) -> tuple[StoredMessage | None, TokenPurpose]:
    """Return the message a mail answers: by the signed address, else by our Message-IDs it refers to."""
    if addressed := addressed_token(mail, post.identity.reply_domain, post.identity.keys):
        return messages.by_token(conn, addressed.name), addressed.purpose
    for name in referenced_names(mail, post.identity.reply_domain):
        if message := messages.by_token(conn, name):
            return message, TokenPurpose.REPLY
    return None, TokenPurpose.REPLY


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
    bundle: Bundle,
) -> Heard:
    now = stored.received_at
    mail, kind, words = understood.mail, understood.kind, understood.words
    back = returns_on(words.text, now.date()) if kind is MailKind.AUTO_REPLY else None
    reply_id = replies.add_reply(
        conn,
        NewReply(
            customer_id=message.customer_id,
            inbound_id=stored.id,
            message_id=message.id,
            enrollment_id=message.enrollment_id,
            rfc_message_id=mail.message_id or stored.content_hash,
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
    _prove_accepted(conn, message, now)
    if kind is not MailKind.HUMAN:
        told: dict[str, object] = {"mail_kind": kind.value, "back_on": back.isoformat() if back else None}
        _tell(conn, message, _event_of(mail, kind), f"reply:{stored.content_hash}", now, **told)
        enrollments.wake(conn, [message.enrollment_id], at=now)
        return Heard(InboundState.PROCESSED, kind, message.customer_id, words.text)
    choice = matching_choice(words.text, _question(conn, message, bundle))
    if choice is not None:
        _answer(conn, message, choice, Source.REPLY, now, reply_id=reply_id)
    _tell(
        conn,
        message,
        EventKind.REPLY_RECEIVED,
        f"reply:{stored.content_hash}",
        now,
        text=words.text,
        answer=choice.id if choice else None,
    )
    _waits_for_us(conn, message, bundle, now, because=f"reply:{stored.content_hash}")
    enrollments.wake(conn, [message.enrollment_id], at=now)
    return Heard(InboundState.PROCESSED, kind, message.customer_id, words.text, choice.id if choice else None)


def _event_of(mail: ReadMail, kind: MailKind) -> EventKind:
    """Return what a machine's mail tells of; a notice of delay is no bounce."""
    if kind is MailKind.BOUNCE and delivery_failed(mail):
        return EventKind.MESSAGE_BOUNCED
    return EventKind.MESSAGE_COMPLAINED if kind is MailKind.COMPLAINT else EventKind.AUTO_REPLY_RECEIVED


def record_click(
    engine: Engine,
    token_name: str,
    choice_id: str,
    *,
    library: Library,
    clock: Clock,
    key: str,
    comment: str | None = None,
) -> bool:
    """
    Record a confirmed one-click answer; return False when *key* has recorded it before.

    A negative choice or a comment opens a conversation: somebody has to read it.

    Raises:
        NotFound: no message goes by that token.
        UsageError: its question does not offer that choice.
    """
    now = clock.now()
    with writing(engine) as conn:
        message = messages.by_token(conn, token_name)
        if message is None:
            raise NotFound("no letter goes by that token")
        bundle = library.newest(conn)
        question = _question(conn, message, bundle)
        choice = question.choice(choice_id)
        if choice is None:
            offered = ", ".join(known.id for known in question.choices) or "none"
            raise UsageError(f"{choice_id!r} is no answer to {message.letter!r}; it offers: {offered}")
        customers.lock(conn, [message.customer_id])
        said = {"answer": choice.id, "label": choice.label, "question": message.question, "comment": comment}
        if not _tell(conn, message, EventKind.ANSWER_GIVEN, f"answer:{key}", now, **said):
            return False
        _prove_accepted(conn, message, now)
        _answer(conn, message, choice, Source.CLICK, now, comment=comment)
        if choice.negative or comment:
            _waits_for_us(conn, message, bundle, now, because=f"answer:{key}")
        enrollments.wake(conn, [message.enrollment_id], at=now)
    return True


def _question(conn: Connection, message: StoredMessage, bundle: Bundle) -> Question:
    """Return the question as it stands in the customer's language; an empty one when the letter is gone."""
    if message.letter not in bundle.defaults:
        return Question("")
    return bundle.letter(message.letter, customers.language_of(conn, message.customer_id)).question or Question("")


def _answer(
    conn: Connection,
    message: StoredMessage,
    choice: Choice,
    source: Source,
    now: datetime,
    *,
    reply_id: int | None = None,
    comment: str | None = None,
) -> None:
    replies.add_answer(
        conn,
        NewAnswer(
            customer_id=message.customer_id,
            message_id=message.id,
            enrollment_id=message.enrollment_id,
            letter=message.letter,
            step=message.step,
            answer=choice.id,
            label=choice.label,
            source=source,
            at=now,
            reply_id=reply_id,
            comment=comment,
        ),
    )


def _prove_accepted(conn: Connection, message: StoredMessage, now: datetime) -> None:
    """Whoever answers a letter has got it, whatever we knew of it."""
    if message.state is not MessageState.UNKNOWN or message.sending_at is None:
        return
    row = {"id": message.id, "accepted_at": message.sending_at, "outcome": Outcome.ACCEPTED.value, "reason": None}
    if messages.move(conn, Action.ACCEPT, [row]):
        events.add(conn, [accepted_event(message, message.sending_at)], now=now)


def _tell(
    conn: Connection, message: StoredMessage, kind: EventKind, external_id: str, now: datetime, **data: object
) -> bool:
    """Put an event about *message* on the timeline; return False when it is there already."""
    about = {"message_id": message.id, "workflow": message.workflow, "step": message.step, "letter": message.letter}
    event = NewEvent(
        customer_id=message.customer_id,
        order_id=message.order_id,
        kind=kind.value,
        occurred_at=now,
        source="customer",
        external_id=external_id,
        data=about | data,
    )
    return bool(events.add(conn, [event], now=now))


def _waits_for_us(conn: Connection, message: StoredMessage, bundle: Bundle, now: datetime, *, because: str) -> None:
    """Open the customer's conversation, or note that it is our turn again."""
    workflow = bundle.workflows.get(message.workflow)
    owner = workflow.owner if workflow else message.sender
    if conversations.customer_wrote(conn, message.customer_id, owner, at=now):
        _tell(conn, message, EventKind.CONVERSATION_OPENED, f"conversation:{because}", now, owner=owner)


def _unsubscribed(
    conn: Connection, message: StoredMessage, stored: inbound_mail.RawMail, post: Post, now: datetime
) -> Heard:
    customer = customers.load(conn, [message.customer_id], now=now)[message.customer_id]
    hash_ = suppressions.address_hash(normalize_address(customer.email), post.suppression_key)
    suppressions.add(conn, hash_, reason="unsubscribed", source="mail", now=now)
    _tell(conn, message, EventKind.CUSTOMER_UNSUBSCRIBED, f"stop:{stored.content_hash}", now)
    enrollments.wake_for_events(conn, [message.customer_id], at=now)
    return Heard(InboundState.PROCESSED, MailKind.UNSUBSCRIBE, message.customer_id)
