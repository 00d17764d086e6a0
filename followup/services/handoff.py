"""Handing a customer over to a person: the conversation opens, its letters wait, and the person is told."""

from datetime import datetime

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.decision import HandOff
from followup.core.events import EventKind
from followup.core.people import covering
from followup.services.facts import Known
from followup.store import conversations, enrollments, events, notices
from followup.store.events import NewEvent
from followup.store.notices import NewNotice

RUN = "run:"  # and the run's id and step: the key of one hand-off
NOTICE = "handoff:"  # and that key


def hand_off(conn: Connection, one: Known, effect: HandOff, bundle: Bundle, now: datetime) -> None:
    """Open the customer's conversation for a person, or for who covers them today; the customer's row is held."""
    person = covering(bundle.people, _known(effect.person, one, bundle), now, otherwise=bundle.shop.zone)
    key = f"{RUN}{one.stored.id}:{effect.step}"
    about = {"workflow": one.workflow.name, "step": effect.step, "person": person}
    opened = conversations.hand_off(
        conn, one.stored.customer_id, person, note=effect.note, urgent=effect.urgent, at=effect.at
    )
    told = [_event(one, EventKind.HANDED_OFF, key, effect.at, {**about, "note": effect.note, "urgent": effect.urgent})]
    if opened:
        told.append(_event(one, EventKind.CONVERSATION_OPENED, key, effect.at, {**about, "owner": person}))
    events.add(conn, told, now=now)
    enrollments.wake_for_events(conn, [one.stored.customer_id], at=now)
    notices.add(conn, _notice(one, effect, person, key, now))


def run_of_notice(key: str) -> int | None:
    """Return the run whose hand-off a notice with this key tells of, if it is one."""
    begins = f"{NOTICE}{RUN}"
    return int(key.removeprefix(begins).split(":", maxsplit=1)[0]) if key.startswith(begins) else None


def _known(person: str, one: Known, bundle: Bundle) -> str:
    """Return *person*, or the workflow's owner of today where the run still names somebody who is gone."""
    newest = bundle.workflows.get(one.workflow.name)
    return person if person in bundle.people or newest is None else newest.owner


def _event(one: Known, kind: EventKind, key: str, at: datetime, data: dict[str, object]) -> NewEvent:
    return NewEvent(
        customer_id=one.stored.customer_id,
        order_id=one.stored.order_id,
        kind=kind.value,
        occurred_at=at,
        source="workflow",
        external_id=f"{kind.value}:{key}",
        data=data,
    )


def _notice(one: Known, effect: HandOff, person: str, key: str, now: datetime) -> NewNotice:
    customer, order = one.facts.customer, one.facts.order
    name = " ".join(part for part in (customer.first_name, customer.last_name) if part) or customer.email
    about = f", order {order.number}" if order else ""
    said = one.facts.last_reply
    parts = [
        effect.note,
        f"{name}{about}, is yours to answer.",
        f"What they wrote last:\n\n{said}" if said else None,
        f"It was the workflow {one.workflow.name} that asked for you, at its step {effect.step}. No letter goes to"
        " them until you close the conversation:\n\n"
        f"    followup customers show {customer.email}\n    followup conversations close {customer.email}",
    ]
    return NewNotice(
        key=f"{NOTICE}{key}",
        person=person,
        customer_id=one.stored.customer_id,
        subject=f"{'Urgent: ' if effect.urgent else ''}{name}{about}",
        text="\n\n".join(part for part in parts if part),
        created_at=now,
    )
