from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, select, text

from followup.core.replies import InboundState
from followup.store import inbound_mail
from followup.store.engine import writing
from tests.store.make import START, a_mail, at, column, end_lease, plan_of, rows_of, taken_back

ENDS = [state for state in InboundState if state is not InboundState.RECEIVED]


@pytest.mark.parametrize("raw", [b"", b"Subject: hi\r\n\r\nhi", bytes(range(256)) * 1000])
def test_a_mail_comes_back_byte_for_byte(engine: Engine, raw: bytes) -> None:
    with writing(engine) as conn:
        key, new = inbound_mail.add(conn, raw, channel="file", now=at(1))
        assert new
        stored = inbound_mail.load(conn, key)
        assert inbound_mail.state_of(conn, key) == (InboundState.RECEIVED, None)
        assert column(conn, "inbound_mail", "channel", key) == "file"
    assert (stored.id, stored.raw, stored.received_at) == (key, raw, at(1))


def test_the_same_bytes_are_one_row_whatever_became_of_it(engine: Engine) -> None:
    with writing(engine) as conn:
        key = a_mail(conn, b"one")
        assert inbound_mail.add(conn, b"one", channel="sendgrid", now=at(1)) == (key, False)
        inbound_mail.finish(conn, key, InboundState.FAILED, error="what")
        assert inbound_mail.add(conn, b"one", channel="sendgrid", now=at(1)) == (key, False)
        assert inbound_mail.add(conn, b"two", channel="file", now=at(1))[1]


def test_the_same_bytes_from_two_sides_at_once_are_one_row(engine: Engine) -> None:
    def store(_: int) -> tuple[int, bool]:
        with writing(engine) as conn:
            return inbound_mail.add(conn, b"one", channel="file", now=START)

    with ThreadPoolExecutor(4) as pool:
        stored = list(pool.map(store, range(8)))
    assert len({key for key, _ in stored}) == 1
    assert sum(new for _, new in stored) == 1


def test_mails_are_leased_oldest_first_up_to_the_limit(engine: Engine) -> None:
    with writing(engine) as conn:
        keys = [a_mail(conn) for _ in range(4)]
        assert inbound_mail.lease_new(conn, seconds=60, limit=3) == keys[:3]
        assert inbound_mail.lease_new(conn, seconds=60, limit=3) == keys[3:]
        end_lease(conn, "inbound_mail", keys[1])
        assert inbound_mail.lease_new(conn, seconds=-1, limit=3) == [keys[1]]
        assert inbound_mail.lease_new(conn, seconds=60, limit=3) == [keys[1]]
        inbound_mail.free_leases(conn)
        assert inbound_mail.lease_new(conn, seconds=60, limit=9) == keys


@pytest.mark.parametrize("end", ENDS)
def test_a_mail_that_was_worked_on_is_not_leased_again(engine: Engine, end: InboundState) -> None:
    with writing(engine) as conn:
        key, other = a_mail(conn), a_mail(conn)
        inbound_mail.lease_new(conn, seconds=60, limit=9)
        assert inbound_mail.lock_new(conn, key)
        inbound_mail.finish(conn, key, end, error="why")
        assert inbound_mail.state_of(conn, key) == (end, "why")
        assert column(conn, "inbound_mail", "leased_until", key) is None
        assert not inbound_mail.lock_new(conn, key)
        assert inbound_mail.lease_new(conn, seconds=60, limit=9) == []
        assert inbound_mail.state_of(conn, other) == (InboundState.RECEIVED, None)


def test_what_a_mail_ended_as_stands(engine: Engine) -> None:
    with writing(engine) as conn:
        key = a_mail(conn)
        inbound_mail.finish(conn, key, InboundState.PROCESSED)
        inbound_mail.finish(conn, key, InboundState.FAILED, error="late")
        assert inbound_mail.state_of(conn, key) == (InboundState.PROCESSED, None)
        a_mail(conn)
        assert inbound_mail.count_by_state(conn) == {"processed": 1, "received": 1}


