"""
What a condition will say, as far as that is certain before anything has happened.

A name is either known (the customer answered "problem") or open (nobody knows the total of an order to come).
A condition over them is true, false, or open as well; an open one keeps what is left of it as a text, so that
two can be compared: ``answer == "a" and order.total > 9`` leaves ``order.total > 9`` after the answer "a", and
is false after any other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TypeAlias

from jinja2 import nodes

from followup.authoring.expressions import COMPARISONS, FILTERS
from followup.authoring.jinja_source import Fault, Source, read
from followup.core.workflow import Condition

LONGEST = 500  # characters of what is left open; of more than that a hash tells it from others as well
_BEGIN = "{{ "
_ORDERED = {"lt", "lteq", "gt", "gteq"}


@dataclass(frozen=True, slots=True)
class Open:
    """Something that only time will tell; ``truth`` is set when at least its truth is certain."""

    text: str
    truth: bool | None = None


Path: TypeAlias = tuple[str | int, ...]
LookUp: TypeAlias = Callable[[Path], object]  # what a name stands for: a value, or Open
Truth: TypeAlias = bool | Open


@dataclass(frozen=True, slots=True)
class Comparison:
    """A name that a condition compares with a constant, which stands at the character ``offset``."""

    path: Path
    value: object
    offset: int


def forecast(condition: Condition, look_up: LookUp) -> Truth:
    """Return what *condition* will say of the names that *look_up* knows."""
    parsed = _parsed(condition.source)
    return Open(condition.source) if parsed is None else _truth(parsed[1], look_up)


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Yield the names that *condition* compares for being equal, or being in a list, in its order."""
    parsed = _parsed(condition.source)
    if parsed is None:
        return
    source, expression = parsed
    for found in _inside(expression):
        left = found.expr
        for operand in found.ops:
            yield from _compared(source, left, operand)
            left = operand.expr


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Source, nodes.Node] | None:
    try:
        source = read(f"{_BEGIN}{text} }}}}")
    except Fault:
        return None
    match source.tree.body:
        case [nodes.Output(nodes=[expression])]:
            return source, expression
    return None


def _inside(expression: nodes.Node) -> Iterator[nodes.Compare]:
    """Yield the comparisons in *expression*, from left to right; it may be a long chain, which nests deeply."""
    todo = [expression]
    while todo:
        node = todo.pop()
        if isinstance(node, nodes.Compare):
            yield node
        todo += reversed(list(node.iter_child_nodes()))


def _compared(source: Source, left: nodes.Node, operand: nodes.Operand) -> Iterator[Comparison]:
    right, pairs = operand.expr, list[tuple[nodes.Node, nodes.Node]]()
    if operand.op in {"in", "notin"}:
        listed = right.items if isinstance(right, nodes.List | nodes.Tuple) else []
        pairs = [(left, item) for item in listed]
    elif operand.op in {"eq", "ne"}:
        pairs = [(left, right), (right, left)]
    for name, constant in pairs:
        inner, instead = _unwrapped(name)
        path = _path(inner)
        if path is not None and isinstance(constant, nodes.Const) and constant.value not in instead:
            yield Comparison(path, constant.value, source.offset(constant.lineno) - len(_BEGIN))


def _unwrapped(node: nodes.Node) -> tuple[nodes.Node, list[object]]:
    """Return what the filters around a name are applied to, and the values that stand in for it."""
    instead: list[object] = [None]
    while isinstance(node, nodes.Filter) and node.node is not None and node.name in {"lower", "default"}:
        instead += [argument.value for argument in node.args if isinstance(argument, nodes.Const)]
        node = node.node
    return node, instead


def _path(node: nodes.Node) -> Path | None:
    keys: list[str | int] = []
    while not isinstance(node, nodes.Name):
        match node:
            case nodes.Getattr():
                keys.append(node.attr)
            case nodes.Getitem(arg=nodes.Const(value=str() | int() as key)):
                keys.append(key)
            case _:
                return None
        node = node.node
    return (node.name, *reversed(keys))


def _truth(node: nodes.Node, look_up: LookUp) -> Truth:
    match node:
        case nodes.And() | nodes.Or():
            return _chain(node, look_up)
        case nodes.Not():
            return negated(_truth(node.node, look_up))
        case nodes.Compare():
            return _compare(node, look_up)
    value = _value(node, look_up)
    if isinstance(value, Open):
        return value if value.truth is None else value.truth
    return bool(value)


def negated(truth: Truth) -> Truth:
    """Return the opposite."""
    return Open(f"not ({truth.text})") if isinstance(truth, Open) else not truth


