"""The field reference: what it promises is there, and nothing else."""

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from followup.core.customer import ConsentBasis
from followup.core.facts import EVENT_NAMES, NAMES, AskResult, names, order_names
from followup.core.order import Item
from followup.core.schedule import Calendar
from tests.core.make import START, a_customer, a_response, a_shop, an_order, facts, on, utc

ANSWERED = AskResult(
    response=a_response("q", START, answer="good", label="All good", text="Thanks", sentiment="positive")
)
BARE = {"customer": a_customer(first_name=None, last_order_at=None), "order": None, "sender": None}


def read(asks=None, latest=None, now=START, **known):
    return names(facts(**known), asks or {}, (asks or {}).get(latest, AskResult()), now=now)


def differences(reference, value, path=""):
    """Yield where *value* does not have exactly the fields of *reference*."""
    match reference:
        case {"*": fields, **named}:
            yield from differences(named, {key: value[key] for key in named if key in value}, path)
            for key in value.keys() - named.keys():
                yield from differences(fields, value[key], f"{path}.{key}")
        case dict():
            shown = {key for key in value if not key.startswith("_")}
            yield from (f"{path}.{key}" for key in shown ^ reference.keys())
            for key in shown & reference.keys():
                yield from differences(reference[key], value[key], f"{path}.{key}")
        case [each]:
            for number, item in enumerate(value):
                yield from differences(each, item, f"{path}[{number}]")


KINDS = {"text": str, "int": int, "bool": bool, "money": Decimal, "list": list, "date": date}


def wrong_types(reference, value, path=""):
    """Yield where a name that is never absent has no value of its type."""
    match reference:
        case dict():
            for key, fields in reference.items():
                if key != "*":
                    yield from wrong_types(fields, value[key], f"{path}.{key}")
        case [each]:
            for item in value:
                yield from wrong_types(each, item, path)
        case str() if reference in KINDS and not isinstance(value, KINDS[reference]):
            yield f"{path}: {value!r} is no {reference}"
        case str() if not reference.endswith("?") and value is None:
            yield f"{path} is absent"


@pytest.mark.parametrize("known", [{}, BARE], ids=["full", "bare"])
@pytest.mark.parametrize("asks", [{}, {"q": ANSWERED}], ids=["before", "after an ask"])
def test_the_names_are_exactly_those_of_the_field_reference(known, asks):
    assert list(differences(NAMES, read(asks, "q" if asks else None, **known))) == []


def test_names_have_the_types_the_reference_gives():
    assert list(wrong_types(NAMES, read({"q": ANSWERED}, "q"))) == []


def absent(value, path=""):
    """Yield every name that has no value."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from absent(inner, f"{path}.{key}")
        case [*items]:
            for item in items:
                yield from absent(item, path)
        case None:
            yield path


def test_every_optional_name_has_a_source():
    """A name that is absent even from the fullest record is one that nobody fills."""
    item = Item(
        name="pot",
        sku="P1",
        category="tea",
        price_cents=4900,
        url="https://shop.example/p1",
        image_url="https://x.example",
    )
    order = an_order(items=(item,), paid_at=START, fulfilled_at=START, promised_at=START, note="Ring twice")
    customer = a_customer(
        last_name="Lima", language="pt", country="BR", region="RJ", timezone="America/Sao_Paulo", first_order_at=START
    )
    said = a_response("q", START, answer="a", label="A", text="t", sentiment="s", intent="i", language="pt")
    asks = {"q": AskResult(response=said)}
    shop = a_shop(url="https://shop.example")
    known = read(asks, "q", order=order, customer=customer, shop=shop, last_reply="Thanks", answers={"hello": "yes"})
    assert list(absent(known)) == [".not_asked", ".asks.q.not_asked"], "an ask that was answered was asked"


def test_an_event_has_the_names_of_the_reference():
    event = {"kind": "order.placed", "order": order_names(an_order(), START), "channel": "web"}
    assert list(differences(EVENT_NAMES, {"event": event})) == []


def test_without_an_ask_nothing_was_answered():
    known = read()
    assert [known[name] for name in ("answer", "answer_label", "replied", "no_reply", "not_asked")] == [
        None,
        None,
        False,
        False,
        None,
    ]
    assert set(known["reply"].values()) == {None}


def test_an_answer_sets_its_names():
    known = read({"q": ANSWERED}, "q")
    assert (known["answer"], known["answer_label"], known["replied"], known["no_reply"]) == (
        "good",
        "All good",
        True,
        False,
    )
    assert known["reply"] == {"text": "Thanks", "sentiment": "positive", "intent": None, "language": None}
    assert known["asks"]["q"]["answer"] == "good"


def test_amounts_are_exact_and_in_units():
    item = Item(name="pot", price_cents=4990, quantity=2)
    known = read(order=an_order(total_cents=9980, items=(item,)), customer=a_customer(total_spent_cents=5))
    assert (known["order"]["total"], known["item"]["price"]) == (Decimal("99.80"), Decimal("49.90"))
    assert known["customer"]["total_spent"] == Decimal("0.05")


def test_the_item_is_the_main_one_and_an_empty_order_has_one_of_nothing():
    assert read()["item"]["name"] == "Teapot"
    assert read(order=an_order(items=()))["item"] == read(order=None)["item"]
    assert read(order=None)["item"]["quantity"] == 1


def test_a_remembered_field_stands_beside_the_customers_own_and_never_before_them():
    customer = a_customer(remembered={"renewal_on": on(9), "email": "someone@else.example"})
    known = read(customer=customer)["customer"]
    assert (known["renewal_on"], known["email"]) == (on(9), "ana@shop.example")


@pytest.mark.parametrize(
    ("basis", "accepts"),
    [
        (ConsentBasis.OPT_IN, True),
        (ConsentBasis.NONE, False),
        (ConsentBasis.UNKNOWN, None),
        (ConsentBasis.EXISTING_CUSTOMER, None),
    ],
)
def test_marketing_is_accepted_only_by_those_who_said_so(basis, accepts):
    assert read(customer=a_customer(consent_basis=basis))["customer"]["accepts_marketing"] is accepts


def test_today_is_the_customers_date():
    auckland = Calendar(ZoneInfo("Pacific/Auckland"))
    assert read(now=utc("2026-03-02 12:00"), calendar=auckland)["today"] == date(2026, 3, 3)


def test_days_late_are_counted_at_the_moment_of_asking():
    order = an_order(promised_at=on(1), delivered_at=None)
    assert read(order=order, now=on(4))["order"]["days_late"] == 3
