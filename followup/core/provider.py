"""What a mail provider reports about a letter, as values."""

from enum import StrEnum


class EventState(StrEnum):
    """How far a reported event has come."""

    RECEIVED = "received"  # committed, not yet worked on
    APPLIED = "applied"  # on the message's row
    UNMATCHED = "unmatched"  # about no letter of ours
    IGNORED = "ignored"  # says nothing we act on (opens, account events, kinds we do not know)
    FAILED = "failed"  # could not be read; kept as it came
