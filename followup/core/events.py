"""The vocabulary of things that happen. The timeline, triggers and exits all speak it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """What happened, from whichever side."""

    ORDER_PLACED = "order.placed"
    ORDER_PAID = "order.paid"
    ORDER_FULFILLED = "order.fulfilled"
    ORDER_DELIVERED = "order.delivered"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_REFUNDED = "order.refunded"  # data: {"full": bool}
    ORDER_PROMISE_MISSED = "order.promise_missed"  # a day after the promised moment, and not delivered
    CUSTOMER_QUIET = "customer.quiet"  # data: {"workflow": whose patience is over}
    MESSAGE_ACCEPTED = "message.accepted"  # the provider took a letter of ours
    MESSAGE_SENT_AGAIN = "message.sent_again"  # an attempt that was given up had been accepted, and another one left
    ANSWER_GIVEN = "answer.given"  # a one-click answer, or a reply that names one
    REPLY_RECEIVED = "reply.received"  # a person wrote to us
    AUTO_REPLY_RECEIVED = "auto_reply.received"  # a machine wrote: out of office, ticket receipt
    MESSAGE_BOUNCED = "message.bounced"
    MESSAGE_COMPLAINED = "message.complained"
    CUSTOMER_UNSUBSCRIBED = "customer.unsubscribed"
    CONVERSATION_OPENED = "conversation.opened"
    CONVERSATION_CLOSED = "conversation.closed"
    HANDED_OFF = "conversation.handed_off"  # a workflow asked a person to take over


OURS = frozenset(kind.value for kind in EventKind)
OUR_WORDS = frozenset(kind.split(".")[0] for kind in OURS) - {"customer"}  # "order.shiped" is a slip, not a new event


LONGEST_NAME = 80  # characters of an event's name
NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")  # of an event of the shop's own


def is_custom(kind: str) -> bool:
    """Tell whether *kind* can be an event of the shop's own: not one of ours, nor one that we read as ours."""
    if kind in {"manual", "customer.erased"}:
        return False
    return kind not in OURS and kind.split(".", maxsplit=1)[0] not in OUR_WORDS


ORDER_EVENTS = frozenset(kind for kind in EventKind if kind.value.startswith("order."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened; ``order_id`` is the order it concerns, if any."""

    id: int
    kind: str
    occurred_at: datetime
    order_id: int | None = None
    data: Mapping[str, object] = field(default_factory=dict)
