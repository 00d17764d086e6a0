"""
A way out that keeps a ledger, and asks of every letter, as it leaves, whether it may.

What it asks it reads from the rows, from the files as they were applied and from its own books: nothing here calls the
gates, so that one which is left out, or wrong, is seen.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import yaml
from sqlalchemy import Connection, Engine, select

from followup.calendars import holidays_of, zone
from followup.clock import Clock
from followup.core.message import Accepted, Answer, Cause, Misconfigured, Rejected, RetrySafe, Unknown
from followup.core.workflow import Send
from followup.mail.message import OutgoingMail
from followup.services.library import Library
from followup.store.engine import reading
from followup.store.schema import metadata
from tests.services.engine_files import LETTERS, Data

DAY = timedelta(days=1)
TWO_YEARS = timedelta(days=730)
SHOP_ZONE = "Europe/London"
SERVICE = {name for name, text in LETTERS.items() if "purpose: service" in text}
MARKETING = {name for name, text in LETTERS.items() if "purpose: marketing" in text}
VOID = {"cancelled", "refunded"}
MOST_WAITING = 1  # customers who wait for Nell while she asks more, as people.yaml says
OUTGOING: Mapping[str, Any] = metadata.tables


class Fate(StrEnum):
    """What becomes of an attempt."""

    TAKEN = "taken"
    NOT_THERE = "no connection"
    REJECTED = "rejected"
    REFUSED = "the settings are wrong"
    TAKEN_UNSAID = "taken, and no answer"
    LOST = "not taken, and no answer"
    DIES_BEFORE = "the worker dies before it leaves"
    DIES_TAKEN = "the worker dies after it was taken"


TAKEN = {Fate.TAKEN, Fate.TAKEN_UNSAID, Fate.DIES_TAKEN}
UNSAID = {Fate.TAKEN_UNSAID, Fate.LOST}


class Died(Exception):
    """The process that was sending is gone."""


class Shop(Protocol):
    """What the ledger asks about."""

    engine: Engine
    clock: Clock
    library: Library
    workflows: Mapping[str, Data]  # as they were applied last
    statuses: Mapping[str, str]
    halted: bool
    silent: set[str]  # addresses that want nothing, or that nothing gets to


@dataclass(frozen=True)
class Entry:
    """A letter that was taken."""

    mail: OutgoingMail
    message: Any
    at: datetime
    service: bool

    @property
    def letter(self) -> tuple[int, str, int]:
        return self.message.enrollment_id, self.message.step, self.message.round


@dataclass
class Ledger:
    """A way out that can prove what it took, unless it was to say nothing."""

    shop: Shop
    entries: dict[str, Entry] = field(default_factory=dict)  # by token
    posts: list[str] = field(default_factory=list)
    told: list[OutgoingMail] = field(default_factory=list)  # mails to our own people
    mute: set[str] = field(default_factory=set)  # tokens of which it will never say what became of them
    fates: list[Fate] = field(default_factory=list)

    name = "outbox"

    def send(
        self, mails: Sequence[OutgoingMail], *, may_begin: Callable[[], bool]
    ) -> Iterator[list[tuple[OutgoingMail, Answer]]]:
        for mail in mails:
            if not may_begin():
                yield [(mail, RetrySafe(self.shop.clock.now(), "not begun", Cause.KEPT))]
            elif mail.letter == "notice":
                self.told.append(mail)
                yield [(mail, Accepted(mail.token))]
            else:
                yield [(mail, self._send(mail))]

    def _send(self, mail: OutgoingMail) -> Answer:
        fate = self.fates.pop(0) if self.fates else Fate.TAKEN
        if fate is Fate.DIES_BEFORE:
            raise Died
        message = self._may_leave(mail)
        self.posts.append(mail.token)
        if fate in TAKEN:
            self.entries[mail.token] = Entry(mail, message, self.shop.clock.now(), message.letter in SERVICE)
        if fate in UNSAID:
            self.mute.add(mail.token)
        if fate is Fate.DIES_TAKEN:
            raise Died
        return self._answer(fate, mail)

    def _answer(self, fate: Fate, mail: OutgoingMail) -> Answer:
        match fate:
            case Fate.NOT_THERE:
                return RetrySafe(self.shop.clock.now(), "no connection")
            case Fate.REJECTED:
                return Rejected("550")
            case Fate.REFUSED:
                return Misconfigured("401")
            case Fate.TAKEN:
                return Accepted(mail.token)
        return Unknown("no answer")

    def recover(self, mail: OutgoingMail) -> Answer:
        if mail.token in self.mute:
            return Unknown("nobody can tell")
        if mail.token in self.entries:
            return Accepted(mail.token)
        return RetrySafe(self.shop.clock.now(), "no such letter was taken", Cause.KEPT)

    def _may_leave(self, mail: OutgoingMail) -> Any:
        assert mail.token not in self.posts, "an attempt is made once"
        with reading(self.shop.engine) as conn:
            return _Letter(self.shop, self, conn, mail).check()


class _Letter:
    """One letter that is leaving, and all that is on the record of it."""

    def __init__(self, shop: Shop, ledger: Ledger, conn: Connection, mail: OutgoingMail) -> None:
        self.shop, self.ledger, self.conn, self.mail = shop, ledger, conn, mail
        self.now = shop.clock.now()
        [self.message] = self.rows("messages", token=mail.token)
        [self.run] = self.rows("enrollments", id=self.message.enrollment_id)
        [self.customer] = self.rows("customers", id=self.message.customer_id)
        [version] = self.rows("workflow_versions", id=self.run.version_id)
        self.pinned: Data = yaml.safe_load(version.source)
        self.step = shop.library.workflow(conn, version.id).step(self.message.step)
        self.where = f"{self.message.workflow}.{self.message.step}/{self.message.round} to {self.customer.address}"

    def rows(self, table: str, **values: object) -> list[Any]:
        of = metadata.tables[table]
        return list(self.conn.execute(select(of).filter_by(**values).order_by(of.c.id)))

    def check(self) -> Any:
        assert self.message.state == "sending"
        assert self.mail.to_email == self.customer.email
        assert self.mail.composed_at == self.now.replace(microsecond=0), "its Date is the moment at which it leaves"
        for rule in (
            self.its_run_goes_on,
            self.nothing_stands_still,
            self.somebody_is_there_to_write_to,
            self.they_agreed,
            self.they_wait_for_no_answer,
            self.its_time_has_come_and_is_not_over,
            self.the_owner_can_listen,
            self.the_cap_holds,
            self.the_window_is_open,
            self.the_day_has_room,
            self.a_person_has_read_the_first,
            self.nothing_more_important_waits,
            self.nobody_has_got_it,
        ):
            rule()
        return self.message

    def its_run_goes_on(self) -> None:
        assert self.run.state == "active", f"{self.where}: its run is {self.run.state}"
        if "holdout" in self.pinned:
            assert not held_out(self.run.workflow, self.customer.id), f"{self.where}: they are held out"

    def nothing_stands_still(self) -> None:
        assert not self.shop.halted, f"{self.where}: everything is halted"
        status = self.shop.statuses.get(self.message.workflow, "live")
        assert status == "live", f"{self.where}: the workflow is {status}"

    def somebody_is_there_to_write_to(self) -> None:
        assert self.customer.address not in self.shop.silent, f"{self.where}: they want nothing more"
        if self.run.order_id is not None and self.pinned["trigger"]["event"] not in {
            "order.cancelled",
            "order.refunded",
        }:
            [order] = self.rows("orders", id=self.run.order_id)
            assert order.status not in VOID, f"{self.where}: the order was {order.status}"

    def they_agreed(self) -> None:
        basis, letter = self.customer.consent_basis, self.message.letter
        if letter in SERVICE or basis == "opt_in":
            return
        assert letter not in MARKETING, f"{self.where}: marketing with {basis}"
        assert basis != "none", f"{self.where}: they said no"
        placed = [row.placed_at for row in self.rows("orders", customer_id=self.customer.id) if row.status not in VOID]
        last = max((at for at in placed if at <= self.now), default=None)
        assert last is not None, f"{self.where}: they bought nothing"
        assert self.now < last + TWO_YEARS, f"{self.where}: they bought long ago"

    def they_wait_for_no_answer(self) -> None:
        open_ = [row for row in self.rows("conversations", customer_id=self.customer.id) if row.closed_at is None]
        assert not any(row.waiting_since for row in open_), f"{self.where}: they wait for us"
        said = [row for row in self.rows("answers", enrollment_id=self.run.id) if row.step == self.message.step]
        assert not said, f"{self.where}: they have answered it"

    def its_time_has_come_and_is_not_over(self) -> None:
        assert self.message.due_at <= self.now <= self.message.not_after, f"{self.where} leaves at {self.now}"

    def the_owner_can_listen(self) -> None:
        if self.pinned["owner"] != "nell" or "ask" not in self.file_step or self.message.round:
            return
        hers = [row for row in self.rows("conversations", owner="nell") if row.closed_at is None and row.waiting_since]
        assert len(hers) <= MOST_WAITING, f"{self.where}: {len(hers)} wait for Nell already"

    @property
    def file_step(self) -> Data:
        """Return what kind of step it is; those that ask are called so in the file."""
        return {"send": self.message.letter} if isinstance(self.step, Send) else {"ask": self.message.letter}

    def the_cap_holds(self) -> None:
        cap = self.pinned.get("limits", {}).get("cap")
        if cap is None or self.message.letter in SERVICE:
            return
        found = re.fullmatch(r"(\d+) messages? per (\d+) days", cap)
        assert found
        count, span = int(found[1]), int(found[2]) * DAY
        others = [
            entry
            for entry in self.ledger.entries.values()
            if entry.message.customer_id == self.customer.id and entry.at > self.now - span
            if entry.letter[:2] != (self.run.id, self.message.step)
        ]
        assert len(others) < count, f"{self.where}: {cap}, and they got {len(others)}"

    def the_window_is_open(self) -> None:
        window = self.pinned.get("send_window")
        if window is None or (isinstance(self.step, Send) and self.step.ignore_send_window):
            return
        assert is_open(window, self.customer, self.now), f"{self.where}: {window} is shut at {self.now}"

    def the_day_has_room(self) -> None:
        limit = self.shop.workflows[self.message.workflow].get("limits", {}).get("per_day")
        if limit is None:
            return
        today = [
            entry
            for entry in self.ledger.entries.values()
            if entry.message.workflow == self.message.workflow and entry.at > self.now - DAY
        ]
        assert len(today) < limit, f"{self.where}: {len(today)} left today"

    def a_person_has_read_the_first(self) -> None:
        of = metadata.tables["workflow_limits"]
        limits = self.conn.execute(select(of).where(of.c.workflow == self.message.workflow)).one_or_none()
        if limits is not None and limits.approved < limits.first and not self.message.round:
            assert self.message.approved_at is not None, f"{self.where}: nobody has read it"

    def nothing_more_important_waits(self) -> None:
        closed = {row.key for row in self.conn.execute(select(metadata.tables["senders"])) if row.paused or row.trips}
        for other in self.rows("messages", customer_id=self.customer.id, state="due"):
            if other.due_at <= self.now and other.sender not in closed:
                assert other.priority <= self.message.priority, f"{self.where} goes before {other.workflow}"

    def nobody_has_got_it(self) -> None:
        letter = self.run.id, self.message.step, self.message.round
        assert letter not in {entry.letter for entry in self.ledger.entries.values()}, f"{self.where} goes twice"


def held_out(workflow: str, customer_id: int) -> bool:
    """Tell whether a holdout of a half holds the customer out, as the hash says that was chosen once and for all."""
    digest = hashlib.sha256(f"{workflow}\nholdout\n{customer_id}".encode()).digest()
    return digest[0] < 128


def is_open(window: Data, customer: Any, now: datetime) -> bool:
    """Tell whether *now* lies in the window that begins on its local day or the one before."""
    place = window.get("timezone", "customer")
    named = zone(customer.timezone) or ZoneInfo(window.get("fallback_timezone", SHOP_ZONE))
    where = named if place == "customer" else ZoneInfo(place)
    opens, closes = (time.fromisoformat(text) for text in window["hours"].split("-"))
    today = now.astimezone(where).date()
    for day in (today - DAY, today):
        if not _opens_on(day, window.get("days", "any day"), customer):
            continue
        begins = datetime.combine(day, opens, where).astimezone(UTC)
        ends = datetime.combine(day if closes > opens else day + DAY, closes, where).astimezone(UTC)
        if begins <= now < ends:
            return True
    return False


def _opens_on(day: Any, days: Any, customer: Any) -> bool:
    if isinstance(days, list):
        return f"{day:%a}".lower() in days
    if days == "any day":
        return True
    return day.weekday() < 5 and not (days == "business days" and holidays_of(customer.country, customer.region)(day))
