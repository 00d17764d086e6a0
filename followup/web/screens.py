"""HTML as customers see it: templates without scripts, and the few pages that only say something."""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from followup.web.words import Words, preferred

STYLE = (files("followup.web") / "templates" / "page.css").read_text("utf-8")
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


class Screens:
    """Writes pages; in test mode every one of them says so."""

    def __init__(self, *, test_mode: bool) -> None:
        self.templates = Environment(
            loader=PackageLoader("followup.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals.update(style=Markup(STYLE), test_mode=test_mode)  # noqa: S704 - a file of ours

    def page(
        self,
        template: str,
        words: Words,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> HTMLResponse:
        """Return the page that *template* makes of *values* and *words*."""
        html = self.templates.get_template(template).render(words=words, **values)
        return HTMLResponse(html, status, headers)

    def notice(
        self, request: Request, what: str, *, status: int, headers: Mapping[str, str] | None = None
    ) -> HTMLResponse:
        """Return a page that says *what* (a pair of words), in the language the browser asks for."""
        words = preferred(request.headers.get("accept-language", ""))
        title, text = getattr(words, f"{what}_title"), getattr(words, f"{what}_text")
        return self.page("notice.html", words, status=status, headers=headers, title=title, text=text)
