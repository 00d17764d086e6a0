"""``plan``, ``apply``, ``bundles``: what they say, and do, with people inside."""

import os
import pty
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from followup.clock import SystemClock
from followup.store.engine import make_engine, reading
from followup.store.schema import audit
from tests.cli.conftest import Cli
from tests.cli.shop import WORKFLOW, delivered_lately
from tests.cli.test_switches import AT_ONCE

Start = Callable[..., subprocess.Popen[str]]
HASH = re.compile(r"\b[0-9a-f]{12}\b")
PEOPLE_INSIDE = 6


def steady(text: str) -> str:
    """Return *text* with every bundle called alike."""
    return HASH.sub("abcdefabcdef", text)


def write(project: Path, text: str) -> None:
    (project / "workflows/after-arrival.yaml").write_text(text)


@pytest.fixture
def waiting(project: Path, cli: Cli) -> Path:
    """Return a project with six people in its wait of a day: half a day ago their parcels came."""
    write(project, WORKFLOW.replace("hours: 09:00-18:00", "hours: 00:00-24:00"))
    (project / "new.csv").write_text(delivered_lately(PEOPLE_INSIDE, days_ago=0.5))
    cli("apply")
    cli("import", "orders", "new.csv", "--enroll")
    cli("worker", "--once")
    return project


@pytest.fixture
def asked(project: Path, cli: Cli) -> Path:
    """Return a project with six people who were asked just now."""
    write(project, AT_ONCE)
    (project / "new.csv").write_text(delivered_lately(PEOPLE_INSIDE, days_ago=0.1))
    cli("apply")
    cli("import", "orders", "new.csv", "--enroll")
    cli("worker", "--once")
    return project


def test_why_says_of_whoever_waits_that_no_letter_would_leave(waiting: Path, cli: Cli) -> None:
    cli("pause", "after-arrival", "--reason", "wrong price")
    why = cli("why", "L-1").out
    assert re.search(
        r"\n  now +waits until .*: wait-1; no letter leaves while after-arrival is paused: wrong price\n", why
    )
    cli("halt", "--reason", "we count stock")
    why = cli("why", "l1@example.com").out
    assert "\nAll letters are halted (we count stock): none leaves until followup unhalt.\n" in why
    assert "while everything is halted" not in why


def test_before_anything_was_applied_everything_is_new(project: Path, cli: Cli) -> None:
    ran = cli("plan", code=4)

    assert steady(ran.out).startswith(
        "Plan: nothing runs yet; applying would make it bundle abcdefabcdef.\n\n"
        "+ after-arrival: added, live\n    Did it arrive well?\n"
    )
    assert not (project / "followup.db").exists(), "looking makes nothing"


def test_a_folder_that_runs_already_changes_nothing(waiting: Path, cli: Cli) -> None:
    ran = cli("plan")

    assert steady(ran.out).splitlines() == [
        "No changes: bundle abcdefabcdef runs already.",
        "Letters that would leave, of those inside, if nobody answers:",
        "  in the next hour   0",
        "  in the next day    6",
    ]


SHORTENED = """\
Plan: bundle abcdefabcdef runs; applying would make it bundle abcdefabcdef.

~ after-arrival: changed
  ~ wait-1: wait 1 day → wait 6 hours
      6 people, waiting: all go on at once

Letters that would leave, of those inside, if nobody answers:
  in the next hour   6 (as it is: 0)
  in the next day    6 (as it is: 6)
"""


def test_a_plan_says_who_goes_on_when_a_wait_is_shortened_and_that_is_what_happens(waiting: Path, cli: Cli) -> None:
    text = (waiting / "workflows/after-arrival.yaml").read_text()
    write(waiting, text.replace("wait: 1 day", "wait: 6 hours", 1))

    assert steady(cli("plan", code=4).out) == SHORTENED
    assert "6 people inside now follow what was applied." in cli("apply").out
    cli("worker", "--once")

    assert len(list((waiting / "outbox").glob("*.eml"))) == PEOPLE_INSIDE
    assert cli("plan").code == 0


