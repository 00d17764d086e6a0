"""What one bundle says otherwise than another: workflows by their settings and steps, letters, people, the shop."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from followup.authoring.bundle import Bundle
from followup.authoring.folder import PEOPLE, SHOP
from followup.authoring.in_words import step_in_words, terms_in_words, ways_through
from followup.authoring.layout import LAYOUT
from followup.authoring.letter_file import PARTS, letter_name
from followup.core.transfer import matches
from followup.core.workflow import Ask, Letter, Step, Workflow, WorkflowStatus


class Change(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChange:
    """
    One step of two versions, in words: as it ``was`` and as it ``is``, each None where there is none.

    ``old`` and ``new`` are its ids, which differ where only their numbers do.
    """

    change: Change
    old: str | None
    new: str | None
    was: str | None
    now: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TermChange:
    """What a workflow says beside its steps: ``window``, for example, as it was and as it is."""

    about: str
    was: str | None
    now: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowChange:
    """
    How a workflow differs; ``steps`` has all of them, in the order of the new file, removed ones where they stood.

    ``status`` and ``title`` are as the newer file has them. A change that only readers of the file see (a remark, an
    empty line) has neither terms nor steps that differ.
    """

    name: str
    change: Change
    status: WorkflowStatus
    title: str
    terms: tuple[TermChange, ...] = ()
    steps: tuple[StepChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A letter (by name and, for a translation, language), a person, or the shop; ``used`` names the steps it is in."""

    name: str
    change: Change
    used: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All that differs between two bundles, each kind in the order of names."""

    workflows: tuple[WorkflowChange, ...]
    letters: tuple[FileChange, ...]
    people: tuple[FileChange, ...]
    others: tuple[FileChange, ...]  # by path: the shop, layouts, parts, samples

    def __bool__(self) -> bool:
        return bool(self.workflows or self.letters or self.people or self.others)


def changes(before: Bundle | None, after: Bundle) -> Changes:
    """Return what *after* says otherwise than *before*; None: nothing was applied yet."""
    files: Mapping[str, str] = before.files if before else {}
    changed = {path: _change(files.get(path), after.files.get(path)) for path in sorted({*files, *after.files})}
    changed = {path: change for path, change in changed.items() if change is not Change.SAME}
    workflows = {**(before.workflows if before else {}), **after.workflows}
    people = {**(before.people if before else {}), **after.people}
    persons = tuple(
        FileChange(name=name, change=change)
        for name in sorted(people)
        if (change := _change((before.people if before else {}).get(name), after.people.get(name))) is not Change.SAME
    )
    rewritten = dict.fromkeys(_rewritten(before, after, changed), Change.CHANGED) if before else {}
    return Changes(
        workflows=tuple(
            _workflow(before.workflows.get(name) if before else None, after.workflows.get(name), changed[path])
            for name in sorted(workflows)
            if (path := f"workflows/{name}.yaml") in changed
        ),
        letters=tuple(
            FileChange(name=letter_label(path), change=change, used=tuple(_uses(after, path)))
            for path, change in sorted({**changed, **rewritten}.items())
            if _is_letter(path)
        ),
        people=persons,
        others=tuple(
            FileChange(name=path, change=change)
            for path, change in changed.items()
            if _is_other(path) or (path == PEOPLE and not persons)  # a remark in it changes nobody
        ),
    )


def _change(was: object | None, now: object | None) -> Change:
    if was == now:
        return Change.SAME
    if was is None:
        return Change.ADDED
    return Change.REMOVED if now is None else Change.CHANGED


def _is_letter(path: str) -> bool:
    return path.startswith("templates/") and not path.startswith("templates/_")


def _is_other(path: str) -> bool:
    return not _is_letter(path) and (path == SHOP or not path.startswith("workflows/"))


def _rewritten(before: Bundle, after: Bundle, changed: Collection[str]) -> Iterator[str]:
    """Yield the letters that say something else by a part they include, though their own file is the same."""
    if LAYOUT in changed or not any(path.startswith(PARTS) for path in changed):
        return
    said = {letter.path: letter.content_hash for letter in before.letters.values()}
    for letter in after.letters.values():
        if letter.path not in changed and said[letter.path] != letter.content_hash:
            yield letter.path


def letter_label(path: str) -> str:
    """Return what the letter of that file goes by: its name, and its language where the file names one."""
    name, language = letter_name(path) or (path, None)
    return f"{name} ({language})" if language else name


def _uses(bundle: Bundle, path: str) -> Iterator[str]:
    """Yield where the letter is sent, as ``workflow/step``."""
    name = (letter_name(path) or (path, None))[0]
    for workflow in bundle.workflows.values():
        for step in workflow.all_steps:
            if isinstance(step, Letter) and name in letters_of(step):
                yield f"{workflow.name}/{step.id}"


def letters_of(step: Letter) -> set[str]:
    """Return the letters that *step* may send: its own, and that of its reminder."""
    return {step.letter, step.remind_with or step.letter} if isinstance(step, Ask) else {step.letter}


def _workflow(before: Workflow | None, after: Workflow | None, change: Change) -> WorkflowChange:
    some = after or before
    assert some is not None, "one of two files is there"
    return WorkflowChange(
        name=some.name,
        change=change,
        status=some.status,
        title=some.title,
        terms=tuple(_terms(before, after)) if before and after else (),
        steps=tuple(_steps(before, after)),
    )


def _terms(before: Workflow, after: Workflow) -> Iterator[TermChange]:
    was, now = list(_said(before)), list(_said(after))
    gone, new = [one for one in was if one not in now], [one for one in now if one not in was]
    for about in dict.fromkeys(about for about, _ in [*new, *gone]):
        lost, won = [words for one, words in gone if one == about], [words for one, words in new if one == about]
        for number in range(max(len(lost), len(won))):
            yield TermChange(
                about=about,
                was=lost[number] if number < len(lost) else None,
                now=won[number] if number < len(won) else None,
            )


def _said(workflow: Workflow) -> Iterator[tuple[str, str]]:
    yield "title", workflow.title
    yield "status", workflow.status.value
    yield "priority", str(workflow.priority)
    yield from terms_in_words(workflow)


def _steps(before: Workflow | None, after: Workflow | None) -> Iterator[StepChange]:
    """Yield every step in the order of the new version; those that are gone follow what they stood behind."""
    same = matches(before, after) if before and after else {}
    old_of = {new: old for old, new in same.items()}
    gone = _gone_behind(before, same)
    yield from gone.pop(None, [])
    for step in after.all_steps if after else ():
        old = before.step(old_of[step.id]) if before and step.id in old_of else None
        was, now = _words(old) if old else None, _words(step)
        yield StepChange(change=_change(was, now), old=old.id if old else None, new=step.id, was=was, now=now)
        yield from gone.pop(old.id if old else None, [])


def _gone_behind(before: Workflow | None, same: Mapping[str, str]) -> dict[str | None, list[StepChange]]:
    """Return the steps that are gone, by the step before them that is not; None: there is none."""
    gone: dict[str | None, list[StepChange]] = {}
    behind = None
    for step in before.all_steps if before else ():
        if step.id in same:
            behind = step.id
        else:
            change = StepChange(change=Change.REMOVED, old=step.id, new=None, was=_words(step), now=None)
            gone.setdefault(behind, []).append(change)
    return gone


def _words(step: Step) -> str:
    """Return what *step* says; of a branch or a split, with its ways, but not with what they lead to."""
    ways = " / ".join(way.words for way in ways_through(step) if way.written)
    return f"{step_in_words(step)}: {ways}" if ways else step_in_words(step)
