from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from followup.store import conversations
from followup.store.engine import reading, writing
from tests.store.make import a_customer, at, column, rows_of


def test_a_customer_has_one_open_conversation_and_waits_since_the_first_mail(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        assert conversations.customer_wrote(conn, ana, "maria", at=at(1))
        assert not conversations.customer_wrote(conn, ana, "tom", at=at(2))
        assert rows_of(conn, conversations.conversations) == 1
        [one] = conversations.waiting(conn, limit=9)
    assert (one.owner, one.waiting_since) == ("maria", at(1))


def test_once_closed_the_next_mail_opens_another(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        conversations.customer_wrote(conn, ana, "maria", at=at(1))
        key = conversations.close(conn, ana, at=at(2))
        assert key is not None
        assert column(conn, "conversations", "closed_at", key) == at(2)
        assert conversations.waiting_since(conn, [ana]) == {}
        assert conversations.close(conn, ana, at=at(3)) is None
        assert conversations.customer_wrote(conn, ana, "maria", at=at(4))
        assert conversations.waiting_since(conn, [ana]) == {ana: at(4)}
        assert column(conn, "conversations", "closed_at", key) == at(2)


def test_a_customer_whom_we_answered_waits_again_from_the_next_mail(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        conversations.customer_wrote(conn, ana, "maria", at=at(1))
        conn.execute(conversations.conversations.update().values(waiting_since=None))
        assert conversations.waiting_since(conn, [ana]) == {}
        assert not conversations.customer_wrote(conn, ana, "maria", at=at(5))
        assert conversations.waiting_since(conn, [ana]) == {ana: at(5)}


def test_writing_and_closing_touch_no_other_customer(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn), a_customer(conn, "ben")
        for customer in (ana, ben):
            conversations.customer_wrote(conn, customer, "maria", at=at(1))
        conn.execute(conversations.conversations.update().values(waiting_since=None))
        conversations.customer_wrote(conn, ana, "maria", at=at(2))
        assert conversations.waiting_since(conn, [ana, ben]) == {ana: at(2)}
        conversations.customer_wrote(conn, ben, "maria", at=at(3))
        conversations.close(conn, ana, at=at(4))
        assert conversations.waiting_since(conn, [ana, ben]) == {ben: at(3)}
        assert conversations.waiting_since(conn, [ana]) == {}


def test_two_mails_at_once_open_one_conversation(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)

    def write(hour: int) -> bool:
        with writing(engine) as conn:
            return conversations.customer_wrote(conn, ana, "maria", at=at(hour))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(8))) == 1


def test_those_who_wait_longest_come_first(engine: Engine) -> None:
    with writing(engine) as conn:
        for name, hour in (("ana", 3), ("ben", 1), ("cleo", 2), ("dora", 1), ("emil", 0), ("fay", 0)):
            conversations.customer_wrote(conn, a_customer(conn, name, timezone="Europe/Rome"), "maria", at=at(hour))
        conversations.close(conn, 5, at=at(9))
        answered = conversations.conversations.c.customer_id == 6
        conn.execute(conversations.conversations.update().where(answered).values(waiting_since=None))
    with reading(engine) as conn:
        names = [one.email for one in conversations.waiting(conn, limit=9)]
        assert names == [f"{name}@shop.example" for name in ("ben", "dora", "cleo", "ana")]
        assert [one.customer_id for one in conversations.waiting(conn, limit=2)] == [2, 4]
        assert conversations.waiting(conn, limit=1)[0].timezone == "Europe/Rome"
        assert conversations.count_waiting(conn) == 4


def test_a_customer_who_is_handed_over_waits_for_that_person_with_a_note(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        assert conversations.hand_off(conn, ana, "tom", note="Call her", urgent=True, at=at(1))
        [one] = conversations.waiting(conn, limit=9)
    assert (one.owner, one.note, one.urgent, one.waiting_since) == ("tom", "Call her", True, at(1))


def test_handing_over_an_open_conversation_changes_its_owner_and_keeps_since_when_the_customer_waits(
    engine: Engine,
) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        conversations.customer_wrote(conn, ana, "maria", at=at(1))
        assert not conversations.hand_off(conn, ana, "tom", note="One", urgent=True, at=at(2))
        assert not conversations.hand_off(conn, ana, "eva", note=None, urgent=False, at=at(3))
        assert not conversations.hand_off(conn, ana, "eva", note="Two", urgent=False, at=at(4))
        [one] = conversations.waiting(conn, limit=9)
    assert (one.owner, one.note, one.urgent, one.waiting_since) == ("eva", "One\nTwo", True, at(1))


def test_what_is_urgent_comes_first(engine: Engine) -> None:
    with writing(engine) as conn:
        ana, ben = a_customer(conn, "ana"), a_customer(conn, "ben")
        conversations.customer_wrote(conn, ana, "maria", at=at(1))
        conversations.hand_off(conn, ben, "maria", note=None, urgent=True, at=at(2))
        assert [one.customer_id for one in conversations.waiting(conn, limit=9)] == [ben, ana]
        assert conversations.waiting_for(conn, ["maria", "tom"]) == {"maria": 2}
        conversations.close(conn, ben, at=at(3))
        assert conversations.waiting_for(conn, ["maria", "tom"]) == {"maria": 1}
