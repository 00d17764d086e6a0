"""
A shop under chaos: processes are killed at every failpoint, servers go away, the provider misbehaves.

The local SendGrid's ledger is the oracle: it alone knows which letters it accepted, and how often.
"""

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, update

from followup.clock import SystemClock
from followup.core.message import Action, MessageState
from followup.core.order import Purchase
from followup.errors import TemporaryError
from followup.services import deploy
from followup.services.intake import take_in
from followup.services.library import Library
from followup.store import messages as message_queries
from followup.store.engine import make_engine, reading, writing
from followup.store.schema import enrollments, inbound_mail, messages, past_tokens, provider_events, senders
from followup.store.types import real_now
from followup.store.upgrade import upgrade
from tests.chaos import process
from tests.chaos.outside import Outside
from tests.chaos.servers import Database, Postgres, Sqlite, Valkey
from tests.failpoints import names
from tests.local_sendgrid import Behaviour, Entry, LocalSendGrid
from tests.ports import free_port
from tests.services.world import ASK, SEND, SHOP, a_purchase
from tests.wire.harness import IDENTITY, until

WORKERS = 3
THREADS = 2
IN_FLIGHT = 32 * THREADS  # requests of one worker, at most
PEOPLE = 12  # as many senders, each with a breaker of its own
GOES_ON = 10  # times as many kills as asked for, at most, until everything has happened that has to
BACKLOG = 100  # letters that wait while orders come in
PATIENCE = 5.0  # seconds until a failpoint that is not reached is replaced by a kill at any moment
WEB = (
    "track.store",
    "receive.store_post",
    "quarantine.keep",
    "answers.visit",
    "answers.confirm",
    "stop.visit",
    "stop.unsubscribe",
)
WORKER = (
    "sweep.lease",
    "sweep.recover",
    "sweep.expire",
    "deliver.claim",
    "deliver.begin",
    "settle",
    "advance",
    "track.apply",
    "receive.record",
    "receive.failed",
    "deploy.retry",
    "deploy.resume",
    "worker.sign",
    "watch.raise",
    "watch.told",
    "queue.policy",
    "http.request",
    "http.answer",
    "queue.send",
    "queue.look",
)
ONCE = ("deploy", "worker.sign", "watch", "queue.policy")  # what a process does at its start, and then rarely
# How often each: of a hundred requests ten end in doubt, of which about half were accepted.
MISBEHAVIOUR: Mapping[Behaviour, float] = {
    Behaviour.LIMIT_SOON: 0.5,
    Behaviour.REFUSE: 1,
    Behaviour.FAIL: 2,
    Behaviour.UNAVAILABLE: 1,
    Behaviour.BREAK: 1,
    Behaviour.HANG: 0.5,
    Behaviour.GARBAGE: 0.5,
    Behaviour.ACCEPT_THEN_FAIL: 2,
    Behaviour.ACCEPT_THEN_BREAK: 1.5,
    Behaviour.ACCEPT_THEN_HANG: 1,
    Behaviour.ACCEPT_THEN_TRUNCATE: 0.5,
    Behaviour.ACCEPT_AND_CLOSE: 1,
    Behaviour.ACCEPT_NAMELESS: 1,
}
WORKFLOW = """\
workflow: care-{number}
title: How is it?
status: live
owner: p{number}
sender: p{number}
trigger: {{event: order.delivered}}
entry:
  only_if: [item.category == "c{number}"]
steps:
  - send: advice
  - ask: arrived
    timeout: 5 days
"""


