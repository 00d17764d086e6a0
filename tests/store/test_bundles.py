from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import NoResultFound

from followup.store import bundles
from followup.store.engine import reading, writing
from tests.store.make import at, rows_of

FILES = {"workflows/care.yaml": "name: care\n", "templates/hello.md": "Grüße 🎁"}


def applied(conn: Connection, hash_: str, now: datetime) -> bool:
    return bundles.add(conn, hash_, FILES, now=now)


def test_nothing_runs_before_something_was_applied(engine: Engine) -> None:
    with reading(engine) as conn:
        assert bundles.newest_hash(conn) is None


def test_the_bundle_applied_last_runs(engine: Engine) -> None:
    with writing(engine) as conn:
        assert applied(conn, "a", at(1))
        assert applied(conn, "b", at(2))
        assert bundles.newest_hash(conn) == "b"
        stored = bundles.load(conn, "a")
    assert (stored.hash, stored.files, stored.applied_at) == ("a", FILES, at(1))


def test_the_same_bundle_again_is_nothing_new(engine: Engine) -> None:
    with writing(engine) as conn:
        applied(conn, "a", at(1))
        assert not applied(conn, "a", at(2))
        assert bundles.load(conn, "a").applied_at == at(1)


def test_an_older_bundle_applied_again_moves_up(engine: Engine) -> None:
    with writing(engine) as conn:
        applied(conn, "a", at(1))
        applied(conn, "b", at(2))
        assert applied(conn, "a", at(3))
        assert bundles.newest_hash(conn) == "a"
        assert bundles.load(conn, "b").applied_at == at(2)
        assert rows_of(conn, bundles.bundles) == 2


@pytest.mark.parametrize("hash_", ["a", "new"])
def test_a_bundle_applied_under_an_older_clock_runs_all_the_same(engine: Engine, hash_: str) -> None:
    with writing(engine) as conn:
        applied(conn, "a", at(5))
        applied(conn, "b", at(9))
        assert applied(conn, hash_, at(1))
        assert bundles.newest_hash(conn) == hash_


def test_one_bundle_applied_from_many_sides_at_once_is_one(engine: Engine) -> None:
    def apply(_: int) -> bool:
        with writing(engine) as conn:
            return applied(conn, "a", at(1))

    with ThreadPoolExecutor(4) as pool:
        assert any(pool.map(apply, range(8)))
    with reading(engine) as conn:
        assert rows_of(conn, bundles.bundles) == 1


def test_a_version_of_a_workflow_is_stored_once(engine: Engine) -> None:
    with writing(engine) as conn:
        first = bundles.version_ids(conn, {"care": ("h1", "one"), "news": ("h1", "two")})
        second = bundles.version_ids(conn, {"care": ("h2", "three"), "news": ("h1", "two")})
        assert second["news"] == first["news"]
        assert len({*first.values(), *second.values()}) == 3
        assert bundles.version_ids(conn, {"care": ("h1", "one")}) == {"care": first["care"]}
        assert bundles.version_source(conn, first["care"]) == ("care", "one")
        assert bundles.version_source(conn, second["care"]) == ("care", "three")
        assert bundles.version_ids(conn, {}) == {}


def test_what_was_never_applied_cannot_be_loaded(engine: Engine) -> None:
    with reading(engine) as conn, pytest.raises(NoResultFound):
        bundles.load(conn, "nothing")
