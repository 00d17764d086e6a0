"""How a question can turn out, and what the names of the field reference say then."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from followup.authoring.meaning.forecast import Open
from followup.authoring.meaning.letters import Meant
from followup.core.facts import ASK


class How(StrEnum):
    NOT_YET = "not yet"  # nobody has answered it, and nobody has let it pass
    ANSWER = "answer"  # one of the answers offered
    WORDS = "words"  # in the customer's own words
    SILENCE = "silence"  # the timeout
    NOT_ASKED = "not asked"
    CHANGED = "changed"  # something was said, and may have become something else since
    ANY = "any"  # one of these: where there are too many to tell them apart


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    One way for a question to turn out.

    A reply in words may have a certain ``sentiment`` or ``intent``; None leaves it open. ``negative`` is what
    somebody should hear of soon.
    """

    how: How
    answer: str | None = None
    label: str | None = None
    sentiment: str | None = None
    intent: str | None = None
    negative: bool = False

    @property
    def is_said(self) -> bool:
        """Tell whether the customer said something."""
        return self.how in {How.ANSWER, How.WORDS, How.CHANGED}

    def value(self, question: str, field: tuple[str | int, ...]) -> object:  # noqa: PLR0911 - one for each name
        """Return what the *field* of an ask (``answer``, ``reply.text``) is: a value, or Open."""
        unknown = Open(f"{question}.{'.'.join(map(str, field))}")
        if self.how is How.ANY or not field or field[0] not in ASK:
            return unknown
        match field:
            case ("answer",):
                return unknown if self.how is How.CHANGED else self.answer
            case ("answer_label",):
                is_open = self.how in {How.ANSWER, How.CHANGED} and self.label is None
                return Open(f"{unknown.text} of {self.answer}") if is_open else self.label
            case ("replied",):
                return self.is_said
            case ("no_reply",):
                return self.how is How.SILENCE
            case ("not_asked",):
                return Open(unknown.text, truth=True) if self.how is How.NOT_ASKED else None
        if not self.is_said and field != ("reply",):
            return None
        known = {"sentiment": self.sentiment, "intent": self.intent}.get(str(field[-1]))
        return known or unknown


NOT_YET = Outcome(How.NOT_YET)
SILENCE = Outcome(How.SILENCE)
NOT_ASKED = Outcome(How.NOT_ASKED)
WORDS = Outcome(How.WORDS)
CHANGED = Outcome(How.CHANGED)
ANY = Outcome(How.ANY)
UNHEARD_OF = Outcome(How.ANSWER, answer="\0")  # an answer that no condition speaks of
CONTENT = Outcome(How.WORDS, sentiment="positive", intent="praise")
NEUTRAL = Outcome(How.WORDS, sentiment="neutral")
DISCONTENT = Outcome(How.WORDS, sentiment="negative", negative=True)
TROUBLE = Outcome(How.WORDS, intent="problem", negative=True)


def told(outcomes: Iterable[Outcome]) -> str:
    """Return *outcomes* as what the customers did whom they are of: ``answered "1" or "2"``."""
    found = list(dict.fromkeys(outcomes))
    said: dict[str, list[str | None]] = {
        "answered": [outcome.answer for outcome in found if outcome.answer is not None],
        "wrote what is": [outcome.sentiment or outcome.intent for outcome in found if outcome.answer is None],
    }
    return " or ".join(f"{did} " + " or ".join(f'"{word}"' for word in words) for did, words in said.items() if words)


def answers_to(letter: Meant) -> list[Outcome]:
    """Return the answers that *letter* offers, in their order."""
    choices = letter.question.choices if letter.question else ()
    return [
        Outcome(How.ANSWER, choice.id, letter.only_label(choice.id), negative=choice.negative) for choice in choices
    ]


def outcomes_of(letter: Meant, read: Collection[str]) -> list[Outcome]:
    """
    Return how an ask of *letter* can turn out once it is sent.

    Args:
        read: the names that conditions read; what no condition can tell apart is not told apart here.
    """
    fields = {name.rpartition("reply.")[2] for name in read if "reply." in name}
    words = [WORDS]
    if "sentiment" in fields:
        words += [CONTENT, NEUTRAL, DISCONTENT]
    if "intent" in fields:
        words += [CONTENT, TROUBLE]
    return [*answers_to(letter), *dict.fromkeys(words), SILENCE]
