"""When: hand-checked instants around windows, weekends, holidays and clock changes, and what holds for all."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from followup.calendars import holidays_of
from followup.core.schedule import (
    BACKOFF_FIRST,
    BACKOFF_MOST,
    Calendar,
    Duration,
    SendWindow,
    backoff,
    duration_in_words,
    in_words,
    next_day,
    next_wall_time,
)
from tests.core.make import days, hours, utc

MON_TO_FRI = frozenset(range(5))
OFFICE = SendWindow(opens=time(9), closes=time(17, 30), weekdays=MON_TO_FRI)
BUSINESS = SendWindow(opens=time(9), closes=time(17, 30), weekdays=MON_TO_FRI, business_days=True)
NIGHT = SendWindow(opens=time(20), closes=time(2), weekdays=MON_TO_FRI)
WEEKDAYS = SendWindow(weekdays=MON_TO_FRI)


def daily(opens: str, closes: str) -> SendWindow:
    return SendWindow(opens=time.fromisoformat(opens), closes=time.fromisoformat(closes))


def calendar(zone: str, country: str | None = None, region: str | None = None) -> Calendar:
    return Calendar(ZoneInfo(zone), holidays_of(country, region))


BERLIN = calendar("Europe/Berlin")
GERMANY = calendar("Europe/Berlin", "DE", "BE")
BAVARIA = calendar("Europe/Berlin", "DE", "BY")
NEW_YORK = calendar("America/New_York")
USA = calendar("America/New_York", "US")
TEXAS = calendar("America/New_York", "US", "TX")
CALIFORNIA = calendar("America/Los_Angeles", "US", "CA")
BRAZIL = calendar("America/Sao_Paulo", "BR")
RIO = calendar("America/Sao_Paulo", "BR", "RJ")
TOKYO = calendar("Asia/Tokyo")
KATHMANDU = calendar("Asia/Kathmandu")  # UTC+5:45
LORD_HOWE = calendar("Australia/Lord_Howe")  # clocks change by half an hour
APIA = calendar("Pacific/Apia")  # jumped over 30 December 2011, a Friday
CAIRO = calendar("Africa/Cairo")  # its summer time begins at midnight
EVERYWHERE = (BERLIN, GERMANY, NEW_YORK, USA, BRAZIL, TOKYO, KATHMANDU, LORD_HOWE, APIA, CAIRO)

# note, calendar, window, asked (local, with offset), expected
WINDOWS = [
    ("Tuesday inside", BERLIN, OFFICE, "2026-03-03T10:00+01:00", "2026-03-03T09:00Z"),
    ("at the opening", BERLIN, OFFICE, "2026-03-03T09:00+01:00", "2026-03-03T08:00Z"),
    ("a minute before closing", BERLIN, OFFICE, "2026-03-03T17:29+01:00", "2026-03-03T16:29Z"),
    ("at closing: Wednesday", BERLIN, OFFICE, "2026-03-03T17:30+01:00", "2026-03-04T08:00Z"),
    ("before the opening", BERLIN, OFFICE, "2026-03-03T06:00+01:00", "2026-03-03T08:00Z"),
    ("at night: next day", BERLIN, OFFICE, "2026-03-03T23:59+01:00", "2026-03-04T08:00Z"),
    ("Friday evening: Monday", BERLIN, OFFICE, "2026-03-06T18:00+01:00", "2026-03-09T08:00Z"),
    ("Saturday: Monday, summer time since Sunday", BERLIN, OFFICE, "2026-03-28T12:00+01:00", "2026-03-30T07:00Z"),
    ("Friday: Monday, winter time since Sunday", BERLIN, OFFICE, "2026-10-23T18:00+02:00", "2026-10-26T08:00Z"),
    ("no hours given: Monday midnight", BERLIN, WEEKDAYS, "2026-03-07T12:00+01:00", "2026-03-08T23:00Z"),
    ("Maundy Thursday: Tuesday after Easter", GERMANY, BUSINESS, "2026-04-02T18:00+02:00", "2026-04-07T07:00Z"),
    ("weekdays do not heed Good Friday", GERMANY, OFFICE, "2026-04-02T18:00+02:00", "2026-04-03T07:00Z"),
    ("Good Friday is no federal holiday", USA, BUSINESS, "2026-04-02T18:00-04:00", "2026-04-03T13:00Z"),
    ("but one in Texas", TEXAS, BUSINESS, "2026-04-02T18:00-04:00", "2026-04-06T13:00Z"),
    ("Epiphany is kept in Bavaria", BAVARIA, BUSINESS, "2026-01-05T18:00+01:00", "2026-01-07T08:00Z"),
    ("not in Berlin", GERMANY, BUSINESS, "2026-01-05T18:00+01:00", "2026-01-06T08:00Z"),
    ("4 July on a Saturday is observed on Friday", USA, BUSINESS, "2026-07-02T18:00-04:00", "2026-07-06T13:00Z"),
    ("Friday after Thanksgiving, federal: open", USA, BUSINESS, "2026-11-27T10:00-05:00", "2026-11-27T15:00Z"),
    ("the same, California: Monday", CALIFORNIA, BUSINESS, "2026-11-27T10:00-08:00", "2026-11-30T17:00Z"),
    ("Tiradentes, a Tuesday", BRAZIL, BUSINESS, "2026-04-21T10:00-03:00", "2026-04-22T12:00Z"),
    ("Carnival is no national holiday by law", BRAZIL, BUSINESS, "2026-02-17T10:00-03:00", "2026-02-17T13:00Z"),
    ("but one of Rio de Janeiro", RIO, BUSINESS, "2026-02-17T10:00-03:00", "2026-02-18T12:00Z"),
    ("Friday night lasts into Saturday", BERLIN, NIGHT, "2026-03-07T01:00+01:00", "2026-03-07T00:00Z"),
    ("until two: then Monday evening", BERLIN, NIGHT, "2026-03-07T02:00+01:00", "2026-03-09T19:00Z"),
    ("Monday at one belongs to Sunday's night", BERLIN, NIGHT, "2026-03-09T01:00+01:00", "2026-03-09T19:00Z"),
    ("Kathmandu opens at a quarter past", KATHMANDU, OFFICE, "2026-03-03T08:00+05:45", "2026-03-03T03:15Z"),
    ("Saturday in Apia is Friday in UTC", APIA, OFFICE, "2026-03-07T05:00+13:00", "2026-03-08T20:00Z"),
    ("29 February", BERLIN, OFFICE, "2028-02-28T18:00+01:00", "2028-02-29T08:00Z"),
    (
        "02:30 is skipped: it is past at 03:00",
        NEW_YORK,
        daily("02:30", "06:00"),
        "2026-03-08T01:00-05:00",
        "2026-03-08T07:00Z",
    ),
    (
        "02:30-03:00 is swallowed by the gap: Monday",
        NEW_YORK,
        daily("02:30", "03:00"),
        "2026-03-08T01:00-05:00",
        "2026-03-09T06:30Z",
    ),
    (
        "01:00-01:30 opens once, not again in the repeated hour",
        NEW_YORK,
        daily("01:00", "01:30"),
        "2026-11-01T01:15-05:00",
        "2026-11-02T06:00Z",
    ),
    (
        "Lord Howe goes back half an hour on Sunday",
        LORD_HOWE,
        daily("09:00", "17:00"),
        "2026-04-04T18:00+11:00",
        "2026-04-04T22:30Z",
    ),
]

# note, calendar, duration, start, expected
WAITS = [
    ("a day over the gap is 24 hours: 13:00", NEW_YORK, days(1), "2026-03-07T12:00-05:00", "2026-03-08T17:00Z"),
    ("a day over the fold is 24 hours: 11:00", NEW_YORK, days(1), "2026-10-31T12:00-04:00", "2026-11-01T16:00Z"),
    ("36 hours over 29 February", BERLIN, hours(36), "2028-02-28T18:00+01:00", "2028-03-01T05:00Z"),
    ("Friday, two business days", BERLIN, Duration(business_days=2), "2026-03-06T10:00+01:00", "2026-03-10T09:00Z"),
    ("from Saturday: Monday", BERLIN, Duration(business_days=1), "2026-03-07T10:00+01:00", "2026-03-09T09:00Z"),
    ("Friday in UTC, Saturday in Tokyo", TOKYO, Duration(business_days=1), "2026-03-06T16:00Z", "2026-03-08T16:00Z"),
    (
        "Wednesday before Christmas: Thursday, then Monday (25th Friday, 26th Saturday)",
        GERMANY,
        Duration(business_days=2),
        "2026-12-23T15:00+01:00",
        "2026-12-28T14:00Z",
    ),
    (
        "the wall clock stays 15:00 over the spring change",
        BERLIN,
        Duration(business_days=1),
        "2026-03-27T15:00+01:00",
        "2026-03-30T13:00Z",
    ),
    (
        "and over the autumn one",
        BERLIN,
        Duration(business_days=1),
        "2026-10-23T15:00+02:00",
        "2026-10-26T14:00Z",
    ),
    (
        "the same in New York",
        NEW_YORK,
        Duration(business_days=1),
        "2026-03-06T15:00-05:00",
        "2026-03-09T19:00Z",
    ),
    (
        "Carnival Tuesday counts in Brazil",
        BRAZIL,
        Duration(business_days=2),
        "2026-02-13T10:00-03:00",
        "2026-02-17T13:00Z",
    ),
    ("and does not in Rio", RIO, Duration(business_days=2), "2026-02-13T10:00-03:00", "2026-02-18T13:00Z"),
    ("over Thanksgiving", USA, Duration(business_days=1), "2026-11-25T09:00-05:00", "2026-11-27T14:00Z"),
    ("over a month's end", BERLIN, Duration(business_days=1), "2026-01-30T09:00+01:00", "2026-02-02T08:00Z"),
    ("to 29 February", BERLIN, Duration(business_days=2), "2028-02-25T09:00+01:00", "2028-02-29T08:00Z"),
    (
        "from the second 01:30, of which there is one on Monday",
        NEW_YORK,
        Duration(business_days=1),
        "2026-11-01T01:30-05:00",
        "2026-11-02T06:30Z",
    ),
]

# note, calendar, wall time, start, expected
WALL_TIMES = [
    ("later today", BERLIN, "08:30", "2026-03-03T07:00+01:00", "2026-03-03T07:30Z"),
    ("now", BERLIN, "08:30", "2026-03-03T08:30+01:00", "2026-03-03T07:30Z"),
    ("tomorrow", BERLIN, "08:30", "2026-03-03T08:31+01:00", "2026-03-04T07:30Z"),
    ("29 February", BERLIN, "08:30", "2028-02-28T20:00+01:00", "2028-02-29T07:30Z"),
    ("02:30 is skipped in Berlin: 03:30", BERLIN, "02:30", "2026-03-29T00:00+01:00", "2026-03-29T01:30Z"),
    ("02:30 comes twice: the first", BERLIN, "02:30", "2026-10-25T00:00+02:00", "2026-10-25T00:30Z"),
    ("02:30 is skipped in New York: 03:30", NEW_YORK, "02:30", "2026-03-08T00:00-05:00", "2026-03-08T07:30Z"),
    ("01:30 comes twice: the first", NEW_YORK, "01:30", "2026-11-01T00:00-04:00", "2026-11-01T05:30Z"),
    ("after the first 01:30: tomorrow", NEW_YORK, "01:30", "2026-11-01T01:45-04:00", "2026-11-02T06:30Z"),
    ("02:15 is skipped on Lord Howe: 02:45", LORD_HOWE, "02:15", "2026-10-04T01:00+10:30", "2026-10-03T15:45Z"),
    ("01:45 comes twice on Lord Howe", LORD_HOWE, "01:45", "2026-04-05T00:00+11:00", "2026-04-04T14:45Z"),
    ("Kathmandu", KATHMANDU, "08:30", "2026-03-03T08:00+05:45", "2026-03-03T02:45Z"),
    ("00:30 is skipped in Cairo: 01:30", CAIRO, "00:30", "2026-04-23T12:00+02:00", "2026-04-23T22:30Z"),
    ("Apia had no 30 December 2011", APIA, "10:00", "2011-12-29T12:00-10:00", "2011-12-30T20:00Z"),
]


def ids(rows):
    return [row[0] for row in rows]


@pytest.mark.parametrize(("note", "place", "window", "asked", "expected"), WINDOWS, ids=ids(WINDOWS))
def test_a_window_opens_when_a_reader_would_say(note, place, window, asked, expected):
    assert window.next_open(utc(asked), place) == utc(expected)


@pytest.mark.parametrize(("note", "place", "duration", "start", "expected"), WAITS, ids=ids(WAITS))
def test_a_wait_ends_when_a_reader_would_say(note, place, duration, start, expected):
    assert duration.after(utc(start), place) == utc(expected)


@pytest.mark.parametrize(("note", "place", "wall", "start", "expected"), WALL_TIMES, ids=ids(WALL_TIMES))
def test_a_wall_time_comes_when_a_reader_would_say(note, place, wall, start, expected):
    assert next_wall_time(utc(start), time.fromisoformat(wall), place) == utc(expected)


def test_a_window_without_days_never_opens():
    assert SendWindow(weekdays=frozenset()).next_open(utc("2026-03-02 09:00"), BERLIN) is None


def test_a_window_in_a_land_of_endless_holidays_never_opens():
    assert BUSINESS.next_open(utc("2026-03-02 09:00"), Calendar(ZoneInfo("UTC"), lambda _: True)) is None


def test_a_business_day_is_neither_a_weekend_nor_a_holiday():
    week = [date(2026, 3, 30) + timedelta(days=n) for n in range(7)]  # ends with Good Friday and a weekend
    assert [GERMANY.is_business_day(day) for day in week] == [True] * 4 + [False] * 3


def test_the_search_for_a_day_gives_up_after_a_while():
    assert next_day(date(2026, 1, 1), lambda _: False) == date(2026, 1, 1) + timedelta(days=400)


def test_a_day_that_a_place_left_out_is_no_business_day():
    assert not APIA.is_business_day(date(2011, 12, 30)), "a Friday in the calendar"
    assert Duration(business_days=1).after(utc("2011-12-29T10:00-10:00"), APIA) == utc("2012-01-02T10:00+14:00")


def test_a_night_that_began_on_a_day_that_a_place_left_out_is_none():
    saturday, monday = utc("2011-12-31T01:00+14:00"), utc("2012-01-02T20:00+14:00")
    assert NIGHT.next_open(saturday, APIA) == monday, "Friday's night would have lasted until two"


def test_instants_come_out_in_utc():
    assert BERLIN.instant(date(2026, 7, 1), time(9)).tzinfo is UTC


def test_a_wall_time_from_the_repeated_hour_does_not_fall_before_a_gap():
    second = datetime(2026, 11, 1, 2, 30, fold=1).time()
    assert NEW_YORK.instant(date(2026, 3, 8), second) == utc("2026-03-08T07:30Z")


# -- what holds for all --

places = st.sampled_from(EVERYWHERE)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
walls = st.times().map(lambda wall: wall.replace(second=0, microsecond=0))
windows = st.builds(
    SendWindow,
    opens=walls,
    closes=walls,
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    business_days=st.booleans(),
)


def clocks_change_near(moment: datetime, place: Calendar) -> bool:
    around = [place.local(moment + timedelta(days=n)).utcoffset() for n in (-2, -1, 0, 1, 2)]
    return any(one != other for one, other in pairwise(around))


def shows_open(window: SendWindow, moment: datetime, place: Calendar) -> bool:
    """Read the sign on the door and the clock on the wall: nothing of instants, and of clocks that change."""
    local = place.local(moment)
    today, wall = local.date(), local.time()

    def on(day: date) -> bool:
        return day.weekday() in window.weekdays and not (window.business_days and place.is_holiday(day))

    if window.opens < window.closes:
        return on(today) and window.opens <= wall < window.closes
    return (on(today) and wall >= window.opens) or (on(today - timedelta(days=1)) and wall < window.closes)


@given(windows, moments, places)
def test_an_opening_is_never_earlier_than_asked_and_open_when_it_comes(window, moment, place):
    opening = window.next_open(moment, place)
    assert opening is not None
    assert opening >= moment
    assert window.next_open(opening, place) == opening


@given(windows, moments, places, st.floats(0, 1, exclude_max=True))
def test_an_opening_agrees_with_the_sign_on_the_door_and_is_the_first(window, moment, place, fraction):
    opening = window.next_open(moment, place)
    assume(not clocks_change_near(opening, place))
    assert shows_open(window, opening, place)
    between = moment + (opening - moment) * fraction
    if between < opening and not clocks_change_near(between, place):
        assert not shows_open(window, between, place)


@given(windows, moments, places)
def test_asking_later_never_opens_earlier(window, moment, place):
    later = window.next_open(moment + timedelta(hours=5), place)
    assert later >= window.next_open(moment, place)


@given(st.integers(1, 15), moments, places)
def test_business_days_end_on_a_business_day_strictly_later(count, start, place):
    end = Duration(business_days=count).after(start, place)
    assert end > start
    assert place.is_business_day(place.local(end).date())


@given(st.integers(1, 15), moments, places)
def test_one_more_business_day_is_later(count, start, place):
    assert Duration(business_days=count).after(start, place) < Duration(business_days=count + 1).after(start, place)


@given(st.integers(1, 15), moments, moments, places)
def test_starting_business_days_later_never_ends_on_an_earlier_day(count, one, other, place):
    early, late = sorted((one, other))
    duration = Duration(business_days=count)
    assert place.local(duration.after(early, place)).date() <= place.local(duration.after(late, place)).date()


@given(st.integers(1, 15), moments, places)
def test_business_days_skip_exactly_so_many(count, start, place):
    first, last = place.local(start).date(), place.local(Duration(business_days=count).after(start, place)).date()
    passed = (first + timedelta(days=n) for n in range(1, (last - first).days + 1))
    assert sum(place.is_business_day(day) for day in passed) == count


@given(walls, moments, places)
def test_a_wall_time_comes_within_25_hours_and_shows_unless_it_was_skipped(wall, start, place):
    moment = next_wall_time(start, wall, place)
    assert start <= moment <= start + timedelta(hours=25)
    local = place.local(moment)
    if local.time() != wall:
        nominal = datetime.combine(local.date(), wall, tzinfo=place.zone)
        assert place.local(nominal.astimezone(UTC)).time() != wall, "it exists on that day"


@given(st.timedeltas(timedelta(0), timedelta(days=400)), moments, places)
def test_elapsed_time_is_exact_whatever_the_clocks_do(elapsed, start, place):
    assert Duration(elapsed=elapsed).after(start, place) - start == elapsed


durations = st.one_of(
    st.timedeltas(timedelta(0), timedelta(days=400)).map(lambda elapsed: Duration(elapsed=elapsed)),
    st.integers(1, 15).map(lambda count: Duration(business_days=count)),
)


@given(durations, moments, places)
def test_a_wait_may_start_on_the_clock_of_its_place(duration, start, place):
    assert duration.after(place.local(start), place) == duration.after(start, place)


# -- around a clock change, where few random dates would fall --

CHANGES = [
    (BERLIN, "2026-03-29T01:00Z"),
    (BERLIN, "2026-10-25T01:00Z"),
    (NEW_YORK, "2026-03-08T07:00Z"),
    (NEW_YORK, "2026-11-01T06:00Z"),
    (LORD_HOWE, "2026-10-03T15:30Z"),
    (LORD_HOWE, "2026-04-04T15:00Z"),
    (CAIRO, "2026-04-23T22:00Z"),  # at midnight
    (CAIRO, "2026-10-29T21:00Z"),
]
night_walls = st.builds(time, st.sampled_from([0, 1, 2, 3, 23]), st.sampled_from([0, 15, 30, 45]))
night_windows = st.builds(SendWindow, opens=night_walls, closes=night_walls)


def ticks(change: str) -> list[datetime]:
    """Return the quarters of an hour around a clock change."""
    return [utc(change) + n * timedelta(minutes=15) for n in range(-16, 17)]


@given(st.sampled_from(CHANGES), night_walls, st.integers(-1, 1))
def test_a_time_is_past_from_when_the_clock_first_shows_it_or_something_later(change, wall, offset):
    place, day = change[0], change[0].local(utc(change[1])).date() + timedelta(days=offset)
    reached, wanted = place.reaches(day, wall), datetime.combine(day, wall)
    assert place.local(reached).replace(tzinfo=None) >= wanted
    assert place.local(reached - timedelta(seconds=1)).replace(tzinfo=None) < wanted


@given(st.sampled_from(CHANGES), night_windows)
def test_around_a_change_no_letter_leaves_at_an_hour_that_its_window_does_not_have(change, window):
    place, around = change
    assert all(shows_open(window, window.next_open(moment, place), place) for moment in ticks(around))


@given(st.sampled_from(CHANGES), night_windows)
def test_around_a_change_a_window_is_shut_in_its_hours_only_when_they_come_for_the_second_time(change, window):
    place, around = change
    shut = [moment for moment in ticks(around) if window.next_open(moment, place) > moment]
    assert all(place.local(moment).fold for moment in shut if shows_open(window, moment, place))


# -- after failures --


def test_the_wait_after_a_failure_is_about_a_minute_and_doubles_up_to_an_hour():
    longest = [backoff(failures, 1) / timedelta(minutes=1) for failures in range(1, 9)]
    assert longest == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(1_000_000, 1) == BACKOFF_MOST


def test_what_failed_together_does_not_come_back_together():
    assert (backoff(3, 0), backoff(3, 0.5), backoff(3, 1)) == tuple(timedelta(minutes=m) for m in (2, 3, 4))


@given(st.integers(1, 5_000), st.floats(0, 1))
def test_a_wait_is_between_half_of_its_length_and_the_whole(failures, chance):
    assert BACKOFF_FIRST / 2 <= backoff(failures, chance) <= BACKOFF_MOST
    assert backoff(failures, chance) <= backoff(failures + 1, chance)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(days=1), "1 day"),
        (timedelta(weeks=2), "14 days"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(seconds=90), "1.5 minutes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_span_in_words(span: timedelta, words: str) -> None:
    assert in_words(span) == words
    assert duration_in_words(Duration(elapsed=span)) == words


def test_business_days_in_words() -> None:
    assert [duration_in_words(Duration(business_days=number)) for number in (1, 2)] == [
        "1 business day",
        "2 business days",
    ]
