"""What a letter means to the workflows that send it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from followup.authoring.render import Letter
from followup.core.message import Purpose
from followup.core.replies import Question


@dataclass(frozen=True, slots=True)
class Meant:
    """A letter in all its languages: what it asks, and whether any of them sells, or asks for a public review."""

    path: str
    question: Question | None = None
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)  # of each answer, as the languages put it
    sells: bool = False
    asks_for_review: bool = False
    is_english: bool = True  # so that its answers were searched for negative words

    def only_label(self, answer: str) -> str | None:
        """Return the label of *answer*, or None when it depends on the language."""
        labels = self.labels.get(answer, frozenset())
        return next(iter(labels)) if len(labels) == 1 else None


def meant(letters: Iterable[Letter], default: Letter) -> Meant:
    """Return what the *letters* of one name mean, of which *default* is for everybody else."""
    labels: dict[str, frozenset[str]] = {}
    letters = list(letters)
    for letter in letters:
        for choice in letter.question.choices if letter.question else ():
            labels[choice.id] = labels.get(choice.id, frozenset()) | {choice.label}
    return Meant(
        default.path,
        default.question,
        labels,
        sells=any(letter.purpose is Purpose.MARKETING for letter in letters),
        asks_for_review=any(letter.asks_for == "review" for letter in letters),
        is_english=default.language.casefold().split("-")[0] == "en",
    )
