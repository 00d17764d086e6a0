"""From a letter file to a program: marks, Markdown, layout, CSS, and one template for all parts."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import pairwise

import css_inline
from jinja2 import Template, TemplateError

from followup.authoring.diagnostics import Diagnostic, Report, Spot
from followup.authoring.jinja_source import Chunk, Fault, Kind, Source, read
from followup.authoring.layout import Layout, hidden, secure_attributes
from followup.authoring.letter_check import Scope, check
from followup.authoring.letter_file import LetterFile, Passage
from followup.authoring.locales import locale_of
from followup.authoring.marks import Mark, Marks, Misplaced, Place, Sink, hide
from followup.authoring.markup import read_markup
from followup.authoring.render import BETWEEN_PARTS, Letter, Program
from followup.authoring.sandbox import ENVIRONMENT
from followup.authoring.source import Scalar
from followup.core.facts import NAMES

SPECIALS = frozenset({"question", "answers", "signature"})
_CSS = css_inline.CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_COMMENT = re.compile(r"<!--\s*([a-z0-9]+)\s*-->")
_FILTERS = {
    Sink.URL: "|_url",
    Sink.URL_PART: "|_url_part",
    Sink.MAILBOX: "|_mailbox",
}


def compile_letter(file: LetterFile, layout: Layout, report: Report, known: Scope = NAMES) -> Letter | None:
    """Return *file* as a letter inside *layout* over *known* names, or report what is wrong and return None."""
    texts = [file.subject.raw, file.preheader.raw if file.preheader else "", file.ask.raw if file.ask else ""]
    sources = _Sources(report, known)
    body = sources.passage(file.body)
    subject, preheader, ask = (sources.scalar(scalar, file.path) for scalar in (file.subject, file.preheader, file.ask))
    if body is None or report.diagnostics:
        return None
    marks = Marks([file.body.text, layout.text, *texts])
    builder = _Builder(file, layout, marks)
    try:
        program = builder.build(body, subject, preheader, ask)
    except Misplaced as wrong:
        _report(report, wrong.place, wrong.code, wrong.message, wrong.help)
        return None
    except (TemplateError, SyntaxError, RecursionError, MemoryError) as error:  # what only the compiler notices
        report.add(Spot(), "J003", f"The letter cannot be compiled: {error}.")
        return None
    return Letter(
        key=file.key,
        path=file.path,
        language=file.language,
        purpose=file.purpose,
        question=file.question,
        sender=file.sender,
        asks_for=file.asks_for,
        content_hash=_hash([file.path, file.language, file.body.text, layout.text, *texts, repr(file.question)]),
        program=program,
    )


def _hash(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def _report(report: Report, place: Place, code: str, message: str, help: str) -> None:
    path = place.path or report.path
    report.diagnostics.append(Diagnostic(path, place.spot.line, place.spot.column, code, message, help))


@dataclass(frozen=True, slots=True)
class _Part:
    """Source that has passed its checks, with the place of every chunk."""

    chunks: tuple[Chunk, ...] = ()
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sources:
    """Reads and checks the Jinja of a letter's parts."""

    report: Report
    known: Scope

    def passage(self, passage: Passage) -> _Part | None:
        """Return the body, or report what is wrong with it."""
        try:
            source = read(passage.text)
            faults = check(source, self.known, SPECIALS)
        except Fault as fault:
            faults = [fault]
        for found in faults:
            _report(self.report, passage.place(found.offset), found.code, found.message, found.help)
        return None if faults else _part(source, [passage.place(chunk.start) for chunk in source.chunks])

    def scalar(self, scalar: Scalar | None, path: str) -> _Part:
        """Return one line of the front matter; empty when there is none, or when it is wrong."""
        if scalar is None:
            return _Part()
        try:
            source = read(scalar.raw)
            faults = check(source, self.known, frozenset())
        except Fault as fault:
            faults = [fault]
        for found in faults:
            _report(self.report, Place(path, scalar.place(found.offset)), found.code, found.message, found.help)
        if faults:
            return _Part()
        return _part(source, [Place(path, scalar.place(chunk.start)) for chunk in source.chunks])


