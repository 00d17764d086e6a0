"""Each check by itself: what is fine, what is a warning, what fails, and what to do."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from followup.authoring.starter import DEMO, sample_shop, shop_folder
from followup.clock import VirtualClock
from followup.core.message import HaltScope, MessageState
from followup.core.sender import Sender
from followup.mail.outbox import Outbox
from followup.mail.safe import OnlyTo
from followup.mail.smtp import Smtp
from followup.services import checkup, quarantine
from followup.services.checkup import Away, Finding, Grade, Setup
from followup.services.checkup_record import bundle_findings, record_findings
from followup.services.library import Library
from followup.store import halts, inbound_mail, senders, signs
from followup.store.engine import reading, writing
from tests.services.world import MONDAY, PEOPLE, World
from tests.store.make import a_message

KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpigl"
    "SI8eNEc6wEA3F+g=="
)
OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
HOUR = timedelta(hours=1)


def a_setup(**given: Any) -> Setup:
    """Return a live installation with everything set, except as *given*."""
    known: dict[str, Any] = {
        "live": True,
        "transport": "sendgrid",
        "ephemeral": False,
        "whereto": "LIVE mode: letters go to customers",
        "event_keys": (KEY,),
        "inbound_keys": (KEY,),
        "reply_domain": "reply.forge.com",
        "public_url": "https://ask.forge.com",
        "secret_keys": ("s" * 64,),
        "suppression_key": "p" * 64,
        "published_key": "published",
    }
    return Setup(**known | given)


def graded(findings: Any) -> dict[str, Grade]:
    """Return the grade of each check."""
    return {one.what: one.grade for one in findings}


def says(finding: Finding) -> str:
    return f"{finding.text} — {finding.remedy}"


# -- settings --


@pytest.mark.parametrize(
    ("given", "grades"),
    [
        ({}, {"mode": OK}),
        ({"transport": "outbox"}, {"mode": OK, "transport": FAIL}),
        ({"transport": "outbox", "live": False}, {"mode": OK}),
        ({"transport": "outbox", "live": False, "ephemeral": True}, {"mode": OK, "transport": WARN}),
        ({"live": False, "ephemeral": True}, {"mode": OK}),
    ],
)
def test_letters_have_somewhere_to_go(given: dict[str, Any], grades: dict[str, Grade]) -> None:
    assert graded(checkup.mode_findings(a_setup(**given))) == grades


@pytest.mark.parametrize(
    ("given", "live", "test"),
    [
        ({}, OK, OK),
        ({"secret_keys": ("s" * 32, "t" * 32)}, OK, OK),
        ({"secret_keys": ("s" * 31,)}, FAIL, WARN),
        ({"secret_keys": ("s" * 32, "short")}, FAIL, WARN),
        ({"secret_keys": ("published",)}, FAIL, WARN),
        ({"secret_keys": ("s" * 32, "published")}, FAIL, WARN),
    ],
)
def test_secret_keys_are_long_and_our_own(given: dict[str, Any], live: Grade, test: Grade) -> None:
    assert graded(checkup.key_findings(a_setup(**given)))["secret keys"] is live
    assert graded(checkup.key_findings(a_setup(live=False, **given)))["secret keys"] is test


def test_a_short_suppression_key_is_never_to_be_exchanged_lightly() -> None:
    _, finding = checkup.key_findings(a_setup(suppression_key="short"))
    assert finding.grade is WARN
    assert finding.remedy.startswith("leave it if anybody has unsubscribed")
    assert [one.grade for one in checkup.key_findings(a_setup(suppression_key="published"))] == [OK, FAIL]


def test_no_finding_shows_a_secret() -> None:
    setup = a_setup(secret_keys=("hush",), suppression_key="hush", event_keys=("SG.hush",), inbound_keys=("hush",))
    findings = [*checkup.key_findings(setup), *checkup.hook_findings(setup, {})]
    assert len(findings) == 4
    assert not [one for one in findings if "hush" in says(one)]


@pytest.mark.parametrize(
    ("domain", "given", "grade"),
    [
        ("reply.forge.com", {}, OK),
        ("reply.localhost", {}, FAIL),
        ("localhost", {}, FAIL),
        ("reply.forge.example", {}, FAIL),
        ("reply.myexample.com", {}, OK),
        ("reply.localhost", {"live": False}, WARN),
        ("reply.localhost", {"live": False, "transport": "outbox"}, OK),
        ("reply.localhost", {"transport": "outbox"}, FAIL),
    ],
)
def test_answers_have_somewhere_to_arrive(domain: str, given: dict[str, Any], grade: Grade) -> None:
    assert checkup.reply_domain_finding(a_setup(reply_domain=domain, **given)).grade is grade


def test_the_operator_is_told_how_to_ask_dns() -> None:
    said = checkup.reply_domain_finding(a_setup()).text
    assert "`dig +short MX reply.forge.com` prints `10 mx.sendgrid.net.`" in said


# -- servers --


def answering(text: str) -> Any:
    return lambda _url: text


def silent(_url: str) -> str:
    raise Away("connection refused")


@pytest.mark.parametrize(
    ("url", "page", "live", "test"),
    [
        ("https://ask.forge.com", answering("ok\n"), OK, OK),
        ("https://ask.forge.com", answering("<html>"), WARN, WARN),
        ("https://ask.forge.com", silent, WARN, WARN),
        ("http://ask.forge.com", answering("ok"), FAIL, OK),
        ("http://localhost:8000", answering("ok"), FAIL, OK),
        ("http://localhost:8000", silent, FAIL, OK),
        ("http://localhost:8000", answering("<html>"), FAIL, WARN),
        ("https://127.0.0.1", silent, FAIL, OK),
        ("https://localhost.forge.com", silent, WARN, WARN),
    ],
)
def test_links_lead_to_us(url: str, page: Any, live: Grade, test: Grade) -> None:
    assert checkup.page_finding(a_setup(public_url=url), page).grade is live
    assert checkup.page_finding(a_setup(public_url=url, live=False), page).grade is test


def test_the_page_that_is_asked_is_the_one_for_health() -> None:
    asked: list[str] = []
    checkup.page_finding(a_setup(), lambda url: asked.append(url) or "ok")
    assert asked == ["https://ask.forge.com/healthz"]


@pytest.mark.parametrize(("policy", "grade"), [("noeviction", OK), ("allkeys-lru", WARN), (None, WARN)])
def test_a_redis_that_throws_work_away_is_a_warning(policy: str | None, grade: Grade) -> None:
    assert checkup.redis_finding(lambda: policy).grade is grade


def test_a_redis_that_is_set_and_away_fails_and_one_that_is_not_set_is_fine() -> None:
    def away() -> str:
        raise Away("connection refused")

    assert checkup.redis_finding(away).grade is FAIL
    assert checkup.redis_finding(None).grade is OK


def test_a_way_out_that_does_not_work_fails_with_what_to_do() -> None:
    def refused() -> str:
        raise Away("the key is unknown", "set another")

    assert checkup.transport_finding(lambda: "it may send") == Finding(OK, "transport", "it may send")
    assert checkup.transport_finding(refused) == Finding(FAIL, "transport", "the key is unknown", "set another")


# -- what the provider posts --

SEEN = {signs.EVENTS: 3 * HOUR, signs.INBOUND: 50 * HOUR}


@pytest.mark.parametrize(
    ("given", "ages", "events", "inbound"),
    [
        ({}, SEEN, OK, OK),
        ({}, {}, WARN, WARN),
        ({}, None, OK, OK),
        ({"event_keys": ()}, SEEN, FAIL, OK),
        ({"event_keys": (), "live": False}, SEEN, WARN, OK),
        ({"event_keys": ("abc",)}, SEEN, FAIL, OK),
        ({"event_keys": (KEY, "abc"), "live": False}, SEEN, FAIL, OK),
        ({"inbound_keys": ()}, SEEN, OK, WARN),
        ({"inbound_keys": ()}, None, OK, WARN),
        ({"inbound_keys": ("abc",)}, SEEN, OK, FAIL),
    ],
)
def test_both_hooks_have_keys_and_were_heard_of(
    given: dict[str, Any], ages: Mapping[str, timedelta] | None, events: Grade, inbound: Grade
) -> None:
    found = checkup.hook_findings(a_setup(**given), ages)
    assert graded(found) == {"event hook": events, "inbound hook": inbound}


def test_when_each_hook_was_last_heard_of_is_said() -> None:
    events, inbound = checkup.hook_findings(a_setup(), SEEN)
    assert events.text == "the last event came 3 hours ago"
    assert inbound.text == "the last mail came 2 days ago; signatures are checked"


@pytest.mark.parametrize("transport", ["outbox", "smtp"])
def test_other_ways_out_have_no_hooks(transport: str) -> None:
    assert list(checkup.hook_findings(a_setup(transport=transport), {})) == []


# -- the record --


def record(engine: Engine, setup: Setup) -> list[Finding]:
    with reading(engine) as conn:
        return list(record_findings(conn, setup, library=Library(), now=MONDAY))


def test_a_worker_that_never_ran_fails_once_it_matters(engine: Engine) -> None:
    assert graded(record(engine, a_setup()))["worker"] is FAIL
    assert graded(record(engine, a_setup(live=False)))["worker"] is WARN
    with writing(engine) as conn:
        signs.seen(conn, signs.SWEEP)
    assert graded(record(engine, a_setup()))["worker"] is OK


def test_what_stands_still_is_said_with_its_reason(engine: Engine) -> None:
    with writing(engine) as conn:
        halts.halt(conn, HaltScope.ALL, reason="wrong price", now=MONDAY - HOUR)
        senders.lock(conn, ["nell", "tomas"])
        senders.save(conn, Sender(key="nell", paused="401"))
        senders.save(conn, Sender(key="tomas", trips=2, because="no answer"))
    found = {one.what: one for one in record(engine, a_setup())}
    assert (found["halted"].grade, found["halted"].text) == (WARN, "all letters are halted for 60 minutes: wrong price")
    one, other = (one for one in record(engine, a_setup()) if one.what == "sender")
    assert (one.grade, one.text) == (FAIL, "the provider refuses letters of nell: 401")
    assert (other.grade, other.text) == (
        WARN,
        "letters of tomas got no answer 2 times in a row, one at a time is tried: no answer",
    )


def test_letters_in_trouble_are_warnings_each_with_what_to_do(engine: Engine) -> None:
    assert graded(record(engine, a_setup()))["letters"] is OK
    with writing(engine) as conn:
        a_message(conn, MessageState.BLOCKED, set_={"reason": "no such person"})
        a_message(conn, MessageState.UNKNOWN)
    blocked, unknown = (one for one in record(engine, a_setup()) if one.what == "letters")
    assert (blocked.grade, blocked.text) == (WARN, "1 blocked; the first: no such person")
    assert (unknown.grade, unknown.remedy) == (WARN, "followup messages list --state unknown")


def test_mail_that_was_set_aside_is_a_warning_for_a_day(engine: Engine) -> None:
    def set_aside(why: str, number: int, now: datetime) -> None:
        with writing(engine) as conn:
            inbound_mail.add(conn, f"{why} {number}".encode(), channel="sendgrid", now=now, trouble=why)

    def aside() -> list[Finding]:
        return [one for one in record(engine, a_setup()) if one.what == "inbound mail"]

    set_aside(quarantine.UNSIGNED, 0, MONDAY - 25 * HOUR)
    set_aside(quarantine.TOO_LARGE, 0, MONDAY)
    assert aside() == []
    set_aside(quarantine.UNSIGNED, 1, MONDAY - 23 * HOUR)
    [unsigned] = aside()
    assert unsigned.grade is WARN
    assert unsigned.text == "within a day 1 mail was set aside unread: no key of ours has signed them"
    assert "FOLLOWUP_SENDGRID_INBOUND_KEYS" in unsigned.remedy
    for number in range(2, quarantine.MAX_POSTS):
        set_aside(quarantine.NO_FORM, number, MONDAY)
    _, full = aside()
    assert full.grade is WARN
    assert full.text == "within a day 500 mails were set aside unread, and there is no room for more"


def test_letters_of_test_mode_are_none_to_go_live_with(engine: Engine, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, VirtualClock(MONDAY))
    safe = OnlyTo(Smtp("smtp://mail.forge.com", clock=VirtualClock(MONDAY)), allowed=(), inbox=None, outbox=outbox)
    with writing(engine) as conn:
        a_message(conn, MessageState.ACCEPTED, set_={"transport": "sendgrid"})
        a_message(conn)
    assert "test letters" not in graded(record(engine, a_setup()))
    with writing(engine) as conn:
        a_message(conn, MessageState.ACCEPTED, set_={"transport": safe.name})
        a_message(conn, MessageState.UNKNOWN, set_={"transport": outbox.name})
    assert "test letters" not in graded(record(engine, a_setup(live=False)))
    [found] = [one for one in record(engine, a_setup()) if one.what == "test letters"]
    assert (found.grade, found.text.split()[0]) == (WARN, "2")
    assert "docs/deploy.md" in found.remedy


@pytest.mark.parametrize(
    ("domain", "given", "grade"),
    [
        ("forge.com", {}, OK),
        ("forge.example", {}, FAIL),
        ("forge.example", {"live": False}, WARN),
        ("GMail.com", {}, FAIL),
        ("forge.com", {"transport": "outbox", "live": False}, None),
    ],
)
def test_people_write_from_a_domain_that_can_be_authenticated(
    engine: Engine, tmp_path: Path, domain: str, given: dict[str, Any], grade: Grade | None
) -> None:
    world = World(engine, tmp_path)
    world.apply(letters={"workflows/people.yaml": PEOPLE.replace("forge.example", domain)})
    found = [one for one in record(engine, a_setup(**given)) if one.what == "sender domain"]
    assert [one.grade for one in found] == ([grade] if grade else [])
    assert all(domain.lower() in one.text for one in found)


def test_the_sample_shop_is_the_one_that_new_projects_begin_with() -> None:
    assert (DEMO / "shop.yaml").read_bytes() == (shop_folder("workflows") / "shop.yaml").read_bytes()


@pytest.mark.parametrize(
    ("name", "address", "left"),
    [
        ("Anvil & Co", "1 High Street, Leeds", None),
        (None, None, "the name and the postal address"),
        ("Anvil & Co", None, "the postal address"),
        (None, "1 High Street, Leeds", "the name"),
        ("harrow  forge", "1 High Street, Leeds", "the name"),
    ],
)
def test_no_letter_names_the_sample_shop(
    engine: Engine, tmp_path: Path, name: str | None, address: str | None, left: str | None
) -> None:
    sample = sample_shop()
    shop = f"name: {name or sample.name}\npostal_address: {address or sample.postal_address}\n"
    World(engine, tmp_path).apply(letters={"workflows/shop.yaml": shop})
    for live, grade in ((True, FAIL), (False, WARN)):
        found = [one for one in record(engine, a_setup(live=live)) if one.what == "shop"]
        assert [one.grade for one in found] == ([grade] if left else [])
        assert all(f"has {left} of the sample shop" in one.text for one in found)
        assert all("workflows/shop.yaml" in one.remedy for one in found)


def applied(engine: Engine, files: Any) -> Finding:
    with reading(engine) as conn:
        [finding] = bundle_findings(conn, files, library=Library())
    return finding


def test_the_folder_is_compared_with_what_runs(engine: Engine, tmp_path: Path) -> None:
    def no_folder() -> dict[str, str]:
        raise Away("there is no folder workflows/")

    assert applied(engine, no_folder).grade is FAIL
    world = World(engine, tmp_path)
    files = world.files
    assert applied(engine, lambda: files).grade is OK
    assert applied(engine, no_folder).grade is WARN
    other = files | {"workflows/shop.yaml": files["workflows/shop.yaml"] + "# changed\n"}
    assert (applied(engine, lambda: other).grade, applied(engine, lambda: other).remedy) == (WARN, "followup apply")
    broken = files | {"workflows/shop.yaml": "name: 1\n  2\n"}
    finding = applied(engine, lambda: broken)
    assert finding.grade is FAIL
    assert "workflows/shop.yaml:" in finding.text


def test_a_folder_that_was_never_applied_does_nothing(engine: Engine, tmp_path: Path) -> None:
    files = {"workflows/people.yaml": PEOPLE, "workflows/shop.yaml": "name: Forge\npostal_address: Ludlow\n"}
    assert applied(engine, lambda: files) == Finding(FAIL, "workflows", "none were applied yet", "followup apply")
