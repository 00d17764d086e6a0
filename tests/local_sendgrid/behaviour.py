"""What the local SendGrid does with a letter, and the bytes it answers with."""

import json
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum


class Behaviour(StrEnum):
    """As a recipient's local part each also works by hand: a letter to ``hang@example.com`` hangs."""

    ACCEPT = "accept"  # 202 with X-Message-Id
    ACCEPT_NAMELESS = "accept-nameless"  # 202 without it
    ACCEPT_THEN_FAIL = "accept-then-fail"  # 500, and yet the letter leaves
    ACCEPT_THEN_HANG = "accept-then-hang"
    ACCEPT_THEN_BREAK = "accept-then-break"  # the connection ends without an answer
    ACCEPT_THEN_TRUNCATE = "accept-then-truncate"  # 202 whose headers break off
    ACCEPT_WRONG_LENGTH = "accept-wrong-length"  # 202 that promises more than comes, and closes
    ACCEPT_SLOWLY = "accept-slowly"  # 202, a byte at a time
    ACCEPT_AND_CLOSE = "accept-and-close"  # 202, and then the connection ends without having been announced
    SANDBOX = "sandbox"  # 200: checked, and nothing leaves
    CREATED = "created"  # 201, which no page of the documentation knows
    REFUSE = "refuse"  # 400
    TOO_LARGE = "too-large"  # 413
    UNAUTHORIZED = "unauthorized"  # 401
    FORBIDDEN = "forbidden"  # 403
    NOT_FOUND = "not-found"  # 404
    NOT_ALLOWED = "not-allowed"  # 405
    TEAPOT = "teapot"  # 418: any other of 4xx
    REDIRECT = "redirect"  # 302
    LIMIT = "limit"  # 429 until a time ahead
    LIMIT_SOON = "limit-soon"  # 429 for a second
    LIMIT_PAST = "limit-past"  # 429 until a time that is over
    LIMIT_FAR = "limit-far"  # 429 for a day
    LIMIT_GARBAGE = "limit-garbage"
    LIMIT_SILENT = "limit-silent"  # 429 that says no time
    FAIL = "fail"  # 500
    UNAVAILABLE = "unavailable"  # 503
    HANG = "hang"  # read, and never answered
    BREAK = "break"  # read, and the connection ends
    RESET = "reset"  # read, and the connection is reset
    BREAK_BEFORE = "break-before"  # the connection ends before the letter is read
    GARBAGE = "garbage"  # something that is not HTTP


ACCEPTING = frozenset(one for one in Behaviour if one.startswith("accept"))
SILENT = frozenset(
    {Behaviour.HANG, Behaviour.ACCEPT_THEN_HANG, Behaviour.BREAK, Behaviour.ACCEPT_THEN_BREAK, Behaviour.RESET,
     Behaviour.BREAK_BEFORE}
)  # fmt: skip
CLOSING = frozenset(
    {Behaviour.GARBAGE, Behaviour.ACCEPT_THEN_TRUNCATE, Behaviour.ACCEPT_WRONG_LENGTH, Behaviour.ACCEPT_AND_CLOSE}
)
STATUS = {
    Behaviour.ACCEPT_THEN_FAIL: 500,
    Behaviour.FAIL: 500,
    Behaviour.UNAVAILABLE: 503,
    Behaviour.SANDBOX: 200,
    Behaviour.CREATED: 201,
    Behaviour.REFUSE: 400,
    Behaviour.TOO_LARGE: 413,
    Behaviour.UNAUTHORIZED: 401,
    Behaviour.FORBIDDEN: 403,
    Behaviour.NOT_FOUND: 404,
    Behaviour.NOT_ALLOWED: 405,
    Behaviour.TEAPOT: 418,
    Behaviour.REDIRECT: 302,
    Behaviour.LIMIT: 429,
    Behaviour.LIMIT_SOON: 429,
    Behaviour.LIMIT_PAST: 429,
    Behaviour.LIMIT_FAR: 429,
    Behaviour.LIMIT_GARBAGE: 429,
    Behaviour.LIMIT_SILENT: 429,
}
_SAID = {
    Behaviour.REFUSE: "Does not contain a valid address: joan@customer.example.",
    Behaviour.TOO_LARGE: "The JSON payload you have included in your request is too large.",
    Behaviour.UNAUTHORIZED: "The provided authorization grant is invalid, expired, or revoked",
    Behaviour.FORBIDDEN: "The from address does not match a verified Sender Identity.",
    Behaviour.LIMIT: "too many requests",
}
_SECONDS_UNTIL_RESET = {
    Behaviour.LIMIT: 30,
    Behaviour.LIMIT_SOON: 1,
    Behaviour.LIMIT_PAST: -30,
    Behaviour.LIMIT_FAR: 86_400,
}


def answer(behaviour: Behaviour, provider_id: str, *, now: float | None = None) -> bytes:
    """Return the whole answer, or as much of it as *behaviour* gives; *now* in seconds since 1970."""
    match behaviour:
        case Behaviour.GARBAGE:
            return b"\x16\x03\x01 this is no HTTP\r\n\r\n"
        case Behaviour.ACCEPT_THEN_TRUNCATE:
            return http(202, {"X-Message-Id": provider_id})[:-12]
        case Behaviour.ACCEPT_WRONG_LENGTH:
            return http(202, {"X-Message-Id": provider_id}, b"short").replace(b"Length: 5", b"Length: 500")
        case Behaviour.ACCEPT_NAMELESS:
            return http(202, {})
    headers = {"X-Message-Id": provider_id} if behaviour in ACCEPTING | {Behaviour.SANDBOX} else {}
    if behaviour in _SECONDS_UNTIL_RESET:
        headers["X-RateLimit-Reset"] = str(int((now or time.time()) + _SECONDS_UNTIL_RESET[behaviour]))
    elif behaviour is Behaviour.LIMIT_GARBAGE:
        headers["X-RateLimit-Reset"] = "soon"
    elif behaviour is Behaviour.REDIRECT:
        headers["Location"] = "/v3/mail/send/elsewhere"
    status = STATUS.get(behaviour, 202)
    return http(status, headers, b"" if status < 300 else errors([(_SAID.get(behaviour, "no"), None)]))


def errors(found: Sequence[tuple[str, str | None]]) -> bytes:
    """Return SendGrid's JSON for (message, field) pairs."""
    return json.dumps({"errors": [{"message": said, "field": field, "help": None} for said, field in found]}).encode()


def http(status: int, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return an answer whose connection stays open."""
    lines = [f"HTTP/1.1 {status} Whatever", "Server: local", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
