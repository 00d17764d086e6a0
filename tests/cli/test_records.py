"""``status``, ``customers``, ``replies``, ``conversations``, ``workflows`` and ``why``, read aloud."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.app import App
from followup.clock import VirtualClock
from followup.core.message import MessageState
from followup.services import answers, stop
from followup.settings import load
from followup.store import decisions, messages, suppressions
from followup.store.decisions import Decided
from followup.store.engine import make_engine, reading, writing
from followup.store.schema import messages as table
from followup.store.types import real_now
from tests.cli.conftest import Cli
from tests.cli.shop import WORKFLOW, delivered_lately
from tests.copies import copy_all

STATUS = """\
customers    3
orders       3
enrollments  1 active, 1 completed
messages     3 accepted, 1 held
replies      1 human
answers      1
waiting      1 customer for an answer from us
"""
ANA = """\
Ana Ferreira <ana@example.com>
  1 order · language unknown · PT · times in Europe/Lisbon · consent: unknown

Fri 27 Feb 2026 10:00 +00:00  bought        order A-1: 2 × Cup (EUR 40)
Mon 02 Mar 2026 09:00 +00:00  delivered     order A-1
Tue 03 Mar 2026 09:00 +00:00  asked         “Is everything in one piece?”  mara, after-arrival
Tue 03 Mar 2026 11:00 +00:00  answered      Yes, all good (good)
Wed 04 Mar 2026 11:00 +00:00  sent          “Thank you”  mara, after-arrival
"""
BO = """\
Bo Ek <bo@example.com>
  1 order · language unknown · SE · times in Europe/Stockholm · consent: unknown
  waits for an answer from us since Wed 04 Mar 2026 13:00 +01:00

Sat 28 Feb 2026 11:00 +01:00  bought        order A-2: 1 × Jug (SEK 400)
Tue 03 Mar 2026 10:00 +01:00  delivered     order A-2
Wed 04 Mar 2026 10:00 +01:00  asked         “Is everything in one piece?”  mara, after-arrival
Wed 04 Mar 2026 13:00 +01:00  wrote         “The lid is cracked, and I wanted it for Sunday. Bo”
Wed 04 Mar 2026 13:00 +01:00  waits         for mara to answer; letters are held
"""
WHY_ANA = """\
Order A-1 of ana@example.com, delivered; times in Europe/Lisbon

after-arrival: completed, finished
  Mon 02 Mar 2026 09:00 +00:00  entered
  Tue 03 Mar 2026 09:00 +00:00  letter arrived: accepted
  Tue 03 Mar 2026 11:00 +00:00  answer to arrived: good
  Tue 03 Mar 2026 11:00 +00:00  branch-1: case 1: when replied  [replied = yes]
  Wed 04 Mar 2026 11:00 +00:00  letter thanks: accepted
  Wed 04 Mar 2026 11:00 +00:00  ended, finished
"""
WHY_BO = """\
Order A-2 of bo@example.com, delivered; times in Europe/Stockholm
They wait for an answer from mara since Wed 04 Mar 2026 13:00 +01:00: no letter leaves until followup conversations close bo@example.com

after-arrival: active, at thanks (held)
  Tue 03 Mar 2026 10:00 +01:00  entered
  Wed 04 Mar 2026 10:00 +01:00  letter arrived: accepted
  Wed 04 Mar 2026 13:00 +01:00  reply to arrived: “The lid is cracked, and I wanted it for Sunday. Bo”
  Wed 04 Mar 2026 13:00 +01:00  branch-1: case 1: when replied  [replied = yes]
  Thu 05 Mar 2026 13:00 +01:00  thanks: held, the customer waits for an answer from us  [waiting_since = Wed 04 Mar 2026 13:00 +01:00]
"""  # noqa: E501
WHY_CY = """\
Order A-3 of cy@example.com, delivered; times in America/Chicago

not entered
  Tue 03 Mar 2026 04:00 -06:00  after-arrival: not order.is_gift is false  [order.is_gift = yes]
"""


@pytest.fixture
def played(engine: Engine, played: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the project that was played through, on a database of each kind in turn."""
    source = make_engine(f"sqlite:///{played / 'followup.db'}")
    copy_all(source, engine)
    source.dispose()
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False))
    return played


