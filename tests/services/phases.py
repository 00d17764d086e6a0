"""A shop with somebody at every place where a run can be, in one workflow, at one moment."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, update

from followup.authoring.bundle import load_applied
from followup.core.enrollment import EnrollmentState
from followup.core.message import Accepted
from followup.core.order import OrderStatus
from followup.services import answers, converse, deploy, fate
from followup.services.advance import advance
from followup.services.happen import happen
from followup.services.sweep import Work, lease, next_moment
from followup.store import conversations, enrollments, schema
from followup.store.engine import reading, writing
from followup.store.scratch import scratch_engine
from followup.store.types import real_now
from tests.copies import copy_all
from tests.services.world import ASK, MONDAY, OPEN, PEOPLE, SEND, SHOP, Scripted, World, a_purchase

DAY = timedelta(days=1)
NOW = MONDAY + 20 * DAY
TALE = """\
workflow: tale
title: Somebody everywhere
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
steps:
  - wait: 2 days
  - ask: arrived
    timeout: 5 days
    remind_after: 3 days
  - wait_for: shop.visited
    timeout: 4 days
  - branch:
      - when: answer == "broken"
        do:
          - wait: 3 days
          - send: care
      - otherwise:
          - wait: 1 day
          - send: advice
  - wait: 5 days
  - ask: cooking
    timeout: 7 days
