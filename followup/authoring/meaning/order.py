"""Rules about what follows what: every step can be reached, and questions leave time in between."""

from collections.abc import Iterator, Sequence

from followup.authoring.meaning.subject import Finding, Subject
from followup.authoring.meaning.ways import ENTRY, Move, State
from followup.authoring.places import Place
from followup.core.facts import ASK
from followup.core.workflow import Ask, Branch, Case, Condition, Letter, Split, Step, Stop

_NEVER = "This can never hold, so"


def question_upon_question(subject: Subject) -> Iterator[Finding]:
    """
    W205: the next question comes the moment the one before is answered, or has been let pass.

    Nobody has read the answer by then, and the customer is asked on as by a machine. A wait, or waiting for an
    event, must lie between; whoever was not asked the first one can be asked the second at once.
    """
    found: dict[Ask, list[str]] = {}
    for ask, edge in subject.ways.asked():
        for step, onward in subject.ways.at_once(edge.to):
            if isinstance(step, Ask) and onward.move is Move.RUN:
                found.setdefault(step, []).append(ask.letter)
    for step, before in found.items():
        letters = " or ".join(f'"{letter}"' for letter in dict.fromkeys(before))
        message = f'"{step.letter}" is asked the moment {letters} is answered or times out.'
        yield Finding(subject.letter_spot(step), message, 'put for example "- wait: 3 days" before it')


def which_of_two(subject: Subject) -> Iterator[Finding]:
    """
    W216: a letter is sent by two steps, and only a number tells them apart.

    The number goes to another step when one is put in or taken out before it, and with it what customers at the other
    one got and answered: they would get a letter again, or never.
    """
    letters = [step for step in subject.workflow.all_steps if isinstance(step, Letter)]
    for step in letters:
        if step.numbered:
            twice = sum(one.letter == step.letter for one in letters) > 1
            why = "is sent by two steps" if twice else "makes no id for a step"
            message = f'"{step.letter}" {why}.'
            yield Finding(subject.letter_spot(step), message, 'give this one an id of its own: "id: …"')


def unreachable(subject: Subject) -> Iterator[Finding]:
    """
    W206: something that no run can come to, or a condition that no answer can make true.

    What a marketer wrote for somebody would never happen to anybody.
    """
    entries = subject.ways.all_at(ENTRY)
    for placed in subject.conditions:
        if placed.step is None and placed.decides and _never(subject, placed.condition, entries):
            message = f"{_NEVER} nobody would come in."
            yield Finding(subject.places.value(placed.place), message, _why_never(subject, placed.condition, entries))
    yield from _unreachable_in(subject, subject.workflow.steps)


def _unreachable_in(subject: Subject, steps: Sequence[Step]) -> Iterator[Finding]:
    """Look at *steps*, the first of which can be reached."""
    for number, step in enumerate(steps):
        states = subject.ways.all_at(step.id)
        if not states:
            yield Finding(subject.spot(step), _ended(steps[:number]), "take it out, or move it up")
            return
        if step.when is not None and _never(subject, step.when, states):
            help = _why_never(subject, step.when, states)
            yield Finding(subject.spot(step, "when"), f"{_NEVER} the step is never done.", help)
        elif isinstance(step, Branch):
            yield from _unreachable_in_cases(subject, step, states)
        elif isinstance(step, Split):
            for variant in step.variants:
                yield from _unreachable_in(subject, variant.do)


def _unreachable_in_cases(subject: Subject, step: Branch, states: list[State]) -> Iterator[Finding]:
    taken = {edge.number for state in states for edge in subject.ways.edges[state] if edge.move is Move.CASE}
    for number, case in enumerate(step.cases):
        if number in taken:
            yield from _unreachable_in(subject, case.do)
        elif case.when is None:
            if _comes_after_what_always_holds(subject, step.cases[:number], states):
                spot = subject.places.key(Place(("branch", number, "otherwise"), step.id))
                help = "correct that one, or take this out"
                yield Finding(spot, "Nobody comes here: a case before always holds.", help)
        elif _never(subject, case.when, states):
            help = _why_never(subject, case.when, states)
            yield Finding(subject.spot(step, "branch", number, "when"), f"{_NEVER} the case is never taken.", help)
        else:
            message = "This case is never taken: those before it take everybody it is for."
            yield Finding(subject.spot(step, "branch", number, "when"), message, "move it up, or take it out")


def _comes_after_what_always_holds(subject: Subject, before: Sequence[Case], states: list[State]) -> bool:
    """Tell whether one of the cases *before* an ``otherwise`` takes all; else it is kept for answers still to come."""
    whens = [case.when for case in before if case.when is not None]
    return any(all(subject.ways.says(when, state) is True for state in states) for when in whens)


def _never(subject: Subject, condition: Condition, states: list[State]) -> bool:
    return all(subject.ways.says(condition, state) is False for state in states)


def _ended(before: Sequence[Step]) -> str:
    match before:
        case [*_, Stop()]:
            return 'Nothing comes after "stop": the run is over there.'
        case [*_, Branch()]:
            return "Nothing comes after this branch: each way through it ends the run."
        case [*_, Split()]:
            return "Nothing comes after this split: each variant ends the run."
    return "No run ever comes here."


def _why_never(subject: Subject, condition: Condition, states: list[State]) -> str:
    first = {name.split(".")[0] for name in condition.names}
    if not first.isdisjoint(ASK) and subject.ways.tells_apart and all(state.latest is None for state in states):
        return "nothing was asked before this"
    if "timed_out" in first and not any(state.timed_out for state in states):
        return 'there is no "wait_for" before this'
    if "not_asked" in first:
        return "a run ends at a question that could not be asked, unless a branch before the next one reads not_asked"
    return "correct the condition, or take it out"
