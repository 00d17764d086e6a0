"""``walk``: one customer across all workflows, from the past into the future."""

import re
import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import click

from followup.cli import moves as told_moves
from followup.cli import output
from followup.cli.deploy import checked_folder, in_flight_option, refusal
from followup.cli.shared import json_option, make_app
from followup.core.feel import LONG, MANY, Feeling, FeelKind

if TYPE_CHECKING:
    from followup.services.moves import Move
    from followup.services.walk import Question, UnderWay, Walk, Way

MOST_DAYS = 400
USUAL_CLOSE = "1 day"
MOST_TOLD = 6  # moves that an answer leads to
MOST_ORDERS = 3  # under way, of which each has a line
MOST_HINTED = 3  # workflows that an arrival may begin
WAITS = frozenset(["opened", "closed", "handoff", "held"])  # that somebody waits for somebody, in whichever run
REACHES = {  # moves worth a word when it is told in short what an answer leads to
    "ask": "asked",
    "send": "sent",
    "remind": "reminded of",
    "held": "held",
    "released": "let go",
    "skipped": "skipped",
    "expired": "expired",
    "cancelled": "withdrawn",
    "handoff": "handed off",
    "opened": "waits for us",
    "closed": "answered by us",
    "entered": "enters",
    "not_entered": "does not enter",
    "remember": "remembered",
    "stop": "stops",
    "ended": "ends",
    "exited": "leaves",
    "blocked": "blocked",
}


