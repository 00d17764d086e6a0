"""What a terminal can do, and wants."""

import os
from typing import TextIO


def takes_colour(stream: TextIO) -> bool:
    """Tell whether to colour: on terminals that can, and not where NO_COLOR is set (no-color.org)."""
    variables = os.environ  # noqa: TID251 - the terminal's, not ours
    return stream.isatty() and not variables.get("NO_COLOR") and variables.get("TERM") != "dumb"
