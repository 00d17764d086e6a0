import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import datetime, timedelta

import pytest

from followup.logs import configure
from followup.settings import LogFormat

log = logging.getLogger("followup.tests")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("followup")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


def configured(level: str, log_format: LogFormat, stream: io.StringIO | None = None) -> io.StringIO:
    """Configure the log with *stream* (default: a pipe) in the place of stderr; return it."""
    stream = io.StringIO() if stream is None else stream
    with redirect_stderr(stream):
        configure(level, log_format)
    return stream


def fail() -> None:
    address = "ana" + "@shop.example"
    assert address
    try:
        raise ValueError("what\nwas wrong")
    except ValueError:
        log.exception("message.failed", extra={"message_id": 7})


def test_a_pipe_gets_one_json_object_per_line_with_event_and_facts() -> None:
    piped = configured("INFO", LogFormat.AUTO)
    log.info("message.accepted", extra={"message_id": 7, "at": timedelta(seconds=1), "letter": "Grüße\n"})
    log.warning("sender.paused")
    first, second = [json.loads(line) for line in piped.getvalue().splitlines()]
    assert (first["event"], first["level"], first["logger"]) == ("message.accepted", "info", "followup.tests")
    assert (first["message_id"], first["letter"]) == (7, "Grüße\n")
    assert datetime.fromisoformat(first["timestamp"]).utcoffset() == timedelta(0)
    assert second["event"] == "sender.paused"
    assert "message_id" not in second


def test_a_traceback_stays_within_its_json_line() -> None:
    piped = configured("INFO", LogFormat.AUTO)
    fail()
    [line] = piped.getvalue().splitlines()
    found = json.loads(line)
    assert (found["event"], found["message_id"], found["level"]) == ("message.failed", 7, "error")
    assert found["exception"].startswith("Traceback (most recent call last):")
    assert found["exception"].endswith("ValueError: what\nwas wrong")


def test_a_terminal_gets_text() -> None:
    terminal = configured("INFO", LogFormat.AUTO, Terminal())
    log.info("message.accepted", extra={"message_id": 7})
    fail()
    text = terminal.getvalue()
    assert "message.accepted" in text
    assert "message_id" in text
    assert "Traceback (most recent call last)" in text
    assert "ana@shop.example" not in text, "local variables stay out"
    assert "\x1b[" in text
    assert not text.startswith("{")


def test_the_format_can_be_chosen_whatever_stderr_is() -> None:
    terminal = configured("INFO", LogFormat.JSON, Terminal())
    log.info("message.accepted")
    assert json.loads(terminal.getvalue())["event"] == "message.accepted"


def test_text_in_a_pipe_has_no_colours() -> None:
    piped = configured("INFO", LogFormat.TEXT)
    log.info("message.accepted", extra={"message_id": 7})
    assert "message.accepted" in piped.getvalue()
    assert "message_id=7" in piped.getvalue()
    assert "\x1b" not in piped.getvalue()


def test_configured_twice_every_event_is_still_logged_once() -> None:
    piped = configured("INFO", LogFormat.JSON)
    configured("INFO", LogFormat.JSON, piped)
    log.info("message.accepted")
    assert len(piped.getvalue().splitlines()) == 1


def test_consumers_that_cannot_reach_redis_say_so_once_a_minute() -> None:
    piped = configured("INFO", LogFormat.JSON)

    def say(name: str, message: str, second: float) -> None:
        record = logging.makeLogRecord({"name": name, "msg": message, "args": (f"at {second}",), "levelno": 50})
        record.created = second
        logging.getLogger(name).handle(record)

    away, unclear = "Consumer encountered a connection error: %s", "Failed to decode %s"
    for second in (0, 3, 59.9, 60, 63):
        for queue in ("deliver", "track"):
            say(f"dramatiq.worker.ConsumerThread({queue})", away, second)
    say("dramatiq.worker.ConsumerThread(track)", unclear, 63)
    for second in (63, 64):
        say("dramatiq.worker.WorkerThread", away, second)
        say("followup.worker.actors", "redis.away %s", second)
    assert [json.loads(line)["event"] for line in piped.getvalue().splitlines()] == [
        "Consumer encountered a connection error: at 0",
        "Consumer encountered a connection error: at 60",
        "Failed to decode at 63",
        "Consumer encountered a connection error: at 63",
        "redis.away at 63",
        "Consumer encountered a connection error: at 64",
        "redis.away at 64",
    ]


def test_the_level_is_ours_and_libraries_only_warn() -> None:
    piped = configured("WARNING", LogFormat.JSON)
    log.info("ours.info")
    log.warning("ours.warning")
    configured("DEBUG", LogFormat.JSON, piped)
    log.debug("ours.debug")
    logging.getLogger("dramatiq").info("theirs.info")
    logging.getLogger("dramatiq").warning("theirs.warning")
    events = [json.loads(line)["event"] for line in piped.getvalue().splitlines()]
    assert events == ["ours.warning", "ours.debug", "theirs.warning"]
