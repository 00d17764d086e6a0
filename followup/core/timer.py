"""Things that are noticed because they do not happen: a parcel that does not come, a customer who says nothing."""

from datetime import timedelta
from enum import StrEnum

from followup.core.events import EventKind

PATIENCE = timedelta(days=1)  # with a promised day: a parcel of that evening is not late
CONTACT = frozenset({EventKind.ORDER_PLACED, EventKind.ANSWER_GIVEN, EventKind.REPLY_RECEIVED})  # signs of a customer


class TimerKind(StrEnum):
    PROMISE = "promise"  # of an order: it should have come by now
    QUIET = "quiet"  # of a customer, for one workflow: nothing was heard of them for so long
