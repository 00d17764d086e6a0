"""
Noticing what did not happen: a parcel that should have come, a customer of whom nothing is heard.

A timer is a row with the moment at which to look. It moves whenever an order changes or a customer is heard of,
and whoever finds it due looks again at what is true by then.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core.events import EventKind
from followup.core.order import VOID, Order, OrderStatus
from followup.core.timer import PATIENCE, TimerKind
from followup.core.workflow import Workflow, WorkflowStatus
from followup.services.enroll import enroll, triggered_by
from followup.services.library import Library
from followup.store import customers, enrollments, events, orders, timers
from followup.store.engine import writing
from followup.store.events import NewEvent
from followup.store.timers import Timer

ARRIVED = VOID | {OrderStatus.DELIVERED}
TAKING_IN = frozenset({WorkflowStatus.LIVE, WorkflowStatus.PAUSED})
LOOK_BACK = timedelta(days=30)  # what came true longer ago than this is not noticed any more


def order_changed(conn: Connection, order_ids: Collection[int], *, after: datetime) -> None:
    """
    Set the timers of orders that a shop has just reported: what is promised is watched, whoever wants to know.

    Args:
        after: leave out what would be due by then (business time).
    """
    late_at = {order.id: at for order in orders.load(conn, order_ids).values() if (at := _late_at(order))}
    timers.stop(conn, TimerKind.PROMISE, [order_id for order_id in order_ids if order_id not in late_at])
    timers.put(conn, TimerKind.PROMISE, _later(late_at, after))


def customer_heard(conn: Connection, customer_ids: Collection[int], bundle: Bundle, *, after: datetime) -> None:
    """Set the timers of customers of whom something has just been heard; *after* as in `order_changed`."""
    waiting = _wanting_quiet(bundle)
    if not waiting or not customer_ids:
        return
    heard = events.last_contacts(conn, customer_ids=customer_ids)
    for name, workflow in waiting.items():
        assert workflow.trigger.after is not None
        quiet = {key: at + workflow.trigger.after for key, at in heard.items()}
        timers.put(conn, TimerKind.QUIET, _later(quiet, after), workflow=name)


def _later(due: Mapping[int, datetime], after: datetime) -> Mapping[int, datetime]:
    return {key: at for key, at in due.items() if at > after}


def reset(conn: Connection, before: Bundle | None, bundle: Bundle, *, now: datetime) -> None:
    """
    Set the timers of those workflows whose idea of a quiet customer is new.

    What came true so long ago that nobody would be let in for it any more is left alone.
    """
    for name, workflow in renewed(before, bundle).items():
        timers.stop_all(conn, TimerKind.QUIET, workflow=name)
        if workflow is not None:
            timers.put(conn, TimerKind.QUIET, quiet_at(conn, workflow, now=now), workflow=name)


def renewed(before: Bundle | None, bundle: Bundle) -> dict[str, Workflow | None]:
    """Return by name the workflows whose idea of a quiet customer is new in *bundle*; None: they have none any more."""
    known, waiting = _wanting_quiet(before) if before else {}, _wanting_quiet(bundle)
    both = {name for name in known.keys() & waiting.keys() if known[name].trigger == waiting[name].trigger}
    return {name: waiting.get(name) for name in sorted((known.keys() | waiting.keys()) - both)}


def quiet_at(conn: Connection, workflow: Workflow, *, now: datetime) -> dict[int, datetime]:
    """Return by customer when they are, or were, quiet for as long as *workflow* wants, where that still counts."""
    assert workflow.trigger.after is not None
    heard = events.last_contacts(conn, since=now - workflow.trigger.after - workflow.max_late)
    return {key: at + workflow.trigger.after for key, at in heard.items()}


def unnoticed(conn: Connection, workflow: Workflow, quiet: Mapping[int, datetime]) -> dict[int, datetime]:
    """Return those of *quiet* (customer -> when they were) whose silence *workflow* has not noticed yet."""
    assert workflow.trigger.after is not None
    ids = {_silence(workflow, key, at - workflow.trigger.after): key for key, at in quiet.items()}
    known = {ids[one] for one in events.known(conn, "timer", ids)}
    return {key: at for key, at in quiet.items() if key not in known}


def _silence(workflow: Workflow, customer_id: int, heard: datetime) -> str:
    """Return what a customer's silence since *heard* goes by, for *workflow*."""
    return f"quiet:{workflow.name}:{customer_id}:{heard.isoformat()}"


