"""Whom we never write to: what operators add, take back, bring in and take out. The list holds hashes, no addresses."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.customer import InvalidAddress, normalize_address
from followup.core.enrollment import EnrollmentState
from followup.core.events import EventKind
from followup.errors import FollowupError, NotFound, UsageError
from followup.services import find
from followup.services.library import Library
from followup.store import audit, customers, enrollments, events, suppressions
from followup.store.engine import reading, writing
from followup.store.events import NewEvent
from followup.store.suppressions import ALL, Suppression

BATCH = 500
LONGEST_REASON = 200
NO_TEXT = "\ufffd"  # what decoding puts where there was none
_HASH = re.compile(r"[0-9a-f]{64}")
_ADDRESS_COLUMNS = ("email", "address", "email_address", "e-mail")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was left out: where, what is wrong, how to mend it."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Imported:
    """How many addresses are new on the list, how many were there, and the lines that were left out."""

    added: int
    known: int
    bad: tuple[BadLine, ...]


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What is new on the list, and how many runs of the customer end by it, as soon as a worker looks at them."""

    ending: int


@dataclass(frozen=True, slots=True)
class _Line:
    hash: str
    scope: str
    reason: str
    at: datetime | None
    address: str | None


def suppress(
    engine: Engine, email: str, *, reason: str, workflow: str | None, key: str, library: Library, clock: Clock
) -> Suppressed | None:
    """
    Write to *email* no more, or no letter of *workflow*; return None if that was so already.

    A customer leaves every run it concerns, as if they had unsubscribed themselves.

    Raises:
        InvalidAddress: it is no address.
        NotFound: there is no such workflow.
    """
    address, now = normalize_address(email), clock.now()
    with writing(engine, "suppress.add") as conn:
        if workflow is not None and workflow not in library.newest(conn).workflows:
            raise find.no_workflow(workflow, library.newest(conn).workflows)
        line = _Line(suppressions.address_hash(address, key), workflow or ALL, reason, None, address)
        added = bool(_add(conn, [line], now))
        if not added:
            return None
        audit.add(conn, "suppressions.add", {"scope": workflow or ALL, "reason": reason}, now=now)
        return Suppressed(ending=_inside(conn, address) if workflow is None else 0)


def _inside(conn: Connection, address: str) -> int:
    """Return how many runs of the customer at *address* stand at a step."""
    customer_id = customers.id_of_address(conn, address)
    runs = enrollments.of_customer(conn, customer_id) if customer_id is not None else []
    return sum(run.enrollment.state is EnrollmentState.ACTIVE for run in runs)


def lift(engine: Engine, email: str, *, workflow: str | None, key: str, clock: Clock) -> None:
    """
    Let letters go to *email* again: the customer has asked for it.

    Raises:
        InvalidAddress: it is no address.
        NotFound: it is not on the list with that scope.
    """
    hash_, scope = suppressions.address_hash(normalize_address(email), key), workflow or ALL
    with writing(engine, "suppress.lift") as conn:
        if not suppressions.remove(conn, hash_, scope):
            raise _not_suppressed(conn, email, scope, [one.scope for one in suppressions.of(conn, hash_)])
        audit.add(conn, "suppressions.remove", {"scope": scope, "address_hash": hash_}, now=clock.now())


def _not_suppressed(conn: Connection, email: str, scope: str, scopes: Sequence[str]) -> NotFound:
    meant = find.nearest(scope, scopes) or (f"It is for: {', '.join(scopes)}" if scopes else meant_address(conn, email))
    return NotFound(f"{email} is not suppressed for {scope}", hint=meant or "followup suppressions list")


def meant_address(conn: Connection, email: str) -> str:
    """Return a hint at the customer whose address *email* may stand for; nothing when it is one."""
    address, known = normalize_address(email), customers.addresses(conn)
    return "" if address in known else find.nearest_address(address, known)


def meant(engine: Engine, email: str) -> str:
    """Do what `meant_address` does, in a transaction of its own."""
    with reading(engine) as conn:
        return meant_address(conn, email)


def of_address(engine: Engine, email: str, *, key: str) -> list[Suppression]:
    """Return what *email* is suppressed for."""
    with reading(engine) as conn:
        return suppressions.of(conn, suppressions.address_hash(normalize_address(email), key))


def listed(engine: Engine, *, limit: int | None = None) -> list[Suppression]:
    """Return the whole list, or the newest *limit* of it, the newest first."""
    with reading(engine) as conn:
        return suppressions.listed(conn, limit=limit)


