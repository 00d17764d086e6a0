"""``suppressions``: whom we never write to."""

from pathlib import Path

import click

from followup.cli import completion, output
from followup.cli.shared import FILE, json_option, make_app, yes_option


@click.group("suppressions")
def suppressions_command() -> None:
    """Show and change the list of those we never write to."""


@suppressions_command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000))
@json_option
def list_suppressions(limit: int, as_json: bool) -> None:
    """
    List the newest entries.

    The list holds hashes, no addresses, so that it may outlive everything else: followup suppressions check
    says whether an address is on it.
    """
    from dataclasses import asdict

    from followup.services import suppress

    app = make_app()
    found = suppress.listed(app.engine, limit=limit)
    if as_json:
        output.document([asdict(one) for one in found])
        return
    if not found:
        output.say("Nobody is suppressed.")
        return
    zone = app.clock.now().tzinfo
    rows = [(output.local(one.at, zone), one.address_hash[:12], one.scope, one.source, one.reason) for one in found]
    output.table(("since", "hash", "letters", "source", "reason"), rows)


@suppressions_command.command("check")
@click.argument("email")
@json_option
def check(email: str, as_json: bool) -> None:
    """
    Say whether letters may go to EMAIL.

    Exit 1 when they may not.
    """
    from dataclasses import asdict

    from followup.services import suppress

    app = make_app()
    found = suppress.of_address(app.engine, email, key=app.post().suppression_key)
    if as_json:
        output.document([asdict(one) for one in found])
    elif not found:
        output.say(f"{email} is not suppressed.")
        if meant := suppress.meant(app.engine, email):
            output.tell(f"No customer has that address. {meant}")
    else:
        zone = app.clock.now().tzinfo
        for one in found:
            what = "all letters" if one.scope == "all" else f"letters of {one.scope}"
            output.say(f"{what}: {one.reason}, since {output.local(one.at, zone)}, by {one.source}")
    if found:
        raise click.exceptions.Exit(1)


@suppressions_command.command("add")
@click.argument("email")
@click.option("--workflow", metavar="NAME", shell_complete=completion.workflows, help="Only letters of this workflow.")
@click.option("--reason", default="asked us", show_default=True, help="Shown wherever a letter is not sent for it.")
def add(email: str, workflow: str | None, reason: str) -> None:
    """
    Write to EMAIL no more.

    Whatever they are inside of ends with it, unless it is for one --workflow, of which only the letters do not go.
    """
    from followup.services import suppress

    app = make_app()
    key = app.post().suppression_key
    new = suppress.suppress(
        app.engine, email, reason=reason, workflow=workflow, key=key, library=app.library, clock=app.clock
    )
    if new is None:
        output.say(f"{email} was suppressed already.")
        return
    output.say(f"No letters{f' of {workflow}' if workflow else ''} go to {email} any more.")
    if new.ending:
        output.say(
            f"{output.plural(new.ending, 'run')} of theirs {'ends' if new.ending == 1 else 'end'} by it, for good."
        )


@suppressions_command.command("remove")
@click.argument("email")
@click.option(
    "--workflow", metavar="NAME", shell_complete=completion.workflows, help="Only for letters of this workflow."
)
@yes_option
def remove(email: str, workflow: str | None, yes: bool) -> None:
    """
    Let letters go to EMAIL again.

    For those who ask for it themselves.
    """
    from followup.services import suppress

    app = make_app()
    if not output.confirm(f"Letters will go to {email} again.", yes=yes):
        raise click.exceptions.Exit(1)
    suppress.lift(app.engine, email, workflow=workflow, key=app.post().suppression_key, clock=app.clock)
    output.say(f"Letters may go to {email} again. Runs that have ended stay so.")


@suppressions_command.command("import")
@click.argument("file", type=FILE)
@click.option("--reason", default="imported", show_default=True, help="For lines that give none themselves.")
@json_option
def import_suppressions(file: Path, reason: str, as_json: bool) -> None:
    """
    Bring a list in from a file.

    Addresses one a line, SendGrid's export, or our own. Do it before the first letter leaves. The same
    list again changes nothing.
    """
    from dataclasses import asdict

    from followup.services import suppress

    app = make_app()
    imported = suppress.import_list(
        app.engine, file.read_bytes(), reason=reason, key=app.post().suppression_key, clock=app.clock
    )
    if as_json:
        output.document(asdict(imported))
    else:
        output.say(f"{output.plural(imported.added, 'address', 'addresses')} added, {imported.known:,} known already.")
    for bad in imported.bad:
        output.tell(f"{file}:{bad.line}: {bad.message}")
    if imported.bad:
        output.tell(f"{output.plural(len(imported.bad), 'line')} left out.")
        raise click.exceptions.Exit(1)


@suppressions_command.command("export")
def export() -> None:
    """
    Print the whole list as CSV.

    The oldest entries come first. It holds hashes under FOLLOWUP_SUPPRESSION_KEY, and can be imported where
    that key is the same.
    """
    from followup.services import suppress

    app = make_app()
    output.csv_rows(
        ("address_hash", "scope", "reason", "source", "at"),
        (
            (one.address_hash, one.scope, one.reason, one.source, f"{one.at:%Y-%m-%dT%H:%M:%SZ}")
            for one in reversed(suppress.listed(app.engine))
        ),
    )
