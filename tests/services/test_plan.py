"""What a plan says comes true: it is held against what happens when the folder is applied."""

import copy
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from followup.authoring.bundle import load_applied
from followup.authoring.diagnostics import BundleError
from followup.clock import VirtualClock
from followup.core.message import Accepted, Answer, Misconfigured
from followup.services import answers, concerned, deploy, facts
from followup.services.advance import advance
from followup.services.concerned import Addressee, Next, Outlook, Shift
from followup.services.lacking import Kind, Lack
from followup.services.library import Library
from followup.services.plan import Plan, Soon, plan
from followup.services.sweep import Work, lease, next_moment
from followup.store import enrollments
from followup.store.engine import make_engine, reading
from followup.store.schema import metadata
from tests.services import engine_files
from tests.services.phases import FILES, NOW, Tale
from tests.services.test_transfer import AS_IT_WAS, EDITS, Edit, Folder, on_each
from tests.services.world import MONDAY, PEOPLE, SEND, Scripted, World, a_purchase

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ON_THEIR_WAY = {"claimed", "sending", "unknown"}  # a plan does not know what becomes of these
AS_IT_IS = Soon(2, 6)  # what leaves if nothing is applied
ONE_FOLDER = {name: change for name, change in EDITS.items() if len(change.folders) == 1}


def planned(shop: Tale, change: Edit) -> Plan:
    """Return the plan of a change, whose looking changes nothing."""
    (folder,) = change.folders
    before = everything(shop.world)
    found = plan_of(shop.world, files_of(shop, folder), change.in_flight)
    assert everything(shop.world) == before
    return found


def files_of(shop: Tale, folder: Folder) -> dict[str, str]:
    named = {"workflows/tale.yaml" if path == "tale" else path: text for path, text in folder.items()}
    return {path: text for path, text in {**shop.files, **named}.items() if text is not None}


def plan_of(world: World, files: Mapping[str, str], in_flight: Mapping[str, str]) -> Plan:
    how: dict[str, Any] = {"library": Library(), "suppression_key": world.post.suppression_key, "clock": world.clock}
    return plan(world.engine, load_applied(files), in_flight, **how)


def everything(world: World) -> dict[str, list[Any]]:
    with reading(world.engine) as conn:
        return {name: sorted(map(repr, conn.execute(table.select()))) for name, table in metadata.tables.items()}


def left_by(world: World, moment: datetime, began: set[int]) -> int:
    """Return how many letters were taken by *moment*, but of runs that had one on its way when it *began*."""
    taken = (row for row in world.rows("messages") if row.state == "accepted" and row.enrollment_id not in began)
    return sum(NOW <= row.accepted_at <= moment for row in taken)


def come_true(shop: Tale) -> Soon:
    """Let a day pass in which nobody answers; return how many letters left in its first hour, and in all of it."""
    began = {row.enrollment_id for row in shop.world.rows("messages") if row.state in ON_THEIR_WAY}
    shop.leases_end()
    shop.world.drain()
    for span in (HOUR, DAY):
        shop.until(NOW + span)
        shop.world.drain()
    return Soon(left_by(shop.world, NOW + HOUR, began), left_by(shop.world, NOW + DAY, began))


def go_on_at_once(shop: Tale, before: Mapping[int, Any]) -> dict[str, int]:
    """Return by the step at which they stood how many of those who slept go on now that something was applied."""
    applied = {row.id: row for row in shop.world.rows("enrollments")}
    while leased := lease(shop.world.engine, now=NOW, kinds={Work.ADVANCE}):
        advance(shop.world.engine, leased[Work.ADVANCE], **shop.given)
    found: Counter[str] = Counter()
    for run in shop.world.rows("enrollments"):
        was, landed = before[run.id], applied[run.id]
        slept = was.wake_at is None or was.wake_at > NOW
        if slept and landed.ended_at is None and (run.ended_at or run.step != landed.step):
            found[was.step] += 1
    return dict(found)


