"""How dates and amounts are written in the languages letters come in, as data."""

from dataclasses import dataclass
from datetime import date, time
from decimal import ROUND_HALF_UP, Decimal


@dataclass(frozen=True, slots=True)
class Locale:
    """
    The conventions of one language.

    ``date`` and ``money`` are formats; ``group`` and ``point`` stand in numbers. ``stop`` is the text of
    the stop link, ``reason`` the line before it.
    """

    months: tuple[str, ...]
    weekdays: tuple[str, ...]  # from Monday
    date: str
    money: str
    group: str
    point: str
    item: str
    stop: str
    reason: str


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NBSP, NARROW = "\u00a0", "\u202f"
LOCALES = {
    "en": Locale(
        _words("January February March April May June July August September October November December"),
        _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
        "{day} {month} {year}",
        "{symbol}{amount}",
        ",",
        ".",
        "your order",
        "Stop these letters",
        "You receive this letter because you ordered from {shop}.",
    ),
    "de": Locale(
        _words("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
        _words("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"),
        "{day}. {month} {year}",
        "{amount}" + NBSP + "{symbol}",
        ".",
        ",",
        "Ihre Bestellung",
        "Keine weiteren Briefe",
        "Sie erhalten diesen Brief, weil Sie bei {shop} bestellt haben.",
    ),
    "fr": Locale(
        _words("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
        _words("lundi mardi mercredi jeudi vendredi samedi dimanche"),
        "{day} {month} {year}",
        "{amount}" + NBSP + "{symbol}",
        NARROW,
        ",",
        "votre commande",
        "Ne plus recevoir ces lettres",
        "Vous recevez cette lettre parce que vous avez commandé chez {shop}.",
    ),
    "es": Locale(
        _words("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
        _words("lunes martes miércoles jueves viernes sábado domingo"),
        "{day} de {month} de {year}",
        "{amount}" + NBSP + "{symbol}",
        ".",
        ",",
        "su pedido",
        "No recibir más cartas",
        "Recibe esta carta porque hizo un pedido en {shop}.",
    ),
    "it": Locale(
        _words("gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"),
        _words("lunedì martedì mercoledì giovedì venerdì sabato domenica"),
        "{day} {month} {year}",
        "{amount}" + NBSP + "{symbol}",
        ".",
        ",",
        "il suo ordine",
        "Non ricevere più queste lettere",
        "Riceve questa lettera perché ha ordinato da {shop}.",
    ),
    "nl": Locale(
        _words("januari februari maart april mei juni juli augustus september oktober november december"),
        _words("maandag dinsdag woensdag donderdag vrijdag zaterdag zondag"),
        "{day} {month} {year}",
        "{symbol}" + NBSP + "{amount}",
        ".",
        ",",
        "uw bestelling",
        "Geen brieven meer ontvangen",
        "U ontvangt deze brief omdat u bij {shop} hebt besteld.",
    ),
    "pt": Locale(
        _words("janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"),
        _words("segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo"),
        "{day} de {month} de {year}",
        "{amount}" + NBSP + "{symbol}",
        ".",
        ",",
        "o seu pedido",
        "Não receber mais cartas",
        "Recebe esta carta porque fez uma encomenda em {shop}.",
    ),
}
SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "BRL": "R$", "PLN": "zł", "INR": "₹", "CAD": "CA$"}
SYMBOLS |= {"AUD": "A$", "NZD": "NZ$", "KRW": "₩", "UAH": "₴"}
WITHOUT_CENTS = {"JPY", "KRW", "CLP", "ISK", "VND", "XAF", "XOF", "PYG"}


def locale_of(language: str) -> Locale:
    """Return the conventions for a BCP 47 tag; English for a language without data."""
    return LOCALES.get(language.split("-", maxsplit=1)[0].casefold(), LOCALES["en"])


def long_date(day: date, language: str) -> str:
    """Return ``14 March 2026`` and its like."""
    if language.casefold() == "en-us":
        return f"{LOCALES['en'].months[day.month - 1]} {day.day}, {day.year}"
    locale = locale_of(language)
    return locale.date.format(day=day.day, month=locale.months[day.month - 1], year=day.year)


def weekday(day: date, language: str) -> str:
    """Return ``Tuesday`` and its like."""
    return locale_of(language).weekdays[day.weekday()]


def clock_time(moment: time, language: str) -> str:
    """Return ``15:30``; ``3:30 pm`` in American English."""
    if language.casefold() == "en-us":
        return f"{moment.hour % 12 or 12}:{moment.minute:02} {'am' if moment.hour < 12 else 'pm'}"
    return f"{moment.hour:02}:{moment.minute:02}"


def money(amount: Decimal, currency: str, language: str) -> str:
    """Return *amount* as prices are written in *language*; *currency* is ISO 4217, or empty for none."""
    locale, code = locale_of(language), currency.strip().upper()
    cent = Decimal(1) if code in WITHOUT_CENTS else Decimal("0.01")
    plain = f"{abs(amount).quantize(cent, ROUND_HALF_UP):,f}"
    number = plain.translate(str.maketrans(",.", locale.group + locale.point))
    sign = "-" if amount < 0 else ""
    if not code:
        return sign + number
    symbol = SYMBOLS.get(code, code)
    pattern = locale.money
    if symbol == code:  # "CHF 12.00", but "€12.00"
        pattern = pattern.replace("{symbol}{amount}", "{symbol}" + NBSP + "{amount}")
    return sign + pattern.format(symbol=symbol, amount=number)
