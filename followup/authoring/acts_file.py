"""
Scripted customers, for replays: who answers which letter, after how long, and how.

An acts file is a YAML list; whoever is not in it stays silent::

    - order: T-1001              # whose letter
      letter: arrived-ok         # which one
      after: 5 hours             # from when the provider took it
      answers: all-good          # tapped and confirmed; or
      replies: t-1001.eml        # a mail, relative to this file; or
      closes: true               # one of us has answered, and closes the conversation
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from followup.authoring.diagnostics import BundleError, Report, Spot
from followup.authoring.durations import read_timedelta
from followup.authoring.shapes import Fields, as_mapping, as_sequence
from followup.authoring.source import Node, decode, read_yaml
from followup.errors import FollowupError

LARGEST_MAIL = 30_000_000  # bytes; what SendGrid takes in
DEEDS = ("answers", "replies", "closes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What one customer does about one letter; ``key`` names it, so that doing it again changes nothing."""

    key: str
    order: str
    letter: str
    after: timedelta
    answers: str | None = None
    replies: bytes | None = None
    closes: bool = False


def read_acts(path: Path) -> list[Act]:
    """
    Read an acts file and the mails it names.

    Raises:
        FollowupError: the file cannot be read.
        BundleError: something in it is wrong; every place is named.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FollowupError(f"{path}: cannot be read: {error.strerror}") from error
    report = Report(str(path))
    text = decode(raw, report)
    node = read_yaml(text, report) if text is not None else None
    entries = as_sequence(node, report, "An acts file")
    acts = [_act(item, number, path, report) for number, item in enumerate(entries.items if entries else (), start=1)]
    if report.diagnostics:
        raise BundleError(report.diagnostics, {str(path): text or ""})
    return [act for act in acts if act is not None]


def _act(item: Node, number: int, path: Path, report: Report) -> Act | None:
    node = as_mapping(item, report, "An act")
    if node is None:
        return None
    fields = Fields(node, report, "an act", ("order", "letter", "after", *DEEDS))
    fields.check("order", "letter", "after")
    order, letter = fields.text("order", numbers=True), fields.text("letter")
    after = fields.parsed("after", read_timedelta)
    deeds = [deed for deed in DEEDS if deed in node.entries]
    if len(deeds) != 1:
        report.add(node.spot, "102", f"An act is one of {', '.join(DEEDS)}.", "leave out customers who stay silent")
        return None
    answers = fields.text("answers", numbers=True)
    replies = _mail(fields, path, report)
    closes = fields.flag("closes") or False
    if order is None or letter is None or after is None:
        return None
    key = f"{order}/{letter}/{number}"
    return Act(key=key, order=order, letter=letter, after=after, answers=answers, replies=replies, closes=closes)


def _mail(fields: Fields, path: Path, report: Report) -> bytes | None:
    name = fields.text("replies")
    if name is None:
        return None
    node = fields.get("replies")
    spot = node.spot if node else Spot()
    try:
        with (path.parent / name).open("rb") as file:
            mail = file.read(LARGEST_MAIL + 1)
    except OSError as error:
        report.add(spot, "203", f"{name} cannot be read: {error.strerror}.", f"it is looked for in {path.parent}")
        return None
    if len(mail) > LARGEST_MAIL:
        report.add(spot, "203", f"{name} is larger than 30 MB.")
        return None
    return mail
