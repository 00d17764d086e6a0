"""
What would happen: the engine itself, on a copy in memory, in virtual time.

A rehearsal decides nothing. The services that run play on a scratch database, a clock stands wherever something falls
due, and a way out takes every letter and sends none. What came of it is read from the record like any other story.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any, TypeAlias

from sqlalchemy import Engine

from followup.authoring.bundle import Bundle
from followup.clock import VirtualClock
from followup.core.message import Accepted, Answer
from followup.core.order import VOID, OrderReport, OrderStatus, Purchase
from followup.errors import FollowupError
from followup.mail.message import MailIdentity, OutgoingMail
from followup.mail.transport import Answered
from followup.services import converse, deploy, happen
from followup.services.answers import record_click
from followup.services.deliver import Post
from followup.services.deploy import Applied
from followup.services.intake import take_in
from followup.services.library import Library
from followup.services.moves import Move, moves
from followup.services.receive import store_raw
from followup.services.silence import silently
from followup.services.sweep import drain, next_moment, sweep
from followup.store import conversations, customers, scratch, unsent
from followup.store.engine import reading, writing
from followup.store.excerpt import copy_customer

MOST_MOMENTS = 5_000  # at which something falls due; a run that never ends is an error of ours
A_DAY = timedelta(days=1)  # until our person has answered a customer who waits, unless somebody says otherwise


class TakesAll:
    """A `mail.transport.Transport` that takes every mail, and sends none."""

    @property
    def name(self) -> str:
        return "rehearsal"

    def send(self, mails: Sequence[OutgoingMail], *, may_begin: Callable[[], bool]) -> Iterator[Answered]:
        yield [(mail, Accepted(mail.token)) for mail in mails]

    def recover(self, mail: OutgoingMail) -> Answer:
        """Take what was just leaving when the record was copied: it most likely arrives."""
        return Accepted(mail.token)


def rehearsing(identity: MailIdentity, *, suppression_key: str) -> Post:
    """Return what delivering takes in a rehearsal."""
    return Post(transport=TakesAll(), identity=identity, suppression_key=suppression_key)


class Rehearsal:
    """
    One customer, and a future of theirs that can be forked.

    ``moves`` has what happened to them so far, and what lasted for a while, oldest first; ``news`` is what the last
    step has added. ``purchase`` is what the shop reports of their order, where it is to change.
    """

    def __init__(
        self,
        engine: Engine,
        address: str,
        *,
        library: Library,
        post: Post,
        at: datetime,
        close_after: timedelta | None = A_DAY,
    ) -> None:
        """
        Take a scratch *engine* over.

        Args:
            address: of the customer, normalised.
            at: where the clock stands (aware).
            close_after: how long after a customer begins to wait for us somebody has answered; None: nobody does.
        """
        self.engine, self.address = engine, address
        self.library, self.post, self.clock = library, post, VirtualClock(at)
        self.close_after, self.began_at = close_after, at
        self.moments, self.most = 0, MOST_MOMENTS
        self.purchase: Purchase | None = None
        self.moves: list[Move] = []
        self.news: list[Move] = []
        self._known: set[tuple[int | None, Move]] = set()
        self._agenda: list[_Planned] = []
        self._planned = 0
        self._closes_at: datetime | None = None
        self._open_until: datetime | None = None

    @classmethod
    def of_customer(
        cls,
        engine: Engine,
        address: str,
        customer_id: int,
        *,
        library: Library,
        post: Post,
        at: datetime,
        close_after: timedelta | None = A_DAY,
    ) -> "Rehearsal":
        """Copy a customer's whole record from the database of *engine*, which is only read."""
        copy = scratch.scratch_engine()
        with reading(engine) as source, writing(copy, "rehearsal.copy") as target:
            copy_customer(
                source, target, customer_id, suppression_key=post.suppression_key, transport=post.transport.name
            )
        rehearsal = cls(copy, address, library=library, post=post, at=at, close_after=close_after)
        rehearsal.look_again()
        return rehearsal

    def apply(self, bundle: Bundle, in_flight: Mapping[str, str]) -> Applied:
        """
        Make *bundle* what runs, now, and have the customer's runs go on in it.

        Args:
            in_flight: as for `deploy.apply`.

        Raises:
            StrandedPeople: the customer stands at a step that is gone, and it is not said what becomes of them.
        """
        with silently():
            return deploy.put_in_force(self.engine, bundle, clock=self.clock, in_flight=in_flight)

    def fork(self) -> "Rehearsal":
        """Return another future that has begun like this one."""
        other = Rehearsal(
            scratch.fork(self.engine),
            self.address,
            library=self.library,
            post=self.post,
            at=self.clock.now(),
            close_after=self.close_after,
        )
        other.began_at, other.moments, other.purchase = self.began_at, self.moments, self.purchase
        other.moves, other._known = [*self.moves], {*self._known}
        other._agenda, other._planned, other._closes_at = [*self._agenda], self._planned, self._closes_at
        other._open_until = self._open_until
        return other

    def close(self) -> None:
        """Forget it."""
        self.engine.dispose()

    # time

    def plan(self, at: datetime, act: "Act", *, kind: str = "") -> None:
        """Have *act* happen at *at*, before the engine looks at that moment; *kind* names the event, if it is one."""
        self._planned += 1
        heapq.heappush(self._agenda, _Planned(at, self._planned, kind, act))

    def unplan(self, kind: str) -> None:
        """Have no event of that *kind* happen."""
        self._agenda = [one for one in self._agenda if one.kind != kind]
        heapq.heapify(self._agenda)

    def begin(self) -> None:
        """Do what is due where the clock stands."""
        self._work(self.clock.now())

    def step(self, until: datetime | None = None) -> bool:
        """
        Go to the next moment at which something happens or falls due, and let it happen.

        Args:
            until: go no further (inclusive).

        Returns:
            False when there is no such moment; the clock then stays.

        Raises:
            FollowupError: the engine could not do what has fallen due, or it finds no end.
        """
        moment = self._next()
        if moment is None or (until is not None and moment > until):
            return False
        if self.moments >= self.most:
            raise FollowupError(f"it has not come to an end after {self.most:,} moments")
        self.moments += 1
        self.clock.move_to(moment)
        self._work(moment)
        return True

    def go_on(self, until: datetime | None = None) -> None:
        """Go from moment to moment until nothing more happens by itself, or until *until* (inclusive)."""
        while self.step(until):
            pass

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more happens by itself."""
        return self._next() is None

    def _next(self) -> datetime | None:
        with reading(self.engine) as conn:
            due = next_moment(conn)
        if due is not None and due <= self.clock.now():
            raise FollowupError(f"what fell due at {due.isoformat()} could not be done")
        moments = (due, self._agenda[0].at if self._agenda else None, self._closes_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def _work(self, moment: datetime) -> None:
        with silently():
            if self._closes_at is not None and self._closes_at <= moment:
                self.close_conversation()
            while self._agenda and self._agenda[0].at <= moment:
                heapq.heappop(self._agenda).act(self)
            self._drain()
        self._look()

    def _drain(self) -> None:
        """Do all that is due; whatever a worker left behind was taken up at the beginning, and no worker dies here."""
        with reading(self.engine) as conn:
            gives_up = unsent.next_expiry(conn)
        if gives_up is not None or self.clock.now() == self.began_at:
            drain(self.engine, library=self.library, post=self.post, clock=self.clock)
        while sweep(self.engine, library=self.library, post=self.post, clock=self.clock):
            pass

    def look_again(self) -> None:
        """Forget what was seen, and take what is on the record now for the past."""
        self.moves, self._known = [], set()
        self._look()

    def _look(self) -> None:
        """Note what is new on the record; a wait, and a letter that stands still, can be seen only while they last."""
        with reading(self.engine) as conn:
            customer_id = customers.id_of_address(conn, self.address)
            if customer_id is None:
                return
            found = moves(conn, customer_id, library=self.library)
            waits_since = conversations.waiting_since(conn, [customer_id]).get(customer_id)
        self.news = [move for move in found if (move.run, move) not in self._known]
        self._known.update((move.run, move) for move in self.news)
        self.moves = sorted(
            [*self.moves, *self.news], key=lambda move: move.at
        )  # stable: of one moment, as they were found
        self._closes_at = None
        if waits_since is not None and self.close_after is not None:
            closes_at = max(waits_since, self.began_at) + self.close_after
            self._closes_at = max(closes_at, self._open_until or closes_at)

    # what can happen

    def report(self) -> None:
        """Let the shop report the order as it is by now."""
        assert self.purchase is not None, "there is nothing to report"
        self._take_in(self.purchase)

    def _take_in(self, purchase: Purchase) -> None:
        with writing(self.engine, "rehearsal.report") as conn:
            take_in(conn, [purchase], now=self.clock.now(), library=self.library)

    def reach(self, status: OrderStatus) -> None:
        """Let the order be paid, fulfilled, delivered, cancelled or refunded now."""
        assert self.purchase is not None, "there is nothing to report"
        order, column = self.purchase.order, "cancelled" if status in VOID else status.value
        further = max(order.status, status, key=list(OrderStatus).index)
        moment: dict[str, Any] = {f"{column}_at": self.clock.now()}
        self.purchase = replace(self.purchase, order=replace(order, status=further, **moment))
        self.report()

    def buy_again(self) -> None:
        """Let the customer place another order of the same things now."""
        assert self.purchase is not None, "there is nothing to report"
        now, order = self.clock.now(), self.purchase.order
        another = OrderReport(
            source=order.source,
            external_id=f"{order.external_id}, again at {now.isoformat()}",
            number=f"{order.number}, again",
            status=OrderStatus.PLACED,
            placed_at=now,
            total_cents=order.total_cents,
            currency=order.currency,
            items=order.items,
        )
        self._take_in(replace(self.purchase, order=another))

    def close_conversation(self) -> None:
        """Let somebody of ours answer the customer, if they wait for that."""
        converse.close_if_open(self.engine, self.address, library=self.library, clock=self.clock)

    def keep_open(self, until: datetime) -> None:
        """Let nobody of ours answer the customer before *until*, but by a plan."""
        self._open_until = until
        if self._closes_at is not None:
            self._closes_at = max(self._closes_at, until)

    def happen(self, kind: str, *, order_number: str | None) -> None:
        """Let an event of the shop's own happen."""
        happen.happen(
            self.engine,
            kind,
            email=self.address,
            order_number=order_number,
            data={},
            key=None,
            at=None,
            library=self.library,
            clock=self.clock,
        )

    def answer(self, token: str, choice: str) -> None:
        """Let the customer give an answer on its page."""
        key = f"{token}:{self.clock.now().isoformat()}"
        record_click(self.engine, token, choice, library=self.library, clock=self.clock, key=key)

    def reply(self, token: str, text: str) -> None:
        """Let the customer answer by mail, in words."""
        mail = EmailMessage()
        mail["From"], mail["To"] = self.address, self.post.identity.reply_address(token)
        mail["Subject"] = "Re:"
        digest = hashlib.sha256(f"{token}{self.clock.now().isoformat()}".encode()).hexdigest()
        mail["Message-ID"] = f"<{digest}@rehearsal.invalid>"
        mail["In-Reply-To"] = self.post.identity.message_id(token)
        mail.set_content(text)
        store_raw(self.engine, mail.as_bytes(), channel="rehearsal", clock=self.clock)


Act: TypeAlias = Callable[[Rehearsal], object]


def _moment(move: Move) -> datetime:
    return move.at


@dataclass(frozen=True, slots=True, order=True)
class _Planned:
    at: datetime
    number: int
    kind: str = field(compare=False)
    act: Act = field(compare=False)
