"""Every commit and every network call has a named failpoint, and an armed one strikes."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup import failpoints
from followup.errors import ConfigurationError, TemporaryError
from followup.store import audit
from followup.store.engine import reading, writing
from followup.store.schema import audit as audit_table
from followup.store.schema import metadata
from tests.failpoints import Function, commits, committed, functions, names, networked

FOLDER = Path(__file__).parent.parent / "followup"
# The library's calls that put bytes on the network; what is built upon them stands on their failpoints.
CALLS = {
    "perform": "libcurl's multi handle",
    "docmd": "a command to an SMTP server",
    "create_connection": "a socket",
    "llen": "Redis",
    "config_get": "Redis",
}
SENDS_A_HINT = "self._actors[kind].send"
# Operators look by these; nothing is begun before and nothing committed after.
LOOKS = {"followup/cli/probes.py:redis_policy.look"}


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


def test_every_commit_has_a_name_of_its_own() -> None:
    found = [(call.name, call.place) for call in commits()]
    unnamed = [place for name, place in found if not name]
    assert unnamed == []
    assert len({name for name, _ in found}) == len(found) >= 35, "a name stands for one place"


def test_nothing_commits_but_by_the_two_ways_that_have_failpoints() -> None:
    own = {"followup/store/engine.py", "followup/store/migrations/env.py"}
    others = [
        function.place
        for function in functions()
        if function.file not in own
        for call in function.calls
        if call in {"engine.begin", "conn.begin", "conn.commit", "connection.commit"}
    ]
    assert others == []


def test_every_network_call_has_a_failpoint_beside_it() -> None:
    lacking = [function.place for function in functions() if talks(function) and not function.failpoints]
    assert [place for place in lacking if place not in LOOKS] == []


def talks(function: Function) -> bool:
    return SENDS_A_HINT in function.calls or any(call.rpartition(".")[2] in CALLS for call in function.calls)


def test_the_walk_sees_the_calls_it_is_about() -> None:
    seen = {call.rpartition(".")[2] for function in functions() for call in function.calls}
    assert set(CALLS) <= seen
    assert {"http.request", "http.answer", "smtp.end", "queue.send"} <= set(networked())
    assert {"deliver.claim", "deliver.begin", "settle"} <= set(committed())
    assert {"settle", "settle+", "http.request"} <= set(names())


def test_the_walk_would_see_a_commit_without_a_name() -> None:
    tree = ast.parse("def f(engine):\n    with writing(engine) as conn:\n        pass\n")
    [call] = commits([(Path("followup/x.py"), tree)])
    assert call.name is None


@pytest.mark.parametrize("spec", ["settle", "a:0:kill", "a:1:explode", "a:1:sleep", ":1:kill", "a b:1:kill"])
def test_what_cannot_be_a_failpoint_is_refused(spec: str) -> None:
    with pytest.raises(ConfigurationError, match="FOLLOWUP_FAILPOINT"):
        failpoints.arm(spec)


def test_a_failpoint_strikes_at_its_passing_and_once() -> None:
    failpoints.arm("here:2:raise")
    failpoints.reach("here")
    failpoints.reach("there")
    failpoints.reach("here", after=True)
    with pytest.raises(TemporaryError, match="here"):
        failpoints.reach("here")
    failpoints.reach("here")


@pytest.mark.parametrize(("spec", "stays"), [("audit.add:1:raise", 0), ("audit.add+:1:raise", 1)])
def test_before_a_commit_nothing_stays_and_after_it_everything(engine: Engine, spec: str, stays: int) -> None:
    from tests.store.make import START, rows_of

    failpoints.arm(spec)
    with pytest.raises(TemporaryError), writing(engine, "audit.add") as conn:
        audit.add(conn, "x", {}, now=START)
    with reading(engine) as conn:
        assert rows_of(conn, metadata.tables[audit_table.name]) == stays


def test_a_killed_process_is_gone_at_once() -> None:
    steps = ("from followup.failpoints import arm, reach", "arm('x:1:kill')", "reach('y')", "print('y', flush=True)")
    code = "\n".join([*steps, "reach('x')", "print('x')"])
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (-9, "y\n")
