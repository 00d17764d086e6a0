"""
Dates on which programs go wrong, and what a person with a calendar would say.

Every row can be checked by hand: the weekday, the local time and its offset from UTC stand beside each other, and the
name says why the answer is right. Rules are written as in a workflow file. Places without a country keep no holidays.

When clocks changed: Berlin on Sundays 29 March (02:00 became 03:00) and 25 October 2026 (03:00 became 02:00), New York
on Sundays 8 March (02:00 became 03:00) and 1 November 2026 (02:00 became 01:00).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

import pytest

from followup.authoring.durations import read_duration, read_hours, read_time, read_timedelta
from followup.calendars import holidays_of, zone
from followup.core.decide import decide
from followup.core.enrollment import Phase, Position
from followup.core.gates import last_chance
from followup.core.schedule import Calendar, Duration, SendWindow
from tests.core.make import a_story, a_workflow, send, wait

Rule: TypeAlias = Callable[[datetime, Calendar], datetime | None]
Row: TypeAlias = tuple[str, Calendar, Rule, str, str]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


# -- how the rows are written --


def place(zone_name: str, country: str | None = None, region: str | None = None) -> Calendar:
    found = zone(zone_name)
    assert found is not None
    return Calendar(found, holidays_of(country, region))


def waits(text: str | None = None, *, until: str | None = None) -> Rule:
    """``wait: 2 business days``, or ``wait: {for: 1 day, until: "08:30"}``: when the run goes on."""
    duration = read_duration(text) if text else Duration()
    step = wait("w", duration, until=read_time(until) if until else None)

    def goes_on(start: datetime, where: Calendar) -> datetime | None:
        story = a_story(step, send("s"), known={"calendar": where})
        standing = replace(story.enrollment, position=Position("w", Phase.BEFORE, start))
        return decide(story.workflow, standing, story.facts, now=start).wake_at

    return goes_on


def until(wall: str) -> Rule:
    """``wait: {until: "08:30"}``."""
    return waits(until=wall)


def a_window(hours: str, days: str) -> SendWindow:
    opens, closes = read_hours(hours)
    weekdays = {"any day": DAYS, "weekdays": DAYS[:5], "business days": DAYS[:5]}.get(days, (days,))
    return SendWindow(opens, closes, frozenset(map(DAYS.index, weekdays)), business_days=days == "business days")


def sends(hours: str, days: str = "any day") -> Rule:
    """``send_window: {hours: 09:00-17:30, days: weekdays}``: when a letter leaves that wants to leave now."""
    return a_window(hours, days).next_open


def leaves_by(max_late: str, hours: str | None = None, days: str = "any day") -> Rule:
    """``max_late: 3 days`` with a send window: the last moment of a letter that is due now."""
    options = {"send_window": a_window(hours, days) if hours else None, "max_late": read_timedelta(max_late)}
    workflow = a_workflow(send("s"), **options)
    return lambda due, where: last_chance(workflow, "s", due, where)


def moment(text: str) -> datetime:
    """Read "Sat 2026-03-28 12:00 +01:00"."""
    return datetime.strptime(text, "%a %Y-%m-%d %H:%M %z").astimezone(UTC)


def written(at: datetime, where: Calendar) -> str:
    local = where.local(at)
    return f"{local:%a %Y-%m-%d %H:%M} {local.isoformat()[-6:]}"


BERLIN, GERMANY = place("Europe/Berlin"), place("Europe/Berlin", "DE")
BERLIN_STATE, BAVARIA = place("Europe/Berlin", "DE", "BE"), place("Europe/Berlin", "DE", "BY")
COLOGNE = place("Europe/Berlin", "DE", "NW")
NEW_YORK, USA = place("America/New_York"), place("America/New_York", "US")
CHICAGO, NEW_ORLEANS = place("America/Chicago", "US"), place("America/Chicago", "US", "LA")
BRITAIN = place("Europe/London", "GB")
ENGLAND, SCOTLAND = place("Europe/London", "GB", "ENG"), place("Europe/London", "GB", "SCT")
BRAZIL = place("America/Sao_Paulo", "BR")
RIO, SAO_PAULO = place("America/Sao_Paulo", "BR", "RJ"), place("America/Sao_Paulo", "BR", "SP")
LORD_HOWE = place("Australia/Lord_Howe")  # its clocks change by half an hour
CHATHAM = place("Pacific/Chatham")  # +12:45, in summer +13:45
ST_JOHNS = place("America/St_Johns")  # -03:30, in summer -02:30
NUUK = place("America/Nuuk")  # its clocks change on Saturday at midnight, when Berlin's do
CAIRO = place("Africa/Cairo")  # its clocks change at midnight before a Friday, and after a Thursday
KATHMANDU = place("Asia/Kathmandu")  # +05:45
KIRITIMATI = place("Pacific/Kiritimati")  # +14:00
APIA, SAMOA = place("Pacific/Apia"), place("Pacific/Apia", "WS")  # Thursday 29 December 2011, then Saturday 31
NOWHERE = place("Europe/Berlin", "ZZ")
BAVARIA_MISSPELT = place("Europe/Berlin", "DE", "Bavarria")


# -- why, where, rule, asked at, answer --

A_DAY_IS_24_HOURS: list[Row] = [
    ("Berlin's night is 23 hours long: the clock shows an hour more",
     BERLIN, waits("1 day"), "Sat 2026-03-28 12:00 +01:00", "Sun 2026-03-29 13:00 +02:00"),
    ("Berlin's night is 25 hours long: the clock shows an hour less",
     BERLIN, waits("1 day"), "Sat 2026-10-24 12:00 +02:00", "Sun 2026-10-25 11:00 +01:00"),
    ("72 hours over New York's spring change",
     NEW_YORK, waits("3 days"), "Fri 2026-03-06 20:00 -05:00", "Mon 2026-03-09 21:00 -04:00"),
    ("168 hours over New York's autumn change",
     NEW_YORK, waits("1 week"), "Wed 2026-10-28 09:00 -04:00", "Wed 2026-11-04 08:00 -05:00"),
    ("half an hour after 01:45 the hour from 02:00 to 03:00 has been left out",
     BERLIN, waits("30 minutes"), "Sun 2026-03-29 01:45 +01:00", "Sun 2026-03-29 03:15 +02:00"),
    ("an hour after the first 02:30 comes the second",
     BERLIN, waits("1 hour"), "Sun 2026-10-25 02:30 +02:00", "Sun 2026-10-25 02:30 +01:00"),
    ("an hour after the second 01:30 in New York it is 02:30",
     NEW_YORK, waits("1 hour"), "Sun 2026-11-01 01:30 -05:00", "Sun 2026-11-01 02:30 -05:00"),
    ("Lord Howe goes back by half an hour",
     LORD_HOWE, waits("1 day"), "Sat 2026-04-04 12:00 +11:00", "Sun 2026-04-05 11:30 +10:30"),
    ("Lord Howe goes forward by half an hour",
     LORD_HOWE, waits("1 day"), "Sat 2026-10-03 12:00 +10:30", "Sun 2026-10-04 12:30 +11:00"),
    ("St John's counts half hours",
     ST_JOHNS, waits("1 day"), "Sat 2026-03-07 12:00 -03:30", "Sun 2026-03-08 13:00 -02:30"),
    ("the Chatham Islands count quarters",
     CHATHAM, waits("12 hours"), "Sat 2026-09-26 20:00 +12:45", "Sun 2026-09-27 09:00 +13:45"),
    ("Apia had no 30 December: 24 hours later it is the 31st",
     APIA, waits("1 day"), "Thu 2011-12-29 12:00 -10:00", "Sat 2011-12-31 12:00 +14:00"),
]  # fmt: skip

A_YEAR_IS_365_DAYS: list[Row] = [
    ("365 days from 29 February lead to the 28th: 2029 has no 29th",
     BERLIN, waits("365 days"), "Tue 2028-02-29 10:00 +01:00", "Wed 2029-02-28 10:00 +01:00"),
    ("366 days from 29 February lead to 1 March",
     BERLIN, waits("366 days"), "Tue 2028-02-29 10:00 +01:00", "Thu 2029-03-01 10:00 +01:00"),
    ("365 days from 1 March 2027 lead to 29 February",
     BERLIN, waits("365 days"), "Mon 2027-03-01 10:00 +01:00", "Tue 2028-02-29 10:00 +01:00"),
    ("New York changed on 8 March 2026 and will on the 14th in 2027: an hour less",
     NEW_YORK, waits("365 days"), "Tue 2026-03-10 09:00 -04:00", "Wed 2027-03-10 08:00 -05:00"),
    ("from the eve of Berlin's change in 2027 over a leap day to the morning of the one in 2028",
     BERLIN, waits("365 days"), "Sat 2027-03-27 09:00 +01:00", "Sun 2028-03-26 10:00 +02:00"),
    ("Kathmandu never changes its clocks",
     KATHMANDU, waits("365 days"), "Sun 2026-03-01 09:15 +05:45", "Mon 2027-03-01 09:15 +05:45"),
    ("52 weeks and a day: New Year's Day is a weekday later",
     KIRITIMATI, waits("365 days"), "Thu 2026-01-01 00:00 +14:00", "Fri 2027-01-01 00:00 +14:00"),
    ("30 days from 30 January: two to the month's end, 28 of February",
     BERLIN, waits("30 days"), "Fri 2026-01-30 09:00 +01:00", "Sun 2026-03-01 09:00 +01:00"),
    ("30 days from 30 January in a leap year: two to the month's end, 28 of February, of 29",
     BERLIN, waits("30 days"), "Sun 2028-01-30 09:00 +01:00", "Tue 2028-02-29 09:00 +01:00"),
    ("36 hours over New Year",
     BERLIN, waits("36 hours"), "Thu 2026-12-31 18:00 +01:00", "Sat 2027-01-02 06:00 +01:00"),
]  # fmt: skip

BUSINESS_DAYS: list[Row] = [
    ("the clock shows the same after Berlin's spring change",
     BERLIN, waits("1 business day"), "Fri 2026-03-27 15:00 +01:00", "Mon 2026-03-30 15:00 +02:00"),
    ("the clock shows the same after Berlin's autumn change",
     BERLIN, waits("1 business day"), "Fri 2026-10-23 15:00 +02:00", "Mon 2026-10-26 15:00 +01:00"),
    ("the clock shows the same after New York's autumn change",
     NEW_YORK, waits("2 business days"), "Thu 2026-10-29 15:00 -04:00", "Mon 2026-11-02 15:00 -05:00"),
    ("Monday has one 01:30, Sunday had two: counted from the second",
     NEW_YORK, waits("1 business day"), "Sun 2026-11-01 01:30 -05:00", "Mon 2026-11-02 01:30 -05:00"),
    ("that Friday in Cairo has no 00:30: as long after the gap",
     CAIRO, waits("1 business day"), "Thu 2026-04-23 00:30 +02:00", "Fri 2026-04-24 01:30 +03:00"),
    ("that Thursday in Cairo has two 23:30: the first",
     CAIRO, waits("1 business day"), "Wed 2026-10-28 23:30 +03:00", "Thu 2026-10-29 23:30 +03:00"),
    ("Kiritimati has Saturday while London has Friday",
     KIRITIMATI, waits("1 business day"), "Sat 2026-03-07 08:00 +14:00", "Mon 2026-03-09 08:00 +14:00"),
    ("Sunday evening in St John's is Monday in UTC: the next business day is Monday all the same",
     ST_JOHNS, waits("1 business day"), "Sun 2026-06-14 23:00 -02:30", "Mon 2026-06-15 23:00 -02:30"),
    ("there was no Friday 30 December in Apia, so the next business day was Monday",
     APIA, waits("1 business day"), "Thu 2011-12-29 10:00 -10:00", "Mon 2012-01-02 10:00 +14:00"),
    ("Samoa keeps 2 January, so by its calendar it was Tuesday",
     SAMOA, waits("1 business day"), "Thu 2011-12-29 10:00 -10:00", "Tue 2012-01-03 10:00 +14:00"),
    ("the day after Monday 28 February 2028 is Tuesday 29",
     GERMANY, waits("1 business day"), "Mon 2028-02-28 10:00 +01:00", "Tue 2028-02-29 10:00 +01:00"),
    ("the day after Tuesday 29 February 2028 is Wednesday 1 March",
     GERMANY, waits("1 business day"), "Tue 2028-02-29 10:00 +01:00", "Wed 2028-03-01 10:00 +01:00"),
    ("Friday over 29 February: Monday 28, Tuesday 29, Wednesday 1 March",
     GERMANY, waits("3 business days"), "Fri 2028-02-25 10:00 +01:00", "Wed 2028-03-01 10:00 +01:00"),
    ("over the end of a month that ends on a Saturday",
     GERMANY, waits("1 business day"), "Fri 2026-02-27 10:00 +01:00", "Mon 2026-03-02 10:00 +01:00"),
    ("from Good Friday: Easter Monday is a holiday too",
     GERMANY, waits("1 business day"), "Fri 2026-04-03 10:00 +02:00", "Tue 2026-04-07 10:00 +02:00"),
]  # fmt: skip

CHRISTMAS_AND_NEW_YEAR: list[Row] = [
    ("Christmas Eve is a working day in Germany",
     GERMANY, waits("1 business day"), "Wed 2026-12-23 15:00 +01:00", "Thu 2026-12-24 15:00 +01:00"),
    ("in 2026 they are a Friday and a Saturday: Germany works again on Monday",
     GERMANY, waits("2 business days"), "Wed 2026-12-23 15:00 +01:00", "Mon 2026-12-28 15:00 +01:00"),
    ("Britain moves Boxing Day from Saturday to Monday the 28th",
     BRITAIN, waits("2 business days"), "Wed 2026-12-23 15:00 +00:00", "Tue 2026-12-29 15:00 +00:00"),
    ("the United States have no Boxing Day",
     USA, waits("2 business days"), "Wed 2026-12-23 15:00 -05:00", "Mon 2026-12-28 15:00 -05:00"),
    ("in 2027 both are on the weekend, and Germany moves nothing",
     GERMANY, waits("2 business days"), "Thu 2027-12-23 15:00 +01:00", "Mon 2027-12-27 15:00 +01:00"),
    ("in 2027 Britain moves both, to Monday and Tuesday",
     BRITAIN, waits("2 business days"), "Thu 2027-12-23 15:00 +00:00", "Wed 2027-12-29 15:00 +00:00"),
    ("in 2027 the United States move Saturday's Christmas Day to Friday the 24th",
     USA, waits("2 business days"), "Thu 2027-12-23 15:00 -05:00", "Tue 2027-12-28 15:00 -05:00"),
    ("New Year's Day 2028 is a Saturday: in the United States the last Friday of 2027 is off",
     USA, waits("1 business day"), "Thu 2027-12-30 15:00 -05:00", "Mon 2028-01-03 15:00 -05:00"),
    ("in Germany the last Friday of 2027 is a working day",
     GERMANY, waits("1 business day"), "Thu 2027-12-30 15:00 +01:00", "Fri 2027-12-31 15:00 +01:00"),
    ("in Britain Monday 3 January 2028 is off instead",
     BRITAIN, waits("2 business days"), "Thu 2027-12-30 15:00 +00:00", "Tue 2028-01-04 15:00 +00:00"),
    ("in Scotland Tuesday 4 January 2028 as well, for Sunday the 2nd",
     SCOTLAND, waits("2 business days"), "Thu 2027-12-30 15:00 +00:00", "Wed 2028-01-05 15:00 +00:00"),
    ("business hours are over on Christmas Eve: Germany opens on Monday the 28th",
     GERMANY, sends("09:00-17:30", "business days"), "Thu 2026-12-24 17:30 +01:00", "Mon 2026-12-28 09:00 +01:00"),
    ("business hours are over on Christmas Eve: Britain opens on Tuesday the 29th",
     BRITAIN, sends("09:00-17:30", "business days"), "Thu 2026-12-24 17:30 +00:00", "Tue 2026-12-29 09:00 +00:00"),
    ("weekdays heed no holiday: Christmas Day is a Friday",
     GERMANY, sends("09:00-17:30", "weekdays"), "Thu 2026-12-24 17:30 +01:00", "Fri 2026-12-25 09:00 +01:00"),
    ("business hours are over on New Year's Eve: Germany opens on Monday",
     GERMANY, sends("09:00-17:30", "business days"), "Thu 2026-12-31 18:00 +01:00", "Mon 2027-01-04 09:00 +01:00"),
    ("Monday 4 January 2027 is off in Scotland, for Saturday the 2nd",
     SCOTLAND, sends("09:00-17:30", "business days"), "Thu 2026-12-31 18:00 +00:00", "Tue 2027-01-05 09:00 +00:00"),
]  # fmt: skip

COUNTRIES_AND_REGIONS: list[Row] = [
    ("Epiphany is kept in Bavaria",
     BAVARIA, waits("1 business day"), "Tue 2027-01-05 10:00 +01:00", "Thu 2027-01-07 10:00 +01:00"),
    ("Epiphany is not kept in Berlin",
     BERLIN_STATE, waits("1 business day"), "Tue 2027-01-05 10:00 +01:00", "Wed 2027-01-06 10:00 +01:00"),
    ("without a region only what all of Germany keeps: not Epiphany",
     GERMANY, waits("1 business day"), "Tue 2027-01-05 10:00 +01:00", "Wed 2027-01-06 10:00 +01:00"),
    ("a region that does not exist is none: not Epiphany",
     BAVARIA_MISSPELT, waits("1 business day"), "Tue 2027-01-05 10:00 +01:00", "Wed 2027-01-06 10:00 +01:00"),
    ("a region that does not exist leaves Christmas Day, a Friday, to the country",
     BAVARIA_MISSPELT, waits("1 business day"), "Thu 2026-12-24 10:00 +01:00", "Mon 2026-12-28 10:00 +01:00"),
    ("International Women's Day is kept in Berlin",
     BERLIN_STATE, waits("1 business day"), "Fri 2027-03-05 10:00 +01:00", "Tue 2027-03-09 10:00 +01:00"),
    ("International Women's Day is not kept in Bavaria",
     BAVARIA, waits("1 business day"), "Fri 2027-03-05 10:00 +01:00", "Mon 2027-03-08 10:00 +01:00"),
    ("Berlin keeps 8 March since 2019: in 2018 it was a Thursday like any other",
     BERLIN_STATE, waits("1 business day"), "Wed 2018-03-07 10:00 +01:00", "Thu 2018-03-08 10:00 +01:00"),
    ("Carnival Tuesday is a holiday of Rio de Janeiro",
     RIO, waits("1 business day"), "Mon 2027-02-08 10:00 -03:00", "Wed 2027-02-10 10:00 -03:00"),
    ("Carnival Tuesday is no holiday by law in São Paulo",
     SAO_PAULO, waits("1 business day"), "Mon 2027-02-08 10:00 -03:00", "Tue 2027-02-09 10:00 -03:00"),
    ("Carnival Tuesday is no holiday of all Brazil",
     BRAZIL, sends("09:00-17:30", "business days"), "Tue 2027-02-09 08:00 -03:00", "Tue 2027-02-09 09:00 -03:00"),
    ("Carnival Monday is no holiday by law, not even in Cologne",
     COLOGNE, waits("1 business day"), "Fri 2027-02-05 10:00 +01:00", "Mon 2027-02-08 10:00 +01:00"),
    ("Louisiana keeps Mardi Gras, after Washington's Birthday on Monday",
     NEW_ORLEANS, waits("1 business day"), "Fri 2026-02-13 10:00 -06:00", "Wed 2026-02-18 10:00 -06:00"),
    ("elsewhere in the United States only Washington's Birthday is off",
     CHICAGO, waits("1 business day"), "Fri 2026-02-13 10:00 -06:00", "Tue 2026-02-17 10:00 -06:00"),
    ("England keeps Easter Monday",
     ENGLAND, waits("1 business day"), "Thu 2026-04-02 10:00 +01:00", "Tue 2026-04-07 10:00 +01:00"),
    ("Scotland does not keep Easter Monday, so Britain without a region does not",
     BRITAIN, waits("1 business day"), "Thu 2026-04-02 10:00 +01:00", "Mon 2026-04-06 10:00 +01:00"),
    ("a country that does not exist keeps no Christmas",
     NOWHERE, waits("1 business day"), "Thu 2026-12-24 10:00 +01:00", "Fri 2026-12-25 10:00 +01:00"),
    ("a country that does not exist keeps the weekend",
     NOWHERE, waits("1 business day"), "Fri 2026-12-25 10:00 +01:00", "Mon 2026-12-28 10:00 +01:00"),
    ("a customer without a country keeps no Christmas",
     BERLIN, sends("09:00-17:30", "business days"), "Fri 2026-12-25 08:00 +01:00", "Fri 2026-12-25 09:00 +01:00"),
]  # fmt: skip

UNTIL_A_TIME_OF_DAY: list[Row] = [
    ("Berlin has no 02:30 that night: as long after the gap",
     BERLIN, until("02:30"), "Sat 2026-03-28 20:00 +01:00", "Sun 2026-03-29 03:30 +02:00"),
    ("the first time that is skipped is the moment of the change",
     BERLIN, until("02:00"), "Sat 2026-03-28 20:00 +01:00", "Sun 2026-03-29 03:00 +02:00"),
    ("the clock calls the moment of the change 03:00",
     BERLIN, until("03:00"), "Sat 2026-03-28 20:00 +01:00", "Sun 2026-03-29 03:00 +02:00"),
    ("a minute after the moved 02:30 it is over for the day",
     BERLIN, until("02:30"), "Sun 2026-03-29 03:31 +02:00", "Mon 2026-03-30 02:30 +02:00"),
    ("Berlin has 02:30 twice: the first counts",
     BERLIN, until("02:30"), "Sat 2026-10-24 20:00 +02:00", "Sun 2026-10-25 02:30 +02:00"),
    ("between the two the first is over, and the second does not count",
     BERLIN, until("02:30"), "Sun 2026-10-25 02:45 +02:00", "Mon 2026-10-26 02:30 +01:00"),
    ("New York has no 02:30 that night: as long after the gap",
     NEW_YORK, until("02:30"), "Sun 2026-03-08 00:00 -05:00", "Sun 2026-03-08 03:30 -04:00"),
    ("New York has 01:30 twice: the first counts",
     NEW_YORK, until("01:30"), "Sun 2026-11-01 00:00 -04:00", "Sun 2026-11-01 01:30 -04:00"),
    ("a quarter past the second one o'clock the first 01:30 is long over",
     NEW_YORK, until("01:30"), "Sun 2026-11-01 01:15 -05:00", "Mon 2026-11-02 01:30 -05:00"),
    ("24 hours from Saturday 08:00 end at 09:00 by summer time: the next 08:30 is Monday's",
     BERLIN, waits("1 day", until="08:30"), "Sat 2026-03-28 08:00 +01:00", "Mon 2026-03-30 08:30 +02:00"),
    ("24 hours from Saturday 09:00 end at 08:00 by winter time: the next 08:30 is Sunday's",
     BERLIN, waits("1 day", until="08:30"), "Sat 2026-10-24 09:00 +02:00", "Sun 2026-10-25 08:30 +01:00"),
    ("Lord Howe skips half an hour from 02:00: as long after the gap",
     LORD_HOWE, until("02:15"), "Sat 2026-10-03 20:00 +10:30", "Sun 2026-10-04 02:45 +11:00"),
    ("Lord Howe repeats half an hour from 01:30: the first 01:45",
     LORD_HOWE, until("01:45"), "Sat 2026-04-04 20:00 +11:00", "Sun 2026-04-05 01:45 +11:00"),
    ("the Chatham Islands skip an hour from 02:45: 03:00 is 04:00",
     CHATHAM, until("03:00"), "Sat 2026-09-26 20:00 +12:45", "Sun 2026-09-27 04:00 +13:45"),
    ("the Chatham Islands repeat an hour from 02:45: the first 03:00",
     CHATHAM, until("03:00"), "Sat 2026-04-04 20:00 +13:45", "Sun 2026-04-05 03:00 +13:45"),
    ("St John's skipped an hour from 00:01 in those days: 00:30 was 01:30",
     ST_JOHNS, until("00:30"), "Sat 2011-03-12 20:00 -03:30", "Sun 2011-03-13 01:30 -02:30"),
    ("Nuuk skips the last hour of Saturday: 23:30 is on Sunday",
     NUUK, until("23:30"), "Sat 2026-03-28 12:00 -02:00", "Sun 2026-03-29 00:30 -01:00"),
    ("10:00 of the day that Apia left out is 10:00 of the day after",
     APIA, until("10:00"), "Thu 2011-12-29 12:00 -10:00", "Sat 2011-12-31 10:00 +14:00"),
    ("Kathmandu, over a month's end",
     KATHMANDU, until("08:30"), "Sat 2026-02-28 09:00 +05:45", "Sun 2026-03-01 08:30 +05:45"),
    ("the day after 28 February is the 29th in 2028",
     BERLIN, until("08:30"), "Mon 2028-02-28 20:00 +01:00", "Tue 2028-02-29 08:30 +01:00"),
    ("the day after 28 February is 1 March in 2027",
     BERLIN, until("08:30"), "Sun 2027-02-28 20:00 +01:00", "Mon 2027-03-01 08:30 +01:00"),
    ("waiting for a time heeds no holiday",
     GERMANY, until("08:30"), "Thu 2026-12-31 20:00 +01:00", "Fri 2027-01-01 08:30 +01:00"),
    ("Kiritimati is the first to see a year",
     KIRITIMATI, until("00:00"), "Thu 2026-12-31 12:00 +14:00", "Fri 2027-01-01 00:00 +14:00"),
]  # fmt: skip

WINDOWS_OVER_A_CHANGE: list[Row] = [
    ("at 03:00 Berlin has skipped 02:30: what opens then is open",
     BERLIN, sends("02:30-06:00"), "Sun 2026-03-29 01:00 +01:00", "Sun 2026-03-29 03:00 +02:00"),
    ("a minute before Berlin's change what closes at 02:30 is still open",
     BERLIN, sends("01:00-02:30"), "Sun 2026-03-29 01:59 +01:00", "Sun 2026-03-29 01:59 +01:00"),
    ("at 03:00 Berlin has skipped 02:30: what closes then is shut",
     BERLIN, sends("01:00-02:30"), "Sun 2026-03-29 03:00 +02:00", "Mon 2026-03-30 01:00 +02:00"),
    ("Berlin's gap swallows 02:15-02:45: tomorrow",
     BERLIN, sends("02:15-02:45"), "Sun 2026-03-29 01:00 +01:00", "Mon 2026-03-30 02:15 +02:00"),
    ("New York's gap swallows 02:00-03:00, to the minute: tomorrow",
     NEW_YORK, sends("02:00-03:00"), "Sun 2026-03-08 01:00 -05:00", "Mon 2026-03-09 02:00 -04:00"),
    ("New York's gap leaves a quarter of an hour of 02:30-03:15",
     NEW_YORK, sends("02:30-03:15"), "Sun 2026-03-08 01:00 -05:00", "Sun 2026-03-08 03:00 -04:00"),
    ("a Saturday night until 02:30 is over at the change, which skips it: a week later",
     NEW_YORK, sends("22:00-02:30", "sat"), "Sun 2026-03-08 03:15 -04:00", "Sat 2026-03-14 22:00 -04:00"),
    ("Berlin's gap swallows 02:15-02:45 on Sundays: a week later",
     BERLIN, sends("02:15-02:45", "sun"), "Sun 2026-03-29 01:00 +01:00", "Sun 2026-04-05 02:15 +02:00"),
    ("02:00-03:00 is two hours long when the hour comes twice",
     BERLIN, sends("02:00-03:00"), "Sun 2026-10-25 02:59 +01:00", "Sun 2026-10-25 02:59 +01:00"),
    ("02:15-02:45 does not open again in the second hour",
     BERLIN, sends("02:15-02:45"), "Sun 2026-10-25 02:30 +01:00", "Mon 2026-10-26 02:15 +01:00"),
    ("what closes at 02:30 closes at the first of the two",
     BERLIN, sends("22:00-02:30"), "Sun 2026-10-25 02:15 +01:00", "Sun 2026-10-25 22:00 +01:00"),
    ("what opens at 01:30 opens at the first of the two",
     NEW_YORK, sends("01:30-06:00"), "Sun 2026-11-01 00:00 -04:00", "Sun 2026-11-01 01:30 -04:00"),
    ("set back to 01:15 after it opened at 01:30: it opens at the second 01:30",
     NEW_YORK, sends("01:30-06:00"), "Sun 2026-11-01 01:15 -05:00", "Sun 2026-11-01 01:30 -05:00"),
    ("a Saturday night in spring lasts until 04:00 though an hour is missing",
     BERLIN, sends("22:00-04:00", "sat"), "Sun 2026-03-29 03:59 +02:00", "Sun 2026-03-29 03:59 +02:00"),
    ("a Saturday night in spring is over at 04:00: a week later",
     BERLIN, sends("22:00-04:00", "sat"), "Sun 2026-03-29 04:00 +02:00", "Sat 2026-04-04 22:00 +02:00"),
    ("a Saturday night in autumn goes through the hour twice",
     NEW_YORK, sends("22:00-02:30", "sat"), "Sun 2026-11-01 01:45 -05:00", "Sun 2026-11-01 01:45 -05:00"),
    ("Saturday noon to Monday: summer time since Sunday",
     BERLIN, sends("09:00-17:30", "weekdays"), "Sat 2026-03-28 12:00 +01:00", "Mon 2026-03-30 09:00 +02:00"),
    ("Friday evening to Monday: winter time since Sunday",
     NEW_YORK, sends("09:00-17:30", "weekdays"), "Fri 2026-10-30 18:00 -04:00", "Mon 2026-11-02 09:00 -05:00"),
    ("Lord Howe's half hour swallows 02:00-02:30",
     LORD_HOWE, sends("02:00-02:30"), "Sun 2026-10-04 01:00 +10:30", "Mon 2026-10-05 02:00 +11:00"),
    ("Lord Howe's half hour leaves half of 02:00-03:00",
     LORD_HOWE, sends("02:00-03:00"), "Sun 2026-10-04 01:00 +10:30", "Sun 2026-10-04 02:30 +11:00"),
    ("01:30-02:00 is an hour long when Lord Howe repeats it",
     LORD_HOWE, sends("01:30-02:00"), "Sun 2026-04-05 01:45 +10:30", "Sun 2026-04-05 01:45 +10:30"),
    ("St John's swallows 02:15-02:45",
     ST_JOHNS, sends("02:15-02:45"), "Sun 2026-03-08 01:00 -03:30", "Mon 2026-03-09 02:15 -02:30"),
    ("Sunday morning on the Chatham Islands, by summer time since 02:45",
     CHATHAM, sends("09:00-17:00"), "Sat 2026-09-26 18:00 +12:45", "Sun 2026-09-27 09:00 +13:45"),
    ("Nuuk's Saturday has no last hour in spring: a week later",
     NUUK, sends("23:00-24:00", "sat"), "Sat 2026-03-28 22:30 -02:00", "Sat 2026-04-04 23:00 -01:00"),
    ("Nuuk's Saturday has its last hour twice in autumn",
     NUUK, sends("23:00-24:00", "sat"), "Sat 2026-10-24 23:59 -02:00", "Sat 2026-10-24 23:59 -02:00"),
    ("Friday's first hour does not exist in Cairo: a week later",
     CAIRO, sends("00:00-01:00", "fri"), "Thu 2026-04-23 12:00 +02:00", "Fri 2026-05-01 00:00 +03:00"),
    ("Apia's Friday did not exist: what opens on weekdays opened on Monday",
     APIA, sends("09:00-17:30", "weekdays"), "Thu 2011-12-29 18:00 -10:00", "Mon 2012-01-02 09:00 +14:00"),
    ("Apia's Friday did not exist: what opens on Fridays opened a week later",
     APIA, sends("09:00-17:30", "fri"), "Thu 2011-12-29 18:00 -10:00", "Fri 2012-01-06 09:00 +14:00"),
    ("Apia had no Friday night to last into Saturday",
     APIA, sends("20:00-02:00", "fri"), "Sat 2011-12-31 01:00 +14:00", "Fri 2012-01-06 20:00 +14:00"),
]  # fmt: skip

NIGHTS_AND_WEEKENDS: list[Row] = [
    ("Friday's night lasts into Saturday",
     BERLIN, sends("20:00-02:00", "fri"), "Sat 2026-03-07 01:59 +01:00", "Sat 2026-03-07 01:59 +01:00"),
    ("Friday's night is over at two: a week later",
     BERLIN, sends("20:00-02:00", "fri"), "Sat 2026-03-07 02:00 +01:00", "Fri 2026-03-13 20:00 +01:00"),
    ("Friday at one belongs to Thursday's night",
     BERLIN, sends("20:00-02:00", "fri"), "Fri 2026-03-06 01:00 +01:00", "Fri 2026-03-06 20:00 +01:00"),
    ("Saturday evening is not Friday's",
     BERLIN, sends("20:00-02:00", "fri"), "Sat 2026-03-07 21:00 +01:00", "Fri 2026-03-13 20:00 +01:00"),
    ("Sunday at one belongs to Saturday's night, which no weekday has",
     BERLIN, sends("20:00-02:00", "weekdays"), "Sun 2026-03-08 01:00 +01:00", "Mon 2026-03-09 20:00 +01:00"),
    ("a whole Monday begins at midnight",
     BERLIN, sends("00:00-24:00", "mon"), "Sun 2026-03-29 23:30 +02:00", "Mon 2026-03-30 00:00 +02:00"),
    ("the night of Christmas Eve lasts into Christmas Day",
     GERMANY, sends("20:00-02:00", "business days"), "Fri 2026-12-25 01:00 +01:00", "Fri 2026-12-25 01:00 +01:00"),
    ("Christmas Day has no night on business days: Monday evening",
     GERMANY, sends("20:00-02:00", "business days"), "Fri 2026-12-25 20:00 +01:00", "Mon 2026-12-28 20:00 +01:00"),
    ("New Year's night belongs to the old year",
     GERMANY, sends("20:00-02:00", "thu"), "Fri 2027-01-01 01:00 +01:00", "Fri 2027-01-01 01:00 +01:00"),
    ("the last Tuesday of February 2028 is the 29th",
     BERLIN, sends("09:00-17:30", "tue"), "Wed 2028-02-23 09:00 +01:00", "Tue 2028-02-29 09:00 +01:00"),
    ("the night of 29 February lasts into March",
     BERLIN, sends("20:00-02:00", "tue"), "Wed 2028-03-01 01:30 +01:00", "Wed 2028-03-01 01:30 +01:00"),
    ("Kathmandu's Friday ends before London's",
     KATHMANDU, sends("09:00-17:30", "weekdays"), "Fri 2026-03-06 17:30 +05:45", "Mon 2026-03-09 09:00 +05:45"),
    ("Kiritimati's Saturday begins while New York has breakfast on Friday",
     KIRITIMATI, sends("09:00-17:30", "weekdays"), "Sat 2026-03-07 00:00 +14:00", "Mon 2026-03-09 09:00 +14:00"),
]  # fmt: skip

HOW_LATE_A_LETTER_MAY_BE: list[Row] = [
    ("without a window: 12 hours from when it is due, over New York's autumn change",
     NEW_YORK, leaves_by("12 hours"), "Sun 2026-11-01 00:30 -04:00", "Sun 2026-11-01 11:30 -05:00"),
    ("due within the window: 72 hours from then, over Berlin's spring change",
     BERLIN, leaves_by("3 days", "09:00-17:30", "weekdays"),
     "Fri 2026-03-27 10:00 +01:00", "Mon 2026-03-30 11:00 +02:00"),
    ("due outside the window: 72 hours from Monday's opening, by summer time",
     BERLIN, leaves_by("3 days", "09:00-17:30", "weekdays"),
     "Fri 2026-03-27 18:00 +01:00", "Thu 2026-04-02 09:00 +02:00"),
    ("due on Christmas Eve after hours: 72 hours from Monday in Germany",
     GERMANY, leaves_by("3 days", "09:00-17:30", "business days"),
     "Thu 2026-12-24 18:00 +01:00", "Thu 2026-12-31 09:00 +01:00"),
    ("72 hours from Tuesday in Britain, though they end on New Year's Day",
     BRITAIN, leaves_by("3 days", "09:00-17:30", "business days"),
     "Thu 2026-12-24 18:00 +00:00", "Fri 2027-01-01 09:00 +00:00"),
    ("an hour from 03:00, when what opens at 02:30 opens in the night that skips it",
     NEW_YORK, leaves_by("1 hour", "02:30-06:00"), "Sun 2026-03-08 01:00 -05:00", "Sun 2026-03-08 04:00 -04:00"),
    ("max_late of 365 days from 29 February: on the 28th it is over",
     BERLIN, leaves_by("365 days"), "Tue 2028-02-29 10:00 +01:00", "Wed 2029-02-28 10:00 +01:00"),
]  # fmt: skip

HARD_DATES = (
    *A_DAY_IS_24_HOURS,
    *A_YEAR_IS_365_DAYS,
    *BUSINESS_DAYS,
    *CHRISTMAS_AND_NEW_YEAR,
    *COUNTRIES_AND_REGIONS,
    *UNTIL_A_TIME_OF_DAY,
    *WINDOWS_OVER_A_CHANGE,
    *NIGHTS_AND_WEEKENDS,
    *HOW_LATE_A_LETTER_MAY_BE,
)
every_row = pytest.mark.parametrize(
    ("where", "rule", "asked", "answer"), [row[1:] for row in HARD_DATES], ids=[row[0] for row in HARD_DATES]
)


@every_row
def test_the_answer_is_what_a_person_with_a_calendar_would_say(where, rule, asked, answer):
    said = rule(moment(asked), where)
    assert written(said, where) == answer


@every_row
def test_the_row_is_written_as_the_clocks_of_the_place_show_it(where, rule, asked, answer):
    assert [written(moment(text), where) for text in (asked, answer)] == [asked, answer]


def test_no_two_rows_have_the_same_reason():
    assert len({row[0] for row in HARD_DATES}) == len(HARD_DATES)
