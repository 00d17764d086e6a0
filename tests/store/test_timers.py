"""Timers: one row for each thing that may not happen."""

from sqlalchemy import Engine, text

from followup.core.timer import TimerKind
from followup.store import timers
from followup.store.engine import writing
from tests.store.make import START, at, plan_of, taken_back

QUIET, PROMISE = TimerKind.QUIET, TimerKind.PROMISE


def test_a_timer_is_put_once_and_moves(engine: Engine) -> None:
    with writing(engine) as conn:
        timers.put(conn, PROMISE, {7: at(1), 8: at(2)})
        timers.put(conn, PROMISE, {7: at(5)})
        assert [(one.subject_id, one.due_at) for one in timers.due(conn, range(99), now=at(9))] == [
            (7, at(5)),
            (8, at(2)),
        ]
        assert timers.next_due(conn) == at(2)


def test_each_workflow_has_a_patience_of_its_own(engine: Engine) -> None:
    with writing(engine) as conn:
        timers.put(conn, QUIET, {1: at(1)}, workflow="a")
        timers.put(conn, QUIET, {1: at(2)}, workflow="b")
        timers.stop_all(conn, QUIET, workflow="a")
        assert [(one.workflow, one.due_at) for one in timers.due(conn, range(99), now=at(9))] == [("b", at(2))]


def test_only_what_is_due_is_leased_the_earliest_first_and_once(engine: Engine) -> None:
    with writing(engine) as conn:
        timers.put(conn, PROMISE, {1: at(3), 2: at(1), 3: at(2)})
        first = timers.lease_due(conn, now=at(2), seconds=60, limit=1)
        second = timers.lease_due(conn, now=at(2), seconds=60, limit=9)
        assert [one.subject_id for one in timers.due(conn, first, now=at(9))] == [2]
        assert [one.subject_id for one in timers.due(conn, second, now=at(9))] == [3]
        assert timers.lease_due(conn, now=at(2), seconds=60, limit=9) == []
        timers.free_leases(conn)
        assert len(timers.lease_due(conn, now=at(2), seconds=60, limit=9)) == 2


def test_moving_one_gives_its_lease_back(engine: Engine) -> None:
    with writing(engine) as conn:
        timers.put(conn, PROMISE, {1: at(1)})
        timers.lease_due(conn, now=at(2), seconds=60, limit=9)
        timers.put(conn, PROMISE, {1: at(2)})
        assert len(timers.lease_due(conn, now=at(2), seconds=60, limit=9)) == 1


def test_what_is_stopped_is_gone(engine: Engine) -> None:
    with writing(engine) as conn:
        timers.put(conn, PROMISE, {1: at(1), 2: at(1)})
        timers.stop(conn, PROMISE, [1])
        [left] = timers.due(conn, range(99), now=START.replace(year=2100))
        assert left.subject_id == 2
        assert timers.lock(conn, [left.id, 99]) == {left.id}
        timers.remove(conn, [left.id])
        assert timers.next_due(conn) is None


def test_finding_what_is_due_takes_the_index(engine: Engine) -> None:
    with taken_back(engine) as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET LOCAL enable_seqscan = off"))
        plan = plan_of(conn, lambda: timers.lease_due(conn, now=START, seconds=60, limit=9))
    assert "ix_timers_due_at_id" in plan
