"""When someone who is away says to be back: the date in an out-of-office note."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from followup.inbound.phrases import words

MAX_AHEAD = timedelta(days=400)
TEXT_SEEN = 4_000  # characters
BEFORE, AFTER = 60, 45  # characters between a word of return and its date

MONTHS = {
    "en": "january february march april may june july august september october november december",
    "en short": "jan feb mar apr may jun jul aug sep oct nov dec",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "de short": "jän feb mär apr mai jun jul aug sept okt nov dez",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "fr short": "janv fevrier mars avr mai juin juil aout sept oct nov decembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "es short": "ene feb mar abr may jun jul ago setiembre oct nov dic",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "it short": "gen feb mar apr mag giu lug ago set ott nov dic",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "nl short": "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "pt short": "jan fev mar abr mai jun jul ago set out nov dez",
}
DAYS = {
    "en": "monday tuesday wednesday thursday friday saturday sunday",
    "de": "montag dienstag mittwoch donnerstag freitag samstag sonntag",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
    "it": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
    "nl": "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
    "pt": "segunda terça quarta quinta sexta sábado domingo",
}
# Words that say "back"; not those that only say "from", which begin an absence as often as they end it.
RETURN = {
    "en": "back | return | returns | returning | available again | reachable again | resume",
    "de": "wieder | zurück",
    "fr": "de retour | reviens | reviendrai | mon retour | de nouveau | à nouveau",
    "es": "vuelvo | volveré | regreso | regresaré | de vuelta | de nuevo",
    "it": "ritorno | rientro | rientrerò | torno | tornerò | di nuovo",
    "nl": "terug | weer",
    "pt": "volto | voltarei | regresso | regressarei | retorno | retornarei | de volta | novamente",
}
UNTIL = {
    "en": "until | till | through | thru | to | including",
    "de": "bis | bis zum | bis einschließlich | bis zum einschließlich",
    "fr": "jusqu'au | jusqu’au | au",
    "es": "hasta el | hasta | al",
    "it": "fino al | sino al | al",
    "nl": "tot en met | t/m | tot",
    "pt": "até | até ao | até o | ao",
}

_MONTH = {name: number for table in MONTHS.values() for number, name in enumerate(table.split(), start=1)}
_ENGLISH = (MONTHS["en"] + " " + MONTHS["en short"]).split()  # the only ones that stand before the day
_DAY = {name: number for table in DAYS.values() for number, name in enumerate(table.split())}


def _any(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


_DATES = re.compile(
    rf"""
      (?<!\d)(?P<iso_year>20\d\d)-(?P<iso_month>\d\d)-(?P<iso_day>\d\d)(?!\d)
    | (?<![\d.,:])(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.|er|º|ª|°)?\s{{1,2}}(?:of\s|de\s|di\s)?
      (?P<month>{_any(_MONTH)})\b\.?(?:,?\s(?:de\s|del\s)?(?P<year>20\d\d)\b)?
    | \b(?P<month_first>{_any(_ENGLISH)})\.?\s{{1,2}}(?P<day_after>\d{{1,2}})(?:st|nd|rd|th)?\b(?![:./]\d)
      (?:,?\s(?P<year_after>20\d\d)\b)?
    | (?<![\d.,/-])(?P<first>\d{{1,2}})(?P<mark>[./-])(?P<second>\d{{1,2}})(?P=mark)(?P<short_year>(?:20)?\d\d)?(?![\d])
    """,
    re.IGNORECASE | re.VERBOSE,
)
_RETURN = re.compile(rf"\b(?:{_any(words(RETURN))})\b", re.IGNORECASE)
_UNTIL_BEFORE = re.compile(
    rf"\b(?:{_any(words(UNTIL))})\s{{1,2}}(?:the\s|el\s|le\s|il\s|den\s|dem\s)?(?:(?:{_any(_DAY)})[.,]?\s)?(?:the\s|den\s|dem\s)?$",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(rf"\b({_any(_DAY)})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Found:
    """A date in the text; ``start`` and ``end`` frame it."""

    on: date
    start: int
    end: int


def returns_on(text: str, received_on: date) -> date | None:
    """
    Return the date on which the writer of an out-of-office note says to be back, or None.

    A date beside a word like "back" wins; else the day after the last "until"; else the last date of all;
    else the weekday beside a word like "back". Dates without a year are the next such date. Only dates
    after *received_on* and at most 400 days later count; 03/04 is ambiguous and does not.
    """
    text = text[:TEXT_SEEN]
    dates = [found for match in _DATES.finditer(text) if (found := _found(match, received_on))]
    back = [found.on for found in dates if _beside_return(text, found)]
    if back:
        return back[0]
    until = [found.on for found in dates if _UNTIL_BEFORE.search(text[max(0, found.start - BEFORE) : found.start])]
    if until:
        return max(until) + timedelta(days=1)
    if dates:
        return max(found.on for found in dates)
    return _weekday(text, received_on)


def _beside_return(text: str, found: _Found) -> bool:
    before = text[max(0, found.start - BEFORE) : found.start]
    words_before = list(_RETURN.finditer(before))
    if words_before and not _DATES.search(before, words_before[-1].end()):
        return not re.search(r"[.!?]\s", before[words_before[-1].end() :])
    after = re.split(r"[.!?,;]\s|\n\n", text[found.end : found.end + AFTER], maxsplit=1)[0]
    return _RETURN.search(after) is not None and not _UNTIL_BEFORE.search(before)


def _found(match: re.Match[str], received_on: date) -> _Found | None:
    if match["month_first"] == "may":
        return None  # "may 2 of us call you": a verb
    on = _future(_parts(match), received_on)
    return _Found(on, match.start(), match.end()) if on else None


def _parts(match: re.Match[str]) -> tuple[int | None, int, int]:
    """Return (year or None, month, day) as they are written; an ambiguous date has month 0."""
    part = match.groupdict()
    if part["iso_year"]:
        return int(part["iso_year"]), int(part["iso_month"]), int(part["iso_day"])
    if part["month"]:
        return _year(part["year"]), _MONTH[part["month"].lower()], int(part["day"])
    if part["month_first"]:
        return _year(part["year_after"]), _MONTH[part["month_first"].lower()], int(part["day_after"])
    first, second, year = int(part["first"]), int(part["second"]), _year(part["short_year"])
    if part["mark"] == "." or first > 12 or first == second:
        return year, second, first  # day first: with points always, else when it cannot be the month
    return year, first if second > 12 else 0, second


def _year(text: str | None) -> int | None:
    return None if text is None else int(text) + (2000 if len(text) == 2 else 0)


def _future(parts: tuple[int | None, int, int], received_on: date) -> date | None:
    year, month, day = parts
    for candidate in (year,) if year else (received_on.year, received_on.year + 1):
        try:
            on = date(candidate, month, day)
        except ValueError:
            continue
        if received_on < on <= received_on + MAX_AHEAD:
            return on
    return None


def _weekday(text: str, received_on: date) -> date | None:
    for word in _RETURN.finditer(text):
        day = _WEEKDAY.search(text, word.end(), word.end() + 25)
        if day:
            ahead = (_DAY[day[1].lower()] - received_on.weekday() - 1) % 7 + 1
            return received_on + timedelta(days=ahead)
    return None
