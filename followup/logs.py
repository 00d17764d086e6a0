"""Structured logs: an event name and facts, as JSON in production and as text on a terminal."""

import logging
import os
import sys

import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

from followup.settings import LogFormat


def configure(level: str, log_format: LogFormat) -> None:
    """
    Send the log of this process to stderr, one line per record.

    Everything logs through the standard library: ``log.info("message.accepted", extra={"message_id": 7})``.
    """
    as_json = log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not sys.stderr.isatty())
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),  # noqa: TID251 - the terminal's, not ours
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,  # where rich is installed it would print locals
        )
    )
    handler = logging.StreamHandler(sys.stderr)
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
