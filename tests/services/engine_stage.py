"""
A shop in virtual time, and everything that can happen to it.

Each act goes through the service that the shop's programs, its customers or its operators use. Whoever dies at a
failpoint while they act does it again, as real ones do; what came from outside is kept, to be told again one day.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text, update

from followup import failpoints
from followup.authoring.bundle import load_applied
from followup.core.customer import ConsentBasis
from followup.core.order import OrderStatus, Purchase
from followup.errors import FollowupError, TemporaryError
from followup.services import answers, approve, backfill, converse, deploy, fate, halt, stop, suppress, track
from followup.services.advance import advance
from followup.services.claim import claim
from followup.services.happen import happen
from followup.services.intake import import_orders
from followup.services.receive import store_raw
from followup.services.sweep import Work, drain, lease
from followup.services.timers import ring
from followup.store.engine import writing
from followup.store.schema import metadata
from tests.services.engine_checks import Seen, Watch, look, told
from tests.services.engine_files import NAMES, Data, files
from tests.services.engine_ledger import Died, Entry, Fate, Ledger
from tests.services.world import World, a_purchase, a_reply

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KEY = "never-changes"
HOUR, DAY, AT_ONCE = timedelta(hours=1), timedelta(days=1), timedelta(0)
LEASED = ("messages", "enrollments", "inbound_mail", "provider_events", "timers", "notices")
SWEEPS = 60  # more at one moment than anything here can take
ORDERS = 6
PEOPLE: tuple[Mapping[str, Any], ...] = (
    {"email": "ana@example.com"},
    {"email": "bo@example.com", "timezone": "America/New_York", "country": "US", "consent": ConsentBasis.UNKNOWN},
    {
        "email": "caro@example.com",
        "timezone": None,
        "country": "DE",
        "first_name": None,
        "consent": ConsentBasis.EXISTING_CUSTOMER,
    },
)
REPORTS = (
    *(("reports", status) for status in OrderStatus),
    *(("reports", OrderStatus.PLACED), ("reports", OrderStatus.FULFILLED), ("reports", OrderStatus.DELIVERED)),
    *(("promises", days) for days in (-4, 1, 6, None)),
    *(("moves_house", "Pacific/Auckland"), ("moves_house", "Nowhere/At_All"), ("takes_consent_back", None)),
)
EVENTS = tuple(("tells", kind) for kind in ("support.solved", "support.solved", "support.rated", "shop.visited"))
REACTIONS = (
    *(("clicks", "fine"), ("clicks", "bad"), ("clicks", "fine"), ("confirms", "fine"), ("confirms", "bad")),
    *(("looks", "fine"), ("writes", "Yes, all good"), ("writes", "It came with a dent."), ("writes", "Thanks")),
    *(("is_away", 3), ("is_away", 60), ("stops", None)),
    *(("is_reported", "delivered"), ("is_reported", "bounce"), ("is_reported", "spamreport")),
)
DEEDS = (
    *[("answers_a_customer", None)] * 5,
    *(("halts", None), ("unhalts", None), ("unhalts", None), ("reads_first_letters", None), ("withdraws", None)),
    *(("suppresses", None), ("lifts", None), ("starts_a_worker", None), ("lets_in", True), ("lets_in", False)),
)


def wipe(engine: Engine) -> None:
    """Empty every table, and number rows from 1 again: chance is a hash of the customer's number."""
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with writing(engine) as conn:
        if engine.dialect.name == "postgresql":
            conn.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
            return
        for table in reversed(metadata.sorted_tables):
            conn.execute(table.delete())


@dataclass(frozen=True)
class Act:
    """What somebody does: the name of a method of `Stage`, and about which order, customer or letter."""

    what: tuple[str, Any]
    number: int
    ago: timedelta = AT_ONCE  # when it happened, for what is told of
    crash: str | None = None  # the failpoint at which whoever does it dies


