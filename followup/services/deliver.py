"""
Deliver letters, in waves: claim, render, commit, send, settle.

No transaction is open while the transport works. What is committed before the request may leave (token
and payload) is what every later answer, event, click or reply is matched to.
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core.message import (
    Action,
    Cause,
    MessageState,
    RetrySafe,
)
from followup.errors import FollowupError, TemporaryError
from followup.mail.message import MailIdentity
from followup.mail.transport import Transport
from followup.services.claim import Claimed, Wave, claim
from followup.services.library import Library
from followup.services.settle import Settling
from followup.services.verdicts import note_blocked
from followup.services.write import Written, write
from followup.store import bundles, halts, messages, switches
from followup.store.engine import durably, reading, writing

log = logging.getLogger(__name__)

WAVE = 32  # letters in flight at once
LEASE_SECONDS = 120  # longer than the longest a transport may take for a wave
LOOK_SECONDS = 1.0  # between two looks whether everything was halted
NO_LATER = 22  # seconds before a lease ends at which no request begins: a transport's deadline of 12, and 10 to settle


@dataclass(frozen=True, slots=True)
class Pace:
    """
    How long a claim lasts, and how much of it has to be left when a request begins, in seconds of real time.

    A lease is longer than a transport may take for a wave; what has to be left is its deadline, and 10 to settle.
    """

    lease_seconds: int = LEASE_SECONDS
    no_later_seconds: int = NO_LATER


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What delivering takes besides the database: the way out, and what makes mail ours."""

    transport: Transport
    identity: MailIdentity
    suppression_key: str
    per_minute: int | None = None  # letters of one sender; None: as many as there are
    pace: Pace = Pace()


