"""What would happen if a workflow went on now: it is let happen, looked at, and taken back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.message import MessageState
from followup.core.sender import Sender
from followup.services.claim import claim
from followup.services.library import Library
from followup.services.switch import lift
from followup.store import enrollments, messages, senders, unsent, workflow_limits
from followup.store.engine import writing
from followup.store.messages import ListedMessage
from followup.store.switches import Switch

MOST = 5_000  # letters that are looked at: meanwhile nobody else may touch them, for some seconds
BATCH = 500
LEASE_SECONDS = 60  # of a claim that is taken back
IN_HAND = "a worker has it in hand"


class Fate(StrEnum):
    """What would become of a letter at once."""

    LEAVES = "leaves"
    LATER = "later"  # a gate postpones it
    WAITS = "waits"  # no letter of its sender leaves at the moment
    HELD = "held"  # for another reason
    SKIPPED = "skipped"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # the database was restored: it may have left already


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One letter, and what would become of it; ``at`` is when it may leave, if that is later."""

    message: int
    email: str | None
    timezone: str | None
    order: str | None
    letter: str
    step: str
    round: int
    fate: Fate
    reason: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """
    The letters that are held or due by now, with what would become of each, grouped by that and why.

    ``unseen`` newer ones were too many to be looked at. ``moving_on`` counts runs that would be looked at at once; what
    they do then is not foreseen. ``first`` letters would have to be read by a person; ``due_later`` are not due yet.
    """

    switch: Switch
    letters: tuple[Foreseen, ...]
    unseen: int
    moving_on: int
    first: int
    due_later: int

    def groups(self) -> Iterator[tuple[Fate, str, Sequence[Foreseen]]]:
        """Yield what becomes of letters and why, with the letters; the first to leave first."""
        for (fate, reason), letters in groupby(self.letters, key=lambda one: (one.fate, one.reason)):
            yield fate, reason, tuple(letters)


class _TakeBack(Exception):
    """Carries what was seen out of a transaction that is not to be committed."""

    def __init__(self, seen: Preview | None) -> None:
        self.seen = seen


def foresee(
    engine: Engine, workflow: str, *, library: Library, suppression_key: str, clock: Clock, most: int = MOST
) -> Preview | None:
    """
    Return what would happen if *workflow* were resumed now; None when nobody has switched it.

    Its letters are claimed as workers would claim them, one a customer at a time, so that caps see the ones before;
    those of other workflows that are due to the same customers take their turn. No rate of senders is asked.

    Args:
        most: so many letters are looked at, the oldest.

    Raises:
        NotFound, UsageError: as `services.switch.resume`.
    """
    now = clock.now()
    try:
        with writing(engine, "preview") as conn:
            _hold_counting(conn, workflow, library)
            ids = unsent.waiting_ids(conn, workflow, now=now)
            due_later = unsent.count_waiting(conn, workflow, now=now).later
            resumed = lift(conn, workflow, library=library, now=now)
            if resumed is None:
                raise _TakeBack(None)
            letters = _let_leave(conn, ids[:most], library=library, suppression_key=suppression_key, now=now)
            raise _TakeBack(
                Preview(
                    switch=resumed.lifted,
                    letters=tuple(sorted(letters, key=_place)),
                    unseen=len(ids[most:]),
                    moving_on=enrollments.count_due(conn, workflow, now=now),
                    first=resumed.first,
                    due_later=due_later,
                )
            )
    except _TakeBack as done:
        return done.seen


def _hold_counting(conn: Connection, workflow: str, library: Library) -> None:
    """
    Hold the rows of all workflows that count their letters, before any letter: see services.approve.

    Claiming takes them last; here one claim follows the other.
    """
    counting = {name for name, one in library.newest(conn).workflows.items() if one.per_day}
    workflow_limits.lock(conn, {workflow, *counting, *workflow_limits.pending(conn)})


def _let_leave(
    conn: Connection, ids: Sequence[int], *, library: Library, suppression_key: str, now: datetime
) -> list[Foreseen]:
    """Claim what may leave, wave by wave as services.deliver does; a claimed letter counts as one that has left."""
    batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    for batch in batches:
        left = set(batch)
        while left:
            wave = claim(
                conn,
                left,
                library=library,
                suppression_key=suppression_key,
                now=now,
                limit=BATCH,
                lease_seconds=LEASE_SECONDS,
            )
            if not wave.handled:
                break
            left -= wave.handled
    standing, _ = senders.all_of(conn)
    return [_foreseen(one, standing, now) for batch in batches for one in messages.listed_by_id(conn, batch)]


def _foreseen(one: ListedMessage, standing: Mapping[str, Sender], now: datetime) -> Foreseen:
    message = one.message
    fate, reason, at = _fate(one, standing, now)
    return Foreseen(
        message=message.id,
        email=one.email,
        timezone=one.timezone,
        order=one.order_number,
        letter=message.letter,
        step=message.step,
        round=message.round,
        fate=fate,
        reason=reason,
        at=at,
    )


def _fate(one: ListedMessage, standing: Mapping[str, Sender], now: datetime) -> tuple[Fate, str, datetime | None]:
    message = one.message
    if message.state is MessageState.CLAIMED:
        return Fate.LEAVES, "", None
    if message.state is not MessageState.DUE:
        return Fate(message.state.value), message.reason or "", None
    assert message.due_at is not None
    if message.due_at > now:
        return Fate.LATER, message.reason or "", message.due_at
    sender = standing.get(message.sender)
    return Fate.WAITS, (sender.paused or sender.because if sender else None) or IN_HAND, None


def _place(one: Foreseen) -> tuple[int, str, float, int]:
    """Return where a letter stands among the others: by what becomes of it, why, and when."""
    at = one.at.timestamp() if one.at else 0
    return list(Fate).index(one.fate), one.reason, at, one.message
