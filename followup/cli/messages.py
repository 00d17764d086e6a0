"""``messages``: every letter by its state, and what a person decides about one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from followup.cli import completion, output
from followup.cli.shared import json_option, make_app
from followup.core.message import MessageState

if TYPE_CHECKING:
    from datetime import datetime

    from followup.app import App
    from followup.mail.message import OutgoingMail
    from followup.services.fate import Shown
    from followup.store.messages import ListedMessage, StoredMessage


@click.group("messages")
def messages_command() -> None:
    """Show letters by state, and decide about those that need a person."""


@messages_command.command("list")
@click.option(
    "--state",
    type=click.Choice([state.value for state in MessageState]),
    metavar="STATE",
    help="Only letters in this state: due, held, unknown, …",
)
@click.option("--workflow", metavar="NAME", shell_complete=completion.workflows, help="Only letters of this workflow.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
def list_messages(state: str | None, workflow: str | None, limit: int, as_json: bool) -> None:
    """
    List letters, the newest first.

    Of each of unknown fate it says whether it is proven that the provider did not accept it.
    """
    from followup.services import fate, find

    app = make_app()
    wanted = MessageState(state) if state else None
    found = fate.listing(app.engine, state=wanted, workflow=workflow, limit=limit, clock=app.clock)
    if workflow and not found:
        find.workflow(app.engine, workflow, library=app.library)
    if as_json:
        output.document([_as_document(one, doubts) for one, doubts in found])
        return
    if not found:
        output.say(f"No letters are {state}." if state else "No letters yet.")
        return
    rows = [
        (
            one.message.id,
            one.message.state.value,
            output.local(at, app.clock.now().tzinfo) if (at := _moment(one.message)) else "–",
            one.email or "–",
            _letter(one, doubts),
        )
        for one, doubts in found
    ]
    output.table(("message", "state", "when", "customer", "letter"), rows)
    if any(doubts is not None for _, doubts in found):
        output.hint("followup messages show MESSAGE", "what is known of one of them, and what to do")


@messages_command.command("show")
@click.argument("number", type=int)
@json_option
def show_message(number: int, as_json: bool) -> None:
    """
    Show one letter, whole.

    How it stands, what the provider reported of it, and what it says.
    """
    from followup.errors import FollowupError
    from followup.services import draft, fate

    app = make_app()
    shown = fate.show(app.engine, number, clock=app.clock)
    trouble = ""
    mail = None
    try:
        mail = draft.as_written(app.engine, shown.message, library=app.library, identity=app.identity, clock=app.clock)
    except FollowupError as error:
        trouble = str(error)
    if as_json:
        document = _as_document(shown.listed, shown.doubts)
        document["reports"] = [{"at": at, "event": kind} for at, kind in shown.reports]
        document["given_up"] = [{"token": token, "sending_at": at} for token, at in shown.past]
        document["mail"] = _mail_document(mail) if mail else None
        document["unwritable"] = trouble or None
        output.document(document)
        return
    _tell(app, shown)
    if trouble:
        output.say(f"\nIt cannot be written: {trouble}")
    elif mail is not None:
        _tell_mail(mail, shown.message)


@messages_command.command("mark-sent")
@click.argument("number", type=int)
def mark_sent(number: int) -> None:
    """
    Count a letter of unknown fate as sent.

    For one that you found in the provider's activity feed. Its run goes on from when it left.
    """
    from followup.services import fate

    app = make_app()
    fate.mark_sent(app.engine, number, clock=app.clock)
    output.say(f"Message {number} counts as sent; its run goes on.")


@messages_command.command("resend")
@click.argument("number", type=int)
@click.option("--yes", is_flag=True, help="Do not ask, even if it may have been accepted.")
def resend(number: int, yes: bool) -> None:
    """
    Send a letter of unknown fate again.

    It goes under a new token, and every gate is asked again. Should the first one turn out to have been
    accepted before the second leaves, the second stays here.
    """
    from followup.services import fate

    app = make_app()
    doubts = fate.show(app.engine, number, clock=app.clock).doubts
    if doubts:
        output.tell(f"It is not proven that message {number} was not accepted: {'; '.join(doubts)}.")
        if not output.confirm("The customer may get it twice.", yes=yes):
            raise click.exceptions.Exit(1)
    fate.resend(app.engine, number, library=app.library, clock=app.clock)
    output.say(f"Message {number} is due again.")


@messages_command.command("cancel")
@click.argument("number", type=int)
def cancel(number: int) -> None:
    """
    Withdraw a letter that has not left.

    Its run goes on without it.
    """
    from followup.services import fate

    app = make_app()
    fate.cancel(app.engine, number, clock=app.clock)
    output.say(f"Message {number} is withdrawn.")


@messages_command.command("release")
@click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]...")
@click.option(
    "--workflow",
    metavar="NAME",
    shell_complete=completion.workflows,
    help="All first letters of this workflow, and no more of them are asked for.",
)
@json_option
def release(numbers: tuple[int, ...], workflow: str | None, as_json: bool) -> None:
    """
    Let first letters go that you have read.

    By their numbers, or all of a workflow's. When as many as were asked for have gone, the others follow.
    """
    from followup.services import approve

    if bool(numbers) == (workflow is not None):
        raise click.UsageError("Give the numbers of letters, or --workflow NAME.")
    app = make_app()
    if workflow is not None:
        released = approve.release_workflow(app.engine, workflow, library=app.library, clock=app.clock)
    else:
        released = approve.release_letters(app.engine, numbers, library=app.library, clock=app.clock)
    waiting = approve.waiting(app.engine)
    if as_json:
        left = {name: first.first - first.approved for name, first in waiting.items()}
        output.document({"released": released, "to_read": left})
        return
    output.say(f"{output.plural(released, 'letter')} let go.")
    for name, first in waiting.items():
        output.tell(f"{name}: {first.approved} of its first {first.first} are let go; the others wait.")


def _moment(message: "StoredMessage") -> "datetime | None":
    return message.accepted_at or message.sending_at or message.due_at


def _letter(one: "ListedMessage", doubts: tuple[str, ...] | None) -> str:
    """Return which letter it is, about which order, and what was said of it."""
    about = f"{one.message.letter} ({one.order_number})" if one.order_number else one.message.letter
    said = _said(one, doubts)
    return f"{about}: {said}" if said and said != one.message.state.value else about


def _said(one: "ListedMessage", doubts: Sequence[str] | None) -> str:
    if doubts is not None:
        return f"not proven: {doubts[0]}" if doubts else "proven that it was not accepted"
    return one.message.reason or (one.outcome or "")


def _as_document(one: "ListedMessage", doubts: Sequence[str] | None) -> dict[str, object]:
    message = one.message
    return {
        "message": message.id,
        "state": message.state.value,
        "outcome": one.outcome,
        "reason": message.reason,
        "email": one.email,
        "order": one.order_number,
        "workflow": message.workflow,
        "step": message.step,
        "round": message.round,
        "letter": message.letter,
        "sender": message.sender,
        "due_at": message.due_at,
        "not_after": message.not_after,
        "sending_at": message.sending_at,
        "accepted_at": message.accepted_at,
        "provider_id": one.provider_id,
        "attempts": message.attempts,
        "absence": None if doubts is None else {"proven": not doubts, "missing": list(doubts)},
    }


def _tell(app: "App", shown: "Shown") -> None:
    message, zone = shown.message, app.clock.now().tzinfo
    output.say(f"Message {message.id} is {message.state.value}" + (f": {message.reason}" if message.reason else ""))
    lines: list[tuple[str, object]] = [
        ("to", shown.listed.email or "a customer without an address"),
        ("order", shown.listed.order_number or "–"),
        ("place", f"{message.workflow}, step {message.step}{', reminder' if message.round else ''}"),
        ("letter", f"{message.letter}, signed by {message.sender}"),
    ]
    moments = (
        ("due", message.due_at),
        ("at the latest", message.not_after),
        ("left", message.sending_at),
        ("accepted", message.accepted_at),
    )
    lines += [(name, output.local(at, zone)) for name, at in moments if at is not None]
    lines += [("given up", f"an attempt of {output.local(at, zone)}") for _, at in shown.past]
    lines += [("reported", f"{output.local(at, zone)}  {kind}") for at, kind in shown.reports]
    for name, text in lines:
        output.entry(f"  {name:<14}  ", str(text))
    if shown.doubts is not None:
        _advise(shown.doubts, message.id)


def _advise(doubts: Sequence[str], number: int) -> None:
    if doubts:
        output.say("It is not proven that it was not accepted:")
        for why in doubts:
            output.entry("  - ", why)
    else:
        output.say("It is proven that it was not accepted.")
    output.hint(f"followup messages mark-sent {number}", "you found it in the provider's activity feed")
    output.hint(f"followup messages resend {number}", "it is not there, and should go")


def _tell_mail(mail: "OutgoingMail", message: "StoredMessage") -> None:
    output.say("\nAs it left:" if message.payload is not None else "\nAs it would leave now:")
    output.say(f"  From: {mail.from_name} <{mail.from_email}>")
    output.say(f"  To: {mail.to_email}")
    output.say(f"  Subject: {mail.subject}\n")
    for line in mail.text.splitlines():
        output.say(f"  {line}")


def _mail_document(mail: "OutgoingMail") -> dict[str, object]:
    return {"from": mail.from_email, "to": mail.to_email, "subject": mail.subject, "text": mail.text}
