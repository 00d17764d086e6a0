"""Every way a workflow can end: a rehearsal is forked wherever its future depends on somebody."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import prod
from typing import TypeAlias

from followup.core.chance import variant_of
from followup.core.decide import is_heeded
from followup.core.workflow import Ask, Stop
from followup.services.begun import Begun
from followup.services.choices import Asking, Awaiting, asked, awaited, prevent
from followup.services.moves import Move
from followup.services.rehearsal import Rehearsal
from followup.services.simulate import WORDS, Kind, Response, Setting, beginning, bring_about, named_variant, respond
from followup.store import enrollments, messages
from followup.store.engine import reading
from followup.store.enrollments import StoredEnrollment

MOST_NODES = 400  # futures that are looked at
MOST_WAYS = 24  # through the splits of a workflow
MOST_TRIED = 20_000
ENDS = frozenset({"stop", "ended", "exited", "not_entered", "held_out"})


@dataclass(slots=True)
class Ending:
    """
    One way in which the run ends, by its step and outcome.

    ``example`` is the shortest of the *ways* that lead there; letters and days are the fewest and the most.
    """

    kind: str
    step: str | None
    outcome: str
    example: tuple[str, ...]
    moves: Sequence[Move] = field(repr=False)
    ways: int = 0
    letters: tuple[int, int] = (0, 0)
    days: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Unfollowed:
    """A wait for an event that could not be made to happen, and why."""

    step: str
    event: str
    reason: str


@dataclass(slots=True)
class Endings:
    """
    ``left`` counts futures that were not looked at any more; ``ways_left`` ways through splits.

    ``unreached`` are the outcomes of stops to which none led, where some were left out. ``unfollowed`` are waits of
    which only the one end was looked at that comes by itself.
    """

    found: list[Ending]
    nodes: int
    left: int = 0
    ways_left: int = 0
    unreached: list[str] = field(default_factory=list)
    unfollowed: list[Unfollowed] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Option:
    """
    One thing that may happen at a choice at *step*; ``take`` plans it.

    ``is_usual`` is that nothing happens; ``is_heeded`` tells whether what happens can lead the run elsewhere.
    """

    step: str
    label: str
    take: Callable[[Rehearsal], None]
    is_usual: bool
    is_heeded: bool = True
    awaited: Awaiting | None = None


@dataclass(slots=True)
class _Node:
    """
    A future: the way its customer takes through splits, what was chosen so far, and what is to choose next.

    ``rank`` puts futures in the order of the ways and options; ``unusual`` counts the choices that make a difference
    to nothing, and those that may make one, at which something happened. ``tried`` is how often what happened last had
    been tried before: where nothing happens, a future goes on in its turn.
    """

    rehearsal: Rehearsal
    begun: Begun
    way: tuple[str, ...]
    rank: tuple[int, ...]
    led: tuple[_Option, ...] = ()
    choices: tuple[tuple[_Option, ...], ...] = ()
    tried: int = 0

    @property
    def unusual(self) -> tuple[int, int]:
        happened = [option.is_heeded for option in self.led if not option.is_usual]
        return happened.count(False), happened.count(True)

    @property
    def end(self) -> Move | None:
        """Return the move that has ended the run, or kept it from beginning."""
        entry = self.begun.entry(self.rehearsal)
        if entry is None or entry.run is None:
            return entry
        ends = (one for one in self.rehearsal.moves if one.run == entry.run and one.kind in ENDS)
        return next(ends, None)

    @property
    def example(self) -> tuple[str, ...]:
        """Return what leads here; a split that was not come to leads nowhere."""
        taken = {_label(move.step, move.reason) for move in self.begun.moves(self.rehearsal) if move.kind == "split"}
        return (*(label for label in self.way if label in taken), *(option.label for option in self.led))


def endings(
    chosen: Setting,
    prepared: Callable[[int], Rehearsal],
    customer_id: int | None,
    *,
    variants: Sequence[str] = (),
    most: int = MOST_NODES,
) -> Endings:
    """
    Return every ending that was found, those with the shortest examples first.

    Args:
        prepared: returns a rehearsal of the customer with this id.
        customer_id: whose it has to be; None: somebody for each way through the splits.
        variants: those that are taken in any case, as for `simulate.customers_who_take`.
        most: how many futures are looked at.
    """
    ways, ways_left = ([((), customer_id)], 0) if customer_id is not None else _ways(chosen, variants)
    search = _Search(chosen, most)
    nodes = []
    for number, (way, whose) in enumerate(ways):
        rehearsal = prepared(whose)
        begun = beginning(rehearsal, chosen)
        rehearsal.begin()
        node = _Node(rehearsal, begun, way, (number,))
        node.choices = search.choices_of(node)
        nodes.append(node)
    search.run(nodes)
    found = sorted(search.found.values(), key=lambda one: (len(one.example), one.example))
    unreached = _unreached(chosen, found) if search.left or ways_left else []
    return Endings(found, search.nodes, search.left, ways_left, unreached, list(search.unfollowed))


def _unreached(chosen: Setting, found: Sequence[Ending]) -> list[str]:
    reached = {one.step for one in found}
    stops = [step for step in chosen.meant.all_steps if isinstance(step, Stop) and step.id not in reached]
    return list(dict.fromkeys(step.outcome for step in stops))


_Place: TypeAlias = tuple[bool, int, int, int, int, tuple[int, ...]]


class _Search:
    """
    Goes to the ends of futures: first of those in which something happens that has not been tried yet.

    Of others, those come first in which less is said that no condition reads; then those in which what happened last
    has been tried less often, then those in which less happens, and then the one that is nearest to its end.
    """

    def __init__(self, chosen: Setting, most: int) -> None:
        self.chosen, self.most = chosen, most
        self.found: dict[tuple[str, str | None, str], Ending] = {}
        self.ranks: dict[tuple[str, str | None, str], tuple[int, int, tuple[int, ...]]] = {}  # of the examples
        self.seen: set[tuple[str, ...]] = set()
        self.tried: Counter[tuple[str, str]] = Counter()
        self.unfollowed: dict[Unfollowed, None] = {}  # in the order in which they were come to
        self.nodes = self.left = 0

    def run(self, roots: Sequence[_Node]) -> None:
        ahead = [self._placed(node) for node in roots]
        while ahead and self.nodes < self.most:
            place, node = heapq.heappop(ahead)
            if place != (now := self._place(node)):  # what it would try has been tried since
                heapq.heappush(ahead, (now, node))
                continue
            self.nodes += 1
            if node.led and not node.led[-1].is_usual:
                self.tried[node.led[-1].step, node.led[-1].label] += 1
            for future in self._follow(node, place[2]):
                heapq.heappush(ahead, self._placed(future))
        self.left = len(ahead)
        for _, node in ahead:
            node.rehearsal.close()

    def _placed(self, node: _Node) -> tuple[_Place, _Node]:
        return self._place(node), node

    def _place(self, node: _Node) -> _Place:
        last = node.led[-1] if node.led else None
        tried = node.tried if last is None or last.is_usual else self.tried[last.step, last.label]
        unheeded, heeded = node.unusual
        return tried > 0, unheeded, tried, heeded, -len(node.led), node.rank

    def _follow(self, node: _Node, tried: int) -> Iterator[_Node]:
        """Go on to the next choice, and yield a future for each of its options; at the end, note it."""
        while not node.choices and node.rehearsal.step():
            node.choices = self.choices_of(node)
        if not node.choices:
            self._note(node)
            node.rehearsal.close()
            return
        options, *rest = node.choices
        for number, option in enumerate(options, start=1):
            future = node.rehearsal if number == len(options) else node.rehearsal.fork()
            option.take(future)
            rank, led = (*node.rank, number), (*node.led, option)
            yield _Node(future, node.begun, node.way, rank, led, tuple(rest), tried)

    def choices_of(self, node: _Node) -> tuple[tuple[_Option, ...], ...]:
        """Return what the last step has made the run's future depend on; what it started goes on in silence."""
        if node.end is not None:
            return ()
        own = node.begun.runs(node.rehearsal)
        questions = (self._responses(one) for one in asked(node.rehearsal) if one.run in own)
        waits = [one for one in awaited(node.rehearsal) if one.run in own]
        self.unfollowed |= {Unfollowed(one.step, one.event, one.obstacle): None for one in waits if one.obstacle}
        return (*questions, *(_outcomes(one) for one in waits if not one.obstacle))

    def _responses(self, question: Asking) -> tuple[_Option, ...]:
        possible = [Response(Kind.ANSWER, answer) for answer in question.offered]
        possible += [Response(Kind.REPLY, WORDS), Response(Kind.SILENCE)]
        step = self.chosen.meant.step(question.step) if question.workflow == self.chosen.workflow else None
        heeded = isinstance(step, Ask) and is_heeded(self.chosen.meant, step)
        return tuple(
            _Option(question.step, str(one), _responding(question, one), one.kind is Kind.SILENCE, heeded)
            for one in possible
        )

    def _note(self, node: _Node) -> None:
        moves = node.begun.moves(node.rehearsal)
        made = (option.awaited for option in node.led if option.awaited)
        if in_vain := [wait for wait in made if wait.waited_on(moves)]:  # as if it had not been made to happen
            self.unfollowed |= {Unfollowed(one.step, one.event, one.in_vain): None for one in in_vain}
            return
        run, letters = _run(node)
        end = node.end
        if end is None and run is not None:  # it stands still: held for ever, blocked, of unknown fate
            end = [move for move in moves if move.run == run.id][-1]
        example = node.example
        if end is None or example in self.seen:  # by customers who differ in nothing that was come to
            return
        self.seen.add(example)
        key = (end.kind, end.step, end.reason)
        days = (run.ended_at - run.enrollment.entered_at) / timedelta(days=1) if run and run.ended_at else 0.0
        known = self.found.setdefault(key, Ending(*key, example, moves, 0, (letters, letters), (days, days)))
        known.ways += 1
        known.letters = (min(known.letters[0], letters), max(known.letters[1], letters))
        known.days = (min(known.days[0], days), max(known.days[1], days))
        rank = (len(example), len(node.rank), node.rank)
        if rank <= self.ranks.setdefault(key, rank):
            self.ranks[key], known.example, known.moves = rank, example, moves


