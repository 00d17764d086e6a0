"""Who does what while somebody is away."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from followup.core.people import Away, Person, covering
from tests.core.make import UTC_ZONE, utc


def a_person(key: str, *away: Away, **options) -> Person:
    return Person(key=key, name=key.title(), email=f"{key}@shop.example", signature=key, away=away, **options)


HOLIDAY = Away(date(2026, 12, 20), date(2027, 1, 4), "mara")
PEOPLE = {one.key: one for one in (a_person("jonas", HOLIDAY), a_person("mara"))}


@pytest.mark.parametrize(
    ("moment", "who"),
    [
        ("2026-12-19 23:59", "jonas"),
        ("2026-12-20 00:00", "mara"),
        ("2027-01-04 23:59", "mara"),
        ("2027-01-05 00:00", "jonas"),
    ],
)
def test_somebody_stands_in_from_the_first_day_to_the_last(moment, who):
    assert covering(PEOPLE, "jonas", utc(moment), otherwise=UTC_ZONE) == who


def test_days_are_those_where_they_live():
    there = a_person("jonas", HOLIDAY, zone=ZoneInfo("Pacific/Auckland"))  # 13 hours ahead
    assert covering({"jonas": there}, "jonas", utc("2026-12-19 11:00"), otherwise=UTC_ZONE) == "mara"
    assert covering(PEOPLE, "jonas", utc("2026-12-19 23:30"), otherwise=ZoneInfo("Europe/Berlin")) == "mara"


def test_who_covers_may_be_away_themselves():
    covered = {**PEOPLE, "mara": a_person("mara", Away(date(2026, 12, 24), date(2026, 12, 26), "nell"))}
    covered["nell"] = a_person("nell")
    assert covering(covered, "jonas", utc("2026-12-25 12:00"), otherwise=UTC_ZONE) == "nell"


def test_when_everybody_is_away_it_stays_with_the_first():
    everybody = {**PEOPLE, "mara": a_person("mara", Away(date(2026, 12, 24), date(2026, 12, 26), "jonas"))}
    assert covering(everybody, "jonas", utc("2026-12-25 12:00"), otherwise=UTC_ZONE) == "jonas"


def test_who_is_not_known_is_whom_was_named():
    assert covering(PEOPLE, "nobody", utc("2026-12-25 12:00"), otherwise=UTC_ZONE) == "nobody"
