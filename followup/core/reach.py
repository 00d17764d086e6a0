"""Whether a run came to one of its steps, and if not, what kept it from there."""

import re
from collections.abc import Mapping
from enum import StrEnum

from followup.core.enrollment import Enrollment, EnrollmentState
from followup.core.workflow import Branch, Split, Step, Workflow, inside

_CASE = re.compile(r"case (\d+): ")  # how a branch notes which way it went


class Reach(StrEnum):
    """How a run stands to a step of which nothing is on the record."""

    HERE = "stands here"
    DONE = "done"
    NOT_YET = "not reached yet"
    PASSED_BY = "passed by"  # a branch, or a split, around it went another way
    ENDED = "ended before"
    HELD_OUT = "held out"


def reach(
    workflow: Workflow, enrollment: Enrollment, turned: Mapping[str, str | None], step_id: str
) -> tuple[Reach, str | None]:
    """
    Return how the run stands to the step *step_id*, and the step at which it went another way.

    Args:
        workflow: the version the run is pinned to; it has the step.
        turned: by branch or split, what was noted when the run came to it; None when its ``when`` did not hold.
    """
    if enrollment.state is EnrollmentState.HELD_OUT:
        return Reach.HELD_OUT, None
    for around, number in _around(workflow.steps, step_id):
        if around.id in turned and _taken(around, turned[around.id]) != number:
            return Reach.PASSED_BY, around.id
    active, at = enrollment.state is EnrollmentState.ACTIVE, enrollment.position.step
    if active and at == step_id:
        return Reach.HERE, None
    order = [step.id for step in workflow.all_steps]
    if at is None or (at in order and order.index(step_id) < order.index(at)):
        return Reach.DONE, None
    return (Reach.NOT_YET if active else Reach.ENDED), None


def _around(steps: tuple[Step, ...], step_id: str) -> list[tuple[Step, int]]:
    """Return the branches and splits that *step_id* stands in, outermost first, each with the number of its part."""
    for step in steps:
        for number, part in enumerate(inside(step)):
            if any(one.id == step_id for one in part):
                return [(step, number)]
            if further := _around(part, step_id):
                return [(step, number), *further]
    return []


def _taken(step: Step, note: str | None) -> int | None:
    """Return the number of the case or variant that was taken, from what was noted; None: of none."""
    match step:
        case Branch():
            found = _CASE.match(note or "")
            return int(found[1]) - 1 if found else None
        case Split():
            names = [variant.name for variant in step.variants]
            return names.index(note) if note in names else None
    return None
