"""JSON over HTTP, asked or posted once, for what is no letter: a check of a key, an alert."""

import json
from collections.abc import Mapping
from typing import Any

from followup.errors import TemporaryError
from followup.mail.http import Failure, Http, Request, shown


def get_json(url: str, *, headers: Mapping[str, str] | None = None, timeout_seconds: float = 10) -> tuple[int, Any]:
    """
    Ask *url*; return the status and the JSON that came, None where it is none.

    Raises:
        ConfigurationError: *url* is not one of http or https.
        TemporaryError: no answer came. Neither error shows more of *url* than its host.
    """
    return _asked(url, None, headers or {}, timeout_seconds)


def post_json(
    url: str, payload: object, *, headers: Mapping[str, str] | None = None, timeout_seconds: float = 10
) -> tuple[int, Any]:
    """Post *payload* to *url* as JSON, once; otherwise as `get_json`."""
    return _asked(url, encoded_json(payload), headers or {}, timeout_seconds)


def encoded_json(payload: object) -> bytes:
    """Return *payload* as compact JSON in UTF-8."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _asked(url: str, body: bytes | None, headers: Mapping[str, str], timeout_seconds: float) -> tuple[int, Any]:
    place = shown(url)
    lines = ["Accept: application/json", *(["Content-Type: application/json"] if body else [])]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    http = Http(deadline_seconds=timeout_seconds, in_flight=1)
    try:
        outcome = http.ask(Request(url, tuple(lines), body))
    finally:
        http.close()
    if isinstance(outcome, Failure):
        raise TemporaryError(f"{place} did not answer: {outcome.reason}")
    try:
        return outcome.status, json.loads(outcome.body)
    except ValueError:
        return outcome.status, None
