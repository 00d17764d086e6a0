"""What was decided about letters, as the record keeps it: also when one is withdrawn, released, or stands still."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from followup.store import decisions, messages
from followup.store.decisions import Decided
from followup.store.messages import StoredMessage


def decided_about(
    message: StoredMessage,
    *,
    at: datetime,
    verdict: str,
    gate: str | None = None,
    reason: str,
    values: Mapping[str, object] | None = None,
    until: datetime | None = None,
) -> Decided:
    """Return the record of a decision about *message*."""
    return Decided(
        at=at,
        customer_id=message.customer_id,
        order_id=message.order_id,
        enrollment_id=message.enrollment_id,
        message_id=message.id,
        workflow=message.workflow,
        step=message.step,
        round=message.round,
        verdict=verdict,
        gate=gate,
        reason=reason,
        values=values or {},
        until=until,
    )


def note_blocked(conn: Connection, blocked: Iterable[tuple[StoredMessage, str]], *, gate: str, now: datetime) -> None:
    """
    Record of each letter that it stands still from now on, and why.

    Args:
        gate: ``letter`` when it cannot be written, ``sender`` when the provider refuses who signs it.
    """
    decisions.add(conn, [decided_about(one, at=now, verdict="blocked", gate=gate, reason=why) for one, why in blocked])


def withdraw(
    conn: Connection, enrollment_id: int, step: str | None, round_: int | None, *, reason: str, now: datetime
) -> None:
    """Withdraw what has not left yet: of one step and round, or (None) of the whole enrollment."""
    withdrawn = messages.cancel(conn, enrollment_id, step, round_, reason=reason)
    decisions.add(conn, [decided_about(one, at=now, verdict="cancelled", reason=reason) for one in withdrawn])
