"""Why a letter came, or did not: what the record has on an order, on a customer, and on one step."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from followup.core.asks import OPENED
from followup.core.customer import InvalidAddress
from followup.core.order import OrderStatus
from followup.core.reach import Reach
from followup.core.replies import Response
from followup.errors import NotFound
from followup.services import answers, converse, switch, why
from followup.services.happen import happen
from followup.services.why import Awaits, Waiting, Why
from followup.store import schema
from followup.store.decisions import Decided
from followup.store.engine import writing
from followup.store.messages import StoredMessage
from tests.services.test_a_run import click
from tests.services.world import CHECK_IN, MONDAY, SEND, World, a_purchase, a_reply

HEAD = "title: x\nstatus: live\nowner: nell\nsender: nell\n"
TIP = f"workflow: tip\n{HEAD}trigger: {{event: order.placed}}\nsteps:\n  - send: advice\n"
SOLVED = f"workflow: solved\n{HEAD}trigger: {{event: support.solved}}\nsteps:\n  - wait: 1 day\n  - send: advice\n"
QUIET = f"workflow: quiet\n{HEAD}trigger: {{event: customer.quiet, after: 60 days}}\nsteps:\n  - send: advice\n"
GIFTS = CHECK_IN.replace("check-in", "gifts").replace("steps:", "entry: {only_if: [order.is_gift]}\nsteps:", 1)


def about(world: World, what: str = "T-1", step: str | None = None) -> list[Why]:
    explain = why.about_customer if "@" in what else why.about_order
    return explain(world.engine, what, library=world.library, now=world.clock.now(), step=step)


def unseen(explained: Why) -> dict[str, str]:
    return {one.workflow: one.reason for one in explained.unseen}


def tell(world: World, kind: str, order: str | None = None) -> None:
    about = {"email": "ana@example.com", "order_number": order, "data": {}, "key": None, "at": None}
    happen(world.engine, kind, **about, library=world.library, clock=world.clock)


# -- a customer --


def test_of_a_customer_everything_is_told_by_order_and_last_what_is_about_none(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path, check_in=CHECK_IN, gifts=GIFTS, solved=SOLVED)
    world.take_in(a_purchase("T-2", placed_at=MONDAY - timedelta(days=1)), a_purchase("T-1"))
    world.take_in(a_purchase("T-3", email="ben@example.com"))
    tell(world, "support.solved")
    world.drain()
    first, second, none = about(world, "ana@example.com")
    assert [one.order and one.order.number for one in (first, second, none)] == ["T-1", "T-2", None]
    assert [[run.workflow.name for run in one.runs] for one in (first, second, none)] == [
        ["check-in"],
        ["check-in"],
        ["solved"],
    ]
    assert [one.workflow for one in first.refused] == ["gifts"]
    assert [one.reason for one in second.refused] == ["entry: order.is_gift is false"]
    assert not none.refused
    assert [unseen(one) for one in (first, second, none)] == [{}, {}, {}]


def test_an_order_that_is_another_customers_by_now_is_told_to_both(world: World) -> None:
    world.take_in(a_purchase("T-1"))
    world.take_in(a_purchase("T-2", email="ben@example.com"))
    with writing(world.engine) as conn:
        ben = conn.execute(schema.customers.select().where(schema.customers.c.email == "ben@example.com")).one()
        conn.execute(update(schema.orders).where(schema.orders.c.number == "T-1").values(customer_id=ben.id))
    assert [run.workflow.name for run in about(world)[0].runs] == ["check-in"]
    assert [len(one.runs) for one in about(world, "ana@example.com")] == [1, 0]
    assert [len(one.runs) for one in about(world, "ben@example.com")] == [0, 1, 0]


def test_a_customer_nobody_knows_and_what_is_no_address(world: World) -> None:
    world.take_in(a_purchase())
    with pytest.raises(NotFound) as unknown:
        about(world, "anna@example.com")
    assert unknown.value.hint == "Did you mean 'ana@example.com'?"
    with pytest.raises(InvalidAddress):
        about(world, "ana@")


TO_WAIT = TIP.replace("steps:\n", "steps:\n  - wait_for: support.solved\n    timeout: 9 days\n", 1)


BRANCH = """\
  - branch:
      - when: order.is_gift
        do: [{send: cooking}]
      - otherwise: [{send: advice}]
