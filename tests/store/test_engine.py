import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from followup.errors import ConfigurationError, TemporaryError
from followup.store.engine import durably, make_engine, reading, writing
from followup.store.postgresql import unhurried
from followup.store.schema import audit
from followup.store.upgrade import current, newest, upgrade
from tests.store.make import START, rows_of

ROW = {"at": START, "action": "a", "data": {}}


def write(engine: Engine, *rows: dict[str, Any], transaction=writing) -> None:
    with transaction(engine) as conn:
        for row in rows:
            conn.execute(insert(audit), [row])


# -- which database --


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/d", "postgresql://u:secret@h/d", "sqlite://", "sqlite:///:memory:", "shop.db", ""]
)
def test_a_database_we_do_not_speak_is_refused_by_name_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as error:
        make_engine(url)
    assert "sqlite:///FILE" in error.value.hint
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:secret@host:port/d", "postgresql+psycopg://u:secret@h:1:2/d"])
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL cannot be read") as error:
        make_engine(url)
    assert "secret" not in str(error.value)


def test_nothing_connects_before_it_is_used(tmp_path: Path) -> None:
    make_engine(f"sqlite:///{tmp_path / 'new.db'}").dispose()
    make_engine("postgresql+psycopg://nobody@127.0.0.1:1/none").dispose()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("transaction", [reading, writing, durably])
def test_a_server_that_is_away_is_a_temporary_error_without_passwords(transaction) -> None:
    engine = make_engine("postgresql+psycopg://ana:secret@127.0.0.1:1/shop?sslpassword=topsecret")
    with pytest.raises(TemporaryError, match="cannot be used") as error, transaction(engine):
        pass
    assert "127.0.0.1:1/shop" in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert "DATABASE_URL" in error.value.hint


def test_a_folder_that_is_not_there_is_a_temporary_error(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'nowhere' / 'a.db'}")
    with pytest.raises(TemporaryError, match=r"nowhere/a\.db cannot be used: unable to open"), writing(engine):
        pass


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("order_id,placed_at,email\n" * 100)
    engine = make_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(ConfigurationError, match=r"a\.db is no SQLite database") as error, writing(engine):
        pass
    assert "DATABASE_URL" in error.value.hint


def test_a_connection_that_the_server_cut_is_a_temporary_error_and_the_next_one_works(postgres_engine: Engine) -> None:
    with reading(postgres_engine) as conn:
        pid = conn.scalar(text("SELECT pg_backend_pid()"))
    cut = text("SELECT pg_terminate_backend(:pid)")

    def be_cut_while_writing() -> None:
        with writing(postgres_engine) as conn, writing(postgres_engine) as other:
            conn.execute(insert(audit), [ROW])
            other.execute(cut, {"pid": pid})
            conn.execute(insert(audit), [ROW])

    with pytest.raises(TemporaryError):
        be_cut_while_writing()
    with reading(postgres_engine) as conn:
        assert rows_of(conn, audit) == 0
        idle = conn.scalar(text("SELECT pg_backend_pid()"))
    outside = create_engine(postgres_engine.url)
    with outside.begin() as conn:
        conn.execute(cut, {"pid": idle})
    outside.dispose()
    with reading(postgres_engine) as conn:
        assert rows_of(conn, audit) == 0, "a dead connection in the pool is replaced unseen"


# -- PostgreSQL that does not answer --


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a server process: its machine still acknowledges what comes, and nothing answers."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def server_process(conn: Connection) -> int:
    pid: int = conn.scalar(text("SELECT pg_backend_pid()"))
    return pid


def longest(conn: Connection) -> str:
    found: str = conn.scalar(text("SHOW statement_timeout"))
    return found


@pytest.fixture
def hasty(postgres_url: str) -> Iterator[Engine]:
    """Yield an engine that gives a statement half a second."""
    engine = make_engine(postgres_url, statement_seconds=0.5)
    yield engine
    engine.dispose()


