"""``halt``, ``unhalt``, ``send-test``, ``release``, ``inbound retry``: before, and in case of, trouble."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.shop import delivered_lately
from tests.local_sendgrid import Behaviour, LocalSendGrid


@pytest.fixture
def shop(project: Path, cli: Cli) -> Path:
    (project / "new.csv").write_text(delivered_lately(1))
    cli("release")
    cli("import", "orders", "new.csv")
    return project


@pytest.fixture
def sendgrid(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSendGrid]:
    """Yield a provider that the commands of this test go to."""
    with LocalSendGrid() as server:
        monkeypatch.setenv("FOLLOWUP_TRANSPORT", "sendgrid")
        monkeypatch.setenv("FOLLOWUP_SENDGRID_URL", server.url)
        monkeypatch.setenv("SENDGRID_API_KEY", server.api_key)
        yield server


def test_a_release_upgrades_and_applies_and_can_be_repeated(project: Path, cli: Cli) -> None:
    first = cli("release")
    assert "upgraded now.\n" in first.out
    assert "now runs: 1 workflow" in first.out
    assert first.err == "test mode: letters are written to outbox, none is sent\n"
    again = cli("release")
    assert "upgraded now" not in again.out
    assert "already runs" in again.out


def test_a_release_with_errors_touches_nothing(project: Path, cli: Cli) -> None:
    (project / "workflows/after-arrival.yaml").write_text("workflow: after-arrival\nsteps: []\n")
    assert "W1" in cli("release", code=1).err
    assert not list(project.glob("*.db"))


def test_everything_is_halted_and_released(shop: Path, cli: Cli) -> None:
    assert cli("halt", "--reason", "wrong prices").out == "Halted: no letter leaves from now on.\n"
    assert cli("halt").out == "Everything is halted already.\n"
    assert "HALTED, no letter leaves: wrong prices (followup unhalt)\n" in cli("status").err
    assert cli("unhalt").out == "Letters leave again; 0 held letters go on.\n"
    assert cli("unhalt").out == "Nothing is halted.\n"


def test_a_test_letter_goes_to_whom_one_names_in_live_mode_only(
    shop: Path, cli: Cli, sendgrid: LocalSendGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = cli("send-test", "arrived", "--to", "me@shop.example", "--order", "L-1")
    assert tried.err == "test mode: every letter goes to outbox instead of the customer\n"
    assert sendgrid.ledger == []

    monkeypatch.setenv("FOLLOWUP_MODE", "live")
    monkeypatch.setenv("FOLLOWUP_SECRET_KEYS", "our-own")
    monkeypatch.setenv("FOLLOWUP_SUPPRESSION_KEY", "our-own")
    tried = cli("send-test", "arrived", "--to", "me@shop.example", "--order", "L-1")
    (entry,) = sendgrid.ledger
    assert entry.to == "me@shop.example"
    assert entry.subject.startswith("[test] Did your")
    assert tried.out == f"“{entry.subject}” from mara@shop.example: taken as {entry.provider_id}.\n"
    assert cli("status", "--json").document["messages"] == {}, "it is on nobody's record"


def test_a_test_letter_that_is_refused_says_why(
    shop: Path, cli: Cli, sendgrid: LocalSendGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLLOWUP_TEST_ALLOW", "@shop.example")
    sendgrid.script(Behaviour.UNAUTHORIZED)
    ran = cli("send-test", "arrived", "--to", "me@shop.example", "--order", "L-1", code=1)
    assert ran.err.splitlines()[1].startswith("error: the letter was not taken: ")
    assert "followup doctor" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("arived", "--order", "L-1"), "there is no letter 'arived'\nhint: Did you mean 'arrived'?"),
        (("arrived", "--order", "L-11"), "there is no order 'L-11'\nhint: Did you mean 'L-1'?"),
    ],
)
def test_a_test_letter_that_cannot_be_written_says_why(shop: Path, cli: Cli, words: tuple[str, ...], said: str) -> None:
    assert f"error: {said}" in cli("send-test", *words, "--to", "me@shop.example", code=1).err


def test_a_mail_on_nobodys_record_can_be_read_again(shop: Path, cli: Cli) -> None:
    (shop / "who.eml").write_bytes(b"From: someone@example.com\nMessage-ID: <1@x>\n\nHello?\n")
    cli("inbound", "add", "who.eml", code=1)
    again = cli("inbound", "retry", "1", code=1)
    assert again.out.startswith("Kept as mail 1, but on nobody's record: ")
    assert "there is no inbound mail 7" in cli("inbound", "retry", "7", code=1).err
