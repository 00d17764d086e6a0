"""What a customer would feel of all that reaches them: not what was meant by one letter, but what comes of many."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from itertools import groupby, pairwise

from followup.core.schedule import Calendar

LONG = timedelta(days=30)  # without any contact: worth a line
GAPS = 3  # the longest, at most so many
MANY = 3  # letters in a row that nobody answered
MORNING, EVENING = time(8), time(21)  # between the second and the first, people do not expect mail from us


class Contact(StrEnum):
    """What passed between a customer and us."""

    QUESTION = "question"
    LETTER = "letter"  # without a question
    REMINDER = "reminder"
    THEIRS = "theirs"  # they answered, or wrote
    PERSON = "person"  # one of us has answered them


OURS = frozenset({Contact.QUESTION, Contact.LETTER, Contact.REMINDER})


class FeelKind(StrEnum):
    GAP = "gap"  # long without any contact
    UNANSWERED = "unanswered"  # several letters in a row without a word from them
    ASKED_AGAIN = "asked_again"  # the same question, more than once
    ODD_HOUR = "odd_hour"  # letters when people do not expect mail
    SAME_DAY = "same_day"  # several letters on one day


@dataclass(frozen=True, slots=True)
class Touch:
    """One contact, and the letter by which it came."""

    at: datetime
    contact: Contact
    letter: str | None = None


@dataclass(frozen=True, slots=True)
class Feeling:
    """Something a customer would notice, from *since* to *until*; ``letters`` are those it is about, in order."""

    kind: FeelKind
    since: datetime
    until: datetime
    letters: tuple[str, ...] = ()

    @property
    def days(self) -> float:
        return (self.until - self.since) / timedelta(days=1)


def feel(touches: Iterable[Touch], calendar: Calendar) -> list[Feeling]:
    """
    Return what stands out, in the order in which it begins.

    Args:
        touches: everything that passed, oldest first.
        calendar: where the customer lives in time.
    """
    told = list(touches)
    ours = [touch for touch in told if touch.contact in OURS]
    found = [*_gaps(told), *_unanswered(told), *_asked_again(ours), *_odd_hours(ours, calendar)]
    return sorted([*found, *_same_days(ours, calendar)], key=lambda one: (one.since, one.until, one.kind))


def _gaps(told: Sequence[Touch]) -> list[Feeling]:
    gaps = [Feeling(FeelKind.GAP, before.at, after.at) for before, after in pairwise(told)]
    long = [gap for gap in gaps if gap.until - gap.since >= LONG]
    return sorted(long, key=lambda gap: gap.until - gap.since, reverse=True)[:GAPS]


def _unanswered(told: Sequence[Touch]) -> Iterator[Feeling]:
    """Yield the letters between two signs of the customer, or of a person, if they are many."""
    for ours, some in groupby(told, key=lambda touch: touch.contact in OURS):
        row = list(some)
        if ours and len(row) >= MANY:
            yield _about(FeelKind.UNANSWERED, row)


def _asked_again(ours: Sequence[Touch]) -> Iterator[Feeling]:
    asked: dict[str, list[Touch]] = {}
    for touch in ours:
        if touch.contact is Contact.QUESTION and touch.letter is not None:
            asked.setdefault(touch.letter, []).append(touch)
    for times in asked.values():
        if len(times) > 1:
            yield _about(FeelKind.ASKED_AGAIN, times)


def _odd_hours(ours: Sequence[Touch], calendar: Calendar) -> Iterator[Feeling]:
    for moment, some in groupby(ours, key=lambda touch: touch.at):
        if not MORNING <= calendar.shows(moment).time() < EVENING:
            yield _about(FeelKind.ODD_HOUR, list(some))


def _same_days(ours: Sequence[Touch], calendar: Calendar) -> Iterator[Feeling]:
    for _, some in groupby(ours, key=lambda touch: calendar.shows(touch.at).date()):
        day = list(some)
        if len(day) > 1:
            yield _about(FeelKind.SAME_DAY, day)


def _about(kind: FeelKind, touches: Sequence[Touch]) -> Feeling:
    letters = tuple(touch.letter or "" for touch in touches)
    return Feeling(kind, touches[0].at, touches[-1].at, letters)
