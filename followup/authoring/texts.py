"""
Texts with names in them: the note of a hand-off, and what is remembered of a customer.

What stands in ``{{ }}`` is an expression as in a condition, evaluated in the same way: it has a value for every
customer and never raises. What is missing leaves nothing behind.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal

from jinja2 import nodes

from followup.authoring.diagnostics import Report, listed
from followup.authoring.expressions import CODE, LONGEST, Names, Value, compile_expression, readable
from followup.authoring.jinja_source import Fault, Source, read
from followup.authoring.locales import clock_time, long_date, money
from followup.authoring.names import NameType, child, value_of
from followup.authoring.source import Scalar
from followup.core.workflow import Text

LONGEST_FILLED = 10_000  # characters; a customer's words may stand in a text several times
LARGEST_AMOUNT = 10**15
LANGUAGE = "en"  # as the rest of what people in the shop get to see

_Piece = Callable[[Names], str]


def read_text(scalar: Scalar, report: Report, known: Mapping[str, NameType]) -> Text | None:
    """Return the text in *scalar* over the names of *known*, or report why it is none."""
    source = scalar.raw.strip()
    lead = len(scalar.raw) - len(scalar.raw.lstrip())
    try:
        return compile_text(source, known)
    except Fault as fault:
        report.add(scalar.place(lead + fault.offset), fault.code, fault.message, fault.help)
        return None


def compile_text(source: str, known: Mapping[str, NameType]) -> Text:
    """
    Return *source* as a text over the names of *known*.

    Raises:
        Fault: W106 not a text we take, W190 a name of a later version, W207 an unknown name.
    """
    if len(source) > LONGEST:
        raise Fault(CODE, f"A text may have {LONGEST:,} characters, this one has {len(source):,}.", 0)
    if (at := source.find("{%")) >= 0:
        help = "write for example {{ reply.text or answer_label }}"
        raise Fault(CODE, "Only names can stand in a text, no {% %}.", at, help)
    names: list[str] = []
    try:
        parsed = read(source)
        pieces = [_piece(parsed, node, known, names) for node in _printed(parsed)]
    except Fault as fault:
        offset = min(fault.offset, max(len(source) - 1, 0))
        if fault.code != "J003":
            raise Fault(fault.code, fault.message, offset, fault.help) from None
        unclosed = "never closed" in fault.message
        raise Fault(CODE, fault.message if unclosed else readable(fault.message), offset, fault.help) from None
    except RecursionError:
        raise Fault(CODE, "The text is nested too deeply.", 0) from None

    def fill(values: Names) -> str:
        return "".join(piece(values) for piece in pieces)[:LONGEST_FILLED]

    return Text(source, fill, tuple(dict.fromkeys(names)))


def _printed(parsed: Source) -> Iterator[nodes.Node]:
    for node in parsed.tree.body:
        assert isinstance(node, nodes.Output), type(node)  # statements were refused
        yield from node.nodes


def _piece(parsed: Source, node: nodes.Node, known: Mapping[str, NameType], names: list[str]) -> _Piece:
    if isinstance(node, nodes.TemplateData):
        constant = node.data
        return lambda values: constant
    value, read_here = compile_expression(parsed, node, known, "a text")
    if isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem):
        last = node.lineno + isinstance(node, nodes.Getattr)  # the node's own line is that of the dot
        _refuse_group(read_here[0], known, parsed.offset(last))
    names += read_here
    return _spoken(value)


def _refuse_group(dotted: str, known: Mapping[str, NameType], offset: int) -> None:
    kind: NameType = known
    for key in dotted.split("."):
        kind, _ = child(kind, int(key) if key.isdecimal() else key)
    if isinstance(kind, Mapping):
        help = f"name one of its fields: {listed(name for name in kind if name != '*')}"
        raise Fault(CODE, f'"{dotted}" is a group of fields, not one value.', offset, help)


def _spoken(value: Value) -> _Piece:
    return lambda names: spoken(value(names), names)


def spoken(value: object, names: Names) -> str:  # noqa: PLR0911 - one answer for each kind
    """
    Return *value* as a person would write it: ``14 March 2026, 23:30``, ``€12.50``, ``coffee, tea``.

    Args:
        names: the currency of amounts is that of their order.
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{long_date(value.date(), LANGUAGE)}, {clock_time(value.time(), LANGUAGE)}"
        case date():
            return long_date(value, LANGUAGE)
        case Decimal() if value.is_finite() and abs(value) < LARGEST_AMOUNT:
            return money(value, str(value_of(names.get("order"), "currency") or ""), LANGUAGE)
        case Mapping():
            return spoken(value.get("name"), names)  # an item of an order
        case list() | tuple():
            return ", ".join(filter(None, (spoken(item, names) for item in value)))
    return str(value)
