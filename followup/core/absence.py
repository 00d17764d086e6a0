"""
Is it proven that a letter of unknown fate was not accepted?

The provider reports every letter it takes, and repeats each report for a day until we have it. So when that day
is over, and the reports demonstrably arrived all the while, silence about a letter means that it was not taken.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

REPEATED = timedelta(hours=24)  # how long SendGrid repeats an event
REPORTS_LAST = REPEATED + timedelta(hours=1)  # and one hour for it to begin to
NEIGHBOURS = timedelta(hours=1)  # before the attempt: how far around it every accepted letter must be reported on


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """
    What is known of the provider's reports around one attempt.

    ``reports`` says whether the way out reports at all. ``later`` counts letters that left after the attempt and
    were reported on while a report about it was still being repeated, ``silent`` those accepted around it that were
    not reported on. ``unread`` counts posts and events that came since and could not be read, or have not been yet.
    ``last_at`` is when the last event came. ``lost`` says that the database was restored since, ``opened``
    that a link of the letter was opened: by somebody who has it, then, or a machine that looked into it.
    """

    reports: bool
    later: int
    silent: int
    unread: int
    last_at: datetime | None
    lost: bool = False
    opened: bool = False


def doubts(sending_at: datetime, not_after: datetime | None, feed: Feed, *, now: datetime) -> tuple[str, ...]:
    """Return what is missing to the proof that the attempt of *sending_at* was not accepted; nothing: it is proven."""
    over = sending_at + REPORTS_LAST
    if not feed.reports:
        return ("the way out it was given to does not report what became of letters",)
    missing = (
        (now < over, f"a report may still come until {over:%Y-%m-%d %H:%M} UTC"),
        (not feed.later, "no letter that left later was reported on while one about it would have come"),
        (feed.last_at is None or feed.last_at < over, "no report has come since that time was over"),
        (feed.silent > 0, f"{feed.silent} accepted letters of that time were not reported on either"),
        (feed.opened, "somebody, or a mail scanner, opened a link of it"),
        (feed.lost, "the database was restored, and reports that came before may be lost"),
        (feed.unread > 0, f"{feed.unread} reports that came since have not been read"),
        (not_after is not None and now >= not_after, "it is too late to send it by now"),
    )
    return tuple(why for applies, why in missing if applies)
