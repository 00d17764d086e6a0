"""Reading the record: how things stand, and what one customer has been through."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.core.customer import Customer, normalize_address
from followup.core.events import Event
from followup.core.gates import FIRST_LETTERS
from followup.core.order import Order
from followup.core.replies import Burst, InboundState, Question, bursts
from followup.core.schedule import Calendar
from followup.core.workflow import Workflow
from followup.services import find
from followup.services.facts import calendar_for
from followup.services.library import Library
from followup.store import (
    conversations,
    customers,
    enrollments,
    events,
    halts,
    inbound_mail,
    messages,
    orders,
    replies,
    senders,
    suppressions,
    switches,
    unsent,
    visits,
    workflow_limits,
)
from followup.store.conversations import Waiting
from followup.store.engine import reading
from followup.store.inbound_mail import UnmatchedMail
from followup.store.replies import ListedReply
from followup.store.switches import Switch


@dataclass(frozen=True, slots=True)
class Status:
    """
    The numbers, by state; ``replies`` are mails, by kind, and ``answers`` letters that have one, by mail or click.

    ``waiting_for_us`` counts customers who wait for an answer.

    ``halted`` has the reason for each thing that stands still: ``all`` letters, or a sender, by ``sender:`` and its
    key. ``switched`` has the workflows that an operator paused or archived. ``first_letters`` has how many letters of
    a workflow are held until a person has read them.
    """

    customers: int
    orders: int
    enrollments: Mapping[str, int]
    messages: Mapping[str, int]
    replies: Mapping[str, int]
    answers: int
    waiting_for_us: int
    halted: Mapping[str, str]
    switched: Mapping[str, Switch]
    first_letters: Mapping[str, int]


def status(engine: Engine) -> Status:
    """Return how many of everything there are."""
    with reading(engine) as conn:
        return Status(
            customers.count(conn),
            orders.count(conn),
            enrollments.count_by_state(conn),
            messages.count_by_state(conn),
            replies.count_by_kind(conn),
            replies.count_answers(conn),
            conversations.count_waiting(conn),
            _standing_still(conn),
            switches.current(conn),
            {name: len(unsent.held_ids(conn, name, FIRST_LETTERS)) for name in workflow_limits.pending(conn)},
        )


def _standing_still(conn: Connection) -> dict[str, str]:
    standing, now = senders.all_of(conn)
    why = {key: one.paused or (one.because if one.is_closed(now) else None) for key, one in standing.items()}
    halted = {scope.value: halt.reason for scope, halt in halts.current(conn).items()}
    return halted | {f"sender:{key}": reason for key, reason in why.items() if reason}


@dataclass(frozen=True, slots=True)
class Opened:
    """Links of a letter that were opened in one go, of a question that has no confirmed answer."""

    question: Question
    burst: Burst

    @property
    def at(self) -> datetime:
        return self.burst.visits[0].at

    @property
    def seconds(self) -> int:
        """Return how long it took, rounded."""
        return round((self.burst.visits[-1].at - self.at).total_seconds())

    @property
    def clicked(self) -> str | None:
        """Return the label of the one answer that was clicked on; None if several links were opened at once."""
        choice = self.question.choice(self.burst.mark.choice or "") if self.burst.mark else None
        return choice.label if choice else None

    @property
    def is_scan(self) -> bool:
        """Tell whether different links were opened, as mail scanners do."""
        return len(self.burst.opened) > 1


@dataclass(frozen=True, slots=True)
class Record:
    """
    One customer's record; the calendar is where they live in time.

    ``suppressed`` is why no letter goes to their address at all; None: letters do.
    """

    customer: Customer
    calendar: Calendar
    timeline: list[Event]
    orders: Mapping[int, Order]
    waiting_since: datetime | None
    opened: list[Opened]
    suppressed: str | None


def record(engine: Engine, email: str, *, library: Library, suppression_key: str, now: datetime) -> Record:
    """
    Return everything about the customer with this address.

    Raises:
        InvalidAddress: it is no address.
        NotFound: it is nobody's; the hint names the nearest that is.
    """
    address = normalize_address(email)
    with reading(engine) as conn:
        customer_id = find.customer_id(conn, address, typed=email)
        customer = customers.load(conn, [customer_id], now=now)[customer_id]
        happened = events.timeline(conn, customer_id)
        bought = orders.load(conn, {event.order_id for event in happened if event.order_id})
        waiting = conversations.waiting_since(conn, [customer_id]).get(customer_id)
        calendar = calendar_for(customer, None, library.find_newest(conn))
        visited = visits.unanswered_by(conn, customer_id)
        opened = [Opened(question, burst) for question, seen in visited for burst in bursts(seen)]
        hash_ = suppressions.address_hash(address, suppression_key)
        suppressed = suppressions.reasons(conn, [hash_], []).get((hash_, suppressions.ALL))
        return Record(customer, calendar, happened, bought, waiting, opened, suppressed)


@dataclass(frozen=True, slots=True)
class ListedWorkflow:
    """
    A workflow, how many are in it, by state, and what an operator made of it, if its file has no say.

    Of one that was ``deleted`` it is the newest version in which somebody still is.
    """

    workflow: Workflow
    enrollments: Mapping[str, int]
    switch: Switch | None
    deleted: bool = False


def workflows(engine: Engine, *, library: Library) -> list[ListedWorkflow]:
    """Return the applied workflows, and the deleted ones that somebody still is in, by name."""
    with reading(engine) as conn:
        applied: Mapping[str, Workflow] = library.newest(conn).workflows
        newest: dict[str, int] = {}
        for place in enrollments.standing(conn):
            newest[place.workflow] = max(place.version_id, newest.get(place.workflow, 0))
        left = {name: library.workflow(conn, version) for name, version in newest.items() if name not in applied}
        counts = enrollments.count_by_workflow(conn)
        switched = switches.current(conn)
        return [
            ListedWorkflow(workflow, counts.get(name, {}), switched.get(name), deleted=name in left)
            for name, workflow in sorted({**applied, **left}.items())
        ]


def replies_of(engine: Engine, *, kind: str | None, limit: int) -> list[ListedReply]:
    """Return the newest mails and answers by click first."""
    with reading(engine) as conn:
        return replies.listed(conn, kind=kind, limit=limit)


@dataclass(frozen=True, slots=True)
class ListedConversation:
    """A customer who waits for an answer from us, and what they said last, by mail or by click."""

    waiting: Waiting
    last_words: str | None


def waiting(engine: Engine, *, limit: int) -> list[ListedConversation]:
    """Return who waits for an answer from us, longest first."""
    with reading(engine) as conn:
        found = conversations.waiting(conn, limit=limit)
        said = replies.last_words(conn, {one.customer_id for one in found})
        return [ListedConversation(one, said.get(one.customer_id)) for one in found]


def blocked(engine: Engine) -> list[str]:
    """Return why letters are blocked, each reason once."""
    with reading(engine) as conn:
        return unsent.blocked_reasons(conn)


def unmatched(engine: Engine, *, limit: int) -> list[UnmatchedMail]:
    """Return the mails that are on nobody's record, the newest first."""
    with reading(engine) as conn:
        return inbound_mail.unmatched(conn, limit=limit)


def count_unmatched(engine: Engine) -> int:
    """Return how many mails are on nobody's record."""
    with reading(engine) as conn:
        counts = inbound_mail.count_by_state(conn)
    return counts.get(InboundState.UNMATCHED, 0) + counts.get(InboundState.FAILED, 0)
