"""
Everything a decision may look at, and the names under which conditions and letters see it.

``NAMES`` is the field reference: what is not in it is an unknown name, in conditions and letters alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from followup.core.customer import Customer
from followup.core.events import Event
from followup.core.message import MessageState
from followup.core.order import Item, Order
from followup.core.people import Person, Shop
from followup.core.replies import Absence, Response
from followup.core.schedule import Calendar
from followup.core.workflow import Condition

ITEM = {
    "name": "text",
    "sku": "text?",
    "category": "text?",
    "quantity": "int",
    "price": "money?",
    "url": "text?",
    "image_url": "text?",
}
REPLY = {"text": "text?", "sentiment": "text?", "intent": "text?", "language": "text?"}
ASK = {
    "answer": "text?",
    "answer_label": "text?",
    "reply": REPLY,
    "replied": "bool",
    "no_reply": "bool",
    "not_asked": "text?",
}
ORDER = {
    "number": "text",
    "placed_at": "moment",
    "paid_at": "moment?",
    "fulfilled_at": "moment?",
    "promised_at": "moment?",
    "delivered_at": "moment?",
    "days_late": "int",
    "total": "money",
    "currency": "text",
    "is_gift": "bool",
    "categories": "list",
    "items": [ITEM],
    "status": "text",
    "note": "text?",
}
SENDER = {"name": "text", "first_name": "text", "email": "text"}
# name -> type; "?" may be absent, a dict has fields, a list holds what it lists, "*" is any key
NAMES: Mapping[str, object] = {
    "customer": {
        "first_name": "text?",
        "last_name": "text?",
        "email": "text",
        "language": "text?",
        "country": "text?",
        "region": "text?",
        "timezone": "text?",
        "order_count": "int",
        "first_order_at": "moment?",
        "last_order_at": "moment?",
        "total_spent": "money",
        "accepts_marketing": "bool?",
        "tags": "list",
    },
    "order": ORDER,
    "item": ITEM,
    **ASK,
    "timed_out": "bool",
    "asks": {"*": ASK},
    "answers": {"*": "text?"},
    "last_reply": "text?",
    "sender": SENDER,
    "today": "date",
    "shop": {"name": "text", "url": "text?", "postal_address": "text"},
}
EVENT_NAMES: Mapping[str, object] = {"event": {"order": ORDER, "kind": "text", "*": "text?"}}  # only in `where`


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One message of the enrollment, by step and round (0 the ask or send itself, 1 the reminder)."""

    id: int
    step: str
    round: int
    state: MessageState
    due_at: datetime | None
    accepted_at: datetime | None = None
    reason: str | None = None  # why it was not sent
    token: str | None = None  # names the attempt; in its Message-ID
    asked: bool = False  # it had a question when it was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What is known of one enrollment at one moment.

    ``events`` are those recorded since it entered that it may see, oldest first; ``responses`` oldest
    first; ``answers`` maps a letter to this customer's last answer to it, in any workflow. What is in
    ``elsewhere`` was said about the same order (or since the entry, where there is none), so it need not be
    asked again. ``moved_at`` is that of the enrollment, and ``stands_at`` the step it stood at when this was read.
    """

    customer: Customer
    order: Order | None
    calendar: Calendar
    shop: Shop
    sender: Person | None = None
    sent: Mapping[tuple[str, int], Sent] = field(default_factory=dict)
    responses: tuple[Response, ...] = ()
    events: tuple[Event, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    last_reply: str | None = None
    orders: Mapping[int, Order] = field(default_factory=dict)  # those that ``events`` speak of
    absences: Mapping[str, Absence] = field(default_factory=dict)  # by step: its first out-of-office note
    elsewhere: Mapping[str, Response] = field(default_factory=dict)  # by letter: what another run was answered to it
    timed_out: bool = False  # how the last wait_for ended
    moved_at: datetime | None = None
    stands_at: str | None = None


@dataclass(frozen=True, slots=True)
class AskResult:
    """How an ask stands: answered, out of time, not asked (and why), or none of these yet."""

    response: Response | None = None
    timed_out: bool = False
    not_asked: str | None = None

    def names(self) -> dict[str, object]:
        """Return the names an ask sets."""
        said = self.response
        return {
            "answer": said.answer if said else None,
            "answer_label": said.label if said else None,
            "reply": {field: getattr(said, field) if said else None for field in REPLY},
            "replied": said is not None,
            "no_reply": self.timed_out,
            "not_asked": self.not_asked,
        }


_NO_ORDER: Mapping[str, object] = {field: [] if field in {"categories", "items"} else None for field in ORDER}


def _amount(cents: int | None) -> Decimal | None:
    return None if cents is None else Decimal(cents) / 100


def _item_names(item: Item | None) -> dict[str, object]:
    if item is None:
        return {field: 1 if field == "quantity" else None for field in ITEM}
    names: dict[str, object] = {field: getattr(item, field, None) for field in ITEM}
    names["price"] = _amount(item.price_cents)
    return names


def order_names(order: Order, now: datetime) -> dict[str, object]:
    """Return what conditions and letters may read of *order*."""
    names: dict[str, object] = {
        field: getattr(order, field, None) for field in ORDER if field not in {"days_late", "items"}
    }
    names |= {
        "status": order.status.value,
        "total": _amount(order.total_cents),
        "days_late": order.days_late(now),
        "categories": list(order.categories),
        "items": [_item_names(item) for item in order.items],
    }
    return names


def _customer_names(customer: Customer) -> dict[str, object]:
    names: dict[str, object] = dict(customer.remembered)
    fields = NAMES["customer"]
    assert isinstance(fields, dict)
    names |= {field: getattr(customer, field, None) for field in fields}
    basis = customer.consent_basis.value
    names["accepts_marketing"] = {"opt_in": True, "none": False}.get(basis)
    names["total_spent"] = _amount(customer.total_spent_cents)
    names["tags"] = list(customer.tags)
    return names


def names(facts: Facts, asks: Mapping[str, AskResult], latest: AskResult, *, now: datetime) -> dict[str, object]:
    """
    Return every name of the field reference with its value; an absent optional one is None.

    Args:
        asks: the result of each ask so far, by step id.
        latest: what ``answer``, ``reply`` and their like say.
        now: aware UTC.
    """
    order = facts.order
    sender = facts.sender
    return {
        "customer": _customer_names(facts.customer),
        "order": order_names(order, now) if order else _NO_ORDER,
        "item": _item_names(order.main_item if order else None),
        **latest.names(),
        "timed_out": facts.timed_out,
        "asks": {step: result.names() for step, result in asks.items()},
        "answers": dict(facts.answers),
        "last_reply": facts.last_reply,
        "sender": {field: getattr(sender, field, None) for field in SENDER},
        "today": facts.calendar.local(now).date(),
        "shop": {
            "name": facts.shop.name,
            "url": facts.shop.url,
            "postal_address": facts.shop.postal_address,
        },
        # local times in letters and conditions come from here; not a name of its own
        "_zone": facts.calendar.zone,
    }


def value_at(known: Mapping[str, object], dotted: str) -> object:
    """Return what the dotted name (``order.total``) stands for; None where the path ends early."""
    value: object = known
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def values_of(condition: Condition, known: Mapping[str, object]) -> dict[str, object]:
    """Return the values of the names that *condition* reads, for the record."""
    return {name: value_at(known, name) for name in condition.names}
