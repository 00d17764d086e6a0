"""``trigger``, ``worker --once`` and ``inbound add``: from an enrollment to an answer, on the real clock."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from followup.app import App
from followup.cli.workflows import ASK_ABOVE
from followup.services import quarantine
from followup.settings import load
from tests.cli.conftest import Cli
from tests.cli.shop import HEADER, WORKFLOW, delivered_lately
from tests.inbound.posts import CONTENT_TYPE, a_raw_post

AT_ONCE = WORKFLOW.replace("  - wait: 1 day\n  - ask", "  - ask", 1).replace("hours: 09:00-18:00", "hours: 00:00-24:00")


@pytest.fixture
def live(database_url: str, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project that asks at once, with two fresh orders; on a database of each kind in turn."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    (project / "workflows/after-arrival.yaml").write_text(AT_ONCE)
    (project / "new.csv").write_text(delivered_lately(2))
    cli("apply")
    cli("import", "orders", "new.csv")
    return project


def answer(letter: Path, words: str) -> bytes:
    """Return the mail a customer writes in answer to a letter from the outbox."""
    sent = message_from_bytes(letter.read_bytes(), policy=policy.default)
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sent["To"], sent["Reply-To"], f"Re: {sent['Subject']}"
    mail["Message-ID"], mail["In-Reply-To"] = "<1@example.com>", sent["Message-ID"]
    mail.set_content(words)
    return mail.as_bytes()


def test_one_order_is_followed_from_the_shop_to_the_answer(live: Path, cli: Cli) -> None:
    entered = cli("trigger", "after-arrival", "--order", "L-1")
    assert entered.out == "1 order enrolled in after-arrival (L-1)\n"
    assert "followup why L-1" in entered.err

    worked = cli("worker", "--once")
    assert worked.out == "Done: 1 letter sent.\n"
    assert worked.err == "test mode: letters are written to outbox, none is sent\n"
    (letter,) = (live / "outbox").iterdir()

    (live / "answer.eml").write_bytes(answer(letter, "Everything is fine, thank you."))
    heard = cli("inbound", "add", "answer.eml")
    assert heard.out == ("A reply from l1@example.com, now on their record.\n  “Everything is fine, thank you.”\n")
    assert cli("inbound", "add", "answer.eml").out == (
        "This mail came in before (processed, mail 1); nothing was changed.\n"
    )

    status = cli("status", "--json").document
    assert status["messages"] == {"accepted": 1}
    assert status["replies"] == {"human": 1}
    assert status["waiting_for_us"] == 1
    story = cli("customers", "show", "L1@Example.com").out
    assert "asked         “Is everything in one piece?”  mara, after-arrival" in story
    assert "wrote         “Everything is fine, thank you.”" in story
    assert "l1@example.com  mara" in cli("conversations", "list").out

    assert cli("conversations", "close", "l1@example.com").out == "Closed; no letter was held.\n"
    assert cli("conversations", "list").out == "Nobody waits for an answer from us.\n"
    again = cli("conversations", "close", "l1@example.com", code=1)
    assert again.err.startswith("error: no conversation with l1@example.com is open\nhint: ")


def test_a_worker_with_nothing_to_do_says_so(live: Path, cli: Cli) -> None:
    assert cli("worker", "--once").out == "Nothing was due.\n"
    (seen,) = [one for one in cli("doctor", "--json").document if one["check"] == "worker"]
    assert seen["result"] == "ok", "the checkup knows of it"


def test_a_mail_that_answers_no_letter_is_kept_and_is_a_finding(live: Path, cli: Cli) -> None:
    (live / "stray.eml").write_text("From: l1@example.com\nSubject: hello\n\nWho are you?\n")
    ran = cli("inbound", "add", "stray.eml", code=1)
    assert ran.out.startswith("Kept as mail 1, but on nobody's record: answers no letter of ours")
    assert cli("inbound", "add", "stray.eml", "--json", code=1).document["state"] == "unmatched"


def test_a_reply_that_was_set_aside_is_listed_and_read_when_somebody_asks(live: Path, cli: Cli) -> None:
    cli("trigger", "after-arrival", "--order", "L-1")
    cli("worker", "--once")
    (letter,) = (live / "outbox").iterdir()
    app = App(load())
    post = a_raw_post(answer(letter, "Everything is fine, thank you."))
    assert quarantine.keep(app.engine, post, quarantine.UNSIGNED, content_type=CONTENT_TYPE, clock=app.clock)
    app.close()

    assert cli("worker", "--once").out == "Nothing was due.\n"
    assert "followup inbound list                   1 mail on nobody's record" in cli("status").err
    warned = [one for one in cli("doctor", "--json").document if one["check"] == "inbound mail"]
    assert [one["result"] for one in warned] == ["warn"]
    (listed,) = cli("inbound", "list", "--json").document
    assert (listed["id"], listed["error"]) == (1, quarantine.UNSIGNED)
    assert quarantine.UNSIGNED in cli("inbound", "list").out

    heard = cli("inbound", "retry", "1")
    assert heard.out == "A reply from l1@example.com, now on their record.\n  “Everything is fine, thank you.”\n"
    assert cli("inbound", "list").out == "Every mail is on somebody's record.\n"
    assert cli("status", "--json").document["replies"] == {"human": 1}


def test_an_empty_mail_is_wrong_usage(live: Path, cli: Cli) -> None:
    (live / "empty.eml").write_text("\n")
    assert cli("inbound", "add", "empty.eml", code=2).err.startswith("error: empty.eml is empty\nhint: ")


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "L-1,delivered,2026-01-01T10:00:00Z,,ana@example.com,,,,,,,,,,\n",
        "L-1,2026-01-01T10:00:00Z,ana@example.com\n",
        "Hello Mara,\nthe box was open.\n",
        "\nFrom: ana@example.com\n\nHello\n",
        "workflow: after-arrival\n",
        "\x89PNG\r\n\x1a\n",
    ],
    ids=["orders", "rows", "words", "blank line first", "workflow", "picture"],
)
def test_a_file_that_is_no_mail_is_wrong_usage_and_not_kept(project: Path, cli: Cli, text: str) -> None:
    cli("apply")
    (project / "file").write_text(text)
    refused = cli("inbound", "add", "file", code=2)
    assert refused.err.startswith(
        "error: file is no mail: it does not begin with the headers of one\nhint: Save the mail"
    )
    assert cli("inbound", "list").out == "Every mail is on somebody's record.\n"


def test_the_same_order_enters_once(live: Path, cli: Cli) -> None:
    cli("trigger", "after-arrival", "--order", "L-1")
    ran = cli("trigger", "after-arrival", "--since", "2020-01-01")
    assert ran.out.splitlines() == [
        "1 order enrolled in after-arrival (L-2)",
        "1 not: entered already with this order (L-1)",
    ]


def test_a_dry_run_enrolls_nobody(live: Path, cli: Cli) -> None:
    ran = cli("trigger", "after-arrival", "--since", "2020-01-01", "--dry-run")
    assert ran.out == "2 orders would be enrolled in after-arrival (L-1, L-2)\n"
    assert ran.err.startswith("Nothing was done. Runs count from when the trigger happened")
    assert cli("status", "--json").document["enrollments"] == {}
    document = cli("trigger", "after-arrival", "--since", "2020-01-01", "--dry-run", "--json").document
    assert (document["dry_run"], document["entered"]) == (True, 2)
    assert document["orders"][0]["happened_at"].endswith("Z")


def test_many_at_once_need_a_yes(live: Path, cli: Cli) -> None:
    (live / "many.csv").write_text(delivered_lately(21))
    cli("import", "orders", "many.csv")
    refused = cli("trigger", "after-arrival", "--since", "2020-01-01", code=1)
    assert refused.err == "21 orders would be enrolled in after-arrival. Nothing was done: add --yes.\n"
    assert refused.out == ""
    assert cli("status", "--json").document["enrollments"] == {}
    assert cli("trigger", "after-arrival", "--since", "2020-01-01", "--yes", "--json").document["entered"] == 21


def test_twenty_orders_are_let_in_without_asking_as_help_and_documents_say(live: Path, cli: Cli) -> None:
    (live / "many.csv").write_text(delivered_lately(ASK_ABOVE))
    cli("import", "orders", "many.csv")
    assert cli("trigger", "after-arrival", "--since", "2020-01-01", "--json").document["entered"] == ASK_ABOVE
    docs = Path(__file__).parents[2] / "docs"
    for text in (cli("trigger", "-h").out, *((docs / name).read_text() for name in ("deploy.md", "orders.md"))):
        assert f"more than {ASK_ABOVE}" in " ".join(text.split())


def test_late_runs_skip_what_is_over_unless_they_begin_now(live: Path, cli: Cli) -> None:
    cli("import", "orders", "orders.csv")
    cli("trigger", "after-arrival", "--order", "A-1")
    cli("trigger", "after-arrival", "--order", "A-2", "--now")
    assert cli("worker", "--once").out == "Done: 1 letter sent, 1 letter too late, 1 run completed.\n"
    assert "letter arrived: accepted" in cli("why", "A-2").out
    assert "arrived: expired, too late" in cli("why", "A-1").out


def test_whoever_is_too_late_for_the_first_letter_is_told_before_they_come_in(live: Path, cli: Cli) -> None:
    cli("import", "orders", "orders.csv")
    wanted = ("trigger", "after-arrival", "--since", "2020-01-01")
    late = "for 2 of them the first letter is too late, and does not leave (A-1, A-2)"
    assert cli(*wanted, "--dry-run").out.splitlines()[1] == late
    assert "too late" not in cli(*wanted, "--dry-run", "--now").out
    told = cli(*wanted, "--json").document["orders"]
    assert {one["order"]: one["first_letter_too_late"] for one in told if one["entered"]} == {
        "A-1": True, "A-2": True, "L-1": False, "L-2": False,
    }  # fmt: skip
    cli("worker", "--once")
    assert "arrived: expired, too late" in cli("why", "A-1").out


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("after-arival", "--order", "L-1"), 1, "Did you mean 'after-arrival'?"),
        (("after-arrival", "--order", "L1"), 1, "Did you mean 'L-1'?"),
        (("after-arrival",), 2, "Give one of --order N and --since DATE."),
        (("after-arrival", "--order", "L-1", "--since", "2026-01-01"), 2, "Give one of --order N and --since DATE."),
        (("after-arrival", "--since", "yesterday"), 2, "write 2026-03-01 or 2026-03-01T14:05+01:00"),
    ],
)
def test_a_wrong_trigger_is_explained(live: Path, cli: Cli, args: tuple[str, ...], code: int, said: str) -> None:
    ran = cli("trigger", *args, code=code)
    assert ran.err.startswith("error: ")
    assert said in ran.err
    assert ran.out == ""


def test_closing_a_conversation_lets_held_letters_go_on(played: Path, cli: Cli) -> None:
    ran = cli("conversations", "close", "bo@example.com")
    assert ran.out == "Closed; 1 held letter can go on.\n"
    assert "followup worker --once" in ran.err
    assert cli("conversations", "close", "ana@example.com", code=1).err.startswith("error: no conversation with ana@")


def test_nothing_to_trigger_is_said(live: Path, cli: Cli) -> None:
    ran = cli("trigger", "after-arrival", "--since", "2126-01-01")
    assert ran.out == "Nothing to enroll: the trigger of after-arrival has not happened since then.\n"
