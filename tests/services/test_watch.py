"""What is noticed, and how often somebody is told: rows in a real database, a clock that is moved by hand."""

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, update

from followup.clock import VirtualClock
from followup.core.message import HaltScope, MessageState
from followup.core.sender import Sender
from followup.services import quarantine
from followup.services.watch import Trouble, conditions, only_log, span, tell_by_post, watch
from followup.store import alerts, halts, inbound_mail, senders, signs
from followup.store.engine import reading, writing
from followup.store.schema import alerts as alerts_table
from followup.store.schema import enrollments as enrollments_table
from followup.store.schema import provider_events, signs_of_life
from followup.store.types import real_now
from tests.store.make import START, a_customer, a_mail, a_message, an_enrollment, at

MINUTE = 1 / 60


def found(engine: Engine, *, hours: float = 0, events: bool = False) -> dict[str, str]:
    """Return what is wrong so many hours after the start, by key."""
    with reading(engine) as conn:
        return {one.key: one.text for one in conditions(conn, now=at(hours), expects_events=events)}


def swept(conn: Connection, *, seconds_ago: int) -> None:
    signs.seen(conn, signs.SWEEP)
    conn.execute(update(signs_of_life).values(seen_at=real_now(-seconds_ago)))


def an_event(conn: Connection, hours: float) -> None:
    row = {"provider": "sendgrid", "event_id": str(hours), "received_at": at(hours), "raw": {}, "state": "received"}
    conn.execute(provider_events.insert(), [row])


def pause(conn: Connection, reason: str) -> None:
    senders.lock(conn, ["nell"])
    senders.save(conn, Sender(key="nell", paused=reason))


# -- what is wrong --


def test_nothing_is_wrong_with_an_empty_shop(engine: Engine) -> None:
    assert found(engine, hours=1000, events=True) == {}


def test_a_provider_that_refuses_us_is_said_with_its_reason(engine: Engine) -> None:
    with writing(engine) as conn:
        halts.halt(conn, HaltScope.ALL, reason="we wanted to", now=at(0))
    assert found(engine) == {}, "an operator knows what they did"
    with writing(engine) as conn:
        pause(conn, "401 the key is revoked")
    assert "(401 the key is revoked)" in found(engine)["sender"]


def test_blocked_letters_are_counted_and_the_first_reason_is_given(engine: Engine) -> None:
    with writing(engine) as conn:
        for reason in ("no such person", "no such letter"):
            a_message(conn, MessageState.BLOCKED, set_={"reason": reason})
        enrolled_asleep(conn)
    assert found(engine)["blocked"].startswith("2 letters are blocked. The first one: no such person.")


def test_one_letter_of_unknown_fate_is_one_letter(engine: Engine) -> None:
    with writing(engine) as conn:
        a_message(conn, MessageState.UNKNOWN)
        enrolled_asleep(conn)
    assert found(engine)["unknown"].startswith("1 letter is of unknown fate")


def enrolled_asleep(conn: Connection) -> None:
    """Let no run be due: what the test is about is not the sweep."""
    conn.execute(update(enrollments_table).values(wake_at=None))


@pytest.mark.parametrize("what", ["run", "letter", "mail"])
def test_whatever_is_due_and_not_looked_at_is_noticed(engine: Engine, what: str) -> None:
    with writing(engine) as conn:
        if what == "mail":
            a_mail(conn)
        elif what == "run":
            an_enrollment(conn)
        else:
            a_message(conn)
            enrolled_asleep(conn)
        swept(conn, seconds_ago=150)
    assert "no worker has looked for 2 minutes" in found(engine)["sweep"]


@pytest.mark.parametrize(("seconds_ago", "hours", "noticed"), [(60, 1, False), (150, 1, True), (150, -1, False)])
def test_a_worker_is_missed_after_two_minutes_and_only_while_something_is_due(
    engine: Engine, seconds_ago: int, hours: float, noticed: bool
) -> None:
    with writing(engine) as conn:
        an_enrollment(conn)
        swept(conn, seconds_ago=seconds_ago)
    assert ("sweep" in found(engine, hours=hours)) is noticed


