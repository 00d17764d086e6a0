"""Plays a story through the live engine in virtual time, and writes down every move."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from followup.clock import VirtualClock
from followup.core.customer import ConsentBasis, CustomerReport
from followup.core.message import Answer, Misconfigured, Rejected, Unknown
from followup.core.order import Item, OrderReport, OrderStatus, Purchase
from followup.mail.message import MailIdentity
from followup.mail.outbox import Outbox
from followup.services import answers, approve, converse, deploy, halt, stop, suppress, track
from followup.services.answers import Taken
from followup.services.deliver import Post
from followup.services.happen import happen
from followup.services.intake import take_in
from followup.services.library import Library
from followup.services.moves import Move, moves
from followup.services.receive import store_raw
from followup.services.sweep import drain, next_moment
from followup.store import customers
from followup.store.engine import reading, writing
from followup.store.schema import messages, orders
from tests.paths.story import Happening, Story, by_name, instant, line

KEY = "never-changes"
MOST_MOMENTS = 1_000
USUAL = timedelta(days=5)  # from an order to its delivery, where the story does not tell
MILESTONES = {"placed": None, "paid": "paid_at", "shipped": "fulfilled_at", "delivered": "delivered_at"}
STATUS = {"shipped": OrderStatus.FULFILLED} | {status.value: status for status in OrderStatus}
PROVIDER = {
    "works": None,
    "refuses": Rejected("no such mailbox"),
    "does not answer": Unknown("no answer came"),
    "does not know us": Misconfigured("the key is not valid"),
}


class Provider(Outbox):
    """The outbox, and for a while something else."""

    answer: Answer | None = None

    def send(self, mails, *, may_begin):
        if self.answer is None:
            yield from super().send(mails, may_begin=may_begin)
        else:
            yield [(mail, self.answer) for mail in mails]


class Player:
    """A shop, its customers, and a clock that stops at each moment at which something falls due or happens."""

    def __init__(self, engine: Engine, folder: Path, story: Story) -> None:
        self.engine, self.story = engine, story
        self.clock = VirtualClock(story.happens[0].at)
        self.library = Library()
        self.provider = Provider(folder / "outbox", self.clock)
        identity = MailIdentity(reply_domain="reply.forge.example", public_url="https://forge.example", keys=("key",))
        self.post = Post(transport=self.provider, identity=identity, suppression_key=KEY)
        self.workflows = dict(story.workflows)
        self.others = dict(story.others)
        self.orders: dict[str, tuple[str, OrderReport]] = {}  # by number: whose, and what the shop says of it
        self.works = True
        self.seen: list[tuple[str, Move]] = []

    def play(self) -> list[str]:
        """Let everything happen; return the moves, a line each."""
        self._apply()
        return self.go_on()

    def go_on(self) -> list[str]:
        """Let everything that the story tells happen, from where the clock stands; return all moves, a line each."""
        for happening in self.story.happens:
            self._go_to(happening.at)
            getattr(self, f"_{happening.what.replace(' ', '_')}")(happening)
            self._work()
        self._go_to(self.story.until)
        return [line(move, who, self.story.zone) for who, move in self.seen]

    def _go_to(self, moment: datetime | None) -> None:
        """Stop at each moment before *moment* (None: at all of them) at which something falls due."""
        for _ in range(MOST_MOMENTS):
            with reading(self.engine) as conn:
                due = next_moment(conn) if self.works else None
            if due is None or (moment is not None and due >= moment):
                break
            assert due > self.clock.now(), f"what fell due at {due} could not be done"
            self.clock.move_to(due)
            self._work()
        else:
            raise AssertionError(f"it has not ended after {MOST_MOMENTS} moments")
        if moment is not None:
            self.clock.move_to(moment)

    def _work(self) -> None:
        if self.works:
            drain(self.engine, library=self.library, post=self.post, clock=self.clock)
        known = set(self.seen)
        with reading(self.engine) as conn:
            for name in self.story.customers:
                customer_id = customers.id_of_address(conn, _address(name))
                found = moves(conn, customer_id, library=self.library) if customer_id else []
                self.seen += [(name, move) for move in found if (name, move) not in known]
        self.seen.sort(key=lambda one: one[1].at)  # stable: of one moment, as they were found

    # what the shop tells

    def _order(self, happening: Happening) -> None:
        """Report an order as the shop knows it now."""
        what, number, options = happening.what, happening.value, happening.options
        at = self._moment(options["dated"]) if "dated" in options else happening.at
        whose, order = self.orders.get(number) or (options.get("by", "ana"), self._new(number, at, what, options))
        order = replace(order, status=STATUS[what])
        if column := MILESTONES.get(what):
            order = replace(order, **{column: at})
        if what in {"cancelled", "refunded"}:
            order = replace(order, cancelled_at=at)
        if "promised" in options:
            order = replace(order, promised_at=self._moment(options["promised"]))
        self.orders[number] = (whose, order)
        self._report(number)

    _placed = _paid = _shipped = _delivered = _cancelled = _refunded = _order

    def _new(self, number: str, at: datetime, what: str, options: dict[str, Any]) -> OrderReport:
        category = options.get("category", "pans")
        return OrderReport(
            source="test",
            external_id=number,
            number=number,
            status=OrderStatus.PLACED,
            placed_at=at if what == "placed" else at - USUAL,
            total_cents=options.get("total", 129) * 100,
            currency="GBP",
            is_gift=options.get("gift", False),
            items=(Item(name="Pan 28 cm", category=category, price_cents=options.get("total", 129) * 100),),
        )

    def _promises(self, happening: Happening) -> None:
        """Report another day by which an order is to come."""
        whose, order = self.orders[happening.value]
        order = replace(order, promised_at=self._moment(happening.options["for"]))
        self.orders[happening.value] = (whose, order)
        self._report(happening.value)

    def _report(self, number: str) -> None:
        whose, order = self.orders[number]
        with writing(self.engine) as conn:
            purchase = Purchase(self._customer(whose), order)
            take_in(conn, [purchase], now=self.clock.now(), library=self.library)

    def _customer(self, name: str) -> CustomerReport:
        known = {
            "first_name": name.title(),
            "language": "en",
            "country": "GB",
            "timezone": self.story.zone.key,
            "consent": "opt_in",
        } | dict(self.story.customers[name])
        consent = ConsentBasis(known.pop("consent"))
        return CustomerReport(address=_address(name), email=_address(name), consent_basis=consent, **known)

    def _event(self, happening: Happening) -> None:
        """Report an event of the shop's own."""
        options = happening.options
        happen(
            self.engine,
            happening.value,
            email=_address(options.get("by", "ana")),
            order_number=options.get("order"),
            data=options.get("with", {}),
            key=options.get("key"),
            at=None,
            library=self.library,
            clock=self.clock,
        )

    # what customers do; options: `to` which letter, `of` which order

    def _answers(self, happening: Happening) -> None:
        """Give an answer on its page."""
        token, _ = self._letter(happening)
        comment = happening.options.get("comment", "")
        taken = answers.confirm(self.engine, token, happening.value, comment, library=self.library, clock=self.clock)
        assert taken is Taken.RECORDED, taken

    def _opens(self, happening: Happening) -> None:
        """Tap an answer, and leave its page without sending it."""
        token, _ = self._letter(happening)
        answers.visit(self.engine, token, happening.value, clock=self.clock)

    def _replies(self, happening: Happening) -> None:
        self._mail(happening, happening.value)

    def _is_away(self, happening: Happening) -> None:
        """Let an out-of-office note come back."""
        self._mail(happening, happening.value, Auto_Submitted="auto-replied")

    def _mail(self, happening: Happening, text: str, **headers: str) -> None:
        token, address = self._letter(happening)
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = address, self.post.identity.reply_address(token), "Re: your letter"
        mail["Message-ID"] = f"<{int(happening.at.timestamp())}@mail.example>"
        mail["In-Reply-To"] = self.post.identity.message_id(token)
        for name, value in headers.items():
            mail[name.replace("_", "-")] = value
        mail.set_content(text)
        store_raw(self.engine, mail.as_bytes(), channel="test", clock=self.clock)

    def _unsubscribes(self, happening: Happening) -> None:
        token, _ = self._letter(happening)
        stop.unsubscribe_by_link(self.engine, token, suppression_key=KEY, clock=self.clock)

    def _reported(self, happening: Happening) -> None:
        """Let the provider report on a letter: `reported: bounce`, `spamreport` or `delivered`."""
        token, address = self._letter(happening)
        event = {"event": happening.value, "email": address, "fu_token": token, "sg_event_id": f"{happening.at}"}
        track.store_events(self.engine, json.dumps([event]).encode(), clock=self.clock)

    def _letter(self, happening: Happening) -> tuple[str, str]:
        """Return token and recipient of the newest letter that the customer can mean."""
        wanted = (
            select(messages.c.token, orders.c.number, messages.c.customer_id)
            .outerjoin(orders, orders.c.id == messages.c.order_id)
            .where(messages.c.letter == happening.options["to"], messages.c.token.is_not(None))
            .order_by(messages.c.id.desc())
        )
        order = happening.options.get("of")
        with reading(self.engine) as conn:
            found = [row for row in conn.execute(wanted) if order in (None, row.number)]
            assert found, f"{happening.options['to']} has not left by {happening.at}"
            return found[0].token, customers.address_of(conn, found[0].customer_id)

    # what we do

    def _closes(self, happening: Happening) -> None:
        """Answer a customer and close the conversation."""
        converse.close(self.engine, _address(happening.value), library=self.library, clock=self.clock)

    def _suppresses(self, happening: Happening) -> None:
        suppress.suppress(
            self.engine,
            _address(happening.value),
            reason="asked us by telephone",
            workflow=happening.options.get("workflow"),
            key=KEY,
            library=self.library,
            clock=self.clock,
        )

    def _halts(self, happening: Happening) -> None:
        halt.halt(self.engine, happening.value, clock=self.clock)

    def _unhalts(self, happening: Happening) -> None:
        halt.unhalt(self.engine, library=self.library, clock=self.clock)

    def _lets_go(self, happening: Happening) -> None:
        """Read the first letters of a workflow, and let them leave."""
        approve.release_workflow(self.engine, happening.value, library=self.library, clock=self.clock)

    def _applies(self, happening: Happening) -> None:
        """Apply the folder with other files (workflows, letters, people), or `without` some; `in flight` as options."""
        told = happening.value
        self.workflows |= by_name(told.get("workflows", []))
        self.others |= {f"templates/{name}.md": text for name, text in told.get("letters", {}).items()}
        self.others |= {"workflows/people.yaml": told["people"]} if "people" in told else {}
        for name in told.get("without", []):
            del self.workflows[name]
        self._apply(told.get("in flight"))

    def _pauses(self, happening: Happening) -> None:
        self._switch(happening.value, "live", "paused")

    def _resumes(self, happening: Happening) -> None:
        self._switch(happening.value, "paused", "live")

    def _switch(self, workflow: str, before: str, after: str) -> None:
        text = self.workflows[workflow]
        assert f"status: {before}" in text
        self.workflows[workflow] = text.replace(f"status: {before}", f"status: {after}")
        self._apply()

    def _apply(self, in_flight: dict[str, str] | None = None) -> None:
        workflows = {f"workflows/{name}.yaml": text for name, text in self.workflows.items()}
        deploy.apply(self.engine, {**self.others, **workflows}, clock=self.clock, in_flight=in_flight)

    # and what happens to all of us

    def _provider(self, happening: Happening) -> None:
        self.provider.answer = PROVIDER[happening.value]

    def _worker(self, happening: Happening) -> None:
        self.works = {"stops": False, "starts": True}[happening.value]

    def _moment(self, text: str) -> datetime:
        return instant(text, self.story.zone)


def _address(name: str) -> str:
    return f"{name}@example.com"
