"""Workflow files that are right: what each word becomes."""

from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest

from followup.authoring.bundle import BundleError, load_workflow
from followup.core.decide import decide
from followup.core.decision import CancelMessages, HandOff, RememberValues, StartWorkflow
from followup.core.schedule import Duration, SendWindow
from followup.core.workflow import (
    Ask,
    Branch,
    Cap,
    Exit,
    Goal,
    Handoff,
    Per,
    ReEntry,
    Remember,
    Send,
    Split,
    Start,
    Step,
    Stop,
    Text,
    Trigger,
    Variant,
    Wait,
    WaitFor,
    Workflow,
    WorkflowStatus,
)
from tests.authoring.project import workflow
from tests.core.make import an_enrollment, facts, on


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


def test_a_file_cannot_archive_a_workflow() -> None:
    with pytest.raises(BundleError, match='"status" cannot be "archived"'):
        load_workflow("check-in", workflow("  - wait: 1 day\n").replace("status: live", "status: archived"))


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


def test_a_wait_for_an_event_ends_with_the_event_or_its_timeout() -> None:
    plain, picky, branch = steps(
        """\
  - wait_for: order.delivered
    timeout: 4 business days
  - wait_for: parcel.returned
    id: returned
    when: order.total > 20
    where: event.reason == "broken" and event.order.number == order.number
    timeout: 2 weeks
  - branch:
      - when: timed_out
        do: [{stop: x}]
"""
    )
    assert plain == WaitFor(id="wait_for-1", event="order.delivered", timeout=Duration(business_days=4))
    assert isinstance(picky, WaitFor)
    assert (picky.id, picky.event, picky.timeout) == ("returned", "parcel.returned", Duration(timedelta(weeks=2)))
    assert picky.when is not None
    assert picky.where is not None
    assert picky.where({"event": {"reason": "Broken", "order": {"number": "1"}}, "order": {"number": "1"}})
    assert not picky.where({"event": {"order": {}}, "order": {"number": "1"}})
    assert isinstance(branch, Branch)
    assert branch.cases[0].when is not None
    assert branch.cases[0].when({"timed_out": True})


def test_a_split_has_variants_with_their_weights_or_all_alike() -> None:
    weighed, alike = steps(
        """\
  - split: wording
    variants:
      long: {weight: 3, do: [{stop: a}]}
      "2": {weight: 1, do: []}
  - split: tone
    id: second
    when: replied
    variants:
      warm:
        do:
          - split: warmth
            variants: {a: {do: [{wait: 1 day}]}, b: {do: [{wait: 2 days}]}}
      plain:
        do: [{stop: b}]
"""
    )
    stop = Stop(id="stop-1", outcome="a")
    assert weighed == Split(id="wording", name="wording", variants=(Variant("long", 3, (stop,)), Variant("2", 1, ())))
    assert isinstance(alike, Split)
    assert (alike.id, alike.name, [v.weight for v in alike.variants]) == ("second", "tone", [1, 1])
    assert alike.when is not None
    (inner,) = alike.variants[0].do
    assert isinstance(inner, Split)
    assert [step.id for variant in inner.variants for step in variant.do] == ["wait-1", "wait-2"]


def test_a_hand_off_may_have_a_note_and_may_be_urgent() -> None:
    bare, full = steps(
        """\
  - handoff: support
  - handoff: mara
    when: replied
    urgent: true
    note: "First order {{ order.number }}: {{ reply.text or answer_label }}"
"""
    )
    assert bare == Handoff(id="handoff-1", person="support")
    assert isinstance(full, Handoff)
    assert (full.id, full.person, full.urgent) == ("handoff-2", "mara", True)
    assert full.note is not None
    assert full.note({"order": {"number": 7}, "answer_label": "No"}) == "First order 7: No"
    assert full.note.names == ("order.number", "reply.text", "answer_label")


def test_what_is_remembered_is_a_text_with_names_or_a_plain_value() -> None:
    (remember,) = steps(
        """\
  - remember:
      customer.use_case: "{{ reply.text }}"
      pace: slow
      cups: 3
      ratio: 0.5
      likes_it: true
      note: "007"
"""
    )
    assert isinstance(remember, Remember)
    assert remember.id == "remember-1"
    use_case = remember.values["use_case"]
    assert isinstance(use_case, Text)
    assert use_case({"reply": {"text": "camping"}}) == "camping"
    plain = {name: value for name, value in remember.values.items() if name != "use_case"}
    assert plain == {"pace": "slow", "cups": 3, "ratio": 0.5, "likes_it": True, "note": "007"}


