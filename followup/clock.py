"""
Business time: due times, windows, lateness, token age.

Leases, HTTP deadlines and backoff use real time instead: a lease is measured by the database's own
``now()`` (see ``store.types``), so that turning the business clock never breaks one.
"""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the present business moment, aware UTC."""
        ...


class SystemClock:
    """The wall clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place that reads it


class VirtualClock:
    """A clock that stands until it is moved; it never goes back."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def move_to(self, moment: datetime) -> None:
        """Move to *moment* (aware), or stay when it lies in the past."""
        self._now = max(self._now, moment.astimezone(UTC))
