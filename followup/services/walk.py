"""One customer across all workflows: what was, what comes if they say nothing, and what each answer would lead to."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.core.customer import Customer, InvalidAddress, normalize_address
from followup.core.events import EventKind
from followup.core.feel import Contact, Feeling, Touch, feel
from followup.core.order import Order
from followup.core.schedule import Calendar
from followup.core.workflow import WorkflowStatus
from followup.services import find
from followup.services.choices import Asking, asked, open_questions
from followup.services.deliver import Post
from followup.services.facts import calendar_for
from followup.services.library import Library
from followup.services.moves import Move, moves
from followup.services.rehearsal import A_DAY, Rehearsal
from followup.services.simulate import WORDS, Kind, Response, respond
from followup.store import customers, halts, orders, suppressions
from followup.store.engine import reading
from followup.store.suppressions import Suppression

MOST_DAYS = 400  # that are looked ahead
MOST_QUESTIONS = 12  # of which each answer is followed
_CONTACTS = {
    "ask": Contact.QUESTION,
    "send": Contact.LETTER,
    "remind": Contact.REMINDER,
    "answer": Contact.THEIRS,
    "reply": Contact.THEIRS,
    "closed": Contact.PERSON,
}


@dataclass(frozen=True, slots=True)
class Way:
    """
    What a response to a question leads to: only what does not happen in silence as well.

    ``ended`` is False where more comes after the days that were looked at.
    """

    response: Response
    moves: Sequence[Move]
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    """A question that is with the customer, or will be; a way for each response to it."""

    asked: Asking
    ways: Sequence[Way]


@dataclass(frozen=True, slots=True)
class UnderWay:
    """
    An order that stands and has not arrived; ``listening`` has the events still to come, and which live
    workflow each may begin. ``is_shared`` tells whether another shop has an order of that number.
    """

    number: str
    is_shipped: bool
    listening: tuple[tuple[str, str], ...]
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """
    ``past`` is what the record has, and what lasts since before ``now``; ``future`` is what comes if the customer says
    nothing and their orders stay as they are; ``ended`` whether nothing comes after it. A wait that is another one in
    what plays the future stands in ``past`` as it was, and in ``future``, at ``now``, as it is from then on.
    ``suppressed`` is why no letter, or none of a workflow, goes to them; ``halted`` why none leaves at all, if none
    does. ``left`` counts questions whose answers were not followed. ``bundle`` is the hash of what plays the future; of
    what was decided about people where that is the folder, ``unused`` does not concern this one.
    """

    customer: Customer
    calendar: Calendar
    now: datetime
    past: Sequence[Move]
    future: Sequence[Move]
    questions: Sequence[Question]
    feelings: Sequence[Feeling]
    ended: bool
    under_way: Sequence[UnderWay]
    suppressed: Sequence[Suppression]
    halted: str | None
    left: int
    bundle: str
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """A bundle that does not run yet, and what becomes of people at steps that it does not have."""

    bundle: Bundle
    in_flight: Mapping[str, str] = field(default_factory=dict)


def walk(
    engine: Engine,
    email: str,
    *,
    library: Library,
    post: Post,
    now: datetime,
    days: int = MOST_DAYS,
    close_after: timedelta | None = A_DAY,
    folder: Folder | None = None,
) -> Walk:
    """
    Look at a customer's record, and play it on in a copy; the database is only read.

    Args:
        post: what delivering takes in a rehearsal.
        close_after: as for a `Rehearsal`.
        folder: what comes is as if this were applied now; None: by what runs.

    Raises:
        NotFound: there is no such customer.
        InvalidAddress: *email* is not an address; where it is an order's number, it says whose.
        StrandedPeople: the customer stands at a step that *folder* does not have, and it is not said what becomes of
            them.
    """
    with reading(engine) as conn:
        address = _address(conn, email)
        customer_id = find.customer_id(conn, address, typed=email)
        bundle = folder.bundle if folder else library.newest(conn)
        customer = customers.load(conn, [customer_id], now=now)[customer_id]
        past = moves(conn, customer_id, library=library)
        under_way = _under_way(conn, orders.of_customer(conn, customer_id), bundle, now)
        suppressed = suppressions.of(conn, suppressions.address_hash(address, post.suppression_key))
        halted = [halt.reason for halt in halts.current(conn).values()]
    happened = set(past)
    if folder:
        past = _with_waits(past, _lasting_as_it_runs(engine, address, customer_id, library=library, post=post, now=now))
        happened.update(past)
        library = Library(bundle)  # its versions have numbers of their own in the copy
    main = Rehearsal.of_customer(
        engine, address, customer_id, library=library, post=post, at=now, close_after=close_after
    )
    until = now + timedelta(days=days)
    calendar = calendar_for(customer, None, bundle)
    with ExitStack() as opened:
        opened.callback(main.close)
        unused = main.apply(bundle, folder.in_flight).unused if folder else ()
        forks, left = _play(main, until, opened)
        known = set(main.moves)
        news = [move for move in main.moves if move not in happened]
        future = [move for move in news if not _lasts(move, now)]
        lasting = [move for move in news if _lasts(move, now)]
        if folder:
            future = sorted([*future, *(replace(move, at=now) for move in lasting)], key=lambda move: move.at)
        else:
            past = _with_waits(past, lasting)
        questions = [_followed(question, ways, known, until) for question, ways in forks]
        feelings = _felt_ahead(past, future, calendar)
        ended = main.is_over
    return Walk(
        customer=customer,
        calendar=calendar,
        now=now,
        past=past,
        future=future,
        questions=questions,
        feelings=feelings,
        ended=ended,
        under_way=under_way,
        suppressed=suppressed,
        halted=halted[0] if halted else None,
        left=left,
        bundle=bundle.hash,
        unused=unused,
    )


def _address(conn: Connection, typed: str) -> str:
    try:
        return normalize_address(typed)
    except InvalidAddress:
        found = orders.find(conn, typed)
        theirs = {customers.address_of(conn, one.customer_id): None for one in found}
        known = [address for address in theirs if address is not None]
        if not known:
            raise
        raise InvalidAddress(
            f"{typed!r} is not a mail address but the number of an order, of {' and '.join(known)}",
            hint="; ".join(f"followup walk {address}" for address in known),
        ) from None


def _under_way(conn: Connection, bought: Iterable[Order], bundle: Bundle, now: datetime) -> list[UnderWay]:
    """Return the orders that stand and have not arrived by *now*, the oldest first."""
    found = []
    live = [one for _, one in sorted(bundle.workflows.items()) if one.status is WorkflowStatus.LIVE]
    for order in bought:
        if order.is_void or (order.delivered_at is not None and order.delivered_at <= now):
            continue
        shipped = order.fulfilled_at is not None and order.fulfilled_at <= now
        ahead = [EventKind.ORDER_DELIVERED] if shipped else [EventKind.ORDER_FULFILLED, EventKind.ORDER_DELIVERED]
        listening = [(event.value, one.name) for event in ahead for one in live if one.trigger.event == event]
        shared = len(orders.find(conn, order.number)) > 1
        found.append(UnderWay(order.number, shipped, tuple(listening), is_shared=shared))
    return found


def _lasting_as_it_runs(
    engine: Engine, address: str, customer_id: int, *, library: Library, post: Post, now: datetime
) -> list[Move]:
    """Return the waits since before *now* that the record has not yet, or not as long as they are, by what runs."""
    rehearsal = Rehearsal.of_customer(engine, address, customer_id, library=library, post=post, at=now)
    try:
        known = set(rehearsal.moves)
        rehearsal.begin()
        return [move for move in rehearsal.moves if move not in known and _lasts(move, now)]
    finally:
        rehearsal.close()


def _lasts(move: Move, now: datetime) -> bool:
    """Tell whether a move of the future is a wait that began before *now*, in a run that nobody has looked at yet."""
    return move.kind == "wait" and move.at < now


def _with_waits(past: Sequence[Move], began: Sequence[Move]) -> list[Move]:
    """Return *past* with the waits that *began* in it, each as long as it is seen to be once the run is looked at."""
    seen = {_place(move) for move in began}
    left = [move for move in past if move.kind != "wait" or _place(move) not in seen]
    return sorted([*left, *began], key=lambda move: move.at)


def _place(move: Move) -> tuple[str | None, str | None, str | None]:
    return move.workflow, move.order, move.step


_Ways = list[tuple[Response, Rehearsal]]


def _play(main: Rehearsal, until: datetime, opened: ExitStack) -> tuple[list[tuple[Asking, _Ways]], int]:
    """
    Let silence go on until nothing more comes; return each question on the way, with a fork for each response.

    Forks are closed with *opened*, whatever goes wrong before all of them were followed.
    """
    forks: list[tuple[Asking, _Ways]] = []
    left = 0
    main.begin()
    ahead = open_questions(main)
    while True:
        for question in ahead:
            if len(forks) < MOST_QUESTIONS:
                forks.append((question, _forks(main, question, opened)))
            else:
                left += 1
        if not main.step(until):
            return forks, left
        ahead = asked(main)


def _forks(main: Rehearsal, question: Asking, opened: ExitStack) -> _Ways:
    responses = [*(Response(Kind.ANSWER, answer) for answer in question.offered), Response(Kind.REPLY, WORDS)]
    found = []
    for response in responses:
        fork = main.fork()
        opened.callback(fork.close)
        respond(fork, question, response)
        found.append((response, fork))
    return found


def _followed(question: Asking, forks: _Ways, silence: set[Move], until: datetime) -> Question:
    ways = []
    for response, fork in forks:
        fork.go_on(until)
        ways.append(Way(response, [move for move in fork.moves if move not in silence], fork.is_over))
        fork.close()
    return Question(question, ways)


def _felt_ahead(past: Sequence[Move], future: Sequence[Move], calendar: Calendar) -> list[Feeling]:
    """Return what stands out of all that reaches them, and is not over before what is to come reaches them."""
    ahead = _touches(future)
    felt = feel([*_touches(past), *ahead], calendar) if ahead else []
    return [one for one in felt if one.until >= ahead[0].at]


def _touches(found: Iterable[Move]) -> list[Touch]:
    touches = [Touch(move.at, _CONTACTS[move.kind], move.letter) for move in found if move.kind in _CONTACTS]
    return sorted(touches, key=lambda touch: touch.at)
