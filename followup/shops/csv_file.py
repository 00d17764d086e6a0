"""
Orders from a CSV file: one row per line item, the generic layout.

Columns (those marked * are needed): order_id*, placed_at*, email*, status, number, paid_at,
fulfilled_at, promised_at, delivered_at, cancelled_at, customer_id, first_name, last_name, city, region,
country, timezone, locale, currency, total, accepts_marketing, is_gift, note, sku, product, category,
quantity, price. Others are ignored. Rows of one order stand together. Moments are ISO 8601; one without
an offset is read in the row's own ``timezone``. Quotes follow RFC 4180.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from followup import calendars
from followup.core.customer import ConsentBasis, CustomerReport, InvalidAddress, normalize_address
from followup.core.order import VOID, Item, OrderReport, OrderStatus, Purchase
from followup.errors import FollowupError

if TYPE_CHECKING:
    import _csv

NEEDED = ("order_id", "placed_at", "email")
LONGEST_FIELD = 10_000
LONGEST_NAME = 200  # an index of PostgreSQL takes no 10 kB
NAMES = frozenset({"order_id", "number", "customer_id"})
LARGEST_AMOUNT = Decimal(10) ** 12
LARGEST_QUANTITY = 1_000_000
YEARS = range(1990, 2101)  # beyond them stands a slip of the keyboard
STATUSES: Mapping[str, OrderStatus] = {
    **{status.value: status for status in OrderStatus},
    "canceled": OrderStatus.CANCELLED,
    "shipped": OrderStatus.FULFILLED,
    "processing": OrderStatus.PAID,
    "completed": OrderStatus.DELIVERED,
}
YES, NO = frozenset({"yes", "true", "1", "y"}), frozenset({"no", "false", "0", "n"})


class UnreadableFile(FollowupError):
    """The file as a whole is no orders file."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: where, what is wrong, how to mend it."""

    line: int
    message: str


class _Wrong(Exception):
    """What is wrong with a row, and the remedy."""


def read_orders(path: Path, *, source: str = "csv") -> Iterator[Purchase | BadRow]:
    """
    Yield each order of the file and each row that cannot be used, in the order of the file.

    Raises:
        UnreadableFile: no such file, not text, or the needed columns are missing.
    """
    with _open(path) as text:
        rows = csv.reader(text, delimiter=_delimiter(text), strict=True)  # strict: a stray quote swallows no rows
        try:
            header = next(rows, [])
        except csv.Error as error:
            raise UnreadableFile(
                f"{path}:1: the first line cannot be read ({error})", hint="It names the columns; see to its quotes"
            ) from error
        columns = _columns(path, header)
        yield from _orders(_rows(rows, columns), source)


def _open(path: Path) -> io.TextIOWrapper:
    try:
        binary = path.open("rb")
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened: {error.strerror}") from error
    start = binary.read(4)
    binary.seek(0)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        binary.close()
        raise UnreadableFile(f"{path}:1: the file is UTF-16", hint="Save it as CSV UTF-8 and import that")
    # bytes that are no UTF-8 become surrogates, so that one bad row does not cost the file
    return io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _delimiter(text: io.TextIOWrapper) -> str:
    header = text.readline(LONGEST_FIELD)
    text.seek(0)
    return max(",;\t", key=header.count)


def _columns(path: Path, header: list[str]) -> list[str]:
    if not header:
        raise UnreadableFile(f"{path}:1: the first line is empty", hint=_HEADER)
    if any("\0" in name for name in header):
        raise UnreadableFile(f"{path}:1: the file is not UTF-8 text", hint="Save it as CSV UTF-8 and import that")
    columns = [name.strip().lower().replace(" ", "_") for name in header]
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise UnreadableFile(f"{path}:1: column {twice[0]!r} is there twice", hint="Rename or drop one of them")
    if missing := [name for name in NEEDED if name not in columns]:
        wanting = f"column {missing[0]} is" if len(missing) == 1 else f"columns {', '.join(missing)} are"
        raise UnreadableFile(f"{path}:1: {wanting} missing", hint=_HEADER)
    return columns


_HEADER = f"The first line names the columns; needed are {', '.join(NEEDED)}"


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: Mapping[str, str]

    def text(self, name: str) -> str | None:
        return self.cells.get(name, "").strip() or None


