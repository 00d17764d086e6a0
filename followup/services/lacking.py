"""Letters that cannot leave because what was applied has not who signs them, or has them no more."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.workflow import letter_of
from followup.services.library import Library
from followup.store import enrollments, unsent
from followup.store.enrollments import Standing


class Kind(StrEnum):
    PERSON = "person"  # of people.yaml
    LETTER = "letter"  # of templates/


@dataclass(frozen=True, slots=True, order=True)
class Lack:
    """What a letter lacks: who signs it, by key, or the letter itself, by name."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        where = "people.yaml" if self.kind is Kind.PERSON else "templates/"
        return f"{self.name} is not in {where}"


def signer_of(bundle: Bundle, letter: str, otherwise: str, language: str | None = None) -> str:
    """Return the key of who signs *letter* in *language*: itself may say so, else it is *otherwise*."""
    if letter not in bundle.defaults:
        return otherwise
    return bundle.letter(letter, language).sender or otherwise


def lack_of(bundle: Bundle, letter: str, otherwise: str, language: str | None = None) -> Lack | None:
    """Return what *letter*, which *otherwise* signs unless it says so itself, lacks in *bundle*; None: nothing."""
    if letter not in bundle.defaults:
        return Lack(Kind.LETTER, letter)
    signer = signer_of(bundle, letter, otherwise, language)
    return None if signer in bundle.people else Lack(Kind.PERSON, signer)


def sent_to_finishers(conn: Connection, finishing: Iterable[Standing], library: Library) -> dict[str, dict[str, int]]:
    """Return by letter in which workflows those who finish an older version may come to it, and how many they are."""
    found: dict[str, Counter[str]] = {}
    for place in finishing:
        if place.step is not None:
            steps = library.workflow(conn, place.version_id).all_steps
            for letter in {letter for step in steps for round_ in (0, 1) if (letter := letter_of(step, round_))}:
                found.setdefault(letter, Counter())[place.workflow] += place.number
    return {letter: dict(sorted(whose.items())) for letter, whose in sorted(found.items())}


def lost(conn: Connection, bundle: Bundle, library: Library) -> dict[str, dict[str, int]]:
    """Return, as `sent_to_finishers` does, those letters that *bundle*, which runs, does not have."""
    finishing = [place for place in enrollments.standing(conn) if place.finishes]
    sent = sent_to_finishers(conn, finishing, library)
    return {letter: whose for letter, whose in sent.items() if letter not in bundle.defaults}


def unable(conn: Connection, bundle: Bundle) -> dict[Lack, int]:
    """Return how many letters that have not left yet cannot leave by *bundle*, which runs, by what they lack."""
    found: Counter[Lack] = Counter()
    for one in unsent.count(conn):
        if lack := lack_of(bundle, one.letter, one.sender, one.language):
            found[lack] += one.number
    return dict(sorted(found.items()))
