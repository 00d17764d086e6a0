"""The folder of a shop in one process: what is saved in it runs, as soon as it has no errors."""

import logging
from collections.abc import Mapping

from followup.app import App
from followup.authoring.bundle import read_folder
from followup.authoring.diagnostics import BundleError
from followup.errors import ConfigurationError
from followup.services import deploy
from followup.services.transfer import StrandedPeople

log = logging.getLogger(__name__)


class FolderWatch:
    """Applies the project folder whenever its files have changed; with errors in it, what ran before goes on."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._applied: Mapping[str, str] | None = None
        self._complaint = ""

    def __call__(self) -> None:
        """Look once; say what is wrong once."""
        try:
            files = read_folder(self._app.settings.project)
            if files == self._applied:
                return
            applied = deploy.apply(self._app.engine, files, clock=self._app.clock)
        except (BundleError, StrandedPeople) as error:
            self._complain("folder.refused", f"{error}\n{error.hint}".strip())
        except ConfigurationError as error:
            self._complain("folder.unreadable", str(error))
        else:
            self._applied, self._complaint = files, ""
            if applied.changed:
                log.info("folder.applied", extra={"bundle": applied.bundle.hash[:12]})

    def _complain(self, event: str, complaint: str) -> None:
        if complaint != self._complaint:
            log.error(event, extra={"problems": complaint})
        self._complaint = complaint
