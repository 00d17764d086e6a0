import tracemalloc
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from followup.core.customer import ConsentBasis
from followup.core.order import Item, OrderStatus, Purchase
from followup.shops.csv_file import LONGEST_FIELD, BadRow, UnreadableFile, read_orders

HEADER = "order_id,placed_at,email"
PLACED = "2026-03-01T14:05:00+01:00"
ROW = f"1001,{PLACED},ana@shop.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.csv"


def read(path: Path, content: str | bytes) -> list[Purchase | BadRow]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_orders(path))


def read_cells(path: Path, **cells: str) -> Purchase | BadRow:
    """Read one order whose row has these *cells* besides the needed ones."""
    named = {"order_id": "1001", "placed_at": PLACED, "email": "ana@shop.example"} | cells
    quoted = ('"' + cell.replace('"', '""') + '"' for cell in named.values())
    [one] = read(path, ",".join(named) + "\n" + ",".join(quoted) + "\n")
    return one


def told(path: Path, **cells: str) -> str:
    one = read_cells(path, **cells)
    assert isinstance(one, BadRow)
    assert one.line == 2
    return one.message


def order_ids(found: list[Purchase | BadRow]) -> list[str | int]:
    """Return the id of each order and the line of each bad row."""
    return [one.line if isinstance(one, BadRow) else one.order.external_id for one in found]


# -- good files --


def test_an_order_is_read_with_all_that_its_row_says(path: Path) -> None:
    one = read_cells(
        path,
        status="delivered",
        number="#7",
        paid_at="2026-03-01T14:06:00Z",
        fulfilled_at="2026-03-02T10:00:00Z",
        promised_at="2026-03-05T00:00:00Z",
        delivered_at="2026-03-04T10:00:00Z",
        customer_id="77",
        first_name="Ana",
        last_name="Sá",
        city="Santos",
        region="SP",
        country="br",
        timezone="America/Sao_Paulo",
        locale="pt_BR",
        currency="brl",
        total="49.90",
        accepts_marketing="yes",
        is_gift="true",
        note="ring\ntwice",
        sku="P1",
        product="Pot",
        category="tea",
        quantity="2",
        price="24.95",
    )
    assert isinstance(one, Purchase)
    who, what = one.customer, one.order
    assert (who.address, who.external_id, who.first_name, who.last_name) == ("ana@shop.example", "77", "Ana", "Sá")
    assert (who.city, who.region, who.country, who.timezone) == ("Santos", "SP", "BR", "America/Sao_Paulo")
    assert (who.language, who.consent_basis) == ("pt-BR", ConsentBasis.OPT_IN)
    assert (what.source, what.key, what.number, what.status) == ("csv", ("csv", "1001"), "#7", OrderStatus.DELIVERED)
    assert what.placed_at == datetime(2026, 3, 1, 13, 5, tzinfo=UTC)
    assert what.paid_at == datetime(2026, 3, 1, 14, 6, tzinfo=UTC)
    assert what.fulfilled_at == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert what.promised_at == datetime(2026, 3, 5, tzinfo=UTC)
    assert what.delivered_at == datetime(2026, 3, 4, 10, tzinfo=UTC)
    assert (what.total_cents, what.currency, what.is_gift, what.note) == (4990, "BRL", True, "ring\ntwice")
    assert what.items == (Item(name="Pot", sku="P1", category="tea", quantity=2, price_cents=2495),)


def test_three_columns_are_enough(path: Path) -> None:
    [one] = read(path, f"{HEADER}\n{ROW}\n")
    assert isinstance(one, Purchase)
    assert (one.order.number, one.order.status, one.order.items) == ("1001", OrderStatus.PLACED, ())
    assert (one.order.total_cents, one.order.currency, one.order.is_gift) == (0, "", False)
    assert one.customer.consent_basis is ConsentBasis.UNKNOWN
    assert one.customer.language is None


def test_rows_that_stand_together_are_the_lines_of_one_order(path: Path) -> None:
    found = read(
        path,
        f"{HEADER},product,note\n{ROW},Pot,first\n{ROW},Cup,second\n"
        f"1002,{PLACED},ben@shop.example,,\n1003,{PLACED},ben@shop.example,Tea,\n",
    )
    orders = [one.order for one in found if isinstance(one, Purchase)]
    assert [(order.external_id, [item.name for item in order.items]) for order in orders] == [
        ("1001", ["Pot", "Cup"]),
        ("1002", []),
        ("1003", ["Tea"]),
    ]
    assert orders[0].note == "first"