def _run(node: _Node) -> tuple[StoredEnrollment | None, int]:
    """Return the run that was begun, and how many letters it and those it started have sent."""
    own = node.begun.runs(node.rehearsal)
    with reading(node.rehearsal.engine) as conn:
        runs = enrollments.by_id(conn, own)
        written = [letter for letters in messages.of_enrollments(conn, own).values() for letter in letters]
    sent = [one for one in written if one.accepted_at is not None]
    return runs.get(node.begun.run(node.rehearsal) or 0), len(sent)


def _responding(question: Asking, response: Response) -> Callable[[Rehearsal], None]:
    return lambda rehearsal: respond(rehearsal, question, response)


def _outcomes(wait: Awaiting) -> tuple[_Option, ...]:
    return (
        _Option(wait.step, wait.event, lambda rehearsal: bring_about(rehearsal, wait), is_usual=False, awaited=wait),
        _Option(wait.step, f"no {wait.event}", lambda rehearsal: prevent(rehearsal, wait), is_usual=True),
    )


def _ways(chosen: Setting, variants: Sequence[str]) -> tuple[list[tuple[tuple[str, ...], int]], int]:
    """Return somebody for each way through the splits, by *variants* if any; and how many ways were left out."""
    splits = chosen.splits
    if not splits:
        return [((), 1)], 0
    given = [named_variant(chosen, written) for written in variants]
    taken = {(workflow.name, split.id) for workflow, split, _ in given}
    wanted = prod(len(split.variants) for workflow, split in splits if (workflow.name, split.id) not in taken)
    found: dict[tuple[str, ...], int] = {}
    for customer_id in range(1, MOST_TRIED):
        if any(variant_of(workflow, split, customer_id).name != name for workflow, split, name in given):
            continue
        way = tuple(_label(split.id, variant_of(workflow, split, customer_id).name) for workflow, split in splits)
        if found.setdefault(way, customer_id) == customer_id and len(found) == min(wanted, MOST_WAYS):
            break
    return sorted(found.items()), wanted - len(found)


def _label(split: str | None, variant: str) -> str:
    return f"{split}: {variant}"
