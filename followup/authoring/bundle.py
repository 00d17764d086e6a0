"""The project folder as one bundle: everything that was applied, by content hash."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from followup.authoring.compiler import compile_letter
from followup.authoring.crosscheck import CrossCheck
from followup.authoring.diagnostics import BundleError, Diagnostic, Report, Spot
from followup.authoring.folder import PEOPLE, SHOP, read_folder
from followup.authoring.layout import LAYOUT, Layout, default_layout, read_layout
from followup.authoring.letter_file import LetterFile, letter_name, read_letter
from followup.authoring.meaning import Subject, check, meant
from followup.authoring.names import with_remembered
from followup.authoring.people import read_people, read_shop
from followup.authoring.places import Places
from followup.authoring.render import Letter
from followup.authoring.samples import Sample, read_samples
from followup.authoring.source import read_yaml, unix_lines
from followup.authoring.steps_file import Reference, remembered_in
from followup.authoring.workflow_file import read_workflow
from followup.core.people import Person, Shop
from followup.core.replies import Question
from followup.core.workflow import Workflow, WorkflowStatus
from followup.errors import NotFound

__all__ = ["Bundle", "BundleError", "content_hash", "load", "load_applied", "load_workflow", "read_folder"]
WORKFLOW_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """
    A whole folder, checked.

    ``letters`` are by key and language (as written); ``defaults`` name the language of each ``NAME.md``.
    ``samples`` are by name; a bundle that was applied has none, for only who tries things out needs them.
    ``switched`` is what an operator made of workflows, whether or not their files are still there (services.library).
    """

    hash: str
    files: Mapping[str, str] = field(repr=False)
    workflows: Mapping[str, Workflow]
    letters: Mapping[tuple[str, str], Letter]
    defaults: Mapping[str, str]
    people: Mapping[str, Person]
    shop: Shop
    samples: Mapping[str, Sample] = field(default_factory=dict)
    switched: Mapping[str, WorkflowStatus] = field(default_factory=dict)

    def letter(self, name: str, language: str | None = None) -> Letter:
        """
        Return the letter *name* in *language* (BCP 47), its primary language, or as ``NAME.md`` has it.

        Raises:
            NotFound: there is no such letter.
        """
        if name not in self.defaults:
            raise NotFound(f"there is no letter {name!r}", hint=f"Create templates/{name}.md and apply")
        wanted = (language or "").replace("_", "-").casefold()
        of_name = {tag.casefold(): letter for (key, tag), letter in self.letters.items() if key == name}
        default = self.letters[name, self.defaults[name]]
        return of_name.get(wanted) or of_name.get(wanted.split("-")[0]) or default

    def question(self, name: str) -> Question | None:
        """Return the question of the letter *name*, which all its languages share; None when it asks nothing."""
        return self.letter(name).question


def load(files: Mapping[str, str]) -> Bundle:
    """
    Read and check all *files* (posix path within the project -> text).

    Raises:
        BundleError: with everything that is wrong in any of them.
    """
    loader = _Loader(files)
    loader.read_samples()
    bundle = loader.load()
    loader.check_meaning()
    return loader.sound(bundle)


def load_applied(files: Mapping[str, str]) -> Bundle:
    """
    Read *files* that were applied once: what runs stays readable when a later version checks more of its meaning.

    Raises:
        BundleError: they cannot be read.
    """
    loader = _Loader(files)
    return loader.sound(loader.load())


def load_workflow(name: str, text: str) -> Workflow:
    """
    Return the workflow *name* from the *text* of a version stored earlier.

    Raises:
        BundleError: the text is not a workflow.
    """
    path, text = f"workflows/{name}.yaml", unix_lines(text)
    report = Report(path)
    read = read_workflow(name, text, report)  # what it reads of a customer was checked when it was applied
    if read.workflow is None:
        raise BundleError(report.diagnostics, {path: text})
    return read.workflow


def content_hash(files: Mapping[str, str]) -> str:
    """Return the SHA-256 (hex) over the sorted paths and their contents."""
    digest = hashlib.sha256()
    for path in sorted(files):
        for text in (path, files[path]):
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def _name_of(path: str) -> str:
    return path.removeprefix("workflows/").removesuffix(".yaml")


class _Loader:
    """The state of loading one folder."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = {path: unix_lines(text) for path, text in sorted(files.items())}
        self.diagnostics: list[Diagnostic] = []
        self.workflows: dict[str, Workflow] = {}
        self.places: dict[str, Places] = {}  # by workflow
        self.references: dict[str, tuple[Reference, ...]] = {}
        self.letters: dict[tuple[str, str], Letter] = {}
        self.defaults: dict[str, str] = {}
        self.written: dict[str, LetterFile] = {}  # by path
        self.samples: dict[str, Sample] = {}

    def read_samples(self) -> None:
        """Read the made-up customers, in which only the folder's writers have an interest."""
        reports: dict[str, Report] = {}
        self.samples = read_samples(self.files, lambda path: reports.setdefault(path, Report(path, "T")))
        self.diagnostics += [one for report in reports.values() for one in report.diagnostics]

    def load(self) -> Bundle | None:
        people_report, shop_report = Report(PEOPLE), Report(SHOP)
        people = read_people(self.files.get(PEOPLE), people_report)
        shop = read_shop(self.files.get(SHOP), shop_report)
        self.diagnostics += people_report.diagnostics + shop_report.diagnostics
        remembered = self._remembered()
        self._read_workflows(remembered)
        self._read_letters(remembered)
        checker = CrossCheck(self._letter_keys(), self.letters, self.defaults, people, self._workflow_names())
        self.diagnostics += checker.references(self.references)
        self.diagnostics += checker.letters_in(self.written)
        if self.diagnostics or shop is None:
            return None
        return Bundle(
            hash=content_hash(self.files),
            files=self.files,
            workflows=self.workflows,
            letters=self.letters,
            defaults=self.defaults,
            people=people,
            shop=shop,
            samples=self.samples,
        )

    def sound(self, bundle: Bundle | None) -> Bundle:
        """Return the bundle, or raise with all that is wrong."""
        if bundle is None or self.diagnostics:
            raise BundleError(self.diagnostics, self.files)
        return bundle

    def check_meaning(self) -> None:
        """Check the workflows in which nothing else is wrong, and whose letters could be read."""
        wrong = {diagnostic.path for diagnostic in self.diagnostics}
        by_name: dict[str, list[Letter]] = {}
        for (name, _), letter in self.letters.items():
            by_name.setdefault(name, []).append(letter)
        letters = {name: meant(by_name[name], self.letters[name, language]) for name, language in self.defaults.items()}
        for name, workflow in self.workflows.items():
            path = f"workflows/{name}.yaml"
            named = {reference.name for reference in self.references[path] if reference.kind == "letter"}
            if path not in wrong and named <= set(letters):
                report = Report(path)
                check(Subject(workflow, letters, self.workflows, self.places[name]), report)
                self.diagnostics += report.diagnostics

    def _workflow_paths(self) -> list[str]:
        return [path for path in self.files if path.startswith("workflows/") and path not in (PEOPLE, SHOP)]

    def _workflow_names(self) -> set[str]:
        """Return every workflow there is a file for, readable or not."""
        return {_name_of(path) for path in self._workflow_paths()}

    def _remembered(self) -> set[str] | None:
        """Return the fields of a customer that any workflow remembers; None, for any, if they cannot all be known."""
        fields = set()
        for path in self._workflow_paths():
            if "remember" not in self.files[path]:
                continue
            report = Report(path)
            fields |= remembered_in(read_yaml(self.files[path], report))
            if report.diagnostics:
                return None
        return fields

    def _read_workflows(self, remembered: set[str] | None) -> None:
        for path in self._workflow_paths():
            report, name = Report(path), _name_of(path)
            if not WORKFLOW_NAME.fullmatch(name) or not path.endswith(".yaml"):
                help = 'use letters, digits, "-" and "_", and the ending .yaml, directly in workflows/'
                report.add(Spot(), "114", "This is no name for a workflow file.", help)
            else:
                read = read_workflow(name, self.files[path], report, remembered=remembered)
                self.references[path] = read.references
                if read.workflow is not None and read.places is not None:
                    self.workflows[name], self.places[name] = read.workflow, read.places
            self.diagnostics += report.diagnostics

    def _letter_paths(self) -> list[str]:
        """Return the paths of all letters, translations last: a clash of languages is theirs."""
        paths = [p for p in self.files if p.startswith("templates/") and not p.startswith("templates/_")]
        return sorted(paths, key=lambda path: (letter_name(path) or ("", None))[1] is not None)

    def _letter_keys(self) -> set[str]:
        """Return every letter there is a file for, readable or not."""
        names = (letter_name(path) for path in self._letter_paths())
        return {name[0] for name in names if name is not None}

    def _read_letters(self, remembered: set[str] | None) -> None:
        layout, known = self._layout(), with_remembered(remembered)
        for path in self._letter_paths():
            report = Report(path, "T")
            file = read_letter(path, self.files, report)
            letter = compile_letter(file, layout, report, known) if file and layout else None
            if file is not None and letter is not None:
                self._keep(file, letter, report)
            self.diagnostics += report.diagnostics

    def _keep(self, file: LetterFile, letter: Letter, report: Report) -> None:
        language = letter.language.casefold()
        for (key, tag), other in self.letters.items():
            if (key, tag.casefold()) == (file.key, language):
                message = f'{other.path} is written in "{letter.language}" as well.'
                report.add(Spot(), "111", message, "correct its language")
                return
        self.letters[letter.key, letter.language] = letter
        self.written[file.path] = file
        if letter_name(file.path) == (file.key, None):
            self.defaults[letter.key] = letter.language

    def _layout(self) -> Layout | None:
        text = self.files.get(LAYOUT)
        if text is None:
            return default_layout()
        layout = read_layout(LAYOUT, text)
        if isinstance(layout, Layout):
            return layout
        self.diagnostics += layout
        return None