@on_each(ONE_FOLDER)
def test_a_plan_comes_true(engine: Engine, tmp_path: Path, change: str) -> None:
    shop, how = Tale(engine, tmp_path), EDITS[change]
    found = planned(shop, how)
    before = {row.id: row for row in shop.world.rows("enrollments")}
    assert bool(found)
    inside = Counter(row.step for row in before.values() if row.ended_at is None and row.step)
    standing: Counter[str | None] = Counter()
    for place in found.places:
        standing[place.step] += place.number
    assert standing in ({}, inside)
    shop.apply(how.in_flight, **how.folders[0])
    assert not plan_of(shop.world, shop.files, {})
    at_once: Counter[str] = Counter()
    for place in found.places:
        at_once[place.step] += place.at_once
    assert +at_once == go_on_at_once(shop, before)
    those = {who.email: who for place in found.places for who in place.who if not who.now.is_due}
    assert {email: who.then for email, who in those.items()} == {email: there(shop)[email] for email in those}
    assert all(len(place.who) == place.number for place in found.places if place.to is None or place.shift)
    assert (found.now, found.then) == (AS_IT_IS, come_true(shop))


def there(shop: Tale) -> dict[str, Outlook]:
    """Return by address what comes for each, now that those who are due were looked at."""
    with reading(shop.world.engine) as conn:
        runs = enrollments.by_id(conn, [row.id for row in shop.world.rows("enrollments")]).values()
        known = facts.read(conn, list(runs), library=Library(), now=NOW)
    return {
        one.facts.customer.email: Outlook(Next.END) if one.stored.ended_at else concerned.as_it_is(one, NOW)
        for one in known.values()
    }


def test_who_is_stranded_is_named(engine: Engine, tmp_path: Path) -> None:
    shop, renamed = Tale(engine, tmp_path), EDITS["a question renamed, skip"]
    names = {"undecided": planned(shop, Edit(renamed.folders)), "skip": planned(shop, renamed)}
    asked = {
        how: next(who for place in found.places for who in place.who if who.email == "asked@example.com")
        for how, found in names.items()
    }
    assert (asked["undecided"].now.next, asked["undecided"].then) == (Next.REMINDER, asked["undecided"].now)
    assert (asked["skip"].onward, asked["skip"].then.next) == ("wait_for-1", Next.EVENT)
    stopped = planned(shop, EDITS["a question renamed, stop"])
    ends = {who.then.next for place in stopped.places if place.to is None for who in place.who if not who.now.is_due}
    assert ends == {Next.END}


def test_a_changed_wait_says_until_when_they_wait(engine: Engine, tmp_path: Path) -> None:
    shop = Tale(engine, tmp_path)
    (place,) = (one for one in planned(shop, EDITS["a wait lengthened"]).places if one.step == "wait-1" and one.shift)
    began = NOW - DAY
    assert place.shift == Shift(Next.WAIT, began + 2 * DAY, began + 6 * DAY, "Europe/London", 1)
    (place,) = (one for one in planned(shop, EDITS["a timeout lengthened"]).places if one.step == "arrived")
    assert place.shift is not None
    assert (place.shift.next, place.shift.then - place.shift.now) == (Next.ANSWER, 4 * DAY)
    (place,) = (one for one in planned(shop, EDITS["an earlier reminder"]).places if one.step == "arrived")
    assert place.shift is None or place.shift.next is Next.REMINDER


def test_without_a_change_what_would_leave_leaves(engine: Engine, tmp_path: Path) -> None:
    shop = Tale(engine, tmp_path)
    found = plan_of(shop.world, shop.files, {})
    assert (bool(found), found.places, found.now, found.then) == (False, (), AS_IT_IS, AS_IT_IS)
    assert come_true(shop) == AS_IT_IS


# -- whatever the workflow, and whatever is changed about it --

HEARS_OF_US = {"message.accepted", "conversation.opened", "conversation.closed"}  # what our own letters lead to
TAKEN = Accepted("X")
MOST = 5  # customers
AT_THEN = 12 * 24
THEN = MONDAY + timedelta(hours=AT_THEN)
hours = st.sampled_from([0, 0, 0, 1, 2, 4, 20, 24, 30, 47, 48, 60, 120, 216, 240]).map(lambda ago: AT_THEN - ago)


@st.composite
def stories(draw: st.DrawFn) -> tuple[engine_files.Data, engine_files.Data, list[tuple[int, str | None]], str]:
    """Draw a workflow, what is made of it, when parcels come and what is answered, and what becomes of the stranded."""
    was = draw(engine_files.workflows("alpha"))
    was["trigger"] = {"event": "order.delivered"}
    was["steps"].insert(0, {"wait": draw(st.sampled_from(["20 minutes", "1 hour", "1 day", "2 days"]))})
    was.pop("entry", None)
    was["steps"] = [step for step in was["steps"] if not hears_of_us(step)]
    assume(was["steps"])
    if was.get("exit_on", [{}])[0].get("event") in HEARS_OF_US:
        del was["exit_on"]
    now = draw(engine_files.edits(was))
    assume(not any(hears_of_us(step) for step in now["steps"]))
    comes = draw(st.lists(st.tuples(hours, st.sampled_from([None, None, "fine", "bad"])), min_size=2, max_size=MOST))
    return was, now, comes, draw(st.sampled_from(["finish", "skip", "stop"]))