def test_a_server_that_stops_answering_is_given_up_and_the_next_connection_works(hasty: Engine) -> None:
    def ask_a_stopped_server() -> None:
        with reading(hasty) as conn, stopped(server_process(conn)):
            conn.execute(text("SELECT 1"))

    began = time.monotonic()
    with pytest.raises(TemporaryError, match=r"did not answer for 2\.5 seconds"):
        ask_a_stopped_server()
    assert 2.5 <= time.monotonic() - began < 8
    with reading(hasty) as conn:
        assert conn.scalar(text("SELECT 1")) == 1


def test_a_connection_that_stalls_in_the_pool_is_given_up_too(hasty: Engine) -> None:
    with reading(hasty) as conn:
        resting = server_process(conn)
    with stopped(resting), reading(hasty) as conn:
        assert server_process(conn) != resting


def test_a_statement_that_takes_too_long_is_ended_by_the_server(hasty: Engine) -> None:
    with pytest.raises(TemporaryError, match="statement timeout"), writing(hasty) as conn:
        conn.execute(text("SELECT pg_sleep(20)"))
    with reading(hasty) as conn:
        assert longest(conn) == "500ms"


def test_an_answer_that_keeps_coming_is_no_silence(hasty: Engine) -> None:
    rows = text("SELECT n, repeat('x', 4000), pg_sleep(0.2) FROM generate_series(1, 16) n")
    with reading(hasty) as conn:
        conn.execute(text("SET LOCAL statement_timeout = 0"))
        assert len(conn.execute(rows).all()) == 16


def test_a_limit_of_the_operators_own_stays_and_is_waited_for(postgres_url: str) -> None:
    url = make_url(postgres_url).update_query_dict({"options": "-c statement_timeout=20s"})
    engine = make_engine(url.render_as_string(hide_password=False), statement_seconds=0.5)
    with reading(engine) as conn:
        assert longest(conn) == "20s"
        conn.execute(text("SELECT pg_sleep(3)"))
    engine.dispose()


def test_a_statement_may_be_unhurried(hasty: Engine) -> None:
    with writing(hasty) as conn, unhurried(conn):
        conn.execute(text("SELECT pg_sleep(3)"))
        assert longest(conn) == "0"
    with pytest.raises(TemporaryError, match="statement timeout"), writing(hasty) as conn:
        conn.execute(text("SELECT pg_sleep(20)"))


def test_a_lost_peer_is_noticed_and_a_url_that_says_otherwise_is_heard(postgres_url: str) -> None:
    engine = make_engine(f"{postgres_url}&keepalives_idle=5")
    with reading(engine) as conn:
        assert conn.connection.driver_connection is not None
        asked = {option.keyword.decode(): option.val for option in conn.connection.driver_connection.pgconn.info}
    assert (asked["keepalives_idle"], asked["keepalives_interval"], asked["tcp_user_timeout"]) == (
        b"5",
        b"10",
        b"10000",
    )
    engine.dispose()


def test_who_waits_for_a_connection_gives_up_before_a_proxy_does(postgres_engine: Engine) -> None:
    assert getattr(postgres_engine.pool, "_timeout") == 10  # noqa: B009 - mypy knows no such attribute


# -- bugs stay bugs --


@pytest.mark.parametrize("statement", ["SELEC 1", "SELECT nothing FROM audit", "SELECT 1 FROM nowhere"])
def test_a_statement_the_database_does_not_understand_is_no_temporary_error(engine: Engine, statement: str) -> None:
    with pytest.raises(SQLAlchemyError) as error, writing(engine) as conn:
        conn.execute(text(statement))
    assert isinstance(error.value, OperationalError | ProgrammingError)


def test_text_that_sqlite_cannot_decode_is_no_temporary_error(sqlite_engine: Engine) -> None:
    with pytest.raises(OperationalError, match="Could not decode"), writing(sqlite_engine) as conn:
        conn.execute(text("SELECT CAST(x'ff' AS TEXT)")).all()


# -- transactions --


@pytest.mark.parametrize("transaction", [writing, durably])
def test_a_transaction_is_committed_whole_or_not_at_all(engine: Engine, transaction) -> None:
    with transaction(engine) as conn:
        conn.execute(insert(audit), [ROW | {"id": 1}])
    with pytest.raises(IntegrityError):
        write(engine, ROW | {"id": 2}, ROW | {"id": 1}, transaction=transaction)
    with reading(engine) as conn:
        assert rows_of(conn, audit) == 1