def test_the_numbers(played: Path, cli: Cli) -> None:
    ran = cli("status")
    assert ran.out == STATUS
    assert ran.err.startswith("test mode: letters are written to outbox, none is sent\n")
    assert cli("status", "--json").document == {
        "mode": "test",
        "whereto": "test mode: letters are written to outbox, none is sent",
        "customers": 3,
        "orders": 3,
        "enrollments": {"active": 1, "completed": 1},
        "messages": {"accepted": 3, "held": 1},
        "replies": {"human": 1},
        "answers": 1,
        "waiting_for_us": 1,
        "halted": {},
        "switched": {},
        "first_letters": {},
    }


def test_the_numbers_say_in_which_mode_they_are(played: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("FOLLOWUP_MODE", "live"),
        ("FOLLOWUP_TRANSPORT", "sendgrid"),
        ("FOLLOWUP_SECRET_KEYS", "our-own"),
        ("FOLLOWUP_SUPPRESSION_KEY", "our-own"),
    ):
        monkeypatch.setenv(name, value)
    document = cli("status", "--json").document
    assert document["mode"] == "live"
    assert document["whereto"] == "LIVE mode: letters go to customers through sendgrid"
    assert cli("status").err.startswith(f"{document['whereto']}\n")


def test_the_customers_stories(played: Path, cli: Cli) -> None:
    assert cli("customers", "show", "ana@example.com").out == ANA
    assert cli("customers", "show", "bo@example.com").out == BO


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("unsubscribed", "wants no mail: unsubscribed"),
        ("complained", "wants no mail: complained"),
        ("bounced", "gets no mail: bounced"),
    ],
)
def test_whoever_gets_no_letters_is_shown_with_the_reason(played: Path, cli: Cli, reason: str, said: str) -> None:
    assert cli("customers", "show", "ana@example.com", "--json").document["suppressed"] is None
    app = App(load())
    hash_ = suppressions.address_hash("ana@example.com", app.settings.suppression_key.get_secret_value())
    with writing(app.engine) as conn:
        suppressions.add(conn, hash_, reason="asked", source="test", now=app.clock.now(), scope="another-workflow")
        suppressions.add(conn, hash_, reason=reason, source="test", now=app.clock.now())
    app.close()
    _, _, line, empty, *_ = cli("customers", "show", "Ana@example.com").out.splitlines()
    assert (line, empty) == (f"  {said}", "")
    assert cli("customers", "show", "ana@example.com", "--json").document["suppressed"] == reason
    assert "no mail" not in cli("customers", "show", "bo@example.com").out


def test_everything_remembered_of_a_customer_is_shown(project: Path, cli: Cli) -> None:
    keep = "  - remember: {customer.size: '{{ item.quantity }} of \u202eCup', customer.vip: true, customer.visits: 3}\n"
    flow = project / "workflows/after-arrival.yaml"
    flow.write_text(flow.read_text("utf-8").replace("steps:\n", f"steps:\n{keep}", 1), encoding="utf-8")
    cli("replay", "orders.csv")
    lines = cli("customers", "show", "ana@example.com").out.splitlines()
    assert lines[2:6] == ["  size: “2 of \ufffdCup”", "  vip: yes", "  visits: 3", ""]
    document = cli("customers", "show", "ana@example.com", "--json").document
    assert document["remembered"] == {"size": "2 of \u202eCup", "vip": True, "visits": 3}
    assert cli("customers", "show", "cy@example.com", "--json").document["remembered"] == {}


def test_a_story_as_a_document_has_utc_times(played: Path, cli: Cli) -> None:
    record = cli("customers", "show", "bo@example.com", "--json").document
    assert record["waiting_since"] == "2026-03-04T12:00:00Z"
    assert [one["at"] for one in record["timeline"]][:2] == ["2026-02-28T10:00:00Z", "2026-03-03T09:00:00Z"]
    assert record["timeline"][3]["text"] == "The lid is cracked, and I wanted it for Sunday.\n\nBo"


