"""The check-up through the front door, with real servers beside it: an HTTP server, an SMTP server, Valkey."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from followup.settings import DEVELOPMENT_KEY
from followup.store import signs
from followup.store.engine import make_engine, writing
from tests.cli.conftest import Cli, Ran
from tests.services.test_checkup import KEY

SECRET = "0123456789abcdef" * 4
WITH_KEYS = {"FOLLOWUP_SECRET_KEYS": SECRET, "FOLLOWUP_SUPPRESSION_KEY": SECRET[::-1]}


@dataclass
class World:
    """What answers over HTTP here: a web process's page and SendGrid's scopes."""

    url: str
    scopes: tuple[int, Any] = (200, {"scopes": ["mail.send"]})
    health: tuple[int, str] = (200, "ok")
    hangs: bool = False
    asked: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def world() -> Iterator[World]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            world.asked.append(f"{self.path} {self.headers.get('Authorization', '')}".strip())
            if world.hangs:
                world.done.wait(30)
            status, said = world.health if self.path == "/healthz" else world.scopes
            body = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    world = World(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield world
    world.done.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def doctor(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that examines with these variables and returns the findings by check."""

    def examine(*args: str, code: int = 0, **variables: str) -> dict[str, dict[str, Any]]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        ran: Ran = cli("doctor", "--json", *args, code=code)
        assert not [value for value in variables.values() if "hush" in value and value in ran.out + ran.err]
        assert "hush" not in ran.out + ran.err
        return {one["check"]: one for one in ran.document}

    return examine


@pytest.fixture
def ready(project: Path, cli: Cli) -> Path:
    """Return a project that was applied, has secrets, and whose worker runs."""
    cli("apply")
    engine = make_engine(f"sqlite:///{project / 'followup.db'}")
    with writing(engine) as conn:
        signs.seen(conn, signs.SWEEP)
    engine.dispose()
    (project / ".env").write_text("".join(f"{name}={value}\n" for name, value in WITH_KEYS.items()))
    return project


def results(found: dict[str, dict[str, Any]], result: str) -> set[str]:
    return {check for check, one in found.items() if one["result"] == result}


# -- as a whole --


def test_a_fresh_folder_fails_at_the_database_and_is_told_what_to_do(folder: Path, doctor: Any) -> None:
    found = doctor(code=1)
    assert list(found) == [
        "settings", "database", "redis", "mode", "reply domain", "public URL", "secret keys", "suppression",
    ]  # fmt: skip
    assert results(found, "fail") == {"database"}
    assert "followup apply" in found["database"]["do"]
    assert not list(folder.iterdir()), "looking made a file"


def test_a_project_to_try_things_with_passes_with_a_reminder(ready: Path, doctor: Any) -> None:
    found = doctor()
    assert results(found, "fail") == set()
    assert results(found, "warn") == {"sender domain"}
    assert doctor("--strict", code=1) == found


def test_a_new_project_is_told_to_name_its_own_shop(folder: Path, cli: Cli, doctor: Any) -> None:
    cli("init")
    cli("apply")
    found = doctor()
    assert found["shop"]["result"] == "warn"
    assert found["shop"]["says"].startswith("shop.yaml still has the name and the postal address of the sample shop")


def test_each_finding_is_a_line_that_says_what_to_do(ready: Path, cli: Cli) -> None:
    (ready / "templates" / "thanks.md").write_text("---\nsubject: Hm\n---\n{{ nothing }}\n")
    ran = cli("doctor", code=1)
    lines = ran.out.splitlines()
    assert lines[0].startswith("ok    settings      read from the environment and")
    [wrong] = [line for line in lines if line.startswith("FAIL")]
    assert wrong.startswith("FAIL  workflows     the folder has ")
    assert wrong.endswith(" — followup apply --dry-run shows them")
    assert all(line[:6] in {"ok    ", "warn  ", "FAIL  "} for line in lines)
    assert ran.err.strip() == "1 failed, 1 warning, 10 fine."


def test_a_setting_that_cannot_be_read_is_the_only_finding(folder: Path, doctor: Any) -> None:
    found = doctor(code=1, PORT="hush")
    assert list(found) == ["settings"]
    assert found["settings"]["says"].startswith("PORT: ")


