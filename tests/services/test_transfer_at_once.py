"""Applying while workers work, others apply and people come in; and applying that breaks off."""

import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update

from followup import failpoints
from followup.authoring.bundle import load_applied
from followup.core.message import Accepted
from followup.errors import TemporaryError
from followup.services import deploy
from followup.services.library import Library
from followup.services.sweep import drain, next_moment
from followup.store import enrollments, messages, schema
from followup.store.engine import make_engine, reading, writing
from tests.services.phases import FILES, Tale, standing
from tests.services.test_senders import waits
from tests.services.test_switch import write_letters
from tests.services.test_transfer import EDITS, expected
from tests.services.world import PEOPLE, Scripted, World, a_purchase
from tests.wire.harness import until

HOUR = timedelta(hours=1)
SHORT = """\
workflow: tale
title: A tale
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
steps:
  - wait: 1 hour
  - ask: arrived
    timeout: 4 hours
  - wait: 2 hours
  - send: advice
  - wait: 30 hours
"""
OTHER = SHORT.replace("  - ask: arrived", "  - id: question\n    ask: arrived").replace("wait: 2 hours", "wait: 1 hour")
WORKERS, CUSTOMERS, TURNS = 3, 20, 6


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


def folder(workflow: str) -> dict[str, str]:
    return {**FILES, "workflows/tale.yaml": workflow}


def shop_with(engine: Engine, at: Path, workflow: str = SHORT) -> World:
    shop = World(engine, at, transport=Scripted(Accepted("X")), tale=workflow)
    put(shop, engine, workflow)
    return shop


def put(shop: World, engine: Engine, workflow: str, how: str = "finish") -> deploy.Applied:
    bundle = load_applied(folder(workflow))
    return deploy.put_in_force(engine, bundle, clock=shop.clock, in_flight={"tale": how})


def put_files(shop: World, engine: Engine, files: dict[str, str], how: str) -> deploy.Applied:
    return deploy.put_in_force(engine, load_applied(files), clock=shop.clock, in_flight={"tale": how})


def current(shop: World) -> set[tuple[bool, bool]]:
    """Return of those inside whether they are in what runs, and whether they finish what they are in."""
    with reading(shop.engine) as conn:
        bundle = shop.library.newest(conn)
        return {
            (shop.library.is_current(conn, bundle, "tale", run.version_id), run.finishes)
            for run in shop.rows("enrollments")
            if run.ended_at is None
        }


class Workers:
    """Threads that work on *shop* as worker processes do, each with connections and a library of its own."""

    def __init__(self, shop: World, number: int) -> None:
        self.wrong: list[str] = []
        self._shop, self._over = shop, threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(number)]

    def __enter__(self) -> "Workers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        engine, library = make_engine(self._shop.engine.url.render_as_string(hide_password=False)), Library()
        try:
            while not self._over.is_set():
                drain(engine, library=library, post=self._shop.post, clock=self._shop.clock, stopping=self._over.is_set)
        except Exception:  # noqa: BLE001 - whatever it is, the test says so
            self.wrong.append(traceback.format_exc())
        engine.dispose()


def test_while_workers_work_nobody_is_lost_and_nothing_is_sent_twice(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    shop.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(CUSTOMERS)))
    with Workers(shop, WORKERS) as workers:
        for turn in range(TURNS):
            put(shop, engine, OTHER if turn % 2 == 0 else SHORT, "skip" if turn % 3 == 0 else "finish")
            shop.clock.move_to(shop.clock.now() + HOUR)
            shop.take_in(a_purchase(f"L-{turn}", email=f"l{turn}@example.com", delivered_at=shop.clock.now()))
    assert workers.wrong == []
    shop.drain()
    assert current(shop) <= {(True, False), (False, True)}
    while (due := next_due(shop)) is not None:
        shop.go_to(max(due, shop.clock.now()))
    assert {run.state for run in shop.rows("enrollments")} == {"completed"}
    assert len(shop.rows("enrollments")) == CUSTOMERS + TURNS
    sent = [mail.token for mail in shop.post.transport.sent]  # type: ignore[attr-defined]
    assert len(sent) == len(set(sent)) == shop.states().count("accepted")
    letters = Counter((row.enrollment_id, row.letter) for row in shop.rows("messages") if row.letter == "advice")
    assert set(letters.values()) == {1}
    assert len(letters) == CUSTOMERS + TURNS


BRANCH = "  - branch:\n      - when: replied\n        do:\n          - send: advice"
WITHOUT = {name: text for name, text in FILES.items() if name != "workflows/tale.yaml"}
ALONE = {"workflows/people.yaml": "".join(line for line in PEOPLE.splitlines(keepends=True) if "nell" not in line)}
AT_ONCE = {  # what is applied by turns with SHORT, what becomes of those at steps that are gone, and how runs may end
    "a wait shortened": (folder(SHORT.replace("wait: 2 hours", "wait: 10 minutes")), "finish", {"completed"}),
    "deleted, finish": (WITHOUT, "finish", {"completed"}),
    "deleted, stop": (WITHOUT, "stop", {"completed", "exited"}),
    "a branch around the last letter": (folder(SHORT.replace("  - send: advice", BRANCH)), "finish", {"completed"}),
    "a person removed": (folder(SHORT.replace("nell", "tomas")) | ALONE, "finish", {"completed"}),
}


