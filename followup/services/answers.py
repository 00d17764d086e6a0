"""One-click answers: what the page shows, the click that opened it, and the answer somebody confirmed on it."""

import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.events import EventKind
from followup.core.message import MessageState
from followup.core.replies import Choice, Source
from followup.errors import NotFound, UsageError
from followup.services import record, timers
from followup.services.letterhead import Letterhead, letterhead
from followup.services.library import Library
from followup.store import customers, messages, replies, visits
from followup.store.engine import reading, writing
from followup.store.messages import StoredMessage

LONGEST_COMMENT = 4_000  # characters
MOST_ANSWERS = 20  # to one letter: nobody changes their mind more often than that
LINKS_LAST = timedelta(days=365)
MAY_BE_READ = (MessageState.SENDING, MessageState.UNKNOWN, MessageState.ACCEPTED)


class Taken(StrEnum):
    """What became of a confirmed answer."""

    RECORDED = "recorded"
    UNCHANGED = "unchanged"  # a double click, a page that was loaded again
    NOT_OFFERED = "not offered"  # the question has no such answer
    TOO_OFTEN = "too often"  # it was changed so often that we listen no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as its customer read it, and the answer that stands (None: there is none yet)."""

    head: Letterhead
    question: str
    choices: tuple[Choice, ...]
    answer: str | None
    comment: str | None


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
    with writing(engine, "answers.record") as conn:
        message = messages.by_token(conn, token_name)
        if message is None:
            raise NotFound("no letter goes by that token")
        choice = message.asked.choice(choice_id)
        if choice is None:
            offered = ", ".join(known.id for known in message.asked.choices) or "none"
            raise UsageError(f"{choice_id!r} is no answer to {message.letter!r}; it offers: {offered}")
        customers.lock(conn, [message.customer_id])
        return _record(conn, message, choice, comment, library=library, clock=clock, key=f"answer:{key}")


def confirm(engine: Engine, token_name: str, choice_id: str, comment: str, *, library: Library, clock: Clock) -> Taken:
    """
    Take the answer that a customer confirmed on the page; what they answered before stays as history.

    Raises:
        NotFound: no question goes by that token, or none that can be answered any more.
    """
    with writing(engine, "answers.confirm") as conn:
        message = _answerable(conn, token_name, clock)
        choice, words = message.asked.choice(choice_id), cleaned(comment)
        if choice is None:
            return Taken.NOT_OFFERED
        customers.lock(conn, [message.customer_id])  # so that a double click is seen as one
        given = replies.answers_to(conn, message.id, message.enrollment_id)
        if given and (given[-1].answer, given[-1].comment) == (choice.id, words):
            return Taken.UNCHANGED
        if len(given) >= MOST_ANSWERS:
            return Taken.TOO_OFTEN
        key = f"answer:message:{message.id}:{len(given)}"
        _record(conn, message, choice, words, library=library, clock=clock, key=key)
        return Taken.RECORDED


def look_up(engine: Engine, token_name: str, *, library: Library, clock: Clock) -> Asked:
    """
    Return what the page shows.

    Raises:
        NotFound: no question goes by that token, or none that can be answered any more.
    """
    with reading(engine) as conn:
        message = _answerable(conn, token_name, clock)
        given = replies.answers_to(conn, message.id, message.enrollment_id)
        return Asked(
            head=letterhead(conn, message, library.newest(conn), clock.now()),
            question=message.asked.ask,
            choices=message.asked.choices,
            answer=given[-1].answer if given else None,
            comment=given[-1].comment if given else None,
        )


def visit(engine: Engine, token_name: str, choice_id: str, *, clock: Clock) -> None:
    """Note that the link of an answer was opened, which answers nothing yet; one that is not offered is not noted."""
    with writing(engine, "answers.visit") as conn:
        message = _answerable(conn, token_name, clock)
        if message.asked.choice(choice_id) is not None:
            visits.add(conn, message, choice_id, at=clock.now())


def cleaned(comment: str) -> str | None:
    """Return a comment without what no database and no terminal should see, cut to its longest; None if empty."""
    lines = comment.replace("\r\n", "\n").replace("\r", "\n")
    plain = "".join(char for char in lines if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"})
    return plain.strip()[:LONGEST_COMMENT].rstrip() or None


def _answerable(conn: Connection, token_name: str, clock: Clock) -> StoredMessage:
    """Return the message that asked, if its letter can have reached the customer and is not too old."""
    message = messages.by_token(conn, token_name)
    if message is None or not (message.past or message.state in MAY_BE_READ) or not message.choices:
        raise NotFound("no question goes by that token")
    left_at = message.sending_at if message.past else message.accepted_at or message.sending_at
    if left_at is None or clock.now() > left_at + LINKS_LAST:
        raise NotFound("the question is too old to be answered by its link")
    return message


def _record(
    conn: Connection,
    message: StoredMessage,
    choice: Choice,
    comment: str | None,
    *,
    library: Library,
    clock: Clock,
    key: str,
) -> bool:
    """Write an answer down and wake its run; the caller holds the customer's row."""
    now = clock.now()
    said: dict[str, object] = {"answer": choice.id, "label": choice.label, "question": message.question}
    if not record.tell(conn, message, EventKind.ANSWER_GIVEN, key, now, **said, comment=comment):
        return False
    record.prove_accepted(conn, message, now)
    record.answer(conn, message, choice, Source.CLICK, now, comment=comment)
    bundle = library.newest(conn)
    if choice.negative or comment:
        record.waits_for_us(conn, message, bundle, now, because=key)
    timers.customer_heard(conn, [message.customer_id], bundle, after=now - timers.LOOK_BACK)
    return True
