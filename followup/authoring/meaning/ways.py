"""
The ways through a workflow: what can follow what, under which answers.

A `State` is a place before a step together with what is known there: which question was asked last, and how
each question that conditions read turned out. Steps only run forward, so the states form a graph without
circles, which is walked once. What is open (``order.total > 60``) leads both ways.

Customers can change an answer until its timeout. So wherever time passes, a state follows as well in which the
answers may be others, marked ``changed``: it keeps a condition from being called impossible, and counts for
nothing else.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from math import prod

from followup.authoring.meaning.forecast import Open, Path, Truth, both, forecast, negated
from followup.authoring.meaning.letters import Meant
from followup.authoring.meaning.outcomes import ANY, CHANGED, NOT_ASKED, NOT_YET, Outcome, answers_to, outcomes_of
from followup.authoring.names import same_key
from followup.core.decide import goes_on_unasked
from followup.core.facts import ASK
from followup.core.workflow import Ask, Branch, Condition, Letter, Split, Step, Stop, Wait, WaitFor, Workflow

ENTRY = ""  # the place before the first step, where ``only_if`` decides
MOST_EDGES = 20_000  # with more, answers are not told apart
ANSWERS = "answers."  # before the name of a letter: this customer's last answer to it, in any workflow


@dataclass(frozen=True, slots=True)
class State:
    """
    A place, and what is known there.

    ``step`` is None at the end. ``latest`` is the ask that ``answer`` is of: the last one that was sent. ``unasked``
    is one after it that was not.
    """

    step: str | None
    latest: str | None = None
    unasked: str | None = None
    outcomes: tuple[tuple[str, Outcome], ...] = ()  # by ask, or ANSWERS and the letter
    timed_out: bool = False
    changed: bool = False

    def outcome(self, question: str | None) -> Outcome | None:
        """Return how *question* turned out; None where nothing is known of it."""
        return next((outcome for name, outcome in self.outcomes if name == question), None)

    def turned_out(self, question: str, outcome: Outcome) -> "State":
        """Return the state with another outcome of *question*."""
        return replace(self, outcomes=_sorted({**dict(self.outcomes), question: outcome}))


class Move(StrEnum):
    """What is done at a step to leave it."""

    RUN = "run"  # the step does what it is there for
    SKIP = "skip"  # its ``when`` does not hold
    CASE = "case"  # of a branch, or a variant of a split
    FALL = "fall"  # no case of the branch holds
    STAY_OUT = "stay out"  # at the entry: ``only_if`` does not hold


@dataclass(frozen=True, slots=True)
class Edge:
    """
    A way from one state to another.

    ``number`` is that of the case, ``outcome`` how an ask turned out, and ``given`` what has to hold for it
    (empty: nothing that is open).
    """

    move: Move
    to: State
    number: int = 0
    given: str = ""
    outcome: Outcome | None = None

    @property
    def decision(self) -> tuple[Move, int, str]:
        """Return what was decided, and why: the same for two customers between whom nothing told a difference."""
        return self.move, self.number, self.given


class Ways:
    """All ways through a workflow. ``edges`` has every state, and the ways on from it."""

    def __init__(
        self, workflow: Workflow, letters: Mapping[str, Meant], unclear: frozenset[Condition] = frozenset()
    ) -> None:
        """
        Walk through *workflow*.

        Args:
            letters: what each letter means that there is.
            unclear: conditions that compare with what is no answer: nothing is concluded from them.
        """
        self.workflow, self.letters, self.unclear = workflow, letters, unclear
        self.asks = {step.id: step for step in workflow.all_steps if isinstance(step, Ask)}
        self._read = {name for condition in _conditions(workflow) for name in condition.names}
        self._turns: dict[str, list[Outcome]] = {}
        self.tells_apart = True
        try:
            self.edges = self._walk()
        except _TooMany:
            self.tells_apart = False
            self.edges = self._walk()
        steps = [step.id for step in workflow.all_steps]
        order = {step: number for number, step in enumerate([ENTRY, *steps, None])}
        self.in_order = sorted(self.edges, key=lambda state: order[state.step])
        self._by_step: dict[str | None, list[State]] = {}
        for state in self.in_order:
            self._by_step.setdefault(state.step, []).append(state)

    def at(self, step: str | None) -> list[State]:
        """Return the states before *step* in which no answer was changed."""
        return [state for state in self.all_at(step) if not state.changed]

    def all_at(self, step: str | None) -> list[State]:
        """Return every state before *step*; none when it cannot be reached."""
        return self._by_step.get(step, [])

    def onward(self, state: State) -> list[Edge]:
        """Return the ways on from *state* on which answers stay as they are."""
        return [edge for edge in self.edges.get(state, ()) if not edge.to.changed]

    def asked(self) -> Iterator[tuple[Ask, Edge]]:
        """Yield each way in which a question is asked and turns out."""
        for ask in self.asks.values():
            edges = (edge for state in self.at(ask.id) for edge in self.onward(state))
            for edge in dict.fromkeys(replace(edge, given="") for edge in edges if edge.move is Move.RUN):
                if edge.outcome != NOT_ASKED:
                    yield ask, edge

    def at_once(self, state: State) -> Iterator[tuple[Step, Edge]]:
        """Yield what is done from *state* on before a wait, or the answer to another question, lets time pass."""
        todo, seen = [state], {state}
        while todo:
            here = todo.pop()
            step = self.workflow.step(here.step) if here.step else None
            if step is None:
                continue
            for edge in self.onward(here):
                yield step, edge
                takes_time = isinstance(step, Wait | WaitFor | Ask) and edge.move is Move.RUN
                if (not takes_time or edge.outcome == NOT_ASKED) and edge.to not in seen:
                    seen.add(edge.to)
                    todo.append(edge.to)

    def leading_to(self, wanted: Callable[[Step], bool]) -> set[State]:
        """Return the states, answers unchanged, from which a step that is *wanted* can be reached and is done."""
        found: set[State] = set()
        for state in reversed(self.in_order):
            step = self.workflow.step(state.step) if state.step else None
            if state.changed:
                continue
            done = step is not None and wanted(step) and any(e.move is not Move.SKIP for e in self.edges[state])
            if done or any(edge.to in found for edge in self.edges[state]):
                found.add(state)
        return found

    def says(self, condition: Condition, state: State) -> Truth:
        """Return what *condition* says in *state*, as far as that is certain."""
        if condition in self.unclear:
            return Open(f"{condition.source} {state.outcomes}")
        return forecast(condition, lambda path: self.look_up(state, path))

    def look_up(self, state: State, path: Path) -> object:
        """Return what the name *path* stands for in *state*: a value, or Open."""
        unasked = NOT_YET if self.tells_apart else ANY
        match path:
            case ("timed_out",):
                return state.timed_out
            case ("asks", str() as step, *field):
                ask = same_key(step, self.asks) or step
                return (state.outcome(ask) or unasked).value(ask, tuple(field))
            case ("answers", str() as letter):
                letter = same_key(letter, self.letters) or letter
                return (state.outcome(f"{ANSWERS}{letter}") or ANY).value(letter, ("answer",))
            case ("not_asked", *_):
                return (NOT_ASKED if state.unasked else unasked).value(state.unasked or "", path)
            case (str() as name, *_) if name in ASK:
                return (state.outcome(state.latest) or unasked).value(state.latest or "", path)
        return Open(".".join(map(str, path)))

    def turns(self, question: str) -> list[Outcome]:
        """Return how the ask *question* can turn out, or what ``answers.LETTER`` can be."""
        if question not in self._turns:
            self._turns[question] = self._possible(question)
        return self._turns[question]

    def _possible(self, question: str) -> list[Outcome]:
        if question.startswith(ANSWERS):
            return [NOT_YET, *answers_to(self._letter(question.removeprefix(ANSWERS)))]
        ask = self.asks[question]
        unasked = [NOT_ASKED] if goes_on_unasked(self.workflow, ask) else []
        return [*outcomes_of(self._letter(ask.letter), self._read), *unasked]

    def _letter(self, name: str) -> Meant:
        return self.letters.get(name, Meant(name))

    # -- the walk --

    def _walk(self) -> dict[State, tuple[Edge, ...]]:
        """
        Return all states with the ways on from each.

        Raises:
            _TooMany: there are too many, as answers are told apart.
        """
        self._remembered = self._questions_remembered() if self.tells_apart else frozenset[str]()
        found = self._entries()
        todo, count = [edge.to for edges in found.values() for edge in edges], 0
        while todo:
            state = todo.pop()
            if state in found:
                continue
            edges = found[state] = tuple(dict.fromkeys(self._edges(state)))
            count += len(edges)
            if count > MOST_EDGES and self.tells_apart:
                raise _TooMany
            todo += [edge.to for edge in edges]
        return found

    def _questions_remembered(self) -> frozenset[str]:
        """Return the questions of which conditions read the outcome when they are not the latest any more."""
        found = set()
        for name in self._read:
            match name.split("."):
                case ["asks", step, *_]:
                    found.add(same_key(step, self.asks) or step)
                case ["answers", letter, *_]:
                    key = same_key(letter, self.letters)
                    if key and answers_to(self.letters[key]):
                        found.add(f"{ANSWERS}{key}")
        return frozenset(found)

    def _entries(self) -> dict[State, tuple[Edge, ...]]:
        """Return the ways in; where nobody could come in, what follows is looked at all the same."""
        said = sorted(name for name in self._remembered if name.startswith(ANSWERS))
        turns = [self.turns(name) for name in said]
        if prod(map(len, turns)) > MOST_EDGES:
            raise _TooMany
        found: dict[State, tuple[Edge, ...]] = {}
        for outcomes in product(*turns):
            state = State(ENTRY, outcomes=tuple(zip(said, outcomes, strict=True)))
            enters = both(*(self.says(condition, state) for condition in self.workflow.only_if))
            inside, outside = Edge(Move.RUN, self._first(state)), Edge(Move.STAY_OUT, State(None))
            found[state] = (*_when(enters, inside), *_when(negated(enters), outside))
        if any(edge.move is Move.RUN for edges in found.values() for edge in edges):
            return found
        return {state: (Edge(Move.RUN, self._first(state)),) for state in found}

    def _first(self, state: State) -> State:
        return replace(state, step=self.workflow.first_step)

    def _edges(self, state: State) -> Iterator[Edge]:
        step = self.workflow.step(state.step) if state.step else None
        if step is None:
            return
        onward = replace(state, step=self.workflow.following(step.id))
        runs: Truth = True if step.when is None else self.says(step.when, state)
        yield from _when(negated(runs), Edge(Move.SKIP, onward))
        if runs is not False:
            for edge in self._done(step, state, onward):
                yield from _when(runs, edge)

    def _done(self, step: Step, state: State, onward: State) -> Iterator[Edge]:
        """Yield the ways on from *step* once it is done."""
        match step:
            case Stop():
                yield Edge(Move.RUN, State(None))
            case Branch():
                yield from self._cases(step, state, onward)
            case Split():
                for number, variant in enumerate(step.variants):
                    yield Edge(Move.CASE, _into(variant.do, onward), number)
            case Ask():
                yield from self._turning_out(step, onward)
            case WaitFor():
                for number, timed_out in enumerate((False, True)):
                    for later in _later(replace(onward, timed_out=timed_out)):
                        yield Edge(Move.RUN, later, number)
            case Wait() | Letter():
                yield from (Edge(Move.RUN, later) for later in _later(onward))
            case _:
                yield Edge(Move.RUN, onward)

    def _cases(self, step: Branch, state: State, onward: State) -> Iterator[Edge]:
        others: Truth = True  # that none of the cases before holds
        for number, case in enumerate(step.cases):
            holds: Truth = True if case.when is None else self.says(case.when, state)
            yield from _when(both(others, holds), Edge(Move.CASE, _into(case.do, onward), number))
            others = both(others, negated(holds))
        yield from _when(others, Edge(Move.FALL, onward))

    def _turning_out(self, step: Ask, onward: State) -> Iterator[Edge]:
        if not self.tells_apart:
            yield Edge(Move.RUN, onward, outcome=ANY)
            return
        for outcome in self.turns(step.id):
            for before in [onward] if outcome == NOT_ASKED else _later(onward):
                yield Edge(Move.RUN, self._knowing(before, step, outcome), outcome=outcome)
        if NOT_ASKED not in self.turns(step.id):
            yield Edge(Move.RUN, State(None), outcome=NOT_ASKED)

    def _knowing(self, state: State, ask: Ask, outcome: Outcome) -> State:
        """Return *state* with the outcome of *ask*, the latest if it was sent, and without what no condition reads."""
        unasked = ask.id if outcome == NOT_ASKED else None
        latest = state.latest if unasked else ask.id
        known = {**dict(state.outcomes), ask.id: outcome}
        by_letter, reminded = f"{ANSWERS}{ask.letter}", ask.remind_with or ask.letter
        if by_letter in self._remembered and outcome.answer is not None and reminded == ask.letter:
            known[by_letter] = outcome  # an answer to another letter is that letter's
        read = {name: turn for name, turn in known.items() if name in self._remembered or name == latest}
        return replace(state, latest=latest, unasked=unasked, outcomes=_sorted(read))


class _TooMany(Exception):
    """There are more states than a person could mean."""


def _conditions(workflow: Workflow) -> Iterator[Condition]:
    for step in workflow.all_steps:
        whens = [step.when, *(case.when for case in step.cases)] if isinstance(step, Branch) else [step.when]
        yield from (when for when in whens if when is not None)
    yield from workflow.only_if


def _later(state: State) -> Iterator[State]:
    """Yield *state* after some time, and then with what was said maybe changed."""
    yield state
    other = tuple(
        (name, CHANGED if outcome.is_said or name.startswith(ANSWERS) else outcome) for name, outcome in state.outcomes
    )
    if other != state.outcomes:
        yield replace(state, outcomes=other, changed=True)


def _when(truth: Truth, edge: Edge) -> Iterator[Edge]:
    """Yield *edge* if it can be taken, with what it depends on."""
    if isinstance(truth, Open):
        yield replace(edge, given=f"{truth.text} and {edge.given}" if edge.given else truth.text)
    elif truth:
        yield edge


def _into(steps: tuple[Step, ...], onward: State) -> State:
    return replace(onward, step=steps[0].id) if steps else onward


def _sorted(outcomes: Mapping[str, Outcome]) -> tuple[tuple[str, Outcome], ...]:
    return tuple(sorted(outcomes.items(), key=lambda item: item[0]))
