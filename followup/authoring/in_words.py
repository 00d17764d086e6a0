"""What a workflow says, in short words on one line each: for people who look at one, or at a change to one."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import time

from followup.core.schedule import SendWindow, duration_in_words, in_words
from followup.core.workflow import (
    Ask,
    Branch,
    Cap,
    Case,
    Condition,
    Exit,
    Goal,
    Handoff,
    Letter,
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
)

KINDS: Mapping[type[Step], str] = {  # as files write them
    Ask: "ask",
    Send: "send",
    Wait: "wait",
    WaitFor: "wait_for",
    Branch: "branch",
    Split: "split",
    Handoff: "handoff",
    Remember: "remember",
    Start: "start",
    Stop: "stop",
}
JOINERS = "\u200c\u200d"  # invisible, but Persian words and families of emoji fall apart without them
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WHOLE_DAY = "00:00-24:00"
_NAME = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Way:
    """One way through a branch or a split; ``written`` is False for the way that no case of a branch takes."""

    words: str
    do: tuple[Step, ...]
    written: bool = True


def plain(text: str) -> str:
    """Return *text* on one line, without signs that would steer a terminal or break a document."""
    flat = " ".join(text.split())
    return "".join(char if char.isprintable() or char in JOINERS else "\ufffd" for char in flat)


def kind_of(step: Step) -> str:
    """Return the verb with which a file writes *step*."""
    return KINDS[type(step)]


def step_in_words(step: Step) -> str:
    """Return what *step* does, and on which condition; the ways through a branch or a split are not told."""
    when = f", only when {step.when.source}" if step.when else ""
    return plain(_done(step) + when)


def named_in_words(step: Step) -> str:
    """Return what *step* does, after its id where the file has given it one: two steps may send the same letter."""
    match step:
        case Letter():
            usual = step.letter
        case Split():
            usual = step.name
        case Stop():  # where nobody stands
            usual = step.id
        case _:
            usual = kind_of(step)
    of_itself = step.id == usual or step.id.removeprefix(f"{usual}-").isdecimal()  # as authoring.steps_file derives it
    return step_in_words(step) if of_itself else f"{step.id}: {step_in_words(step)}"


def _done(step: Step) -> str:  # noqa: PLR0911 - one answer for each kind
    match step:
        case Wait():
            return _wait(step)
        case Ask():
            return ", ".join([f"ask {step.letter}", *_asking(step), *_by(step)])
        case Send():
            at_any_hour = [f"at any hour: {step.ignore_send_window}"] if step.ignore_send_window else []
            return ", ".join([f"send {step.letter}", *_by(step), *at_any_hour])
        case WaitFor():
            where = f" where {step.where.source}" if step.where else ""
            return f"wait for {step.event}{where}, up to {duration_in_words(step.timeout)}"
        case Branch():
            return "branch"
        case Split():
            return f"split {step.name}"
        case Handoff():
            note = f": {_source(step.note)}" if step.note else ""
            return f"handoff to {step.person}{' (urgent)' if step.urgent else ''}{note}"
        case Remember():
            return "remember " + ", ".join(f"customer.{name} = {_value(value)}" for name, value in step.values.items())
        case Start():
            return f"start {step.workflow}"
        case Stop():
            return f"stop: {step.outcome}"
    raise TypeError(f"{type(step).__name__} is no kind of step")


def _wait(step: Wait) -> str:
    if step.until_field:
        return f"wait until {step.until_field}"
    parts = [duration_in_words(step.duration)] if step.duration.elapsed or step.duration.business_days else []
    if step.until is not None:
        parts.append(f"until {step.until:%H:%M}")
    return f"wait {', then '.join(parts)}"


def _asking(step: Ask) -> Iterator[str]:
    yield f"up to {duration_in_words(step.timeout)}"
    if step.remind_after is not None:
        letter = f" with {step.remind_with}" if step.remind_with else ""
        yield f"reminded after {duration_in_words(step.remind_after)}{letter}"
    if step.reply_in_thread:
        yield "in the thread of the letter before"


def _by(step: Letter) -> list[str]:
    return [f"from {step.sender}"] if step.sender else []


def _value(value: Text | str | int | float | bool) -> str:
    match value:
        case Text():
            return _source(value)
        case bool():
            return "yes" if value else "no"
    return str(value)


def _source(text: Text) -> str:
    """Return *text* as it is written, each name in it as one word: ``{{order.number}}``."""
    return _NAME.sub(r"{{\1}}", text.source)


def ways_through(step: Step) -> tuple[Way, ...]:
    """Return the ways through *step*, in the order of the file; none for a step that has but one."""
    match step:
        case Branch():
            written = tuple(Way(case_in_words(case), case.do) for case in step.cases)
            passed_by = any(case.when is None for case in step.cases)
            return written if passed_by else (*written, Way("none of these", (), written=False))
        case Split():
            whole = sum(variant.weight for variant in step.variants)
            return tuple(Way(variant_in_words(variant, whole), variant.do) for variant in step.variants)
    return ()


def case_in_words(case: Case) -> str:
    """Return when a branch takes *case*."""
    return plain(f"when {case.when.source}") if case.when else "otherwise"


def variant_in_words(variant: Variant, whole: int) -> str:
    """Return the name of *variant*, and its part of the *whole* of all weights."""
    share = f"{100 * variant.weight / whole:.1f}".removesuffix(".0") + "%"
    return f"{variant.name}: {share}" if whole == 100 else f"{variant.name}: {share}, weight {variant.weight}"


def trigger_in_words(trigger: Trigger) -> str:
    """Return what begins a run, and for whom."""
    if trigger.event == "manual":
        return f"by hand, with followup trigger, once per {trigger.per.value}"
    if trigger.after is not None:
        return f"{trigger.event}: nothing heard of them for {in_words(trigger.after)}"
    return f"{trigger.event}, per {trigger.per.value}" + (
        ", a newer one begins anew" if trigger.per is Per.CUSTOMER else ""
    )


def re_entry_in_words(rule: ReEntry) -> str:
    """Return whether somebody who was inside may come in again."""
    if rule.never:
        return "never again"
    return f"again {in_words(rule.after)} after the last letter" if rule.after else "again with every order"


def condition_in_words(condition: Condition) -> str:
    """Return what *condition* asks for, on one line."""
    return plain(condition.source)


def exit_in_words(way_out: Exit) -> str:
    """Return what ends a run wherever it stands, and the outcome it has then."""
    where = f" where {way_out.where.source}" if way_out.where else ""
    label = f', as "{way_out.label}"' if way_out.label else ""
    return plain(f"{way_out.event}{where}{label}")


def window_in_words(window: SendWindow) -> str:
    """Return when letters may leave, and on whose clock."""
    closes = "24:00" if window.closes == time(0) else f"{window.closes:%H:%M}"
    hours = f"{window.opens:%H:%M}-{closes}"
    zone = window.zone.key if window.zone else "the customer's time"
    otherwise = f", else that of {window.fallback_zone.key}" if window.fallback_zone and not window.zone else ""
    return f"{_days(window)}{'' if hours == WHOLE_DAY else f' {hours}'}, {zone}{otherwise}"


def _days(window: SendWindow) -> str:
    if window.business_days:
        return "business days"
    if window.weekdays == frozenset(range(7)):
        return "any day"
    if window.weekdays == frozenset(range(5)):
        return "weekdays"
    return ", ".join(DAYS[day] for day in sorted(window.weekdays)) or "no day"


def cap_in_words(cap: Cap) -> str:
    """Return how many letters a customer gets at most, and what becomes of one more."""
    letters = "1 letter" if cap.count == 1 else f"{cap.count} letters"
    return f"{letters} per {in_words(cap.span)}, or it is {'skipped' if cap.skip else 'postponed'}"


def goal_in_words(goal: Goal) -> str:
    """Return what a workflow wants to see happen, and by when."""
    return f"{goal.event} within {in_words(goal.within)} of coming in"


def holdout_in_words(share: float) -> str:
    """Return how many are held out."""
    return f"{f'{100 * share:.1f}'.removesuffix('.0')}% get nothing, and are measured"


def terms_in_words(workflow: Workflow) -> Iterator[tuple[str, str]]:
    """Yield all that a workflow says beside its title, its status and its steps: what it is about, and the words."""
    if workflow.learn:
        yield "to learn", plain(workflow.learn)
    yield "trigger", trigger_in_words(workflow.trigger)
    for condition in workflow.only_if:
        yield "only if", condition_in_words(condition)
    yield "re-entry", re_entry_in_words(workflow.re_entry)
    for way_out in workflow.exit_on:
        yield "exit", exit_in_words(way_out)
    yield "window", window_in_words(workflow.send_window) if workflow.send_window else "letters leave at any hour"
    yield from _limits(workflow)
    if workflow.holdout:
        yield "holdout", holdout_in_words(workflow.holdout)
    if workflow.goal:
        yield "goal", goal_in_words(workflow.goal)
    yield "owner", workflow.owner
    yield "sender", workflow.sender


def _limits(workflow: Workflow) -> Iterator[tuple[str, str]]:
    if workflow.cap:
        yield "cap", cap_in_words(workflow.cap)
    if workflow.per_day:
        yield "per day", "1 letter" if workflow.per_day == 1 else f"{workflow.per_day:,} letters"
    if workflow.first:
        yield "first", f"{workflow.first:,} letters are read by a person before others leave"
    yield "late", f"a letter may be {in_words(workflow.max_late)} late, and postponed {in_words(workflow.max_postpone)}"