def _part(source: Source, places: list[Place]) -> _Part:
    return _Part(source.chunks, tuple(places))


class _Builder:
    """Puts one letter together."""

    def __init__(self, file: LetterFile, layout: Layout, marks: Marks) -> None:
        self.file, self.layout, self.marks = file, layout, marks

    def build(self, body: _Part, subject: _Part, preheader: _Part, ask: _Part) -> Program:
        lines = {
            name: self._line(part) for name, part in (("subject", subject), ("preheader", preheader), ("ask", ask))
        }
        hidden_body = hide(body.chunks, body.places, SPECIALS, self.marks)
        self._check_question(body)
        markup = read_markup(hidden_body, self.marks, self._locate)
        html = self._in_layout(self._fill_html(markup.html, lines["ask"]), lines)
        text = self._fill_text(markup.text, lines["ask"]) + self._footer()
        fused = _Fused(self.marks)
        for number, (part, is_html) in enumerate(
            [(lines["subject"], False), (lines["preheader"], False), (lines["ask"], False), (text, False), (html, True)]
        ):
            if number:
                fused.separate()
            fused.add(part, html=is_html)
        return fused.program()

    def _line(self, part: _Part) -> str:
        text = "".join(
            chunk.text if chunk.kind is Kind.DATA else self.marks.add(Mark(chunk.kind, chunk.text, place))
            for chunk, place in zip(part.chunks, part.places, strict=True)
        )
        return " ".join(text.split())

    def _locate(self, constant: str) -> Place:
        at = self.file.body.text.find(constant)
        if at < 0 and ":" in constant:
            at = self.file.body.text.find(constant.split(":", maxsplit=1)[0] + ":")
        return self.file.body.place(max(at, 0))

    def _check_question(self, body: _Part) -> None:
        question = self.file.question
        for chunk, place in zip(body.chunks, body.places, strict=True):
            if chunk.kind is not Kind.EXPRESSION or chunk.text not in {"question", "answers"}:
                continue
            if question is None:
                message = f"The letter has no question, so there is no {{{{ {chunk.text} }}}}."
                raise Misplaced(place, "T120", message, "write question: with ask: in the front matter")
            if chunk.text == "answers" and not question.choices:
                message = "The question is open, so there are no {{ answers }} to click."
                raise Misplaced(place, "T120", message, "leave {{ answers }} out, or give the question answers")

    def _fill_html(self, html: str, ask: str) -> str:
        question = self.file.question
        fillings = {
            "question": f'<span class="question">{escape(ask)}</span>',
            "signature": self._ours("_signature_html", Sink.RAW),
            "answers": self._answers_html(),
        }
        assert question or "question" not in self._used(html)
        return self._filled(html, fillings)

    def _used(self, text: str) -> set[str | None]:
        return {mark.special for mark in self.marks.within(text)}

    def _filled(self, text: str, fillings: Mapping[str, str]) -> str:
        def filling(found: re.Match[str]) -> str:
            special = self.marks.of(found).special
            return fillings.get(special, found[0]) if special else found[0]

        return self.marks.pattern.sub(filling, text)

    def _ours(self, code: str, sink: Sink) -> str:
        return self.marks.add(Mark(Kind.EXPRESSION, code, self.marks.ours, sink))

    def _answers_html(self) -> str:
        choices = self.file.question.choices if self.file.question else ()
        scale = " scale" if choices and all(choice.id.isdecimal() for choice in choices) else ""
        buttons = (
            f'<a class="answer" href="{self._ours(_answer_link(choice.id), Sink.PLAIN)}">{escape(choice.label)}</a>'
            for choice in choices
        )
        return f'<div class="answers{scale}">\n' + "\n".join(buttons) + "\n</div>"

    def _fill_text(self, text: str, ask: str) -> str:
        choices = self.file.question.choices if self.file.question else ()
        lines = (f"{choice.label}: {self._ours(_answer_link(choice.id), Sink.PLAIN)}" for choice in choices)
        return self._filled(
            text, {"question": ask, "answers": "\n".join(lines), "signature": self._ours("_signature", Sink.RAW)}
        )

    def _footer(self) -> str:
        """Return the footer of the plain-text part; the HTML part has it from the layout."""
        shop = self._ours("shop.name", Sink.PLAIN)
        address = self._ours("shop.postal_address|_address", Sink.PLAIN)
        locale = locale_of(self.file.language)
        stop = self._ours("_stop", Sink.PLAIN)
        return f"\n--\n{locale.reason.format(shop=shop)}\n{shop}, {address}\n{locale.stop}: {stop}\n"

    def _in_layout(self, body: str, lines: Mapping[str, str]) -> str:
        locale = locale_of(self.file.language)
        fillings = {
            "body": body,
            "subject": escape(lines["subject"]),
            "preheader": escape(lines["preheader"]),
            "language": escape(self.file.language),
            "stop_text": escape(locale.stop),
            "reason": escape(locale.reason).format(shop=self._ours("shop.name", Sink.PLAIN)),
            "postal_address": self._ours("shop.postal_address|_address", Sink.PLAIN),
            "stop_url": self._ours("_stop", Sink.PLAIN),
            "signature": self._ours("_signature_html", Sink.RAW),
        }
        html = _CSS.inline(self._filled(hidden(self.layout, self.marks), fillings))
        html = secure_attributes(html, self.marks)
        return _COMMENT.sub(lambda found: found[1] if self.marks.only(found[1]) else found[0], html)


