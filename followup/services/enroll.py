"""Who comes into a workflow, and why somebody did not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.asks import names_for
from followup.core.facts import Facts, values_of
from followup.core.order import Order
from followup.core.workflow import Workflow, WorkflowStatus
from followup.services import facts
from followup.services.library import version_of
from followup.store import bundles, customers, decisions, enrollments, messages, orders
from followup.store.decisions import Decided
from followup.store.enrollments import NewEnrollment
from followup.store.events import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A request to let a customer, with an order, into a workflow.

    ``entered_at`` is the business moment from which the run counts: when the trigger happened, or now.
    A ``backfill`` may reach back as far as it likes; otherwise a trigger older than max_late lets nobody in.
    """

    workflow: Workflow
    customer_id: int
    order_id: int
    trigger: Recorded | None
    entered_at: datetime
    backfill: bool = False


@dataclass(frozen=True, slots=True)
class Entered:
    """Let in (``enrollment_id``), or why not (``reason``)."""

    enrollment_id: int | None
    reason: str = ""
    values: dict[str, object] | None = None


def enroll(conn: Connection, wanted: Iterable[Entry], *, bundle: Bundle, now: datetime) -> list[Entered]:
    """
    Let in whoever may come in; record why for those who may not.

    The customers' rows are held until the transaction ends, so that two triggers at once see each
    other. A second entry under the same key is refused quietly: it is the same trigger again.
    """
    entries = list(wanted)
    customers.lock(conn, {entry.customer_id for entry in entries})
    known_customers = customers.load(conn, {entry.customer_id for entry in entries}, now=now)
    known_orders = orders.load(conn, {entry.order_id for entry in entries})
    version_ids = _version_ids(conn, bundle, {entry.workflow.name for entry in entries})
    results = []
    for entry in entries:
        order = known_orders[entry.order_id]
        about = facts.before_entry(known_customers[entry.customer_id], order, entry.workflow, bundle)
        refused = _refusal(conn, entry, about, order, now)
        entered = refused or _add(conn, entry, version_ids[entry.workflow.name], now)
        if refused is not None:
            decisions.add(conn, [_not_entered(entry, refused, now)])
        results.append(entered)
    return results


def _version_ids(conn: Connection, bundle: Bundle, names: set[str]) -> dict[str, int]:
    return bundles.version_ids(conn, {name: version_of(bundle, name) for name in names})


def _refusal(conn: Connection, entry: Entry, about: Facts, order: Order, now: datetime) -> Entered | None:
    workflow = entry.workflow
    if workflow.status is not WorkflowStatus.LIVE:
        return Entered(None, f"the workflow is {workflow.status.value}")
    if order.is_void:
        return Entered(None, f"the order was {order.status.value}")
    if not entry.backfill and entry.entered_at < now - workflow.max_late:
        return Entered(None, "the trigger is older than max_late", {"happened_at": entry.entered_at})
    known = names_for(workflow, about, now=now)
    for condition in workflow.only_if:
        if not condition(known):
            return Entered(None, f"entry: {condition.source} is false", values_of(condition, known))
    return _re_entry_refusal(conn, entry)


def _re_entry_refusal(conn: Connection, entry: Entry) -> Entered | None:
    name, rule = entry.workflow.name, entry.workflow.re_entry
    if rule.never and enrollments.entered_before(conn, name, entry.customer_id, other_than=_key(entry)):
        return Entered(None, "re_entry: never, and the customer has been in before")
    if rule.after is None:
        return None
    last = messages.last_accepted_at(conn, name, entry.customer_id)
    if last is not None and entry.entered_at < last + rule.after:
        return Entered(None, f"re_entry: less than {rule.after.days} days since the last letter", {"last": last})
    return None


def _key(entry: Entry) -> str:
    return f"order:{entry.order_id}"


def _add(conn: Connection, entry: Entry, version_id: int, now: datetime) -> Entered:
    added = enrollments.add(
        conn,
        NewEnrollment(
            workflow=entry.workflow.name,
            version_id=version_id,
            customer_id=entry.customer_id,
            order_id=entry.order_id,
            entry_key=_key(entry),
            trigger_event_id=entry.trigger.event.id if entry.trigger else None,
            entered_at=entry.entered_at,
            first_step=entry.workflow.first_step,
            wake_at=min(now, entry.entered_at),
        ),
    )
    return Entered(added, "" if added else "entered already with this order")


def _not_entered(entry: Entry, refused: Entered, now: datetime) -> Decided:
    return Decided(
        at=now,
        customer_id=entry.customer_id,
        order_id=entry.order_id,
        workflow=entry.workflow.name,
        verdict="not_entered",
        reason=refused.reason,
        values=refused.values or {},
    )


def triggered_by(bundle: Bundle, recorded: Iterable[Recorded]) -> list[Entry]:
    """Return the entries that events ask for: those into the workflows that wait for their kind, drafts apart."""
    return [
        Entry(
            workflow=workflow,
            customer_id=one.customer_id,
            order_id=one.event.order_id,
            trigger=one,
            entered_at=one.event.occurred_at,
        )
        for one in recorded
        for workflow in bundle.workflows.values()
        if workflow.trigger.event == one.event.kind
        and workflow.status is not WorkflowStatus.DRAFT
        and one.event.order_id is not None
    ]
