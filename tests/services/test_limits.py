"""What limits a workflow's letters: so many a day, and the first ones only when a person has read them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update

from followup.core.gates import FIRST_LETTERS
from followup.core.message import Accepted, Rejected, Unknown
from followup.errors import NotFound, UsageError
from followup.services import approve, deploy, draft, fate, lookups
from followup.services.halt import halt, unhalt
from followup.store import schema
from followup.store.engine import make_engine, writing
from tests.services.test_senders import claim_some, claimed, due, waits
from tests.services.world import CHECK_IN, MONDAY, Scripted, World, a_purchase

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
LIMITED = AT_ONCE.replace("steps:", "limits: {per_day: 2}\nsteps:")
PAUSED = AT_ONCE.replace("status: live", "status: paused")
FIRST_TWO = AT_ONCE.replace("status: live", "status: live\nfirst: 2")


def purchases(number: int, *, start: int = 0) -> list:
    return [a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(start, start + number)]


def shop_with(engine: Engine, folder: Path, workflow: str, answer: Any = None) -> World:
    return World(engine, folder, transport=Scripted(answer or Accepted("X")), check_in=workflow)


# -- so many a day --


@pytest.mark.parametrize("answer", [Accepted("X"), Unknown("no answer")])
def test_no_more_leave_in_24_hours_and_the_others_follow_when_those_are_a_day_old(
    engine: Engine, tmp_path: Path, answer: Any
) -> None:
    shop = shop_with(engine, tmp_path, LIMITED, answer)
    shop.take_in(*purchases(5))
    shop.drain()
    rows = shop.rows("messages")
    days = [(row.due_at - MONDAY).days for row in rows if row.state == "due"]
    assert days == [1, 1, 2], "each waits for a slot of its own"
    assert set(shop.verdicts()) == {("postponed", "2 letters of this workflow in the last 24 hours")}
    shop.post.transport.answer = Accepted("X")
    shop.later(hours=24)
    assert shop.states().count("due") == 1


def test_what_was_refused_does_not_count(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, LIMITED, Rejected("no such mailbox"))
    shop.take_in(*purchases(2))
    shop.drain()
    shop.take_in(*purchases(2, start=2))
    shop.drain()
    assert shop.states() == ["rejected"] * 4


@pytest.mark.parametrize("state", ["claimed", "sending"])
def test_what_a_worker_has_in_hand_counts(engine: Engine, tmp_path: Path, state: str) -> None:
    shop = shop_with(engine, tmp_path, LIMITED)
    shop.take_in(*purchases(3))
    ids = due(shop)
    assert len(claim_some(shop, ids[:2])) == 2
    if state == "sending":
        with writing(engine) as conn:
            sending = {
                "state": "sending",
                "sending_at": MONDAY,
                "token": schema.messages.c.letter + schema.messages.c.step,
            }
            conn.execute(update(schema.messages).where(schema.messages.c.id == ids[0]).values(sending))
    assert claim_some(shop, ids[2:]) == set()
    assert shop.rows("messages")[-1].due_at == MONDAY + timedelta(hours=24)


def test_two_workers_together_keep_the_limit(postgres_url: str, tmp_path: Path) -> None:
    engine = make_engine(postgres_url)
    shop = shop_with(engine, tmp_path, LIMITED.replace("per_day: 2", "per_day: 3"))
    shop.take_in(*purchases(4))
    ids = due(shop)
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as conn:
            first = claimed(conn, shop, ids[:2], None)
            second = pool.submit(claim_some, shop, ids[2:])
            waits(engine, second.done)
        assert len(first) + len(second.result(timeout=20)) == 3
    engine.dispose()


def test_a_limit_that_is_applied_later_holds_for_runs_that_are_under_way(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, AT_ONCE)
    shop.take_in(*purchases(4))
    due(shop)
    shop.apply(check_in=LIMITED)
    shop.drain()
    assert sorted(shop.states()) == ["accepted", "accepted", "due", "due"]


# -- first letters --


@pytest.fixture
def going_live(engine: Engine, tmp_path: Path) -> World:
    """Return a shop whose workflow goes live with two first letters to read, and five customers."""
    shop = shop_with(engine, tmp_path, PAUSED)
    assert apply(shop, AT_ONCE, first=2) == {"check-in": 2}
    shop.take_in(*purchases(5))
    shop.drain()
    return shop


def apply(shop: World, workflow: str, *, first: int | None = None) -> Mapping[str, int]:
    files = shop.files | {"workflows/check-in.yaml": workflow}
    return deploy.apply(shop.engine, files, clock=shop.clock, first=first).first


def release(shop: World, *ids: int) -> int:
    return approve.release_letters(shop.engine, ids, library=shop.library, clock=shop.clock)


def ids(shop: World) -> list[int]:
    return [row.id for row in shop.rows("messages")]


def test_first_letters_are_held_and_counted(going_live: World) -> None:
    assert going_live.states() == ["held"] * 5
    assert set(going_live.verdicts()) == {("held", FIRST_LETTERS)}
    assert lookups.status(going_live.engine).first_letters == {"check-in": 5}
    assert approve.waiting(going_live.engine)["check-in"].pending


def test_a_letter_can_be_read_as_it_would_leave(going_live: World) -> None:
    shown = fate.show(going_live.engine, ids(going_live)[0], clock=going_live.clock).message
    how = {"library": going_live.library, "identity": going_live.identity, "clock": going_live.clock}
    mail = draft.as_written(going_live.engine, shown, **how)
    assert mail is not None
    assert (mail.to_email, mail.subject) == ("c0@example.com", "Did your Pan 28 cm arrive?")
    release(going_live, shown.id)
    going_live.drain()
    left = fate.show(going_live.engine, shown.id, clock=going_live.clock).message
    again = draft.as_written(going_live.engine, left, **how)
    assert again is not None
    assert again.token == going_live.post.transport.sent[0].token, "what left is shown as it left"


def test_one_by_one_and_the_others_follow_when_all_were_read(going_live: World) -> None:
    first, second, *others = ids(going_live)
    assert release(going_live, first, first) == 1
    going_live.drain()
    assert going_live.states() == ["accepted"] + ["held"] * 4
    assert release(going_live, second) == 1 + len(others)
    going_live.drain()
    assert going_live.states() == ["accepted"] * 5
    assert approve.waiting(going_live.engine) == {}
    going_live.take_in(*purchases(1, start=7))
    going_live.drain()
    assert going_live.states()[-1] == "accepted"


def test_all_of_a_workflow_at_once(going_live: World) -> None:
    def everything() -> int:
        return approve.release_workflow(
            going_live.engine, "check-in", library=going_live.library, clock=going_live.clock
        )

    assert everything() == 5
    with pytest.raises(NotFound, match="no first letters of 'check-in' wait"):
        everything()
    going_live.drain()
    assert going_live.states() == ["accepted"] * 5
    assert going_live.rows("audit")[-1].data == {"workflow": "check-in", "released": 5}


def test_only_first_letters_can_be_let_go(going_live: World) -> None:
    with pytest.raises(NotFound, match="there is no message 99"):
        release(going_live, 99)
    release(going_live, ids(going_live)[0])
    with pytest.raises(UsageError, match=r"message \d+ is due"):
        release(going_live, *ids(going_live))
    assert going_live.states().count("held") == 4, "all of them or none"


def test_what_was_read_and_is_held_for_something_else_need_not_be_read_again(going_live: World) -> None:
    release(going_live, ids(going_live)[0])
    halt(going_live.engine, "a moment", clock=going_live.clock)
    going_live.drain()
    unhalt(going_live.engine, library=going_live.library, clock=going_live.clock)
    going_live.drain()
    assert going_live.states() == ["accepted"] + ["held"] * 4


def test_a_file_asks_once_and_the_command_anew(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, PAUSED)
    assert apply(shop, FIRST_TWO) == {"check-in": 2}
    approve.release_workflow(engine, "check-in", library=shop.library, clock=shop.clock)
    apply(shop, PAUSED)
    assert apply(shop, FIRST_TWO) == {}, "it was live before"
    apply(shop, PAUSED)
    assert apply(shop, FIRST_TWO, first=1) == {"check-in": 1}
    apply(shop, FIRST_TWO.replace("title: Did", "title: Has"), first=3)
    assert approve.waiting(engine)["check-in"].first == 1, "it does not go live with this"


def test_a_new_workflow_that_asks_for_nothing_holds_nothing(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, AT_ONCE)
    assert approve.waiting(engine) == {}
    shop.take_in(a_purchase())
    shop.drain()
    assert shop.states() == ["accepted"]


def test_what_waited_for_a_workflow_to_go_on_is_read_as_well(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, AT_ONCE)
    shop.take_in(*purchases(2))
    due(shop)
    shop.apply(check_in=PAUSED)
    shop.drain()
    assert shop.states() == ["held", "held"]
    assert apply(shop, AT_ONCE, first=1) == {"check-in": 1}
    shop.drain()
    assert {row.reason for row in shop.rows("messages")} == {FIRST_LETTERS}
