"""The routes SendGrid posts to: what is stored, what is answered, and that no mail is ever answered 4xx."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from followup.app import App
from followup.clock import VirtualClock
from followup.errors import ConfigurationError
from followup.inbound.sendgrid import SIGNATURE_HEADER
from followup.services import quarantine
from followup.settings import Settings
from followup.store import inbound_mail, schema, signs
from followup.store.engine import make_engine, reading, writing
from followup.web.hooks import MAX_MAIL, routes
from followup.web.site import Site
from tests.inbound.posts import CONTENT_TYPE, Signer, a_raw_post
from tests.services.world import MONDAY

EVENTS, INBOUND = "/hooks/sendgrid/events", "/hooks/sendgrid/inbound"
EVENT = {"event": "delivered", "sg_event_id": "1", "email": "ana@example.com"}
BODY = json.dumps([EVENT]).encode() + b"\r\n"
MAIL = b"From: ana@example.com\r\nSubject: Gr\xfc\xdfe\r\n\r\nIt came with a dent.\xff\r\n"
LIVE = {"mode": "live", "secret_keys": "a-secret", "suppression_key": "another"}


@dataclass
class Told:
    """Hints as they were given."""

    received: list[int] = field(default_factory=list)
    tracked: list[int] = field(default_factory=list)

    def receive(self, ids):
        self.received.extend(ids)

    def track(self, ids):
        self.tracked.extend(ids)

    def advance(self, ids): ...

    def deliver(self, ids): ...


class Door:
    """An application made of the hooks alone, and what it stored."""

    def __init__(self, database_url: str, project: Path, *, read_seconds: float = 60, **settings: Any) -> None:
        given = {"database_url": database_url, "project": project, **settings}
        self.app = App(Settings(**given), clock=VirtualClock(MONDAY))
        self.told = Told()
        self.asgi = Starlette(routes=routes(Site(self.app, self.told), read_seconds=read_seconds))
        self.client = TestClient(self.asgi, raise_server_exceptions=False)

    def post(self, path: str, body: Any = BODY, *, signer: Signer | None = None, **headers: str) -> int:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if path.startswith(INBOUND):
            headers = {"content-type": CONTENT_TYPE, **headers}
        if signer is not None:
            headers = signer.sign(body, time.time()) | headers
        return self.client.post(path, content=body, headers=headers, follow_redirects=False).status_code

    def rows(self, table: str) -> list[Any]:
        of = schema.metadata.tables[table]
        with reading(self.app.engine) as conn:
            return list(conn.execute(select(of).order_by(of.c.id)))

    @property
    def alive(self) -> set[str]:
        with reading(self.app.engine) as conn:
            return set(signs.ages(conn))

    def mails(self) -> list[tuple[str, str | None]]:
        return [(row.state, row.error) for row in self.rows("inbound_mail")]

    def raw(self, inbound_id: int) -> bytes:
        with reading(self.app.engine) as conn:
            return inbound_mail.load(conn, inbound_id).raw


@pytest.fixture
def opened(database_url: str, tmp_path: Path) -> Iterator[Any]:
    """Return a maker of doors on one database, of each kind in turn."""
    doors: list[Door] = []

    def open_(**settings: Any) -> Door:
        doors.append(Door(database_url, tmp_path, **settings))
        return doors[-1]

    yield open_
    for door in doors:
        door.app.close()


@pytest.fixture
def door(opened) -> Door:
    return opened()


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture(params=["nowhere", "closed port"])
def shut(request: pytest.FixtureRequest, tmp_path: Path) -> Door:
    """Return a door to a database that is not there."""
    urls = {"nowhere": f"sqlite:///{tmp_path / 'none.db'}", "closed port": "postgresql://u:p@127.0.0.1:1/x"}
    return Door(urls[request.param], tmp_path)


class TestEvents:
    def test_events_are_stored_as_they_came_and_a_worker_is_told(self, door: Door) -> None:
        assert door.post(EVENTS) == 200
        (row,) = door.rows("provider_events")
        assert (row.provider, row.event_id, row.state, row.raw) == ("sendgrid", "1", "received", EVENT)
        assert (row.received_at, door.told.tracked) == (MONDAY, [row.id])
        assert door.alive == {"events"}

    def test_a_post_that_is_repeated_changes_nothing(self, door: Door) -> None:
        assert [door.post(EVENTS), door.post(EVENTS), door.post(EVENTS + "/")] == [200, 200, 200]
        assert len(door.rows("provider_events")) == len(door.told.tracked) == 1

    def test_what_is_signed_by_any_of_the_keys_is_taken_and_nothing_else(self, opened, signer: Signer, caplog) -> None:
        door = opened(sendgrid_event_keys=(Signer().public, signer.public), **LIVE)
        assert door.post(EVENTS, signer=signer) == 200
        assert door.post(EVENTS) == 403
        assert door.post(EVENTS, signer=Signer()) == 403
        assert door.post(EVENTS, signer=signer, **{SIGNATURE_HEADER: "AAAA"}) == 403
        assert door.post(EVENTS, BODY + b" ", **signer.sign(BODY, time.time())) == 403
        assert door.post(EVENTS, **signer.sign(BODY, time.time() - 26 * 3600)) == 403
        assert len(door.rows("provider_events")) == 1
        assert [record.message for record in caplog.records].count("events.unsigned") == 5

    def test_an_old_signature_is_taken_for_a_day(self, opened, signer: Signer) -> None:
        door = opened(sendgrid_event_keys=(signer.public,))
        assert door.post(EVENTS, **signer.sign(BODY, time.time() - 24 * 3600)) == 200

    def test_nothing_unsigned_is_taken_in_live_mode_and_the_log_says_what_is_missing(self, opened, caplog) -> None:
        door = opened(**LIVE)
        caplog.clear()
        assert door.post(EVENTS) == 503
        assert door.rows("provider_events") == []
        assert {record.__dict__.get("missing") for record in caplog.records} >= {"FOLLOWUP_SENDGRID_EVENT_KEYS"}

    def test_what_is_not_signed_is_not_even_read(self, opened, signer: Signer) -> None:
        door = opened(sendgrid_event_keys=(signer.public,))
        assert door.post(EVENTS, b"no events") == 403
        assert door.rows("provider_events") == []
        assert door.alive == set()

    @pytest.mark.parametrize("body", [b"", b"no events", b"{}", b"[1, 2]", b"\x00\xff", b"[" * 99_999])
    def test_what_holds_no_events_is_kept_and_answered_well(self, door: Door, body: bytes) -> None:
        assert door.post(EVENTS, body) == 200
        assert [row.state for row in door.rows("provider_events")] == ["failed"]
        assert door.told.tracked == []

    def test_more_than_sendgrid_ever_posts_is_too_large(self, door: Door) -> None:
        assert door.post(EVENTS, b"[" + b" " * 4_000_000 + b"]") == 413
        assert door.post(EVENTS, (b" " * 65_536 for _ in range(100))) == 413
        assert door.rows("provider_events") == []

    def test_a_database_that_is_away_is_our_fault(self, shut: Door) -> None:
        assert shut.post(EVENTS) == 503

    def test_nothing_is_shown_to_who_only_looks(self, door: Door) -> None:
        assert door.client.get(EVENTS).status_code == 405


class TestInbound:
    def test_a_post_is_stored_as_it_came_and_a_worker_is_told(self, door: Door) -> None:
        body = a_raw_post(MAIL, "r+x@reply.example")
        assert door.post(INBOUND, body) == 200
        (row,) = door.rows("inbound_mail")
        assert (row.channel, row.content_type, row.state, row.error) == ("sendgrid", CONTENT_TYPE, "received", None)
        assert (door.raw(row.id), door.told.received, row.received_at) == (body, [row.id], MONDAY)
        assert door.alive == {"inbound"}

    def test_a_post_that_is_repeated_is_one_mail(self, door: Door) -> None:
        body = a_raw_post(MAIL)
        assert [door.post(INBOUND, body), door.post(INBOUND + "/", body)] == [200, 200]
        assert len(door.rows("inbound_mail")) == 1

    def test_a_signed_post_is_taken_whatever_bytes_it_holds(self, opened, signer: Signer) -> None:
        door = opened(sendgrid_inbound_keys=(Signer().public, signer.public))
        assert door.post(INBOUND, a_raw_post(bytes(range(256))), signer=signer) == 200
        assert door.mails() == [("received", None)]

    def test_a_post_that_is_not_signed_is_kept_aside(self, opened, signer: Signer) -> None:
        door = opened(sendgrid_inbound_keys=(signer.public,))
        assert door.post(INBOUND, a_raw_post(MAIL)) == 200
        assert door.post(INBOUND, a_raw_post(MAIL + b"2"), signer=Signer()) == 200
        assert door.mails() == [("failed", quarantine.UNSIGNED)] * 2
        assert door.told.received == []
        assert door.alive == set(), "anybody could have posted that"

    def test_what_was_kept_aside_is_taken_when_it_comes_signed(self, opened, signer: Signer) -> None:
        body = a_raw_post(MAIL)
        assert opened(sendgrid_inbound_keys=(Signer().public,)).post(INBOUND, body, signer=signer) == 200
        door = opened(sendgrid_inbound_keys=(signer.public,))
        assert door.post(INBOUND, body, signer=signer) == 200
        assert door.mails() == [("received", None)]
        assert door.told.received == [1]

    def test_a_large_post_that_is_not_signed_has_to_come_again(self, opened, signer: Signer) -> None:
        door = opened(sendgrid_inbound_keys=(signer.public,))
        body = a_raw_post(MAIL + b"x" * 3_000_000)
        assert [door.post(INBOUND, body) for _ in range(3)] == [503] * 3
        assert door.mails() == [("failed", quarantine.UNSIGNED)], "its beginning, so that somebody hears of it"
        assert door.raw(1) == body[:256_000]
        assert door.post(INBOUND, body, signer=signer) == 200
        [whole] = door.told.received
        assert door.raw(whole) == body

    @pytest.mark.parametrize("chunked", [True, False])
    def test_of_a_mail_that_is_too_large_the_beginning_is_kept(self, door: Door, chunked: bool) -> None:
        body = a_raw_post(b"x" * MAX_MAIL)
        pieces = (body[start : start + 1_000_000] for start in range(0, len(body), 1_000_000))
        assert door.post(INBOUND, pieces if chunked else body) == 200
        assert door.mails() == [("failed", "larger than 32 MB")]
        assert door.raw(1) == body[:256_000]
        assert door.told.received == []

    def test_the_largest_mail_there_is_is_taken_whole(self, door: Door) -> None:
        body = a_raw_post(b"x" * (MAX_MAIL - 5_000))
        assert door.post(INBOUND, body) == 200
        assert door.raw(1) == body

    def test_an_empty_post_is_nothing(self, door: Door) -> None:
        assert door.post(INBOUND, b"") == 200
        assert door.mails() == []

    @pytest.mark.parametrize(
        "content_type", ["", "application/json", "text/plain; x=multipart/form-data", "é", "x" * 9_999]
    )
    def test_a_post_of_another_kind_is_kept_aside(self, door: Door, content_type: str) -> None:
        assert door.post(INBOUND, b"x", **{"content-type": content_type.encode("latin-1")}) == 200
        assert door.mails() == [("failed", quarantine.NO_FORM)]

    @pytest.mark.parametrize("body", [b"x", b"--xYzZY", b"\r\n" * 999, bytes(range(256))])
    def test_a_post_that_is_no_form_is_stored_for_a_worker_to_say_so(self, door: Door, body: bytes) -> None:
        assert door.post(INBOUND, body) == 200
        assert door.mails() == [("received", None)]

    def test_so_many_are_kept_aside_in_a_day_and_no_more(self, door: Door) -> None:
        with writing(door.app.engine) as conn:
            for number in range(quarantine.MAX_POSTS - 2):
                why = quarantine.REASONS[number % 3]
                inbound_mail.add(conn, f"{number}".encode(), channel="sendgrid", now=MONDAY, trouble=why)
            inbound_mail.add(conn, b"another", channel="sendgrid", now=MONDAY, trouble="could not be read")
        answers = [door.post(INBOUND, f"post {n}".encode(), content_type="x/y") for n in range(4)]
        assert answers == [200, 200, 503, 503]
        assert door.post(INBOUND, a_raw_post(MAIL)) == 200, "mail goes on coming in"
        door.app.clock.move_to(MONDAY + timedelta(days=1, seconds=1))
        assert door.post(INBOUND, b"5", content_type="x/y") == 200

    def test_so_many_bytes_are_kept_aside_in_a_day_and_no_more(self, opened, signer: Signer) -> None:
        door = opened(sendgrid_inbound_keys=(signer.public,))
        noise = Random(1)
        fill(door, quarantine.MAX_BYTES - 1_000_000, noise)
        large, small = (noise.randbytes(size) for size in (1_900_000, 1_000))
        shrinks = b"x" * 1_900_000
        assert [door.post(INBOUND, body) for body in (shrinks, large)] == [200, 200], "what counts is what is stored"
        assert door.post(INBOUND, small) == 503
        assert door.post(INBOUND, small, signer=signer) == 200, "mail goes on coming in"
        door.app.clock.move_to(MONDAY + timedelta(days=1, seconds=1))
        assert door.post(INBOUND, noise.randbytes(1_000)) == 200

    def test_what_found_no_room_is_taken_once_its_key_is_known(self, opened, signer: Signer) -> None:
        door = opened(sendgrid_inbound_keys=(Signer().public,))
        fill(door, quarantine.MAX_BYTES, Random(1))
        body = a_raw_post(MAIL)
        assert door.post(INBOUND, body, signer=signer) == 503
        assert opened(sendgrid_inbound_keys=(signer.public,)).post(INBOUND, body, signer=signer) == 200
        assert door.mails()[-1] == ("received", None)

    def test_a_database_that_is_away_is_our_fault(self, shut: Door) -> None:
        assert shut.post(INBOUND, a_raw_post(MAIL)) == 503
        assert shut.post(INBOUND, b"", content_type="x/y") == 200

    def test_a_bug_of_ours_is_our_fault(self, door: Door, caplog) -> None:
        door.told.received = ()  # type: ignore[assignment]  # what breaks when hints are given
        assert door.post(INBOUND, a_raw_post(MAIL)) == 503
        assert "hook.failed" in [record.message for record in caplog.records]

    def test_nothing_is_shown_to_who_only_looks(self, door: Door) -> None:
        assert door.client.get(INBOUND).status_code == 405


def fill(door: Door, size: int, noise: Random) -> None:
    """Let so many bytes that cannot be compressed be set aside, in a few posts."""
    with writing(door.app.engine) as conn:
        for _ in range(5):
            body, why = noise.randbytes(size // 5), quarantine.TOO_LARGE
            inbound_mail.add(conn, body, channel="sendgrid", now=door.app.clock.now(), trouble=why)


def spoken_to(door: Door, path: str, messages: list[dict[str, Any]], *, then_silent: bool = False) -> int:
    """Post by hand, piece by piece; return the answer's status."""
    sent: list[Any] = []

    async def receive_() -> Any:
        if messages:
            return messages.pop(0)
        if then_silent:
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
        "raw_path": path.encode(), "root_path": "", "scheme": "https", "query_string": b"",
        "headers": [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", b"999")],
    }  # fmt: skip
    anyio.run(door.asgi, scope, receive_, send)
    return next(message["status"] for message in sent if message["type"] == "http.response.start")


