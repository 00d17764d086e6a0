"""A provider in trouble, from the letter's row to a real connection and back: what leaves, what waits, and how long."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from followup.clock import SystemClock
from followup.core.order import OrderStatus
from followup.mail.sendgrid import SendGrid
from followup.services import watch
from followup.store import schema, senders
from followup.store.engine import reading, writing
from followup.store.types import real_now
from tests.local_sendgrid import Behaviour, Entry, LocalSendGrid
from tests.services.world import CHECK_IN, World, a_purchase

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
BY_TOMAS = """\
workflow: by-tomas
title: Does it stick?
status: live
owner: tomas
sender: tomas
trigger: {event: order.paid}
steps: [{send: advice}]
"""
NEVER_TWICE = [
    Behaviour.FAIL,
    Behaviour.UNAVAILABLE,
    Behaviour.ACCEPT_THEN_FAIL,
    Behaviour.HANG,
    Behaviour.ACCEPT_THEN_HANG,
    Behaviour.BREAK,
    Behaviour.ACCEPT_THEN_BREAK,
    Behaviour.RESET,
    Behaviour.BREAK_BEFORE,
    Behaviour.GARBAGE,
    Behaviour.ACCEPT_THEN_TRUNCATE,
    Behaviour.ACCEPT_WRONG_LENGTH,
    Behaviour.ACCEPT_SLOWLY,
    Behaviour.REDIRECT,
    Behaviour.CREATED,
]


class Shop:
    """A shop whose letters go to a local SendGrid over HTTP."""

    def __init__(self, engine: Engine, folder: Path, server: LocalSendGrid, **given: Any) -> None:
        transport = SendGrid(server.api_key, SystemClock(), url=server.url, **given)
        self.world = World(engine, folder, transport=transport, check_in=AT_ONCE, by_tomas=BY_TOMAS)
        self.server, self.engine, self._orders = server, engine, 0

    def order(self, number: int = 1, **given: Any) -> None:
        """Let so many customers' orders arrive; a letter of Nell's is due to each at once."""
        numbers = range(self._orders, self._orders + number)
        self._orders += number
        now = self.world.clock.now()
        given = {"delivered_at": now, **given}
        self.world.take_in(*(a_purchase(f"T-{n}", email=f"customer{n}@example.com", **given) for n in numbers))

    def send(self, number: int = 1) -> None:
        """Let so many orders arrive and do what is due."""
        self.order(number)
        self.world.drain()

    def states(self) -> Counter[str]:
        return Counter(self.world.states())

    def set_sender(self, **values: object) -> None:
        with writing(self.engine) as conn:
            conn.execute(update(schema.senders).values(values))

    def sender(self, key: str = "nell") -> Any:
        return next(row for row in self.rows_of_senders() if row.key == key)

    def rows_of_senders(self) -> list[Any]:
        with reading(self.engine) as conn:
            return list(conn.execute(schema.senders.select()))

    def wait_is_over(self) -> None:
        """Let the time be over for which the sender's letters wait."""
        self.set_sender(closed_until=real_now(-1))

    def troubles(self) -> set[str]:
        with reading(self.engine) as conn:
            return {one.key for one in watch.conditions(conn, now=self.world.clock.now(), expects_events=False)}


@pytest.fixture
def server() -> Iterator[LocalSendGrid]:
    with LocalSendGrid(drip_seconds=0.05) as server:
        yield server


@pytest.fixture
def shop(engine: Engine, tmp_path: Path, server: LocalSendGrid) -> Iterator[Shop]:
    """Yield a shop that waits for no answer for long."""
    shop = Shop(engine, tmp_path, server, deadline_seconds=1)
    yield shop
    shop.world.post.transport.close()  # type: ignore[attr-defined]


def test_what_may_have_been_taken_is_posted_once_however_long_one_waits(shop: Shop) -> None:
    shop.server.script(*NEVER_TWICE)
    shop.send(len(NEVER_TWICE))
    assert shop.states() == {"unknown": len(NEVER_TWICE)}
    for _ in range(3):
        shop.wait_is_over()
        shop.world.later(days=2)
    assert shop.states() == {"unknown": len(NEVER_TWICE)}
    assert len(shop.server.ledger) == len({entry.token for entry in shop.server.ledger}) == len(NEVER_TWICE)


# -- the breaker --


def test_the_breaker_opens_after_three_and_one_letter_at_a_time_tries(shop: Shop) -> None:
    shop.server.default = Behaviour.UNAVAILABLE
    for number in (1, 2, 3):
        assert shop.troubles() <= {"unknown"}
        shop.send()
        assert len(shop.server.ledger) == number
    assert shop.troubles() == {"unknown", "provider"}
    shop.send(5)
    assert (len(shop.server.ledger), shop.states()) == (3, {"unknown": 3, "due": 5}), "nothing more leaves"

    waits = []
    for tries in (1, 2):
        shop.wait_is_over()
        before = real_time(shop)
        shop.world.drain()
        assert len(shop.server.ledger) == 3 + tries, "one letter tries"
        waits.append(round((shop.sender().closed_until - before).total_seconds() / 30))
    assert waits == [2, 4], "twice as long each time"

    shop.server.default = Behaviour.ACCEPT
    shop.wait_is_over()
    shop.world.drain()
    assert shop.states() == {"unknown": 5, "accepted": 3}, "one got through, and so all leave"
    assert shop.troubles() == {"unknown"}
    assert set(Counter(entry.to for entry in shop.server.ledger).values()) == {1}


def real_time(shop: Shop) -> Any:
    with reading(shop.engine) as conn:
        return senders.all_of(conn)[1]


