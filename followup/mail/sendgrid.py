"""
Mail through SendGrid's v3 API: one POST for each letter, and what each answer means.

Only 202 says that a letter was taken, and only some answers say that it was not. Everything between, a
500 above all, is unknown: SendGrid has no idempotency key, so asking again may write twice.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from json import loads
from typing import Any

from followup import __version__
from followup.clock import Clock
from followup.core.message import Accepted, Answer, Cause, Misconfigured, Rejected, RetrySafe, Unknown
from followup.core.provider import TOKEN_ARGUMENT
from followup.errors import ConfigurationError, TemporaryError
from followup.mail.headers import one_line
from followup.mail.http import DEADLINE_SECONDS, IN_FLIGHT, Failure, Http, Request, Response, shown
from followup.mail.json_http import encoded_json, get_json
from followup.mail.message import OutgoingMail
from followup.mail.reasons import fit
from followup.mail.transport import NOT_BEGUN, Answered, Check

log = logging.getLogger(__name__)

URL = "https://api.sendgrid.com"

AFTER_A_BUG = timedelta(hours=1)
LIMIT_BACKOFF = timedelta(seconds=10)  # a limit that does not say when it ends, or says it has
LONGEST_WAIT = timedelta(hours=1)

# Documented limits of POST /v3/mail/send. What breaks one is refused here, where the reason can be exact.
MAIL_BYTES = 30_000_000
ARGS_BYTES = 10_000
FORBIDDEN_HEADERS = frozenset(
    {
        "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding",
        "to", "from", "subject", "reply-to", "cc", "bcc",
    }
)  # fmt: skip
_HEADER_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322, 2.2
_LINE_BREAK = re.compile(r"[\r\n]")

_OWN_ID = re.compile(r"[!-~]{1,100}")

_HINTS = {
    401: "SENDGRID_API_KEY is wrong, revoked, or belongs to another region",
    403: "The API key lacks the permission mail.send, or the sender is not verified",
}

# Account-wide settings may turn these on, and then SendGrid rewrites our links and adds its own headers.
_TRACKING_OFF = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
    "ganalytics": {"enable": False},
}


class SendGrid:
    """
    A `mail.transport.Transport` that posts to SendGrid, or to a server that speaks as it does.

    Several threads may use it at once. A 202 without a usable X-Message-Id is still a letter taken: its
    provider id is then our own token, which SendGrid's events carry as well.
    """

    def __init__(
        self,
        api_key: str,
        clock: Clock,
        *,
        url: str = URL,
        deadline_seconds: float = DEADLINE_SECONDS,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        """
        Raises:
            ConfigurationError: the key cannot be one, or *url* is not one of http or https.
        """
        self._place = shown(url)
        self._url = f"{url.rstrip('/')}/v3/mail/send"
        self._headers = (*_headers(api_key), "Content-Type: application/json")
        self._clock = clock
        self._http = Http(deadline_seconds=deadline_seconds, in_flight=in_flight)

    @property
    def name(self) -> str:
        return "sendgrid"

    def send(self, mails: Sequence[OutgoingMail], *, may_begin: Callable[[], bool]) -> Iterator[Answered]:
        """Post each of *mails*, many at once; what breaks a documented limit is refused before it leaves."""
        prepared = [(mail, self._prepared(mail)) for mail in mails]
        if refused := [(mail, one) for mail, one in prepared if not isinstance(one, Request)]:
            yield refused
        requests = [(mail, one) for mail, one in prepared if isinstance(one, Request)]
        for outcomes in self._http.exchange(requests, may_begin=may_begin):
            yield [(mail, self._answer(mail, outcome)) for mail, outcome in outcomes]

    def recover(self, mail: OutgoingMail) -> Answer:
        """Return ``Unknown``: SendGrid cannot be asked; an event that carries the token may tell."""
        return Unknown("SendGrid's answer was lost")

    def close(self) -> None:
        """Close the connections that rest between calls."""
        self._http.close()

    def _prepared(self, mail: OutgoingMail) -> Request | Answer:
        try:
            content = payload(mail)
            body = encoded_json(content)
            problem = broken_limit(content, len(body))
        except ValueError as error:
            return Rejected(f"the letter cannot be written as JSON: {error}")
        except Exception as error:  # a bug with one letter must not keep the others from leaving
            log.exception("sendgrid.unwritable", extra={"letter": mail.letter})
            reason = f"{type(error).__name__} while the letter was prepared; see the log"
            return RetrySafe(self._clock.now() + AFTER_A_BUG, reason)
        return Rejected(problem) if problem else Request(self._url, self._headers, body)

    def _answer(self, mail: OutgoingMail, outcome: Response | Failure) -> Answer:
        try:
            if isinstance(outcome, Failure):
                return self._unanswered(outcome)
            return answer(outcome, token=mail.token, now=self._clock.now())
        except Exception as error:  # the letter may have left
            log.exception("sendgrid.unreadable", extra={"letter": mail.letter})
            return Unknown(f"{type(error).__name__} while SendGrid's answer was read; see the log")

    def _unanswered(self, failure: Failure) -> Answer:
        if failure.began:
            return Unknown(f"no answer from {self._place}: {failure.reason}")
        if failure.reason == NOT_BEGUN:
            return RetrySafe(self._clock.now(), NOT_BEGUN, Cause.KEPT)
        return RetrySafe(self._clock.now(), f"nothing was sent to {self._place}: {failure.reason}")


def payload(mail: OutgoingMail) -> dict[str, Any]:
    """
    Return the body of POST /v3/mail/send for *mail*: what SendGrid's own package builds for the same letter.

    The only argument of ours is the token, which names nobody: SendGrid keeps arguments where they cannot
    be erased. No Date: SendGrid writes its own when it sends.
    """
    to = {"email": mail.to_email, **({"name": mail.to_name} if mail.to_name else {})}
    sender = {"name": mail.from_name} if mail.from_name else {}
    return {
        "from": {"email": mail.from_email, **sender},
        "reply_to": {"email": mail.reply_to, **sender},
        "subject": mail.subject,
        "personalizations": [{"to": [to]}],
        "content": [{"type": "text/plain", "value": mail.text}, {"type": "text/html", "value": mail.html}],
        "headers": dict(mail.headers),
        "custom_args": {TOKEN_ARGUMENT: mail.token},
        "tracking_settings": _TRACKING_OFF,
    }


def broken_limit(content: Mapping[str, Any], size: int) -> str | None:
    """Return which documented limit *content* breaks, *size* bytes long as JSON, or None."""
    args, headers = content["custom_args"], content["headers"]
    to = [person for one in content["personalizations"] for person in one["to"]]
    addresses = [content["from"]["email"], content["reply_to"]["email"], *(person["email"] for person in to)]
    checks = (
        (size >= MAIL_BYTES, f"the letter has {size:,} bytes; SendGrid takes less than {MAIL_BYTES:,}"),
        (not content["subject"], "the subject is empty; SendGrid wants at least one character"),
        (
            not all(one["value"] for one in content["content"]),
            "a part of the letter is empty; SendGrid wants text in each",
        ),
        (not all(address.isascii() for address in addresses), "an address is not ASCII, which SendGrid does not take"),
        (not all(isinstance(value, str) for value in args.values()), "an argument is not text"),
        (
            len(encoded_json(args)) > ARGS_BYTES,
            f"the arguments have more than the {ARGS_BYTES:,} bytes that SendGrid takes",
        ),
        (
            any(mark in person.get("name", "") for person in to for mark in ",;"),
            "the recipient's name holds a comma or a semicolon, which SendGrid refuses",
        ),
    )
    broken = next((problem for is_broken, problem in checks if is_broken), None)
    return broken or next((problem for name in headers if (problem := _broken_header(name, headers[name]))), None)


def _broken_header(name: str, value: object) -> str | None:
    if name.lower() in FORBIDDEN_HEADERS:
        return f"the header {name} may not be set by us; SendGrid sets it"
    if not _HEADER_NAME.fullmatch(name) or not isinstance(value, str) or _LINE_BREAK.search(value):
        return f"the header {one_line(name, 60)!r} would not stay one line"
    return None if value.isascii() else f"the header {name} is not ASCII"


def answer(response: Response, *, token: str, now: datetime) -> Answer:
    """Return what SendGrid's *response* to the letter called *token* says; *now* is aware."""
    match response.status:
        case 202:
            given = response.headers.get("x-message-id", "")
            return Accepted(given if _OWN_ID.fullmatch(given) else token)
        case 200:
            return Accepted("sandbox")  # sandbox mode: checked, and not sent
        case 429:
            return RetrySafe(now + _wait(response, now), "SendGrid limits how fast we may send (429)", Cause.LIMITED)
        case 400 | 413:
            return Rejected(_said(response))
        case status if 400 <= status < 500:
            return Misconfigured(f"{_said(response)}. {_HINTS.get(status, 'FOLLOWUP_SENDGRID_URL may lead elsewhere')}")
    return Unknown(f"{_said(response)}; the letter may have been taken")


