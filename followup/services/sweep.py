"""
The sweep: find what is due, lease it, have it done.

Every worker sweeps every few seconds; any number may at once, for what one has leased the others pass
over. Rows are the truth, so nothing is lost between two sweeps, whatever else fails. A worker hands what
it leased to whoever is free (`hand_out`); a replay, or a command that ends by itself, does it on the spot
(`drain`).
"""

import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.message import Accepted, Action, Answer, Cause, MessageState, RetrySafe, Unknown
from followup.mail.message import OutgoingMail
from followup.mail.transport import Transport
from followup.services.advance import advance
from followup.services.deliver import Post, deliver
from followup.services.hints import Hints
from followup.services.library import Library
from followup.services.notify import notify
from followup.services.receive import receive
from followup.services.room import Standing
from followup.services.settle import settle
from followup.services.timers import ring
from followup.services.track import track
from followup.services.verdicts import decided_about
from followup.store import decisions, enrollments, inbound_mail, messages, provider_events, timers, unsent
from followup.store.engine import writing
from followup.store.messages import StoredMessage

log = logging.getLogger(__name__)

BATCH = 200
LEASE_SECONDS = 20  # what got lost on its way to a worker, or with one, is free again after this long


class Work(StrEnum):
    """The kinds of things that fall due; each value names the method of `Hints` that is told."""

    RECEIVE = "receive"  # stored mails
    TRACK = "track"  # stored delivery events
    RING = "ring"  # timers
    ADVANCE = "advance"  # enrollments
    DELIVER = "deliver"  # messages


def lease(
    engine: Engine, *, now: datetime, kinds: Collection[Work] = frozenset(Work), per_minute: int | None = None
) -> dict[Work, list[int]]:
    """
    Lease what is due at *now* (business time) and free, a batch of each of *kinds*; return the ids.

    Letters of a sender that may send none are left where they are.

    Args:
        per_minute: how many letters each sender may send.
    """
    with writing(engine, "sweep.lease") as conn:
        leased = {}
        if Work.RECEIVE in kinds:
            leased[Work.RECEIVE] = inbound_mail.lease_new(conn, seconds=LEASE_SECONDS, limit=BATCH)
        if Work.TRACK in kinds:
            leased[Work.TRACK] = provider_events.lease_new(conn, seconds=LEASE_SECONDS, limit=BATCH)
        if Work.RING in kinds:
            leased[Work.RING] = timers.lease_due(conn, now=now, seconds=LEASE_SECONDS, limit=BATCH)
        if Work.ADVANCE in kinds:
            leased[Work.ADVANCE] = enrollments.lease_due(conn, now=now, seconds=LEASE_SECONDS, limit=BATCH)
        if Work.DELIVER in kinds:
            leased[Work.DELIVER] = messages.lease_due(
                conn,
                now=now,
                seconds=LEASE_SECONDS,
                limit=BATCH,
                except_senders=Standing.read(conn, per_minute).resting,
            )
    return {kind: ids for kind, ids in leased.items() if ids}


def hand_out(
    engine: Engine,
    hints: Hints,
    *,
    now: datetime,
    kinds: Collection[Work] = frozenset(Work),
    per_minute: int | None = None,
) -> int:
    """Lease what is due, as `lease` does, and tell *hints* of it; return how much that was."""
    leased = lease(engine, now=now, kinds=kinds, per_minute=per_minute)
    for kind, ids in leased.items():
        getattr(hints, kind.value)(ids)
    return sum(map(len, leased.values()))


def sweep(engine: Engine, *, library: Library, post: Post, clock: Clock) -> int:
    """Do one round of what is due now; return how much there was to do."""
    leased = lease(engine, now=clock.now(), per_minute=post.per_minute)
    for inbound_id in leased.get(Work.RECEIVE, ()):
        receive(engine, inbound_id, library=library, post=post)
    done = len(leased.get(Work.RECEIVE, ()))
    if reports := leased.get(Work.TRACK):
        done += track(engine, reports, suppression_key=post.suppression_key, clock=clock)
    if due := leased.get(Work.RING):
        done += ring(engine, due, library=library, clock=clock)
    if runs := leased.get(Work.ADVANCE):
        advance(engine, runs, library=library, clock=clock)
        done += len(runs)
    if letters := leased.get(Work.DELIVER):
        done += deliver(engine, letters, library=library, post=post, clock=clock)
    return done + notify(engine, library=library, post=post, clock=clock)


