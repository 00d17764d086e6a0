"""What a workflow has taught, of small shops in which every figure can be counted by hand."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from followup.clock import VirtualClock
from followup.core.comparison import Conclusion, Share
from followup.core.enrollment import EnrollmentState
from followup.core.lessons import Chosen, Entries, Group, Lessons, Unsent, WaitingForUs
from followup.core.message import MessageState
from followup.core.order import OrderStatus
from followup.core.workflow import WorkflowStatus
from followup.errors import NotFound
from followup.services import lessons
from followup.services.answers import record_click
from followup.services.library import Library, version_of
from followup.store import bundles, events, suppressions
from followup.store.engine import writing
from followup.store.events import NewEvent
from followup.store.lessons import Cohort
from followup.store.schema import enrollments, workflow_versions
from tests.services.world import CHECK_IN, MONDAY, World, a_purchase, a_reply
from tests.store.make import a_customer, an_enrollment

DAY, HOUR, INSTANT = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
ASKED_AT = MONDAY + 2 * DAY
WORKFLOW = """\
workflow: check-in
title: Did it arrive?
status: live
learn: What breaks on the way?
owner: nell
sender: nell
trigger: {event: order.delivered}
entry: {only_if: [order.total >= 60]}
steps:
  - wait: 2 days
  - ask: arrived
    timeout: 5 days
    remind_after: 3 days
  - branch:
      - when: no_reply
        do:
          - stop: silent
  - send: advice
