"""The one format of errors."""

from hypothesis import given
from hypothesis import strategies as st

from followup.authoring.diagnostics import BundleError, Diagnostic, did_you_mean


def test_a_diagnostic_shows_the_line_before_the_line_and_the_place() -> None:
    text = "\n" * 9 + "name: x\nsteps:\n  - wait: 3\n"
    found = Diagnostic("workflows/first.yaml", 12, 11, "W104", "wait: '3' needs a unit", 'write "3 days" or "3 hours"')
    assert found.format(text) == (
        "workflows/first.yaml:12:11: W104 wait: '3' needs a unit\n"
        "11 | steps:\n"
        "12 |   - wait: 3\n"
        "   |           ^\n"
        '   = help: write "3 days" or "3 hours"'
    )


def test_without_the_text_there_is_no_frame() -> None:
    assert Diagnostic("a.yaml", 1, 2, "W1", "wrong").format() == "a.yaml:1:2: W1 wrong"


def test_the_caret_stands_right_after_wide_characters_and_tabs() -> None:
    frame = Diagnostic("a", 1, 4, "W1", "x").format("日本\tx").split("\n")
    assert frame[1:] == ["1 | 日本 x", "  |      ^"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in Diagnostic("a", 1, 1, "W1", "x").format("\x1b[31mred")


def test_a_long_line_is_cut_around_the_place() -> None:
    lines = Diagnostic("a", 1, 5001, "W1", "x").format("a" * 5000 + "B" + "a" * 5000).split("\n")
    assert len(lines[1]) < 200
    assert lines[1][lines[2].index("^")] == "B"


def test_diagnostics_are_sorted_with_one_for_each_place() -> None:
    error = BundleError(
        [
            Diagnostic("b", 1, 1, "W2", "third"),
            Diagnostic("a", 10, 1, "W2", "second"),
            Diagnostic("a", 2, 5, "W2", "first"),
            Diagnostic("a", 2, 5, "W3", "same place"),
        ],
        {},
    )
    assert [d.message for d in error.diagnostics] == ["first", "second", "third"]
    assert str(error) == "a:2:5: W2 first\na:10:1: W2 second\nb:1:1: W2 third"


def test_a_near_miss_is_guessed_and_a_far_one_is_not() -> None:
    assert did_you_mean("remind-after", ["remind_after", "remind_with"]) == "remind_after"
    assert did_you_mean("Timeout", ["timeout"]) == "timeout"
    assert did_you_mean("colour", ["timeout", "ask"]) is None


@given(st.text(), st.integers(-3, 50), st.integers(-3, 50))
def test_any_place_in_any_text_can_be_shown(text: str, line: int, column: int) -> None:
    assert Diagnostic("a", line, column, "W1", "x").format(text).startswith("a:")
