"""Each path file comes out exactly as it was written down by hand, on both databases."""

import difflib
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.paths.player import Player
from tests.paths.story import FOLDER, plain_lines, read

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
