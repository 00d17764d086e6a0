"""Telling the workers that something can be done now, instead of waiting for their next sweep."""

from collections.abc import Sequence
from typing import Protocol


class Hints(Protocol):
    """
    Carries ids to whoever works on them.

    Best effort, after the commit that made the work: nothing here raises, and what gets lost on the way is
    found by the next sweep. Ids may arrive late, twice or never.
    """

    def receive(self, ids: Sequence[int]) -> None:
        """Name stored mails that nobody has read yet."""
        ...

    def track(self, ids: Sequence[int]) -> None:
        """Name stored delivery events that nobody has looked at yet."""
        ...

    def ring(self, ids: Sequence[int]) -> None:
        """Name timers that are due."""
        ...

    def advance(self, ids: Sequence[int]) -> None:
        """Name enrollments that are due."""
        ...

    def deliver(self, ids: Sequence[int]) -> None:
        """Name messages that are due."""
        ...


class NoHints:
    """For whoever does the work itself, or leaves it to the next sweep."""

    def receive(self, ids: Sequence[int]) -> None: ...

    def track(self, ids: Sequence[int]) -> None: ...

    def ring(self, ids: Sequence[int]) -> None: ...

    def advance(self, ids: Sequence[int]) -> None: ...

    def deliver(self, ids: Sequence[int]) -> None: ...
