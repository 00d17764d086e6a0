"""``walk``: a customer's past and future."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.shop import ASK, WORKFLOW, delivered_lately


@pytest.fixture
def inside(project: Path, cli: Cli) -> Path:
    """Return the project after a customer came in, whose question is due in some hours."""
    (project / "workflows" / "after-arrival.yaml").write_text(
        WORKFLOW.replace("hours: 09:00-18:00", "hours: 09:00-08:59")
    )
    (project / "orders.csv").write_text(delivered_lately(1, days_ago=0.5))
    cli("apply")
    cli("import", "orders", "orders.csv", "--enroll")
    cli("worker", "--once")
    return project


def test_past_now_and_future_stand_one_below_the_other(inside: Path, cli: Cli) -> None:
    before = (inside / "followup.db").read_bytes()
    lines = cli("walk", "l1@example.com").out.splitlines()
    assert lines[0] == "Lou <l1@example.com>  times in Europe/Berlin"
    now = next(number for number, line in enumerate(lines) if line.startswith("now, "))
    assert [line.split("  ")[2] for line in lines[1 : now - 1]] == ["entered", "wait"]
    asked = next(number for number, line in enumerate(lines) if line.rstrip().endswith("arrived") and "  ask" in line)
    assert [line.split("  ")[2] for line in lines[asked + 1 : asked + 4]] == ["if good", "if broken", "if a reply"]
    assert "sent thanks" in lines[asked + 1]
    assert "waits for us" in lines[asked + 3]
    assert "  after-arrival  ended    finished" in "\n".join(lines[asked:])
    assert (inside / "followup.db").read_bytes() == before


def test_what_an_answer_skips_is_named(project: Path, cli: Cli) -> None:
    head = WORKFLOW.partition("  - branch:\n")[0].replace("hours: 09:00-18:00", "hours: 09:00-08:59")
    remember = '  - remember: {customer.words: "{{ reply.text }}"}\n'
    (project / "workflows" / "after-arrival.yaml").write_text(head + remember)
    (project / "orders.csv").write_text(delivered_lately(1, days_ago=0.5))
    cli("apply")
    cli("import", "orders", "orders.csv", "--enroll")
    cli("worker", "--once")
    assert "skipped remember-1;" in cli("walk", "l1@example.com").out


def test_as_a_document(inside: Path, cli: Cli) -> None:
    told = cli("walk", "L1@example.com", "--json").document
    assert list(told) == [
        "customer",
        "timezone",
        "now",
        "past",
        "future",
        "answers",
        "feel",
        "under_way",
        "suppressed",
        "ended",
        "bundle",
        "folder",
    ]
    assert (told["customer"], told["timezone"], told["ended"]) == ("l1@example.com", "Europe/Berlin", True)
    assert [move["kind"] for move in told["past"]] == ["entered", "wait"]
    assert [move["kind"] for move in told["future"]] == ["ask", "remind", "timeout", "branch", "ended"]
    assert [one["response"] for one in told["answers"]] == ["good", "broken", "reply"]
    assert [move["kind"] for move in told["answers"][0]["leads_to"]] == ["answer", "branch", "wait", "send", "ended"]


def test_what_they_would_feel_is_said_in_words(inside: Path, cli: Cli) -> None:
    three = WORKFLOW.split("steps:")[0].replace("hours: 09:00-18:00", "hours: 02:00-05:00") + (
        "steps:\n  - wait: 2 days\n  - send: thanks\n  - send: thanks\n    id: more\n  - send: thanks\n    id: most\n"
        "  - wait: 40 days\n  - send: thanks\n    id: last\n"
    )
    (inside / "workflows" / "three.yaml").write_text(three.replace("workflow: after-arrival", "workflow: three"))
    cli("apply")
    cli("trigger", "three", "--order", "L-1", "--yes")
    felt = cli("walk", "l1@example.com").out.split("what they would feel\n")[1]
    assert "without a word from them: " in felt
    assert "thanks, thanks, thanks come at an odd hour, on " in felt
    assert "thanks comes at an odd hour, on " in felt
    assert re.search(r"[34] letters on one day, \w{3} \d\d \w{3} \d{4}: ", felt)
    assert "days without any contact, from " in felt


def test_more_than_was_looked_at_and_a_halt_are_said(inside: Path, cli: Cli) -> None:
    assert "There is more after 1 day" in cli("walk", "l1@example.com", "--days", "1").err
    cli("halt", "--reason", "a fire")
    assert "HALTED, no letter leaves: a fire" in cli("walk", "l1@example.com").err


def test_a_letter_that_cannot_leave_is_told_among_the_moves_and_not_logged(inside: Path, cli: Cli) -> None:
    (inside / "templates" / "arrived.md").write_text(ASK.replace("Hi ", "Hi {{ customer.last_name }} "))
    cli("apply")
    ran = cli("walk", "l1@example.com")
    assert "blocked  arrived: " in ran.out
    assert ran.err == ""


TWICE = """\
workflow: again
title: And again
status: live
owner: mara
sender: mara
trigger: {event: order.delivered}
steps:
  - wait: 3 days
  - ask: arrived
    timeout: 5 days
