"""``messages``, ``suppressions``, ``apply --first``, ``db recovered``: letters that need a person."""

from pathlib import Path

import pytest
from sqlalchemy import update

from followup.store import schema
from followup.store.engine import make_engine, writing
from tests.cli.conftest import Cli
from tests.cli.shop import WORKFLOW, delivered_lately

AT_ONCE = WORKFLOW.replace("  - wait: 1 day\n", "", 1).replace("hours: 09:00-18:00", "hours: 00:00-24:00")


@pytest.fixture
def shop(project: Path, cli: Cli) -> Path:
    """Return a project whose first two letters wait until somebody has read them."""
    (project / "workflows/after-arrival.yaml").write_text(AT_ONCE)
    (project / "new.csv").write_text(delivered_lately(3, days_ago=0.1))
    ran = cli("apply", "--first", "2")
    assert "The first 2 letters of after-arrival wait until you have read them.\n" in ran.out
    assert "followup messages list --state held" in ran.err
    cli("import", "orders", "new.csv", "--enroll")
    cli("worker", "--once")
    return project


def lose(project: Path) -> None:
    """Let the first letter be one of unknown fate."""
    engine = make_engine(f"sqlite:///{project / 'followup.db'}")
    with writing(engine) as conn:
        first = schema.messages.c.id == 1
        conn.execute(update(schema.messages).where(first).values(state="unknown", accepted_at=None, reason="no answer"))
    engine.dispose()


def states(cli: Cli) -> list[str]:
    return [one["state"] for one in reversed(cli("messages", "list", "--json").document)]


def test_first_letters_are_listed_read_and_let_go(shop: Path, cli: Cli) -> None:
    assert states(cli) == ["held"] * 3
    ran = cli("messages", "list", "--state", "held")
    assert ran.out.count("the first letters wait until a person has read them") == 3
    assert cli("messages", "list", "--state", "blocked").out == "No letters are blocked.\n"
    shown = cli("messages", "show", "1").out
    assert "As it would leave now:" in shown
    assert "Subject: Did your Cup arrive?" in shown
    document = cli("messages", "show", "1", "--json").document
    assert document["mail"]["to"] == "l1@example.com"
    assert "3 first letters of after-arrival wait to be read" in cli("status").err
    assert cli("status", "--json").document["first_letters"] == {"after-arrival": 3}

    ran = cli("messages", "release", "1")
    assert ran.out == "1 letter let go.\n"
    assert ran.err == "after-arrival: 1 of its first 2 are let go; the others wait.\n"
    assert cli("messages", "release", "2", "--json").document == {"released": 2, "to_read": {}}
    cli("worker", "--once")
    assert states(cli) == ["accepted"] * 3
    assert "As it left:" in cli("messages", "show", "1").out


def test_all_of_a_workflow_are_let_go(shop: Path, cli: Cli) -> None:
    assert cli("messages", "release", "--workflow", "after-arrival").out == "3 letters let go.\n"
    assert (
        "no first letters of 'after-arrival' wait"
        in cli("messages", "release", "--workflow", "after-arrival", code=1).err
    )
    assert "Give the numbers" in cli("messages", "release", code=2).err
    assert "Give the numbers" in cli("messages", "release", "1", "--workflow", "x", code=2).err


def test_a_letter_of_unknown_fate_is_shown_with_what_is_missing_and_what_to_do(shop: Path, cli: Cli) -> None:
    cli("messages", "release", "--workflow", "after-arrival")
    cli("worker", "--once")
    lose(shop)
    assert "not proven: the way out it was given to" in cli("messages", "list", "--state", "unknown").out
    shown = cli("messages", "show", "1")
    assert "Message 1 is unknown: no answer" in shown.out
    assert "It is not proven that it was not accepted:" in shown.out
    assert "followup messages mark-sent 1" in shown.err
    document = cli("messages", "show", "1", "--json").document
    assert document["absence"]["proven"] is False

    ran = cli("messages", "resend", "1", "--yes")
    assert ran.out == "Message 1 is due again.\n"
    assert "It is not proven that message 1 was not accepted" in ran.err
    assert len(cli("messages", "show", "1", "--json").document["given_up"]) == 1
    assert "given up" in cli("messages", "show", "1").out
    assert cli("messages", "cancel", "1").out == "Message 1 is withdrawn.\n"
    assert states(cli)[0] == "skipped"


