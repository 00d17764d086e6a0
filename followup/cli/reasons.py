"""``why``: what happened with an order and what did not, with every recorded decision."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from followup.cli import output
from followup.cli.shared import tell_halted
from followup.core.message import MessageState
from followup.core.reach import Reach
from followup.core.replies import Source

if TYPE_CHECKING:
    from followup.core.replies import Response
    from followup.core.schedule import Calendar
    from followup.services.why import Run, Waiting, Why
    from followup.store.decisions import Decided
    from followup.store.messages import StoredMessage

LONGEST_WORDS = 200  # signs of a reply, or of a comment
MOMENT = len("Mon 02 Mar 2026 09:00 +00:00")


def tell(why: "Why") -> None:
    """Print how each run of an order went, in the customer's local time, and which never began."""
    order, zone = why.order, why.calendar.zone
    assert order is not None
    output.say(f"Order {order.number} of {why.customer.email}, {order.status.value}; times in {zone.key}")
    _tell_silence(why)
    for run in why.runs:
        _tell_run(run, why)
    _tell_refused([why])
    _tell_unseen([why])
    if not (why.runs or why.decisions or why.unseen):
        output.say("There is no workflow that could look at it.")
    elif not (why.runs or why.decisions):
        for one in why.unseen:
            if one.by_hand:
                output.hint(f"followup trigger {one.workflow} --order {order.number}", "enroll it by hand")


def tell_customer(explained: "list[Why]") -> None:
    """Print how all runs of a customer went, in the order they began, in their local time, and which never began."""
    customer, zone = explained[0].customer, explained[0].calendar.zone
    orders = sum(why.order is not None for why in explained)
    bought = "" if explained[0].step else f", {output.plural(orders, 'order')}"
    output.say(f"{customer.email}{bought}; times in {zone.key}")
    _tell_silence(explained[0])
    runs = [(run, why) for why in explained for run in why.runs]
    for run, why in sorted(runs, key=lambda one: (one[0].enrollment.enrollment.entered_at, one[0].enrollment.id)):
        _tell_run(run, why, about=f", {_about(why)}")
    _tell_refused(explained, by_order=True)
    _tell_unseen(explained, by_order=True)


def _tell_silence(why: "Why") -> None:
    """Say what keeps every letter from this customer, whatever the run."""
    if why.halted is not None:
        tell_halted(why.halted)
    if why.waits_for is not None:
        owner, since = why.waits_for
        until = f"no letter leaves until followup conversations close {shlex.quote(why.customer.email)}"
        output.entry(
            "", f"They wait for an answer from {owner} since {output.local(since, why.calendar.zone)}: {until}"
        )


def _about(why: "Why") -> str:
    return f"order {why.order.number}" if why.order else "no order"


def _tell_refused(explained: "list[Why]", *, by_order: bool = False) -> None:
    refused = sorted(((one, why) for why in explained for one in why.refused), key=lambda one: one[0].at)
    if refused:
        output.say()
        output.say("not entered")
    for one, why in refused:
        about = f", {_about(why)}" if by_order else ""
        about += ", by hand" if why.is_by_hand(one) else ""
        reason = f"{one.workflow}{about}: {one.reason.removeprefix('entry: ')}"
        lead = f"  {output.local(one.at, why.calendar.zone)}  "
        output.entry(lead, f"{reason}{_values(one.values, why.calendar, besides=one.at)}")


def _tell_unseen(explained: "list[Why]", *, by_order: bool = False) -> None:
    unseen = [(one, why) for why in explained for one in why.unseen]
    if unseen:
        output.say()
        output.say("did not look at it")
    for one, why in unseen:
        about = f", {_about(why)}" if by_order and why.order else ""
        output.entry("  ", f"{one.workflow}{about}: {one.reason}{_values(one.values, why.calendar)}")
        if one.refused:
            output.entry("    ", f"nor would it come in by hand: {one.refused.removeprefix('entry: ')}")


def _tell_run(run: "Run", why: "Why", *, about: str = "") -> None:
    enrollment, calendar, decisions = run.enrollment.enrollment, why.calendar, why.of_run(run)
    output.say()
    output.say(f"{enrollment.workflow}{about}: {enrollment.state.value}, {_place(run)}")
    if run.reach is not None:
        _tell_reach(run, why)
        return
    if not why.step:
        output.entry(f"  {output.local(enrollment.entered_at, calendar.zone)}  ", "entered")
    for at, one in run.story(decisions):
        if text := _told(one, run, decisions, calendar):
            output.entry(f"  {output.local(at, calendar.zone)}  ", text)
    _tell_waiting(run, why)


def _told(
    one: "StoredMessage | Response | Decided", run: "Run", decisions: "list[Decided]", calendar: "Calendar"
) -> str:
    from followup.core.replies import Response
    from followup.store.decisions import Decided

    if isinstance(one, Response):
        return _response(one)
    if isinstance(one, Decided):
        return _decision(one, calendar)
    return _letter(one, run, decisions)


def _response(said: "Response") -> str:
    words = output.quoted(said.text, most=LONGEST_WORDS) if said.text else ""
    if said.source is not Source.REPLY:
        return " ".join(part for part in (f"answer to {said.step}: {said.answer}", words) if part)
    means = f"  (= {said.answer})" if said.answer else ""
    return f"reply to {said.step}: {words or '(no words)'}{means}"


def _tell_waiting(run: "Run", why: "Why") -> None:
    if run.waiting is not None:
        stopped = f"; no letter leaves while {run.stopped}" if run.stopped and not why.halted else ""
        output.entry(f"  {'now':<{MOMENT}}  ", _waits(run, run.waiting, why.calendar) + stopped)


