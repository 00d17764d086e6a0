"""``pause``, ``resume``, ``archive``: one workflow stands still, goes on, or ends."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

import click

from followup.cli import completion, output
from followup.cli.shared import (
    dry_run_option,
    json_option,
    make_app,
    switch_document,
    tell_first_letters,
    yes_option,
)

if TYPE_CHECKING:
    from datetime import tzinfo

    from followup.app import App
    from followup.services.preview import Foreseen, Preview
    from followup.services.switch import Inside, Paused

NAMED = 3  # customers of each group of letters

DOES = {  # fate: what one letter does, and what several do
    "leaves": ("leaves at once", "leave at once"),
    "later": ("leaves later", "leave later"),
    "waits": ("waits for its sender", "wait for their sender"),
    "held": ("stays held", "stay held"),
    "skipped": ("is skipped", "are skipped"),
    "expired": ("expires", "expire"),
    "cancelled": ("is cancelled", "are cancelled"),
    "unknown": ("is in doubt", "are in doubt"),
}


@click.command("pause")
@click.argument("workflow", shell_complete=completion.workflows)
@click.option("--reason", default="an operator paused it", help="Shown wherever the pause is.")
@json_option
def pause_command(workflow: str, reason: str, as_json: bool) -> None:
    """
    Pause WORKFLOW until followup resume, whatever is applied.

    Nobody comes in. People inside wait: letters that fall due are held, reminders are left out, waits and
    timeouts go on.
    """
    from followup.services import switch

    app = make_app()
    paused = switch.pause(app.engine, workflow, reason, library=app.library, clock=app.clock)
    if as_json:
        output.document(
            switch_document(workflow, paused.switch)
            | {
                "changed": paused.changed,
                "in_file": paused.in_file,
                "inside": paused.inside.runs,
                "due": paused.due,
                "due_later": paused.due_later,
                "held": paused.held,
            }
        )
        return
    _tell_paused(app, workflow, paused)


def _tell_paused(app: "App", workflow: str, paused: "Paused") -> None:
    status, in_file = paused.switch.status.value, paused.in_file
    if not paused.changed:
        since = output.local(paused.switch.since, app.clock.now().tzinfo)
        output.say(f"{workflow} is {status} already, since {since}: {paused.switch.reason}")
    elif in_file is not None and in_file.value == status:
        output.say(f"{workflow} is paused already, by its file; now it stays so whatever is applied.")
    else:
        output.say(f"{workflow} is paused: nobody comes in, and its letters wait.")
    inside = "1 run is inside" if paused.inside.runs == 1 else f"{paused.inside.runs:,} runs are inside"
    output.say(f"{inside}; letters: {paused.due:,} due by now, {paused.due_later:,} due later, {paused.held:,} held.")
    output.hint(f"followup resume {workflow}", "shows what would leave, and lets it go on")


@click.command("resume")
@click.argument("workflow", shell_complete=completion.workflows)
@dry_run_option
@yes_option
@json_option
def resume_command(workflow: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """
    Let a paused or archived WORKFLOW go on.

    First it says what would become of the letters that are held, or due by now, by asking every gate, and asks
    whether to go on. Where nobody can be asked it does nothing without --yes, unless no letter waits.
    Runs that ended when a workflow was archived stay so.
    """
    from followup.services import preview, switch

    app = make_app()
    key = app.settings.suppression_key.get_secret_value()
    foreseen = preview.foresee(app.engine, workflow, library=app.library, suppression_key=key, clock=app.clock)
    if foreseen is None:
        if as_json:
            output.document({"workflow": workflow, "resumed": False, "released": 0, "preview": None})
        else:
            output.say(f"{workflow} is neither paused nor archived.")
        return
    if not as_json:
        _tell_preview(app, workflow, foreseen)
    go = not dry_run and output.confirm(_consequence(foreseen), yes=yes or not foreseen.letters)
    resumed = switch.resume(app.engine, workflow, library=app.library, clock=app.clock) if go else None
    released = resumed.released if resumed else 0
    if as_json:
        document = _as_document(foreseen)
        output.document({"workflow": workflow, "resumed": go, "released": released, "preview": document})
    elif dry_run:
        output.tell("Nothing was done.")
    elif go:
        output.say(f"{workflow} goes on; {_held(released)}.")
        tell_first_letters({workflow: resumed.first} if resumed and resumed.first else {})
        output.hint("followup worker --once", "do what is due now")
    if not go and not dry_run:
        raise click.exceptions.Exit(1)


def _consequence(foreseen: "Preview") -> str:
    leaving = sum(one.fate.value == "leaves" for one in foreseen.letters)
    return f"{output.plural(leaving, 'letter')} would leave at once."


def _held(released: int) -> str:
    if not released:
        return "no letter was held for it"
    return f"{output.plural(released, 'held letter')} {'is' if released == 1 else 'are'} due again"


def _tell_preview(app: "App", workflow: str, foreseen: "Preview") -> None:
    from followup.services.preview import Fate

    zone, switched = app.clock.now().tzinfo, foreseen.switch
    since = output.local(switched.since, zone)
    output.entry("", f"{workflow} is {switched.status.value} since {since}: {switched.reason}")
    if not foreseen.letters:
        output.say("No letter of it is held, or due by now.")
    else:
        output.say(f"If it goes on now, of {output.plural(len(foreseen.letters), 'letter')} held, or due by now:")
    rows = []
    for fate, reason, letters in foreseen.groups():
        does = DOES[fate.value][len(letters) > 1] + (_when(letters, zone) if fate is Fate.LATER else "")
        output.entry(f"{len(letters):>7,}  ", f"{does}: {reason}" if reason else does)
        rows += [_row(one) for one in islice(letters, NAMED)]
    moving = foreseen.moving_on
    if moving:
        output.say(f"and {output.plural(moving, 'run')} {'moves' if moving == 1 else 'move'} on at once.")
    if later := foreseen.due_later:
        output.say(f"{output.plural(later, 'letter')} {'is' if later == 1 else 'are'} due later, and not among these.")
    if rows:
        output.say()
        output.table(("customer", "order", "letter", "what", "why"), rows)
    if (more := len(foreseen.letters) - len(rows)) > 0:
        output.tell(f"… and {output.plural(more, 'letter')} more; --json has all of them.")
    if foreseen.unseen:
        output.tell(
            f"Of {output.plural(foreseen.unseen, 'newer letter')} nobody can say: so many at once are not tried."
        )
    if app.settings.sender_per_minute:
        output.tell(f"Of each sender {output.plural(app.settings.sender_per_minute, 'letter')} a minute leave at most.")


def _when(letters: "Sequence[Foreseen]", zone: "tzinfo | None") -> str:
    moments = sorted(one.at for one in letters if one.at is not None)
    first, last = output.local(moments[0], zone), output.local(moments[-1], zone)
    return f", {first}" if first == last else f", {first} to {last}"


def _row(one: "Foreseen") -> tuple[str, str, str, str, str]:
    from followup import calendars

    why = one.reason
    if one.at is not None:
        why = f"{output.local(one.at, calendars.zone(one.timezone) or calendars.UTC)}, {one.reason}"
    return one.email or "–", one.order or "–", one.letter, one.fate.value, why


def _as_document(foreseen: "Preview") -> dict[str, object]:
    counts: dict[str, int] = {}
    for one in foreseen.letters:
        counts[one.fate.value] = counts.get(one.fate.value, 0) + 1
    return {
        "status": foreseen.switch.status.value,
        "since": foreseen.switch.since,
        "reason": foreseen.switch.reason,
        "counts": counts,
        "unseen": foreseen.unseen,
        "moving_on": foreseen.moving_on,
        "first": foreseen.first,
        "due_later": foreseen.due_later,
        "letters": [asdict(one) for one in foreseen.letters],
    }


@click.command("archive")
@click.argument("workflow", shell_complete=completion.workflows)
@click.option("--reason", default="an operator archived it", help="Shown wherever the workflow is.")
@yes_option
@json_option
def archive_command(workflow: str, reason: str, yes: bool, as_json: bool) -> None:
    """
    End WORKFLOW: nobody comes in any more, and every run in it ends.

    What has not left is cancelled. Letters on their way settle as ever, and answers to earlier questions
    still come onto the record. First it says who is inside, and asks whether to go on.
    """
    from followup.services import switch

    app = make_app()
    inside = switch.inside(app.engine, workflow, library=app.library)
    if not as_json:
        _tell_inside(workflow, inside)
    what = f"{_ends(inside.runs)}, and what has not left is cancelled." if inside.runs else "Nobody comes in any more."
    if not output.confirm(what, yes=yes):
        raise click.exceptions.Exit(1)
    archived = switch.archive(app.engine, workflow, reason, library=app.library, clock=app.clock)
    if as_json:
        output.document(
            switch_document(workflow, archived.switch)
            | {"changed": archived.changed, "inside": inside.steps, "held_out": inside.held_out}
            | {"ended": archived.ended}
        )
        return
    already = "" if archived.changed else " already"
    output.say(f"{workflow} is archived{already}; {output.plural(archived.ended, 'run')} ended.")
    output.hint(f"followup resume {workflow}", "take people in again; what ended stays ended")


def _ends(runs: int) -> str:
    return "1 run ends" if runs == 1 else f"{runs:,} runs end"


def _tell_inside(workflow: str, inside: "Inside") -> None:
    if not inside.runs:
        output.say(f"Nobody is inside {workflow}.")
        return
    output.say(f"{output.plural(inside.runs, 'run')} {'is' if inside.runs == 1 else 'are'} inside {workflow}:")
    for step, runs in inside.steps.items():
        output.say(f"{runs:>7,}  at {step}")
    if inside.held_out:
        output.say(f"{inside.held_out:>7,}  held out, and only measured")