"""
FILES = {
    "workflows/people.yaml": PEOPLE,
    "workflows/shop.yaml": SHOP,
    "workflows/tale.yaml": TALE,
    "templates/arrived.md": ASK,
    "templates/whole.md": ASK.replace("arrive in one piece", "come whole"),
    "templates/cooking.md": OPEN.replace("question:", "purpose: service\nquestion:"),
    "templates/advice.md": SEND,
    "templates/care.md": SEND.replace("sticks", "breaks"),
}
# Who stands where at NOW: how many days before that their parcel came, and what they did so many days before it.
WHO: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "new": (0, {}),
    "waiting": (1, {"visits": 0.5}),
    "asked": (3, {}),
    "marked": (3, {"looks": 0.5}),
    "due reminder": (5, {}),
    "reminded": (6, {}),
    "listening": (8, {"fine": 2}),
    "silent": (8.5, {}),
    "case 1": (9, {"broken": 6}),
    "otherwise": (8, {"fine": 4, "visits": 0.5}),
    "advised": (10, {"fine": 7, "visits": 4}),
    "due": (2, {}),
    "held": (2, {"writes": 1}),
    "postponed": (2, {}),
    "blocked": (2, {}),
    "claimed": (2, {}),
    "sending": (2, {}),
    "unknown": (2, {}),
    "held out": (1.5, {}),
    "ended": (3, {"cancels": 0.5}),
}
# The story as it was told on each kind of database, and the letters that left in it: told once, it is copied.
_TOLD: dict[str, tuple[Engine, tuple[Any, ...]]] = {}
UNDER_WAY = ("held", "postponed", "blocked", "claimed", "sending", "unknown")


class Tale:
    """The shop at NOW, when nobody has looked at anything of that moment but to write the letters that are due."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.world = World(engine, folder, transport=Scripted(Accepted("X")))
        self.files = dict(FILES)
        self.given: dict[str, Any] = {"library": self.world.library, "clock": self.world.clock}
        kind = engine.dialect.name
        if kind in _TOLD:
            told, sent = _TOLD[kind]
            copy_all(told, engine)
            self.sent.extend(sent)
            self.world.clock.move_to(NOW)
        else:
            self._tell()
            _TOLD[kind] = scratch_engine(), (*self.sent,)
            copy_all(engine, _TOLD[kind][0])
        for name in UNDER_WAY:
            self._put(name)
        self.taken = len(self.sent)

    def _tell(self) -> None:
        """Let everybody come to where they stand."""
        self.apply()
        for at, _, does in sorted(self._happens(), key=lambda one: one[:2]):
            self.until(at)
            does()
        self.until(NOW)
        while leased := lease(self.world.engine, now=NOW, kinds={Work.ADVANCE}):
            advance(self.world.engine, [one for one in leased[Work.ADVANCE] if one != self._run("new")], **self.given)
        self.leases_end()

    @property
    def sent(self) -> list[Any]:
        return self.world.post.transport.sent  # type: ignore[attr-defined, no-any-return]

    def apply(self, in_flight: Mapping[str, str] | None = None, **files: str | None) -> deploy.Applied:
        """Apply the folder with these files instead (None: without): the path, or ``tale`` for the workflow."""
        named = {"workflows/tale.yaml" if path == "tale" else path: text for path, text in files.items()}
        self.files = {path: text for path, text in ({**self.files, **named}).items() if text is not None}
        bundle = load_applied(self.files)  # what cannot be meant has to run all the same
        return deploy.put_in_force(self.world.engine, bundle, clock=self.world.clock, in_flight=in_flight)

    def until(self, moment: datetime) -> None:
        """Let time pass until *moment*, and do all that is due before it."""
        while (due := self.next_moment()) is not None and due < moment:
            self.world.go_to(max(due, self.world.clock.now()))
        self.world.clock.move_to(moment)

    def next_moment(self) -> datetime | None:
        with reading(self.world.engine) as conn:
            return next_moment(conn)

    def to_the_end(self) -> None:
        """Do what is due at this moment, answer who waits, decide about what is unknown, and go on to the end."""
        self.leases_end()
        self.world.drain()
        self.world.clock.move_to(self.world.clock.now() + timedelta(hours=1))
        converse.close_if_open(self.world.engine, _address("held"), **self.given)
        for row in self.world.rows("messages"):
            if row.state == "unknown":
                fate.mark_sent(self.world.engine, row.id, clock=self.world.clock)
        self.until(NOW + 60 * DAY)
        self.world.drain()

    def leases_end(self) -> None:
        with writing(self.world.engine) as conn:
            for table in (schema.messages, schema.enrollments):
                leased = table.c.leased_until.is_not(None)
                conn.execute(update(table).where(leased).values(leased_until=real_now(-1)))

    def runs(self) -> dict[str, Any]:
        """Return the row of each run by whose it is."""
        whose = {row.id: row.address for row in self.world.rows("customers")}
        names = {_address(name): name for name in WHO}
        return {names[whose[row.customer_id]]: row for row in self.world.rows("enrollments")}

    def letters(self) -> dict[int, list[Any]]:
        """Return the rows of the letters by run."""
        found: dict[int, list[Any]] = defaultdict(list)
        for row in self.world.rows("messages"):
            found[row.enrollment_id].append(row)
        return found

    def letters_of(self, name: str) -> list[Any]:
        return self.letters()[self._run(name)]

    # -- what happens before --

    def _happens(self) -> list[tuple[datetime, int, Callable[[], object]]]:
        happens: list[tuple[datetime, int, Callable[[], object]]] = []
        for number, (name, (began, then)) in enumerate(WHO.items()):
            happens.append((NOW - began * DAY, number, partial(self._comes, name)))
            happens += [(NOW - ago * DAY, number, partial(self._does, name, what)) for what, ago in then.items()]
        return happens

    def _comes(self, name: str) -> None:
        bought = a_purchase(name, email=_address(name), delivered_at=self.world.clock.now())
        self.world.take_in(bought, enroll=name != "held out")
        if name == "held out":
            with writing(self.world.engine) as conn:
                enrollments.add(conn, self._held_out())
        if self.world.clock.now() < NOW:
            self.world.drain()

    def _held_out(self) -> enrollments.NewEnrollment:
        return enrollments.NewEnrollment(
            workflow="tale",
            version_id=self.world.rows("enrollments")[-1].version_id,
            customer_id=self.world.rows("customers")[-1].id,
            order_id=self.world.rows("orders")[-1].id,
            entry_key="held out",
            trigger_event_id=None,
            entered_at=self.world.clock.now(),
            first_step=None,
            wake_at=None,
            state=EnrollmentState.HELD_OUT,
        )

    def _does(self, name: str, what: str) -> None:
        about: dict[str, Any] = {"order_number": name, "data": {}, "key": name, "at": None}
        match what:
            case "visits":
                happen(self.world.engine, "shop.visited", email=_address(name), **about, **self.given)
            case "looks":
                answers.visit(self.world.engine, self._token(name), "fine", clock=self.world.clock)
            case "fine" | "broken":
                answers.confirm(self.world.engine, self._token(name), what, "", **self.given)
                converse.close_if_open(self.world.engine, _address(name), **self.given)
            case "writes":
                with writing(self.world.engine) as conn:
                    self._waits_for_us(conn, name)
            case "cancels":
                status = OrderStatus.CANCELLED
                began = NOW - WHO[name][0] * DAY
                self.world.take_in(a_purchase(name, email=_address(name), status=status, delivered_at=began))
        self.world.drain()

    def _waits_for_us(self, conn: Connection, name: str) -> None:
        whose = next(row.id for row in self.world.rows("customers") if row.address == _address(name))
        conversations.customer_wrote(conn, whose, "nell", at=self.world.clock.now())

    def _token(self, name: str) -> str:
        return next(row.token for row in self.letters_of(name) if row.token)

    def _run(self, name: str) -> int:
        return self.runs()[name].id  # type: ignore[no-any-return]

    def _put(self, state: str) -> None:
        """Put the letter of who is called so into that state."""
        values: dict[str, Any] = {"state": "due" if state == "postponed" else state}
        match state:
            case "held":
                reason = "the customer waits for an answer from us"
                values |= {"due_at": None, "not_after": None, "reason": reason}
            case "postponed":
                values |= {"due_at": NOW + DAY, "postponed_since": NOW}
            case "claimed":
                values |= {"leased_until": real_now(120), "attempts": 1}
            case "sending" | "unknown":
                values |= {"attempts": 1, "token": state.ljust(22, "T"), "sending_at": NOW}
                if state == "sending":
                    values |= {"leased_until": real_now(120), "payload": self.letters_of("asked")[0].payload}
        (letter,) = self.letters_of(state)
        with writing(self.world.engine) as conn:
            conn.execute(update(schema.messages).where(schema.messages.c.id == letter.id).values(values))