RENAMED = """\
Plan: bundle abcdefabcdef runs; applying would make it bundle abcdefabcdef.

~ after-arrival: changed
  - arrived: ask arrived, up to 5 days, reminded after 2 days
      6 people, asked and not heard from: STRANDED, it has to be decided what becomes of them. question says the same: was its id changed?
  + question: ask arrived, up to 5 days, reminded after 2 days

Letters that would leave, of those inside, if nobody answers:
  in the next hour   0 (as it is: 0)
  in the next day    0 (as it is: 0)
"""  # noqa: E501 - as it is printed where no terminal is
DECIDE = """\

6 people stand where there is no step any more. Keep the step's id if it is the same step; or decide:
  followup plan --in-flight after-arrival/arrived=finish
      they go on as they began
  followup plan --in-flight after-arrival/arrived=skip
      they go on with what follows it
  followup plan --in-flight after-arrival/arrived=stop
      their runs end
"""


@pytest.fixture
def renamed(asked: Path) -> Path:
    write(asked, AT_ONCE.replace("  - ask: arrived\n", "  - id: question\n    ask: arrived\n"))
    return asked


def test_nobody_is_stranded_unawares(renamed: Path, cli: Cli) -> None:
    ran = cli("plan", code=4)
    assert (steady(ran.out), ran.err) == (RENAMED, DECIDE)

    refused = cli("apply", code=1)
    assert refused.err == (
        "error: 6 people stand where the folder has no step any more, and nothing was applied: 6 at "
        "after-arrival/arrived\n"
        "hint: followup plan shows it. Keep the step's id, or decide: "
        "--in-flight after-arrival/arrived=finish|skip|stop\n"
    )
    assert cli("apply", "--json", code=1).document == {
        "stranded": [{"workflow": "after-arrival", "step": "arrived", "number": 6, "how": None, "gone": False}]
    }
    assert cli("plan", code=4).out == ran.out, "nothing was applied"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (None, r"reminder .{28} \(as it is\)"),
        ("finish", r"reminder .{28}"),
        ("skip", r"goes on with branch-1 at once: run ends \(as it is: reminder .{28}\)"),
        ("stop", r"run ends \(as it is: reminder .{28}\)"),
    ],
)
def test_everybody_at_a_step_that_is_gone_is_named(renamed: Path, cli: Cli, how: str | None, said: str) -> None:
    decided = ("--in-flight", f"arrived={how}") if how else ()
    ran = cli("plan", "--people", *decided, code=4)
    for number in range(1, PEOPLE_INSIDE + 1):
        assert re.search(rf"^ +l{number}@example.com, order L-{number}: {said}$", ran.out, re.MULTILINE)
    assert "more" not in ran.out
    (gone,) = (
        step
        for workflow in cli("plan", "--people", "--json", *decided, code=4).document["workflows"]
        for step in workflow["steps"]
        if step["step"] is None
    )
    assert [who["email"] for who in gone["who"]] == [f"l{number}@example.com" for number in range(1, 7)]
    assert {who["next_now"] for who in gone["who"]} == {"reminder"}


def test_nobody_can_be_skipped_in_a_workflow_that_is_gone(asked: Path, cli: Cli) -> None:
    (asked / "workflows/after-arrival.yaml").unlink()
    skip = "--in-flight", "after-arrival=skip"
    ran = cli("plan", *skip, code=4)
    impossible = "skip is not possible, for the workflow is gone; only finish or stop"
    assert f"6 people, asked and not heard from: STRANDED: {impossible}\n" in ran.out
    assert "6 people stand in a workflow that is gone. There is nothing to skip to, so skip is not possible." in ran.err
    assert "go on with what follows" not in ran.out
    assert "Skip is not possible where the workflow is gone: only finish or stop" in cli("apply", *skip, code=1).err


@pytest.mark.parametrize(
    ("how", "said"),
    [("finish", "finishes as they began"), ("skip", "goes on with what follows"), ("stop", "is stopped")],
)
def test_one_person_is_one(project: Path, cli: Cli, how: str, said: str) -> None:
    write(project, AT_ONCE)
    (project / "new.csv").write_text(delivered_lately(1, days_ago=0.1))
    cli("apply")
    cli("import", "orders", "new.csv", "--enroll")
    cli("worker", "--once")
    write(project, AT_ONCE.replace("  - ask: arrived\n", "  - id: question\n    ask: arrived\n"))
    assert f"1 person, asked and not heard from: {said}. " in cli("plan", "--in-flight", f"arrived={how}", code=4).out


