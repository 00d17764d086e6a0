"""A shop that has just asked its one customer, and the site that the letter leads to."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from followup.app import App
from followup.core.tokens import TokenPurpose, sign
from followup.services.hints import NoHints
from followup.settings import load
from followup.store import schema
from followup.store.engine import reading
from followup.web.app import make_site
from tests.services.world import KEYS, MONDAY, World, a_purchase


class Seconds:
    """Real time, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Visiting:
    """The world, its site, and the links of its first letter."""

    def __init__(self, engine: Engine, url: str, folder: Path, **customer: Any) -> None:
        self.world = World(engine, folder)
        self.url, self.seconds, self.customer = url, Seconds(), customer

    def ask(self, letters: Mapping[str, str] | None = None) -> None:
        """Apply what there is and let the question reach its customer."""
        if letters:
            self.world.apply(letters)
        self.world.take_in(a_purchase(**self.customer))
        self.world.go_to(MONDAY + timedelta(days=2))

    @contextmanager
    def site(self, **settings: Any) -> Iterator[TestClient]:
        """Yield a browser on the site."""
        known: dict[str, Any] = {
            "project": self.world.folder,
            "database_url": self.url,
            "public_url": "https://forge.example",
            "secret_keys": ",".join(KEYS),
            "suppression_key": "never-changes",
        }
        app = App(load(**known | settings), clock=self.world.clock)
        with TestClient(make_site(app, NoHints(), monotonic=self.seconds)) as browser:
            yield browser
        app.close()

    @property
    def name(self) -> str:
        name: str = self.world.rows("messages")[0].token
        return name

    def token(self, purpose: TokenPurpose = TokenPurpose.ANSWER) -> str:
        return sign(purpose, self.name, KEYS)

    def link(self, choice: str | None = None) -> str:
        return f"/a/{self.token()}" + (f"/{choice}" if choice else "")

    @property
    def stop_link(self) -> str:
        return f"/u/{self.token(TokenPurpose.STOP)}"

    def everything(self) -> dict[str, list[Any]]:
        """Return every row there is, visits left out."""
        with reading(self.world.engine) as conn:
            return {
                name: sorted(map(repr, conn.execute(select(table))))
                for name, table in schema.metadata.tables.items()
                if name != "visits"
            }

    def visits(self) -> list[str | None]:
        return [row.choice for row in self.world.rows("visits")]


def chosen(html: str) -> list[str]:
    """Return the values of the radios that are preselected."""
    return re.findall(r'<input type="radio" name="choice" value="([^"]*)" required checked>', html)
