"""A letter on trial: as one customer would get it, sent to somebody else, and on nobody's record."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core.customer import InvalidAddress, normalize_address
from followup.core.facts import Facts
from followup.core.message import Answer, HaltScope
from followup.core.workflow import Ask, Send, Workflow
from followup.errors import NotFound, UsageError
from followup.mail.headers import SUBJECT_LENGTH, one_line
from followup.mail.message import OutgoingMail, Recipient
from followup.mail.transport import always
from followup.services import facts, find
from followup.services.deliver import Post
from followup.services.library import Library
from followup.services.write import Draft, write_out
from followup.store import customers, halts, suppressions
from followup.store.engine import reading


@dataclass(frozen=True, slots=True)
class Tried:
    """The letter as it was handed over, and what the way out said."""

    mail: OutgoingMail
    answer: Answer


def send_test(
    engine: Engine, letter: str, *, to: str, order_number: str, library: Library, post: Post, clock: Clock
) -> Tried:
    """
    Send *letter*, written for the customer of an order, to the address *to*.

    Its links and its reply address belong to no message: an answer to it ends among the unmatched mails.

    Raises:
        NotFound: no such letter, order, or person to write it.
        UsageError: everything is halted, or nobody may write to that address.
        FollowupError: the letter cannot be written with this customer's facts.
    """
    now = clock.now()
    with reading(engine) as conn:
        bundle = library.newest(conn)
        _must_be_allowed(conn, to, post)
        _must_exist(bundle, letter)
        workflow, step = _place(bundle, letter)
        about = _facts(conn, order_number, workflow, bundle, clock)
    draft = Draft(
        letter=bundle.letter(letter, about.customer.language),
        workflow=workflow,
        step=step,
        sender=workflow.sender,
        about=about,
        recipient=Recipient(to),
    )
    mail, _ = write_out(draft, bundle, post.identity, now)
    # reports about it must not look like ones about a letter that the database has lost
    mail = replace(mail, token=f"trial-{mail.token}", subject=one_line(f"[test] {mail.subject}", SUBJECT_LENGTH))
    ((_, answer),) = chain.from_iterable(post.transport.send([mail], may_begin=always))
    return Tried(mail, answer)


def _must_be_allowed(conn: Connection, to: str, post: Post) -> None:
    halt = halts.current(conn).get(HaltScope.ALL)
    if halt is not None:
        raise UsageError(f"everything is halted: {halt.reason}", hint="followup unhalt lets letters leave again")
    try:
        hash_ = suppressions.address_hash(normalize_address(to), post.suppression_key)
    except InvalidAddress as error:
        raise UsageError(f"{to!r} is not an address: {error}") from error
    why = suppressions.reasons(conn, [hash_], []).get((hash_, suppressions.ALL))
    if why is not None:
        raise UsageError(f"nobody may write to {to}: {why}", hint="Name another address of yours")


def _must_exist(bundle: Bundle, letter: str) -> None:
    if letter not in bundle.defaults:
        hint = find.nearest(letter, bundle.defaults) or f"There are: {', '.join(sorted(bundle.defaults))}"
        raise NotFound(f"there is no letter {letter!r}", hint=hint)


def _place(bundle: Bundle, letter: str) -> tuple[Workflow, str]:
    """Return a workflow and step in which the letter is sent: live ones first."""
    places = [
        (workflow, step.id)
        for workflow in sorted(bundle.workflows.values(), key=lambda one: (one.status.value != "live", one.name))
        for step in _letters(workflow)
        if letter in _letters_of(step)
    ]
    if not places:
        raise NotFound(f"no workflow sends the letter {letter!r}", hint="Name it in a step, and run: followup apply")
    return places[0]


def _letters(workflow: Workflow) -> Iterable[Ask | Send]:
    return (step for step in workflow.all_steps if isinstance(step, Ask | Send))


def _letters_of(step: Ask | Send) -> set[str]:
    return {step.letter, step.remind_with or ""} if isinstance(step, Ask) else {step.letter}


def _facts(conn: Connection, order_number: str, workflow: Workflow, bundle: Bundle, clock: Clock) -> Facts:
    found = find.orders_called(conn, order_number)[0]
    customer = customers.load(conn, [found.customer_id], now=clock.now())[found.customer_id]
    return facts.before_entry(customer, found.order, workflow, bundle)
