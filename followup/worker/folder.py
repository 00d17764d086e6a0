"""The folder of a shop in one process: what is saved in it runs, as soon as it has no errors."""

import logging
import time
from collections.abc import Callable, Mapping

from followup.app import App
from followup.authoring.bundle import read_folder
from followup.authoring.diagnostics import BundleError
from followup.errors import ConfigurationError, FollowupError
from followup.services import deploy
from followup.services.transfer import StrandedPeople

log = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0  # until files that would strand somebody are tried again
NEVER = float("inf")


class FolderWatch:
    """
    Applies the project folder whenever its files have changed; with errors in it, what ran before goes on.

    Files that would strand people are tried again now and then: these may have gone on by themselves.
    """

    def __init__(self, app: App, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._app, self._seconds = app, seconds
        self._seen: Mapping[str, str] | None = None
        self._again_at = NEVER  # when what was seen is tried again though it is the same
        self._complaint: object = None

    def __call__(self) -> None:
        """Look once; say what is wrong once."""
        try:
            files = read_folder(self._app.settings.project)
            if files != self._seen or self._seconds() >= self._again_at:
                self._apply(files)
        except BundleError as error:
            self._complain("folder.refused", error, about=str(error))
        except ConfigurationError as error:
            self._complain("folder.unreadable", error, about=str(error))

    def _apply(self, files: Mapping[str, str]) -> None:
        again_at = NEVER
        try:
            applied = deploy.apply(self._app.engine, files, clock=self._app.clock)
        except BundleError as error:
            self._complain("folder.refused", error, about=str(error))
        except StrandedPeople as error:
            again_at = self._seconds() + AGAIN_SECONDS
            self._complain("folder.refused", error, about={(one.workflow, one.step) for one in error.undecided})
        else:
            self._complaint = None
            if applied.changed:
                log.info("folder.applied", extra={"bundle": applied.bundle.hash[:12]})
        self._seen, self._again_at = files, again_at

    def _complain(self, event: str, error: FollowupError, *, about: object) -> None:
        """Say what is wrong, unless it was said: it is *about* the same as before, however many people that are."""
        if about != self._complaint:
            log.error(event, extra={"problems": f"{error}\n{error.hint}".strip()})
        self._complaint = about
