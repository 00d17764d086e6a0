"""``why``: what happened with an order and what did not, with every recorded decision."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from followup.cli import output
from followup.core.enrollment import Phase
from followup.core.message import MessageState

if TYPE_CHECKING:
    from followup.core.schedule import Calendar
    from followup.services.lookups import Run, Why
    from followup.store.decisions import Decided
    from followup.store.messages import StoredMessage


def tell(why: "Why") -> None:
    """Print how each run of the order went, in the customer's local time, and which never began."""
    order, zone = why.order, why.calendar.zone
    output.say(f"Order {order.number} of {why.customer.email}, {order.status.value}; times in {zone.key}")
    if not why.runs and not why.decisions:
        output.say("No workflow has looked at it: it came by import, and nobody enrolled it.")
        output.hint(f"followup trigger WORKFLOW --order {order.number}", "enroll it by hand")
        return
    for run in why.runs:
        _tell_run(run, [one for one in why.decisions if _concerns(one, run)], why.calendar)
    refused = [one for one in why.decisions if not any(_concerns(one, run) for run in why.runs)]
    if refused:
        output.say()
        output.say("not entered")
    for one in refused:
        reason = one.reason.removeprefix("entry: ")
        output.entry(f"  {output.local(one.at, zone)}  ", f"{one.workflow}: {reason}{_values(one, why.calendar)}")


def _concerns(decided: "Decided", run: "Run") -> bool:
    if decided.enrollment_id is not None:
        return decided.enrollment_id == run.enrollment.id
    return decided.workflow == run.enrollment.enrollment.workflow and decided.verdict != "not_entered"


def _tell_run(run: "Run", decisions: "list[Decided]", calendar: "Calendar") -> None:
    enrollment = run.enrollment.enrollment
    place = run.enrollment.outcome or f"at {enrollment.position.step} ({_phase(run)})"
    output.say()
    output.say(f"{enrollment.workflow}: {enrollment.state.value}, {place}")
    lines = [(enrollment.entered_at, "entered")]
    lines += [line for message in run.messages for line in _letter(message, decisions)]
    lines += [(one.at, _decision(one, calendar)) for one in decisions]
    if run.enrollment.wake_at:
        lines.append((run.enrollment.wake_at, "looks again"))
    for at, text in sorted(lines, key=lambda line: line[0]):
        output.entry(f"  {output.local(at, calendar.zone)}  ", text)


def _phase(run: "Run") -> str:
    """Return how far the run is with its step: while a letter is under way, the state of the letter."""
    position = run.enrollment.enrollment.position
    if position.phase is not Phase.SENDING:
        return position.phase.value
    return next((one.state.value for one in run.messages if one.step == position.step), position.phase.value)


def _letter(message: "StoredMessage", decisions: "list[Decided]") -> Iterator[tuple[datetime, str]]:
    """Yield when a letter left, began to leave, or will; what stopped one is among the decisions."""
    about = "reminder" if message.round else "letter"
    if message.accepted_at is not None:
        yield message.accepted_at, f"{about} {message.letter}: {message.state.value}"
        return
    at = message.sending_at or message.due_at  # a letter that is due again has no time of sending any more
    if at is not None and not any(one.verdict == message.state for one in decisions):
        why = f", {message.reason}" if message.reason and message.state is not MessageState.DUE else ""
        yield at, f"{about} {message.letter}: {message.state.value}{why}"


def _decision(decided: "Decided", calendar: "Calendar") -> str:
    what = f"{decided.step}: " if decided.step else ""
    verdict = "" if decided.verdict == "branch" else f"{decided.verdict}, "
    until = f" until {output.local(decided.until, calendar.zone)}" if decided.until else ""
    if until:
        verdict = f"{decided.verdict}{until}, "
    return f"{what}{verdict}{decided.reason}{_values(decided, calendar)}"


def _values(decided: "Decided", calendar: "Calendar") -> str:
    """Return the values a decision rests on, but not the moment that stands before it anyway."""
    told = {name: _value(value, calendar) for name, value in decided.values.items()}
    at = output.local(decided.at, calendar.zone)
    shown = ", ".join(f"{name} = {value}" for name, value in told.items() if value != at)
    return f"  [{shown}]" if shown else ""


def _value(value: object, calendar: "Calendar") -> str:
    """Return a recorded value as people write it; moments were recorded as text."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    if isinstance(value, str) and "T" in value:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return output.local(moment, calendar.zone) if moment.tzinfo else value
    return str(value)


def as_document(why: "Why") -> Mapping[str, object]:
    """Return the explanation as JSON has it; times UTC."""
    return {
        "order": why.order.number,
        "customer": why.customer.email,
        "runs": [
            {
                "workflow": run.enrollment.enrollment.workflow,
                "state": run.enrollment.enrollment.state.value,
                "step": run.enrollment.enrollment.position.step,
                "phase": run.enrollment.enrollment.position.phase.value,
                "entered_at": run.enrollment.enrollment.entered_at,
                "wake_at": run.enrollment.wake_at,
                "outcome": run.enrollment.outcome,
                "messages": [
                    {
                        "step": message.step,
                        "round": message.round,
                        "letter": message.letter,
                        "state": message.state.value,
                        "due_at": message.due_at,
                        "sending_at": message.sending_at,
                        "accepted_at": message.accepted_at,
                        "reason": message.reason,
                    }
                    for message in run.messages
                ],
            }
            for run in why.runs
        ],
        "decisions": [asdict(decided) for decided in why.decisions],
    }
