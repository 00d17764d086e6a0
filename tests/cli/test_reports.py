"""``report``, read aloud."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from followup.cli import lessons
from followup.core.comparison import Share
from followup.core.lessons import Answers, Entries, GoalLesson, Group, Lessons, LetterLesson, Unsent
from followup.core.message import MessageState
from tests.cli.conftest import Cli
from tests.cli.shop import ASK, HEADER

BEGUN = datetime(2020, 3, 2, 9, tzinfo=UTC)  # long ago, so that the time for every goal is over by the real clock
LEARNING = """\
workflow: after-arrival
title: Did it arrive well?
status: live
learn: Does it matter how we ask, and does asking bring people back?
owner: mara
sender: mara
trigger: {event: order.delivered}
entry: {only_if: [not order.is_gift]}
goal: {event: order.placed, within: 30 days}
holdout: 20%
steps:
  - wait: 1 day
  - split: opening
    variants:
      warm: {weight: 1, do: [{ask: arrived, timeout: 5 days, remind_after: 2 days}]}
      plain: {weight: 1, do: [{ask: plain, timeout: 5 days}]}
  - branch:
      - when: replied
        do:
          - send: thanks
"""


def an_orders_file() -> str:
    """Return 24 parcels that arrived, the last two of them gifts; every third customer bought again within days."""
    rows = []
    for number in range(1, 25):
        gift = "yes" if number > 22 else ""
        about = f"c{number}@example.com,Ana,,DE,Europe/Berlin,EUR,40"
        placed = BEGUN - timedelta(days=3)
        rows.append(f"A-{number},delivered,{placed.isoformat()},{BEGUN.isoformat()},{about},{gift},Cup,2,20")
        if number % 3 == 0:
            again = BEGUN + timedelta(days=number)
            rows.append(f"B-{number},placed,{again.isoformat()},,{about},,Cup,2,20")
    return HEADER + "\n".join(rows) + "\n"


def some_acts() -> str:
    """Let the first four customers in ten answer well, the next two badly and the one after those by mail."""
    acts = []
    for number in range(1, 25):
        does = {1: "good", 2: "good", 3: "good", 4: "good", 5: "broken", 6: "broken"}.get(number % 10)
        act = f"answers: {does}" if does else "replies: broken.eml" if number % 10 == 7 else ""
        hours = 60 if number % 10 == 1 else number
        for letter in ("arrived", "plain") if act else ():
            acts.append(f"- {{order: A-{number}, letter: {letter}, after: {hours} hours, {act}}}\n")
    return "".join(acts)


@pytest.fixture
def learned(database_url: str, project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project that has let 24 parcels arrive, on a database of each kind in turn."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    (project / "workflows/after-arrival.yaml").write_text(LEARNING, encoding="utf-8")
    (project / "templates/plain.md").write_text(ASK.replace("Is everything in one piece?", "All good?"), "utf-8")
    (project / "orders.csv").write_text(an_orders_file(), encoding="utf-8")
    (project / "acts.yaml").write_text(some_acts(), encoding="utf-8")
    cli("replay", "orders.csv", "--acts", "acts.yaml")
    return project


REPORT = """\
after-arrival: Did it arrive well? (live)
To find out: Does it matter how we ask, and does asking bring people back?

Who came in
     22        came in
     19   86%    let in
      3   14%    held out: they get nothing, and are measured
      6        inside now
      6  100%    at thanks
     13        ended
     13  100%    finished
      2        not let in
      2  100%    not order.is_gift is false

Asked: “Is everything in one piece?” (arrived)
     10        asked
      7   70%    answered, half of them within 15 hours
      5   71%      chose an answer
      3   60%        Yes, all good (good)
      2   40%        Something is broken (broken)
      2   29%      wrote in their own words
      3   30%    silent
      4   40%    reminded
      1   25%      answered only after that