def test_a_variable_that_sets_nothing_is_a_warning(ready: Path, doctor: Any) -> None:
    found = doctor(FOLLOWUP_TEST_INBX="hush@shop.example")
    assert found["settings"] == {
        "result": "warn",
        "check": "settings",
        "says": "FOLLOWUP_TEST_INBX is set, and no setting",
        "do": "did you mean FOLLOWUP_TEST_INBOX?",
    }


def test_live_mode_with_the_published_keys_fails_at_the_settings(folder: Path, doctor: Any) -> None:
    found = doctor(code=1, FOLLOWUP_MODE="live")
    assert "FOLLOWUP_SECRET_KEYS must be set" in found["settings"]["says"]
    assert DEVELOPMENT_KEY not in json.dumps(found)


def test_what_is_a_warning_in_test_mode_fails_in_live_mode(ready: Path, world: World, doctor: Any) -> None:
    variables = {"FOLLOWUP_TRANSPORT": "sendgrid", "SENDGRID_API_KEY": "SG.hush", "FOLLOWUP_SENDGRID_URL": world.url}
    tested = doctor(**variables)
    assert results(tested, "fail") == set()
    live = doctor(code=1, FOLLOWUP_MODE="live")
    assert results(live, "fail") == {"event hook", "reply domain", "public URL", "sender domain"}
    assert live["mode"]["says"] == "LIVE mode: letters go to customers through sendgrid"


# -- the database --


def test_the_database_is_named_without_its_password(folder: Path, doctor: Any) -> None:
    found = doctor(code=1, DATABASE_URL="postgres://ana:hush@127.0.0.1:1/shop")
    assert "postgresql://ana:***@127.0.0.1:1/shop" in found["database"]["says"]
    assert "workflows" not in found


def test_a_database_that_answers_nothing_is_given_up(folder: Path, doctor: Any) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:  # takes the connection, and says nothing
        found = doctor(code=1, DATABASE_URL=f"postgres://ana:hush@127.0.0.1:{server.getsockname()[1]}/shop")
    assert found["database"]["says"].endswith("no answer within 4 seconds")


def test_a_file_on_a_platform_that_throws_its_disk_away_is_a_warning(ready: Path, doctor: Any) -> None:
    found = doctor(DYNO="run.1", FOLLOWUP_ALLOW_EPHEMERAL="true")
    assert found["database"]["result"] == "warn"
    assert found["transport"]["says"] == "this platform throws the outbox folder away every day"


def test_postgresql_is_fine(project: Path, empty_postgres_url: str, cli: Cli, doctor: Any) -> None:
    url = empty_postgres_url.replace("postgresql+psycopg://", "postgres://")
    assert "followup db upgrade" in doctor(code=1, DATABASE_URL=url)["database"]["do"]
    cli("apply")
    found = doctor()
    assert found["database"]["result"] == "ok"
    assert found["workflows"]["result"] == "ok"


# -- Redis --


def test_a_redis_that_works_is_fine(ready: Path, redis_url: str, doctor: Any) -> None:
    assert doctor(REDIS_URL=redis_url)["redis"]["says"] == "works; maxmemory-policy is noeviction"


@pytest.mark.parametrize("url", ["redis://:hush@127.0.0.1:1/0", "redis://:hu/hush@127.0.0.1:1/0", "hush"])
def test_a_redis_that_does_not_fails(ready: Path, doctor: Any, url: str) -> None:
    found = doctor(code=1, REDIS_URL=url)
    assert found["redis"]["result"] == "fail"
    assert "REDIS_URL" in found["redis"]["do"]


# -- the way out --


def test_sendgrid_is_asked_whether_the_key_may_send(ready: Path, world: World, doctor: Any) -> None:
    variables = {"FOLLOWUP_TRANSPORT": "sendgrid", "SENDGRID_API_KEY": "SG.hush", "FOLLOWUP_SENDGRID_URL": world.url}
    assert doctor(**variables)["transport"]["result"] == "ok"
    assert world.asked == ["/v3/scopes Bearer SG.hush"]
    world.scopes = (200, {"scopes": ["stats.read"]})
    assert "may not send" in doctor(code=1)["transport"]["says"]
    world.scopes = (401, {})
    assert "SENDGRID_API_KEY" in doctor(code=1)["transport"]["do"]


