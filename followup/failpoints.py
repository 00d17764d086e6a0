"""
Failpoints: named places at which a test of crashes may kill this process, or have it fail or wait.

There is one right before and right after every commit, and one around every network call. Unless armed
(``FOLLOWUP_FAILPOINT``) each costs a comparison.
"""

import os
import re
import signal
import threading
import time
from dataclasses import dataclass

from followup.errors import ConfigurationError, TemporaryError

_SPEC = re.compile(r"(?P<name>[a-z_.]+(?:\+)?):(?P<nth>[1-9][0-9]*):(?P<what>kill|raise|sleep=(?P<seconds>[0-9.]+))")


@dataclass(slots=True)
class _Armed:
    name: str
    left: int
    what: str
    seconds: float


_armed: _Armed | None = None
_lock = threading.Lock()


def arm(spec: str | None) -> None:
    """
    Arm one failpoint, or (None) none.

    Args:
        spec: ``NAME:N:kill``, ``NAME:N:raise`` or ``NAME:N:sleep=SECONDS``: at the N-th passing of NAME. With ``+``
            behind its name the place after the commit is meant, else the one before it.

    Raises:
        ConfigurationError: *spec* is none of these.
    """
    global _armed  # noqa: PLW0603 - one process has one, and every thread has to see it
    found = _SPEC.fullmatch(spec) if spec else None
    if spec and found is None:
        raise ConfigurationError(
            f"FOLLOWUP_FAILPOINT={spec!r} is not understood", hint="Write NAME:N:kill, NAME:N:raise or NAME:N:sleep=S"
        )
    _armed = _Armed(found["name"], int(found["nth"]), found["what"], float(found["seconds"] or 0)) if found else None


def reach(name: str, *, after: bool = False) -> None:
    """
    Pass the failpoint *name*; nothing happens unless it is armed.

    Raises:
        TemporaryError: it is armed to raise: as if a connection broke here.
    """
    if _armed is not None and _armed.name == (f"{name}+" if after else name):
        _strike(_armed)


def _strike(armed: _Armed) -> None:
    with _lock:
        armed.left -= 1
        if armed.left:
            return
    if armed.what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif armed.what == "raise":
        raise TemporaryError(f"the failpoint {armed.name} was reached")
    else:
        time.sleep(armed.seconds)