Asked: “All good?” (plain)
      9        asked
      6   67%    answered, half of them within 6 hours
      6  100%      chose an answer
      4   67%        Yes, all good (good)
      2   33%        Something is broken (broken)
      3   33%    silent

Sent: thanks
      7        sent
      6        still to come
      6  100%    held: the customer waits for an answer from us

Split: opening
     10        took warm
      7   70%    answered a question since (95% interval: 40 to 89%)
      9        took plain
      6   67%    answered a question since (95% interval: 35 to 88%)
Too few to tell: it takes 50 runs on each side at least.

What came back
      2        mails by people
      6        customers who came in wait for an answer from us, on any matter
               the longest since Tue 03 Mar 2020 15:00 +01:00

Goal: order.placed within 30 days of coming in
              runs  reached   share  95% interval
let in          19        5   26.3%  11.8 to 48.8%
held out         3        2   66.7%  20.8 to 93.9%
difference                    -40.4  -71.2 to +10.8 points
Too few to tell: it takes 50 runs on each side at least.
"""
HINTS = """\

Each share is of the line that it is indented under.
  followup replies list --kind human      what they wrote
  followup conversations list             who waits for us
"""


def test_what_a_workflow_has_taught(learned: Path, cli: Cli) -> None:
    ran = cli("report", "after-arrival")
    assert ran.out == REPORT
    assert ran.err == HINTS
    assert max(map(len, REPORT.splitlines())) <= 80


def test_the_document_has_the_figures_that_are_printed(learned: Path, cli: Cli) -> None:
    told = cli("report", "after-arrival", "--json").document
    assert list(told) == [
        "workflow", "title", "learn", "status", "since", "until", "runs", "customers", "let_in", "held_out", "inside",
        "ended", "not_let_in", "asks", "sends", "splits", "replies", "waiting_for_us", "goal",
    ]  # fmt: skip
    assert (told["status"], told["since"], told["until"]) == ("live", None, None)
    assert (told["runs"], told["customers"], told["let_in"], told["held_out"]) == (22, 22, 19, 3)
    assert (told["inside"], told["ended"]) == ({"thanks": 6}, {"finished": 13})
    assert told["not_let_in"] == {"entry: not order.is_gift is false": 2}
    arrived, plain = told["asks"]
    assert arrived == {
        "step": "arrived",
        "letter": "arrived",
        "in_file": True,
        "asked": 10,
        "not_asked": [],
        "to_come": [],
        "question": "Is everything in one piece?",
        "answered": 7,
        "chose": 5,
        "choices": [
            {"answer": "good", "label": "Yes, all good", "runs": 3, "share": 0.6},
            {"answer": "broken", "label": "Something is broken", "runs": 2, "share": 0.4},
        ],
        "wrote": 2,
        "only_wrote": 2,
        "silent": 3,
        "waiting": 0,
        "left": 0,
        "median_seconds_to_answer": 15 * 3600,
        "reminded": 4,
        "answered_after_reminder": 1,
    }
    assert (plain["asked"], plain["answered"], plain["silent"]) == (9, 6, 3)
    assert plain["median_seconds_to_answer"] == 5.5 * 3600
    [thanks] = told["sends"]
    waits = {"state": "held", "reason": "the customer waits for an answer from us", "runs": 6}
    assert (thanks["sent"], thanks["not_sent"], thanks["to_come"]) == (7, [], [waits])
    [split] = told["splits"]
    assert [(one["name"], one["runs"], one["answered"]) for one in split["variants"]] == [
        ("warm", 10, 7),
        ("plain", 9, 6),
    ]
    assert split["variants"][0]["interval"] == [0.3968, 0.8922]
    assert {step: one["answered"] for step, one in split["variants"][0]["asks"].items()} == {"arrived": 7, "plain": 0}
    assert told["replies"] == {"human": 2}
    assert told["waiting_for_us"] == {"customers": 6, "since": "2020-03-03T14:00:00Z"}
    assert told["goal"] == {
        "event": "order.placed",
        "within_seconds": 30 * 86400,
        "let_in": {
            "runs": 19,
            "customers": 19,
            "reached": 5,
            "share": 0.2632,
            "interval": [0.1181, 0.4879],
            "too_young": 0,
        },
        "held_out": {
            "runs": 3,
            "customers": 3,
            "reached": 2,
            "share": 0.6667,
            "interval": [0.2077, 0.9385],
            "too_young": 0,
        },
        "not_compared": 0,
        "comparison": {"difference": -0.4035, "interval": [-0.7116, 0.1076], "conclusion": "too few to tell"},
    }


def test_a_time_can_be_given(learned: Path, cli: Cli) -> None:
    ran = cli("report", "after-arrival", "--since", "2020-03-03", "--until", "2020-03-04T10:00+01:00")
    assert ran.out == (
        "after-arrival: Did it arrive well? (live)\n"
        "To find out: Does it matter how we ask, and does asking bring people back?\n"
        "Only runs that came in since Tue 03 Mar 2020 00:00 +00:00 and before Wed 04 Mar 2020 09:00 +00:00\n"
        "\nWho came in\nNobody yet.\n"
        "\nAsked: “Is everything in one piece?” (arrived)\nNobody was asked this yet.\n"
        "\nAsked: “All good?” (plain)\nNobody was asked this yet.\n"
        "\nSent: thanks\nSent to nobody yet.\n"
        "\nSplit: opening\n      0        took warm\n      0        took plain\n"
        "Nothing to compare yet: one side is empty.\n"
        "\nGoal: order.placed within 30 days of coming in\n"
        "          runs  reached   share  95% interval\n"
        "let in       0        0       –  –\n"
        "Nobody was held out: what they would have done by themselves is not known.\n"
    )
    told = cli("report", "after-arrival", "--since", "2020-03-03", "--json").document
    assert (told["since"], told["until"], told["runs"]) == ("2020-03-03T00:00:00Z", None, 0)
    assert told["goal"]["let_in"]["share"] is None
    assert cli("report", "after-arrival", "--until", "2020-03-02T09:00:01Z", "--json").document["runs"] == 22


def test_a_name_that_nobody_knows(learned: Path, cli: Cli) -> None:
    ran = cli("report", "after-arival", code=1)
    assert ran.out == ""
    assert ran.err == "error: there is no workflow 'after-arival'\nhint: Did you mean 'after-arrival'?\n"


# -- in words --


def told_of(capsys: pytest.CaptureFixture[str], **given: Any) -> list[str]:
    """Return the lines about what was learned, but for the first."""
    nobody = Entries(runs=0, customers=0, held_out=0, not_let_in={}, inside={}, ended={})
    known: dict[str, Any] = {"workflow": "w", "title": "W", "learn": None, "status": None, "since": None, "until": None}
    known |= {"entries": nobody, "letters": (), "splits": (), "replies": {}, "waiting": None, "goal": None}
    lessons.tell(Lessons(**known | given))
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "w: W (no longer applied)"
    return others


def about_the_goal(
    capsys: pytest.CaptureFixture[str], let_in: Group, held_out: Group, not_compared: int = 0
) -> list[str]:
    """Return the lines below the table of a goal."""
    within = timedelta(hours=36)
    goal = GoalLesson(event="order.placed", within=within, let_in=let_in, held_out=held_out, not_compared=not_compared)
    lines = told_of(capsys, goal=goal)
    below = lines[lines.index("Goal: order.placed within 36 hours of coming in") + 2 :]
    return [line for line in below if not line.startswith(("let in", "held out", "difference"))]


def a_group(did: int, of: int, *, customers: int | None = None, too_young: int = 0) -> Group:
    return Group(Share(did, of), of if customers is None else customers, too_young)


@pytest.mark.parametrize(
    ("let_in", "held_out", "said"),
    [
        (
            (400, 1000),
            (300, 1000),
            "More of those let in than of those held out reached the goal: by 5.8 to 14.1 points.",
        ),
        (
            (300, 1000),
            (400, 1000),
            "Fewer of those let in than of those held out reached the goal: by 5.8 to 14.1 points.",
        ),
        ((31, 100), (30, 100), "Cannot tell yet: of those let in it may be 11.6 points fewer, or 13.6 points more."),
        ((49, 49), (0, 900), "Too few to tell: it takes 50 runs on each side at least."),
        ((0, 0), (3, 60), "Nothing to compare yet: one side is empty."),
    ],
)
def test_what_is_concluded(
    capsys: pytest.CaptureFixture[str], let_in: tuple[int, int], held_out: tuple[int, int], said: str
) -> None:
    assert about_the_goal(capsys, a_group(*let_in), a_group(*held_out)) == [said]


def test_what_the_figures_of_a_goal_leave_out(capsys: pytest.CaptureFixture[str]) -> None:
    let_in, held_out = a_group(3, 60, customers=50, too_young=2), a_group(1, 70, customers=70, too_young=1)
    assert about_the_goal(capsys, let_in, held_out, not_compared=1) == [
        "Cannot tell yet: of those let in it may be 3.5 points fewer, or 12.4 points more.",
        "Not counted yet: 3 runs that came in less than 36 hours ago (1 held out).",
        "Not compared: 1 run from when nobody was held out.",
        "The 60 runs let in are of 50 customers: each counts, and the intervals are a little too narrow.",
    ]
    assert about_the_goal(capsys, a_group(3, 60, too_young=1), a_group(0, 0)) == [
        "Nobody was held out: what they would have done by themselves is not known.",
        "Not counted yet: 1 run that came in less than 36 hours ago.",
    ]


def test_shares_of_one_to_many_are_not_nothing_and_not_all(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = {"a": 9_990, "b": 5, "c": 3, "d": 1, "e": 1}
    entries = Entries(runs=0, customers=0, held_out=0, not_let_in=reasons, inside={}, ended={})
    assert told_of(capsys, entries=entries)[3:] == [
        " 10,000        not let in",
        "  9,990  >99%    a",
        "      5   <1%    b",
        "      3   <1%    c",
        "      1   <1%    d",
        "      1   <1%    e",
    ]


def test_many_reasons_are_told_by_the_most_frequent(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = {f"reason {number}": 10 - number for number in range(8)}
    entries = Entries(runs=0, customers=0, held_out=0, not_let_in=reasons, inside={}, ended={})
    assert told_of(capsys, entries=entries)[-2:] == ["      6   12%    reason 4", "     12   23%    3 other reasons"]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=20), "1 minute"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(minutes=121), "2 hours"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(hours=60), "2 days"),
        (timedelta(days=9), "9 days"),
    ],
)
def test_how_long_answers_took(capsys: pytest.CaptureFixture[str], span: timedelta, words: str) -> None:
    said = Answers(
        question=None, answered=1, choices=(), wrote=1, only_wrote=1, silent=0, waiting=1, left=1, median=span,
        reminded=0, after_reminder=0,
    )  # fmt: skip
    letter = LetterLesson(
        step="late_ask",
        letter="late",
        sent=3,
        not_sent=(Unsent(MessageState.EXPIRED, "too late", 2), Unsent(MessageState.UNKNOWN, None, 1)),
        to_come=(Unsent(MessageState.DUE, None, 4),),
        answers=said,
        in_file=False,
    )
    assert told_of(capsys, letters=[letter])[4:] == [
        "Asked: late_ask, letter late",
        "Only earlier versions of the workflow have this step.",
        "      3        asked",
        f"      1   33%    answered, half of them within {words}",
        "      1  100%      wrote in their own words",
        "      0    0%    silent",
        "      1   33%    may still answer in time",
        "      1   33%    ended before an answer",
        "      3        not asked",
        "      2   67%    expired: too late",
        "      1   33%    unknown",
        "      4        still to come",
        "      4  100%    on their way",
    ]
