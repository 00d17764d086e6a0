"""``templates/_samples/NAME.yaml``: customers made up to try workflows and letters with."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from followup.authoring.diagnostics import Report, Spot
from followup.authoring.durations import Unclear, read_timedelta
from followup.authoring.letter_file import LANGUAGE
from followup.authoring.people import read_address
from followup.authoring.remembered import read_fields
from followup.authoring.shapes import Fields, as_mapping, as_text
from followup.authoring.source import Mapping as YamlMapping
from followup.authoring.source import Node, Scalar, read_yaml
from followup.authoring.workflow_file import read_zone
from followup.core.customer import ConsentBasis, CustomerReport, normalize_address
from followup.core.order import Item, OrderReport, OrderStatus, Purchase

FOLDER = "templates/_samples/"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
KEYS = ("about", "customer", "order")
CUSTOMER_KEYS = (
    "first_name", "last_name", "email", "language", "country", "region", "city", "timezone", "consent", "tags",
    "remembered",
)  # fmt: skip
MILESTONES = ("paid", "fulfilled", "promised", "delivered")
ORDER_KEYS = ("number", "total", "currency", "items", "is_gift", "note", *MILESTONES)
ITEM_KEYS = ("name", "sku", "category", "quantity", "price", "url", "image_url")
MOST_PIECES = 10_000
LARGEST_AMOUNT = Decimal(10) ** 9
_AMOUNT = re.compile(r"[0-9]{1,12}([.][0-9]{1,2})?")
_CODE = re.compile(r"[A-Za-z]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EXAMPLE = "write about: one line, customer: and order: with items"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    A customer and an order.

    ``milestones`` say how long after it was placed the order was paid, fulfilled, promised for or delivered; the
    moments of ``order`` mean nothing.
    """

    name: str
    about: str
    customer: CustomerReport
    order: OrderReport
    milestones: Mapping[str, timedelta] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    remembered: Mapping[str, object] = field(default_factory=dict)


def read_samples(files: Mapping[str, str], reports: Callable[[str], Report]) -> dict[str, Sample]:
    """Return the samples among the *files* of a project by name; *reports* gives the report for a path."""
    found = {}
    for path, text in files.items():
        if not path.startswith(FOLDER):
            continue
        name, report = path.removeprefix(FOLDER).removesuffix(".yaml"), reports(path)
        if not NAME.fullmatch(name) or not path.endswith(".yaml"):
            help = f'use letters, digits, "-" and "_", and the ending .yaml, directly in {FOLDER}'
            report.add(Spot(), "114", "This is no name for a sample.", help)
        elif sample := read_sample(name, text, report):
            found[name] = sample
    return found


def read_sample(name: str, text: str, report: Report) -> Sample | None:
    """Return the sample that *text* describes, or report what is wrong with it."""
    node = read_yaml(text, report)
    if report.diagnostics:
        return None
    if node is None:
        report.add(Spot(), "102", "This sample is empty.", _EXAMPLE)
        return None
    mapping = as_mapping(node, report, "A sample")
    if mapping is None:
        return None
    fields = Fields(mapping, report, "a sample", KEYS)
    fields.check(*KEYS, help=_EXAMPLE)
    about = fields.text("about")
    whose, what = fields.mapping("customer"), fields.mapping("order")
    sample = Sample(
        name=name,
        about=" ".join((about or "").split()),
        **_customer(name, Fields(whose or _nothing(mapping), report, "a customer", CUSTOMER_KEYS)),
        **_order(Fields(what or _nothing(mapping), report, "an order", ORDER_KEYS), missing=what is None),
    )
    return None if report.diagnostics else sample


def _nothing(instead_of: YamlMapping) -> YamlMapping:
    return YamlMapping(instead_of.spot)


def _customer(name: str, fields: Fields) -> dict[str, Any]:
    fields.check()
    email = fields.parsed("email", read_address) or f"{name}@example.com"
    zone = fields.parsed("timezone", read_zone)
    country = fields.parsed("country", _country)
    consent = fields.choice("consent", [basis.value for basis in ConsentBasis])
    report = CustomerReport(
        address=normalize_address(email),
        email=email,
        first_name=fields.text("first_name"),
        last_name=fields.text("last_name"),
        language=fields.parsed("language", _language),
        country=country.upper() if country else None,
        region=fields.text("region", numbers=True),
        city=fields.text("city"),
        timezone=zone.key if zone else None,
        consent_basis=ConsentBasis(consent) if consent in list(ConsentBasis) else ConsentBasis.UNKNOWN,
    )
    return {"customer": report, "tags": tuple(_texts(fields, "tags")), "remembered": _remembered(fields)}


