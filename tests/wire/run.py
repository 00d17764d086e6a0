"""The same orders and customers twice: over the wire, and as a replay."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, select

from followup.authoring.acts_file import Act
from followup.authoring.bundle import read_folder
from followup.clock import VirtualClock
from followup.core.message import Outcome
from followup.core.order import Purchase
from followup.mail.outbox import Outbox
from followup.services import deploy
from followup.services.deliver import Post
from followup.services.library import Library
from followup.services.replay import replay
from followup.store.engine import make_engine, reading
from followup.store.schema import messages
from followup.store.upgrade import upgrade
from tests.services.told import told
from tests.wire.harness import IDENTITY, ROOT, Clocks, OverTheWire, deployment, until

Told = dict[str, list[tuple]]


@dataclass(frozen=True)
class Travelled:
    """What went over the wire, and what it left."""

    told: Told
    moments: int
    acts: int
    sent: Counter[str]  # by token, as the provider took them
    recorded: set[str]  # the tokens of the letters that the record says were accepted
    exit_codes: list[int]
    events: int
    by_worker: list[int]  # letters each worker settled


def begin(url: str, purchases: Sequence[Purchase]) -> tuple[Engine, VirtualClock]:
    """Return a database in which the project folder is applied when the first order is placed."""
    clock = VirtualClock(min(purchase.order.placed_at for purchase in purchases))
    engine = make_engine(url)
    upgrade(engine)
    deploy.apply(engine, read_folder(ROOT), clock=clock)
    return engine, clock


def replayed(url: str, folder: Path, purchases: Sequence[Purchase], acts: Sequence[Act]) -> Told:
    """Return what a replay leaves."""
    engine, clock = begin(url, purchases)
    post = Post(transport=Outbox(folder, clock), identity=IDENTITY, suppression_key=IDENTITY.keys[0])
    replay(engine, purchases, acts, library=Library(), post=post, clock=clock)
    left = told(engine)
    engine.dispose()
    return left


def over_the_wire(
    database_url: str,
    redis_url: str,
    folder: Path,
    purchases: Sequence[Purchase],
    acts: Sequence[Act],
    *,
    workers: int = 2,
    progress: Callable[[datetime], object] = lambda _: None,
) -> Travelled:
    """Let it happen in a web process and so many workers; wait until the last letter is reported delivered."""
    engine, clock = begin(database_url, purchases)
    clocks = Clocks.at(clock.now(), folder)
    with deployment(folder, database_url=database_url, redis_url=redis_url) as running:
        running.start_web(clocks.web)
        started = [running.start_worker(clocks.workers) for _ in range(workers)]
        result = OverTheWire(running, clocks, engine, acts, clock).run(purchases, None, progress)
        left = told(engine)
        until(lambda: _outcomes(engine) <= {Outcome.DELIVERED.value}, what="the last delivery event")
        exit_codes = [process.stop() for process in started]
        assert running.events is not None
        travelled = Travelled(
            told=left,
            moments=result.moments,
            acts=result.acts,
            sent=Counter(str(entry.token) for entry in running.sendgrid.accepted),
            recorded=_accepted(engine),
            exit_codes=exit_codes,
            events=sum(number for number, _ in running.events.posted),
            by_worker=[process.log.read_text().count('"event": "message.settled"') for process in started],
        )
    engine.dispose()
    return travelled


def _outcomes(engine: Engine) -> set[str]:
    with reading(engine) as conn:
        return set(conn.scalars(select(messages.c.outcome).where(messages.c.state == "accepted").distinct()))


def _accepted(engine: Engine) -> set[str]:
    with reading(engine) as conn:
        return set(conn.scalars(select(messages.c.token).where(messages.c.state == "accepted")))