def test_a_longer_wait_says_until_when_people_wait(waiting: Path, cli: Cli) -> None:
    text = (waiting / "workflows/after-arrival.yaml").read_text()
    write(waiting, text.replace("wait: 1 day", "wait: 3 days", 1))
    day = r"[A-Z][a-z]{2} \d\d [A-Z][a-z]{2}( \d{4})?"
    said = f"6 people, waiting: wait on, the first until {day} instead of {day}\n"
    assert re.search(said, cli("plan", code=4).out)

    cli("apply")
    back = cli("bundles", "rollback", "--dry-run", "--people").out
    assert re.search(said, back)
    assert back.count(": waits until ") == PEOPLE_INSIDE * 2
    cli("worker", "--once")
    assert cli("bundles", "rollback", "--dry-run", "--people").out == back
    document = cli("bundles", "rollback", "--dry-run", "--people", "--json").document
    assert len(document["workflows"][0]["steps"][0]["who"]) == PEOPLE_INSIDE


@pytest.mark.parametrize(
    ("how", "said", "after"),
    [
        ("finish", "finish as they began", {"active": 6}),
        ("skip", "go on with what follows", {"completed": 6}),
        ("stop", "are stopped", {"exited": 6}),
    ],
)
def test_what_becomes_of_them_is_said_and_done(
    renamed: Path, cli: Cli, how: str, said: str, after: dict[str, int]
) -> None:
    plan = cli("plan", "--in-flight", f"arrived={how}", code=4)
    assert f"6 people, asked and not heard from: {said}" in plan.out
    assert f"followup apply --in-flight arrived={how}" in plan.err

    cli("apply", "--in-flight", f"arrived={how}")
    cli("worker", "--once")
    assert cli("status", "--json").document["enrollments"] == after
    assert cli("plan").code == 0


def test_a_plan_as_a_document(renamed: Path, cli: Cli) -> None:
    document = cli("plan", "--json", code=4).document

    (workflow,) = document["workflows"]
    stranded = next(step for step in workflow["steps"] if step["stranded"])
    assert (stranded["old_step"], stranded["people"], stranded["phases"]) == ("arrived", 6, {"asked": 6})
    assert document["undecided"] == [{"workflow": "after-arrival", "step": "arrived", "people": 6}]
    assert document["changes"] is True
    nothing = {"hour": 0, "day": 0}
    assert document["leaving"] == {
        "now": nothing,
        "then": nothing,
        "complete": True,
        "postponed": 0,
        "first_postponed": None,
        "halted": None,
    }


def test_what_a_decision_looks_like_is_said(renamed: Path, cli: Cli) -> None:
    ran = cli("plan", "--in-flight", "arrived=keep", code=2)
    assert "write STEP=finish, STEP=skip or STEP=stop" in ran.err


def test_a_deleted_workflow_strands_the_people_in_it(asked: Path, cli: Cli) -> None:
    (asked / "workflows/after-arrival.yaml").unlink()
    plan = cli("plan", code=4)
    assert "- after-arrival: removed\n" in plan.out
    assert "=skip" not in plan.err, "there is nothing to go on to"
    assert "whose workflow is gone" in cli("apply", "--in-flight", "after-arrival=skip", code=1).err

    cli("apply", "--in-flight", "after-arrival=stop")
    assert cli("status", "--json").document["enrollments"] == {"exited": 6}


def test_a_workflow_that_goes_live_says_whom_it_would_have_taken_in(project: Path, cli: Cli) -> None:
    write(project, WORKFLOW.replace("status: live", "status: draft"))
    orders = delivered_lately(5, days_ago=2).splitlines()
    orders[1] = orders[1].replace("EUR,20,", "EUR,2,")
    (project / "new.csv").write_text("\n".join(orders))
    cli("apply")
    cli("import", "orders", "new.csv", "--enroll")
    write(project, WORKFLOW.replace("- not order.is_gift", "- order.total > 10"))

    ran = cli("plan", code=4)
    assert "goes live; would have taken in 4 of 5 in the last 7 days (1 not: order.total > 10 is false)" in ran.out
    refused = {"order.total > 10 is false": 1}
    assert cli("plan", "--json", code=4).document["goes_live"] == [
        {"workflow": "after-arrival", "happened": 5, "entering": 4, "held_out": 0, "refused": refused, "at_once": False}
    ]


