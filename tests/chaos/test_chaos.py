"""The short form of bench/chaos.py: what is promised holds, and the oracle would see it if it did not."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.run import WEB, WORKER, Chaos
from tests.chaos.scenes import SCENES
from tests.failpoints import committed, networked

KILLS = 44  # every failpoint of workers and web process is armed once, and some twice
KILLS_ON_SQLITE = 16
CONTROL_KILLS = 4
ROOT = Path(__file__).parent.parent.parent
IN_MEMORY = {  # of a rehearsal, of which nothing is kept
    "rehearsal.copy", "rehearsal.report", "simulate.apply", "simulate.customer", "simulate.enter", "simulate.leave_out",
}  # fmt: skip
NEVER_PASSED = {"intake.try", "preview"} | IN_MEMORY  # a dry run is taken back, never committed
IN_DOUBT = ("smtp.connect", "smtp.end", "smtp.answer")  # killed there, nobody can say whether the letter left


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a short path that another user may enter: PostgreSQL's socket is in it."""
    with tempfile.TemporaryDirectory(prefix="followup-chaos-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def test_nothing_is_sent_twice_and_nothing_lost_whatever_is_killed_when(folder: Path) -> None:
    found = Chaos(folder, kills=KILLS, tell=print).run()
    assert found.broken == [], found
    assert found.kills >= KILLS
    assert sum(found.kills_at.values()) > KILLS // 5, "often enough it was a failpoint that struck"
    assert found.states["accepted"] > 5 * KILLS
    assert found.unknown_by_provider > 0
    assert min(found.redis_flushes, found.redis_restarts, found.database_disturbances) >= 2
    assert min(found.events_repeated, found.clicks, found.replies, found.unsubscribes) > 0


def test_nor_in_a_file_of_sqlite_that_four_processes_share(folder: Path) -> None:
    found = Chaos(folder, kills=KILLS_ON_SQLITE, sqlite=True, tell=print).run()
    assert found.broken == [], found
    assert found.states["accepted"] > 5 * KILLS_ON_SQLITE
    assert found.database_disturbances >= 2


def test_a_control_that_repeats_what_got_no_answer_does_send_twice(folder: Path) -> None:
    found = Chaos(folder, kills=CONTROL_KILLS, naive=True, tell=print).run()
    assert found.accepted_twice > 0, "else the oracle is blind"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Play every scene, in a process that may fork: this one has threads."""
    command = [sys.executable, "-m", "tests.chaos.scenes", str(tmp_path_factory.mktemp("scenes"))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def test_a_scene_that_is_killed_and_played_again_ends_like_one_that_was_not(scenes: list[dict[str, Any]]) -> None:
    different = {
        f"{one['scene']} at {one['failpoint']}": (one["usual"], one["after"])
        for one in scenes
        if one["usual"] != one["after"] and one["failpoint"] not in IN_DOUBT
    }
    assert different == {}
    assert [f"{one['scene']} at {one['failpoint']}" for one in scenes if not one["killed"]] == []


def test_a_letter_in_the_hands_of_an_smtp_server_is_never_handed_over_again(scenes: list[dict[str, Any]]) -> None:
    ended = {one["failpoint"]: one["after"] for one in scenes if one["failpoint"] in IN_DOUBT}
    assert {point: after["messages"][0][2] for point, after in ended.items()} == dict.fromkeys(IN_DOUBT, "unknown")
    assert {point: after["taken by SMTP"] for point, after in ended.items()} == {
        "smtp.connect": 0,
        "smtp.end": 0,
        "smtp.answer": 1,
    }


def test_every_failpoint_is_struck_somewhere() -> None:
    played = {failpoint for scene in SCENES.values() for failpoint in scene.failpoints}
    assert set(committed()) | set(networked()) == {*WORKER, *WEB, *played, *NEVER_PASSED}