def both(*truths: Truth) -> Truth:
    """Return whether all of *truths* hold."""
    return _joined(list(truths), " and ", decides=False)


def _joined(truths: list[Truth], word: str, *, decides: bool) -> Truth:
    if any(truth is decides for truth in truths):
        return decides
    left = [truth.text for truth in truths if isinstance(truth, Open)]
    if not left:
        return not decides
    text = word.join(f"({text})" for text in left) if len(left) > 1 else left[0]
    return Open(text if len(text) <= LONGEST else sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def _operands(node: nodes.And | nodes.Or) -> list[nodes.Node]:
    """Flatten ``a and b and c``, which nests to the left, so that its length costs no depth."""
    operands: list[nodes.Node] = []
    left: nodes.Node = node
    while isinstance(left, type(node)):
        operands.append(left.right)
        left = left.left
    return [left, *reversed(operands)]


def _chain(node: nodes.And | nodes.Or, look_up: LookUp) -> Truth:
    truths = [_truth(operand, look_up) for operand in _operands(node)]
    is_or = isinstance(node, nodes.Or)
    return _joined(truths, " or " if is_or else " and ", decides=is_or)


def _compare(node: nodes.Compare, look_up: LookUp) -> Truth:
    left, truths = _value(node.expr, look_up), list[Truth]()
    for operand in node.ops:
        right = _value(operand.expr, look_up)
        truths.append(_one_comparison(left, operand.op, right))
        left = right
    return both(*truths)


def _one_comparison(left: object, op: str, right: object) -> Truth:
    if not isinstance(left, Open) and not isinstance(right, Open):
        return COMPARISONS[op](left, right)
    if op in _ORDERED and (left is None or right is None):  # nothing is in order with what is missing
        return False
    return Open(f"{_written(left)} {op} {_written(right)}")


def _value(node: nodes.Node, look_up: LookUp) -> object:  # noqa: PLR0911 - one answer for each node
    match node:
        case nodes.Const():
            return node.value
        case nodes.Name() | nodes.Getattr() | nodes.Getitem():
            path = _path(node)
            return Open(repr(node)) if path is None else look_up(path)
        case nodes.List() | nodes.Tuple():
            items = [_value(item, look_up) for item in node.items]
            is_open = any(isinstance(item, Open) for item in items)
            return Open(", ".join(map(_written, items))) if is_open else items
        case nodes.Neg():
            number = _value(node.node, look_up)
            known = isinstance(number, int | float) and not isinstance(number, bool)
            return -number if known else Open(f"-{_written(number)}")  # type: ignore[operator]
        case nodes.CondExpr():
            return _either(node, look_up)
        case nodes.Filter() if node.node is not None:
            return _filtered(node, _value(node.node, look_up), look_up)
        case nodes.Test():
            return _tested(node, _value(node.node, look_up))
        case nodes.And() | nodes.Or():
            return _first_or_last(node, look_up)
        case nodes.Not() | nodes.Compare():
            return _truth(node, look_up)
    return Open(repr(node))


def _first_or_last(node: nodes.And | nodes.Or, look_up: LookUp) -> object:
    """Return the operand that ``a or b`` (``a and b``) comes to, used as a value."""
    values = [_value(operand, look_up) for operand in _operands(node)]
    for value in values[:-1]:
        if isinstance(value, Open):
            return Open(f" {type(node).__name__} ".join(map(_written, values)))
        if bool(value) is isinstance(node, nodes.Or):
            return value
    return values[-1]


def _either(node: nodes.CondExpr, look_up: LookUp) -> object:
    yes, no = _value(node.expr1, look_up), _value(node.expr2, look_up) if node.expr2 else None
    test = _truth(node.test, look_up)
    if isinstance(test, Open):
        return Open(f"{_written(yes)} if {test.text} else {_written(no)}")
    return yes if test else no


def _filtered(node: nodes.Filter, value: object, look_up: LookUp) -> object:
    arguments = [_value(argument, look_up) for argument in node.args]
    if isinstance(value, Open):
        return Open(f"{value.text} | {node.name}({', '.join(map(_written, arguments))})")
    if node.name == "default" and len(arguments) == 1:
        return arguments[0] if value is None else value
    return FILTERS[node.name](value) if node.name in FILTERS else Open(f"{_written(value)} | {node.name}")


def _tested(node: nodes.Test, value: object) -> Truth:
    there: Truth = value is not None
    if isinstance(value, Open) and not value.truth:
        there = Open(f"{value.text} is there")
    return there if node.name == "defined" else negated(there)


def _written(value: object) -> str:
    return f"{{{value.text}}}" if isinstance(value, Open) else repr(value)
