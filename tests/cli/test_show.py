"""``show``: the tree of a workflow's steps, and which version of it is drawn."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from followup.cli import output
from followup.cli.outline import ASCII, UNICODE, outline
from tests.authoring.drawing.pictures import EMPTY, HOSTILE, ORDINARY, PICTURES
from tests.cli.conftest import Cli
from tests.cli.shop import WORKFLOW, delivered_lately
from tests.cli.test_front_door import on_a_terminal

Start = Callable[..., subprocess.Popen[str]]

AT_80 = """\
                                                            inside
├─ wait 2 business days ········································ 3
├─ ask arrived-well, up to 5 days, reminded after 2 days ··· 1,234
├─ branch
│  ├─ when answer == "bad" and (order.total >= 120 or customer.order_count >
│  │  │  3) and reply.text is not none
│  │  ├─ handoff to maria (urgent)
│  │  └─ stop: a person took over
│  ├─ when no_reply
│  │  ├─ wait 30 days, then until 10:00 ························ 1
│  │  └─ send still-there
│  └─ none of these: go on
├─ split subject
│  ├─ short: 75%, weight 3
│  │  └─ send thanks
│  └─ none: 25%, weight 1
│     └─ (nothing)
└─ remember customer.use_case = {{reply.text}}
"""
AT_120 = """\
                                                            inside
├─ wait 2 business days ········································ 3
├─ ask arrived-well, up to 5 days, reminded after 2 days ··· 1,234
├─ branch
│  ├─ when answer == "bad" and (order.total >= 120 or customer.order_count > 3) and reply.text is not none
│  │  ├─ handoff to maria (urgent)
│  │  └─ stop: a person took over
│  ├─ when no_reply
│  │  ├─ wait 30 days, then until 10:00 ························ 1
│  │  └─ send still-there
│  └─ none of these: go on
├─ split subject
│  ├─ short: 75%, weight 3
│  │  └─ send thanks
│  └─ none: 25%, weight 1
│     └─ (nothing)
└─ remember customer.use_case = {{reply.text}}
"""
SHOWN = """\
after-arrival: Did it arrive well?
status     live
trigger    order.delivered, per order
only if    not order.is_gift
re-entry   again with every order
window     any day 09:00-18:00, the customer's time
late       a letter may be 3 days late, and postponed 14 days
owner      mara
sender     mara

Steps
             inside
├─ wait 1 day ··· 3
├─ ask arrived, up to 5 days, reminded after 2 days
└─ branch
   ├─ when replied
   │  ├─ wait 1 day
   │  └─ send thanks
   └─ none of these: go on

