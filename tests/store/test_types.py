from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, Integer, MetaData, Table, Text, delete, insert, select, text, type_coerce
from sqlalchemy.exc import StatementError

from followup.store.engine import reading, writing
from followup.store.schema import audit
from followup.store.types import UTCDateTime, insert_new, real_now

MOMENTS = Table("moments", MetaData(), Column("id", Integer, primary_key=True), Column("at", UTCDateTime))
moments = st.datetimes(
    min_value=datetime(1970, 1, 2), max_value=datetime(2199, 1, 1), timezones=st.just(UTC) | st.timezones()
)
on_one_database = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)


@pytest.fixture
def with_moments(engine: Engine) -> Engine:
    MOMENTS.create(engine)
    return engine


@on_one_database
@given(moments)
def test_a_moment_comes_back_to_the_microsecond_in_utc(with_moments: Engine, moment: datetime) -> None:
    with writing(with_moments) as conn:
        conn.execute(delete(MOMENTS))
        conn.execute(insert(MOMENTS), [{"at": moment}])
        kept = conn.execute(select(MOMENTS.c.at)).scalar_one()
    assert kept == moment.astimezone(UTC)  # in UTC: an hour that comes twice equals no other
    assert kept.utcoffset() == timedelta(0)


@on_one_database
@given(st.lists(moments, min_size=2, max_size=5))
def test_moments_sort_and_compare_as_time_does(with_moments: Engine, given_: list[datetime]) -> None:
    these = [moment.astimezone(UTC) for moment in given_]
    with writing(with_moments) as conn:
        conn.execute(delete(MOMENTS))
        conn.execute(insert(MOMENTS), [{"at": moment} for moment in given_])
        assert list(conn.scalars(select(MOMENTS.c.at).order_by(MOMENTS.c.at))) == sorted(these)
        earlier = list(conn.scalars(select(MOMENTS.c.at).where(MOMENTS.c.at < these[0])))
    assert sorted(earlier) == sorted(moment for moment in these if moment < these[0])


def test_a_moment_without_a_zone_is_refused(with_moments: Engine) -> None:
    with pytest.raises(StatementError, match="has no time zone"), writing(with_moments) as conn:
        conn.execute(insert(MOMENTS), [{"at": datetime(2026, 3, 2, 9)}])


def test_no_moment_stays_none(with_moments: Engine) -> None:
    with writing(with_moments) as conn:
        conn.execute(insert(MOMENTS), [{"at": None}])
        assert conn.execute(select(MOMENTS.c.at)).scalar_one() is None


def test_sqlite_keeps_moments_as_text_of_one_width(sqlite_engine: Engine) -> None:
    MOMENTS.create(sqlite_engine)
    east = timezone(timedelta(hours=5, minutes=30))
    with writing(sqlite_engine) as conn:
        conn.execute(insert(MOMENTS), [{"at": datetime(2026, 3, 2, tzinfo=east)}])
        assert conn.scalar(text("SELECT at FROM moments")) == "2026-03-01 18:30:00.000000"
        now = conn.execute(select(type_coerce(real_now(), Text))).scalar_one()
        assert len(now) == len("2026-03-01 18:30:00.000000"), "or leases would compare wrongly"


def test_the_database_clock_is_the_real_one_plus_seconds(engine: Engine) -> None:
    before = datetime.now(UTC)  # noqa: TID251 - the real clock is what is compared
    with reading(engine) as conn:
        now = conn.execute(select(real_now())).scalar_one()
        later, earlier = conn.execute(select(real_now(3_600), real_now(-3_600))).one()
    assert abs(now - before) < timedelta(minutes=1)
    assert abs(later - now - timedelta(hours=1)) < timedelta(minutes=1)
    assert abs(now - earlier - timedelta(hours=1)) < timedelta(minutes=1)


def test_the_database_clock_goes_on_within_a_transaction(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        assert conn.scalar(select(real_now())) < conn.scalar(select(real_now()))  # type: ignore[operator]


def test_only_rows_that_break_no_unique_constraint_are_inserted(engine: Engine) -> None:
    with writing(engine) as conn:
        row = {"at": datetime(2026, 3, 2, tzinfo=UTC), "action": "a", "data": {}}
        assert [one.id for one in insert_new(conn, audit, [row | {"id": 1}, row | {"id": 2}], audit.c.id)] == [1, 2]
        assert [one.id for one in insert_new(conn, audit, [row | {"id": 2}, row | {"id": 3}], audit.c.id)] == [3]
        assert insert_new(conn, audit, [], audit.c.id) == []