@pytest.mark.parametrize("edit", AT_ONCE)
def test_whatever_is_applied_while_workers_work_nobody_is_lost(engine: Engine, tmp_path: Path, edit: str) -> None:
    files, how, ends = AT_ONCE[edit]
    shop = shop_with(engine, tmp_path)
    shop.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(CUSTOMERS // 2)))
    with Workers(shop, WORKERS) as workers:
        for turn in range(TURNS // 2):
            put_files(shop, engine, files if turn % 2 == 0 else folder(SHORT), how)
            shop.clock.move_to(shop.clock.now() + HOUR)
            shop.take_in(a_purchase(f"L-{turn}", email=f"l{turn}@example.com", delivered_at=shop.clock.now()))
    assert workers.wrong == []
    while (due := next_due(shop)) is not None:
        shop.go_to(max(due, shop.clock.now()))
    runs = shop.rows("enrollments")
    assert {run.state for run in runs} <= ends
    assert len(runs) >= CUSTOMERS // 2
    sent = [mail.token for mail in shop.post.transport.sent]  # type: ignore[attr-defined]
    assert len(sent) == len(set(sent)) == shop.states().count("accepted")
    written = Counter((row.enrollment_id, row.letter) for row in shop.rows("messages") if row.state == "accepted")
    assert set(written.values()) <= {1}, how
    assert not set(shop.states()) & {"due", "held", "claimed", "sending", "unknown"}


def next_due(shop: World) -> datetime | None:
    with reading(shop.engine) as conn:
        return next_moment(conn)


BREAKS = ["deploy.apply:1", "deploy.apply+:1", "deploy.carry_over:2", "deploy.carry_over+:2", "advance:1", "advance+:1"]


@pytest.mark.parametrize("where", [*BREAKS, "deploy.moved:1"])
def test_what_broke_off_is_completed_by_applying_again(engine: Engine, tmp_path: Path, where: str) -> None:
    shop, change = Tale(engine, tmp_path), "a question renamed, skip"
    (renamed,), decided = EDITS[change].folders, EDITS[change].in_flight
    failpoints.arm(f"{where}:raise")
    with pytest.raises(TemporaryError):
        shop.apply(decided, **renamed)
    failpoints.arm(None)
    shop.apply(decided, **renamed)
    wanted = expected()["nothing"] | expected()[change]
    assert standing(shop) == {name: says.partition(" | ")[0] for name, says in wanted.items()}
    assert shop.apply().moved.on == 0


def test_who_comes_in_by_the_old_version_at_that_moment_is_moved_when_looked_at(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase())
    came_in = shop.rows("enrollments")
    put(shop, engine, OTHER)
    with writing(engine) as conn:  # as who read the bundle before, and commits now, leaves it
        was = {name: getattr(came_in[0], name) for name in ("version_id", "step", "phase", "wake_at", "moved_at")}
        conn.execute(update(schema.enrollments).values(was))
    shop.drain()
    assert current(shop) == {(True, False)}
    for _ in range(3):
        shop.later(hours=1)
    assert [row.step for row in shop.rows("messages")] == ["question"]


def test_whoever_applies_waits_for_a_run_before_it_takes_its_letters(postgres_url: str, tmp_path: Path) -> None:
    """Else two would wait for each other: who moves a run on holds it and withdraws its letters."""
    engine, other = make_engine(postgres_url), make_engine(postgres_url)
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase())
    shop.clock.move_to(shop.clock.now() + HOUR)
    write_letters(shop)
    put(shop, engine, OTHER)
    with writing(engine) as conn:
        conn.execute(update(schema.messages).values(state="blocked"))
    with ThreadPoolExecutor(1) as pool:
        with writing(other) as conn:
            (run,) = enrollments.lock(conn, [shop.rows("enrollments")[0].id])
            applying = pool.submit(put, shop, engine, SHORT)
            waits(other, applying.done)
            messages.cancel(conn, run.id, None, None, reason="it is over")
        assert applying.result(timeout=60).unblocked == 0
    assert shop.states() == ["cancelled"]
    engine.dispose()
    other.dispose()


def test_of_two_who_apply_at_once_the_last_one_takes_everybody_along(postgres_url: str, tmp_path: Path) -> None:
    """The first waits for a run when the second comes; then it moves people to what does not run any more."""
    engine, other, third = make_engine(postgres_url), make_engine(postgres_url), make_engine(postgres_url)
    shop = shop_with(engine, tmp_path)
    shop.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(6)))
    shop.drain()
    last = SHORT.replace("30 hours", "40 hours")
    with ThreadPoolExecutor(2) as pool:
        with writing(other) as conn:
            enrollments.lock(conn, [shop.rows("enrollments")[0].id])
            first = pool.submit(put, shop, engine, SHORT.replace("30 hours", "35 hours"))
            waits(other, first.done)
            second = pool.submit(put, shop, third, last)
            until(lambda: second.done() or newest_is(other, last), what="the second apply")
            two_wait(other, second.done)
        assert first.result(timeout=60)
        assert second.result(timeout=60)
    assert current(shop) == {(True, False)}
    for one in (engine, other, third):
        one.dispose()


def newest_is(engine: Engine, workflow: str) -> bool:
    with reading(engine) as conn:
        return Library().newest(conn).files["workflows/tale.yaml"] == workflow


def two_wait(engine: Engine, over: Callable[[], bool]) -> None:
    """Go on when two wait for a lock of this database, or all is over."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while not over():
        with reading(engine) as conn:
            if (conn.scalar(waiting) or 0) > 1:
                return
