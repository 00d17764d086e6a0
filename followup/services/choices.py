"""What a future depends on: the questions that are with a customer, and the events that a run waits for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from followup.core.customer import Customer
from followup.core.enrollment import Phase
from followup.core.events import EventKind, is_custom
from followup.core.order import OrderStatus
from followup.core.workflow import Ask, Per, Step, WaitFor, Workflow
from followup.services.facts import calendar_for
from followup.services.moves import Move
from followup.services.rehearsal import A_DAY, Act, Rehearsal
from followup.store import conversations, customers, enrollments, messages, orders
from followup.store.engine import reading
from followup.store.enrollments import StoredEnrollment

REACHED = {  # events that a shop can be made to report of an order that is there
    EventKind.ORDER_PAID.value: OrderStatus.PAID,
    EventKind.ORDER_FULFILLED.value: OrderStatus.FULFILLED,
    EventKind.ORDER_DELIVERED.value: OrderStatus.DELIVERED,
    EventKind.ORDER_CANCELLED.value: OrderStatus.CANCELLED,
    EventKind.ORDER_REFUNDED.value: OrderStatus.REFUNDED,
}

_FOLLOWS = {EventKind.ORDER_PROMISE_MISSED.value: "it follows from when the order was promised and delivered"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """
    A question of a run that has reached the customer; ``answered_at`` is when they would answer it, if they do.
    """

    run: int
    workflow: str
    order: str | None
    step: str
    letter: str
    token: str
    offered: tuple[str, ...]
    asked_at: datetime
    answered_at: datetime
    is_awaited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaiting:
    """
    An event that a run has just begun to wait for, until ``until``; ``at`` is when it would happen, if it does.

    ``obstacle`` is why a rehearsal cannot let it happen; empty if it can.
    """

    run: int
    workflow: str
    step: str
    event: str
    order: str | None
    at: datetime
    until: datetime
    obstacle: str = ""
    reads_data: bool = False

    def waited_on(self, moves: Iterable[Move]) -> bool:
        """Tell whether the run gave the event up, whatever was made to happen."""
        return any((move.kind, move.run, move.step) == ("timeout", self.run, self.step) for move in moves)

    @property
    def in_vain(self) -> str:
        """Say why the run may have waited on although the event happened."""
        return "it brings no data here, and where: did not hold" if self.reads_data else "it did not end the wait"


def asked(rehearsal: Rehearsal) -> list[Asking]:
    """Return the questions that the last step brought to the customer."""
    news = {(move.at, move.run, move.step) for move in rehearsal.news if move.kind == "ask"}
    if not news:
        return []
    return [one for one in _questions(rehearsal) if (one.asked_at, one.run, one.step) in news]


def open_questions(rehearsal: Rehearsal) -> list[Asking]:
    """Return the questions whose answer is awaited."""
    return [one for one in _questions(rehearsal) if one.is_awaited]


def _questions(rehearsal: Rehearsal) -> Iterator[Asking]:
    """Yield every question that has reached the customer; one that was asked before is answered from now on."""
    now = rehearsal.clock.now()
    with reading(rehearsal.engine) as conn:
        runs = _runs(conn, rehearsal)
        bought = orders.load(conn, {run.order_id for run in runs.values() if run.order_id is not None})
        for letters in messages.of_enrollments(conn, runs).values():
            for letter in letters:
                run = runs[letter.enrollment_id]
                step = _step(conn, rehearsal, run, letter.step)
                if not isinstance(step, Ask) or letter.round or letter.token is None or letter.accepted_at is None:
                    continue
                gives_up = _end(conn, rehearsal, run, step, letter.accepted_at)
                position = run.enrollment.position
                order = bought.get(run.order_id or 0)
                yield Asking(
                    run=run.id,
                    workflow=letter.workflow,
                    order=order.number if order else None,
                    step=letter.step,
                    letter=letter.letter,
                    token=letter.token,
                    offered=tuple(choice.id for choice in letter.asked.choices),
                    asked_at=letter.accepted_at,
                    answered_at=soon(now, max(gives_up, now)),
                    is_awaited=position.phase is Phase.ASKED and position.step == letter.step,
                )


def awaited(rehearsal: Rehearsal) -> list[Awaiting]:
    """Return the events that the last step made a run wait for."""
    waits = [move for move in rehearsal.news if move.kind == "wait" and move.reason]
    return list(_awaited(rehearsal, waits)) if waits else []


def _awaited(rehearsal: Rehearsal, waits: Iterable[Move]) -> Iterator[Awaiting]:
    now = rehearsal.clock.now()
    with reading(rehearsal.engine) as conn:
        runs = _runs(conn, rehearsal)
        for move in waits:
            run = runs.get(move.run or 0)
            step = _step(conn, rehearsal, run, move.step) if run else None
            if run is not None and isinstance(step, WaitFor) and move.until is not None:
                workflow = rehearsal.library.workflow(conn, run.version_id)
                yield Awaiting(
                    run=run.id,
                    workflow=run.enrollment.workflow,
                    step=step.id,
                    event=step.event,
                    order=move.order,
                    at=soon(now, move.until),
                    until=move.until,
                    obstacle=_obstacle(conn, rehearsal, run, workflow, step.event),
                    reads_data=step.where is not None,
                )


def _obstacle(conn: Connection, rehearsal: Rehearsal, run: StoredEnrollment, workflow: Workflow, event: str) -> str:
    """Return why *event* cannot be made to happen to *run* from now on; nothing if it can."""
    if is_custom(event):
        return ""
    if event == EventKind.ORDER_PLACED:
        return "" if workflow.trigger.per is Per.CUSTOMER else "another order is not this run's"
    if event in REACHED:
        assert rehearsal.purchase is not None, "a simulation is about an order"
        reached = {status for status, at in rehearsal.purchase.order.milestones() if at <= rehearsal.clock.now()}
        return f"the order was {REACHED[event].value} before" if REACHED[event] in reached else ""
    if event == EventKind.CONVERSATION_CLOSED:
        return "" if conversations.waiting_since(conn, [run.customer_id]) else "no conversation is open then"
    return _FOLLOWS.get(event, "it follows from what people do")


def soon(since: datetime, until: datetime) -> datetime:
    """Return a day after *since*, or half-way to *until* if that is sooner."""
    return min(since + A_DAY, since + (until - since) / 2)


def happening(awaiting: Awaiting) -> Act:
    """Return the act that lets an awaited event happen."""
    status = REACHED.get(awaiting.event)
    if status is not None:
        return lambda rehearsal: rehearsal.reach(status)
    if awaiting.event == EventKind.ORDER_PLACED:
        return Rehearsal.buy_again
    if awaiting.event == EventKind.CONVERSATION_CLOSED:
        return Rehearsal.close_conversation
    return lambda rehearsal: rehearsal.happen(awaiting.event, order_number=awaiting.order)


def prevent(rehearsal: Rehearsal, awaiting: Awaiting) -> None:
    """Have an awaited event not happen while the run waits for it."""
    rehearsal.unplan(awaiting.event)
    if awaiting.event == EventKind.CONVERSATION_CLOSED:
        rehearsal.keep_open(awaiting.until)


def whom(rehearsal: Rehearsal, workflow: Workflow | None) -> tuple[Customer, ZoneInfo]:
    """Return the customer as the rehearsal has them, and the time zone in which they live, or are taken to."""
    with reading(rehearsal.engine) as conn:
        bundle = rehearsal.library.newest(conn)
        customer_id = customers.id_of_address(conn, rehearsal.address)
        assert customer_id is not None
        customer = customers.load(conn, [customer_id], now=rehearsal.clock.now())[customer_id]
    return customer, calendar_for(customer, workflow, bundle).zone


def _runs(conn: Connection, rehearsal: Rehearsal) -> dict[int, StoredEnrollment]:
    customer_id = customers.id_of_address(conn, rehearsal.address)
    return {run.id: run for run in enrollments.of_customer(conn, customer_id)} if customer_id else {}


def _step(conn: Connection, rehearsal: Rehearsal, run: StoredEnrollment, step: str | None) -> Step | None:
    return rehearsal.library.workflow(conn, run.version_id).step(step) if step else None


def _end(conn: Connection, rehearsal: Rehearsal, run: StoredEnrollment, step: Ask, since: datetime) -> datetime:
    customer = customers.load(conn, [run.customer_id], now=since)[run.customer_id]
    workflow = rehearsal.library.workflow(conn, run.version_id)
    calendar = calendar_for(customer, workflow, rehearsal.library.newest(conn))
    return step.timeout.after(since, calendar)
