"""Conditions: what they mean, and what they refuse."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.authoring.expressions import COMPARISONS, compile_condition
from followup.authoring.jinja_source import Fault
from followup.authoring.names import in_conditions
from followup.core.facts import value_at

KNOWN = in_conditions(["arrived-ok", "how_was_it"], event=True)
NAMES = {
    "customer": {"first_name": "Ana", "order_count": 1, "tags": ["VIP", "coffee club"], "language": None},
    "order": {
        "total": Decimal("15.10"),
        "days_late": 2,
        "is_gift": False,
        "delivered_at": datetime(2026, 3, 14, 23, 30, tzinfo=UTC),
        "items": [{"name": "Mill", "price": Decimal(5)}],
        "categories": ["Coffee"],
        "note": " Please RING ",
    },
    "answer": "problem",
    "replied": True,
    "asks": {"arrived-ok": {"answer": "all-good", "reply": {"text": None}}},
    "answers": {"old-letter": "yes"},
    "today": date(2026, 3, 15),
    "_zone": ZoneInfo("Europe/Berlin"),
}


def holds(source: str) -> bool:
    return compile_condition(source, KNOWN)(NAMES)


@pytest.mark.parametrize(
    "source",
    [
        'answer == "problem"',
        'answer == " Problem "',
        'answer != "all-good"',
        'answer in ["a", "PROBLEM"]',
        'answer not in ["a", "b"]',
        "replied and not order.is_gift",
        "customer.order_count == 1",
        "order.total >= 15",
        "order.total == 15.1",
        "order.total > -1",
        "0 < order.days_late < 3",
        '"vip" in customer.tags',
        '"ring" in order.note',
        'order.note == "please ring"',
        'order.items[0].name == "mill"',
        "order.items | length == 1",
        "order.items[5].name is none",
        "customer.language is none",
        "customer.language is not defined",
        "customer.first_name is defined",
        "customer.language == none",
        'customer.language | default("en") == "EN"',
        'customer.first_name | lower == "ana"',
        'asks.arrived_ok.answer == "all-good"',
        'asks["arrived-ok"].answer == "all-good"',
        "asks.how_was_it.answer is none",
        'answers.old_letter == "yes"',
        "answers.never_sent is none",
        "order.delivered_at > order.placed_at or true",
        "today == order.delivered_at",
        '("a" if replied else "b") == "a"',
        "event.kind is none",
        "not timed_out",
        'event.reason is none or event.anything == "x"',
    ],
)
def test_these_hold(source: str) -> None:
    assert holds(source)


@pytest.mark.parametrize(
    "source",
    [
        "customer.language > 1",
        "customer.language < 1",
        'customer.language == ""',
        '"x" in customer.language',
        "order.total > order.note",
        "order.total == order.note",
        "order.note > 3",
        "customer.order_count == true",
        "order.delivered_at > 3",
        "today > order.delivered_at",
        "order.placed_at < order.delivered_at",
        "-customer.first_name == 1",
        "order.note | length > 99",
        "not replied",
        '""',
        "1e999 < 1",
    ],
)
def test_these_do_not_hold(source: str) -> None:
    assert not holds(source)


def test_the_names_a_condition_reads_can_be_looked_up_again() -> None:
    condition = compile_condition('asks.arrived_ok.answer == "x" or answers["old-letter"] and order.total > 1', KNOWN)
    assert condition.names == ("asks.arrived-ok.answer", "answers.old-letter", "order.total")
    assert value_at(NAMES, "asks.arrived-ok.answer") == "all-good"


def test_two_readings_of_the_same_condition_are_equal() -> None:
    assert compile_condition(" replied", KNOWN) != compile_condition("replied", KNOWN)
    assert compile_condition("replied", KNOWN) == compile_condition("replied", KNOWN)


@pytest.mark.parametrize(
    ("source", "code", "offset", "said"),
    [
        ("customer.order_cnt == 1", "W207", 9, 'Did you mean "customer.order_count"?'),
        ("asks.arived_ok.answer", "W207", 5, 'Did you mean "asks.arrived_ok"?'),
        ("customer.first_name.x", "W207", 20, "has no fields"),
        ("nobody", "W207", 0, 'Unknown name "nobody"'),
        ("_zone", "W207", 0, "Unknown name"),
        ('reply.sentiment == "negative"', "W190", 6, "not supported by this version"),
        ("timed_ot", "W207", 0, 'Did you mean "timed_out"?'),
        ('asks.arrived_ok.reply.intent == "x"', "W190", 22, '"asks.arrived-ok.reply.intent"'),
        ('answer = "x"', "W106", 7, 'write "=="'),
        ("answer ==", "W106", 8, "missing, or too much"),
        ("", "W106", 0, "missing, or too much"),
        ("answer()", "W106", 6, "Calling a function"),
        ("answer.upper()", "W106", 12, "Calling a function"),
        ('"a" * 999999999', "W106", 0, "Multiplying"),
        ("2 ** 9999999", "W106", 0, "A power"),
        ('"%d" % 1', "W106", 0, "A remainder"),
        ("order.total + 1 > 2", "W106", 0, "Adding"),
        ('"a" ~ "b"', "W106", 0, "Joining text"),
        ('{"a": 1}', "W106", 0, "A mapping"),
        ("order.items[0:1]", "W106", 11, "Only a text in quotes or a number"),
        ("order.items[order.days_late]", "W106", 11, "Only a text in quotes or a number"),
        ('"".__class__', "W106", 0, "Fields can only be read from names"),
        ('order["__class__"]', "W207", 6, "Unknown name"),
        ("answer | upper", "W106", 9, 'The filter "upper"'),
        ('answer | default("a", true)', "W106", 9, 'The filter "default"'),
        ("answer is sameas none", "W106", 7, 'The test "is sameas"'),
        ("replied }}{{ replied", "W106", 0, "not one condition"),
        ("replied }}{% if replied %}", "W106", 24, ""),
        ("{{ replied }}", "W106", 0, "without braces"),
        ("replied, replied ! x", "W106", 17, "unexpected char"),
        ("(" * 500 + "replied" + ")" * 500, "W106", 0, "nested too deeply"),
        ("not " * 400 + "replied", "W106", 124, "nested too deeply"),
        ("replied " + "and replied " * 300, "W106", 0, "may have 2,000 characters"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_condition_is_refused_with_its_place(source: str, code: str, offset: int, said: str) -> None:
    with pytest.raises(Fault) as raised:
        compile_condition(source, KNOWN)
    assert (raised.value.code, raised.value.offset) == (code, offset)
    assert said in raised.value.message


def test_a_long_chain_is_not_deep() -> None:
    assert holds(" and ".join(["replied"] * 150))
    assert not holds(" or ".join(["order.is_gift"] * 100))


def test_event_is_known_only_where_an_event_is_looked_at() -> None:
    with pytest.raises(Fault, match="event"):
        compile_condition('event.kind == "x"', in_conditions([]))


def test_what_workflows_remember_of_a_customer_is_known_beside_what_the_shop_reports() -> None:
    known = in_conditions([], remembered={"use_case"})
    assert compile_condition('customer.use_case == "camping"', known)({"customer": {"use_case": "Camping"}})
    assert not compile_condition("customer.use_case", known)({"customer": {}})
    with pytest.raises(Fault, match=r'Did you mean "customer\.use_case"'):
        compile_condition("customer.use_cse", known)
    assert compile_condition("customer.whatever is none", in_conditions([], remembered=None))(NAMES)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=5),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@given(VALUES, VALUES)
def test_any_two_values_can_be_compared_in_every_way(left: object, right: object) -> None:
    results = {name: compare(left, right) for name, compare in COMPARISONS.items()}
    assert results["eq"] is not results["ne"]
    assert results["in"] is not results["notin"]
    assert not (results["lt"] and results["gt"])
    if left is None or right is None:
        assert not any(results[name] for name in ("lt", "lteq", "gt", "gteq"))


@given(st.text(max_size=40))
def test_no_text_crashes_the_compiler(source: str) -> None:
    try:
        condition = compile_condition(source, KNOWN)
    except Fault as fault:
        assert 0 <= fault.offset <= len(source)  # noqa: PT017
    else:
        assert condition(NAMES) in (True, False)


def test_moments_compare_across_zones() -> None:
    later = datetime(2026, 3, 15, tzinfo=ZoneInfo("Asia/Tokyo")) + timedelta(days=1)
    assert compile_condition("order.delivered_at < order.promised_at", KNOWN)(
        {"order": {**NAMES["order"], "promised_at": later}}  # type: ignore[dict-item]
    )
