"""
The locked-down Jinja environment in which letters run.

Jinja's own sandbox lets a letter call methods of what it is given, multiply text and loop for hours. Here
it sees plain data only: an attribute is an entry of a mapping, nothing can be called, filters and tests
come from short lists, ``+`` and ``-`` take numbers only, and what comes out has a limit. ``letter_check``
has refused everything else before a template gets here; this is the second lock on the same door.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, NoReturn
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.filters import do_default
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import escape

from followup.authoring import locales
from followup.authoring.names import LOOP, value_of

LONGEST_OUTPUT = 200_000  # characters of all parts together
_BREAKS = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_SPECIAL = re.compile("[&<>\"']")
_URL_SAFE = ":/?#[]@!$&'()*+,;=%~-._"


class LetterError(ValueError):
    """A value does not fit what the letter does with it."""


class Blank(StrictUndefined):
    """
    A name without a value: false in ``if``, replaced by ``default``, an error when printed.

    It compares as null does in conditions: equal to nothing, in no order, containing nothing.
    """

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"{self._undefined_name} has no value"

    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return isinstance(other, Undefined)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not isinstance(other, Undefined)

    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def __contains__(self, item: object) -> bool:  # type: ignore[override]
        return False

    def _never(self, other: object) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _never  # type: ignore[assignment]


def fail_if_blank(value: object) -> None:
    """Raise jinja2.UndefinedError for a name without a value."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if value is None:
        raise LetterError("there is no value")


def one_line(text: str) -> str:
    """Collapse control characters and line breaks (U+2028 and C1 too) to single spaces."""
    return text if text.isprintable() else _BREAKS.sub(" ", text)


def plain(context: Context, value: object) -> str:
    """Return *value* as text on one line; moments on the customer's wall clock."""
    if isinstance(value, str):
        return one_line(value)
    fail_if_blank(value)
    if isinstance(value, datetime):
        return f"{_local(context, value):%Y-%m-%d %H:%M}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int | float | date):
        return str(value)
    kind = "a list" if isinstance(value, list | tuple) else "a group of fields"
    raise LetterError(f"this is {kind}, not one value")


def _local(context: Context, value: object) -> datetime:
    zone = context.get("_zone")
    assert isinstance(value, datetime)
    return value.astimezone(zone if isinstance(zone, ZoneInfo) else UTC)


def _day(context: Context, value: object) -> date:
    fail_if_blank(value)
    if isinstance(value, datetime):
        return _local(context, value).date()
    if isinstance(value, date):
        return value
    raise LetterError(f"{value!r} is not a date")


def _text_of(value: object) -> str:
    fail_if_blank(value)
    if not isinstance(value, str):
        raise LetterError(f"{value!r} is not text")
    return value


def _number(value: object) -> Decimal | int | float:
    fail_if_blank(value)
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float):
        raise LetterError(f"{value!r} is not a number")
    return value


def _list(value: object) -> list[object]:
    fail_if_blank(value)
    if not isinstance(value, list | tuple):
        raise LetterError(f"{value!r} is not a list")
    return list(value)


@pass_context
def _date(context: Context, value: object) -> str:
    return locales.long_date(_day(context, value), str(context.get("_language")))


@pass_context
def _weekday(context: Context, value: object) -> str:
    return locales.weekday(_day(context, value), str(context.get("_language")))


@pass_context
def _time(context: Context, value: object) -> str:
    fail_if_blank(value)
    if not isinstance(value, datetime):
        raise LetterError(f"{value!r} has no time of day")
    return locales.clock_time(_local(context, value).time(), str(context.get("_language")))


@pass_context
def _money(context: Context, value: object, currency: object = None) -> str:
    amount = _number(value)
    code = currency if isinstance(currency, str) else value_of(context.get("order"), "currency")
    try:
        return locales.money(Decimal(str(amount)), str(code or ""), str(context.get("_language")))
    except InvalidOperation:
        raise LetterError(f"{value!r} is not an amount") from None


@pass_context
def _join(context: Context, value: object, separator: object = ", ") -> str:
    return _text_of(separator).join(plain(context, item) for item in _list(value))


def _first(value: object) -> object:
    items = _list(value)
    return items[0] if items else Blank("the list is empty")


def _last(value: object) -> object:
    items = _list(value)
    return items[-1] if items else Blank("the list is empty")


def _length(value: object) -> int:
    fail_if_blank(value)
    if not isinstance(value, str | list | tuple):
        raise LetterError(f"{value!r} has no length")
    return len(value)


