"""Lengths of time, hours of the day, dates, caps and shares as marketers write them."""

import contextlib
from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.authoring.durations import (
    Unclear,
    read_cap,
    read_day,
    read_duration,
    read_hours,
    read_share,
    read_time,
    read_timedelta,
)
from followup.core.schedule import Duration


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("3 days", Duration(timedelta(days=3))),
        ("1 day", Duration(timedelta(days=1))),
        ("36 hours", Duration(timedelta(hours=36))),
        ("90 Minutes", Duration(timedelta(minutes=90))),
        ("2 weeks", Duration(timedelta(days=14))),
        ("36hours", Duration(timedelta(hours=36))),
        ("2 business days", Duration(business_days=2)),
        ("1  business day", Duration(business_days=1)),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text: str, meant: Duration) -> None:
    assert read_duration(text) == meant


def test_a_bare_number_names_the_two_likely_spellings() -> None:
    with pytest.raises(Unclear, match="needs a unit") as raised:
        read_duration("3")
    assert raised.value.help == 'write "3 days" or "3 hours"'


@pytest.mark.parametrize("text", ["", "days", "-3 days", "3 moons", "0 hours", "3 days 4 hours", "½ day", "4000 days"])
def test_anything_else_is_unclear(text: str) -> None:
    with pytest.raises(Unclear):
        read_duration(text)


def test_business_days_are_no_elapsed_time() -> None:
    assert read_timedelta("2 days") == timedelta(days=2)
    with pytest.raises(Unclear, match="business days cannot be used here"):
        read_timedelta("2 business days")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("09:00-17:30", (time(9), time(17, 30))),
        ("9:00 – 17:30", (time(9), time(17, 30))),
        ("22:00-06:00", (time(22), time(6))),
        ("00:00-24:00", (time(0), time(0))),
        ("18:00-24:00", (time(18), time(0))),
    ],
)
def test_hours_open_and_close_and_may_wrap_midnight(text: str, meant: tuple[time, time]) -> None:
    assert read_hours(text) == meant


@pytest.mark.parametrize("text", ["9-17", "09:00", "24:00-06:00", "09:00-25:00", "09:00-09:00", "a-b", "09:60-10:00"])
def test_other_hours_are_unclear(text: str) -> None:
    with pytest.raises(Unclear):
        read_hours(text)


@pytest.mark.parametrize("text", ["8:60", "24:00", "0830", "8.30", "noon", ""])
def test_a_time_of_day_is_hours_and_minutes(text: str) -> None:
    with pytest.raises(Unclear):
        read_time(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1 message per 5 days", (1, timedelta(days=5))),
        ("2 letters in 1 week", (2, timedelta(weeks=1))),
        ("3 messages per week", (3, timedelta(weeks=1))),
    ],
)
def test_a_cap_counts_letters_in_a_span(text: str, meant: tuple[int, timedelta]) -> None:
    assert read_cap(text) == meant


@pytest.mark.parametrize(
    "text", ["1", "0 messages per day", "1 message", "1 message per 1 business day", "1 message per 5"]
)
def test_other_caps_are_unclear(text: str) -> None:
    with pytest.raises(Unclear):
        read_cap(text)


def test_a_day_is_a_date_of_the_calendar() -> None:
    assert read_day(" 2028-02-29 ") == date(2028, 2, 29)


@pytest.mark.parametrize("text", ["2027-02-29", "20261220", "2026-W01-1", "0000-01-01", "20.12.2026", "tomorrow", ""])
def test_other_days_are_unclear(text: str) -> None:
    with pytest.raises(Unclear):
        read_day(text)


@pytest.mark.parametrize(("text", "meant"), [("10%", 0.1), ("0.1 %", 0.001), ("50%", 0.5), ("12.5%", 0.125)])
def test_a_share_is_a_percentage(text: str, meant: float) -> None:
    assert read_share(text) == meant


@pytest.mark.parametrize("text", ["10", "0.1", "0%", "0.09%", "50.1%", "-5%", "1e1%", "10 percent", "%", "٣%", ""])
def test_other_shares_are_unclear(text: str) -> None:
    with pytest.raises(Unclear):
        read_share(text)


@given(st.text())
def test_no_text_does_worse_than_being_unclear(text: str) -> None:
    for read in (read_duration, read_timedelta, read_time, read_hours, read_cap, read_day, read_share):
        with contextlib.suppress(Unclear):
            read(text)
