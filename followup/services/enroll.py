"""Who comes into a workflow, and why somebody did not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.asks import names_for
from followup.core.chance import is_held_out
from followup.core.enrollment import EnrollmentState
from followup.core.events import Event, EventKind, is_custom
from followup.core.facts import Facts, values_of
from followup.core.workflow import Per, Workflow, WorkflowStatus
from followup.services import facts
from followup.services.library import version_of
from followup.services.verdicts import withdraw
from followup.store import bundles, customers, decisions, enrollments, messages, orders, replies, switches
from followup.store.decisions import Decided
from followup.store.enrollments import NewEnrollment, StoredEnrollment
from followup.store.events import Recorded

SUPERSEDED = "superseded by a newer run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A request to let a customer, with an order or without one, into a workflow.

    ``trigger`` is None when nothing happened but that another run asked for it; ``because`` is then the key of that
    one, so that runs about no order cannot start each other for ever. ``entered_at`` is the business moment from
    which the run counts: when the trigger happened, or now.
    A ``backfill`` may reach back as far as it likes; otherwise a trigger older than max_late lets nobody in.
    """

    workflow: Workflow
    customer_id: int
    order_id: int | None
    trigger: Recorded | None
    entered_at: datetime
    backfill: bool = False
    because: str = ""

    @property
    def key(self) -> str:
        """Return what never enters this workflow twice: the order, the customer with the order, or the event."""
        if self.trigger is not None and (is_custom(self.trigger.event.kind) or self.order_id is None):
            return f"event:{self.trigger.event.id}"
        if self.trigger is not None and self.trigger.event.kind == EventKind.CUSTOMER_QUIET:
            return f"event:{self.trigger.event.id}"
        about = f"order:{self.order_id}" if self.order_id is not None else self.because
        return f"customer:{self.customer_id}:{about}" if self.workflow.trigger.per is Per.CUSTOMER else about


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
    known_orders = orders.load(conn, {entry.order_id for entry in entries if entry.order_id is not None})
    version_ids = _version_ids(conn, bundle, {entry.workflow.name for entry in entries})
    said, last_words = _heard(conn, entries)
    switched = switches.current(conn)  # read now that the versions are held: whoever archives waits for them
    results = []
    for entry in entries:
        order = known_orders.get(entry.order_id or 0)
        about = facts.before_entry(
            known_customers[entry.customer_id],
            order,
            entry.workflow,
            bundle,
            answers=said.get(entry.customer_id),
            last_reply=last_words.get(entry.customer_id),
        )
        refused = _refusal(conn, entry, about, switched.get(entry.workflow.name, entry.workflow).status, now)
        entered = refused or _add(conn, entry, version_ids[entry.workflow.name], now)
        if refused is not None:
            decisions.add(conn, [_decided(entry, "not_entered", refused.reason, now, refused.values)])
        results.append(entered)
    return results


def would_enter(conn: Connection, wanted: Iterable[Entry], *, bundle: Bundle, now: datetime) -> list[Entered | None]:
    """
    Return why each may not come in as things stand, None where it may, as if the workflow were live.

    Nothing is written or held.
    """
    entries = list(wanted)
    known_customers = customers.load(conn, {entry.customer_id for entry in entries}, now=now)
    known_orders = orders.load(conn, {entry.order_id for entry in entries if entry.order_id is not None})
    said, last_words = _heard(conn, entries)
    keys: dict[str, set[str]] = {}
    for entry in entries:
        keys.setdefault(entry.workflow.name, set()).add(entry.key)
    entered = {name: enrollments.keys_entered(conn, name, some) for name, some in keys.items()}
    return [
        _entered_already(entry)
        if entry.key in entered[entry.workflow.name]
        else _refusal(
            conn,
            entry,
            facts.before_entry(
                known_customers[entry.customer_id],
                known_orders.get(entry.order_id or 0),
                entry.workflow,
                bundle,
                answers=said.get(entry.customer_id),
                last_reply=last_words.get(entry.customer_id),
            ),
            WorkflowStatus.LIVE,
            now,
            hold=False,
        )
        for entry in entries
    ]


def _heard(conn: Connection, entries: Iterable[Entry]) -> tuple[dict[int, dict[str, str]], dict[int, str]]:
    """Return by customer their answers and their last words, where a condition of entry asks for any."""
    asking = {
        entry.customer_id
        for entry in entries
        if any(name.startswith(("answers.", "last_reply")) for when in entry.workflow.only_if for name in when.names)
    }
    return (replies.last_answers(conn, asking), replies.last_replies(conn, asking)) if asking else ({}, {})


def _version_ids(conn: Connection, bundle: Bundle, names: set[str]) -> dict[str, int]:
    return bundles.version_ids(conn, {name: version_of(bundle, name) for name in names})