def test_who_would_be_held_out_is_told_of_a_workflow_that_goes_live(project: Path, cli: Cli) -> None:
    measured = "holdout: 50%\ngoal: {event: order.placed, within: 60 days}\nsteps:\n"
    write(project, WORKFLOW.replace("status: live", "status: draft").replace("steps:\n", measured))
    (project / "new.csv").write_text(delivered_lately(20, days_ago=0.5))
    cli("apply")
    cli("import", "orders", "new.csv", "--enroll")
    write(project, WORKFLOW.replace("steps:\n", measured))
    (live,) = cli("plan", "--json", code=4).document["goes_live"]
    assert live["entering"] == 20
    assert 0 < live["held_out"] < 20
    said = f"taken in 20 of 20 in the last 7 days ({live['held_out']} held out: they get nothing and are measured)"
    assert said in " ".join(cli("plan", code=4).out.split())


def test_who_is_inside_a_workflow_that_comes_back_is_told(waiting: Path, cli: Cli) -> None:
    text = (waiting / "workflows/after-arrival.yaml").read_text()
    (waiting / "workflows/after-arrival.yaml").unlink()
    cli("apply", "--in-flight", "after-arrival=finish")
    write(waiting, text)
    same = cli("plan", code=4)
    assert "+ after-arrival: added, live" in same.out
    assert "6 people are inside: they came into this very version, and go on in it" in same.out
    write(waiting, text.replace("wait: 1 day", "wait: 6 hours"))
    other = cli("plan", code=4)
    assert "6 people finish an older version, whatever is applied" in other.out
    assert "are inside" not in other.out


def test_a_letter_that_people_finishing_still_come_to_is_missed(waiting: Path, cli: Cli) -> None:
    (waiting / "workflows/after-arrival.yaml").unlink()
    cli("apply", "--in-flight", "after-arrival=finish")
    letter = waiting / "templates/thanks.md"
    text = letter.read_text()
    letter.unlink()
    said = "6 people finish an older version of after-arrival that sends it, and would get nothing there"
    assert f"- thanks: removed; {said}" in " ".join(cli("plan", code=4).out.split())
    (document,) = cli("plan", "--json", code=4).document["letters"]
    assert document["finished_with"] == {"after-arrival": 6}
    ran = cli("apply")
    assert "6 people finish an older version of after-arrival that sends thanks: templates/thanks.md is gone" in ran.err
    assert cli("apply", "--json").document["lost"] == {"thanks": {"after-arrival": 6}}
    letter.write_text(text)
    put_back = " ".join(cli("plan", code=4).out.split())
    assert "+ thanks: added; 6 people finish an older version of after-arrival that sends it letters" not in put_back
    assert "+ thanks: added; 6 people finish an older version of after-arrival that sends it" in put_back
    cli("apply")
    assert cli("apply", "--json").document["lost"] == {}


def test_what_keeps_a_letter_that_is_due_from_leaving_is_told_of_each(waiting: Path, cli: Cli) -> None:
    text = (waiting / "workflows/after-arrival.yaml").read_text()
    limited = text.replace("steps:", "limits: {per_day: 2}\nsteps:").replace("wait: 1 day", "wait: 6 hours")
    write(waiting, limited)
    out = " ".join(cli("plan", "--people", code=4).out.split())
    assert out.count("goes on at once: letter due now (as it is") == 2
    assert out.count("goes on at once: letter due now, postponed until") == 4
    assert "later 4 wait, the first until" in out
    leaving = cli("plan", "--json", code=4).document["leaving"]
    assert (leaving["then"]["day"], leaving["postponed"]) == (2, 4)
    first = datetime.fromisoformat(leaving["first_postponed"]) - SystemClock().now()
    assert timedelta(hours=23) < first < timedelta(hours=25), "when the first of those that wait may leave"
    cli("halt", "--reason", "we count stock")
    halted = cli("plan", code=4).out
    assert "All letters are halted (we count stock): none leaves until followup unhalt." in " ".join(halted.split())
    assert cli("plan", "--json", code=4).document["leaving"]["halted"] == "we count stock"