def deliver(
    engine: Engine,
    ids: Collection[int],
    *,
    library: Library,
    post: Post,
    clock: Clock,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """
    Send those of the due messages *ids* that may leave; return how many were dealt with.

    Safe to run twice and in several processes: a message that somebody else has claimed, or that is no
    longer due, is passed over.

    Args:
        stopping: True, and no request begins any more; what was claimed is given back.
    """
    left, dealt_with = set(ids), 0
    while left and not stopping():
        with writing(engine, "deliver.claim") as conn:
            wave = claim(
                conn,
                left,
                library=library,
                suppression_key=post.suppression_key,
                now=clock.now(),
                limit=WAVE,
                lease_seconds=post.pace.lease_seconds,
                per_minute=post.per_minute,
            )
            if not wave.handled:  # somebody else has them; what they leave over is due for the next sweep
                messages.unlease(conn, left)
        if not wave.handled:
            break
        _send(engine, wave, post=post, clock=clock, stopping=stopping)
        left -= wave.handled
        dealt_with += len(wave.handled)
    if left and stopping():
        with writing(engine, "deliver.leave") as conn:
            messages.unlease(conn, left)
    return dealt_with


def _send(engine: Engine, wave: Wave, *, post: Post, clock: Clock, stopping: Callable[[], bool]) -> None:
    if not wave.claimed:
        return
    written, broken = _write(wave.claimed, wave.bundle, post.identity, clock.now())
    by, enough = time.monotonic() + post.pace.lease_seconds, stopping()
    ids = {one.mail.token: one.claimed.message.id for one in written}
    settling = Settling(engine, ids, clock=clock, by=by)
    try:
        with durably(engine, "deliver.begin") as conn:
            ours = _still_ours(conn, wave.claimed)
            newest, switched = bundles.newest_and_switched(conn)
            stopped = ours if enough or halts.current(conn) else _switched_since(wave.claimed, switched) & ours
            messages.move(conn, Action.GIVE_BACK, [{"id": message_id} for message_id in stopped])
            if not (going := ours - stopped):
                return
            ready = [one for one in written if one.claimed.message.id in going]
            _begin(conn, ready, post=post, now=clock.now())
            unwritten = [(one.message, why) for one, why in broken if one.message.id in going]
            blocked = [{"id": message.id, "reason": why} for message, why in unwritten]
            # what was applied meanwhile may have mended it, and will not look at it again
            outdated = newest != wave.bundle.hash
            messages.move(conn, Action.GIVE_BACK if outdated else Action.BLOCK, blocked)
            if not outdated:
                note_blocked(conn, unwritten, gate="letter", now=clock.now())
    except TemporaryError as error:  # whether it was committed nobody knows, but nothing has left
        settling.add(dict.fromkeys(ids, RetrySafe(clock.now(), str(error), Cause.KEPT)))
        settling.finish()
        raise
    for row in blocked:
        log.error("message.blocked", extra={"message_id": row["id"], "reason": row["reason"]})
    workflows = {one.claimed.message.workflow for one in ready}
    may_begin = _Brake(engine, stopping, until=by - post.pace.no_later_seconds, workflows=workflows)
    for answered in post.transport.send([one.mail for one in ready], may_begin=may_begin):
        settling.add({mail.token: answer for mail, answer in answered})
    settling.finish()


class _Brake:
    """
    Says whether another letter of a wave may begin to leave: there is time, and nobody wants it stopped.

    When one of its *workflows* is paused or archived the whole wave stops: what did not begin is due again at once.
    """

    def __init__(
        self, engine: Engine, stopping: Callable[[], bool], *, until: float, workflows: Collection[str]
    ) -> None:
        self._engine, self._stopping, self._until, self._workflows = engine, stopping, until, workflows
        self._looked, self._halted = time.monotonic(), False

    def __call__(self) -> bool:
        now = time.monotonic()
        if now >= self._looked + LOOK_SECONDS and not self._halted:
            self._looked, self._halted = now, self._stands_still()
        return now < self._until and not self._halted and not self._stopping()

    def _stands_still(self) -> bool:
        try:
            with reading(self._engine) as conn:
                return bool(halts.current(conn)) or not switches.current(conn).keys().isdisjoint(self._workflows)
        except TemporaryError:  # whoever halts everything now could not tell us
            return True


def _write(
    claimed: Sequence[Claimed], bundle: Bundle, identity: MailIdentity, now: datetime
) -> tuple[list[Written], list[tuple[Claimed, str]]]:
    """Render each letter; one that cannot be is set aside with the reason."""
    written, broken = [], []
    for one in claimed:
        try:
            written.append(write(one, bundle, identity, now))
        except FollowupError as error:
            broken.append((one, str(error)))
        except Exception as error:  # a bug of ours with one letter must not keep the others from leaving
            log.exception("message.unwritable", extra={"message_id": one.message.id})
            broken.append((one, f"{type(error).__name__} while the letter was written; see the log"))
    return written, broken


def _still_ours(conn: Connection, claimed: Sequence[Claimed]) -> set[int]:
    """Hold and return the messages that nobody claimed anew since: a lease may have ended meanwhile."""
    held = messages.lock(conn, [one.message.id for one in claimed], MessageState.CLAIMED)
    attempts = {one.message.id: one.attempt for one in claimed}
    return {key for key, message in held.items() if message.attempts == attempts[key]}


def _switched_since(claimed: Sequence[Claimed], switched: Collection[str]) -> set[int]:
    """Return the messages of workflows that were paused or archived since: no gate has seen that yet."""
    return {one.message.id for one in claimed if one.message.workflow in switched}


def _begin(conn: Connection, ready: Sequence[Written], *, post: Post, now: datetime) -> None:
    """Write down token and payload of letters that are about to leave."""
    rows = [
        {
            "id": one.claimed.message.id,
            "token": one.mail.token,
            "sending_at": now,
            "payload": one.mail.to_json(),
            "transport": post.transport.name,
            "subject": one.mail.subject,
            "question": one.rendered.question,
            "choices": [asdict(choice) for choice in one.choices],
            "letter_hash": one.letter_hash,
            "purpose": one.purpose.value,
            "reason": None,
        }
        for one in ready
    ]
    messages.move(conn, Action.BEGIN, rows, lease_seconds=post.pace.lease_seconds)
