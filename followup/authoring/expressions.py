"""
Conditions: Jinja's grammar, our own small evaluation.

Comparing text ignores case and surrounding space. An absent optional field is null: it equals only null,
no ordering with it holds, nothing is in it. Values of different kinds are unequal and in no order. So a
condition has an answer for every customer and never raises.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias
from zoneinfo import ZoneInfo

from jinja2 import nodes

from followup.authoring import later
from followup.authoring.diagnostics import Report
from followup.authoring.jinja_source import Fault, Source, read
from followup.authoring.names import UNKNOWN, NameType, child, unknown_message, value_of
from followup.authoring.source import Scalar
from followup.core.workflow import Condition

LONGEST = 2000  # characters
DEEPEST = 30
CODE = "W106"
_BEGIN = "{{ "

Names: TypeAlias = Mapping[str, object]
Value: TypeAlias = Callable[[Names], object]


def read_condition(scalar: Scalar, report: Report, known: Mapping[str, NameType]) -> Condition | None:
    """Return the condition in *scalar* over the names of *known*, or report why it is none."""
    source = scalar.raw.strip()
    lead = len(scalar.raw) - len(scalar.raw.lstrip())
    try:
        return compile_condition(source, known)
    except Fault as fault:
        report.add(scalar.place(lead + fault.offset), fault.code, fault.message, fault.help)
        return None


def compile_condition(source: str, known: Mapping[str, NameType]) -> Condition:
    """
    Return *source* as a condition over the names of *known*.

    Raises:
        Fault: W106 not a condition we take, W190 for a later version, W207 an unknown name.
    """
    if len(source) > LONGEST:
        raise Fault(CODE, f"A condition may have {LONGEST:,} characters, this one has {len(source):,}.", 0)
    if source.startswith(("{{", "{%")):
        raise Fault(CODE, "A condition is written without braces.", 0, f"write {source.strip('{}% ')}")
    try:
        parsed = read(f"{_BEGIN}{source} }}}}")
        compiler = _Compiler(parsed, known)
        value = compiler.compile(_only_expression(parsed))
    except Fault as fault:
        code = CODE if fault.code == "J003" else fault.code
        offset = max(0, min(fault.offset - len(_BEGIN), len(source) - 1))
        raise Fault(code, readable(fault.message), offset, fault.help) from None
    except RecursionError:
        raise Fault(CODE, "The condition is nested too deeply.", 0) from None
    return Condition(source, lambda names: bool(value(names)), tuple(dict.fromkeys(compiler.read)))


def compile_expression(
    parsed: Source, node: nodes.Node, known: Mapping[str, NameType], place: str
) -> tuple[Value, tuple[str, ...]]:
    """
    Return what *node* of *parsed* stands for, given the names, and those of *known* that it reads.

    Raises:
        Fault: as for `compile_condition`; *place* says in its message where the expression stands.
    """
    compiler = _Compiler(parsed, known, place)
    value = compiler.compile(node)
    return value, tuple(dict.fromkeys(compiler.read))


def _only_expression(parsed: Source) -> nodes.Node:
    body = parsed.tree.body
    if len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1 and len(parsed.chunks) == 1:
        return body[0].nodes[0]
    raise Fault(CODE, "This is not one condition.", len(_BEGIN), 'write for example answer == "problem"')


def readable(message: str) -> str:
    """Return what Jinja says of an expression in words that help."""
    if message.endswith("got '='."):
        return 'One "=" compares nothing: write "==".'
    if "}}" in message or "never closed" in message:
        return "Something is missing, or too much, at this place."
    return message


def equal(left: object, right: object) -> bool:
    """Compare as conditions do; see the module."""
    left, right = _comparable(left, right)
    return type(left) is type(right) and left == right


def ordered(left: object, right: object, holds: Callable[[int], bool]) -> bool:
    """Tell whether *left* and *right* have an order, and *holds* of it (-1, 0 or 1)."""
    left, right = _comparable(left, right)
    if left is None or type(left) is not type(right) or isinstance(left, bool):
        return False
    try:
        sign = (left > right) - (left < right)  # type: ignore[operator]
    except (TypeError, ArithmeticError):  # naive against aware, NaN
        return False
    return holds(sign)


def contains(container: object, wanted: object) -> bool:
    """Tell whether *wanted* is in a list or the keys of a mapping, or is part of a text."""
    if isinstance(container, str):
        return isinstance(wanted, str) and _folded(wanted) in _folded(container)
    if isinstance(container, Mapping | Sequence):
        return any(equal(item, wanted) for item in container)
    return False


def _comparable(left: object, right: object) -> tuple[object, object]:
    left, right = _one_kind(left), _one_kind(right)
    if isinstance(left, datetime) != isinstance(right, datetime):  # a moment and a day: compare days
        left = left.date() if isinstance(left, datetime) else left
        right = right.date() if isinstance(right, datetime) else right
    return left, right


def _one_kind(value: object) -> object:  # noqa: PLR0911 - one answer for each kind
    match value:
        case str():
            return _folded(value)
        case bool():
            return value
        case int() | float() | Decimal():
            number = Decimal(str(value))
            return None if number.is_nan() else number
        case tuple():
            return list(value)
        case datetime():
            return value
        case date():
            return date(value.year, value.month, value.day)
    return value


def _folded(text: str) -> str:
    return text.strip().casefold()


def _local(value: object, names: Names) -> object:
    """Put a moment on the customer's wall clock, so that comparing it with a day means the local day."""
    zone = names.get("_zone")
    if isinstance(value, datetime) and value.tzinfo is not None and isinstance(zone, ZoneInfo):
        return value.astimezone(zone)
    return value


