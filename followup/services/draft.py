"""A letter that has not left yet, as it would be written now: for a person who wants to read it first."""

from sqlalchemy import Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core.message import NOT_SENT
from followup.mail.message import MailIdentity, OutgoingMail
from followup.services import facts
from followup.services.claim import Claimed
from followup.services.library import Library
from followup.services.write import write
from followup.store import enrollments
from followup.store.engine import reading
from followup.store.messages import StoredMessage


def as_written(
    engine: Engine, message: StoredMessage, *, library: Library, identity: MailIdentity, clock: Clock
) -> OutgoingMail | None:
    """
    Return *message* as it left, or as it would leave now; None for one that never will.

    Raises:
        FollowupError: it cannot be written; that is why it is, or would be, blocked.
    """
    if message.payload is not None:
        return OutgoingMail.from_json(message.payload)
    if message.state in NOT_SENT:
        return None
    with reading(engine) as conn:
        bundle: Bundle = library.newest(conn)
        run = enrollments.by_id(conn, [message.enrollment_id])[message.enrollment_id]
        known = facts.read(conn, [run], library=library, now=clock.now())[run.id]
    return write(Claimed(message, message.attempts, known.workflow, known.facts), bundle, identity, clock.now()).mail
