"""Rules about what a workflow says of time, windows, events and its goal."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from followup.authoring.meaning.outcomes import ANY, SILENCE
from followup.authoring.meaning.subject import Finding, Subject
from followup.authoring.meaning.ways import ENTRY, Edge, Move, State
from followup.authoring.places import Place
from followup.core.gates import REMINDER_MARGIN
from followup.core.schedule import Calendar, Duration
from followup.core.workflow import IMPLIED_EXITS, Ask, Exit, Per, Send, Wait, WaitFor

DAY = timedelta(days=1)
WEEKEND = frozenset({5, 6})
EVERY_START = [datetime(2026, 6, 1, 12, tzinfo=UTC) + number * DAY for number in range(7)]  # one of each weekday
NO_REASON = frozenset(["false", "n/a", "no", "none", "null", "off", "on", "reason", "todo", "true", "x", "yes"])
_PLAIN = Calendar(ZoneInfo("UTC"))


def awaited_and_exit(subject: Subject) -> Iterator[Finding]:
    """
    W204: a workflow waits for an event that takes customers out of it.

    The exit comes first, so the steps after the wait would only ever see the timeout.
    """
    for step in subject.workflow.all_steps:
        if not isinstance(step, WaitFor):
            continue
        spot = subject.spot(step, "wait_for")
        for number, way_out in enumerate(subject.workflow.exit_on):
            if _always_ends(way_out, step):
                line = subject.places.value(Place(("exit_on", number, "event"))).line
                message = f'"{step.event}" ends the run ("exit_on", line {line}), so this wait can only time out.'
                yield Finding(spot, message, 'take it out of "exit_on", or out of here')
        if step.event in _implied(subject):
            message = f'"{step.event}" always ends the run, so this wait can only time out.'
            yield Finding(spot, message, "take the step out, or wait for something else")


def _always_ends(way_out: Exit, step: WaitFor) -> bool:
    """Tell whether each event that *step* waits for ends the run."""
    return way_out.event == step.event and way_out.where in {None, step.where}


def _implied(subject: Subject) -> set[str]:
    """Return the events that end every run; of an order, only one's own, and a refund only when it is full."""
    workflow = subject.workflow
    events = {event for event in IMPLIED_EXITS if not event.startswith("order.")}
    if workflow.trigger.per is Per.ORDER and not workflow.is_about_void_orders:
        events.add("order.cancelled")
    return events


def holdout_without_goal(subject: Subject) -> Iterator[Finding]:
    """
    W209: some customers get nothing, and there is no goal to measure them by.

    They would go without letters, and nobody would learn anything from it.
    """
    if subject.workflow.holdout and subject.workflow.goal is None:
        message = 'A "holdout" without a "goal": nobody could tell what the letters change.'
        help = "add for example: goal: {event: order.placed, within: 60 days}"
        yield Finding(subject.places.key(Place(("holdout",))), message, help)


def goal_before_the_end(subject: Subject) -> Iterator[Finding]:
    """
    W210: the goal is looked for in a shorter time than the workflow can take.

    Its last letters would count for nothing, and the workflow look worse than it is.
    """
    goal = subject.workflow.goal
    longest = _longest(subject)
    if goal is not None and goal.within < longest:
        message = f"The goal is looked for within {_spoken(goal.within)}, but a run can take up to {_in_days(longest)}."
        spot = subject.places.value(Place(("goal", "within")))
        yield Finding(spot, message, f'write "{_in_days(longest)}" or more, or shorten the workflow')


def _longest(subject: Subject) -> timedelta:
    """Return how long a run takes at least that waits for everything; business days count as days."""
    longest: dict[State, timedelta] = {}
    for state in reversed(subject.ways.in_order):
        ways_on = (
            _takes(subject, state, edge) + longest.get(edge.to, timedelta(0)) for edge in subject.ways.edges[state]
        )
        longest[state] = max(ways_on, default=timedelta(0))
    return max(longest[state] for state in subject.ways.all_at(ENTRY))


def _takes(subject: Subject, state: State, edge: Edge) -> timedelta:
    step = subject.workflow.step(state.step) if state.step else None
    match step:
        case Wait() if edge.move is Move.RUN:
            return _at_least(step.duration)
        case WaitFor() if edge.move is Move.RUN:
            return _at_least(step.timeout)
        case Ask() if edge.outcome in {SILENCE, ANY}:
            return _at_least(step.timeout)
    return timedelta(0)


def _at_least(duration: Duration) -> timedelta:
    return duration.elapsed + duration.business_days * DAY


def late_reminder(subject: Subject) -> Iterator[Finding]:
    """
    W212: the reminder would come after the question has timed out, or so shortly before that it is dropped.

    The marketer counts on a reminder that no customer would ever get.
    """
    for step in subject.workflow.all_steps:
        if not isinstance(step, Ask) or step.remind_after is None:
            continue
        left = max(_left_after_reminder(step, step.remind_after, start) for start in EVERY_START)
        if left > REMINDER_MARGIN:
            continue
        message = "The reminder would come when the question is over already."
        if left > timedelta(0):
            message = "The reminder would come no more than 24 hours before the question is over, and is dropped then."
        help = "remind earlier, or make the timeout more than 24 hours longer than this"
        yield Finding(subject.spot(step, "remind_after"), message, help)


def _left_after_reminder(step: Ask, remind_after: Duration, start: datetime) -> timedelta:
    return step.timeout.after(start, _PLAIN) - remind_after.after(start, _PLAIN)


def window_never_opens(subject: Subject) -> Iterator[Finding]:
    """
    W213: there is no moment at which a letter may leave.

    Every letter would be put off until it is too late for it.
    """
    window = subject.workflow.send_window
    if window is None:
        return
    only_weekends = window.business_days and window.weekdays <= WEEKEND  # no holidays, and no business days either
    calendar = _PLAIN if window.zone is None else Calendar(window.zone)
    if only_weekends or window.next_open(EVERY_START[0], calendar) is None:
        spot = subject.places.value(Place(("send_window", "days")))
        yield Finding(spot, "This window never opens: nothing would ever be sent.", "name a day: mon, tue, wed, …")


def no_reason(subject: Subject) -> Iterator[Finding]:
    """
    W214: a letter may come at any hour, and it is not said why.

    A letter at night wants a reason that a customer would accept, too.
    """
    for step in subject.workflow.all_steps:
        reason = step.ignore_send_window if isinstance(step, Send) else None
        if reason is not None and (reason.casefold() in NO_REASON or not any(map(str.isalpha, reason))):
            message = '"ignore_send_window" needs a reason: why may this letter come at any hour?'
            help = "write for example: ignore_send_window: they wait for this answer; or leave it out"
            yield Finding(subject.spot(step, "ignore_send_window"), message, help)


def _spoken(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):g} hours" if span % DAY else _in_days(span)


def _in_days(span: timedelta) -> str:
    """Return *span* in days, rounded up."""
    days = -(-span // DAY)
    return f"{days} day{'s' if days != 1 else ''}"
