"""What our own people have to be told."""

from sqlalchemy import Connection, Engine

from followup.store import notices
from followup.store.engine import writing
from tests.store.make import START, a_customer, at, end_lease


def a_notice(conn: Connection, key: str = "handoff:1", customer_id: int | None = None) -> None:
    customer_id = a_customer(conn) if customer_id is None else customer_id
    given = {"person": "mara", "subject": "Ana, order 7", "text": "Please call.", "created_at": START}
    notices.add(conn, notices.NewNotice(key=key, customer_id=customer_id, **given))


def leased(conn: Connection) -> list[notices.Notice]:
    return notices.lease_new(conn, seconds=60, limit=9)


def test_the_same_thing_is_one_notice(engine: Engine) -> None:
    with writing(engine) as conn:
        ana = a_customer(conn)
        a_notice(conn, customer_id=ana)
        a_notice(conn, customer_id=ana)
        [one] = leased(conn)
        assert (one.person, one.subject, one.text, one.failures) == ("mara", "Ana, order 7", "Please call.", 0)
        assert "@" in (one.reply_to or "")


def test_what_one_process_tells_others_leave_to_it(engine: Engine) -> None:
    with writing(engine) as conn:
        a_notice(conn)
        assert len(leased(conn)) == 1
        assert leased(conn) == []


def test_what_was_told_is_not_told_again(engine: Engine) -> None:
    with writing(engine) as conn:
        a_notice(conn)
        [one] = leased(conn)
        notices.told(conn, [one.id], at=at(1))
        end_lease(conn, "notices", one.id)
        assert leased(conn) == []
        assert notices.count_untold(conn, since=at(2)) == 0


def test_what_failed_waits_and_counts(engine: Engine) -> None:
    with writing(engine) as conn:
        a_notice(conn)
        [one] = leased(conn)
        notices.failed(conn, {one.id: 60})
        assert leased(conn) == []
        assert (notices.count_untold(conn, since=START), notices.count_untold(conn, since=at(-1))) == (1, 0)
        end_lease(conn, "notices", one.id)
        assert leased(conn)[0].failures == 1
