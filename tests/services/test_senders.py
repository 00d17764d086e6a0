"""What keeps one person's letters from leaving: a pause, a breaker, a rate; the same for every worker."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text, update

from followup.core.message import Accepted, Answer, Cause, Misconfigured, RetrySafe, Unknown
from followup.core.sender import PROBE_LASTS, Sender
from followup.services import deploy
from followup.services.advance import advance
from followup.services.claim import claim
from followup.services.deliver import deliver
from followup.services.sweep import lease, recover
from followup.store import schema, senders
from followup.store.engine import make_engine, reading, writing
from tests.services.world import ASK, CHECK_IN, MONDAY, Scripted, World, a_purchase

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
OTHER = AT_ONCE.replace("workflow: check-in", "workflow: other").replace("sender: nell", "sender: tomas")
FIRST = OTHER.replace("status: live", "status: live\nlimits: {priority: 90}")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LOST = Unknown("no answer")


def purchases(number: int, *, start: int = 0) -> list:
    return [a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(start, start + number)]


def shop_with(engine: Engine, folder: Path, answer: Answer, *, per_minute: int | None = None, **workflows) -> World:
    shop = World(engine, folder, transport=Scripted(answer), **workflows or {"check_in": AT_ONCE})
    shop.post = replace(shop.post, per_minute=per_minute)
    return shop


@pytest.fixture
def troubled(engine: Engine, tmp_path: Path) -> World:
    """Return a shop whose provider does not answer, and whose breaker is open."""
    shop = shop_with(engine, tmp_path, LOST)
    shop.take_in(*purchases(3))
    shop.drain()
    assert shop.states() == ["unknown"] * 3
    assert standing(shop).trips == 1
    return shop


def sent(shop: World) -> list:
    return shop.post.transport.sent


def standing(shop: World, key: str = "nell") -> Sender:
    with reading(shop.engine) as conn:
        return senders.all_of(conn)[0].get(key, Sender(key=key))


def set_(shop: World, **values: object) -> None:
    with writing(shop.engine) as conn:
        conn.execute(update(schema.senders).values(**values))


def waited(shop: World) -> None:
    """Let the time be over for which the sender is closed."""
    set_(shop, closed_until=LONG_AGO)


def due(shop: World) -> list[int]:
    """Write what is due, send nothing, and return the letters' ids."""
    runs = [row.id for row in shop.rows("enrollments")]
    advance(shop.engine, runs, library=shop.library, clock=shop.clock)
    return [row.id for row in shop.rows("messages") if row.state == "due"]


def by_workflow(shop: World) -> dict[str, str]:
    return {row.workflow: row.state for row in shop.rows("messages")}


# -- the breaker --


def test_three_letters_of_unknown_fate_stop_the_others(troubled: World) -> None:
    troubled.take_in(*purchases(4, start=3))
    troubled.drain()
    assert troubled.states() == ["unknown"] * 3 + ["due"] * 4
    assert len(sent(troubled)) == 3
    assert lease(troubled.engine, now=troubled.clock.now()) == {}, "they are left where they are"


def test_then_exactly_one_tries_and_each_time_it_takes_longer(troubled: World) -> None:
    troubled.take_in(*purchases(4, start=3))
    lasts = []
    for tries in range(1, 4):
        waited(troubled)
        troubled.drain()
        assert len(sent(troubled)) == 3 + tries
        with reading(troubled.engine) as conn:
            known, now = senders.all_of(conn)
        lasts.append((known["nell"].closed_until - now).total_seconds())
        assert known["nell"].trips == 1 + tries
    assert [pytest.approx(wanted, abs=20) for wanted in (60, 120, 240)] == lasts


def test_the_first_that_gets_through_lets_the_others_go(troubled: World) -> None:
    troubled.take_in(*purchases(40, start=3))
    waited(troubled)
    troubled.post.transport.answer = Accepted("X")
    troubled.drain()
    assert troubled.states() == ["unknown"] * 3 + ["accepted"] * 40
    assert standing(troubled).is_plain


