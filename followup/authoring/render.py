"""A letter, compiled once, and what comes out of it for one customer."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from types import TracebackType

from jinja2 import Template, TemplateRuntimeError, UndefinedError

from followup.authoring.locales import locale_of
from followup.authoring.marks import Mark
from followup.authoring.sandbox import LetterError, bounded, one_line
from followup.core.message import Purpose
from followup.core.people import Person
from followup.core.replies import Question
from followup.errors import FollowupError

BETWEEN_PARTS = "\x02"  # cannot come out of a letter: control characters are collapsed wherever they enter


class RenderError(FollowupError):
    """A letter cannot be written for this customer; the message names the file, the line and the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where the letter's own links lead: each answer by its id, and the stop page."""

    answers: Mapping[str, str] = field(default_factory=dict)
    stop: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A letter as it goes out. ``subject``, ``preheader`` and ``question`` are one line of plain text each."""

    subject: str
    preheader: str
    question: str | None
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled letter: all parts in one template, and the mark whose code stands on each line of it."""

    template: Template
    lines: tuple[int, ...]
    marks: tuple[Mark, ...]

    def mark_at(self, line: int) -> Mark | None:
        """Return the mark whose code stands on *line* of the template, or the last one before it."""
        found = bisect_right(self.lines, line) - 1
        return self.marks[found] if found >= 0 else None


@dataclass(frozen=True, kw_only=True)
class Letter:
    """
    One letter in one language, ready to be rendered.

    ``sender`` is the key of the person it insists on, or None for the workflow's sender.
    ``content_hash`` changes with anything that changes what is sent: file, parts and layout.
    """

    key: str
    path: str
    language: str
    purpose: Purpose
    question: Question | None
    sender: str | None
    asks_for: str | None
    content_hash: str
    program: Program = field(repr=False, compare=False)

    def render(self, names: Mapping[str, object], *, person: Person, links: Links) -> Rendered:
        """
        Return the letter for one customer.

        Args:
            names: as ``core.facts.names`` makes them; None counts as no value. ``sender`` is replaced by
                *person*, so that the letter never speaks of somebody else than it is from.
            links: an answer for each choice of the question.

        Raises:
            RenderError: a name without a value is printed, a value does not fit, or the letter grows too long.
        """
        known = {name: value for name, value in names.items() if value is not None}
        signature = _signature(person.signature)
        known["sender"] = {"name": person.name, "first_name": person.first_name, "email": person.email}
        item = known.get("item")
        if isinstance(item, Mapping) and item.get("name") is None:  # a name that letters may always use
            known["item"] = {**item, "name": locale_of(self.language).item}
        known["_language"], known["_answers"], known["_stop"] = self.language, links.answers, links.stop
        known["_signature"], known["_signature_html"] = signature
        template = self.program.template
        try:
            context = template.new_context(known)
            written = bounded(template.root_render_func(context))
        except _FAILURES as error:
            raise self._failure(error) from error
        return self._parts(written)

    def _parts(self, written: str) -> Rendered:
        subject, preheader, question, text, html = written.split(BETWEEN_PARTS)
        subject = " ".join(subject.split())
        if not subject:
            raise RenderError(f"{self.path}: the subject comes out empty", hint="give its names a default(…)")
        return Rendered(
            subject=subject,
            preheader=" ".join(preheader.split()),
            question=" ".join(question.split()) if self.question else None,
            text=_without_gaps(text),
            html=html,
        )

    def _failure(self, error: Exception) -> RenderError:
        mark = self._mark_of(error.__traceback__)
        reason = str(error) or type(error).__name__
        hint = ""
        if isinstance(error, UndefinedError):
            hint = "give the name a default(…), or put it inside {% if %}"
        if mark is None or not mark.place.path:
            return RenderError(f"{self.path}: {reason}", hint=hint)
        code = mark.code if mark.word else f"{{{{ {mark.code} }}}}"
        return RenderError(f"{mark.place.path}:{mark.place.spot.line}: {one_line(code)}: {reason}", hint=hint)

    def _mark_of(self, traceback: TracebackType | None) -> Mark | None:
        """Return the mark that was being written when *traceback* was left."""
        code, found = self.program.template.root_render_func.__code__, None
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == code.co_filename:
                found = traceback.tb_lineno
            traceback = traceback.tb_next
        return self.program.mark_at(self.program.template.get_corresponding_lineno(found)) if found else None


# everything plain data of a wrong kind can raise; a bug in our own code raises the same, so the cause is kept
_FAILURES = (
    TemplateRuntimeError,
    LetterError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NameError,
    RecursionError,
)


@lru_cache(maxsize=256)
def _signature(signature: str) -> tuple[str, str]:
    """Return a signature for plain text and for HTML, line breaks kept."""
    lines = [one_line(line).strip() for line in signature.strip().splitlines()]
    return "\n".join(lines), "<br>\n".join(escape(line) for line in lines)


def _without_gaps(text: str) -> str:
    """Drop the empty lines that parts left out by an ``if`` leave behind."""
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.strip("\n") + "\n"