"""
GOAL = WORKFLOW.replace("steps:", "goal: {event: order.placed, within: 30 days}\nholdout: 10%\nsteps:")


def learned(world: World, name: str = "check-in", **bounds: datetime) -> Lessons:
    return lessons.of_workflow(world.engine, Cohort(name, **bounds), library=world.library, clock=world.clock)


def bought(world: World, name: str, at: datetime = MONDAY, **given: Any) -> None:
    number = given.pop("number", name)
    world.take_in(a_purchase(number, email=f"{name}@example.com", delivered_at=at, first_name=name.title(), **given))


def letter_to(world: World, name: str, step: str = "arrived") -> Any:
    """Return the message row of the letter that *name* got."""
    [customer] = [row for row in world.rows("customers") if row.address == f"{name}@example.com"]
    return next(row for row in world.rows("messages") if row.customer_id == customer.id and row.step == step)


def click(world: World, name: str, choice: str) -> None:
    token = letter_to(world, name).token
    key = f"{name} {world.clock.now()}"
    assert record_click(world.engine, token, choice, library=world.library, clock=world.clock, key=key)
    world.drain()


def write(world: World, name: str) -> None:
    [letter] = [one for one in world.letters() if one["To"].endswith(f"<{name}@example.com>")]
    world.hear(a_reply(letter, "It rattles.", message_id=f"<{name}@mail.example>"))
    world.drain()


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> World:
    """
    Return a shop nine days after its first parcels arrived.

    Ana, Ben, Cleo and Dora answered, each in their way; Ella stayed silent, Fay's order was refunded, Gus wants no
    mail, Hal's order was too small. Iva's parcel, and a second one of Ana's, came on the sixth day, Jon's just now.
    """
    world = World(engine, tmp_path, check_in=WORKFLOW)
    with writing(engine) as conn:
        hash_ = suppressions.address_hash("gus@example.com", "never-changes")
        suppressions.add(conn, hash_, reason="unsubscribed", source="test", now=MONDAY)
    for name in ("ana", "ben", "cleo", "dora", "ella", "fay", "gus"):
        bought(world, name)
    bought(world, "hal", total_cents=2_000)
    world.go_to(ASKED_AT)
    world.go_to(ASKED_AT + 2 * HOUR)
    click(world, "ben", "fine")
    world.go_to(ASKED_AT + 3 * HOUR)
    click(world, "ana", "fine")
    world.go_to(ASKED_AT + 4 * HOUR)
    click(world, "ben", "broken")
    world.go_to(ASKED_AT + 6 * HOUR)
    write(world, "cleo")
    world.go_to(ASKED_AT + DAY)
    bought(world, "fay", status=OrderStatus.REFUNDED)
    world.go_to(ASKED_AT + 3 * DAY)
    world.go_to(ASKED_AT + 3 * DAY + HOUR)
    click(world, "dora", "fine")
    world.go_to(MONDAY + 6 * DAY)
    bought(world, "iva", world.clock.now())
    bought(world, "ana", world.clock.now(), number="ana again")
    world.go_to(ASKED_AT + 5 * DAY)
    world.go_to(MONDAY + 8 * DAY)
    world.go_to(MONDAY + 9 * DAY)
    bought(world, "jon", world.clock.now())
    world.drain()
    return world


def test_who_came_in_and_how_it_ended(shop: World) -> None:
    found = learned(shop)
    assert (found.title, found.learn, found.status) == (
        "Did it arrive?",
        "What breaks on the way?",
        WorkflowStatus.LIVE,
    )
    assert found.entries == Entries(
        runs=10,
        customers=9,
        held_out=0,
        not_let_in={"entry: order.total >= 60 is false": 1},
        inside={"arrived": 2, "advice": 1, "wait-1": 1},
        ended={"finished": 3, "silent": 1, "order refunded": 1, "the address is suppressed: unsubscribed": 1},
    )


def test_what_was_asked_and_answered(shop: World) -> None:
    arrived = learned(shop).letters[0]
    said = arrived.answers
    assert said is not None
    assert (arrived.step, arrived.letter, said.question) == (
        "arrived",
        "arrived",
        "Did everything arrive in one piece?",
    )
    assert (arrived.sent, said.asked) == (8, 8)
    assert (said.answered, said.silent, said.waiting, said.left) == (4, 1, 2, 1)
    assert said.choices == [Chosen("fine", "Yes, all good", 2), Chosen("broken", "Something is broken", 1)]
    assert (said.chose, said.wrote, said.only_wrote) == (3, 1, 1), "Ben changed his mind, Cleo wrote"
    assert said.median == timedelta(hours=4.5), "after 2, 3, 6 and 73 hours"
    assert (said.reminded, said.after_reminder) == (2, 1), "Dora and Ella; Dora answered then"
    assert arrived.not_sent == [Unsent(MessageState.CANCELLED, "the address is suppressed: unsubscribed", 1)]
    assert arrived.to_come == []


def test_what_was_sent_and_what_waits(shop: World) -> None:
    _, advice = learned(shop).letters
    assert (advice.step, advice.answers, advice.sent, advice.not_sent) == ("advice", None, 3, [])
    assert advice.to_come == [Unsent(MessageState.HELD, "the customer waits for an answer from us", 1)]


def test_what_came_back_and_who_waits_for_us(shop: World) -> None:
    found = learned(shop)
    assert found.replies == {"human": 1}
    assert found.waiting == WaitingForUs(2, ASKED_AT + 4 * HOUR, "Europe/London"), "Ben, then Cleo"
    assert found.goal is None
    assert found.splits == []


def test_a_report_can_be_of_those_who_came_in_during_a_time(shop: World) -> None:
    early, late = learned(shop, until=MONDAY + INSTANT), learned(shop, since=MONDAY + INSTANT)
    assert (early.entries.runs, early.entries.customers, late.entries.runs) == (7, 7, 3)
    assert [one.sent for one in early.letters] == [6, 3]
    assert [one.sent for one in late.letters] == [2, 0]
    assert late.replies == {}
    assert late.waiting is None
    assert (early.entries.not_let_in, late.entries.not_let_in) == ({"entry: order.total >= 60 is false": 1}, {})
    nobody = learned(shop, since=MONDAY + 99 * DAY).entries
    assert nobody == Entries(runs=0, customers=0, held_out=0, not_let_in={}, inside={}, ended={})


def test_every_run_is_somewhere(shop: World) -> None:
    entries = learned(shop).entries
    assert entries.runs == entries.held_out + sum(entries.inside.values()) + sum(entries.ended.values())


# -- workflows that change --


def test_a_workflow_nobody_has_come_into(world: World) -> None:
    found = learned(world)
    assert (found.title, found.entries.runs, found.replies, found.waiting) == ("Did it arrive?", 0, {}, None)
    assert [(one.step, one.sent) for one in found.letters] == [("arrived", 0), ("cooking", 0)]
    assert [one.answers is not None and one.answers.asked for one in found.letters] == [0, 0]


def test_steps_that_only_earlier_versions_have_come_last(shop: World) -> None:
    shop.apply(
        check_in=WORKFLOW.replace("ask: arrived", "ask: cooking").replace("title: Did", "title: How did"),
        in_flight={"arrived": "finish"},
    )
    found = learned(shop)
    assert found.title == "How did it arrive?"
    assert [(one.step, one.sent, one.in_file) for one in found.letters] == [
        ("cooking", 0, True),
        ("advice", 3, True),
        ("arrived", 8, False),
    ]
    said = found.letters[-1].answers
    assert said is not None
    assert [one.runs for one in said.choices] == [2, 1]


def test_a_workflow_that_is_gone_is_reported_by_what_it_was(shop: World) -> None:
    shop.apply(another=CHECK_IN.replace("check-in", "another"), in_flight={"check-in": "finish"})
    found = learned(shop)
    assert (found.status, found.title, found.goal) == (None, "Did it arrive?", None)
    assert found.learn == "What breaks on the way?"
    assert found.entries.runs == 10
    assert [(one.step, one.sent, one.in_file) for one in found.letters] == [("arrived", 8, True), ("advice", 3, True)]


def test_a_version_that_no_reader_understands_any_more_still_counts(shop: World) -> None:
    shop.apply(check_in=WORKFLOW.replace("- send: advice", "- stop: told us"), in_flight={"advice": "finish"})
    with writing(shop.engine) as conn:
        old = workflow_versions.update().where(workflow_versions.c.id == shop.rows("enrollments")[0].version_id)
        conn.execute(old.values(source="workflow: check-in\nsteps: [{fax: arrived}]\n"))
    found = lessons.of_workflow(shop.engine, Cohort("check-in"), library=Library(), clock=shop.clock)
    assert [(one.step, one.sent, one.in_file) for one in found.letters] == [("arrived", 8, True), ("advice", 3, False)]
    assert found.entries.runs == 10


def test_an_unknown_name_is_told_what_it_may_stand_for(shop: World) -> None:
    with pytest.raises(NotFound, match="there is no workflow 'chek-in'") as raised:
        learned(shop, "chek-in")
    assert raised.value.hint == "Did you mean 'check-in'?"
    with pytest.raises(NotFound) as raised:
        learned(shop, "nothing like it")
    assert raised.value.hint == "There are: check-in"


def test_where_nothing_was_applied_there_is_no_workflow(engine: Engine) -> None:
    with pytest.raises(NotFound, match="there is no workflow 'check-in'"):
        lessons.of_workflow(engine, Cohort("check-in"), library=Library(), clock=VirtualClock(MONDAY))


def test_a_step_whose_condition_did_not_hold_was_not_sent(engine: Engine, tmp_path: Path) -> None:
    only = WORKFLOW.replace("- send: advice", "- send: advice\n    when: order.total >= 100")
    world = World(engine, tmp_path, check_in=only.replace("wait: 2 days", "wait: 1 minute"))
    for name, cents in (("ana", 6_000), ("ben", 20_000)):
        bought(world, name, total_cents=cents)
    world.later(minutes=1)
    for name in ("ana", "ben"):
        click(world, name, "fine")
    _, advice = learned(world).letters
    assert advice.sent == 1
    assert advice.not_sent == [Unsent(MessageState.SKIPPED, "when order.total >= 100", 1)]


SPLIT = """\
workflow: check-in
title: Did it arrive?
status: live
owner: nell
sender: nell
trigger: {event: order.delivered}
steps:
  - split: tone
    id: tone
    variants:
      soon: {weight: 1, do: [{ask: cooking, timeout: 3 days}, {wait: 1 minute}]}
      late: {weight: 1, do: [{wait: 1 day}]}
  - ask: arrived
    timeout: 5 days