def hears_of_us(step: engine_files.Data) -> bool:
    """Tell whether a step starts another workflow, or waits for what a letter or a hand-off leads to."""
    return any("start" in one or one.get("wait_for") in HEARS_OF_US for one in engine_files.walk([step]))


def brought(
    engine: Engine,
    folder: Path,
    files: Mapping[str, str],
    comes: list[tuple[int, str | None]],
    answer: Answer = TAKEN,
) -> World:
    """Return a shop whose customers were brought to where they are by the engine."""
    world = World(engine, folder, transport=Scripted(answer))
    deploy.put_in_force(engine, load_applied(files), clock=world.clock)
    for number, (hour, choice) in enumerate(sorted(comes, key=lambda one: one[0])):
        pass_until(world, MONDAY + timedelta(hours=hour))
        world.take_in(a_purchase(f"T-{number}", email=f"c{number}@example.com", delivered_at=world.clock.now()))
        world.drain()
        asked = [row for row in world.rows("messages") if row.token and row.choices]
        if choice and asked:
            how: dict[str, Any] = {"library": world.library, "clock": world.clock}
            answers.confirm(world.engine, asked[-1].token, choice, "", **how)
            world.drain()
    pass_until(world, THEN)
    return world


def pass_until(world: World, moment: datetime) -> None:
    while True:
        with reading(world.engine) as conn:
            due = next_moment(conn)
        if due is None or due > moment:
            break
        world.clock.move_to(max(due, world.clock.now()))
        world.drain()
    world.clock.move_to(moment)


def leaves(world: World) -> Soon:
    """Let a day pass; return how many letters left in its first hour, and in all of it."""
    began = world.states().count("accepted")
    world.drain()
    pass_until(world, THEN + HOUR)
    hour = world.states().count("accepted") - began
    pass_until(world, THEN + DAY)
    return Soon(hour, world.states().count("accepted") - began)


def copied(world: World, file: Path) -> World:
    """Return the shop as it is, in a database of its own that may go another way."""
    world.engine.dispose()
    shutil.copy(world.engine.url.database or "", file)
    other = copy.copy(world)
    other.engine = make_engine(f"sqlite:///{file}")
    other.library, other.clock = Library(), VirtualClock(world.clock.now())
    other.post = replace(world.post, transport=Scripted(Accepted("X")))
    return other