def test_of_two_workers_one_has_the_probe(troubled: World) -> None:
    troubled.take_in(*purchases(4, start=3))
    ids = due(troubled)
    waited(troubled)
    assert [len(claim_some(troubled, ids)) for _ in range(2)] == [1, 0]
    probing = standing(troubled)
    assert probing.probe in ids


def test_a_probe_whose_worker_died_is_followed_by_another_when_its_lease_is_over(troubled: World) -> None:
    troubled.take_in(*purchases(2, start=3))
    ids = due(troubled)
    waited(troubled)
    (died,) = claim_some(troubled, ids)
    with reading(troubled.engine) as conn:
        known, now = senders.all_of(conn)
    assert timedelta(0) < known["nell"].closed_until - now <= PROBE_LASTS
    assert claim_some(troubled, ids) == set()
    waited(troubled)
    troubled.post.transport.answer = Accepted("X")
    troubled.drain()
    states = {row.id: row.state for row in troubled.rows("messages") if row.id in ids}
    assert states.pop(died) == "claimed"
    assert set(states.values()) == {"accepted"}


def test_stragglers_of_the_time_before_do_not_make_it_longer(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, LOST)
    shop.take_in(*purchases(12))
    shop.drain()
    assert (len(sent(shop)), standing(shop).trips) == (12, 1), "they were all on their way when the third was lost"


def test_what_a_killed_worker_left_says_nothing_about_the_provider(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Accepted("X"))
    shop.post.transport.recovered = Unknown("nobody can tell")
    shop.take_in(*purchases(5))
    shop.drain()
    with writing(engine) as conn:
        values = {"state": "sending", "accepted_at": None, "leased_until": LONG_AGO}
        conn.execute(update(schema.messages).values(values))
    assert recover(engine, post=shop.post, clock=shop.clock) == 5
    assert shop.states() == ["unknown"] * 5
    assert standing(shop).is_plain


@pytest.mark.parametrize("answer", [RetrySafe(MONDAY, "not begun", Cause.KEPT), RetrySafe(MONDAY, "no connection")])
def test_what_did_not_get_to_the_provider_opens_no_breaker(engine: Engine, tmp_path: Path, answer: Answer) -> None:
    shop = shop_with(engine, tmp_path, answer)
    shop.take_in(*purchases(5))
    deliver(engine, due(shop), library=shop.library, post=shop.post, clock=shop.clock)
    assert len(sent(shop)) == 5
    assert standing(shop).is_plain


# -- a limit of the provider's --


def test_a_limit_stops_the_sender_until_it_ends_and_is_no_failure(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, RetrySafe(MONDAY + timedelta(minutes=7), "429", Cause.LIMITED))
    shop.take_in(a_purchase())
    shop.drain()
    shop.take_in(*purchases(3, start=5))
    shop.drain()
    assert len(sent(shop)) == 1, "those that came later were not even tried"
    with reading(engine) as conn:
        known, now = senders.all_of(conn)
    assert known["nell"].closed_until - now == pytest.approx(timedelta(minutes=7), abs=timedelta(seconds=20))
    assert known["nell"].trips == 0

    waited(shop)
    shop.post.transport.answer = Accepted("X")
    shop.drain()
    assert shop.states() == ["due"] + ["accepted"] * 3, "all at once, but for the one that was told when to come back"
    shop.later(minutes=8)
    assert shop.states() == ["accepted"] * 4


# -- tries of one letter --


def failing(engine: Engine, folder: Path, answer: Answer) -> World:
    shop = shop_with(engine, folder, answer)
    shop.take_in(a_purchase())
    shop.drain()
    return shop


def wait_of(shop: World) -> timedelta:
    (row,) = shop.rows("messages")
    assert row.state == "due"
    return row.due_at - shop.clock.now()


def test_a_letter_that_does_not_get_through_waits_longer_each_time_and_an_hour_at_most(
    engine: Engine, tmp_path: Path
) -> None:
    shop = failing(engine, tmp_path, RetrySafe(MONDAY, "no connection"))
    for failures in range(1, 10):
        longest = min(timedelta(minutes=2 ** (failures - 1)), timedelta(hours=1))
        assert longest / 2 <= wait_of(shop) <= longest
        assert shop.rows("messages")[0].failures == failures
        shop.go_to(shop.rows("messages")[0].due_at)


