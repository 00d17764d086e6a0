"""``workflows`` and ``trigger``."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from followup.cli import completion, output
from followup.cli.shared import Moment, dry_run_option, json_option, make_app, switch_document, tell_switched

if TYPE_CHECKING:
    from followup.services.backfill import Asked
    from followup.services.lookups import ListedWorkflow

ASK_ABOVE = 20  # enrollments; the help and the documents say so too
NAMED = 6  # orders at most, in a line of them
COUNTED = "Runs count from when the trigger happened, and skip what is too late; with --now, from now."


@click.group("workflows")
def workflows_command() -> None:
    """Show the applied workflows."""


@workflows_command.command("list")
@json_option
def list_workflows(as_json: bool) -> None:
    """
    List the applied workflows and how many customers are in each.

    Deleted ones that somebody still is in are listed too.
    """
    from followup.services import lookups

    app = make_app()
    listed = lookups.workflows(app.engine, library=app.library)
    if as_json:
        output.document(
            [
                {
                    "workflow": one.workflow.name,
                    "title": one.workflow.title,
                    "status": _status(one),
                    "switched": switch_document(one.workflow.name, one.switch) if one.switch else None,
                    "trigger": one.workflow.trigger.event,
                    "owner": one.workflow.owner,
                    "enrollments": dict(one.enrollments),
                }
                for one in listed
            ]
        )
        return
    rows = [
        (
            one.workflow.name,
            _status(one),
            one.workflow.trigger.event,
            one.workflow.owner,
            one.enrollments.get("active", 0),
            sum(one.enrollments.values()),
            one.workflow.title,
        )
        for one in listed
    ]
    output.table(("workflow", "status", "trigger", "owner", "inside", "ever", "title"), rows)
    tell_switched(app, {one.workflow.name: one.switch for one in listed if one.switch})


def _status(one: "ListedWorkflow") -> str:
    return "deleted" if one.deleted else one.workflow.status.value


@click.command("trigger")
@click.argument("workflow", shell_complete=completion.workflows)
@click.option("--order", "order_number", metavar="N", help="One order, by its number.")
@click.option("--since", metavar="DATE", type=Moment(), help="All whose trigger happened since DATE (ISO, UTC).")
@click.option("--now", "start_now", is_flag=True, help="Count from now, not from when the trigger happened.")
@dry_run_option
@click.option("--yes", is_flag=True, help=f"Do not ask, not even about more than {ASK_ABOVE} orders.")
@json_option
def trigger_command(
    *,
    workflow: str,
    order_number: str | None,
    since: datetime | None,
    start_now: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """
    Let customers into WORKFLOW by hand.

    Each is placed relative to when the trigger happened to them: steps whose time is over are skipped
    with a reason. With --now the run begins at its first step today. If more than 20 orders would come
    in, it asks first; where nobody can be asked it does nothing without --yes.
    """
    from followup.services import backfill

    if (order_number is None) == (since is None):
        raise click.UsageError("Give one of --order N and --since DATE.")
    app = make_app()

    def ask(*, dry_run: bool) -> "list[Asked]":
        return backfill.trigger(
            app.engine,
            workflow,
            order_number=order_number,
            since=since,
            start_now=start_now,
            dry_run=dry_run,
            library=app.library,
            clock=app.clock,
        )

    foreseen = ask(dry_run=True)
    entering = sum(one.result.enrollment_id is not None for one in foreseen)
    many = not dry_run and entering > ASK_ABOVE
    if many and not output.confirm(f"{entering:,} orders would be enrolled in {workflow}.", yes=yes):
        raise click.exceptions.Exit(1)
    asked = foreseen if dry_run else ask(dry_run=False)
    if as_json:
        output.document(_as_document(workflow, asked, dry_run))
        return
    _summarise(workflow, asked, dry_run=dry_run, start_now=start_now)


@click.command("event")
@click.argument("name")
@click.option("--customer", "email", required=True, metavar="ADDRESS", help="Whom it happened to.")
@click.option("--order", "order_number", metavar="N", help="The order it is about.")
@click.option("--data", metavar="JSON", default="{}", help="What conditions can read: event.NAME in a where.")
@click.option("--id", "key", metavar="ID", help="Names this event: reported again, it changes nothing.")
@click.option("--at", metavar="DATE", type=Moment(), help="When it happened (ISO, UTC); now unless given.")
@json_option
def event_command(
    *, name: str, email: str, order_number: str | None, data: str, key: str | None, at: datetime | None, as_json: bool
) -> None:
    """
    Tell that NAME happened to a customer, an event of your shop's own.

    It goes on their timeline, lets them into the workflows whose trigger it is, and wakes those that wait
    for it. Orders have their own way in: followup import orders.
    """
    import json

    from followup.services.happen import happen

    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"it is not JSON: {error}", param_hint="--data") from error
    if not isinstance(values, dict):
        raise click.BadParameter('it must be an object, such as {"level": 2}', param_hint="--data")
    app = make_app()
    happened = happen(
        app.upgraded_engine,
        name,
        email=email,
        order_number=order_number,
        data=values,
        key=key,
        at=at,
        library=app.library,
        clock=app.clock,
    )
    if as_json:
        output.document(
            {"new": happened.new, "entered": list(happened.entered), "not_entered": dict(happened.refused or {})}
        )
        return
    if not happened.new:
        output.say(f"{name} {key} is on the record already; nothing was changed.")
        return
    output.say(f"{name} is on the record of {email}.")
    if happened.hint:
        output.tell(f"No workflow names {name}. {happened.hint}")
    for workflow in happened.entered:
        output.say(f"It let them into {workflow}.")
    for workflow, reason in (happened.refused or {}).items():
        output.say(f"Not into {workflow}: {reason.removeprefix('entry: ')}")
    output.hint(f"followup customers show {email}", "their story so far")


def _as_document(workflow: str, asked: "list[Asked]", dry_run: bool) -> dict[str, object]:
    return {
        "workflow": workflow,
        "dry_run": dry_run,
        "entered": sum(one.result.enrollment_id is not None for one in asked),
        "orders": [
            {
                "order": one.order,
                "happened_at": one.happened_at,
                "entered": one.result.enrollment_id is not None,
                "reason": one.result.reason or None,
                "first_letter_too_late": one.too_late,
            }
            for one in asked
        ],
    }


def _summarise(workflow: str, asked: "list[Asked]", *, dry_run: bool, start_now: bool) -> None:
    entered = [one for one in asked if one.result.enrollment_id is not None]
    if not asked:
        output.say(f"Nothing to enroll: the trigger of {workflow} has not happened since then.")
        return
    would = "would be enrolled" if dry_run else "enrolled"
    output.say(f"{output.plural(len(entered), 'order')} {would} in {workflow}{_named(entered)}")
    if late := [one for one in entered if one.too_late]:
        output.say(f"for {len(late):,} of them the first letter is too late, and does not leave{_named(late)}")
    reasons: dict[str, list[Asked]] = {}
    for one in asked:
        if one.result.enrollment_id is None:
            reasons.setdefault(one.result.reason, []).append(one)
    for reason, refused in sorted(reasons.items(), key=lambda item: -len(item[1])):
        output.say(f"{len(refused):,} not: {reason.removeprefix('entry: ')}{_named(refused)}")
    if dry_run:
        output.tell("Nothing was done." + ("" if start_now else f" {COUNTED}"))
    elif entered:
        output.hint("followup worker --once", "do what is due now")
        output.hint(f"followup why {entered[0].order}", "how one of them fares")


def _named(asked: "list[Asked]") -> str:
    """Return the orders in brackets, of many the first few."""
    if not asked:
        return ""
    named = [one.order for one in asked] if len(asked) <= NAMED else [*(one.order for one in asked[: NAMED - 1]), "…"]
    return f" ({', '.join(named)})"