def test_a_split_that_is_renamed_is_taken_for_what_it_is(project: Path, cli: Cli) -> None:
    split = (
        "  - split: {name}\n    variants:\n      a: {{do: [{{wait: 7 days}}]}}\n      b: {{do: [{{wait: 7 days}}]}}\n"
    )
    head = WORKFLOW.partition("steps:\n")[0] + "steps:\n"
    write(project, head + split.format(name="end") + "  - send: thanks\n")
    (project / "new.csv").write_text(delivered_lately(3, days_ago=0.1))
    cli("apply")
    cli("import", "orders", "new.csv", "--enroll")
    cli("worker", "--once")
    write(project, head + split.format(name="lane") + "  - send: thanks\n")
    out = " ".join(cli("plan", code=4).out.split())
    assert "says the same: was what it stands in renamed or moved?" in out
    assert "was its id changed?" not in out


def test_a_plan_of_a_folder_with_errors_shows_them(waiting: Path, cli: Cli) -> None:
    write(waiting, WORKFLOW.replace("ask: arrived", "ask: arived"))
    ran = cli("plan", code=1)
    assert 'Did you mean "arrived"?' in ran.err
    assert cli("plan", "--json", code=1).document["diagnostics"][0]["code"] == "W203"


def test_a_person_who_is_gone_leaves_letters_behind(project: Path, cli: Cli) -> None:
    people = project / "workflows/people.yaml"
    mara = people.read_text()
    people.write_text(mara + mara.replace("mara", "tom").replace("Mara", "Tom"))
    write(project, AT_ONCE.replace("sender: mara", "sender: tom"))
    (project / "new.csv").write_text(delivered_lately(2, days_ago=0.1))
    cli("apply")
    cli("halt", "--reason", "we count stock")
    cli("import", "orders", "new.csv", "--enroll")
    cli("worker", "--once")
    people.write_text(mara)
    write(project, AT_ONCE)
    assert "- tom: removed\n" in cli("plan", code=4).out, "those letters are the new sender's"

    write(project, AT_ONCE.replace("  - ask: arrived\n", "  - id: question\n    ask: arrived\n"))
    finish = "--in-flight", "arrived=finish"
    assert "- tom: removed; 2 letters they would sign cannot leave" in cli("plan", *finish, code=4).out
    assert cli("apply", *finish).err == (
        "2 letters cannot leave: tom, who signs them, is not in people.yaml any more.\n"
        "Put back what is missing and apply. As soon as they are due, these letters are blocked:\n"
        "  followup messages list --state blocked  which letters are blocked, and why\n"
    )
    assert cli("apply", "--json").document["cannot_leave"] == [{"lacks": "person", "name": "tom", "letters": 2}]


def test_a_letter_that_changes_says_how_many_have_not_left(asked: Path, cli: Cli) -> None:
    letter = asked / "templates/arrived.md"
    letter.write_text(letter.read_text() + "\nP.S. It likes the warmth.\n")
    assert "~ arrived: changed; in after-arrival/arrived\n" in cli("plan", code=4).out


def test_bundles_are_listed_shown_and_compared(waiting: Path, cli: Cli) -> None:
    first = cli("bundles", "list", "--json").document[0]["hash"]
    text = (waiting / "workflows/after-arrival.yaml").read_text()
    write(waiting, text.replace("wait: 1 day", "wait: 6 hours", 1))

    assert [line for line in cli("bundles", "diff").out.splitlines() if line.startswith(("+", "-"))] == [
        "-  - wait: 1 day",
        "+  - wait: 6 hours",
    ]
    cli("apply")
    newest, older = cli("bundles", "list", "--json").document
    assert (newest["runs"], newest["how"], older["runs"]) == (True, "applied", False)
    assert (older["hash"], newest["changed"]) == (first, ["workflows/after-arrival.yaml"])
    assert "workflows/after-arrival.yaml" in cli("bundles", "show", first[:8]).out
    assert cli("bundles", "show", first[:8], "workflows/after-arrival.yaml").out.strip() == text.strip()
    assert "Nothing differs." in cli("bundles", "diff").out
    assert "+  - wait: 6 hours" in cli("bundles", "diff", first[:8]).out
    assert "Did you mean" in cli("bundles", "show", first[:8], "workflows/after-arival.yaml", code=1).err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("after-arrival", "workflows/after-arrival.yaml"),
        ("after-arrival.yaml", "workflows/after-arrival.yaml"),
        ("after-arival", "workflows/after-arrival.yaml"),
        ("workflows/after-arival.yaml", "workflows/after-arrival.yaml"),
        ("thanks", "templates/thanks.md"),
    ],
)
def test_a_file_of_a_bundle_is_found_by_its_name(waiting: Path, cli: Cli, typed: str, meant: str) -> None:
    first = cli("bundles", "list", "--json").document[0]["hash"]
    assert f"hint: Did you mean {meant!r}?\n" in cli("bundles", "show", first[:8], typed, code=1).err
    assert "Did you mean" not in cli("bundles", "show", first[:8], "nothing-like-this", code=1).err


