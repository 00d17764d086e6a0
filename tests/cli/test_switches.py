"""``pause``, ``resume``, ``archive``: what they say before and after, and where it is shown meanwhile."""

import os
import pty
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from followup.store.engine import make_engine, writing
from followup.store.schema import messages
from tests.cli.conftest import Cli
from tests.cli.shop import WORKFLOW, delivered_lately

Start = Callable[..., subprocess.Popen[str]]
AT_ONCE = WORKFLOW.replace("  - wait: 1 day\n", "", 1).replace("hours: 09:00-18:00", "hours: 00:00-24:00")
LIMITED = AT_ONCE.replace("steps:", "limits: {per_day: 3}\nsteps:").replace(
    "  - ask: arrived\n", "  - ask: arrived\n    when: order.total < 100\n"
)
MOMENT = re.compile(r"[A-Z][a-z]{2} \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d [+-]\d\d:\d\d")
SOMETIME = "Thu 01 Jan 2026 09:00 +01:00"


def steady(text: str) -> str:
    """Return *text* with every moment the same, as wide as it was."""
    return MOMENT.sub(SOMETIME, text)


@pytest.fixture
def held(project: Path, cli: Cli) -> Path:
    """
    Return a project with a paused workflow, whose letters are held.

    Since then a customer unsubscribed from it, an order was cancelled, and one has grown.
    """
    (project / "workflows/after-arrival.yaml").write_text(LIMITED)
    orders = delivered_lately(8, days_ago=0.1)
    (project / "new.csv").write_text(orders)
    header, *lines = orders.splitlines()
    changed = [header, lines[5].replace(",delivered,", ",cancelled,"), lines[6].replace("EUR,20,", "EUR,120,")]
    (project / "changed.csv").write_text("\n".join(changed))
    cli("apply")
    cli("import", "orders", "new.csv", "--enroll")
    cli("pause", "after-arrival", "--reason", "wrong price")
    cli("worker", "--once")
    cli("suppressions", "add", "l5@example.com", "--workflow", "after-arrival")
    cli("import", "orders", "changed.csv")
    return project


PREVIEW = """\
after-arrival is paused since Thu 01 Jan 2026 09:00 +01:00: wrong price
If it goes on now, of 8 letters held, or due by now:
      3  leave at once
      2  leave later, Thu 01 Jan 2026 09:00 +01:00: 3 letters of this workflow in the last 24 hours
      1  is skipped: no longer true: order.total < 100
      1  is cancelled: the address is suppressed: asked us
      1  is cancelled: the order was cancelled
and 3 runs move on at once.

customer        order  letter   what       why
l1@example.com  L-1    arrived  leaves
l2@example.com  L-2    arrived  leaves
l3@example.com  L-3    arrived  leaves
l4@example.com  L-4    arrived  later      Thu 01 Jan 2026 09:00 +01:00, 3 letters of this workflow in the last 24 hours
l8@example.com  L-8    arrived  later      Thu 01 Jan 2026 09:00 +01:00, 3 letters of this workflow in the last 24 hours
l7@example.com  L-7    arrived  skipped    no longer true: order.total < 100
l5@example.com  L-5    arrived  cancelled  the address is suppressed: asked us
l6@example.com  L-6    arrived  cancelled  the order was cancelled
"""
ON_A_TERMINAL = """\
after-arrival is paused since Thu 01 Jan 2026 09:00 +01:00: wrong price
If it goes on now, of 8 letters held, or due by now:
      3  leave at once
      2  leave later, Thu 01 Jan 2026 09:00 +01:00: 3 letters of this workflow
         in the last 24 hours
      1  is skipped: no longer true: order.total < 100
      1  is cancelled: the address is suppressed: asked us
      1  is cancelled: the order was cancelled
and 3 runs move on at once.

customer        order  letter   what       why
l1@example.com  L-1    arrived  leaves
l2@example.com  L-2    arrived  leaves
l3@example.com  L-3    arrived  leaves
l4@example.com  L-4    arrived  later      Thu 01 Jan 2026 09:00 +01:00, 3
                                           letters of this workflow in the last
                                           24 hours
l8@example.com  L-8    arrived  later      Thu 01 Jan 2026 09:00 +01:00, 3
                                           letters of this workflow in the last
                                           24 hours
l7@example.com  L-7    arrived  skipped    no longer true: order.total < 100
l5@example.com  L-5    arrived  cancelled  the address is suppressed: asked us
l6@example.com  L-6    arrived  cancelled  the order was cancelled
3 letters would leave at once. Go on? [y/N]: """


