"""``import``: orders from files."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from followup.cli import output
from followup.cli.shared import ORDERS_FILE, dry_run_option, json_option, make_app

if TYPE_CHECKING:
    from followup.core.order import Purchase
    from followup.services.intake import TakenIn
    from followup.shops.csv_file import BadRow


@click.group("import")
def import_command() -> None:
    """Bring orders in from a file."""


@import_command.command("orders")
@click.argument("file", type=ORDERS_FILE)
@click.option("--enroll", is_flag=True, help="Let customers into workflows, for events younger than max_late.")
@dry_run_option
@json_option
def import_orders(file: Path, enroll: bool, dry_run: bool, as_json: bool) -> None:
    """
    Bring orders in from a CSV FILE, one row per line item.

    The same file again changes nothing. Bad rows are reported and left out. Nobody is enrolled unless
    --enroll is given.
    """
    from followup.services import intake

    app = make_app()
    engine = app.upgraded_engine
    bad: list[BadRow] = []
    try:
        with output.progress(_lines(file), "Importing") as bar:
            taken = intake.import_orders(
                engine,
                _good(file, bad),
                clock=app.clock,
                library=app.library,
                let_in=enroll,
                dry_run=dry_run,
                progress=lambda purchase: bar.update(max(1, len(purchase.order.items))),
            )
    finally:
        for row in sorted(bad, key=lambda row: row.line):
            output.tell(f"{file}:{row.line}: {row.message}")
    if as_json:
        output.document(_as_document(taken, bad, dry_run))
    else:
        _summarise(taken, bad, enroll=enroll, dry_run=dry_run)
    if bad:
        raise click.exceptions.Exit(1)


def _lines(file: Path) -> int:
    """Return how many lines *file* has, for the progress bar."""
    with file.open("rb") as binary:
        return sum(1 for _ in binary)


def _good(file: Path, bad: "list[BadRow]") -> "Iterator[Purchase]":
    from followup.shops.csv_file import BadRow, read_orders

    for one in read_orders(file):
        if isinstance(one, BadRow):
            bad.append(one)
        else:
            yield one


def _as_document(taken: "TakenIn", bad: "list[BadRow]", dry_run: bool) -> dict[str, object]:
    return {
        "orders": {"added": taken.orders_added, "changed": taken.orders_changed, "unchanged": taken.orders_unchanged},
        "customers": {"added": taken.customers_added, "changed": taken.customers_changed},
        "events": taken.events,
        "enrolled": taken.enrolled,
        "bad_rows": [asdict(row) for row in sorted(bad, key=lambda row: row.line)],
        "dry_run": dry_run,
    }


def _summarise(taken: "TakenIn", bad: "list[BadRow]", *, enroll: bool, dry_run: bool) -> None:
    orders = taken.orders_added + taken.orders_changed + taken.orders_unchanged
    would = "would be " if dry_run else ""
    changes = taken.orders_added + taken.orders_changed + taken.customers_added + taken.customers_changed + taken.events
    if not orders:
        output.say("The file has no orders that could be read." if bad else "The file has no orders.")
    elif not changes:
        known = "the order is" if orders == 1 else f"all {orders:,} orders are"
        output.say(f"Nothing {would or 'was '}changed: {known} on the record already.")
    else:
        output.say(
            f"orders     {taken.orders_added:,} {would}added, {taken.orders_changed:,} {would}changed,"
            f" {taken.orders_unchanged:,} unchanged"
        )
        output.say(f"customers  {taken.customers_added:,} {would}added, {taken.customers_changed:,} {would}changed")
        output.say(f"timeline   {output.plural(taken.events, 'event')} {would}added")
    if enroll:
        output.say(f"enrolled   {taken.enrolled:,}" + (" would be" if dry_run else ""))
    if bad:
        output.tell(f"{output.plural(len(bad), 'bad row')} left out: correct them and import the file again.")
    if dry_run:
        output.tell("Nothing was done.")
    elif changes and not enroll:
        output.tell("Nobody was enrolled. To let customers in:")
        output.hint("followup workflows list", "which workflows there are")
        output.hint("followup trigger WORKFLOW --since DATE", "add --dry-run to see who would come in")
