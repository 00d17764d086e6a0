"""``walk``: one customer across all workflows, from the past into the future."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

import click

from followup.cli import moves as told_moves
from followup.cli import output
from followup.cli.deploy import checked_folder, in_flight_option, refusal
from followup.cli.shared import json_option, make_app
from followup.core.feel import Feeling, FeelKind

if TYPE_CHECKING:
    from followup.services.moves import Move
    from followup.services.walk import Question, Walk, Way

MOST_DAYS = 400
MOST_TOLD = 6  # moves that an answer leads to
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


@click.command("walk")
@click.argument("email")
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    default=MOST_DAYS,
    show_default=True,
    metavar="N",
    help="Look so many days ahead.",
)
@click.option(
    "--close-after",
    type=told_moves.CloseAfter(),
    default="1 day",
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
        _tell(walked, of_folder=folder, assumed=told_moves.assumed(close_after))
        told_moves.tell_assumed(walked.future, close_after)
        _tell_rest(walked)
    for name in walked.unused:
        output.tell(f"--in-flight {name} does not concern them: the step is not gone, or they do not stand there.")
    if walked.halted is not None:
        output.tell(f"HALTED, no letter leaves: {walked.halted} (followup unhalt)")
    if walked.left:
        output.tell(f"{output.plural(walked.left, 'later question')} are on the way; their answers were not followed")
    if not walked.ended:
        output.tell(f"There is more after {output.plural(days, 'day')}")


def _tell(walked: "Walk", *, of_folder: bool, assumed: str) -> None:
    zone = walked.calendar.zone
    output.say(f"{output.named(walked.customer)}  times in {zone.key}")
    one_order = len({move.order for move in (*walked.past, *walked.future) if move.order}) < 2
    told_moves.tell(walked.past, zone, told_moves.columns(walked.past, one_workflow=False, one_order=one_order))
    applied = f"; from here on as if the folder (bundle {walked.bundle[:12]}) were applied" if of_folder else ""
    output.heading(f"now, {output.local(walked.now, zone)}{applied}")
    to_come = {(move.at, move.workflow, move.order, move.step) for move in walked.future if move.kind == "ask"}
    waiting = [one for one in walked.questions if _place(one) not in to_come]
    for question in waiting:
        asked = question.asked
        about = f" (order {asked.order})" if asked.order and not one_order else ""
        output.say(f"{asked.letter}{about} waits for an answer since {output.local(asked.asked_at, zone)}")
        _tell_ways(question, zone)
    if not walked.future:
        output.say("Nothing is to come." if walked.ended else "Nothing is to come in these days.")
    coming = {_place(one): one for one in walked.questions}
    known = told_moves.columns(walked.future, one_workflow=False, one_order=one_order)
    for move in walked.future:
        told_moves.tell([move], zone, known, assumed=assumed)
        question_at = coming.get((move.at, move.workflow, move.order, move.step))
        if move.kind == "ask" and question_at is not None:
            _tell_ways(question_at, zone)
    output.heading("what they would feel")
    if not walked.feelings:
        output.say("Nothing stands out: no long silence, no letters in a row, no question twice.")
    for feeling in walked.feelings:
        output.say(_felt(feeling, zone))


def _place(question: "Question") -> tuple[datetime, str | None, str | None, str | None]:
    """Return where among the moves the question is asked."""
    asked = question.asked
    return asked.asked_at, asked.workflow, asked.order, asked.step


def _tell_ways(question: "Question", zone: tzinfo) -> None:
    names = [_response(way) for way in question.ways]
    width = max(map(len, names), default=0)
    for name, way in zip(names, question.ways, strict=True):
        output.entry(f"    {name:<{width}}  ", _in_short(way, question, zone))


def _response(way: "Way") -> str:
    from followup.services.simulate import Kind

    return f"if {way.response.text}" if way.response.kind is Kind.ANSWER else "if a reply"


def _in_short(way: "Way", question: "Question", zone: tzinfo) -> str:
    """Return what a response leads to where it was asked, and who then waits for whom; … stands for the rest."""
    told = [_told(move, question, zone) for move in _nearest(way, question)]
    if _is_folded(way, question):
        told.append("…")
    elif not way.ended:
        told.append("more after that" if told else "nothing else in these days, more after that")
    return "; ".join(told) or "nothing else"


def _nearest(way: "Way", question: "Question") -> "list[Move]":
    asked = question.asked
    own = [
        move
        for move in way.moves
        if move.kind in REACHES and (move.kind in WAITS or (move.workflow, move.order) == (asked.workflow, asked.order))
    ]
    return own[:MOST_TOLD]


def _is_folded(way: "Way", question: "Question") -> bool:
    return sum(move.kind in REACHES for move in way.moves) > len(_nearest(way, question))


def _told(move: "Move", question: "Question", zone: tzinfo) -> str:
    other = f" (order {move.order})" if move.order and move.order != question.asked.order else ""
    return f"{_day(move, zone)} {_what(move)}{other}"


def _tell_rest(walked: "Walk") -> None:
    """Say how to see all that was left out below questions."""
    if any(_is_folded(way, question) for question in walked.questions for way in question.ways):
        output.hint(f"followup walk {walked.customer.email} --json", "all that each answer leads to, also after …")


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
    return f"{word} {move.letter or ''}".strip() if move.kind not in {"opened", "closed"} else word


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
        "ended": walked.ended,
        "bundle": walked.bundle,
        "folder": of_folder,
    }