def _round(value: object, digits: object = 0) -> Decimal:
    number, places = _number(value), _number(digits)
    if not isinstance(places, int) or not 0 <= places <= 6:
        raise LetterError("round takes 0 to 6 digits")
    try:
        return Decimal(str(number)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    except InvalidOperation:
        raise LetterError(f"{value!r} cannot be rounded") from None


@pass_context
def _to_html(context: Context, value: object) -> str:
    text = plain(context, value)
    return escape(text) if _SPECIAL.search(text) else text


@pass_context
def _to_address(context: Context, value: object) -> str:
    return ", ".join(line.strip() for line in _text_of(value).splitlines() if line.strip())


@pass_context
def _to_url(context: Context, value: object) -> str:
    """A whole address, or its beginning: must lead to the web or to a mailbox."""
    text = plain(context, value).strip()
    if not re.match(r"(?i)https?://[^\s/?#@\\]+([/?#]|$)|mailto:[^\s@]+@", text):
        raise LetterError(f"{text[:60]!r} is not a link (https://…)")
    return quote(text, safe=_URL_SAFE)


@pass_context
def _to_url_part(context: Context, value: object) -> str:
    return quote(plain(context, value), safe="")


@pass_context
def _to_mailbox(context: Context, value: object) -> str:
    return quote(plain(context, value), safe="@+")


class _Environment(ImmutableSandboxedEnvironment):
    """See the module."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)
    intercepted_unops = frozenset({"+", "-"})

    def getitem(self, obj: Any, argument: str | Any) -> Any:
        return self.getattr(obj, argument)

    def getattr(self, obj: Any, key: Any) -> Any:
        if isinstance(obj, dict | Mapping):  # dict first: asking about it is ten times as fast
            found = obj.get(key)
            if found is None:  # a dash may be written as an underscore
                found = value_of(obj, key)
            return Blank(obj=obj, name=str(key)) if found is None else found
        if isinstance(obj, list | tuple) and isinstance(key, int):
            found = value_of(obj, key)
            return Blank(f"the list has no item {key}") if found is None else found
        if isinstance(obj, LoopContext) and key in LOOP:
            return getattr(obj, str(key))
        fail_if_blank(obj)
        raise LetterError(f"there is no field {key!r} here")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return False

    def is_safe_callable(self, obj: Any) -> bool:
        return False

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: N805
        raise LetterError("a letter calls nothing")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        a, b = Decimal(str(_number(left))), Decimal(str(_number(right)))
        if operator not in {"+", "-"}:
            raise LetterError(f"a letter does not calculate with {operator}")
        return a + b if operator == "+" else a - b

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        return -_number(arg) if operator == "-" else _number(arg)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a filter takes: kinds of values (none: any), and how many arguments, at least and at most."""

    takes: frozenset[str] = frozenset()
    least: int = 0
    most: int = 0


_TEXT, _NUMBERS, _DAYS = frozenset({"text"}), frozenset({"int", "money"}), frozenset({"moment", "date"})
_LISTS = frozenset({"list"})
FILTERS: Mapping[str, Signature] = {  # what is not here cannot be used
    "capitalize": Signature(_TEXT),
    "date": Signature(_DAYS),
    "default": Signature(least=1, most=1),
    "first": Signature(_LISTS),
    "join": Signature(_LISTS, most=1),
    "last": Signature(_LISTS),
    "length": Signature(_TEXT | _LISTS),
    "lower": Signature(_TEXT),
    "money": Signature(_NUMBERS, most=1),
    "round": Signature(_NUMBERS, most=1),
    "time": Signature(frozenset({"moment"})),
    "title": Signature(_TEXT),
    "trim": Signature(_TEXT),
    "upper": Signature(_TEXT),
    "weekday": Signature(_DAYS),
}
TESTS = ("defined", "none", "undefined")


def _environment() -> _Environment:
    # these delimiters cannot occur in a file (control characters are refused) nor in what Markdown or HTML
    # make of one (render strips them), so text that looks like Jinja stays text
    environment = _Environment(
        block_start_string="\x01%",
        block_end_string="%\x01",
        variable_start_string="\x01{",
        variable_end_string="}\x01",
        comment_start_string="\x01#",
        comment_end_string="#\x01",
        keep_trailing_newline=True,
        autoescape=False,  # every output goes through one of the filters that begin with "_"
        undefined=Blank,
        cache_size=0,
    )
    environment.globals.clear()
    environment.tests = {
        "defined": lambda value: not isinstance(value, Undefined) and value is not None,
        "undefined": lambda value: isinstance(value, Undefined) or value is None,
        "none": lambda value: isinstance(value, Undefined) or value is None,
    }
    environment.filters = {
        "capitalize": lambda value: _text_of(value).capitalize(),
        "date": _date,
        "default": do_default,
        "first": _first,
        "join": _join,
        "last": _last,
        "length": _length,
        "lower": lambda value: _text_of(value).lower(),
        "money": _money,
        "round": _round,
        "time": _time,
        "title": lambda value: " ".join(word[:1].upper() + word[1:] for word in _text_of(value).split(" ")),
        "trim": lambda value: _text_of(value).strip(),
        "upper": lambda value: _text_of(value).upper(),
        "weekday": _weekday,
        "_address": _to_address,
        "_html": _to_html,
        "_text": pass_context(plain),
        "_url": _to_url,
        "_url_part": _to_url_part,
        "_mailbox": _to_mailbox,
    }
    return environment


ENVIRONMENT = _environment()


def bounded(pieces: Iterable[str]) -> str:
    """
    Return *pieces* as one text, giving up as soon as it grows beyond what a letter may have.

    Raises:
        LetterError: too long.
    """
    parts, length = [], 0
    for piece in pieces:
        parts.append(piece)
        length += len(piece)
        if length > LONGEST_OUTPUT:
            raise LetterError(f"the letter grows beyond {LONGEST_OUTPUT:,} characters")
    return "".join(parts)
