"""Which way letters take under which settings; nothing may reach a stranger unless the mode is live."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from followup.app import App
from followup.errors import ConfigurationError
from followup.mail.transport import always
from followup.settings import DEVELOPMENT_KEY, Settings
from tests.local_sendgrid import LocalSendGrid
from tests.mail.letters import a_mail

OWN_KEYS = {"secret_keys": "a-key-of-our-own", "suppression_key": "another-of-our-own"}


@pytest.fixture(scope="module")
def sendgrid() -> Iterator[LocalSendGrid]:
    with LocalSendGrid() as server:
        yield server


def sent(app: App) -> str:
    """Send a letter to ana@example.com; return the name of the answer."""
    ((_, answer),) = chain.from_iterable(app.transport.send([a_mail()], may_begin=always))
    return type(answer).__name__


def an_app(sendgrid: LocalSendGrid, folder: Path, **more: object) -> App:
    known = {
        "project": folder,
        "transport": "sendgrid",
        "sendgrid_url": sendgrid.url,
        "sendgrid_api_key": sendgrid.api_key,
    }
    return App(Settings(**known | more))


def went(sendgrid: LocalSendGrid, folder: Path, **more: object) -> tuple[list[str], int]:
    """Send a letter; return whom the provider was asked to write to, and how many letters are in the outbox."""
    before = len(sendgrid.ledger)
    assert sent(an_app(sendgrid, folder, **more)) == "Accepted"
    return [entry.to for entry in sendgrid.ledger[before:]], len(list((folder / "outbox").glob("*.eml")))


def test_test_mode_is_the_default_and_keeps_letters_here(sendgrid: LocalSendGrid, tmp_path: Path) -> None:
    assert went(sendgrid, tmp_path) == ([], 1)


def test_test_mode_writes_to_the_inbox_instead_and_says_for_whom(sendgrid: LocalSendGrid, tmp_path: Path) -> None:
    assert went(sendgrid, tmp_path, test_inbox="us@shop.example") == (["us@shop.example"], 0)
    assert sendgrid.ledger[-1].subject.startswith(f"[to {a_mail().to_email}] ")


def test_test_mode_writes_to_those_who_are_allowed(sendgrid: LocalSendGrid, tmp_path: Path) -> None:
    address = a_mail().to_email
    assert went(sendgrid, tmp_path, test_allow=address.upper()) == ([address], 0)
    assert went(sendgrid, tmp_path, test_allow="@" + address.partition("@")[2]) == ([address], 0)
    assert went(sendgrid, tmp_path, test_allow="@elsewhere.example") == ([], 1)


def test_only_live_mode_reaches_strangers(sendgrid: LocalSendGrid, tmp_path: Path) -> None:
    assert went(sendgrid, tmp_path, mode="live", test_inbox="us@shop.example", **OWN_KEYS) == ([a_mail().to_email], 0)


def test_an_inbox_that_is_no_address_stops_everything(sendgrid: LocalSendGrid, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'us' is not a mail address"):
        an_app(sendgrid, tmp_path, test_inbox="us")


def test_live_mode_is_refused_with_the_published_keys(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="FOLLOWUP_SECRET_KEYS must be set"):
        Settings(project=tmp_path, mode="live", secret_keys=DEVELOPMENT_KEY, suppression_key="mine")


@pytest.mark.parametrize(
    ("transport", "missing"), [("sendgrid", "SENDGRID_API_KEY is not set"), ("smtp", "FOLLOWUP_SMTP_URL is not set")]
)
def test_a_way_out_without_what_it_needs_says_what_to_set(transport: str, missing: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=missing) as error:
        _ = App(Settings(project=tmp_path, transport=transport)).transport
    assert error.value.hint


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "test mode: letters are written to outbox, none is sent"),
        ({"transport": "sendgrid"}, "test mode: every letter goes to outbox instead of the customer"),
        (
            {"transport": "sendgrid", "test_inbox": "us@shop.example", "test_allow": "@shop.example"},
            "test mode: every letter goes to us@shop.example instead of the customer, except to @shop.example",
        ),
        ({"transport": "sendgrid", "mode": "live", **OWN_KEYS}, "LIVE mode: letters go to customers through sendgrid"),
    ],
)
def test_the_banner_says_where_letters_go(settings: dict[str, str], said: str) -> None:
    assert App(Settings(**settings)).whereto == said
