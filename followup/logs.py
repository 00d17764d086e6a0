"""Structured logs: an event name and facts, as JSON in production and as text on a terminal."""

import logging
import os
import sys
from typing import TextIO

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

from followup.settings import LogFormat


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
            colors=to.isatty() and not os.environ.get("NO_COLOR"),  # noqa: TID251 - the terminal's, not ours
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,  # where rich is installed it would print locals
        )
    )
    handler = logging.StreamHandler(to)
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
