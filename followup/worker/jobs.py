"""What a worker does with the ids it is given. Safe to do twice, and in several workers at once."""

import logging
from collections.abc import Callable, Sequence
from functools import cached_property

from followup.app import App
from followup.errors import FollowupError
from followup.services.advance import advance
from followup.services.deliver import Post, deliver
from followup.services.receive import receive
from followup.services.timers import ring
from followup.services.track import track

log = logging.getLogger(__name__)


class Jobs:
    """
    A `services.hints.Hints` that does what it is told at once.

    Nothing escapes a job: a database that is away, or a bug of ours, is logged, and when the lease on the
    rows ends the next sweep finds them again.

    Args:
        stopping: True, and what has not begun is left for others.
        done: called after each job; there may be something new to do.
    """

    def __init__(self, app: App, *, stopping: Callable[[], bool], done: Callable[[], object]) -> None:
        self._app, self._stopping, self._done = app, stopping, done

    @cached_property
    def _post(self) -> Post:
        return self._app.post()

    def receive(self, ids: Sequence[int]) -> None:
        """Read stored mails."""
        for inbound_id in ids:
            self._do("receive", [inbound_id], self._receive)

    def track(self, ids: Sequence[int]) -> None:
        """Apply delivery events."""
        self._do("track", ids, self._track)

    def ring(self, ids: Sequence[int]) -> None:
        """Look at timers."""
        self._do("ring", ids, self._ring)

    def advance(self, ids: Sequence[int]) -> None:
        """Move enrollments on."""
        self._do("advance", ids, self._advance)

    def deliver(self, ids: Sequence[int]) -> None:
        """Send letters."""
        self._do("deliver", ids, self._deliver)

    def _do(self, name: str, ids: Sequence[int], job: Callable[[Sequence[int]], object]) -> None:
        if self._stopping():
            return
        try:
            job(ids)
        except FollowupError as error:
            log.warning("job.waiting", extra={"job": name, "reason": str(error)})
        except Exception:
            log.exception("job.failed", extra={"job": name, "ids": list(ids)})
        else:
            self._done()

    def _receive(self, ids: Sequence[int]) -> None:
        for inbound_id in ids:
            receive(self._app.engine, inbound_id, library=self._app.library, post=self._post)

    def _track(self, ids: Sequence[int]) -> None:
        track(self._app.engine, ids, suppression_key=self._post.suppression_key, clock=self._app.clock)

    def _ring(self, ids: Sequence[int]) -> None:
        ring(self._app.engine, ids, library=self._app.library, clock=self._app.clock)

    def _advance(self, ids: Sequence[int]) -> None:
        advance(self._app.engine, list(ids), library=self._app.library, clock=self._app.clock)

    def _deliver(self, ids: Sequence[int]) -> None:
        deliver(
            self._app.engine,
            ids,
            library=self._app.library,
            post=self._post,
            clock=self._app.clock,
            stopping=self._stopping,
        )
