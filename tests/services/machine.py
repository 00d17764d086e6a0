"""
Everything that can happen to letters, in any order: what a state machine draws from.

The provider here keeps its own books, which nobody but the test reads: which attempts it really took, whatever it
answered. Its reports are repeated for a day until we take them, as SendGrid's are. What must hold always is asked
after every step, of its books and of ours.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Engine, insert, select, update

from followup import failpoints
from followup.core.message import Accepted, Answer, Cause, Misconfigured, Rejected, RetrySafe, Unknown
from followup.errors import FollowupError, TemporaryError
from followup.mail.message import OutgoingMail
from followup.services import answers, approve, converse, deploy, fate, halt, restore, stop, track
from followup.services.settle import settle
from followup.services.sweep import recover, sweep
from followup.store import messages
from followup.store.engine import reading, writing
from followup.store.schema import metadata
from tests.services.world import CHECK_IN, World, a_purchase, a_reply

LIVE = CHECK_IN.replace("  - wait: 2 days\n", "", 1).replace("steps:", "limits: {per_day: 4}\nsteps:")
PAUSED = LIVE.replace("status: live", "status: paused")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PEOPLE, ORDERS, ROUNDS = 4, 9, 40
KEY = "never-changes"
EMPTY: dict[str, Any] = {}
LEASED = ("messages", "enrollments", "inbound_mail", "provider_events")

Letter = tuple[str, str, int]  # order, step, round: what a customer would call one letter


class Said(StrEnum):
    """What the provider does with an attempt. Where it says nothing, it may have taken it all the same."""

    ACCEPTED = "accepted"
    NOT_THERE = "no connection"
    LIMITED = "limited"
    REJECTED = "rejected"
    MISCONFIGURED = "misconfigured"
    TAKEN_UNSAID = "taken, and no answer"
    LOST = "not taken, and no answer"
    DIES_BEFORE = "the worker dies before the request leaves"
    DIES_TAKEN = "the worker dies after it was taken"
    DIES_LOST = "the worker dies, and it was not taken"


TAKES = {Said.ACCEPTED, Said.TAKEN_UNSAID, Said.DIES_TAKEN}
FATES = st.lists(st.sampled_from([*Said, Said.ACCEPTED, Said.TAKEN_UNSAID, Said.LOST]), max_size=4)
NO_ANSWER = st.sampled_from([Said.TAKEN_UNSAID, Said.LOST, Said.DIES_TAKEN, Said.DIES_LOST])
SECOND = st.lists(NO_ANSWER | st.sampled_from(Said), min_size=1, max_size=2)
LATE = st.sampled_from(["never", "before", "after"])  # when a dead worker's answer comes: before the next attempt, …
SELDOM = st.sampled_from([False, False, True])
FAILPOINTS = (
    "sweep.lease", "advance", "deliver.claim", "deliver.begin", "settle", "sweep.recover", "track.store", "track.apply",
    "receive.record", "answers.confirm", "stop.unsubscribe", "fate.mark_sent", "fate.resend", "fate.cancel",
    "fate.resend_proven", "approve.letters", "deploy.apply", "halt", "unhalt", "restore",
)  # fmt: skip
CRASHES = st.none() | st.builds(
    "{}{}:{}:raise".format, st.sampled_from(FAILPOINTS), st.sampled_from(["", "+"]), st.integers(1, 3)
)


class Died(Exception):
    """The process that was sending is gone."""


@dataclass
class Attempt:
    """One request, as the provider saw it; its reports wait until we take them."""

    mail: OutgoingMail
    letter: Letter
    message_id: int
    taken: bool
    at: datetime
    sure: bool = False  # it said that it did not take it
    reports: list[dict[str, Any]] = field(default_factory=list)


class Provider:
    """A way out that reports, with books of its own."""

    name = "sendgrid"

    def __init__(self, machine: "Letters") -> None:
        self._machine = machine
        self.attempts: dict[str, Attempt] = {}
        self.posts: list[str] = []
        self.fates: list[Said] = []
        self.late: list[str] = []  # tokens of which it said what became of them, to nobody

    def send(
        self, mails: Sequence[OutgoingMail], *, may_begin: Callable[[], bool]
    ) -> Iterator[list[tuple[OutgoingMail, Answer]]]:
        for mail in mails:
            if not may_begin():
                yield [(mail, RetrySafe(self._now, "not begun", Cause.KEPT))]
                continue
            said = self.fates.pop(0) if self.fates else Said.ACCEPTED
            if said is Said.DIES_BEFORE:
                raise Died
            if said is not Said.NOT_THERE:
                self._note(mail, said)
            if said in {Said.DIES_TAKEN, Said.DIES_LOST}:
                self.late.append(mail.token)
            if said in {Said.DIES_TAKEN, Said.DIES_LOST}:
                raise Died
            yield [(mail, self._answer(said))]

    def recover(self, mail: OutgoingMail) -> Answer:
        return Unknown("nobody can tell")

    @property
    def _now(self) -> datetime:
        return self._machine.world.clock.now()

    def _note(self, mail: OutgoingMail, said: Said) -> None:
        letter, message_id = self._machine.letter_of(mail.token)
        attempt = Attempt(mail, letter, message_id, said in TAKES, self._now)
        attempt.sure = said in {Said.LIMITED, Said.REJECTED, Said.MISCONFIGURED}
        if attempt.taken:
            attempt.reports = [self._report(mail, kind) for kind in ("processed", "delivered")]
        self._machine.nothing_is_known_of(letter)
        self.posts.append(mail.token)
        self.attempts[mail.token] = attempt

    def _report(self, mail: OutgoingMail, kind: str) -> dict[str, Any]:
        at = int(self._now.timestamp())
        return {
            "event": kind,
            "email": mail.to_email,
            "timestamp": at,
            "fu_token": mail.token,
            "sg_event_id": f"{kind} {mail.token}",
        }

    def _answer(self, said: Said) -> Answer:
        match said:
            case Said.ACCEPTED:
                return Accepted("X")
            case Said.NOT_THERE:
                return RetrySafe(self._now, "no connection")
            case Said.LIMITED:
                return RetrySafe(self._now + HOUR, "429", Cause.LIMITED)
            case Said.REJECTED:
                return Rejected("400")
            case Said.MISCONFIGURED:
                return Misconfigured("401")
        return Unknown("no answer")

    def taken(self) -> Counter[Letter]:
        """Return how often the provider took each letter."""
        return Counter(one.letter for one in self.attempts.values() if one.taken)


def wipe(engine: Engine) -> None:
    with writing(engine) as conn:
        for table in reversed(metadata.sorted_tables):
            conn.execute(table.delete())


class Letters(RuleBasedStateMachine):
    """A shop, its provider, its operator and its customers; `engine` and `folder` are set by the test."""

    engine: Engine
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        failpoints.arm(None)
        wipe(self.engine)
        self.provider = Provider(self)
        self.world = World(self.engine, self.folder, transport=self.provider, check_in=LIVE)
        self.resends: Counter[Letter] = Counter()
        self.marked: set[Letter] = set()
        self.orders: dict[str, Any] = {}
        self.hears = True  # the provider's reports reach us
        self.posted: list[dict[str, Any]] = []
        self.due_at: dict[int, datetime] = {}
        self.backup: tuple[datetime, dict[str, list[dict[str, Any]]]] | None = None
        self.forgotten: set[str] = set()  # tokens that a restored database does not know
        self.mails = 0
        self.told: set[str] = set()  # tokens of which we heard, however late, that they were taken
        self.restored = False

    # -- what rules are made of --

    @contextmanager
    def crashing(self, at: str | None) -> Iterator[None]:
        """Let whoever works here die at a failpoint, or in the middle of sending."""
        failpoints.arm(at)
        try:
            yield
        except (TemporaryError, Died):
            pass
        finally:
            failpoints.arm(None)

    def do(self, action: Callable[..., object], *args: object, crash: str | None = None, **more: object) -> None:
        """Let an operator do something, which may not be possible at this moment."""
        with self.crashing(crash):
            try:
                action(self.engine, *args, clock=self.world.clock, **more)
            except TemporaryError:
                raise
            except FollowupError:
                pass

    def work(self, fates: Sequence[Said] = (), crash: str | None = None) -> None:
        """Sweep until nothing is due, or the worker dies."""
        self.provider.fates = list(fates)
        with self.crashing(crash):
            for _ in range(ROUNDS):
                if not sweep(self.engine, library=self.world.library, post=self.world.post, clock=self.world.clock):
                    break
            else:
                raise AssertionError("the sweep finds no end")
        self.provider.fates = []

    def letter_of(self, token: str) -> tuple[Letter, int]:
        with reading(self.engine) as conn:
            message = messages.by_token(conn, token)
            assert message is not None, "a request leaves only when its token is committed"
            assert not message.past
            assert message.state.value == "sending"
            found = messages.find(conn, message.id)
            assert found is not None
            assert found.order_number is not None
        return (found.order_number, message.step, message.round), message.id

    def nothing_is_known_of(self, letter: Letter) -> None:
        """No request leaves for a letter of which the record knows already that the customer has it."""
        earlier = {token for token, one in self.provider.attempts.items() if one.taken and one.letter == letter}
        applied = {row.token for row in self.world.rows("provider_events") if row.state == "applied"}
        assert not earlier & (applied | self.told) - self.forgotten, f"{letter} leaves, and was reported on before"

    def letter(self, row: Any) -> Letter:
        number = next(one.number for one in self.world.rows("orders") if one.id == row.order_id)
        return number, row.step, row.round

    def pick(self, number: int, *states: str) -> Any:
        """Return one of the messages in these states, if there are any."""
        found = [row for row in self.world.rows("messages") if row.state in states]
        return found[number % len(found)] if found else None

    def end_leases(self) -> None:
        with writing(self.engine) as conn:
            for name in LEASED:
                table = metadata.tables[name]
                conn.execute(update(table).where(table.c.leased_until.is_not(None)).values(leased_until=LONG_AGO))

    def let_senders_try(self) -> None:
        with writing(self.engine) as conn:
            table = metadata.tables["senders"]
            conn.execute(update(table).where(table.c.closed_until.is_not(None)).values(closed_until=LONG_AGO))

    def reports_arrive(self, *, older_than: timedelta = timedelta(0)) -> None:
        now = self.world.clock.now()
        for attempt in self.provider.attempts.values():
            if attempt.reports and attempt.at + older_than <= now:
                self.post(attempt.reports)
                attempt.reports = []

    def post(self, events: list[dict[str, Any]]) -> None:
        track.store_events(self.engine, json.dumps(events).encode(), clock=self.world.clock)
        self.posted += events

    def pass_time(self, span: timedelta) -> None:
        """An hour at a time: what waits is told when the provider can reach us, and given up after a day."""
        until = self.world.clock.now() + span
        while (now := self.world.clock.now()) < until:
            self.world.clock.move_to(min(now + HOUR, until))
            if self.hears:
                self.reports_arrive(older_than=HOUR)
            for attempt in self.provider.attempts.values():
                if attempt.at + DAY <= self.world.clock.now():
                    attempt.reports = []

    def take_in(self, number: int) -> None:
        number %= ORDERS
        name, now = f"T-{number}", self.world.clock.now()
        who = f"c{number % PEOPLE}@example.com"
        bought = self.orders.setdefault(name, a_purchase(name, email=who, delivered_at=now))
        self.world.take_in(bought)

    # -- what happens --

    @initialize(first=st.sampled_from([0, 0, 1, 2]), given_up=st.booleans(), late=LATE, data=st.data())
    def opens(self, first: int, given_up: bool, late: str, data: st.DataObject) -> None:
        """Half of the stories begin with what the others seldom come to: an attempt that was given up."""
        if first:
            self.world.apply(check_in=PAUSED)
            self.do(deploy.apply, self.files(LIVE), first=first)
        self.take_in(0)
        if given_up:
            goes = data.draw(st.booleans())
            self.lose_patience(data.draw(NO_ANSWER), data.draw(SECOND), goes, late)

    @rule(number=st.integers(0, ORDERS))
    def an_order_comes_in(self, number: int) -> None:
        self.take_in(number)

    @rule(fates=FATES, crash=CRASHES)
    def a_worker_works(self, fates: list[Said], crash: str | None) -> None:
        self.work(fates, crash)

    @rule(fates=FATES)
    def workers_have_died_and_the_time_of_their_leases_is_over(self, fates: list[Said]) -> None:
        self.end_leases()
        self.work(fates)

    @rule(crash=CRASHES)
    def what_was_left_behind_is_taken_up(self, crash: str | None) -> None:
        self.end_leases()
        with self.crashing(crash):
            recover(self.engine, post=self.world.post, clock=self.world.clock)

    @rule(which=st.integers(0, 99), crash=CRASHES)
    def an_answer_comes_when_it_was_given_up(self, which: int, crash: str | None) -> None:
        """A worker whose database was away hears of an attempt that others have looked after since."""
        late = self.provider.late
        if late:
            token = late[which % len(late)]
            with self.crashing(crash):
                self.answer_late(token)

    def answer_late(self, token: str) -> None:
        attempt, now = self.provider.attempts[token], self.world.clock.now()
        answer = Accepted("X") if attempt.taken else RetrySafe(now, "503, and it was not taken")
        settle(self.engine, {attempt.message_id: token}, {token: answer}, clock=self.world.clock)
        attempt.sure = not attempt.taken
        if attempt.taken:
            self.told.add(token)

    @rule()
    def what_its_sender_waited_for_is_over(self) -> None:
        self.let_senders_try()

    @rule(hours=st.sampled_from([0.02, 1, 5, 26, 80]))
    def time_passes(self, hours: float) -> None:
        self.pass_time(hours * HOUR)

    @rule(hears=st.booleans())
    def the_webhook_breaks_or_is_mended(self, hears: bool) -> None:
        self.hears = hears

    @rule(crash=CRASHES)
    def the_provider_reports(self, crash: str | None) -> None:
        if self.hears:
            self.reports_arrive()
            with self.crashing(crash):
                sweep(self.engine, library=self.world.library, post=self.world.post, clock=self.world.clock)

    @precondition(lambda self: self.posted)
    @rule(which=st.integers(0, 99), count=st.integers(1, 4), anew=st.booleans())
    def it_reports_again_and_in_another_order(self, which: int, count: int, anew: bool) -> None:
        some = [dict(self.posted[(which + n) % len(self.posted)]) for n in range(count)]
        for one in some if anew else ():
            one["sg_event_id"] += " again"
        self.post(some[::-1])

    @rule(fates=FATES)
    def a_day_like_any_other(self, fates: list[Said]) -> None:
        """Letters leave, are reported on, and so is one that leaves later: after that, absence can be proven."""
        self.hears = True
        self.let_senders_try()
        self.work(fates)
        self.pass_time(HOUR)
        self.take_in(len(self.world.rows("orders")))
        self.work()
        self.pass_time(26 * HOUR)
        self.reports_arrive()
        self.end_leases()
        recover(self.engine, post=self.world.post, clock=self.world.clock)
        self.work()

    @rule(fate_=NO_ANSWER, second=SECOND, goes=st.booleans(), late=LATE)
    def somebody_loses_patience(self, fate_: Said, second: list[Said], goes: bool, late: str) -> None:
        self.lose_patience(fate_, second, goes, late)

    def lose_patience(self, fate_: Said, second: list[Said], goes: bool, late: str) -> None:
        """A letter leaves, no answer comes, and somebody orders it again before anything can be heard of it."""
        if late != "never":
            fate_ = Said.DIES_TAKEN if fate_ in TAKES else Said.DIES_LOST
        self.let_senders_try()
        self.take_in(len(self.world.rows("orders")))
        self.work([fate_])
        self.end_leases()
        recover(self.engine, post=self.world.post, clock=self.world.clock)
        self.world.clock.move_to(self.world.clock.now() + timedelta(minutes=3))
        self.order_again(0, None)
        token = self.provider.late[-1] if self.provider.late else None
        if token and late == "before":
            self.answer_late(token)
        if goes or late == "after":
            self.let_senders_try()
            self.work(second)
        if token and late == "after":
            self.answer_late(token)

    # -- what customers do, who can do it only when they got a letter --

    def got(self, which: int) -> Attempt | None:
        taken = [one for one in self.provider.attempts.values() if one.taken]
        return taken[which % len(taken)] if taken else None

    @rule(which=st.integers(0, 99), choice=st.sampled_from(["fine", "broken"]), crash=CRASHES)
    def a_customer_answers(self, which: int, choice: str, crash: str | None) -> None:
        if one := self.got(which):
            self.do(answers.confirm, one.mail.token, choice, "", library=self.world.library, crash=crash)

    @rule(which=st.integers(0, 99), crash=CRASHES)
    def a_customer_replies(self, which: int, crash: str | None) -> None:
        if one := self.got(which):
            self.mails += 1
            to = {"Reply-To": one.mail.reply_to, "Subject": one.mail.subject, "Message-ID": one.mail.message_id}
            with self.crashing(crash):
                self.world.hear(a_reply(to, "Thank you.", message_id=f"<{self.mails}@mail.example>"))

    @rule(which=st.integers(0, 99), really=SELDOM, crash=CRASHES)
    def a_customer_unsubscribes(self, which: int, really: bool, crash: str | None) -> None:
        if really and (one := self.got(which)):
            self.do(stop.unsubscribe_by_link, one.mail.token, suppression_key=KEY, crash=crash)

    @rule(person=st.integers(0, PEOPLE - 1))
    def somebody_answers_a_customer(self, person: int) -> None:
        self.do(converse.close_if_open, f"c{person}@example.com", library=self.world.library)

    # -- what operators do --

    def files(self, workflow: str) -> dict[str, str]:
        return self.world.files | {"workflows/check-in.yaml": workflow}

    @rule(really=SELDOM, crash=CRASHES)
    def everything_is_halted(self, really: bool, crash: str | None) -> None:
        if really:
            self.do(halt.halt, "a moment", crash=crash)

    @rule(crash=CRASHES)
    def and_goes_on(self, crash: str | None) -> None:
        self.do(halt.unhalt, library=self.world.library, crash=crash)

    @rule(status=st.sampled_from([LIVE, LIVE, LIVE, PAUSED]), first=st.sampled_from([None, None, 1]), crash=CRASHES)
    def a_folder_is_applied(self, status: str, first: int | None, crash: str | None) -> None:
        self.do(deploy.apply, self.files(status), first=first, crash=crash)

    @rule()
    def a_worker_starts(self) -> None:
        deploy.retry_blocked(self.engine)

    @rule(which=st.integers(0, 99), crash=CRASHES)
    def somebody_marks_a_letter_as_sent(self, which: int, crash: str | None) -> None:
        if row := self.pick(which, "unknown"):
            self.marked.add(self.letter(row))
            self.do(fate.mark_sent, row.id, crash=crash)

    @rule(which=st.integers(0, 99), crash=CRASHES)
    def somebody_orders_a_letter_again(self, which: int, crash: str | None) -> None:
        self.order_again(which, crash)

    def order_again(self, which: int, crash: str | None) -> None:
        if row := self.pick(which, "unknown"):
            before = len(self.given_up(row.id))
            self.do(fate.resend, row.id, library=self.world.library, crash=crash)
            self.resends[self.letter(row)] += len(self.given_up(row.id)) - before

    @rule(which=st.integers(0, 99), crash=CRASHES)
    def somebody_withdraws_a_letter(self, which: int, crash: str | None) -> None:
        if row := self.pick(which, "due", "held", "blocked"):
            self.do(fate.cancel, row.id, crash=crash)

    @rule(which=st.integers(0, 99), crash=CRASHES)
    def somebody_has_read_a_letter(self, which: int, crash: str | None) -> None:
        if row := self.pick(which, "held"):
            self.do(approve.release_letters, [row.id], library=self.world.library, crash=crash)

    @rule()
    def all_first_letters_go(self) -> None:
        self.do(approve.release_workflow, "check-in", library=self.world.library)

    @rule(crash=CRASHES)
    def what_is_proven_goes_again(self, crash: str | None) -> None:
        before = {row.token for row in self.tokens("past_tokens")}
        self.do(fate.resend_proven, library=self.world.library, crash=crash)
        for token in {row.token for row in self.tokens("past_tokens")} - before:
            attempt = self.provider.attempts.get(token)
            assert attempt is None or not attempt.taken, "it was proven not to be accepted, and it was"

    @rule()
    def a_backup_is_taken(self) -> None:
        with reading(self.engine) as conn:
            tables = {
                table.name: [dict(row._mapping) for row in conn.execute(select(table))]
                for table in metadata.sorted_tables
            }
        self.backup = (self.world.clock.now(), tables)

    @precondition(lambda self: self.backup is not None)
    @rule(minutes=st.sampled_from([0, 1, 90]), crash=CRASHES)
    def it_is_restored(self, minutes: int, crash: str | None) -> None:
        assert self.backup is not None
        since, tables = self.backup
        self.restored = True
        self.pass_time(timedelta(minutes=minutes))
        wipe(self.engine)
        with writing(self.engine) as conn:
            for table in metadata.sorted_tables:
                if rows := tables[table.name]:
                    conn.execute(insert(table), rows)
        self.due_at = {}
        self.do(restore.recovered, since, crash=crash)
        self.do(restore.recovered, since)  # until it says that it is done
        known = {row.token for name in ("messages", "past_tokens") for row in self.tokens(name)}
        self.forgotten |= set(self.provider.attempts) - known
        self.pass_time(timedelta(minutes=1))
        for number in range(len(self.orders)):
            self.take_in(number)

    # -- what holds --

    def tokens(self, table: str) -> list[Any]:
        of = metadata.tables[table]
        with reading(self.engine) as conn:
            return list(conn.execute(select(of)))

    def given_up(self, message_id: int) -> list[Any]:
        return [row for row in self.tokens("past_tokens") if row.message_id == message_id]

    @invariant()
    def no_attempt_is_made_twice(self) -> None:
        assert len(self.provider.posts) == len(set(self.provider.posts))

    @invariant()
    def nobody_gets_a_letter_twice_unless_somebody_ordered_it(self) -> None:
        for letter, times in self.provider.taken().items():
            assert times <= 1 + self.resends[letter], f"{letter} was taken {times} times"

    @invariant()
    def what_counts_as_accepted_was_taken(self) -> None:
        taken = self.provider.taken()
        for row in self.world.rows("messages"):
            if row.state == "accepted":
                letter, attempt = self.letter(row), self.provider.attempts.get(row.token)
                assert taken[letter] or letter in self.marked, f"{letter} never left"
                assert (attempt and attempt.taken) or letter in self.marked, f"{letter}: another attempt was taken"

    @invariant()
    def every_letter_that_was_taken_is_found_by_its_token(self) -> None:
        now = {row.token: row.id for row in self.world.rows("messages") if row.token}
        past = {row.token: row.message_id for row in self.tokens("past_tokens")}
        assert not now.keys() & past.keys()
        for token, attempt in self.provider.attempts.items():
            if not attempt.sure and token not in self.forgotten:
                assert token in now or token in past, f"{attempt.letter} of {attempt.at} was forgotten"

    @invariant()
    def due_times_never_move_backwards(self) -> None:
        for row in self.world.rows("messages"):
            if row.due_at is None:
                continue
            assert row.due_at >= self.due_at.get(row.id, row.due_at), f"message {row.id} ({row.state})"
            self.due_at[row.id] = row.due_at

    @invariant()
    def a_state_and_its_columns_fit(self) -> None:
        for row in self.world.rows("messages"):
            assert (row.state in {"claimed", "sending"}) <= (row.leased_until is not None)
            assert (row.state == "due") <= (row.due_at is not None)
            assert (row.state in {"due", "held", "claimed", "blocked"}) <= (row.token is None)
            assert (row.state in {"sending", "accepted", "unknown"}) <= (row.token is not None)
            assert (row.state == "accepted") == (row.accepted_at is not None)
            assert (row.outcome is not None) <= (row.state in {"accepted", "rejected"})

    def teardown(self) -> None:
        """Let every report arrive and every worker come to its end: then nothing is in anybody's hands."""
        failpoints.arm(None)
        self.end_leases()
        self.let_senders_try()
        self.reports_arrive()
        for _ in range(2):
            recover(self.engine, post=self.world.post, clock=self.world.clock)
            self.work()
            self.let_senders_try()
        self.reports_arrive()
        self.work()
        rows = self.world.rows("messages")
        assert not [row.state for row in rows if row.state in {"claimed", "sending"}]
        self.no_attempt_is_made_twice()
        self.nobody_gets_a_letter_twice_unless_somebody_ordered_it()
        self.what_counts_as_accepted_was_taken()
        self.what_was_reported_is_on_the_record(rows)

    def what_was_reported_is_on_the_record(self, rows: Sequence[Any]) -> None:
        reported = {event["fu_token"] for event in self.posted} - self.forgotten
        heard = {row.token for row in self.world.rows("provider_events")}
        taken = Counter(
            one.letter for token, one in self.provider.attempts.items() if one.taken and token in reported & heard
        )
        twice = {row.data["message_id"] for row in self.world.rows("events") if row.kind == "message.sent_again"}
        for row in rows:
            letter = self.letter(row)
            if taken[letter]:
                assert row.state == "accepted", f"{letter} was reported on, and is {row.state}"
            if letter not in self.marked and not self.restored:
                assert (row.id in twice) <= (self.provider.taken()[letter] > 1), f"{letter} was not sent twice"
                assert (taken[letter] > 1) <= (row.id in twice), f"nobody says that {letter} was sent twice"
