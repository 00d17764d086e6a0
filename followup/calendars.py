"""Calendars of real places: IANA zones and public holidays by country and region."""

from collections.abc import Callable
from datetime import date
from functools import lru_cache, partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC = ZoneInfo("UTC")


@lru_cache(maxsize=1024)
def zone(name: str | None) -> ZoneInfo | None:
    """Return the IANA zone called *name*, or None when there is no such zone."""
    try:
        return ZoneInfo(name.strip()) if name and name.strip() else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def holidays_of(country: str | None, region: str | None) -> Callable[[date], bool]:
    """
    Return a test for the public holidays of *country* (ISO 3166-1 alpha-2) and its *region*.

    An unknown region falls back to the whole country, an unknown country to no holidays at all.
    """
    return partial(_is_holiday, country, region)


def _is_holiday(country: str | None, region: str | None, day: date) -> bool:
    if country is None or len(country) != 2:  # the library takes other words too
        return False
    return day in _holidays(country, region, day.year)


@lru_cache(maxsize=4096)
def _holidays(country: str, region: str | None, year: int) -> frozenset[date]:
    """Return those of one year: the library's own calendars grow as they are asked, unsafely between threads."""
    import holidays  # noqa: PLC0415 - a third of a second, only where a calendar is needed

    for subdivision in (region, (region or "").upper(), None):
        try:
            return frozenset(holidays.country_holidays(country.upper(), subdiv=subdivision or None, years=year))
        except NotImplementedError:
            continue
    return frozenset()