def test_the_source_can_be_named(path: Path) -> None:
    path.write_text(f"{HEADER}\n{ROW}\n")
    [one] = read_orders(path, source="old shop")
    assert isinstance(one, Purchase)
    assert one.order.key == ("old shop", "1001")


@pytest.mark.parametrize(
    ("word", "moment", "status"),
    [
        ("placed", None, OrderStatus.PLACED),
        ("Paid", "paid_at", OrderStatus.PAID),
        ("processing", "paid_at", OrderStatus.PAID),
        ("paid", None, OrderStatus.PLACED),
        ("fulfilled", "fulfilled_at", OrderStatus.FULFILLED),
        ("SHIPPED", "fulfilled_at", OrderStatus.FULFILLED),
        ("delivered", "delivered_at", OrderStatus.DELIVERED),
        ("completed", "delivered_at", OrderStatus.DELIVERED),
        ("cancelled", None, OrderStatus.CANCELLED),
        ("canceled", "cancelled_at", OrderStatus.CANCELLED),
        ("refunded", None, OrderStatus.REFUNDED),
        ("", None, OrderStatus.PLACED),
        ("", "paid_at", OrderStatus.PAID),
        ("", "fulfilled_at", OrderStatus.FULFILLED),
        ("", "delivered_at", OrderStatus.DELIVERED),
        ("", "cancelled_at", OrderStatus.CANCELLED),
    ],
)
def test_the_status_goes_by_many_names_or_by_what_has_happened(
    path: Path, word: str, moment: str | None, status: OrderStatus
) -> None:
    one = read_cells(path, status=word, **({moment: "2026-03-04T10:00:00Z"} if moment else {}))
    assert isinstance(one, Purchase)
    assert one.order.status is status


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found_in_the_header(path: Path, separator: str) -> None:
    lines = [HEADER + ",first_name", ROW + ",Ana"]
    [one] = read(path, "".join(line.replace(",", separator) + "\n" for line in lines))
    assert isinstance(one, Purchase)
    assert one.customer.first_name == "Ana"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte order mark"])
def test_line_ends_and_byte_order_marks_of_every_system_are_read(path: Path, end: str, mark: bytes) -> None:
    found = read(path, mark + end.join([HEADER, ROW, "", "x", ROW.replace("1001", "1002")]).encode())
    assert order_ids(found) == [4, "1001", "1002"]


def test_columns_go_by_any_case_and_order_and_unknown_ones_are_ignored(path: Path) -> None:
    [one] = read(path, f" Email ,colour,Order ID,Placed_At,,\nana@shop.example,red,1001,{PLACED},,\n")
    assert isinstance(one, Purchase)
    assert one.order.external_id == "1001"


@pytest.mark.parametrize(
    ("word", "basis"),
    [("yes", "opt_in"), ("TRUE", "opt_in"), ("1", "opt_in"), ("no", "none"), ("0", "none"), ("", "unknown")],
)
def test_what_a_customer_said_to_letters_is_kept(path: Path, word: str, basis: str) -> None:
    one = read_cells(path, accepts_marketing=word)
    assert isinstance(one, Purchase)
    assert one.customer.consent_basis.value == basis


@pytest.mark.parametrize(
    ("written", "zone", "moment"),
    [
        ("2026-03-01T14:05:00+01:00", "", "2026-03-01T13:05:00"),
        ("2026-03-01T14:05:00-05:00", "Europe/Berlin", "2026-03-01T19:05:00"),
        ("2026-03-01 14:05", "Europe/Berlin", "2026-03-01T13:05:00"),
        ("2026-07-01 14:05", "Europe/Berlin", "2026-07-01T12:05:00"),
        ("2026-03-01", "America/Sao_Paulo", "2026-03-01T03:00:00"),
        ("2026-03-01T14:05:00.123456Z", "", "2026-03-01T14:05:00.123456"),
    ],
)
def test_a_moment_without_offset_is_read_in_the_rows_own_zone(path: Path, written: str, zone: str, moment: str) -> None:
    one = read_cells(path, placed_at=written, timezone=zone)
    assert isinstance(one, Purchase)
    assert one.order.placed_at == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(("written", "cents"), [("49.90", 4990), ("0", 0), ("7", 700), ("0.1", 10), ("1e3", 100000)])
def test_amounts_are_kept_in_cents(path: Path, written: str, cents: int) -> None:
    one = read_cells(path, total=written, product="Pot", price=written)
    assert isinstance(one, Purchase)
    assert (one.order.total_cents, one.order.items[0].price_cents) == (cents, cents)


