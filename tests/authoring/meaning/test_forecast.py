"""What a condition will say before it is asked: never anything else than it then says."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.authoring.expressions import compile_condition
from followup.authoring.meaning.forecast import Open, Path, comparisons, forecast
from followup.authoring.names import in_conditions
from tests.authoring.meaning.said import when

KNOWN = in_conditions(["first"])
SOURCES = [
    'answer == "yes"',
    'answer != "YES " and not replied',
    'answer == answer_label or answer in ["no", answer_label]',
    'not (answer not in ["no", "yes"]) and replied',
    "replied or no_reply or not_asked",
    "order.total > 10 and order.total <= 20",
    "5 < order.total < 15 or order.total == none",
    "order.total > -5",
    "answer > 3",
    '"ye" in answer',
    "answer in [answer_label, none]",
    'answer | default("yes") == "yes"',
    "answer | lower == 'yes'",
    "answer | length > 2",
    "answer is none or answer_label is defined",
    "not_asked is not none",
    '("yes" if replied else answer) == answer_label',
    '(answer or answer_label) == "no"',
    '(replied and answer) == "yes"',
    "(replied == no_reply) == replied",
    'asks.first.answer == "yes" and asks["first"].replied',
    "order.items[0].name == answer",
    "today == order.placed_at",
    "true",
    "not none",
    "[answer] and replied",
]
NAMES = ["answer", "answer_label", "replied", "no_reply", "not_asked", "order.total", "asks.first.answer"]
texts = st.sampled_from([None, "yes", "no", " Yes"])
values: Mapping[str, st.SearchStrategy[object]] = {
    **dict.fromkeys(["answer", "answer_label", "not_asked", "asks.first.answer"], texts),
    **dict.fromkeys(["replied", "no_reply"], st.booleans()),
    "order.total": st.sampled_from([None, 5, 10, 15, 20.5]),
}


def looked_up(known: Mapping[str, object], path: Path) -> object:
    dotted = ".".join(map(str, path))
    return known.get(dotted, Open(dotted))


def as_read(known: Mapping[str, object]) -> dict[str, object]:
    names: dict[str, object] = {"order": {"total": known["order.total"]}, "asks": {"first": {"answer": None}}}
    names["asks"] = {"first": {"answer": known["asks.first.answer"], "replied": known["replied"]}}
    return names | {name: known[name] for name in NAMES if "." not in name}


@given(st.sampled_from(SOURCES), st.fixed_dictionaries(dict(values)), st.frozensets(st.sampled_from(NAMES)))
def test_a_forecast_that_is_certain_comes_true(
    source: str, known: dict[str, object], still_open: frozenset[str]
) -> None:
    condition = compile_condition(source, KNOWN)
    certain = {name: value for name, value in known.items() if name not in still_open}
    said = forecast(condition, lambda path: looked_up(certain, path))
    if not isinstance(said, Open):
        assert said is condition(as_read(known))


@given(st.sampled_from(SOURCES), st.fixed_dictionaries(dict(values)))
def test_where_everything_is_known_a_forecast_is_certain(source: str, known: dict[str, object]) -> None:
    condition = compile_condition(source, KNOWN)
    if all(name in known for name in condition.names):
        assert forecast(condition, lambda path: looked_up(known, path)) is condition(as_read(known))


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ('answer == "yes" and order.total > 9', "{order.total} gt 9"),
        ('answer == "no" or order.total > 9', "{order.total} gt 9"),
        ("not order.is_gift", "not (order.is_gift)"),
        ('order.note | default("x") == "y"', "{order.note | default('x')} eq 'y'"),
        ('"x" in order.categories and replied', "('x' in {order.categories}) and (replied)"),
        ("order.note is none", "not (order.note is there)"),
        ("not a condition (", "not a condition ("),
    ],
)
def test_what_is_left_open_is_kept_as_a_text(source: str, left: str) -> None:
    assert forecast(when(source), lambda path: looked_up({"answer": "yes"}, path)) == Open(left)


def test_much_that_is_left_open_is_kept_short_and_told_apart() -> None:
    one, two = (
        forecast(when(" and ".join([f'order.note == "{word}"'] * 60)), lambda path: looked_up({}, path))
        for word in "ab"
    )
    assert isinstance(one, Open)
    assert len(one.text) < 100
    assert one != two


def test_what_is_missing_is_in_no_order_with_anything() -> None:
    for source in ("order.total > answer", "answer <= order.total", "not (order.total < answer) and false"):
        assert forecast(when(source), lambda path: looked_up({"answer": None}, path)) is False
    left = forecast(when("order.total == answer"), lambda path: looked_up({"answer": None}, path))
    assert left == Open("{order.total} eq None")


def test_something_open_may_be_certain_to_be_there() -> None:
    there = Open("not_asked", truth=True)
    for source, said in (("not_asked", True), ("not not_asked", False), ("not_asked is none", False)):
        assert forecast(when(source), lambda path: there) is said
    assert forecast(when('not_asked == "cap"'), lambda path: there) == Open("{not_asked} eq 'cap'")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('answer == "a"', [("answer", "a", 10)]),
        ('"a" != answer', [("answer", "a", 0)]),
        (
            'asks["x-y"].answer in ["a", 3] or z == 1',
            [("asks.x-y.answer", "a", 23), ("asks.x-y.answer", 3, 28), ("z", 1, 39)],
        ),
        ('answer | default("b") | lower == "a" and answer | default("c") == "c"', [("answer", "a", 33)]),
        ('answer == none or answer > "a" or "a" in answer or a == b', []),
        ('not (x if answer == "a" else y == "b")', [("answer", "a", 20), ("y", "b", 34)]),
        ("not a condition (", []),
    ],
)
def test_comparisons_with_constants_are_found_with_their_places(
    source: str, found: list[tuple[str, object, int]]
) -> None:
    assert [(".".join(map(str, c.path)), c.value, c.offset) for c in comparisons(when(source))] == found