def test_three_failures_that_lie_further_apart_do_not_open_it(shop: Shop) -> None:
    shop.server.default = Behaviour.UNAVAILABLE
    shop.send()
    shop.send()
    shop.set_sender(failing_since=real_now(-61))
    shop.send()
    shop.server.default = Behaviour.ACCEPT
    shop.send(2)
    assert shop.states() == {"unknown": 3, "accepted": 2}


def test_an_outage_costs_a_wave_and_no_more(shop: Shop) -> None:
    shop.server.default = Behaviour.UNAVAILABLE
    shop.send(60)
    shop.world.later(hours=1)
    assert shop.states()["unknown"] == len(shop.server.ledger) <= 32
    assert shop.states()["due"] >= 28


def test_the_breaker_of_one_person_is_not_that_of_another(engine: Engine, tmp_path: Path) -> None:
    def nell_fails(entry: Entry) -> Behaviour | None:
        return Behaviour.UNAVAILABLE if entry.payload["from"]["email"] == "nell@forge.example" else None

    with LocalSendGrid(decide=nell_fails) as server:
        shop = Shop(engine, tmp_path, server)
        for _ in range(3):
            shop.send()
        paid(shop, 4)
        shop.send()
        assert Counter(map(signed_and_state, shop.world.rows("messages"))) == {
            ("nell", "unknown"): 3,
            ("nell", "due"): 1,
            ("tomas", "accepted"): 4,
        }


def signed_and_state(row: Any) -> tuple[str, str]:
    return row.sender, row.state


def paid(shop: Shop, number: int) -> None:
    """Let so many orders be paid: a letter of Tomás's is due to each."""
    now = shop.world.clock.now()
    one = a_purchase(delivered_at=None, status=OrderStatus.PAID, placed_at=now - timedelta(hours=1))
    for n in range(number):
        address = f"paid{n}@example.com"
        shop.world.take_in(
            replace(
                one,
                customer=replace(one.customer, address=address, email=address),
                order=replace(one.order, external_id=f"P-{n}", number=f"P-{n}", paid_at=now),
            )
        )


# -- a provider that refuses us, or wants us to wait --


@pytest.mark.parametrize("refusal", [Behaviour.UNAUTHORIZED, Behaviour.FORBIDDEN])
def test_a_refusal_pauses_its_sender_alone_and_keeps_every_letter(
    engine: Engine, tmp_path: Path, refusal: Behaviour
) -> None:
    refused = {"nell@forge.example"}

    def decide(entry: Entry) -> Behaviour | None:
        return refusal if entry.payload["from"]["email"] in refused else None

    with LocalSendGrid(decide=decide) as server:
        shop = Shop(engine, tmp_path, server)
        shop.send()
        shop.send(5)
        paid(shop, 2)
        shop.world.later(minutes=4)
        assert Counter(map(signed_and_state, shop.world.rows("messages"))) == {
            ("nell", "blocked"): 1,
            ("nell", "due"): 5,
            ("tomas", "accepted"): 2,
        }
        assert shop.troubles() == {"sender", "blocked"}
        assert len(server.ledger) == 3, "one was refused, and nobody goes on asking"

        refused.clear()
        shop.world.apply(check_in=AT_ONCE, by_tomas=BY_TOMAS)
        shop.world.drain()
        assert shop.states() == {"accepted": 8}
        assert shop.troubles() == set()


@pytest.mark.parametrize(
    ("limit", "shortest", "longest"),
    [
        (Behaviour.LIMIT, 25, 35),  # the machine's clock may be set meanwhile
        (Behaviour.LIMIT_PAST, 1, 15),
        (Behaviour.LIMIT_FAR, 3590, 3605),
        (Behaviour.LIMIT_GARBAGE, 1, 15),
    ],
)
def test_a_limit_stops_its_sender_until_it_ends_and_is_no_failure(
    shop: Shop, limit: Behaviour, shortest: int, longest: int
) -> None:
    shop.world.clock.move_to(SystemClock().now())  # as the server's, whose limit is a time of day
    shop.server.script(limit)
    shop.send()
    shop.send(3)
    assert (shop.states(), len(shop.server.ledger)) == ({"due": 4}, 1)
    sender = shop.sender()
    wait = (sender.closed_until - SystemClock().now()).total_seconds()
    assert wait <= longest
    assert shop.rows_of_senders()[0].trips == 0
    due = next(row.due_at for row in shop.world.rows("messages") if row.reason)
    assert (due - shop.world.clock.now()).total_seconds() >= shortest

    shop.wait_is_over()
    shop.world.later(hours=2)
    assert shop.states() == {"accepted": 4}


def test_without_a_connection_a_letter_waits_longer_each_time_and_is_sent_once(
    engine: Engine, tmp_path: Path, server: LocalSendGrid
) -> None:
    shop = Shop(engine, tmp_path, server)
    nowhere = SendGrid(server.api_key, shop.world.clock, url="http://no-such-host.invalid")
    there, shop.world.post = shop.world.post, replace(shop.world.post, transport=nowhere)
    shop.order()
    waits = []
    for _ in range(8):
        shop.world.drain()
        [row] = shop.world.rows("messages")
        waits.append((row.due_at - shop.world.clock.now()).total_seconds() / 60)
        shop.world.clock.move_to(row.due_at)
    assert all(wait <= 60 for wait in waits)
    assert waits[0] <= 1.1
    assert all(waits[n + 2] > waits[n] for n in range(4)), "half of its length is by chance"
    assert shop.rows_of_senders() == [] or shop.sender().closed_until is None, "the provider has nothing to do with it"
    shop.world.post = there
    shop.world.drain()
    assert (shop.states(), len(server.ledger)) == ({"accepted": 1}, 1)
