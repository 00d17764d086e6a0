"""
The check-up: is everything there that this installation needs, and what to do about what is not.

Nothing here reads settings or the network: what was set comes as values, and looks at servers as functions,
each of which gives up by itself and raises `Away`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from followup.errors import ConfigurationError
from followup.inbound.sendgrid import public_keys
from followup.services.watch import span
from followup.store import signs

LEAST_KEY = 32  # characters of a secret
RESERVED = ("example", "test", "invalid", "localhost", "example.com", "example.org", "example.net")


class Grade(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to do about it."""

    grade: Grade
    what: str
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is set, as far as it is checked. ``published_key`` is the one that comes with the source."""

    live: bool
    transport: str
    ephemeral: bool
    whereto: str
    event_keys: tuple[str, ...]
    inbound_keys: tuple[str, ...]
    reply_domain: str
    public_url: str
    secret_keys: tuple[str, ...] = field(repr=False)
    suppression_key: str = field(repr=False)
    published_key: str

    @property
    def provider(self) -> bool:
        """Tell whether letters go through SendGrid, which reports what became of them."""
        return self.transport == "sendgrid"

    def at_least(self, live: Grade) -> Grade:
        """Return *live* for what matters in live mode, and a warning in test mode."""
        return live if self.live else Grade.WARN


class Away(Exception):
    """Something could not be looked at, or does not work; the text says why, ``remedy`` what to do if that is known."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy


def mode_findings(setup: Setup) -> Iterator[Finding]:
    """Check who gets letters, and a way out that is a folder."""
    yield Finding(Grade.OK, "mode", setup.whereto)
    if setup.live and setup.transport == "outbox":
        yield Finding(
            Grade.FAIL, "transport", "live mode, but letters only go to a folder", "set FOLLOWUP_TRANSPORT=sendgrid"
        )
    elif setup.transport == "outbox" and setup.ephemeral:
        yield Finding(
            Grade.WARN,
            "transport",
            "this platform throws the outbox folder away every day",
            "set FOLLOWUP_TRANSPORT, and FOLLOWUP_TEST_INBOX to read the letters yourself",
        )


def key_findings(setup: Setup) -> Iterator[Finding]:
    """Check the secrets."""
    yield _secret_keys(setup)
    yield _suppression_key(setup)


def _secret_keys(setup: Setup) -> Finding:
    what, keys = "secret keys", setup.secret_keys
    make = "set FOLLOWUP_SECRET_KEYS to what `openssl rand -hex 32` prints"
    if setup.published_key in keys:
        return Finding(setup.at_least(Grade.FAIL), what, "a published key is in use: anybody can forge links", make)
    if any(len(key) < LEAST_KEY for key in keys):
        text = f"a key is shorter than {LEAST_KEY} characters"
        return Finding(setup.at_least(Grade.FAIL), what, text, f"{make}, a comma, and the present one for a while")
    return Finding(Grade.OK, what, "one key" if len(keys) == 1 else f"{len(keys)} keys; the first one signs")


def _suppression_key(setup: Setup) -> Finding:
    what, key = "suppression", setup.suppression_key
    make = "set FOLLOWUP_SUPPRESSION_KEY to what `openssl rand -hex 32` prints, before anybody unsubscribes"
    if key == setup.published_key:
        text = "a published key is in use: a stolen list of who wants no mail could be read"
        return Finding(setup.at_least(Grade.FAIL), what, text, make)
    if len(key) < LEAST_KEY:
        return Finding(
            Grade.WARN,
            what,
            f"the key is shorter than {LEAST_KEY} characters",
            f"leave it if anybody has unsubscribed, for it must never change; else {make}",
        )
    return Finding(Grade.OK, what, "the key is set; keep a copy, it must never change")


def reply_domain_finding(setup: Setup) -> Finding:
    """Check where answers go; nothing here asks DNS, so the operator does."""
    domain = setup.reply_domain
    set_it = "set FOLLOWUP_REPLY_DOMAIN to a domain whose MX record leads to SendGrid, such as reply.your-shop.com"
    if is_reserved(domain):
        if setup.transport == "outbox" and not setup.live:
            return Finding(Grade.OK, "reply domain", f"{domain}: answers come in with followup inbound add")
        return Finding(
            setup.at_least(Grade.FAIL), "reply domain", f"mail to {domain} arrives nowhere, so no answer does", set_it
        )
    expected = "`10 mx.sendgrid.net.`" if setup.provider else "the server that posts its mail here"
    return Finding(
        Grade.OK, "reply domain", f"{domain}; see for yourself that `dig +short MX {domain}` prints {expected}"
    )


def is_reserved(domain: str) -> bool:
    """Tell whether *domain* is one of those that exist for examples only (RFC 2606)."""
    return any(f".{domain}".endswith(f".{name}") for name in RESERVED)