class _Days(click.IntRange):
    """A number of days; ``30 days`` and ``30d``, as files write durations, are that too."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"\s*(\d{1,6})\s*(d|days?)?\s*", str(value))
        if found is None:
            self.fail(f"{value!r} is no number of days; write 30, or 30 days", param, ctx)
        days: int = super().convert(int(found[1]), param, ctx)
        return days


@click.command("walk")
@click.argument("email")
@click.option(
    "--days",
    type=_Days(1, MOST_DAYS),
    default=MOST_DAYS,
    show_default=True,
    metavar="N",
    help="Look so many days ahead.",
)
@click.option(
    "--close-after",
    type=told_moves.CloseAfter(),
    default=USUAL_CLOSE,
    show_default=True,
    metavar="DURATION",
    help="When we have answered a customer who waits for us, or never.",
)
@click.option("--folder", is_flag=True, help="Show the future as if the folder, as it stands, were applied now.")
@in_flight_option
@json_option
def walk_command(
    *,
    email: str,
    days: int,
    close_after: timedelta | None,
    folder: bool,
    decisions: Sequence[tuple[str, str]],
    as_json: bool,
) -> None:
    """
    Show what EMAIL has been through and what is to come, in all workflows; nothing is sent or written.

    The future is played by what was applied: it is what comes if they say nothing more and their orders stay as
    they are. Below each question stands what every answer, and a reply in words, would lead to instead. Last comes
    what they would feel of it. With --folder, it is what they would get if you applied the folder now.
    """
    from followup.services.rehearsal import rehearsing
    from followup.services.walk import Folder, walk

    if decisions and not folder:
        raise click.UsageError("--in-flight is about the folder: give --folder too.")
    app = make_app()
    post = rehearsing(app.identity, suppression_key=app.settings.suppression_key.get_secret_value())
    edited = Folder(checked_folder(app, as_json=as_json), dict(decisions)) if folder else None
    with refusal(as_json=as_json):
        walked = walk(
            app.engine,
            email,
            library=app.library,
            post=post,
            now=app.clock.now(),
            days=days,
            close_after=close_after,
            folder=edited,
        )
    if as_json:
        output.document(_document(walked, of_folder=folder))
    else:
        _tell(walked, days, of_folder=folder, assumed=told_moves.assumed(close_after))
        told_moves.tell_assumed(walked.future, close_after)
        if any(_left_out(way, question) for question in walked.questions for way in question.ways):
            command = _command(walked.customer.email, days, close_after, decisions, folder=folder)
            output.hint(f"{command} --json", "all that each answer would lead to")
        _hint_at_arrival(walked.under_way)
    for name in walked.unused:
        output.tell(f"--in-flight {name} does not concern them: the step is not gone, or they do not stand there.")
    if walked.halted is not None:
        output.tell(f"HALTED, no letter leaves: {walked.halted} (followup unhalt)")
    if walked.left:
        output.tell(f"{output.plural(walked.left, 'later question')} are on the way; their answers were not followed")
    if not walked.ended:
        output.tell(f"There is more after {output.plural(days, 'day')}")


def _command(
    email: str, days: int, close_after: timedelta | None, decisions: Sequence[tuple[str, str]], *, folder: bool
) -> str:
    """Return the command that looks at the same once more."""
    from followup.core.schedule import in_words

    words = ["followup", "walk", email]
    words += ["--folder"] * folder
    words += [word for place, how in decisions for word in ("--in-flight", f"{place}={how}")]
    words += ["--days", str(days)] if days != MOST_DAYS else []
    closes = in_words(close_after) if close_after is not None else "never"
    words += ["--close-after", closes] if closes != USUAL_CLOSE else []
    return shlex.join(words)


def _tell(walked: "Walk", days: int, *, of_folder: bool, assumed: str) -> None:
    zone = walked.calendar.zone
    output.say(f"{output.named(walked.customer)}  times in {zone.key}")
    one_order = len({move.order for move in (*walked.past, *walked.future) if move.order}) < 2
    told_moves.tell(walked.past, zone, told_moves.columns(walked.past, one_workflow=False, one_order=one_order))
    applied = f"; from here on as if the folder (bundle {walked.bundle[:12]}) were applied" if of_folder else ""
    output.heading(f"now, {output.local(walked.now, zone)}{applied}")
    to_come = {(move.at, move.workflow, move.order, move.step) for move in walked.future if move.kind == "ask"}
    if any(question.ways for question in walked.questions):
        output.say(
            "Below each question stands what an answer would lead to that silence would not. The answer is assumed to"
            " come a day later, or half-way to the end of the wait for it if that is sooner."
        )
    waiting = [one for one in walked.questions if _place(one) not in to_come]
    for question in waiting:
        asked = question.asked
        about = f" (order {asked.order})" if asked.order and not one_order else ""
        output.say(f"{asked.letter}{about} waits for an answer since {output.local(asked.asked_at, zone)}")
        _tell_ways(question, zone, days)
    if not walked.future:
        within = "" if walked.ended else f" within {output.plural(days, 'day')}"
        output.say(f"As things stand, nothing is to come{within}.")
    coming = {_place(one): one for one in walked.questions}
    known = told_moves.columns(walked.future, one_workflow=False, one_order=one_order)
    for move in walked.future:
        told_moves.tell([move], zone, known, assumed=assumed)
        question_at = coming.get((move.at, move.workflow, move.order, move.step))
        if move.kind == "ask" and question_at is not None:
            _tell_ways(question_at, zone, days)
    _tell_orders(walked.under_way)
    _tell_suppressed(walked, zone)
    output.heading("what they would feel")
    if not walked.feelings:
        output.say(_unfelt(walked, days))
    for feeling in walked.feelings:
        output.say(_felt(feeling, zone))


def _place(question: "Question") -> tuple[datetime, str | None, str | None, str | None]:
    """Return where among the moves the question is asked."""
    asked = question.asked
    return asked.asked_at, asked.workflow, asked.order, asked.step


def _tell_orders(under_way: "Sequence[UnderWay]") -> None:
    """Say which orders have not arrived, the newest first."""
    for order in under_way[: -MOST_ORDERS - 1 : -1]:
        output.say(f"Order {order.number} has not {'arrived' if order.is_shipped else 'been shipped'} yet.")
    if (more := len(under_way) - MOST_ORDERS) > 0:
        have = "has" if more == 1 else "have"
        output.say(f"{output.plural(more, 'older order')} {have} not arrived either.")


def _hint_at_arrival(under_way: "Sequence[UnderWay]") -> None:
    """Say how to see what the newest order's way to the customer would begin."""
    for newest in [one for one in under_way if not one.is_shared][-1:]:
        for event, name in newest.listening[:MOST_HINTED]:
            output.hint(f"followup simulate {name} --order {shlex.quote(newest.number)}", f"what comes of {event}")
        if (more := len(newest.listening) - MOST_HINTED) > 0:
            output.tell(f"  … and so for {output.plural(more, 'workflow')} more")


def _tell_suppressed(walked: "Walk", zone: tzinfo) -> None:
    """Say which letters do not go to them, whatever comes."""
    for one in walked.suppressed:
        which = "No letter goes to them at all" if one.scope == "all" else f"No letter of {one.scope} goes to them"
        output.say(f"{which}, since {output.local(one.at, zone)}: {one.reason}")


def _unfelt(walked: "Walk", days: int) -> str:
    """Return that nothing stands out, within which days, and what would have."""
    if not walked.future:
        return "Nothing, as nothing is to come."
    until = "to the end" if walked.ended else f"within {output.plural(days, 'day')}"
    return (
        f"Nothing stands out {until}: no {LONG.days} days without contact, no {MANY} letters in a row without a word"
        " from them, no 2 letters on one day, no question twice, no letter at an odd hour."
    )


