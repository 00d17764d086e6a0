"""Rules about answers: each leads somewhere, each that is spoken of exists, and trouble reaches a person."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from followup.authoring.diagnostics import Spot, listed, suggestion
from followup.authoring.expressions import equal
from followup.authoring.meaning.forecast import comparisons
from followup.authoring.meaning.letters import Meant
from followup.authoring.meaning.outcomes import CONTENT, DISCONTENT, NEUTRAL, TROUBLE, UNHEARD_OF, How, Outcome, told
from followup.authoring.meaning.subject import Finding, Placed, Subject
from followup.authoring.meaning.ways import Edge, Move, State, Ways
from followup.core.facts import ASK
from followup.core.workflow import Ask, Branch, Condition, Letter, Send, Step

# said of an answer, these mean that something is wrong; a word of the second kind beside them takes that back
TROUBLE_WORDS = frozenset(
    [
        "broken",
        "complaint",
        "damaged",
        "defective",
        "disappointed",
        "faulty",
        "missing",
        "problem",
        "problems",
        "unhappy",
        "wrong",
    ]
)
TAKEN_BACK = frozenset(["fine", "good", "never", "no", "none", "not", "nothing", "solved", "without"])
_WORD = re.compile(r"[^\W_]+")


def leads_nowhere(subject: Subject) -> Iterator[Finding]:
    """
    W201: a branch reads the answer to a question, and one of the answers leads to nothing at all.

    Who took the trouble to answer is not dropped without a word on what becomes of them. An answer that no case
    is for may well go on to the steps after the branch; it is refused when there are none.
    """
    dropped: dict[str, dict[str, list[str]]] = {}  # by branch and letter
    for ask, edge in subject.ways.asked():
        if edge.outcome is not None and edge.outcome.how is How.ANSWER and edge.outcome.answer is not None:
            for branch in _Answered(subject.ways, ask).falls_out_of(edge.to):
                answers = dropped.setdefault(branch, {}).setdefault(ask.letter, [])
                if edge.outcome.answer not in answers:
                    answers.append(edge.outcome.answer)
    for branch, by_letter in dropped.items():
        step = subject.workflow.step(branch)
        assert step is not None
        for letter, answers in by_letter.items():
            one = len(answers) == 1
            subjects = f'The {"answer" if one else "answers"} {_quoted(answers)} of "{letter}"'
            cases = "no case is for it" if one else "no case is for them"
            message = f"{subjects} {'leads' if one else 'lead'} nowhere: {cases}, and nothing follows."
            help = 'add a case, or a last "- otherwise:" with for example "- stop: told us" in it'
            yield Finding(subject.spot(step), message, help)


@dataclass(frozen=True, slots=True)
class _Answered:
    """The way of somebody who has answered *ask*, as long as nothing is done because of the answer."""

    ways: Ways
    ask: Ask

    def falls_out_of(self, start: State) -> list[str]:
        """Return the branches about the ask that they fall out of, from *start* on, to the end."""
        found: list[str] = []
        todo: list[tuple[State, str | None]] = [(start, None)]
        seen = {*todo}
        while todo:
            state, fell = todo.pop()
            if state.step is None and fell is not None:
                found.append(fell)
            for edge in self.ways.onward(state):
                onward = self._onward(state, edge, fell)
                if onward is not None and onward not in seen:
                    seen.add(onward)
                    todo.append(onward)
        return found

    def _onward(self, state: State, edge: Edge, fell: str | None) -> tuple[State, str | None] | None:
        """Return where *edge* leads, and the branch fallen out of by then; None when something is done."""
        step = self.ways.workflow.step(state.step or "")
        assert step is not None
        if edge.to.outcome(self.ask.id) is None and edge.to.step is not None:
            return None  # no condition reads the answer any more
        if edge.move is Move.FALL and fell is None and self._is_nobodys(step, state):
            return edge.to, step.id
        if edge.move in {Move.SKIP, Move.FALL}:
            return edge.to, fell
        return None if self._is_reason_for(step, state, edge) else (edge.to, None)

    def _is_nobodys(self, step: Step, state: State) -> bool:
        """Tell whether *step* is a branch that reads the answer, and has no case for it."""
        if not self._is_read_by(step, state, {"answer", "answer_label"}):
            return False
        taken = (edge for edge in self.ways.onward(state) if edge.move is Move.CASE)
        return not any(self._is_reason_for(step, state, edge) for edge in taken)

    def _is_read_by(self, step: Step, state: State, fields: Collection[str]) -> bool:
        """Tell whether a case of *step* reads one of the *fields* of the ask."""
        latest, by_name = state.latest == self.ask.id, f"asks.{self.ask.id}."
        for case in step.cases if isinstance(step, Branch) else ():
            for name in case.when.names if case.when else ():
                field = name.removeprefix(by_name).split(".")[0]
                if field in fields and (latest or name.startswith(by_name)):
                    return True
        return False

    def _is_reason_for(self, step: Step, state: State, edge: Edge) -> bool:
        """Tell whether *edge* is taken because of the answer, and not as with any other."""
        conditions = [step.when] if step.when else []
        if isinstance(step, Branch):
            when = step.cases[edge.number].when
            if when is None:
                return self._is_read_by(step, state, ASK)
            conditions.append(when)
        other = state.turned_out(self.ask.id, UNHEARD_OF)
        says = [(self.ways.says(one, state), self.ways.says(one, other)) for one in conditions]
        return any(said is True or said != of_another for said, of_another in says)


def no_such_answer(subject: Subject) -> Iterator[Finding]:
    """
    W202: a condition compares with an answer that the letter does not offer.

    It would never hold, and the customers it was written for would go another way.
    """
    for placed, comparison, letters in subject.slips:
        known = list(dict.fromkeys(choice for letter in letters for choice in _choices(letter)))
        value = comparison.value
        spot = subject.places.value(placed.place, subject.lead(placed) + comparison.offset)
        if not known:
            message = f"{_one_of(letters)} offers no answers to compare with."
            yield Finding(spot, message, "read replied, or reply.text")
        elif not isinstance(value, str):
            help = f'write "{value}"' if str(value) in known else f"its answers: {listed(known)}"
            yield Finding(spot, f"An answer is a text, and never equal to {value}.", help)
        elif comparison.path[-1] == "answer_label":
            message = f'No answer of {_one_of(letters)} has the label "{value}".'
            yield Finding(spot, message, f"better compare answer with one of: {listed(known)}")
        else:
            message = f'{_one_of(letters)} has no answer "{value}".{suggestion(value, known)}'
            yield Finding(spot, message, f"its answers: {listed(known)}")


def _choices(letter: Meant) -> list[str]:
    return [choice.id for choice in letter.question.choices] if letter.question else []


def _one_of(letters: list[Meant]) -> str:
    return " or ".join(letter.path for letter in letters)


def nobody_hears(subject: Subject) -> Iterator[Finding]:
    """
    W208: an answer that means trouble opens no conversation, and leads to no person.

    Negative answers, comments and mails open a conversation for the owner by themselves. What is left is an
    answer that the letter does not count as negative, although it says that something is wrong, or although the
    workflow takes it together with negative replies. A person has to hear of that as well, or a letter from one
    has to answer it at once.
    """
    unheard: dict[Ask, dict[str, bool]] = {}
    for ask, edge in subject.ways.asked():
        said = edge.outcome
        if said is not None and said.answer is not None and not said.negative and _is_trouble(subject, ask, said):
            by_answer = unheard.setdefault(ask, {})
            by_answer[said.answer] = by_answer.get(said.answer, True) and not _is_cared_for(subject, edge.to)
    for ask, by_answer in unheard.items():
        if answers := [answer for answer, is_unheard in by_answer.items() if is_unheard]:
            yield _unheard(subject, subject.letter_spot(ask), ask, answers)
    for placed in subject.conditions:
        yield from _unheard_with_others(subject, placed)


def _is_trouble(subject: Subject, ask: Ask, said: Outcome) -> bool:
    labels = subject.letter(ask).labels.get(said.answer or "", ())
    words = set(_WORD.findall(" ".join([said.answer or "", *labels]).casefold()))
    return not words.isdisjoint(TROUBLE_WORDS) and words.isdisjoint(TAKEN_BACK)


def _is_cared_for(subject: Subject, state: State) -> bool:
    """Tell whether a person can come to hear of it from *state* on, or a letter is sent at once."""
    at_once = (step for step, edge in subject.ways.at_once(state) if edge.move is Move.RUN)
    return state in subject.leading_to_a_person or any(isinstance(step, Send) for step in at_once)


def _unheard(subject: Subject, spot: Spot, ask: Ask, answers: list[str]) -> Finding:
    one = len(answers) == 1
    message = f"Nobody would hear of the {'answer' if one else 'answers'} {_quoted(answers)}"
    reason = "it opens no conversation" if one else "they open no conversation"
    help = f'write "negative: true" in {subject.letter(ask).path}, or add "- handoff: {subject.workflow.owner}"'
    return Finding(spot, f"{message}: {reason}, and no handoff or letter follows.", help)


def _unheard_with_others(subject: Subject, placed: Placed) -> Iterator[Finding]:
    """Look at the answers that a condition takes together with negative replies."""
    if placed.step is None or not placed.decides:
        return
    ways, taken = subject.ways, Move.RUN if placed.number is None else Move.CASE
    for state in ways.at(placed.step.id):
        ask, said = ways.asks.get(state.latest or ""), state.outcome(state.latest)
        if ask is None or said is None or said.answer is None or said.negative:
            continue
        takes = (edge for edge in ways.onward(state) if edge.move is taken and edge.number == (placed.number or 0))
        together = any(takes) and _takes_with_negative_replies(ways, placed.condition, state, ask)
        if together and not _is_cared_for(subject, state):
            yield _unheard(subject, _spot_of_answer(subject, placed, said.answer), ask, [said.answer])


def _takes_with_negative_replies(ways: Ways, condition: Condition, state: State, ask: Ask) -> bool:
    others = [ways.says(condition, state.turned_out(ask.id, outcome)) for outcome in (CONTENT, NEUTRAL, UNHEARD_OF)]
    together = [ways.says(condition, state.turned_out(ask.id, outcome)) for outcome in (DISCONTENT, TROUBLE)]
    return ways.says(condition, state) is True and True in together and True not in others


def _spot_of_answer(subject: Subject, placed: Placed, answer: str) -> Spot:
    for comparison in comparisons(placed.condition):
        if comparison.path[-1] == "answer" and equal(comparison.value, answer):
            return subject.places.value(placed.place, subject.lead(placed) + comparison.offset)
    return subject.places.value(placed.place)


def pitch_after_a_complaint(subject: Subject) -> Iterator[Finding]:
    """
    W211: a marketing letter right after a negative answer.

    Who has just said that something is wrong gets an answer, not an offer.
    """
    said: dict[Letter, list[Outcome]] = {}
    for _, edge in subject.ways.asked():
        if edge.outcome is None or not edge.outcome.negative:
            continue
        for step, onward in subject.ways.at_once(edge.to):
            if isinstance(step, Letter) and onward.move is Move.RUN and subject.letter(step).sells:
                said.setdefault(step, []).append(edge.outcome)
    for step, outcomes in said.items():
        message = f'"{step.letter}" is a marketing letter, and comes right after somebody {told(outcomes)}.'
        help = 'end their way before it with "- stop: …", or put a "- wait: 30 days" in between'
        yield Finding(subject.letter_spot(step), message, help)


def _quoted(words: list[str]) -> str:
    return listed(f'"{word}"' for word in words)