"""


def test_a_split_tells_who_took_which_way_and_what_they_answered(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path, check_in=SPLIT)
    names = [f"c{number}" for number in range(12)]
    for name in names:
        bought(world, name)
    world.drain()
    took = {row.customer_id: row.reason for row in world.rows("decisions") if row.verdict == "split"}
    ways = {row.address.split("@")[0]: took[row.id] for row in world.rows("customers")}
    soon, late = ([name for name in names if ways[name] == way] for way in ("soon", "late"))
    assert min(len(soon), len(late)) >= 2, "which is so for these ids"
    write(world, soon[0])
    world.later(days=1)
    click(world, late[0], "fine")
    click(world, late[1], "broken")
    [split] = learned(world).splits
    assert (split.step, split.name) == ("tone", "tone")
    assert [(one.name, one.answered) for one in split.variants] == [
        ("soon", Share(1, len(soon))),
        ("late", Share(2, len(late))),
    ]
    assert {step: (one.asked, one.answered) for step, one in split.variants[0].asks.items()} == {
        "cooking": (len(soon), 1),
        "arrived": (0, 0),
    }
    arrived = split.variants[1].asks["arrived"]
    assert (arrived.asked, [one.runs for one in arrived.choices]) == (len(late), [1, 1])
    assert split.comparison is not None
    assert split.comparison.conclusion is Conclusion.TOO_FEW


# -- goals --

NOW = MONDAY + 100 * DAY
BEGUN = NOW - 30 * DAY  # who came in then has their 30 days over now


class Goals:
    """A shop with a goal and a holdout, and runs written straight into it."""

    def __init__(self, engine: Engine, folder: Path, workflow: str = GOAL) -> None:
        self.world = World(engine, folder, check_in=workflow)
        self.world.clock.move_to(NOW)
        self.version = self._version()
        self.people = 0

    def _version(self) -> int:
        with writing(self.world.engine) as conn:
            source = version_of(self.world.library.newest(conn), "check-in")
            return bundles.version_ids(conn, {"check-in": source})["check-in"]

    def apply(self, workflow: str) -> None:
        """Apply another version, into which runs come from then on."""
        self.world.apply(check_in=workflow)
        self.version = self._version()

    def customer(self) -> int:
        self.people += 1
        with writing(self.world.engine) as conn:
            return a_customer(conn, f"c{self.people}")

    def run(
        self,
        *placed: timedelta,
        held_out: bool = False,
        entered_at: datetime = MONDAY,
        customer: int | None = None,
        ended: bool = False,
        **given: Any,
    ) -> int:
        """Let a customer in, or hold them out; *placed* is how long afterwards they bought again."""
        customer_id = customer or self.customer()
        state = EnrollmentState.HELD_OUT if held_out else EnrollmentState.ACTIVE
        with writing(self.world.engine) as conn:
            key = an_enrollment(
                conn,
                customer_id,
                **{"workflow": "check-in", "version_id": self.version, "entered_at": entered_at, "state": state}
                | {"first_step": None if held_out else "wait-1", "wake_at": None}
                | given,
            )
            if ended:
                over = {"ended_at": entered_at + DAY, "phase": "done", "outcome": "bounced"}
                over |= {} if held_out else {"state": "exited"}
                conn.execute(update(enrollments).where(enrollments.c.id == key).values(over))
        for after in placed:
            self.happen(customer_id, entered_at + after)
        return key

    def happen(self, customer_id: int, at: datetime, kind: str = "order.placed") -> int:
        with writing(self.world.engine) as conn:
            about = {"source": "test", "external_id": f"{kind} {customer_id} {at}"}
            [one] = events.add(conn, [NewEvent(customer_id=customer_id, kind=kind, occurred_at=at, **about)], now=at)
            return one.event.id

    @property
    def found(self) -> Any:
        goal = learned(self.world).goal
        assert goal is not None
        return goal


@pytest.fixture
def goals(engine: Engine, tmp_path: Path) -> Goals:
    return Goals(engine, tmp_path)


def test_who_reached_the_goal_of_those_let_in_and_of_those_held_out(goals: Goals) -> None:
    for _ in range(3):
        goals.run(DAY)
    for _ in range(4):
        goals.run()
    goals.run(5 * DAY, 6 * DAY, ended=True)
    for _ in range(2):
        goals.run(held_out=True)
    goals.run(2 * DAY, held_out=True, ended=True)
    found = goals.found
    assert (found.event, found.within) == ("order.placed", 30 * DAY)
    assert found.let_in == Group(Share(4, 8), customers=8, too_young=0)
    assert found.held_out == Group(Share(1, 3), customers=3, too_young=0)
    assert found.comparison.difference == pytest.approx(4 / 8 - 1 / 3)
    assert found.comparison.conclusion is Conclusion.TOO_FEW
    entries = learned(goals.world).entries
    assert (entries.runs, entries.let_in, entries.held_out, entries.inside) == (11, 8, 3, {"wait-1": 7})
    assert entries.ended == {"bounced": 1}, "what became of those held out is not among it"


@pytest.mark.parametrize(
    ("after", "counts"),
    [
        (-DAY, False),
        (timedelta(0), False),
        (INSTANT, True),
        (30 * DAY - INSTANT, True),
        (30 * DAY, False),
        (31 * DAY, False),
    ],
)
def test_an_event_counts_after_the_entry_and_before_the_time_is_over(
    goals: Goals, after: timedelta, counts: bool
) -> None:
    goals.run(after)
    assert goals.found.let_in.reached == Share(int(counts), 1)


def test_an_event_after_one_that_is_too_early_counts(goals: Goals) -> None:
    goals.run(-DAY, timedelta(0), 3 * DAY)
    assert goals.found.let_in.reached == Share(1, 1)


@pytest.mark.parametrize(("entered_at", "is_over"), [(BEGUN - INSTANT, True), (BEGUN, False), (NOW, False)])
def test_only_runs_whose_time_is_over_count(goals: Goals, entered_at: datetime, is_over: bool) -> None:
    for held_out in (False, True):
        goals.run(INSTANT, entered_at=entered_at, held_out=held_out)
    found = goals.found
    expected = Group(Share(1, 1), 1, too_young=0) if is_over else Group(Share(0, 0), 0, too_young=1)
    assert (found.let_in, found.held_out) == (expected, expected)


def test_what_let_a_run_in_and_what_others_do_is_no_goal(goals: Goals) -> None:
    customer = goals.customer()
    trigger = goals.happen(customer, MONDAY + INSTANT)
    goals.run(customer=customer, trigger_event_id=trigger)
    goals.happen(goals.customer(), MONDAY + DAY)
    goals.happen(customer, MONDAY + DAY, kind="order.paid")
    assert goals.found.let_in.reached == Share(0, 1)
    goals.happen(customer, MONDAY + 2 * DAY)
    assert goals.found.let_in.reached == Share(1, 1)


def test_a_customer_who_came_in_twice_counts_twice(goals: Goals) -> None:
    customer = goals.customer()
    goals.run(3 * DAY, customer=customer)
    goals.run(customer=customer, entered_at=MONDAY + 2 * DAY)
    goals.run(customer=customer, entered_at=MONDAY + 4 * DAY)
    assert goals.found.let_in == Group(Share(2, 3), customers=1, too_young=0)


def test_runs_from_when_nobody_was_held_out_are_not_compared(goals: Goals) -> None:
    goals.run(DAY)
    goals.run(held_out=True)
    goals.apply(GOAL.replace("holdout: 10%\n", ""))
    for _ in range(5):
        goals.run(DAY)
    found = goals.found
    assert (found.let_in.reached, found.held_out.reached, found.not_compared) == (Share(1, 1), Share(0, 1), 5)


def test_without_a_holdout_all_who_were_let_in_are_told_of(engine: Engine, tmp_path: Path) -> None:
    goals = Goals(engine, tmp_path, GOAL.replace("holdout: 10%\n", ""))
    goals.run(DAY)
    goals.run()
    found = goals.found
    assert (found.let_in.reached, found.held_out.reached, found.not_compared) == (Share(1, 2), Share(0, 0), 0)
    assert not found.anybody_held_out
    assert found.comparison.conclusion is Conclusion.NOTHING


def test_the_goal_is_the_one_that_stands_in_the_folder_now(goals: Goals) -> None:
    goals.run(20 * DAY)
    goals.apply(GOAL.replace("30 days", "10 days"))
    assert goals.found.let_in.reached == Share(0, 1)
    goals.apply(WORKFLOW)
    assert learned(goals.world).goal is None


def test_numbers_that_bear_it_lead_to_a_conclusion(goals: Goals) -> None:
    for number in range(60):
        goals.run(*([DAY] if number < 40 else []))
        goals.run(*([DAY] if number < 12 else []), held_out=True)
    found = goals.found
    assert (found.let_in.reached, found.held_out.reached) == (Share(40, 60), Share(12, 60))
    assert found.comparison.conclusion is Conclusion.MORE


def test_a_bound_in_time_is_about_goals_too(goals: Goals) -> None:
    for days in (0, 10, 20, 80):
        goals.run(DAY, entered_at=MONDAY + days * DAY)

    def groups(**bounds: datetime) -> Group:
        goal = learned(goals.world, **bounds).goal
        assert goal is not None
        return goal.let_in

    assert groups() == Group(Share(3, 3), 3, too_young=1)
    assert groups(since=MONDAY + 10 * DAY) == Group(Share(2, 2), 2, too_young=1)
    assert groups(until=MONDAY + 10 * DAY) == Group(Share(1, 1), 1, too_young=0)
    assert groups(since=MONDAY + 75 * DAY, until=MONDAY + 80 * DAY) == Group(Share(0, 0), 0, too_young=0)
