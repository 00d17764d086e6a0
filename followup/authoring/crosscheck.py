"""What only shows when all files are seen together: what is named and does not exist, questions that do not fit."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from followup.authoring.diagnostics import Diagnostic, Spot, listed, suggestion
from followup.authoring.letter_file import LetterFile
from followup.authoring.render import Letter
from followup.authoring.steps_file import Reference
from followup.core.people import Person


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """
    Checks references across files.

    ``keys`` are all letters there is a file for, ``workflows`` likewise; ``letters`` those that could be read, so
    that a broken file is reported once and not again as missing.
    """

    keys: Collection[str]
    letters: Mapping[tuple[str, str], Letter]
    defaults: Mapping[str, str]
    people: Mapping[str, Person]
    workflows: Collection[str]

    def references(self, named: Mapping[str, tuple[Reference, ...]]) -> Iterator[Diagnostic]:
        """Check the letters, people and workflows that workflows (by path) name."""
        for path, references in named.items():
            for reference in references:
                if reference.kind == "person":
                    yield from self._person(path, reference.name, reference.spot, "W203")
                elif reference.kind == "workflow":
                    yield from self._workflow(path, reference.name, reference.spot)
                elif reference.name not in self.keys:
                    message = f'There is no letter "{reference.name}".{suggestion(reference.name, self.keys)}'
                    help = f"create templates/{reference.name}.md"
                    yield Diagnostic(path, reference.spot.line, reference.spot.column, "W203", message, help)
                else:
                    yield from self._question(path, reference)

    def _person(self, path: str, name: str, spot: Spot, code: str) -> Iterator[Diagnostic]:
        if self.people and name not in self.people:
            help = f"people: {listed(self.people)} (workflows/people.yaml)"
            message = f'There is no person "{name}".{suggestion(name, self.people)}'
            yield Diagnostic(path, spot.line, spot.column, code, message, help)

    def _workflow(self, path: str, name: str, spot: Spot) -> Iterator[Diagnostic]:
        if name not in self.workflows:
            message = f'There is no workflow "{name}".{suggestion(name, self.workflows)}'
            yield Diagnostic(path, spot.line, spot.column, "W203", message, f"create workflows/{name}.yaml")

    def _default(self, name: str) -> Letter | None:
        return self.letters.get((name, self.defaults.get(name, "")))

    def _question(self, path: str, reference: Reference) -> Iterator[Diagnostic]:
        letter = self._default(reference.name)
        if letter is None:
            return
        at = (path, reference.spot.line, reference.spot.column)
        if reference.asks and letter.question is None:
            message = f'The letter "{reference.name}" asks nothing, so there is no answer to wait for.'
            yield Diagnostic(*at, "W216", message, f"give {letter.path} a question, or use send instead of ask")
        asked = self._default(reference.reminds_of or "")
        if asked is not None and asked.question is not None and _ids(letter) - _ids(asked):
            extra = ", ".join(sorted(_ids(letter) - _ids(asked)))
            message = f'The reminder "{reference.name}" offers answers that the question does not have: {extra}.'
            yield Diagnostic(*at, "W216", message, f"use the answers of {asked.path}")

    def letters_in(self, written: Mapping[str, LetterFile]) -> Iterator[Diagnostic]:
        """Check the letters (by path) themselves: who sends them, and whether translations fit."""
        for path, file in written.items():
            if file.sender is not None:
                yield from self._person(path, file.sender, file.sender_spot, "T203")
            default = self._default(file.key)
            letter = self.letters[file.key, file.language]
            if file.key not in self._keys_with_default(written):
                help = f"write templates/{file.key}.md, the letter for everybody else"
                yield Diagnostic(path, 1, 1, "T112", f"This translates a letter that does not exist: {file.key}.", help)
            elif default is not None and _ids(default) != _ids(letter):
                spot = file.ask.spot if file.ask else Spot()
                theirs = ", ".join(sorted(_ids(default))) or "none"
                message = f"The answers differ from those of {default.path}: {theirs}."
                help = "the ids must be the same; labels are free"
                yield Diagnostic(path, spot.line, spot.column, "T113", message, help)

    def _keys_with_default(self, written: Mapping[str, LetterFile]) -> set[str]:
        return {*self.defaults, *(set(self.keys) - {file.key for file in written.values()})}


def _ids(letter: Letter) -> set[str]:
    return {choice.id for choice in letter.question.choices} if letter.question else set()
