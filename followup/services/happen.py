"""Events of the shop's own: something happened to a customer that no order report tells of."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.clock import Clock
from followup.core.customer import normalize_address
from followup.core.events import LONGEST_NAME, NAME, OURS, is_custom
from followup.errors import NotFound, UsageError
from followup.services import find
from followup.services.enroll import enroll, triggered_by
from followup.services.library import Library
from followup.store import customers, enrollments, events, orders
from followup.store.engine import writing
from followup.store.events import NewEvent

LARGEST_DATA = 8_000  # bytes of JSON
SOURCE = "shop"


@dataclass(frozen=True, slots=True)
class Happened:
    """
    What came of an event: whether it was new, the workflows it let the customer into, and why not others.

    ``hint`` is at the event that may have been meant, when no workflow names this one.
    """

    new: bool
    entered: tuple[str, ...] = ()
    refused: Mapping[str, str] | None = None
    hint: str = ""


def happen(
    engine: Engine,
    kind: str,
    *,
    email: str,
    order_number: str | None,
    data: Mapping[str, object],
    key: str | None,
    at: datetime | None,
    library: Library,
    clock: Clock,
) -> Happened:
    """
    Put an event on a customer's timeline, wake their runs, and let them into the workflows that wait for it.

    Args:
        key: names the event in its source; the same one again changes nothing. None: it is one of its own.
        at: when it happened (aware), not in the future; None: now.

    Raises:
        UsageError: the name is not one for an event of the shop's own, its data is too large, it lies in the
            future, or the order is somebody else's.
        InvalidAddress: *email* is not an address.
        NotFound: there is no such customer or order.
    """
    now = clock.now()
    moment = at or now
    _check(kind, data, moment, now)
    with writing(engine, "happen") as conn:
        customer_id = find.customer_id(conn, normalize_address(email), typed=email)
        order_id = _order(conn, order_number, customer_id) if order_number else None
        customers.lock(conn, [customer_id])
        event = NewEvent(
            customer_id=customer_id,
            order_id=order_id,
            kind=kind,
            occurred_at=moment,
            source=SOURCE,
            external_id=f"{kind}:{key or secrets.token_hex(16)}",
            data=dict(data),
        )
        recorded = events.add(conn, [event], now=now)
        if not recorded:
            return Happened(new=False)
        enrollments.wake_for_events(conn, [customer_id], at=now)
        bundle = library.newest(conn)
        wanted = triggered_by(bundle, recorded)
        results = enroll(conn, wanted, bundle=bundle, now=now)
    names = [entry.workflow.name for entry in wanted]
    pairs = list(zip(names, results, strict=True))
    return Happened(
        new=True,
        entered=tuple(name for name, result in pairs if result.enrollment_id is not None),
        refused={name: result.reason for name, result in pairs if result.enrollment_id is None},
        hint=_meant(kind, bundle),
    )


def _meant(kind: str, bundle: Bundle) -> str:
    named = {event for workflow in bundle.workflows.values() for event in workflow.events if is_custom(event)}
    return "" if kind in named else find.nearest(kind, named)


def _check(kind: str, data: Mapping[str, object], moment: datetime, now: datetime) -> None:
    if len(kind) > LONGEST_NAME or not NAME.fullmatch(kind):
        raise UsageError(f"{kind!r} is no name for an event", hint="Use lower-case words: support.ticket_opened")
    if not is_custom(kind):
        known = "followup makes that event itself" if kind in OURS else "that word is one of followup's own"
        raise UsageError(f"{kind!r} cannot be reported: {known}", hint="Name it after what happened: support.solved")
    if moment > now:
        raise UsageError(f"{moment.isoformat()} has not come yet", hint="Report it when it has happened")
    try:
        written = json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:  # also what is no text (UnicodeEncodeError)
        raise UsageError(f"the data cannot be kept: {error}", hint="Use text, numbers, true, false, null") from error
    if b"\\u0000" in written:
        raise UsageError("the data has a NUL character, which no database keeps", hint="Leave it out")
    if len(written) > LARGEST_DATA:
        raise UsageError(f"the data of an event may have {LARGEST_DATA:,} bytes", hint="Leave out what no file reads")


def _order(conn: Connection, number: str, customer_id: int) -> int:
    found = find.orders_called(conn, number)
    own = [one.order.id for one in found if one.customer_id == customer_id]
    if not own:
        theirs = orders.numbers_of(conn, customer_id)
        hint = find.nearest(number, theirs) or f"Theirs are: {', '.join(theirs) or 'none'}"
        raise NotFound(f"order {number} is not one of that customer's", hint=hint)
    return own[0]
