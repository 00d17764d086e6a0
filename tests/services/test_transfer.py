"""
People at every place where a run can be, whatever is changed about their workflow.

What has to come of each change is in transfers.txt, by who of `phases.WHO` it concerns: where they stand when it is
applied, and what they get from then on. Whoever is not named there fares as if nothing had been applied.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.core.message import CANCELLABLE, MessageState
from followup.services.transfer import StrandedPeople
from followup.store.engine import reading
from tests.services.phases import TALE, Tale, ending, standing
from tests.services.world import ASK

TRANSFERS = Path(__file__).parent / "transfers.txt"
WAIT = "  - wait: 2 days\n"
QUESTION = "  - ask: arrived\n    timeout: 5 days\n    remind_after: 3 days\n"
UNASKED = "      - when: not_asked\n        do:\n          - stop: could not ask\n"
AWAITED = "  - wait_for: shop.visited\n    timeout: 4 days\n"
CASE = '      - when: answer == "broken"\n        do:\n          - wait: 3 days\n          - send: care\n'
OTHERWISE = "      - otherwise:\n          - wait: 1 day\n          - send: advice\n"
FINE = OTHERWISE.replace("otherwise:", 'when: answer == "fine"\n        do:')
BRANCH = f"  - branch:\n{CASE}{OTHERWISE}"
LAST = "  - wait: 5 days\n  - ask: cooking\n    timeout: 7 days\n"
THREE_WAYS = TALE.replace(BRANCH, f"  - branch:\n{CASE}{FINE}{OTHERWISE}")
RENAMED = QUESTION.replace("ask:", "id: question\n    ask:")


Folder = Mapping[str, str | None]  # files that are applied instead; ``tale`` is the workflow


def tale(was: str, now: str, *, of: str = TALE) -> Folder:
    """Return the folder in which *now* stands in the workflow instead of *was*."""
    assert was in of
    return {"tale": of.replace(was, now, 1)}


@dataclass(frozen=True)
class Edit:
    """A change, or several one after the other, and what was decided about the stranded."""

    folders: tuple[Folder, ...]
    in_flight: Mapping[str, str] = field(default_factory=dict)


def edit(*folders: Folder, **in_flight: str) -> Edit:
    return Edit(folders, in_flight)


AS_IT_WAS: Folder = {"tale": TALE}
EDITS = {
    "nothing": edit(),
    "another comment": edit(tale("steps:", "# what we do\nsteps:")),
    "a wait shortened": edit(tale("wait: 2 days", "wait: 12 hours")),
    "a wait lengthened": edit(tale("wait: 2 days", "wait: 6 days")),
    "a timeout shortened": edit(tale("timeout: 5 days", "timeout: 84 hours")),
    "a timeout lengthened": edit(tale("timeout: 5 days", "timeout: 9 days")),
    "a timeout of an event shortened": edit(tale("timeout: 4 days", "timeout: 1 day")),
    "no reminder": edit(tale("    remind_after: 3 days\n", "")),
    "an earlier reminder": edit(tale("remind_after: 3 days", "remind_after: 12 hours")),
    "a question renamed, finish": edit(tale(QUESTION, RENAMED), arrived="finish"),
    "a question renamed, skip": edit(tale(QUESTION, RENAMED), tale="skip"),
    "a question renamed, stop": edit(tale(QUESTION, RENAMED), arrived="stop"),
    "a question renamed, skip to who was not asked": edit(
        tale(QUESTION + AWAITED + BRANCH, RENAMED + BRANCH.replace(CASE, UNASKED + CASE).replace("1 day", "2 days")),
        tale="skip",
    ),
    "a wait for an event removed, skip": edit(tale(AWAITED, ""), tale="skip"),
    "steps before and after": edit(
        tale(
            WAIT + QUESTION,
            f"  - wait: 1 day\n  - id: first\n    send: care\n{WAIT}{QUESTION}"
            "  - wait: 1 day\n  - id: more\n    send: advice\n",
        )
    ),
    "another letter": edit(tale("ask: arrived", "id: arrived\n    ask: whole")),
    "other words": edit({"templates/arrived.md": ASK.replace("Hi ", "Hello ")}),
    "another sender": edit(tale("sender: nell", "sender: tomas")),
    "deleted, finish": edit({"tale": None}, tale="finish"),
    "deleted, stop": edit({"tale": None}, tale="stop"),
    "an exit that has happened": edit(tale("steps:", "exit_on: [{event: shop.visited, as: seen}]\nsteps:")),
    "paused and live again": edit(tale("status: live", "status: paused"), AS_IT_WAS),
    "a case removed, skip": edit(tale(CASE, ""), tale="skip"),
    "cases in another order": edit({"tale": THREE_WAYS}, tale(CASE + FINE, FINE + CASE, of=THREE_WAYS)),
    "the last steps moved into a case": edit(
        tale(BRANCH + LAST, BRANCH + LAST.replace("  -", "          -").replace("    timeout", "            timeout")),
        tale="finish",
    ),
    "removed with skip, and back": edit(tale(QUESTION, ""), AS_IT_WAS, tale="skip"),
    "removed with skip, and put in later": edit(
        tale(QUESTION, ""), tale(QUESTION + AWAITED, AWAITED + QUESTION), tale="skip"
    ),
    "renamed with finish, and back": edit(tale(QUESTION, RENAMED), AS_IT_WAS, arrived="finish"),
    "shortened by mistake, and back": edit(tale("wait: 2 days", "wait: 12 hours"), AS_IT_WAS),
    "reminded too early, and back": edit(tale("remind_after: 3 days", "remind_after: 12 hours"), AS_IT_WAS),
    "lengthened, and back": edit(tale("wait: 2 days", "wait: 6 days"), AS_IT_WAS),
    "no reminder, and back": edit(tale("    remind_after: 3 days\n", ""), AS_IT_WAS),
}


@cache
def expected() -> Mapping[str, Mapping[str, str]]:
    """Return by change and person what has to come of it."""
    found: dict[str, dict[str, str]] = {}
    for line in TRANSFERS.read_text("utf-8").splitlines():
        if not line.startswith(" "):
            found[line] = {}
        else:
            name, _, says = line.strip().partition(": ")
            found[list(found)[-1]][name] = says
    return found


def played(shop: Tale, how: Edit) -> dict[str, str]:
    """Apply a change and let everybody come to the end; return what came of it, by person."""
    for folder in how.folders:
        shop.apply(how.in_flight, **folder)
    stands = standing(shop)
    shop.to_the_end()
    ends = ending(shop)
    return {name: f"{stands[name]} | {ends[name]}" for name in stands}


# every change on SQLite; on PostgreSQL one of each kind, for all of them there would take minutes
ON_BOTH = {
    "a wait shortened",
    "a wait lengthened",
    "a question renamed, finish",
    "a question renamed, skip",
    "a question renamed, stop",
    "a wait for an event removed, skip",
    "steps before and after",
    "other words",
    "another sender",
    "deleted, finish",
    "deleted, stop",
    "a case removed, skip",
    "the last steps moved into a case",
    "removed with skip, and back",
    "renamed with finish, and back",
}


def on_each(changes: Iterable[str]) -> pytest.MarkDecorator:
    """Run a test that takes an engine for each of *changes*, on each kind of database it is for."""
    ways = [
        (kind, change)
        for change in changes
        for kind in ("sqlite", "postgresql")
        if kind == "sqlite" or change in ON_BOTH
    ]
    names = [f"{kind}-{change}" for kind, change in ways]
    return pytest.mark.parametrize(("database_url", "change"), ways, indirect=["database_url"], ids=names)


@on_each(EDITS)
def test_everybody_goes_on_as_the_change_says(engine: Engine, tmp_path: Path, change: str) -> None:
    shop = Tale(engine, tmp_path)
    assert played(shop, EDITS[change]) == expected()["nothing"] | expected()[change]
    nobody_is_written_to_twice(shop)
    every_letter_that_did_not_leave_has_its_reason(shop)
    everybody_is_over_or_follows(shop)


def nobody_is_written_to_twice(shop: Tale) -> None:
    written = Counter((row.enrollment_id, row.step, row.round) for row in shop.world.rows("messages"))
    assert set(written.values()) == {1}
    accepted = [row for row in shop.world.rows("messages") if row.state == "accepted"]
    again = Counter((row.enrollment_id, row.letter, row.round) for row in accepted)
    assert [key for key, times in again.items() if times > 1 and key[1] != "advice"] == []  # "more" sends it too
    assert len({mail.token for mail in shop.sent}) == len(shop.sent)


def every_letter_that_did_not_leave_has_its_reason(shop: Tale) -> None:
    reasons = {row.message_id for row in shop.world.rows("decisions") if row.message_id}
    silent = [row for row in shop.world.rows("messages") if row.state != "accepted" and row.id not in reasons]
    assert [(row.step, row.state, row.reason) for row in silent] == []
    assert not [row for row in shop.world.rows("messages") if MessageState(row.state) in CANCELLABLE]


def everybody_is_over_or_follows(shop: Tale) -> None:
    with reading(shop.world.engine) as conn:
        bundle = shop.world.library.newest(conn)
        for name, run in shop.runs().items():
            is_current = shop.world.library.is_current(conn, bundle, "tale", run.version_id)
            assert run.ended_at or run.finishes or is_current, name
    assert {run.state for run in shop.runs().values()} <= {"completed", "exited", "held_out"}


# -- who has to be decided about --


def test_nothing_is_applied_while_somebody_stands_where_nothing_is_any_more(engine: Engine, tmp_path: Path) -> None:
    shop = Tale(engine, tmp_path)
    before = shop.world.rows("bundles"), shop.world.rows("enrollments"), shop.world.rows("messages")
    with pytest.raises(StrandedPeople) as caught:
        shop.apply({"wait_for-1": "skip"}, **tale(QUESTION + AWAITED, ""))
    assert {(one.step, one.number) for one in caught.value.undecided} == {("arrived", 11)}
    assert (shop.world.rows("bundles"), shop.world.rows("enrollments"), shop.world.rows("messages")) == before


def test_the_same_folder_again_moves_nobody(engine: Engine, tmp_path: Path) -> None:
    shop = Tale(engine, tmp_path)
    assert shop.apply(**tale("wait: 2 days", "wait: 6 days")).moved.on == len(shop.runs()) - 1
    before = shop.world.rows("enrollments")
    applied = shop.apply()
    assert (applied.changed, applied.moved.on, shop.world.rows("enrollments")) == (False, 0, before)