def _waits(run: "Run", waiting: "Waiting", calendar: "Calendar") -> str:
    from followup.services.why import Awaits

    until = output.local(waiting.until, calendar.zone)
    match waiting.on:
        case Awaits.WORKER:
            moved = run.enrollment.is_fresh
            since = f"since it was moved to what was applied, {until}" if moved else f"at it; that is due since {until}"
            return f"no worker has looked {since}"
        case Awaits.TIME:
            return f"waits until {until}: {waiting.step}"
        case Awaits.EVENT:
            return f"waits for {waiting.what} until {until}: {waiting.step}"
        case Awaits.ANSWER:
            reminds = f"; reminded on {output.local(waiting.reminds_at, calendar.zone)}" if waiting.reminds_at else ""
            return f"waits for an answer to {waiting.what} until {until}{reminds}"


def _place(run: "Run") -> str:
    return run.enrollment.outcome or f"at {run.enrollment.enrollment.position.step} ({_phase(run)})"


def _tell_reach(run: "Run", why: "Why") -> None:
    """Print why there is nothing on the record of the step that was asked about."""
    calendar = why.calendar
    match run.reach:
        case Reach.HERE:
            since = output.local(run.enrollment.enrollment.position.since, calendar.zone)
            output.say(f"  stands there since {since}")
        case Reach.NOT_YET:
            output.say(f"  not reached yet: it stands {_place(run)}")
        case Reach.DONE:
            output.say("  done: a step of its kind leaves nothing on the record")
        case Reach.ADDED:
            step = run.workflow.step(why.step or "")
            number = ", or went by another number" if step and step.numbered else ""
            output.say(f"  nothing is on the record of it: it was put in when they were past it{number}")
        case Reach.PASSED_BY:
            output.say(f"  passed by: {run.turn.step if run.turn else 'a branch'} went another way")
        case Reach.HELD_OUT:
            output.say("  not reached: the customer is held out, and gets nothing")
        case _:
            output.say("  not reached: the run ended before")
    if run.turn is not None:
        output.entry(f"  {output.local(run.turn.at, calendar.zone)}  ", _decision(run.turn, calendar))
    if run.reach in {Reach.HERE, Reach.NOT_YET}:
        _tell_waiting(run, why)


def _phase(run: "Run") -> str:
    """Return how far the run is with its step: while a letter is under way, the state of the letter."""
    return (run.under_way or run.enrollment.enrollment.position.phase).value


def _letter(message: "StoredMessage", run: "Run", decisions: "list[Decided]") -> str:
    """Return how a letter stands; nothing of one that something stopped, which is among the decisions."""
    about = f"{'reminder' if message.round else 'letter'} {message.letter}: {message.state.value}"
    if message.accepted_at is not None:
        return about
    if any(one.verdict == message.state and one.message_id == message.id for one in decisions):
        return ""
    if message.state is MessageState.DUE:
        return f"{about}; no letter leaves while {run.stopped}" if run.stopped else about
    return f"{about}, {message.reason}" if message.reason else about


def _decision(decided: "Decided", calendar: "Calendar") -> str:
    what = f"{'reminder of ' if decided.round else ''}{decided.step}: " if decided.step else ""
    verdict = "" if decided.verdict == "branch" else f"{decided.verdict}, "
    until = f" until {output.local(decided.until, calendar.zone)}" if decided.until else ""
    if until:
        verdict = f"{decided.verdict}{until}, "
    return f"{what}{verdict}{decided.reason}{_values(decided.values, calendar, besides=decided.at)}"


def _values(values: "Mapping[str, object]", calendar: "Calendar", *, besides: datetime | None = None) -> str:
    """Return the values a decision rests on, but not the moment *besides* that stands before it anyway."""
    told = {name: output.recorded(value, calendar.zone) for name, value in values.items()}
    at = output.local(besides, calendar.zone) if besides else None
    shown = ", ".join(f"{name} = {value}" for name, value in told.items() if value != at)
    return f"  [{shown}]" if shown else ""


def as_document(why: "Why") -> Mapping[str, object]:
    """Return the explanation as JSON has it; times UTC. ``order`` is None for what is about no order."""
    return {
        "order": why.order.number if why.order else None,
        "customer": why.customer.email,
        "runs": [_run_document(run) | (_reach_document(run) if why.step else {}) for run in why.runs],
        "decisions": [asdict(decided) | {"by_hand": why.is_by_hand(decided)} for decided in why.decisions],
        "did_not_look": [asdict(one) for one in why.unseen],
        "halted": why.halted,
        "waits_for": why.waits_for[0] if why.waits_for else None,
        "waits_since": why.waits_for[1] if why.waits_for else None,
    }


def _run_document(run: "Run") -> dict[str, object]:
    enrollment = run.enrollment.enrollment
    return {
        "workflow": enrollment.workflow,
        "state": enrollment.state.value,
        "step": enrollment.position.step,
        "phase": enrollment.position.phase.value,
        "entered_at": enrollment.entered_at,
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
        "responses": [
            {"at": one.at, "step": one.step, "source": one.source.value, "answer": one.answer, "text": one.text}
            for one in run.responses
        ],
        "waiting": asdict(run.waiting) if run.waiting else None,
        "stopped": run.stopped,
    }


def _reach_document(run: "Run") -> dict[str, object]:
    return {"reach": run.reach.value if run.reach else None, "turn": asdict(run.turn) if run.turn else None}