def test_pausing_says_who_is_inside_and_again_since_when(held: Path, cli: Cli) -> None:
    again = cli("pause", "after-arrival", "--reason", "another")
    assert steady(again.out) == (
        f"after-arrival is paused already, since {SOMETIME}: wrong price\n"
        "8 runs are inside; letters: 0 due by now, 0 due later, 8 held.\n"
    )
    assert again.err.startswith("  followup resume after-arrival ")
    document = cli("pause", "after-arrival", "--json").document
    assert document.pop("since").endswith("Z")
    assert document == {
        "workflow": "after-arrival",
        "status": "paused",
        "reason": "wrong price",
        "changed": False,
        "in_file": "live",
        "inside": 8,
        "due": 0,
        "due_later": 0,
        "held": 8,
    }


def test_pausing_for_the_first_time(project: Path, cli: Cli) -> None:
    cli("apply")
    first = cli("pause", "after-arrival")
    assert first.out == (
        "after-arrival is paused: nobody comes in, and its letters wait.\n"
        "0 runs are inside; letters: 0 due by now, 0 due later, 0 held.\n"
    )
    assert cli("pause", "after-arival", code=1).err == (
        "error: there is no workflow 'after-arival'\nhint: Did you mean 'after-arrival'?\n"
    )


def test_what_its_file_says_is_said(project: Path, cli: Cli) -> None:
    (project / "workflows/after-arrival.yaml").write_text(AT_ONCE.replace("status: live", "status: paused"))
    cli("apply")
    said = cli("pause", "after-arrival").out.splitlines()[0]
    assert said == "after-arrival is paused already, by its file; now it stays so whatever is applied."
    assert cli("resume", "after-arrival", "--yes", code=2).err == (
        "error: after-arrival cannot be resumed: its file says status: paused\n"
        "hint: Write status: live into workflows/after-arrival.yaml, then followup apply\n"
    )


def test_resuming_shows_first_what_would_become_of_each_letter(held: Path, cli: Cli) -> None:
    shown = cli("resume", "after-arrival", code=1)
    assert steady(shown.out) == PREVIEW
    assert shown.err == "3 letters would leave at once. Nothing was done: add --yes.\n"
    tried = cli("resume", "after-arrival", "--dry-run")
    assert (steady(tried.out), tried.err) == (PREVIEW, "Nothing was done.\n")
    assert cli("status", "--json").document["switched"]["after-arrival"]["status"] == "paused"

    done = cli("resume", "after-arrival", "--yes")
    assert steady(done.out) == PREVIEW + "after-arrival goes on; 8 held letters are due again.\n"
    assert "followup worker --once" in done.err
    cli("worker", "--once")
    assert cli("status", "--json").document["messages"] == {"accepted": 3, "cancelled": 2, "due": 2, "skipped": 1}
    assert cli("resume", "after-arrival").out == "after-arrival is neither paused nor archived.\n"


def test_a_program_gets_every_letter(held: Path, cli: Cli) -> None:
    document = cli("resume", "after-arrival", "--json", code=1).document
    assert (document["workflow"], document["resumed"], document["released"]) == ("after-arrival", False, 0)
    preview = document["preview"]
    assert preview["counts"] == {"leaves": 3, "later": 2, "skipped": 1, "cancelled": 2}
    assert (preview["status"], preview["reason"], preview["moving_on"], preview["unseen"]) == (
        "paused",
        "wrong price",
        3,
        0,
    )
    assert preview["letters"][0] == {
        "message": 1,
        "email": "l1@example.com",
        "timezone": "Europe/Berlin",
        "order": "L-1",
        "letter": "arrived",
        "step": "arrived",
        "round": 0,
        "fate": "leaves",
        "reason": "",
        "at": None,
    }
    assert len(preview["letters"]) == 8
    resumed = cli("resume", "after-arrival", "--json", "--yes").document
    assert (resumed["resumed"], resumed["released"]) == (True, 8)
    assert cli("resume", "after-arrival", "--json").document == {
        "workflow": "after-arrival",
        "resumed": False,
        "released": 0,
        "preview": None,
    }