def test_a_deleted_workflow_takes_nobody_in_and_it_is_said_why(waiting: Path, cli: Cli) -> None:
    (waiting / "workflows/after-arrival.yaml").unlink()
    (waiting / "workflows/other.yaml").write_text(AT_ONCE.replace("workflow: after-arrival", "workflow: other"))
    cli("apply", "--in-flight", "after-arrival=finish")
    refused = cli("trigger", "after-arrival", "--order", "L-1", code=1).err
    assert "error: workflow 'after-arrival' was deleted, and takes nobody in any more\n" in refused
    assert "hint: Put workflows/after-arrival.yaml back, then followup apply" in refused
    assert "there is no workflow 'never-was'" in cli("trigger", "never-was", "--order", "L-1", code=1).err


def test_files_that_came_and_went_are_marked(waiting: Path, cli: Cli) -> None:
    (waiting / "workflows/after-arrival.yaml").unlink()
    (waiting / "workflows/other.yaml").write_text(AT_ONCE.replace("workflow: after-arrival", "workflow: other"))
    letter = waiting / "templates/thanks.md"
    letter.write_text(letter.read_text() + "\nMore.\n")
    cli("apply", "--in-flight", "after-arrival=finish")
    listed = cli("bundles", "list").out
    assert "templates/thanks.md, - workflows/after-arrival.yaml, + workflows/other.yaml\n" in listed
    newest, first = cli("bundles", "list", "--json").document
    assert (newest["added"], newest["removed"]) == (["workflows/other.yaml"], ["workflows/after-arrival.yaml"])
    assert (first["added"], first["removed"]) == ([], [])


def test_what_is_no_bundle_is_said(waiting: Path, cli: Cli) -> None:
    assert "too short" in cli("bundles", "show", "ab", code=2).err
    assert "there is no bundle" in cli("bundles", "show", "0123456789", code=1).err
    assert "no bundle before" in cli("bundles", "rollback", "--yes", code=1).err


def test_going_back_leads_to_the_same_plan(waiting: Path, cli: Cli) -> None:
    text = (waiting / "workflows/after-arrival.yaml").read_text()
    write(waiting, text.replace("wait: 1 day", "wait: 1 day\n  - id: hello\n    send: thanks", 1))
    before = cli("plan", "--json", code=4).document
    cli("apply")

    assert cli("bundles", "rollback", "--dry-run").out.count("+ hello") == 0
    assert "add --yes" in cli("bundles", "rollback", code=1).err, "nobody could be asked"
    back = cli("bundles", "rollback", "--yes")
    assert "runs again" in back.out
    assert "the next apply brings it back" in back.err
    assert "followup bundles diff" in back.err
    assert cli("plan", "--json", code=4).document == before


