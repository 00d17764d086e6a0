"""``import orders``."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.shop import HEADER, ORDERS, delivered_lately

BROKEN = HEADER + (
    "B-1,placed,2026-03-01T10:00:00Z,,b1@example.com,,,DE,,EUR,20,,Cup,1,20\n"
    "B-2,placed,yesterday,,b2@example.com,,,DE,,EUR,20,,Cup,1,20\n"
    "B-3,placed,2026-03-01T10:00:00Z,,b3@example.com,,,Germany,,EUR,20,,Cup,1,20\n"
    "B-4,placed,2026-03-01T10:00:00Z\n"
    "B-5,placed,2026-03-01T10:00:00Z,,b5@example.com,,,DE,,EUR,20,,Cup,1,20\n"
)


@pytest.fixture
def database(database_url: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use a database of each kind in turn."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


def test_orders_come_in_once(database: str, cli: Cli) -> None:
    first = cli("import", "orders", "orders.csv")
    again = cli("import", "orders", "orders.csv")

    assert first.out == (
        "orders     3 added, 0 changed, 0 unchanged\ncustomers  3 added, 0 changed\ntimeline   6 events added\n"
    )
    assert first.err == (
        "Nobody was enrolled. To let customers in:\n"
        "  followup workflows list                 which workflows there are\n"
        "  followup trigger WORKFLOW --since DATE  add --dry-run to see who would come in\n"
    )
    assert again.out == "Nothing was changed: all 3 orders are on the record already.\n"
    assert again.err == ""
    assert cli("status", "--json").document["orders"] == 3


def test_a_file_that_says_something_new_changes_the_orders(database: str, project: Path, cli: Cli) -> None:
    cli("import", "orders", "orders.csv")
    (project / "orders.csv").write_text(ORDERS.replace("A-1,delivered", "A-1,refunded").replace("Bo,Ek", "Bo,Eken"))
    ran = cli("import", "orders", "orders.csv")
    assert ran.out.splitlines()[:2] == [
        "orders     0 added, 1 changed, 2 unchanged",
        "customers  0 added, 1 changed",
    ]


def test_bad_rows_are_explained_and_the_others_kept(database: str, project: Path, cli: Cli) -> None:
    (project / "broken.csv").write_text(BROKEN)
    ran = cli("import", "orders", "broken.csv", code=1)

    places = [line.split(": ")[0] for line in ran.err.splitlines()[:3]]
    assert places == ["broken.csv:3", "broken.csv:4", "broken.csv:5"]
    assert "write it like 2026-03-01T14:05:00+01:00" in ran.err
    assert "3 bad rows left out: correct them and import the file again.\n" in ran.err
    assert ran.out.startswith("orders     2 added, 0 changed, 0 unchanged\n")


def test_bad_rows_are_in_the_document_too(project: Path, cli: Cli) -> None:
    (project / "broken.csv").write_text(BROKEN)
    ran = cli("import", "orders", "broken.csv", "--json", code=1)
    assert [row["line"] for row in ran.document["bad_rows"]] == [3, 4, 5]
    assert ran.document["orders"] == {"added": 2, "changed": 0, "unchanged": 0}


def test_a_dry_run_says_what_would_be_and_does_nothing(database: str, cli: Cli) -> None:
    ran = cli("import", "orders", "orders.csv", "--dry-run")
    assert ran.out.startswith("orders     3 would be added, 0 would be changed, 0 unchanged\n")
    assert ran.err == "Nothing was done.\n"
    assert cli("status", "--json").document["orders"] == 0


def test_nobody_is_enrolled_unless_asked_for(project: Path, cli: Cli) -> None:
    cli("apply")
    (project / "new.csv").write_text(delivered_lately(2))
    cli("import", "orders", "new.csv")
    assert cli("status", "--json").document["enrollments"] == {}


def test_enrolling_leaves_out_what_is_older_than_max_late(database: str, project: Path, cli: Cli) -> None:
    cli("apply")
    (project / "new.csv").write_text(delivered_lately(2))
    assert cli("import", "orders", "new.csv", "--enroll").out.endswith("enrolled   2\n")
    assert cli("import", "orders", "orders.csv", "--enroll", "--json").document["enrolled"] == 0
    assert "the trigger is older than max_late" in cli("why", "A-1").out


def test_enrolling_needs_applied_workflows(project: Path, cli: Cli) -> None:
    ran = cli("import", "orders", "orders.csv", "--enroll", code=1)
    assert ran.err == "error: no workflows were applied yet\nhint: Run: followup apply\n"


@pytest.mark.parametrize("text", ["", "name,colour\nx,y\n"])
def test_a_file_that_is_no_orders_file_is_refused(project: Path, cli: Cli, text: str) -> None:
    (project / "other.csv").write_text(text)
    ran = cli("import", "orders", "other.csv", code=1)
    assert ran.err.startswith("error: other.csv:1: ")
    assert "needed are order_id, placed_at, email" in ran.err
    assert ran.out == ""


def test_a_file_without_orders_is_no_failure(project: Path, cli: Cli) -> None:
    (project / "none.csv").write_text(HEADER)
    assert cli("import", "orders", "none.csv").out == "The file has no orders.\n"


@pytest.mark.parametrize("command", [("import", "orders"), ("replay",), ("inbound", "add")], ids=" ".join)
@pytest.mark.parametrize(("name", "said"), [("nothing.csv", "does not exist"), ("templates", "is a directory")])
def test_a_file_that_cannot_be_read_is_wrong_usage(
    project: Path, cli: Cli, command: tuple[str, ...], name: str, said: str
) -> None:
    ran = cli(*command, name, code=2)
    assert said in ran.err
    assert ran.err.startswith("error: ")
    assert ran.out == ""
    assert not (project / "followup.db").exists()