""" + "".join(f"  - wait: 10 days\n  - send: thanks\n    id: thanks-{number}\n" for number in range(8))


def test_each_move_says_which_order_it_is_about_where_there_are_several(inside: Path, cli: Cli) -> None:
    assert "  L-1  " not in cli("walk", "l1@example.com").out
    other = delivered_lately(1, days_ago=0.2).replace("L-1", "L-22")
    (inside / "more.csv").write_text(other)
    cli("import", "orders", "more.csv", "--enroll")
    lines = cli("walk", "l1@example.com").out.splitlines()
    rows = [line for line in lines if "  after-arrival  " in line]
    assert {line.split("  after-arrival  ")[1][:6] for line in rows} == {"L-1   ", "L-22  "}
    assert len({line.index("entered") for line in rows if "entered" in line}) == 1


def test_what_an_answer_leads_to_is_told_in_short(inside: Path, cli: Cli) -> None:
    (inside / "workflows" / "again.yaml").write_text(TWICE)
    cli("apply")
    cli("trigger", "again", "--order", "L-1", "--yes")
    ran = cli("walk", "l1@example.com")
    ways = [line for line in ran.out.splitlines() if line.startswith("    if ")]
    in_again = [line for line in ways if line.count("sent thanks") > 1]
    assert in_again
    assert all(re.search(r"; and \d+ more$", line) and line.count(";") == 6 for line in in_again)
    assert max(map(len, ways)) < 300
    assert "followup walk l1@example.com --json" in ran.err
    others = [line for line in ways if line not in in_again]
    assert not any("thanks-" in line for line in others)


def test_the_folder_as_if_it_were_applied(inside: Path, cli: Cli) -> None:
    flow = inside / "workflows" / "after-arrival.yaml"
    flow.write_text(flow.read_text().replace("wait: 1 day\n  - ask: arrived", "wait: 300 days\n  - ask: arrived"))
    before = (inside / "followup.db").read_bytes()
    told = cli("walk", "l1@example.com", "--folder").out
    bundle = cli("apply", "--dry-run", "--json").document["bundle"]
    assert f"; from here on as if the folder (bundle {bundle[:12]}) were applied\n" in told
    document = cli("walk", "l1@example.com", "--folder", "--json").document
    assert (document["bundle"], document["folder"]) == (bundle, True)
    as_it_runs = cli("walk", "l1@example.com", "--json").document
    past = [(move["kind"], move["until"]) for move in as_it_runs["past"]]
    assert [(move["kind"], move["until"]) for move in document["past"]] == past, "what was stays as it was"
    first, asked = (next(one for one in document["future"] if one["kind"] == kind) for kind in ("wait", "ask"))
    assert first["until"] == asked["at"]
    assert (inside / "followup.db").read_bytes() == before
    assert as_it_runs["bundle"] != bundle
    assert as_it_runs["future"][0]["kind"] == "ask"
    assert as_it_runs["future"][0]["at"] < document["future"][-1]["at"]
    flow.write_text(WORKFLOW.replace("timeout", "timout"))
    assert 'Did you mean "timeout"?' in cli("walk", "l1@example.com", "--folder", code=1).err


def test_who_would_be_stranded_by_the_folder_is_said(inside: Path, cli: Cli) -> None:
    flow = inside / "workflows" / "after-arrival.yaml"
    flow.write_text(flow.read_text().replace("  - wait: 1 day\n  - ask", "  - ask"))
    refused = cli("walk", "l1@example.com", "--folder", code=1)
    assert "1 person stands where the folder has no step any more" in refused.err
    assert "--in-flight after-arrival/wait-1=finish|skip|stop" in refused.err
    assert cli("walk", "l1@example.com", "--folder", "--json", code=1).document["stranded"][0]["step"] == "wait-1"
    skipped = cli("walk", "l1@example.com", "--folder", "--in-flight", "wait-1=skip")
    assert "  ask " in skipped.out
    assert skipped.out.count("    if good") == 1, "what is asked at this moment is told once"
    assert "waits for an answer" not in skipped.out
    other = cli("walk", "l1@example.com", "--folder", "--in-flight", "wait-1=skip", "--in-flight", "thanks=stop")
    assert "--in-flight thanks does not concern them" in other.err
    assert "give --folder too" in cli("walk", "l1@example.com", "--in-flight", "wait-1=skip", code=2).err


def test_slips_are_explained(inside: Path, cli: Cli) -> None:
    assert "Did you mean 'l1@example.com'?" in cli("walk", "l11@example.com", code=1).err
    assert "Did you mean" not in cli("walk", "nobody@example.com", code=1).err
    assert "is not a mail address" in cli("walk", "nobody", code=1).err
    assert cli("walk", "L-1", code=1).err == (
        "error: 'L-1' is not a mail address but the number of an order, of l1@example.com\n"
        "hint: followup walk l1@example.com\n"
    )
    assert cli("walk", "l1@example.com", "--days", "401", code=2).err


def test_nothing_is_to_come_when_all_is_over(played: Path, cli: Cli) -> None:
    ran = cli("walk", "ana@example.com")
    assert "As things stand, nothing is to come." in ran.out.splitlines()


def test_nothing_stands_out_within_the_days_that_were_looked_at(inside: Path, cli: Cli) -> None:
    some = cli("walk", "l1@example.com", "--days", "2").out.split("what they would feel\n")[1]
    assert some.startswith("Nothing stands out within 2 days: no 30 days without contact, ")
    assert "Nothing stands out to the end: " in cli("walk", "l1@example.com").out


@pytest.mark.parametrize("days", ["2", "2 days", "2d", " 2 d"])
def test_days_are_a_number_or_written_as_elsewhere(inside: Path, cli: Cli, days: str) -> None:
    assert "There is more after 2 days" in cli("walk", "l1@example.com", "--days", days).err


@pytest.mark.parametrize("days", ["2h", "0", "many", "2 business days"])
def test_what_is_no_number_of_days_is_refused(inside: Path, cli: Cli, days: str) -> None:
    assert "Invalid value for '--days'" in cli("walk", "l1@example.com", "--days", days, code=2).err


def test_the_hint_at_the_end_is_the_whole_command(inside: Path, cli: Cli) -> None:
    (inside / "workflows" / "again.yaml").write_text(TWICE)
    cli("apply")
    cli("trigger", "again", "--order", "L-1", "--yes")
    assert "  followup walk l1@example.com --json  " in cli("walk", "l1@example.com").err
    options = ["--folder", "--in-flight", "again/wait-1=finish", "--days", "300", "--close-after", "never"]
    assert f"  followup walk l1@example.com {' '.join(options)} --json\n" in cli("walk", "l1@example.com", *options).err
    longer = cli("walk", "l1@example.com", "--close-after", "2 days").err
    assert "  followup walk l1@example.com --close-after '2 days' --json\n" in longer


def test_what_is_compared_and_when_an_answer_comes_is_said_once(inside: Path, cli: Cli) -> None:
    out = cli("walk", "l1@example.com").out
    (head,) = [line for line in out.splitlines() if line.startswith("Below each question ")]
    assert "that silence would not" in head
    assert "a day later" in head
    short = cli("walk", "l1@example.com", "--days", "2").out
    assert [
        line for line in short.splitlines() if line.endswith("  nothing else within 2 days; more comes after 2 days")
    ]


UNDER_WAY = """\
order_id,status,placed_at,fulfilled_at,email,first_name,country,timezone,currency,total,item_name
U-1,placed,{day},,una@example.com,Una,DE,Europe/Berlin,EUR,20,Cup
U-2,fulfilled,{day},{day},uwe@example.com,Uwe,DE,Europe/Berlin,EUR,20,Cup
"""


def test_an_order_that_has_not_arrived_is_named_with_a_command_that_works(inside: Path, cli: Cli) -> None:
    (inside / "more.csv").write_text(UNDER_WAY.format(day="2026-03-02T10:00:00Z"))
    cli("import", "orders", "more.csv", "--enroll")
    una, uwe = cli("walk", "una@example.com"), cli("walk", "uwe@example.com")
    assert "As things stand, nothing is to come.\nOrder U-1 has not been shipped yet.\n" in una.out
    assert "As things stand, nothing is to come.\nOrder U-2 has not arrived yet.\n" in uwe.out
    assert "followup simulate after-arrival --order U-2" in uwe.err
    assert "  ask " in cli("simulate", "after-arrival", "--order", "U-2").out
    under_way = cli("walk", "uwe@example.com", "--json").document["under_way"]
    listening = [{"event": "order.delivered", "workflow": "after-arrival"}]
    assert under_way == [{"order": "U-2", "shipped": True, "listening": listening}]


def test_who_is_suppressed_gets_no_letter_at_all(inside: Path, cli: Cli) -> None:
    cli("suppressions", "add", "l1@example.com", "--workflow", "after-arrival", "--reason", "too many")
    assert "No letter of after-arrival goes to them, since " in cli("walk", "l1@example.com").out
    cli("suppressions", "add", "l1@example.com")
    assert re.search(r"No letter goes to them at all, since .*: asked us\n", cli("walk", "l1@example.com").out)
    assert [one["scope"] for one in cli("walk", "l1@example.com", "--json").document["suppressed"]] == [
        "after-arrival",
        "all",
    ]