# -- files that cannot be read --


def refused(path: Path, content: str | bytes) -> tuple[str, str]:
    with pytest.raises(UnreadableFile) as error:
        read(path, content)
    assert str(error.value).startswith(f"{path}:1: ")
    return str(error.value).removeprefix(f"{path}:1: "), error.value.hint


NEEDED = "The first line names the columns; needed are order_id, placed_at, email"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"\r\n\r\n"])
def test_an_empty_file_is_called_empty(path: Path, content: bytes) -> None:
    assert refused(path, content) == ("the first line is empty", NEEDED)


def test_a_file_that_is_only_a_header_has_no_orders(path: Path) -> None:
    assert read(path, HEADER) == []
    assert read(path, HEADER + "\n\n , ,\n") == []


def test_missing_columns_are_named(path: Path) -> None:
    assert refused(path, "order_id,placed_at\n") == ("column email is missing", NEEDED)
    assert refused(path, f"{ROW}\n") == ("columns order_id, placed_at, email are missing", NEEDED)


def test_a_column_that_is_there_twice_is_named(path: Path) -> None:
    problem, hint = refused(path, f"{HEADER},Email\n")
    assert problem == "column 'email' is there twice"
    assert hint == "Rename or drop one of them"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_another_unicode_form_says_how_to_save_it(path: Path, encoding: str) -> None:
    problem, hint = refused(path, f"{HEADER}\n{ROW}\n".encode(encoding))
    assert problem in {"the file is UTF-16", "the file is not UTF-8 text"}
    assert hint == "Save it as CSV UTF-8 and import that"


@pytest.mark.parametrize("header", [f'"{HEADER}\n{ROW}\n', f'"order_id"x,{HEADER}\n', "x" * 200_000])
def test_a_header_that_cannot_be_told_apart_says_so(path: Path, header: str) -> None:
    problem, hint = refused(path, header)
    assert problem.startswith("the first line cannot be read (")
    assert "quotes" in hint


def test_a_folder_or_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"cannot be opened: Is a directory"):
        list(read_orders(tmp_path))
    with pytest.raises(UnreadableFile, match=r"nowhere\.csv: cannot be opened: No such file"):
        list(read_orders(tmp_path / "nowhere.csv"))


# -- rows that cannot be used --


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"order_id": " "}, "order_id is empty; every row names its order"),
        (
            {"email": ""},
            "email is empty; an order without one cannot be followed up, so leave it out or fill it in",
        ),
        (
            {"email": "ana.shop.example"},
            "email 'ana.shop.example' is not a mail address: An email address must have an @-sign;"
            " correct it in the shop",
        ),
        ({"placed_at": ""}, "placed_at is empty; write when the order was placed, such as 2026-03-01T14:05:00+01:00"),
        ({"placed_at": "1.3.2026"}, "placed_at '1.3.2026' is no date; write it like 2026-03-01T14:05:00+01:00"),
        (
            {"placed_at": "2026-03-01T25:00:00Z"},
            "placed_at '2026-03-01T25:00:00Z' is no date; write it like 2026-03-01T14:05:00+01:00",
        ),
        (
            {"placed_at": "2026-03-01"},
            "placed_at has no offset and the row no timezone; write it like 2026-03-01T14:05:00+01:00,"
            " or fill in timezone",
        ),
        (
            {"placed_at": "2026-03-01 14:05", "timezone": "Mars/Phobos"},
            "timezone 'Mars/Phobos' is unknown and placed_at has no offset; write it like Europe/Berlin",
        ),
        ({"placed_at": "0226-03-01T14:05:00Z"}, "placed_at '0226-03-01T14:05:00Z' is in the year 226; correct it"),
        (
            {"status": "delivered", "delivered_at": "9999-12-31T23:59:00-12:00"},
            "delivered_at '9999-12-31T23:59:00-12:00' is in the year 9999; correct it",
        ),
        (
            {"status": "eaten"},
            "status 'eaten' is unknown; write one of placed, paid, fulfilled, delivered, cancelled, refunded",
        ),
        ({"status": "shipped"}, "status is shipped but fulfilled_at is empty; write when that was"),
        ({"country": "Germany"}, "country 'Germany' is no two-letter code; write DE, US, BR, …"),
        ({"country": "ÄÖ"}, "country 'ÄÖ' is no two-letter code; write DE, US, BR, …"),
        ({"is_gift": "maybe"}, "is_gift 'maybe' is neither yes nor no; write one of them, or leave it empty"),
        ({"total": "49,90"}, "total '49,90' is no amount; write it like 49.90, without currency or thousands marks"),
        ({"total": "€49"}, "total '€49' is no amount; write it like 49.90, without currency or thousands marks"),
        ({"total": "-1"}, "total '-1' is out of range; write an amount of zero or more, like 49.90"),
        ({"total": "NaN"}, "total 'NaN' is out of range; write an amount of zero or more, like 49.90"),
        ({"total": "1e99"}, "total '1e99' is out of range; write an amount of zero or more, like 49.90"),
        (
            {"product": "Pot", "price": "free"},
            "price 'free' is no amount; write it like 49.90, without currency or thousands marks",
        ),
        (
            {"product": "Pot", "quantity": "0"},
            "quantity '0' is no whole number from 1 to 1,000,000; write it like 2",
        ),
        (
            {"product": "Pot", "quantity": "9" * 5000},
            f"quantity '{'9' * 60}…' is no whole number from 1 to 1,000,000; write it like 2",
        ),
        ({"product": "Pot", "quantity": "²"}, "quantity '²' is no whole number from 1 to 1,000,000; write it like 2"),
        ({"note": "a\0b"}, "note contains a NUL character; export the file again as text"),
        ({"note": "x" * 10_001}, "note has 10,001 characters; shorten it to 10,000"),
    ],
)
def test_a_bad_cell_is_named_with_the_remedy(path: Path, cells: dict[str, str], message: str) -> None:
    assert told(path, **cells) == message


