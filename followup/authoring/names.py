"""The field reference as types: what a dotted name leads to, and the value it finds."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

from followup.authoring.diagnostics import did_you_mean
from followup.core.facts import ASK, EVENT_NAMES, NAMES

NameType: TypeAlias = object  # "text?", {"field": type}, [type of each], ANY, UNKNOWN
ANY: Final = "any"
UNKNOWN: Final = "unknown"
LOOP: Mapping[str, NameType] = {"index": "int", "index0": "int", "first": "bool", "last": "bool", "length": "int"}


def with_remembered(fields: Collection[str] | None) -> Mapping[str, NameType]:
    """Return the field reference, where a customer also has the *fields* that workflows remember (None: any field)."""
    customer = NAMES["customer"]
    assert isinstance(customer, dict)
    remembered = {"*": ANY} if fields is None else dict.fromkeys(fields, ANY)
    return {**NAMES, "customer": {**remembered, **customer}}


def in_conditions(
    asks: Collection[str], *, event: bool = False, remembered: Collection[str] | None = ()
) -> Mapping[str, NameType]:
    """Return the names a condition may read in a workflow with these *asks*; *event* adds what `where` sees."""
    return {**with_remembered(remembered), "asks": dict.fromkeys(asks, ASK), **(EVENT_NAMES if event else {})}


def same_key(key: str, keys: Iterable[str]) -> str | None:
    """Return the one of *keys* that *key* means: itself, or one that differs in ``-`` and ``_`` only."""
    plain = key.replace("-", "_")
    keys = list(keys)
    if key in keys:
        return key
    return next((k for k in keys if k.replace("-", "_") == plain), None)


def child(kind: NameType, key: str | int) -> tuple[NameType, str]:
    """Return the type of *key* of something of type *kind* (maybe UNKNOWN), and the key as it is spelt there."""
    if isinstance(kind, dict) and isinstance(key, str):
        found = same_key(key, (k for k in kind if k != "*"))
        if found is not None:
            return kind[found], found
        return kind.get("*", UNKNOWN), key
    if isinstance(kind, list) and isinstance(key, int):
        return kind[0], str(key)
    if kind == ANY or (kind == "list" and isinstance(key, int)):
        return ANY, str(key)
    return UNKNOWN, str(key)


def unknown_message(parents: str, kind: NameType, key: str) -> tuple[str, str]:
    """Return the message and the help for an unknown *key* after the dotted name *parents* (or "")."""
    full = f"{parents}.{key}" if parents else key
    if not isinstance(kind, Mapping):
        subject = f'"{parents}"' if parents else "This"
        return f'{subject} has no fields, so there is no "{full}".', ""
    known = sorted(name for name in kind if name != "*")
    guess = (did_you_mean(key, known) or "").replace("-", "_")  # a dash would be read as a minus
    hint = f' Did you mean "{parents}.{guess}"?' if guess and parents else f' Did you mean "{guess}"?' if guess else ""
    return f'Unknown name "{full}".{hint}', f"known here: {', '.join(known)}" if known else ""


def value_of(value: object, key: str | int) -> object:
    """Return what *key* finds in *value*: an entry of a mapping or a list, else None."""
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        found = same_key(str(key), value)
        return None if found is None else value[found]
    if isinstance(value, list | tuple) and isinstance(key, int) and -len(value) <= key < len(value):
        return value[key]
    return None
