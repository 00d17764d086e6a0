"""``workflows/people.yaml`` and ``workflows/shop.yaml``: the people behind the letters, and the shop."""

from dataclasses import dataclass

from followup.authoring.diagnostics import Report, Spot
from followup.authoring.durations import Unclear, read_hours
from followup.authoring.shapes import Fields, as_mapping
from followup.authoring.source import Mapping, read_yaml
from followup.authoring.workflow_file import read_zone
from followup.core.customer import InvalidAddress, normalize_address
from followup.core.people import UTC_ZONE, Person, Shop

PEOPLE, SHOP = "workflows/people.yaml", "workflows/shop.yaml"
# hours, timezone, backlog and away are checked for their shape and not used yet
PERSON_KEYS = ("name", "email", "signature", "hours", "timezone", "backlog", "away")
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
        person = _person(key, Fields(inside, report, "a person", PERSON_KEYS)) if inside else None
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


def _person(key: str, fields: Fields) -> Person | None:
    fields.check("name", "email", "signature")
    name, signature = fields.text("name"), fields.text("signature")
    email = fields.parsed("email", _address)
    fields.parsed("hours", read_hours)
    fields.parsed("timezone", read_zone)
    fields.integer("backlog", 0, 10_000)
    away = fields.mapping("away")
    if away is not None:
        absence = Fields(away, fields.report, '"away"', ("from", "until", "cover"))
        absence.check("from", "until")
        for word in ("from", "until", "cover"):
            absence.text(word)
    if name is None or email is None or signature is None:
        return None
    return Person(key=key, name=" ".join(name.split()), email=email, signature=signature)


def _address(text: str) -> str:
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