def test_a_reader_sees_one_state_and_does_not_wait_for_a_writer(engine: Engine) -> None:
    with reading(engine) as reader:
        assert rows_of(reader, audit) == 0
        with writing(engine) as writer:
            writer.execute(insert(audit), [ROW])
            assert rows_of(reader, audit) == 0
        assert rows_of(reader, audit) == 0, "committed since, but not in this look"
    with reading(engine) as reader:
        assert rows_of(reader, audit) == 1


def test_postgresql_refuses_to_write_while_reading(postgres_engine: Engine) -> None:
    with pytest.raises(SQLAlchemyError, match="read-only"), reading(postgres_engine) as conn:
        conn.execute(insert(audit), [ROW])
    with writing(postgres_engine) as conn:
        conn.execute(insert(audit), [ROW])


def test_threads_that_read_and_then_write_never_find_the_database_locked(engine: Engine) -> None:
    start = Barrier(4)

    def write(_: int) -> None:
        start.wait()
        for _ in range(25):
            with writing(engine) as conn:
                rows_of(conn, audit)
                conn.execute(insert(audit), [ROW])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with reading(engine) as conn:
        assert rows_of(conn, audit) == 100


def test_a_writer_that_never_ends_makes_others_give_up_with_a_temporary_error(sqlite_engine: Engine) -> None:
    with reading(sqlite_engine) as first, reading(sqlite_engine) as second:
        for conn in (first, second):  # both go back to the pool, impatient
            conn.exec_driver_sql("PRAGMA busy_timeout=1")
    with writing(sqlite_engine), pytest.raises(TemporaryError, match="database is locked"):
        write(sqlite_engine, ROW)


def test_processes_that_start_at_once_on_an_empty_database_migrate_it_once(empty_database_url: str) -> None:
    start = Barrier(4)

    def begin(_: int) -> bool:
        engine = make_engine(empty_database_url)
        start.wait()
        try:
            return upgrade(engine)
        finally:
            engine.dispose()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(begin, range(4))) == 1
    engine = make_engine(empty_database_url)
    with reading(engine) as conn:
        assert current(conn) == newest()
    engine.dispose()


def test_a_new_file_that_another_process_writes_to_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE t (x)")
    waits: list[float] = []

    def go_on(seconds: float) -> None:
        waits.append(seconds)
        other.execute("COMMIT")

    monkeypatch.setattr("followup.store.engine.time.sleep", go_on)
    engine = make_engine(f"sqlite:///{tmp_path / 'new.db'}")
    with reading(engine) as conn:
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert len(waits) == 1
    engine.dispose()
    other.close()


# -- what survives --


def synchronous(engine: Engine, transaction) -> int:
    with transaction(engine) as conn:
        found: int = conn.scalar(text("PRAGMA synchronous"))
        return found


def test_what_must_survive_a_power_cut_is_written_through_and_nothing_else(sqlite_engine: Engine) -> None:
    normal, full = 1, 2
    kinds = [writing, durably, durably, writing, reading, durably, reading]
    assert [synchronous(sqlite_engine, kind) for kind in kinds] == [normal, full, full, normal, normal, full, normal]


def test_a_full_disk_is_a_temporary_error_and_leaves_no_partial_row(sqlite_engine: Engine) -> None:
    with sqlite_engine.connect() as conn:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count={pages + 4}")
    with pytest.raises(TemporaryError, match="database or disk is full"):
        write(sqlite_engine, ROW, ROW | {"data": {"big": "x" * 100_000}})
    with writing(sqlite_engine) as conn:
        assert rows_of(conn, audit) == 0
        assert conn.scalar(text("PRAGMA integrity_check")) == "ok"
        conn.execute(insert(audit), [ROW])
    with reading(sqlite_engine) as conn:
        assert rows_of(conn, audit) == 1


def test_every_connection_to_sqlite_keeps_foreign_keys(sqlite_engine: Engine) -> None:
    with reading(sqlite_engine) as one, reading(sqlite_engine) as two:
        assert [conn.scalar(text("PRAGMA foreign_keys")) for conn in (one, two)] == [1, 1]
