"""Each path file comes out exactly as it was written down by hand, on both databases."""

import difflib
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from tests.paths.player import Player
from tests.paths.story import FOLDER, instant, plain_lines, read, told

FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_comes_out_as_it_was_written_down(engine: Engine, tmp_path: Path, path: Path) -> None:
    story = read(path)
    moves = Player(engine, tmp_path, story).play()
    if plain_lines("\n".join(moves)) != story.moves:
        pytest.fail(f"{path.name}: {story.about}\n\n{_difference(story.moves, moves)}", pytrace=False)


def _difference(expected: list[str], actual: list[str]) -> str:
    """Return what was expected (-) beside what came of it (+)."""
    compared = difflib.ndiff(expected, plain_lines("\n".join(actual)))
    return "\n".join(one for one in compared if not one.startswith("?"))


LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    "text",
    [
        "Mon  2 Mar 2026 10:00",
        "Mon  2 Mar 2026 10:00:30",
        "Sun 25 Oct 2026 01:30 +01:00",
        "Sun 25 Oct 2026 01:30 +00:00",
        "Sun 25 Oct 2026 02:30",
    ],
)
def test_a_moment_is_written_as_it_is_read(text: str) -> None:
    assert told(instant(text, LONDON), LONDON) == text


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    first, second = (instant(f"Sun 25 Oct 2026 01:30 {offset}", LONDON) for offset in ("+01:00", "+00:00"))
    assert second.timestamp() - first.timestamp() == timedelta(hours=1).total_seconds()


@pytest.mark.parametrize("text", ["Tue 2 Mar 2026 10:00", "2026-03-02 10:00", "Mon 2 Mar 2026 10:00 +05:00"])
def test_who_miscounts_a_day_is_told(text: str) -> None:
    with pytest.raises(AssertionError, match="2026"):
        instant(text, LONDON)


def test_a_path_that_comes_out_otherwise_shows_line_by_line_what_did() -> None:
    assert _difference(["a 1", "b 2"], ["a  1", "b  3", "c  4"]) == "  a 1\n- b 2\n+ b 3\n+ c 4"