def test_a_message_cites_at_most_the_beginning_of_a_cell_and_on_one_line(path: Path) -> None:
    for name in ("email", "placed_at", "country", "status", "total", "is_gift"):
        message = told(path, **{name: "x\n\x1b[31m" * 1_000})
        assert len(message) < 400
        assert message.isprintable()


def test_one_row_in_another_encoding_costs_that_row_only(path: Path) -> None:
    latin = f"1002,{PLACED},ben@shop.example,Jürgen\n".encode("latin-1")
    found = read(path, f"{HEADER},first_name\n{ROW},Jürgen\n".encode() + latin + f"{ROW},Ana\n".encode())
    assert order_ids(found) == [3, "1001"]
    assert found[0] == BadRow(3, "first_name is not UTF-8; save the file as CSV UTF-8")


def test_rows_with_too_many_or_too_few_cells_are_told_apart(path: Path) -> None:
    found = read(path, f"{HEADER},note\n{ROW}\n{ROW},a,b\n1002,{PLACED},ben@shop.example,ok\n")
    assert found[:2] == [
        BadRow(2, "3 cells where the header has 4; fill in the missing cells"),
        BadRow(3, "5 cells where the header has 4; quote cells that contain the separator"),
    ]
    assert order_ids(found) == [2, 3, "1002"]


def test_lines_are_counted_through_quoted_line_breaks(path: Path) -> None:
    found = read(path, f'{HEADER},"note\nof it"\n\n{ROW},"one\r\ntwo\n\nthree"\nx\n{ROW},"\n"\nx\n')
    assert order_ids(found) == [8, 11, "1001"]


def test_a_stray_quote_costs_its_row_only(path: Path) -> None:
    found = read(path, f'{HEADER},note\n{ROW},"so" good\n1002,{PLACED},ben@shop.example,5" pipe\n')
    assert order_ids(found) == [2, "1002"]
    assert isinstance(found[0], BadRow)
    assert found[0].message == (
        "the row cannot be read (',' expected after '\"'); see to its quotes: one inside a quoted cell is doubled"
    )


@pytest.mark.parametrize("rest", ["", "x" * 200_000, '"quoted",and more\n' * 9], ids=["end", "long", "other quotes"])
def test_a_quote_that_never_closes_swallows_no_orders_unseen(path: Path, rest: str) -> None:
    more = "".join(f"{number},{PLACED},ben@shop.example,fine\n" for number in range(2000, 2100))
    found = read(path, f'{HEADER},note\n{ROW},ok\n1002,{PLACED},ben@shop.example,"open\n{more}{rest}')
    assert order_ids(found) == [3, "1001"]
    assert isinstance(found[0], BadRow)
    assert found[0].message.startswith("the file cannot be read from here on (")
    assert found[0].message.endswith("look for a quote that is not closed")


