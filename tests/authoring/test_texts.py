"""Texts with names in them: what comes out, and what they refuse."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.authoring.jinja_source import Fault
from followup.authoring.names import in_conditions
from followup.authoring.texts import LONGEST_FILLED, compile_text, spoken
from tests.authoring.project import names
from tests.authoring.test_expressions import VALUES

KNOWN = in_conditions(["arrived-ok"], remembered={"use_case"})


def filled(source: str, **customer: object) -> str:
    return compile_text(source, KNOWN)(names(**customer))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Worth a personal thank-you", "Worth a personal thank-you"),
        ("Order {{ order.number }}: {{ reply.text or answer_label or 'nothing' }}", "Order 1001: nothing"),
        ("[{{ reply.text }}{{ asks.arrived_ok.answer }}{{ customer.language }}]", "[]"),
        ("{{ order.days_late }} days late", "2 days late"),
        ("Delivered {{ order.delivered_at }}", "Delivered 15 March 2026, 00:30"),
        ("Today: {{ today }}", "Today: 16 March 2026"),
        ("{{ order.total }} in all, {{ item.price }} each", "€1,259.00 in all, €12.50 each"),
        ("{{ order.categories }}; {{ order.items }}", "kitchen, gifts; Salt & pepper set, Mill"),
        ("Tags: {{ customer.tags }}.", "Tags: ."),
        ("A gift: {{ order.is_gift }}; bought again: {{ customer.order_count > 1 }}", "A gift: no; bought again: no"),
        ("{{ customer.first_name | default('Somebody') }} {{- ' waits' }}", "Somebody waits"),
        ("{{ 'late' if order.days_late > 0 else 'in time' }}, {{ order.items | length }} items", "late, 2 items"),
        ("{{ order.items[1].name | lower }} {{ answers.arrived_ok }}", "mill all-good"),
        ("{# a remark #}Two\nlines { and } 100%", "Two\nlines { and } 100%"),
        ("", ""),
    ],
)
def test_names_are_filled_in_as_a_person_would_write_them(source: str, text: str) -> None:
    assert filled(source) == text


def test_what_is_remembered_of_a_customer_can_be_read() -> None:
    assert filled("Uses it for {{ customer.use_case }}", use_case="camping") == "Uses it for camping"


def test_a_text_knows_its_names_and_equals_another_reading_of_it() -> None:
    text = compile_text("{{ order.number }} {{ reply.text or answer }} {{ order.number }}", KNOWN)
    assert text.names == ("order.number", "reply.text", "answer")
    assert text == compile_text(text.source, KNOWN)
    assert text != compile_text("x", KNOWN)


def test_amounts_without_a_currency_are_numbers_and_dates_need_no_zone() -> None:
    text = compile_text("{{ order.total }} {{ order.placed_at }}", KNOWN)
    assert (
        text({"order": {"total": Decimal("5"), "placed_at": datetime(2026, 3, 1, 8, 5)}}) == "5.00 1 March 2026, 08:05"
    )
    assert text({"order": {"total": Decimal(500), "currency": "JPY"}}) == "¥500 "
    assert text({}) == " "


def test_however_long_a_customers_words_are_a_text_has_an_end() -> None:
    text = compile_text("{{ reply.text }}" * 100, KNOWN)
    assert len(text({"reply": {"text": "x" * 5_000}})) == LONGEST_FILLED


def test_what_a_customer_wrote_is_never_read_as_a_text_itself() -> None:
    assert compile_text("{{ reply.text }}", KNOWN)({"reply": {"text": "{{ order.number }}"}}) == "{{ order.number }}"


@pytest.mark.parametrize(
    ("source", "code", "offset", "said"),
    [
        ("Order {{ order.numbr }}", "W207", 15, 'Did you mean "order.number"?'),
        ("Order {{ customer.use_cse }}", "W207", 18, 'Did you mean "customer.use_case"?'),
        ("{{ event.kind }}", "W207", 3, 'Unknown name "event"'),
        ("{{ reply.sentiment }}", "W190", 9, "not supported by this version"),
        ("Order {{ order", "W106", 6, "This {{ is never closed."),
        ("Order {{ order.number }} {% if replied %}x{% endif %}", "W106", 25, "Only names can stand in a text"),
        ("{% raw %}x{% endraw %}", "W106", 0, "Only names can stand in a text"),
        ("{# never ends", "W106", 2, "Missing end of comment tag"),
        ("{{ }}", "W106", 3, "missing, or too much"),
        ("{{ answer answer }}", "W106", 10, "missing, or too much"),
        ("{{ order }}", "W106", 3, '"order" is a group of fields'),
        ("x {{ asks.arrived_ok.reply }}", "W106", 21, "is a group of fields"),
        ("{{ order.items[0] }}", "W106", 14, "is a group of fields"),
        ("{{ order.total * 2 }}", "W106", 3, "Multiplying is not possible in a text."),
        ("{{ answer.upper() }}", "W106", 15, "Calling a function is not possible in a text."),
        ("{{ order.placed_at | date }}", "W106", 21, 'The filter "date" cannot be used like this in a text.'),
        ("{{ answer is odd }}", "W106", 10, 'The test "is odd" cannot be used in a text.'),
        ("x" * 2001, "W106", 0, "may have 2,000 characters, this one has 2,001"),
        ("{{ " + "(" * 500 + "answer" + ")" * 500 + " }}", "W106", 0, "nested too deeply"),
        ("{{ " + "9" * 1990 + " }}{{ x }}", "W106", 0, "may have"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_text_is_refused_with_its_place(source: str, code: str, offset: int, said: str) -> None:
    with pytest.raises(Fault) as raised:
        compile_text(source, KNOWN)
    assert (raised.value.code, raised.value.offset) == (code, offset)
    assert said in raised.value.message


@given(VALUES | st.lists(VALUES, max_size=3))
def test_every_value_can_be_written(value: object) -> None:
    assert isinstance(spoken(value, {}), str)
    assert isinstance(spoken([value, {"name": value}], {"order": {"currency": "EUR"}}), str)


@given(st.text(max_size=40) | st.text("{}%#-|.()'\"ab 1\n", max_size=30))
def test_no_source_crashes_the_compiler(source: str) -> None:
    try:
        text = compile_text(source, KNOWN)
    except Fault as fault:
        assert 0 <= fault.offset <= len(source)  # noqa: PT017
    else:
        assert isinstance(text({"_zone": ZoneInfo("UTC"), "today": date(2026, 3, 1), "order": {}}), str)


def test_moments_are_on_the_customers_wall_clock() -> None:
    text = compile_text("{{ order.placed_at }}", KNOWN)
    placed = {"order": {"placed_at": datetime(2026, 3, 1, 23, 5, tzinfo=UTC)}}
    assert text({**placed, "_zone": ZoneInfo("Asia/Tokyo")}) == "2 March 2026, 08:05"
