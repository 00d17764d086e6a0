"""The record in words: a customer's story: what they bought, what we asked, what they said."""

from typing import TYPE_CHECKING

from followup.cli import output
from followup.core.events import EventKind

if TYPE_CHECKING:
    from followup.core.events import Event
    from followup.services.lookups import Opened, Record, Status

LONGEST_WORDS = 600  # signs of a reply; --json has all of them
_VERBS = {
    EventKind.ORDER_PLACED: "bought",
    EventKind.ORDER_PAID: "paid",
    EventKind.ORDER_FULFILLED: "shipped",
    EventKind.ORDER_DELIVERED: "delivered",
    EventKind.ORDER_CANCELLED: "cancelled",
    EventKind.ORDER_REFUNDED: "refunded",
    EventKind.ORDER_PROMISE_MISSED: "late",
    EventKind.CUSTOMER_QUIET: "quiet",
    EventKind.HANDED_OFF: "handed to",
    EventKind.ANSWER_GIVEN: "answered",
    EventKind.REPLY_RECEIVED: "wrote",
    EventKind.AUTO_REPLY_RECEIVED: "auto-reply",
    EventKind.MESSAGE_BOUNCED: "bounced",
    EventKind.MESSAGE_COMPLAINED: "complained",
    EventKind.CUSTOMER_UNSUBSCRIBED: "unsubscribed",
    EventKind.CONVERSATION_OPENED: "waits",
    EventKind.CONVERSATION_CLOSED: "closed",
}


def tell(record: "Record") -> None:
    """Print the story, in the customer's local time."""
    customer, zone = record.customer, record.calendar.zone
    output.say(output.named(customer))
    void = sum(order.is_void for order in record.orders.values())
    facts = [
        output.plural(len(record.orders), "order") + (f" ({void} cancelled or sent back)" if void else ""),
        customer.language or "language unknown",
        " ".join(", ".join(part for part in (customer.region, customer.country) if part).split()) or "country unknown",
        f"times in {zone.key}",
        f"consent: {customer.consent_basis.value.replace('_', ' ')}",
    ]
    output.entry("  ", " · ".join(facts))
    if record.waiting_since is not None:
        output.say(f"  waits for an answer from us since {output.local(record.waiting_since, zone)}")
    if record.suppressed is not None:
        output.say(f"  {'gets' if record.suppressed == 'bounced' else 'wants'} no mail: {record.suppressed}")
    for field, value in customer.remembered.items():
        output.entry(f"  {field}: ", _plain(value))
    output.say()
    told = [(event.occurred_at, *_told(event, record)) for event in record.timeline]
    told += [(opened.at, *_seen(opened)) for opened in record.opened if opened.clicked or opened.is_scan]
    for at, verb, text in sorted(told, key=lambda one: one[0]):
        output.entry(f"{output.local(at, zone)}  {verb:<12}  ", text)


def _plain(value: object) -> str:
    """Return what is remembered as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return output.quoted(value, most=LONGEST_WORDS) if isinstance(value, str) else str(value)


def _seen(opened: "Opened") -> tuple[str, str]:
    """Return what there is to say about links that somebody or something opened."""
    if opened.clicked:
        return "clicked", f"{output.quoted(opened.clicked)}, not confirmed"
    links = output.plural(len(opened.burst.visits), "link")
    return "opened", f"{links} within {opened.seconds} s: a mail scanner, ignored"


def _told(event: "Event", record: "Record") -> tuple[str, str]:
    """Return a verb and what there is to say about it."""
    if event.kind == EventKind.MESSAGE_ACCEPTED:
        return _letter(event)
    verb = _VERBS.get(EventKind(event.kind), event.kind) if event.kind in list(EventKind) else event.kind
    data = event.data
    match event.kind:
        case EventKind.ORDER_PLACED:
            text = _bought(event, record)
        case EventKind.ANSWER_GIVEN:
            comment = f" {output.quoted(str(data['comment']), most=LONGEST_WORDS)}" if data.get("comment") else ""
            text = f"{data.get('label')} ({data.get('answer')}){comment}"
        case EventKind.REPLY_RECEIVED:
            means = f"  (= {data['answer']})" if data.get("answer") else ""
            text = output.quoted(str(data.get("text") or ""), most=LONGEST_WORDS) + means
        case EventKind.AUTO_REPLY_RECEIVED:
            kind = str(data.get("mail_kind", "")).replace("_", " ")
            text = f"back on {data['back_on']}" if data.get("back_on") else kind
        case EventKind.CONVERSATION_OPENED:
            text = f"for {data.get('owner')} to answer; letters are held"
        case EventKind.CONVERSATION_CLOSED:
            text = "by us; letters go on"
        case EventKind.HANDED_OFF:
            note = f": {output.quoted(str(data['note']), most=LONGEST_WORDS)}" if data.get("note") else ""
            text = f"{data.get('person')}, by {data.get('workflow')}{' (urgent)' if data.get('urgent') else ''}{note}"
        case EventKind.CUSTOMER_QUIET:
            text = f"nothing heard of them for as long as {data.get('workflow')} waits"
        case _:
            order = record.orders.get(event.order_id or 0)
            text = f"order {order.number}" if order else ""
    return verb, text


def _bought(event: "Event", record: "Record") -> str:
    order = record.orders.get(event.order_id or 0)
    if order is None:
        return ""
    items = ", ".join(f"{item.quantity} × {item.name}" for item in order.items)
    return f"order {order.number}: {items or 'no items'} ({output.amount(order.total_cents, order.currency)})"


def _letter(event: "Event") -> tuple[str, str]:
    data = event.data
    verb = "reminded" if data.get("round") else "asked" if data.get("question") else "sent"
    text = output.quoted(str(data.get("question") or data.get("subject") or ""))
    return verb, f"{text}  {data.get('sender')}, {data.get('workflow')}"


def as_document(record: "Record") -> dict[str, object]:
    """Return the record as JSON has it; times UTC."""
    customer = record.customer
    return {
        "email": customer.email,
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "language": customer.language,
        "country": customer.country,
        "region": customer.region,
        "timezone": record.calendar.zone.key,
        "consent_basis": customer.consent_basis.value,
        "remembered": dict(customer.remembered),
        "orders": customer.order_count,
        "waiting_since": record.waiting_since,
        "suppressed": record.suppressed,
        "timeline": [
            {
                **{key: value for key, value in event.data.items() if key != "message_id"},
                "at": event.occurred_at,
                "kind": event.kind,
                "order": order.number if (order := record.orders.get(event.order_id or 0)) else None,
            }
            for event in record.timeline
        ],
        "unconfirmed": [
            {"at": opened.at, "question": opened.question.ask, "clicked": opened.clicked}
            for opened in record.opened
            if opened.clicked
        ],
    }


def tell_status(status: "Status") -> None:
    """Print the numbers, a line for each kind of thing."""
    output.say(f"customers    {status.customers:,}")
    output.say(f"orders       {status.orders:,}")
    for name in ("enrollments", "messages", "replies"):
        counts = getattr(status, name)
        words = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in counts.items())
        output.entry(f"{name:<12} ", words or "none")
    output.say(f"answers      {status.answers:,}")
    output.say(f"waiting      {output.plural(status.waiting_for_us, 'customer')} for an answer from us")
