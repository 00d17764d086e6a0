"""
HTML to plain text as a reader sees it, quotes marked with ``>``; linear in the length of its input.

The standard library's parser is not used: before the fixes of 2025 (CVE-2025-6069) it takes quadratic
time on input as simple as many ``<!--``. All that is wanted here is text, line breaks and quotes.
"""

import html
import re

MAX_TAGS = 60_000
_LONG_TAG = 4_096  # characters a quoted attribute may add to a tag

_BREAKS = frozenset(
    "address article aside blockquote center dd details div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 "  # noqa: SIM905
    "header hr li main nav ol p pre section table tbody tfoot thead title tr ul".split()
)
_UNSEEN = {name: re.compile(rf"</{name}", re.IGNORECASE) for name in ("script", "style", "title")}

# Containers in which mail programs put the mail that is answered. The attribution line above it
# ("On …, … wrote:") is in the container in some, before it in others; `reply_text` knows both.
_QUOTES = frozenset(
    "gmail_attr moz-cite-prefix yahoo_quoted protonmail_quote tutanota_quote zmail_extra mb_forwarded_message "  # noqa: SIM905
    "ms-outlook-mobile-reference-message olk_src_body_section mail-editor-reference-message-container".split()
)
# Marks that Outlook puts where the answered mail begins, which then goes on to the end.
_REST_IS_QUOTED = frozenset({"divrplyfwdmsg", "appendonsend"})

_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9:-]{0,40})")
_QUOTE = re.compile(r"=\s{0,9}([\"'])")
_MARKS = re.compile(r"""\b(?:class|id)\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\n\r\f\xa0]+")


def plain_text(source: str) -> tuple[str, bool]:
    """
    Return the text of *source* and whether a bound cut it.

    Block elements begin lines, paragraphs are set apart by an empty one, what is quoted begins with ``> ``.
    """
    reader = _Reader()
    position, tags = 0, 0
    while True:
        opening = source.find("<", position)
        if opening < 0 or tags > MAX_TAGS:
            reader.text(source[position : opening if opening >= 0 else len(source)])
            return reader.finish(), opening >= 0
        reader.text(source[position:opening])
        position, tags = _markup(source, opening, reader), tags + 1


def _markup(source: str, opening: int, reader: "_Reader") -> int:
    """Read what begins with the ``<`` at *opening*; return where text goes on."""
    match = _TAG.match(source, opening)
    if match is None:
        if source.startswith("<!--", opening):
            return _after(source, "-->", opening + 4)
        if source[opening + 1 : opening + 2] in ("!", "?", "/"):
            return _after(source, ">", opening + 2)
        reader.text("<")  # "I <3 it"
        return opening + 1
    end = _tag_end(source, match.end())
    name = match[1].lower()
    if source[opening + 1] == "/":
        reader.close(name)
        return end
    reader.open(name, source[match.end() : min(end, match.end() + _LONG_TAG)])
    if name in _UNSEEN:
        closing = _UNSEEN[name].search(source, end)
        return closing.start() if closing else len(source)
    return end


def _after(source: str, mark: str, position: int) -> int:
    """Return the offset after the next *mark*; without one the rest is not text, as in a browser."""
    found = source.find(mark, position)
    return found + len(mark) if found >= 0 else len(source)


def _tag_end(source: str, position: int) -> int:
    """Return the offset after the ``>`` that ends a tag, looking past one inside a quoted attribute."""
    end = source.find(">", position)
    if end < 0:
        return len(source)
    mark = _open_quote(source, position, end)
    if mark:
        quote_end = source.find(mark, end, end + _LONG_TAG)
        after = source.find(">", quote_end, quote_end + _LONG_TAG) if quote_end >= 0 else -1
        return (after if after >= 0 else end) + 1
    return end + 1


def _open_quote(source: str, position: int, end: int) -> str:
    """Return the quote in which the attributes between *position* and *end* break off, or an empty string."""
    if end - position > _LONG_TAG:
        return ""
    while opening := _QUOTE.search(source, position, end):
        closing = source.find(opening[1], opening.end(), end)
        if closing < 0:
            return opening[1]
        position = closing + 1
    return ""


class _Reader:
    """Collects lines. In a quote, ``depth`` counts open elements of the kind that opened it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.quote = ""
        self.depth = 0
        self.pre = 0
        self.rest_quoted = False
        self.spacer = False  # a non-breaking space alone in a paragraph is Outlook's empty line

    def text(self, raw: str) -> None:
        if not raw:
            return
        text = _unescaped(raw)
        self.spacer = self.spacer or "\xa0" in text
        if self.pre:
            first, *more = text.split("\n")
            self.line.append(first)
            for line in more:
                self.new_line()
                self.line.append(line)
        else:
            self.line.append(text)

    def open(self, name: str, attributes: str) -> None:
        if name == "br":
            self.new_line()
        elif name in ("td", "th"):
            self.line.append(" ")
        elif name in _BREAKS:
            self.begin_line()
        marks = _marks(attributes)
        if name == "p" and not any(mark.startswith("mso") for mark in marks):
            self.begin_paragraph()
        self.pre += name == "pre"
        if self.quote:
            self.depth += name == self.quote
        elif name == "blockquote" or not marks.isdisjoint(_QUOTES):
            self.begin_line()
            self.quote, self.depth = name, 1
        if not marks.isdisjoint(_REST_IS_QUOTED):
            self.begin_line()
            self.rest_quoted = True

    def close(self, name: str) -> None:
        if name in _BREAKS:
            self.begin_line()
        if name == "pre" and self.pre:
            self.pre -= 1
        if name == self.quote:
            self.depth -= 1
            if not self.depth:
                self.begin_line()
                self.quote = ""

    def begin_line(self) -> None:
        if self.spacer or any(not piece.isspace() for piece in self.line):
            self.new_line()
        self.line.clear()

    def begin_paragraph(self) -> None:
        if self.lines and self.lines[-1].strip("> "):
            self.new_line()

    def new_line(self) -> None:
        text = "".join(self.line)
        text = text.rstrip() if self.pre else _SPACE.sub(" ", text).strip()
        self.lines.append(f"> {text}" if self.quote or self.rest_quoted else text)
        self.line.clear()
        self.spacer = False

    def finish(self) -> str:
        self.begin_line()
        return "\n".join(self.lines)


def _marks(attributes: str) -> set[str]:
    if "class" not in attributes.lower() and "id" not in attributes.lower():
        return set()
    return {
        mark
        for match in _MARKS.finditer(attributes)
        for mark in (match[1] or match[2] or match[3] or "").lower().split()[:20]
    }


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character reference of thousands of digits
        return text
