"""What operators do, and what happens rarely: scenes that are played, killed half-way, and played again."""

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from followup import failpoints
from followup.core.message import Misconfigured, Unknown
from followup.core.order import OrderStatus
from followup.core.provider import EventState
from followup.errors import FollowupError
from followup.inbound.sendgrid import PROVIDER
from followup.mail.smtp import Smtp
from followup.services import (
    answers,
    approve,
    backfill,
    converse,
    deploy,
    fate,
    receive,
    restore,
    suppress,
    switch,
    watch,
)
from followup.services.advance import advance
from followup.services.deliver import deliver
from followup.services.halt import halt, unhalt
from followup.services.happen import happen
from followup.services.intake import import_orders
from followup.services.notify import notify
from followup.services.replay import replay, reserve
from followup.services.sweep import Work, lease, recover
from followup.services.timers import ring
from followup.services.track import track
from followup.store import messages, provider_events, upgrade
from followup.store.engine import make_engine, reading, writing
from followup.store.provider_events import NewReport
from followup.store.schema import messages as messages_table
from followup.store.schema import metadata
from followup.store.types import real_now
from tests.failpoints import committed
from tests.mail.smtp_server import SmtpServer
from tests.services.world import CHECK_IN, MONDAY, Scripted, World, a_purchase, a_reply

AT_ONCE = CHECK_IN.replace("  - wait: 2 days\n", "", 1)
KEY = "never-changes"
EMPTY = "empty.db"
TWO = b"ana@example.com\nben@example.com\n"
LOST = Scripted(answer=Unknown("no answer came"))


@dataclass(frozen=True)
class Scene:
    """``prepare`` makes the shop it is played on; ``play`` is what is killed at each of ``failpoints``."""

    failpoints: tuple[str, ...]
    prepare: Callable[[World], object]
    play: Callable[[World], object]
    by_smtp: bool = False  # else into an outbox


def sold(world: World) -> None:
    """Let one letter be due."""
    world.apply(check_in=AT_ONCE)
    world.take_in(a_purchase())
    _advance(world)


def _advance(world: World) -> None:
    """Let the runs write their letters, and send none."""
    ids = lease(world.engine, now=world.clock.now(), kinds={Work.ADVANCE})[Work.ADVANCE]
    advance(world.engine, ids, library=world.library, clock=world.clock)


def asked(world: World) -> None:
    sold(world)
    world.drain()


def lost(world: World) -> None:
    """Let one letter be of unknown fate."""
    world.post = _posted_by(world, LOST)
    asked(world)


def held_first(world: World) -> None:
    world.apply(check_in=AT_ONCE.replace("status: live", "status: draft"))
    world.apply(check_in=AT_ONCE.replace("steps:", "first: 1\nsteps:"))
    world.take_in(a_purchase(), a_purchase("T-2", email="ben@example.com"))
    world.drain()


def paused(world: World) -> None:
    """Let a letter be held for a pause."""
    sold(world)
    switch.pause(world.engine, "check-in", "a moment", library=world.library, clock=world.clock)
    world.drain()


def talking(world: World) -> None:
    asked(world)
    world.hear(a_reply(world.letters()[0]))


def kept_mail(world: World) -> None:
    asked(world)
    world.hear(b"From: stranger@example.com\nSubject: hello\n\nWho are you?\n")


def stray_event(world: World) -> None:
    asked(world)
    with writing(world.engine) as conn:
        row = {"provider": PROVIDER, "event_id": "broken", "received_at": world.clock.now(), "state": "received"}
        conn.execute(metadata.tables["provider_events"].insert(), [row | {"raw": ["not", "an", "event"]}])


def proven_absent(world: World) -> None:
    """Let it be proven that a letter was not accepted: a later one was, and both days are over."""
    lost(world)
    world.post = _posted_by(world, Scripted())
    world.clock.move_to(MONDAY + timedelta(hours=1))
    world.take_in(a_purchase("T-2", email="ben@example.com"))
    world.drain()
    with writing(world.engine) as conn:
        conn.execute(update(messages_table).values(transport=PROVIDER))
        tokens = conn.scalars(select(messages_table.c.token).where(messages_table.c.state == "accepted"))
        reports = [NewReport(event_id=token, token=token, raw={"event": "delivered"}) for token in tokens]
        ids = provider_events.add(conn, PROVIDER, reports, now=world.clock.now())
    track(world.engine, ids, suppression_key=KEY, clock=world.clock)
    world.clock.move_to(MONDAY + timedelta(hours=27))
    with writing(world.engine) as conn:
        last = NewReport(event_id="last", token=None, raw={"event": "open"}, state=EventState.IGNORED)
        provider_events.add(conn, PROVIDER, [last], now=world.clock.now())


