"""What a provider said, made fit for the record: on one line, bounded, and without anybody's address."""

import re

from followup.mail.headers import one_line

_ADDRESS = re.compile(r"[^\s<>\"'(),;:\[\]]+@[^\s<>\"'(),;:\[\]]+")


def fit(text: str, limit: int = 200) -> str:
    """Return *text* on one line of at most *limit* characters, with ``[address]`` for what looks like one."""
    # cut twice: an address may straddle the first cut, so what follows the limit is looked at too
    return one_line(_ADDRESS.sub("[address]", one_line(text, 5 * limit)), limit).rstrip(".")
