"""The numbers that a monitoring system keeps; none of them is about one person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Engine

from followup.core.enrollment import EnrollmentState
from followup.core.message import HaltScope, MessageState
from followup.core.provider import EventState
from followup.core.replies import InboundState
from followup.store import (
    alerts,
    bundles,
    conversations,
    enrollments,
    halts,
    inbound_mail,
    messages,
    provider_events,
    pulse,
    senders,
    signs,
    unsent,
    upgrade,
)
from followup.store.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """How things stand at one moment; ``counts`` are by thing and state, and hold every state there is."""

    counts: Mapping[str, Mapping[str, int]]
    oldest_due: timedelta
    waiting: int
    longest_wait: timedelta
    alerts: int
    ages: Mapping[str, timedelta]
    halted: Mapping[str, bool]


def measure(engine: Engine, *, now: datetime) -> Measures:
    """Return how things stand at *now* (business time)."""
    with reading(engine) as conn:
        standing = halts.current(conn)
        known, real_now = senders.all_of(conn)
        return Measures(
            counts={
                "messages": _all(MessageState, messages.count_by_state(conn)),
                "enrollments": _all(EnrollmentState, enrollments.count_by_state(conn)),
                "inbound_mail": _all(InboundState, inbound_mail.count_by_state(conn)),
                "provider_events": _all(EventState, provider_events.count_by_state(conn)),
            },
            oldest_due=_since(unsent.next_due(conn), now),
            waiting=conversations.count_waiting(conn),
            longest_wait=_since(pulse.longest_wait_since(conn), now),
            alerts=alerts.count(conn),
            ages=signs.ages(conn),
            halted={scope.value: scope in standing for scope in HaltScope}
            | {"sender": any(one.paused or one.is_closed(real_now) for one in known.values())},
        )


def has_work(engine: Engine) -> bool | None:
    """Tell whether something was applied; None when the database has lost its tables."""
    with reading(engine) as conn:
        return None if upgrade.current(conn) is None else bundles.newest_hash(conn) is not None


def _all(states: type[StrEnum], counts: Mapping[str, int]) -> dict[str, int]:
    """Return *counts* with a zero for every state that nothing is in, so that no line of a graph ends."""
    return {state.value: counts.get(state.value, 0) for state in states}


def _since(moment: datetime | None, now: datetime) -> timedelta:
    return max(now - moment, timedelta()) if moment is not None else timedelta()