def blocked(world: World) -> None:
    world.post = _posted_by(world, Scripted(answer=Misconfigured("the key is wrong")))
    asked(world)
    world.clock.move_to(MONDAY + timedelta(days=20))


def told_of(world: World) -> None:
    blocked(world)
    watch.watch(world.engine, clock=world.clock, expects_events=False, tell=lambda *_: True)
    with writing(world.engine) as conn:
        messages.unblock(conn)


def _posted_by(world: World, transport: Any) -> Any:
    return replace(world.post, transport=transport)


def only(world: World, state: str) -> int:
    with reading(world.engine) as conn:
        wanted = select(messages_table.c.id).where(messages_table.c.state == state)
        return conn.scalars(wanted.order_by(messages_table.c.id)).first() or 0


def _deliver(world: World, *, stopping: bool) -> None:
    deliver(world.engine, [1], library=world.library, post=world.post, clock=world.clock, stopping=lambda: stopping)


def _watch(world: World, *, heard: bool) -> None:
    watch.watch(world.engine, clock=world.clock, expects_events=False, tell=lambda *_: heard)


def _replay(world: World) -> None:
    reserve(world.engine, clock=world.clock)
    orders = [a_purchase(placed_at=MONDAY)]
    replay(world.engine, orders, [], library=world.library, post=world.post, clock=world.clock)


LATE = """\
workflow: late
title: It has not come
status: live
owner: nell
sender: nell
trigger: {event: order.promise_missed}
steps:
  - handoff: nell
"""


def promised(world: World) -> None:
    """Let the promise about an order have been missed."""
    world.apply(late=LATE)
    bought = a_purchase(delivered_at=None, placed_at=MONDAY, status=OrderStatus.FULFILLED)
    world.take_in(replace(bought, order=replace(bought.order, promised_at=MONDAY)))
    world.clock.move_to(MONDAY + timedelta(days=1))


def handed_over(world: World) -> None:
    """Let somebody have to be told."""
    promised(world)
    _ring(world)
    _advance(world)


def _ring(world: World) -> None:
    ids = lease(world.engine, now=world.clock.now(), kinds={Work.RING}).get(Work.RING, [])
    ring(world.engine, ids, library=world.library, clock=world.clock)


def _happen(world: World) -> None:
    given = {"email": "ana@example.com", "order_number": None, "data": {}, "key": "7", "at": None}
    happen(world.engine, "support.solved", **given, library=world.library, clock=world.clock)


