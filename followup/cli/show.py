"""``show``: one workflow as a picture, with the people inside."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from followup.cli import completion, output
from followup.cli.outline import ASCII, UNICODE, outline
from followup.cli.shared import json_option, make_app, switch_document
from followup.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from followup.app import App
    from followup.authoring.drawing.picture import Picture
    from followup.core.workflow import Step
    from followup.services.look import Looked

ABOUT = 11  # cells for the word before each line above the tree


@click.command("show")
@click.argument("workflow", shell_complete=completion.workflows)
@click.option("--mermaid", is_flag=True, help="Print a Mermaid flowchart.")
@click.option("--svg", is_flag=True, help="Print an SVG document, for any browser.")
@json_option
def show_command(workflow: str, *, mermaid: bool, svg: bool, as_json: bool) -> None:
    """
    Draw WORKFLOW: its steps, and how many people stand at each.

    What runs is drawn; a workflow that was not applied yet, as the project folder has it; one that was deleted, as
    the people inside finish it.

    \b
    followup show arrived --svg > arrived.svg
    """
    from followup.services.look import look

    if mermaid + svg + as_json > 1:
        raise click.UsageError("Give one of --mermaid, --svg and --json.")
    app = make_app()
    engine, why_not = _engine(app)
    looked = look(engine, workflow, project=app.settings.project, library=app.library)
    if as_json:
        output.document(_as_document(looked))
    elif svg:
        _print_svg(looked.picture)
    elif mermaid:
        from followup.authoring.drawing.mermaid import as_mermaid

        output.verbatim(as_mermaid(looked.picture).rstrip())
    else:
        _tell(app, looked)
    _remark(looked, why_not)


def _engine(app: "App") -> "tuple[Engine | None, str]":
    """Return the database if there is one to ask, or why there is none."""
    try:
        return app.engine, ""
    except ConfigurationError as error:
        return None, str(error)


def _print_svg(picture: "Picture") -> None:
    from followup.authoring.drawing.svg import as_svg

    text = as_svg(picture).rstrip()
    output.verbatim(text if output.speaks_unicode() else text.encode("ascii", "xmlcharrefreplace").decode())


def _tell(app: "App", looked: "Looked") -> None:
    from followup.authoring.in_words import terms_in_words
    from followup.services.look import Folder

    picture, workflow = looked.picture, looked.workflow
    output.entry("", picture.title)
    status = "deleted" if looked.folder is Folder.DELETED else workflow.status.value
    if looked.switch:
        since = output.local(looked.switch.since, app.clock.now().tzinfo)
        status += f" by an operator since {since}: {looked.switch.reason}"
    told = ""
    for about, words in [("status", status), *terms_in_words(workflow)]:
        output.entry(f"{about if about != told else '':<{ABOUT}}", words)
        told = about
    output.heading("Steps")
    lines = UNICODE if output.speaks_unicode() else ASCII
    for line in outline(picture, columns=output.terminal_columns(), lines=lines):
        output.say(line)
    if looked.inside is not None:
        _tell_inside(looked.inside.runs, picture)


def _tell_inside(runs: int, picture: "Picture") -> None:
    output.say()
    if not runs:
        output.say("Nobody is inside.")
        return
    besides = ", of them:" if picture.beside else "."
    output.say(f"{output.plural(runs, 'run')} {'is' if runs == 1 else 'are'} inside{besides}")
    for line in picture.beside:
        output.entry("  ", line)


def _remark(looked: "Looked", why_not: str) -> None:
    """Say what the picture is of, where that may not be what somebody expects."""
    from followup.services.look import Folder

    name = looked.workflow.name
    if why_not:
        output.tell(f"This is the file; nobody is counted: {why_not}.")
    elif looked.folder is Folder.DRAFT:
        output.tell("This is the file; nothing of that name runs.")
        output.hint("followup apply", "make it what runs")
    elif looked.folder is Folder.DIFFERS:
        output.tell("The file differs from what runs; followup plan shows how.")
    elif looked.folder is Folder.DELETED:
        output.tell(
            f"workflows/{name}.yaml is gone; nobody comes in any more, and who is inside finishes this version."
        )
    elif looked.folder is Folder.GONE:
        output.tell(f"workflows/{name}.yaml is not in the folder any more; this is what runs until followup apply.")


def _as_document(looked: "Looked") -> dict[str, object]:
    from followup.authoring.in_words import terms_in_words

    workflow, picture = looked.workflow, looked.picture
    counted = looked.inside is not None
    return {
        "workflow": workflow.name,
        "title": workflow.title,
        "status": workflow.status.value,
        "switched": switch_document(workflow.name, looked.switch) if looked.switch else None,
        "folder": looked.folder.value,
        "terms": [{"about": about, "words": words} for about, words in terms_in_words(workflow)],
        "steps": _steps(workflow.steps, picture, counted=counted),
        "inside": looked.inside.runs if looked.inside else None,
        "elsewhere": dict(picture.elsewhere) if counted else None,
        "held_out": picture.held_out if counted else None,
        "finishing": dict(picture.finishing) if counted else None,
    }


def _steps(steps: "Sequence[Step]", picture: "Picture", *, counted: bool) -> list[dict[str, object]]:
    from followup.authoring.in_words import kind_of, step_in_words, ways_through

    return [
        {
            "id": step.id,
            "kind": kind_of(step),
            "words": step_in_words(step),
            "when": step.when.source if step.when else None,
            "inside": picture.at(step) if counted else None,
            "ways": [
                {"words": way.words, "steps": _steps(way.do, picture, counted=counted)}
                for way in ways_through(step)
                if way.written
            ],
        }
        for step in steps
    ]
