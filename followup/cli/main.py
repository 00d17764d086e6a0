"""``followup``: the commands by name. Nothing heavy is imported until one of them runs."""

import importlib
import sys

import click
from click.exceptions import NoArgsIsHelpError, NoSuchCommand
from click.shell_completion import CompletionItem

from followup import __version__
from followup.cli import output
from followup.cli.completion import is_asked
from followup.errors import FollowupError

# name -> (module, what it does); the first line of help is kept here so that --help imports nothing
COMMANDS = {
    "demo": ("play", "Show a small shop's conversations, in virtual time."),
    "init": ("project", "Make a project folder: workflows, letters, people, settings."),
    "plan": ("deploy", "Show what applying the folder would change, and for whom."),
    "apply": ("deploy", "Check the folder and make it what runs."),
    "bundles": ("bundles", "Show what was applied when; compare, and go back."),
    "import": ("intake", "Bring orders in from a file."),
    "event": ("workflows", "Tell of something that happened to a customer."),
    "trigger": ("workflows", "Let customers into a workflow by hand."),
    "worker": ("worker", "Do what falls due, until stopped."),
    "web": ("serving", "Answer customers' clicks and the provider's posts."),
    "run": ("serving", "Be worker and web process in one."),
    "release": ("serving", "Upgrade the database and apply the folder."),
    "halt": ("brake", "Stop every letter at once."),
    "unhalt": ("brake", "Let letters leave again."),
    "pause": ("switches", "Pause a workflow: the people inside wait."),
    "resume": ("switches", "Let a workflow go on; first see what would leave."),
    "archive": ("switches", "End a workflow, and every run in it."),
    "send-test": ("brake", "Send a letter to yourself, as a customer would get it."),
    "simulate": ("simulate", "Show what a workflow would do, move by move; nothing is sent."),
    "walk": ("walk", "Show what a customer has been through, and what is to come."),
    "replay": ("play", "Let an order file happen in virtual time."),
    "inbound": ("hear", "Bring mail in from a file; list what is on nobody's record."),
    "status": ("record", "Show how many of everything there are."),
    "customers": ("record", "Show a customer's record."),
    "replies": ("record", "Show what customers wrote."),
    "conversations": ("record", "Show who waits for an answer; close conversations."),
    "messages": ("messages", "Show letters by state; decide about those that need a person."),
    "suppressions": ("suppressions", "Show and change the list of those we never write to."),
    "workflows": ("workflows", "Show the applied workflows."),
    "show": ("show", "Draw a workflow, with the people at each step."),
    "report": ("lessons", "Show what a workflow has taught us."),
    "why": ("record", "Explain what happened with an order or a customer, and what did not."),
    "doctor": ("doctor", "Check that everything is there, and say what to do."),
    "config": ("project", "Show every setting."),
    "completion": ("completion", "Make bash, zsh or fish complete these commands."),
    "db": ("project", "Look after the database."),
}
STOPPED = 130  # what shells say of a program that Ctrl-C ended


class _Commands(click.Group):
    """Finds each command in its module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"followup.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:  # raised without suggestions: click knows none of our names
            raise NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Complete the name of a command without importing any."""
        names = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="followup")
def followup() -> None:
    """
    Follow up with customers after they buy: ask, listen, remember.

    \b
    followup demo                       see it work, in a minute
    followup init my-shop               begin a project
    followup import orders orders.csv   bring orders in
    """


def main(args: list[str] | None = None) -> None:
    """Run one command and exit: 0 ok, 1 failed or findings, 2 wrong usage, 3 try again later, 4 a plan has changes."""
    output.prepare()
    sys.exit(_complete() if is_asked() else _run(args))


def _complete() -> int:
    """Answer a shell. Whatever is wrong, it shows nothing: an error would stand in the middle of somebody's line."""
    try:
        followup.main(prog_name="followup", standalone_mode=False)
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - outermost, and not for the log either
        return 1
    return 0


def _run(args: list[str] | None) -> int:
    try:
        code = followup.main(args=args, prog_name="followup", standalone_mode=False)
        output.finish()
    except FollowupError as error:
        output.fail(error)
        return error.exit_code
    except click.ClickException as error:
        _explain(error)
        return error.exit_code
    except click.Abort:  # Ctrl-C, or the end of input where an answer was asked for
        output.tell("Stopped.")
        return STOPPED
    except output.ReaderGone:
        return 0
    return code if isinstance(code, int) else 0


def _explain(error: click.ClickException) -> None:
    """Say what was wrong with the command line the way all errors are said."""
    if isinstance(error, NoArgsIsHelpError):
        error.show()
        return
    output.complain(error.format_message())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        output.tell(f"hint: {error.ctx.command_path} --help")
