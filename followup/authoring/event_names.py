"""Which events a workflow file may name: those followup knows, and events of the shop's own."""

from difflib import SequenceMatcher

from followup.authoring.diagnostics import listed
from followup.authoring.shapes import Fields
from followup.core.events import LONGEST_NAME, NAME, OURS, EventKind, is_custom

TRIGGERS = (
    "order.placed",
    "order.paid",
    "order.fulfilled",
    "order.delivered",
    "order.promise_missed",
    "order.refunded",
    "order.cancelled",
    "customer.quiet",
    "manual",
)
AWAITED = tuple(sorted(OURS - {EventKind.CUSTOMER_QUIET, EventKind.MESSAGE_SENT_AGAIN}))  # by exits, waits and goals
MOST_CHANGED = 2  # characters
_NOT_AWAITED = {  # what cannot end a run or a wait, nor be a goal
    "customer.quiet": (
        '"customer.quiet" can only be a trigger.',
        "it means that nothing was heard; the timeout of an ask or a wait_for notices that",
    ),
    "manual": ('"manual" can only be a trigger.', "it means that a person lets a customer in, which is no event"),
    "message.sent_again": (
        '"message.sent_again" is a note in our own record.',
        "that a letter was taken is message.accepted",
    ),
}
assert set(TRIGGERS) - OURS == {"manual"}
assert set(_NOT_AWAITED) == (OURS | set(TRIGGERS)) - set(AWAITED)


def read_event(fields: Fields, key: str = "event") -> str | None:
    """Return the event under *key* that ends a run or a wait, or is a goal; or report why it is none."""
    return _read(fields, key, AWAITED)


def read_trigger(fields: Fields) -> str | None:
    """Return the event that begins runs, or report why it is none."""
    return _read(fields, "event", TRIGGERS)


def _read(fields: Fields, key: str, known: tuple[str, ...]) -> str | None:
    event, node = fields.text(key), fields.get(key)
    if event is None or node is None or event in known:
        return event
    wrong = _wrong(event, known)
    if wrong is not None:
        fields.report.add(node.spot, *wrong)
        return None
    return event


def _wrong(event: str, known: tuple[str, ...]) -> tuple[str, str, str] | None:
    """Return the number, the message and the help for an *event* that cannot be; None for one of the shop's own."""
    if len(event) > LONGEST_NAME:
        return "114", f'"{event[:20]}…" is too long for an event.', f"an event may have {LONGEST_NAME} characters"
    if event in OURS or event in TRIGGERS:
        starts = f'A run cannot begin with "{event}".', _known_here(known)
        return ("105", *(starts if known is TRIGGERS else _NOT_AWAITED[event]))
    if meant := _slip_of(event):
        return "101", f'Unknown event "{event}". Did you mean "{meant}"?', _known_here(known, meant)
    if not is_custom(event):
        return "101", f'Unknown event "{event}".', _known_here(known, event)
    if not NAME.fullmatch(event):
        help = 'write lower-case words with "." or "_" between them, like support.ticket_opened'
        return "114", f'"{event}" cannot be the name of an event.', help
    return None


def _known_here(known: tuple[str, ...], like: str = "") -> str:
    """Return the help that lists *known* events; of many, those that begin with the same word as *like*."""
    word = like.split(".", maxsplit=1)[0]
    akin = [kind for kind in known if kind.startswith(f"{word}.")]
    return f"known here: {listed(akin or known)}"


def _slip_of(event: str) -> str | None:
    """
    Return the event that was meant when *event* is a slip of the pen, or half of its name.

    Stricter than a typo in a key: ``review.received`` may look like ``reply.received`` and is an event of a shop.
    """
    written = event.casefold().replace("-", "_").replace(" ", "_")
    for kind in (*TRIGGERS, *AWAITED):
        if written in kind.split(".")[1:] or _changed(written, kind) <= MOST_CHANGED:
            return kind
    return None


def _changed(written: str, kind: str) -> int:
    """Return how many characters lie between the two, roughly."""
    if abs(len(written) - len(kind)) > MOST_CHANGED:
        return len(kind)
    steps = SequenceMatcher(None, written, kind, autojunk=False).get_opcodes()
    return sum(max(end - start, to - since) for tag, start, end, since, to in steps if tag != "equal")
