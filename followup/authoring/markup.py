"""A letter's body, Markdown with marks, as HTML and as plain text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from followup.authoring.links import Locate, secure_links
from followup.authoring.marks import Marks
from followup.authoring.plain_text import PlainText
from followup.authoring.tree import MARKDOWN, Block, read_tree, statement


@dataclass(frozen=True, slots=True)
class Markup:
    """A letter's body twice, with marks where Jinja goes."""

    html: str
    text: str


def read_markup(source: str, marks: Marks, locate: Locate) -> Markup:
    """
    Return the HTML and the plain text of *source*.

    Raises:
        Misplaced: see ``read_tree``; or a link leads nowhere (*locate* finds constant text in the files).
    """
    blocks = read_tree(source, marks)
    secure_links(_inline(blocks), marks, locate)
    html = MARKDOWN.renderer.render(list(_flat(blocks, marks)), MARKDOWN.options, {})
    return Markup(html, PlainText(marks).write(blocks))


def _write_statement(_: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    return f"<!--{tokens[at].content}-->"  # a comment survives where text would not, as between table rows


def _write_special(_: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    return f"{tokens[at].content}\n"


MARKDOWN.add_render_rule("statement", _write_statement)
MARKDOWN.add_render_rule("special", _write_special)


def _flat(blocks: Sequence[Block], marks: Marks) -> Iterator[Token]:
    for block in blocks:
        if block.guarded:
            yield statement("if loop.first", marks).token
            yield block.token
            yield statement("endif", marks).token
        else:
            yield block.token
        yield from _flat(block.children, marks)
        if block.close is None:
            continue
        if block.guarded:
            yield statement("if loop.last", marks).token
            yield block.close
            yield statement("endif", marks).token
        else:
            yield block.close


def _inline(blocks: Sequence[Block]) -> Iterator[Token]:
    for block in blocks:
        for token in block.token.children or []:
            yield token
            yield from token.children or []
        yield from _inline(block.children)
