"""The one place where settings become objects."""

from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from followup.clock import Clock, SystemClock
from followup.errors import ConfigurationError
from followup.mail.message import MailIdentity
from followup.mail.outbox import Outbox
from followup.mail.safe import OnlyTo
from followup.mail.sendgrid import SendGrid
from followup.mail.smtp import Smtp
from followup.mail.transport import Transport
from followup.services.deliver import Post
from followup.services.library import Library
from followup.services.watch import Tell, only_log, tell_by_post, watch
from followup.settings import Mode, Settings, TransportKind
from followup.store import upgrade
from followup.store.engine import make_engine, reading

WEB_THREADS = 4  # requests that use the database at once


class App:
    """
    What one process works with; each part is made when it is first needed.

    ``clock`` is business time; a replay brings a virtual one.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.library = Library()

    @cached_property
    def engine(self) -> Engine:
        """
        Return the engine of the configured database, whose schema is this code's.

        Raises:
            ConfigurationError: the database is not there, is empty, or at another version.
            TemporaryError: it cannot be reached.
        """
        missing = _missing_file(self.settings.database)
        if missing is not None:  # connecting would make it
            raise ConfigurationError(
                f"there is no database {missing} yet",
                hint="In a project folder: followup apply. followup init makes such a folder",
            )
        with reading(self._engine) as conn:
            current = upgrade.current(conn)
        if current != upgrade.newest():
            state = "is empty" if current is None else f"is at version {current}, this code needs {upgrade.newest()}"
            raise ConfigurationError(f"the database {state}", hint="Run: followup db upgrade")
        return self._engine

    @property
    def has_database(self) -> bool:
        """Tell whether the configured database was ever made; a server's may be empty all the same."""
        if _missing_file(self.settings.database) is not None:
            return False
        with reading(self._engine) as conn:
            return upgrade.current(conn) is not None

    @cached_property
    def upgraded_engine(self) -> Engine:
        """Return the engine after bringing its schema up to date: for commands that begin something new."""
        self.upgrade()
        return self._engine

    @cached_property
    def _engine(self) -> Engine:
        needed = self.settings.worker_threads + 1 + WEB_THREADS  # one process may be both worker and web
        return make_engine(self.settings.database, connections=needed)

    def upgrade(self) -> bool:
        """Bring the database's schema up to date; return whether there was anything to do."""
        return upgrade.upgrade(self._engine)

    def close(self) -> None:
        """Close what connections there are; the last one to a SQLite file folds its log into it."""
        if "_engine" in self.__dict__:
            self._engine.dispose()
        if isinstance(provider := self.__dict__.get("_provider"), SendGrid):
            provider.close()

    @cached_property
    def transport(self) -> Transport:
        """
        Return the way out. In test mode it reaches nobody but ourselves.

        Raises:
            ConfigurationError: what the configured one needs is not set.
        """
        outbox = Outbox(self.settings.outbox_folder, self.clock)
        provider = self._provider or outbox
        if self.settings.mode is Mode.LIVE or provider is outbox:
            return provider
        inbox = self.settings.test_inbox
        return OnlyTo(provider, allowed=self.settings.test_allow, inbox=inbox, outbox=outbox)

    @cached_property
    def _provider(self) -> Transport | None:
        """Return the transport that reaches people, if one is configured."""
        settings = self.settings
        match settings.transport:
            case TransportKind.OUTBOX:
                return None
            case TransportKind.SENDGRID:
                if settings.sendgrid_api_key is None:
                    raise ConfigurationError(
                        "FOLLOWUP_TRANSPORT is sendgrid, and SENDGRID_API_KEY is not set",
                        hint="Make a key with the permission Mail Send at SendGrid (Settings, API Keys)",
                    )
                key = settings.sendgrid_api_key.get_secret_value()
                return SendGrid(key, url=settings.sendgrid_url, clock=self.clock)
            case TransportKind.SMTP:
                if settings.smtp_url is None:
                    raise ConfigurationError(
                        "FOLLOWUP_TRANSPORT is smtp, and FOLLOWUP_SMTP_URL is not set",
                        hint="Set it to smtp://USER:PASSWORD@HOST:587",
                    )
                return Smtp(settings.smtp_url.get_secret_value(), clock=self.clock)

    def post(self) -> Post:
        """Return what delivering takes."""
        return Post(
            transport=self.transport,
            identity=self.identity,
            suppression_key=self.settings.suppression_key.get_secret_value(),
            per_minute=self.settings.sender_per_minute,
        )

    @property
    def about(self) -> dict[str, object]:
        """Return what the log says of a process at its start."""
        return {"mode": self.settings.mode.value, "transport": self.settings.transport.value}

    @property
    def whereto(self) -> str:
        """Say in which mode this is, and where letters go."""
        settings, kind = self.settings, self.settings.transport
        if kind is TransportKind.OUTBOX:
            return f"{settings.mode.value} mode: letters are written to {settings.outbox_folder}, none is sent"
        if settings.mode is Mode.LIVE:
            return f"LIVE mode: letters go to customers through {kind.value}"
        instead = settings.test_inbox or str(settings.outbox_folder)
        but = f", except to {', '.join(settings.test_allow)}" if settings.test_allow else ""
        return f"test mode: every letter goes to {instead} instead of the customer{but}"

    def watch(self) -> None:
        """Look once whether something is wrong, and tell whoever should know."""
        settings = self.settings
        leaves = settings.mode is Mode.LIVE or settings.test_inbox is not None  # not into the outbox
        expects_events = leaves and settings.transport is TransportKind.SENDGRID
        watch(self.engine, clock=self.clock, expects_events=expects_events, tell=self._tell)

    @cached_property
    def _tell(self) -> Tell:
        """Return how an alert reaches the configured place; without one, the log is all."""
        if self.settings.alert_url is None:
            return only_log
        return tell_by_post(self.settings.alert_url.get_secret_value(), mode=self.settings.mode.value, clock=self.clock)

    @property
    def identity(self) -> MailIdentity:
        """Return what makes our mail ours."""
        return MailIdentity(
            reply_domain=self.settings.reply_domain,
            public_url=self.settings.public_url,
            keys=self.settings.keys,
        )


def _missing_file(url: str) -> Path | None:
    """Return the SQLite file that *url* names, if its folder is there and it is not."""
    name = url.removeprefix("sqlite:///").partition("?")[0]
    if name == url or name.startswith((":", "file:")):
        return None
    file = Path(name)
    return file if file.parent.is_dir() and not file.exists() else None