def _refusal(
    conn: Connection, entry: Entry, about: Facts, status: WorkflowStatus, now: datetime, *, hold: bool = True
) -> Entered | None:
    workflow, order = entry.workflow, about.order
    if status is not WorkflowStatus.LIVE:
        return Entered(None, f"the workflow is {status.value}")
    if order is not None and order.is_void and not workflow.is_about_void_orders:
        return Entered(None, f"the order was {order.status.value}")
    if not entry.backfill and entry.entered_at < now - workflow.max_late:
        return Entered(None, "the trigger is older than max_late", {"happened_at": entry.entered_at})
    known = names_for(workflow, about, now=now)
    for condition in workflow.only_if:
        if not condition(known):
            return Entered(None, f"entry: {condition.source} is false", values_of(condition, known))
    older = _older_runs(conn, entry, hold=hold)
    if any(run.enrollment.entered_at > entry.entered_at for run in older):
        return Entered(None, "a newer run is under way")
    restarts = any(run.enrollment.state is EnrollmentState.ACTIVE for run in older)
    return None if restarts else _re_entry_refusal(conn, entry)


def _older_runs(conn: Connection, entry: Entry, *, hold: bool = True) -> list[StoredEnrollment]:
    """Return the customer's other runs that have not ended, where there is to be only one."""
    if entry.workflow.trigger.per is not Per.CUSTOMER:
        return []
    under_way = enrollments.under_way(conn, entry.workflow.name, entry.customer_id, hold=hold)
    return [run for run in under_way if run.entry_key != entry.key]


def _re_entry_refusal(conn: Connection, entry: Entry) -> Entered | None:
    name, rule = entry.workflow.name, entry.workflow.re_entry
    if rule.never and enrollments.entered_before(conn, name, entry.customer_id, other_than=entry.key):
        return Entered(None, "re_entry: never, and the customer has been in before")
    if rule.after is None:
        return None
    last = messages.last_accepted_at(conn, name, entry.customer_id)
    if is_held_out(entry.workflow, entry.customer_id):  # they get no letters: what counts is when they would have
        last = enrollments.last_entered_at(conn, name, entry.customer_id, other_than=entry.key)
    if last is not None and entry.entered_at < last + rule.after:
        return Entered(None, f"re_entry: less than {rule.after.days} days since the last letter", {"last": last})
    return None


def _add(conn: Connection, entry: Entry, version_id: int, now: datetime) -> Entered:
    held_out = is_held_out(entry.workflow, entry.customer_id)
    added = enrollments.add(
        conn,
        NewEnrollment(
            workflow=entry.workflow.name,
            version_id=version_id,
            customer_id=entry.customer_id,
            order_id=entry.order_id,
            entry_key=entry.key,
            trigger_event_id=entry.trigger.event.id if entry.trigger else None,
            entered_at=entry.entered_at,
            first_step=None if held_out else entry.workflow.first_step,
            wake_at=min(now, entry.entered_at),  # who is held out as well: what ends a run may have happened already
            state=EnrollmentState.HELD_OUT if held_out else EnrollmentState.ACTIVE,
        ),
    )
    if added is None:
        return _entered_already(entry)
    _supersede(conn, entry, now)
    if held_out:
        reason = f"holdout: {entry.workflow.holdout * 100:g}% get nothing, and are measured"
        decisions.add(conn, [_decided(entry, "held_out", reason, now, enrollment_id=added)])
    return Entered(added)


def _entered_already(entry: Entry) -> Entered:
    return Entered(None, "entered already with this order" if entry.order_id else "entered already")


def _supersede(conn: Connection, entry: Entry, now: datetime) -> None:
    """End the customer's older runs: what has not left is withdrawn, what was asked still takes an answer."""
    ended = []
    for run in _older_runs(conn, entry):
        ended.append(run.ended(SUPERSEDED, at=now))
        withdraw(conn, run.id, None, None, reason=f"the run ended: {SUPERSEDED}", now=now)
        about = _decided(entry, "exited", SUPERSEDED, now, enrollment_id=run.id)
        decisions.add(conn, [replace(about, order_id=run.order_id)])
    enrollments.save(conn, ended)


def _decided(
    entry: Entry,
    verdict: str,
    reason: str,
    now: datetime,
    values: Mapping[str, object] | None = None,
    *,
    enrollment_id: int | None = None,
) -> Decided:
    return Decided(
        at=now,
        customer_id=entry.customer_id,
        order_id=entry.order_id,
        enrollment_id=enrollment_id,
        workflow=entry.workflow.name,
        verdict=verdict,
        reason=reason,
        values=values or {},
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
        if _is_trigger(workflow, one.event)
    ]


def _is_trigger(workflow: Workflow, event: Event) -> bool:
    """Tell whether *event* lets customers into *workflow*; each workflow has its own idea of a quiet customer."""
    if workflow.trigger.event != event.kind or workflow.status is WorkflowStatus.DRAFT:
        return False
    return event.kind != EventKind.CUSTOMER_QUIET or event.data.get("workflow") == workflow.name
