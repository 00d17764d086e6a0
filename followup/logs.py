"""Structured logs: an event name and facts, as JSON in production and as text on a terminal."""

import logging
import sys
import threading
from typing import TextIO

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

from followup.settings import LogFormat
from followup.terminal import takes_colour

REPEATED_SECONDS = 60.0


class _OnceAMinute(logging.Filter):
    """
    Lets each message of the loggers whose names begin with *prefix* through once a minute.

    While Redis is away, every consumer of the queue reports it as critical every few seconds; ``redis.away`` says it.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix, self._last, self._lock = prefix, dict[str, float](), threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether *record* is to be logged, by the time it was made."""
        if not record.name.startswith(self._prefix):
            return True
        said = str(record.msg)  # before its parameters are put in
        with self._lock:
            if record.created < self._last.get(said, float("-inf")) + REPEATED_SECONDS:
                return False
            self._last[said] = record.created
        return True


def configure(level: str, log_format: LogFormat, *, stream: TextIO | None = None) -> None:
    """
    Send the log of this process to *stream* (default: stderr), one line per record.

    Everything logs through the standard library: ``log.info("message.accepted", extra={"message_id": 7})``.
    """
    to = sys.stderr if stream is None else stream
    as_json = log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not to.isatty())
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=takes_colour(to),
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,  # where rich is installed it would print locals
        )
    )
    handler = logging.StreamHandler(to)
    handler.addFilter(_OnceAMinute("dramatiq.worker.ConsumerThread"))
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[
                add_log_level,
                add_logger_name,
                ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if as_json else []),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("followup").setLevel(level)
