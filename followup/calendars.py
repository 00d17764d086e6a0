"""Calendars of real places: IANA zones and public holidays by country and region."""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@lru_cache(maxsize=1024)
def zone(name: str | None) -> ZoneInfo | None:
    """Return the IANA zone called *name*, or None when there is no such zone."""
    try:
        return ZoneInfo(name.strip()) if name and name.strip() else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=1024)
def holidays_of(country: str | None, region: str | None) -> Callable[[date], bool]:
    """
    Return a test for the public holidays of *country* (ISO 3166-1 alpha-2) and its *region*.

    An unknown region falls back to the whole country, an unknown country to no holidays at all.
    """
    if not country:
        return _no_holiday
    import holidays  # noqa: PLC0415 - a third of a second, only where a calendar is needed

    for subdivision in (region, None):
        try:
            # expand=True adds years as they are asked for
            days = holidays.country_holidays(country.upper(), subdiv=subdivision or None)
        except NotImplementedError:
            continue
        return days.__contains__
    return _no_holiday


def _no_holiday(_: date) -> bool:
    return False
