"""Visits: links of letters that were opened. They say little by themselves; `core.replies` reads them."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from followup.core.replies import Choice, Question, Visit
from followup.store.messages import StoredMessage
from followup.store.schema import answers, messages, visits
from followup.store.types import among

MOST = 50  # kept of one message


def any_of(conn: Connection, message_id: int) -> bool:
    """Tell whether a link of the message was ever opened, by whomever."""
    wanted = select(visits.c.id).where(visits.c.message_id == message_id).limit(1)
    return conn.scalar(wanted) is not None


def add(conn: Connection, message: StoredMessage, choice: str | None, *, at: datetime) -> bool:
    """Note that a link of *message* was opened (None: the stop link); return False when it has enough visits."""
    kept = select(func.count()).select_from(visits).where(visits.c.message_id == message.id)
    if (conn.scalar(kept) or 0) >= MOST:
        return False
    row = {"message_id": message.id, "enrollment_id": message.enrollment_id, "choice": choice, "at": at}
    conn.execute(insert(visits), [row])
    return True


_CONFIRMED = select(answers.c.id).where(
    answers.c.enrollment_id == visits.c.enrollment_id, answers.c.message_id == visits.c.message_id
)
_UNANSWERED = select(visits).where(~_CONFIRMED.exists()).order_by(visits.c.at, visits.c.id)
_UNANSWERED_OF_RUNS = _UNANSWERED.where(among(visits.c.enrollment_id, "runs"))


def unanswered(conn: Connection, enrollment_ids: Collection[int]) -> dict[int, list[Visit]]:
    """Return by message the visits to those that have no confirmed answer, oldest first."""
    found: dict[int, list[Visit]] = {}
    for row in conn.execute(_UNANSWERED_OF_RUNS, {"runs": list(enrollment_ids)}):
        found.setdefault(row.message_id, []).append(Visit(row.at, row.choice))
    return found


def unanswered_by(conn: Connection, customer_id: int) -> list[tuple[Question, list[Visit]]]:
    """Return what one customer was asked and has not answered, with the visits to each letter, oldest first."""
    wanted = _UNANSWERED.join(messages, messages.c.id == visits.c.message_id)
    wanted = wanted.add_columns(messages.c.question, messages.c.choices)
    asked: dict[int, tuple[Question, list[Visit]]] = {}
    for row in conn.execute(wanted.where(messages.c.customer_id == customer_id)):
        question = Question(row.question or "", tuple(Choice(**choice) for choice in row.choices or ()))
        asked.setdefault(row.message_id, (question, []))[1].append(Visit(row.at, row.choice))
    return list(asked.values())
