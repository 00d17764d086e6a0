"""The ways out of a workflow: events that end a run wherever it stands."""

from datetime import datetime

from followup.core.asks import names_for
from followup.core.enrollment import Enrollment
from followup.core.events import ORDER_EVENTS, Event, EventKind
from followup.core.facts import Facts, order_names
from followup.core.workflow import IMPLIED_EXITS, Workflow


def find_exit(workflow: Workflow, enrollment: Enrollment, facts: Facts, *, now: datetime) -> tuple[str, Event] | None:
    """Return the outcome and the event that takes the enrollment out, or None."""
    own_order = facts.order.id if facts.order else None
    for event in facts.events:
        if _is_trigger(workflow, enrollment, event, own_order) or (event.occurred_at, event.id) <= enrollment.began:
            continue
        for way_out in workflow.exit_on:
            if way_out.event == event.kind and (
                way_out.where is None or way_out.where(event_names(workflow, facts, event, now))
            ):
                return way_out.label or event.kind, event
        if event.order_id in {None, own_order} and (outcome := _implied_exit(workflow, event)):
            return outcome, event
    return None


def _is_trigger(workflow: Workflow, enrollment: Enrollment, event: Event, own_order: int | None) -> bool:
    """Tell whether the run began with *event*; of one order each of its events happens once, whoever tells of it."""
    told_again = event.kind == workflow.trigger.event and event.kind in ORDER_EVENTS
    return event.id == enrollment.trigger_event_id or (told_again and event.order_id == own_order is not None)


def _implied_exit(workflow: Workflow, event: Event) -> str | None:
    if event.kind == EventKind.ORDER_REFUNDED and not event.data.get("full"):
        return None
    if workflow.is_about_void_orders and event.kind in {EventKind.ORDER_CANCELLED, EventKind.ORDER_REFUNDED}:
        return None
    return IMPLIED_EXITS.get(event.kind)


def event_names(workflow: Workflow, facts: Facts, event: Event, now: datetime) -> dict[str, object]:
    order = facts.orders.get(event.order_id or 0)
    about = {**event.data, "kind": event.kind, "order": order_names(order, now) if order else {}}
    return {**names_for(workflow, facts, now=now), "event": about}
