"""How the questions of a run stand, and the names under which conditions and letters read them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta

from followup.core.facts import AskResult, Facts, Sent, names
from followup.core.message import NOT_SENT, MessageState
from followup.core.replies import combined
from followup.core.transfer import QUESTION_OUT
from followup.core.workflow import Ask, Workflow

LONGEST_ABSENCE = timedelta(days=30)  # for which an out-of-office note extends a timeout
OPENED = "an answer was opened, though not sent"  # why a reminder was skipped
ASKED_BEFORE = "answered already, when another workflow asked"  # why a question was skipped; its answer counts here


def ask_results(workflow: Workflow, facts: Facts, *, now: datetime) -> dict[str, AskResult]:
    """Return how each ask that has a message stands, by step id, in the order of the file, then those taken out."""
    there = {
        step.id: ask_result(step, facts, now)
        for step in workflow.all_steps
        if isinstance(step, Ask) and (step.id, 0) in facts.sent
    }
    return there | dict(_taken_out(workflow, facts))


def _taken_out(workflow: Workflow, facts: Facts) -> Iterator[tuple[str, AskResult]]:
    """
    Yield the asks that the run came to in a version before, and that *workflow* does not have any more.

    What was answered before the run was moved stays answered. Whoever was sent past the question was silent, or, if it
    had not left, not asked.
    """
    for (step, round_), sent in facts.sent.items():
        if round_ or facts.moved_at is None or workflow.step(step) is not None:
            continue
        if sent.reason == QUESTION_OUT:
            yield step, AskResult(not_asked=QUESTION_OUT)
        elif sent.asked and sent.accepted_at is not None:
            said = [r for r in facts.responses if r.step == step and not r.provisional and r.at <= facts.moved_at]
            yield step, AskResult(response=combined(said)) if said else AskResult(timed_out=True)


def latest_result(facts: Facts, asks: Mapping[str, AskResult], *, before: str | None = None) -> AskResult:
    """
    Return what ``answer`` and its like say: how the last ask stands that was sent, or answered elsewhere, so far.

    ``not_asked`` is that of the last one that was sent or given up. One still on its way out does not count yet,
    nor does *before*.
    """
    tried = [
        step
        for step, result in asks.items()
        if step != before and (facts.sent[step, 0].accepted_at or result.not_asked or result.response)
    ]
    results = [asks[step] for step in sorted(tried, key=lambda step: facts.sent[step, 0].id)]
    last_sent = next((result for result in reversed(results) if result.not_asked is None), AskResult())
    return replace(last_sent, not_asked=results[-1].not_asked if results else None)


def names_for(workflow: Workflow, facts: Facts, *, now: datetime, before: str | None = None) -> dict[str, object]:
    """
    Return the names that conditions and letters of this enrollment read at *now*.

    Args:
        before: the step whose condition or letter it is, when a letter of it may exist already. An ask and
            its reminder then both read the answer to the ask before, not (the lack of) their own.
    """
    asks = ask_results(workflow, facts, now=now)
    return names(facts, asks, latest_result(facts, asks, before=before), now=now)


def timeout_at(step: Ask, sent: Sent, facts: Facts) -> datetime | None:
    """
    Return when the ask gives up waiting; None while its letter has not been accepted.

    An out-of-office note that comes in time extends it, once: to the end of the stated day of return, and by
    LONGEST_ABSENCE at most. Whoever was moved to a version with a shorter timeout has until then.
    """
    if sent.accepted_at is None:
        return None
    gives_up = step.timeout.after(sent.accepted_at, facts.calendar)
    gives_up = max(gives_up, facts.moved_at or gives_up)
    absence = facts.absences.get(step.id)
    if absence is None or absence.told_at >= gives_up:  # a late one must not rewind the run
        return gives_up
    back_at = facts.calendar.instant(absence.back_on + timedelta(days=1), time(0))
    return max(gives_up, min(back_at, gives_up + LONGEST_ABSENCE))


def ask_result(step: Ask, facts: Facts, now: datetime) -> AskResult:
    sent = facts.sent[step.id, 0]
    if sent.state is MessageState.SKIPPED and sent.reason == ASKED_BEFORE and step.letter in facts.elsewhere:
        return AskResult(response=replace(facts.elsewhere[step.letter], step=step.id))
    if sent.state in NOT_SENT:
        return AskResult(not_asked=sent.reason or sent.state.value)
    gives_up = timeout_at(step, sent, facts)
    confirmed = [r for r in facts.responses if r.step == step.id and not r.provisional]
    in_time = [r for r in confirmed if gives_up is None or r.at < gives_up]
    if in_time:
        return AskResult(response=combined(in_time))
    if _is_behind(step, sent, facts):
        return AskResult(timed_out=True)
    return AskResult(timed_out=gives_up is not None and now >= gives_up)


def _is_behind(step: Ask, sent: Sent, facts: Facts) -> bool:
    """Tell whether a run had left *step* when it was moved here: what it waited for then, it waited for."""
    if facts.moved_at is None or sent.accepted_at is None:
        return False
    return sent.accepted_at <= facts.moved_at and facts.stands_at != step.id