def test_a_worker_that_was_never_started_is_missed_after_five_minutes(engine: Engine) -> None:
    with writing(engine) as conn:
        an_enrollment(conn)
    assert found(engine, hours=5 * MINUTE) == {}
    assert "no worker has ever run" in found(engine, hours=6 * MINUTE)["sweep"]


def test_mail_that_nobody_read_for_a_quarter_of_an_hour_is_noticed(engine: Engine) -> None:
    with writing(engine) as conn:
        key = a_mail(conn)
        swept(conn, seconds_ago=1)
    assert found(engine, hours=15 * MINUTE) == {}
    assert "unread for 16 minutes" in found(engine, hours=16 * MINUTE)["inbound"]
    with writing(engine) as conn:
        inbound_mail.finish(conn, key, inbound_mail.InboundState.PROCESSED)
    assert found(engine, hours=1) == {}


def set_aside(engine: Engine, why: str, *, hours: float = 0, posts: int = 1, size_bytes: int = 9) -> None:
    with writing(engine) as conn:
        for number in range(posts):
            raw = Random(f"{why} {number}").randbytes(size_bytes)
            inbound_mail.add(conn, raw, channel="sendgrid", now=at(hours), trouble=why)


def test_mail_that_was_set_aside_for_its_signature_is_noticed_for_a_day(engine: Engine) -> None:
    set_aside(engine, quarantine.NO_FORM)
    assert found(engine) == {}, "no mail of SendGrid's ever comes like that"
    set_aside(engine, quarantine.UNSIGNED, posts=2)
    noticed = found(engine, hours=23.9)
    assert list(noticed) == ["unsigned"]
    assert noticed["unsigned"].startswith("Within a day 2 mails were set aside unread, because no key in FOLLOWUP_")
    for command in ("followup inbound list", "followup inbound retry NUMBER", "restart followup web"):
        assert command in noticed["unsigned"]
    assert found(engine, hours=24.1) == {}


def test_mail_that_somebody_had_read_after_all_is_no_trouble_any_more(engine: Engine) -> None:
    set_aside(engine, quarantine.UNSIGNED)
    with writing(engine) as conn:
        assert inbound_mail.reopen(conn, 1)
        inbound_mail.finish(conn, 1, inbound_mail.InboundState.PROCESSED)
    assert found(engine) == {}


@pytest.mark.parametrize(
    ("posts", "size_bytes", "is_full"),
    [
        (quarantine.MAX_POSTS - 1, 9, False),
        (quarantine.MAX_POSTS, 9, True),
        (1, quarantine.MAX_BYTES - 9_000, False),
        (1, quarantine.MAX_BYTES, True),
    ],
)
def test_that_nothing_more_can_be_set_aside_is_noticed(
    engine: Engine, posts: int, size_bytes: int, is_full: bool
) -> None:
    set_aside(engine, quarantine.TOO_LARGE, posts=posts, size_bytes=size_bytes)
    assert list(found(engine)) == (["quarantine"] if is_full else [])
    assert found(engine, hours=24.1) == {}


@pytest.mark.parametrize(
    ("accepted", "event", "now", "silent"),
    [
        (0, None, 0.9, False),  # the provider still has time
        (0, None, 1.1, True),
        (0, None, 23.9, True),
        (0, None, 24.1, False),  # nothing can be said of a feed that had nothing to report
        (0, -1, 2, True),  # what came before is about something else
        (0, 0.1, 2, False),
    ],
)
def test_a_provider_that_never_reports_is_noticed(
    engine: Engine, accepted: float, event: float | None, now: float, silent: bool
) -> None:
    with writing(engine) as conn:
        a_message(conn, MessageState.ACCEPTED, set_={"accepted_at": at(accepted)})
        enrolled_asleep(conn)
        if event is not None:
            an_event(conn, event)
    assert ("events" in found(engine, hours=now, events=True)) is silent
    assert found(engine, hours=now) == {}, "another transport reports nothing"


