"""What every route works with."""

from dataclasses import dataclass

from followup.app import App
from followup.services.hints import Hints


@dataclass(frozen=True, slots=True)
class Site:
    """The application, and the way to tell workers what came in."""

    app: App
    hints: Hints
