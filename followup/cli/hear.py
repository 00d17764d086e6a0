"""``inbound``: mail from files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from followup.cli import output
from followup.cli.shared import FILE, json_option, make_app

if TYPE_CHECKING:
    from followup.app import App
    from followup.services.receive import Heard

_KINDS = {
    "human": "A reply",
    "auto_reply": "An automatic reply",
    "bounce": "A delivery report",
    "complaint": "A complaint report",
    "unsubscribe": "A wish for no more mail",
}


@click.group("inbound")
def inbound_command() -> None:
    """Bring mail in from a file; list what is on nobody's record, and try again."""


@inbound_command.command("add")
@click.argument("file", type=FILE)
@json_option
def add_inbound(file: Path, as_json: bool) -> None:
    """
    Bring the mail in FILE (.eml) on the record.

    The raw mail is stored before anything looks at it; the same mail twice is one reply.
    """
    from followup.errors import UsageError
    from followup.inbound.structure import is_mail
    from followup.services.receive import receive, store_raw

    app = make_app()
    raw = file.read_bytes()
    if not is_mail(raw):
        what = "is empty" if not raw.strip() else "is no mail: it does not begin with the headers of one"
        raise UsageError(f"{file} {what}", hint="Save the mail with its headers (show source, or save as .eml)")
    inbound_id, new = store_raw(app.engine, raw, channel="file", clock=app.clock)
    _report(app, receive(app.engine, inbound_id, library=app.library, post=app.post()), inbound_id, as_json, new=new)


@inbound_command.command("retry")
@click.argument("number", type=int)
@json_option
def retry_inbound(number: int, as_json: bool) -> None:
    """
    Read the mail NUMBER again, one that is on nobody's record.

    Also one that was kept because nothing vouched for it: look at it first.
    """
    from followup.services.receive import retry

    app = make_app()
    heard = retry(app.engine, number, library=app.library, post=app.post())
    _report(app, heard, number, as_json, new=True)


def _report(app: "App", heard: "Heard", inbound_id: int, as_json: bool, *, new: bool) -> None:
    """Say what became of a mail; exit 1 when it is on nobody's record."""
    from followup.core.replies import InboundState
    from followup.store import customers
    from followup.store.engine import reading

    email = None
    if heard.customer_id is not None:
        with reading(app.engine) as conn:
            email = customers.address_of(conn, heard.customer_id)
    if as_json:
        output.document(
            {
                "inbound": inbound_id,
                "new": new,
                "state": heard.state.value,
                "kind": heard.kind.value if heard.kind else None,
                "customer": heard.customer_id,
                "email": email,
                "text": heard.text,
                "answer": heard.answer,
                "error": heard.error,
            }
        )
    else:
        _summarise(heard, inbound_id, email, new=new)
    if heard.state in {InboundState.UNMATCHED, InboundState.FAILED}:
        raise click.exceptions.Exit(1)


def _summarise(heard: "Heard", inbound_id: int, email: str | None, *, new: bool) -> None:
    from followup.core.replies import InboundState

    if not new or heard.state is InboundState.IGNORED:
        output.say(f"This mail came in before ({heard.state.value}, mail {inbound_id}); nothing was changed.")
    elif heard.state is InboundState.PROCESSED:
        what = _KINDS.get(heard.kind.value, "A mail") if heard.kind else "A mail"
        output.say(f"{what} from {email or 'a customer without an address'}, now on their record.")
        if heard.answer is not None:
            output.say(f"  answers: {heard.answer}")
        output.say(f"  {output.quoted(heard.text)}" if heard.text else "  (no words of their own)")
        output.hint(f"followup customers show {email}", "their whole story")
    else:
        output.say(f"Kept as mail {inbound_id}, but on nobody's record: {heard.error}.")


@inbound_command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
def list_inbound(limit: int, as_json: bool) -> None:
    """
    List the mails that are on nobody's record.

    The newest come first. Somebody has to look at them.
    """
    from dataclasses import asdict

    from followup import calendars
    from followup.services import lookups

    app = make_app()
    mails = lookups.unmatched(app.engine, limit=limit)
    if as_json:
        output.document([asdict(mail) for mail in mails])
    elif not mails:
        output.say("Every mail is on somebody's record.")
    else:
        rows = [
            (mail.id, output.local(mail.received_at, calendars.UTC), mail.error or mail.state.value) for mail in mails
        ]
        output.table(("mail", "received", "why it is on nobody's record"), rows)