SCENES: dict[str, Scene] = {
    "halt": Scene(("halt",), asked, lambda w: halt(w.engine, "a moment", clock=w.clock)),
    "unhalt": Scene(
        ("unhalt",),
        lambda w: (halt(w.engine, "a moment", clock=w.clock), sold(w), w.drain()),
        lambda w: unhalt(w.engine, library=w.library, clock=w.clock),
    ),
    "pause": Scene(
        ("switch.pause",),
        sold,
        lambda w: switch.pause(w.engine, "check-in", "a moment", library=w.library, clock=w.clock),
    ),
    "resume": Scene(
        ("switch.resume",), paused, lambda w: switch.resume(w.engine, "check-in", library=w.library, clock=w.clock)
    ),
    "archive": Scene(
        ("switch.archive", "advance"),
        lambda w: (asked(w), w.take_in(a_purchase("T-2", email="ben@example.com"))),
        lambda w: switch.archive(w.engine, "check-in", "over", library=w.library, clock=w.clock),
    ),
    "apply": Scene(
        ("deploy.apply", "advance", "deploy.moved"),
        asked,
        lambda w: w.apply(check_in=AT_ONCE.replace("5 days", "6 days")),
    ),
    "apply what changes nothing where people stand": Scene(
        ("deploy.carry_over",), asked, lambda w: w.apply(check_in=AT_ONCE + "# a remark\n")
    ),
    "retry blocked": Scene(("deploy.retry",), blocked, lambda w: deploy.retry_blocked(w.engine)),
    "give up blocked": Scene(("sweep.expire",), blocked, lambda w: recover(w.engine, post=w.post, clock=w.clock)),
    "suppress": Scene(
        ("suppress.add",),
        asked,
        lambda w: suppress.suppress(
            w.engine, "ana@example.com", reason="asked", workflow=None, key=KEY, library=w.library, clock=w.clock
        ),
    ),
    "lift": Scene(
        ("suppress.lift",),
        lambda w: suppress.import_list(w.engine, b"ana@example.com\n", reason="x", key=KEY, clock=w.clock),
        lambda w: suppress.lift(w.engine, "ana@example.com", workflow=None, key=KEY, clock=w.clock),
    ),
    "import suppressions": Scene(
        ("suppress.import", "suppress.imported"),
        asked,
        lambda w: suppress.import_list(
            w.engine, b"ana@example.com\nben@example.com\n", reason="x", key=KEY, clock=w.clock
        ),
    ),
    "mark sent": Scene(
        ("fate.mark_sent",), lost, lambda w: fate.mark_sent(w.engine, only(w, "unknown"), clock=w.clock)
    ),
    "resend": Scene(
        ("fate.resend",),
        lost,
        lambda w: fate.resend(w.engine, only(w, "unknown"), library=w.library, clock=w.clock),
    ),
    "resend proven": Scene(
        ("fate.resend_proven",),
        proven_absent,
        lambda w: fate.resend_proven(w.engine, library=w.library, clock=w.clock),
    ),
    "cancel": Scene(("fate.cancel",), sold, lambda w: fate.cancel(w.engine, only(w, "due"), clock=w.clock)),
    "release letters": Scene(
        ("approve.letters",),
        held_first,
        lambda w: approve.release_letters(w.engine, [only(w, "held")], library=w.library, clock=w.clock),
    ),
    "release workflow": Scene(
        ("approve.workflow",),
        held_first,
        lambda w: approve.release_workflow(w.engine, "check-in", library=w.library, clock=w.clock),
    ),
    "restored": Scene(
        ("restore",),
        sold,
        lambda w: restore.recovered(w.engine, MONDAY - timedelta(hours=1), clock=w.clock),
    ),
    "close a conversation": Scene(
        ("converse.close",),
        talking,
        lambda w: converse.close(w.engine, "ana@example.com", library=w.library, clock=w.clock),
    ),
    "mail from a file": Scene(
        ("receive.store_raw", "receive.record"), asked, lambda w: w.hear(a_reply(w.letters()[0]))
    ),
    "retry a mail": Scene(
        ("receive.retry",), kept_mail, lambda w: receive.retry(w.engine, 1, library=w.library, post=w.post)
    ),
    "a click in a replay": Scene(
        ("answers.record",),
        asked,
        lambda w: answers.record_click(
            w.engine, w.rows("messages")[0].token, "fine", library=w.library, clock=w.clock, key="act"
        ),
    ),
    "an event nobody can read": Scene(
        ("track.failed",),
        stray_event,
        lambda w: track(w.engine, [row.id for row in w.rows("provider_events")], suppression_key=KEY, clock=w.clock),
    ),
    "import orders": Scene(
        ("intake.order",), lambda w: None, lambda w: import_orders(w.engine, [a_purchase()], clock=w.clock)
    ),
    "a promise that is missed": Scene(("timers.ring",), promised, _ring),
    "telling a person": Scene(
        ("notify.lease", "notify.told"),
        handed_over,
        lambda w: notify(w.engine, library=w.library, post=w.post, clock=w.clock),
    ),
    "an event of the shop's own": Scene(("happen",), asked, _happen),
    "trigger": Scene(
        ("backfill",),
        lambda w: (w.apply(check_in=AT_ONCE), w.take_in(a_purchase(), enroll=False)),
        lambda w: backfill.trigger(
            w.engine,
            "check-in",
            order_number="T-1",
            since=None,
            start_now=True,
            dry_run=False,
            library=w.library,
            clock=w.clock,
        ),
    ),
    "replay": Scene(("replay.begin", "replay.orders"), lambda w: w.apply(check_in=AT_ONCE), _replay),
    "upgrade": Scene(("upgrade",), lambda w: None, lambda w: upgrade.upgrade(w.engine)),
    "tell of trouble": Scene(("watch.raise", "watch.told"), blocked, lambda w: _watch(w, heard=True)),
    "tell nobody that it is over": Scene(("watch.put_back",), told_of, lambda w: _watch(w, heard=False)),
    "nothing to deliver": Scene(("deliver.claim",), asked, lambda w: _deliver(w, stopping=False)),
    "a worker that stops": Scene(("deliver.leave",), sold, lambda w: _deliver(w, stopping=True)),
    "letters to the outbox": Scene(
        ("outbox.write", "outbox.written", "deliver.begin", "settle"), sold, lambda w: w.drain()
    ),
    "letters by SMTP": Scene(("smtp.connect", "smtp.end", "smtp.answer"), sold, lambda w: w.drain(), by_smtp=True),
}


