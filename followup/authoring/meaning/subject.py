"""What a rule looks at, and what it finds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from followup.authoring.diagnostics import Spot
from followup.authoring.expressions import equal
from followup.authoring.meaning.forecast import Comparison, comparisons
from followup.authoring.meaning.letters import Meant
from followup.authoring.meaning.ways import ANSWERS, State, Ways
from followup.authoring.names import same_key
from followup.authoring.places import Place, Places
from followup.core.workflow import Ask, Branch, Condition, Handoff, Letter, Start, Step, WaitFor, Workflow


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot be meant, where it stands, and what to write instead."""

    spot: Spot
    message: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A condition of a workflow: where it stands, and the step that reads it (None: the entry or an exit)."""

    condition: Condition
    place: Place
    step: Step | None = None
    number: int | None = None  # of the case, in a branch
    decides: bool = True  # on which way a run goes on; `where` only chooses among events


@dataclass(frozen=True)
class Subject:
    """
    A workflow that could be read, with everything around it.

    ``letters`` are all that there are, ``workflows`` as well; ``places`` has the positions in its file.
    """

    workflow: Workflow
    letters: Mapping[str, Meant]
    workflows: Mapping[str, Workflow]
    places: Places

    @cached_property
    def ways(self) -> Ways:
        """Return the ways through the workflow, nothing concluded from slips in answers."""
        slips = frozenset(placed.condition for placed, _, _ in self.slips)
        return Ways(self.workflow, self.letters, slips) if slips else self._plain_ways

    @cached_property
    def _plain_ways(self) -> Ways:
        return Ways(self.workflow, self.letters)

    @cached_property
    def conditions(self) -> list[Placed]:
        """Return all conditions, those of steps in the order of the file."""
        found = [
            Placed(condition, Place(("entry", "only_if", number)))
            for number, condition in enumerate(self.workflow.only_if)
        ]
        for number, way_out in enumerate(self.workflow.exit_on):
            if way_out.where is not None:
                found.append(Placed(way_out.where, Place(("exit_on", number, "where")), decides=False))
        for step in self.workflow.all_steps:
            if step.when is not None:
                found.append(Placed(step.when, Place(("when",), step.id), step))
            if isinstance(step, WaitFor) and step.where is not None:
                found.append(Placed(step.where, Place(("where",), step.id), step, decides=False))
            for number, case in enumerate(step.cases if isinstance(step, Branch) else ()):
                if case.when is not None:
                    found.append(Placed(case.when, Place(("branch", number, "when"), step.id), step, number))
        return found

    @cached_property
    def slips(self) -> list[tuple[Placed, Comparison, list[Meant]]]:
        """Return the comparisons with answers that none of the letters (at least one) has that they can be about."""
        found = []
        for placed in self.conditions:
            for comparison in comparisons(placed.condition):
                letters = self._spoken_of(placed, comparison)
                if letters and not any(equal(comparison.value, known) for known in _known(letters, comparison)):
                    found.append((placed, comparison, letters))
        return found

    def _spoken_of(self, placed: Placed, comparison: Comparison) -> list[Meant]:
        """Return the letters whose answers *comparison* is about; none when it is about something else."""
        match comparison.path:
            case ("answer" | "answer_label",):
                names = [self._plain_ways.asks[ask].letter for ask in self._latest(placed)]
            case ("asks", str() as step, "answer" | "answer_label"):
                ask = self._plain_ways.asks.get(same_key(step, self._plain_ways.asks) or "")
                names = [ask.letter] if ask else []
            case ("answers", str() as letter):
                names = [same_key(letter, self.letters) or ""]
            case _:
                names = []
        return [self.letters[name] for name in dict.fromkeys(names) if name in self.letters]

    def _latest(self, placed: Placed) -> list[str]:
        """Return the asks that ``answer`` may be of where *placed* is read."""
        if placed.step is None:
            return [] if placed.decides else list(self._plain_ways.asks)
        if not self._plain_ways.tells_apart:
            return list(self._plain_ways.asks)
        latest = {state.latest for state in self._plain_ways.all_at(placed.step.id)}
        return [ask for ask in self._plain_ways.asks if ask in latest]

    @cached_property
    def leading_to_a_person(self) -> set[State]:
        """Return the states from which a run can come to a hand-off."""
        return self.ways.leading_to(self.hands_off)

    def lead(self, placed: Placed) -> int:
        """Return how many characters of space stand before the condition where it is written."""
        written = self.places.text(placed.place) or ""
        return len(written) - len(written.lstrip())

    def spot(self, step: Step, *keys: str | int) -> Spot:
        """Return where the value of *keys* of *step* stands, or else the step."""
        return self.places.value(Place(keys, step.id))

    def letter_spot(self, step: Letter) -> Spot:
        return self.spot(step, "ask" if isinstance(step, Ask) else "send")

    def letter(self, step: Letter) -> Meant:
        return self.letters.get(step.letter, Meant(step.letter))

    def letter_of(self, question: str) -> Meant:
        """Return the letter of the ask *question*, or that of ``answers.LETTER``."""
        ask = self.ways.asks.get(question)
        return self.letters[question.removeprefix(ANSWERS)] if ask is None else self.letter(ask)

    def hands_off(self, step: Step) -> bool:
        """Tell whether *step* hands the customer to a person, or lets them into a workflow that may do so."""
        return isinstance(step, Handoff) or self._starts(step, lambda other: isinstance(other, Handoff))

    def asks_for_review(self, step: Step) -> bool:
        """Tell whether *step* asks for a public review, or starts what does, and what nobody enters by themselves."""
        if isinstance(step, Letter):
            return self.letter(step).asks_for_review
        if isinstance(step, Start) and step.workflow in self.workflows:
            by_hand = self.workflows[step.workflow].trigger.event == "manual"
            return by_hand and self._starts(
                step, lambda other: isinstance(other, Letter) and self.letter(other).asks_for_review
            )
        return False

    def _starts(self, step: Step, wanted: Callable[[Step], bool]) -> bool:
        """Tell whether *step* starts a workflow, maybe by way of others, in which a step is *wanted*."""
        todo, seen = [step], set[str]()
        while todo:
            here = todo.pop()
            if isinstance(here, Start) and here.workflow in self.workflows and here.workflow not in seen:
                seen.add(here.workflow)
                steps = list(self.workflows[here.workflow].all_steps)
                if any(wanted(other) for other in steps):
                    return True
                todo += steps
        return False


Rule = Callable[[Subject], Iterator[Finding]]


def _known(letters: list[Meant], comparison: Comparison) -> Iterator[str]:
    """Yield the answers, or the labels, that *comparison* can be with."""
    for letter in letters:
        for choice in letter.question.choices if letter.question else ():
            if comparison.path[-1] == "answer_label":
                yield from letter.labels.get(choice.id, ())
            else:
                yield choice.id
