"""The operator's brake: every letter stops at once, and goes on when it is released."""

from sqlalchemy import Engine

from followup.clock import Clock
from followup.core.gates import HALTED
from followup.core.message import HaltScope
from followup.services.converse import release
from followup.services.library import Library
from followup.store import audit, halts, messages
from followup.store.engine import writing

LIFTED = "letters may leave again"


def halt(engine: Engine, reason: str, *, clock: Clock) -> bool:
    """
    Stop every letter; return False when that was done already.

    What is on its way to the provider at this moment still leaves. What falls due from now on is held, and
    reminders are left out.
    """
    now = clock.now()
    with writing(engine, "halt") as conn:
        if not halts.halt(conn, HaltScope.ALL, reason=reason, now=now):
            return False
        audit.add(conn, "halt", {"reason": reason}, now=now)
    return True


def unhalt(engine: Engine, *, library: Library, clock: Clock) -> int | None:
    """
    Let letters leave again; return how many were held, None when nothing was halted.

    Their lateness starts anew, and every other gate is asked again before each of them leaves.
    """
    now = clock.now()
    with writing(engine, "unhalt") as conn:
        if not halts.lift(conn, HaltScope.ALL):
            return None
        held = messages.held(conn, reason=HALTED)
        released = release(conn, held, because=LIFTED, library=library, now=now)
        audit.add(conn, "unhalt", {"released": released}, now=now)
    return released
