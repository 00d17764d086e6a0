"""``halt``, ``unhalt``, ``send-test``: before, and in case of, trouble."""

import click

from followup.cli import completion, output
from followup.cli.shared import json_option, make_app


@click.command("halt")
@click.option("--reason", default="an operator halted everything", help="Shown wherever the halt is.")
def halt_command(reason: str) -> None:
    """
    Stop every letter at once, in all processes, until followup unhalt.

    What falls due meanwhile is held; mails and clicks of customers still come in.
    """
    from followup.services.halt import halt

    app = make_app()
    if halt(app.engine, reason, clock=app.clock):
        output.say("Halted: no letter leaves from now on.")
    else:
        output.say("Everything is halted already.")
    output.hint("followup unhalt", "let letters leave again")


@click.command("unhalt")
def unhalt_command() -> None:
    """Let letters leave again, those that were held included."""
    from followup.services.halt import unhalt

    app = make_app()
    released = unhalt(app.engine, library=app.library, clock=app.clock)
    if released is None:
        output.say("Nothing is halted.")
    else:
        output.say(f"Letters leave again; {output.plural(released, 'held letter')} go on.")


@click.command("send-test")
@click.argument("letter", shell_complete=completion.letters)
@click.option("--to", required=True, metavar="ADDRESS", help="Whom to send it to.")
@click.option("--order", required=True, metavar="NUMBER", help="Write it for this order's customer.")
@json_option
def send_test_command(letter: str, to: str, order: str, as_json: bool) -> None:
    """
    Send LETTER as one customer would get it, to an address of your own.

    It is on nobody's record, so no page knows its answers. In test mode it goes where every letter goes.
    """
    from followup.core.message import Accepted
    from followup.errors import FollowupError
    from followup.services.trial import send_test

    app = make_app()
    post = app.post()
    output.tell(app.whereto)
    tried = send_test(app.engine, letter, to=to, order_number=order, library=app.library, post=post, clock=app.clock)
    answer = tried.answer
    if as_json:
        output.document(
            {
                "answer": type(answer).__name__.lower(),
                "reason": getattr(answer, "reason", None),
                "provider_id": getattr(answer, "provider_id", None),
                "subject": tried.mail.subject,
                "from": tried.mail.from_email,
                "to": tried.mail.to_email,
            }
        )
    if not isinstance(answer, Accepted):
        raise FollowupError(f"the letter was not taken: {answer.reason}", hint="followup doctor checks the settings")
    if not as_json:
        output.say(f"“{tried.mail.subject}” from {tried.mail.from_email}: taken as {answer.provider_id}.")
