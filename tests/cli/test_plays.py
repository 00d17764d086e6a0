"""``replay`` and ``demo``: months in virtual time."""

import re
from email import message_from_binary_file, policy
from pathlib import Path

import pytest

from followup.authoring.starter import DEMO
from tests.cli.conftest import Cli
from tests.cli.shop import ORDERS

NUMBERS = {"orders": 10, "customers": 9, "replies": 4, "answers": 6, "waiting_for_us": 1}  # what the script gives
MAILS = sorted((DEMO / "mails").glob("*.eml"))


def test_a_replay_ends_by_itself_and_says_what_happened(project: Path, cli: Cli) -> None:
    ran = cli("replay", "orders.csv", "--acts", "acts.yaml")
    lines = ran.out.splitlines()
    assert lines[0].startswith("6 days of the shop, ")
    assert lines[1:3] == ["customers    3", "orders       3"]
    assert lines[-1] == "acts         2 of 2 played"
    assert ran.err.startswith("test mode: letters are written to outbox, none is sent\n")
    assert len(list((project / "outbox").glob("*.eml"))) == 3


def test_a_replay_stops_where_it_is_told_and_goes_on_from_there(project: Path, cli: Cli) -> None:
    half = cli("replay", "orders.csv", "--acts", "acts.yaml", "--until", "2026-03-03T12:00", "--json").document
    assert half["messages"] == {"accepted": 1}
    assert half["ended_at"] <= "2026-03-03T12:00:00Z"
    cli("replay", "orders.csv", "--acts", "acts.yaml")
    assert cli("status", "--json").document["messages"] == {"accepted": 3, "held": 1}
    assert len(list((project / "outbox").glob("*.eml"))) == 3


def test_a_replay_never_leaves_test_mode(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLLOWUP_MODE", "live")
    monkeypatch.setenv("FOLLOWUP_TRANSPORT", "sendgrid")
    assert cli("replay", "orders.csv").err.startswith("test mode: ")


def test_a_replay_keeps_the_good_rows_of_a_broken_file(project: Path, cli: Cli) -> None:
    (project / "orders.csv").write_text(ORDERS.replace("2026-02-27T10:00:00Z", "27.2."))
    ran = cli("replay", "orders.csv", "--json", code=1)
    assert ran.document["orders"] == 2
    assert "orders.csv:2: placed_at '27.2.' is no date" in ran.err


def test_a_broken_script_is_explained_before_anything_happens(project: Path, cli: Cli) -> None:
    (project / "acts.yaml").write_text("- order: A-1\n  letter: arrived\n  after: 5 moons\n  replies: none.eml\n")
    ran = cli("replay", "orders.csv", "--acts", "acts.yaml", code=1)
    assert ran.err.startswith("acts.yaml:3:10: W105 ")
    assert ran.err.endswith("error: 2 problems in 1 file; nothing was done\n")
    assert not (project / "followup.db").exists()


def test_the_demo_tells_the_same_stories_every_time(folder: Path, cli: Cli) -> None:
    first, second = cli("demo"), cli("demo")
    assert first == second
    assert list(folder.iterdir()) == []


def test_the_demo_as_a_document(folder: Path, cli: Cli) -> None:
    ran = cli("demo", "--json")
    assert NUMBERS.items() <= ran.document.items()
    assert list(ran.document) == ["orders", "customers", "enrolled", "sent", "replies", "answers", "waiting_for_us"]
    assert ran.document["sent"] > ran.document["enrolled"] > ran.document["orders"]


def test_the_demo_shows_every_way_to_answer(folder: Path, cli: Cli) -> None:
    ran = cli("demo")
    parts = re.split(r"\n\n(?=\w+ \w+ <\w+\.\w+@example\.com>\n)", ran.out)[1:]
    stories = {part.split()[0]: part for part in parts}

    assert list(stories) == ["Ana", "Ben", "Carla", "Dieter", "Emma", "Farah", "Gus", "Hana", "Ivy"]
    assert "answered      Food sticks (sticks)" in stories["Ana"]
    assert "sent          “What I do when food sticks”" in stories["Ana"]
    assert "wrote         “All in one piece, thank you!" in stories["Ben"]
    assert "closed        by us; letters go on" in stories["Ben"]
    assert "wrote         “The handle is loose" in stories["Carla"]
    assert stories["Carla"].endswith("waits         for nell to answer; letters are held")
    assert "auto-reply    back on 2026-02-20" in stories["Dieter"]
    assert "answered" not in stories["Emma"]
    assert "wrote" not in stories["Emma"]
    assert "answered      No, please write to me (no)" in stories["Farah"]
    assert "asked" not in stories["Gus"]
    assert "wrote         “Yes, all good!”  (= all-good)" in stories["Hana"]
    assert "1 order (1 cancelled or sent back)" in stories["Ivy"]
    assert re.search(r"\n\nIn all: 10 orders, 9 customers, .*, 4 replies, 6 answers, 1 waiting for us\n$", ran.out)
    assert ran.err.startswith("test mode: nothing leaves this machine\n")
    assert "followup init my-shop" in ran.err


def test_a_demo_that_is_kept_can_be_looked_at(folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = cli("demo", "--keep", "shown", "--json")
    monkeypatch.chdir(folder / "shown")
    status = cli("status", "--json").document
    assert sum(status["enrollments"].values()) == ran.document["enrolled"]
    assert status["messages"]["accepted"] == ran.document["sent"] == len(list(Path("outbox").glob("*.eml")))
    assert "held, the customer waits for an answer from us" in cli("why", "T-1003").out
    assert cli("demo", "--keep", folder / "shown", code=2).err.startswith("error: ")


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.name)
def test_the_mails_of_the_demo_are_sound_mime(path: Path) -> None:
    with path.open("rb") as file:
        mail = message_from_binary_file(file, policy=policy.default)
    assert [part.defects for part in mail.walk()] == [[] for _ in mail.walk()]
    assert mail["From"].addresses[0].domain == "example.com"
    assert all(line.isascii() for line in path.read_bytes().split(b"\n\n")[0].splitlines())
    body = mail.get_body(("plain",))
    assert body is not None
    assert "\ufffd" not in body.get_content()


def test_the_mails_of_the_demo_are_written_in_different_ways() -> None:
    ways = set()
    for path in MAILS:
        with path.open("rb") as file:
            body = message_from_binary_file(file, policy=policy.default).get_body(("plain",))
        assert body is not None
        ways.add((body.get_content_charset(), body["Content-Transfer-Encoding"]))
    assert ways == {("utf-8", "quoted-printable"), ("iso-8859-1", "8bit"), ("utf-8", "8bit"), ("utf-8", "base64")}
