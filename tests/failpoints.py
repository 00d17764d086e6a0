"""The failpoints there are, read from the source: one place to ask for them, for tests and for chaos."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
TRANSACTIONS = {"writing", "durably"}
Source = tuple[Path, ast.Module]


@dataclass(frozen=True)
class Commit:
    """A transaction that ends with a commit; ``name`` is None where none is given as a literal."""

    name: str | None
    place: str


@dataclass(frozen=True)
class Function:
    """A function: the dotted names it calls, and the failpoints it passes itself."""

    file: str
    name: str
    calls: tuple[str, ...]
    failpoints: tuple[str, ...]

    @property
    def place(self) -> str:
        return f"{self.file}:{self.name}"


@cache
def sources() -> list[Source]:
    paths = sorted((ROOT / "followup").rglob("*.py"))
    return [(path.relative_to(ROOT), ast.parse(path.read_text())) for path in paths]


def commits(of: Iterable[Source] | None = None) -> list[Commit]:
    """Return every transaction that is opened for writing."""
    return [
        Commit(_literal(node.args[1]) if len(node.args) > 1 else None, f"{path}:{node.lineno}")
        for path, tree in of or sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _dotted(node.func) in TRANSACTIONS
    ]


def functions() -> list[Function]:
    return [one for path, tree in sources() for one in _functions(path.as_posix(), tree, "")]


def _functions(file: str, node: ast.AST, within: str) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{within}{child.name}"
            calls = [one for one in _own(child) if isinstance(one, ast.Call)]
            reached = [_literal(call.args[0]) for call in calls if _dotted(call.func) == "reach"]
            yield Function(file, name, tuple(_dotted(call.func) for call in calls), tuple(filter(None, reached)))
            yield from _functions(file, child, f"{name}.")
        else:
            yield from _functions(file, child, f"{within}{child.name}." if isinstance(child, ast.ClassDef) else within)


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a function, but not in the functions within it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own(child)


def _dotted(node: ast.expr) -> str:
    return ast.unparse(node)


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@cache
def committed() -> tuple[str, ...]:
    """Return the names of all transactions."""
    return tuple(sorted(call.name for call in commits() if call.name))


@cache
def networked() -> tuple[str, ...]:
    """Return the failpoints around network calls."""
    return tuple(sorted({name for function in functions() for name in function.failpoints}))


def names() -> list[str]:
    """Return every failpoint: before and after each commit, and around each network call."""
    return [*(f"{name}{side}" for name in committed() for side in ("", "+")), *networked()]