def test_letters_that_failed_together_come_back_apart(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, RetrySafe(MONDAY, "no connection"))
    shop.take_in(*purchases(12))
    deliver(engine, due(shop), library=shop.library, post=shop.post, clock=shop.clock)
    assert len({row.due_at for row in shop.rows("messages")}) == 12


def test_it_comes_back_no_earlier_than_the_provider_says(engine: Engine, tmp_path: Path) -> None:
    shop = failing(engine, tmp_path, RetrySafe(MONDAY + timedelta(hours=5), "busy"))
    assert wait_of(shop) == timedelta(hours=5)


def test_what_we_kept_back_ourselves_is_due_at_once_and_no_failure(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, RetrySafe(MONDAY, "no connection"))
    shop.take_in(a_purchase())
    (key,) = due(shop)
    for answer, failures in (("no connection", 1), ("not begun", 0)):
        cause = Cause.KEPT if answer == "not begun" else Cause.FAILED
        shop.post.transport.answer = RetrySafe(MONDAY, answer, cause)
        shop.clock.move_to(shop.rows("messages")[0].due_at)
        deliver(engine, [key], library=shop.library, post=shop.post, clock=shop.clock)
        assert shop.rows("messages")[0].failures == failures
    assert wait_of(shop) == timedelta(0)


# -- the rate --


def claim_some(shop: World, ids: Iterable[int], *, engine: Engine | None = None, per_minute: int | None = None) -> set:
    """Claim as a worker does; return the ids of what may leave."""
    with writing(engine or shop.engine) as conn:
        return claimed(conn, shop, ids, per_minute)


def claimed(conn: Connection, shop: World, ids: Iterable[int], per_minute: int | None) -> set:
    wave = claim(
        conn,
        list(ids),
        library=shop.library,
        suppression_key="never-changes",
        now=shop.clock.now(),
        limit=32,
        lease_seconds=120,
        per_minute=per_minute,
    )
    return {one.message.id for one in wave.claimed}


def test_two_workers_share_the_rate(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Accepted("X"))
    shop.take_in(*purchases(20))
    ids = due(shop)
    first = claim_some(shop, ids, per_minute=60)
    second = claim_some(shop, set(ids) - first, per_minute=60)
    assert (len(first), len(second)) == (5, 0), "five seconds' worth"


def test_what_one_worker_takes_the_other_sees_before_it_is_committed(postgres_url: str, tmp_path: Path) -> None:
    engine = make_engine(postgres_url)
    shop = shop_with(engine, tmp_path, Accepted("X"))
    shop.take_in(*purchases(8))
    ids = due(shop)
    with writing(engine) as conn:  # the row has to be there, or both would make it
        senders.lock(conn, ["nell"])
    assert len(two_claims(shop, ids, per_minute=60)) == 5, "four, and then one"
    engine.dispose()


def two_claims(shop: World, ids: list[int], *, per_minute: int | None = None) -> set[int]:
    """Claim with two workers, of which the second begins while the first has not committed."""
    half = len(ids) // 2
    with ThreadPoolExecutor(1) as pool:
        with writing(shop.engine) as conn:
            first = claimed(conn, shop, ids[:half], per_minute)
            second = pool.submit(claim_some, shop, ids[half:], per_minute=per_minute)
            waits(shop.engine, second.done)
        return first | second.result(timeout=20)


