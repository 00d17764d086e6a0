from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from followup.core.enrollment import EnrollmentState, Phase, Position
from followup.store import enrollments
from followup.store.engine import writing
from followup.store.enrollments import Moved, StoredEnrollment
from tests.store.make import (
    START,
    a_customer,
    an_enrollment,
    an_entry,
    an_order,
    at,
    column,
    end_lease,
    plan_of,
    set_column,
    taken_back,
)


def moved(one: StoredEnrollment, **given: Any) -> Moved:
    known: dict[str, Any] = {
        "id": one.id,
        "rev": one.rev,
        "state": EnrollmentState.ACTIVE,
        "position": Position("ask", Phase.ASKED, at(3)),
        "wake_at": at(9),
        "ended_at": None,
        "outcome": None,
    }
    return Moved(**known | given)


def ended(conn: Connection, key: int) -> None:
    [one] = enrollments.lock(conn, [key])
    enrollments.save(conn, [moved(one, state=EnrollmentState.COMPLETED, wake_at=None, ended_at=at(5), outcome="happy")])


def leased(conn: Connection, now: datetime = START, seconds: int = 60, limit: int = 10) -> list[int]:
    return enrollments.lease_due(conn, now=now, seconds=seconds, limit=limit)


def wake_at(conn: Connection, key: int) -> datetime | None:
    found: datetime | None = column(conn, "enrollments", "wake_at", key)
    return found


# -- entering --


