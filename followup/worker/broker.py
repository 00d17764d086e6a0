"""
The broker that carries hints: Redis between processes, memory within one.

Nothing of value is in it. Everything a hint names is a row in the database, so retries, delays, results
and time limits of the queue are not used: each of them loses or repeats work when a process dies.
"""

import logging
import ssl

import redis
from dramatiq import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware, Retries
from redis.backoff import NoBackoff
from redis.retry import Retry

from followup.errors import ConfigurationError
from followup.failpoints import reach
from followup.settings import Settings

log = logging.getLogger(__name__)

HINT_TIMEOUT = 1.0  # seconds; a hint that takes longer is not worth waiting for
MAINTENANCE_CHANCE = 100_000  # commands in a million that look for dead workers; few come in a quiet shop
DEAD_MESSAGE_TTL = 86_400_000  # ms


def make_broker(settings: Settings) -> Broker:
    """
    Return the broker that *settings* ask for; nothing connects yet.

    Raises:
        ConfigurationError: ``REDIS_URL`` is no URL of a Redis server.
    """
    # the others would limit time by exceptions, or keep results
    middleware: list[Middleware] = [Retries(max_retries=0)]
    if settings.redis_url is None:
        return StubBroker(middleware=middleware)
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=connect(settings),
        middleware=middleware,
        namespace=settings.redis_namespace,
        maintenance_chance=MAINTENANCE_CHANCE,
        heartbeat_timeout=60_000,
        dead_message_ttl=DEAD_MESSAGE_TTL,
    )


def connect(settings: Settings) -> "redis.Redis":
    """
    Return a client of the configured Redis that gives up quickly and never repeats a command by itself.

    Raises:
        ConfigurationError: ``REDIS_URL`` is no URL of a Redis server.
    """
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    options: dict[str, object] = {}
    if url.startswith("rediss://") and not settings.redis_tls_verify:
        options = {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}
    try:
        return redis.Redis.from_url(
            url,
            socket_connect_timeout=HINT_TIMEOUT,
            socket_timeout=HINT_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            **options,
        )
    except ValueError as error:
        raise ConfigurationError(  # the error may quote a piece of the password
            "REDIS_URL cannot be read", hint="Use redis://HOST:6379/0 or rediss://:PASSWORD@HOST:6379"
        ) from error


def eviction_policy(client: "redis.Redis") -> str | None:
    """Return the server's maxmemory-policy; None where it does not tell. May raise `redis.RedisError`."""
    reach("queue.policy")
    try:
        found = client.config_get("maxmemory-policy")
        return str(found["maxmemory-policy"])
    except (redis.ResponseError, KeyError):  # managed servers forbid CONFIG
        said = client.info("memory").get("maxmemory_policy")
        return str(said) if said else None


def warn_of_eviction(settings: Settings) -> None:
    """Log what is wrong with the Redis we were given; it costs time, never letters."""
    if settings.redis_url is None:
        return
    with connect(settings) as client:
        try:
            policy = eviction_policy(client)
        except redis.RedisError as error:
            log.warning("redis.away", extra={"reason": type(error).__name__})
            return
    if policy not in {None, "noeviction"}:
        log.warning("redis.evicts", extra={"policy": policy, "hint": "set maxmemory-policy to noeviction"})
