"""``completion``, and the names that a shell completes: fast, from the project folder, and never with an error."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from followup.cli import output

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

ASKED = "_FOLLOWUP_COMPLETE"  # click's name for it: the variable with which a shell asks
SHELLS = ("bash", "zsh", "fish")
_FIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # what no shell takes for anything else


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
def completion_command(shell: str) -> None:
    """
    Print what makes SHELL (bash, zsh or fish) complete followup's commands.

    To have it in every new shell, run once (for zsh, where compinit runs):

    \b
    bash  echo 'eval "$(followup completion bash)"' >> ~/.bashrc
    zsh   echo 'eval "$(followup completion zsh)"' >> ~/.zshrc
    fish  echo 'followup completion fish | source' >> ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root()
    output.verbatim(kind(root.command, {}, "followup", ASKED).source().rstrip())


def is_asked() -> bool:
    """Tell whether it is a shell that runs us, to complete a line that somebody is writing."""
    return ASKED in os.environ  # noqa: TID251 - click's, not a setting


def workflows(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """Complete the name of a workflow that the project folder has."""
    from followup.authoring.folder import workflow_names

    return _names(workflow_names, incomplete)


def letters(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """Complete the name of a letter that the project folder has."""
    from followup.authoring.folder import letter_names

    return _names(letter_names, incomplete)


def samples(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """Complete the name of a sample that the project folder has."""
    from followup.authoring.folder import sample_names

    return _names(sample_names, incomplete)


def _names(of: Callable[[Path], list[str]], incomplete: str) -> "list[CompletionItem[str]]":
    from click.shell_completion import CompletionItem

    project = os.environ.get("FOLLOWUP_PROJECT") or "."  # noqa: TID251 - to read all settings takes too long here
    try:
        names = of(Path(project))
    except OSError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and _FIT.fullmatch(name)]
