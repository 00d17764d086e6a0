"""Reading the record: ``status``, ``customers``, ``replies``, ``conversations``, ``why``."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from followup.cli import output, reasons, story
from followup.cli.shared import json_option, look_up, make_app, tell_switched
from followup.core.replies import MailKind, Source

if TYPE_CHECKING:
    from followup.services.lookups import ListedConversation
    from followup.store.replies import ListedReply

KINDS = [*(kind.value for kind in MailKind), Source.CLICK.value]


@click.command("status")
@json_option
def status_command(as_json: bool) -> None:
    """Show how many of everything there are, by state."""
    from followup.services import lookups

    app = make_app()
    status = lookups.status(app.engine)
    if as_json:
        output.document({"mode": app.settings.mode.value, "whereto": app.whereto, **asdict(status)})
        return
    story.tell_status(status)
    output.tell(app.whereto)
    if "all" in status.halted:
        output.tell(f"HALTED, no letter leaves: {status.halted['all']} (followup unhalt)")
    for name, why in status.halted.items():
        if sender := name.partition("sender:")[2]:
            output.tell(f"No letter of {sender} leaves: {why} (followup doctor)")
    tell_switched(app, status.switched)
    for workflow, held in status.first_letters.items():
        if held:
            waits = "waits" if held == 1 else "wait"
            output.tell(f"{output.plural(held, 'first letter')} of {workflow} {waits} to be read by somebody")
    if any(status.first_letters.values()):
        output.hint("followup messages list --state held", "what they are; followup messages release lets them go")
    if status.waiting_for_us:
        output.hint("followup conversations list", "who waits for us")
    if unmatched := lookups.count_unmatched(app.engine):
        output.hint("followup inbound list", f"{output.plural(unmatched, 'mail')} on nobody's record")
    if not status.orders:
        output.hint("followup import orders FILE", "bring orders in")


@click.group("customers")
def customers_command() -> None:
    """Show a customer's record."""


@customers_command.command("show")
@click.argument("email")
@json_option
def show_customer(email: str, as_json: bool) -> None:
    """Print a customer's story: all that happened, in their local time."""
    record = look_up(make_app(), email)
    if as_json:
        output.document(story.as_document(record))
        return
    story.tell(record)


@click.group("replies")
def replies_command() -> None:
    """Show what customers wrote and answered."""


@replies_command.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only this kind of mail, or answers by click.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
def list_replies(kind: str | None, limit: int, as_json: bool) -> None:
    """
    List mails and answers by click, the newest first.

    A comment that was typed on the answer page stands behind its answer.
    """
    from followup import calendars
    from followup.services import lookups

    app = make_app()
    listed = lookups.replies_of(app.engine, kind=kind, limit=limit)
    if as_json:
        output.document([asdict(one) for one in listed])
        return
    if not listed:
        output.say(f"No replies of kind {kind}." if kind else "No replies yet.")
        return
    rows = [
        (
            output.local(one.received_at, calendars.zone(one.timezone) or calendars.UTC),
            one.email or "–",
            one.kind,
            one.workflow or "–",
            _words(one),
        )
        for one in listed
    ]
    output.table(("received", "customer", "kind", "workflow", "words"), rows)


def _words(reply: "ListedReply") -> str:
    """Return what a customer said: the words of a mail, or the answer that was clicked and its comment."""
    if reply.kind != Source.CLICK:
        means = f"  (= {reply.answer})" if reply.answer else ""
        return output.quoted(reply.text or reply.subject or "", most=200) + means
    return f"{reply.label} ({reply.answer})" + (f" {output.quoted(reply.text, most=200)}" if reply.text else "")


@click.group("conversations")
def conversations_command() -> None:
    """Show who waits for an answer, and close conversations."""


@conversations_command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
def list_conversations(limit: int, as_json: bool) -> None:
    """
    List who waits for an answer from us, the most urgent first.

    What a workflow called urgent comes first, then who waits longest. The owner answers from their own mailbox,
    to the customer's address.
    """
    from followup import calendars
    from followup.services import lookups

    app = make_app()
    waiting = lookups.waiting(app.engine, limit=limit)
    if as_json:
        output.document([asdict(one.waiting) | {"last_words": one.last_words} for one in waiting])
        return
    if not waiting:
        output.say("Nobody waits for an answer from us.")
        return
    rows = [
        (
            output.local(one.waiting.waiting_since, calendars.zone(one.waiting.timezone) or calendars.UTC),
            one.waiting.email or "–",
            one.waiting.owner + (" (urgent)" if one.waiting.urgent else ""),
            _last_words(one),
        )
        for one in waiting
    ]
    output.table(("since", "customer", "owner", "last words"), rows)
    output.tell("Their letters are held. Answer from your own mailbox, to their address; then:")
    output.hint("followup conversations close EMAIL", "lets the letters go on")


def _last_words(one: "ListedConversation") -> str:
    """Return what the customer said last, and what a workflow told their owner."""
    said = output.quoted(one.last_words, most=80) if one.last_words else ""
    notes = (one.waiting.note or "").replace("\n", " · ")  # of several workflows
    note = f"note: {output.quoted(notes, most=80)}" if notes else ""
    return "  ".join(part for part in (said, note) if part) or "–"


@conversations_command.command("close")
@click.argument("email")
@json_option
def close_conversation(email: str, as_json: bool) -> None:
    """Close the conversation with EMAIL; held letters go on."""
    from followup.core.customer import normalize_address
    from followup.services import converse

    app = make_app()
    released = converse.close(app.engine, normalize_address(email), library=app.library, clock=app.clock)
    if as_json:
        output.document({"email": email, "released": released})
        return
    output.say(
        f"Closed; {output.plural(released, 'held letter')} can go on." if released else "Closed; no letter was held."
    )
    if released:
        output.hint("followup worker --once", "do what is due now")


@click.command("why")
@click.argument("about", metavar="ORDER|EMAIL")
@click.option("--step", help="Only what concerns this step of a workflow.")
@json_option
def why_command(about: str, step: str | None, as_json: bool) -> None:
    """
    Explain what happened with an order, or with a customer, and what did not.

    Shows every recorded decision with the values it rests on, in the customer's local time; who was not let in, and
    which workflows did not look. An EMAIL has an @: then all the customer has been in is shown, run by run. With
    --step, that is why somebody got a letter, or why they did not.
    """
    from followup.services import why

    app = make_app()
    is_address = "@" in about
    explain = why.about_customer if is_address else why.about_order
    found = explain(app.engine, about, library=app.library, now=app.clock.now(), step=step)
    if as_json:
        output.document([reasons.as_document(one) for one in found])
    elif is_address:
        reasons.tell_customer(found)
    else:
        for one in found:
            reasons.tell(one)
    halted = next((one.halted for one in found if one.halted), None)
    if halted is not None:
        output.tell(f"HALTED, no letter leaves: {halted} (followup unhalt)")