def test_where_no_letter_waits_nobody_is_asked(project: Path, cli: Cli) -> None:
    cli("apply")
    cli("pause", "after-arrival", "--reason", "lunch")
    done = cli("resume", "after-arrival")
    assert steady(done.out) == (
        f"after-arrival is paused since {SOMETIME}: lunch\n"
        "No letter of it is held, or due by now.\n"
        "after-arrival goes on; no letter was held for it.\n"
    )


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_of_eighty_columns_it_asks(
    held: Path, cli: Cli, start: Start, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    shown = answered(start, answer, "resume", "after-arrival")
    assert steady(shown).startswith(ON_A_TERMINAL)
    after = shown.partition("[y/N]: ")[2]
    assert max(map(len, [*ON_A_TERMINAL.splitlines(), *after.splitlines()])) <= 80
    assert after.startswith("after-arrival goes on; 8 held" if answer == "y" else "Nothing was done.")
    assert ("after-arrival" in cli("status", "--json").document["switched"]) is (answer == "n")


def answered(start: Start, answer: str, *args: str) -> str:
    """Return what a command shows on a terminal on which somebody answers its question."""
    ours, theirs = pty.openpty()
    process = start(*args, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                piece = terminal.read(4096)
            except OSError:  # how Linux says that the other side has hung up
                break
            if not piece:
                break
            shown += piece
    process.wait()
    return shown.decode().replace("\r\n", "\n").removeprefix(f"{answer}\n")


def test_a_pause_is_shown_wherever_one_looks_and_survives_an_apply(held: Path, cli: Cli) -> None:
    said = f"after-arrival is PAUSED by an operator since {SOMETIME}: wrong price\n  followup resume after-arrival "
    assert said in steady(cli("status").err)
    assert said in steady(cli("workflows", "list").err)
    (listed,) = cli("workflows", "list", "--json").document
    assert (listed["status"], listed["switched"]["reason"]) == ("paused", "wrong price")
    assert re.search(
        r"warn  paused +after-arrival is paused by an operator for .*: wrong price — followup resume after-arrival",
        cli("doctor").out,
    )
    again = cli("apply")
    assert f"after-arrival stays PAUSED by an operator since {SOMETIME}: wrong price\n" in steady(again.err)
    (held / "workflows/after-arrival.yaml").write_text(LIMITED.replace("title: Did", "title: Has"))
    (switched,) = cli("apply", "--json").document["switched"]
    assert (switched["workflow"], switched["status"], switched["reason"]) == ("after-arrival", "paused", "wrong price")
    assert "after-arrival stays PAUSED" in cli("release").err
    # whom an apply moves is looked at: an order had been cancelled meanwhile
    assert cli("status", "--json").document["messages"] == {"cancelled": 1, "held": 7}
    assert cli("apply", "--dry-run", "--json").document["switched"] == []


def test_archiving_says_first_who_is_inside(held: Path, cli: Cli) -> None:
    asked = cli("archive", "after-arrival", code=1)
    inside = "8 runs are inside after-arrival:\n      8  at arrived\n"
    assert asked.out == inside
    assert asked.err == "8 runs end, and what has not left is cancelled. Nothing was done: add --yes.\n"
    done = cli("archive", "after-arrival", "--yes")
    assert done.out == inside + "after-arrival is archived; 8 runs ended.\n"
    assert cli("status", "--json").document["messages"] == {"cancelled": 8}
    assert "after-arrival is ARCHIVED by an operator" in cli("status").err
    again = cli("archive", "after-arrival", "--yes", "--json").document
    assert again.pop("since").endswith("Z")
    assert again == {
        "workflow": "after-arrival",
        "status": "archived",
        "reason": "an operator archived it",
        "changed": False,
        "inside": {},
        "held_out": 0,
        "ended": 0,
    }
    assert cli("archive", "after-arrival", code=1).err == "Nobody comes in any more. Nothing was done: add --yes.\n"
    assert cli("resume", "after-arrival").out.endswith("after-arrival goes on; no letter was held for it.\n")


def test_letters_that_are_due_later_are_told_apart_before_and_after(project: Path, cli: Cli) -> None:
    (project / "workflows/after-arrival.yaml").write_text(AT_ONCE)
    (project / "new.csv").write_text(delivered_lately(2, days_ago=0.1))
    cli("apply")
    cli("import", "orders", "new.csv", "--enroll")
    cli("halt", "--reason", "a fire")
    cli("worker", "--once")
    with writing(make_engine(f"sqlite:///{project / 'followup.db'}"), "test") as conn:
        conn.execute(update(messages).values(state="due", due_at=datetime(2990, 1, 1, tzinfo=UTC)))
    paused = cli("pause", "after-arrival")
    assert "2 runs are inside; letters: 0 due by now, 2 due later, 0 held.\n" in paused.out
    resumed = cli("resume", "after-arrival")
    assert "No letter of it is held, or due by now.\n2 letters are due later, and not among these.\n" in resumed.out
