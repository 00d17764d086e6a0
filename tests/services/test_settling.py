"""Between a letter's leaving and its place on the record: answers that come apart, late, or while nobody can write."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select, text, update
from sqlalchemy.engine import make_url

from followup import failpoints
from followup.clock import SystemClock
from followup.core.message import Accepted, Misconfigured, Rejected, RetrySafe, Unknown
from followup.errors import TemporaryError
from followup.mail.outbox import Outbox
from followup.mail.sendgrid import SendGrid
from followup.services.settle import settle
from followup.services.sweep import recover
from followup.store.engine import make_engine, reading, writing
from followup.store.schema import enrollments, messages
from followup.store.types import real_now
from tests.local_sendgrid import LocalSendGrid
from tests.services.world import CHECK_IN, MONDAY, Scripted, World, a_purchase

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
PATIENCE = 30.0


class OneByOne:
    """A transport that lets the test look at the record between two answers."""

    name = "one by one"

    look: Callable[[], object]

    def __init__(self, *answers) -> None:
        self.answers = answers
        self.seen: list[object] = []

    def send(self, mails, *, may_begin):
        for mail, answer in zip(mails, self.answers, strict=True):
            yield [(mail, answer)]
            self.seen.append(self.look())

    def recover(self, mail):
        raise AssertionError("nothing was lost")


def shop_with(engine: Engine, folder: Path, transport, customers: int = 1) -> World:
    shop = World(engine, folder, transport=transport, check_in=AT_ONCE)
    shop.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(customers)))
    return shop


def test_an_answer_is_on_the_record_before_the_next_one_comes(engine: Engine, tmp_path: Path) -> None:
    transport = OneByOne(Accepted("X"), RetrySafe(MONDAY + timedelta(hours=1), "busy"), Rejected("no"))
    shop = shop_with(engine, tmp_path, transport, customers=3)
    transport.look = shop.states
    shop.drain()
    assert transport.seen == [
        ["accepted", "sending", "sending"],
        ["accepted", "due", "sending"],
        ["accepted", "due", "rejected"],
    ]


# -- a database that is away while a request is on its way --


@pytest.fixture
def switch(postgres_server: str, postgres_url: str) -> Iterator[Callable[[bool], None]]:
    """Yield what takes the test's database away (False) and brings it back (True)."""
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    name = make_url(postgres_url).database

    def turn(on: bool) -> None:
        with admin.connect() as conn:
            conn.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {'true' if on else 'false'}"))
            if not on:
                conn.execute(
                    text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
                )

    yield turn
    turn(True)
    admin.dispose()


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Accepted("X"), "accepted"),
        (RetrySafe(MONDAY + timedelta(hours=1), "busy"), "due"),
        (Rejected("no such mailbox"), "rejected"),
        (Misconfigured("the key is wrong"), "blocked"),
        (Unknown("no answer"), "unknown"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_what_the_provider_said_is_not_forgotten_while_the_database_is_away(
    switch: Callable[[bool], None], postgres_url: str, tmp_path: Path, answer, state: str
) -> None:
    class Meanwhile(Scripted):
        def send(self, mails, *, may_begin):
            switch(False)
            threading.Timer(1.2, switch, (True,)).start()
            yield from super().send(mails, may_begin=may_begin)

    engine = make_engine(postgres_url)
    shop = shop_with(engine, tmp_path, Meanwhile(answer=answer))
    shop.drain()
    assert shop.states() == [state]
    assert len(shop.post.transport.sent) == 1
    engine.dispose()


def test_a_letter_that_could_not_begin_because_the_database_went_away_is_sent_later(
    switch: Callable[[bool], None], postgres_url: str, tmp_path: Path
) -> None:
    class AwayAtTheLastMoment(Scripted):
        @property
        def name(self) -> str:  # asked for while token and payload are being written down
            if not self.was_asked:
                self.was_asked = True
                switch(False)
                threading.Timer(1.2, switch, (True,)).start()
            return "scripted"

        was_asked = False

    engine = make_engine(postgres_url)
    shop = shop_with(engine, tmp_path, AwayAtTheLastMoment())
    with pytest.raises(TemporaryError):
        shop.drain()
    assert (shop.states(), shop.post.transport.sent) == (["claimed"], [])
    with writing(engine) as conn:
        conn.execute(update(messages).values(leased_until=real_now(-1)))
    shop.drain()
    assert (shop.states(), len(shop.post.transport.sent)) == (["accepted"], 1)
    engine.dispose()


# -- a commit whose own answer got lost --


@pytest.fixture
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


@pytest.mark.usefixtures("disarmed")
@pytest.mark.parametrize("side", ["", "+"], ids=["not committed", "committed"])
@pytest.mark.parametrize("commit", ["deliver.claim", "deliver.begin", "settle"])
def test_after_a_commit_of_which_nobody_heard_the_row_is_asked_and_no_letter_goes_twice(
    engine: Engine, tmp_path: Path, commit: str, side: str
) -> None:
    with LocalSendGrid() as server:
        shop = shop_with(engine, tmp_path, SendGrid(server.api_key, SystemClock(), url=server.url), customers=3)
        failpoints.arm(f"{commit}{side}:1:raise")
        try:
            shop.drain()
        except TemporaryError:
            with writing(engine) as conn:  # the worker has left what it had; its leases end
                conn.execute(update(messages).values(leased_until=None).where(messages.c.state == "due"))
                conn.execute(update(messages).values(leased_until=real_now(-1)).where(messages.c.state == "claimed"))
            shop.drain()
        assert shop.states() == ["accepted"] * 3
        assert Counter(entry.to for entry in server.ledger) == dict.fromkeys([f"c{n}@example.com" for n in range(3)], 1)
        assert {row.token for row in shop.rows("messages")} == {entry.token for entry in server.ledger}


# -- answers that come when they were given up --


def test_an_acceptance_that_comes_late_is_proof(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Scripted(Unknown("no answer")))
    shop.drain()
    (row,) = shop.rows("messages")
    settle(engine, {row.id: row.token}, {row.token: RetrySafe(MONDAY, "busy")}, clock=shop.clock)
    assert shop.states() == ["unknown"], "what was given up goes again only when a person says so"
    settle(engine, {row.id: row.token}, {row.token: Accepted("X")}, clock=shop.clock)
    assert shop.states() == ["accepted"]
    shop.drain()
    assert shop.rows("enrollments")[0].wake_at == MONDAY + timedelta(days=3), "the run goes on: the reminder is next"


def test_only_the_way_out_that_had_a_letter_can_say_what_became_of_it(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Scripted(Unknown("no answer")))
    shop.drain()
    with writing(engine) as conn:  # its worker died, and then somebody set another way out
        conn.execute(update(messages).values(state="sending", leased_until=real_now(-1)))
    outbox = World(engine, tmp_path, transport=Outbox(tmp_path / "outbox", shop.clock), check_in=AT_ONCE)
    recover(engine, post=outbox.post, clock=outbox.clock)
    outbox.drain()
    assert shop.states() == ["unknown"]
    assert shop.rows("messages")[0].reason == "it was given to another way out (scripted)"
    assert outbox.letters() == []


# -- locks --


def test_giving_up_blocked_letters_takes_locks_in_the_order_of_everybody_else(
    postgres_url: str, tmp_path: Path
) -> None:
    engine = make_engine(postgres_url)
    shop = shop_with(engine, tmp_path, Scripted(Misconfigured("the key is wrong")))
    shop.drain()
    shop.clock.move_to(MONDAY + timedelta(days=30))
    giving_up = threading.Thread(target=recover, args=(engine,), kwargs={"post": shop.post, "clock": shop.clock})
    waits = select(text("count(*)")).select_from(text("pg_locks WHERE NOT granted"))
    with writing(engine) as conn:  # as advance does: the enrollment, and then its letters
        conn.execute(select(enrollments.c.id).with_for_update(key_share=True))
        giving_up.start()
        with reading(engine) as other:
            assert any(other.scalar(waits) for _ in iter(giving_up.is_alive, False))
        conn.execute(update(messages).values(reason="held by somebody"))
    giving_up.join(PATIENCE)
    assert shop.states() == ["expired"]
    engine.dispose()
