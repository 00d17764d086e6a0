"""Whatever an operator names and mistypes is answered with what it may have been meant to be."""

from pathlib import Path

import click
import pytest

from followup.cli.main import COMMANDS, followup
from tests.cli.conftest import Cli

MISTYPED = [
    (("wokflows", "list"), 2, "workflows"),
    (("messages", "lst"), 2, "list"),
    (("inbound", "ad"), 2, "add"),
    (("db", "upgrde"), 2, "upgrade"),
    (("messages", "list", "--wrkflow", "x"), 2, "--workflow"),
    (("show", "after-arival"), 1, "after-arrival"),
    (("report", "after-arival"), 1, "after-arrival"),
    (("pause", "after-arival"), 1, "after-arrival"),
    (("resume", "after-arival"), 1, "after-arrival"),
    (("archive", "after-arival", "--yes"), 1, "after-arrival"),
    (("trigger", "after-arival", "--order", "A-1"), 1, "after-arrival"),
    (("messages", "list", "--workflow", "after-arival"), 1, "after-arrival"),
    (("messages", "list", "--workflow", "after-arival", "--json"), 1, "after-arrival"),
    (("messages", "release", "--workflow", "after-arival"), 1, "after-arrival"),
    (("suppressions", "add", "x@example.com", "--workflow", "after-arival"), 1, "after-arrival"),
    (("suppressions", "remove", "bo@example.com", "--workflow", "after-arival", "--yes"), 1, "after-arrival"),
    (("send-test", "arived", "--to", "you@shop.example", "--order", "A-1"), 1, "arrived"),
    (("send-test", "arrived", "--to", "you@shop.example", "--order", "A-11"), 1, "A-1"),
    (("trigger", "after-arrival", "--order", "A-11"), 1, "A-1"),
    (("why", "A-11"), 1, "A-1"),
    (("event", "support.solved", "--customer", "ana@example.com", "--order", "A-11"), 1, "A-1"),
    (("event", "support.solved", "--customer", "ana@exmple.com"), 1, "ana@example.com"),
    (("event", "ticket.opned", "--customer", "ana@example.com"), 0, "ticket.opened"),
    (("customers", "show", "ana@exmple.com"), 1, "ana@example.com"),
    (("conversations", "close", "ana@exmple.com"), 1, "ana@example.com"),
    (("plan", "--in-flight", "after-arrival/arived=stop"), 1, "after-arrival/arrived"),
    (("apply", "--in-flight", "arived=stop"), 1, "arrived"),
    (("release", "--in-flight", "arived=stop"), 1, "arrived"),
    (("why", "A-1", "--step", "arived"), 1, "arrived"),
    (("why", "ana@exmple.com"), 1, "ana@example.com"),
    (("walk", "ana@exmple.com"), 1, "ana@example.com"),
    (("simulate", "after-arival"), 1, "after-arrival"),
    (("simulate", "after-arrival", "--order", "A-11"), 1, "A-1"),
    (("simulate", "after-arrival", "--answer", "brokn"), 2, "broken"),
    (("bundles", "show", "{bundle}", "workflows/after-arival.yaml"), 1, "workflows/after-arrival.yaml"),
    (("bundles", "diff", "{mistyped}"), 1, "{bundle}"),
    (("bundles", "rollback", "{mistyped}"), 1, "{bundle}"),
    (("suppressions", "check", "ana@exmple.com"), 0, "ana@example.com"),
    (("suppressions", "remove", "ana@exmple.com", "--yes"), 1, "ana@example.com"),
]
NO_NAMES = {  # arguments and options that name nothing on the record
    *("file", "acts_file", "folder", "number", "numbers", "state", "kind", "shell", "to", "since", "until", "at"),
    *("limit", "first", "port", "keep", "key", "data", "reason"),
}


@pytest.fixture
def known(played: Path, cli: Cli) -> Path:
    """Return the project after its customers were there, one of them suppressed, and with an event that is awaited."""
    file = played / "workflows/after-arrival.yaml"
    file.write_text(file.read_text().replace("send_window:", "exit_on:\n  - event: ticket.opened\nsend_window:"))
    cli("apply")
    cli("suppressions", "add", "bo@example.com", "--workflow", "after-arrival")
    return played


@pytest.mark.parametrize(("args", "code", "meant"), MISTYPED, ids=[" ".join(args) for args, _, _ in MISTYPED])
def test_a_mistyped_name_is_answered_with_the_nearest(
    known: Path, cli: Cli, args: tuple[str, ...], code: int, meant: str
) -> None:
    bundle = cli("bundles", "list", "--json").document[0]["hash"][:12]
    told = {"{bundle}": bundle, "{mistyped}": f"{bundle[:-1]}{'1' if bundle[-1] == '0' else '0'}"}
    assert f"Did you mean '{told.get(meant, meant)}'?" in cli(*(told.get(one, one) for one in args), code=code).err


def test_every_argument_that_names_something_is_tried() -> None:
    tried = {args[: 2 if isinstance(_command(args[0]), click.Group) else 1] for args, _, _ in MISTYPED}
    context = click.Context(followup)
    for name in COMMANDS:
        command = _command(name)
        below = command.list_commands(context) if isinstance(command, click.Group) else [None]
        for word in below:
            one = command.get_command(context, word) if isinstance(command, click.Group) else command
            assert one is not None
            naming = {
                parameter.name
                for parameter in one.params
                if not getattr(parameter, "is_flag", False) and parameter.name not in NO_NAMES
            }
            assert not naming or (name, word) in tried or (name,) in tried or (name, word) == ("suppressions", "import")


def _command(name: str) -> click.Command | None:
    return followup.get_command(click.Context(followup), name)


def test_an_event_that_a_workflow_names_needs_no_hint(known: Path, cli: Cli) -> None:
    assert "Did you mean" not in cli("event", "ticket.opened", "--customer", "ana@example.com").err
    assert "Did you mean" not in cli("event", "support.solved", "--customer", "ana@example.com").err


@pytest.mark.parametrize("address", ["nobody@example.com", "eva@example.com", "ana@nowhere.test"])
def test_an_address_that_is_like_another_only_in_where_it_is_gets_no_hint(known: Path, cli: Cli, address: str) -> None:
    for args in (("walk", address), ("why", address), ("customers", "show", address)):
        assert "Did you mean" not in cli(*args, code=1).err
    assert cli("suppressions", "check", address).err == ""


def test_an_address_that_is_known_needs_no_hint(known: Path, cli: Cli) -> None:
    assert cli("suppressions", "check", "ana@example.com").err == ""
    hint = cli("suppressions", "remove", "bo@example.com", "--yes", code=1).err
    assert "hint: It is for: after-arrival" in hint
    assert "hint: followup suppressions list" in cli("suppressions", "remove", "ana@example.com", "--yes", code=1).err


def test_an_order_of_somebody_else_is_answered_with_their_own(known: Path, cli: Cli) -> None:
    ran = cli("event", "support.solved", "--customer", "ana@example.com", "--order", "A-2", code=1)
    assert ran.err == "error: order A-2 is not one of that customer's\nhint: Theirs are: A-1\n"


def test_a_workflow_without_letters_is_no_mistake(known: Path, cli: Cli) -> None:
    assert (
        cli("messages", "list", "--workflow", "after-arrival", "--state", "blocked").out == "No letters are blocked.\n"
    )
    ran = cli("messages", "release", "--workflow", "after-arrival", code=1)
    assert "no first letters of 'after-arrival' wait" in ran.err