def test_a_letter_that_was_found_counts_as_sent(shop: Path, cli: Cli) -> None:
    cli("messages", "release", "--workflow", "after-arrival")
    cli("worker", "--once")
    lose(shop)
    assert cli("messages", "mark-sent", "1").out == "Message 1 counts as sent; its run goes on.\n"
    assert states(cli)[0] == "accepted"
    ran = cli("messages", "mark-sent", "1", code=2)
    assert "message 1 is accepted, not unknown" in ran.err


def test_nothing_goes_live_and_so_nothing_is_held(shop: Path, cli: Cli) -> None:
    assert cli("apply", "--first", "5").err == "No workflow goes live with this; --first changes nothing.\n"
    assert cli("apply", "--json").document["first"] == {}
    assert "--first" in cli("apply", "--first", "0", code=2).err


def test_a_restored_database_is_told_so(shop: Path, cli: Cli) -> None:
    found = cli("db", "recovered", "--since", "2026-01-01T03:00", "--yes", "--json").document
    assert (found["doubtful"], found["since"]) == (3, "2026-01-01T03:00:00Z")
    assert states(cli) == ["unknown"] * 3
    ran = cli("db", "recovered", "--since", "2026-01-01T03:00", "--yes")
    assert "0 letters may have left since then" in ran.out
    assert "followup suppressions import FILE" in ran.err
    assert "is yet to come" in cli("db", "recovered", "--since", "2999-01-01", "--yes", code=2).err


# -- whom we never write to --


def test_addresses_are_added_checked_listed_and_taken_back(shop: Path, cli: Cli) -> None:
    assert cli("suppressions", "list").out == "Nobody is suppressed.\n"
    assert cli("suppressions", "add", "l1@example.com").out == (
        "No letters go to l1@example.com any more.\n1 run of theirs ends by it, for good.\n"
    )
    assert cli("suppressions", "add", "nobody@example.com").out == "No letters go to nobody@example.com any more.\n"
    assert cli("suppressions", "add", "L1@example.com").out == "L1@example.com was suppressed already.\n"
    for_one = cli("suppressions", "add", "l2@example.com", "--workflow", "after-arrival", "--reason", "not this one")
    assert for_one.out == "No letters of after-arrival go to l2@example.com any more.\n"
    checked = cli("suppressions", "check", "l2@example.com", code=1)
    assert checked.out.startswith("letters of after-arrival: not this one, since ")
    assert cli("suppressions", "check", "l3@example.com").out == "l3@example.com is not suppressed.\n"
    assert len(cli("suppressions", "list", "--json").document) == 3
    assert "@" not in cli("suppressions", "list").out
    cli("suppressions", "remove", "l1@example.com", "--yes")
    assert cli("suppressions", "check", "l1@example.com").code == 0


def test_a_list_is_brought_in_and_what_is_wrong_with_it_is_said(shop: Path, cli: Cli) -> None:
    (shop / "list.csv").write_text("email\na@example.com\nnobody\n")
    ran = cli("suppressions", "import", "list.csv", code=1)
    assert ran.out == "1 address added, 0 known already.\n"
    assert ran.err.startswith("list.csv:3: ")
    assert cli("suppressions", "import", "list.csv", "--json", code=1).document["known"] == 1


def test_the_export_holds_no_address_and_no_formula_and_comes_in_again(shop: Path, cli: Cli) -> None:
    for number, reason in enumerate(("=1+1", "+49", "-1", "@x", "plain, and a comma")):
        cli("suppressions", "add", f"x{number}@example.com", "--reason", reason)
    exported = cli("suppressions", "export").out
    rows = exported.splitlines()
    assert rows[0] == "address_hash,scope,reason,source,at"
    assert "example.com" not in exported
    assert [row.split(",")[2] for row in rows[1:5]] == ["'=1+1", "'+49", "'-1", "'@x"]
    for number in range(5):
        cli("suppressions", "remove", f"x{number}@example.com", "--yes")
    (shop / "own.csv").write_text(exported)
    assert cli("suppressions", "import", "own.csv").out == "5 addresses added, 0 known already.\n"
    cli("suppressions", "check", "x4@example.com", code=1)
