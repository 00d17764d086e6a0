"""What a mail provider reports about a letter, as values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from followup.core.events import EventKind
from followup.core.message import Outcome

TOKEN_ARGUMENT = "fu_token"  # noqa: S105 - a letter's token goes out and comes back under it; the prefix makes it ours


class EventState(StrEnum):
    """How far a reported event has come."""

    RECEIVED = "received"  # committed, not yet worked on
    APPLIED = "applied"  # on the message's row
    UNMATCHED = "unmatched"  # about no letter of ours
    IGNORED = "ignored"  # says nothing we act on (opens, account events, kinds we do not know)
    FAILED = "failed"  # could not be read; kept as it came


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    One event about a letter, in our words.

    ``address`` is whom the provider wrote to, as it says; ``at`` is its own clock's; ``message_id`` is the
    Message-ID the letter went by, with its angle brackets.
    """

    kind: str
    outcome: Outcome | None = None
    stops: EventKind | None = None  # after which the address gets no more letters
    address: str = ""
    at: datetime | None = None
    provider_id: str | None = None
    message_id: str | None = None
    reason: str = ""

    @property
    def says_nothing(self) -> bool:
        """Tell whether it means no more than that the letter exists."""
        return self.outcome is None and self.stops is None


def occurred_at(report: Report, *, sending_at: datetime, received_at: datetime) -> datetime:
    """
    Return when it happened: by the provider's clock where that can be, else when we heard of it.

    The provider counts in whole seconds: what it dates into the second in which the letter left happened
    after it left.
    """
    if report.at is None or not sending_at.replace(microsecond=0) <= report.at <= received_at:
        return received_at
    return max(report.at, sending_at)
