"""Pausing, resuming and archiving a workflow, whoever is where in it; on both databases."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, update

from followup import failpoints
from followup.authoring.bundle import Bundle
from followup.core.enrollment import EnrollmentState
from followup.core.gates import FIRST_LETTERS
from followup.core.message import Accepted, Cause, RetrySafe, Unknown
from followup.core.workflow import WorkflowStatus
from followup.errors import NotFound, TemporaryError, UsageError
from followup.services import answers, approve, backfill, checkup_record, deploy, fate, lookups, switch
from followup.services.advance import advance
from followup.services.claim import claim
from followup.services.deliver import deliver
from followup.services.enroll import Entered, enroll, triggered_by
from followup.services.library import Library
from followup.services.settle import settle
from followup.store import enrollments, events, schema
from followup.store.engine import make_engine, reading, writing
from followup.store.types import real_now
from tests.services.test_checkup import a_setup
from tests.services.test_senders import waits
from tests.services.world import CHECK_IN, MONDAY, Scripted, World, a_purchase, a_reply, about_cooking
from tests.wire.harness import until

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
PAUSED_FILE = AT_ONCE.replace("status: live", "status: paused")
OTHER = AT_ONCE.replace("workflow: check-in", "workflow: other")
BIG = "entry: {only_if: [order.total > 200]}\ntrigger:"
DAY = timedelta(days=1)


def shop_with(engine: Engine, folder: Path, **workflows: str) -> World:
    return World(engine, folder, transport=Scripted(Accepted("X")), **workflows or {"check_in": AT_ONCE})


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> World:
    """Return a shop whose workflow asks at once."""
    return shop_with(engine, tmp_path)


def pause(shop: World, workflow: str = "check-in", reason: str = "wrong price") -> switch.Paused:
    return switch.pause(shop.engine, workflow, reason, library=shop.library, clock=shop.clock)


def resume(shop: World, workflow: str = "check-in") -> switch.Resumed | None:
    return switch.resume(shop.engine, workflow, library=shop.library, clock=shop.clock)


def archive(shop: World, workflow: str = "check-in", reason: str = "over") -> switch.Archived:
    return switch.archive(shop.engine, workflow, reason, library=shop.library, clock=shop.clock)


def sent(shop: World) -> list[str]:
    return [mail.to_email for mail in shop.post.transport.sent]


def write_letters(shop: World) -> list[int]:
    """Let the runs write their letters, and send none."""
    runs = [row.id for row in shop.rows("enrollments")]
    advance(shop.engine, runs, library=shop.library, clock=shop.clock)
    return [row.id for row in shop.rows("messages") if row.state == "due"]


def letters(shop: World) -> dict[str, tuple[str, str | None]]:
    """Return state and reason of each letter, by order and step."""
    numbers = {row.id: row.number for row in shop.rows("orders")}
    return {f"{numbers[row.order_id]} {row.step}": (row.state, row.reason) for row in shop.rows("messages")}


def runs(shop: World) -> dict[str, tuple[str, str | None]]:
    """Return state and outcome of each run, by its order."""
    numbers = {row.id: row.number for row in shop.rows("orders")}
    return {numbers.get(row.order_id, "–"): (row.state, row.outcome) for row in shop.rows("enrollments")}


def audited(shop: World) -> list[tuple[str, dict[str, Any]]]:
    return [(row.action, row.data) for row in shop.rows("audit") if row.action.startswith("workflow.")]


# -- pause --


def test_a_paused_workflow_takes_nobody_in_and_says_why(shop: World) -> None:
    assert pause(shop).changed
    shop.take_in(a_purchase())
    shop.drain()
    assert shop.rows("enrollments") == []
    assert shop.verdicts() == [("not_entered", "the workflow is paused")]
    with pytest.raises(UsageError, match="check-in is paused") as refused:
        backfill.trigger(
            shop.engine,
            "check-in",
            order_number="T-1",
            since=None,
            start_now=True,
            dry_run=False,
            library=shop.library,
            clock=shop.clock,
        )
    assert refused.value.hint == "followup resume check-in"


def test_the_letters_of_people_inside_are_held_and_those_of_other_workflows_leave(
    engine: Engine, tmp_path: Path
) -> None:
    shop = shop_with(engine, tmp_path, check_in=AT_ONCE, other=about_cooking(OTHER))
    shop.take_in(a_purchase())
    write_letters(shop)
    pause(shop)
    shop.drain()
    assert {row.workflow: row.state for row in shop.rows("messages")} == {"check-in": "held", "other": "accepted"}


def test_waits_and_timeouts_go_on_and_reminders_are_left_out(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, check_in=CHECK_IN)
    shop.take_in(a_purchase())
    shop.go_to(MONDAY + 2 * DAY)
    shop.take_in(a_purchase("T-2", email="ben@example.com", delivered_at=shop.clock.now()))
    pause(shop)
    shop.go_to(MONDAY + 4 * DAY)
    assert letters(shop)["T-2 arrived"] == ("held", "the workflow is paused"), "its wait was over"
    shop.go_to(MONDAY + 5 * DAY)
    assert shop.states() == ["accepted", "held", "skipped"], "the reminder of the first"
    shop.go_to(MONDAY + 7 * DAY)
    assert runs(shop)["T-1"] == ("completed", "silent"), "its timeout came"


def test_pausing_says_who_is_inside_and_how_their_letters_stand(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    shop.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(3)))
    write_letters(shop)
    told = pause(shop)
    assert (told.changed, told.in_file) == (True, WorkflowStatus.LIVE)
    assert (told.inside, told.due, told.held) == (switch.Inside({"arrived": 3}, 0), 3, 0)
    shop.drain()
    again = pause(shop, reason="another reason")
    assert (again.changed, again.due, again.held) == (False, 0, 3)
    assert again.switch == told.switch, "the first reason stands"
    assert audited(shop) == [("workflow.pause", {"workflow": "check-in", "reason": "wrong price"})]


def test_a_file_that_says_so_is_paused_already_and_stays_so_whatever_is_applied(shop: World) -> None:
    shop.apply(check_in=PAUSED_FILE)
    told = pause(shop)
    assert (told.changed, told.in_file) == (True, WorkflowStatus.PAUSED)
    with pytest.raises(UsageError, match="its file says status: paused") as refused:
        resume(shop)
    assert "workflows/check-in.yaml" in refused.value.hint
    applied = shop.apply(check_in=AT_ONCE)
    assert applied.switched == {"check-in": told.switch}
    shop.take_in(a_purchase())
    assert shop.rows("enrollments") == []
    resume(shop)
    assert shop.apply(check_in=AT_ONCE).switched == {}


def test_an_unknown_workflow_is_told_apart_from_the_nearest(shop: World) -> None:
    for command in (pause, resume, archive):
        with pytest.raises(NotFound, match="there is no workflow 'chekc-in'") as unknown:
            command(shop, "chekc-in")
        assert unknown.value.hint == "Did you mean 'check-in'?"
    assert lookups.status(shop.engine).switched == {}
    with pytest.raises(NotFound):
        switch.inside(shop.engine, "chekc-in", library=shop.library)


def test_a_live_file_that_is_applied_releases_nothing_and_asks_for_no_first_letters(shop: World) -> None:
    shop.take_in(a_purchase())
    write_letters(shop)
    pause(shop)
    shop.drain()
    applied = shop.apply(check_in=AT_ONCE.replace("title: Did", "title: Has").replace("steps:", "first: 2\nsteps:"))
    assert (applied.changed, applied.released, applied.first) == (True, 0, {})
    assert set(applied.switched) == {"check-in"}
    shop.drain()
    assert shop.states() == ["held"]
    resumed = resume(shop)
    assert resumed is not None
    assert (resumed.released, resumed.first) == (1, 2), "now it goes live"
    shop.drain()
    assert letters(shop) == {"T-1 arrived": ("held", FIRST_LETTERS)}
    assert approve.waiting(shop.engine)["check-in"].pending


def test_a_workflow_whose_file_is_gone_stays_paused(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, check_in=AT_ONCE, other=OTHER)
    shop.take_in(a_purchase())
    write_letters(shop)
    pause(shop, "other")
    shop.apply(check_in=AT_ONCE, in_flight={"other": "finish"})
    shop.drain()
    states = {row.workflow: row.state for row in shop.rows("messages")}
    assert states == {"check-in": "accepted", "other": "held"}
    told = pause(shop, "other")
    assert (told.changed, told.in_file, told.held) == (False, None, 1)
    resume(shop, "other")
    shop.drain()
    assert shop.states() == ["accepted", "accepted"], "people inside finish what they came into"
    shop.later(hours=1)
    archive(shop, "other")
    assert {row.workflow: row.outcome for row in shop.rows("enrollments")} == {"check-in": None, "other": "archived"}


# -- at the very moment of a claim --


def meanwhile(do: Callable[[], object]) -> Callable[[], bool]:
    """Return a ``stopping`` that does something when letters are claimed and none of them has begun."""
    asked = iter(("before the claim", "after the claim"))

    def stopping() -> bool:
        when = next(asked, None)
        if when == "after the claim":
            do()
        return when is None

    return stopping


def deliver_now(shop: World, ids: list[int], stopping: Callable[[], bool]) -> None:
    how: dict[str, Any] = {"library": shop.library, "post": shop.post, "clock": shop.clock}
    deliver(shop.engine, ids, stopping=stopping, **how)


@pytest.mark.parametrize("stop", [pause, archive])
def test_what_is_claimed_and_has_not_begun_is_given_back_and_the_rest_of_the_wave_leaves(
    engine: Engine, tmp_path: Path, stop: Callable[[World], object]
) -> None:
    small = AT_ONCE.replace("trigger:", BIG.replace(">", "<"))
    shop = shop_with(engine, tmp_path, check_in=small, other=OTHER.replace("trigger:", BIG))
    shop.take_in(a_purchase(), a_purchase("T-2", email="ben@example.com", total_cents=30_000))
    ids = write_letters(shop)
    deliver_now(shop, ids, meanwhile(lambda: stop(shop)))
    assert {row.workflow: row.state for row in shop.rows("messages")} == {"check-in": "due", "other": "accepted"}
    assert sent(shop) == ["ben@example.com"]
    shop.drain()
    state = {row.workflow: (row.state, row.reason) for row in shop.rows("messages")}["check-in"]
    stopped = ("held", "the workflow is paused") if stop is pause else ("cancelled", "its run is exited")
    assert state == stopped


def test_a_pause_reaches_letters_that_are_handed_over_one_by_one(shop: World) -> None:
    class OneByOne(Scripted):
        """Hands one letter over; meanwhile the workflow is paused."""

        def send(self, mails: Any, *, may_begin: Callable[[], bool]) -> Any:
            yield from super().send(mails[:1], may_begin=may_begin)
            pause(shop)
            until(lambda: not may_begin(), what="the brake")
            for mail in mails[1:]:
                yield [(mail, RetrySafe(shop.clock.now(), "stopped", Cause.KEPT))]

    shop.post = replace(shop.post, transport=OneByOne())
    shop.take_in(a_purchase(), a_purchase("T-2", email="ben@example.com"))
    shop.drain()
    assert [state for state, _ in letters(shop).values()] == ["accepted", "held"]
    assert len(sent(shop)) == 1


def test_a_pause_while_a_claim_is_under_way_waits_for_nobody(postgres_url: str, tmp_path: Path) -> None:
    engine, other = make_engine(postgres_url), make_engine(postgres_url)
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase())
    ids = write_letters(shop)
    with writing(other) as conn:
        assert claimed(conn, shop, ids)
        pause(shop)
    shop.drain()
    assert (shop.states(), sent(shop)) == (["claimed"], []), "its worker died; the letter waits for the lease"
    leases_end(shop)
    shop.drain()
    assert shop.states() == ["held"]
    engine.dispose()
    other.dispose()


def claimed(conn: Connection, shop: World, ids: list[int]) -> set[int]:
    key, now = shop.post.suppression_key, shop.clock.now()
    how: dict[str, Any] = {"library": shop.library, "suppression_key": key, "limit": 50, "lease_seconds": 120}
    return {one.message.id for one in claim(conn, ids, now=now, **how).claimed}


def leases_end(shop: World) -> None:
    with writing(shop.engine) as conn:
        over = {"leased_until": real_now(-1)}
        conn.execute(update(schema.messages).where(schema.messages.c.leased_until.is_not(None)).values(over))


# -- resume --


def test_resumed_what_was_held_leaves_however_long_it_took(shop: World) -> None:
    shop.take_in(a_purchase())
    write_letters(shop)
    pause(shop)
    shop.go_to(MONDAY + 20 * DAY)
    resumed = resume(shop)
    assert resumed is not None
    assert (resumed.lifted.reason, resumed.released, resumed.first) == ("wrong price", 1, 0)
    shop.drain()
    assert shop.states() == ["accepted"]
    assert audited(shop)[-1] == ("workflow.resume", {"workflow": "check-in", "released": 1})


def test_resumed_twice_it_says_that_nobody_has_switched_it(shop: World) -> None:
    shop.take_in(a_purchase())
    write_letters(shop)
    pause(shop)
    shop.drain()
    assert resume(shop) is not None
    assert resume(shop) is None
    assert [action for action, _ in audited(shop)] == ["workflow.pause", "workflow.resume"]
    assert shop.states() == ["due"]


def test_letters_that_are_held_for_something_else_stay_held(shop: World) -> None:
    shop.take_in(a_purchase())
    shop.drain()
    shop.hear(a_reply(sent_letter(shop)))
    shop.take_in(a_purchase("T-2"))
    shop.drain()
    pause(shop)
    resumed = resume(shop)
    assert resumed is not None
    assert resumed.released == 0
    shop.drain()
    assert letters(shop)["T-2 arrived"] == ("held", "the customer waits for an answer from us")


def sent_letter(shop: World) -> dict[str, str]:
    mail = shop.post.transport.sent[0]
    return {"Reply-To": mail.reply_to, "Subject": mail.subject, "Message-ID": mail.message_id}


@pytest.mark.parametrize("status", ["paused", "draft"])
def test_what_its_file_says_cannot_be_resumed(shop: World, status: str) -> None:
    shop.apply(check_in=AT_ONCE.replace("status: live", f"status: {status}"))
    for switched in (False, True):
        if switched:
            pause(shop)
        with pytest.raises(UsageError, match=f"its file says status: {status}") as refused:
            resume(shop)
        assert refused.value.hint == "Write status: live into workflows/check-in.yaml, then followup apply"
    assert pause(shop).switch.status is WorkflowStatus.PAUSED, "it stays so"


def test_a_letter_that_is_held_at_the_very_moment_of_a_resume_is_found_within_a_minute(
    postgres_url: str, tmp_path: Path
) -> None:
    engine, other = make_engine(postgres_url), make_engine(postgres_url)
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase())
    ids = write_letters(shop)
    pause(shop)
    with writing(other) as conn:
        assert claimed(conn, shop, ids) == set()
        resume(shop)
    assert shop.states() == ["held"]
    assert deploy.release_resumed(engine, library=shop.library, clock=shop.clock) == 1
    shop.drain()
    assert shop.states() == ["accepted"]
    engine.dispose()
    other.dispose()


# -- archive --


def test_archiving_ends_everybody_wherever_they_are(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    everywhere(shop)
    assert switch.inside(engine, "check-in", library=shop.library) == switch.Inside({"arrived": 7, "wait-1": 1}, 1)
    before = letters(shop)
    archived = archive(shop)
    assert (archived.changed, archived.ended) == (True, 9)
    assert archived.switch.status is WorkflowStatus.ARCHIVED
    assert set(runs(shop).values()) == {("exited", "archived"), ("held_out", "archived")}
    assert all(row.ended_at == shop.clock.now() and row.wake_at is None for row in shop.rows("enrollments"))
    withdrawn = ("cancelled", "the run ended: archived")
    assert letters(shop) == before | dict.fromkeys(("due arrived", "held arrived", "blocked arrived"), withdrawn)
    assert ("exited", "archived") in shop.verdicts()
    assert audited(shop) == [("workflow.archive", {"workflow": "check-in", "reason": "over"})]
    assert switch.inside(engine, "check-in", library=shop.library).runs == 0


def test_what_is_on_its_way_when_it_is_archived_settles_as_ever(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    everywhere(shop)
    archive(shop)
    rows = {row.step + str(row.order_id): row for row in shop.rows("messages")}
    by_state = {row.state: row for row in rows.values()}
    sending, unknown = by_state["sending"], by_state["unknown"]
    settle(engine, {sending.id: sending.token}, {sending.token: Accepted("X9")}, clock=shop.clock)
    fate.mark_sent(engine, unknown.id, clock=shop.clock)
    leases_end(shop)
    posted = len(sent(shop))
    shop.later(days=9)
    assert letters(shop)["claimed arrived"] == ("cancelled", "its run is exited")
    assert letters(shop)["sending arrived"][0] == letters(shop)["unknown arrived"][0] == "accepted"
    assert len(sent(shop)) == posted, "nothing else left"


def test_answers_to_earlier_questions_still_come_onto_the_record(shop: World) -> None:
    shop.take_in(a_purchase())
    shop.drain()
    archive(shop)
    token = shop.rows("messages")[0].token
    shop.later(days=1)
    answers.confirm(shop.engine, token, "broken", "a dent", library=shop.library, clock=shop.clock)
    shop.drain()
    (given,) = shop.rows("answers")
    assert (given.answer, given.comment) == ("broken", "a dent")
    assert lookups.status(shop.engine).waiting_for_us == 1
    assert runs(shop) == {"T-1": ("exited", "archived")}


def test_an_archived_workflow_that_is_resumed_takes_people_in_and_brings_nobody_back(shop: World) -> None:
    shop.take_in(a_purchase())
    write_letters(shop)
    archive(shop)
    shop.take_in(a_purchase("T-2", email="ben@example.com"))
    assert shop.verdicts()[-1] == ("not_entered", "the workflow is archived")
    resumed = resume(shop)
    assert resumed is not None
    assert resumed.released == 0
    shop.take_in(a_purchase("T-3", email="cy@example.com"))
    shop.drain()
    assert runs(shop) == {"T-1": ("exited", "archived"), "T-3": ("active", None)}
    assert sent(shop) == ["cy@example.com"]


def test_a_paused_workflow_can_be_archived_and_an_archived_one_is_not_paused(shop: World) -> None:
    shop.take_in(a_purchase())
    write_letters(shop)
    pause(shop)
    shop.drain()
    assert archive(shop).ended == 1
    assert letters(shop) == {"T-1 arrived": ("cancelled", "the run ended: archived")}
    told = pause(shop)
    assert (told.changed, told.switch.status, told.switch.reason) == (False, WorkflowStatus.ARCHIVED, "over")


def test_archiving_again_ends_what_an_archiving_that_broke_off_has_left(shop: World) -> None:
    shop.take_in(a_purchase())
    failpoints.arm("advance:1:raise")
    with pytest.raises(TemporaryError):
        archive(shop)
    assert runs(shop) == {"T-1": ("active", None)}
    again = archive(shop, reason="another reason")
    assert (again.changed, again.ended, again.switch.reason) == (False, 1, "over")
    assert archive(shop).ended == 0
    assert [action for action, _ in audited(shop)] == ["workflow.archive"]


def test_whoever_an_archiving_that_broke_off_has_left_gets_no_letter(shop: World) -> None:
    shop.take_in(a_purchase())
    write_letters(shop)
    failpoints.arm("advance:1:raise")
    with pytest.raises(TemporaryError):
        archive(shop)
    shop.drain()
    assert letters(shop) == {"T-1 arrived": ("cancelled", "the workflow is archived")}
    assert runs(shop) == {"T-1": ("exited", "archived")}
    assert sent(shop) == []


def test_more_runs_than_one_batch_holds_all_end(shop: World) -> None:
    shop.take_in(*(a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(switch.BATCH + 5)))
    assert archive(shop).ended == switch.BATCH + 5


# -- who comes in while it is archived --


def test_who_was_to_come_in_by_a_bundle_that_was_read_before_does_not(postgres_url: str, tmp_path: Path) -> None:
    engine, other = make_engine(postgres_url), make_engine(postgres_url)
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase(), enroll=False)
    with writing(other) as conn:
        bundle = Library().newest(conn)
        assert bundle.workflows["check-in"].status is WorkflowStatus.LIVE
        archive(shop)
        (refused,) = come_in(conn, bundle, shop)
    assert refused.reason == "the workflow is archived"
    assert shop.rows("enrollments") == []
    engine.dispose()
    other.dispose()


def test_who_is_coming_in_at_that_moment_is_waited_for_and_ends_as_well(postgres_url: str, tmp_path: Path) -> None:
    engine, other = make_engine(postgres_url), make_engine(postgres_url)
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase(), enroll=False)
    with ThreadPoolExecutor(1) as pool:
        with writing(other) as conn:
            (entered,) = come_in(conn, Library().newest(conn), shop)
            assert entered.enrollment_id is not None
            archiving = pool.submit(archive, shop)
            waits(engine, archiving.done)
            assert not archiving.done()
        assert archiving.result(timeout=20).ended == 1
    assert runs(shop) == {"T-1": ("exited", "archived")}
    engine.dispose()
    other.dispose()


def come_in(conn: Connection, bundle: Bundle, shop: World) -> list[Entered]:
    recorded = events.of_order(conn, 1, "order.delivered")
    assert recorded is not None
    return enroll(conn, triggered_by(bundle, [recorded]), bundle=bundle, now=shop.clock.now())


def test_of_many_who_come_in_while_it_is_archived_none_stays_inside(postgres_url: str, tmp_path: Path) -> None:
    engine = make_engine(postgres_url, connections=8)
    shop = shop_with(engine, tmp_path)
    purchases = [a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(60)]

    def come(number: int) -> None:
        if number == 30:
            archive(shop)
        else:
            shop.take_in(purchases[number])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(come, range(60)))
    assert set(runs(shop).values()) <= {("exited", "archived")}
    engine.dispose()


# -- everywhere --


def everywhere(shop: World) -> None:
    """Let there be a run at every place where one can be; its order is called after it."""
    for number, (name, answer) in enumerate({"asked": Accepted("X"), "unknown": Unknown("lost")}.items()):
        shop.post.transport.answer = answer
        shop.take_in(a_purchase(name, email=f"{number}@example.com"))
        shop.drain()
    shop.post.transport.answer = Accepted("X")
    shop.take_in(a_purchase("waiting", email="waiting@example.com"))
    shop.drain()
    token = shop.rows("messages")[-1].token
    answers.confirm(shop.engine, token, "fine", "", library=shop.library, clock=shop.clock)
    shop.drain()
    for state in ("due", "held", "blocked", "claimed", "sending"):
        shop.take_in(a_purchase(state, email=f"{state}@example.com"))
        write_letters(shop)
        put(shop, state)
    with writing(shop.engine) as conn:
        (of,) = {row.version_id for row in shop.rows("enrollments")}
        held_out = enrollments.NewEnrollment(
            workflow="check-in",
            version_id=of,
            customer_id=1,
            order_id=None,
            entry_key="held out",
            trigger_event_id=None,
            entered_at=shop.clock.now(),
            first_step=None,
            wake_at=None,
            state=EnrollmentState.HELD_OUT,
        )
        enrollments.add(conn, held_out)


def put(shop: World, state: str) -> None:
    """Put the newest letter into *state*."""
    values: dict[str, Any] = {"state": state}
    if state == "held":
        values |= {"due_at": None, "not_after": None, "reason": "everything is halted"}
    if state in {"claimed", "sending"}:
        values |= {"leased_until": real_now(120), "attempts": 1}
    if state == "sending":
        values |= {"token": "T" * 22, "sending_at": shop.clock.now()}
    newest = shop.rows("messages")[-1].id
    with writing(shop.engine) as conn:
        conn.execute(update(schema.messages).where(schema.messages.c.id == newest).values(values))


# -- where it is shown --


def test_what_is_switched_is_in_the_numbers_and_beside_its_workflow(shop: World) -> None:
    told = pause(shop).switch
    assert lookups.status(shop.engine).switched == {"check-in": told}
    (listed,) = lookups.workflows(shop.engine, library=shop.library)
    assert (listed.workflow.status, listed.switch) == (WorkflowStatus.PAUSED, told)


def test_the_checkup_says_what_is_switched_and_what_an_archiving_has_left(shop: World) -> None:
    def findings() -> list[tuple[str, str, str]]:
        with reading(shop.engine) as conn:
            found = checkup_record.record_findings(conn, a_setup(), library=shop.library, now=shop.clock.now())
            return [(one.grade.value, one.text, one.remedy) for one in found if one.what in {"paused", "archived"}]

    assert findings() == []
    pause(shop)
    shop.later(days=2)
    said = "check-in is paused by an operator for 2 days: wrong price"
    assert findings() == [("warn", said, "followup resume check-in shows what would leave")]
    resume(shop)
    shop.take_in(a_purchase(delivered_at=shop.clock.now()))
    failpoints.arm("advance:1:raise")
    with pytest.raises(TemporaryError):
        archive(shop)
    ((grade, said, remedy),) = findings()
    assert (grade, remedy) == ("warn", "followup archive check-in ends the rest")
    assert said.endswith(": over; 1 still inside")
    archive(shop)
    assert findings()[0][0] == "ok"
