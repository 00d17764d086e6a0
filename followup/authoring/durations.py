"""Text to lengths of time, wall-clock times, hours of the day, days, caps and shares."""

import re
from datetime import date, time, timedelta
from decimal import Decimal

from followup.core.schedule import Duration

UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
LONGEST = timedelta(days=3660)
_LENGTH = re.compile(r"([0-9]{1,6})(?:\s+|(?=[a-z]))(business\s+day|[a-z]+?)s?", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+([.,][0-9]+)?")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)\s*%")
LEAST_HELD, MOST_HELD = Decimal("0.1"), Decimal(50)  # percent
EXAMPLES = 'write for example "3 days", "36 hours" or "2 business days"'


class Unclear(ValueError):
    """The text does not say what it should; ``number`` ends the code of the diagnostic."""

    def __init__(self, number: str, message: str, help: str) -> None:
        super().__init__(message)
        self.number, self.help = number, help


def read_duration(text: str) -> Duration:
    """
    Return the length of time that *text* (``3 days``, ``2 business days``) names.

    Raises:
        Unclear: it has no unit, an unknown one, or is zero or longer than ten years.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        plural = "" if text == "1" else "s"
        likely = f'write "{text} day{plural}" or "{text} hour{plural}"' if text.isdigit() else EXAMPLES
        raise Unclear("104", f"'{text}' needs a unit", likely)
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise Unclear("105", f"'{text}' is not a length of time", EXAMPLES)
    count, unit = int(found[1]), " ".join(found[2].casefold().split())
    if unit == "business day":
        return Duration(business_days=_bounded(count, timedelta(days=2), text))
    if unit not in UNITS:
        help = "months and years differ in length: count days or weeks" if unit in {"month", "year"} else EXAMPLES
        raise Unclear("105", f"'{text}' is not a length of time: unknown unit \"{found[2]}\"", help)
    return Duration(elapsed=_bounded(count, UNITS[unit], text) * UNITS[unit])


def _bounded(count: int, unit: timedelta, text: str) -> int:
    if count == 0:
        raise Unclear("105", f"'{text}' is no time at all", "leave the key out, or write a longer time")
    if count > LONGEST / unit:
        raise Unclear("105", f"'{text}' is longer than ten years", EXAMPLES)
    return count


def read_timedelta(text: str) -> timedelta:
    """
    Return an elapsed time; unlike ``read_duration`` it takes no business days.

    Raises:
        Unclear: as for ``read_duration``.
    """
    duration = read_duration(text)
    if duration.business_days:
        raise Unclear("105", f"'{text}': business days cannot be used here", 'write for example "3 days" or "36 hours"')
    return duration.elapsed


def read_time(text: str) -> time:
    """
    Return the wall-clock time that *text* (``08:30``) names.

    Raises:
        Unclear: it is not a time of day.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise Unclear("107", f"'{text}' is not a time of day", 'write for example "08:30" or "17:00" (24 hours)')
    return time(int(found[1]), int(found[2]))


def read_hours(text: str) -> tuple[time, time]:
    """
    Return when hours like ``09:00-17:30`` open (inclusive) and close (exclusive).

    Hours may wrap midnight (``22:00-06:00``); ``24:00`` is the end of the day.

    Raises:
        Unclear: they are not two times, or both the same.
    """
    help = 'write for example "09:00-17:30"; "00:00-24:00" is the whole day'
    parts = re.split(r"\s*[-–—]\s*", text.strip())
    if len(parts) != 2:
        raise Unclear("107", f"'{text}' is not a span of hours", help)
    try:
        opens = read_time(parts[0])
        closes = time(0) if parts[1] == "24:00" else read_time(parts[1])
    except Unclear as error:
        raise Unclear("107", f"'{text}' is not a span of hours: {error}", help) from error
    if opens == closes and parts[1] != "24:00":
        raise Unclear("213", f"'{text}' opens and closes at the same time", help)
    return opens, closes


_CAP = re.compile(r"([0-9]{1,4})\s+(?:messages?|letters?)\s+(?:per|in|every)\s+(.+)", re.IGNORECASE)


def read_cap(text: str) -> tuple[int, timedelta]:
    """
    Return the number and the span of a cap like ``1 message per 5 days``.

    Raises:
        Unclear: it does not have that form.
    """
    help = 'write for example "1 message per 5 days" or "2 messages per week"'
    found = _CAP.fullmatch(text.strip())
    if found is None:
        raise Unclear("109", f"'{text}' is not a cap", help)
    count, span = int(found[1]), found[2]
    if count == 0:
        raise Unclear("109", f"'{text}' would never let a letter out", help)
    try:
        return count, read_timedelta(span if span[0].isdigit() else f"1 {span}")
    except Unclear as error:
        raise Unclear("109", f"'{text}' is not a cap: {error}", help) from error


def read_day(text: str) -> date:
    """
    Return the date that *text* (``2026-12-20``) names.

    Raises:
        Unclear: it is not a date, or there is no such day.
    """
    help = 'write for example "2026-12-20"'
    if not _DAY.fullmatch(text.strip()):
        raise Unclear("107", f"'{text}' is not a date", help)
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise Unclear("107", f"there is no day '{text}'", help) from error


def read_share(text: str) -> float:
    """
    Return the share (0 to 1) of a holdout like ``10%``.

    Raises:
        Unclear: it has no ``%``, or holds out nearly nobody or more than half.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        raise Unclear("104", f"'{text}' needs a %", 'write for example "10%"')
    found = _SHARE.fullmatch(text)
    if found is None:
        raise Unclear("105", f"'{text}' is not a share", 'write for example "10%"')
    percent = Decimal(found[1])
    if not LEAST_HELD <= percent <= MOST_HELD:
        raise Unclear("105", f"'{text}' is out of bounds", f"from {LEAST_HELD}% to {MOST_HELD}%")
    return float(percent / 100)