def digest(world: World) -> dict[str, Any]:
    """Return what a shop is like, as far as it does not depend on how often something was tried."""
    with reading(world.engine) as conn:

        def rows(table: str, *names: str) -> list[list[Any]]:
            of = metadata.tables[table]
            return sorted([list(map(str, row)) for row in conn.execute(select(*(of.c[name] for name in names)))])

        return {
            "messages": rows("messages", "step", "round", "state", "reason", "sender", "order_id"),
            "enrollments": rows("enrollments", "workflow", "entry_key", "state", "step", "phase", "outcome"),
            "events": rows("events", "kind", "order_id"),
            "answers": rows("answers", "step", "answer"),
            "suppressions": rows("suppressions", "address_hash", "scope", "reason"),
            "halts": rows("halts", "scope", "reason"),
            "timers": rows("timers", "kind", "workflow", "subject_id", "due_at"),
            "told": sorted({row[0] for row in rows("notices", "key", "person") if row}),
            "switches": rows("workflow_switches", "workflow", "status", "reason"),
            "limits": rows("workflow_limits", "workflow", "first", "approved"),
            "conversations": rows("conversations", "customer_id", "closed_at"),
            "inbound": rows("inbound_mail", "state"),
            "reports": rows("provider_events", "state"),
            "letters": sorted(letter["To"] for letter in world.letters() if not letter["Auto-Submitted"]),
            "people told": sorted({letter["To"] for letter in world.letters() if letter["Auto-Submitted"]}),
        }


def played(scene: Scene, folder: Path, failpoint: str | None) -> tuple[dict[str, Any], bool]:
    """
    Play *scene* on a new shop, killed at *failpoint* and then again; return what it is like, and whether it was killed.
    """
    folder.mkdir()
    with SmtpServer() as smtp:
        shutil.copy(folder.parent / EMPTY, folder / "shop.db")
        engine = make_engine(f"sqlite:///{folder / 'shop.db'}")
        world = World(engine, folder)
        scene.prepare(world)
        if scene.by_smtp:
            world.post = _posted_by(world, Smtp(f"smtp://127.0.0.1:{smtp.port}?tls=off", clock=world.clock))
        killed = failpoint is not None and _killed(scene, world, failpoint)
        with contextlib.suppress(FollowupError):  # it was done before the kill, perhaps
            scene.play(world)
        _minutes_pass(world)
        world.drain()
        found = digest(world) | {"taken by SMTP": len(smtp.letters)}
        engine.dispose()
    return found, killed


def _killed(scene: Scene, world: World, failpoint: str) -> bool:
    """Play *scene* in a child that kills itself at *failpoint*; return whether it got there."""
    world.engine.dispose()  # a connection must not be shared
    child = os.fork()
    if child == 0:
        failpoints.arm(f"{failpoint}:1:kill")
        with contextlib.suppress(FollowupError):
            scene.play(world)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _minutes_pass(world: World) -> None:
    """Let leases run out."""
    with writing(world.engine) as conn:
        for name in ("messages", "enrollments", "inbound_mail", "provider_events", "timers", "notices"):
            of = metadata.tables[name]
            conn.execute(update(of).where(of.c.leased_until.is_not(None)).values(leased_until=real_now(-1)))


def main(folder: Path) -> None:
    """Play every scene, undisturbed and killed before and after each of its commits; print what came of it."""
    found = []
    empty = make_engine(f"sqlite:///{folder / EMPTY}")
    upgrade.upgrade(empty)
    empty.dispose()
    for name, scene in SCENES.items():
        place = folder / name.replace(" ", "-")
        usual, _ = played(scene, place, None)
        for failpoint in scene.failpoints:
            for side in ("", "+") if failpoint in committed() else ("",):
                at = f"{failpoint}{side}"
                after, killed = played(scene, Path(f"{place}-{at}"), at)
                found.append({"scene": name, "failpoint": at, "killed": killed, "usual": usual, "after": after})
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