def test_links_that_were_opened_and_not_confirmed_are_told(played: Path, cli: Cli) -> None:
    app = App(load(), clock=VirtualClock(datetime(2026, 3, 6, 9, tzinfo=UTC)))
    with reading(app.engine) as conn:
        tokens = {one.email: one.token for one in messages.accepted_letters(conn, at=None) if one.letter == "arrived"}
    for second, choice in enumerate(["good", "broken", None]):
        clock = VirtualClock(datetime(2026, 3, 5, 9, 0, second, tzinfo=UTC))
        if choice is None:
            stop.visit(app.engine, tokens["bo@example.com"], clock=clock)
        else:
            answers.visit(app.engine, tokens["bo@example.com"], choice, clock=clock)
            answers.visit(app.engine, tokens["ana@example.com"], choice, clock=clock)
    answers.visit(app.engine, tokens["bo@example.com"], "broken", clock=app.clock)
    app.close()

    assert cli("customers", "show", "bo@example.com").out == BO + (
        "Thu 05 Mar 2026 10:00 +01:00  opened        3 links within 2 s: a mail scanner, ignored\n"
        "Fri 06 Mar 2026 10:00 +01:00  clicked       “Something is broken”, not confirmed\n"
    )
    assert cli("customers", "show", "bo@example.com", "--json").document["unconfirmed"] == [
        {"at": "2026-03-06T09:00:00Z", "question": "Is everything in one piece?", "clicked": "Something is broken"}
    ]
    assert cli("customers", "show", "ana@example.com").out == ANA, "she had answered"


def test_why_a_letter_came_or_did_not(played: Path, cli: Cli) -> None:
    assert cli("why", "A-1").out == WHY_ANA
    assert cli("why", "A-2").out == WHY_BO
    assert cli("why", "A-3").out == WHY_CY


def test_why_as_a_document_has_every_decision(played: Path, cli: Cli) -> None:
    (why,) = cli("why", "A-1", "--json").document
    assert [one["verdict"] for one in why["decisions"]] == ["branch", "ended"]
    assert [one["letter"] for one in why["runs"][0]["messages"]] == ["arrived", "thanks"]
    assert why["runs"][0]["messages"][0]["accepted_at"] == "2026-03-03T09:00:00Z"


def test_why_of_a_customer_tells_all_runs_in_the_order_they_began(played: Path, cli: Cli) -> None:
    assert cli("why", "Ana@example.com").out == (
        WHY_ANA.replace("Order A-1 of ana@example.com, delivered;", "ana@example.com, 1 order;").replace(
            "after-arrival:", "after-arrival, order A-1:"
        )
    )
    assert cli("why", "cy@example.com").out == (
        WHY_CY.replace("Order A-3 of cy@example.com, delivered;", "cy@example.com, 1 order;").replace(
            "after-arrival:", "after-arrival, order A-3:"
        )
    )


ABOUT_NONE = """\
workflow: after-help
title: Was it solved?
status: live
owner: mara
sender: mara
trigger: {event: support.solved}
steps:
  - wait: 3 days
  - send: thanks
"""


