from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from followup.core.message import Action, MessageState, Outcome
from followup.core.provider import EventState
from followup.store import aliases, messages, provider_events
from followup.store.engine import writing
from followup.store.provider_events import NewReport
from tests.store.make import START, a_message, at, column, end_lease, plan_of, taken_back

ENDS = [state for state in EventState if state is not EventState.RECEIVED]


def an_event(number: int = 1, **given: Any) -> NewReport:
    return NewReport(**{"event_id": f"event {number}", "token": "a" * 16, "raw": {"n": number}} | given)


def add(conn: Any, *new: NewReport, provider: str = "sendgrid") -> list[int]:
    return provider_events.add(conn, provider, new, now=START)


def test_an_event_comes_back_as_it_came(engine: Engine) -> None:
    raw = {"text": "ü \u2028 \U0001f600", "list": [1, 2.5, None, True], "object": {"a": {}}}
    with writing(engine) as conn:
        (key,) = add(conn, an_event(raw=raw, token=None))
        (stored,) = provider_events.new(conn, [key, key + 1])
    assert (stored.id, stored.raw, stored.token, stored.received_at) == (key, raw, None, START)


def test_an_event_of_one_provider_is_stored_once(engine: Engine) -> None:
    with writing(engine) as conn:
        assert len(add(conn, an_event(1), an_event(2), an_event(1, raw={}))) == 2
        assert add(conn, an_event(2)) == []
        assert len(add(conn, an_event(2), an_event(3), provider="another")) == 2
        assert add(conn) == []


def test_what_has_failed_before_it_is_stored_is_not_worked_on(engine: Engine) -> None:
    with writing(engine) as conn:
        assert add(conn, an_event(state=EventState.FAILED, error="no JSON")) == []
        assert provider_events.lease_new(conn, seconds=60, limit=9) == []
        assert provider_events.count_by_state(conn) == {"failed": 1}
        assert column(conn, "provider_events", "error", 1) == "no JSON"


def test_events_posted_from_two_sides_at_once_are_stored_once(engine: Engine) -> None:
    def store(_: int) -> int:
        with writing(engine) as conn:
            return len(add(conn, *(an_event(number) for number in range(50))))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(store, range(6))) == 50


def test_events_are_leased_oldest_first_up_to_the_limit(engine: Engine) -> None:
    with writing(engine) as conn:
        keys = add(conn, *(an_event(number) for number in range(4)))
        assert provider_events.lease_new(conn, seconds=60, limit=3) == keys[:3]
        assert provider_events.lease_new(conn, seconds=60, limit=3) == keys[3:]
        end_lease(conn, "provider_events", keys[1])
        assert provider_events.lease_new(conn, seconds=60, limit=3) == [keys[1]]
        provider_events.free_leases(conn)
        assert provider_events.lease_new(conn, seconds=60, limit=9) == keys


@pytest.mark.parametrize("end", ENDS)
def test_an_event_that_was_worked_on_stays_as_it_ended(engine: Engine, end: EventState) -> None:
    with writing(engine) as conn:
        key, other = add(conn, an_event(1), an_event(2))
        provider_events.lease_new(conn, seconds=60, limit=9)
        assert provider_events.lock_new(conn, key)
        provider_events.finish(conn, key, end, error="why")
        provider_events.finish(conn, key, EventState.APPLIED)
        assert column(conn, "provider_events", "state", key) == end.value
        assert column(conn, "provider_events", "error", key) == "why"
        assert column(conn, "provider_events", "leased_until", key) is None
        assert not provider_events.lock_new(conn, key)
        assert [one.id for one in provider_events.new(conn, [key, other])] == [other]


def test_two_open_transactions_lease_different_events(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        keys = add(conn, *(an_event(number) for number in range(3)))
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        assert provider_events.lease_new(one, seconds=60, limit=2) == keys[:2]
        assert provider_events.lease_new(two, seconds=60, limit=9) == keys[2:]


def test_finding_new_events_takes_its_partial_index(engine: Engine) -> None:
    with taken_back(engine) as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET LOCAL enable_seqscan = off"))
        plan = plan_of(conn, lambda: provider_events.lease_new(conn, seconds=60, limit=9))
        assert "ix_provider_events_new" in plan


@pytest.mark.parametrize("known", [None, *Outcome])
@pytest.mark.parametrize("reported", Outcome)
def test_the_gravest_outcome_stands(engine: Engine, known: Outcome | None, reported: Outcome) -> None:
    with taken_back(engine) as conn:
        key = a_message(conn, MessageState.ACCEPTED, set_={"outcome": known})
        messages.fold(conn, key, reported, provider_id=None)
        ranks = list(Outcome)
        gravest = max(reported, known or reported, key=ranks.index)
        assert column(conn, "messages", "outcome", key) == gravest.value


def test_the_provider_names_a_message_once(engine: Engine) -> None:
    with writing(engine) as conn:
        key = a_message(conn, MessageState.ACCEPTED, set_={"outcome": "bounced"})
        for name, kept in ((None, None), ("one", "one"), ("two", "one"), (None, "one")):
            messages.fold(conn, key, Outcome.DELIVERED, provider_id=name)
            assert column(conn, "messages", "provider_id", key) == kept
        assert column(conn, "messages", "outcome", key) == "bounced"


def test_a_message_is_held_by_its_token(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        key = a_message(conn, MessageState.SENDING)
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        found = messages.lock_by_token(one, f"token {key}")
        assert found is not None
        assert found.id == key
        assert messages.lock_due(two, [key], now=at(0)) == set()
        assert messages.lock_by_token(one, "another") is None


def test_a_message_is_known_by_every_id_it_went_by(engine: Engine) -> None:
    with writing(engine) as conn:
        one, two = a_message(conn, MessageState.ACCEPTED), a_message(conn, MessageState.SENDING, step="two")
        for alias, key in (("<a@x>", one), ("<b@x>", one), ("<c@x>", two), ("<a@x>", two), ("<a@x>", one)):
            aliases.add(conn, alias, key)
        tokens = {"<a@x>": f"token {one}", "<b@x>": f"token {one}", "<c@x>": f"token {two}"}
        assert aliases.tokens(conn, [*tokens, "<d@x>"]) == tokens
        assert aliases.tokens(conn, []) == {}
        again = {"id": two, "due_at": at(0), "token": None, "sending_at": None}
        assert messages.move(conn, Action.RETRY, [again]) == 1
        assert aliases.tokens(conn, ["<c@x>"]) == {}, "that attempt is known not to have left"