COMPARISONS: Mapping[str, Callable[[object, object], bool]] = {
    "eq": equal,
    "ne": lambda left, right: not equal(left, right),
    "lt": lambda left, right: ordered(left, right, lambda sign: sign < 0),
    "lteq": lambda left, right: ordered(left, right, lambda sign: sign <= 0),
    "gt": lambda left, right: ordered(left, right, lambda sign: sign > 0),
    "gteq": lambda left, right: ordered(left, right, lambda sign: sign >= 0),
    "in": lambda left, right: contains(right, left),
    "notin": lambda left, right: not contains(right, left),
}


@dataclass(slots=True)
class _Compiler:
    parsed: Source
    known: Mapping[str, NameType]
    place: str = "a condition"
    read: list[str] = field(default_factory=list)

    def compile(self, node: nodes.Node, depth: int = 0) -> Value:  # noqa: PLR0911 - one answer for each node
        if depth > DEEPEST:
            raise self._fault(node, "The expression is nested too deeply.")
        match node:
            case nodes.Const():
                value = node.value
                return lambda names: value
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self._path(node)
            case nodes.And() | nodes.Or():
                return self._chain(node, depth)
            case nodes.Not():
                inner = self.compile(node.node, depth + 1)
                return lambda names: not inner(names)
            case nodes.Neg():
                number = self.compile(node.node, depth + 1)
                return lambda names: _negative(number(names))
            case nodes.Compare():
                return self._compare(node, depth)
            case nodes.List() | nodes.Tuple():
                items = [self.compile(item, depth + 1) for item in node.items]
                return lambda names: [item(names) for item in items]
            case nodes.CondExpr():
                return self._either(node, depth)
            case nodes.Filter():
                return self._filter(node, depth)
            case nodes.Test():
                return self._test(node, depth)
        raise self._fault(node, f"{_SPOKEN.get(type(node), 'This')} is not possible in {self.place}.")

    def _fault(self, node: nodes.Node, message: str, help: str = "") -> Fault:
        return Fault(CODE, message, self.parsed.offset(node.lineno), help)

    def _path(self, node: nodes.Node) -> Value:
        parts: list[tuple[str | int, int]] = []
        while isinstance(node, nodes.Getattr | nodes.Getitem):
            parts.append(self._part(node))
            node = node.node
        if not isinstance(node, nodes.Name):
            raise self._fault(node, "Fields can only be read from names.")
        parts.append((node.name, self.parsed.offset(node.lineno)))
        keys = self._resolve(list(reversed(parts)))

        def value(names: Names) -> object:
            found: object = names
            for key in keys:
                found = value_of(found, key)
            return _local(found, names)

        return value

    def _part(self, node: nodes.Getattr | nodes.Getitem) -> tuple[str | int, int]:
        if isinstance(node, nodes.Getattr):
            return node.attr, self.parsed.offset(node.lineno + 1)  # the node's own line is that of the dot
        if isinstance(node.arg, nodes.Const) and type(node.arg.value) in (str, int):
            return node.arg.value, self.parsed.offset(node.arg.lineno)
        raise self._fault(node, "Only a text in quotes or a number can stand in [ ].")

    def _resolve(self, parts: list[tuple[str | int, int]]) -> list[str | int]:
        """Check the path against the known names; return its keys as they are spelt there."""
        kind: NameType = self.known
        keys: list[str | int] = []
        for key, offset in parts:
            below, spelt = child(kind, key)
            dotted = ".".join([*map(str, keys), spelt])
            if later.is_later_name(dotted):
                raise Fault("W190", later.not_yet(f'"{dotted}"'), offset)
            if below is UNKNOWN:
                message, help = unknown_message(".".join(map(str, keys)), kind, str(key))
                raise Fault("W207", message, offset, help)
            kind = below
            keys.append(key if isinstance(key, int) else spelt)
        self.read.append(".".join(map(str, keys)))
        return keys

    def _chain(self, node: nodes.And | nodes.Or, depth: int) -> Value:
        """Flatten ``a and b and c``, which nests to the left, so that its length costs no depth."""
        kind = type(node)
        operands: list[nodes.Node] = []
        left: nodes.Node = node
        while isinstance(left, kind):
            operands.append(left.right)
            left = left.left
        operands.append(left)
        values = [self.compile(operand, depth + 1) for operand in reversed(operands)]
        first, rest = values[0], values[1:]
        stops_at = kind is nodes.Or

        def value(names: Names) -> object:
            found = first(names)
            for following in rest:
                if bool(found) is stops_at:
                    break
                found = following(names)
            return found

        return value

    def _compare(self, node: nodes.Compare, depth: int) -> Value:
        first = self.compile(node.expr, depth + 1)
        rest = [(COMPARISONS[operand.op], self.compile(operand.expr, depth + 1)) for operand in node.ops]

        def value(names: Names) -> bool:
            left = first(names)
            for holds, right_value in rest:
                right = right_value(names)
                if not holds(left, right):
                    return False
                left = right
            return True

        return value

    def _either(self, node: nodes.CondExpr, depth: int) -> Value:
        test, yes = self.compile(node.test, depth + 1), self.compile(node.expr1, depth + 1)
        no: Value = self.compile(node.expr2, depth + 1) if node.expr2 else lambda names: None
        return lambda names: yes(names) if test(names) else no(names)

    def _filter(self, node: nodes.Filter, depth: int) -> Value:
        assert node.node is not None
        plain = not node.kwargs and not node.dyn_args and not node.dyn_kwargs
        inner = self.compile(node.node, depth + 1)
        if node.name == "default" and plain and len(node.args) == 1:
            instead = self.compile(node.args[0], depth + 1)
            return lambda names: instead(names) if (found := inner(names)) is None else found
        if node.name in FILTERS and plain and not node.args:
            change = FILTERS[node.name]
            return lambda names: change(inner(names))
        raise self._fault(
            node, f'The filter "{node.name}" cannot be used like this in {self.place}.', "default(…), lower, length"
        )

    def _test(self, node: nodes.Test, depth: int) -> Value:
        inner = self.compile(node.node, depth + 1)
        if node.name not in {"defined", "none", "undefined"} or node.args or node.kwargs:
            message = f'The test "is {node.name}" cannot be used in {self.place}.'
            raise self._fault(node, message, "is defined, is none, is not none")
        if node.name == "defined":
            return lambda names: inner(names) is not None
        return lambda names: inner(names) is None


def _negative(value: object) -> object:
    return -value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple | Mapping) else 0


FILTERS: Mapping[str, Callable[[object], object]] = {
    "lower": lambda value: value.lower() if isinstance(value, str) else value,
    "length": _length,
}
_SPOKEN: Mapping[type[nodes.Node], str] = {
    nodes.Call: "Calling a function",
    nodes.Add: "Adding",
    nodes.Sub: "Subtracting",
    nodes.Mul: "Multiplying",
    nodes.Div: "Dividing",
    nodes.FloorDiv: "Dividing",
    nodes.Mod: "A remainder",
    nodes.Pow: "A power",
    nodes.Concat: "Joining text with ~",
    nodes.Dict: "A mapping",
}
