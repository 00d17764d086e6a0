"""What was decided about letters, as the record keeps it."""

from collections.abc import Mapping
from datetime import datetime

from followup.store.decisions import Decided
from followup.store.messages import StoredMessage


def decided_about(
    message: StoredMessage,
    *,
    at: datetime,
    verdict: str,
    gate: str,
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