def drain(
    engine: Engine,
    *,
    library: Library,
    post: Post,
    clock: Clock,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """
    Take up what was left behind, then sweep until nothing is due; return how much there was to do.

    Args:
        stopping: asked between two sweeps; True ends it early, with what is due left for the next.
    """
    total = recover(engine, post=post, clock=clock)
    while not stopping() and (done := sweep(engine, library=library, post=post, clock=clock)):
        total += done
    return total


def recover(engine: Engine, *, post: Post, clock: Clock, take_over: bool = False) -> int:
    """
    Take up what a worker left behind when it died, and give up on what cannot be sent in time.

    A claimed letter has not left: it is due again. One that was being sent may have: the transport is
    asked for proof, and without any the letter is ``unknown`` and never repeated by itself.

    Args:
        take_over: this process has the database to itself: what a killed one had begun is taken up at
            once instead of when its lease ends.
    """
    now = clock.now()
    with writing(engine, "sweep.recover") as conn:
        if take_over:
            _free_leases(conn)
        claimed = messages.abandoned(conn, MessageState.CLAIMED, limit=BATCH, whatever_lease=take_over)
        messages.move(conn, Action.GIVE_BACK, [{"id": message.id} for message in claimed])
        sending = messages.abandoned(conn, MessageState.SENDING, limit=BATCH, whatever_lease=take_over)
    expired = _expire_blocked(engine, now)
    for message in sending:
        assert message.token is not None
        answer = _recovered(message, post.transport)
        if isinstance(answer, RetrySafe):
            answer = RetrySafe(message.sending_at or now, answer.reason, Cause.KEPT)
        elif not isinstance(answer, Accepted | Unknown):
            answer = Unknown(f"the way out says {type(answer).__name__} of a letter that it was given before")
        given = {message.token: answer}
        settle(engine, {message.id: message.token}, given, clock=clock, at=message.sending_at, heard_now=False)
        log.warning("message.recovered", extra={"message_id": message.id, "answer": type(answer).__name__})
    return len(claimed) + len(sending) + expired


def _recovered(message: StoredMessage, transport: Transport) -> Answer:
    """Ask *transport* what became of a letter, if that is the one it was given to: another one cannot know."""
    assert message.payload is not None
    if message.transport != transport.name:
        return Unknown(f"it was given to another way out ({message.transport})")
    return transport.recover(OutgoingMail.from_json(message.payload))


def _free_leases(conn: Connection) -> None:
    enrollments.free_leases(conn)
    messages.free_leases(conn)
    inbound_mail.free_leases(conn)
    provider_events.free_leases(conn)
    timers.free_leases(conn)


def _expire_blocked(engine: Engine, now: datetime) -> int:
    """A blocked letter waits for a new bundle or setting, but not for ever."""
    with writing(engine, "sweep.expire") as conn:
        found = messages.blocked_too_long(conn, now=now, limit=BATCH)
        enrollments.lock(conn, {message.enrollment_id for message in found})
        held = messages.lock(conn, [message.id for message in found], MessageState.BLOCKED)
        late = [message for message in held.values() if message.not_after is not None and message.not_after < now]
        messages.move(conn, Action.EXPIRE, [{"id": message.id} for message in late])
        enrollments.wake(conn, {message.enrollment_id for message in late}, at=now)
        decided = [
            decided_about(
                message,
                at=now,
                verdict="expired",
                gate="max_late",
                reason=f"blocked for too long: {message.reason}",
                values={"due_at": message.due_at, "not_after": message.not_after},
            )
            for message in late
        ]
        decisions.add(conn, decided)
    return len(late)


def next_moment(conn: Connection) -> datetime | None:
    """Return the next business moment at which something falls due, or None when nothing will by itself."""
    expiry = unsent.next_expiry(conn)
    given_up = expiry + timedelta(microseconds=1) if expiry else None  # it still stands at the moment itself
    moments = (enrollments.next_wake(conn), unsent.next_due(conn), timers.next_due(conn), given_up)
    return min((moment for moment in moments if moment is not None), default=None)
