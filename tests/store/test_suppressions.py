from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from followup.store import suppressions
from followup.store.engine import writing
from followup.store.suppressions import ALL, address_hash
from tests.store.make import START, at

KEY = "a key that never changes"


def test_an_address_is_kept_as_a_hash_that_depends_on_the_key() -> None:
    kept = address_hash("ana@shop.example", KEY)
    assert kept == "996ece161464b29160fa2647a67d38c9c7860d787b987de5dddfd4d194e74b4a"
    assert kept == address_hash("ana@shop.example", KEY)
    assert kept != address_hash("ana@shop.example", "another key")


@given(st.text(), st.text())
def test_two_addresses_never_share_a_hash(one: str, other: str) -> None:
    assert (address_hash(one, KEY) == address_hash(other, KEY)) is (one == other)


def test_an_address_is_suppressed_once_for_a_scope_and_the_first_reason_stands(engine: Engine) -> None:
    with writing(engine) as conn:
        assert suppressions.add(conn, "h", reason="unsubscribed", source="mail", now=START)
        assert not suppressions.add(conn, "h", reason="complained", source="event", now=at(1))
        assert suppressions.add(conn, "h", reason="not this one", source="mail", now=at(1), scope="care")
        assert suppressions.reasons(conn, ["h"], ["care"]) == {
            ("h", ALL): "unsubscribed",
            ("h", "care"): "not this one",
        }


def test_suppressions_are_read_for_the_addresses_and_workflows_asked_for(engine: Engine) -> None:
    with writing(engine) as conn:
        for hash_, scope in (("a", ALL), ("a", "care"), ("a", "news"), ("b", "care"), ("c", ALL)):
            suppressions.add(conn, hash_, reason="said so", source="mail", now=START, scope=scope)
        assert set(suppressions.reasons(conn, ["a", "b"], ["care"])) == {("a", ALL), ("a", "care"), ("b", "care")}
        assert set(suppressions.reasons(conn, ["a", "b"], [])) == {("a", ALL)}
        assert suppressions.reasons(conn, [], ["care"]) == {}
