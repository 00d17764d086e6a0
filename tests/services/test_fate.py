"""What a person decides about a letter: it was sent, it goes again, it stays here."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from followup.core.message import Accepted, Misconfigured, RetrySafe
from followup.errors import NotFound, UsageError
from followup.services import fate, suppress
from followup.services.halt import halt, unhalt
from followup.store import schema
from followup.store.engine import writing
from tests.services.attempts import AT_ONCE, DAY, HOUR, KEY, LOST, message, report, resend, timeline
from tests.services.world import MONDAY, Scripted, World, a_purchase


def test_sent_again_it_goes_under_a_new_token_and_the_old_one_is_kept(lost: World) -> None:
    token, left = resend(lost), MONDAY
    row = message(lost)
    assert (row.state, row.token, row.sending_at, row.due_at) == ("due", None, None, MONDAY + HOUR)
    assert (row.not_after, row.failures, row.reason) == (MONDAY + HOUR + timedelta(days=3), 0, None)
    lost.post.transport.answer = Accepted("X2")
    lost.drain()
    shown = fate.show(lost.engine, row.id, clock=lost.clock)
    assert (shown.message.state, shown.past) == ("accepted", ((token, left),))
    assert shown.message.token not in {None, token}
    assert lost.verdicts()[-1] == ("sent again by order of a person", "no answer")
    assert lost.rows("audit")[-1].data == {"message_id": row.id, "was": "unknown", "what": lost.verdicts()[-1][0]}


def test_sent_again_while_its_window_is_shut_it_is_late_from_the_opening_on(engine: Engine, tmp_path: Path) -> None:
    rules = "send_window: {days: weekdays, hours: 09:00-17:00}\nmax_late: 2 hours\nsteps:"
    shop = World(engine, tmp_path, transport=Scripted(LOST), check_in=AT_ONCE.replace("steps:", rules, 1))
    shop.take_in(a_purchase())
    shop.drain()
    shop.clock.move_to(MONDAY + timedelta(days=5))
    resend(shop)
    shop.clock.move_to(shop.clock.now() + timedelta(hours=5))
    shop.drain()
    assert shop.verdicts()[-1] == ("postponed", "outside the send window")
    assert message(shop).due_at == MONDAY + timedelta(days=7, hours=-1)


def test_sent_again_it_passes_every_gate(lost: World) -> None:
    resend(lost)
    lost.post.transport.answer = Accepted("X2")
    suppress.suppress(
        lost.engine, "ana@example.com", reason="asked", workflow=None, key=KEY, library=lost.library, clock=lost.clock
    )
    lost.drain()
    assert len(lost.post.transport.sent) == 1
    assert lost.states() == ["cancelled"]


def test_marked_as_sent_its_run_goes_on_from_when_it_left(lost: World) -> None:
    lost.clock.move_to(MONDAY + DAY)
    fate.mark_sent(lost.engine, message(lost).id, clock=lost.clock)
    assert (message(lost).state, message(lost).accepted_at) == ("accepted", MONDAY)
    lost.drain()
    assert lost.rows("enrollments")[0].wake_at == MONDAY + timedelta(days=3), "the reminder, three days after it left"
    assert timeline(lost)[-1] == "message.accepted"
    assert lost.verdicts()[-1] == ("marked as sent", "no answer")


@pytest.mark.parametrize("was", ["due", "held", "blocked"])
def test_a_letter_that_is_withdrawn_stays_here_and_its_run_goes_on(engine: Engine, tmp_path: Path, was: str) -> None:
    answer = {"due": RetrySafe(MONDAY, "busy"), "blocked": Misconfigured("401")}.get(was, Accepted("X"))
    steps = (
        AT_ONCE[: AT_ONCE.index("steps:")]
        + "steps:\n  - send: advice\n  - wait: 1 day\n  - ask: cooking\n    timeout: 7 days\n"
    )
    shop = World(engine, tmp_path, transport=Scripted(answer), check_in=steps)
    if was == "held":
        halt(engine, "a moment", clock=shop.clock)
    shop.take_in(a_purchase())
    shop.drain()
    assert shop.states() == [was]
    fate.cancel(engine, message(shop).id, clock=shop.clock)
    unhalt(engine, library=shop.library, clock=shop.clock)
    shop.drain()
    assert shop.rows("enrollments")[0].state == "active"
    shop.post.transport.answer = Accepted("X")
    with writing(engine) as conn:
        conn.execute(update(schema.senders).values(paused=None))
    shop.later(days=2)
    assert [row.step for row in shop.rows("messages") if row.state == "accepted"] == ["cooking"]
    assert message(shop).reason == "a person withdrew it"
    assert ("withdrawn" in {verdict for verdict, _ in shop.verdicts()}) is True


@pytest.mark.parametrize("verb", ["mark_sent", "resend", "cancel"])
def test_a_person_decides_only_what_is_open(lost: World, verb: str) -> None:
    def decide(number: int) -> None:
        more = {"library": lost.library} if verb == "resend" else {}
        getattr(fate, verb)(lost.engine, number, clock=lost.clock, **more)

    with pytest.raises(NotFound, match="there is no message 999"):
        decide(999)
    if verb == "cancel":
        with pytest.raises(UsageError, match="is unknown, not") as error:
            decide(message(lost).id)
        assert "mark-sent" in error.value.hint
    report(lost, message(lost).token)
    with pytest.raises(UsageError, match="is accepted, not"):
        decide(message(lost).id)
