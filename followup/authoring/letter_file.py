"""A letter file: its front matter, its question and its body with parts put in, not yet rendered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from followup.authoring.diagnostics import Diagnostic, Report, Spot, did_you_mean, spot_at
from followup.authoring.jinja_source import Chunk, Fault, read
from followup.authoring.marks import Place
from followup.authoring.question_file import read_question
from followup.authoring.shapes import Fields
from followup.authoring.source import Mapping as YamlMapping
from followup.authoring.source import Scalar, read_yaml, refuse_unprintable
from followup.core.message import Purpose
from followup.core.replies import Question

LARGEST = 100_000  # characters, parts included
KEYS = ("subject", "preheader", "from", "language", "purpose", "question", "asks_for", "lint")
DEFAULT_LANGUAGE = "en"
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_NAME = re.compile(r"templates/(?P<key>[A-Za-z0-9][A-Za-z0-9_-]{0,79})(\.(?P<language>[A-Za-z0-9-]+))?\.md")
PARTS = "templates/_parts/"
_INCLUDE = re.compile(r"""include\s+(["'])(?P<path>[^"']+)\1""")


@dataclass(frozen=True, slots=True)
class Passage:
    """
    Source text put together from files.

    ``pieces`` say where each begins in ``text``, the path and the whole text of its file, and the offset in it.
    """

    text: str
    pieces: tuple[tuple[int, str, str, int], ...]

    def place(self, offset: int) -> Place:
        """Return where the character *offset* of ``text`` stands."""
        start, path, whole, first = max((p for p in self.pieces if p[0] <= offset), key=lambda p: p[0])
        return Place(path, spot_at(whole, first + offset - start))


@dataclass(frozen=True, slots=True)
class LetterFile:
    """One letter in one language as it is written. ``ask`` is the question as written, Jinja included."""

    key: str
    path: str
    language: str
    subject: Scalar
    preheader: Scalar | None
    ask: Scalar | None
    question: Question | None
    purpose: Purpose
    sender: str | None
    sender_spot: Spot
    asks_for: str | None
    body: Passage


def letter_name(path: str) -> tuple[str, str | None] | None:
    """Return the key and the language (None: the default letter) that *path* stands for, or None."""
    found = _NAME.fullmatch(path)
    if found is None or (found["language"] and not LANGUAGE.fullmatch(found["language"])):
        return None
    return found["key"], found["language"]


def read_letter(path: str, files: Mapping[str, str], report: Report) -> LetterFile | None:
    """
    Read the letter at *path*, or report what is wrong and return None.

    Args:
        files: every file of the project, for the parts it includes.
        report: of the letter's own path, series T; what is wrong inside a part names the part's path.
    """
    name, text = letter_name(path), files[path]
    if name is None:
        help = 'letters are called "name.md" or "name.de.md" and stand directly in templates/'
        report.add(Spot(), "110", "This is no name for a letter.", help)
        return None
    if len(text) > LARGEST:
        report.add(Spot(), "161", f"The letter is larger than {LARGEST:,} characters.")
        return None
    front, body_at = _split(text, report)
    if front is None or refuse_unprintable(text, report):
        return None
    node = read_yaml(front, report, first_line=2)
    if report.diagnostics:
        return None
    if not isinstance(node, YamlMapping):
        report.add(Spot(2), "103", "The front matter must be keys with values.", "it needs at least a subject")
        return None
    body = _put_in_parts(path, text, body_at, files, report)
    letter = _read_front(node, name, path, body, report)
    return letter if not report.diagnostics else None


def _split(text: str, report: Report) -> tuple[str | None, int]:
    """Return the front matter and the offset at which the body begins."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        help = "begin the file with a line ---, then the subject and so on, then another line ---"
        report.add(Spot(), "102", "A letter begins with its front matter.", help)
        return None, 0
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return "\n".join(lines[1:number]), sum(len(before) + 1 for before in lines[: number + 1])
    report.add(Spot(), "102", "The front matter never ends.", "put a line --- between it and the letter")
    return None, 0


def _read_front(
    node: YamlMapping, name: tuple[str, str | None], path: str, body: Passage, report: Report
) -> LetterFile | None:
    fields = Fields(node, report, "a letter", KEYS)
    fields.check("subject")
    fields.text("subject", numbers=True)
    fields.text("preheader", numbers=True)
    question, ask = read_question(fields)
    language = _language(fields, name[1])
    purpose = fields.choice("purpose", [purpose.value for purpose in Purpose])
    sender = fields.text("from")
    asks_for = fields.choice("asks_for", ["review"])
    fields.mapping("lint")
    subject, preheader = fields.get("subject"), fields.get("preheader")
    if report.diagnostics or not isinstance(subject, Scalar):
        return None
    sender_node = fields.get("from")
    return LetterFile(
        key=name[0],
        path=path,
        language=language,
        subject=subject,
        preheader=preheader if isinstance(preheader, Scalar) else None,
        ask=ask,
        question=question,
        purpose=Purpose(purpose) if purpose else Purpose.RELATIONSHIP,
        sender=sender,
        sender_spot=sender_node.spot if sender_node else Spot(),
        asks_for=asks_for,
        body=body,
    )


def _language(fields: Fields, from_name: str | None) -> str:
    written, node = fields.text("language"), fields.get("language")
    if written is None or node is None:
        return from_name or DEFAULT_LANGUAGE
    if not LANGUAGE.fullmatch(written):
        fields.report.add(node.spot, "105", f'"{written}" is not a language.', 'for example "en", "de" or "pt-BR"')
    elif from_name and written.casefold() != from_name.casefold():
        message = f'The letter says "{written}", its file name "{from_name}".'
        fields.report.add(node.spot, "111", message, "correct one of them")
    return written


def _put_in_parts(path: str, text: str, body_at: int, files: Mapping[str, str], report: Report) -> Passage:
    """Return the body with every ``{% include "_parts/…" %}`` replaced by that file."""
    body = text[body_at:]
    try:
        includes = [chunk for chunk in read(body).chunks if chunk.word == "include"]
    except Fault:
        includes = []  # reported when the passage is read
    pieces, out, done = [(0, path, text, body_at)], "", 0
    for chunk in includes:
        inside = _part(chunk, spot_at(text, body_at + chunk.start), files, report)
        if inside is None:
            continue
        end = body.index("%}", chunk.start) + 2
        out += body[done : chunk.start]
        pieces.append((len(out), inside, files[inside], 0))
        out += files[inside].rstrip("\n")
        pieces.append((len(out), path, text, body_at + end))
        done = end
    out += body[done:]
    if len(out) > LARGEST:
        report.add(Spot(), "161", f"The letter is larger than {LARGEST:,} characters with its parts.")
    return Passage(out, tuple(pieces))


def _part(chunk: Chunk, spot: Spot, files: Mapping[str, str], report: Report) -> str | None:
    found = _INCLUDE.fullmatch(chunk.text)
    if found is None or not found["path"].startswith("_parts/"):
        help = '{% include "_parts/name.md" %}'
        report.add(spot, "133", "Only a part can be included, by its plain name.", help)
        return None
    path = f"templates/{found['path']}"
    if path not in files:
        parts = [name.removeprefix(PARTS) for name in files if name.startswith(PARTS)]
        guess = did_you_mean(found["path"].removeprefix("_parts/"), parts)
        hint = f' Did you mean "_parts/{guess}"?' if guess else ""
        report.add(spot, "133", f'There is no part "{found["path"]}".{hint}', f"create {path}")
        return None
    inner = Report(path, "T")
    if not refuse_unprintable(files[path], inner) and "include" in files[path]:
        _refuse_includes(path, files[path], inner)
    report.diagnostics.extend(inner.diagnostics)
    return path if not inner.diagnostics else None


def _refuse_includes(path: str, text: str, report: Report) -> None:
    try:
        for chunk in read(text).chunks:
            if chunk.word == "include":
                report.add(spot_at(text, chunk.start), "133", "A part cannot include another one.")
    except Fault as fault:
        place = spot_at(text, fault.offset)
        report.diagnostics.append(Diagnostic(path, place.line, place.column, fault.code, fault.message, fault.help))
