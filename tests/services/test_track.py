"""What the provider reports of letters comes onto their rows, in whatever order and however often it comes."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import Engine, update

from followup.core.message import Accepted, Rejected, Unknown
from followup.core.replies import InboundState
from followup.services.settle import settle
from followup.services.track import store_events, track
from followup.store import aliases, schema, signs
from followup.store.engine import reading, writing
from followup.store.schema import messages as table
from followup.store.types import real_now
from tests.services.world import MONDAY, Scripted, World, a_purchase, a_reply

KEY = "never-changes"


def sent(world: World, *, orders: int = 1) -> World:
    """Let a shop write to its one customer about each of her orders."""
    world.take_in(*(a_purchase(f"T-{n}") for n in range(1, orders + 1)))
    world.go_to(MONDAY + timedelta(days=2))
    world.drain()
    return world


@pytest.fixture
def asked(world: World) -> World:
    return sent(world)


@pytest.fixture
def lost(engine: Engine, tmp_path) -> World:
    """Return a shop whose one letter left, and no answer came."""
    world = sent(World(engine, tmp_path, transport=Scripted(Unknown("reply lost"))))
    assert world.states() == ["unknown"]
    return world


def an_event(world: World, kind: str, **more: Any) -> dict[str, Any]:
    """Return an event about the first letter, an hour after it left."""
    message = world.rows("messages")[0]
    return {
        "event": kind,
        "email": "Ana@Example.com",
        "timestamp": int(message.sending_at.timestamp()) + 3600,
        "fu_token": message.token,
        "sg_event_id": f"{kind} {sorted(more.items())}",
        "sg_message_id": "aBc-1_x.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
        "smtp-id": "<aBc-1_x@geopod-ismtpd-1.sendgrid.net>",
        **more,
    }


BACK_IN_FLIGHT = {
    "state": "sending",
    "accepted_at": None,
    "outcome": None,
    "provider_id": None,
    "leased_until": real_now(60),
}
BOUNCE = {"type": "bounce", "reason": "550 5.1.1 no such user"}


def post(world: World, *events: object) -> list[int]:
    return store_events(world.engine, json.dumps(events).encode(), clock=world.clock)


def apply(world: World, ids: list[int]) -> int:
    return track(world.engine, ids, suppression_key=KEY, clock=world.clock)


def report(world: World, *events: object) -> None:
    """Post events an hour or more after they happened, and apply them."""
    world.clock.move_to(MONDAY + timedelta(days=2, hours=3))
    apply(world, post(world, *events))


def event_states(world: World) -> list[str]:
    return [row.state for row in world.rows("provider_events")]


def timeline(world: World) -> list[str]:
    return [row.kind for row in world.rows("events")]


class TestOutcome:
    @pytest.mark.parametrize(
        ("kind", "more", "outcome"),
        [
            ("processed", {}, "accepted"),
            ("deferred", {"attempt": "3"}, "deferred"),
            ("delivered", {}, "delivered"),
            ("dropped", {"reason": "Spam Content"}, "dropped"),
            ("bounce", {"type": "blocked"}, "dropped"),
            ("bounce", BOUNCE, "bounced"),
            ("spamreport", {}, "complained"),
        ],
    )
    def test_each_event_is_the_outcome_of_the_letter(self, asked: World, kind, more, outcome) -> None:
        report(asked, an_event(asked, kind, **more))
        (message,) = asked.rows("messages")
        assert (message.state, message.outcome) == ("accepted", outcome)
        assert event_states(asked) == ["applied"]

    def test_the_gravest_stands(self, asked: World) -> None:
        report(asked, an_event(asked, "bounce", **BOUNCE))
        report(asked, an_event(asked, "delivered"))
        assert asked.rows("messages")[0].outcome == "bounced"

    def test_what_an_answer_said_stands(self, asked: World) -> None:
        name = asked.rows("messages")[0].provider_id
        report(asked, an_event(asked, "delivered"))
        assert asked.rows("messages")[0].provider_id == name != "aBc-1_x"

    @pytest.mark.parametrize("kind", ["open", "click", "group_resubscribe", "something new", "account_status_change"])
    def test_what_says_nothing_is_kept_and_changes_nothing(self, asked: World, kind: str) -> None:
        before = asked.rows("messages"), asked.rows("events")
        report(asked, an_event(asked, kind), {"event": kind, "sg_event_id": "of no letter"})
        assert (asked.rows("messages"), asked.rows("events")) == before
        assert event_states(asked) == ["ignored", "ignored"]

    def test_what_is_about_no_letter_of_ours_is_kept_as_that(self, asked: World) -> None:
        report(
            asked, an_event(asked, "bounce", fu_token="q" * 16, **BOUNCE), an_event(asked, "delivered", fu_token=None)
        )
        assert event_states(asked) == ["unmatched", "unmatched"]
        assert asked.rows("suppressions") == []

    def test_a_letter_that_was_refused_stays_refused(self, engine: Engine, tmp_path) -> None:
        world = sent(World(engine, tmp_path, transport=Scripted(Rejected("no"))))
        report(world, an_event(world, "dropped", reason="Invalid"))
        (message,) = world.rows("messages")
        assert (message.state, message.outcome) == ("rejected", "dropped")


class TestEvidence:
    @pytest.mark.parametrize("kind", ["processed", "delivered", "open", "something new"])
    def test_an_event_about_a_lost_letter_proves_that_it_was_taken(self, lost: World, kind: str) -> None:
        report(lost, an_event(lost, kind))
        (message,) = lost.rows("messages")
        assert (message.state, message.accepted_at) == ("accepted", message.sending_at)
        assert message.provider_id == "aBc-1_x"
        assert timeline(lost)[-1] == "message.accepted"
        lost.drain()
        (run,) = lost.rows("enrollments")
        assert run.wake_at > lost.clock.now(), "the time for the answer runs"

    def test_an_event_that_overtakes_the_answer_of_the_provider_settles_the_letter(self, asked: World) -> None:
        (message,) = asked.rows("messages")
        with writing(asked.engine) as conn:
            conn.execute(update(table).values(BACK_IN_FLIGHT))
        report(asked, an_event(asked, "bounce", **BOUNCE))
        settle(asked.engine, {message.id: message.token}, {message.token: Accepted("aBc-1_x")}, clock=asked.clock)
        (message,) = asked.rows("messages")
        assert (message.state, message.outcome, message.provider_id) == ("accepted", "bounced", "aBc-1_x")
        assert timeline(asked).count("message.accepted") == 1

    def test_events_and_answers_that_come_at_once_do_not_lock_each_other_out(self, world: World) -> None:
        world.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(24)))
        world.go_to(MONDAY + timedelta(days=2))
        with writing(world.engine) as conn:
            conn.execute(update(table).values(BACK_IN_FLIGHT))
        letters = world.rows("messages")
        world.clock.move_to(MONDAY + timedelta(days=2, hours=3))
        addresses = {row.id: row.address for row in world.rows("customers")}
        bounces = [
            an_event(world, "bounce", **BOUNCE, fu_token=one.token, email=addresses[one.customer_id])
            | {"sg_event_id": one.token}
            for one in letters
        ]
        ids = post(world, *bounces)

        def settle_all(_: int) -> None:
            tokens = {one.id: one.token for one in reversed(letters)}
            settle(world.engine, tokens, dict.fromkeys(tokens.values(), Accepted("aBc-1_x")), clock=world.clock)

        with ThreadPoolExecutor(4) as threads:
            tracked = [threads.submit(apply, world, some) for some in (ids, ids[::-1], ids[::2])]
            list(threads.map(settle_all, range(3)))
        assert sum(one.result() for one in tracked) == len(ids)
        assert timeline(world).count("message.accepted") == len(letters)
        ends = {(row.state, row.outcome, row.provider_id) for row in world.rows("messages")}
        assert ends == {("accepted", "bounced", "aBc-1_x")}


class TestStopping:
    @pytest.mark.parametrize(
        ("kind", "more", "told", "reason"),
        [
            ("bounce", BOUNCE, "message.bounced", "bounced"),
            ("dropped", {"reason": "Bounced Address"}, "message.bounced", "bounced"),
            ("dropped", {"reason": "Invalid"}, "message.bounced", "bounced"),
            ("spamreport", {}, "message.complained", "complained"),
            ("dropped", {"reason": "Spam Reporting Address"}, "message.complained", "complained"),
            ("unsubscribe", {}, "customer.unsubscribed", "unsubscribed"),
            ("group_unsubscribe", {}, "customer.unsubscribed", "unsubscribed"),
            ("dropped", {"reason": "Unsubscribed Address"}, "customer.unsubscribed", "unsubscribed"),
        ],
    )
    def test_the_customer_leaves_every_run_and_gets_no_other_letter(
        self, world: World, kind, more, told, reason
    ) -> None:
        sent(world, orders=2)
        report(world, an_event(world, kind, **more))
        world.drain()
        assert {(run.state, run.outcome) for run in world.rows("enrollments")} == {("exited", reason)}
        (event,) = [row for row in world.rows("events") if row.kind == told]
        assert (event.source, event.order_id, event.data["reason"]) == ("sendgrid", None, more.get("reason"))
        (suppression,) = world.rows("suppressions")
        assert (suppression.reason, suppression.source) == (reason, "sendgrid")

    @pytest.mark.parametrize("kind", ["bounce", "spamreport", "unsubscribe"])
    @pytest.mark.parametrize("address", ["test@forge.example", "", "no address", "ana+x@example.com"])
    def test_what_happened_in_another_inbox_stops_nothing(self, asked: World, kind: str, address: str) -> None:
        report(asked, an_event(asked, kind, email=address))
        assert asked.rows("suppressions") == []
        assert "message.bounced" not in timeline(asked)
        assert (asked.rows("messages")[0].outcome == "bounced") is (kind == "bounce")

    @pytest.mark.parametrize("more", [{"type": "blocked"}, {"type": "Blocked", "reason": "550 try later"}])
    def test_a_refusal_for_now_stops_nothing(self, asked: World, more) -> None:
        report(asked, an_event(asked, "bounce", **more))
        assert asked.rows("suppressions") == []

    def test_a_bounce_reported_in_several_ways_is_told_once(self, asked: World) -> None:
        report(asked, an_event(asked, "bounce", **BOUNCE), an_event(asked, "dropped", reason="Bounced Address"))
        report(asked, an_event(asked, "bounce", type="bounce", reason="said again", sg_event_id="another"))
        assert timeline(asked).count("message.bounced") == 1

    @pytest.mark.parametrize(
        ("after_sending", "believed"),
        [(timedelta(hours=1), True), (timedelta(0), True), (timedelta(seconds=-2), False), (timedelta(days=9), False)],
    )
    def test_it_happened_when_the_provider_says_if_that_can_be(self, asked: World, after_sending, believed) -> None:
        sending_at: datetime = asked.rows("messages")[0].sending_at
        at = sending_at + after_sending
        report(asked, an_event(asked, "bounce", **BOUNCE | {"timestamp": int(at.timestamp())}))
        (event,) = [row for row in asked.rows("events") if row.kind == "message.bounced"]
        assert event.occurred_at == (at if believed else asked.clock.now())


class TestAliases:
    def test_a_reply_to_the_id_the_provider_gave_the_letter_is_found(self, asked: World) -> None:
        report(asked, an_event(asked, "processed"))
        direct = {
            "Reply-To": "nell@forge.example",
            "Subject": "x",
            "Message-ID": "<aBc-1_x@geopod-ismtpd-1.sendgrid.net>",
        }
        assert asked.hear(a_reply(direct)).state is InboundState.PROCESSED

    def test_somebody_else_who_has_seen_that_id_cannot_answer_for_the_customer(self, asked: World) -> None:
        report(asked, an_event(asked, "processed"))
        direct = {
            "Reply-To": "nell@forge.example",
            "Subject": "x",
            "Message-ID": "<aBc-1_x@geopod-ismtpd-1.sendgrid.net>",
        }
        mail = a_reply(direct).replace(b"ana@example.com", b"eve@evil.example")
        assert asked.hear(mail).state is InboundState.UNMATCHED

    def test_the_id_we_gave_it_is_no_other(self, asked: World) -> None:
        ours = asked.letters()[0]["Message-ID"]
        report(asked, an_event(asked, "processed", **{"smtp-id": ours}))
        with reading(asked.engine) as conn:
            assert aliases.tokens(conn, [ours]) == {}

    def test_the_first_letter_to_go_by_an_id_keeps_it(self, world: World) -> None:
        sent(world, orders=2)
        first, second = world.rows("messages")
        report(world, an_event(world, "processed"))
        report(world, an_event(world, "delivered", fu_token=second.token))
        with reading(world.engine) as conn:
            assert list(aliases.tokens(conn, ["<aBc-1_x@geopod-ismtpd-1.sendgrid.net>", "<other@x>"]).values()) == [
                first.token
            ]


class TestRepetition:
    def test_an_event_posted_again_is_stored_once(self, asked: World) -> None:
        events = [an_event(asked, "delivered"), an_event(asked, "processed")]
        assert len(post(asked, *events)) == 2
        assert post(asked, *events) == []
        assert len(post(asked, *events, an_event(asked, "open"))) == 1

    def test_an_event_without_an_id_is_known_by_what_it_says(self, asked: World) -> None:
        nameless = an_event(asked, "delivered", sg_event_id=None)
        assert len(post(asked, nameless)) == 1
        assert post(asked, dict(reversed(nameless.items()))) == []

    def test_the_same_events_posted_at_once_in_another_order_do_not_lock_each_other_out(self, asked: World) -> None:
        posts = [[{"event": "open", "sg_event_id": f"{turn} {n}"} for n in range(400)] for turn in range(8)]
        together = threading.Barrier(4, timeout=20)

        def post_all(thread: int) -> int:
            stored = 0
            for events in posts:
                together.wait()
                stored += len(post(asked, *(events[::-1] if thread % 2 else events)))
            return stored

        with ThreadPoolExecutor(4) as threads:
            assert sum(threads.map(post_all, range(4))) == 8 * 400

    def test_what_was_applied_is_not_applied_again(self, asked: World) -> None:
        ids = post(asked, an_event(asked, "delivered"), an_event(asked, "processed"))
        assert (apply(asked, ids), apply(asked, ids), apply(asked, [])) == (2, 0, 0)

    def test_events_applied_by_many_at_once_count_once(self, asked: World) -> None:
        asked.clock.move_to(MONDAY + timedelta(days=2, hours=3))
        ids = post(asked, *(an_event(asked, "bounce", **BOUNCE, sg_event_id=str(n)) for n in range(6)))
        with ThreadPoolExecutor(4) as threads:
            done = list(threads.map(lambda turn: apply(asked, ids if turn % 2 else ids[::-1]), range(6)))
        assert sum(done) == len(ids)
        assert timeline(asked).count("message.bounced") == 1
        assert set(event_states(asked)) == {"applied"}


class TestTrouble:
    def test_an_event_we_stumble_over_is_kept_with_what_it_was_and_blocks_no_other(self, asked: World) -> None:
        ids = post(asked, an_event(asked, "deferred"), an_event(asked, "delivered"))
        with writing(asked.engine) as conn:  # as no version of ours would have stored it
            conn.execute(update(schema.provider_events).where(schema.provider_events.c.id == ids[0]).values(raw=["?"]))
        assert apply(asked, ids) == 2
        assert event_states(asked) == ["failed", "applied"]
        assert asked.rows("provider_events")[0].error.startswith("AttributeError")
        assert asked.rows("messages")[0].outcome == "delivered"

    @pytest.mark.parametrize("body", [b"", b"{}", b"\xff\x00", b"[1, null]", b"nothing \x00 like it" * 9999])
    def test_what_holds_no_event_is_kept_once(self, asked: World, body: bytes) -> None:
        for _ in range(2):
            assert store_events(asked.engine, body, clock=asked.clock) == []
        (row,) = asked.rows("provider_events")
        assert (row.state, bool(row.error)) == ("failed", True)
        assert len(row.raw["unread"]) <= 10_000

    def test_what_no_database_stores_is_stored_without_it(self, asked: World) -> None:
        body = rb'[{"event": "open\u0000", "\ud800": NaN, "n": 1e999, "i": ' + b"9" * 4000 + b"}]"
        assert len(store_events(asked.engine, body, clock=asked.clock)) == 1
        assert asked.rows("provider_events")[0].raw["event"] == "open\ufffd"

    def test_thousands_of_events_are_stored_at_once(self, asked: World) -> None:
        assert len(post(asked, *({"sg_event_id": str(n)} for n in range(5_000)))) == 5_000

    def test_a_post_is_a_sign_of_life(self, asked: World) -> None:
        post(asked)
        with reading(asked.engine) as conn:
            assert signs.EVENTS in signs.ages(conn)


SETS = {
    "delivered, then bounced": ["processed", "delivered", "bounce"],
    "deferred, delivered, complained": ["deferred", "delivered", "spamreport"],
    "opened, unsubscribed": ["open", "unsubscribe", "delivered"],
    "bounced, and dropped for that": ["dropped", "bounce", "bounce again"],
    "complained twice, posted twice": ["delivered", "spamreport", "spamreport", "spamreport again"],
}
MORE = {"bounce": BOUNCE, "dropped": {"reason": "Bounced Address"}}


def end_of(world: World, customer_id: int) -> object:
    """Return all that events can have changed for a customer with one letter, but for ids."""
    (message,) = [row for row in world.rows("messages") if row.customer_id == customer_id]
    (run,) = [row for row in world.rows("enrollments") if row.customer_id == customer_id]
    told = [row for row in world.rows("events") if row.customer_id == customer_id]
    tracked = [row for row in world.rows("provider_events") if row.token == message.token]
    return (
        (message.state, message.outcome, message.provider_id, message.accepted_at),
        (run.state, run.wake_at),
        tuple(sorted((row.kind, row.source, row.occurred_at) for row in told)),
        tuple(sorted((row.raw["event"], row.state) for row in tracked)),
    )


@pytest.mark.parametrize("kinds", SETS.values(), ids=SETS)
@pytest.mark.parametrize(
    ("answer", "late"),
    [(Accepted("aBc-1_x"), timedelta(hours=3)), (Unknown("lost"), timedelta(hours=24))],
    ids=["accepted", "unknown, and told a day late"],
)
def test_the_same_events_end_the_same_in_every_order(engine: Engine, tmp_path, kinds, answer, late) -> None:
    orders = sorted(set(permutations(kinds)))
    world = World(engine, tmp_path, transport=Scripted(answer))
    world.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(len(orders))))
    world.go_to(MONDAY + timedelta(days=2))
    letters = world.rows("messages")
    addresses = {row.id: row.address for row in world.rows("customers")}
    world.clock.move_to(MONDAY + timedelta(days=2) + late)
    for letter, order in zip(letters, orders, strict=True):
        for kind in order:
            about = {"fu_token": letter.token, "email": addresses[letter.customer_id], "smtp-id": ""}
            event = an_event(world, kind.removesuffix(" again"), **MORE.get(kind.removesuffix(" again"), {}), **about)
            apply(world, post(world, event | {"sg_event_id": f"{letter.id} {kind}"}))
    assert len({end_of(world, letter.customer_id) for letter in letters}) == 1
    stopped = any(kind.split()[0] in ("bounce", "spamreport", "unsubscribe") for kind in kinds)
    assert len(world.rows("suppressions")) == (len(letters) if stopped else 0)
