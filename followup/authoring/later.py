"""
What the file formats will know in later versions.

Each name here gets its own diagnostic (W190, T190), so that nobody looks for a typo in a file that is
merely ahead of its time. To support one, delete it.
"""

NAMES = ("reply.intent", "reply.sentiment")


def not_yet(what: str) -> str:
    """Return the message for a feature of a later version."""
    return f"{what} is not supported by this version yet."


def is_later_name(dotted: str) -> bool:
    """Tell whether *dotted* names something that this version never fills."""
    return any(dotted == name or dotted.endswith("." + name) for name in NAMES)
