"""What is asked of the database about a workflow; every figure can be counted in the rows above it."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, update

from followup.core.enrollment import EnrollmentState
from followup.core.lessons import Asked, Said, Standing, WaitingForUs
from followup.core.message import MessageState
from followup.core.replies import MailKind, Source
from followup.store import bundles, conversations, decisions, events, lessons, replies
from followup.store.decisions import Decided
from followup.store.engine import writing
from followup.store.events import NewEvent
from followup.store.lessons import Cohort, FirstEvent, GroupCount, LetterCount, RunCount
from followup.store.replies import NewAnswer
from followup.store.schema import enrollments, metadata
from tests.store.make import (
    START,
    a_customer,
    a_message,
    a_reply,
    a_version,
    an_enrollment,
    an_order,
    at,
    plan_of,
    taken_back,
)

CARE = Cohort("care")
ENDED = {"state": "completed", "step": None, "phase": "done", "ended_at": at(50), "wake_at": None}
EXITED = ENDED | {"state": "exited", "step": "ask"}
HELD_OUT = {"state": "held_out", "step": None, "wake_at": None}


def a_run(conn: Connection, customer: int | str = "ana", *, stands: dict[str, Any] | None = None, **given: Any) -> int:
    """Let a customer (by name or id) come in, and set where the run *stands* by now; return its id."""
    customer_id = a_customer(conn, customer) if isinstance(customer, str) else customer
    key = an_enrollment(conn, customer_id, **{"first_step": "ask"} | given)
    if stands:
        conn.execute(update(enrollments).where(enrollments.c.id == key).values(stands))
    return key


def customer_of(conn: Connection, run: int) -> int:
    row = conn.execute(enrollments.select().where(enrollments.c.id == run)).one()
    customer_id: int = row.customer_id
    return customer_id


def a_letter(conn: Connection, run: int, state: MessageState = MessageState.ACCEPTED, **given: Any) -> int:
    """Write a letter of the step "ask" to a run."""
    return a_message(
        conn, state, customer_id=customer_of(conn, run), enrollment_id=run, **{"step": "ask", "letter": "q"} | given
    )


def decide(conn: Connection, verdict: str, reason: str, hours: float = 0, **given: Any) -> None:
    known: dict[str, Any] = {"customer_id": a_customer(conn), "workflow": "care"}
    decisions.add(conn, [Decided(at=at(hours), verdict=verdict, reason=reason, **known | given)])


def answer(conn: Connection, run: int, message: int, hours: float, choice: str, **given: Any) -> None:
    known: dict[str, Any] = {"letter": "q", "step": "ask", "label": choice.title(), "source": Source.CLICK}
    of = {"customer_id": customer_of(conn, run), "message_id": message, "enrollment_id": run}
    replies.add_answer(conn, NewAnswer(answer=choice, at=at(hours), **of | known | given))


def happen(conn: Connection, customer_id: int, kind: str, when: datetime, **given: Any) -> int:
    known: dict[str, Any] = {"source": "test", "external_id": f"{kind} {customer_id} {when} {given}"}
    new = NewEvent(customer_id=customer_id, kind=kind, occurred_at=when, **known | given)
    [recorded] = events.add(conn, [new], now=when)
    return recorded.event.id


# -- who came in --


def test_runs_are_counted_by_where_they_stand(engine: Engine) -> None:
    with writing(engine) as conn:
        for name in ("ana", "ben"):
            a_run(conn, name)
        a_run(conn, "cleo", stands=ENDED | {"outcome": "silent"})
        a_run(conn, "dora", stands=EXITED | {"outcome": "unsubscribed"})
        a_run(conn, "ella", stands=HELD_OUT)
        a_run(conn, "ella", stands=HELD_OUT | {"ended_at": at(9), "outcome": "bounced"})
        a_run(conn, "ana", workflow="other")
        version = a_version(conn)
        found = {(one.state, one.ended, one.step, one.outcome): one.runs for one in lessons.runs(conn, CARE)}
        assert found == {
            (EnrollmentState.ACTIVE, False, "ask", None): 2,
            (EnrollmentState.COMPLETED, True, None, "silent"): 1,
            (EnrollmentState.EXITED, True, "ask", "unsubscribed"): 1,
            (EnrollmentState.HELD_OUT, False, None, None): 1,
            (EnrollmentState.HELD_OUT, True, None, "bounced"): 1,
        }
        assert {one.version_id for one in lessons.runs(conn, CARE)} == {version}
        assert lessons.customers_of(conn, CARE) == 5


def test_a_cohort_came_in_since_its_first_moment_and_before_its_last(engine: Engine) -> None:
    with writing(engine) as conn:
        for hours in (1, 2, 3):
            a_run(conn, f"ana{hours}", entered_at=at(hours))

        def came_in(since: float | None, until: float | None) -> int:
            bounds = [None if hours is None else at(hours) for hours in (since, until)]
            return sum(one.runs for one in lessons.runs(conn, Cohort("care", *bounds)))

        assert came_in(None, None) == 3
        assert came_in(2, None) == 2
        assert came_in(None, 2) == 1
        assert came_in(2, 2) == 0
        assert came_in(1, 3) == 2


def test_whoever_was_not_let_in_is_counted_by_reason(engine: Engine) -> None:
    with writing(engine) as conn:
        for hours, reason in enumerate(["gift", "gift", "before", "gift"]):
            decide(conn, "not_entered", reason, hours)
        decide(conn, "not_entered", "gift", workflow="other")
        decide(conn, "held_out", "holdout: 10%")
        assert list(lessons.not_entered(conn, CARE).items()) == [("gift", 3), ("before", 1)]
        assert lessons.not_entered(conn, Cohort("care", at(1), at(3))) == {"before": 1, "gift": 1}


def test_versions_come_newest_first(engine: Engine) -> None:
    with writing(engine) as conn:
        old = bundles.version_ids(conn, {"care": ("1", "x"), "other": ("2", "y")})["care"]
        new = bundles.version_ids(conn, {"care": ("3", "z")})["care"]
        assert lessons.versions(conn, "care") == [new, old]
        assert lessons.versions(conn, "nothing") == []
        assert lessons.known_workflows(conn) == ["care", "other"]


# -- letters --


def test_letters_are_counted_by_state_and_by_reason_unless_they_left(engine: Engine) -> None:
    with writing(engine) as conn:
        for number in range(3):
            run = a_run(conn, f"a{number}")
            a_letter(conn, run, set_={"reason": f"an earlier try failed {number}"})
            a_letter(conn, run, MessageState.SKIPPED, round=1, set_={"reason": "already answered"})
        a_letter(conn, a_run(conn, "b"), MessageState.EXPIRED, set_={"reason": "too late"})
        a_letter(conn, a_run(conn, "c"), MessageState.EXPIRED, set_={"reason": "no chance in time"})
        a_letter(conn, a_run(conn, "d", workflow="other"), workflow="other")
        found = {(one.round, one.state, one.reason): one.runs for one in lessons.letters(conn, CARE)}
        assert found == {
            (0, MessageState.ACCEPTED, None): 3,
            (1, MessageState.SKIPPED, "already answered"): 3,
            (0, MessageState.EXPIRED, "too late"): 1,
            (0, MessageState.EXPIRED, "no chance in time"): 1,
        }


def test_steps_that_were_passed_are_no_letters_that_a_gate_skipped(engine: Engine) -> None:
    with writing(engine) as conn:
        run = a_run(conn)
        decide(conn, "skipped", "when order.is_gift", enrollment_id=run, step="ask")
        decide(conn, "skipped", "when order.is_gift", enrollment_id=a_run(conn, "ben"), step="ask")
        decide(conn, "skipped", "no consent", enrollment_id=run, step="ask", message_id=a_letter(conn, run))
        decide(conn, "branch", "case 1", enrollment_id=run, step="branch-1")
        assert lessons.skipped(conn, CARE) == [
            LetterCount(step="ask", round=0, state=MessageState.SKIPPED, reason="when order.is_gift", runs=2)
        ]


# -- questions and answers --


@pytest.mark.parametrize(
    ("stands", "standing"),
    [
        ({}, Standing.WAITING),
        ({"phase": "sending"}, Standing.WAITING),
        ({"step": "wait-2"}, Standing.SILENT),
        (ENDED, Standing.SILENT),
        (EXITED, Standing.LEFT),
        (EXITED | {"step": "wait-2"}, Standing.SILENT),
    ],
)
def test_how_a_question_stands_without_an_answer(engine: Engine, stands: dict[str, Any], standing: Standing) -> None:
    with writing(engine) as conn:
        run = a_run(conn, stands={"phase": "asked"} | stands)
        a_letter(conn, run, set_={"accepted_at": at(1)})
        a_letter(conn, run, round=1, set_={"accepted_at": at(9)})
        a_letter(conn, run, step="thanks")
        a_letter(conn, a_run(conn, "ben"), MessageState.SKIPPED)
        found = lessons.asked(conn, CARE, ["ask", "another"])
        assert sorted(found, key=lambda one: one.round) == [
            Asked(run, "ask", 0, at(1), standing),
            Asked(run, "ask", 1, at(9), standing),
        ]
        assert lessons.asked(conn, CARE, []) == []


def test_what_was_said_by_click_and_by_mail(engine: Engine) -> None:
    with writing(engine) as conn:
        run = a_run(conn)
        ana, letter = customer_of(conn, run), a_letter(conn, run)
        about = {"message_id": letter, "enrollment_id": run}
        answer(conn, run, letter, 5, "yes")
        answer(conn, run, letter, 6, "no", comment="the lid")
        names = a_reply(conn, ana, received_at=at(7), **about)
        answer(conn, run, letter, 7, "yes", source=Source.REPLY, reply_id=names)
        a_reply(conn, ana, received_at=at(8), **about)
        a_reply(conn, ana, received_at=at(9), kind=MailKind.AUTO_REPLY, **about)
        a_reply(conn, ana, received_at=at(9))  # to no letter
        other = a_run(conn, "ben", workflow="other")
        answer(conn, other, a_letter(conn, other, workflow="other"), 5, "yes")
        assert lessons.chosen(conn, CARE) == [
            Said(run, "ask", at(5), "yes", "Yes", has_words=False),
            Said(run, "ask", at(6), "no", "No", has_words=True),
            Said(run, "ask", at(7), "yes", "Yes", has_words=False),
        ]
        assert lessons.written(conn, CARE) == [
            Said(run, "ask", at(7), None, None, has_words=False),
            Said(run, "ask", at(8), None, None, has_words=True),
        ]
        assert lessons.replies_by_kind(conn, CARE) == {"auto_reply": 1, "human": 2}


def test_variants_are_known_by_split_and_run(engine: Engine) -> None:
    with writing(engine) as conn:
        one, two = a_run(conn), a_run(conn, "ben")
        decide(conn, "split", "warm", enrollment_id=one, step="tone")
        decide(conn, "split", "plain", enrollment_id=two, step="tone")
        decide(conn, "split", "early", enrollment_id=one, step="hour")
        assert lessons.variants_taken(conn, CARE) == {"tone": {one: "warm", two: "plain"}, "hour": {one: "early"}}


def test_who_waits_for_us_was_let_in_whatever_they_wrote_about(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben", timezone="Europe/Lisbon")
        held_out, closed, stranger = (a_customer(conn, name) for name in ("cleo", "dora", "ella"))
        for customer_id in (ana, ana, ben, closed):
            a_run(conn, customer_id)
        a_run(conn, held_out, stands=HELD_OUT)
        assert lessons.waiting_for_us(conn, CARE) is None
        for hours, customer_id in enumerate([held_out, closed, stranger, ben, ana]):
            conversations.customer_wrote(conn, customer_id, "maria", at=at(hours))
        conversations.close(conn, closed, at=at(9))
        assert lessons.waiting_for_us(conn, CARE) == WaitingForUs(2, at(3), "Europe/Lisbon")
        assert lessons.waiting_for_us(conn, Cohort("care", until=START)) is None


# -- goals --


def reached(conn: Connection, kind: str = "order.placed", trigger: str = "order.delivered") -> list[FirstEvent]:
    found = lessons.first_events(conn, CARE, [a_version(conn)], kind, trigger=trigger)
    return sorted(found, key=lambda one: one.happened_at)


def test_the_first_event_after_the_entry_counts_for_each_run(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
        for hours in (-1, 0, 5, 9):
            happen(conn, ana, "order.placed", at(hours))
        happen(conn, ben, "order.placed", at(7))
        happen(conn, ben, "order.paid", at(1))
        a_run(conn, ana)
        a_run(conn, ana, entered_at=at(5))
        a_run(conn, ben, stands=HELD_OUT)
        a_run(conn, ben, workflow="other")
        assert reached(conn) == [
            FirstEvent(False, START, at(5)),
            FirstEvent(True, START, at(7)),
            FirstEvent(False, at(5), at(9)),
        ]


def test_what_let_a_run_in_is_no_goal_of_it_nor_when_it_is_told_again(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        order = an_order(conn, ana)
        trigger = happen(conn, ana, "order.placed", at(1), order_id=order)
        a_run(conn, ana, order_id=order, trigger_event_id=trigger)
        assert reached(conn, trigger="order.placed") == []
        happen(conn, ana, "order.placed", at(2), order_id=order, source="another")
        assert reached(conn, trigger="order.placed") == []
        assert reached(conn, trigger="order.delivered") == [FirstEvent(False, START, at(2))]
        happen(conn, ana, "order.placed", at(3), order_id=an_order(conn, ana, "o2"))
        assert reached(conn, trigger="order.placed") == [FirstEvent(False, START, at(3))]


def test_an_event_about_no_order_can_be_the_goal_of_what_it_triggers(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        first = happen(conn, ana, "club.joined", START)
        a_run(conn, ana, trigger_event_id=first)
        assert reached(conn, "club.joined", trigger="club.joined") == []
        happen(conn, ana, "club.joined", at(4))
        assert reached(conn, "club.joined", trigger="club.joined") == [FirstEvent(False, START, at(4))]


def test_groups_count_runs_and_their_customers(engine: Engine) -> None:
    with writing(engine) as conn:
        for name in ("ana", "ana", "ben"):
            a_run(conn, name)
        for _ in range(2):
            a_run(conn, "cleo", stands=HELD_OUT)
        other = bundles.version_ids(conn, {"care": ("another", "x")})["care"]
        a_run(conn, "dora", version_id=other)
        assert lessons.groups(conn, CARE, [a_version(conn)]) == [GroupCount(False, 3, 2), GroupCount(True, 2, 1)]
        assert lessons.groups(conn, CARE, [other]) == [GroupCount(False, 1, 1)]
        assert lessons.groups(conn, CARE, []) == []


# -- plans --


ENTRIES = "ix_enrollments_workflow_entered_at"
QUERIES: Sequence[tuple[Callable[[Connection], object], str]] = [
    (lambda conn: lessons.runs(conn, CARE), ENTRIES),
    (lambda conn: lessons.runs(conn, Cohort("care", at(1), at(2))), ENTRIES),
    (lambda conn: lessons.customers_of(conn, CARE), ENTRIES),
    (lambda conn: lessons.not_entered(conn, CARE), "ix_decisions_not_entered"),
    (lambda conn: lessons.letters(conn, CARE), ENTRIES),
    (lambda conn: lessons.skipped(conn, CARE), "ix_decisions_enrollment_id"),
    (lambda conn: lessons.asked(conn, CARE, ["ask"]), ENTRIES),
    (lambda conn: lessons.chosen(conn, CARE), "ix_answers_enrollment_id"),
    (lambda conn: lessons.written(conn, CARE), "ix_replies_enrollment_id"),
    (lambda conn: lessons.variants_taken(conn, CARE), "ix_decisions_enrollment_id"),
    (lambda conn: lessons.replies_by_kind(conn, CARE), "ix_replies_enrollment_id"),
    (lambda conn: lessons.waiting_for_us(conn, CARE), "ix_enrollments_"),  # by customer or by workflow
    (lambda conn: lessons.groups(conn, CARE, [1]), ENTRIES),
    (
        lambda conn: list(lessons.first_events(conn, CARE, [1], "order.placed", trigger="order.paid")),
        "ix_events_customer_id_occurred_at",
    ),
]


def crowd(conn: Connection, others: int) -> None:
    """Copy one run of *care*, and all that hangs on it, to *others* runs of other workflows; let the planner know."""
    run = a_run(conn, stands=ENDED)
    letter = a_letter(conn, run)
    answer(conn, run, letter, 1, "yes")
    a_reply(conn, customer_of(conn, run), message_id=letter, enrollment_id=run)
    decide(conn, "skipped", "when", enrollment_id=run, step="ask")
    decide(conn, "not_entered", "gift")
    happen(conn, customer_of(conn, run), "order.placed", at(1))
    keys = {"customer_id", "enrollment_id", "message_id", "inbound_id"}
    uniques = {"address", "entry_key", "token", "content_hash", "rfc_message_id", "external_id"}
    names = ("customers", "enrollments", "messages", "answers", "inbound_mail", "replies", "decisions", "events")
    for table in (metadata.tables[name] for name in names):
        copies = []
        for row in conn.execute(table.select()).mappings():
            for number in range(1, others + 1):
                other = {name: row[name] for name in row if name != "id"} | {"id": row["id"] + 10 * number}
                other |= {name: row[name] + 10 * number for name in keys & row.keys() if row[name] is not None}
                other |= {name: f"{row[name]} {number}" for name in uniques & row.keys()}
                copies.append(other | ({"workflow": f"other {number % 20}"} if "workflow" in row else {}))
        conn.execute(table.insert(), copies)
    conn.exec_driver_sql("ANALYZE")


def test_a_report_reads_its_own_runs_and_what_hangs_on_them(engine: Engine) -> None:
    whole = re.compile(r"(Seq Scan on|SCAN) (enrollments|messages|answers|replies|events|decisions)\b")
    with taken_back(engine) as conn:
        crowd(conn, 1_500)
        for query, index in QUERIES:
            plan = plan_of(conn, lambda query=query: query(conn))
            assert index in plan
            assert not whole.search(plan), plan


def test_the_rows_of_a_count_say_all_they_are_about(engine: Engine) -> None:
    with writing(engine) as conn:
        a_run(conn, stands=ENDED | {"outcome": "told us"})
        assert lessons.runs(conn, CARE) == [
            RunCount(
                version_id=a_version(conn),
                state=EnrollmentState.COMPLETED,
                ended=True,
                step=None,
                outcome="told us",
                runs=1,
            )
        ]