def _wait(response: Response, now: datetime) -> timedelta:
    """Return how long the limit asks us to wait, between a second and an hour."""
    reset = response.headers.get("x-ratelimit-reset", "")
    if not re.fullmatch(r"[0-9]{1,11}", reset):  # seconds since 1970
        return LIMIT_BACKOFF
    wait = datetime.fromtimestamp(int(reset), UTC) - now
    return max(min(wait, LONGEST_WAIT), timedelta(seconds=1)) if wait > timedelta() else LIMIT_BACKOFF


def _said(response: Response) -> str:
    """Return the status and what SendGrid said of it: bounded, and without anybody's address."""
    said = "; ".join(_errors(response.body))
    return f"SendGrid answered {response.status}" + (f": {said}" if said else "")


def _errors(body: bytes) -> list[str]:
    try:
        errors = loads(body)["errors"]
        found = [(str(error.get("field") or ""), str(error["message"])) for error in errors[:3]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    return [fit(f"{field}: {message}" if field else message) for field, message in found]


def _headers(api_key: str) -> tuple[str, ...]:
    key = api_key.strip()
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigurationError(
            "the SendGrid API key is empty or holds characters that no key has",
            hint="Set SENDGRID_API_KEY to a key as SendGrid showed it, without quotes: it begins with SG.",
        )
    return (f"Authorization: Bearer {key}", "Accept: application/json", f"User-Agent: followup/{__version__}")


def check(api_key: str, *, url: str = URL, timeout_seconds: float = 10) -> Check:
    """
    Ask SendGrid what the key may do.

    Raises:
        ConfigurationError: the key cannot be one, or *url* is not one of http or https.
    """
    headers = dict(line.split(": ", 1) for line in _headers(api_key))
    try:
        status, said = get_json(f"{url.rstrip('/')}/v3/scopes", headers=headers, timeout_seconds=timeout_seconds)
    except TemporaryError as error:
        return Check(str(error), "Look at the network, and at FOLLOWUP_SENDGRID_URL")
    if status == 401:
        return Check(
            "SendGrid does not know the API key (401)", "Set SENDGRID_API_KEY; a key of the EU region needs its URL"
        )
    if status == 403:
        return Check(
            "SendGrid refuses the API key (403)", "Look at IP Access Management and at the account in SendGrid"
        )
    scopes = said.get("scopes") if status == 200 and isinstance(said, dict) else None
    if not isinstance(scopes, list):
        return Check(f"{shown(url)} answered {status}, which is not SendGrid's way", "Look at FOLLOWUP_SENDGRID_URL")
    if "mail.send" not in scopes:
        return Check(
            "the API key may not send mail", "Give it the permission mail.send in SendGrid, or make one that has it"
        )
    return Check()
