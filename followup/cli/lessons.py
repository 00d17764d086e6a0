"""``report``: what a workflow has taught us."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from followup.cli import completion, figures, output
from followup.cli.shared import Moment, json_option, make_app
from followup.core.comparison import FEWEST, Comparison, Conclusion
from followup.core.message import MessageState
from followup.core.replies import MailKind
from followup.core.schedule import in_words

if TYPE_CHECKING:
    from followup.core.lessons import (
        Answers,
        Entries,
        GoalLesson,
        Group,
        Lessons,
        LetterLesson,
        SplitLesson,
        Unsent,
    )

MOST_REASONS = 6  # on the screen; --json has all
KINDS: Mapping[str, tuple[str, str]] = {
    MailKind.HUMAN: ("mail by a person", "mails by people"),
    MailKind.AUTO_REPLY: ("automatic reply", "automatic replies"),
    MailKind.UNSUBSCRIBE: ("mail to our address for no more mail", "mails to our address for no more mail"),
}
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@click.command("report")
@click.argument("workflow", shell_complete=completion.workflows)
@click.option("--since", metavar="DATE", type=Moment(), help="Only runs that came in since DATE (ISO, UTC).")
@click.option("--until", metavar="DATE", type=Moment(), help="Only runs that came in before DATE.")
@json_option
def report_command(workflow: str, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """
    Show what WORKFLOW has taught us.

    Who came in and who did not, what they were asked and answered, what was not sent and why; and whether
    those who were let in reach the goal more often than those held out. A customer who came in twice counts
    twice.
    """
    from followup.services import lessons
    from followup.store.lessons import Cohort

    app = make_app()
    learned = lessons.of_workflow(app.engine, Cohort(workflow, since, until), library=app.library, clock=app.clock)
    if as_json:
        output.document(figures.as_document(learned))
        return
    tell(learned)
    output.tell("\nEach share is of the line that it is indented under.")
    if learned.replies.get(MailKind.HUMAN):
        output.hint("followup replies list --kind human", "what they wrote")
    if learned.waiting is not None:
        output.hint("followup conversations list", "who waits for us")


def tell(learned: "Lessons") -> None:
    """Print what was learned, in the order in which somebody would ask for it."""
    _tell_what(learned)
    _tell_entries(learned.entries)
    for one in learned.letters:
        _tell_letter(one)
    for split in learned.splits:
        _tell_split(split)
    _tell_replies(learned)
    if learned.goal is not None:
        _tell_goal(learned.goal)


def _tell_what(learned: "Lessons") -> None:
    status = learned.status.value if learned.status else "no longer applied"
    output.say(f"{learned.workflow}: {learned.title} ({status})")
    if learned.learn:
        output.entry("To find out: ", learned.learn)
    bounds = [("since", learned.since), ("before", learned.until)]
    given = [f"{word} {output.local(moment, UTC)}" for word, moment in bounds if moment]
    if given:
        output.entry("Only runs that came in ", " and ".join(given))


def _tell_entries(entries: "Entries") -> None:
    output.heading("Who came in")
    if not entries.runs:
        output.say("Nobody yet.")
    else:
        twice = entries.customers < entries.runs
        whose = f" ({output.plural(entries.customers, 'customer')}; each time counts)" if twice else ""
        _line(entries.runs, f"came in{whose}")
        if entries.held_out:
            _line(entries.let_in, "let in", of=entries.runs, depth=1)
            _line(entries.held_out, "held out: they get nothing, and are measured", of=entries.runs, depth=1)
        _tell_parts("inside now", {f"at {step}": runs for step, runs in entries.inside.items()})
        _tell_parts("ended", entries.ended)
    reasons = {reason.removeprefix("entry: "): number for reason, number in entries.not_let_in.items()}
    _tell_parts("not let in", reasons)


def _tell_parts(whole: str, parts: Mapping[str, int]) -> None:
    """Print *whole* and what it is made of, largest first; nothing if there is nothing."""
    total = sum(parts.values())
    if not total:
        return
    _line(total, whole)
    shown = list(parts.items())
    if len(shown) > MOST_REASONS:
        rest = shown[MOST_REASONS - 1 :]
        shown = [*shown[: MOST_REASONS - 1], (f"{len(rest)} other reasons", sum(number for _, number in rest))]
    for part, number in shown:
        _line(number, part, of=total, depth=1)


def _line(number: int, text: str, *, of: int | None = None, depth: int = 0) -> None:
    share = _percent(number, of) if of else ""
    output.entry(f"{number:>7,} {share:>5}  {'  ' * depth}", text)


def _percent(number: int, of: int) -> str:
    """Return a share in whole percent; what is not none, or not all, does not look so."""
    rounded = int(100 * number / of + 0.5)
    if number and not rounded:
        return "<1%"
    return ">99%" if rounded == 100 and number < of else f"{rounded}%"


def _tell_letter(lesson: "LetterLesson") -> None:
    answers = lesson.answers
    name = lesson.step if lesson.step.replace("_", "-") == lesson.letter else f"{lesson.step}, letter {lesson.letter}"
    about = f"{output.quoted(answers.question)} ({name})" if answers and answers.question else name
    output.heading(("Asked: " if answers else "Sent: ") + about)
    if not lesson.in_file:
        output.say("Only earlier versions of the workflow have this step.")
    verb = "asked" if answers else "sent"
    if not (lesson.sent or lesson.not_sent or lesson.to_come):
        output.say(f"Nobody was {verb} this yet." if answers else "Sent to nobody yet.")
        return
    _line(lesson.sent, verb)
    if answers and lesson.sent:
        _tell_answers(answers, lesson.sent)
    _tell_parts(f"not {verb}", {_why(one): one.runs for one in lesson.not_sent})
    _tell_parts("still to come", {_why(one): one.runs for one in lesson.to_come})


def _why(unsent: "Unsent") -> str:
    if unsent.state is MessageState.DUE:
        return "on their way"
    return f"{unsent.state.value}: {unsent.reason}" if unsent.reason else unsent.state.value


def _tell_answers(answers: "Answers", asked: int) -> None:
    quick = f", half of them within {_about(answers.median)}" if answers.median is not None else ""
    _line(answers.answered, f"answered{quick}", of=asked, depth=1)
    _tell_choices(answers, depth=2)
    if answers.wrote:
        chose_none = f", {answers.only_wrote:,} of them without choosing" if answers.only_wrote < answers.wrote else ""
        _line(answers.wrote, f"wrote in their own words{chose_none}", of=answers.answered, depth=2)
    _line(answers.silent, "silent", of=asked, depth=1)
    if answers.waiting:
        _line(answers.waiting, "may still answer in time", of=asked, depth=1)
    if answers.left:
        _line(answers.left, "ended before an answer", of=asked, depth=1)
    if answers.reminded:
        _line(answers.reminded, "reminded", of=asked, depth=1)
        _line(answers.after_reminder, "answered only after that", of=answers.reminded, depth=2)


def _tell_choices(answers: "Answers", depth: int) -> None:
    if answers.choices and answers.answered:
        _line(answers.chose, "chose an answer", of=answers.answered, depth=depth)
        for one in answers.choices:
            _line(one.runs, f"{one.label} ({one.answer})", of=answers.chose, depth=depth + 1)


def _about(span: timedelta) -> str:
    """Return roughly how long *span* is."""
    if span < 2 * HOUR:
        return output.plural(max(1, round(span / MINUTE)), "minute")
    return output.plural(round(span / HOUR), "hour") if span < 2 * DAY else output.plural(round(span / DAY), "day")


def _tell_split(split: "SplitLesson") -> None:
    output.heading(f"Split: {split.name}")
    asked = Counter(step for variant in split.variants for step, answers in variant.asks.items() if answers.asked)
    for variant in split.variants:
        answered = variant.answered
        _line(answered.of, f"took {variant.name}")
        if answered.of:
            between = f"95% interval: {100 * answered.interval.low:.0f} to {100 * answered.interval.high:.0f}%"
            _line(answered.did, f"answered a question since ({between})", of=answered.of, depth=1)
        for step, answers in variant.asks.items():
            if answers.asked and asked[step] > 1:  # else it is told above
                _line(answers.asked, f"asked at {step}", of=answered.of, depth=1)
                _line(answers.answered, "answered", of=answers.asked, depth=2)
                _tell_choices(answers, depth=3)
    if split.comparison is not None:
        first, second = (f"who took {variant.name}" for variant in split.variants)
        output.entry("", _concluded(split.comparison, first, second, "answered"))


def _tell_replies(learned: "Lessons") -> None:
    if not learned.replies and learned.waiting is None:
        return
    output.heading("What came back")
    for kind, number in learned.replies.items():
        _line(number, KINDS.get(kind, (kind, f"{kind}s"))[number != 1])
    if learned.waiting is not None:
        from followup import calendars

        waiting = learned.waiting
        one = waiting.customers == 1
        since = output.local(waiting.since, calendars.zone(waiting.timezone) or calendars.UTC)
        who = "customer who came in waits" if one else "customers who came in wait"
        _line(waiting.customers, f"{who} for an answer from us, on any matter")
        output.entry(" " * 15, f"{'' if one else 'the longest '}since {since}")


def _tell_goal(goal: "GoalLesson") -> None:
    within = in_words(goal.within)
    output.heading(f"Goal: {goal.event} within {within} of coming in")
    rows = [_group("let in", goal.let_in)]
    if goal.anybody_held_out:
        rows.append(_group("held out", goal.held_out))
    compared = goal.comparison
    if compared.difference is not None:
        low, high = 100 * compared.interval.low, 100 * compared.interval.high
        points = f"{low:+.1f} to {high:+.1f} points"
        rows.append(("difference", "", "", f"{100 * compared.difference:+6.1f}", points))
    output.table(("", "  runs", "reached", " share", "95% interval"), rows)
    for sentence in _said_of(goal, within):
        output.entry("", sentence)


def _group(name: str, group: "Group") -> tuple[str, str, str, str, str]:
    reached = group.reached
    numbers = name, f"{reached.of:>6,}", f"{reached.did:>7,}"
    if reached.value is None:
        return *numbers, "     –", "–"
    low, high = 100 * reached.interval.low, 100 * reached.interval.high
    return *numbers, f"{100 * reached.value:>5.1f}%", f"{low:.1f} to {high:.1f}%"


def _said_of(goal: "GoalLesson", within: str) -> Iterator[str]:
    """Yield what can be concluded, and what the figures leave out."""
    if goal.anybody_held_out:
        yield _concluded(goal.comparison, "let in", "held out", "reached the goal")
    else:
        yield "Nobody was held out: what they would have done by themselves is not known."
    young = goal.let_in.too_young + goal.held_out.too_young
    if young:
        came = "1 run that came in" if young == 1 else f"{young:,} runs that came in"
        held_out = f" ({goal.held_out.too_young:,} held out)" if goal.anybody_held_out else ""
        yield f"Not counted yet: {came} less than {within} ago{held_out}."
    if goal.not_compared:
        yield f"Not compared: {output.plural(goal.not_compared, 'run')} from when nobody was held out."
    for name, group in (("let in", goal.let_in), ("held out", goal.held_out)):
        if group.customers < group.reached.of:
            whose = f"The {group.reached.of:,} runs {name} are of {output.plural(group.customers, 'customer')}"
            yield f"{whose}: each counts, and the intervals are a little too narrow."


def _concluded(comparison: Comparison, ours: str, others: str, did: str) -> str:
    """Return what can be said, in a sentence: never who does better while it may be chance."""
    low, high = 100 * comparison.interval.low, 100 * comparison.interval.high
    match comparison.conclusion:
        case Conclusion.NOTHING:
            return "Nothing to compare yet: one side is empty."
        case Conclusion.TOO_FEW:
            return f"Too few to tell: it takes {FEWEST} runs on each side at least."
        case Conclusion.CANNOT_TELL:
            return f"Cannot tell yet: of those {ours} it may be {-low:.1f} points fewer, or {high:.1f} points more."
        case Conclusion.MORE:
            return f"More of those {ours} than of those {others} {did}: by {low:.1f} to {high:.1f} points."
        case Conclusion.LESS:
            return f"Fewer of those {ours} than of those {others} {did}: by {-high:.1f} to {-low:.1f} points."
