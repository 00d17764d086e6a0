"""What is only played is not logged, since nothing of it happened."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident


class _Silence(logging.Filter):
    """Lets nothing through that our own code logs in one thread; ``bug`` is the first exception among it."""

    def __init__(self) -> None:
        super().__init__("followup")
        self._thread = get_ident()
        self.bug: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether *record* is somebody else's."""
        if record.thread != self._thread or not super().filter(record):
            return True
        if self.bug is None and record.exc_info:
            self.bug = record.exc_info[1]
        return False


@contextmanager
def silently() -> Iterator[None]:
    """
    Keep to itself what our code logs in this thread.

    An engine that runs logs a bug that it met with one run or letter, and goes on with the others; where it is only
    played there is nobody to go on for.

    Raises:
        Exception: whatever was caught and logged.
    """
    silence, handlers = _Silence(), [*logging.getLogger().handlers]
    for handler in handlers:
        handler.addFilter(silence)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(silence)
    if silence.bug is not None:
        raise silence.bug
