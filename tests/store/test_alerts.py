from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text, update

from followup.store import alerts
from followup.store.engine import reading, writing
from followup.store.schema import alerts as table
from followup.store.types import real_now
from tests.store.make import DAY

MINUTES = timedelta(minutes=2)


def claim(engine: Engine, *keys: str) -> list[alerts.Claimed]:
    with writing(engine) as conn:
        return alerts.claim(conn, keys, every=DAY, lease=MINUTES)


def set_back(engine: Engine, **span: float) -> None:
    """Let so much time pass for whoever was told."""
    with writing(engine) as conn:
        passed = round(timedelta(**span).total_seconds())
        for alert in alerts.listed(conn):
            if alert.told_at is not None:
                earlier = alert.told_at - timedelta(seconds=passed)
                conn.execute(update(table).where(table.c.key == alert.key).values(told_at=earlier))


@pytest.fixture
def raised(engine: Engine) -> Engine:
    """Return a database in which the worker is gone and letters are blocked."""
    with writing(engine) as conn:
        assert alerts.raise_(conn, {"sweep": "no worker", "blocked": "1 letter"}) == {"sweep", "blocked"}
    return engine


def test_what_is_raised_already_is_not_new_but_its_text_is(raised: Engine) -> None:
    with writing(raised) as conn:
        assert alerts.raise_(conn, {"sweep": "no worker", "blocked": "2 letters", "events": "silent"}) == {"events"}
        assert [(alert.key, alert.text, alert.told_at) for alert in alerts.listed(conn)] == [
            ("blocked", "2 letters", None),
            ("events", "silent", None),
            ("sweep", "no worker", None),
        ]
        assert alerts.count(conn) == 3


def test_an_alert_is_claimed_once(raised: Engine) -> None:
    assert [one.key for one in claim(raised, "sweep", "blocked")] == ["blocked", "sweep"]
    assert claim(raised, "sweep", "blocked") == []


def test_only_what_was_asked_for_is_claimed(raised: Engine) -> None:
    assert [one.key for one in claim(raised, "sweep", "nothing")] == ["sweep"]
    assert claim(raised) == []


def test_many_at_once_claim_each_alert_once(raised: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        claimed = [one.key for some in pool.map(lambda _: claim(raised, "sweep", "blocked"), range(8)) for one in some]
    assert sorted(claimed) == ["blocked", "sweep"]


def test_a_claim_whose_owner_died_runs_out(raised: Engine) -> None:
    claim(raised, "sweep")
    set_back(raised, seconds=100)
    assert claim(raised, "sweep") == []
    set_back(raised, seconds=30)
    assert [one.key for one in claim(raised, "sweep")] == ["sweep"]


def test_what_was_told_is_due_again_after_a_day(raised: Engine) -> None:
    [claimed] = claim(raised, "sweep")
    with writing(raised) as conn:
        alerts.told(conn, claimed)
    set_back(raised, hours=23, minutes=59)
    assert claim(raised, "sweep") == []
    set_back(raised, minutes=2)
    [again] = claim(raised, "sweep")
    assert again.before is not None


def test_a_claim_that_is_given_back_can_be_taken_at_once(raised: Engine) -> None:
    [claimed] = claim(raised, "sweep")
    with writing(raised) as conn:
        alerts.give_back(conn, claimed)
    [again] = claim(raised, "sweep")
    assert again.before is None


def test_a_repetition_that_is_given_back_leaves_when_it_was_told_before(raised: Engine) -> None:
    [claimed] = claim(raised, "sweep")
    with writing(raised) as conn:
        alerts.told(conn, claimed)
    set_back(raised, hours=25)
    [again] = claim(raised, "sweep")
    with writing(raised) as conn:
        alerts.give_back(conn, again)
        [alert] = [one for one in alerts.listed(conn) if one.key == "sweep"]
    assert alert.told_at == again.before is not None


def test_who_waited_for_another_claim_comes_too_late(postgres_engine: Engine) -> None:
    with writing(postgres_engine) as conn:
        alerts.raise_(conn, {"sweep": "no worker"})
    with ThreadPoolExecutor(1) as pool:
        with writing(postgres_engine) as first:
            assert alerts.claim(first, ["sweep"], every=DAY, lease=MINUTES)
            second = pool.submit(claim, postgres_engine, "sweep")
            waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not first.scalar(waits):
                assert not second.done()
        assert second.result() == []


def test_a_claim_that_ran_out_changes_nothing_any_more(raised: Engine) -> None:
    [late] = claim(raised, "sweep")
    set_back(raised, minutes=3)
    [own] = claim(raised, "sweep")
    with writing(raised) as conn:
        alerts.give_back(conn, late)
        alerts.told(conn, late)
        [alert] = [one for one in alerts.listed(conn) if one.key == "sweep"]
    assert alert.told_at == own.claim


def test_what_is_over_is_cleared_once(raised: Engine) -> None:
    with writing(raised) as conn:
        [over] = alerts.clear(conn, except_={"sweep"})
        assert (over.key, over.text, over.told_at) == ("blocked", "1 letter", None)
        assert alerts.clear(conn, except_={"sweep"}) == []
        assert [one.key for one in alerts.clear(conn, except_=())] == ["sweep"]


def test_a_clearing_can_be_undone_unless_the_trouble_is_back(raised: Engine) -> None:
    with writing(raised) as conn:
        conn.execute(update(table).values(told_at=real_now()))
        blocked, sweep = alerts.clear(conn, except_=())
        alerts.raise_(conn, {"sweep": "again"})
        alerts.put_back(conn, blocked)
        alerts.put_back(conn, sweep)
    with reading(raised) as conn:
        assert [(one.text, one.told_at) for one in alerts.listed(conn)] == [
            ("1 letter", blocked.told_at),
            ("again", None),
        ]