3 runs are inside.
"""


@pytest.mark.parametrize(("columns", "tree"), [(80, AT_80), (120, AT_120), (None, AT_120)])
def test_a_tree_in_so_many_columns(columns: int | None, tree: str) -> None:
    assert outline(ORDINARY, columns=columns) == tree.splitlines()


def test_a_tree_without_unicode() -> None:
    assert outline(EMPTY, columns=80, lines=ASCII) == [
        "|- split nothing",
        "|  |- a: 50%, weight 1",
        "|  |  `- (nothing)",
        "|  `- b: 50%, weight 1",
        "|     `- (nothing)",
        "`- go-on: start other",
    ]
    tree = "\n".join(outline(ORDINARY, columns=80, lines=ASCII))
    assert tree.isascii()
    assert len(tree.splitlines()) == len(AT_80.splitlines())


@pytest.mark.parametrize(
    ("name", "columns"),
    [(name, columns) for name in PICTURES for columns in (60, 80, 120) if (name, columns) != ("deep", 60)],
)  # branches eight times within each other take 50 columns themselves
def test_no_line_is_wider_than_the_terminal(name: str, columns: int) -> None:
    for line in outline(PICTURES[name], columns=columns):
        assert output.cells_wide(line) <= columns, line


def test_hostile_texts_stay_on_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for line in outline(HOSTILE, columns=80):
        output.say(line)
    assert all(char.isprintable() or char in "\n\u200d" for char in capsys.readouterr().out)


@pytest.fixture
def database(database_url: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use a database of each kind in turn."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


@pytest.fixture
def inside(project: Path, cli: Cli) -> Path:
    """Return a project with three people inside its workflow."""
    cli("apply")
    (project / "new.csv").write_text(delivered_lately(3, days_ago=0.1))
    cli("import", "orders", "new.csv", "--enroll")
    return project


def test_what_runs_is_drawn_with_the_people_inside(database: str, inside: Path, cli: Cli) -> None:
    ran = cli("show", "after-arrival")
    assert ran.out == SHOWN
    assert ran.err == ""


def test_a_narrow_terminal_gets_a_narrow_tree(inside: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    shown = on_a_terminal(start, "show", "after-arrival").splitlines()
    assert max(map(len, shown)) <= 40
    assert "├─ ask arrived, up to 5 days, reminded" in shown
    assert "│  after 2 days" in shown


def test_output_that_is_not_utf_8_is_drawn_with_plain_signs(
    inside: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inside / "workflows/after-arrival.yaml").write_text(WORKFLOW.replace("arrive well", "arrive – wéll"))
    start("apply").communicate()
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    text, err = start("show", "after-arrival").communicate()
    assert "\n|- wait 1 day ..." in text
    assert "\n   |- when replied\n" in text
    svg, _ = start("show", "after-arrival", "--svg").communicate()
    assert "Did it arrive &#8211; w&#233;ll?</title>" in svg
    assert err == ""


def test_people_at_steps_that_are_gone_and_those_held_out_are_told_below(inside: Path, cli: Cli) -> None:
    measured = "holdout: 50%\ngoal: {event: order.placed, within: 60 days}\nsteps:\n"
    held_out = WORKFLOW.replace("steps:\n  - wait: 1 day\n", measured).replace(
        "- wait:", "- id: later\n            wait:"
    )
    cli("worker", "--once")
    (inside / "workflows/after-arrival.yaml").write_text(held_out)
    cli("apply", "--in-flight", "wait-1=finish")
    (inside / "more.csv").write_text(delivered_lately(30, days_ago=0.1).replace("L-", "M-").replace(",l", ",m"))
    cli("import", "orders", "more.csv", "--enroll")
    document = cli("show", "after-arrival", "--json").document
    assert document["finishing"] == {"wait-1": 3}
    assert document["held_out"] > 0
    out = cli("show", "after-arrival").out
    assert "holdout    50% get nothing, and are measured\n" in out
    assert out.endswith(
        f"\n33 runs are inside, of them:\n  3 at wait-1, finishing an older version\n"
        f"  {document['held_out']} held out, and only measured\n"
    )


def test_a_document_has_every_step_with_its_people(inside: Path, cli: Cli) -> None:
    document = cli("show", "after-arrival", "--json").document
    assert document["terms"][1] == {"about": "only if", "words": "not order.is_gift"}
    wait, ask, branch = document.pop("steps")
    assert wait == {"id": "wait-1", "kind": "wait", "words": "wait 1 day", "when": None, "inside": 3, "ways": []}
    assert ask["inside"] == 0
    ((words, steps),) = [(way["words"], way["steps"]) for way in branch["ways"]]
    assert words == "when replied"
    assert [step["id"] for step in steps] == ["wait-2", "thanks"]
    assert (document["workflow"], document["status"], document["folder"]) == ("after-arrival", "live", "same")
    assert (document["inside"], document["elsewhere"], document["held_out"]) == (3, {}, 0)


def test_pictures_are_printed_whole(inside: Path, cli: Cli) -> None:
    svg = cli("show", "after-arrival", "--svg")
    texts = [one.text for one in ElementTree.fromstring(svg.out).iter("{http://www.w3.org/2000/svg}text")]
    assert texts[texts.index("wait 1 day") :][:3] == ["wait 1 day", "3", "inside"]
    assert svg.err == ""
    chart = cli("show", "after-arrival", "--mermaid").out
    assert chart.startswith('---\ntitle: "after-arrival: Did it arrive well?"\n---\nflowchart TD\n')
    assert 'step1("wait 1 day<br/>3 inside")' in chart


@pytest.mark.parametrize("two", [("--svg", "--mermaid"), ("--svg", "--json"), ("--json", "--mermaid")])
def test_one_form_is_given_at_a_time(inside: Path, cli: Cli, two: tuple[str, str]) -> None:
    ran = cli("show", "after-arrival", *two, code=2)
    assert ran.out == ""
    assert "Give one of --mermaid, --svg and --json." in ran.err


def test_an_operators_switch_is_told(inside: Path, cli: Cli) -> None:
    cli("pause", "after-arrival", "--reason", "wrong price")
    out = cli("show", "after-arrival").out
    assert "\nstatus     paused by an operator since " in out
    assert ": wrong price\n" in out
    assert cli("show", "after-arrival", "--json").document["switched"]["reason"] == "wrong price"


DIFFERS = "The file differs from what runs; followup plan shows how.\n"


def test_what_runs_is_drawn_though_the_file_says_something_else(inside: Path, cli: Cli) -> None:
    file = inside / "workflows/after-arrival.yaml"
    file.write_text(WORKFLOW.replace("wait: 1 day", "wait: 2 days"))
    ran = cli("show", "after-arrival")
    assert (ran.out, ran.err) == (SHOWN, DIFFERS)
    file.write_text("steps: nonsense\n")
    assert cli("show", "after-arrival").err == DIFFERS
    file.write_text(WORKFLOW.replace("title:", "# a remark\ntitle:").replace("\n", "\r\n"))
    assert cli("show", "after-arrival").err == ""
    (inside / "workflows/other.yaml").write_text(WORKFLOW.replace("after-arrival", "other"))
    file.unlink()
    ran = cli("show", "after-arrival")
    assert ran.out == SHOWN
    assert "workflows/after-arrival.yaml is not in the folder any more" in ran.err


def test_a_workflow_whose_file_was_deleted_is_drawn_as_people_finish_it(database: str, inside: Path, cli: Cli) -> None:
    file = inside / "workflows/after-arrival.yaml"
    (inside / "workflows/other.yaml").write_text(WORKFLOW.replace("after-arrival", "other"))
    file.write_text(WORKFLOW.replace("  - ask: arrived\n", "  - id: question\n    ask: arrived\n"))
    cli("apply")
    file.unlink()
    cli("apply", "--in-flight", "after-arrival=finish")
    ran = cli("show", "after-arrival")
    assert ran.out == SHOWN.replace("status     live", "status     deleted").replace("─ ask", "─ question: ask")
    assert ran.err == (
        "workflows/after-arrival.yaml is gone; nobody comes in any more, and who is inside finishes this version.\n"
    )
    document = cli("show", "after-arrival", "--json").document
    assert (document["folder"], document["inside"]) == ("deleted", 3)
    assert document["steps"][1]["id"] == "question", "the newest version they stand in"
    listed = cli("workflows", "list", "--json").document
    assert [(one["workflow"], one["status"], one["enrollments"]) for one in listed] == [
        ("after-arrival", "deleted", {"active": 3}),
        ("other", "live", {}),
    ]
    assert "after-arrival  deleted" in cli("workflows", "list").out
    file.write_text(WORKFLOW)
    assert cli("show", "after-arrival").err.startswith("This is the file; nothing of that name runs.\n")


def test_who_finishes_an_older_version_is_not_drawn_at_the_steps_of_the_new_one(
    database: str, inside: Path, cli: Cli
) -> None:
    file = inside / "workflows/after-arrival.yaml"
    (inside / "workflows/other.yaml").write_text(WORKFLOW.replace("after-arrival", "other"))
    file.unlink()
    cli("apply", "--in-flight", "after-arrival=finish")
    file.write_text(WORKFLOW.replace("wait: 1 day", "wait: 6 hours"))
    cli("apply")
    shown = cli("show", "after-arrival").out
    assert "├─ wait 6 hours\n" in shown
    assert shown.endswith("\n3 runs are inside, of them:\n  3 at wait-1, finishing an older version\n")
    document = cli("show", "after-arrival", "--json").document
    assert (document["inside"], document["finishing"], document["elsewhere"]) == (3, {"wait-1": 3}, {})


def test_a_deleted_workflow_in_which_nobody_is_any_more_is_none(inside: Path, cli: Cli) -> None:
    (inside / "workflows/after-arrival.yaml").unlink()
    cli("apply", "--in-flight", "after-arrival=stop")
    assert "after-arrival" in cli("show", "after-arrival", code=1).err
    assert cli("workflows", "list", "--json").document == []


def test_a_draft_that_was_not_applied_is_drawn_from_its_file(inside: Path, cli: Cli) -> None:
    draft = WORKFLOW.replace("after-arrival", "draft").replace("status: live", "status: draft").replace("thanks", "new")
    (inside / "workflows/draft.yaml").write_text(draft)  # its letter is still to be written
    ran = cli("show", "draft")
    assert "└─ send new\n" in ran.out
    assert ran.out.endswith("\nNobody is inside.\n")
    assert ran.err.startswith("This is the file; nothing of that name runs.\n")
    (inside / "workflows/draft.yaml").write_text(draft.replace("wait: 1 day", "wait: 1"))
    assert "workflows/draft.yaml:16:11: W104" in cli("show", "draft", code=1).err


def test_without_a_database_the_folder_is_drawn(project: Path, cli: Cli) -> None:
    ran = cli("show", "after-arrival")
    assert "├─ wait 1 day\n" in ran.out
    assert "inside" not in ran.out
    assert ran.err.startswith("This is the file; nobody is counted: there is no database ")
    assert not (project / "followup.db").exists()
    document = cli("show", "after-arrival", "--json").document
    assert (document["inside"], document["steps"][0]["inside"], document["folder"]) == (None, None, "draft")


@pytest.mark.parametrize("applied", [True, False])
def test_a_name_that_is_none_is_answered_with_the_nearest(project: Path, cli: Cli, applied: bool) -> None:
    if applied:
        cli("apply")
    ran = cli("show", "after-arival", code=1)
    assert ran.err == "error: there is no workflow 'after-arival'\nhint: Did you mean 'after-arrival'?\n"
    for name in ("people", "shop", "../orders", "workflows/after-arrival"):
        assert f"there is no workflow {name!r}" in cli("show", name, code=1).err


def test_the_lines_of_a_tree_are_of_one_width() -> None:
    for lines in (UNICODE, ASCII):
        assert {len(lines.step), len(lines.last), len(lines.below), len(lines.below_last)} == {3}
