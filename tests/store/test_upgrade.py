import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from redis import Redis
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from followup.store.engine import make_engine, reading, writing
from followup.store.schema import metadata
from followup.store.upgrade import current, newest, upgrade


def test_migrations_run_from_empty_once(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    with reading(engine) as conn:
        assert current(conn) is None
    assert upgrade(engine)
    assert not upgrade(engine)
    with reading(engine) as conn:
        assert current(conn) == newest()
    engine.dispose()


def test_migrations_make_exactly_the_schema_the_code_uses(engine: Engine) -> None:
    with reading(engine) as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert set(inspect(conn).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_the_database_refuses_a_state_nobody_knows(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as conn:
        conn.execute(
            text(
                "INSERT INTO inbound_mail (content_hash, received_at, channel, raw, state)"
                " VALUES ('x', '2026-01-01 00:00:00.000000', 'file', '', 'somewhere')"
            )
        )


def test_sqlite_keeps_a_write_ahead_log_and_foreign_keys(tmp_path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with writing(engine) as conn:
        assert conn.scalar(text("PRAGMA journal_mode")) == "wal"
        assert conn.scalar(text("PRAGMA foreign_keys")) == 1
        assert conn.scalar(text("PRAGMA busy_timeout")) >= 10_000
    engine.dispose()


def test_the_redis_of_the_tests_is_a_real_server(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        assert redis.ping()
