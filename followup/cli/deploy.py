"""``plan`` and ``apply``: from the folder to what runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from followup.cli import output
from followup.cli.shared import (
    json_option,
    make_app,
    switch_document,
    tell_first_letters,
    tell_switched,
)
from followup.core.transfer import InFlight

if TYPE_CHECKING:
    from followup.app import App
    from followup.authoring.bundle import Bundle
    from followup.services.deploy import Applied
    from followup.services.plan import Plan

F = TypeVar("F", bound=Callable[..., Any])

HAS_CHANGES = 4  # the exit code of a plan that has any


class _Decision(click.ParamType[tuple[str, str]]):
    """``STEP=finish``: the step may have its workflow before it, or be a workflow alone."""

    name = "decision"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        place, _, how = str(value).rpartition("=")
        if not place or how not in {one.value for one in InFlight}:
            self.fail(f"{value!r}: write STEP=finish, STEP=skip or STEP=stop", param, ctx)
        return place, how


def in_flight_option(command: F) -> F:
    """Add ``--in-flight``: what becomes of those who stand at a step that is gone."""
    return click.option(
        "--in-flight",
        "decisions",
        metavar="STEP=HOW",
        type=_Decision(),
        multiple=True,
        help="Who stands at a step that is gone: finish (as they began), skip (go on after it) or stop. "
        "WORKFLOW/STEP names one of several; WORKFLOW means all its steps.",
    )(command)


def people_option(command: F) -> F:
    """Add ``--people``: a plan names those whom it concerns."""
    about = "Name those who stand at steps that change, and say what comes for each."
    return click.option("--people", is_flag=True, help=about)(command)


@click.command("plan")
@people_option
@in_flight_option
@json_option
def plan_command(people: bool, decisions: Sequence[tuple[str, str]], as_json: bool) -> None:
    """
    Show what applying the folder would change, above all for the people inside.

    Nothing is changed by looking. Exit code 0: nothing would change; 4: something would; 1: the folder has errors.
    """
    from followup.cli import planned

    app = make_app()
    bundle = checked_folder(app, as_json=as_json)
    found = plan_of(app, bundle, dict(decisions))
    if as_json:
        output.document(planned.as_document(found, people=people))
    else:
        planned.tell(found, people=people)
        if found:
            options = "".join(f" --in-flight {place}={how}" for place, how in decisions)
            if not found.undecided:
                why = "make it what runs" if found.changes else "move those who are left"
                output.hint(f"followup apply{options}", why)
    if found:
        raise click.exceptions.Exit(HAS_CHANGES)


def plan_of(app: "App", bundle: "Bundle", in_flight: Mapping[str, str]) -> "Plan":
    """Return what making *bundle* what runs would change."""
    from followup.services.plan import first_plan, plan

    if not app.has_database:
        return first_plan(bundle)
    return plan(
        app.engine,
        bundle,
        in_flight,
        library=app.library,
        suppression_key=app.settings.suppression_key.get_secret_value(),
        clock=app.clock,
    )


def checked_folder(app: "App", *, as_json: bool) -> "Bundle":
    """Return what the folder has; what is wrong in its files is a document of its own where documents are wanted."""
    from followup.authoring.bundle import load, read_folder
    from followup.authoring.diagnostics import BundleError

    try:
        return load(read_folder(app.settings.project))
    except BundleError as error:
        if as_json:
            output.document({"diagnostics": [asdict(one) for one in error.diagnostics]})
        raise


@click.command("apply")
@click.option("--dry-run", is_flag=True, help="Only check; followup plan shows what would change.")
@click.option(
    "--first",
    metavar="N",
    type=click.IntRange(1, 1_000),
    help="Hold the first N letters of each workflow that goes live until you have read them.",
)
@in_flight_option
@json_option
def apply_command(dry_run: bool, first: int | None, decisions: Sequence[tuple[str, str]], as_json: bool) -> None:
    """
    Check workflows, letters and people, and make them what runs.

    People inside a workflow go on in its new version, each at the step they stand at. If the folder has that step
    no more, nothing is applied until --in-flight says what becomes of them. followup plan shows it all before.
    """
    from followup.services import deploy

    app = make_app()
    bundle = checked_folder(app, as_json=as_json)
    applied = deploy.Applied(bundle, changed=False)
    if dry_run and app.has_database:
        with refusal(as_json=as_json):
            deploy.check(app.engine, bundle, dict(decisions))
    elif not dry_run:
        applied = put_in_force(app, bundle, dict(decisions), first=first, as_json=as_json)
    if as_json:
        output.document(as_document(applied, dry_run=dry_run))
        return
    counts = f"{output.plural(len(bundle.workflows), 'workflow')}, {output.plural(len(bundle.letters), 'letter')}"
    if dry_run:
        output.say(f"No errors in {counts}. Nothing was applied.")
        return
    if applied.changed:
        output.say(f"Applied {counts} as bundle {bundle.hash[:12]}.")
    else:
        output.say(f"Nothing changed: bundle {bundle.hash[:12]} already runs.")
    tell_applied(app, applied)
    if first and not applied.first:
        output.tell("No workflow goes live with this; --first changes nothing.")


def put_in_force(
    app: "App",
    bundle: "Bundle",
    in_flight: Mapping[str, str],
    *,
    first: int | None = None,
    back_from: str | None = None,
    as_json: bool,
) -> "Applied":
    """Make *bundle* what runs, or go back to it from the one with that hash."""
    from followup.services import deploy

    with refusal(as_json=as_json):
        return deploy.put_in_force(
            app.upgraded_engine,
            bundle,
            clock=app.clock,
            first=first,
            in_flight=in_flight,
            action=deploy.ROLLBACK if back_from else deploy.APPLY,
            instead_of=back_from,
        )


@contextmanager
def refusal(*, as_json: bool) -> Iterator[None]:
    """Print whom something would strand, as a document where documents are wanted, and let the error go on."""
    from followup.services.transfer import StrandedPeople

    try:
        yield
    except StrandedPeople as error:
        if as_json:
            output.document({"stranded": [asdict(one) for one in error.undecided]})
        raise


def tell_applied(app: "App", applied: "Applied") -> None:
    """Say what applying did besides storing the bundle."""
    from followup.cli import planned

    planned.tell_unused(applied.unused)
    moved, people = applied.moved, ("person", "people")
    if moved.on:
        follow = "follows" if moved.on == 1 else "follow"
        output.say(f"{output.plural(moved.on, *people)} inside now {follow} what was applied.")
    if moved.finishing:
        finish = "finishes as they" if moved.finishing == 1 else "finish as they"
        output.say(f"{output.plural(moved.finishing, *people)} inside {finish} began.")
    if moved.stopped:
        output.say(f"{output.plural(moved.stopped, 'run')} ended.")
    if applied.unblocked:
        output.say(f"{output.plural(applied.unblocked, 'blocked letter')} will be tried again.")
    tell_first_letters(applied.first)
    tell_switched(app, applied.switched, verb="stays")
    _tell_unable(applied)
    for letter, whose in applied.lost.items():
        for workflow, number in whose.items():
            output.tell(
                f"{planned.finish(number)} an older version of {workflow} that sends {letter}: "
                f"templates/{letter}.md is gone, so nothing goes to who comes to it. Put it back and apply."
            )


def _tell_unable(applied: "Applied") -> None:
    """Warn of letters that cannot leave by what was applied."""
    from followup.services.lacking import Kind

    if not applied.unable:
        return
    for lack, number in applied.unable.items():
        letters = output.plural(number, "letter")
        if lack.kind is Kind.PERSON:
            signs = "it" if number == 1 else "them"
            output.tell(f"{letters} cannot leave: {lack.name}, who signs {signs}, is not in people.yaml any more.")
        else:
            output.tell(f"{letters} cannot leave: templates/{lack.name}.md is gone.")
    output.tell("Put back what is missing and apply. As soon as they are due, these letters are blocked:")
    output.hint("followup messages list --state blocked", "which letters are blocked, and why")


def as_document(applied: "Applied", *, dry_run: bool) -> dict[str, object]:
    bundle = applied.bundle
    return {
        "bundle": bundle.hash,
        "changed": applied.changed,
        "dry_run": dry_run,
        "workflows": {name: workflow.status.value for name, workflow in sorted(bundle.workflows.items())},
        "letters": sorted(bundle.defaults),
        "moved": applied.moved.on,
        "finishing": applied.moved.finishing,
        "stopped": applied.moved.stopped,
        "unblocked": applied.unblocked,
        "first": dict(applied.first),
        "cannot_leave": [
            {"lacks": lack.kind.value, "name": lack.name, "letters": number} for lack, number in applied.unable.items()
        ],
        "lost": {letter: dict(whose) for letter, whose in applied.lost.items()},
        "switched": [switch_document(name, switch) for name, switch in applied.switched.items()],
        "diagnostics": [],
    }
