"""What a resume would do is what it does: each kind of fate foreseen, and then come true; on both databases."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from followup.core.gates import FIRST_LETTERS
from followup.core.message import Accepted, Misconfigured
from followup.core.order import OrderStatus
from followup.errors import NotFound, UsageError
from followup.services import preview, suppress, switch
from followup.services.advance import advance
from followup.services.halt import halt
from followup.services.preview import IN_HAND, Fate, Preview
from followup.services.sweep import Work, lease
from followup.store import customers, schema
from followup.store.engine import make_engine, reading, writing
from tests.services.world import ASK, CHECK_IN, MONDAY, PEOPLE, Scripted, World, a_purchase, a_reply, about_cooking

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
OTHER = about_cooking(AT_ONCE.replace("workflow: check-in", "workflow: other"))
WINDOW = "send_window: {days: any day, hours: 09:00-10:30, timezone: customer}\n"
COUNTED = {"templates/arrived.md": ASK.replace("purpose: service\n", "")}  # a cap holds no service letter
KEY = "never-changes"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BECOMES = {
    Fate.LEAVES: "accepted",
    Fate.LATER: "due",
    Fate.WAITS: "due",
    Fate.HELD: "held",
    Fate.SKIPPED: "skipped",
    Fate.EXPIRED: "expired",
    Fate.CANCELLED: "cancelled",
    Fate.UNKNOWN: "unknown",
}


def limited(limits: str, workflow: str = AT_ONCE) -> str:
    return workflow.replace("steps:", f"limits: {{{limits}}}\nsteps:")


def shop_with(engine: Engine, folder: Path, **workflows: str) -> World:
    return World(engine, folder, transport=Scripted(Accepted("X")), **workflows or {"check_in": AT_ONCE})


def people(number: int) -> list[Any]:
    return [a_purchase(f"T-{n}", email=f"c{n}@example.com") for n in range(number)]


def hold(shop: World, *purchases: Any) -> World:
    """Let letters be held for a pause."""
    shop.take_in(*purchases)
    write_letters(shop)
    pause(shop)
    shop.drain()
    return shop


def write_letters(shop: World) -> None:
    ids = lease(shop.engine, now=shop.clock.now(), kinds={Work.ADVANCE})[Work.ADVANCE]
    advance(shop.engine, ids, library=shop.library, clock=shop.clock)


def pause(shop: World) -> switch.Paused:
    return switch.pause(shop.engine, "check-in", "a moment", library=shop.library, clock=shop.clock)


def foresee(shop: World, workflow: str = "check-in") -> Preview | None:
    return preview.foresee(shop.engine, workflow, library=shop.library, suppression_key=KEY, clock=shop.clock)


def everything(shop: World) -> dict[str, list[Any]]:
    with reading(shop.engine) as conn:
        return {name: sorted(map(str, conn.execute(select(of)))) for name, of in schema.metadata.tables.items()}


def comes_true(shop: World) -> Preview:
    """See what would happen, let it happen, and see that it did; return what was seen."""
    before = everything(shop)
    seen = foresee(shop)
    assert seen is not None
    assert everything(shop) == before, "it is taken back"
    switch.resume(shop.engine, "check-in", library=shop.library, clock=shop.clock)
    shop.drain()
    rows = {row.id: row for row in shop.rows("messages")}
    for one in seen.letters:
        row = rows[one.message]
        assert (one.message, BECOMES[one.fate]) == (row.id, row.state), one
        if one.fate is Fate.LATER:
            assert (one.at, one.reason) == (row.due_at, row.reason)
        elif one.fate not in {Fate.LEAVES, Fate.WAITS, Fate.CANCELLED}:
            assert one.reason == row.reason
    return seen


def fates(seen: Preview) -> dict[str, tuple[str, str]]:
    return {one.order or "–": (one.fate.value, one.reason) for one in seen.letters}


# -- each fate --


def test_what_no_gate_stops_leaves_and_is_named(engine: Engine, tmp_path: Path) -> None:
    shop = hold(shop_with(engine, tmp_path), *people(2))
    shop.clock.move_to(MONDAY + 30 * DAY)
    seen = comes_true(shop)
    first = seen.letters[0]
    assert (first.email, first.order, first.letter, first.step) == ("c0@example.com", "T-0", "arrived", "arrived")
    assert (first.fate, first.reason, first.at, first.timezone) == (Fate.LEAVES, "", None, "Europe/London")
    assert (len(seen.letters), seen.moving_on, seen.first, seen.switch.reason) == (2, 0, 0, "a moment")


def test_a_window_says_when(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, check_in=AT_ONCE.replace("steps:", f"{WINDOW}steps:"))
    hold(shop, *people(1), a_purchase("T-9", email="cy@example.com", timezone="America/Chicago", country="US"))
    seen = comes_true(shop)
    assert fates(seen) == {"T-0": ("leaves", ""), "T-9": ("later", "outside the send window")}
    assert seen.letters[-1].at == MONDAY + 5 * HOUR
    assert [(fate, len(letters)) for fate, _, letters in seen.groups()] == [(Fate.LEAVES, 1), (Fate.LATER, 1)]


@pytest.mark.parametrize(
    ("when_capped", "fate"), [("postpone", ("later", "1 letter in the last 5 days (the cap is 1)")), ("skip", None)]
)
def test_of_several_letters_of_one_customer_a_cap_lets_one_leave(
    engine: Engine, tmp_path: Path, when_capped: str, fate: tuple[str, str] | None
) -> None:
    shop = shop_with(engine, tmp_path)
    capped = limited(f"cap: 1 message per 5 days, when_capped: {when_capped}")
    shop.apply(COUNTED, check_in=capped)
    hold(shop, a_purchase("T-1"), a_purchase("T-2"), a_purchase("T-3"))
    seen = comes_true(shop)
    second = fate or ("skipped", "1 letter in the last 5 days (the cap is 1)")
    assert fates(seen) == {"T-1": ("leaves", ""), "T-2": second, "T-3": second}
    assert seen.moving_on == (0 if fate else 2)
    assert {one.at for one in seen.letters} == ({None, MONDAY + 5 * DAY} if fate else {None})


def test_several_letters_of_one_customer_leave_one_after_the_other_where_nothing_caps_them(
    engine: Engine, tmp_path: Path
) -> None:
    shop = hold(shop_with(engine, tmp_path), a_purchase("T-1"), a_purchase("T-2"))
    assert Counter(one.fate for one in comes_true(shop).letters) == {Fate.LEAVES: 2}


def test_a_more_important_letter_of_another_workflow_takes_its_turn_and_the_cap(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    capped = limited("cap: 1 message per 5 days")
    shop.apply(COUNTED, check_in=capped, other=limited("priority: 90", OTHER))
    hold(shop, a_purchase())
    assert shop.states() == ["held", "accepted"]
    with writing(engine) as conn:  # it falls due at this moment
        due = {"state": "due", "due_at": MONDAY, "token": None, "sending_at": None, "accepted_at": None}
        conn.execute(update(schema.messages).where(schema.messages.c.workflow == "other").values(due))
    assert fates(comes_true(shop)) == {"T-1": ("later", "1 letter in the last 5 days (the cap is 1)")}


def test_a_daily_limit_gives_each_its_slot(engine: Engine, tmp_path: Path) -> None:
    shop = hold(shop_with(engine, tmp_path, check_in=limited("per_day: 2")), *people(5))
    seen = comes_true(shop)
    assert Counter(one.at for one in seen.letters) == {None: 2, MONDAY + DAY: 2, MONDAY + 2 * DAY: 1}


def test_who_is_suppressed_and_whose_order_was_cancelled_get_nothing(engine: Engine, tmp_path: Path) -> None:
    shop = hold(shop_with(engine, tmp_path), *people(3))
    how: dict[str, Any] = {"reason": "asked", "key": KEY, "library": shop.library, "clock": shop.clock}
    suppress.suppress(engine, "c1@example.com", workflow="check-in", **how)
    shop.take_in(a_purchase("T-2", email="c2@example.com", status=OrderStatus.CANCELLED))
    seen = comes_true(shop)
    assert fates(seen) == {
        "T-0": ("leaves", ""),
        "T-1": ("cancelled", "the address is suppressed: asked"),
        "T-2": ("cancelled", "the order was cancelled"),
    }
    assert seen.moving_on == 2


def test_a_condition_that_holds_no_longer_skips_the_letter(engine: Engine, tmp_path: Path) -> None:
    asks = AT_ONCE.replace("  - ask: arrived\n", "  - ask: arrived\n    when: order.total < 200\n")
    shop = hold(shop_with(engine, tmp_path, check_in=asks), *people(2))
    shop.clock.move_to(MONDAY + HOUR)
    shop.take_in(a_purchase("T-1", email="c1@example.com", total_cents=30_000))
    seen = comes_true(shop)
    assert fates(seen) == {"T-0": ("leaves", ""), "T-1": ("skipped", "no longer true: order.total < 200")}
    assert seen.moving_on == 1


def test_who_waits_for_an_answer_from_us_stays_held(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase("T-1"))
    shop.drain()
    hold(shop, a_purchase("T-2"), a_purchase("T-3", email="ben@example.com"))
    mail = shop.post.transport.sent[0]
    shop.hear(a_reply({"Reply-To": mail.reply_to, "Subject": mail.subject, "Message-ID": mail.message_id}))
    waits = ("held", "the customer waits for an answer from us")
    assert fates(comes_true(shop)) == {"T-2": waits, "T-3": ("leaves", "")}
    pause(shop)
    assert fates(comes_true(shop)) == {"T-2": waits}, "what was held for that before is told as well"


def test_while_the_owner_has_no_room_for_more_answers_questions_wait(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    shop.take_in(a_purchase("T-1"))
    shop.drain()
    mail = shop.post.transport.sent[0]
    shop.hear(a_reply({"Reply-To": mail.reply_to, "Subject": mail.subject, "Message-ID": mail.message_id}))
    shop.apply(
        {"workflows/people.yaml": PEOPLE.replace("signature: Nell}", "signature: Nell, backlog: 0}")}, check_in=AT_ONCE
    )
    hold(shop, a_purchase("T-2", email="ben@example.com"))
    seen = comes_true(shop)
    assert fates(seen) == {"T-2": ("later", "1 customer waits for an answer from nell")}
    assert seen.letters[0].at == MONDAY + 4 * HOUR


def test_a_letter_that_finds_no_chance_in_time_is_given_up(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, check_in=AT_ONCE.replace("steps:", f"{WINDOW}max_postpone: 2 hours\nsteps:"))
    hold(shop, *people(1))
    shop.clock.move_to(MONDAY + 2 * HOUR)
    assert fates(comes_true(shop)) == {"T-0": ("expired", "no chance in time (outside the send window)")}


def test_what_fell_due_and_no_worker_saw_counts_and_may_be_too_late(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    shop.take_in(*people(2))
    write_letters(shop)
    pause(shop)
    shop.clock.move_to(MONDAY + 4 * DAY)
    assert set(fates(comes_true(shop)).values()) == {("expired", "too late")}


def test_what_is_due_later_is_not_of_this_moment(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, check_in=AT_ONCE.replace("steps:", f"{WINDOW}steps:"))
    shop.clock.move_to(MONDAY + HOUR)
    shop.take_in(*people(1))
    shop.drain()
    told = pause(shop)
    seen = foresee(shop)
    assert seen is not None
    assert (seen.letters, seen.due_later) == ((), 1)
    assert (told.due, told.due_later, told.held) == (0, 1, 0)


def test_while_everything_is_halted_nothing_leaves(engine: Engine, tmp_path: Path) -> None:
    shop = hold(shop_with(engine, tmp_path), *people(1))
    halt(engine, "a storm", clock=shop.clock)
    assert fates(comes_true(shop)) == {"T-0": ("held", "everything is halted")}


def test_first_letters_wait_for_a_reader(engine: Engine, tmp_path: Path) -> None:
    shop = hold(shop_with(engine, tmp_path), *people(2))
    shop.apply(check_in=AT_ONCE.replace("steps:", "first: 5\nsteps:"))
    seen = comes_true(shop)
    assert set(fates(seen).values()) == {("held", FIRST_LETTERS)}
    assert seen.first == 5


def test_letters_of_a_sender_whom_the_provider_refuses_wait(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, check_in=AT_ONCE, other=OTHER)
    shop.post.transport.answer = Misconfigured("the key is wrong")
    hold(shop, *people(2))
    assert sorted(shop.states()) == ["blocked", "blocked", "held", "held"]
    assert set(fates(comes_true(shop)).values()) == {("waits", "the key is wrong")}


def test_a_letter_that_a_worker_has_in_hand_is_not_judged(postgres_url: str, tmp_path: Path) -> None:
    engine, other = make_engine(postgres_url), make_engine(postgres_url)
    shop = hold(shop_with(engine, tmp_path), *people(2))
    with writing(other) as conn:
        customers.lock(conn, [1])
        seen = foresee(shop)
    assert seen is not None
    assert fates(seen) == {"T-0": ("waits", IN_HAND), "T-1": ("leaves", "")}
    engine.dispose()
    other.dispose()


def test_of_very_many_the_oldest_are_looked_at(engine: Engine, tmp_path: Path) -> None:
    shop = hold(shop_with(engine, tmp_path), *people(5))
    seen = preview.foresee(engine, "check-in", library=shop.library, suppression_key=KEY, clock=shop.clock, most=3)
    assert seen is not None
    assert ([one.message for one in seen.letters], seen.unseen) == ([1, 2, 3], 2)


# -- what is no preview --


def test_of_a_workflow_that_nobody_has_switched_there_is_none(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path)
    assert foresee(shop) is None
    with pytest.raises(NotFound, match="there is no workflow 'chek-in'"):
        foresee(shop, "chek-in")
    shop.apply(check_in=AT_ONCE.replace("status: live", "status: paused"))
    with pytest.raises(UsageError, match="its file says status: paused"):
        foresee(shop)


def test_an_archived_workflow_has_no_letters_left(engine: Engine, tmp_path: Path) -> None:
    shop = hold(shop_with(engine, tmp_path), *people(2))
    switch.archive(engine, "check-in", "over", library=shop.library, clock=shop.clock)
    seen = foresee(shop)
    assert seen is not None
    assert (seen.letters, seen.moving_on) == ((), 0)


def test_runs_that_are_due_by_then_are_counted(engine: Engine, tmp_path: Path) -> None:
    shop = shop_with(engine, tmp_path, check_in=CHECK_IN)
    shop.take_in(*people(3))
    shop.drain()
    pause(shop)
    shop.clock.move_to(MONDAY + 2 * DAY)
    seen = foresee(shop)
    assert seen is not None
    assert (seen.letters, seen.moving_on) == ((), 3)


# -- all together --

MIXED = limited("cap: 1 message per 3 days, per_day: 25").replace("steps:", f"{WINDOW}steps:")


@pytest.mark.parametrize("seed", range(4))
def test_of_many_customers_each_fares_as_was_foreseen(engine: Engine, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    asks = MIXED.replace("  - ask: arrived\n", "  - ask: arrived\n    when: order.total < 200\n")
    shop = shop_with(engine, tmp_path)
    shop.apply(COUNTED, check_in=asks)
    zones = ["Europe/London", "America/Chicago", "Asia/Tokyo", "Europe/London", "Mars/Olympus"]
    whose = {f"T-{n}": f"c{dice.randrange(30)}@example.com" for n in range(50)}
    bought = {number: {"email": email, "timezone": dice.choice(zones)} for number, email in whose.items()}
    hold(shop, *(a_purchase(number, **order) for number, order in bought.items()))
    shop.clock.move_to(MONDAY + timedelta(minutes=dice.choice([5, 600, 9000])))
    for number, order in bought.items():
        changes: list[Callable[[], object]] = [
            lambda number=number, order=order: shop.take_in(
                a_purchase(number, status=OrderStatus.CANCELLED, **order), enroll=False
            ),
            lambda number=number, order=order: shop.take_in(
                a_purchase(number, total_cents=90_000, **order), enroll=False
            ),
            lambda order=order: suppress.suppress(
                engine, order["email"], reason="x", workflow="check-in", key=KEY, library=shop.library, clock=shop.clock
            ),
        ]
        if dice.random() < 0.4:
            dice.choice(changes)()
    counts = Counter(one.fate for one in comes_true(shop).letters)
    assert sum(counts.values()) == 50
    assert len(counts) >= 3, counts
