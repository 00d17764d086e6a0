"""``workflows/people.yaml`` and ``workflows/shop.yaml``: the people behind the letters, and the shop."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

from followup.authoring.diagnostics import Report, Spot, listed, suggestion
from followup.authoring.durations import Unclear, read_day, read_hours
from followup.authoring.folder import PEOPLE, SHOP
from followup.authoring.shapes import Fields, as_mapping
from followup.authoring.source import Mapping, Sequence, read_yaml
from followup.authoring.workflow_file import read_zone
from followup.core.customer import InvalidAddress, normalize_address
from followup.core.people import UTC_ZONE, Away, Person, Shop

PERSON_KEYS = ("name", "email", "signature", "hours", "timezone", "backlog", "away")
AWAY_KEYS = ("from", "until", "cover")
MOST_BACKLOG = 10_000
SHOP_KEYS = ("name", "postal_address", "url", "timezone", "unknown_consent")
SHOP_EXAMPLE = 'write for example: name: "Lindqvist & Sons", postal_address: "Hafenstr. 4, 20457 Hamburg"'


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a missing or empty file is reported."""

    path: str
    what: str
    help: str


def read_people(text: str | None, report: Report) -> dict[str, Person]:
    """Return everybody in people.yaml by key; *text* is None when there is no such file."""
    help = "write for each person: a key, and under it name, email and signature"
    mapping = _mapping(text, _Kind(PEOPLE, "people", help), report)
    if mapping is None:
        return {}
    people = {}
    for key, entry in mapping.entries.items():
        inside = as_mapping(entry.value, report, f'"{key}"')
        person = _person(key, Fields(inside, report, "a person", PERSON_KEYS), mapping.entries) if inside else None
        if person is not None:
            people[key] = person
    if not mapping.entries:
        report.add(mapping.spot, "102", "There is nobody in this file.", help)
    return people


def _mapping(text: str | None, kind: _Kind, report: Report) -> Mapping | None:
    if text is None:
        report.add(Spot(), "102", f"{kind.path} is missing.", kind.help)
        return None
    node = read_yaml(text, report)
    if report.diagnostics:
        return None
    if node is None:
        report.add(Spot(), "102", f"{kind.path} is empty.", kind.help)
        return None
    return as_mapping(node, report, f"The file of {kind.what}")


def _person(key: str, fields: Fields, everybody: Collection[str]) -> Person | None:
    fields.check("name", "email", "signature")
    name, signature = fields.text("name"), fields.text("signature")
    email = fields.parsed("email", read_address)
    fields.parsed("hours", read_hours)  # a note for people: nothing depends on it
    zone = fields.parsed("timezone", read_zone)
    backlog = fields.integer("backlog", 0, MOST_BACKLOG)
    away = _times_away(key, fields, everybody)
    if name is None or email is None or signature is None:
        return None
    return Person(
        key=key,
        name=" ".join(name.split()),
        email=email,
        signature=signature,
        backlog=backlog,
        zone=zone,
        away=away,
    )


def _times_away(key: str, fields: Fields, everybody: Collection[str]) -> tuple[Away, ...]:
    """Return when the person is not there, in the order of the file: one absence or a list of them."""
    node = fields.get("away")
    items = node.items if isinstance(node, Sequence) else [node] if node is not None else []
    if node is not None and not items:
        fields.report.add(node.spot, "112", '"away" is empty.', "leave it out")
    found = []
    for item in items:
        mapping = as_mapping(item, fields.report, '"away"')
        away = _away(key, Fields(mapping, fields.report, '"away"', AWAY_KEYS), everybody) if mapping else None
        if away is not None:
            found.append((away, item.spot))
    for (before, _), (after, spot) in pairwise(sorted(found, key=lambda one: one[0].since)):
        if after.since <= before.until:
            message = f'"{key}" is already away until {before.until}.'
            fields.report.add(spot, "105", message, "on each day one person stands in")
    return tuple(away for away, _ in found)


def _away(key: str, fields: Fields, everybody: Collection[str]) -> Away | None:
    fields.check(*AWAY_KEYS)
    since, until = fields.parsed("from", read_day), fields.parsed("until", read_day)
    cover, node = fields.text("cover"), fields.get("cover")
    if cover is not None and node is not None:
        help = f"people: {listed(everybody)}"
        if cover == key:
            fields.report.add(node.spot, "105", "Nobody stands in for themselves.", help)
        elif cover not in everybody:
            fields.report.add(node.spot, "203", f'There is no person "{cover}".{suggestion(cover, everybody)}', help)
    if since is None or until is None or cover is None:
        return None
    if until < since:
        message = f'"until" is before "from" ({since}).'
        fields.report.add(fields.node.entries["until"].value.spot, "105", message, "both days are included")
    return Away(since, until, cover)


def read_address(text: str) -> str:
    """
    Return a mail address as it was written.

    Raises:
        Unclear: it is none.
    """
    try:
        normalize_address(text)
    except InvalidAddress as error:
        raise Unclear("115", str(error), "write for example mara@your-shop.example") from error
    return text.strip()


def read_shop(text: str | None, report: Report) -> Shop | None:
    """Return the shop in shop.yaml; *text* is None when there is no such file."""
    mapping = _mapping(text, _Kind(SHOP, "the shop", SHOP_EXAMPLE), report)
    if mapping is None:
        return None
    fields = Fields(mapping, report, "the shop", SHOP_KEYS)
    fields.check("name", "postal_address")
    name, postal_address = fields.text("name", numbers=True), fields.text("postal_address")
    url = fields.parsed("url", _web_address)
    zone = fields.parsed("timezone", read_zone)
    unknown = fields.choice("unknown_consent", ("existing_customer", "strict"))
    if name is None or postal_address is None:
        return None
    return Shop(
        name=name,
        postal_address=postal_address,
        url=url,
        zone=zone or UTC_ZONE,
        strict_consent=unknown == "strict",
    )


def _web_address(text: str) -> str:
    if not text.startswith(("https://", "http://")) or any(char.isspace() for char in text):
        raise Unclear("115", f"'{text}' is not a web address", "write for example https://your-shop.example")
    return text