def test_the_last_letter_decides_whether_reports_have_stopped(engine: Engine) -> None:
    with writing(engine) as conn:
        customer = a_customer(conn)
        for hours in (0, 5):
            a_message(conn, MessageState.ACCEPTED, customer_id=customer, set_={"accepted_at": at(hours)})
        enrolled_asleep(conn)
        an_event(conn, 1)
    assert "events" not in found(engine, hours=5.5, events=True)
    assert "events" in found(engine, hours=6.5, events=True)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (172_799, "47 hours"),
        (172_800, "2 days"),
        (-5, "0 seconds"),
    ],
)
def test_a_span_is_told_in_the_unit_people_use(seconds: int, said: str) -> None:
    assert span(timedelta(seconds=seconds)) == said


# -- who is told, and how often --


@dataclass
class Ear:
    """Hears alerts, or does not."""

    works: bool = True
    heard: list[tuple[str, bool]] = field(default_factory=list)

    def __call__(self, trouble: Trouble, raised: bool) -> bool:
        if self.works:
            self.heard.append((trouble.key, raised))
        return self.works


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def refused(engine: Engine) -> Engine:
    """Return a database of a shop that the provider refuses."""
    with writing(engine) as conn:
        pause(conn, "401")
    return engine


def mend(engine: Engine) -> None:
    with writing(engine) as conn:
        senders.resume(conn)


def a_day_passes(engine: Engine) -> None:
    with writing(engine) as conn:
        conn.execute(update(alerts_table).values(told_at=real_now(-24 * 3600 - 1)))


def look(engine: Engine, clock: VirtualClock, ear: Ear) -> list[tuple[str, bool]]:
    """Watch once, and return what was heard by it."""
    ear.heard.clear()
    watch(engine, clock=clock, expects_events=False, tell=ear)
    return list(ear.heard)


def test_trouble_is_told_once_when_it_begins_and_once_when_it_is_over(refused: Engine, clock: VirtualClock) -> None:
    ear = Ear()
    assert look(refused, clock, ear) == [("sender", True)]
    assert look(refused, clock, ear) == []
    mend(refused)
    assert look(refused, clock, ear) == [("sender", False)]
    assert look(refused, clock, ear) == []


def test_trouble_that_lasts_is_told_every_day(refused: Engine, clock: VirtualClock) -> None:
    ear = Ear()
    look(refused, clock, ear)
    a_day_passes(refused)
    assert look(refused, clock, ear) == [("sender", True)]
    assert look(refused, clock, ear) == []


def test_what_could_not_be_told_is_tried_again_the_next_time(refused: Engine, clock: VirtualClock) -> None:
    ear = Ear(works=False)
    assert look(refused, clock, ear) == []
    ear.works = True
    assert look(refused, clock, ear) == [("sender", True)]
    mend(refused)
    ear.works = False
    assert look(refused, clock, ear) == []
    ear.works = True
    assert look(refused, clock, ear) == [("sender", False)]
    assert look(refused, clock, ear) == []


def test_a_daily_repetition_that_could_not_be_told_is_tried_again(refused: Engine, clock: VirtualClock) -> None:
    ear = Ear()
    look(refused, clock, ear)
    a_day_passes(refused)
    ear.works = False
    look(refused, clock, ear)
    ear.works = True
    assert look(refused, clock, ear) == [("sender", True)]


def test_trouble_that_nobody_heard_of_ends_without_a_word(refused: Engine, clock: VirtualClock) -> None:
    ear = Ear(works=False)
    look(refused, clock, ear)
    mend(refused)
    ear.works = True
    assert look(refused, clock, ear) == []
    with reading(refused) as conn:
        assert alerts.count(conn) == 0


def test_after_one_that_cannot_be_told_the_others_are_not_tried(refused: Engine, clock: VirtualClock) -> None:
    with writing(refused) as conn:
        a_message(conn, MessageState.UNKNOWN)
        enrolled_asleep(conn)
    tried: list[str] = []

    def deaf(trouble: Trouble, _raised: bool) -> bool:
        tried.append(trouble.key)
        return False

    watch(refused, clock=clock, expects_events=False, tell=deaf)
    assert len(tried) == 1, "each try may take seconds"
    assert look(refused, clock, Ear()) == [("sender", True), ("unknown", True)]