def _tell_ways(question: "Question", zone: tzinfo, days: int) -> None:
    names = [_response(way) for way in question.ways]
    width = max(map(len, names), default=0)
    for name, way in zip(names, question.ways, strict=True):
        output.entry(f"    {name:<{width}}  ", _in_short(way, question, zone, days))


def _response(way: "Way") -> str:
    from followup.services.simulate import Kind

    return f"if {way.response.text}" if way.response.kind is Kind.ANSWER else "if a reply"


def _in_short(way: "Way", question: "Question", zone: tzinfo, days: int) -> str:
    """Return what a response leads to where it was asked, and who then waits for whom; of the rest, how much it is."""
    told = [_told(move, question, zone) for move in _nearest(way, question)]
    if left := _left_out(way, question):
        told.append(f"and {left:,} more")
    within = output.plural(days, "day")
    if not told:
        told.append("nothing else" if way.ended else f"nothing else within {within}")
    if not way.ended:
        told.append(f"more comes after {within}")
    return "; ".join(told)


def _nearest(way: "Way", question: "Question") -> "list[Move]":
    asked = question.asked
    own = [
        move
        for move in way.moves
        if move.kind in REACHES and (move.kind in WAITS or (move.workflow, move.order) == (asked.workflow, asked.order))
    ]
    return own[:MOST_TOLD]


def _left_out(way: "Way", question: "Question") -> int:
    """Return how many moves are not told, of those that are worth a word."""
    return sum(move.kind in REACHES for move in way.moves) - len(_nearest(way, question))


def _told(move: "Move", question: "Question", zone: tzinfo) -> str:
    other = f" (order {move.order})" if move.order and move.order != question.asked.order else ""
    return f"{_day(move, zone)} {_what(move)}{other}"


def _day(move: "Move", zone: tzinfo) -> str:
    here = move.at.astimezone(zone)
    return f"{here:%a} {here.day} {here:%b}"


def _what(move: "Move") -> str:
    word = REACHES[move.kind]
    if move.kind in {"stop", "ended", "exited"}:
        return f"{move.workflow} {word}: {move.reason}"
    if move.kind in {"entered", "not_entered"}:
        return f"{word} {move.workflow}"
    if move.kind in {"handoff", "remember"}:
        return f"{word} {move.reason}"
    return word if move.kind in {"opened", "closed"} else f"{word} {move.letter or move.step or ''}".strip()


def _felt(feeling: Feeling, zone: tzinfo) -> str:
    since, until = output.local(feeling.since, zone), output.local(feeling.until, zone)
    days = round(feeling.days)
    match feeling.kind:
        case FeelKind.GAP:
            return f"{output.plural(days, 'day')} without any contact, from {since} to {until}"
        case FeelKind.UNANSWERED:
            named = ", ".join(feeling.letters)
            return f"{len(feeling.letters)} letters in {output.plural(days, 'day')} without a word from them: {named}"
        case FeelKind.ASKED_AGAIN:
            times = f"{len(feeling.letters)} times" if len(feeling.letters) > 2 else "twice"
            return f"asked {times} by {feeling.letters[0]}, on {since} and last on {until}"
        case FeelKind.ODD_HOUR:
            come = "comes" if len(feeling.letters) == 1 else "come"
            return f"{', '.join(feeling.letters)} {come} at an odd hour, on {since}"
        case FeelKind.SAME_DAY:
            return f"{len(feeling.letters)} letters on one day, {since[:15]}: {', '.join(feeling.letters)}"


def _document(walked: "Walk", *, of_folder: bool) -> dict[str, object]:
    return {
        "customer": walked.customer.email,
        "timezone": walked.calendar.zone.key,
        "now": walked.now,
        "past": [told_moves.document(move) for move in walked.past],
        "future": [told_moves.document(move) for move in walked.future],
        "answers": [
            {
                "workflow": question.asked.workflow,
                "order": question.asked.order,
                "step": question.asked.step,
                "letter": question.asked.letter,
                "asked_at": question.asked.asked_at,
                "answered_at": question.asked.answered_at,
                "response": str(way.response),
                "leads_to": [told_moves.document(move) for move in way.moves],
            }
            for question in walked.questions
            for way in question.ways
        ],
        "feel": [
            {
                "kind": one.kind.value,
                "since": one.since,
                "until": one.until,
                "letters": list(one.letters),
            }
            for one in walked.feelings
        ],
        "under_way": [
            {
                "order": one.number,
                "shipped": one.is_shipped,
                "listening": [{"event": event, "workflow": name} for event, name in one.listening],
            }
            for one in walked.under_way
        ],
        "suppressed": [
            {"scope": one.scope, "reason": one.reason, "source": one.source, "since": one.at}
            for one in walked.suppressed
        ],
        "ended": walked.ended,
        "bundle": walked.bundle,
        "folder": of_folder,
    }