def waits(engine: Engine, over: Callable[[], bool]) -> None:
    """Go on when somebody waits for a lock of this database, or all is over."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while not over():
        with reading(engine) as conn:
            if conn.scalar(waiting):
                return


def test_a_rate_leaves_the_rest_due_and_nobody_sweeps_for_it(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Accepted("X"), per_minute=1)
    shop.take_in(*purchases(4))
    shop.drain()
    assert shop.states() == ["accepted", "due", "due", "due"]
    assert lease(engine, now=shop.clock.now(), per_minute=1) == {}
    set_(shop, next_at=LONG_AGO)
    shop.drain()
    assert shop.states().count("accepted") == 2


# -- one sender's trouble is not another's --


@pytest.fixture
def two_senders(engine: Engine, tmp_path: Path) -> World:
    """Return a shop in which the provider refuses tomas."""
    shop = shop_with(engine, tmp_path, Accepted("X"), check_in=AT_ONCE, other=OTHER)
    refuse_tomas(shop)
    return shop


def refuse_tomas(shop: World) -> None:
    with writing(shop.engine) as conn:
        senders.lock(conn, ["tomas"])
        senders.save(conn, Sender(key="tomas", paused="403 tomas is not verified"))


def test_letters_of_another_sender_go_on(two_senders: World) -> None:
    two_senders.take_in(*purchases(3))
    two_senders.drain()
    found = sorted((row.sender, row.state) for row in two_senders.rows("messages"))
    assert found == [("nell", "accepted")] * 3 + [("tomas", "due")] * 3


@pytest.mark.parametrize("again", [deploy.retry_blocked, None], ids=["a worker starts", "apply"])
def test_a_pause_is_lifted_by_a_start_of_a_worker_and_by_apply(two_senders: World, again) -> None:
    two_senders.take_in(a_purchase())
    two_senders.drain()
    assert by_workflow(two_senders) == {"check-in": "accepted", "other": "due"}
    if again:
        again(two_senders.engine)
    else:
        deploy.apply(two_senders.engine, two_senders.files, clock=two_senders.clock)
    two_senders.drain()
    assert by_workflow(two_senders) == {"check-in": "accepted", "other": "accepted"}


def test_a_more_important_letter_of_a_paused_sender_keeps_no_other_from_leaving(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Accepted("X"), check_in=AT_ONCE, other=FIRST)
    refuse_tomas(shop)
    shop.take_in(a_purchase())
    deliver_patiently(shop, due(shop))
    assert by_workflow(shop) == {"check-in": "accepted", "other": "due"}


def test_letters_of_one_customer_that_find_no_room_are_looked_at_once(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Accepted("X"))
    shop.take_in(a_purchase("T-1"), a_purchase("T-2"))
    ids = due(shop)
    with writing(engine) as conn:  # the breaker opens when they are leased already
        senders.lock(conn, ["nell"])
        senders.save(conn, Sender(key="nell", trips=1, closed_until=datetime(2999, 1, 1, tzinfo=UTC)))
    deliver_patiently(shop, ids)
    assert shop.states() == ["due", "due"]
    assert [row.leased_until for row in shop.rows("messages")] == [None, None]


def deliver_patiently(shop: World, ids: list[int]) -> None:
    """Deliver, and fail where that would go on for ever."""
    turns = iter(range(20))

    def stopping() -> bool:
        assert next(turns, None) is not None, "it goes round in circles"
        return False

    deliver(shop.engine, ids, library=shop.library, post=shop.post, clock=shop.clock, stopping=stopping)


# -- who signs a letter may be said by itself --

BY_TOMAS = ASK.replace("purpose: service", "purpose: service\nfrom: tomas")


def test_a_letter_counts_for_who_signs_it_and_is_left_alone_after_the_first_look(two_senders: World) -> None:
    two_senders.apply({"templates/arrived.md": BY_TOMAS}, check_in=AT_ONCE)
    refuse_tomas(two_senders)
    two_senders.take_in(*purchases(2))
    due(two_senders)
    assert {row.sender for row in two_senders.rows("messages")} == {"nell"}, "as its workflow says"
    two_senders.drain()
    rows = two_senders.rows("messages")
    assert {(row.sender, row.state, row.leased_until) for row in rows} == {("tomas", "due", None)}
    assert lease(two_senders.engine, now=MONDAY) == {}
    assert sent(two_senders) == []


def test_what_the_provider_says_of_a_letter_counts_for_who_signed_it(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, Misconfigured("403"))
    shop.apply({"templates/arrived.md": BY_TOMAS}, check_in=AT_ONCE)
    shop.take_in(a_purchase())
    shop.drain()
    assert (standing(shop, "tomas").paused, standing(shop, "nell").paused) == ("403", None)
    assert sent(shop)[0].from_email == "tomas@forge.example"