class Stage:
    """A shop, its customers, its operator and its workers."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        failpoints.arm(None)
        wipe(engine)
        self.engine = engine
        self.ledger = Ledger(self)
        self.world = World(engine, folder, transport=self.ledger)
        self.clock, self.library = self.world.clock, self.world.library
        self.workflows: dict[str, Data] = {}
        self.statuses: dict[str, str] = {}
        self.halted = False
        self.silent: set[str] = set()
        self.orders: dict[int, Purchase] = {}
        self.told: list[Callable[[], object]] = []
        self.mails = 0
        self.watch = Watch(engine, self.library, self.ledger)
        self.given: dict[str, Any] = {"library": self.library, "clock": self.clock}

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def play(self, act: Act) -> None:
        method, how = act.what
        getattr(self, method)(act, how)

    def attempt(self, action: Callable[[], object], crash: str | None = None) -> bool:
        """Do what may not be possible at this moment; whoever dies at it does it again. Return whether it was done."""
        failpoints.arm(crash)
        try:
            action()
        except TemporaryError:
            return self.attempt(action)
        except FollowupError:
            return False
        finally:
            failpoints.arm(None)
        return True

    def hear(self, action: Callable[[], object], crash: str | None = None) -> None:
        """Let something come in from outside."""
        if self.attempt(action, crash):
            self.told.append(action)

    # -- what the shop's programs tell --

    def reports(self, act: Act, status: OrderStatus) -> None:
        at = self.now - act.ago
        number = act.number % ORDERS
        known = self.orders.get(number) or a_purchase(
            f"T-{number}",
            delivered_at=None,
            status=OrderStatus.PLACED,
            placed_at=at,
            total_cents=12_900 if number % 2 else 2_000,
            **PEOPLE[number % len(PEOPLE)],
        )
        order = replace(known.order, status=status)
        match status:
            case OrderStatus.PAID:
                order = replace(order, paid_at=order.paid_at or at)
            case OrderStatus.FULFILLED:
                promised_at = order.promised_at or at + 3 * DAY
                order = replace(order, fulfilled_at=order.fulfilled_at or at, promised_at=promised_at)
            case OrderStatus.DELIVERED:
                order = replace(order, delivered_at=order.delivered_at or at)
            case OrderStatus.CANCELLED | OrderStatus.REFUNDED:
                order = replace(order, cancelled_at=at)
        self.take_in(number, replace(known, order=order), act.crash)

    def promises(self, act: Act, days: int | None) -> None:
        if known := self.orders.get(number := act.number % ORDERS):
            promised_at = None if days is None else self.now + days * DAY
            self.take_in(number, replace(known, order=replace(known.order, promised_at=promised_at)), act.crash)

    def moves_house(self, act: Act, zone: str) -> None:
        self.changes(act, timezone=zone)

    def takes_consent_back(self, act: Act, _: None) -> None:
        self.changes(act, consent_basis=ConsentBasis.NONE)

    def changes(self, act: Act, **customer: object) -> None:
        if known := self.orders.get(number := act.number % ORDERS):
            self.take_in(number, replace(known, customer=replace(known.customer, **customer)), act.crash)  # type: ignore[arg-type]

    def take_in(self, number: int, bought: Purchase, crash: str | None) -> None:
        self.orders[number] = bought
        self.attempt(partial(import_orders, self.engine, [bought], **self.given), crash)

    def tells(self, act: Act, kind: str) -> None:
        """An event of the shop's own, about an order or none; a key that was there is the same event again."""
        told = {
            "email": PEOPLE[act.number % len(PEOPLE)]["email"],
            "order_number": f"T-{act.number % ORDERS}" if act.number < ORDERS else None,
            "data": {"stars": 1 + act.number % 4},
            "key": f"{act.number % 5}",
            "at": self.now - act.ago,
        }
        self.hear(partial(happen, self.engine, kind, **told, **self.given), act.crash)

    # -- what customers do, who can do it only when they got a letter --

    def letter(self, act: Act) -> Entry | None:
        """Return one of the letters that were taken, 0 being the last one."""
        taken = list(self.ledger.entries.values())
        return taken[-1 - act.number % len(taken)] if taken else None

    def clicks(self, act: Act, choice: str) -> None:
        if one := self.letter(act):
            key = f"click {len(self.told)}"
            click = partial(answers.record_click, self.engine, one.mail.token, choice, key=key, **self.given)
            self.hear(click, act.crash)

    def confirms(self, act: Act, choice: str) -> None:
        if one := self.letter(act):
            confirm = partial(answers.confirm, self.engine, one.mail.token, choice, "", **self.given)
            self.attempt(confirm, act.crash)

    def looks(self, act: Act, choice: str) -> None:
        if one := self.letter(act):
            look = partial(answers.visit, self.engine, one.mail.token, choice, clock=self.clock)
            self.attempt(look, act.crash)

    def writes(self, act: Act, words: str, **headers: str) -> None:
        if one := self.letter(act):
            self.mails += 1
            to = {"Reply-To": one.mail.reply_to, "Subject": one.mail.subject, "Message-ID": one.mail.message_id}
            raw = a_reply(to, words, message_id=f"<{self.mails}@mail.example>", **headers)
            self.hear(partial(store_raw, self.engine, raw, channel="test", clock=self.clock), act.crash)

    def is_away(self, act: Act, days: int) -> None:
        back_on = (self.now + days * DAY).date().isoformat()
        self.writes(act, f"I am away. I am back on {back_on}.", Auto_Submitted="auto-replied")

    def stops(self, act: Act, _: None) -> None:
        if one := self.letter(act):
            unsubscribe = partial(stop.unsubscribe_by_link, self.engine, one.mail.token)
            self.hear(partial(unsubscribe, suppression_key=KEY, clock=self.clock), act.crash)
            self.silent.add(one.mail.to_email)

    def is_reported(self, act: Act, kind: str) -> None:
        """The provider says what became of a letter."""
        if (one := self.letter(act)) is None:
            return
        event = {
            "event": kind,
            "email": one.mail.to_email,
            "timestamp": int(self.now.timestamp()),
            "fu_token": one.mail.token,
            "sg_event_id": f"{kind} {one.mail.token}",
        }
        body = json.dumps([event]).encode()
        self.hear(partial(track.store_events, self.engine, body, clock=self.clock), act.crash)
        self.work()
        if kind != "delivered":
            self.silent.add(one.mail.to_email)

    # -- what people in the shop do --

    def answers_a_customer(self, act: Act, _: None) -> None:
        address = PEOPLE[act.number % len(PEOPLE)]["email"]
        self.attempt(partial(converse.close_if_open, self.engine, address, **self.given), act.crash)

    def halts(self, act: Act, _: None) -> None:
        self.attempt(partial(halt.halt, self.engine, "a moment", clock=self.clock), act.crash)
        self.halted = True

    def unhalts(self, act: Act, _: None) -> None:
        self.attempt(partial(halt.unhalt, self.engine, **self.given), act.crash)
        self.halted = False

    def reads_first_letters(self, act: Act, _: None) -> None:
        name = NAMES[act.number % len(NAMES)]
        self.attempt(partial(approve.release_workflow, self.engine, name, **self.given), act.crash)

    def suppresses(self, act: Act, _: None) -> None:
        address = PEOPLE[act.number % len(PEOPLE)]["email"]
        how = {"reason": "asked by phone", "workflow": None, "key": KEY}
        self.attempt(partial(suppress.suppress, self.engine, address, **how, **self.given), act.crash)
        self.silent.add(address)

    def lifts(self, act: Act, _: None) -> None:
        address = PEOPLE[act.number % len(PEOPLE)]["email"]
        self.attempt(partial(suppress.lift, self.engine, address, workflow=None, key=KEY, clock=self.clock))
        self.silent.discard(address)

    def withdraws(self, act: Act, _: None) -> None:
        rows = [row for row in self.world.rows("messages") if row.state in {"due", "held", "blocked"}]
        if rows:
            message = rows[act.number % len(rows)]
            self.attempt(partial(fate.cancel, self.engine, message.id, clock=self.clock), act.crash)

    def starts_a_worker(self, act: Act, _: None) -> None:
        deploy.retry_blocked(self.engine)

    def lets_in(self, act: Act, start_now: bool) -> None:
        name = NAMES[act.number % len(NAMES)]
        how = {"order_number": f"T-{act.number % ORDERS}", "since": None, "start_now": start_now, "dry_run": False}
        self.attempt(partial(backfill.trigger, self.engine, name, **how, **self.given), act.crash)

    def apply(self, crash: str | None = None) -> None:
        folder = files(self.workflows, self.statuses)
        bundle = load_applied(folder)  # what cannot be meant has to run all the same, once it was applied
        self.attempt(partial(deploy.put_in_force, self.engine, bundle, clock=self.clock), crash)

    # -- what workers do --

    def work(self) -> Seen:
        """Do all that is due at this moment, and hold the record against what must hold then."""
        self.end_leases()
        self.sweep(SWEEPS)
        seen = self.check()
        self.watch.check_rest(seen, self.workflows, self.statuses, self.now, halted=self.halted)
        return seen

    def check(self) -> Seen:
        seen = look(self.engine)
        self.watch.check(seen, self.workflows, self.statuses)
        return seen

    def end_leases(self) -> None:
        """Let the time pass for which dead workers hold what they had begun, and senders rest."""
        with writing(self.engine) as conn:
            for name in LEASED:
                table = metadata.tables[name]
                conn.execute(update(table).where(table.c.leased_until.is_not(None)).values(leased_until=LONG_AGO))
            table = metadata.tables["senders"]
            conn.execute(update(table).where(table.c.closed_until.is_not(None)).values(closed_until=LONG_AGO))

    def sweep(self, most: int) -> None:
        """Sweep so many times, or until nothing is due."""
        left = iter(range(most))
        done = True

        def stopping() -> bool:
            nonlocal done
            done = next(left, None) is not None
            return not done

        drain(self.engine, post=self.world.post, stopping=stopping, **self.given)
        assert done or most < SWEEPS, "the sweep finds no end"

    def die(self, crash: str | None, fates: Sequence[Fate]) -> None:
        """Work until a failpoint, or what becomes of a letter, ends it; nothing is taken up again yet."""
        self.ledger.fates = list(fates)
        failpoints.arm(crash)
        try:
            self.sweep(SWEEPS)
        except (TemporaryError, Died):
            pass
        finally:
            failpoints.arm(None)
            self.ledger.fates = []

    def claim_at_once(self) -> None:
        """Have two workers claim at the same moment, as if each had been told of all that is due; then both die."""
        self.end_leases()
        self.advance()
        given = {"library": self.library, "suppression_key": KEY, "now": self.now, "limit": 32, "lease_seconds": 60}
        due = [row.id for row in self.world.rows("messages") if row.state == "due"]
        if self.engine.dialect.name == "sqlite" or self.counts_letters():
            return
        with writing(self.engine) as one, writing(self.engine) as other:
            claimed = [letter for conn in (one, other) for letter in claim(conn, due, **given).claimed]
        whose = [letter.message.customer_id for letter in claimed]
        assert len(whose) == len(set(whose)), "two letters to one customer were claimed at once"

    def advance(self) -> None:
        """Move runs on, but let no letter leave."""
        while leased := lease(self.engine, now=self.now, kinds={Work.RING, Work.ADVANCE}):
            ring(self.engine, leased.get(Work.RING, ()), **self.given)
            advance(self.engine, leased.get(Work.ADVANCE, ()), **self.given)

    def counts_letters(self) -> bool:
        """Tell whether a workflow counts its letters: then a claim waits for another one."""
        versions = self.world.rows("workflow_versions")
        return any("per_day" in version.source or "first" in version.source for version in versions)

    def hear_all_again(self) -> None:
        """Be told everything that came from outside again, and apply the same folder: nothing changes."""
        before = told(self.work())
        for bought in self.orders.values():
            self.attempt(partial(import_orders, self.engine, [bought], **self.given))
        for action in self.told:
            self.attempt(action)
        self.apply()
        after = told(self.work())
        for name, rows in before.items():
            changed = [row for row in after[name] if row not in rows]
            assert after[name] == rows, f"{name} change when all is told again: {changed}"

    def look_after_what_waits(self) -> None:
        """Read first letters, close conversations, and decide about letters of which nobody will hear."""
        for number in range(len(NAMES)):
            self.reads_first_letters(Act(("", None), number), None)
        for row in self.world.rows("messages"):
            if row.state == "unknown":
                fate.mark_sent(self.engine, row.id, clock=self.clock)
            if row.state == "blocked":
                fate.cancel(self.engine, row.id, clock=self.clock)
        for number in range(len(PEOPLE)):
            self.answers_a_customer(Act(("", None), number), None)
        self.work()
