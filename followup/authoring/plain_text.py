"""The plain-text part of a letter, written from the same tree as the HTML."""

import re
from collections.abc import Sequence

from markdown_it.token import Token

from followup.authoring.jinja_source import Kind
from followup.authoring.marks import Mark, Marks
from followup.authoring.tree import LISTS, Block, statement


class PlainText:
    """Writes text; each block ends its own lines, so that one left out by an ``if`` leaves no gap."""

    def __init__(self, marks: Marks) -> None:
        self.marks = marks
        self.lists = 0
        self._ends_its_line = re.compile(f"\n(?:{marks.pattern.pattern})+$")

    def write(self, blocks: Sequence[Block]) -> str:
        """Return *blocks* as text, ending in one line break."""
        return self._blocks(blocks).strip("\n") + "\n"

    def _blocks(self, blocks: Sequence[Block]) -> str:
        return "".join(self._block(block) for block in blocks)

    def _block(self, block: Block) -> str:  # noqa: PLR0911 - one answer for each kind
        token = block.token
        if block.kind in LISTS:
            return self._list(block)
        match block.kind:
            case "statement":
                return token.content
            case "special":
                return token.content + "\n\n"
            case "paragraph_open" | "heading_open":
                text = "".join(self._inline(child.token.children or []) for child in block.children)
                return text + ("\n" if token.hidden else "\n\n")
            case "blockquote_open":
                return self._prefixed(self._blocks(block.children).rstrip("\n"), "> ") + "\n\n"
            case "fence" | "code_block":
                return self._prefixed(token.content.rstrip("\n"), "    ") + "\n\n"
            case "hr":
                return "* * *\n\n"
        return self._blocks(block.children)

    def _list(self, block: Block) -> str:
        self.lists += 1
        items = [child for child in block.children if child.kind != "statement"]
        plain = len(items) == len(block.children)
        number, text = int(block.token.attrs.get("start", 1)), ""
        for child in block.children:
            if child.kind == "statement":
                text += child.token.content
                continue
            marker = "- "
            if block.kind == "ordered_list_open" and block.guarded and len(items) == 1:
                code = f"loop.index + {number - 1}" if number != 1 else "loop.index"
                marker = self.marks.add(Mark(Kind.EXPRESSION, code, self.marks.ours)) + ". "
            elif block.kind == "ordered_list_open" and plain and not block.guarded:
                marker = f"{number}. "
                number += 1
            text += self._item(child, marker)
        self.lists -= 1
        after = "" if self.lists or text.endswith("\n\n") else "\n"
        if after and block.guarded:
            after = statement("if loop.last", self.marks).token.content + after
            after += statement("endif", self.marks).token.content
        return text + after

    def _item(self, item: Block, marker: str) -> str:
        body = self._blocks(item.children)
        loose = any(child.kind == "paragraph_open" and not child.token.hidden for child in item.children)
        indented = self._prefixed(body.rstrip("\n"), "   " if marker[-2] == "." else "  ", first=False)
        ended = self._ends_its_line.search(body) is not None
        return marker + indented + ("" if ended else "\n") + ("\n" if loose else "")

    def _prefixed(self, text: str, prefix: str, *, first: bool = True) -> str:
        """Put *prefix* before each line, after the statements that stand there: they repeat or drop the line."""
        lines = text.split("\n")
        return "\n".join(
            line if number == 0 and not first else self._with_prefix(line, prefix) for number, line in enumerate(lines)
        )

    def _with_prefix(self, line: str, prefix: str) -> str:
        start = 0
        while found := self.marks.pattern.match(line, start):
            if self.marks.of(found).kind is not Kind.STATEMENT:
                break
            start = found.end()
        if start and start == len(line):
            return line
        return line[:start] + (prefix + line[start:]).rstrip(" ")

    def _inline(self, tokens: Sequence[Token]) -> str:
        out: list[str] = []
        links: list[tuple[int, str]] = []
        for token in tokens:
            match token.type:
                case "softbreak":
                    out.append(" ")
                case "hardbreak":
                    out.append("\n")
                case "image":
                    out.append(self._inline(token.children or []))
                case "link_open":
                    links.append((len(out), str(token.attrs["href"])))
                case "link_close":
                    start, url = links.pop()
                    out[start:] = [self._link("".join(out[start:]), url)]
                case _:
                    out.append(token.content)
        return re.sub(r" +\n", "\n", "".join(out))

    def _link(self, label: str, url: str) -> str:
        """Return ``label (url)``, or the address alone when the label says the same."""
        if self._codes(label) == self._codes(url.removeprefix("mailto:")):
            return url.removeprefix("mailto:")
        return f"{label} ({url})"

    def _codes(self, text: str) -> str:
        return self.marks.pattern.sub(lambda found: f"\x00{self.marks.of(found).code}\x00", text)