def _texts(fields: Fields, key: str) -> list[str]:
    listed = fields.sequence(key)
    found = [as_text(item, fields.report, f'each of "{key}"', numbers=True) for item in listed.items] if listed else []
    return [text for text in found if text is not None]


def _remembered(fields: Fields) -> dict[str, object]:
    """Return what workflows are taken to have remembered: a plain value for each field."""
    mapping, found = fields.mapping("remembered"), dict[str, object]()
    for name, node in read_fields(mapping, fields.report) if mapping else ():
        if isinstance(node, Scalar) and node.value is not None:
            found[name] = node.value
        else:
            fields.report.add(node.spot, "103", f'"{name}" must be one value.')
    return found


def _order(fields: Fields, *, missing: bool) -> dict[str, Any]:
    fields.check(*(() if missing else ("items",)), help="list what was bought, for example: items: [{name: Pan}]")
    listed = fields.sequence("items")
    items = tuple(item for node in (listed.items if listed else ()) if (item := _item(node, fields.report)))
    if listed is not None and not listed.items:
        fields.report.add(listed.spot, "112", '"items" is empty.', "an order has at least one")
    total = fields.parsed("total", _cents)
    report = OrderReport(
        source="sample",
        external_id="sample",
        number=fields.text("number", numbers=True) or "SAMPLE-1",
        status=OrderStatus.PLACED,
        placed_at=EPOCH,  # a sample is placed when it is tried
        total_cents=sum((item.price_cents or 0) * item.quantity for item in items) if total is None else total,
        currency=fields.parsed("currency", _currency) or "",
        is_gift=bool(fields.flag("is_gift")),
        note=fields.text("note"),
        items=items,
    )
    spans = {name: fields.parsed(name, read_timedelta) for name in MILESTONES}
    return {"order": report, "milestones": {name: span for name, span in spans.items() if span is not None}}


def _item(node: Node, report: Report) -> Item | None:
    mapping = as_mapping(node, report, "An item")
    if mapping is None:
        return None
    fields = Fields(mapping, report, "an item", ITEM_KEYS)
    fields.check("name")
    quantity = fields.integer("quantity", 1, MOST_PIECES)
    return Item(
        name=fields.text("name", numbers=True) or "",
        sku=fields.text("sku", numbers=True),
        category=fields.text("category"),
        quantity=quantity or 1,
        price_cents=fields.parsed("price", _cents),
        url=fields.text("url"),
        image_url=fields.text("image_url"),
    )


def _cents(text: str) -> int:
    if not _AMOUNT.fullmatch(text) or Decimal(text) > LARGEST_AMOUNT:
        raise Unclear("105", f"'{text}' is not an amount", "write for example 129 or 129.50")
    return int(Decimal(text) * 100)


def _currency(text: str) -> str:
    if not _CURRENCY.fullmatch(text):
        raise Unclear("105", f"'{text}' is not a currency", "write its three letters, for example EUR")
    return text


def _country(text: str) -> str:
    if not _CODE.fullmatch(text):
        raise Unclear("105", f"'{text}' is not a country", "write its two letters, for example GB")
    return text


def _language(text: str) -> str:
    if not LANGUAGE.fullmatch(text):
        raise Unclear("105", f"'{text}' is not a language", "write for example en, de or pt-BR")
    return text


def placed(sample: Sample, at: datetime) -> Purchase:
    """Return what a shop would report of *sample* in the end, had it been placed at *at* (aware)."""
    moments: dict[str, Any] = {f"{name}_at": at + span for name, span in sample.milestones.items()}
    reached = [OrderStatus(name) for name in MILESTONES if name in sample.milestones and name != "promised"]
    status = reached[-1] if reached else OrderStatus.PLACED
    return Purchase(sample.customer, replace(sample.order, status=status, placed_at=at, **moments))