@dataclass
class Figures:
    """What was done, and what came of it. ``broken`` says which promises were not kept."""

    kills: int = 0
    kills_at: Counter[str] = field(default_factory=Counter)
    kills_at_any_moment: int = 0
    letters: int = 0
    requests: int = 0
    states: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    lost: int = 0
    strangers: int = 0
    accepted_twice: int = 0
    falsely_accepted: int = 0
    accepted_and_unknown: int = 0
    left_half_way: int = 0
    held_for_nobody: int = 0
    unknown: int = 0
    unknown_by_provider: int = 0
    unknown_allowed: int = 0
    unread: int = 0
    events: int = 0
    events_repeated: int = 0
    clicks: int = 0
    replies: int = 0
    unsubscribes: int = 0
    redis_flushes: int = 0
    redis_restarts: int = 0
    database_disturbances: int = 0
    seconds: float = 0

    @property
    def broken(self) -> list[str]:
        """Return the promises that were not kept."""
        promises = {
            "a letter was accepted twice": self.accepted_twice,
            "a letter was accepted that nobody here knows": self.strangers,
            "an order was lost, or a letter ended without a reason": self.lost,
            "a letter is marked as accepted that was not": self.falsely_accepted,
            "a letter rests half-way": self.left_half_way,
            "a letter is held though its customer wrote nothing": self.held_for_nobody,
            "a letter is unknown though all its events are in": self.accepted_and_unknown,
            "more letters are unknown than kills and the provider can explain": max(
                0, self.unknown - self.unknown_allowed
            ),
            "an event or a mail was never read": self.unread,
        }
        return [f"{what}: {count}" for what, count in promises.items() if count]


@dataclass
class Slot:
    """The place of one process: whenever it dies another one takes it, until the killing is over."""

    role: str
    failpoints: Iterator[str | None]
    running: multiprocessing.process.BaseProcess | None = None
    failpoint: str | None = None
    since: float = 0