def import_list(engine: Engine, raw: bytes, *, reason: str, key: str, clock: Clock) -> Imported:
    """
    Bring a list in: addresses one a line, a CSV with a column ``email`` (as SendGrid exports it), or our own export.

    Lines that cannot be used are left out and reported; bringing the same list in again changes nothing.

    Raises:
        FollowupError: the file is not text, or has no column of addresses.
    """
    now, added, known = clock.now(), 0, 0
    bad: list[BadLine] = []
    good: list[_Line] = []
    for line in _lines(raw, reason=reason[:LONGEST_REASON], key=key):
        (bad if isinstance(line, BadLine) else good).append(line)  # type: ignore[arg-type]
    for start in range(0, len(good), BATCH):
        with writing(engine, "suppress.import") as conn:
            new = _add(conn, good[start : start + BATCH], now)
        added, known = added + new, known + len(good[start : start + BATCH]) - new
    with writing(engine, "suppress.imported") as conn:
        audit.add(conn, "suppressions.import", {"added": added, "known": known, "bad": len(bad)}, now=now)
    return Imported(added, known, tuple(bad))


def _add(conn: Connection, lines: Sequence[_Line], now: datetime) -> int:
    """
    Put lines on the list; return how many are new. Customers who get no more letters are told to their runs.

    Customers are held first and in order, as everybody does who takes an address off.
    """
    found = {line.address: customers.id_of_address(conn, line.address) for line in lines if line.address}
    customers.lock(conn, [customer_id for customer_id in found.values() if customer_id is not None])
    new = [line for line in lines if _is_new(conn, line, now)]
    stopped = {found[line.address]: line.reason for line in new if line.address and line.scope == ALL}
    told = [_unsubscribed(customer_id, why, now) for customer_id, why in stopped.items() if customer_id is not None]
    events.add(conn, told, now=now)
    enrollments.wake_for_events(conn, [event.customer_id for event in told], at=now)
    return len(new)


def _is_new(conn: Connection, line: _Line, now: datetime) -> bool:
    at = min(line.at or now, now)
    return suppressions.add(conn, line.hash, reason=line.reason, source="operator", now=at, scope=line.scope)


def _unsubscribed(customer_id: int, reason: str, now: datetime) -> NewEvent:
    return NewEvent(
        customer_id=customer_id,
        kind=EventKind.CUSTOMER_UNSUBSCRIBED.value,
        occurred_at=now,
        source="operator",
        external_id=f"suppressed:{customer_id}:{now.isoformat()}",
        data={"reason": reason},
    )


def _lines(raw: bytes, *, reason: str, key: str) -> Iterator[_Line | BadLine]:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw[:2]:
        raise FollowupError("the list is not UTF-8 text", hint="Save it as CSV UTF-8 and import that")
    text = raw.decode("utf-8-sig", errors="replace")
    if not text.strip():
        raise UsageError("the list is empty", hint="Write one address a line, or a CSV with a column email")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] | None = None
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadLine(rows.line_num, f"cannot be read ({error}); look for a quote that is not closed")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = _header(cells)
            if header != ["email"] or "@" not in cells[0]:
                continue
        yield _line(dict(zip(header, cells, strict=False)), rows.line_num, reason=reason, key=key)


def _header(cells: list[str]) -> list[str]:
    """Return the names of the columns; a first line that begins with an address is none, but the list itself."""
    names = [cell.strip().lower() for cell in cells]
    if "@" in names[0]:
        return ["email"]
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise FollowupError(f"column {twice!r} is there twice", hint="Rename or drop one of them")
    if "address_hash" in names:
        return names
    for name in _ADDRESS_COLUMNS:
        if name in names:
            names[names.index(name)] = "email"
            return names
    raise FollowupError(
        f"the first line names no column of addresses: {', '.join(names[:8])}",
        hint="Call the column email, or write one address a line",
    )


def _line(row: Mapping[str, str], number: int, *, reason: str, key: str) -> _Line | BadLine:
    given = {name: (row.get(name) or "").strip() for name in ("email", "address_hash", "scope", "reason", "at")}
    if any("\0" in value for value in given.values()):
        return BadLine(number, "contains a NUL character; export the list again as text")
    at = _moment(given["at"])
    scope, why = given["scope"] or ALL, given["reason"][:LONGEST_REASON] or reason
    if given["address_hash"]:
        if not _HASH.fullmatch(given["address_hash"]):
            return BadLine(number, "address_hash is no hash of ours; take the list as followup wrote it")
        return _Line(given["address_hash"], scope, why, at, None)
    if NO_TEXT in given["email"]:  # another address would be suppressed in its place
        return BadLine(number, "the address is not UTF-8 text; save the list as CSV UTF-8")
    try:
        address = normalize_address(given["email"])
    except InvalidAddress as error:
        return BadLine(number, str(error))
    return _Line(suppressions.address_hash(address, key), scope, why, at, address)


def _moment(text: str) -> datetime | None:
    """Return a moment as our own export writes it; other lists' dates are theirs."""
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: at the ends of time there is no UTC
        return None
