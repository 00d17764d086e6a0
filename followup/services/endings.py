"""Every way a workflow can end: a rehearsal is forked wherever its future depends on somebody."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import prod

from sqlalchemy import Connection

from followup.core.chance import variant_of
from followup.services.choices import Asking, Awaiting, asked, awaited, happening
from followup.services.moves import Move
from followup.services.rehearsal import Rehearsal
from followup.services.simulate import WORDS, Kind, Response, Setting, respond
from followup.store import customers, enrollments, messages
from followup.store.engine import reading
from followup.store.enrollments import StoredEnrollment

MOST_NODES = 400  # futures that are looked at
MOST_WAYS = 24  # through the splits of a workflow
MOST_TRIED = 20_000
NEVER = datetime.min.replace(tzinfo=UTC)
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
    way: tuple[str, ...]
    led: tuple[str, ...]
    choices: tuple[tuple[_Option, ...], ...]

    @property
    def example(self) -> tuple[str, ...]:
        """Return what leads here; a split that was not come to leads nowhere."""
        taken = {_label(move.step, move.reason) for move in self.rehearsal.moves if move.kind == "split"}
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
    search = _Search(chosen, most)
    nodes = []
    for led, whose in ways:
        rehearsal = prepared(whose)
        search.before = set(rehearsal.moves)
        rehearsal.begin()
        nodes.append(_Node(rehearsal, led, (), search.choices_of(rehearsal)))
    search.run(nodes)
    found = sorted(search.found.values(), key=lambda one: (len(one.example), one.example))
    return Endings(found, search.nodes, search.left, ways_left)


class _Search:
    """Looks at the futures with the fewest happenings first."""

    def __init__(self, chosen: Setting, most: int) -> None:
        self.chosen, self.scope, self.most = chosen, chosen.scope, most
        self.before: set[Move] = set()
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
                node.choices = self.choices_of(node.rehearsal)
            if not node.choices:
                self._note(node)
                node.rehearsal.close()
                continue
            options, *rest = node.choices
            for number, option in enumerate(options, start=1):
                last = number == len(options)
                future = node.rehearsal if last else node.rehearsal.fork()
                option.take(future)
                ahead.append(_Node(future, node.way, (*node.led, option.label), tuple(rest)))

    def choices_of(self, rehearsal: Rehearsal) -> tuple[tuple[_Option, ...], ...]:
        """Return what the last step has made the run's future depend on; what it started goes on in silence."""
        if self._end(rehearsal) is not None:
            return ()
        questions = (_responses(one) for one in asked(rehearsal) if one.workflow in self.scope)
        waits = (_outcomes(one) for one in awaited(rehearsal) if one.workflow in self.scope and one.can_be_made)
        return (*questions, *waits)

    def _end(self, rehearsal: Rehearsal) -> Move | None:
        """Return the move that has ended the run, or kept it from beginning."""
        ends = [one for one in rehearsal.moves if one.workflow == self.chosen.workflow and one.kind in ENDS]
        return next((move for move in reversed(ends) if move not in self.before), None)

    def _note(self, node: _Node) -> None:
        moves = [move for move in node.rehearsal.moves if move not in self.before]
        with reading(node.rehearsal.engine) as conn:
            run, letters = _run(conn, node.rehearsal, self.chosen)
        own = [move for move in moves if move.workflow == self.chosen.workflow]
        end = self._end(node.rehearsal)
        if end is None and own:  # it stands still: held for ever, blocked, of unknown fate
            end = own[-1]
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


def _run(conn: Connection, rehearsal: Rehearsal, chosen: Setting) -> tuple[StoredEnrollment | None, int]:
    """Return the run that was begun, and how many letters it and those it started have sent."""
    customer_id = customers.id_of_address(conn, rehearsal.address)
    runs = {run.id: run for run in enrollments.of_customer(conn, customer_id or 0)}
    began = [run for run in runs.values() if run.enrollment.workflow == chosen.workflow]
    written = [letter for letters in messages.of_enrollments(conn, runs).values() for letter in letters]
    sent = [one for one in written if one.workflow in chosen.scope and (one.accepted_at or NEVER) >= chosen.at]
    return (began[-1] if began else None), len(sent)


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