def test_a_transport_without_its_key_fails(ready: Path, doctor: Any) -> None:
    assert "SENDGRID_API_KEY is not set" in doctor(code=1, FOLLOWUP_TRANSPORT="sendgrid")["transport"]["says"]
    assert "FOLLOWUP_SMTP_URL is not set" in doctor(code=1, FOLLOWUP_TRANSPORT="smtp")["transport"]["says"]
    assert "URL" in doctor(code=1, FOLLOWUP_SMTP_URL="http://ana:hush@x")["transport"]["says"]


@pytest.fixture
def smtp_server() -> Iterator[tuple[int, list[bytes]]]:
    """Yield the port of a server that greets, lets nobody in who is not ana, and what it was told."""
    told: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb", buffering=0) as stream:
                stream.write(b"220 mail.example\r\n")
                while line := stream.readline():
                    told.append(line.strip())
                    verb = line[:4].upper()
                    ana = b"AGFuYQBodXNo"  # ana and her password, as AUTH PLAIN has them
                    answer = {
                        b"EHLO": b"250-mail.example\r\n250 AUTH PLAIN\r\n",
                        b"AUTH": b"235 welcome\r\n" if ana in line else b"535 no\r\n",
                        b"QUIT": b"221 bye\r\n",
                    }
                    stream.write(answer.get(verb, b"500 what\r\n"))
                    if verb == b"QUIT":
                        break

    server = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1], told
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_an_smtp_server_is_greeted_and_sent_nothing(
    ready: Path, smtp_server: tuple[int, list[bytes]], doctor: Any
) -> None:
    port, told = smtp_server
    found = doctor(FOLLOWUP_TRANSPORT="smtp", FOLLOWUP_SMTP_URL=f"smtp://ana:hush@127.0.0.1:{port}")
    assert found["transport"]["says"] == f"127.0.0.1:{port} lets us in"
    assert [line[:4].upper() for line in told] == [b"EHLO", b"AUTH", b"QUIT"]
    found = doctor(code=1, FOLLOWUP_SMTP_URL=f"smtp://bo:hush@127.0.0.1:{port}")
    assert found["transport"]["says"].startswith(f"127.0.0.1:{port} answered 535: no. The user or the password")
    assert "FOLLOWUP_SMTP_URL" in found["transport"]["do"]


def test_an_smtp_server_that_is_not_there_fails(ready: Path, doctor: Any) -> None:
    found = doctor(code=1, FOLLOWUP_TRANSPORT="smtp", FOLLOWUP_SMTP_URL="smtp://ana:hush@127.0.0.1:1")
    assert found["transport"]["says"].startswith("no connection to 127.0.0.1:1: ")
    assert "let this machine connect there" in found["transport"]["do"]


# -- the way in --


def test_the_web_process_is_asked_for_its_health(ready: Path, world: World, doctor: Any) -> None:
    assert doctor(FOLLOWUP_PUBLIC_URL=world.url)["public URL"]["says"] == f"{world.url} answers"
    assert world.asked == ["/healthz"]
    world.health = (200, "<html>a shop</html>")
    assert doctor()["public URL"]["result"] == "warn"
    world.health = (502, "bad gateway")
    assert "nothing answers" in doctor()["public URL"]["says"]


def test_a_web_process_that_hangs_keeps_nobody_waiting(ready: Path, world: World, doctor: Any) -> None:
    world.hangs = True
    began = time.monotonic()
    assert doctor(FOLLOWUP_PUBLIC_URL=world.url)["public URL"]["result"] == "ok"
    assert 4 < time.monotonic() - began < 15


def test_the_hooks_are_judged_by_their_keys_and_signs_of_life(ready: Path, world: World, doctor: Any) -> None:
    engine = make_engine(f"sqlite:///{ready / 'followup.db'}")
    with writing(engine) as conn:
        signs.seen(conn, signs.EVENTS)
    engine.dispose()
    found = doctor(
        FOLLOWUP_TRANSPORT="sendgrid",
        SENDGRID_API_KEY="SG.hush",
        FOLLOWUP_SENDGRID_URL=world.url,
        FOLLOWUP_SENDGRID_EVENT_KEYS=KEY,
    )
    assert found["event hook"]["says"].startswith("the last event came ")
    assert found["inbound hook"]["says"] == "no mail has come yet"
    assert "/hooks/sendgrid/inbound" in found["inbound hook"]["do"]