"""


def story(world: World) -> list[str]:
    """Return what happened in the only run, in the order in which it is told."""
    (one,) = about(world)
    (run,) = one.runs
    return [_short(told) for _, told in run.story(one.decisions)]


def _short(told: StoredMessage | Response | Decided) -> str:
    match told:
        case StoredMessage():
            return told.letter
        case Decided():
            return told.verdict
        case _:
            return told.answer or told.text or ""


def test_what_led_to_something_is_told_before_it(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    world.later(hours=1)
    click(world, "broken")
    world.drain()
    assert story(world) == ["arrived", "broken", "branch", "ended"]


def test_a_letter_stands_below_the_branch_that_it_came_from(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path, tip=TIP.replace("  - send: advice\n", BRANCH))
    world.take_in(a_purchase(placed_at=MONDAY))
    world.drain()
    assert story(world) == ["branch", "advice", "ended"]


def test_what_was_answered_and_written_is_told(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    world.later(hours=1)
    world.hear(a_reply(world.letters()[0], "The lid is cracked"))
    world.drain()
    assert story(world)[:3] == ["arrived", "The lid is cracked", "branch"]


def test_what_a_run_waits_for(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path, tip=TO_WAIT)
    world.take_in(a_purchase(placed_at=MONDAY))

    def waiting() -> Waiting | None:
        return about(world)[0].runs[0].waiting

    step = about(world)[0].runs[0].enrollment.enrollment.position.step or ""
    assert waiting() == Waiting(Awaits.WORKER, step, MONDAY)
    world.drain()
    assert waiting() == Waiting(Awaits.EVENT, step, MONDAY + timedelta(days=9), "support.solved")
    world.later(days=9)
    assert waiting() is None


# -- what did not happen --


def test_a_workflow_whose_trigger_has_not_happened_did_not_look(engine: Engine, tmp_path) -> None:
    manual = TIP.replace("tip", "by-hand").replace("order.placed", "manual")
    draft = TIP.replace("tip", "draft").replace("status: live", "status: draft")
    world = World(engine, tmp_path, tip=TIP, check_in=CHECK_IN, solved=SOLVED, quiet=QUIET, by_hand=manual, draft=draft)
    world.take_in(a_purchase(status=OrderStatus.PLACED, delivered_at=None, placed_at=MONDAY))
    world.drain()
    by_hand = "it is started by hand, or by another workflow, and was not"
    ours = {"check-in": "order.delivered has not happened", "draft": "it is a draft"}
    theirs = {"by-hand": by_hand, "solved": "support.solved has not happened"}
    as_last = {"quiet": "customer.quiet has not happened with this order as their last"}
    assert unseen(about(world)[0]) == ours | theirs | as_last
    order, none = about(world, "ana@example.com")
    assert unseen(order) == ours
    assert unseen(none) == theirs | {"quiet": "customer.quiet has not happened"}


def test_what_was_recorded_before_a_workflow_was_there_did_not_reach_it(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path, solved=SOLVED, tip=TIP.replace("live", "draft"))
    world.take_in(a_purchase())
    recorded_at = world.clock.now()
    world.later(days=1)
    world.apply(solved=SOLVED, tip=TIP, check_in=CHECK_IN)
    (one,) = about(world)
    assert unseen(one) == {
        "check-in": "it was not applied yet when order.delivered was recorded",
        "solved": "support.solved has not happened",
        "tip": "it was a draft when order.placed was recorded",
    }
    told = next(one for one in one.unseen if one.workflow == "check-in")
    assert told.values == {"happened_at": MONDAY, "recorded_at": recorded_at}
    world.take_in(a_purchase("T-2", email="ben@example.com"), enroll=False)
    assert unseen(about(world, "T-2")[0])["check-in"] == "order.delivered came by an import that lets nobody in"


def test_a_trigger_that_was_another_one_is_told(engine: Engine, tmp_path) -> None:
    other = f"workflow: check-in\n{HEAD}trigger: {{event: order.paid}}\nsteps:\n  - send: advice\n"
    world = World(engine, tmp_path, check_in=other)
    world.take_in(a_purchase())
    world.later(days=1)
    world.apply(check_in=CHECK_IN)
    assert unseen(about(world)[0]) == {"check-in": "its trigger was order.paid when order.delivered was recorded"}


def test_where_nothing_was_applied_nothing_could_look(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path)
    world.take_in(a_purchase(), enroll=False)
    with writing(engine) as conn:
        conn.execute(schema.bundles.delete())
    world.library = type(world.library)()
    (one,) = about(world)
    assert (one.runs, one.decisions, one.unseen) == ([], [], [])


def test_a_workflow_that_was_paused_has_that_on_the_record(world: World) -> None:
    switch.pause(world.engine, "check-in", "a moment", library=world.library, clock=world.clock)
    world.take_in(a_purchase())
    (one,) = about(world)
    assert ([decided.reason for decided in one.refused], one.unseen) == (["the workflow is paused"], [])


# -- one step --


def reached(world: World, step: str) -> tuple[Reach | None, str | None]:
    (one,) = about(world, "T-1", step)
    (run,) = one.runs
    assert one.step == step
    return run.reach, run.turn and run.turn.reason


def test_a_step_that_is_still_ahead_and_one_that_is_over(world: World) -> None:
    world.take_in(a_purchase())
    world.drain()
    assert reached(world, "wait-1") == (Reach.HERE, None)
    assert reached(world, "cooking") == (Reach.NOT_YET, None)
    world.later(days=2)
    assert reached(world, "wait-1") == (Reach.DONE, None)
    (one,) = about(world, "T-1", "arrived")
    assert [(message.step, message.state) for message in one.runs[0].messages] == [("arrived", "accepted")]
    assert one.runs[0].reach is None


def test_a_step_that_is_ahead_of_a_letter_that_waits_has_what_that_waits_for(world: World) -> None:
    world.take_in(a_purchase())
    world.drain()
    switch.pause(world.engine, "check-in", "a moment", library=world.library, clock=world.clock)
    world.later(days=2)
    assert reached(world, "cooking") == (Reach.NOT_YET, "the workflow is paused")
    (run,) = about(world, "T-1", "cooking")[0].runs
    assert (run.under_way, run.messages) == ("held", [])


def test_a_step_that_a_branch_went_past(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    world.hear(a_reply(world.letters()[0], "Something is broken"))
    world.drain()
    assert reached(world, "cooking") == (Reach.PASSED_BY, 'case 1: when answer == "broken"')
    (one,) = about(world, "T-1", "branch-1")
    assert [decided.reason for decided in one.decisions] == ['case 1: when answer == "broken"']


BEHIND = CHECK_IN.replace(
    "  - branch:\n",
    "  - send: advice\n  - handoff: nell\n"
    "  - branch:\n      - when: order.is_gift\n        do: [{send: care}]\n  - branch:\n",
)


def test_what_was_put_in_behind_somebody_and_what_has_another_number_now(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    click(world, "fine")
    world.later(hours=1)
    world.apply({"templates/care.md": SEND}, check_in=BEHIND)
    world.drain()
    for step in ("advice", "handoff-1", "branch-1", "care"):
        assert reached(world, step) == (Reach.ADDED, None), step
    (one,) = about(world, "T-1", "branch-2")
    assert [(decided.step, decided.reason) for decided in one.decisions] == [("branch-1", "case 3: otherwise")]
    assert reached(world, "stop-1") == (Reach.PASSED_BY, "case 3: otherwise")
    assert reached(world, "wait-1") == (Reach.DONE, None)
    assert reached(world, "cooking") == (Reach.NOT_YET, None)


SIZED = CHECK_IN.replace(
    "  - branch:\n", "  - id: sized\n    branch: [{when: order.is_gift, do: [{wait: 1 day}]}]\n  - branch:\n"
)


def test_what_was_decided_in_a_version_between_two_is_known_by_its_id(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=1)
    world.apply(check_in=SIZED)
    world.later(days=2)
    click(world, "fine")
    world.later(hours=1)
    world.apply(check_in=SIZED + "# a remark\n")
    world.later(hours=1)
    (one,) = about(world, "T-1", "sized")
    assert ([decided.reason for decided in one.decisions], one.runs[0].reach) == (["no case holds"], None)


def test_a_step_before_which_the_run_ended(world: World) -> None:
    world.take_in(a_purchase())
    world.drain()
    world.take_in(a_purchase(status=OrderStatus.CANCELLED))
    world.later(hours=1)
    assert reached(world, "arrived") == (Reach.ENDED, "order cancelled")


def test_a_step_that_was_skipped_has_the_gate_and_its_values(engine: Engine, tmp_path) -> None:
    steps = "steps:\n  - send: advice\n  - send: advice\n    id: again\n"
    rest = f"trigger: {{event: order.delivered}}\nmax_late: 1 hour\n{steps}"
    world = World(engine, tmp_path, tip=f"workflow: tip\n{HEAD}{rest}")
    world.take_in(a_purchase())
    world.later(hours=2)
    (one,) = about(world, "ana@example.com", "advice")
    assert [(decided.gate, decided.verdict) for decided in one.decisions] == [("max_late", "expired")]
    assert set(one.decisions[0].values) == {"due_at", "not_after"}
    assert [message.step for message in one.runs[0].messages] == ["advice"]


def test_whoever_was_held_out_came_to_no_step(engine: Engine, tmp_path) -> None:
    held_out = CHECK_IN.replace("steps:", "holdout: 50%\ngoal: {event: order.placed, within: 60 days}\nsteps:", 1)
    world = World(engine, tmp_path, check_in=held_out)
    world.take_in(*(a_purchase(f"T-{n}", email=f"ana{n}@example.com") for n in range(20)))
    out = next(row.order_id for row in world.rows("enrollments") if row.state == "held_out")
    number = next(row.number for row in world.rows("orders") if row.id == out)
    (run,) = about(world, number, "arrived")[0].runs
    assert run.reach is Reach.HELD_OUT
    assert run.turn is not None
    assert run.turn.reason == "holdout: 50% get nothing, and are measured"


def test_a_step_of_a_workflow_that_nobody_came_into(engine: Engine, tmp_path) -> None:
    world = World(engine, tmp_path, tip=TIP, gifts=GIFTS, solved=SOLVED)
    world.take_in(a_purchase(placed_at=MONDAY))
    world.drain()
    (one,) = about(world, "T-1", "arrived")
    assert ([decided.workflow for decided in one.refused], one.runs, one.unseen) == (["gifts"], [], [])
    (one,) = about(world, "T-1", "advice")
    assert ([run.workflow.name for run in one.runs], unseen(one)) == (
        ["tip"],
        {"solved": "support.solved has not happened"},
    )
    assert not one.refused


def test_a_step_that_there_is_not_is_an_error_that_names_the_nearest(world: World) -> None:
    world.take_in(a_purchase())
    with pytest.raises(NotFound, match="has a step 'arived'") as unknown:
        about(world, "T-1", "arived")
    assert unknown.value.hint == "Did you mean 'arrived'?"
    with pytest.raises(NotFound) as unknown:
        about(world, "ana@example.com", "zzz")
    assert unknown.value.hint.startswith("The steps are: wait-1, arrived, branch-1, ")


def test_a_step_that_was_renamed_since_is_known_by_what_was_decided_about_it(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    renamed = CHECK_IN.replace("- ask: arrived", "- id: whole\n    ask: arrived")
    world.later(days=1)
    world.apply(check_in=renamed, in_flight={"arrived": "skip"})
    world.drain()
    (explained,) = about(world, step="arrived")
    (run,) = explained.runs
    assert [letter.step for letter in run.messages] == ["arrived"]
    assert "moved" in [one.verdict for one in explained.decisions]


def test_whom_they_wait_for_is_told_whatever_the_run_waits_for(world: World) -> None:
    world.take_in(a_purchase(), a_purchase("T-2"))
    world.later(days=2)
    world.hear(a_reply(world.letters()[0], "Where is the lid?"))
    assert [one.waits_for for one in about(world)] == [("nell", world.clock.now())]
    converse.close_if_open(world.engine, "ana@example.com", library=world.library, clock=world.clock)
    assert [one.waits_for for one in about(world)] == [None]


def test_who_opened_an_answer_is_not_reminded_and_why_says_so(world: World) -> None:
    world.take_in(a_purchase())
    world.later(days=2)
    (explained,) = about(world)
    assert explained.runs[0].waiting is not None
    assert explained.runs[0].waiting.reminds_at is not None
    token = world.rows("messages")[0].token
    answers.visit(world.engine, token, "fine", clock=world.clock)
    (explained,) = about(world)
    assert explained.runs[0].waiting is not None
    assert explained.runs[0].waiting.reminds_at is None
    world.later(days=4)
    assert [row.reason for row in world.rows("messages") if row.round] == [OPENED]
