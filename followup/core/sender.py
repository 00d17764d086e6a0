"""
A sender: the person in whose name letters leave, and what keeps them from leaving for a while.

Three things do, each for all workers at once. A provider that refuses the sender pauses it until a person has
corrected the settings. A breaker opens after a few letters of unknown fate, for each of them waits for
evidence: after a while one letter tries, and what becomes of it decides. And a rate may be set.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from followup.core.message import Accepted, Answer, Cause, Misconfigured, Rejected, RetrySafe, Unknown

FAILURES = 3  # of unknown fate in a row, within
FAILURES_WITHIN = timedelta(seconds=60)
OPEN_FIRST, OPEN_MOST = timedelta(seconds=30), timedelta(minutes=10)
PROBE_LASTS = timedelta(seconds=120)  # a claim's lease: a probe that is not settled by then died with its worker
BURST = timedelta(seconds=5)  # worth of letters that may leave at once: workers look every few seconds
MANY = 1_000_000  # letters: no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """
    How a sender stands; all moments are of the database's clock.

    ``failures`` counts letters of unknown fate in a row, ``failing_since`` and ``failed_at`` are when they were lost.
    ``closed_until`` is when the breaker, or the provider's limit, lets letters leave again; ``trips`` counts how often
    the breaker opened without one getting through. ``probe`` is the message that tries. ``next_at`` is when the rate
    has room again.
    """

    key: str
    paused: str | None = None  # why
    failures: int = 0
    failing_since: datetime | None = None
    failed_at: datetime | None = None
    trips: int = 0
    closed_until: datetime | None = None
    because: str | None = None  # why it is closed
    probe: int | None = None
    next_at: datetime | None = None

    @property
    def is_plain(self) -> bool:
        """Tell whether nothing but a rate stands in the way, nor has lately."""
        return self.paused is None and not self.failures and not self.trips and self.closed_until is None

    def is_closed(self, now: datetime) -> bool:
        return self.closed_until is not None and now < self.closed_until


def allowance(sender: Sender, now: datetime, per_minute: int | None) -> int:
    """Return how many letters may leave at *now* (database time)."""
    if sender.paused is not None or sender.is_closed(now):
        return 0
    room = MANY if per_minute is None else _room(sender, now, per_minute)
    return min(room, 1) if sender.trips else room


def _room(sender: Sender, now: datetime, per_minute: int) -> int:
    """Return how many fit the rate: one each interval, and no more at once than fit into ``BURST``."""
    interval = timedelta(minutes=1) / per_minute
    behind = max(sender.next_at or now, now) - now
    most = max(1, BURST // interval)
    return max(0, most - -(-behind // interval))


def begun(sender: Sender, messages: Iterable[int], now: datetime, per_minute: int | None) -> Sender:
    """Return how the sender stands once *messages* (ids) are on their way; one of a tripped sender is its probe."""
    ids = list(messages)
    if per_minute is not None and ids:
        sender = replace(sender, next_at=max(sender.next_at or now, now) + len(ids) * timedelta(minutes=1) / per_minute)
    if sender.trips and ids:
        return replace(sender, probe=ids[0], closed_until=now + PROBE_LASTS)
    return sender


def settled(sender: Sender, answers: Iterable[tuple[int, Answer]], now: datetime, business_now: datetime) -> Sender:
    """
    Return how the sender stands after *answers* to its letters (message id, answer), in the order they came.

    Args:
        business_now: what a limit's end is counted from.
    """
    for message_id, answer in answers:
        match answer:
            case Accepted() | Rejected():  # the provider is there, and takes what this sender gives it
                sender = _anew(sender)
            case Misconfigured(reason):
                sender = replace(sender, paused=sender.paused or reason)
            case RetrySafe(not_before, reason, Cause.LIMITED):
                until = now + (not_before - business_now)
                if message_id == sender.probe or not sender.is_closed(until):
                    sender = replace(_anew(sender), closed_until=until, because=reason)
            case RetrySafe(_, reason, Cause.FAILED) if message_id == sender.probe:
                sender = _tripped(sender, now, reason)
            case Unknown(reason):
                sender = _failed(sender, message_id, now, reason)
    return sender


def _failed(sender: Sender, message_id: int, now: datetime, reason: str) -> Sender:
    if message_id == sender.probe:
        return _tripped(sender, now, reason)
    if sender.is_closed(now) or sender.trips:  # it left before the breaker opened
        return sender
    earlier = (sender.failing_since, sender.failed_at)
    lately = [at for at in earlier if at is not None and now - at <= FAILURES_WITHIN] + [now]
    if len(lately) >= FAILURES:
        return _tripped(sender, now, reason)
    failed_at = lately[1] if len(lately) > 1 else None
    return replace(sender, failures=len(lately), failing_since=lately[0], failed_at=failed_at)


def _tripped(sender: Sender, now: datetime, reason: str) -> Sender:
    wait = min(OPEN_FIRST * (1 << min(sender.trips, 10)), OPEN_MOST)
    return replace(_anew(sender), trips=sender.trips + 1, closed_until=now + wait, because=reason)


def _anew(sender: Sender) -> Sender:
    """Return the sender without anything the breaker or a limit did; a pause is a person's to end, a rate goes on."""
    return Sender(key=sender.key, paused=sender.paused, next_at=sender.next_at)
