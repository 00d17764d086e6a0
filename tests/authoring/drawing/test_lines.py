"""Text broken into lines."""

from hypothesis import given
from hypothesis import strategies as st

from followup.authoring.drawing.lines import balanced, broken


def test_words_that_are_too_long_are_broken_where_they_were_put_together() -> None:
    assert broken("when customer.order_count > 3", 18, len) == ["when", "customer.order_", "count > 3"]
    assert broken("abcdefghij", 4, len) == ["abcd", "efgh", "ij"]


def test_lines_become_about_equally_long() -> None:
    text = "ask arrived-well, up to 7 days, reminded after 3 days"
    assert broken(text, 26, len) == ["ask arrived-well, up to 7", "days, reminded after 3", "days"]
    assert balanced(text, 26, len) == ["ask arrived-well, up", "to 7 days, reminded", "after 3 days"]
    assert balanced("", 26, len) == [""]
    note = "handoff to nell: hello {{customer.first_name}}"
    assert balanced(note, 30, len) == ["handoff to nell: hello", "{{customer.first_name}}"]
    assert balanced("a customer.first_name b", 20, len) == ["a", "customer.first_name", "b"]


@given(st.text("ab.-_ ", max_size=60).map(lambda text: " ".join(text.split())), st.integers(1, 30))
def test_nothing_is_lost_and_nothing_too_long(text: str, room: int) -> None:
    for way in (broken, balanced):
        lines = way(text, room, len)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert max(map(len, lines)) <= room
    assert len(balanced(text, room, len)) == len(broken(text, room, len))
