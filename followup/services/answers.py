"""One-click answers."""

from sqlalchemy import Engine

from followup.clock import Clock
from followup.core.events import EventKind
from followup.core.replies import Source
from followup.errors import NotFound, UsageError
from followup.services import record
from followup.services.library import Library
from followup.store import customers, enrollments, messages
from followup.store.engine import writing


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
        question = message.asked
        choice = question.choice(choice_id)
        if choice is None:
            offered = ", ".join(known.id for known in question.choices) or "none"
            raise UsageError(f"{choice_id!r} is no answer to {message.letter!r}; it offers: {offered}")
        customers.lock(conn, [message.customer_id])
        said = {"answer": choice.id, "label": choice.label, "question": message.question, "comment": comment}
        if not record.tell(conn, message, EventKind.ANSWER_GIVEN, f"answer:{key}", now, **said):
            return False
        record.prove_accepted(conn, message, now)
        record.answer(conn, message, choice, Source.CLICK, now, comment=comment)
        if choice.negative or comment:
            record.waits_for_us(conn, message, bundle, now, because=f"answer:{key}")
        enrollments.wake(conn, [message.enrollment_id], at=now)
    return True
