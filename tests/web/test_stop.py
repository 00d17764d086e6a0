"""Unsubscribing by the link in a letter, and by the button of a mail program (RFC 8058)."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.core.tokens import TokenPurpose, sign
from tests.services.test_hearing import BOUNCE
from tests.services.world import KEYS, MONDAY, a_purchase
from tests.web.visiting import Visiting

ONE_CLICK = [
    ("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click"),
    ("application/x-www-form-urlencoded; charset=utf-8", b"List-Unsubscribe=One-Click\r\n"),
    (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
    ),
    ("text/plain", b"List-Unsubscribe=One-Click"),
]


@pytest.fixture
def asked(engine: Engine, database_url: str, tmp_path: Path) -> Visiting:
    visiting = Visiting(engine, database_url, tmp_path)
    visiting.ask()
    return visiting


def reasons(visiting: Visiting) -> list[tuple[str, str]]:
    return [(row.reason, row.source) for row in visiting.world.rows("suppressions")]


@pytest.mark.parametrize(("kind", "body"), ONE_CLICK)
def test_a_mail_programs_button_unsubscribes_without_redirect_or_cookie(
    asked: Visiting, kind: str, body: bytes
) -> None:
    with asked.site() as browser:
        answer = browser.post(asked.stop_link, content=body, headers={"Content-Type": kind}, follow_redirects=False)
    assert (answer.status_code, answer.text) == (200, "You are unsubscribed.\n")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "set-cookie" not in answer.headers
    assert reasons(asked) == [("unsubscribed", "page")]
    asked.world.drain()
    assert asked.world.rows("enrollments")[0].outcome == "unsubscribed"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--b\r\n"),
        ("multipart/form-data; boundary=b", b"no boundary \xff" * 99),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="List-Unsub'),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="x"; filename="f"\r\n\r\nOne-Click\r\n--b--\r\n',
        ),
        ("multipart/form-data; boundary=b; charset=nonsense", ONE_CLICK[2][1]),
        ("application/x-www-form-urlencoded", b"a=1&" * 99),
        ("application/x-www-form-urlencoded", b"a" * 70_000),
        ("application/x-www-form-urlencoded; charset=utf-16", b"%ff=%00"),
    ],
)
def test_whatever_the_form_is_whoever_posts_to_the_link_has_decided(asked: Visiting, kind: str, body: bytes) -> None:
    with asked.site() as browser:
        answer = browser.post(asked.stop_link, content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.text) == (200, "You are unsubscribed.\n")
    assert reasons(asked) == [("unsubscribed", "page")]


def test_the_link_in_the_header_is_the_one_that_works(asked: Visiting) -> None:
    header = asked.world.letters()[0]["List-Unsubscribe"]
    link = header.split(">")[0].removeprefix("<https://forge.example")
    with asked.site() as browser:
        assert browser.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert reasons(asked) == [("unsubscribed", "page")]


def test_opening_the_link_asks_first_and_its_button_unsubscribes(asked: Visiting) -> None:
    with asked.site() as browser:
        page = browser.get(asked.stop_link)
        assert "No more letters?" in page.text
        assert "Harrow Forge" in page.text
        assert reasons(asked) == []
        done = browser.post(asked.stop_link, data={"page": "1"})
        later = browser.get(asked.stop_link)
    assert done.history[0].status_code == 303
    assert "You will get no more letters" in done.text
    assert "<form" not in later.text
    assert reasons(asked) == [("unsubscribed", "page")]
    assert asked.visits() == [None], "once it is done, looking again is nothing to note"


def test_twice_is_once(asked: Visiting) -> None:
    with asked.site() as browser:
        browser.post(asked.stop_link, data={"List-Unsubscribe": "One-Click"})
        before = asked.everything()
        browser.post(asked.stop_link, data={"List-Unsubscribe": "One-Click"})
    after = asked.everything()
    assert after == before
    assert [row.kind for row in asked.world.rows("events")].count("customer.unsubscribed") == 1


def test_it_ends_every_run_of_the_customer_and_nothing_more_is_sent(asked: Visiting) -> None:
    asked.world.take_in(a_purchase("T-2", delivered_at=asked.world.clock.now()))
    with asked.site() as browser:
        browser.post(asked.stop_link, data={"page": "1"})
    asked.world.drain()
    assert [row.outcome for row in asked.world.rows("enrollments")] == ["unsubscribed"] * 2
    asked.world.later(days=10)
    assert len(asked.world.letters()) == 1


def test_the_link_of_an_old_letter_still_unsubscribes(asked: Visiting) -> None:
    asked.world.clock.move_to(MONDAY + timedelta(days=3000))
    with asked.site() as browser:
        browser.post(asked.stop_link, data={"List-Unsubscribe": "One-Click"})
    assert reasons(asked) == [("unsubscribed", "page")]


def test_who_unsubscribed_can_still_answer(asked: Visiting) -> None:
    with asked.site() as browser:
        browser.post(asked.stop_link, data={"page": "1"})
        assert browser.post(asked.link(), data={"choice": "broken"}).status_code == 200
    assert len(asked.world.rows("answers")) == len(asked.world.rows("conversations")) == 1


def test_whose_address_bounced_can_still_unsubscribe(asked: Visiting) -> None:
    to = asked.world.letters()[0]["Reply-To"]
    asked.world.hear(BOUNCE.format(to=to, action="failed", status="5.1.1").encode())
    with asked.site() as browser:
        assert "No more letters?" in browser.get(asked.stop_link).text
        assert "You will get no more letters" in browser.post(asked.stop_link, data={"page": "1"}).text
    assert "customer.unsubscribed" in [row.kind for row in asked.world.rows("events")]


def test_a_forged_link_unsubscribes_nobody(asked: Visiting) -> None:
    forged = sign(TokenPurpose.STOP, asked.name, ["another key"])
    answer_token = sign(TokenPurpose.ANSWER, asked.name, KEYS)
    with asked.site() as browser:
        for token in (forged, answer_token, "x"):
            answer = browser.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"})
            assert answer.status_code == 404
    assert reasons(asked) == []
