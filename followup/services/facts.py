"""Reading facts: one set of queries for a whole batch, whatever its size."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from followup import calendars
from followup.authoring.bundle import Bundle
from followup.core.customer import Customer
from followup.core.events import Event, EventKind
from followup.core.facts import Facts
from followup.core.gates import last_chance
from followup.core.order import Order
from followup.core.replies import Response, Source, Visit, combined, lone_mark
from followup.core.schedule import Calendar
from followup.core.workflow import IMPLIED_EXITS, Per, WaitFor, Workflow
from followup.services.library import Library
from followup.store import customers, enrollments, events, messages, orders, replies, visits
from followup.store.enrollments import AT_ONCE, StoredEnrollment
from followup.store.messages import StoredMessage
from followup.store.replies import Elsewhere


@dataclass(frozen=True, slots=True)
class Known:
    """An enrollment, the workflow version it is pinned to, and what is known of it."""

    stored: StoredEnrollment
    workflow: Workflow
    facts: Facts


def calendar_for(customer: Customer, workflow: Workflow | None, bundle: Bundle | None) -> Calendar:
    """Return where the customer lives in time; a missing or unknown zone falls back to workflow, shop, then UTC."""
    window = workflow.send_window if workflow else None
    fallback = (window.fallback_zone if window else None) or (bundle.shop.zone if bundle else calendars.UTC)
    return Calendar(
        calendars.zone(customer.timezone) or fallback, calendars.holidays_of(customer.country, customer.region)
    )


def from_folder(customer: Customer, workflow: Workflow, bundle: Bundle) -> dict[str, Any]:
    """Return those of the facts about a run that come from what was applied, not from the record."""
    return {
        "calendar": calendar_for(customer, workflow, bundle),
        "shop": bundle.shop,
        "sender": bundle.people.get(workflow.sender),
    }


def last_chances(
    conn: Connection, waiting: Sequence[StoredMessage], *, library: Library, due_at: datetime
) -> dict[int, datetime]:
    """Return until when each of these letters may leave if it is due at *due_at*, by its id, however many there are."""
    bundle = library.find_newest(conn)
    versions = enrollments.versions(conn, {message.enrollment_id for message in waiting})
    found: dict[int, datetime] = {}
    for start in range(0, len(waiting), AT_ONCE):
        some = waiting[start : start + AT_ONCE]
        people = customers.load(conn, {message.customer_id for message in some}, now=due_at)
        for message in some:
            workflow = library.workflow(conn, versions[message.enrollment_id])
            calendar = calendar_for(people[message.customer_id], workflow, bundle)
            found[message.id] = last_chance(workflow, message.step, due_at, calendar)
    return found


def read(
    conn: Connection,
    enrolled: Sequence[StoredEnrollment],
    *,
    library: Library,
    now: datetime,
    also: Collection[Workflow] = (),
) -> dict[int, Known]:
    """
    Return what is known of each enrollment at *now*, by its id.

    Args:
        also: other versions that are to look at the same facts; they may want other events than the ones runs are in.
    """
    if not enrolled:
        return {}
    bundle = library.newest(conn)
    workflows = {one.id: in_force(library.workflow(conn, one.version_id), bundle) for one in enrolled}
    people = {one.customer_id for one in enrolled}
    kinds = {kind for workflow in (*workflows.values(), *also) for kind in _wanted(workflow)} | set(IMPLIED_EXITS)
    happened: dict[int, list[Event]] = {}
    earliest = min(one.enrollment.entered_at for one in enrolled)  # what was before concerns none of them
    for recorded in events.of_customers(conn, people, kinds, since=earliest):
        happened.setdefault(recorded.customer_id, []).append(recorded.event)
    known_orders = orders.load(conn, _order_ids(enrolled, happened.values()))
    known_customers = customers.load(conn, people, now=now)
    ids = [one.id for one in enrolled]
    written = messages.of_enrollments(conn, ids)
    said, away = replies.responses(conn, ids), replies.absences(conn, ids)
    visited = visits.unanswered(conn, ids)
    answered, last_words = replies.last_answers(conn, people), replies.last_replies(conn, people)
    spoke = people & (answered.keys() | last_words.keys())
    all_said = replies.elsewhere(conn, spoke) if spoke else {}

    def known(one: StoredEnrollment) -> Known:
        workflow, customer = workflows[one.id], known_customers[one.customer_id]
        facts = Facts(
            customer=customer,
            order=known_orders.get(one.order_id or 0),
            **from_folder(customer, workflow, bundle),
            sent={(message.step, message.round): message.sent for message in written.get(one.id, ())},
            responses=_with_marks(said.get(one.id, ()), written.get(one.id, ()), visited),
            events=tuple(_visible(one, workflow, happened.get(one.customer_id, ()))),
            answers=answered.get(one.customer_id, {}),
            last_reply=last_words.get(one.customer_id),
            orders=known_orders,
            absences=away.get(one.id, {}),
            elsewhere=_elsewhere(one, all_said.get(one.customer_id, ())),
            timed_out=one.enrollment.waited is not None and one.enrollment.waited.timed_out,
            moved_at=one.enrollment.moved_at,
            stands_at=one.enrollment.position.step,
        )
        return Known(one, workflow, facts)

    return {one.id: known(one) for one in enrolled}


def _wanted(workflow: Workflow) -> Iterator[str]:
    """Yield the kinds of events that runs of *workflow* look at, besides those that end every run."""
    yield from (way_out.event for way_out in workflow.exit_on)
    yield from (step.event for step in workflow.all_steps if isinstance(step, WaitFor))


def _elsewhere(one: StoredEnrollment, said: Iterable[Elsewhere]) -> dict[str, Response]:
    """
    Return by letter what other workflows were answered about the same thing.

    That is the order of a run that is there for its order; another one, which an event began, asks about what has
    been since. What the same workflow was told before, it asks anew.
    """
    about_it: dict[str, list[Response]] = {}
    for other in said:
        since = one.order_id is None or one.entry_key.startswith("event:")
        same = other.response.at >= one.enrollment.entered_at if since else other.order_id == one.order_id
        if same and other.workflow != one.enrollment.workflow:
            about_it.setdefault(other.letter, []).append(other.response)
    return {letter: combined(responses) for letter, responses in about_it.items()}


def _with_marks(
    said: Sequence[Response], written: Sequence[StoredMessage], visited: Mapping[int, Sequence[Visit]]
) -> tuple[Response, ...]:
    """Return the responses with the clicks that nobody confirmed yet, oldest first."""
    marks = [mark for message in written if (mark := _mark(message, visited.get(message.id, ())))]
    return tuple(sorted((*said, *marks), key=lambda response: response.at)) if marks else tuple(said)


def _mark(message: StoredMessage, visited: Sequence[Visit]) -> Response | None:
    visit = lone_mark(visited)
    choice = message.asked.choice(visit.choice) if visit and visit.choice else None
    if visit is None or choice is None:
        return None
    about = {"step": message.step, "answer": choice.id, "label": choice.label}
    return Response(at=visit.at, source=Source.CLICK, provisional=True, **about)


def in_force(pinned: Workflow, bundle: Bundle) -> Workflow:
    """Return the pinned version as the newest lets it run: pausing or slowing a workflow concerns those inside too."""
    newest = bundle.workflows.get(pinned.name)
    if newest is None:  # its file is gone; what an operator switched stays so
        switched = bundle.switched.get(pinned.name)
        return replace(pinned, status=switched) if switched else pinned
    if (newest.status, newest.per_day) == (pinned.status, pinned.per_day):
        return pinned
    return replace(pinned, status=newest.status, per_day=newest.per_day)


def _order_ids(enrolled: Sequence[StoredEnrollment], happened: Iterable[Collection[Event]]) -> set[int]:
    own = {one.order_id for one in enrolled}
    others = {event.order_id for some in happened for event in some}
    return {order_id for order_id in own | others if order_id is not None}


def _visible(one: StoredEnrollment, workflow: Workflow, happened: Iterable[Event]) -> Iterable[Event]:
    """
    Yield what the enrollment may see.

    Of a run per order: this order's events, those about no order, and that the customer bought again.
    """
    for event in happened:
        own = event.order_id is None or event.order_id == one.order_id
        if own or workflow.trigger.per is Per.CUSTOMER or event.kind == EventKind.ORDER_PLACED:
            yield event


def before_entry(
    customer: Customer,
    order: Order | None,
    workflow: Workflow,
    bundle: Bundle,
    *,
    answers: Mapping[str, str] | None = None,
    last_reply: str | None = None,
) -> Facts:
    """Return what an entry condition may look at."""
    return Facts(
        answers=answers or {},
        last_reply=last_reply,
        customer=customer,
        order=order,
        calendar=calendar_for(customer, workflow, bundle),
        shop=bundle.shop,
        sender=bundle.people.get(workflow.sender),
    )
