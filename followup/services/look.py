"""A workflow to look at: as it runs, else as the project folder has it, else as people finish it; and who is inside."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import BundleError, load_workflow
from followup.authoring.drawing.picture import Picture
from followup.authoring.folder import read_workflow_file, workflow_names
from followup.core.workflow import Workflow
from followup.services import find
from followup.services.library import Library
from followup.services.switch import Inside, count_inside
from followup.store import enrollments, switches
from followup.store.engine import reading
from followup.store.enrollments import Standing
from followup.store.switches import Switch


class Folder(StrEnum):
    """How the project folder has a workflow, beside what runs."""

    SAME = "same"
    DIFFERS = "differs"
    GONE = "gone"  # it has other workflows, and no file of this one
    DRAFT = "draft"  # nothing of that name was applied: what is looked at is the file
    DELETED = "deleted"  # neither the folder nor what runs has it; people inside finish the version looked at
    UNKNOWN = "unknown"  # there is no such folder here


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """``inside`` is None where there is no database to ask; ``switch`` is what an operator made of the workflow."""

    workflow: Workflow
    folder: Folder
    inside: Inside | None = None
    switch: Switch | None = None

    @property
    def picture(self) -> Picture:
        if self.inside is None:
            return Picture(workflow=self.workflow)
        inside = self.inside
        return Picture(
            workflow=self.workflow, people=inside.steps, held_out=inside.held_out, finishing=inside.finishing
        )


def look(engine: Engine | None, name: str, *, project: Path, library: Library) -> Looked:
    """
    Return the workflow *name* and who is inside.

    Args:
        engine: of the database to ask what runs; None: there is none, and the folder is all there is.

    Raises:
        NotFound: neither what runs nor the folder has it, and nobody is inside; the hint names the nearest.
        BundleError: only the folder has it, and the file cannot be read.
    """
    if engine is None:
        return Looked(workflow=_in_folder(name, project, ()), folder=Folder.DRAFT)
    with reading(engine) as conn:
        return _look(conn, name, project, library)


def _look(conn: Connection, name: str, project: Path, library: Library) -> Looked:
    bundle = library.find_newest(conn)
    switch = switches.current(conn).get(name)
    standing = enrollments.standing(conn, workflow=name)
    if bundle is None or name not in bundle.workflows:
        is_gone = standing and read_workflow_file(project, name) is None
        newest = max((place.version_id for place in standing), default=0)
        if is_gone:
            inside = _inside(conn, name, [place for place in standing if place.version_id != newest])
            workflow = library.workflow(conn, newest)
            return Looked(workflow=workflow, folder=Folder.DELETED, inside=inside, switch=switch)
        workflow = _in_folder(name, project, bundle.workflows if bundle else ())
        return Looked(workflow=workflow, folder=Folder.DRAFT, inside=count_inside(conn, name), switch=switch)
    older = [one for one in standing if one.finishes and not library.is_current(conn, bundle, name, one.version_id)]
    inside = _inside(conn, name, older)
    folder = _compared(library.as_applied(conn).workflows[name], bundle.files[f"workflows/{name}.yaml"], project)
    return Looked(workflow=bundle.workflows[name], folder=folder, inside=inside, switch=switch)


def _inside(conn: Connection, name: str, older: Iterable[Standing]) -> Inside:
    """Return who is inside, with those apart who are in *older* versions than the one that is looked at."""
    found = count_inside(conn, name)
    apart: Counter[str] = Counter()
    for place in older:
        if place.step is not None:  # who is held out stands nowhere
            apart[place.step] += place.number
    steps = {step: number - apart[step] for step, number in found.steps.items() if number > apart[step]}
    return Inside(steps, found.held_out, dict(sorted(apart.items())))


def _in_folder(name: str, project: Path, applied: Collection[str]) -> Workflow:
    text = read_workflow_file(project, name)
    if text is None:
        raise find.no_workflow(name, {*applied, *workflow_names(project)})
    return load_workflow(name, text)


def _compared(applied: Workflow, source: str, project: Path) -> Folder:
    """Return how the folder has a workflow: one that says the same in other words is the same."""
    names = workflow_names(project)
    if not names:
        return Folder.UNKNOWN
    try:
        text = read_workflow_file(project, applied.name)
        if text is None:
            return Folder.GONE
        return Folder.SAME if text == source or load_workflow(applied.name, text) == applied else Folder.DIFFERS
    except BundleError:  # what cannot be read does not run
        return Folder.DIFFERS
