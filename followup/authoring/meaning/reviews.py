"""The rule about public reviews: everybody is asked, whatever they answered before."""

import re
from collections.abc import Iterator
from functools import partial
from operator import eq

from followup.authoring.diagnostics import Spot
from followup.authoring.meaning.forecast import Path, Truth, forecast
from followup.authoring.meaning.letters import Meant
from followup.authoring.meaning.outcomes import NOT_YET, How, Outcome, told
from followup.authoring.meaning.subject import Finding, Subject
from followup.authoring.meaning.ways import Edge, Move, State
from followup.authoring.places import Place
from followup.core.events import EventKind
from followup.core.workflow import Exit, Letter, Step

OF_THE_UNHAPPY = frozenset([EventKind.CONVERSATION_OPENED.value, EventKind.HANDED_OFF.value])
OF_ANSWERS = frozenset([EventKind.ANSWER_GIVEN.value, EventKind.REPLY_RECEIVED.value])
# where no answer of an English question is negative, one with such a word is still the good one
GOOD_WORDS = frozenset(
    [
        "best",
        "better",
        "excellent",
        "fine",
        "good",
        "great",
        "happy",
        "love",
        "loved",
        "perfect",
        "perfectly",
        "pleased",
        "satisfied",
        "well",
        "wonderful",
    ]
)
_WORD = re.compile(r"[^\W_]+")


def review_gating(subject: Subject) -> Iterator[Finding]:
    """
    W215: who is asked for a public review depends on a good answer.

    Reviews that only the happy are asked for mislead those who read them, and many laws and platforms forbid it.
    Everybody is asked; a person talks to the unhappy first, which puts the request off and does not skip it.
    Two customers are compared who differ in one answer only: does something turn the one with the bad answer away?
    """
    requests = [step for step in subject.workflow.all_steps if subject.asks_for_review(step)]
    if not requests:
        return
    leading = subject.ways.leading_to(subject.asks_for_review)
    pairs = [pair for pair in _pairs(subject) if _is_left_out(subject, *pair[:2], leading)]
    for step in requests if pairs else ():
        leading_here = subject.ways.leading_to(partial(eq, step))
        if left_out := {outcome for good, _, outcome in pairs if good in leading_here}:
            message = f"This request for a public review leaves out those who {told(_in_order(subject, left_out))}."
            help = "ask everybody: hand the unhappy to a person, do not stop there, and ask them as well"
            yield Finding(_spot(subject, step), message, help)
    yield from _exits_of_the_unhappy(subject, leading)


def _in_order(subject: Subject, outcomes: set[Outcome]) -> list[Outcome]:
    """Return *outcomes* as their questions have them."""
    questions = {question for state in subject.ways.in_order for question, _ in state.outcomes}
    turns = (turn for question in sorted(questions) for turn in subject.ways.turns(question))
    return [turn for turn in turns if turn in outcomes]


def _spot(subject: Subject, step: Step) -> Spot:
    return subject.letter_spot(step) if isinstance(step, Letter) else subject.spot(step, "start")


def _pairs(subject: Subject) -> Iterator[tuple[State, State, Outcome]]:
    """Yield states of two customers who differ in one outcome only, a good and a bad one, and the bad one."""
    alike: dict[tuple[State, str], list[tuple[State, Outcome]]] = {}
    for state in subject.ways.in_order:
        for question, outcome in state.outcomes if not state.changed else ():
            if outcome.is_said:
                alike.setdefault((state.turned_out(question, NOT_YET), question), []).append((state, outcome))
    for (_, question), states in alike.items():
        for good, better in states:
            for bad, worse in states:
                if _is_worse(subject, question, worse, better):
                    yield good, bad, worse


def _is_worse(subject: Subject, question: str, worse: Outcome, better: Outcome) -> bool:
    """Tell whether *worse* is the bad one of the two: of two answers, or of two replies in words."""
    if worse.how is not better.how:
        return False
    if worse.negative or better.negative or worse == better:
        return worse.negative and not better.negative
    answers = [outcome for outcome in subject.ways.turns(question) if outcome.how is How.ANSWER]
    if worse not in answers or any(outcome.negative for outcome in answers):
        return False  # where some answers are negative, the others are not
    letter = subject.letter_of(question)
    return not letter.is_english or (_sounds_good(letter, better) and not _sounds_good(letter, worse))


def _sounds_good(letter: Meant, outcome: Outcome) -> bool:
    words = [outcome.answer or "", *letter.labels.get(outcome.answer or "", ())]
    return not GOOD_WORDS.isdisjoint(_WORD.findall(" ".join(words).casefold()))


def _is_left_out(subject: Subject, good: State, bad: State, leading: set[State]) -> bool:
    """Tell whether *bad* can leave the way to a request by a decision that *good* does not meet."""
    decided = {edge.decision for edge in subject.ways.onward(good)}
    lost = (edge for edge in subject.ways.onward(bad) if edge.decision not in decided)
    return any(not _stays(subject, bad, edge, leading) for edge in lost)


def _stays(subject: Subject, state: State, edge: Edge, leading: set[State]) -> bool:
    """Tell whether on *edge* somebody is asked, or can still be."""
    step = subject.workflow.step(state.step) if state.step else None
    return edge.to in leading or (step is not None and edge.move is Move.RUN and subject.asks_for_review(step))


def _exits_of_the_unhappy(subject: Subject, leading: set[State]) -> Iterator[Finding]:
    """Look for exits by which those leave who answered badly, on their way to a request for a review."""
    for number, way_out in enumerate(subject.workflow.exit_on):
        who = {
            worse
            for ask, edge in subject.ways.asked()
            if (worse := edge.outcome) is not None and worse.is_said and edge.to in leading
            for better in subject.ways.turns(ask.id)
            if better.is_said and _is_worse(subject, ask.id, worse, better)
            if worse.negative or way_out.event in OF_ANSWERS
            if _leaves(subject, way_out, edge.to.turned_out(ask.id, better), edge.to)
        }
        if who:
            message = (
                f"Those who {told(_in_order(subject, who))} leave here, before they are asked for a public review."
            )
            spot = subject.places.value(Place(("exit_on", number, "event")))
            yield Finding(spot, message, "take the exit out: letters wait by themselves while a conversation is open")


def _leaves(subject: Subject, way_out: Exit, good: State, bad: State) -> bool:
    """Tell whether the run of *bad* ends by *way_out* when the answer comes, and that of *good* does not."""
    if way_out.event not in {*OF_THE_UNHAPPY, *OF_ANSWERS}:
        return False
    says = [_where(subject, way_out, state) for state in (good, bad)]
    return says[1] is not False and (way_out.event in OF_THE_UNHAPPY or says[0] != says[1])


def _where(subject: Subject, way_out: Exit, state: State) -> Truth:
    def look_up(path: Path) -> object:
        match path:
            case ("event", "answer"):
                return subject.ways.look_up(state, ("answer",))
            case ("event", "label"):
                return subject.ways.look_up(state, ("answer_label",))
        return subject.ways.look_up(state, path)

    return True if way_out.where is None else forecast(way_out.where, look_up)
