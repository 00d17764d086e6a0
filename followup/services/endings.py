"""Every way a workflow can end: a rehearsal is forked wherever its future depends on somebody."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import prod

from followup.core.chance import variant_of
from followup.services.begun import Begun
from followup.services.choices import Asking, Awaiting, asked, awaited, happening
from followup.services.moves import Move
from followup.services.rehearsal import Rehearsal
from followup.services.simulate import WORDS, Kind, Response, Setting, beginning, respond
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


@dataclass(slots=True)
class Endings:
    """``left`` counts futures that were not looked at any more; ``ways_left`` ways through splits."""

    found: list[Ending]
    nodes: int
    left: int = 0
    ways_left: int = 0


@dataclass(frozen=True, slots=True)
class _Option:
    """One thing that may happen at a choice; ``take`` plans it."""

    label: str
    take: Callable[[Rehearsal], None]


@dataclass(slots=True)
class _Node:
    """A future: the way its customer takes through splits, what was chosen so far, and what is to choose next."""

    rehearsal: Rehearsal
    begun: Begun
    way: tuple[str, ...]
    led: tuple[str, ...] = ()
    choices: tuple[tuple[_Option, ...], ...] = ()

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
        return (*(label for label in self.way if label in taken), *self.led)


def endings(
    chosen: Setting, prepared: Callable[[int], Rehearsal], customer_id: int | None, *, most: int = MOST_NODES
) -> Endings:
    """
    Return every ending that was found, those with the shortest examples first.

    Args:
        prepared: returns a rehearsal of the customer with this id.
        customer_id: whose it has to be; None: somebody for each way through the splits.
        most: how many futures are looked at.
    """
    ways, ways_left = ([((), customer_id)], 0) if customer_id is not None else _ways(chosen)
    search = _Search(most)
    nodes = []
    for led, whose in ways:
        rehearsal = prepared(whose)
        begun = beginning(rehearsal, chosen)
        rehearsal.begin()
        node = _Node(rehearsal, begun, led)
        node.choices = _choices(node)
        nodes.append(node)
    search.run(nodes)
    found = sorted(search.found.values(), key=lambda one: (len(one.example), one.example))
    return Endings(found, search.nodes, search.left, ways_left)


class _Search:
    """Looks at the futures with the fewest happenings first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.found: dict[tuple[str, str | None, str], Ending] = {}
        self.seen: set[tuple[str, ...]] = set()
        self.nodes = self.left = 0

    def run(self, roots: Sequence[_Node]) -> None:
        ahead = deque(roots)
        while ahead:
            node = ahead.popleft()
            if self.nodes >= self.most:
                self.left += 1
                node.rehearsal.close()
                continue
            self.nodes += 1
            while not node.choices and node.rehearsal.step():
                node.choices = _choices(node)
            if not node.choices:
                self._note(node)
                node.rehearsal.close()
                continue
            options, *rest = node.choices
            for number, option in enumerate(options, start=1):
                last = number == len(options)
                future = node.rehearsal if last else node.rehearsal.fork()
                option.take(future)
                ahead.append(_Node(future, node.begun, node.way, (*node.led, option.label), tuple(rest)))

    def _note(self, node: _Node) -> None:
        moves = node.begun.moves(node.rehearsal)
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
        if len(example) < len(known.example):
            known.example, known.moves = example, moves


def _choices(node: _Node) -> tuple[tuple[_Option, ...], ...]:
    """Return what the last step has made the run's future depend on; what it started goes on in silence."""
    if node.end is not None:
        return ()
    own = node.begun.runs(node.rehearsal)
    questions = (_responses(one) for one in asked(node.rehearsal) if one.run in own)
    waits = (_outcomes(one) for one in awaited(node.rehearsal) if one.run in own and one.can_be_made)
    return (*questions, *waits)


def _run(node: _Node) -> tuple[StoredEnrollment | None, int]:
    """Return the run that was begun, and how many letters it and those it started have sent."""
    own = node.begun.runs(node.rehearsal)
    with reading(node.rehearsal.engine) as conn:
        runs = enrollments.by_id(conn, own)
        written = [letter for letters in messages.of_enrollments(conn, own).values() for letter in letters]
    sent = [one for one in written if one.accepted_at is not None]
    return runs.get(node.begun.run(node.rehearsal) or 0), len(sent)


def _responses(question: Asking) -> tuple[_Option, ...]:
    possible = [Response(Kind.ANSWER, answer) for answer in question.offered]
    possible += [Response(Kind.REPLY, WORDS), Response(Kind.SILENCE)]
    return tuple(_Option(str(one), _responding(question, one)) for one in possible)


def _responding(question: Asking, response: Response) -> Callable[[Rehearsal], None]:
    return lambda rehearsal: respond(rehearsal, question, response)


def _outcomes(wait: Awaiting) -> tuple[_Option, ...]:
    def happens(rehearsal: Rehearsal) -> None:
        rehearsal.unplan(wait.event)
        rehearsal.plan(wait.at, happening(wait), kind=wait.event)

    return (
        _Option(wait.event, happens),
        _Option(f"no {wait.event}", lambda rehearsal: rehearsal.unplan(wait.event)),
    )


def _ways(chosen: Setting) -> tuple[list[tuple[tuple[str, ...], int]], int]:
    """Return somebody for each way through the splits, with its variants; and how many ways were left out."""
    splits = chosen.splits
    if not splits:
        return [((), 1)], 0
    wanted = prod(len(split.variants) for _, split in splits)
    found: dict[tuple[str, ...], int] = {}
    for customer_id in range(1, MOST_TRIED):
        way = tuple(_label(split.id, variant_of(workflow, split, customer_id).name) for workflow, split in splits)
        if found.setdefault(way, customer_id) == customer_id and len(found) == min(wanted, MOST_WAYS):
            break
    return sorted(found.items()), wanted - len(found)


def _label(split: str | None, variant: str) -> str:
    return f"{split}: {variant}"
