"""``bundles``: what was applied before, and the way back to it."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from followup.cli import output
from followup.cli.deploy import (
    as_document,
    in_flight_option,
    people_option,
    plan_of,
    put_in_force,
    refusal,
    tell_applied,
)
from followup.cli.shared import json_option, make_app, yes_option

if TYPE_CHECKING:
    from followup.app import App
    from followup.services.history import Past


@click.group("bundles")
def bundles_command() -> None:
    """Show what was applied when; compare, and go back."""


@bundles_command.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000))
@json_option
def list_bundles(limit: int, as_json: bool) -> None:
    """
    List the bundles that were applied.

    The newest comes first: that one runs. What changed is marked + where a file is new, and - where it is gone.
    """
    from followup.services import history

    app = make_app()
    found = history.listing(app.engine, limit=limit)
    if as_json:
        output.document([asdict(one) for one in found])
        return
    if not found:
        output.say("Nothing was applied yet.")
        output.hint("followup apply", "check the folder and make it what runs")
        return
    zone = app.clock.now().tzinfo
    output.table(
        ("bundle", "since", "", "what changed"),
        [(one.hash[:12], output.local(one.at, zone), _how(one), _changed(one)) for one in found],
    )


def _how(one: "Past") -> str:
    words = ["runs"] * one.runs + ["gone back to"] * (one.how == "back")
    return ", ".join(words)


def _changed(one: "Past") -> str:
    if one.changed is None:
        return "everything: it was the first"
    more = f", and {output.plural(len(one.changed) - 3, 'file')} more" if len(one.changed) > 3 else ""
    signs = dict.fromkeys(one.added, "+ ") | dict.fromkeys(one.removed, "- ")
    return ", ".join(signs.get(path, "") + path for path in one.changed[:3]) + more


@bundles_command.command("show")
@click.argument("bundle", required=False)
@click.argument("file", required=False)
@json_option
def show_bundle(bundle: str | None, file: str | None, as_json: bool) -> None:
    """
    List the files of BUNDLE, or print one FILE of it.

    BUNDLE is the beginning of its hash; default: what runs. FILE is a path, such as workflows/check-in.yaml.
    """
    from followup.errors import NotFound
    from followup.services import find, history

    app = make_app()
    found = history.get(app.engine, bundle)
    if file is not None:
        if file not in found.files:
            raise NotFound(f"bundle {found.hash[:12]} has no file {file!r}", hint=find.nearest_file(file, found.files))
        if as_json:
            output.document({"bundle": found.hash, "file": file, "text": found.files[file]})
        else:
            output.say(found.files[file].rstrip("\n"))
        return
    if as_json:
        output.document({"bundle": found.hash, "applied_at": found.applied_at, "files": dict(found.files)})
        return
    output.say(f"Bundle {found.hash[:12]}, applied {output.local(found.applied_at, app.clock.now().tzinfo)}")
    rows = [(path, f"{len(text.splitlines()):,}") for path, text in sorted(found.files.items())]
    output.table(("file", "lines"), rows)
    output.hint(f"followup bundles show {found.hash[:12]} {rows[0][0]}", "print one of them")


@bundles_command.command("diff")
@click.argument("was", required=False, metavar="[BUNDLE]")
@click.argument("now", required=False, metavar="[BUNDLE]")
@json_option
def diff_bundles(was: str | None, now: str | None, as_json: bool) -> None:
    """
    Show, line by line, what differs between two bundles.

    With one BUNDLE: from that to what runs. With none: from what runs to the folder.
    """
    from followup.services import history

    app = make_app()
    older = history.get(app.engine, was).files
    newer = _in_folder(app) if was is None else history.get(app.engine, now).files
    paths = list(history.differing(older, newer))
    if as_json:
        output.document([{"file": path, "was": older.get(path), "now": newer.get(path)} for path in paths])
        return
    if not paths:
        output.say("Nothing differs.")
    for path in paths:
        output.heading(path)
        lines = difflib.unified_diff(
            older.get(path, "").splitlines(), newer.get(path, "").splitlines(), lineterm="", n=3
        )
        for line in list(lines)[2:]:
            output.difference(line)


@bundles_command.command("rollback")
@click.argument("bundle", required=False)
@people_option
@in_flight_option
@click.option("--dry-run", is_flag=True, help="Show what it would change, as followup plan does, and do nothing.")
@yes_option
@json_option
def rollback_bundle(
    *, bundle: str | None, people: bool, decisions: Sequence[tuple[str, str]], dry_run: bool, yes: bool, as_json: bool
) -> None:
    """
    Make BUNDLE what runs again (default: the one before).

    Doing it again goes back further. The people inside go back with it, step by step as with any change. The folder
    stays as it is: correct it too, or the next apply brings back what you have undone.
    """
    from followup.authoring.bundle import load_applied
    from followup.cli import planned
    from followup.services import deploy, history

    app = make_app()
    found = history.before(app.engine) if bundle is None else history.get(app.engine, bundle)
    goal = load_applied(found.files)
    changed = plan_of(app, goal, dict(decisions))
    command = f"followup bundles rollback {found.hash[:12]}"
    if dry_run:
        if as_json:
            output.document(planned.as_document(changed, people=people))
        else:
            planned.tell(changed, people=people, command=command, goal="going back would make it")
        return
    if not changed:
        if as_json:
            output.document(as_document(deploy.Applied(goal, changed=False), dry_run=False))
        else:
            output.say(f"Nothing changed: bundle {found.hash[:12]} already runs.")
        return
    if not as_json and not yes:
        planned.tell(changed, people=people, command=command, goal="going back would make it")
    with refusal(as_json=as_json):
        deploy.check(app.engine, goal, dict(decisions))
    if not output.confirm(f"Bundle {found.hash[:12]} would run again.", yes=yes):
        raise click.exceptions.Exit(1)
    applied = put_in_force(app, goal, dict(decisions), back_from=changed.before, as_json=as_json)
    if as_json:
        output.document(as_document(applied, dry_run=False))
        return
    output.say(f"Bundle {found.hash[:12]} runs again.")
    tell_applied(app, applied)
    if _folder_has(app, found.files):
        output.tell("The folder has the same: there is nothing to undo in it.")
        return
    output.tell("The folder is as it was: undo the change there too, or the next apply brings it back.")
    output.hint("followup bundles diff", "what differs between what runs and the folder")


def _folder_has(app: "App", files: Mapping[str, str]) -> bool:
    """Tell whether the project folder has these files, and no others."""
    from followup.errors import FollowupError
    from followup.services import history

    try:
        return not list(history.differing(files, _in_folder(app)))
    except FollowupError:  # there is none, or it cannot be read
        return False


def _in_folder(app: "App") -> Mapping[str, str]:
    """Return the files of the project folder as a bundle has them."""
    from followup.authoring.bundle import read_folder
    from followup.authoring.source import unix_lines

    return {path: unix_lines(text) for path, text in read_folder(app.settings.project).items()}
