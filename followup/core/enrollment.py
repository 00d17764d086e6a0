"""An enrollment: one customer's way through one workflow."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from followup.errors import IllegalTransition


class EnrollmentState(StrEnum):
    ACTIVE = "active"  # stands at a step
    COMPLETED = "completed"  # reached the end or a stop
    EXITED = "exited"  # an exit event took it out, or an operator archived its workflow
    HELD_OUT = "held_out"  # gets nothing and is measured; ended or not, it stays held out


class Action(StrEnum):
    COMPLETE = "complete"
    EXIT = "exit"


TRANSITIONS: Mapping[tuple[EnrollmentState, Action], EnrollmentState] = {
    (EnrollmentState.ACTIVE, Action.COMPLETE): EnrollmentState.COMPLETED,
    (EnrollmentState.ACTIVE, Action.EXIT): EnrollmentState.EXITED,
    (EnrollmentState.HELD_OUT, Action.EXIT): EnrollmentState.HELD_OUT,
}
FINAL = frozenset(EnrollmentState) - {state for state, _ in TRANSITIONS}


def moved(state: EnrollmentState, action: Action) -> EnrollmentState:
    """
    Return the state that *action* leads to.

    Raises:
        IllegalTransition: an enrollment that has ended takes no action.
    """
    try:
        return TRANSITIONS[state, action]
    except KeyError:
        raise IllegalTransition(f"an enrollment that is {state.value} cannot {action.value}") from None


class Phase(StrEnum):
    """How far an enrollment is within its step."""

    BEFORE = "before"  # nothing of the step has happened
    WAITING = "waiting"  # a wait is running
    SENDING = "sending"  # its letter is on the way out (or held, postponed, unknown)
    ASKED = "asked"  # its question was accepted; the answer or the timeout is awaited
    DONE = "done"  # the run has ended here


@dataclass(frozen=True, slots=True)
class Position:
    """
    Where an enrollment stands.

    ``since`` is the business moment at which it logically came to the step (when the wait before it
    was over, say), whenever a worker got round to it. All times within the step count from there, so a
    late worker or a backfill changes no schedule.
    """

    step: str | None
    phase: Phase
    since: datetime


@dataclass(frozen=True, slots=True)
class Waited:
    """
    How the last wait of a run ended: ``until`` is when, ``event_id`` the event that last ended one.

    The next ``wait_for`` looks back to here. ``timed_out`` is of the last ``wait_for``.
    """

    until: datetime
    event_id: int | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """
    ``waited`` is None until a wait was over.

    ``moved_at`` is when the run was moved to the version it is in: nothing that this version says ends before then.
    """

    id: int
    workflow: str
    state: EnrollmentState
    entered_at: datetime
    position: Position
    trigger_event_id: int | None = None
    waited: Waited | None = None
    moved_at: datetime | None = None

    @property
    def began(self) -> tuple[datetime, float]:
        """
        Return the moment and the event up to which everything happened before this run.

        That is its trigger; where another run started it, all that happened at that moment may have led to it.
        """
        return self.entered_at, math.inf if self.trigger_event_id is None else self.trigger_event_id