@pytest.mark.parametrize("path", [EVENTS, INBOUND])
class TestConnections:
    def test_a_post_that_breaks_off_is_not_stored(self, door: Door, path: str, caplog) -> None:
        assert spoken_to(door, path, [{"type": "http.request", "body": b"[{", "more_body": True}]) == 503
        assert [record.message for record in caplog.records] == ["hook.broken_off"]
        assert door.rows("provider_events") == door.mails() == []

    def test_a_post_that_never_ends_is_given_up(self, opened, path: str) -> None:
        door = opened(read_seconds=0.05)
        beginning = [{"type": "http.request", "body": b"[{", "more_body": True}]
        assert spoken_to(door, path, beginning, then_silent=True) == 503
        assert door.rows("provider_events") == door.mails() == []


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Door]:
    """Return a door to an SQLite file."""
    url = f"sqlite:///{tmp_path / 'small.db'}"
    door = Door(url, tmp_path)
    door.app.upgrade()
    yield door
    door.app.close()


def pragma(door: Door, setting: str) -> None:
    """Set something on every connection that a request can get."""
    with ExitStack() as held:
        for conn in [held.enter_context(reading(door.app.engine)) for _ in range(5)]:
            conn.exec_driver_sql(f"PRAGMA {setting}")


POSTS = {
    EVENTS: json.dumps([EVENT | {"sg_event_id": str(n), "response": "x" * 500} for n in range(500)]).encode(),
    INBOUND: a_raw_post(Random(1).randbytes(300_000)),
}


