"""The fields of a customer that workflows write themselves, beside those the shop reports."""

import re
from collections.abc import Iterator

from followup.authoring.diagnostics import Report
from followup.authoring.names import same_key
from followup.authoring.source import Mapping, Node
from followup.core.facts import NAMES

_FIELD = re.compile(r"[a-z][a-z0-9_]{0,59}")
_EXAMPLE = 'name a field of the customer in lower-case letters, digits and "_", like customer.use_case'


def field_of(key: str) -> str | None:
    """Return the field that *key* (``customer.use_case`` or ``use_case``) of a ``remember`` names, or None."""
    name = key.removeprefix("customer.")
    return name if _FIELD.fullmatch(name) and not _is_reported(name) else None


def read_fields(mapping: Mapping, report: Report) -> Iterator[tuple[str, Node]]:
    """Yield each field of a ``remember`` with its value; report the keys that name none, or one twice."""
    lines: dict[str, int] = {}
    for key, entry in mapping.entries.items():
        name = field_of(key)
        if name is None:
            report.add(entry.spot, *_why_not(key))
        elif name in lines:
            report.add(entry.spot, "003", f'"customer.{name}" is set twice.', f"first set on line {lines[name]}")
        else:
            lines[name] = entry.spot.line
            yield name, entry.value


def _why_not(key: str) -> tuple[str, str, str]:
    name = key.removeprefix("customer.")
    if _is_reported(name):
        return "105", f'"customer.{name}" comes from the shop and is not written here.', "give the field another name"
    return "114", f'"{key[:80]}" cannot be remembered.', _EXAMPLE


def _is_reported(name: str) -> bool:
    customer = NAMES["customer"]
    assert isinstance(customer, dict)
    return same_key(name, customer) is not None
