"""A terminal of so many columns, for commands that run in this process."""

import os
import pty
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Terminal:
    """What was shown, both streams in the order in which they were written; known once it is closed."""

    def __init__(self) -> None:
        self.shown = ""


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> Iterator[Terminal]:
    """Have stdout and stderr lead to a terminal that is so wide and wants no colour."""
    ours, theirs = pty.openpty()
    seen, pieces = Terminal(), []

    def read() -> None:
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # how Linux says that the other side has hung up
                return
            if not piece:
                return
            pieces.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with monkeypatch.context() as patch, open(theirs, "w", encoding="utf-8", buffering=1) as screen:
            patch.setenv("COLUMNS", str(columns))
            patch.setenv("NO_COLOR", "1")
            patch.setattr(sys, "stdout", screen)
            patch.setattr(sys, "stderr", screen)
            yield seen
    finally:
        reader.join()
        os.close(ours)
        seen.shown = b"".join(pieces).decode().replace("\r\n", "\n")
