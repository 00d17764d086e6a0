"""Looks at the servers an installation depends on, none of which may keep the check-up waiting."""

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

from followup.errors import FollowupError
from followup.services.checkup import Away

if TYPE_CHECKING:
    from followup.settings import Settings

LONGEST = 4.0  # seconds; less than PostgreSQL's own patience, so that all servers are given up alike

T = TypeVar("T")


def within(seconds: float, look: Callable[[], T]) -> T:
    """
    Return what *look* returns, or raise what it raises.

    Raises:
        Away: it took longer; it goes on in a thread that nobody waits for.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(look())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=run, name="probe", daemon=True).start()
    if not wait([outcome], seconds).done:
        raise Away(f"no answer within {seconds:g} seconds")
    return outcome.result()


def redis_policy(settings: "Settings") -> str | None:
    """
    Write to Redis, read it back, and return its maxmemory-policy; None where it does not tell.

    Raises:
        Away: it cannot be reached or used. The text holds nothing of the URL.
    """
    import redis

    from followup.worker.broker import connect, eviction_policy

    def look() -> str | None:
        try:
            client = connect(settings)
        except FollowupError:  # its text may repeat a part of the password
            raise Away("REDIS_URL cannot be read") from None
        key, value = f"{settings.redis_namespace}:doctor", secrets.token_hex(8)
        with client:
            client.set(key, value, ex=60)
            if client.get(key) != value.encode():
                raise Away("what is written does not come back")
            return eviction_policy(client)

    try:
        return within(LONGEST, look)
    except redis.RedisError as error:
        raise Away(f"cannot be used: {_one_line(error)}") from error


def sendgrid(settings: "Settings") -> str:
    """
    Ask SendGrid whether the key may send; return what there is to say about it.

    Raises:
        Away: it may not, or SendGrid cannot be reached.
    """
    from followup.mail.sendgrid import check

    assert settings.sendgrid_api_key is not None, "the transport was made without one"
    key = settings.sendgrid_api_key.get_secret_value()
    found = within(LONGEST + 1, lambda: check(key, url=settings.sendgrid_url, timeout_seconds=LONGEST))
    if not found.ok:
        raise Away(found.problem, found.remedy)
    return "SendGrid takes the key, and it may send"


def smtp(settings: "Settings") -> str:
    """
    Connect to the SMTP server and log in, without a letter; return what there is to say about it.

    Raises:
        Away: that did not work. The text holds nothing of the password.
    """
    from followup.mail.smtp import GOODBYE_SECONDS, check, parse_server

    assert settings.smtp_url is not None, "the transport was made without one"
    url = settings.smtp_url.get_secret_value()
    found = within(LONGEST + GOODBYE_SECONDS + 1, lambda: check(url, timeout_seconds=LONGEST))
    if not found.ok:
        raise Away(found.problem, found.remedy)
    server = parse_server(url)
    return f"{server.place} answers; it asks for no password" if server.user is None else f"{server.place} lets us in"


def page(url: str) -> str:
    """
    Return the beginning of what *url* answers with.

    Raises:
        Away: no answer came, or not one of success.
    """
    from followup.mail.http import Failure, Http, Request

    http = Http(deadline_seconds=LONGEST, in_flight=1)
    try:
        outcome = http.ask(Request(url))
    finally:
        http.close()
    if isinstance(outcome, Failure):
        raise Away(outcome.reason)
    if outcome.status != 200:
        raise Away(f"it answers {outcome.status}")
    return outcome.body[:200].decode("utf-8", "replace")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
