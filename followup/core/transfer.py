"""
From one version of a workflow to the next: which step is which, and where somebody inside goes.

A step is the same one if it has the same id and is of the same kind. Ids that only count (``wait-2``) say nothing
when a step is put in before them, so such steps are matched by their place among the others: along each list of
steps, in order, as many as can be.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from followup.core.enrollment import Action, Phase, Position
from followup.core.workflow import FINISHED, Branch, Case, Letter, Split, Step, Workflow

T = TypeVar("T")
STOPPED = "its step was taken out"  # the outcome of runs that are stopped so, and why letters of others do not leave
QUESTION_OUT = "its question was taken out"  # why a question does not leave then
GONE_ON = "its run has gone on"  # why a letter that was on its way out then does not leave
UNNEEDED = "no longer needed"  # why a reminder does not leave that its step does not want any more
PASSED_BY = frozenset({STOPPED, QUESTION_OUT, GONE_ON})
ALIKE, SIMILAR = 3, 1  # how much a pair of steps counts: nothing was changed, or something


class InFlight(StrEnum):
    """What becomes of those who stand at a step that the next version does not have."""

    FINISH = "finish"  # they go on as they began, in the version they are in
    SKIP = "skip"  # they go on at what follows that step in both versions
    STOP = "stop"  # their run ends


@dataclass(frozen=True, slots=True)
class Landing:
    """
    Where a run goes on in the next version.

    ``left`` is the step whose letters are withdrawn; ``ended`` is set, with an ``outcome``, where it does not go on.
    """

    position: Position
    left: str | None = None
    ended: Action | None = None
    outcome: str | None = None


def matches(old: Workflow, new: Workflow) -> dict[str, str]:
    """Return by the id of each step of *old* the id of the same step in *new*, where there is one."""
    named = {step.id: step for step in new.all_steps if not step.numbered}
    pairs = [(step, named[step.id]) for step in old.all_steps if not step.numbered and step.id in named]
    found = {step.id: other.id for step, other in pairs if type(step) is type(other)}
    for step, other in pairs:
        _match_inside(step, other, found)
    _match_lists(old.steps, new.steps, found)
    return found


def land(
    position: Position, old: Workflow, new: Workflow | None, same: Mapping[str, str], how: InFlight, *, now: datetime
) -> Landing | None:
    """
    Return where a run that stands at *position* of *old* goes on in *new*; None: it stays in *old*.

    Args:
        new: None when the workflow is gone: there is nothing to be sent on to.
        same: as `matches` returns it.
        how: what becomes of it if *new* does not have its step.
        now: aware UTC; who is sent past a step comes to the next one now.
    """
    if position.step is None:
        return Landing(position) if new else None
    if new is None:
        return _stranded(position.step, old, {}, InFlight.FINISH if how is InFlight.SKIP else how, now)
    if position.phase is Phase.BEFORE and position.step == old.first_step:  # nothing has happened yet
        return Landing(replace(position, step=new.first_step))
    if (target := same.get(position.step)) is not None:
        return Landing(replace(position, step=target))
    return _stranded(position.step, old, same, how, now)


def _stranded(step: str, old: Workflow, same: Mapping[str, str], how: InFlight, now: datetime) -> Landing | None:
    if how is InFlight.FINISH:
        return None
    if how is InFlight.STOP:
        return Landing(Position(step, Phase.DONE, now), ended=Action.EXIT, outcome=STOPPED)
    onward = following(old, step, same)
    if onward is None:
        return Landing(Position(None, Phase.DONE, now), ended=Action.COMPLETE, outcome=FINISHED)
    return Landing(Position(onward, Phase.BEFORE, now), left=step)


def following(old: Workflow, step: str, same: Mapping[str, str]) -> str | None:
    """Return the id in the next version of what comes after *step* of *old*; None: nothing does."""
    onward = old.following(step)
    while onward is not None and onward not in same:
        onward = old.following(onward)
    return same[onward] if onward is not None else None


def _match_lists(old: Sequence[Step], new: Sequence[Step], found: dict[str, str]) -> None:
    for one, other in _aligned(old, new, lambda one, other: _likeness(one, other, found)):
        if one.numbered:  # the others are done
            found[one.id] = other.id
            _match_inside(one, other, found)


def _match_inside(one: Step, other: Step, found: dict[str, str]) -> None:
    """Match what two steps hold that are the same one: way by way, by name or condition, else by place."""
    was: Sequence[tuple[object, tuple[Step, ...]]]
    now: Sequence[tuple[object, tuple[Step, ...]]]
    match one, other:
        case Branch(), Branch():
            was, now = [(case.when, case.do) for case in one.cases], [(case.when, case.do) for case in other.cases]
        case Split(), Split():
            was = [(variant.name, variant.do) for variant in one.variants]
            now = [(variant.name, variant.do) for variant in other.variants]
        case _:
            return
    for before, after in _same_ways(was, now):
        _match_lists(before, after, found)


def _same_ways(
    was: Sequence[tuple[object, tuple[Step, ...]]], now: Sequence[tuple[object, tuple[Step, ...]]]
) -> Iterator[tuple[tuple[Step, ...], tuple[Step, ...]]]:
    """Yield what two steps hold on the ways that are the same: those called alike, wherever, then the rest by place."""
    left, rest = list(was), []
    for name, after in now:
        same = next((way for way in left if way[0] == name), None)
        if same is None:
            rest.append(after)
        else:
            left.remove(same)
            yield same[1], after
    yield from zip((before for _, before in left), rest, strict=False)


def _likeness(one: Step, other: Step, found: Mapping[str, str]) -> int:
    """Return how alike two steps are; 0: they are not the same one."""
    if type(one) is not type(other) or one.numbered != other.numbered:
        return 0
    if not one.numbered:  # steps with a name are matched by it already, wherever they stand
        return ALIKE if found.get(one.id) == other.id else 0
    if isinstance(one, Letter) and one.id != other.id:  # what was sent is known by its step's id
        return 0
    return ALIKE if unchanged(one, other) else SIMILAR


def unchanged(one: Step, other: Step) -> bool:
    """Tell whether two versions of a step say the same, but for what they hold and the number in their ids."""
    return _plain(one) == _plain(other)


def _plain(step: Step) -> Step:
    """Return *step* without its number; of one that holds others, without what they are."""
    match step:
        case Branch():
            return replace(step, id="", cases=tuple(Case(case.when, ()) for case in step.cases))
        case Split():
            return replace(step, id="", variants=tuple(replace(variant, do=()) for variant in step.variants))
    return replace(step, id="")


def _aligned(old: Sequence[T], new: Sequence[T], likeness: Callable[[T, T], int]) -> list[tuple[T, T]]:
    """
    Return pairs from *old* and *new* in the order of both, so that they are together as much alike as can be.

    This is the alignment of Needleman and Wunsch (1970), where a gap costs nothing.
    """
    best = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    like = [[likeness(one, other) for other in new] for one in old]
    for i in range(len(old) - 1, -1, -1):
        for j in range(len(new) - 1, -1, -1):
            pair = like[i][j] + best[i + 1][j + 1] if like[i][j] else 0
            best[i][j] = max(pair, best[i + 1][j], best[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(old) and j < len(new):
        if like[i][j] and best[i][j] == like[i][j] + best[i + 1][j + 1]:
            pairs.append((old[i], new[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs
