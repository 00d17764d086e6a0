"""
Where links may lead.

A constant link says so itself. A name may fill in the path or the query of one, encoded; it may be a whole
link (checked when the letter is rendered), but never choose the host of one that is half written.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from markdown_it.token import Token

from followup.authoring.jinja_source import Kind
from followup.authoring.marks import Mark, Marks, Misplaced, Place, Sink

Locate = Callable[[str], Place]  # finds a piece of constant text in the sources

_WEB = re.compile(r"(?i)https?://[^\s/?#@\\]+([/?#]|$)")
_MAILBOX = re.compile(r"(?i)(mailto|tel):")
_SCRIPT = re.compile(r"(?i)\]\(\s*<?\s*(javascript|vbscript|file|data):")


def secure_links(tokens: Iterable[Token], marks: Marks, locate: Locate) -> None:
    """
    Check every link and image in *tokens* (inline ones), and make the marks in them write encoded text.

    Raises:
        Misplaced: a link leads nowhere, or a name would choose where it leads.
    """
    for token in tokens:
        if token.type == "text" and (found := _SCRIPT.search(token.content)):
            message = f'A link cannot begin with "{found[1]}:".'
            raise Misplaced(locate(found[0]), "T140", message, "start it with https:// or mailto:")
        for name, value in token.attrs.items():
            text = str(value)
            if name in {"href", "src"}:
                token.attrs[name] = secure(text, marks, locate, picture=name == "src")
            else:
                refuse_statements(text, marks)


def refuse_statements(text: str, marks: Marks) -> None:
    """Raise Misplaced when a statement stands in *text*, the value of an attribute."""
    for mark in marks.within(text):
        if mark.kind is Kind.STATEMENT or mark.special:
            raise Misplaced(mark.place, "T141", "This cannot stand inside a link or a picture.")


def secure(url: str, marks: Marks, locate: Locate, *, picture: bool = False) -> str:
    """
    Return *url* with its marks set to write encoded text.

    Raises:
        Misplaced: as for ``secure_links``.
    """
    first = marks.pattern.search(url)
    if first is None:
        if not _WEB.match(url) and (picture or not _MAILBOX.match(url)):
            raise Misplaced(locate(url), "T140", f'"{url}" leads nowhere from a mail.', "start it with https://")
        return url
    refuse_statements(url, marks)
    before, after = url[: first.start()], url[first.end() :]
    if not before:
        if after and after[0] not in "/?#":
            raise _unclear(marks.of(first))
        return marks.add(replace(marks.of(first), sink=Sink.URL)) + _encoded(after, marks, Sink.URL_PART)
    if before.lower().startswith("mailto:") and not picture:
        return _encoded(url, marks, Sink.MAILBOX)
    web = _WEB.match(before)
    if web is None or not web[1]:
        raise _unclear(marks.of(first))
    return _encoded(url, marks, Sink.URL_PART)


def _unclear(mark: Mark) -> Misplaced:
    message = "A name cannot choose the host of a link."
    help = "write https://your-shop.example/… before it, or let the name be the whole link"
    return Misplaced(mark.place, "T142", message, help)


def _encoded(text: str, marks: Marks, sink: Sink) -> str:
    return marks.pattern.sub(lambda found: marks.add(replace(marks.of(found), sink=sink)), text)