def test_why_of_a_customer_tells_what_is_about_no_order_too(
    project: Path, cli: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    (project / "workflows/after-help.yaml").write_text(ABOUT_NONE, encoding="utf-8")
    cli("apply")
    cli("import", "orders", "orders.csv")
    assert "after-help: support.solved has not happened\n" in cli("why", "ana@example.com").out
    cli("event", "support.solved", "--customer", "ana@example.com")
    cli("worker", "--once")
    told = cli("why", "ana@example.com").out
    assert "\nafter-help, no order: active, at wait-1 (waiting)\n" in told
    assert "\ndid not look at it\n  after-arrival, order A-1: order.delivered came by an import" in told
    order, none = cli("why", "ana@example.com", "--json").document
    assert (order["order"], order["runs"], none["order"]) == ("A-1", [], None)
    assert [run["workflow"] for run in none["runs"]] == ["after-help"]
    assert order["did_not_look"][0]["workflow"] == "after-arrival"
    assert "reach" not in none["runs"][0]


STEPS = {
    ("bo@example.com", "thanks"): """\
bo@example.com; times in Europe/Stockholm
They wait for an answer from mara since Wed 04 Mar 2026 13:00 +01:00: no letter leaves until followup conversations close bo@example.com

after-arrival, order A-2: active, at thanks (held)
  Thu 05 Mar 2026 13:00 +01:00  thanks: held, the customer waits for an answer from us  [waiting_since = Wed 04 Mar 2026 13:00 +01:00]
""",  # noqa: E501
    ("A-1", "thanks"): """\
Order A-1 of ana@example.com, delivered; times in Europe/Lisbon

after-arrival: completed, finished
  Wed 04 Mar 2026 11:00 +00:00  letter thanks: accepted
""",
    ("A-2", "wait-2"): """\
Order A-2 of bo@example.com, delivered; times in Europe/Stockholm
They wait for an answer from mara since Wed 04 Mar 2026 13:00 +01:00: no letter leaves until followup conversations close bo@example.com

after-arrival: active, at thanks (held)
  done: a step of its kind leaves nothing on the record
""",  # noqa: E501
    ("A-3", "thanks"): WHY_CY,
}


@pytest.mark.parametrize(("what", "step"), STEPS)
def test_why_of_one_step_tells_nothing_else(played: Path, cli: Cli, what: str, step: str) -> None:
    assert cli("why", what, "--step", step).out == STEPS[what, step]


def test_why_somebody_did_not_get_a_letter(project: Path, cli: Cli) -> None:
    flow = project / "workflows/after-arrival.yaml"
    text = flow.read_text("utf-8").replace("  - branch:", "  - wait: 2 days\n    id: rest\n  - branch:")
    flow.write_text(text, encoding="utf-8")
    cli("replay", "orders.csv", "--until", "2026-03-10")
    told = cli("why", "A-1", "--step", "thanks").out.splitlines()
    assert told[3:] == [
        "  not reached yet: it stands at rest (waiting)",
        "  now                           no worker has looked at it; that is due since Tue 10 Mar 2026 09:00 +00:00",
    ]
    (why,) = cli("why", "A-1", "--step", "thanks", "--json").document
    assert why["runs"][0]["reach"] == "not reached yet"


def test_why_a_way_was_not_taken(project: Path, cli: Cli) -> None:
    cli("replay", "orders.csv")
    assert cli("why", "A-1", "--step", "thanks").out.splitlines()[2:] == [
        "after-arrival: completed, finished",
        "  passed by: branch-1 went another way",
        "  Sun 08 Mar 2026 09:00 +00:00  branch-1: no case holds",
    ]
    (why,) = cli("why", "A-1", "--step", "thanks", "--json").document
    assert (why["runs"][0]["reach"], why["runs"][0]["turn"]["reason"]) == ("passed by", "no case holds")


@pytest.mark.parametrize("state", [MessageState.SENDING, MessageState.UNKNOWN, MessageState.REJECTED])
def test_what_began_to_leave_is_told_at_that_time(played: Path, cli: Cli, state: MessageState) -> None:
    sending_at = datetime(2026, 3, 6, 17, 30, tzinfo=UTC)
    app = App(load())
    with writing(app.engine) as conn:
        left = {"state": state.value, "sending_at": sending_at, "accepted_at": None, "reason": "no answer"}
        left |= {"leased_until": real_now(60)} if state is MessageState.SENDING else {}
        conn.execute(table.update().where(table.c.letter == "thanks", table.c.state == "accepted").values(left))
    app.close()
    assert f"  Fri 06 Mar 2026 17:30 +00:00  letter thanks: {state.value}, no answer\n" in cli("why", "A-1").out
    (why,) = cli("why", "A-1", "--json").document
    assert why["runs"][0]["messages"][1]["sending_at"] == "2026-03-06T17:30:00Z"


def test_a_letter_of_unknown_fate_is_told_beside_a_decision_about_another(played: Path, cli: Cli) -> None:
    app = App(load())
    at = datetime(2026, 3, 6, 17, 30, tzinfo=UTC)
    with writing(app.engine) as conn:
        lost = {"state": "unknown", "sending_at": at, "accepted_at": None, "reason": "no answer"}
        conn.execute(table.update().where(table.c.letter == "thanks", table.c.state == "accepted").values(lost))
        (arrived,) = [one for one in messages.accepted_letters(conn, at=None) if one.email == "ana@example.com"]
        run = conn.execute(table.select().where(table.c.token == arrived.token)).one()
        about = {"customer_id": run.customer_id, "order_id": run.order_id, "enrollment_id": run.enrollment_id}
        one = Decided(at=at, workflow=run.workflow, message_id=run.id, verdict="unknown", reason="restored", **about)
        decisions.add(conn, [one])
    app.close()
    told = cli("why", "A-1").out
    assert "  Fri 06 Mar 2026 17:30 +00:00  letter thanks: unknown, no answer\n" in told
    assert "  Fri 06 Mar 2026 17:30 +00:00  unknown, restored\n" in told


def test_an_order_nobody_enrolled_says_how_to(project: Path, cli: Cli) -> None:
    cli("apply")
    cli("import", "orders", "orders.csv")
    ran = cli("why", "A-1")
    assert ran.out.startswith(
        "Order A-1 of ana@example.com, delivered; times in Europe/Lisbon\n\ndid not look at it\n"
        "  after-arrival: order.delivered came by an import that lets nobody in"
        "  [happened_at = Mon 02 Mar 2026 09:00 +00:00, recorded_at = "
    )
    assert "followup trigger after-arrival --order A-1" in ran.err


def test_an_order_that_would_not_be_let_in_by_hand_either_says_why(project: Path, cli: Cli) -> None:
    cli("apply")
    cli("import", "orders", "orders.csv")
    ran = cli("why", "A-3")
    assert ran.out.splitlines()[-1] == "    nor would it come in by hand: not order.is_gift is false"
    assert ran.err == ""
    cli("import", "orders", "orders.csv", "--enroll")
    cli("trigger", "after-arrival", "--order", "A-3", "--yes")
    assert ", by hand: not order.is_gift is false" in cli("why", "A-3").out
    (why,) = cli("why", "A-3", "--json").document
    assert [one["by_hand"] for one in why["decisions"]] == [True]


def inside(project: Path, cli: Cli, text: str) -> None:
    """Let somebody in, half a day after their parcel came; their next letter may leave at any hour."""
    (project / "workflows/after-arrival.yaml").write_text(text.replace("09:00-18:00", "00:00-24:00"), encoding="utf-8")
    (project / "new.csv").write_text(delivered_lately(1, days_ago=0.5), encoding="utf-8")
    cli("apply")
    cli("import", "orders", "new.csv", "--enroll")


def test_what_a_run_waits_for_is_said(project: Path, cli: Cli) -> None:
    inside(project, cli, WORKFLOW)

    def last() -> str:
        line = cli("why", "L-1").out.splitlines()[-1]
        return re.sub(r"\w{3} \d\d \w{3} \d{4} \d\d:\d\d [+]\d\d:\d\d", "THEN", line)

    lead = f"  {'now':<28}  "
    assert last() == f"{lead}no worker has looked at it; that is due since THEN"
    cli("worker", "--once")
    assert last() == f"{lead}waits until THEN: wait-1"
    (why,) = cli("why", "L-1", "--json").document
    assert (why["runs"][0]["waiting"]["on"], why["runs"][0]["waiting"]["step"]) == ("time", "wait-1")
    write_flow(project, "wait: 1 day\n  - ask", "wait: 2 days\n  - ask")
    cli("apply")
    assert last() == f"{lead}no worker has looked since it was moved to what was applied, THEN"
    write_flow(project, "wait: 2 days\n  - ask", "wait: 1 hour\n  - ask")
    cli("apply")
    cli("worker", "--once")
    assert last() == f"{lead}waits for an answer to arrived until THEN; reminded on THEN"


def write_flow(project: Path, was: str, now: str) -> None:
    path = project / "workflows/after-arrival.yaml"
    text = path.read_text("utf-8")
    assert was in text
    path.write_text(text.replace(was, now), encoding="utf-8")


def test_a_letter_that_is_due_says_what_an_operator_stopped(played: Path, cli: Cli) -> None:
    app = App(load())
    with writing(app.engine) as conn:
        due = {"state": "due", "due_at": real_now(0)}
        conn.execute(table.update().where(table.c.state == "held").values(due))
    app.close()
    assert "letter thanks: due\n" in cli("why", "A-2").out
    cli("halt", "--reason", "a fire")
    ran = cli("why", "A-2")
    assert "letter thanks: due; no letter leaves while everything is halted: a fire\n" in ran.out
    assert ran.err == "HALTED, no letter leaves: a fire (followup unhalt)\n"
    (why,) = cli("why", "A-2", "--json").document
    assert (why["halted"], why["runs"][0]["stopped"]) == ("a fire", "everything is halted: a fire")
    cli("unhalt")
    cli("pause", "after-arrival", "--reason", "a moment")
    ran = cli("why", "A-2")
    assert "letter thanks: due; no letter leaves while after-arrival is paused: a moment\n" in ran.out
    assert ran.err == ""


def test_what_customers_wrote_and_answered(played: Path, cli: Cli) -> None:
    assert cli("replies", "list").out == (
        "received                      customer         kind   workflow       words\n"
        "Wed 04 Mar 2026 13:00 +01:00  bo@example.com   human  after-arrival"
        "  “The lid is cracked, and I wanted it for Sunday. Bo”\n"
        "Tue 03 Mar 2026 11:00 +00:00  ana@example.com  click  after-arrival  Yes, all good (good)\n"
    )
    assert "ana@example.com" not in cli("replies", "list", "--kind", "human").out
    assert cli("replies", "list", "--kind", "bounce").out == "No replies of kind bounce.\n"
    assert cli("replies", "list", "--kind", "bounce", "--json").document == []
    assert "is not one of 'human'" in cli("replies", "list", "--kind", "hooman", code=2).err


def test_a_comment_typed_on_the_answer_page_is_listed(played: Path, cli: Cli) -> None:
    app = App(load(), clock=VirtualClock(datetime(2026, 3, 5, 9, tzinfo=UTC)))
    with reading(app.engine) as conn:
        tokens = {one.email: one.token for one in messages.accepted_letters(conn, at=None) if one.letter == "arrived"}
    comment = "The box was open,\nand the cup is chipped."
    answers.confirm(app.engine, tokens["ana@example.com"], "broken", comment, library=app.library, clock=app.clock)
    app.close()

    listed = cli("replies", "list", "--kind", "click").out.splitlines()
    assert listed[1].endswith("  Something is broken (broken) “The box was open, and the cup is chipped.”")
    assert listed[2].endswith("  Yes, all good (good)")
    newest, _, oldest = cli("replies", "list", "--json").document
    assert (newest["email"], newest["kind"], newest["received_at"]) == (
        "ana@example.com",
        "click",
        "2026-03-05T09:00:00Z",
    )
    assert (newest["answer"], newest["label"], newest["text"]) == ("broken", "Something is broken", comment)
    assert newest["question"] == "Is everything in one piece?"
    assert (oldest["answer"], oldest["text"]) == ("good", "")
    assert cli("status", "--json").document["answers"] == 1, "letters that have an answer"


def test_who_waits_for_us(played: Path, cli: Cli) -> None:
    ran = cli("conversations", "list")
    assert ran.out == (
        "since                         customer        owner  last words\n"
        "Wed 04 Mar 2026 13:00 +01:00  bo@example.com  mara   “The lid is cracked, and I wanted it for Sunday. Bo”\n"
    )
    assert "followup conversations close EMAIL" in ran.err
    (one,) = cli("conversations", "list", "--json").document
    assert (one["email"], one["waiting_since"]) == ("bo@example.com", "2026-03-04T12:00:00Z")
    assert one["last_words"] == "The lid is cracked, and I wanted it for Sunday.\n\nBo"


def test_the_workflows(played: Path, cli: Cli) -> None:
    assert cli("workflows", "list").out == (
        "workflow       status  trigger          owner  inside  ever  title\n"
        "after-arrival  live    order.delivered  mara   1       2     Did it arrive well?\n"
    )
    (one,) = cli("workflows", "list", "--json").document
    assert one["enrollments"] == {"active": 1, "completed": 1}


def test_an_empty_record_is_no_failure(project: Path, cli: Cli) -> None:
    cli("apply")
    assert cli("status").out.endswith(
        "replies      none\nanswers      0\nwaiting      0 customers for an answer from us\n"
    )
    assert "followup import orders FILE" in cli("status").err
    assert cli("replies", "list").out == "No replies yet.\n"
    assert cli("replies", "list", "--json").document == []
    assert cli("conversations", "list").out == "Nobody waits for an answer from us.\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("customers", "show", "anna@example.com"), "Did you mean 'ana@example.com'?"),
        (("customers", "show", "ana"), "is not a mail address"),
        (("why", "A-11"), "Did you mean 'A-1'?"),
        (("why", "anna@example.com"), "Did you mean 'ana@example.com'?"),
        (("why", "A-1", "--step", "arived"), "Did you mean 'arrived'?"),
        (("conversations", "close", "ana@example.com"), "followup conversations list"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_unknown_names_get_a_suggestion(project: Path, cli: Cli, command: tuple[str, ...], said: str) -> None:
    cli("replay", "orders.csv")
    ran = cli(*command, "--json", code=1)
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert said in ran.err