def _rows(rows: "_csv.Reader", columns: list[str]) -> Iterator[_Row | BadRow]:
    """Yield each row as named cells; ``line`` is where the row begins."""
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            if rows.line_num > line:  # a quote that was not closed: what follows cannot be told apart
                yield BadRow(
                    line, f"the file cannot be read from here on ({error}); look for a quote that is not closed"
                )
                return
            yield BadRow(
                line, f"the row cannot be read ({error}); see to its quotes: one inside a quoted cell is doubled"
            )
            continue
        if any(cell.strip() for cell in cells):
            yield _checked(line, rows.line_num, cells, columns)


def _checked(line: int, last_line: int, cells: list[str], columns: list[str]) -> _Row | BadRow:
    if len(cells) != len(columns) and last_line > line:
        remedy = f"it runs to line {last_line}, so look for a quote that is not closed"
        return BadRow(line, f"{len(cells)} cells where the header has {len(columns)}; {remedy}")
    if len(cells) != len(columns):
        remedy = "quote cells that contain the separator" if len(cells) > len(columns) else "fill in the missing cells"
        return BadRow(line, f"{len(cells)} cells where the header has {len(columns)}; {remedy}")
    for name, cell in zip(columns, cells, strict=True):
        longest = LONGEST_NAME if name in NAMES else LONGEST_FIELD
        if len(cell) > longest:
            return BadRow(line, f"{name} has {len(cell):,} characters; shorten it to {longest:,}")
        if "\0" in cell:
            return BadRow(line, f"{name} contains a NUL character; export the file again as text")
        if any("\udc80" <= letter <= "\udcff" for letter in cell):
            return BadRow(line, f"{name} is not UTF-8; save the file as CSV UTF-8")
    return _Row(line, dict(zip(columns, cells, strict=True)))


def _orders(rows: Iterator[_Row | BadRow], source: str) -> Iterator[Purchase | BadRow]:
    """Put rows that stand together into orders."""
    group: list[_Row] = []
    seen: set[str] = set()
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        order_id = row.text("order_id")
        if order_id is None:
            yield BadRow(row.line, "order_id is empty; every row names its order")
            continue
        if group and group[0].text("order_id") != order_id:
            yield from _order(group, source)
            group = []
        if not group and order_id in seen:
            yield BadRow(
                row.line,
                f"order {_quoted(order_id)} appeared further up; sort the file so that its rows stand together",
            )
            continue
        seen.add(order_id)
        group.append(row)
    if group:
        yield from _order(group, source)


def _order(rows: list[_Row], source: str) -> Iterator[Purchase | BadRow]:
    """Read one order; a bad row is reported and the order made of the others."""
    good: list[tuple[Purchase, Item | None]] = []
    for row in rows:
        try:
            good.append((Purchase(_customer(row), _report(row, source)), _item(row)))
        except _Wrong as wrong:
            yield BadRow(row.line, str(wrong))
    if not good:
        return
    first = good[0][0]
    items = tuple(item for _, item in good if item is not None)
    yield Purchase(first.customer, replace(first.order, items=items))


def _customer(row: _Row) -> CustomerReport:
    email = row.text("email")
    if email is None:
        raise _Wrong("email is empty; an order without one cannot be followed up, so leave it out or fill it in")
    try:
        address = normalize_address(email)
    except InvalidAddress as error:
        why = str(error.__cause__).rstrip(".")
        raise _Wrong(f"email {_quoted(email)} is not a mail address: {why}; correct it in the shop") from error
    said = _yes_or_no(row, "accepts_marketing")
    basis = {True: ConsentBasis.OPT_IN, False: ConsentBasis.NONE, None: ConsentBasis.UNKNOWN}[said]
    country = row.text("country")
    if country is not None and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise _Wrong(f"country {_quoted(country)} is no two-letter code; write DE, US, BR, …")
    return CustomerReport(
        address=address,
        email=email,
        external_id=row.text("customer_id"),
        first_name=row.text("first_name"),
        last_name=row.text("last_name"),
        language=(row.text("locale") or "").replace("_", "-") or None,
        country=country.upper() if country else None,
        region=row.text("region"),
        city=row.text("city"),
        timezone=row.text("timezone"),
        consent_basis=basis,
    )