@settings(max_examples=10, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(stories())
def test_a_plan_of_whatever_change_comes_true(sqlite_database: Path, tmp_path: Path, story: Any) -> None:
    was, now, comes, how = story
    statuses = {"alpha": "live"}
    shutil.copy(sqlite_database, tmp_path / "shop.db")
    engine = make_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    before, after = (engine_files.files({"alpha": one}, statuses) for one in (was, now))
    try:
        load_applied(after)
    except BundleError:  # the change made something that cannot be read
        assume(False)
    world = brought(engine, tmp_path, before, comes)
    there = everything(world)
    found = plan_of(world, after, {"alpha": how})
    assert everything(world) == there
    other = copied(world, tmp_path / "other.db")
    assert found.now == leaves(other), "as it is"
    if found:
        applied = copied(world, tmp_path / "applied.db")
        deploy.put_in_force(applied.engine, load_applied(after), clock=applied.clock, in_flight={"alpha": how})
        assert not plan_of(applied, after, {})
        assert found.then == leaves(applied), "when it is applied"
        applied.engine.dispose()
    other.engine.dispose()
    engine.dispose()


# -- what a forecast has to know --

AWAITED = ["  - wait_for: shop.visited\n    timeout: 1 hour\n  - wait: 2 hours\n", "when: timed_out"]
TAUGHT = "  - wait: 1 hour\n  - remember: {customer.taste: sweet}\n  - wait: 1 hour\n"
LEARNED = [TAUGHT, 'when: customer.taste == "sweet"']


def short(*steps: str, more: str = "") -> dict[str, str]:
    """Return a folder with one workflow of these steps."""
    about = "title: Short\nstatus: live\nowner: nell\nsender: nell\ntrigger: {event: order.delivered}\n"
    return {**FILES, "workflows/tale.yaml": f"workflow: tale\n{about}{more}steps:\n{''.join(steps)}"}


def branch(before: str, when: str) -> str:
    return f"{before}  - branch:\n      - {when}\n        do:\n          - send: advice\n"


@pytest.mark.parametrize(
    ("files", "leave"),
    [
        (short("  - wait: 1 hour\n  - send: advice\n"), 2),
        (short("  - wait: 1 hour\n  - handoff: nell\n  - send: advice\n"), 0),
        (short(branch(*AWAITED)), 2),
        (short(branch(*LEARNED)), 2),
        (short("  - wait: 1 hour\n  - send: advice\n", more="first: 1\n"), 0),
        (short("  - wait: 1 hour\n  - send: advice\n", more="limits: {per_day: 1}\n"), 1),
    ],
    ids=["a letter", "handed to a person", "an event that did not come", "remembered", "first letters", "per day"],
)
def test_the_engine_is_foreseen(engine: Engine, tmp_path: Path, files: Mapping[str, str], leave: int) -> None:
    world = brought(engine, tmp_path, files, [(AT_THEN, None)] * 2)
    found = plan_of(world, files, {}).now
    assert (found, found.day) == (leaves(world), leave)


def test_what_is_blocked_is_tried_again_when_something_is_applied(engine: Engine, tmp_path: Path) -> None:
    files = short("  - send: advice\n")
    world = brought(engine, tmp_path, files, [(AT_THEN, None)], answer=Misconfigured("401"))
    assert world.states() == ["blocked"]
    world.post.transport.answer = Accepted("X")  # type: ignore[attr-defined]
    mended = {**files, "templates/advice.md": SEND.replace("oil", "grease")}
    found = plan_of(world, mended, {})
    assert (found.now, found.then) == (Soon(0, 0), Soon(1, 1))
    deploy.put_in_force(engine, load_applied(mended), clock=world.clock)
    assert leaves(world) == Soon(1, 1)


@pytest.mark.parametrize("before", ["  - wait: 1 hour\n", ""], ids=["not written yet", "written"])
@pytest.mark.parametrize("gone", ["who signs it", "its file"])
def test_a_letter_that_lacks_something_does_not_leave(engine: Engine, tmp_path: Path, before: str, gone: str) -> None:
    files = short(f"{before}  - send: advice\n")
    files["workflows/tale.yaml"] = files["workflows/tale.yaml"].replace("sender: nell", "sender: tomas")
    world = brought(engine, tmp_path, files, [(AT_THEN, None)], answer=Misconfigured("401"))
    world.post.transport.answer = Accepted("X")  # type: ignore[attr-defined]
    left = {path: text for path, text in files.items() if path != "workflows/tale.yaml"}
    if gone == "its file":
        del left["templates/advice.md"]
        lack = Lack(Kind.LETTER, "advice")
    else:
        left["workflows/people.yaml"] = PEOPLE.partition("tomas:")[0]
        lack = Lack(Kind.PERSON, "tomas")
    finish = {"tale": "finish"}
    found = plan_of(world, left, finish)
    assert (found.now.day, found.then) == (1 if before else 0, Soon(0, 0))
    who = [Addressee("c0@example.com", "T-0", "advice")]
    assert {lack: list(people) for lack, people in found.unable.items()} == ({} if before else {lack: who})

    applied = deploy.put_in_force(engine, load_applied(left), clock=world.clock, in_flight=finish)
    assert applied.unable == ({} if before else {lack: 1})
    assert leaves(world) == Soon(0, 0)
    assert world.states() == ["blocked"]
    again = deploy.put_in_force(engine, load_applied(left), clock=world.clock, in_flight=finish)
    assert again.unable == {lack: 1}


@pytest.mark.parametrize(
    "change", ["another comment", "a wait lengthened", "an earlier reminder", "a question renamed, finish"]
)
def test_after_going_back_the_plan_is_what_it_was(engine: Engine, tmp_path: Path, change: str) -> None:
    shop, how = Tale(engine, tmp_path), EDITS[change]
    shop.apply(**{"templates/care.md": SEND})  # so that what is blocked has been tried
    first = planned(shop, how)
    folder = shop.files
    shop.apply(how.in_flight, **how.folders[0])
    assert planned(shop, Edit((AS_IT_WAS,))).changes
    shop.files = folder
    shop.apply()
    again = planned(shop, how)
    assert as_told(again) == as_told(first)


def as_told(found: Plan) -> Any:
    places = {(one.step, one.to, one.number, one.at_once, one.how) for one in found.places}
    return found.before, found.after, places, found.finishing, found.now, found.then
