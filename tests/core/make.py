"""Small factories: a workflow, its steps, a customer, an order, facts, and a story that plays them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from followup.core.customer import ConsentBasis, Customer
from followup.core.decide import decide
from followup.core.decision import CancelMessages, Decision, NewMessage, RememberValues
from followup.core.enrollment import Enrollment, EnrollmentState, Phase, Position, moved
from followup.core.events import Event
from followup.core.facts import Facts, Sent, value_at
from followup.core.message import CANCELLABLE, MessageState
from followup.core.order import Item, Order, OrderStatus
from followup.core.people import Person, Shop
from followup.core.replies import Response, Source
from followup.core.schedule import Calendar, Duration
from followup.core.workflow import (
    Ask,
    Branch,
    Case,
    Condition,
    Handoff,
    Remember,
    Send,
    Split,
    Start,
    Step,
    Stop,
    Text,
    Trigger,
    Variant,
    Wait,
    WaitFor,
    Workflow,
    WorkflowStatus,
)

UTC_ZONE = ZoneInfo("UTC")
TRIGGER_EVENT = 100


def utc(text: str) -> datetime:
    """Read "2026-03-02 09:00" as UTC; an offset in the text is honoured."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


START = utc("2026-03-02 09:00")  # a Monday


def on(day: float, hour: float = 0) -> datetime:
    """Return the moment so many days and hours after the start of every story."""
    return START + timedelta(days=day, hours=hour)


def days(number: float) -> Duration:
    return Duration(elapsed=timedelta(days=number))


def hours(number: float) -> Duration:
    return Duration(elapsed=timedelta(hours=number))


# -- conditions and steps --


def is_set(name: str) -> Condition:
    return Condition(name, lambda names: bool(value_at(names, name)), names=(name,))


def equals(name: str, value: object) -> Condition:
    return Condition(f"{name} == {value!r}", lambda names: value_at(names, name) == value, names=(name,))


def answer(value: str) -> Condition:
    return equals("answer", value)


def wait(step_id: str, duration: Duration | None = None, **options: Any) -> Wait:
    return Wait(id=step_id, duration=duration or Duration(), **options)


def send(step_id: str, **options: Any) -> Send:
    return Send(id=step_id, **{"letter": step_id, **options})


def ask(step_id: str, **options: Any) -> Ask:
    return Ask(id=step_id, **{"letter": step_id, "timeout": days(5), **options})


def branch(step_id: str, *cases: Case, **options: Any) -> Branch:
    return Branch(id=step_id, cases=cases, **options)


def case(when: Condition, *do: Step) -> Case:
    return Case(when, do)


def otherwise(*do: Step) -> Case:
    return Case(None, do)


def stop(outcome: str, **options: Any) -> Stop:
    return Stop(**{"id": f"stop: {outcome}", "outcome": outcome, **options})


def wait_for(step_id: str, event: str, **options: Any) -> WaitFor:
    return WaitFor(**{"id": step_id, "event": event, "timeout": days(4), **options})


def split(step_id: str, *variants: Variant, **options: Any) -> Split:
    return Split(**{"id": step_id, "name": step_id, "variants": variants, **options})


def variant(name: str, weight: int, *do: Step) -> Variant:
    return Variant(name, weight, do)


def hand_off(step_id: str, person: str = "mara", **options: Any) -> Handoff:
    return Handoff(id=step_id, person=person, **options)


def remember(step_id: str, **values: Any) -> Remember:
    return Remember(id=step_id, values=values)


def start(step_id: str, workflow: str) -> Start:
    return Start(id=step_id, workflow=workflow)


def text_of(name: str) -> Text:
    """Return a text that is nothing but the value of *name*."""
    return Text(f"{{{{ {name} }}}}", lambda names: str(value_at(names, name) or ""), names=(name,))


def a_workflow(*steps: Step, **options: Any) -> Workflow:
    defaults: dict[str, Any] = {
        "name": "check-in",
        "title": "Did it arrive well?",
        "status": WorkflowStatus.LIVE,
        "trigger": Trigger("order.delivered"),
        "sender": "mara",
        "owner": "mara",
        "steps": steps,
    }
    return Workflow(**defaults | options)


# -- facts --


def a_customer(**options: Any) -> Customer:
    defaults: dict[str, Any] = {
        "id": 1,
        "email": "ana@shop.example",
        "first_name": "Ana",
        "consent_basis": ConsentBasis.OPT_IN,
        "order_count": 1,
        "last_order_at": on(-5),
    }
    return Customer(**defaults | options)


def an_order(**options: Any) -> Order:
    defaults: dict[str, Any] = {
        "id": 7,
        "number": "1007",
        "status": OrderStatus.DELIVERED,
        "placed_at": on(-5),
        "delivered_at": on(0),
        "total_cents": 4900,
        "currency": "EUR",
        "items": (Item(name="Teapot", category="tea", price_cents=4900),),
    }
    return Order(**defaults | options)


def a_person() -> Person:
    return Person(key="mara", name="Mara Lindqvist", email="mara@shop.example", signature="Mara")


