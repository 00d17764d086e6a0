"""What a letter may say in Jinja: known names, a few filters and tests, and nothing that could run away."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jinja2 import nodes

from followup.authoring import later
from followup.authoring.diagnostics import did_you_mean, listed
from followup.authoring.jinja_source import Fault, Source
from followup.authoring.names import ANY, LOOP, UNKNOWN, NameType, child, unknown_message
from followup.authoring.sandbox import FILTERS, TESTS, Signature

DEEPEST = 30
DEEPEST_STATEMENTS = 12
MOST_LOOPS = 2
MOST_TAGS = 1000
LARGEST_NUMBER = 10**15
Scope = Mapping[str, NameType]


def check(source: Source, known: Scope, specials: frozenset[str]) -> list[Fault]:
    """
    Return everything in *source* that a letter may not do.

    Args:
        known: the names it may read, by type.
        specials: names that may only stand alone in braces, like ``signature``.
    """
    if len(source.chunks) > 2 * MOST_TAGS:
        return [Fault("T131", f"A letter may have {MOST_TAGS:,} expressions and statements.", 0)]
    checker = _Checker(source, specials)
    checker.statements(source.tree.body, known, 0, 0)
    return checker.faults


@dataclass(slots=True)
class _Checker:
    source: Source
    specials: frozenset[str]
    faults: list[Fault] = field(default_factory=list)

    def _add(self, node: nodes.Node, code: str, message: str, help: str = "", *, shift: int = 0) -> None:
        line = node.lineno or next((inner.lineno for inner in node.find_all(nodes.Node) if inner.lineno), 1)
        self.faults.append(Fault(code, message, self.source.offset(line + shift), help))

    def statements(self, body: list[nodes.Node], scope: Scope, depth: int, loops: int) -> None:
        for node in body:
            if depth > DEEPEST_STATEMENTS:
                self._add(node, "T131", f"Statements are nested more than {DEEPEST_STATEMENTS} deep.")
                return
            match node:
                case nodes.Output():
                    for printed in node.nodes:
                        self._output(printed, scope)
                case nodes.If():
                    self.type_of(node.test, scope)
                    self.statements(node.body, scope, depth + 1, loops)
                    self.statements([*node.elif_], scope, depth, loops)
                    self.statements(node.else_, scope, depth + 1, loops)
                case nodes.For():
                    self._loop(node, scope, depth, loops)
                case _:
                    self._refuse(node)

    def _output(self, node: nodes.Node, scope: Scope) -> None:
        if isinstance(node, nodes.TemplateData):
            return
        if isinstance(node, nodes.Name) and node.name in self.specials:
            return
        kind = self.type_of(node, scope)
        if isinstance(kind, Mapping):
            help = f"name one of its fields: {listed(name for name in kind if name != '*')}"
            self._add(node, "T121", "This is a group of fields, not one value.", help)
        elif isinstance(kind, list) or kind == "list":
            self._add(node, "T121", "This is a list, not one value.", "use a loop, or | join")

    def _loop(self, node: nodes.For, scope: Scope, depth: int, loops: int) -> None:
        if loops >= MOST_LOOPS:
            self._add(node, "T131", f"Loops are nested more than {MOST_LOOPS} deep.")
            return
        if node.recursive or not isinstance(node.target, nodes.Name):
            self._add(node, "T130", "A loop gives each item one name.", "{% for item in order.items %}")
            return
        kind = self.type_of(node.iter, scope)
        if not (isinstance(kind, list) or kind in ("list", ANY)):
            self._add(node.iter, "T121", "This is not a list, so there is nothing to loop over.")
        inside = {**scope, node.target.name: kind[0] if isinstance(kind, list) else ANY}
        if node.test is not None:
            self.type_of(node.test, inside)
        self.statements(node.body, {**inside, "loop": LOOP}, depth + 1, loops + 1)
        self.statements(node.else_, scope, depth + 1, loops)

    def _refuse(self, node: nodes.Node) -> None:
        what = _SPOKEN.get(type(node), type(node).__name__)
        self._add(node, "T130", f"{what} cannot be used in a letter.", "letters know {{ … }}, {% if %} and {% for %}")

    def type_of(self, node: nodes.Node, scope: Scope, depth: int = 0) -> NameType:  # noqa: PLR0911 - one per node
        """Check an expression; return the type of what it gives, as far as that is known."""
        if depth > DEEPEST:
            self._add(node, "T131", "The expression is nested too deeply.")
            return ANY
        match node:
            case nodes.Const():
                if isinstance(node.value, int | float) and abs(node.value) > LARGEST_NUMBER:  # infinity too
                    self._add(node, "T130", "This number is too large.")
                return _CONSTANTS.get(type(node.value), ANY)
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self._path(node, scope, depth)[0]
            case nodes.Filter():
                return self._filter(node, scope, depth)
            case nodes.Test():
                self._test(node, scope, depth)
                return "bool"
            case nodes.CondExpr():
                return self._either(node, scope, depth)
            case nodes.Add() | nodes.Sub() | nodes.Neg() | nodes.Pos():
                for operand in node.iter_child_nodes():
                    self._expect(operand, self.type_of(operand, scope, depth + 1), _NUMBERS, '"+" and "-" take')
                return "money"
        if isinstance(node, _PLAIN):
            for inner in node.iter_child_nodes():
                self.type_of(inner.expr if isinstance(inner, nodes.Operand) else inner, scope, depth + 1)
            return "list" if isinstance(node, nodes.List | nodes.Tuple) else ANY
        self._refuse(node)
        return ANY

    def _path(  # noqa: PLR0911 - one answer for each node
        self, node: nodes.Node, scope: Scope, depth: int
    ) -> tuple[NameType, str]:
        """Follow a dotted name; return its type and its spelling."""
        if depth > DEEPEST:
            self._add(node, "T131", "The expression is nested too deeply.")
            return ANY, ""
        if isinstance(node, nodes.Name):
            if node.name in self.specials and node.name not in scope:
                self._add(node, "T122", f'"{node.name}" stands alone: {{{{ {node.name} }}}}.')
                return ANY, node.name
            return self._step(node, scope, "", node.name, 0)
        if isinstance(node, nodes.Getattr):
            parent, dotted = self._path(node.node, scope, depth + 1)
            return self._step(node, parent, dotted, node.attr, 1)
        if isinstance(node, nodes.Getitem):
            parent, dotted = self._path(node.node, scope, depth + 1)
            key = node.arg.value if isinstance(node.arg, nodes.Const) else None
            if isinstance(key, bool) or not isinstance(key, str | int):
                self._add(node, "T130", "Only a text in quotes or a number can stand in [ ].")
                return ANY, dotted
            return self._step(node.arg, parent, dotted, key, 0)
        return self.type_of(node, scope, depth), ""

    def _step(self, node: nodes.Node, kind: NameType, dotted: str, key: str | int, shift: int) -> tuple[NameType, str]:
        below, spelt = child(kind, key)
        full = f"{dotted}.{spelt}" if dotted else spelt
        if later.is_later_name(full):
            self._add(node, "T190", later.not_yet(f'"{full}"'), shift=shift)
            return ANY, full
        if below is UNKNOWN:
            message, help = unknown_message(dotted, kind, str(key))
            self._add(node, "J001", message, help, shift=shift)
            return ANY, full
        return below, full

    def _filter(self, node: nodes.Filter, scope: Scope, depth: int) -> NameType:
        if node.node is None:  # {% filter %}
            self._refuse(node)
            return ANY
        kind = self.type_of(node.node, scope, depth + 1)
        for argument in node.args:
            self.type_of(argument, scope, depth + 1)
        limits = FILTERS.get(node.name)
        if limits is None:
            guess = did_you_mean(node.name, FILTERS)
            hint = f' Did you mean "{guess}"?' if guess else ""
            self._add(node, "T132", f'Unknown filter "{node.name}".{hint}', f"filters: {', '.join(FILTERS)}")
        elif node.kwargs or node.dyn_args or node.dyn_kwargs or not limits.least <= len(node.args) <= limits.most:
            self._add(node, "T132", f'The filter "{node.name}" {_arguments(limits)}.')
        else:
            self._expect(node, kind, limits.takes, f'The filter "{node.name}" takes')
        if node.name in {"first", "last"}:
            return kind[0] if isinstance(kind, list) else ANY
        return kind if node.name == "default" else {"length": "int", "round": "money"}.get(node.name, "text")

    def _expect(self, node: nodes.Node, kind: NameType, wanted: frozenset[str], complaint: str) -> None:
        if wanted and _simple(kind) not in {*wanted, ANY}:
            takes = " or ".join(sorted({_NOUNS[word] for word in wanted}))
            self._add(node, "T121", f"{complaint} {takes}, not {_NOUNS[_simple(kind)]}.")

    def _test(self, node: nodes.Test, scope: Scope, depth: int) -> None:
        self.type_of(node.node, scope, depth + 1)
        if node.name not in TESTS or node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            self._add(node, "T132", f'Unknown test "is {node.name}".', "is defined, is none")

    def _either(self, node: nodes.CondExpr, scope: Scope, depth: int) -> NameType:
        self.type_of(node.test, scope, depth + 1)
        kind = self.type_of(node.expr1, scope, depth + 1)
        if node.expr2 is None:
            self._add(node, "T130", 'What if not? An "if" inside {{ }} needs an "else".', 'write … if … else ""')
        else:
            self.type_of(node.expr2, scope, depth + 1)
        return kind


def _arguments(limits: Signature) -> str:
    if limits.most == 0:
        return "takes nothing in ( )"
    return f"takes {'one' if limits.least else 'at most one'} value in ( )"


def _simple(kind: NameType) -> str:
    """Return a type as one word; ``any`` when it says nothing."""
    if isinstance(kind, str):
        return kind.rstrip("?")
    return "list" if isinstance(kind, list) else "group of fields"


_NUMBERS = frozenset({"int", "money"})
_NOUNS = {
    "bool": "true or false",
    "date": "a date",
    "group of fields": "a group of fields",
    "int": "a number",
    "list": "a list",
    "moment": "a date",
    "money": "a number",
    "text": "text",
}
_CONSTANTS: Mapping[type, str] = {str: "text", int: "int", float: "int", bool: "bool"}
_PLAIN = (
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
    nodes.List,
    nodes.Tuple,
)
_SPOKEN: Mapping[type[nodes.Node], str] = {
    nodes.Call: "Calling a function",
    nodes.Mul: "Multiplying",
    nodes.Div: "Dividing",
    nodes.FloorDiv: "Dividing",
    nodes.Mod: "A remainder",
    nodes.Pow: "A power",
    nodes.Concat: "Joining text with ~",
    nodes.Slice: "Part of a list",
    nodes.Assign: "{% set %}",
    nodes.AssignBlock: "{% set %}",
    nodes.Macro: "{% macro %}",
    nodes.CallBlock: "{% call %}",
    nodes.FilterBlock: "{% filter %}",
    nodes.Import: "{% import %}",
    nodes.FromImport: "{% import %}",
    nodes.Extends: "{% extends %}",
    nodes.Block: "{% block %}",
    nodes.With: "{% with %}",
    nodes.Include: "{% include %}",
    nodes.Scope: "{% autoescape %}",
}