def test_going_back_takes_nothing_away_that_was_applied_after_it_was_looked_at(
    waiting: Path, cli: Cli, start: Start
) -> None:
    text = (waiting / "workflows/after-arrival.yaml").read_text()
    write(waiting, text.replace("wait: 1 day", "wait: 20 hours", 1))
    cli("apply")
    ours, theirs = pty.openpty()
    process = start("bundles", "rollback", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    with open(ours, "r+b", buffering=0) as terminal:
        shown = b""
        while b"[y/N]" not in shown:
            shown += terminal.read(4096)
        write(waiting, text.replace("wait: 1 day", "wait: 30 hours", 1))
        cli("apply")
        runs = cli("bundles", "list", "--json").document[0]["hash"]
        terminal.write(b"y\n")
        with suppress(OSError):  # how Linux says that the other side has hung up
            while piece := terminal.read(4096):
                shown += piece
    assert process.wait() == 1
    assert "something else was applied meanwhile" in " ".join(shown.decode().split())
    assert cli("bundles", "list", "--json").document[0]["hash"] == runs


def test_going_back_to_what_the_folder_has_leaves_nothing_to_undo(waiting: Path, cli: Cli) -> None:
    text = (waiting / "workflows/after-arrival.yaml").read_text()
    write(waiting, text.replace("wait: 1 day", "wait: 20 hours", 1))
    cli("apply")
    write(waiting, text)
    back = cli("bundles", "rollback", "--yes")
    assert "The folder has the same" in back.err
    assert "brings it back" not in back.err
    assert "followup bundles diff" not in back.err


def test_going_back_again_goes_back_further(waiting: Path, cli: Cli) -> None:
    text = (waiting / "workflows/after-arrival.yaml").read_text()
    for hours in (20, 30):
        write(waiting, text.replace("wait: 1 day", f"wait: {hours} hours", 1))
        cli("apply")
    third, second, first = (one["hash"] for one in cli("bundles", "list", "--json").document)
    for expected in (second, first):
        cli("bundles", "rollback", "--yes")
        assert cli("bundles", "list", "--json").document[0]["hash"] == expected
    assert "no bundle before" in cli("bundles", "rollback", "--yes", code=1).err

    listed = [(one["hash"], one["how"]) for one in cli("bundles", "list", "--json").document]
    how = ("back", "back", "applied", "applied", "applied")
    assert listed == list(zip((first, second, third, second, first), how, strict=True))


def test_going_back_to_what_runs_is_a_document_too(waiting: Path, cli: Cli) -> None:
    runs = cli("bundles", "list", "--json").document[0]["hash"]
    assert "Nothing changed" in cli("bundles", "rollback", runs).out
    document = cli("bundles", "rollback", runs, "--json").document
    assert (document["bundle"], document["changed"]) == (runs, False)


def test_a_file_of_a_bundle_as_a_document(waiting: Path, cli: Cli) -> None:
    path = "workflows/after-arrival.yaml"
    document = cli("bundles", "show", "--json").document
    assert cli("bundles", "show", document["bundle"], path, "--json").document == {
        "bundle": document["bundle"],
        "file": path,
        "text": document["files"][path],
    }


@pytest.fixture
def further(asked: Path, cli: Cli) -> Path:
    """Return a project where six people stand at a step that the bundle before does not have."""
    write(asked, AT_ONCE.replace("  - ask: arrived\n", "  - id: question\n    ask: arrived\n"))
    cli("apply", "--in-flight", "arrived=finish")
    (asked / "new.csv").write_text(delivered_lately(9, days_ago=0.1))
    cli("import", "orders", "new.csv", "--enroll")
    cli("worker", "--once")
    return asked


@pytest.mark.parametrize("how", [[], ["--yes"], ["--json"], ["--json", "--yes"]])
def test_going_back_strands_nobody_unawares(further: Path, cli: Cli, how: list[str]) -> None:
    runs = cli("bundles", "list", "--json").document[0]["hash"]
    ran = cli("bundles", "rollback", *how, code=1)
    assert "error: 3 people stand where" in ran.err
    assert "add --yes" not in ran.err, "nobody is asked"
    assert "after-arrival/question=finish|skip|stop" in ran.err
    if "--json" in how:
        assert [(one["step"], one["number"]) for one in ran.document["stranded"]] == [("question", 3)]
    assert cli("bundles", "list", "--json").document[0]["hash"] == runs


def test_a_way_back_is_told_from_an_apply(further: Path, cli: Cli) -> None:
    newest, older = cli("bundles", "list", "--json").document
    cli("bundles", "rollback", "--yes", "--in-flight", "question=stop")
    with reading(make_engine(f"sqlite:///{further / 'followup.db'}")) as conn:
        trail = [(row.action, row.data) for row in conn.execute(select(audit).order_by(audit.c.id))]
    (back,) = (data for action, data in trail if action == "rollback")
    assert (back["bundle"], back["before"], back["in_flight"]) == (older["hash"], newest["hash"], {"question": "stop"})
    assert [action for action, _ in trail].count("apply") == 2