def _answer_link(choice_id: str) -> str:
    return f'_answers["{choice_id}"]'  # the characters of an id are checked when the file is read


class _Fused:
    """
    Writes all parts of a letter into one template: one run renders them all.

    Each piece of code begins with a line break inside its tag, so that the line of a failure names it.
    """

    def __init__(self, marks: Marks) -> None:
        self.marks = marks
        self.out: list[str] = []
        self.line = 1
        self.lines: list[int] = []
        self.written: list[Mark] = []

    def add(self, text: str, *, html: bool) -> None:
        """Add *text* with marks."""
        ends = 0
        for found in self.marks.pattern.finditer(text):
            self._constant(text[ends : found.start()])
            self._code(self.marks.of(found), html=html)
            ends = found.end()
        self._constant(text[ends:])

    def separate(self) -> None:
        self._write(BETWEEN_PARTS)

    def _constant(self, text: str) -> None:
        self._write(_CONTROL.sub("", text))  # an entity like &#1; must not become one of our delimiters

    def _code(self, mark: Mark, *, html: bool) -> None:
        self.lines.append(self.line + 1)
        self.written.append(mark)
        if mark.kind is Kind.STATEMENT:
            self._write(f"\x01%\n{mark.code} %\x01")
        elif mark.sink is Sink.RAW:
            self._write(f"\x01{{\n{mark.code} }}\x01")
        else:
            last = "|_html" if html else "|_text"
            self._write(f"\x01{{\n({mark.code}){_FILTERS.get(mark.sink, '')}{last} }}\x01")

    def _write(self, text: str) -> None:
        self.out.append(text)
        self.line += text.count("\n")

    def program(self) -> Program:
        assert all(before < after for before, after in pairwise(self.lines))
        return Program(_template("".join(self.out)), tuple(self.lines), tuple(self.written))


@lru_cache(maxsize=512)
def _template(source: str) -> Template:
    """Return *source* compiled, which is most of the work: of a new bundle, few letters are new."""
    return ENVIRONMENT.from_string(source)
