from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from redis import Redis
from sqlalchemy import Engine, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from followup.core.message import HaltScope
from followup.errors import TemporaryError
from followup.store import halts
from followup.store.engine import make_engine, reading, writing
from followup.store.schema import metadata, orders, timers
from followup.store.types import real_now
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


MESSAGE = (
    "INSERT INTO messages (enrollment_id, customer_id, workflow, step, round, letter, sender, priority, state,"
    " attempts, due_at, not_after, token, sending_at, accepted_at, leased_until) VALUES"
    " (1, 1, 'care', :state, 0, 'hello', 'mara', 0, :state, 0, {due}, '2026-03-05 09:00:00.000000', {token},"
    " {left}, {accepted}, {leased})"
)
NOW = "'2026-03-02 09:00:00.000000'"
AS_THEY_WERE = {  # what 0002 knew of a letter in each state: due, token, left, accepted, leased
    "due": (NOW, "NULL", "NULL", "NULL", "NULL"),
    "held": ("NULL", "NULL", "NULL", "NULL", "NULL"),
    "claimed": (NOW, "NULL", "NULL", "NULL", NOW),
    "blocked": (NOW, "NULL", "NULL", "NULL", "NULL"),
    "sending": (NOW, "'t1'", NOW, "NULL", NOW),
    "unknown": (NOW, "'t2'", NOW, "NULL", "NULL"),
    "accepted": (NOW, "'t3'", NOW, NOW, "NULL"),
}


def letters_of_0002(engine: Engine) -> None:
    """Write a letter in each state, and what they refer to, as the release before knew them."""
    with writing(engine) as conn:
        for statement in (
            f"INSERT INTO customers (id, address, email, consent_basis, tags, remembered, as_of, created_at)"
            f" VALUES (1, 'a@example.com', 'a@example.com', 'unknown', '[]', '{{}}', {NOW}, {NOW})",
            "INSERT INTO workflow_versions (id, name, hash, source) VALUES (1, 'care', 'h', 'name: care')",
            "INSERT INTO enrollments"
            " (id, workflow, version_id, customer_id, entry_key, state, phase, since, entered_at)"
            f" VALUES (1, 'care', 1, 1, 'k', 'active', 'before', {NOW}, {NOW})",
            f"INSERT INTO halts (scope, reason, since) VALUES ('all', 'a moment', {NOW}), ('sender', '401', {NOW})",
        ):
            conn.exec_driver_sql(statement)
        for state, (due, token, left, accepted, leased) in AS_THEY_WERE.items():
            insert = MESSAGE.format(due=due, token=token, left=left, accepted=accepted, leased=leased)
            conn.execute(text(insert), {"state": state})


def test_letters_of_the_release_before_come_through_the_upgrade(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    upgrade_to(engine, "0002")
    letters_of_0002(engine)
    assert upgrade(engine)
    with reading(engine) as conn:
        states = conn.scalars(text("SELECT state FROM messages ORDER BY id")).all()
        assert states == list(AS_THEY_WERE)
        assert conn.scalars(text("SELECT failures FROM messages")).all() == [0] * len(states)
        assert set(halts.current(conn)) == {HaltScope.ALL}, "who was refused is found out anew"
    engine.dispose()


WRONG = {
    "due with a token": "UPDATE messages SET token = 'x' WHERE state = 'due'",
    "blocked that left": f"UPDATE messages SET sending_at = {NOW} WHERE state = 'blocked'",
    "claimed by nobody": "UPDATE messages SET leased_until = NULL WHERE state = 'claimed'",
    "sent by nobody": "UPDATE messages SET leased_until = NULL WHERE state = 'sending'",
    "another halt": f"INSERT INTO halts (scope, reason, since) VALUES ('some', '401', {NOW})",
    "a gap that ends before it begins": "INSERT INTO gaps (since, until, noted_at)"
    f" VALUES ({NOW}, '2026-01-01 00:00:00.000000', {NOW})",
    "less than no letters": "INSERT INTO workflow_limits (workflow, first) VALUES ('care', -1)",
    "a token of no letter": "INSERT INTO past_tokens (token, message_id, sending_at, given_up_at)"
    f" VALUES ('p', 99, {NOW}, {NOW})",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_an_upgraded_database_refuses_what_a_new_one_does(empty_database_url: str, wrong: str) -> None:
    engine = make_engine(empty_database_url)
    upgrade_to(engine, "0002")
    letters_of_0002(engine)
    upgrade(engine)
    with pytest.raises(IntegrityError), writing(engine) as conn:
        conn.exec_driver_sql(wrong)
    engine.dispose()


def test_a_file_whose_checks_were_written_into_it_is_whole(tmp_path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'a.db'}")
    upgrade_to(engine, "0002")
    letters_of_0002(engine)
    upgrade(engine)
    engine.dispose()  # nothing of it is only in the memory of the connection that wrote it
    with reading(engine) as conn:
        assert conn.scalars(text("PRAGMA integrity_check")).all() == ["ok"]
        assert conn.execute(text("PRAGMA foreign_key_check")).all() == []
        assert conn.scalar(text("PRAGMA writable_schema")) == 0
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


def test_what_is_promised_by_the_time_of_the_upgrade_is_watched(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    upgrade_to(engine, "0003")
    now = real_moment(engine)
    with writing(engine) as conn:
        conn.exec_driver_sql(
            "INSERT INTO customers (id, address, email, consent_basis, tags, remembered, as_of, created_at)"
            f" VALUES (1, 'a@example.com', 'a@example.com', 'unknown', '[]', '{{}}', {NOW}, {NOW})"
        )
        for number, (promised, status) in enumerate([(3, "paid"), (3, "delivered"), (-90, "paid")], start=1):
            conn.execute(
                insert(orders).values(
                    id=number, source="shop", external_id=f"o{number}", number=f"{number}", customer_id=1,
                    status=status, placed_at=now, promised_at=now + timedelta(days=promised), total_cents=0,
                    currency="EUR", is_gift=False, items=[], as_of=now,
                )
            )  # fmt: skip
    upgrade(engine)
    with reading(engine) as conn:
        [(kind, subject, due_at)] = conn.execute(select(timers.c.kind, timers.c.subject_id, timers.c.due_at)).all()
    assert (kind, subject) == ("promise", 1)
    assert abs(due_at - (now + timedelta(days=4))) < timedelta(seconds=1)
    engine.dispose()


def real_moment(engine: Engine) -> datetime:
    """Return the database's own time."""
    with reading(engine) as conn:
        moment: datetime = conn.scalar(select(real_now()))
    return moment