def test_another_workflow_may_be_started() -> None:
    assert steps("  - start: second-order\n  - start: 90-days.yaml\n    when: replied\n") == (
        Start(id="start-1", workflow="second-order"),
        Start(id="start-2", workflow="90-days", when=steps("  - stop: x\n    when: replied\n")[0].when),
    )


def test_a_stored_version_may_read_whatever_was_remembered_when_it_was_applied() -> None:
    (branch,) = steps("  - branch:\n      - when: customer.use_case == 'x'\n        do: [{stop: x}]\n")
    assert isinstance(branch, Branch)


def test_the_engine_does_what_a_file_says() -> None:
    found = read(
        """\
  - split: tone
    variants:
      warm: {do: []}
      plain: {do: []}
  - remember: {use_case: "{{ item.name }}, {{ order.total }}", asked: 1}
  - handoff: jonas
    note: "{{ order.number }}: {{ customer.use_case }}; {{ reply.text }}"
    urgent: true
  - start: second-order
    when: customer.asked == 1
  - wait_for: parcel.returned
    timeout: 3 days
  - stop: never came back
    when: timed_out
"""
    )
    decision = decide(found, an_enrollment(found), facts(), now=on(4))
    assert decision.outcome == "never came back"
    assert decision.effects == (
        RememberValues("remember-1", {"use_case": "Teapot, €49.00", "asked": 1}),
        HandOff(step="handoff-1", person="jonas", note="1007: Teapot, €49.00;", urgent=True, at=on(0)),
        StartWorkflow("start-1", "second-order", on(0)),
        CancelMessages(),
    )


DEEP = 8  # branches and splits within each other


def nested(depth: int) -> str:
    """Return a step inside so many branches and splits."""
    text = "{stop: x}"
    for level in range(depth):
        split = f"{{split: s{level}, variants: {{a: {{do: [{text}]}}, b: {{do: []}}}}}}"
        text = split if level % 2 else f"{{branch: [{{when: replied, do: [{text}]}}]}}"
    return f"  - {text}\n"


def test_branches_and_splits_may_be_nested_and_not_without_end() -> None:
    assert len(list(read(nested(DEEP)).all_steps)) == DEEP + 1
    with pytest.raises(BundleError, match="W103 Branches and splits are nested more than 8 deep"):
        read(nested(DEEP + 1))
    with pytest.raises(BundleError, match="W001"):
        read(nested(200))


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        (
            "  - split: s\n    variants:\n" + "".join(f"      v{n}: {{do: [{{stop: x}}]}}\n" for n in range(1000)),
            "W112 A split has 2 to 10 variants, this one 1000",
        ),
        ("  - handoff: mara\n    note: " + "x" * 900_000 + "\n", "W106 A text may have 2,000 characters"),
        ("  - handoff: mara\n    note: x" + "{{ reply.text }}" * 200 + "\n", "W106 A text may have 2,000 characters"),
        ("  - handoff: mara\n    note: '{{ " + "(" * 900 + "1" + ")" * 900 + " }}'\n", "W106 .* nested too deeply"),
        ("  - handoff: mara\n    note: '{{ " + "not " * 400 + "replied }}'\n", "W106 .* nested too deeply"),
        ("  - handoff: mara\n    note: '{{ " + "9" * 1900 + " }}'\n    urgent: 1\n", 'W103 "urgent" must be'),
        ("  - remember: {" + "x" * 1_000 + ": y}\n", 'W114 "x{80}" cannot be remembered'),
        ("  - wait_for: " + "order.delivered" * 10_000 + "\n    timeout: 1 day\n", "W114 .* is too long for an event"),
        ("  - handoff: mara\n    note: a\n    note: b\n", 'W003 "note" is set twice'),
        ("  - remember: {a: x, a: y}\n", 'W003 "a" is set twice'),
        ("  - split: s\n    variants: {a: {do: []}, a: {do: []}}\n", 'W003 "a" is set twice'),
        ("  - split: 5\n    variants: {1: {do: [{stop: x}]}, 1.0: {do: []}}\n", "W114"),
        ("  - start: null\n  - handoff: ~\n", 'W103 "start" must be text, not empty'),
    ],
    ids=lambda value: str(value)[:40],
)
def test_hostile_steps_are_refused_in_words(hostile: str, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        read(hostile)


def test_a_stored_version_that_is_no_workflow_is_refused() -> None:
    with pytest.raises(BundleError, match=r"workflows/check-in\.yaml:1:1: W103"):
        load_workflow("check-in", "")


def test_times_may_be_written_without_quotes() -> None:
    (step,) = steps("  - wait:\n      until: 08:30\n")
    assert isinstance(step, Wait)
    assert step.until == time(8, 30)
