"""What several commands have in common."""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from followup.cli import output
from followup.core.workflow import WorkflowStatus

if TYPE_CHECKING:
    from followup.app import App
    from followup.clock import Clock
    from followup.services.lookups import Record
    from followup.store.switches import Switch


F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


class _OrdersFile(click.ParamType[Path]):
    """A file that can be read twice: its separator is looked for first."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path: Path = FILE.convert(value, param, ctx)
        if not path.is_file():
            self.fail(f"{value!r} is a pipe; save it to a file first.", param, ctx)
        return path


ORDERS_FILE = _OrdersFile()


def make_app(*, clock: "Clock | None" = None, serving: bool = False, **overrides: Any) -> "App":
    """
    Read the settings, set logging up, and return the application.

    A command that ends by itself says what it did, so unless a level is set it logs warnings only, to
    stderr; one that is *serving* until it is stopped logs its work to stdout, where platforms look for it.

    Raises:
        ConfigurationError: a setting is wrong, or the project folder is not there.
    """
    from followup import failpoints
    from followup.app import App
    from followup.errors import ConfigurationError
    from followup.logs import configure
    from followup.settings import load

    settings = load(**overrides)
    if not settings.project.is_dir():
        raise ConfigurationError(
            f"FOLLOWUP_PROJECT is {settings.project}, and there is no such folder",
            hint="followup init FOLDER makes a project",
        )
    as_set = serving or "log_level" in settings.model_fields_set
    configure(
        settings.log_level if as_set else "WARNING", settings.log_format, stream=sys.stdout if serving else sys.stderr
    )
    failpoints.arm(settings.failpoint)
    app = App(settings, clock=clock)
    click.get_current_context().call_on_close(app.close)
    return app


def tell_mode(app: "App") -> None:
    """
    Say, before letters are sent, in which mode that happens and where they go.

    Raises:
        ConfigurationError: the way they should go is not there.
    """
    app.post()
    output.tell(app.whereto)


def look_up(app: "App", email: str) -> "Record":
    """Return everything about the customer with this address."""
    from followup.services import lookups

    key = app.settings.suppression_key.get_secret_value()
    return lookups.record(app.engine, email, library=app.library, suppression_key=key, now=app.clock.now())


def tell_first_letters(asked: "Mapping[str, int]") -> None:
    """Say, by workflow, how many first letters wait until a person has read them."""
    for name, number in asked.items():
        first_of = f"The first {number} letters of {name} wait" if number > 1 else f"The first letter of {name} waits"
        output.say(f"{first_of} until you have read {'them' if number > 1 else 'it'}.")
    if asked:
        output.hint("followup messages list --state held", "what waits, once it is due")
        output.hint("followup messages release NUMBER", "let it go")


def tell_switched(app: "App", switched: "Mapping[str, Switch]", *, verb: str = "is") -> None:
    """Say which workflows an operator has switched, since when and why."""
    for name, switch in switched.items():
        since = output.local(switch.since, app.clock.now().tzinfo)
        output.tell(f"{name} {verb} {switch.status.value.upper()} by an operator since {since}: {switch.reason}")
        lets = (
            "shows what would leave, and lets it go on"
            if switch.status is WorkflowStatus.PAUSED
            else "lets people in again"
        )
        output.hint(f"followup resume {name}", lets)


def switch_document(workflow: str, switch: "Switch") -> dict[str, object]:
    """Return what an operator made of a workflow as JSON has it."""
    return {"workflow": workflow, "status": switch.status.value, "since": switch.since, "reason": switch.reason}


def tell_halted(reason: str) -> None:
    """Print that no letter leaves at all, and what lets them."""
    output.entry("", f"All letters are halted ({reason}): none leaves until followup unhalt.")


def json_option(command: F) -> F:
    """Add ``--json``: one document on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def yes_option(command: F) -> F:
    """Add ``--yes``: do not ask."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def dry_run_option(command: F) -> F:
    """Add ``--dry-run``: say what would be done."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(command)


class Moment(click.ParamType[datetime]):
    """A moment an operator types: ISO 8601, UTC unless it says otherwise."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            read = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date; write 2026-03-01 or 2026-03-01T14:05+01:00", param, ctx)
        return read if read.tzinfo else read.replace(tzinfo=UTC)
