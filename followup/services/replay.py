"""
The same engine in virtual time.

A replay walks from moment to moment: what the shop reports then, what scripted customers do then, then
everything the engine finds due. Between two such moments nothing could happen, so nothing is waited for.

It can be killed and started again with the same files: what is on the record already changes nothing,
and the clock comes past every moment at which something was left unfinished.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from sqlalchemy import Engine

from followup.authoring.acts_file import Act
from followup.clock import Clock, VirtualClock
from followup.core.order import Purchase
from followup.errors import FollowupError, UsageError
from followup.services import converse
from followup.services.answers import record_click
from followup.services.deliver import Post
from followup.services.intake import TakenIn, take_in
from followup.services.library import Library
from followup.services.receive import store_raw
from followup.services.scripted_mail import as_reply
from followup.services.sweep import drain, next_moment, recover
from followup.store import audit, customers, enrollments, messages
from followup.store.engine import reading, writing
from followup.store.messages import AcceptedLetter


@dataclass(slots=True)
class Replayed:
    """What a replay did, and the virtual time it spans."""

    taken_in: TakenIn = field(default_factory=TakenIn)
    moments: int = 0
    done: int = 0
    acts: int = 0
    began_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """An act of the script, and when and about which letter it happens."""

    at: datetime
    key: str
    act: Act = field(compare=False)
    letter: AcceptedLetter = field(compare=False)


def replay(
    engine: Engine,
    purchases: Iterable[Purchase],
    acts: Sequence[Act],
    *,
    library: Library,
    post: Post,
    clock: VirtualClock,
    until: datetime | None = None,
    progress: Callable[[datetime], object] = lambda _: None,
) -> Replayed:
    """
    Let the orders happen as they did, and the engine answer, until nothing more falls due.

    The database belongs to this replay alone while it runs.

    Args:
        clock: stands at or before the first order; it is moved.
        until: stop before the first moment after this one (aware).
        progress: called with each virtual moment.
    """
    return Replay(engine, acts, library, post, clock).run(purchases, until, progress)


def reserve(engine: Engine, *, clock: Clock) -> None:
    """
    Take a database for replays, for good.

    Raises:
        UsageError: customers are in workflows there by real use; virtual time would run away with their letters.
    """
    with writing(engine, "replay.begin") as conn:
        if audit.has(conn, "replay"):
            return
        if enrollments.count_by_state(conn):
            raise UsageError(
                "this database is in real use: customers are in its workflows",
                hint="Replay into one of its own: DATABASE_URL=sqlite:///rehearsal.db followup replay FILE",
            )
        audit.add(conn, "replay", {}, now=clock.now())


class Replay:
    """
    One replay: the steps of a moment, in order, are `report`, `act` and `work`.

    A subclass can have the same moments happen elsewhere: in other processes, over the network.
    """

    def __init__(self, engine: Engine, acts: Sequence[Act], library: Library, post: Post, clock: VirtualClock) -> None:
        self.engine, self.library, self.post, self.clock = engine, library, post, clock
        self.script: dict[tuple[str, str], list[Act]] = {}
        for act in acts:
            self.script.setdefault((act.order, act.letter), []).append(act)
        self.agenda: list[Due] = []
        self.result = Replayed()

    def run(
        self, purchases: Iterable[Purchase], until: datetime | None, progress: Callable[[datetime], object]
    ) -> Replayed:
        reports = _reports(purchases)
        coming = next(reports, None)
        if coming is not None:
            self.clock.move_to(coming[0])
        self.result.began_at = self.clock.now()
        recover(self.engine, post=self.post, clock=self.clock, take_over=True)
        self._schedule(since=None)
        while (moment := self._next(coming)) is not None and (until is None or moment <= until):
            progress(moment)
            self.clock.move_to(moment)
            if coming is not None and coming[0] == moment:
                self.report(coming[1])
                coming = next(reports, None)
            while self.agenda and self.agenda[0].at <= moment:
                self.act(heapq.heappop(self.agenda))
                self.result.acts += 1
            self.result.done += self.work()
            self._schedule(since=moment)
            self.result.moments += 1
        self.result.ended_at = self.clock.now()
        return self.result

    def _next(self, coming: tuple[datetime, list[Purchase]] | None) -> datetime | None:
        with reading(self.engine) as conn:
            due = next_moment(conn)
        if due is not None and due <= self.clock.now() and self.result.moments:
            raise FollowupError(
                f"something that fell due at {due.isoformat()} could not be done", hint="The log says what went wrong"
            )
        moments = [due, coming[0] if coming else None, self.agenda[0].at if self.agenda else None]
        return min((moment for moment in moments if moment is not None), default=None)

    def report(self, purchases: list[Purchase]) -> None:
        """Take in what the shop reports now."""
        with writing(self.engine, "replay.orders") as conn:
            self.result.taken_in += take_in(conn, purchases, now=self.clock.now(), library=self.library)

    def _schedule(self, *, since: datetime | None) -> None:
        """Put on the agenda what scripted customers do about letters that were accepted at *since*, or ever."""
        if not self.script:
            return
        with reading(self.engine) as conn:
            accepted = messages.accepted_letters(conn, at=since)
        for letter in accepted:
            for act in self.script.get((letter.order_number, letter.letter), ()):
                if letter.round == 0:
                    heapq.heappush(self.agenda, Due(letter.accepted_at + act.after, act.key, act, letter))

    def act(self, due: Due) -> None:
        """Do what a scripted customer, or one of us, does now."""
        act, letter = due.act, due.letter
        if act.answers is not None:
            self.click(letter, act.answers, due)
        elif act.replies is not None:
            self.mail(as_reply(act.replies, letter, self.post.identity, key=act.key, at=due.at), letter)
        elif act.closes:
            self._close(act, letter)

    def click(self, letter: AcceptedLetter, choice: str, due: Due) -> None:
        """Let the customer give an answer with one click."""
        key = f"act:{due.act.key}"
        record_click(self.engine, letter.token, choice, library=self.library, clock=self.clock, key=key)

    def mail(self, raw: bytes, letter: AcceptedLetter) -> None:
        """Let the customer's mail arrive."""
        store_raw(self.engine, raw, channel="replay", clock=self.clock)

    def work(self) -> int:
        """Do all that is due now; return how much that was."""
        return drain(self.engine, library=self.library, post=self.post, clock=self.clock)

    def _close(self, act: Act, letter: AcceptedLetter) -> None:
        with reading(self.engine) as conn:
            address = customers.address_of(conn, letter.customer_id)
        if address is not None:
            converse.close_if_open(self.engine, address, library=self.library, clock=self.clock, key=f"act:{act.key}")


def _reports(purchases: Iterable[Purchase]) -> Iterator[tuple[datetime, list[Purchase]]]:
    """Yield what the shop would have reported, moment by moment, each order as it was known then."""
    known = sorted(
        ((at, purchase) for purchase in purchases for at in {at for _, at in purchase.order.milestones()}),
        key=lambda one: (one[0], one[1].order.key),
    )
    for moment, group in groupby(known, key=lambda one: one[0]):
        yield moment, [Purchase(purchase.customer, purchase.order.as_known_at(moment)) for _, purchase in group]