def test_many_that_watch_at_once_tell_each_thing_once(refused: Engine, clock: VirtualClock) -> None:
    with writing(refused) as conn:
        a_message(conn, MessageState.UNKNOWN)
        enrolled_asleep(conn)
    ear = Ear()
    together = threading.Barrier(4)

    def one(_: int) -> None:
        together.wait()
        watch(refused, clock=clock, expects_events=False, tell=ear)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    assert sorted(ear.heard) == [("sender", True), ("unknown", True)]
    mend(refused)
    ear.heard.clear()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    assert ear.heard == [("sender", False)]


def test_whatever_is_told_the_log_has_it_once(
    refused: Engine, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear(works=False)
    for _ in range(3):
        watch(refused, clock=clock, expects_events=False, tell=ear)
    [record] = [record for record in caplog.records if record.message == "alert.raised"]
    assert record.levelno == logging.ERROR
    assert record.__dict__["alert"] == "sender"
    assert "401" in record.__dict__["text"]
    watch(refused, clock=clock, expects_events=False, tell=only_log)
    a_day_passes(refused)
    watch(refused, clock=clock, expects_events=False, tell=only_log)
    assert [record.message for record in caplog.records].count("alert.raised") == 2


# -- by post --


@dataclass
class Receiver:
    """A web hook: what it answers, and what it got."""

    url: str
    status: int = 200
    hangs: threading.Event | None = None
    got: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def a_receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.hangs is not None:
                receiver.hangs.wait(30)
            receiver.got.append({"type": self.headers["Content-Type"]} | json.loads(body))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/T0/secret")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield receiver
    if receiver.hangs is not None:
        receiver.hangs.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as one:
        yield one


TROUBLE = Trouble("sender", "No letters leave.")


def test_an_alert_is_posted_as_json(receiver: Receiver, clock: VirtualClock) -> None:
    tell = tell_by_post(receiver.url, mode="live", clock=clock)
    assert tell(TROUBLE, True)
    assert tell(TROUBLE, False)
    known = {"type": "application/json", "key": "sender", "mode": "live", "at": "2026-03-02T09:00:00Z"}
    assert receiver.got == [
        known | {"state": "raised", "text": "No letters leave."},
        known | {"state": "resolved", "text": "Over: No letters leave."},
    ]


@pytest.mark.parametrize(("status", "heard"), [(204, True), (302, False), (404, False), (500, False)])
def test_only_an_answer_of_the_200s_counts_as_heard(
    receiver: Receiver, clock: VirtualClock, status: int, heard: bool
) -> None:
    receiver.status = status
    assert tell_by_post(receiver.url, mode="test", clock=clock)(TROUBLE, True) is heard


def test_a_receiver_that_is_down_has_not_heard(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    with a_receiver() as receiver:
        url = receiver.url
    assert not tell_by_post(url, mode="test", clock=clock)(TROUBLE, True)
    [record] = [record for record in caplog.records if record.message == "alert.not_told"]
    assert "secret" not in str(record.__dict__), "the path of a web hook is a password"


def test_a_receiver_that_hangs_is_given_up(receiver: Receiver, clock: VirtualClock) -> None:
    receiver.hangs = threading.Event()
    assert not tell_by_post(receiver.url, mode="test", clock=clock, timeout_seconds=0.2)(TROUBLE, True)


def test_what_is_no_url_has_not_heard_either(clock: VirtualClock) -> None:
    assert not tell_by_post("ftp://x", mode="test", clock=clock)(TROUBLE, True)


def test_an_alert_reaches_a_receiver_that_comes_back(refused: Engine, receiver: Receiver, clock: VirtualClock) -> None:
    tell = tell_by_post(receiver.url, mode="test", clock=clock)
    receiver.status = 500
    watch(refused, clock=clock, expects_events=False, tell=tell)
    receiver.status = 200
    for _ in range(2):
        watch(refused, clock=clock, expects_events=False, tell=tell)
    assert [one["state"] for one in receiver.got] == ["raised", "raised"]
    with reading(refused) as conn:
        assert [alert.key for alert in alerts.listed(conn)] == ["sender"]
