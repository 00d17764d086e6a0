"""
When: durations, business days, send windows, zones and both DST changes.

Local time exists only in this module: convert in, choose the wall-clock moment, convert back to UTC.
A wall-clock time that a clock change skips is taken as the same distance after the gap (02:30 becomes
03:30), one that occurs twice as the first of the two (PEP 495, ``fold=0``). A window that opens or closes
at a time that is skipped does so when the clock changes. Around a change as well, no letter leaves while
the clock shows an hour that its window does not have.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
SEARCH_DAYS = 400  # a window that has not opened by then never will
BACKOFF_FIRST, BACKOFF_MOST = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Where a customer lives in time: the zone, and which local dates are public holidays there."""

    zone: ZoneInfo
    is_holiday: Callable[[date], bool] = lambda _: False

    def is_business_day(self, day: date) -> bool:
        """Tell whether *day* is a weekday and no public holiday."""
        return day.weekday() < 5 and not self.is_holiday(day) and self.has(day)

    def has(self, day: date) -> bool:
        """Tell whether *day* came at all: a place that moves over the date line leaves one out."""
        return self.local(self.instant(day, time(12))).date() == day

    def local(self, moment: datetime) -> datetime:
        """Return *moment* (aware) on the customer's wall clock."""
        return moment.astimezone(self.zone)

    def shows(self, moment: datetime) -> datetime:
        """Return what calendar and wall clock of the customer show at *moment* (aware), without a zone."""
        return self.local(moment).replace(tzinfo=None)

    def instant(self, day: date, wall: time) -> datetime:
        """Return the UTC instant at which the wall clock shows *wall* on *day*; see the module for DST."""
        return self._instant(day, wall, fold=0)

    def again(self, day: date, wall: time) -> datetime:
        """Return the UTC instant at which it shows *wall* for the second time on *day*, if it comes twice."""
        return self._instant(day, wall, fold=1)

    def reaches(self, day: date, wall: time) -> datetime:
        """Return the first UTC instant at which the wall clock shows *wall* on *day*, or has skipped it."""
        wanted, after = datetime.combine(day, wall), self.instant(day, wall)
        if self.shows(after) == wanted:
            return after
        before = self._instant(day, wall, fold=1)  # of a time that is skipped: the change lies between the two
        seconds = range((after - before) // SECOND)
        return before + bisect_left(seconds, wanted, key=lambda n: self.shows(before + n * SECOND)) * SECOND

    def _instant(self, day: date, wall: time, *, fold: int) -> datetime:
        return datetime.combine(day, wall.replace(fold=fold), tzinfo=self.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time as a marketer writes it: elapsed time, or a number of business days (not both)."""

    elapsed: timedelta = timedelta(0)
    business_days: int = 0

    def after(self, start: datetime, calendar: Calendar) -> datetime:
        """
        Return the UTC instant this long after *start* (aware).

        Elapsed time is exact (a day is 24 hours, whatever the clocks do). Business days keep the
        wall-clock time and land on the n-th business day after the local date of *start*.
        """
        if not self.business_days:
            return start.astimezone(UTC) + self.elapsed  # sums of local times go by the clock on the wall
        local = calendar.local(start)
        day = local.date()
        for _ in range(self.business_days):
            day = next_day(day, calendar.is_business_day)
        return calendar.instant(day, local.time())


def next_day(day: date, wanted: Callable[[date], bool]) -> date:
    """Return the first date after *day* that is *wanted*, or the last one looked at when none is."""
    for _ in range(SEARCH_DAYS):
        day += DAY
        if wanted(day):
            break
    return day


def as_moment(value: object, calendar: Calendar) -> datetime | None:
    """Return the moment that a date field means: its own, or of a day as text (``2026-04-01``) the first one there."""
    if not isinstance(value, str):
        return value if isinstance(value, datetime) else None
    try:
        return calendar.instant(date.fromisoformat(value.strip()), time(0))
    except ValueError:
        return None


def next_wall_time(start: datetime, wall: time, calendar: Calendar) -> datetime:
    """
    Return the next instant at or after *start* (aware) when the customer's wall clock shows *wall*.

    Of a time that occurs twice only the first counts; see the module for one that is skipped.
    """
    day = calendar.local(start).date()
    moment = calendar.instant(day, wall)
    return moment if moment >= start else calendar.instant(day + DAY, wall)


def in_words(span: timedelta) -> str:
    """Return *span* in the largest unit of which it is a whole number: days, hours or minutes."""
    for unit, name in ((DAY, "day"), (timedelta(hours=1), "hour")):
        if not span % unit:
            return _counted(span // unit, name)
    return f"{span / timedelta(minutes=1):g} minute{'s' if span != timedelta(minutes=1) else ''}"


def duration_in_words(duration: Duration) -> str:
    """Return *duration* as a marketer would write it: ``2 business days``."""
    return _counted(duration.business_days, "business day") if duration.business_days else in_words(duration.elapsed)


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' if number != 1 else ''}"


@dataclass(frozen=True, slots=True)
class SendWindow:
    """
    When letters may leave: from ``opens`` (inclusive) to ``closes`` (exclusive), local time.

    ``closes <= opens`` wraps past midnight; such a window belongs to the day on which it opens.
    ``weekdays`` counts from Monday = 0; ``business_days`` leaves out public holidays as well.
    ``zone`` is None for the customer's own, and then ``fallback_zone`` serves those without one.
    """

    opens: time = time(0)
    closes: time = time(0)
    weekdays: frozenset[int] = frozenset(range(7))
    business_days: bool = False
    zone: ZoneInfo | None = None
    fallback_zone: ZoneInfo | None = None

    def _opens_on(self, day: date, calendar: Calendar) -> bool:
        if day.weekday() not in self.weekdays or (self.business_days and calendar.is_holiday(day)):
            return False
        return calendar.has(day)

    def _span(self, day: date, calendar: Calendar) -> tuple[datetime, datetime]:
        last = day if self.closes > self.opens else day + DAY
        return calendar.reaches(day, self.opens), calendar.reaches(last, self.closes)

    def next_open(self, moment: datetime, calendar: Calendar) -> datetime | None:
        """Return *moment* (aware) if the window is open then, else when it next opens; None if it never does."""
        first = calendar.local(moment).date() - DAY  # last night's window may still be open
        for offset in range(SEARCH_DAYS):
            day = first + offset * DAY
            if not self._opens_on(day, calendar):
                continue
            opens, closes = self._span(day, calendar)
            if opens == closes or moment >= closes:  # a span that a clock change swallowed is no window
                continue
            leaves = max(moment, opens)
            set_back = calendar.shows(leaves) < datetime.combine(day, self.opens)  # to before it opened
            return calendar.again(day, self.opens) if set_back else leaves
        return None


def backoff(failures: int, chance: float) -> timedelta:
    """
    Return how long to wait after so many failures in a row: twice as long each time, up to an hour.

    Args:
        failures: at least 1.
        chance: from 0 to 1, at random: the wait is between half of its length and the whole, so that what failed
            together does not come back together.
    """
    longest = min(BACKOFF_FIRST * (1 << min(failures - 1, 20)), BACKOFF_MOST)
    return longest * (0.5 + chance / 2)
