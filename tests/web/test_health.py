"""What platforms and monitoring ask, answered from a real database."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text, update
from starlette.applications import Starlette
from starlette.testclient import TestClient

from followup.app import App
from followup.clock import VirtualClock
from followup.core.message import HaltScope, MessageState
from followup.services.hints import NoHints
from followup.settings import Settings
from followup.store import alerts, bundles, conversations, halts, signs
from followup.store.engine import writing
from followup.store.schema import provider_events, signs_of_life
from followup.store.types import real_now
from followup.web.health import routes
from followup.web.site import Site
from tests.store.make import START, a_customer, a_mail, a_message, an_enrollment, at

TOKEN = "a-token-of-the-tests"


Make = Callable[..., TestClient]


@pytest.fixture
def a_client(tmp_path: Path) -> Iterator[Make]:
    """Yield a maker of clients of a web process with just these routes, an hour after the start of every story."""
    apps: list[App] = []

    def make(**settings: Any) -> TestClient:
        apps.append(App(Settings(project=tmp_path, **settings), clock=VirtualClock(at(1))))
        return TestClient(Starlette(routes=routes(Site(apps[-1], NoHints()))))

    yield make
    for app in apps:
        app.close()


@pytest.fixture
def client(a_client: Make, database_url: str) -> TestClient:
    return a_client(database_url=database_url, metrics_token=TOKEN)


@pytest.fixture
def away(a_client: Make) -> TestClient:
    """Return a client of a web process whose database does not answer."""
    return a_client(database_url="postgresql://ana:hush@127.0.0.1:1/shop", metrics_token=TOKEN)


def scrape(client: TestClient) -> dict[str, float]:
    """Return every sample as Prometheus would name it."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): sample.value
        for sample in samples
    }


# -- is it there --


def test_a_process_that_lives_says_so_without_its_database(away: TestClient) -> None:
    answer = away.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok")
    assert answer.headers["cache-control"] == "no-store"
    assert away.head("/healthz").status_code == 200


# -- can it work --


def test_it_is_ready_once_something_was_applied(engine: Engine, client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "database": "ok", "workflows": "none applied"}
    with writing(engine) as conn:
        bundles.add(conn, "hash", {}, now=START)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "database": "ok", "workflows": "ok"})


def test_a_database_that_is_away_is_not_ready_and_says_nothing_of_itself(away: TestClient) -> None:
    answer = away.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "database": "away", "workflows": "unknown"}


def test_an_empty_database_is_not_ready(empty_database_url: str, a_client: Make) -> None:
    answer = a_client(database_url=empty_database_url).get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "not upgraded"


def test_a_database_that_was_emptied_meanwhile_is_not_ready(engine: Engine, client: TestClient) -> None:
    client.get("/readyz")
    with writing(engine) as conn:
        conn.execute(text("DELETE FROM alembic_version"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "not upgraded")


# -- how things stand --


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ÿ"]
)
def test_metrics_need_the_token(away: TestClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = away.get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "followup_" not in answer.text


def test_without_a_token_there_are_no_metrics(a_client: Make) -> None:
    answer = a_client().get("/metrics", headers={"Authorization": "Bearer None"})
    assert answer.status_code == 404


def test_metrics_of_a_database_that_is_away_are_none(away: TestClient) -> None:
    answer = away.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.text) == (503, "the database cannot be used")


def test_every_state_of_an_empty_shop_is_zero(client: TestClient) -> None:
    found = scrape(client)
    for name in (
        "followup_messages{state=due}",
        "followup_messages{state=unknown}",
        "followup_enrollments{state=active}",
        "followup_inbound_mail{state=failed}",
        "followup_provider_events{state=applied}",
        "followup_oldest_due_seconds",
        "followup_conversations_waiting",
        "followup_longest_wait_seconds",
        "followup_alerts_open",
        "followup_halted{scope=all}",
        "followup_halted{scope=sender}",
    ):
        assert found[name] == 0
    assert found["followup_mode_info{mode=test}"] == 1
    assert not [name for name in found if name.startswith("followup_last_seen")], "never is not zero seconds ago"


def test_the_numbers_are_those_of_the_database(engine: Engine, client: TestClient) -> None:
    with writing(engine) as conn:
        ana, bo = a_customer(conn, "ana"), a_customer(conn, "bo")
        a_message(conn, customer_id=ana, due_at=at(0.5))
        a_message(conn, MessageState.UNKNOWN, customer_id=ana)
        an_enrollment(conn, bo)
        a_mail(conn)
        conn.execute(
            provider_events.insert(),
            [{"provider": "sendgrid", "event_id": "1", "received_at": START, "raw": {}, "state": "applied"}],
        )
        conversations.customer_wrote(conn, ana, "maria", at=at(0))
        conversations.customer_wrote(conn, bo, "maria", at=at(0.75))
        conversations.close(conn, bo, at=at(0.8))
        alerts.raise_(conn, {"unknown": "1 letter"})
        halts.halt(conn, HaltScope.ALL, reason="wrong price", now=at(0))
        signs.seen(conn, signs.SWEEP)
        conn.execute(update(signs_of_life).values(seen_at=real_now(-100)))
    found = scrape(client)
    assert found["followup_messages{state=due}"] == 1
    assert found["followup_messages{state=unknown}"] == 1
    assert found["followup_enrollments{state=active}"] == 3
    assert found["followup_inbound_mail{state=received}"] == 1
    assert found["followup_provider_events{state=applied}"] == 1
    assert found["followup_oldest_due_seconds"] == timedelta(minutes=30).total_seconds()
    assert found["followup_conversations_waiting"] == 1
    assert found["followup_longest_wait_seconds"] == timedelta(hours=1).total_seconds()
    assert found["followup_alerts_open"] == 1
    assert found["followup_halted{scope=all}"] == 1
    assert found["followup_halted{scope=sender}"] == 0
    assert 99 < found["followup_last_seen_seconds{what=sweep}"] < 200


def test_a_letter_that_is_due_later_is_not_overdue(engine: Engine, client: TestClient) -> None:
    with writing(engine) as conn:
        a_message(conn, due_at=at(2))
    assert scrape(client)["followup_oldest_due_seconds"] == 0


def test_the_process_is_measured_too_and_nothing_twice(client: TestClient) -> None:
    for _ in range(2):  # the second scrape finds nothing left behind by the first
        found = scrape(client)
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert [name for name in found if name.startswith("python_info")]


def test_no_metric_is_about_a_person(engine: Engine, client: TestClient) -> None:
    with writing(engine) as conn:
        a_message(conn, MessageState.BLOCKED, set_={"reason": "ana@shop.example has no name"})
        alerts.raise_(conn, {"blocked": "ana@shop.example has no name"})
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert not re.search("@|shop.example|no name", answer.text)
