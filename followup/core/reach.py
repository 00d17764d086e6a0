"""Whether a run came to one of its steps, and if not, what kept it from there."""

import re
from collections.abc import Collection, Mapping
from enum import StrEnum

from followup.core.decision import NO_CASE, case_words
from followup.core.enrollment import Enrollment, EnrollmentState
from followup.core.workflow import Branch, Split, Step, Wait, Workflow, inside

_CASE = re.compile(r"case (\d+): (.*)", re.DOTALL)  # how a branch notes which way it went (core.decide)


class Reach(StrEnum):
    """How a run stands to a step of which nothing is on the record."""

    HERE = "stands here"
    DONE = "done"  # a wait: it leaves nothing on the record
    ADDED = "added behind it"  # anything else leaves something, so the step was not there when the run came by
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
    active, at = enrollment.state is EnrollmentState.ACTIVE, enrollment.position.step
    inside_of = {around.id: number for around, number in _around(workflow.steps, at)} if at else {}
    for around, number in _around(workflow.steps, step_id):
        ways = {inside_of[around.id]} if around.id in inside_of else _open_ways(around, turned)
        if number not in ways:
            return Reach.PASSED_BY, around.id
    if active and at == step_id:
        return Reach.HERE, None
    order = [step.id for step in workflow.all_steps]
    if at is None or (at in order and order.index(step_id) < order.index(at)):
        return (Reach.DONE if isinstance(workflow.step(step_id), Wait) else Reach.ADDED), None
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


def _open_ways(around: Step, turned: Mapping[str, str | None]) -> Collection[int]:
    """
    Return the numbers of the parts the run may have taken, as far as what was noted tells.

    What was noted in another version may be about another step of that id, or its cases had other numbers: a case is
    known by its words. Where it has no such case, nothing is known.
    """
    parts = range(len([*inside(around)]))
    if around.id not in turned:
        return parts
    note = turned[around.id]
    if note is None or note == NO_CASE:
        return ()
    match around:
        case Branch():
            noted = _CASE.fullmatch(note)
            words = [case_words(case) for case in around.cases]
            taken = [number for number in parts if noted and words[number] == noted[2]]
            return [int(noted[1]) - 1] if noted and int(noted[1]) - 1 in taken else taken or parts
        case Split():
            return [number for number in parts if around.variants[number].name == note] or parts
    return parts
