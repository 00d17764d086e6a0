"""``simulate``: what a workflow of the folder would do."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.shop import WORKFLOW

SAMPLE = """\
about: Somebody in Lisbon
customer: {first_name: Ana, country: PT, timezone: Europe/Lisbon}
order:
  number: S-1
  items: [{name: Cup, price: 20}]
"""
MONDAY = ("--from", "2026-03-02T10:00")


@pytest.fixture
def tried(project: Path) -> Path:
    """Return the project with samples; there is no database."""
    folder = project / "templates" / "_samples"
    folder.mkdir()
    (folder / "typical.yaml").write_text(SAMPLE)
    (folder / "gift.yaml").write_text(SAMPLE.replace("  number: S-1\n", "  number: S-2\n  is_gift: true\n"))
    return project


def test_moves_stand_in_columns_in_the_customers_time(tried: Path, cli: Cli) -> None:
    ran = cli("simulate", "after-arrival", "--answer", "good", "--from", "2026-03-28T12:00")
    assert ran.out.splitlines() == [
        "after-arrival as in the folder, on the sample typical, order S-1: Ana <typical@example.com>; "
        "times in Europe/Lisbon",
        "Sat 28 Mar 2026 12:00 +00:00  entered  order.delivered",
        "Sat 28 Mar 2026 12:00 +00:00  wait     wait-1, until Sun 29 Mar 2026 13:00 +01:00",
        "Sun 29 Mar 2026 13:00 +01:00  ask      arrived",
        "Mon 30 Mar 2026 13:00 +01:00  answer   arrived: good",
        "Mon 30 Mar 2026 13:00 +01:00  branch   branch-1: case 1: when replied",
        "Mon 30 Mar 2026 13:00 +01:00  wait     wait-2, until Tue 31 Mar 2026 13:00 +01:00",
        "Tue 31 Mar 2026 13:00 +01:00  send     thanks",
        "Tue 31 Mar 2026 13:00 +01:00  ended    finished",
    ]
    assert not list(tried.glob("*.db"))
    assert not (tried / "outbox").exists()


def test_moves_as_a_document(tried: Path, cli: Cli) -> None:
    told = cli("simulate", "after-arrival", *MONDAY, "--json").document
    assert [one["kind"] for one in told] == ["entered", "wait", "ask", "remind", "timeout", "branch", "ended"]
    assert told[1] == {
        "at": "2026-03-02T10:00:00Z",
        "kind": "wait",
        "step": "wait-1",
        "letter": None,
        "reason": None,
        "until": "2026-03-03T10:00:00Z",
        "workflow": "after-arrival",
        "order": "S-1",
        "reminder": False,
    }
    assert told[3] | {"letter": "arrived", "reminder": True} == told[3]


def test_who_may_not_come_in_is_told_why(tried: Path, cli: Cli) -> None:
    ran = cli("simulate", "after-arrival", "--sample", "gift", *MONDAY)
    heading, rows = ran.out.split("\n", maxsplit=1)
    assert heading.startswith("after-arrival as in the folder, on the sample gift, order S-2: Ana <")
    assert rows.split("  ", 1)[1] == "not_entered  entry: not order.is_gift is false (order.is_gift: yes)\n"
    (move,) = cli("simulate", "after-arrival", "--sample", "gift", *MONDAY, "--json").document
    assert move["values"] == {"order.is_gift": True}


def test_responses_count_in_the_order_of_the_command_line(tried: Path, cli: Cli) -> None:
    twice = WORKFLOW + "  - wait: 2 days\n  - ask: arrived\n    id: again\n    timeout: 5 days\n"
    (tried / "workflows" / "after-arrival.yaml").write_text(twice)

    def said(*given: str) -> list[str]:
        told = cli("simulate", "after-arrival", *given, "--json", *MONDAY).document
        return [f"{one['kind']} {one['step']}" for one in told if one["kind"] in {"answer", "reply", "timeout"}]

    assert said("--reply", "Lovely", "--answer", "good") == ["reply arrived", "answer again"]
    assert said("--answer", "good", "--reply", "Lovely") == ["answer arrived", "reply again"]
    assert said("--no-reply", "--answer", "good") == ["timeout arrived", "answer again"]
    assert said("--answer", "good", "--no-reply") == ["answer arrived", "timeout again"]


def test_what_was_given_and_not_needed_is_said(tried: Path, cli: Cli) -> None:
    ran = cli("simulate", "after-arrival", "--no-reply", "--reply", "Hello", "--happens", "order.refunded")
    assert ran.err == (
        "not used: --reply Hello; no question was left to answer\n"
        "not used: --happens order.refunded; nothing waited for it\n"
    )


def test_an_event_that_nothing_names_is_a_slip(tried: Path, cli: Cli) -> None:
    ran = cli("simulate", "after-arrival", "--happens", "order.refundet", code=2)
    assert ran.err == (
        "error: no workflow of the folder names an event 'order.refundet'\nhint: Did you mean 'order.refunded'?\n"
    )
    assert "The folder names order.delivered" in cli("simulate", "after-arrival", "--happens", "x.y", code=2).err
    waits = WORKFLOW.replace("workflow: after-arrival", "workflow: other").replace("order.delivered", "support.solved")
    (tried / "workflows" / "other.yaml").write_text(waits)
    assert "nothing waited for it" in cli("simulate", "after-arrival", "--happens", "support.solved").err
    slip = cli("simulate", "after-arrival", "--happens", "suport.solved", code=2)
    assert "Did you mean 'support.solved'?" in slip.err


def test_what_we_do_is_told_in_words(tried: Path, cli: Cli) -> None:
    flow = WORKFLOW.replace("          - send: thanks\n", "          - handoff: mara\n            note: Call them\n")
    (tried / "workflows" / "after-arrival.yaml").write_text(flow)
    told = cli("simulate", "after-arrival", "--reply", "It is broken", *MONDAY).out
    assert "  opened   arrived: they wait for an answer from mara\n" in told
    assert "  closed   by us, assumed after 1 day\n" in told
    assert "  told     mara, by mail: " in told


def test_slips_are_explained(tried: Path, cli: Cli) -> None:
    assert "Did you mean 'after-arrival'?" in cli("simulate", "after-arival", code=1).err
    assert "Did you mean 'typical'?" in cli("simulate", "after-arrival", "--sample", "tipical", code=1).err
    ran = cli("simulate", "after-arrival", "--answer", "god", code=2)
    assert ran.err == ("error: 'god' is no answer to arrived\nhint: It offers good, broken. Did you mean 'good'?\n")
    assert "Give one of" in cli("simulate", "after-arrival", "--sample", "gift", "--order", "A-1", code=2).err
    assert "leave --answer" in cli("simulate", "after-arrival", "--paths", "--answer", "good", code=2).err
    assert "needs a unit" in cli("simulate", "after-arrival", "--close-after", "3", code=2).err
    assert "there is no database" in cli("simulate", "after-arrival", "--order", "A-1", code=1).err


@pytest.mark.parametrize("day", ["0001-01-01", "1970-12-31", "3000-01-01", "9999-12-31"])
def test_a_day_too_far_away_is_refused(tried: Path, cli: Cli, day: str) -> None:
    ran = cli("simulate", "after-arrival", "--from", day, code=2)
    assert ran.err == f"error: {day} is too far away to be simulated\nhint: The years 1971 to 2999 can be simulated\n"


@pytest.mark.parametrize("day", ["1971-01-01", "2999-12-31"])
def test_days_of_other_centuries_are_simulated(tried: Path, cli: Cli, day: str) -> None:
    assert cli("simulate", "after-arrival", "--from", day, "--json").document[-1]["reason"] == "finished"


def test_a_variant_that_two_splits_have_is_named_with_its_split(tried: Path, cli: Cli) -> None:
    split = "  - split: {name}\n    variants: {{a: {{do: []}}, {other}: {{do: []}}}}\n"
    both = split.format(name="tone", other="b") + split.format(name="time", other="c")
    (tried / "workflows" / "after-arrival.yaml").write_text(WORKFLOW + both)

    def taken(*variants: str) -> list[str]:
        told = cli("simulate", "after-arrival", "--json", *(f"--variant={one}" for one in variants)).document
        return [f"{one['step']}={one['reason']}" for one in told if one["kind"] == "split"]

    assert taken("tone=a", "c") == ["tone=a", "time=c"]
    assert taken("time=a", "tone=b") == ["tone=b", "time=a"]
    assert taken("after-arrival/tone=a", "time=a") == ["tone=a", "time=a"]
    ran = cli("simulate", "after-arrival", "--variant", "a", code=2)
    assert ran.err == "error: 2 splits have a variant 'a'\nhint: Write --variant tone=a or time=a\n"
    assert "no split 'tune'" in cli("simulate", "after-arrival", "--variant", "tune=a", code=2).err
    assert "has a variant 'c'" in cli("simulate", "after-arrival", "--variant", "tone=c", code=2).err
    ran = cli("simulate", "after-arrival", "--variant", "b", "--variant", "tone=a", code=2)
    assert ran.err == "error: nobody goes all these ways: b, tone=a\n"


def test_a_folder_with_mistakes_is_not_simulated(tried: Path, cli: Cli) -> None:
    (tried / "workflows" / "after-arrival.yaml").write_text(WORKFLOW.replace("timeout", "timout"))
    assert 'Did you mean "timeout"?' in cli("simulate", "after-arrival", code=1).err


def test_drafts_and_holdouts_are_spoken_of(tried: Path, cli: Cli) -> None:
    held = WORKFLOW.replace("status: live", "status: draft").replace(
        "steps:", "holdout: 10%\ngoal: {event: order.placed, within: 60 days}\nsteps:"
    )
    (tried / "workflows" / "after-arrival.yaml").write_text(held)
    assert cli("simulate", "after-arrival").err.splitlines() == [
        "after-arrival is draft; this is what it would do if it were live",
        "after-arrival holds 10% out; here nobody is",
    ]


def test_a_project_without_samples_gets_the_one_that_comes_along(project: Path, cli: Cli) -> None:
    ran = cli("simulate", "after-arrival", *MONDAY)
    assert ran.out.splitlines()[1].endswith("entered  order.delivered")
    assert ran.err == "there are no templates/_samples/*.yaml here: this is the sample that comes with followup\n"


def test_paths_tell_every_ending(tried: Path, cli: Cli) -> None:
    ran = cli("simulate", "after-arrival", "--paths", *MONDAY)
    assert ran.out.splitlines() == [
        "ends      letters  days  ways  for example",
        "finished  2        3-6   4     good",
    ]
    told = cli("simulate", "after-arrival", "--paths", *MONDAY, "--json").document
    assert told["left_out"] == 0
    assert told["endings"][0]["letters"] == [2, 2]


def test_paths_say_which_ends_of_a_wait_were_not_followed(tried: Path, cli: Cli) -> None:
    waits = WORKFLOW + "  - wait_for: support.solved\n    timeout: 2 days\n    where: event.topic == 'care'\n"
    (tried / "workflows" / "after-arrival.yaml").write_text(waits)
    ran = cli("simulate", "after-arrival", "--paths", *MONDAY)
    why = "it brings no data here, and where: did not hold"
    assert ran.err == f"wait_for-1 waits for support.solved; only one end of that was followed: {why}\n"
    told = cli("simulate", "after-arrival", "--paths", *MONDAY, "--json").document
    assert told["not_followed"] == [{"step": "wait_for-1", "event": "support.solved", "reason": why}]
    ran = cli("simulate", "after-arrival", "--happens", "support.solved", *MONDAY)
    assert ran.err == f"wait_for-1 waited on although support.solved happened: {why}\n"


def test_a_real_customer_is_copied_and_nothing_is_written(played: Path, cli: Cli) -> None:
    before = (played / "followup.db").read_bytes()
    ran = cli("simulate", "after-arrival", "--order", "A-1", "--answer", "good", "--json")
    kinds = [one["kind"] for one in ran.document]
    assert kinds[:2] == ["entered", "wait"]
    assert {"ask", "answer", "send"} <= set(kinds)
    assert {one["order"] for one in ran.document} == {"A-1"}
    heading = cli("simulate", "after-arrival", "--order", "A-1").out.splitlines()[0]
    assert heading == (
        "after-arrival as in the folder, on order A-1: Ana Ferreira <ana@example.com>; times in Europe/Lisbon"
    )
    assert (played / "followup.db").read_bytes() == before
    assert "there is no order 'A-9'" in cli("simulate", "after-arrival", "--order", "A-9", code=1).err
