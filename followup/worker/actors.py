"""The Dramatiq actors, and the hints that reach them."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from followup.failpoints import reach
from followup.services.hints import Hints, NoHints
from followup.services.sweep import Work
from followup.settings import Settings
from followup.worker.broker import make_broker

log = logging.getLogger(__name__)

IDS = 32  # in one hint: a wave of letters, and little enough for several workers to share a batch
# the lowest is worked on first
PRIORITY = {Work.RECEIVE: 0, Work.TRACK: 10, Work.RING: 15, Work.ADVANCE: 20, Work.DELIVER: 30}
PAUSE_SECONDS = 5.0  # after a hint failed, the next ones do not wait for the same time-out
BACKLOG = 64  # hints of one kind on their way; more would only wait, and lose their lease meanwhile

Actors = Mapping[Work, "dramatiq.Actor[..., None]"]


def register(broker: dramatiq.Broker, jobs: Hints | None) -> Actors:
    """
    Declare the actors on *broker*; without *jobs* they can only be sent to.

    Ids travel by keyword, and what a newer version adds is ignored, so that workers of two versions can
    share a queue. Retries belong to the row and not to the message. No time limit: it would interrupt a
    letter between request and commit; what takes time has deadlines of its own.
    """

    def actor(kind: Work) -> "dramatiq.Actor[..., None]":
        name = kind.value

        @dramatiq.actor(broker=broker, actor_name=name, queue_name=name, priority=PRIORITY[kind], max_retries=0)
        def work(*, ids: list[int], **_later: object) -> None:
            assert jobs is not None
            getattr(jobs, name)(ids)

        return work

    return {kind: actor(kind) for kind in Work}


class Queued:
    """
    A `services.hints.Hints` that leaves the work to whichever worker is free.

    Args:
        otherwise: is told instead while the queue cannot be reached.
    """

    def __init__(self, actors: Actors, *, otherwise: Hints, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._actors, self._otherwise, self._monotonic = actors, otherwise, monotonic
        self._away_until = float("-inf")

    def receive(self, ids: Sequence[int]) -> None:
        self._hint(Work.RECEIVE, ids)

    def track(self, ids: Sequence[int]) -> None:
        self._hint(Work.TRACK, ids)

    def ring(self, ids: Sequence[int]) -> None:
        self._hint(Work.RING, ids)

    def advance(self, ids: Sequence[int]) -> None:
        self._hint(Work.ADVANCE, ids)

    def deliver(self, ids: Sequence[int]) -> None:
        self._hint(Work.DELIVER, ids)

    def _hint(self, kind: Work, ids: Sequence[int]) -> None:
        for begin in range(0, len(ids), IDS):
            some = list(ids[begin : begin + IDS])
            if not self._sent(kind, some):
                getattr(self._otherwise, kind.value)(some)

    def _sent(self, kind: Work, ids: list[int]) -> bool:
        if self._monotonic() < self._away_until:
            return False
        try:
            reach("queue.send")
            self._actors[kind].send(ids=ids)
        except (dramatiq.DramatiqError, redis.RedisError, OSError) as error:
            self._away(error)
            return False
        return True

    def _away(self, error: Exception) -> None:
        log.warning("redis.away", extra={"reason": type(error).__name__})
        self._away_until = self._monotonic() + PAUSE_SECONDS

    def wanted(self) -> set[Work]:
        """Return the kinds of work of which more can be handed out; all of them while the queue is away."""
        if self._monotonic() < self._away_until:
            return set(Work)
        try:
            return {kind for kind, actor in self._actors.items() if _waiting(actor) < BACKLOG}
        except (dramatiq.DramatiqError, redis.RedisError, OSError) as error:
            self._away(error)
            return set(Work)


def _waiting(actor: "dramatiq.Actor[..., None]") -> int:
    """Return how many hints wait for this actor."""
    match actor.broker:
        case RedisBroker() as shared:
            reach("queue.look")
            return int(shared.client.llen(f"{shared.namespace}:{actor.queue_name}"))
        case StubBroker() as own:
            waiting: int = own.queues[actor.queue_name].qsize()
            return waiting
    raise TypeError(f"{type(actor.broker).__name__} is no broker of ours")


def sending_only(settings: Settings) -> Hints:
    """Return hints from a process that works on none itself; one that cannot be sent is left to the next sweep."""
    return Queued(register(make_broker(settings), None), otherwise=NoHints())
