"""Workflow files that are right: what each word becomes."""

from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest

from followup.authoring.bundle import BundleError, load_workflow
from followup.core.schedule import Duration, SendWindow
from followup.core.workflow import (
    Ask,
    Branch,
    Cap,
    Exit,
    Goal,
    Per,
    ReEntry,
    Send,
    Step,
    Stop,
    Trigger,
    Wait,
    Workflow,
    WorkflowStatus,
)
from tests.authoring.project import workflow


def read(steps: str = "  - wait: 1 day\n", **more: str) -> Workflow:
    return load_workflow("check-in", workflow(steps, **more))


def steps(text: str) -> tuple[Step, ...]:
    return read(text).steps


def test_the_least_a_workflow_says() -> None:
    found = read()
    assert (found.name, found.title, found.status) == ("check-in", "Check in", WorkflowStatus.LIVE)
    assert (found.owner, found.sender) == ("mara", "mara")
    assert found.trigger == Trigger("order.delivered", Per.ORDER)
    assert (found.only_if, found.re_entry, found.exit_on) == ((), ReEntry(), ())
    assert (found.send_window, found.cap, found.priority, found.learn) == (None, None, 50, None)
    assert (found.max_late, found.max_postpone) == (timedelta(days=3), timedelta(days=14))


def test_a_workflow_may_limit_its_letters_a_day_and_have_the_first_ones_read() -> None:
    assert (read().per_day, read().first) == (None, 0)
    found = read(more="limits: {per_day: 200}\nfirst: 10\n")
    assert (found.per_day, found.first, found.cap, found.priority) == (200, 10, None, 50)


@pytest.mark.parametrize(
    "more",
    ["first: 0", "first: 1001", "first: ten", "limits: {per_day: 0}", "limits: {per_day: 1000001}", "per_day: 5"],
)
def test_limits_that_limit_nothing_or_stand_elsewhere_are_refused(more: str) -> None:
    with pytest.raises(BundleError):
        read(more=f"{more}\n")


def test_everything_a_workflow_can_say() -> None:
    found = read(
        more="""\
learn: Does the first order land well?
entry:
  only_if:
    - customer.order_count == 1
    - '"coffee" in order.categories'
  re_entry: after 90 days
exit_on:
  - event: order.refunded
    where: event.order.total > 100
    as: refunded
  - event: order.placed
send_window:
  days: business days
  hours: 22:00-06:00
  timezone: customer
  fallback_timezone: Europe/Berlin
limits:
  cap: 2 messages per week
  when_capped: skip
  priority: 0
max_late: 36 hours
max_postpone: 2 weeks
"""
    )
    assert [condition.source for condition in found.only_if] == [
        "customer.order_count == 1",
        '"coffee" in order.categories',
    ]
    assert found.re_entry == ReEntry(after=timedelta(days=90))
    assert [(x.event, x.where and x.where.source, x.label) for x in found.exit_on] == [
        ("order.refunded", "event.order.total > 100", "refunded"),
        ("order.placed", None, None),
    ]
    assert found.send_window == SendWindow(
        opens=time(22),
        closes=time(6),
        weekdays=frozenset(range(5)),
        business_days=True,
        fallback_zone=ZoneInfo("Europe/Berlin"),
    )
    assert (found.cap, found.priority) == (Cap(2, timedelta(weeks=1), skip=True), 0)
    assert (found.max_late, found.max_postpone) == (timedelta(hours=36), timedelta(weeks=2))
    assert found.learn == "Does the first order land well?"


def triggered(by: str) -> Trigger:
    """Return the trigger of a workflow whose trigger has these keys."""
    text = workflow("  - wait: 1 day\n").replace("trigger:\n  event: order.delivered\n", f"trigger: {{{by}}}\n")
    return load_workflow("check-in", text).trigger


@pytest.mark.parametrize(
    "event",
    [
        "order.placed",
        "order.paid",
        "order.fulfilled",
        "order.delivered",
        "order.promise_missed",
        "order.refunded",
        "order.cancelled",
        "manual",
        "warranty.expired",
        "review.received",
        "customer.birthday",
        "order_item.placed",
        "churned",
    ],
)
def test_these_events_start_a_run(event: str) -> None:
    assert triggered(f"event: {event}") == Trigger(event)
    assert triggered(f"event: {event}, per: order") == Trigger(event)
    assert triggered(f"event: {event}, per: customer") == Trigger(event, Per.CUSTOMER)


@pytest.mark.parametrize("per", ["", ", per: customer"])
def test_a_run_for_a_quiet_customer_is_always_per_customer(per: str) -> None:
    quiet = Trigger("customer.quiet", Per.CUSTOMER, timedelta(days=90))
    assert triggered(f"event: customer.quiet, after: 90 days{per}") == quiet


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("order.canceled", "order.cancelled"),
        ("oder.delivered", "order.delivered"),
        ("Order.Delivered", "order.delivered"),
        ("order_delivered", "order.delivered"),
        ("delivered", "order.delivered"),
        ("customer.quit", "customer.quiet"),
        ("manuel", "manual"),
        ("answers.given", "answer.given"),
    ],
)
def test_a_slip_in_an_event_is_no_event_of_the_shops_own(written: str, meant: str) -> None:
    with pytest.raises(BundleError, match=rf'W101 Unknown event "{written}"\. Did you mean "{meant}"\?'):
        read(more=f"exit_on: [{{event: {written}}}]\n")


@pytest.mark.parametrize("status", ["draft", "live", "paused"])
def test_a_file_says_what_a_workflow_does_for_now(status: str) -> None:
    assert load_workflow("check-in", workflow("  - wait: 1 day\n", status=status)).status == status


