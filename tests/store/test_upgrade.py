from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from redis import Redis
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from followup.errors import TemporaryError
from followup.store.engine import make_engine, reading, writing
from followup.store.schema import metadata
from followup.store.upgrade import LOCK, current, newest, upgrade


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


def upgrade_to(engine: Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "followup.store:migrations")
    with writing(engine) as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, revision)


def test_a_migration_gives_up_on_a_lock_before_everybody_waits_behind_it(empty_postgres_url: str) -> None:
    engine = make_engine(empty_postgres_url)
    upgrade_to(engine, "0001")
    with reading(engine) as busy:  # a long look, by a process of the release before
        assert busy.scalar(text("SELECT count(*) FROM answers")) == 0
        with pytest.raises(TemporaryError, match="a table is in use") as error:
            upgrade(engine, lock_seconds=0.2)
    assert "again" in error.value.hint
    with reading(engine) as conn:
        assert current(conn) == "0001"
        assert not inspect(conn).has_table("visits"), "nothing of it stays"
    engine.dispose()


def test_a_migration_takes_its_turn_however_long_the_one_before_takes(postgres_url: str) -> None:
    engine = make_engine(postgres_url, statement_seconds=0.2)
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as other:
            other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            second = pool.submit(upgrade, engine, lock_seconds=0.2)
            with pytest.raises(TimeoutError):
                second.result(timeout=3)
        assert second.result(timeout=10) is False
    engine.dispose()


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
