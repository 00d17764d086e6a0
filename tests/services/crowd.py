"""Several processes that work on one shop at once, from moment to moment of virtual time."""

import multiprocessing
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from followup.clock import VirtualClock
from followup.mail.message import MailIdentity
from followup.mail.outbox import Outbox
from followup.services.deliver import Post
from followup.services.library import Library
from followup.services.sweep import drain, next_moment
from followup.store.engine import make_engine, reading
from tests.services.world import KEYS, World

OVER = -1.0


def work(url: str, folder: str, moment: Any, together: Any, wrong: Any) -> None:
    """Be one of them: at each moment do what is due, as long as there is something."""
    engine, library, clock = make_engine(url), Library(), VirtualClock(datetime(2020, 1, 1, tzinfo=UTC))
    identity = MailIdentity(reply_domain="reply.forge.example", public_url="https://forge.example", keys=KEYS)
    post = Post(transport=Outbox(Path(folder) / "outbox", clock), identity=identity, suppression_key="never-changes")
    while True:
        together.wait()
        if moment.value == OVER:
            break
        clock.move_to(datetime.fromtimestamp(moment.value, UTC))
        try:
            drain(engine, library=library, post=post, clock=clock)
        except Exception:  # noqa: BLE001 - whatever it is, the test says so
            wrong.put(traceback.format_exc())
        together.wait()
    engine.dispose()


def live(world: World, processes: int, *, until: datetime, at_each: Callable[[World], object]) -> list[str]:
    """
    Let *processes* do all that falls due in *world* until a moment; return what went wrong in them.

    Args:
        at_each: called after each moment, while nobody works.
    """
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["tests.services.crowd", "followup.store.postgresql"])
    moment, together, wrong = fork.Value("d", 0.0), fork.Barrier(processes + 1), fork.Queue()
    url = make_url(world.engine.url).render_as_string(hide_password=False)
    given = (url, str(world.folder), moment, together, wrong)
    workers = [fork.Process(target=work, args=given, daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        while (due := _next(world)) is not None and due <= until:
            world.clock.move_to(max(due, world.clock.now()))
            moment.value = world.clock.now().timestamp()
            together.wait(60)
            together.wait(60)
            at_each(world)
        moment.value = OVER
        together.wait(60)
    finally:
        for worker in workers:
            worker.join(30)
            worker.kill()
    return [wrong.get() for _ in range(wrong.qsize())]


def _next(world: World) -> datetime | None:
    with reading(world.engine) as conn:
        return next_moment(conn)
