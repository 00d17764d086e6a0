"""``doctor``: is everything there that this installation needs."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import click

from followup.cli import output
from followup.cli.shared import json_option, make_app

if TYPE_CHECKING:
    from followup.app import App
    from followup.services.checkup import Finding, Setup
    from followup.settings import Settings


@click.command("doctor")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@json_option
def doctor_command(strict: bool, as_json: bool) -> None:
    """
    Check settings, database, Redis, the way out and the way back, and say what to do.

    It changes nothing and sends nothing. Exit 1 when something fails.
    """
    from followup.services.checkup import Grade

    findings = []
    for finding in _examined():
        findings.append(finding)
        if not as_json:
            told = f"{finding.text.rstrip('.')} — {finding.remedy}" if finding.remedy else finding.text
            output.entry(f"{finding.grade.value:<4}  {finding.what:<13} ", told)
    if as_json:
        output.document(
            [
                {"result": one.grade.value.lower(), "check": one.what, "says": one.text, "do": one.remedy or None}
                for one in findings
            ]
        )
    failed = sum(one.grade is Grade.FAIL for one in findings)
    warned = sum(one.grade is Grade.WARN for one in findings)
    if not as_json:
        output.tell(f"\n{failed} failed, {output.plural(warned, 'warning')}, {len(findings) - failed - warned} fine.")
    if failed or (strict and warned):
        raise click.exceptions.Exit(1)


def _examined() -> Iterator["Finding"]:
    """Yield what each check finds, as it is found."""
    from followup.errors import ConfigurationError
    from followup.services import checkup
    from followup.settings import unknown_variables

    try:
        app = make_app()
    except ConfigurationError as error:
        yield checkup.Finding(checkup.Grade.FAIL, "settings", str(error), error.hint)
        return
    settings, setup = app.settings, _setup(app)
    env_file = settings.project / ".env"
    read_from = f"the environment and {env_file}" if env_file.is_file() else "the environment"
    yield checkup.Finding(checkup.Grade.OK, "settings", f"read from {read_from}")
    for name, meant in unknown_variables(settings).items():
        remedy = f"did you mean {meant}?" if meant else "followup config lists every setting"
        yield checkup.Finding(checkup.Grade.WARN, "settings", f"{name} is set, and no setting", remedy)
    database = _database(app)
    yield database
    there = database.grade is not checkup.Grade.FAIL
    yield from _servers(app, setup, there=there)
    if there:
        yield from _record(app, setup)


def _setup(app: "App") -> "Setup":
    from followup.services.checkup import Setup
    from followup.settings import DEVELOPMENT_KEY, Mode

    settings = app.settings
    return Setup(
        live=settings.mode is Mode.LIVE,
        transport=settings.transport.value,
        ephemeral=settings.dyno is not None,
        whereto=app.whereto,
        event_keys=settings.sendgrid_event_keys,
        inbound_keys=settings.sendgrid_inbound_keys,
        reply_domain=settings.reply_domain,
        public_url=settings.public_url,
        secret_keys=settings.keys,
        suppression_key=settings.suppression_key.get_secret_value(),
        published_key=DEVELOPMENT_KEY,
    )


def _database(app: "App") -> "Finding":
    from followup.cli import probes
    from followup.errors import FollowupError
    from followup.services.checkup import Away, Finding, Grade
    from followup.settings import described
    from followup.store import upgrade

    (shown,) = (one.shown for one in described(app.settings) if one.variable == "DATABASE_URL")
    where = shown if app.settings.database_url.get_secret_value() else app.settings.database
    try:
        probes.within(probes.LONGEST, lambda: app.engine)
    except FollowupError as error:
        return Finding(Grade.FAIL, "database", str(error), error.hint)
    except Away as error:
        return Finding(Grade.FAIL, "database", f"{where}: {error}", "see that the server runs and can be reached")
    if app.settings.dyno and app.settings.database.startswith("sqlite"):
        return Finding(
            Grade.WARN, "database", f"{where} is gone at the next restart", "set DATABASE_URL to a PostgreSQL database"
        )
    return Finding(Grade.OK, "database", f"{where}, at version {upgrade.newest()}")


def _servers(app: "App", setup: "Setup", *, there: bool) -> Iterator["Finding"]:
    """Check the settings and the servers they name; *there* tells whether the database is."""
    from followup.cli import probes
    from followup.errors import ConfigurationError
    from followup.services import checkup
    from followup.store import signs
    from followup.store.engine import reading

    settings = app.settings
    yield checkup.redis_finding((lambda: probes.redis_policy(settings)) if settings.redis_url else None)
    yield from checkup.mode_findings(setup)
    try:
        app.post()  # as a worker would at its start
    except ConfigurationError as error:
        yield checkup.Finding(checkup.Grade.FAIL, "transport", str(error), error.hint)
    else:
        if look := _transport(settings):
            yield checkup.transport_finding(look)
    ages = None
    if there:
        with reading(app.engine) as conn:
            ages = signs.ages(conn)
    yield from checkup.hook_findings(setup, ages)
    yield checkup.reply_domain_finding(setup)
    yield checkup.page_finding(setup, probes.page)
    yield from checkup.key_findings(setup)


def _transport(settings: "Settings") -> Callable[[], str] | None:
    """Return the look at the way out; None for a folder."""
    from followup.cli import probes
    from followup.settings import TransportKind

    looks = {TransportKind.SENDGRID: probes.sendgrid, TransportKind.SMTP: probes.smtp}
    look = looks.get(settings.transport)
    return (lambda: look(settings)) if look else None


def _record(app: "App", setup: "Setup") -> Iterator["Finding"]:
    from followup.services import checkup_record
    from followup.store.engine import reading

    with reading(app.engine) as conn:
        yield from checkup_record.bundle_findings(conn, lambda: _folder(app.settings), library=app.library)
        yield from checkup_record.record_findings(conn, setup, library=app.library, now=app.clock.now())


def _folder(settings: "Settings") -> Mapping[str, str]:
    from followup.authoring.bundle import read_folder
    from followup.errors import ConfigurationError
    from followup.services.checkup import Away

    try:
        return read_folder(settings.project)
    except ConfigurationError as error:
        raise Away(str(error)) from error