def _report(row: _Row, source: str) -> OrderReport:
    order_id = row.text("order_id") or ""
    moments = {f"{name}_at": _moment(row, f"{name}_at") for name in ("paid", "fulfilled", "delivered", "cancelled")}
    placed_at = _moment(row, "placed_at")
    if placed_at is None:
        raise _Wrong("placed_at is empty; write when the order was placed, such as 2026-03-01T14:05:00+01:00")
    status = _status(row, moments)
    return OrderReport(
        source=source,
        external_id=order_id,
        number=row.text("number") or order_id,
        status=status,
        placed_at=placed_at,
        paid_at=moments["paid_at"],
        fulfilled_at=moments["fulfilled_at"],
        promised_at=_moment(row, "promised_at"),
        delivered_at=moments["delivered_at"],
        cancelled_at=moments["cancelled_at"],
        total_cents=_cents(row, "total") or 0,
        currency=(row.text("currency") or "").upper(),
        is_gift=bool(_yes_or_no(row, "is_gift")),
        note=row.text("note"),
    )


def _status(row: _Row, moments: Mapping[str, datetime | None]) -> OrderStatus:
    text = row.text("status")
    if text is None:
        return next((s for s in _REACHED if moments[f"{s.value}_at"] is not None), OrderStatus.PLACED)
    status = STATUSES.get(text.lower())
    if status is None:
        raise _Wrong(f"status {_quoted(text)} is unknown; write one of {', '.join(s.value for s in OrderStatus)}")
    if status not in VOID and status is not OrderStatus.PLACED and moments[f"{status.value}_at"] is None:
        if status is OrderStatus.PAID:
            return OrderStatus.PLACED
        raise _Wrong(f"status is {text} but {status.value}_at is empty; write when that was")
    return status


_REACHED = (OrderStatus.CANCELLED, OrderStatus.DELIVERED, OrderStatus.FULFILLED, OrderStatus.PAID)


def _item(row: _Row) -> Item | None:
    name = row.text("product")
    if name is None:
        return None
    quantity = row.text("quantity") or "1"
    if not (quantity.isascii() and quantity.isdigit() and len(quantity) < 10 and 0 < int(quantity) <= LARGEST_QUANTITY):
        raise _Wrong(f"quantity {_quoted(quantity)} is no whole number from 1 to {LARGEST_QUANTITY:,}; write it like 2")
    return Item(
        name=name,
        sku=row.text("sku"),
        category=row.text("category"),
        quantity=int(quantity),
        price_cents=_cents(row, "price"),
    )


def _moment(row: _Row, name: str) -> datetime | None:
    text = row.text(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _Wrong(f"{name} {_quoted(text)} is no date; write it like {_MOMENT}") from error
    if moment.year not in YEARS:
        raise _Wrong(f"{name} {_quoted(text)} is in the year {moment.year}; correct it")
    return _with_zone(row, name, moment).astimezone(UTC)


def _with_zone(row: _Row, name: str, moment: datetime) -> datetime:
    """Return *moment* with its own offset, or else in the row's zone."""
    if moment.tzinfo is not None:
        return moment
    named = row.text("timezone")
    if named is None:
        raise _Wrong(f"{name} has no offset and the row no timezone; write it like {_MOMENT}, or fill in timezone")
    zone = calendars.zone(named)
    if zone is None:
        raise _Wrong(f"timezone {_quoted(named)} is unknown and {name} has no offset; write it like Europe/Berlin")
    return moment.replace(tzinfo=zone)


_MOMENT = "2026-03-01T14:05:00+01:00"


def _cents(row: _Row, name: str) -> int | None:
    text = row.text(name)
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise _Wrong(
            f"{name} {_quoted(text)} is no amount; write it like 49.90, without currency or thousands marks"
        ) from error
    if not amount.is_finite() or not 0 <= amount < LARGEST_AMOUNT:
        raise _Wrong(f"{name} {_quoted(text)} is out of range; write an amount of zero or more, like 49.90")
    return int((amount * 100).to_integral_value())


def _yes_or_no(row: _Row, name: str) -> bool | None:
    text = (row.text(name) or "").lower()
    if not text:
        return None
    if text not in YES | NO:
        raise _Wrong(f"{name} {_quoted(text)} is neither yes nor no; write one of them, or leave it empty")
    return text in YES


def _quoted(text: str) -> str:
    """Return *text* as messages cite it: on one line, and not all of a long one."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
