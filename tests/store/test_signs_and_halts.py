from datetime import timedelta

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import IntegrityError

from followup.core.message import HaltScope
from followup.store import halts, signs
from followup.store.engine import reading, writing
from followup.store.halts import Halt
from followup.store.schema import halts as halts_table
from followup.store.schema import signs_of_life
from followup.store.types import real_now
from tests.store.make import at


def test_the_last_sign_is_the_one_that_counts(engine: Engine) -> None:
    with writing(engine) as conn:
        for what in (signs.SWEEP, signs.EVENTS, signs.INBOUND):
            signs.seen(conn, what)
        conn.execute(update(signs_of_life).values(seen_at=real_now(-3600)))
        signs.seen(conn, signs.EVENTS)
        ages = signs.ages(conn)
    assert list(ages) == ["events", "inbound", "sweep"]
    assert ages["events"] < timedelta(seconds=30) < timedelta(hours=1) <= ages["sweep"]


def test_ages_are_measured_by_the_clock_that_dated_the_signs(engine: Engine) -> None:
    with writing(engine) as conn:
        assert signs.ages(conn) == {}
        signs.seen(conn, signs.SWEEP)
        conn.execute(update(signs_of_life).values(seen_at=real_now(-90)))
        signs.seen(conn, signs.INBOUND)
    with reading(engine) as conn:
        ages = signs.ages(conn)
    assert timedelta(seconds=89) < ages["sweep"] < timedelta(seconds=150)
    assert timedelta() <= ages["inbound"] < timedelta(seconds=30)


def test_a_sign_from_a_clock_that_was_set_back_is_no_age_below_zero(engine: Engine) -> None:
    with writing(engine) as conn:
        signs.seen(conn, signs.SWEEP)
        conn.execute(update(signs_of_life).values(seen_at=real_now(3600)))
        assert signs.ages(conn) == {"sweep": timedelta()}


def test_the_first_reason_to_halt_stands_until_it_is_lifted(engine: Engine) -> None:
    with writing(engine) as conn:
        assert halts.current(conn) == {}
        assert halts.halt(conn, HaltScope.ALL, reason="wrong price", now=at(0))
        assert not halts.halt(conn, HaltScope.ALL, reason="another", now=at(1))
        assert halts.current(conn) == {HaltScope.ALL: Halt("wrong price", at(0))}
        assert halts.lift(conn, HaltScope.ALL)
        assert not halts.lift(conn, HaltScope.ALL)
        assert halts.current(conn) == {}


def test_the_database_knows_no_other_scope(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as conn:
        conn.execute(halts_table.insert(), [{"scope": "some", "reason": "x", "since": at(0)}])
