"""
Markdown with marks as a tree.

The tree is Markdown's tokens with statements (``if``, ``for``) as nodes of their own. A statement may wrap
whole blocks, list items or inline text, but never cross the end of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from followup.authoring.jinja_source import Kind
from followup.authoring.links import refuse_statements
from followup.authoring.marks import BETWEEN, CLOSERS, OPENERS, Mark, Marks, Misplaced

LISTS = {"bullet_list_open", "ordered_list_open"}


@dataclass(slots=True)
class Block:
    """A token with what it holds, or a leaf; ``guarded`` is a list that is all there is in a loop."""

    token: Token
    children: list["Block"] = field(default_factory=list)
    close: Token | None = None
    guarded: bool = False

    @property
    def kind(self) -> str:
        return self.token.type


def read_tree(source: str, marks: Marks) -> list[Block]:
    """
    Return the blocks of *source*, Markdown with *marks* for its Jinja.

    Raises:
        Misplaced: a statement crosses the end of what it stands in, or ``answers`` stands inside a line.
    """
    blocks = _shaped(_tree(MARKDOWN.parse(source, {"block": marks.block})), marks)
    _Nesting(marks).check(blocks)
    return blocks


def _statement_rule(state: StateBlock, line: int, last: int, silent: bool) -> bool:
    if state.is_code_block(line):
        return False
    text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip()
    if not state.env["block"].fullmatch(text):
        return False
    if not silent:
        state.line = line + 1
        state.push("statement", "", 0).content = text
    return True


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False})
    ends = ["paragraph", "reference", "blockquote", "list"]
    markdown.block.ruler.before("code", "statement", _statement_rule, {"alt": ends})
    return markdown


MARKDOWN = _markdown()


def _tree(tokens: Sequence[Token]) -> list[Block]:
    root: list[Block] = []
    level = root
    parents: list[tuple[Block, list[Block]]] = []
    for token in tokens:
        if token.nesting == -1:
            block, level = parents.pop()
            block.close = token
            continue
        block = Block(token)
        level.append(block)
        if token.nesting == 1:
            parents.append((block, level))
            level = block.children
    return root


def statement(code: str, marks: Marks) -> Block:
    """Return a node for a statement of our own."""
    token = Token("statement", "", 0)
    token.content = marks.add(Mark(Kind.STATEMENT, code, marks.ours))
    return Block(token)


def _shaped(blocks: Sequence[Block], marks: Marks) -> list[Block]:
    """Return *blocks* with statements moved to where the author meant them to be."""
    shaped: list[Block] = []
    for block in blocks:
        block.children = _shaped(block.children, marks)
        if block.kind == "paragraph_open":
            shaped.extend(_lifted_paragraph(block, marks))
        elif block.kind == "list_item_open":
            shaped.extend(_lifted_item(block))
        else:
            shaped.append(block)
    return _joined(shaped, marks)


def _lifted_paragraph(block: Block, marks: Marks) -> list[Block]:
    """Take an ``if`` that spans a whole paragraph out of it, so that no empty paragraph is left without it."""
    inline = block.children[0].token.children or []
    around: list[Block] = []
    if ends := _spanning_if(inline, marks):
        for content in ends:
            token = Token("statement", "", 0)
            token.content = content
            around.append(Block(token))
        inline[0].content = inline[0].content[len(ends[0]) :]
        inline[-1].content = inline[-1].content[: -len(ends[1])]
    middle = [block]
    texts = [token for token in inline if token.content or token.type != "text"]
    only = marks.only(texts[0].content) if len(texts) == 1 and texts[0].type == "text" else None
    if only is not None and only.special == "answers":
        token = Token("special", "", 0)
        token.content = texts[0].content.strip()
        middle = [Block(token)]
    return [around[0], *middle, around[1]] if around else middle


def _spanning_if(inline: Sequence[Token], marks: Marks) -> tuple[str, str] | None:
    """Return the marks of an ``if`` without ``else`` that begins and ends with *inline*."""
    found = [(token, match) for token in inline for match in marks.pattern.finditer(token.content)]
    statements = [(token, match) for token, match in found if marks.of(match).kind is Kind.STATEMENT]
    if len(statements) < 2:
        return None
    (first, opens), (last, closes) = statements[0], statements[-1]
    at_ends = first is inline[0] and opens.start() == 0 and last is inline[-1] and closes.end() == len(last.content)
    if not at_ends or marks.of(opens).word != "if" or "text" not in (first.type, last.type):
        return None
    depth = 0
    for _, match in statements[:-1]:
        word = marks.of(match).word
        depth += (word in OPENERS) - (word in CLOSERS)
        if depth < 1 or (word in BETWEEN and depth == 1):
            return None
    return opens[0], closes[0]


def _lifted_item(block: Block) -> list[Block]:
    """Take a statement that spans all of a list item out of it."""
    kinds = [child.kind for child in block.children]
    if kinds not in (["statement", "paragraph_open", "statement"], ["statement", "special", "statement"]):
        return [block]
    opens, paragraph, closes = block.children
    block.children = [paragraph]
    return [opens, block, closes]


def _joined(blocks: list[Block], marks: Marks) -> list[Block]:
    """
    Make one list of lists that only statements separate.

    A list that is all there is in a loop opens with the first item and closes with the last, so that an
    empty loop leaves no empty list.
    """
    joined: list[Block] = []
    at = 0
    while at < len(blocks):
        end = _longest_run(blocks, at, marks)
        run = blocks[at:end]
        lists = [block for block in run if block.kind in LISTS]
        loops = run and _word(run[0], marks) == "for"
        if loops and len(run) == 3 and run[1].kind in LISTS:
            lists[0].guarded = True
            joined.extend(run)
        elif lists and (loops or (len(lists) > 1 and _has_bare_list(run, marks))):
            items = [item for block in run for item in (block.children if block.kind in LISTS else [block])]
            joined.append(Block(lists[0].token, items, lists[0].close))
        else:
            end = at + 1
            joined.append(blocks[at])
        at = end
    return joined


def _word(block: Block, marks: Marks) -> str:
    return marks.within(block.token.content)[0].word if block.kind == "statement" else ""


def _longest_run(blocks: Sequence[Block], start: int, marks: Marks) -> int:
    """Return the end of the longest run from *start* of lists of one kind and whole statements."""
    depth, end, kind = 0, start, None
    for number in range(start, len(blocks)):
        block = blocks[number]
        if block.kind in LISTS:
            kind = kind or block.kind
            if block.kind != kind:
                break
        elif block.kind != "statement":
            break
        word = _word(block, marks)
        depth += (word in OPENERS) - (word in CLOSERS)
        if depth < 0 or (depth == 0 and word in BETWEEN):
            break
        if depth == 0:
            end = number + 1
    return end


def _has_bare_list(run: Sequence[Block], marks: Marks) -> bool:
    depth = 0
    for block in run:
        word = _word(block, marks)
        depth += (word in OPENERS) - (word in CLOSERS)
        if depth == 0 and block.kind in LISTS:
            return True
    return False


class _Nesting:
    """Checks that statements and markup nest."""

    def __init__(self, marks: Marks) -> None:
        self.marks = marks
        self.stack: list[Mark | None] = []  # None for markup

    def check(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            self.stack.append(None)
            if block.kind == "statement":
                self.stack.pop()
            refuse_statements(block.token.info, self.marks)
            if block.kind != "inline":
                self._content(block.token.content)
            for token in block.token.children or []:
                self._token(token)
            self.check(block.children)
            if block.kind != "statement":
                self._leave()

    def _token(self, token: Token) -> None:
        if token.nesting == 1:
            self.stack.append(None)
        elif token.nesting == -1:
            self._leave()
        if token.type == "image":
            for inner in token.children or []:
                refuse_statements(inner.content, self.marks)
            return
        if token.type == "code_inline":
            self.stack.append(None)
        self._content(token.content)
        if token.type == "code_inline":
            self._leave()
        for mark in self.marks.within(token.content):
            if mark.special == "answers":
                message, help = "{{ answers }} must stand in a paragraph of its own.", "put an empty line around it"
                raise Misplaced(mark.place, "T151", message, help)

    def _content(self, text: str) -> None:
        for mark in self.marks.within(text):
            if mark.word in OPENERS:
                self.stack.append(mark)
            elif mark.word in BETWEEN and (not self.stack or self.stack[-1] is None):
                raise _crossing(mark)
            elif mark.word in CLOSERS:
                if not self.stack or self.stack[-1] is None:
                    raise _crossing(mark)
                self.stack.pop()

    def _leave(self) -> None:
        opened = self.stack.pop()
        if opened is not None:
            raise _crossing(opened)


def _crossing(mark: Mark) -> Misplaced:
    message = f"{{% {mark.word} %}} does not begin and end within the same paragraph, list or emphasis."
    help = "put it and its end on lines of their own around whole paragraphs or list items, or both inside one line"
    return Misplaced(mark.place, "T150", message, help)
