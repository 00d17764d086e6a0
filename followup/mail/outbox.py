"""Mail to a folder of ``.eml`` files: a shop that is being tried out, a demo, a test."""

import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from pathlib import Path

from followup.clock import Clock
from followup.core.message import Accepted, Answer, Cause, Misconfigured, Rejected, RetrySafe
from followup.failpoints import reach
from followup.mail.message import OutgoingMail, to_bytes
from followup.mail.transport import NOT_BEGUN, Answered

# Errors that pass by themselves; any other means that the folder is wrong.
_PASSING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EINTR, errno.EAGAIN, errno.EFBIG}
)


class Outbox:
    """
    A `mail.transport.Transport` that writes each mail to a file any mail client opens.

    A file appears under its final name whole or not at all, and the name follows from the mail:
    the same mail sent twice is one file, and `recover` tells by looking.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock

    @property
    def name(self) -> str:
        return "outbox"

    def send(self, mails: Sequence[OutgoingMail], *, may_begin: Callable[[], bool]) -> Iterator[Answered]:
        """Write each of *mails*; a full disk is worth another try, a folder we may not write is not."""
        yield [(mail, self._send(mail) if may_begin() else self._kept()) for mail in mails]

    def recover(self, mail: OutgoingMail) -> Answer:
        """Return ``Accepted`` when the file is there, ``RetrySafe`` when it is not."""
        if os.path.exists(self.folder / file_name(mail)):
            return Accepted(mail.token)
        return RetrySafe(self._clock.now(), "the outbox holds no such letter", Cause.KEPT)

    def _kept(self) -> Answer:
        return RetrySafe(self._clock.now(), NOT_BEGUN, Cause.KEPT)

    def _send(self, mail: OutgoingMail) -> Answer:
        try:
            content = to_bytes(mail)
        except (ValueError, LookupError) as error:
            return Rejected(f"the letter cannot be written as a mail: {error}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            reach("outbox.write")
            _write(self.folder / file_name(mail), content)
            reach("outbox.written")
        except OSError as error:
            return self._failed(mail, error)
        return Accepted(mail.token)

    def _failed(self, mail: OutgoingMail, error: OSError) -> Answer:
        if os.path.exists(self.folder / file_name(mail)):
            return Accepted(mail.token)  # only the folder's own sync failed, or it was there before
        if error.errno in _PASSING:
            return RetrySafe(self._clock.now(), f"outbox {self.folder}: {error.strerror}")
        return Misconfigured(f"outbox {self.folder}: {error.strerror or error}")


def file_name(mail: OutgoingMail) -> str:
    """Return ``<yyyymmddThhmmssZ>_<letter>_<token>.eml``: sorts by time, reads well, safe on any file system."""
    letter = re.sub(r"[^A-Za-z0-9-]+", "-", mail.letter).strip("-")[:60] or "letter"
    token = re.sub(r"[^a-z0-9]", "", mail.token.lower())
    return f"{mail.composed_at.astimezone(UTC):%Y%m%dT%H%M%SZ}_{letter}_{token}.eml"


def _write(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it 0600; an outbox is there to be looked at
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut; Windows cannot open folders and does not need it."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