@pytest.mark.parametrize("path", POSTS)
class TestAnSqliteFileThatTakesNoMore:
    def test_a_full_disk_is_answered_503_and_leaves_no_part_of_it(self, small: Door, path: str) -> None:
        with reading(small.app.engine) as conn:
            pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        pragma(small, f"max_page_count={pages + 20}")
        assert [small.post(path, POSTS[path]) for _ in range(2)] == [503, 503]
        assert (small.rows("provider_events"), small.mails(), small.alive) == ([], [], set())
        assert small.told == Told()

        pragma(small, f"max_page_count={pages + 20_000}")  # somebody made room
        assert small.post(path, POSTS[path]) == 200
        assert len(small.rows("provider_events")) + len(small.mails()) in {1, 500}
        with reading(small.app.engine) as conn:
            assert conn.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"

    def test_one_that_somebody_else_keeps_locked_is_answered_503(self, small: Door, path: str) -> None:
        pragma(small, "busy_timeout=50")
        somebody = make_engine(str(small.app.engine.url))
        with writing(somebody):
            assert small.post(path, POSTS[path]) == 503
        somebody.dispose()
        assert (small.rows("provider_events"), small.mails(), small.alive) == ([], [], set())
        assert small.post(path, POSTS[path]) == 200


@pytest.mark.parametrize("name", ["sendgrid_event_keys", "sendgrid_inbound_keys"])
def test_a_key_that_is_none_is_noticed_at_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"FOLLOWUP_{name.upper()}"):
        Door("sqlite://", tmp_path, **{name: ("no key",)})


def test_counting_what_is_kept_aside_takes_its_index(opened) -> None:
    from tests.store.make import plan_of, taken_back

    door = opened()
    with taken_back(door.app.engine) as conn:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = plan_of(conn, lambda: quarantine.lately(conn, now=MONDAY))
        assert "ix_inbound_mail_failed" in plan
