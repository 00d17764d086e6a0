from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from followup.core.message import MAY_HAVE_LEFT, Action, MessageState
from followup.store import messages, unsent
from followup.store.engine import writing
from tests.store.make import (
    START,
    a_customer,
    a_due_message,
    a_message,
    an_enrollment,
    an_order,
    at,
    column,
    end_lease,
    plan_of,
    rows_of,
    set_column,
    taken_back,
)


def leased(conn: Connection, now: datetime = START, seconds: int = 60, limit: int = 10) -> list[int]:
    return messages.lease_due(conn, now=now, seconds=seconds, limit=limit)


def state(conn: Connection, key: int) -> str:
    found: str = column(conn, "messages", "state", key)
    return found


def the_only(conn: Connection, enrollment_id: int) -> messages.StoredMessage:
    [message] = messages.of_enrollments(conn, [enrollment_id])[enrollment_id]
    return message


# -- writing --


def test_a_message_is_due_as_it_was_asked_for(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        order, entry = an_order(conn, ana), an_enrollment(conn, ana)
        new = a_due_message(entry, ana, order_id=order, round=1, priority=3, due_at=at(2))
        messages.add(conn, [new])
        stored = the_only(conn, entry)
    assert {name: getattr(stored, name) for name in new.__dataclass_fields__} == {
        name: getattr(new, name) for name in new.__dataclass_fields__
    }
    assert (stored.state, stored.due_at, stored.postponed_since, stored.attempts) == (MessageState.DUE, at(2), None, 0)
    assert (stored.token, stored.accepted_at, stored.payload) == (None, None, None)


def test_one_step_and_round_of_an_enrollment_is_one_message(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        entry, other = an_enrollment(conn, ana), an_enrollment(conn, ana)
        messages.add(conn, [a_due_message(entry, ana)])
        messages.add(conn, [a_due_message(entry, ana, letter="changed", due_at=at(7))])
        assert (the_only(conn, entry).letter, the_only(conn, entry).due_at) == ("hello", START)
        messages.add(
            conn, [a_due_message(entry, ana, round=1), a_due_message(entry, ana, step="b"), a_due_message(other, ana)]
        )
        assert rows_of(conn, messages.messages) == 4


def test_adding_nothing_is_no_trouble(engine: Engine) -> None:
    with writing(engine) as conn:
        messages.add(conn, [])


# -- leasing --


def test_what_is_due_is_leased_in_business_time(engine: Engine) -> None:
    with writing(engine) as conn:
        now, past = a_message(conn), a_message(conn, due_at=at(-1))
        later = a_message(conn, due_at=START + timedelta(microseconds=1))
        for other in set(MessageState) - {MessageState.DUE}:
            a_message(conn, other)
        assert leased(conn, limit=50) == [now, past]
        assert leased(conn, at(1)) == [later]


def test_a_lease_holds_in_real_time_however_far_the_business_clock_is(engine: Engine) -> None:
    with writing(engine) as conn:
        key = a_message(conn)
        assert leased(conn) == [key]
        assert leased(conn, at(1_000_000)) == []
        end_lease(conn, "messages", key)
        assert leased(conn) == [key]
        assert leased(conn) == []


@pytest.mark.parametrize(("seconds", "taken_again"), [(-1, True), (60, False)])
def test_a_lease_lasts_for_its_seconds(engine: Engine, seconds: int, taken_again: bool) -> None:
    with writing(engine) as conn:
        a_message(conn)
        assert leased(conn, seconds=seconds)
    with writing(engine) as conn:
        assert bool(leased(conn)) is taken_again


def test_the_longest_due_are_leased_first_up_to_the_limit(engine: Engine) -> None:
    with writing(engine) as conn:
        keys = [a_message(conn, due_at=at(hour)) for hour in (-1, -4, -2, -4, -3)]
        assert leased(conn, limit=2) == [keys[1], keys[3]]
        assert leased(conn, limit=1) == [keys[4]]
        assert leased(conn, limit=9) == [keys[0], keys[2]]


def test_the_limit_holds_whatever_plan_postgresql_makes(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        for _ in range(30):
            a_message(conn)
        for plan in ("hashjoin", "hashagg", "sort", "material", "mergejoin", "memoize", "indexscan", "bitmapscan"):
            conn.execute(text(f"SET LOCAL enable_{plan} = off"))
        assert len(leased(conn, limit=3)) == 3


def test_two_open_transactions_lease_different_rows_without_waiting(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        keys = [a_message(conn) for _ in range(5)]
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        assert leased(one, limit=2) == keys[:2]
        assert leased(two, limit=9) == keys[2:]


def test_leases_of_due_messages_can_be_given_back(engine: Engine) -> None:
    with writing(engine) as conn:
        one, two = a_message(conn), a_message(conn)
        leased(conn)
        messages.unlease(conn, [one])
        assert leased(conn) == [one]
        messages.free_leases(conn)
        assert leased(conn) == [one, two]


@pytest.mark.parametrize("give_back", [messages.unlease, lambda conn, _: messages.free_leases(conn)])
def test_the_lease_of_a_message_on_its_way_is_not_given_back(
    engine: Engine, give_back: Callable[[Connection, list[int]], None]
) -> None:
    with writing(engine) as conn:
        keys = [a_message(conn, state, set_={"leased_until": at(1)}) for state in ON_ITS_WAY]
        give_back(conn, keys)
        assert [column(conn, "messages", "leased_until", key) for key in keys] == [at(1), at(1)]


ON_ITS_WAY = (MessageState.CLAIMED, MessageState.SENDING)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (leased, "ix_messages_due"),
        (unsent.next_due, "ix_messages_due"),
        (lambda conn: messages.abandoned(conn, MessageState.SENDING, limit=9), "ix_messages_leased"),
        (lambda conn: messages.abandoned(conn, MessageState.CLAIMED, limit=9), "ix_messages_leased"),
        (lambda conn: messages.blocked_too_long(conn, now=START, limit=9), "ix_messages_blocked"),
        (unsent.next_expiry, "ix_messages_blocked"),
    ],
)
def test_what_every_sweep_asks_takes_a_partial_index(
    engine: Engine, query: Callable[[Connection], object], index: str
) -> None:
    with taken_back(engine) as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET LOCAL enable_seqscan = off"))
        assert index in plan_of(conn, lambda: query(conn))


# -- claiming --


def test_due_messages_are_read_by_priority_then_by_age(engine: Engine) -> None:
    with writing(engine) as conn:
        ordered = [(1, -2), (1, -1), (0, -3), (0, 0)]
        keys = [a_message(conn, priority=priority, due_at=at(hour)) for priority, hour in reversed(ordered)]
        later, held = a_message(conn, due_at=at(1)), a_message(conn, MessageState.CLAIMED)
        found = messages.due_beside(conn, [*keys, later, held], now=START)
    assert [(message.priority, message.due_at) for message in found] == [(p, at(hour)) for p, hour in ordered]


def test_whoever_has_one_due_message_of_a_customer_sees_the_others_too(engine: Engine) -> None:
    with writing(engine) as conn:
        named, beside = a_message(conn, due_at=at(-1)), a_message(conn, due_at=at(-2))
        a_message(conn, due_at=at(1))
        sent = a_message(conn, MessageState.ACCEPTED)
        assert [message.id for message in messages.due_beside(conn, [named], now=START)] == [beside, named]
        assert messages.due_beside(conn, [sent], now=START) == [], "nothing of theirs was named that is due"


def test_a_claim_counts_attempts_and_takes_due_messages_only(engine: Engine) -> None:
    with writing(engine) as conn:
        one, two, unasked = a_message(conn), a_message(conn, set_={"attempts": 4}), a_message(conn)
        others = [a_message(conn, other) for other in set(MessageState) - {MessageState.DUE}]
        assert messages.claim(conn, [one, two, *others], seconds=60) == {one: 1, two: 5}
        assert (state(conn, one), state(conn, unasked)) == ("claimed", "due")
        assert messages.claim(conn, [one, two], seconds=60) == {}
        assert messages.abandoned(conn, MessageState.CLAIMED, limit=9)[0].id == others_claimed(conn, others)


def others_claimed(conn: Connection, others: list[int]) -> int:
    [key] = [key for key in others if state(conn, key) == "claimed"]
    return key


def test_only_due_messages_are_held_for_a_claim(engine: Engine) -> None:
    with writing(engine) as conn:
        due, claimed, unasked = a_message(conn), a_message(conn, MessageState.CLAIMED), a_message(conn)
        assert messages.lock_due(conn, [due, claimed], now=START) == {due}
        later = a_message(conn, due_at=at(1))
        assert messages.lock_due(conn, [later], now=START) == set(), "it was put off a moment ago"
        assert set(messages.lock(conn, [due, claimed, unasked], MessageState.DUE)) == {due, unasked}
        assert set(messages.lock(conn, [due, claimed], MessageState.CLAIMED)) == {claimed}


def test_messages_that_another_holds_are_passed_over(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        keys = [a_message(conn) for _ in range(2)]
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        messages.lock(one, keys[:1], MessageState.DUE)
        assert messages.lock_due(two, keys, now=START) == {keys[1]}


# -- what a stopped worker left --


def test_what_rests_with_its_lease_over_is_found_by_state(engine: Engine) -> None:
    with writing(engine) as conn:
        two, one = (a_message(conn, MessageState.CLAIMED) for _ in range(2))
        end_lease(conn, "messages", one)
        set_column(conn, "messages", "leased_until", two, datetime(2021, 1, 1, tzinfo=UTC))
        running = a_message(conn, MessageState.CLAIMED, set_={"leased_until": datetime(2999, 1, 1).astimezone()})
        sending = a_message(conn, MessageState.SENDING)

        def found(state: MessageState, limit: int = 9, **how: Any) -> list[int]:
            return [message.id for message in messages.abandoned(conn, state, limit=limit, **how)]

        assert found(MessageState.CLAIMED) == [one, two]
        assert found(MessageState.CLAIMED, limit=1) == [one]
        assert found(MessageState.SENDING) == [sending]
        assert set(found(MessageState.CLAIMED, whatever_lease=True)) == {one, two, running}


def test_two_sweeps_do_not_wait_for_each_other(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        claimed = [a_message(conn, MessageState.CLAIMED) for _ in range(2)]
    with writing(postgres_engine) as one, writing(postgres_engine) as two:
        assert [message.id for message in messages.abandoned(one, MessageState.CLAIMED, limit=1)] == claimed[:1]
        assert [message.id for message in messages.abandoned(two, MessageState.CLAIMED, limit=9)] == claimed[1:]


# -- blocked, held, withdrawn --


def test_what_is_blocked_past_its_time_is_found(engine: Engine) -> None:
    with writing(engine) as conn:
        keys = [a_message(conn, MessageState.BLOCKED, not_after=at(hour)) for hour in (3, 2, 1)][::-1]
        a_message(conn, not_after=at(1))
        assert unsent.next_expiry(conn) == at(1)

        def found(hour: int, limit: int = 9) -> list[int]:
            return [message.id for message in messages.blocked_too_long(conn, now=at(hour), limit=limit)]

        assert found(1) == [], "not_after is the last moment, and it is not over"
        assert found(2) == keys[:1]
        assert found(9) == keys
        assert found(9, limit=2) == keys[:2]


def test_unblocking_makes_blocked_messages_due_as_they_were(engine: Engine) -> None:
    with writing(engine) as conn:
        keys = [a_message(conn, MessageState.BLOCKED, due_at=at(hour)) for hour in (3, 4)]
        others = [a_message(conn, other) for other in set(MessageState) - {MessageState.BLOCKED}]
        before = [state(conn, key) for key in others]
        assert messages.unblock(conn) == 2
        assert messages.unblock(conn) == 0
        assert [(state(conn, key), column(conn, "messages", "due_at", key)) for key in keys] == [
            ("due", at(3)),
            ("due", at(4)),
        ]
        assert [state(conn, key) for key in others] == before


def test_released_messages_are_due_now_and_their_lateness_starts_anew(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
        one, two = an_enrollment(conn, ana), an_enrollment(conn, ana)
        keys = [
            a_message(conn, MessageState.HELD, customer_id=ana, enrollment_id=entry, set_={"reason": "waits"})
            for entry in (one, two)
        ]
        of_ben = a_message(conn, MessageState.HELD, customer_id=ben)
        due = a_message(conn, customer_id=ana, due_at=at(9))
        held = messages.held(conn, customer_id=ana)
        assert [(message.id, message.enrollment_id) for message in held] == [(keys[0], one), (keys[1], two)]
        assert messages.release(conn, held, now=at(5), not_after={keys[0]: at(6), keys[1]: at(29)}) == 2
        found = messages.lock(conn, [*keys, of_ben, due], MessageState.DUE)
        assert [
            (found[key].postponed_since, found[key].due_at, found[key].not_after, found[key].reason) for key in keys
        ] == [
            (None, at(5), at(6), None),
            (None, at(5), at(29), None),
        ]
        assert found[due].due_at == at(9)
        assert of_ben not in found
        assert messages.held(conn, customer_id=ana) == []


def test_withdrawing_takes_one_step_and_round_or_all_that_has_not_left(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        entry, other = an_enrollment(conn, ana), an_enrollment(conn, ana)

        def of(entry: int, step: str, round_: int) -> int:
            return a_message(conn, customer_id=ana, enrollment_id=entry, step=step, round=round_)

        ask, reminder, next_ = of(entry, "a", 0), of(entry, "a", 1), of(entry, "b", 1)
        elsewhere = of(other, "a", 1)
        leased(conn)
        messages.cancel(conn, entry, "a", 1, reason="answered")
        assert [state(conn, key) for key in (ask, reminder, next_, elsewhere)] == ["due", "cancelled", "due", "due"]
        assert column(conn, "messages", "reason", reminder) == "answered"
        assert column(conn, "messages", "leased_until", reminder) is None
        withdrawn = messages.cancel(conn, entry, None, None, reason="over")
        assert [(one.id, one.reason) for one in withdrawn] == [(ask, "over"), (next_, "over")]
        assert [state(conn, key) for key in (ask, next_, elsewhere)] == ["cancelled", "cancelled", "due"]
        assert column(conn, "messages", "reason", reminder) == "answered"


@pytest.mark.parametrize("was", MessageState)
def test_withdrawing_touches_nothing_that_may_have_left_or_is_over(engine: Engine, was: MessageState) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        entry = an_enrollment(conn, ana)
        key = a_message(conn, was, customer_id=ana, enrollment_id=entry)
        messages.cancel(conn, entry, None, None, reason="over")
        assert state(conn, key) == ("cancelled" if was.value in {"due", "held", "blocked"} else was.value)


# -- looking --


def test_what_may_have_left_lately_is_found_by_customer(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben, cleo = (a_customer(conn, name) for name in ("ana", "ben", "cleo"))
        claimed = a_message(conn, MessageState.CLAIMED, customer_id=ana)
        lately = a_message(conn, MessageState.ACCEPTED, customer_id=ana, set_={"accepted_at": at(2)})
        unsure = a_message(conn, MessageState.UNKNOWN, customer_id=ana, set_={"sending_at": at(2)})
        for long_ago in ({"accepted_at": at(1), "sending_at": at(2)}, {"accepted_at": at(0)}):
            a_message(conn, MessageState.ACCEPTED, customer_id=ana, set_=long_ago)
        a_message(conn, MessageState.UNKNOWN, customer_id=ana, set_={"sending_at": at(1)})
        for unsent in set(MessageState) - MAY_HAVE_LEFT:
            a_message(conn, unsent, customer_id=ana)
        of_ben = a_message(conn, MessageState.SENDING, customer_id=ben, set_={"sending_at": at(2)})
        a_message(conn, MessageState.CLAIMED, customer_id=cleo)
        found = messages.recent(conn, [ana, ben], since=at(1))
    assert {key: [message.id for message in those] for key, those in found.items()} == {
        ana: [claimed, lately, unsure],
        ben: [of_ben],
    }


def test_messages_are_found_by_token_and_by_enrollment(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        entries = [an_enrollment(conn, ana) for _ in range(3)]
        keys = [a_message(conn, MessageState.SENDING, customer_id=ana, enrollment_id=entry) for entry in entries]
        second = a_message(conn, customer_id=ana, enrollment_id=entries[0], step="b")
        found = messages.by_token(conn, f"token {keys[1]}")
        assert found is not None
        assert found.id == keys[1]
        assert messages.by_token(conn, "nobody's") is None
        assert messages.enrollments_of(conn, [keys[0], second, keys[2]]) == {entries[0], entries[2]}
        listed = messages.of_enrollments(conn, entries[:2])
        assert {key: [message.id for message in those] for key, those in listed.items()} == {
            entries[0]: [keys[0], second],
            entries[1]: [keys[1]],
        }


def test_the_payload_comes_back_as_it_was_committed(engine: Engine) -> None:
    payload = {"to": "ana@shop.example", "text": "Grüße \U0001f381\n", "n": [1, None, {"a": True}]}
    with writing(engine) as conn:
        key = a_message(conn, MessageState.SENDING, set_={"payload": payload})
        assert messages.lock(conn, [key], MessageState.SENDING)[key].payload == payload


def test_accepted_letters_about_orders_are_listed_oldest_first(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn, email="Ana@shop.example")
        order = an_order(conn, ana)
        keys = [
            a_message(conn, MessageState.ACCEPTED, customer_id=ana, order_id=order, set_={"accepted_at": at(hour)})
            for hour in (2, 1, 2)
        ]
        a_message(conn, MessageState.ACCEPTED, customer_id=ana, set_={"accepted_at": at(2)})
        a_message(conn, MessageState.SENDING, customer_id=ana, order_id=order, set_={"sending_at": at(2)})
        tokens = [f"token {key}" for key in keys]
        assert [one.token for one in messages.accepted_letters(conn, at=None)] == [tokens[1], tokens[0], tokens[2]]
        first, second = messages.accepted_letters(conn, at=at(2))
    assert [first.token, second.token] == [tokens[0], tokens[2]]
    assert (first.email, first.order_number, first.customer_id) == ("Ana@shop.example", "#o1", ana)


def test_the_last_letter_of_a_workflow_to_a_customer_is_known(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
        for customer, workflow, hour in ((ana, "care", 2), (ana, "care", 1), (ana, "news", 4), (ben, "care", 5)):
            moment = {"accepted_at": at(hour)}
            a_message(conn, MessageState.ACCEPTED, customer_id=customer, workflow=workflow, set_=moment)
        assert messages.last_accepted_at(conn, "care", ana) == at(2)
        assert messages.last_accepted_at(conn, "news", ben) is None


def test_the_next_due_time_is_of_due_messages_only(engine: Engine) -> None:
    with writing(engine) as conn:
        assert (unsent.next_due(conn), unsent.next_expiry(conn)) == (None, None)
        a_message(conn, due_at=at(3))
        a_message(conn, due_at=at(2))
        a_message(conn, MessageState.CANCELLED, due_at=at(1))
        assert unsent.next_due(conn) == at(2)


def test_messages_are_counted_by_state(engine: Engine) -> None:
    with writing(engine) as conn:
        for each in (MessageState.DUE, MessageState.HELD, MessageState.DUE):
            a_message(conn, each)
        assert messages.count_by_state(conn) == {"due": 2, "held": 1}


def test_decisions_see_what_they_need_of_a_message(engine: Engine) -> None:
    with writing(engine) as conn:
        key = a_message(conn, MessageState.ACCEPTED, set_={"accepted_at": at(1), "reason": "why"})
        sent = messages.lock(conn, [key], MessageState.ACCEPTED)[key].sent
    assert (sent.id, sent.step, sent.round, sent.state) == (key, "hello", 0, MessageState.ACCEPTED)
    assert (sent.due_at, sent.accepted_at, sent.reason, sent.token) == (START, at(1), "why", f"token {key}")


# -- moving --

UNSENT = {"due_at": START, "token": None, "sending_at": None}
BESIDES: dict[Action, dict[str, Any]] = {
    Action.RETRY: UNSENT,
    Action.RESEND: UNSENT,
    Action.BLOCK: {"token": None, "sending_at": None},
    Action.DOUBT: {"token": "new token", "sending_at": START},
    Action.PROVE: {"token": "new token", "sending_at": START, "accepted_at": START},
    Action.HOLD: {"due_at": None},
    Action.RELEASE: {"due_at": START},
    Action.BEGIN: {"token": "new token", "sending_at": START},
    Action.ACCEPT: {"accepted_at": START},
}


@pytest.mark.parametrize("action", Action)
def test_an_action_is_taken_from_its_legal_states_and_no_other(engine: Engine, action: Action) -> None:
    with writing(engine) as conn:
        keys = {was: a_message(conn, was) for was in MessageState}
        for was, key in keys.items():
            row = {"id": key} | unique_token(BESIDES.get(action, {}), key)
            leases = 60 if action in {Action.CLAIM, Action.BEGIN} else None
            wanted = messages.move(conn, action, [row], lease_seconds=leases)
            assert wanted == ((was, action) in LEGAL)
            assert state(conn, key) == LEGAL.get((was, action), was.value)


def unique_token(besides: dict[str, Any], key: int) -> dict[str, Any]:
    return besides | {"token": f"new {key}"} if besides.get("token") else besides


LEGAL = {
    (MessageState(was), Action(action)): becomes
    for was, moves in {
        "due": {
            "claim": "claimed",
            "hold": "held",
            "postpone": "due",
            "skip": "skipped",
            "expire": "expired",
            "cancel": "cancelled",
            "doubt": "unknown",
            "prove": "accepted",
        },
        "held": {"release": "due", "skip": "skipped", "cancel": "cancelled", "doubt": "unknown", "prove": "accepted"},
        "claimed": {
            "give back": "due",
            "block": "blocked",
            "begin": "sending",
            "doubt": "unknown",
            "prove": "accepted",
        },
        "sending": {
            "accept": "accepted",
            "retry": "due",
            "reject": "rejected",
            "block": "blocked",
            "lose": "unknown",
            "doubt": "unknown",
            "prove": "accepted",
        },
        "rejected": {"prove": "accepted"},
        "skipped": {"prove": "accepted"},
        "expired": {"prove": "accepted"},
        "cancelled": {"prove": "accepted"},
        "unknown": {"accept": "accepted", "prove": "accepted", "resend": "due"},
        "blocked": {
            "unblock": "due",
            "skip": "skipped",
            "expire": "expired",
            "cancel": "cancelled",
            "doubt": "unknown",
            "prove": "accepted",
        },
    }.items()
    for action, becomes in moves.items()
}


def test_a_move_sets_each_rows_own_columns_and_leaves_the_rest(engine: Engine) -> None:
    with writing(engine) as conn:
        one, two, other = a_message(conn), a_message(conn), a_message(conn)
        rows = [{"id": one, "reason": "one", "due_at": at(1)}, {"id": two, "reason": "two", "due_at": at(2)}]
        assert messages.move(conn, Action.POSTPONE, rows) == 2
        found = messages.lock(conn, [one, two, other], MessageState.DUE)
        assert [(found[key].reason, found[key].due_at) for key in (one, two, other)] == [
            ("one", at(1)),
            ("two", at(2)),
            (None, START),
        ]
        assert messages.move(conn, Action.POSTPONE, []) == 0


def test_a_move_says_how_many_of_its_rows_were_where_they_should_be(engine: Engine) -> None:
    with writing(engine) as conn:
        keys = [a_message(conn), a_message(conn, MessageState.CANCELLED), a_message(conn)]
        assert messages.move(conn, Action.SKIP, [{"id": key} for key in keys]) == 2


def test_a_move_gives_the_lease_back_or_takes_a_new_one(engine: Engine) -> None:
    with writing(engine) as conn:
        keys = [a_message(conn, MessageState.CLAIMED, set_={"leased_until": at(0)}) for _ in range(2)]
        messages.move(conn, Action.BLOCK, [{"id": keys[0]}])
        assert column(conn, "messages", "leased_until", keys[0]) is None
        begun = {"id": keys[1], "token": "t", "sending_at": START}
        messages.move(conn, Action.BEGIN, [begun], lease_seconds=600)
        assert messages.abandoned(conn, MessageState.SENDING, limit=9) == []
        messages.move(conn, Action.RETRY, [{"id": keys[1], "due_at": START, "token": None, "sending_at": None}])
        messages.claim(conn, keys[1:], seconds=60)
        messages.move(conn, Action.BEGIN, [begun], lease_seconds=-1)
        assert [message.id for message in messages.abandoned(conn, MessageState.SENDING, limit=9)] == keys[1:]