def test_some_may_be_held_out_and_a_goal_measured() -> None:
    assert (read().holdout, read().goal) == (0.0, None)
    found = read(more="holdout: 10%\ngoal: {event: order.placed, within: 60 days}\n")
    assert (found.holdout, found.goal) == (0.1, Goal("order.placed", timedelta(days=60)))
    found = read(more="holdout: 0.1%\ngoal: {event: review.written, within: 2 weeks}\n")
    assert (found.holdout, found.goal) == (0.001, Goal("review.written", timedelta(weeks=2)))


@pytest.mark.parametrize(
    ("written", "meant"),
    [("never", ReEntry(never=True)), ("every order", ReEntry()), ("after 3 weeks", ReEntry(after=timedelta(weeks=3)))],
)
def test_re_entry(written: str, meant: ReEntry) -> None:
    assert read(more=f"entry: {{re_entry: {written}}}\n").re_entry == meant


@pytest.mark.parametrize(
    ("written", "weekdays", "business"),
    [
        ("any day", {0, 1, 2, 3, 4, 5, 6}, False),
        ("weekdays", {0, 1, 2, 3, 4}, False),
        ("business days", {0, 1, 2, 3, 4}, True),
        ("[tue, Wednesday, SAT]", {1, 2, 5}, False),
        ("sun", {6}, False),
    ],
)
def test_days_of_a_window(written: str, weekdays: set[int], business: bool) -> None:
    window = read(more=f"send_window: {{days: {written}, timezone: Asia/Tokyo}}\n").send_window
    assert window == SendWindow(weekdays=frozenset(weekdays), business_days=business, zone=ZoneInfo("Asia/Tokyo"))


def test_the_three_forms_of_wait() -> None:
    assert steps(
        "  - wait: 2 business days\n  - wait: {for: 3 days, until: 08:30}\n"
        "  - wait: {until: order.promised_at}\n  - wait: {until: customer.renewal_on}\n  - wait: {until: '18:00'}\n"
    ) == (
        Wait(id="wait-1", duration=Duration(business_days=2)),
        Wait(id="wait-2", duration=Duration(timedelta(days=3)), until=time(8, 30)),
        Wait(id="wait-3", until_field="order.promised_at"),
        Wait(id="wait-4", until_field="customer.renewal_on"),
        Wait(id="wait-5", until=time(18)),
    )


def test_letters_with_all_their_options() -> None:
    ask, send, stop = steps(
        """\
  - ask: arrived-ok
    id: first-question
    when: order.total > 20
    timeout: 5 days
    remind_after: 2 business days
    remind_with: arrived-again
    from: jonas
    reply_in_thread: true
  - send: thanks.md
    from: mara
    ignore_send_window: they asked for it
  - stop: done
    when: asks.first_question.replied
"""
    )
    assert isinstance(ask, Ask)
    assert ask.when is not None
    assert ask.when.source == "order.total > 20"
    assert (ask.id, ask.letter, ask.sender) == ("first-question", "arrived-ok", "jonas")
    assert (ask.timeout, ask.remind_after) == (Duration(timedelta(days=5)), Duration(business_days=2))
    assert (ask.remind_with, ask.reply_in_thread) == ("arrived-again", True)
    assert send == Send(id="thanks", letter="thanks", sender="mara", ignore_send_window="they asked for it")
    assert isinstance(stop, Stop)
    assert stop.when is not None
    assert (stop.outcome, stop.when.names) == ("done", ("asks.first-question.replied",))


def test_branches_hold_steps_and_may_end_with_otherwise() -> None:
    (branch,) = steps(
        """\
  - branch:
      - when: replied
        do:
          - branch:
              - when: answer == "a"
                do: [{stop: inner}]
          - stop: outer
      - otherwise:
          - wait: 1 day
"""
    )
    assert isinstance(branch, Branch)
    first, otherwise = branch.cases
    assert first.when is not None
    assert [step.id for step in first.do] == ["branch-2", "stop-2"]
    assert otherwise.when is None
    assert [step.id for step in otherwise.do] == ["wait-1"]


def test_ids_are_derived_unique_and_leave_given_ones_alone() -> None:
    found = read(
        """\
  - wait: 1 day
  - id: wait-2
    wait: 1 day
  - wait: 1 day
  - ask: hello
    timeout: 1 day
  - send: hello
  - send: wait-1
  - stop: x
"""
    )
    assert [step.id for step in found.steps] == ["wait-1", "wait-2", "wait-3", "hello", "hello-2", "wait-1-2", "stop-1"]


def test_adding_a_step_at_the_end_renames_none_before_it() -> None:
    before = read("  - wait: 1 day\n  - ask: hello\n    timeout: 1 day\n")
    after = read("  - wait: 1 day\n  - ask: hello\n    timeout: 1 day\n  - wait: 2 days\n  - send: hello\n")
    assert [step.id for step in after.steps][:2] == [step.id for step in before.steps]


def test_two_readings_of_a_file_are_equal() -> None:
    text = "  - ask: hello\n    when: order.total > 1\n    timeout: 1 day\n"
    assert read(text) == read(text)


def test_an_exit_on_any_known_event_is_kept() -> None:
    found = read(more="exit_on: [{event: reply.received}, {event: support.ticket_opened}]\n")
    assert found.exit_on == (Exit("reply.received"), Exit("support.ticket_opened"))


def test_a_stored_version_that_is_no_workflow_is_refused() -> None:
    with pytest.raises(BundleError, match=r"workflows/check-in\.yaml:1:1: W103"):
        load_workflow("check-in", "")


def test_times_may_be_written_without_quotes() -> None:
    (step,) = steps("  - wait:\n      until: 08:30\n")
    assert isinstance(step, Wait)
    assert step.until == time(8, 30)