def ring(engine: Engine, ids: Collection[int], *, library: Library, clock: Clock) -> int:
    """
    Look at timers that are due: what came true goes on the timeline, and lets customers into workflows.

    Safe to run twice and in several processes. Returns how many were looked at.
    """
    now = clock.now()
    with writing(engine, "timers.ring") as conn:
        bundle = library.newest(conn)
        whose = _customers(conn, timers.due(conn, ids, now=now))
        customers.lock(conn, set(whose.values()))  # before their runs, as everybody does
        timers.lock(conn, ids)
        due = timers.due(conn, ids, now=now)
        looked = [_look(conn, timer, whose.get(timer.id), bundle, now) for timer in due]
        timers.remove(conn, [timer.id for timer in due])
        for timer, found in zip(due, looked, strict=True):
            if found.later is not None:
                timers.put(conn, timer.kind, {timer.subject_id: found.later}, workflow=timer.workflow)
        recorded = events.add(conn, [found.event for found in looked if found.event], now=now)
        enrollments.wake_for_events(conn, {one.customer_id for one in recorded}, at=now)
        enroll(conn, triggered_by(bundle, recorded), bundle=bundle, now=now)
    return len(due)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a timer that is due has found: what came true, or when to look again, or that it is over."""

    event: NewEvent | None = None
    later: datetime | None = None


def _customers(conn: Connection, due: Collection[Timer]) -> dict[int, int]:
    """Return the customer of each timer; one of an order that is gone has none."""
    of_orders = orders.customers_of(conn, [timer.subject_id for timer in due if timer.kind is TimerKind.PROMISE])
    known = {
        timer.id: timer.subject_id if timer.kind is TimerKind.QUIET else of_orders.get(timer.subject_id)
        for timer in due
    }
    return {timer_id: customer_id for timer_id, customer_id in known.items() if customer_id is not None}


def _look(conn: Connection, timer: Timer, customer_id: int | None, bundle: Bundle, now: datetime) -> _Found:
    if customer_id is None:
        return _Found()
    if timer.kind is TimerKind.QUIET:
        return _quiet(conn, customer_id, bundle.workflows.get(timer.workflow), now)
    order = orders.load(conn, [timer.subject_id])[timer.subject_id]
    late_at = _late_at(order)
    if late_at is None:
        return _Found()
    if late_at > now:
        return _Found(later=late_at)
    promised_at = late_at - PATIENCE
    return _Found(
        NewEvent(
            customer_id=customer_id,
            order_id=order.id,
            kind=EventKind.ORDER_PROMISE_MISSED.value,
            occurred_at=late_at,
            source="timer",
            external_id=f"promise:{order.id}:{promised_at.isoformat()}",
            data={"promised_at": promised_at.isoformat()},
        )
    )


def _quiet(conn: Connection, customer_id: int, workflow: Workflow | None, now: datetime) -> _Found:
    heard = events.last_contacts(conn, customer_ids=[customer_id]).get(customer_id)
    if workflow is None or workflow.trigger.after is None or heard is None:
        return _Found()
    quiet = heard + workflow.trigger.after
    if quiet > now:
        return _Found(later=quiet)
    return _Found(
        NewEvent(
            customer_id=customer_id,
            order_id=orders.last_of(conn, customer_id, now=now),
            kind=EventKind.CUSTOMER_QUIET.value,
            occurred_at=quiet,
            source="timer",
            external_id=_silence(workflow, customer_id, heard),
            data={"workflow": workflow.name, "heard_at": heard.isoformat()},
        )
    )


def _late_at(order: Order) -> datetime | None:
    """Return when the order has not come in time; None when it has, or nothing was promised."""
    if order.promised_at is None or order.delivered_at is not None or order.status in ARRIVED:
        return None
    return order.promised_at + PATIENCE


def _wanting_quiet(bundle: Bundle) -> dict[str, Workflow]:
    return {
        name: workflow
        for name, workflow in bundle.workflows.items()
        if workflow.trigger.event == EventKind.CUSTOMER_QUIET and workflow.status in TAKING_IN
    }