def redis_finding(probe: Callable[[], str | None] | None) -> Finding:
    """Check the queue between processes."""
    if probe is None:
        return Finding(Grade.OK, "redis", "not set; each process then finds work by itself, every few seconds")
    try:
        policy = probe()
    except Away as error:
        return Finding(
            Grade.FAIL,
            "redis",
            str(error),
            "correct REDIS_URL, or unset it; for a self-signed certificate set FOLLOWUP_REDIS_TLS_VERIFY=false",
        )
    if policy is None:
        return Finding(
            Grade.WARN,
            "redis",
            "works; the server does not say what it does when it is full",
            "see in its control panel that maxmemory-policy is noeviction",
        )
    if policy != "noeviction":
        return Finding(
            Grade.WARN,
            "redis",
            f"maxmemory-policy is {policy}: when it is full, work waits for the next look into the database",
            "set maxmemory-policy to noeviction at the server",
        )
    return Finding(Grade.OK, "redis", "works; maxmemory-policy is noeviction")


def transport_finding(probe: Callable[[], str]) -> Finding:
    """Check the way out; *probe* says what it found."""
    try:
        return Finding(Grade.OK, "transport", probe())
    except Away as error:
        return Finding(Grade.FAIL, "transport", str(error), error.remedy or "see that this machine may connect there")


def page_finding(setup: Setup, page: Callable[[str], str]) -> Finding:
    """Check where customers' links lead."""
    url, what = setup.public_url, "public URL"
    here = _is_this_machine(url)
    if setup.live and (here or not url.startswith("https://")):
        problem = "leads to this machine only" if here else "is not https"
        return Finding(Grade.FAIL, what, f"{url} {problem}", "set FOLLOWUP_PUBLIC_URL to https://… of the web process")
    try:
        said = page(f"{url}/healthz")
    except Away as error:
        if here:
            return Finding(Grade.OK, what, f"{url}, where nothing answers now", "followup web does")
        remedy = "start followup web, and see that its address is this one"
        return Finding(Grade.WARN, what, f"{url} cannot be reached from here: {error}", remedy)
    if said.strip() != "ok":
        return Finding(Grade.WARN, what, f"{url} answers, but not as followup does", "let it lead to the web process")
    insecure = "" if url.startswith("https://") or here else "; live mode will need https"
    return Finding(Grade.OK, what, f"{url} answers{insecure}")


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1", "0.0.0.0"} or host.startswith("127.")  # noqa: S104 - nothing is bound


def hook_findings(setup: Setup, ages: Mapping[str, timedelta] | None) -> Iterator[Finding]:
    """Check what SendGrid posts to us. *ages* (`store.signs`) is None when the database cannot say."""
    if setup.provider:
        yield _events(setup, ages)
        yield _inbound(setup, ages)


def _events(setup: Setup, ages: Mapping[str, timedelta] | None) -> Finding:
    what, get = "event hook", "switch signature verification on at the event webhook, and set it to the key shown there"
    hook = f"let the event webhook post to {setup.public_url}/hooks/sendgrid/events"
    if not setup.event_keys:
        text = "FOLLOWUP_SENDGRID_EVENT_KEYS is not set: bounces and complaints are not taken"
        return Finding(setup.at_least(Grade.FAIL), what, text, get)
    if wrong := _bad_key(setup.event_keys):
        return Finding(Grade.FAIL, what, f"FOLLOWUP_SENDGRID_EVENT_KEYS: {wrong}", get)
    if ages is None:
        return Finding(Grade.OK, what, "its keys are set")
    if signs.EVENTS not in ages:
        return Finding(Grade.WARN, what, "no event has come yet", f"{hook}, then try followup send-test")
    return Finding(Grade.OK, what, f"the last event came {span(ages[signs.EVENTS])} ago")


def _inbound(setup: Setup, ages: Mapping[str, timedelta] | None) -> Finding:
    what = "inbound hook"
    sign = "give the parse setting a security policy that signs, and set FOLLOWUP_SENDGRID_INBOUND_KEYS to its key"
    if wrong := _bad_key(setup.inbound_keys):
        return Finding(Grade.FAIL, what, f"FOLLOWUP_SENDGRID_INBOUND_KEYS: {wrong}", sign)
    if ages is not None and signs.INBOUND not in ages:
        url = f"{setup.public_url}/hooks/sendgrid/inbound"
        remedy = f"let Inbound Parse post {setup.reply_domain} raw to {url}, then answer a test letter"
        return Finding(Grade.WARN, what, "no mail has come yet", remedy)
    last = "" if ages is None else f"the last mail came {span(ages[signs.INBOUND])} ago; "
    if not setup.inbound_keys:
        return Finding(Grade.WARN, what, f"{last}anybody who knows its address can post mail to it", sign)
    return Finding(Grade.OK, what, f"{last}signatures are checked")


def _bad_key(keys: tuple[str, ...]) -> str:
    """Say which of the public keys is the first that is none; nothing when all are fine."""
    for number, key in enumerate(keys, 1):
        try:
            public_keys([key], setting="")
        except ConfigurationError:  # its text shows the beginning of what may be another, secret key
            return f"{'it' if len(keys) == 1 else f'key {number}'} is no public key of SendGrid's"
    return ""
