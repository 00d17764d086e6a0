"""``init``, ``config``, ``db``: the project and its settings."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from followup.cli import output
from followup.cli.shared import (
    Moment,
    json_option,
    make_app,
    yes_option,
)


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
def init_command(folder: Path) -> None:
    """Make a project FOLDER (default: the current one) with a small shop to start from."""
    from followup.authoring.starter import make_project

    made = make_project(folder)
    for path in made:
        output.say(str(path))
    output.tell(f"{output.plural(len(made), 'file')} made. Next:")
    if folder != Path():
        output.hint(f"cd {folder}", "")
    output.hint("followup apply", "make these workflows and letters what runs")
    output.hint("followup import orders FILE", "bring orders in; nobody is written to yet")
    output.tell("Who writes to your customers, and for which shop: workflows/people.yaml and workflows/shop.yaml")


@click.command("config")
@json_option
def config_command(as_json: bool) -> None:
    """Show every setting, with secrets masked."""
    from followup.errors import ConfigurationError
    from followup.settings import Settings, described, load

    try:
        loaded = load()
    except ConfigurationError:
        if not as_json:  # whoever mistyped a value wants to see what there is
            output.table(
                ("variable", "what"), [(one.variable, one.what) for one in described(Settings.model_construct())]
            )
        raise
    settings = described(loaded)
    if as_json:
        output.document({one.variable: {"value": one.shown, "set": one.is_set, "what": one.what} for one in settings})
        return
    output.table(
        ("variable", "value", "", "what"),
        [(one.variable, one.shown, "" if one.is_set else "(default)", one.what) for one in settings],
    )
    env_file = loaded.project / ".env"
    output.tell(f"Read from the environment{f' and {env_file}' if env_file.is_file() else ''}.")


@click.group("db")
def db_command() -> None:
    """Look after the database."""


@db_command.command("recovered")
@click.option(
    "--since", required=True, metavar="TIME", type=Moment(), help="Of the backup: what happened from then on is lost."
)
@yes_option
@json_option
def db_recovered(since: datetime, yes: bool, as_json: bool) -> None:
    """
    Say that the database was restored from a backup.

    Run it before any worker starts. Letters that may have left since TIME are of unknown fate from then on,
    and none of them goes again by itself.
    """

    from followup.services import restore

    app = make_app()
    until = app.clock.now()
    if since > until:
        raise click.UsageError(f"{since:%Y-%m-%d %H:%M} UTC is yet to come; give the time of the backup.")
    zone = until.tzinfo
    span = f"from {output.local(since, zone)} to {output.local(until, zone)}"
    what = f"Lost is what happened {span}: letters due by then that have not left as far as is known are in doubt."
    if not output.confirm(what, yes=yes):
        raise click.exceptions.Exit(1)
    found = restore.recovered(app.engine, since, clock=app.clock)
    if as_json:
        output.document(asdict(found))
        return
    output.say(f"{output.plural(found.doubtful, 'letter')} may have left since then: of unknown fate from now on.")
    output.hint("followup messages list --state unknown", "decide about them: mark-sent, or resend")
    output.hint("followup suppressions import FILE", "who unsubscribed meanwhile: the provider's list knows")
    output.hint("followup import orders FILE", "orders of that time")


@db_command.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to the schema this version needs."""
    from followup.store import upgrade

    changed = make_app().upgrade()
    output.say(f"The database is now at version {upgrade.newest()}." if changed else "The database is up to date.")