def a_shop(**options: Any) -> Shop:
    return Shop(**{"name": "Tea & Co", "postal_address": "1 High Street", **options})


def facts(**options: Any) -> Facts:
    order = options.pop("order", an_order())
    defaults: dict[str, Any] = {
        "customer": a_customer(),
        "order": order,
        "orders": {order.id: order} if order else {},
        "calendar": Calendar(UTC_ZONE),
        "shop": a_shop(),
        "sender": a_person(),
    }
    return Facts(**defaults | options)


def sent(step_id: str, round_: int = 0, **options: Any) -> Sent:
    """Return a letter the provider took at the start, unless told otherwise."""
    defaults: dict[str, Any] = {
        "id": 1,
        "step": step_id,
        "round": round_,
        "state": MessageState.ACCEPTED,
        "due_at": START,
        "accepted_at": START,
    }
    return Sent(**defaults | options)


def by_step(*letters: Sent) -> dict[tuple[str, int], Sent]:
    return {(letter.step, letter.round): letter for letter in letters}


def a_response(step_id: str, at: datetime, **options: Any) -> Response:
    return Response(**{"at": at, "step": step_id, "source": Source.CLICK, **options})


def an_enrollment(workflow: Workflow, **options: Any) -> Enrollment:
    defaults: dict[str, Any] = {
        "id": 1,
        "workflow": workflow.name,
        "state": EnrollmentState.ACTIVE,
        "entered_at": START,
        "position": Position(workflow.first_step, Phase.BEFORE, START),
        "trigger_event_id": TRIGGER_EVENT,
    }
    return Enrollment(**defaults | options)


# -- a story: what the services do with a decision, without a database --


@dataclass
class Story:
    """One enrollment and its facts. ``decide`` folds the decision in, the other methods let things happen."""

    workflow: Workflow
    facts: Facts
    enrollment: Enrollment

    def decide(self, now: datetime) -> Decision:
        decision = decide(self.workflow, self.enrollment, self.facts, now=now)
        for effect in decision.effects:
            match effect:
                case NewMessage():
                    assert (effect.step, effect.round) not in self.facts.sent
                    letter = Sent(
                        id=len(self.facts.sent) + 1,
                        step=effect.step,
                        round=effect.round,
                        state=MessageState.DUE,
                        due_at=effect.due_at,
                    )
                    self._put(letter)
                case CancelMessages(step, round_):
                    for letter in list(self.facts.sent.values()):
                        meant = step is None or (letter.step, letter.round) == (step, round_)
                        if meant and letter.state in CANCELLABLE:
                            self._put(replace(letter, state=MessageState.CANCELLED, reason="cancelled"))
                case RememberValues(values=values):
                    customer = self.facts.customer
                    customer = replace(customer, remembered={**customer.remembered, **values})
                    self.facts = replace(self.facts, customer=customer)
        state = moved(self.enrollment.state, decision.ended) if decision.ended else self.enrollment.state
        self.enrollment = replace(self.enrollment, position=decision.position, state=state, waited=decision.waited)
        timed_out = decision.waited is not None and decision.waited.timed_out  # as services.facts reads it
        self.facts = replace(self.facts, timed_out=timed_out)
        return decision

    def _put(self, letter: Sent) -> None:
        self.facts = replace(self.facts, sent={**self.facts.sent, (letter.step, letter.round): letter})

    def letter(self, step_id: str, round_: int = 0) -> Sent:
        return self.facts.sent[step_id, round_]

    def settles(self, step_id: str, state: MessageState, round_: int = 0, **options: Any) -> None:
        self._put(replace(self.letter(step_id, round_), state=state, **options))

    def accepts(self, step_id: str, at: datetime, round_: int = 0) -> None:
        self.settles(step_id, MessageState.ACCEPTED, round_, accepted_at=at)

    def answers(self, step_id: str, at: datetime, choice: str | None = None, **options: Any) -> None:
        said = a_response(step_id, at, answer=choice, **options)
        self.facts = replace(self.facts, responses=(*self.facts.responses, said))

    def happens(
        self,
        kind: str,
        at: datetime,
        *,
        order: Order | None = None,
        event_id: int | None = None,
        **event_data: object,
    ) -> None:
        """Let an event happen to the run's own order, or to *order*."""
        order = order or self.facts.order
        new = Event(
            id=event_id or TRIGGER_EVENT + 1 + len(self.facts.events),
            kind=kind,
            occurred_at=at,
            order_id=order.id if order else None,
            data=event_data,
        )
        orders = {**self.facts.orders, **({order.id: order} if order else {})}
        self.facts = replace(self.facts, events=(*self.facts.events, new), orders=orders)


def a_story(*steps: Step, known: Mapping[str, Any] | None = None, **options: Any) -> Story:
    """Return a run that has just entered a workflow of *steps*; *options* go to the workflow."""
    workflow = a_workflow(*steps, **options)
    return Story(workflow, facts(**known or {}), an_enrollment(workflow))