def test_an_entry_stands_before_its_first_step(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        order = an_order(conn, ana)
        key = an_enrollment(conn, ana, order_id=order, entered_at=at(-1), wake_at=at(1))
        stored = enrollments.by_id(conn, [key])[key]
    assert stored.enrollment.state is EnrollmentState.ACTIVE
    assert stored.enrollment.position == Position("hello", Phase.BEFORE, at(-1))
    assert stored.enrollment.entered_at == at(-1)
    assert (stored.customer_id, stored.order_id, stored.wake_at, stored.rev) == (ana, order, at(1), 0)


def test_one_entry_key_enters_a_workflow_once_even_after_it_has_ended(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        key = an_enrollment(conn, ana, entry_key="order 1")
        assert enrollments.add(conn, an_entry(conn, ana, entry_key="order 1")) is None
        ended(conn, key)
        assert enrollments.add(conn, an_entry(conn, ana, entry_key="order 1")) is None
        assert enrollments.add(conn, an_entry(conn, ana, entry_key="order 1", workflow="other")) is not None
        assert enrollments.add(conn, an_entry(conn, ana, entry_key="order 2")) is not None


def test_two_connections_enter_the_same_key_once(engine: Engine) -> None:
    with writing(engine) as conn:
        entry = an_entry(conn, a_customer(conn))

    def enter(_: int) -> int | None:
        with writing(engine) as conn:
            return enrollments.add(conn, entry)

    with ThreadPoolExecutor(4) as pool:
        entered = list(pool.map(enter, range(8)))
    assert len([key for key in entered if key is not None]) == 1


def test_an_entry_before_another_is_remembered(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
        ended(conn, an_enrollment(conn, ana, entry_key="1"))
        assert enrollments.entered_before(conn, "care", ana, other_than="2")
        assert not enrollments.entered_before(conn, "care", ana, other_than="1")
        assert not enrollments.entered_before(conn, "care", ben, other_than="2")
        assert not enrollments.entered_before(conn, "other", ana, other_than="2")


# -- leasing --


def test_what_is_due_is_leased_in_business_time(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        now, past = an_enrollment(conn, ana), an_enrollment(conn, ana, wake_at=at(-1))
        later = an_enrollment(conn, ana, wake_at=START + timedelta(microseconds=1))
        asleep = an_enrollment(conn, ana)
        set_column(conn, "enrollments", "wake_at", asleep, None)
        assert leased(conn) == [now, past]
        assert leased(conn, at(1)) == [later]


def test_a_lease_holds_in_real_time_however_far_the_business_clock_is(engine: Engine) -> None:
    with writing(engine) as conn:
        key = an_enrollment(conn)
        assert leased(conn) == [key]
        assert leased(conn, at(1_000_000)) == []
        end_lease(conn, "enrollments", key)
        assert leased(conn) == [key]
        assert leased(conn) == []


@pytest.mark.parametrize(("seconds", "taken_again"), [(-1, True), (60, False)])
def test_a_lease_lasts_for_its_seconds(engine: Engine, seconds: int, taken_again: bool) -> None:
    with writing(engine) as conn:
        an_enrollment(conn)
        assert leased(conn, seconds=seconds)
    with writing(engine) as conn:
        assert bool(leased(conn)) is taken_again


def test_leasing_changes_no_business_time(engine: Engine) -> None:
    with writing(engine) as conn:
        key = an_enrollment(conn)
        leased(conn, at(5))
        assert wake_at(conn, key) == START


def test_the_longest_due_are_leased_first_up_to_the_limit(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        keys = [an_enrollment(conn, ana, wake_at=at(hour)) for hour in (-1, -4, -2, -4, -3)]
        assert leased(conn, limit=2) == [keys[1], keys[3]]
        assert leased(conn, limit=1) == [keys[4]]
        assert leased(conn, limit=9) == [keys[0], keys[2]]


def test_the_limit_holds_whatever_plan_postgresql_makes(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        ana = a_customer(conn)
        for _ in range(50):
            an_enrollment(conn, ana)
        for plan in ("hashjoin", "hashagg", "sort", "material", "mergejoin", "memoize", "indexscan", "bitmapscan"):
            conn.execute(text(f"SET LOCAL enable_{plan} = off"))
        assert len(leased(conn, limit=3)) == 3


def test_two_open_transactions_lease_different_rows_without_waiting(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        ana = a_customer(conn)
        keys = [an_enrollment(conn, ana) for _ in range(5)]
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        assert leased(one, limit=2) == keys[:2]
        assert leased(two, limit=9) == keys[2:]


def test_leases_can_be_taken_back(engine: Engine) -> None:
    with writing(engine) as conn:
        key = an_enrollment(conn)
        leased(conn)
        enrollments.free_leases(conn)
        assert leased(conn) == [key]


def test_finding_what_is_due_takes_the_index_of_what_has_a_time(engine: Engine) -> None:
    with taken_back(engine) as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET LOCAL enable_seqscan = off"))
        plan = plan_of(conn, lambda: leased(conn))
    assert "ix_enrollments_due" in plan


# -- holding --


def test_only_active_enrollments_are_held_for_a_decision(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        keys = [an_enrollment(conn, ana) for _ in range(4)]
        ended(conn, keys[1])
        assert [one.id for one in enrollments.lock(conn, [keys[2], keys[1], keys[0]])] == [keys[0], keys[2]]
        held = enrollments.lock_free(conn, [keys[2], keys[1], keys[0]])
        assert [one.id for one in held] == keys[:3], "ended ones too"


def test_what_another_holds_is_passed_over(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        keys = [an_enrollment(conn, a_customer(conn, who)) for who in ("ana", "ben")]
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        enrollments.lock(one, keys[:1])
        assert [held.id for held in enrollments.lock_free(two, keys)] == keys[1:]


def test_with_a_run_are_held_the_others_of_its_customer(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        ana = a_customer(conn)
        keys = [an_enrollment(conn, ana) for _ in range(2)]
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        assert [held.id for held in enrollments.lock(one, keys[1:])] == keys[1:]
        assert enrollments.lock_free(two, keys) == []


# -- moving --


def test_a_move_is_saved_and_gives_the_lease_back(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        key, other = an_enrollment(conn, ana), an_enrollment(conn, ana)
        leased(conn)
        [one] = enrollments.lock(conn, [key])
        enrollments.save(conn, [moved(one)])
        stored = enrollments.by_id(conn, [key, other])
        assert stored[key].enrollment.position == Position("ask", Phase.ASKED, at(3))
        assert (stored[key].wake_at, stored[key].rev) == (at(9), 1)
        assert stored[other].enrollment.position.step == "hello"
        assert stored[other].rev == 0
        assert leased(conn, at(9)) == [key]


def test_an_ended_enrollment_keeps_its_outcome_and_sleeps(engine: Engine) -> None:
    with writing(engine) as conn:
        key = an_enrollment(conn)
        ended(conn, key)
        stored = enrollments.by_id(conn, [key])[key]
    assert stored.enrollment.state is EnrollmentState.COMPLETED
    assert (stored.ended_at, stored.outcome, stored.wake_at) == (at(5), "happy", None)


def test_a_move_from_an_outdated_reading_is_refused(engine: Engine) -> None:
    with writing(engine) as conn:
        key = an_enrollment(conn)
        [one] = enrollments.lock(conn, [key])
        enrollments.save(conn, [moved(one)])
        with pytest.raises(AssertionError, match="1 enrollments moved"):
            enrollments.save(conn, [moved(one, position=Position("late", Phase.ASKED, at(3)))])
        assert enrollments.by_id(conn, [key])[key].enrollment.position.step == "ask"


def test_what_has_ended_moves_no_more(engine: Engine) -> None:
    with writing(engine) as conn:
        key = an_enrollment(conn)
        ended(conn, key)
        [one] = enrollments.lock_free(conn, [key])
        with pytest.raises(AssertionError):
            enrollments.save(conn, [moved(one)])


def test_saving_nothing_is_no_trouble(engine: Engine) -> None:
    with writing(engine) as conn:
        enrollments.save(conn, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"ended_at": at(1)},
        {"state": EnrollmentState.EXITED, "wake_at": None},
        {"state": EnrollmentState.EXITED, "ended_at": at(1)},
    ],
    ids=["active and over", "over at no time", "over and awake"],
)
def test_the_database_takes_no_enrollment_that_is_half_over(engine: Engine, wrong: dict[str, Any]) -> None:
    with taken_back(engine) as conn:
        [one] = enrollments.lock(conn, [an_enrollment(conn)])
        with pytest.raises(IntegrityError):
            enrollments.save(conn, [moved(one, **wrong)])


@pytest.mark.parametrize("name", ["state", "phase"])
def test_the_database_takes_no_word_it_does_not_know(engine: Engine, name: str) -> None:
    with taken_back(engine) as conn, pytest.raises(IntegrityError):
        set_column(conn, "enrollments", name, an_enrollment(conn), "somewhere")


# -- waking --


def test_waking_brings_forward_but_never_postpones(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        early, late, asleep, over = (an_enrollment(conn, ana, wake_at=at(hour)) for hour in (1, 9, 9, 9))
        other = an_enrollment(conn, ana, wake_at=at(9))
        set_column(conn, "enrollments", "wake_at", asleep, None)
        ended(conn, over)
        enrollments.wake(conn, [early, late, asleep, over], at=at(5))
        assert [wake_at(conn, key) for key in (early, late, asleep, over, other)] == [at(1), at(5), at(5), None, at(9)]


def test_what_happens_to_customers_wakes_all_they_are_in(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben, cleo = (a_customer(conn, name) for name in ("ana", "ben", "cleo"))
        about_order = an_enrollment(conn, ana, order_id=an_order(conn, ana), wake_at=at(9))
        about_none, sooner, over, of_ben = (
            an_enrollment(conn, customer, wake_at=at(hour))
            for customer, hour in ((ana, 9), (ana, 1), (ana, 9), (ben, 9))
        )
        of_cleo = an_enrollment(conn, cleo, wake_at=at(9))
        ended(conn, over)
        enrollments.wake_for_events(conn, {ana, ben}, at=at(5))
        woken = [wake_at(conn, key) for key in (about_order, about_none, sooner, over, of_ben, of_cleo)]
    assert woken == [at(5), at(5), at(1), None, at(5), at(9)]


def test_the_next_wake_is_the_earliest_there_is(engine: Engine) -> None:
    with writing(engine) as conn:
        assert enrollments.next_wake(conn) is None
        ana = a_customer(conn)
        for hour in (4, 2, 3):
            an_enrollment(conn, ana, wake_at=at(hour))
        assert enrollments.next_wake(conn) == at(2)


# -- looking --


def test_enrollments_are_found_by_order_and_by_id(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        one, two = an_order(conn, ana, "1"), an_order(conn, ana, "2")
        keys = [an_enrollment(conn, ana, order_id=order) for order in (one, two, one)]
        ended(conn, keys[0])
        assert [found.id for found in enrollments.of_order(conn, one)] == [keys[0], keys[2]]
        assert set(enrollments.by_id(conn, keys[:2])) == set(keys[:2])


def test_enrollments_are_counted_by_state_and_workflow(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        for workflow in ("care", "care", "news", "care"):
            key = an_enrollment(conn, ana, workflow=workflow)
        ended(conn, key)
        assert enrollments.count_by_state(conn) == {"active": 3, "completed": 1}
        assert enrollments.count_by_workflow(conn) == {"care": {"active": 2, "completed": 1}, "news": {"active": 1}}