def test_two_open_transactions_lease_different_mails(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        keys = [a_mail(conn) for _ in range(3)]
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        assert inbound_mail.lease_new(one, seconds=60, limit=2) == keys[:2]
        assert inbound_mail.lease_new(two, seconds=60, limit=9) == keys[2:]


def test_the_limit_holds_whatever_plan_postgresql_makes(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        for _ in range(50):
            a_mail(conn)
        for plan in ("hashjoin", "hashagg", "sort", "material", "mergejoin", "memoize", "indexscan", "bitmapscan"):
            conn.execute(text(f"SET LOCAL enable_{plan} = off"))
        assert len(inbound_mail.lease_new(conn, seconds=60, limit=3)) == 3


def test_finding_new_mail_takes_its_partial_index(engine: Engine) -> None:
    with taken_back(engine) as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET LOCAL enable_seqscan = off"))
        assert "ix_inbound_mail_new" in plan_of(conn, lambda: inbound_mail.lease_new(conn, seconds=60, limit=9))
    with writing(engine) as conn:
        assert rows_of(conn, inbound_mail.inbound_mail) == 0


def test_a_providers_post_is_kept_with_what_kind_it_is(engine: Engine) -> None:
    with writing(engine) as conn:
        key, _ = inbound_mail.add(conn, b"--x", channel="sendgrid", now=at(1), content_type="multipart/form-data")
        assert inbound_mail.load(conn, key).content_type == "multipart/form-data"
        assert inbound_mail.load(conn, a_mail(conn)).content_type is None


def test_what_is_kept_aside_is_not_leased_and_can_be_counted(engine: Engine) -> None:
    with writing(engine) as conn:
        for hour in range(4):
            key, _ = inbound_mail.add(conn, f"{hour}".encode(), channel="sendgrid", now=at(hour), trouble="not signed")
            assert inbound_mail.state_of(conn, key) == (InboundState.FAILED, "not signed")
            assert not inbound_mail.lock_new(conn, key)
        inbound_mail.finish(conn, a_mail(conn), InboundState.FAILED, error="another reason")
        assert inbound_mail.lease_new(conn, seconds=60, limit=9) == []
        found = inbound_mail.failed(conn, ["not signed", "nothing"], since=at(1))
        assert {error: one.number for error, one in found.items()} == {"not signed": 2}
        found = inbound_mail.failed(conn, ["not signed", "another reason"], since=at(-1))
        assert {error: one.number for error, one in found.items()} == {"not signed": 4, "another reason": 1}


def test_what_failed_is_measured_as_it_is_stored(engine: Engine) -> None:
    with writing(engine) as conn:
        for raw in (b"x" * 100_000, bytes(range(256))):
            inbound_mail.add(conn, raw, channel="sendgrid", now=at(1), trouble="not signed")
        stored = [len(raw) for raw in conn.scalars(select(inbound_mail.inbound_mail.c.raw))]
        assert sum(stored) < 1000
        assert inbound_mail.failed(conn, ["not signed"], since=at(0)) == {
            "not signed": inbound_mail.Failed(2, sum(stored))
        }


@pytest.mark.parametrize("state", InboundState)
def test_only_what_is_on_nobodys_record_is_worked_on_again(engine: Engine, state: InboundState) -> None:
    with writing(engine) as conn:
        key = a_mail(conn)
        if state is not InboundState.RECEIVED:
            inbound_mail.finish(conn, key, state, error="why")
        again = state in (InboundState.FAILED, InboundState.UNMATCHED)
        assert not inbound_mail.reopen(conn, key, errors=["another reason"])
        assert inbound_mail.reopen(conn, key, errors=["why"]) is again
        assert inbound_mail.reopen(conn, key) is False
        assert inbound_mail.find_state(conn, key) == (InboundState.RECEIVED if again else state)
        assert inbound_mail.find_state(conn, key + 1) is None
