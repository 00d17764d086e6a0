"""Zones and public holidays of real places."""

import threading
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from followup.calendars import holidays_of, zone


@pytest.mark.parametrize("name", ["Europe/Berlin", " Europe/Berlin "])
def test_a_zone_is_found_by_its_name(name):
    assert zone(name) == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "name", [None, "", " ", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", "a\0b", "Zürich"]
)
def test_what_names_no_zone_is_none(name):
    assert zone(name) is None


@pytest.mark.parametrize(
    ("country", "region", "day", "holiday"),
    [
        ("DE", None, date(2026, 12, 25), True),
        ("DE", None, date(2026, 12, 26), True),
        ("DE", None, date(2026, 12, 24), False),
        ("de", None, date(2026, 12, 25), True),
        ("DE", None, date(2026, 1, 6), False),
        ("DE", "BY", date(2026, 1, 6), True),
        ("DE", "XX", date(2026, 1, 1), True),  # unknown region: the country's
        ("DE", "", date(2026, 1, 1), True),
        ("US", None, date(2026, 7, 3), True),  # observed
        ("US", None, date(2026, 4, 3), False),
        ("US", "TX", date(2026, 4, 3), True),
        ("BR", None, date(2026, 2, 17), False),  # Carnival
        ("BR", "RJ", date(2026, 2, 17), True),
        ("ZZ", None, date(2026, 1, 1), False),
        ("", None, date(2026, 1, 1), False),
        (None, "BY", date(2026, 1, 1), False),
    ],
)
def test_a_holiday_is_one_of_its_country_and_region(country, region, day, holiday):
    assert holidays_of(country, region)(day) is holiday


def test_any_year_may_be_asked():
    christmas = [date(year, 12, 25) for year in (1999, 2026, 2050)]
    assert all(map(holidays_of("DE", None), christmas))


def test_threads_that_ask_at_once_all_get_the_truth():
    """A calendar that grows while others read it would call a holiday a working day."""
    is_holiday, together, answers = holidays_of("FR", None), threading.Barrier(8), []

    def look():
        together.wait()
        answers.extend(is_holiday(date(year, 7, 14)) for year in range(1990, 2020))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answers)
    assert len(answers) == 240


def test_what_is_no_country_code_has_no_holidays():
    for word in ("MON", "Germany", "", None):
        assert not holidays_of(word, None)(date(2026, 12, 25))