class Chaos:
    """
    One run, on servers of its own.

    Args:
        sqlite: in a file instead of PostgreSQL.
        naive: also send again what got no answer, as a queue that retries does: the control, which has to fail.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kills: int,
        seed: int = 1,
        sqlite: bool = False,
        naive: bool = False,
        tell: Callable[[str], object],
    ) -> None:
        self.folder, self.kills, self.sqlite, self.naive, self.tell = folder, kills, sqlite, naive, tell
        self.dice = random.Random(seed)
        self.figures = Figures()
        self.orders = 0
        self.calm = False
        # a fork of a process that has everything imported starts in a tenth of the time
        self.fork = multiprocessing.get_context("forkserver")
        self.fork.set_forkserver_preload(["tests.chaos.process", "followup.store.postgresql", "followup.store.upgrade"])

    def run(self) -> Figures:
        """Do all of it, and return what came of it."""
        begun = time.monotonic()
        self.folder.chmod(0o755)  # PostgreSQL runs as another user where we are root
        self.database: Database = (Sqlite if self.sqlite else Postgres)(self.folder / "database")
        self.engine = make_engine(self.database.url)
        upgrade(self.engine)
        deploy.apply(self.engine, _files(), clock=SystemClock())
        with Valkey() as self.valkey, LocalSendGrid(decide=self._decide, on_entry=self._tell) as self.sendgrid:
            self.sendgrid.latency_seconds = 0.01
            self.port = free_port()
            web_url = f"http://127.0.0.1:{self.port}"
            late = 1 if self.naive else 0.1  # a queue that retries asks for no evidence
            self.outside = Outside(web_url, self.sendgrid.signer, seed=self.dice.randrange(1 << 30), late=late)
            self.slots = [Slot("worker", self._failpoints(WORKER)) for _ in range(WORKERS)]
            self.slots.append(Slot("web", self._failpoints(WEB)))
            try:
                self._rage()
                self._calm_down()
                self._judge()
            finally:
                self.outside.stop()
                for slot in self.slots:
                    if slot.running is not None:
                        slot.running.kill()
                        slot.running.join()
        self.engine.dispose()
        self.database.stop()
        self.figures.seconds = round(time.monotonic() - begun, 1)
        return self.figures

    def _rage(self) -> None:
        """Kill until it is enough; meanwhile orders come in, and servers go away."""
        troubles = self._troubles()
        while self.figures.kills < self.kills or self._nothing_shown_yet():
            for slot in self.slots:
                self._tend(slot)
            self._take_in_orders()
            next(troubles)()
            if self.naive:
                self._send_again()
            time.sleep(0.02)

    def _nothing_shown_yet(self) -> bool:
        """Tell whether something that has to happen by chance has not happened yet, and may for a while."""
        if self.figures.kills >= GOES_ON * self.kills:
            return False
        if not self.naive:
            done = self.outside
            in_doubt = any(_in_doubt(entry) for entry in self.sendgrid.ledger)
            return not (in_doubt and done.repeated and done.clicks and done.replies and done.unsubscribes)
        with suppress(TemporaryError), reading(self.engine) as conn:  # the control has to send something twice
            return not _twice(self._taken(conn))
        return True

    def _failpoints(self, places: tuple[str, ...]) -> Iterator[str]:
        """Yield failpoints for ever: each as often as the others, in an order of its own each time."""
        known = [name for name in names() if name.removesuffix("+") in places]
        assert {name.removesuffix("+") for name in known} == set(places), "a failpoint has another name now"
        while True:
            self.dice.shuffle(known)
            yield from known

    def _troubles(self) -> Iterator[Callable[[], object]]:
        """Yield what else goes wrong, mostly nothing: servers are restarted at parts of the way."""
        at = {
            round(self.kills * share): trouble
            for share, trouble in (
                (0.15, self.valkey.flush),
                (0.25, self.database.disturb),
                (0.40, self.valkey.restart),
                (0.50, self.database.disturb),
                (0.60, self.valkey.flush),
                (0.75, self.database.disturb),
                (0.85, self.valkey.restart),
            )
        }
        for share in range(8, 100, 8) if self.kills >= 100 else ():
            at.setdefault(round(self.kills * share / 100), self.database.disturb)
        while True:
            due = [kills for kills in sorted(at) if kills <= self.figures.kills]
            yield at.pop(due[0]) if due else (lambda: None)

    def _tend(self, slot: Slot) -> None:
        """See whether the process of *slot* has died, or was spared for too long; put another one in its place."""
        if slot.running is not None and slot.running.exitcode is None:
            if time.monotonic() - slot.since > PATIENCE * (0.5 + self.dice.random()):
                slot.running.kill()
                slot.running.join()
                self.figures.kills_at_any_moment += 1
            else:
                return
        elif slot.running is not None:
            slot.running.join()
            if slot.running.exitcode == -signal.SIGKILL:
                self.figures.kills_at[slot.failpoint or "?"] += 1
            else:  # a worker whose database was away at its start, perhaps
                self.tell(f"{slot.role} ended by itself: {slot.running.exitcode}")
                self.figures.kills -= 1
        if slot.running is not None:
            self.figures.kills += 1
            if self.figures.kills % 10 == 0:
                self.tell(f"{self.figures.kills} kills, {len(self.sendgrid.ledger)} requests")
        self._start(slot, next(slot.failpoints))

    def _start(self, slot: Slot, failpoint: str | None) -> None:
        env = self._env()
        if failpoint:
            often = 1 if failpoint.startswith(ONCE) else self.dice.randint(1, 6)
            env["FOLLOWUP_FAILPOINT"] = f"{failpoint}:{often}:kill"
        slot.failpoint, slot.since = failpoint, time.monotonic()
        log = str(self.folder / f"{slot.role}.log")
        slot.running = self.fork.Process(target=process.main, args=(slot.role, env, log), daemon=True)
        slot.running.start()

    def _env(self) -> dict[str, str]:
        key = self.sendgrid.signer.public_key
        return {
            "PATH": os.defpath,
            "FOLLOWUP_PROJECT": str(self.folder),
            "DATABASE_URL": self.database.url,
            "REDIS_URL": self.valkey.url,
            "PORT": str(self.port),
            "FOLLOWUP_MODE": "live",
            "FOLLOWUP_TRANSPORT": "sendgrid",
            "FOLLOWUP_SENDGRID_URL": self.sendgrid.url,
            "SENDGRID_API_KEY": self.sendgrid.api_key,
            "FOLLOWUP_SENDGRID_EVENT_KEYS": key,
            "FOLLOWUP_SENDGRID_INBOUND_KEYS": key,
            "FOLLOWUP_SECRET_KEYS": IDENTITY.keys[0],
            "FOLLOWUP_SUPPRESSION_KEY": IDENTITY.keys[0],
            "FOLLOWUP_REPLY_DOMAIN": IDENTITY.reply_domain,
            "FOLLOWUP_PUBLIC_URL": IDENTITY.public_url,
            "FOLLOWUP_SWEEP_SECONDS": "0.2",
            "FOLLOWUP_WORKER_THREADS": str(THREADS),
            "FOLLOWUP_LOG_LEVEL": "WARNING",
        }

    def _take_in_orders(self) -> None:
        """Keep some letters waiting, as a shop that sells all day has them."""
        waiting = messages.c.state.in_(["due", "claimed", "sending"])
        with suppress(TemporaryError):
            with reading(self.engine) as conn:
                if (conn.scalar(select(func.count()).where(waiting)) or 0) >= BACKLOG:
                    return
            some = [_order(self.orders + number) for number in range(20)]
            with writing(self.engine) as conn:
                take_in(conn, some, now=SystemClock().now(), library=Library())
            self.orders += len(some)

    def _decide(self, entry: Entry) -> Behaviour | None:
        if self.calm:
            return None
        chance = self.dice.random() * 100
        for behaviour, share in MISBEHAVIOUR.items():
            chance -= share
            if chance < 0:
                return behaviour
        return None

    def _tell(self, entry: Entry) -> None:
        self.outside.tell(entry)

    def _send_again(self) -> None:
        """Do what a queue does that retries what got no answer."""
        now = SystemClock().now()
        with suppress(TemporaryError), writing(self.engine) as conn:
            lost = message_queries.unknown(conn, before=now, after_id=0, limit=100)
            held = message_queries.lock(conn, [one.id for one in lost], MessageState.UNKNOWN)
            again = {"token": None, "sending_at": None, "due_at": now, "not_after": now + timedelta(days=3)}
            for one in held.values():
                message_queries.give_up_token(conn, one, now=now)
            rows = [{"id": key, **again, **message_queries.ANEW} for key in held]
            message_queries.move(conn, Action.RESEND, rows)

    def _calm_down(self) -> None:
        """Let everything work again, take in all that is still outside, and let time pass until nothing is left."""
        self.calm = True
        for slot in self.slots:
            if slot.running is not None:
                slot.running.kill()
                slot.running.join()
            self._start(slot, None)
        self.tell("calming down")
        self.outside.tell_all()
        until(self._settled, what="the end of all work", patience=180)
        self.outside.tell_all()
        until(self._settled, what="the end of all work", patience=60)

    def _settled(self) -> bool:
        """Tell whether nothing is under way any more; let minutes pass for what waits for them."""
        with suppress(TemporaryError):
            with reading(self.engine) as conn:
                under_way = conn.scalar(select(func.count()).where(messages.c.state.in_(["due", "claimed", "sending"])))
                awake = enrollments.c.wake_at <= SystemClock().now()
                standing = conn.scalar(select(func.count()).where(awake)) or 0
                unread = self._unread(conn)
            if not under_way and not unread and not standing:
                return True
            with writing(self.engine) as conn:
                due = messages.c.state == "due"
                conn.execute(update(messages).where(due).values(leased_until=None))
                late = messages.c.due_at > SystemClock().now()
                conn.execute(update(messages).where(due, late).values(due_at=SystemClock().now()))
                # breakers stay open: one letter has to try, and its answer to close them
                conn.execute(update(senders).where(senders.c.closed_until > real_now()).values(closed_until=real_now()))
            time.sleep(0.5)
        return False

    def _lost(self, rows: Sequence[Any]) -> int:
        """Return how many orders have no letter, or stand still between their two for no reason that can be seen."""
        states = {(row.order_id, row.step): row.state for row in rows}
        with reading(self.engine) as conn:
            runs = {row.order_id: row.state for row in conn.execute(select(enrollments))}
        unasked = [
            order
            for order, run in runs.items()
            if (order, "advice") not in states
            or (run == "active" and states[order, "advice"] == "accepted" and (order, "arrived") not in states)
        ]
        ended = sum(row.state in {"expired", "skipped", "cancelled"} for row in rows)
        refused = sum(row.state == "rejected" for row in rows)
        unexplained = max(0, ended - self.outside.unsubscribes)
        unexplained += max(0, refused - sum(entry.behaviour is Behaviour.REFUSE for entry in self.sendgrid.ledger))
        return self.orders - len(runs) + len(unasked) + unexplained

    def _unread(self, conn: Connection) -> int:
        reports = select(func.count()).where(provider_events.c.state == "received")
        mails = select(func.count()).where(inbound_mail.c.state == "received")
        return (conn.scalar(reports) or 0) + (conn.scalar(mails) or 0)

    def _taken(self, conn: Connection) -> Counter[int | None]:
        """Return how often the provider accepted each letter, by its id; None is a letter that nobody here knows."""
        of_token = {row.token: row.id for row in conn.execute(select(messages.c.token, messages.c.id))}
        of_token |= {row.token: row.message_id for row in conn.execute(select(past_tokens))}
        of_token.pop(None, None)
        return Counter(of_token.get(entry.token) for entry in self.sendgrid.ledger if entry.accepted)

    def _judge(self) -> None:
        """Hold the record against the ledger."""
        figures, ledger = self.figures, self.sendgrid.ledger
        with reading(self.engine) as conn:
            rows = conn.execute(select(messages)).all()
            figures.unread = self._unread(conn)
            taken = self._taken(conn)
        figures.requests, figures.orders = len(ledger), self.orders
        figures.letters = len(rows)
        figures.states = Counter(row.state for row in rows)
        figures.strangers = taken.pop(None, 0)
        figures.accepted_twice = _twice(taken)
        figures.lost = self._lost(rows)
        figures.falsely_accepted = sum(row.state == "accepted" and row.id not in taken for row in rows)
        figures.accepted_and_unknown = sum(row.state == "unknown" and row.id in taken for row in rows)
        figures.left_half_way = sum(figures.states[state] for state in ("due", "claimed", "sending", "blocked"))
        figures.unknown = figures.states["unknown"]
        figures.unknown_by_provider = len({entry.token for entry in ledger if _in_doubt(entry)})
        figures.unknown_allowed = figures.kills * IN_FLIGHT + figures.unknown_by_provider
        figures.events, figures.events_repeated = self.outside.events, self.outside.repeated
        figures.clicks, figures.replies = self.outside.clicks, self.outside.replies
        figures.unsubscribes = self.outside.unsubscribes
        figures.held_for_nobody = max(0, figures.states["held"] - figures.replies)
        figures.redis_flushes, figures.redis_restarts = self.valkey.flushes, self.valkey.restarts
        figures.database_disturbances = self.database.disturbances


def _in_doubt(entry: Entry) -> bool:
    """Tell whether the provider did not accept a letter, and did not say so."""
    clear = {Behaviour.ACCEPT, Behaviour.LIMIT_SOON, Behaviour.REFUSE}
    return not entry.accepted and entry.behaviour not in clear


def _twice(taken: Counter[int | None]) -> int:
    """Return how many letters were accepted more than once."""
    return sum(1 for letter, count in taken.items() if letter is not None and count > 1)


def _files() -> dict[str, str]:
    people = "".join(
        f"p{n}: {{name: Nell Harrow, email: p{n}@forge.example, signature: Nell}}\n" for n in range(PEOPLE)
    )
    workflows = {f"workflows/care-{n}.yaml": WORKFLOW.format(number=n) for n in range(PEOPLE)}
    letters = {"templates/arrived.md": ASK, "templates/advice.md": SEND}
    return {"workflows/people.yaml": people, "workflows/shop.yaml": SHOP, **workflows, **letters}


def _order(number: int) -> Purchase:
    arrived = SystemClock().now() - timedelta(minutes=5)
    made = a_purchase(f"T-{number}", email=f"customer{number}@example.com", delivered_at=arrived)
    items = tuple(replace(item, category=f"c{number % PEOPLE}") for item in made.order.items)
    return replace(made, order=replace(made.order, items=items))
