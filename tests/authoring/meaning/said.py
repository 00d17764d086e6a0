"""Conditions by what they say."""

import re

from followup.core.workflow import Condition

_TEXTS = re.compile(r"\"[^\"]*\"|'[^']*'")
_NAMES = re.compile(r"[a-z_]+(?:\.[a-z0-9_-]+)*")
_WORDS = {"and", "or", "not", "in", "is", "none", "if", "else", "defined", "true", "false", "default", "lower"}


def when(source: str) -> Condition:
    """Return a condition that says *source*; nobody asks it, its words are looked at."""
    names = [name for name in _NAMES.findall(_TEXTS.sub(" ", source)) if name not in _WORDS]
    return Condition(source, lambda _: False, names=tuple(dict.fromkeys(names)))