def test_a_row_that_runs_on_and_has_too_few_cells_points_at_its_quotes(path: Path) -> None:
    found = read(path, f'{HEADER},note,city\n1002,{PLACED},ben@shop.example,"open\n{ROW},a"\n{ROW},fine,Rome\n')
    assert found[0] == BadRow(
        2, "4 cells where the header has 5; it runs to line 3, so look for a quote that is not closed"
    )
    assert order_ids(found) == [2, "1001"]


def test_a_bad_row_leaves_the_rest_of_its_order_standing(path: Path) -> None:
    bad = ROW.replace("@", " ")
    found = read(path, f"{HEADER},product\n{bad},Pot\n{ROW},Cup\n{ROW}\n{ROW},Tea\n1002,{PLACED},,\n")
    assert order_ids(found) == [4, 2, "1001", 6]
    [order] = [one.order for one in found if isinstance(one, Purchase)]
    assert [item.name for item in order.items] == ["Cup", "Tea"]


def test_an_order_that_stands_in_two_places_is_read_once_and_every_later_row_told(path: Path) -> None:
    other = ROW.replace("1001", "1002")
    found = read(path, "\n".join([HEADER, ROW, ROW, other, ROW, ROW, other]))
    assert order_ids(found) == ["1001", "1002", 5, 6, 7]
    assert found[2] == BadRow(5, "order '1001' appeared further up; sort the file so that its rows stand together")


# -- large and hostile --


def test_a_large_file_is_read_as_it_is_asked_for_in_little_memory(path: Path) -> None:
    with path.open("w") as file:
        file.write(f"{HEADER},note\n")
        for number in range(40_000):
            file.write(f"{number},{PLACED},ana{number % 100}@shop.example,{'x' * 100}\n")
    size = path.stat().st_size

    tracemalloc.start()
    try:
        orders = read_orders(path)
        assert order_ids(list(islice(orders, 2))) == ["0", "1"]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000, "nothing was read that was not asked for"
        assert sum(1 for _ in orders) == 39_998
        assert tracemalloc.get_traced_memory()[1] < size, "only the ids are remembered"
    finally:
        tracemalloc.stop()


def test_the_file_is_closed_when_nobody_reads_on(path: Path) -> None:
    path.write_text(f"{HEADER}\n{ROW}\n{ROW}2\n")
    orders = read_orders(path)
    next(orders)
    orders.close()  # type: ignore[attr-defined]
    assert list(orders) == []


in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def never_raises(path: Path, content: bytes) -> None:
    try:
        found = read(path, content)
    except UnreadableFile:
        return
    lines = content.count(b"\n") + content.count(b"\r") + 1
    for one in found:
        if isinstance(one, BadRow):
            assert 1 < one.line <= lines
            assert "\n" not in one.message


@in_one_folder
@given(st.binary())
def test_arbitrary_bytes_are_refused_or_read(path: Path, content: bytes) -> None:
    never_raises(path, content)


COLUMNS = (
    "order_id,placed_at,email,status,paid_at,delivered_at,country,timezone,locale,total,accepts_marketing,is_gift,"
    "note,product,quantity,price"
)
cells = st.one_of(
    st.text(),
    st.sampled_from([PLACED, "ana@shop.example", "1001", "", '"', "Europe/Berlin", "delivered", "NaN", "1e999999999"]),
    st.datetimes().map(datetime.isoformat),
    st.datetimes(timezones=st.timezones()).map(datetime.isoformat),
    st.decimals().map(str),
    st.integers().map(str),
    st.emails(),
)


@in_one_folder
@given(st.lists(st.lists(cells, min_size=16, max_size=16), max_size=3), st.binary(max_size=20))
def test_arbitrary_cells_under_a_good_header_are_refused_or_read(
    path: Path, rows: list[list[str]], tail: bytes
) -> None:
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    never_raises(path, "\n".join([COLUMNS, *lines]).encode("utf-8", "surrogatepass") + tail)


@in_one_folder
@given(st.dictionaries(st.sampled_from(COLUMNS.split(",")), cells))
def test_an_arbitrary_cell_in_a_good_row_is_refused_or_read(path: Path, given_cells: dict[str, str]) -> None:
    one = read_cells(path, **{name: cell.replace("\ud800", "") for name, cell in given_cells.items()})
    assert isinstance(one, BadRow) or one.order.placed_at.utcoffset() is not None


def test_the_longest_field_is_read(path: Path) -> None:
    one = read_cells(path, note="x" * LONGEST_FIELD)
    assert isinstance(one, Purchase)
    assert one.order.note == "x" * LONGEST_FIELD
