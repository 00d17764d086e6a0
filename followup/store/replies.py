"""Replies and answers: what customers said, in their words and by one click."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, func, insert, null, select, union_all

from followup.core.replies import Absence, MailKind, Response, Source
from followup.store.schema import answers, customers, messages, replies
from followup.store.types import among, insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReply:
    """A mail that is on someone's record; (customer_id, rfc_message_id) makes its repetition a no-op."""

    customer_id: int
    inbound_id: int
    message_id: int | None
    enrollment_id: int | None
    rfc_message_id: str
    kind: MailKind
    from_address: str
    subject: str | None
    text: str
    text_signed: str
    returns_on: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """One of the offered answers, chosen by click or named in a reply."""

    customer_id: int
    message_id: int
    enrollment_id: int
    letter: str
    step: str
    answer: str
    label: str
    source: Source
    at: datetime
    reply_id: int | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a customer answered to a letter of which workflow, about which order."""

    workflow: str
    order_id: int | None
    letter: str
    response: Response


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """One confirmed answer to a message."""

    answer: str
    comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedReply:
    """
    A mail, or an answer by click, as lists show it.

    ``kind`` is a `MailKind`, or "click"; ``text`` of a click is the comment that came with it.
    """

    received_at: datetime
    email: str | None
    timezone: str | None
    kind: str
    text: str
    subject: str | None
    workflow: str | None
    question: str | None
    answer: str | None
    label: str | None


_about = (
    customers.c.email,
    customers.c.timezone,
    messages.c.workflow,
    messages.c.question,
    answers.c.answer,
    answers.c.label,
)
_mails = (
    select(replies.c.received_at, replies.c.kind, replies.c.text, replies.c.subject, *_about)
    .join(customers, customers.c.id == replies.c.customer_id)
    .outerjoin(messages, messages.c.id == replies.c.message_id)
    .outerjoin(answers, answers.c.reply_id == replies.c.id)
)
_clicks = (  # the answers that came by no mail, as `_mails` has it
    select(
        answers.c.at.label("received_at"),
        answers.c.source.label("kind"),
        func.coalesce(answers.c.comment, "").label("text"),
        null().label("subject"),
        *_about,
    )
    .join(customers, customers.c.id == answers.c.customer_id)
    .join(messages, messages.c.id == answers.c.message_id)
    .where(answers.c.reply_id.is_(None))
)


def add_reply(conn: Connection, new: NewReply) -> int | None:
    """Write a reply; return its id, or None when this mail is on the record already."""
    row = {name: getattr(new, name) for name in NewReply.__dataclass_fields__} | {"kind": new.kind.value}
    added = insert_new(conn, replies, [row], replies.c.id)
    return added[0].id if added else None


def add_answer(conn: Connection, new: NewAnswer) -> None:
    """Write an answer; earlier ones to the same question stay as history."""
    row = {name: getattr(new, name) for name in NewAnswer.__dataclass_fields__} | {"source": new.source.value}
    conn.execute(insert(answers), [row])


def answers_to(conn: Connection, message_id: int, enrollment_id: int) -> list[GivenAnswer]:
    """Return every confirmed answer to a message, oldest first: the last one stands."""
    of_it = answers.c.enrollment_id == enrollment_id, answers.c.message_id == message_id
    rows = conn.execute(select(answers.c.answer, answers.c.comment).where(*of_it).order_by(answers.c.at, answers.c.id))
    return [GivenAnswer(row.answer, row.comment) for row in rows]


_ANSWERS = select(answers).where(among(answers.c.enrollment_id, "runs")).order_by(answers.c.id)
_MAILS_BY_PEOPLE = (
    select(replies, messages.c.step)
    .join(messages, messages.c.id == replies.c.message_id)
    .where(among(replies.c.enrollment_id, "runs"), replies.c.kind == MailKind.HUMAN.value)
    .order_by(replies.c.id)
)


def responses(conn: Connection, enrollment_ids: Collection[int]) -> dict[int, list[Response]]:
    """Return by enrollment what customers answered to its asks, oldest first: clicks, and mails by people."""
    found: dict[int, list[tuple[datetime, int, Response]]] = {}
    wanted = {"runs": list(enrollment_ids)}
    named = {}
    for row in conn.execute(_ANSWERS, wanted):
        if row.reply_id is not None:
            named[row.reply_id] = row
            continue
        said = Response(
            at=row.at,
            step=row.step,
            source=Source(row.source),
            answer=row.answer,
            label=row.label,
            text=row.comment,
        )
        found.setdefault(row.enrollment_id, []).append((row.at, row.id, said))
    for row in conn.execute(_MAILS_BY_PEOPLE, wanted):
        choice = named.get(row.id)
        said = Response(
            at=row.received_at,
            step=row.step,
            source=Source.REPLY,
            answer=choice.answer if choice else None,
            label=choice.label if choice else None,
            text=row.text,
            sentiment=row.sentiment,
            intent=row.intent,
            language=row.language,
        )
        found.setdefault(row.enrollment_id, []).append((row.received_at, row.id, said))
    return {key: [said for _, _, said in sorted(rows, key=lambda r: r[:2])] for key, rows in found.items()}


_ASKED = (messages.c.customer_id, messages.c.workflow, messages.c.order_id, messages.c.letter, messages.c.step)
_CHOSEN_ELSEWHERE = (
    select(*_ASKED, answers.c.at, answers.c.source, answers.c.answer, answers.c.label, answers.c.comment)
    .join(messages, messages.c.id == answers.c.message_id)
    .where(among(answers.c.customer_id, "customers"))
    .order_by(answers.c.at, answers.c.id)
)
_WRITTEN_ELSEWHERE = (
    select(*_ASKED, replies.c.received_at, replies.c.text)
    .join(messages, messages.c.id == replies.c.message_id)
    .where(among(replies.c.customer_id, "customers"), replies.c.kind == MailKind.HUMAN.value)
    .order_by(replies.c.received_at, replies.c.id)
)


def elsewhere(conn: Connection, customer_ids: Collection[int]) -> dict[int, list[Elsewhere]]:
    """Return by customer what they answered to which letter, about which order, oldest first."""
    found: dict[int, list[Elsewhere]] = {}
    whose = {"customers": list(customer_ids)}
    for row in conn.execute(_CHOSEN_ELSEWHERE, whose):
        said = Response(
            at=row.at, step=row.step, source=Source(row.source), answer=row.answer, label=row.label, text=row.comment
        )
        found.setdefault(row.customer_id, []).append(Elsewhere(row.workflow, row.order_id, row.letter, said))
    for mail in conn.execute(_WRITTEN_ELSEWHERE, whose):
        said = Response(at=mail.received_at, step=mail.step, source=Source.REPLY, text=mail.text)
        found.setdefault(mail.customer_id, []).append(Elsewhere(mail.workflow, mail.order_id, mail.letter, said))
    return {key: sorted(some, key=lambda one: one.response.at) for key, some in found.items()}


_ABSENCES = (
    select(replies.c.enrollment_id, replies.c.received_at, replies.c.returns_on, messages.c.step)
    .join(messages, messages.c.id == replies.c.message_id)
    .where(among(replies.c.enrollment_id, "runs"), replies.c.returns_on.is_not(None))
    .order_by(replies.c.id)
)


def absences(conn: Connection, enrollment_ids: Collection[int]) -> dict[int, dict[str, Absence]]:
    """Return by enrollment and step the first out-of-office note that gave a day of return."""
    found: dict[int, dict[str, Absence]] = {}
    for row in conn.execute(_ABSENCES, {"runs": list(enrollment_ids)}):
        absence = Absence(row.received_at, date.fromisoformat(row.returns_on))
        found.setdefault(row.enrollment_id, {}).setdefault(row.step, absence)
    return found


_BY_LETTER = (
    select(answers.c.customer_id, answers.c.letter, answers.c.answer)
    .where(among(answers.c.customer_id, "customers"))
    .order_by(answers.c.at, answers.c.id)
)


def last_answers(conn: Connection, customer_ids: Collection[int]) -> dict[int, dict[str, str]]:
    """Return by customer the last confirmed answer to each letter, in any workflow."""
    found: dict[int, dict[str, str]] = {}
    for row in conn.execute(_BY_LETTER, {"customers": list(customer_ids)}):
        found.setdefault(row.customer_id, {})[row.letter] = row.answer
    return found


_WORDS = (
    select(replies.c.customer_id, replies.c.text)
    .where(among(replies.c.customer_id, "customers"), replies.c.kind == MailKind.HUMAN.value)
    .order_by(replies.c.received_at, replies.c.id)
)


def last_replies(conn: Connection, customer_ids: Collection[int]) -> dict[int, str]:
    """Return by customer the words of their last mail."""
    return {row.customer_id: row.text for row in conn.execute(_WORDS, {"customers": list(customer_ids)})}


def last_words(conn: Connection, customer_ids: Collection[int]) -> dict[int, str]:
    """Return by customer what they said last: words of a mail (or its subject), a comment, or the answer alone."""
    wanted = list(customer_ids)
    written = func.coalesce(func.nullif(replies.c.text, ""), replies.c.subject, "")
    mails = select(replies.c.customer_id, replies.c.received_at.label("at"), written.label("words")).where(
        replies.c.customer_id.in_(wanted), replies.c.kind == MailKind.HUMAN.value
    )
    chosen = func.coalesce(answers.c.comment, answers.c.label)
    clicks = select(answers.c.customer_id, answers.c.at, chosen).where(
        answers.c.customer_id.in_(wanted), answers.c.reply_id.is_(None)
    )
    rows = conn.execute(union_all(mails, clicks)).all()
    return {row.customer_id: row.words for row in sorted(rows, key=lambda row: row.at)}


def listed(conn: Connection, *, kind: str | None, limit: int) -> list[ListedReply]:
    """Return mails and answers by click, the newest first; only those of *kind* if it is given."""
    mails = _mails.order_by(replies.c.received_at.desc(), replies.c.id.desc())
    clicks = _clicks.order_by(answers.c.at.desc(), answers.c.id.desc())
    if kind is not None:
        mails, clicks = mails.where(replies.c.kind == kind), clicks.where(answers.c.source == kind)
    found = [
        ListedReply(**{name: getattr(row, name) for name in ListedReply.__dataclass_fields__})
        for wanted in (mails, clicks)
        for row in conn.execute(wanted.limit(limit))
    ]
    return sorted(found, key=lambda one: one.received_at, reverse=True)[:limit]


def count_by_kind(conn: Connection) -> dict[str, int]:
    wanted = select(replies.c.kind, func.count()).group_by(replies.c.kind).order_by(replies.c.kind)
    return {kind: number for kind, number in conn.execute(wanted)}


def count_answers(conn: Connection) -> int:
    """Return how many messages have an answer."""
    return conn.scalar(select(func.count(answers.c.message_id.distinct()))) or 0
