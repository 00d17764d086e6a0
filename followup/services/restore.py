"""After a database was restored from a backup: what may have left in the time that is lost is of unknown fate."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from followup.clock import Clock
from followup.core.gates import RESTORED
from followup.core.message import Action
from followup.errors import UsageError
from followup.services.claim import doubtful
from followup.services.verdicts import decided_about
from followup.store import audit, decisions, gaps, messages
from followup.store.engine import writing

BATCH = 500


@dataclass(frozen=True, slots=True)
class Recovered:
    """The gap that was noted, and how many letters are in doubt because of it."""

    since: datetime
    until: datetime
    doubtful: int


def recovered(engine: Engine, since: datetime, *, clock: Clock) -> Recovered:
    """
    Note that what happened since *since* (aware) is lost: the database is older than that.

    Every letter that may have left since is ``unknown`` from now on, and so will be those that are written
    only later but were due by now. Nothing of it goes again by itself. The same restore is noted once.

    Raises:
        UsageError: *since* is yet to come.
    """
    now, doubtful_letters = clock.now(), 0
    if since > now:
        raise UsageError(f"{since:%Y-%m-%d %H:%M} UTC is yet to come", hint="Give the time of the backup")
    with writing(engine, "restore") as conn:
        if (last := gaps.latest(conn)) is not None and last.since == since:
            return Recovered(since, last.until, 0)
        gaps.add(conn, since=since, until=now)
        while found := messages.lock_doubtful(conn, due_by=now, limit=BATCH):
            rows = [{"id": one.id, "reason": RESTORED, **doubtful(one, since)} for one in found]
            messages.move(conn, Action.DOUBT, rows)
            noted = [decided_about(one, at=now, verdict="unknown", gate="restored", reason=RESTORED) for one in found]
            decisions.add(conn, noted)
            doubtful_letters += len(found)
        data = {"since": since.isoformat(), "until": now.isoformat(), "doubtful": doubtful_letters}
        audit.add(conn, "db.recovered", data, now=now)
    return Recovered(since, now, doubtful_letters)
