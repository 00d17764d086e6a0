"""The one place where settings become objects."""

from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from followup.clock import Clock, SystemClock
from followup.errors import ConfigurationError
from followup.mail.message import MailIdentity
from followup.mail.outbox import Outbox
from followup.mail.transport import Transport
from followup.services.deliver import Post
from followup.services.library import Library
from followup.settings import Settings, TransportKind
from followup.store import upgrade
from followup.store.engine import make_engine, reading


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

    @cached_property
    def upgraded_engine(self) -> Engine:
        """Return the engine after bringing its schema up to date: for commands that begin something new."""
        self.upgrade()
        return self._engine

    @cached_property
    def _engine(self) -> Engine:
        return make_engine(self.settings.database)

    def upgrade(self) -> bool:
        """Bring the database's schema up to date; return whether there was anything to do."""
        return upgrade.upgrade(self._engine)

    def close(self) -> None:
        """Close what connections there are; the last one to a SQLite file folds its log into it."""
        if "_engine" in self.__dict__:
            self._engine.dispose()

    def transport(self) -> Transport:
        """
        Return the configured way out.

        Raises:
            ConfigurationError: it is one that this version cannot use yet.
        """
        if self.settings.transport is not TransportKind.OUTBOX:
            raise ConfigurationError(
                f"FOLLOWUP_TRANSPORT={self.settings.transport.value} is not supported by this version yet",
                hint="Leave it unset: letters are written to the outbox folder",
            )
        return Outbox(self.settings.outbox_folder, self.clock)

    def post(self) -> Post:
        """Return what delivering takes."""
        return Post(
            transport=self.transport(),
            identity=self.identity,
            suppression_key=self.settings.suppression_key.get_secret_value(),
        )

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
