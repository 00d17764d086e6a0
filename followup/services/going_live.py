"""Whom a workflow that goes live would have taken in lately, had it been live, or takes in at once."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.chance import is_held_out
from followup.core.workflow import Workflow
from followup.services import timers
from followup.services.backfill import entry_for
from followup.services.enroll import Entry, would_enter
from followup.store import events, orders
from followup.store.events import Recorded

WEEK = timedelta(days=7)
BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class GoesLive:
    """
    Whom a workflow would have taken in during the last seven days.

    ``happened`` is how often its trigger did; None: it is started by hand, or whose silence it waits for has been
    noticed already. ``refused`` has why not, and how often; of those ``entering``, ``held_out`` would get nothing and
    only be measured. With ``at_once`` it is about customers who are quiet by now: they come in when it is applied.
    """

    workflow: str
    happened: int | None
    entering: int = 0
    held_out: int = 0
    refused: Mapping[str, int]
    at_once: bool = False


def going_live(conn: Connection, workflow: Workflow, *, bundle: Bundle, now: datetime, anew: bool = False) -> GoesLive:
    """
    Return whom *workflow* of *bundle* would have taken in until *now* (aware UTC); nothing is written or held.

    Args:
        anew: it begins to wait for its customers' silence, or for another one than before.
    """
    if workflow.trigger.event == "manual" or (workflow.trigger.after is not None and not anew):
        return GoesLive(workflow=workflow.name, happened=None, refused={})
    if workflow.trigger.after is not None:
        return _quiet_by_now(conn, workflow, bundle, now)
    refused: Counter[str] = Counter()
    entering: set[int] = set()
    number = held_out = 0
    for batch in _happened(conn, workflow.trigger.event, now):
        entries = [entry_for(workflow, one, at=one.event.occurred_at) for one in batch]
        for entry, why in zip(entries, would_enter(conn, entries, bundle=bundle, now=now), strict=True):
            reason = why.reason if why else _again(entry, entering)
            if reason:
                refused[reason.removeprefix("entry: ")] += 1
            else:
                entering.add(entry.customer_id)
                held_out += is_held_out(workflow, entry.customer_id)
        number += len(batch)
    entered = number - sum(refused.values())
    return GoesLive(
        workflow=workflow.name,
        happened=number,
        entering=entered,
        held_out=held_out,
        refused=dict(refused.most_common()),
    )


def _quiet_by_now(conn: Connection, workflow: Workflow, bundle: Bundle, now: datetime) -> GoesLive:
    quiet = [(key, at) for key, at in timers.quiet_at(conn, workflow, now=now).items() if at <= now]
    refused: Counter[str] = Counter()
    number = held_out = 0
    for start in range(0, len(quiet), BATCH):
        some = timers.unnoticed(conn, workflow, dict(quiet[start : start + BATCH]))
        last = orders.last_of_each(conn, some, now=now)
        entries = [
            Entry(workflow=workflow, customer_id=key, order_id=last.get(key), trigger=None, entered_at=at)
            for key, at in some.items()
        ]
        found = would_enter(conn, entries, bundle=bundle, now=now)
        refused.update(why.reason.removeprefix("entry: ") for why in found if why)
        let_in = [entry for entry, why in zip(entries, found, strict=True) if not why]
        held_out += sum(is_held_out(workflow, entry.customer_id) for entry in let_in)
        number += len(entries)
    return GoesLive(
        workflow=workflow.name,
        happened=number,
        entering=number - refused.total(),
        held_out=held_out,
        refused=dict(refused.most_common()),
        at_once=True,
    )


def _happened(conn: Connection, kind: str, now: datetime) -> Iterator[list[Recorded]]:
    """Yield the triggers of the week batch by batch, oldest first."""
    last = None
    while batch := events.of_kind_since(conn, kind, now - WEEK, now, after=last, limit=BATCH):
        yield batch
        last = batch[-1]


def _again(entry: Entry, entering: Collection[int]) -> str:
    """Return why somebody who would have come in a moment ago would not come in again."""
    never = entry.workflow.re_entry.never and entry.customer_id in entering
    return "re_entry: never, and the customer has been in before" if never else ""
