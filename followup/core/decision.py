"""What ``decide`` answers: where a run stands now, what has to be done for it, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from followup.core.enrollment import Action, Position, Waited
from followup.core.workflow import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """Write a letter: the ask or send itself (round 0) or its reminder (round 1)."""

    step: str
    round: int
    letter: str
    sender: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class CancelMessages:
    """Withdraw what has not left yet: of one step and round, or (None) of the whole enrollment."""

    step: str | None = None
    round: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOff:
    """Open the conversation for a person, and tell them."""

    step: str
    person: str
    note: str | None
    urgent: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class RememberValues:
    """Write these fields on the customer's record."""

    step: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class StartWorkflow:
    """Let the same order and customer into another workflow, as of ``at``."""

    step: str
    workflow: str
    at: datetime


Effect: TypeAlias = NewMessage | CancelMessages | HandOff | RememberValues | StartWorkflow


NO_CASE = "no case holds"  # how a branch notes that a run took none of its cases


def case_words(case: Case) -> str:
    """Return how a branch notes which of its cases a run took, after its number."""
    return f"when {case.when.source}" if case.when else "otherwise"


@dataclass(frozen=True, slots=True)
class Note:
    """Something decided that a person may ask about: the step, what, why, and the values it rests on."""

    step: str | None
    verdict: str
    reason: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    The next move: where the enrollment stands now and when to look again (None: when something wakes it).

    ``ended`` is set, with an ``outcome``, when the run is over. ``waited`` is how its last wait ended, by now.
    """

    position: Position
    wake_at: datetime | None = None
    ended: Action | None = None
    outcome: str | None = None
    waited: Waited | None = None
    effects: tuple[Effect, ...] = ()
    notes: tuple[Note, ...] = ()
