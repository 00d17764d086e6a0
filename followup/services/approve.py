"""First letters: a workflow that goes live sends its first letters only when a person has read them."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.gates import FIRST_LETTERS
from followup.core.message import MessageState
from followup.errors import NotFound, UsageError
from followup.services import find
from followup.services.converse import release
from followup.services.library import Library
from followup.store import audit, messages, workflow_limits
from followup.store.engine import reading, writing
from followup.store.messages import StoredMessage
from followup.store.workflow_limits import FirstLetters

READ = "a person has read it"
ENOUGH = "enough of the first letters were read"


def waiting(engine: Engine) -> dict[str, FirstLetters]:
    """Return the workflows whose first letters wait for a person."""
    with reading(engine) as conn:
        return workflow_limits.pending(conn)


def release_letters(engine: Engine, ids: Collection[int], *, library: Library, clock: Clock) -> int:
    """
    Let these first letters go; return how many went, with those that no longer have to wait.

    When as many as were asked for have been let go, all that waits behind them goes too.

    Raises:
        NotFound: one of them is no message.
        UsageError: one of them is not held as a first letter.
    """
    now = clock.now()
    with writing(engine, "approve.letters") as conn:
        by_workflow = _first_letters(conn, ids)
        workflow_limits.lock(conn, by_workflow)
        released = 0
        for workflow in sorted(by_workflow):
            chosen = [one for one in _held(conn, workflow) if one.id in by_workflow[workflow]]
            messages.approve(conn, [one.id for one in chosen], now=now)
            released += release(conn, chosen, because=READ, library=library, now=now)
            workflow_limits.approve(conn, workflow, len(chosen))
            if not workflow_limits.first_letters(conn, [workflow])[workflow].pending:
                released += release(conn, _held(conn, workflow), because=ENOUGH, library=library, now=now)
        audit.add(conn, "messages.release", {"messages": sorted(ids), "released": released}, now=now)
    return released


def release_workflow(engine: Engine, workflow: str, *, library: Library, clock: Clock) -> int:
    """
    Let all letters of *workflow* go, and ask for no more first ones; return how many went.

    Raises:
        NotFound: no first letters of a workflow of that name wait.
    """
    now = clock.now()
    with writing(engine, "approve.workflow") as conn:
        workflow_limits.lock(conn, [workflow])
        first = workflow_limits.first_letters(conn, [workflow]).get(workflow)
        if first is None or not first.pending:
            raise _none_wait(conn, workflow, library)
        workflow_limits.approve_all(conn, workflow)
        released = release(conn, _held(conn, workflow), because=ENOUGH, library=library, now=now)
        audit.add(conn, "messages.release", {"workflow": workflow, "released": released}, now=now)
    return released


def _none_wait(conn: Connection, workflow: str, library: Library) -> NotFound:
    pending, applied = workflow_limits.pending(conn), library.newest(conn).workflows
    if workflow not in applied:
        return find.no_workflow(workflow, {*pending, *applied})
    hint = find.nearest(workflow, pending) or f"Those of these workflows do: {', '.join(pending) or 'none'}"
    return NotFound(f"no first letters of {workflow!r} wait", hint=hint)


def _held(conn: Connection, workflow: str) -> list[StoredMessage]:
    return messages.held(conn, workflows=[workflow], reason=FIRST_LETTERS)


def _first_letters(conn: Connection, ids: Collection[int]) -> Mapping[str, set[int]]:
    """Return *ids* by workflow, if all of them are held as first letters."""
    found: dict[str, set[int]] = {}
    for message_id in sorted(ids):
        listed = messages.find(conn, message_id)
        if listed is None:
            raise NotFound(f"there is no message {message_id}", hint="followup messages list --state held")
        message = listed.message
        if message.state is not MessageState.HELD or message.reason != FIRST_LETTERS:
            why = f"held: {message.reason}" if message.state is MessageState.HELD else message.state.value
            raise UsageError(f"message {message_id} is {why}", hint="Only first letters are let go one by one")
        found.setdefault(message.workflow, set()).add(message_id)
    return found