def _address(name: str) -> str:
    return f"{name.replace(' ', '-')}@example.com"


def standing(tale: Tale) -> dict[str, str]:
    """Return where each run stands, and what of it has not left yet."""
    found, letters = {}, tale.letters()
    for name, run in tale.runs().items():
        waits = [row for row in letters[run.id] if row.state != "accepted"]
        about = [f"{_letter(row)} {row.state}" for row in waits]
        found[name] = "; ".join([f"{run.step or '-'} {run.phase}", *about])
    return found


def ending(tale: Tale) -> dict[str, str]:
    """Return what each run got from NOW on, each with the day, what it did not get, and how it ended."""
    found, letters = {}, tale.letters()
    for name, run in tale.runs().items():
        got = [row for row in letters[run.id] if row.state == "accepted" and row.accepted_at >= NOW]
        not_got = [row for row in letters[run.id] if row.state != "accepted"]
        told = [f"{_day(row.accepted_at)} {_letter(row)}" for row in sorted(got, key=lambda row: row.accepted_at)]
        told += [f"{_letter(row)} {row.state}" for row in not_got]
        ended = f"{_day(run.ended_at)} {run.outcome}" if run.ended_at else run.state
        found[name] = ", ".join([*told, ended])
    return found


def _letter(row: Any) -> str:
    name = row.step if row.step == row.letter else f"{row.step} ({row.letter})"
    return f"{name} again" if row.round else str(name)


def _day(moment: datetime) -> str:
    return f"{(moment - NOW) / DAY:+.1f}".removesuffix(".0")
