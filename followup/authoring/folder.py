"""The project folder on disk, read with care: only files that belong, only of sensible size, only from inside."""

from collections.abc import Iterator
from pathlib import Path

from followup.authoring.diagnostics import BundleError, Diagnostic, Report, Spot
from followup.authoring.source import decode
from followup.errors import ConfigurationError

LARGEST_FILE = 1_000_000  # bytes
MOST_FILES = 2_000
PEOPLE, SHOP = "workflows/people.yaml", "workflows/shop.yaml"
ENDINGS = {"": ".md", "_parts": ".md", "_layouts": ".html", "_samples": ".yaml"}


def read_folder(project: Path) -> dict[str, str]:
    """
    Return the text of every workflow, letter, part, layout and sample in *project*, by its posix path in there.

    Raises:
        ConfigurationError: there is no ``workflows`` folder, or a file cannot be read.
        BundleError: a file is no text in UTF-8, too large, or leads outside of the folder.
    """
    if not (project / "workflows").is_dir():
        raise ConfigurationError(
            f"{project} has no folder workflows/",
            hint="Run the command in a project folder, or set FOLLOWUP_PROJECT to one",
        )
    root = project.resolve()
    files: dict[str, str] = {}
    wrong: list[Diagnostic] = []
    for number, file in enumerate(_belonging(project)):
        path = file.relative_to(project).as_posix()
        report = Report(path, "T" if path.startswith("templates/") else "W")
        if number >= MOST_FILES:
            report.add(Spot(), "004", f"The project has more than {MOST_FILES:,} files.")
            wrong += report.diagnostics
            break
        text = _read(file, root, report)
        wrong += report.diagnostics
        if text is not None:
            files[path] = text
    if wrong:
        raise BundleError(wrong, files)
    return files


def workflow_names(project: Path) -> list[str]:
    """Return the names of the workflows in *project* that there are files of, readable or not."""
    files = _files(project / "workflows", (".yaml",))
    return [file.stem for file in files if f"workflows/{file.name}" not in (PEOPLE, SHOP)]


def letter_names(project: Path) -> list[str]:
    """Return the names of the letters in *project* that there are files of, translations aside."""
    return [file.stem for file in _files(project / "templates", (".md",)) if "." not in file.stem]


def sample_names(project: Path) -> list[str]:
    """Return the names of the samples in *project* that there are files of, readable or not."""
    return [file.stem for file in _files(project / "templates/_samples", (".yaml",))]


def read_workflow_file(project: Path, name: str) -> str | None:
    """
    Return the text of one workflow in *project*, or None when there is no file of it.

    Raises:
        ConfigurationError, BundleError: as for `read_folder`.
    """
    if name not in workflow_names(project):
        return None
    file = project / "workflows" / f"{name}.yaml"
    report = Report(file.relative_to(project).as_posix())
    text = _read(file, project.resolve(), report)
    if text is None:
        raise BundleError(report.diagnostics, {})
    return text


def _belonging(project: Path) -> Iterator[Path]:
    yield from _files(project / "workflows", (".yaml", ".yml"))
    templates = project / "templates"
    for folder, ending in ENDINGS.items():
        endings = (ending, ".yml") if ending == ".yaml" else (ending,)
        yield from _files(templates / folder, endings)
    if templates.is_dir():  # letters in other folders are reported, not overlooked
        for folder_path in sorted(templates.iterdir()):
            if folder_path.is_dir() and folder_path.name not in ENDINGS and not folder_path.name.startswith("."):
                yield from _files(folder_path, (".md",))


def _files(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of *folder* in order of name; hidden ones (editors leave them behind) do not count."""
    if folder.is_dir():
        for file in sorted(folder.iterdir()):
            if file.suffix in endings and not file.name.startswith("."):
                yield file


def _read(file: Path, root: Path, report: Report) -> str | None:
    if not file.resolve().is_relative_to(root):
        report.add(Spot(), "006", "This leads to a file outside of the project.", "put a copy of the file here")
        return None
    if file.suffix == ".yml":
        report.add(Spot(), "007", "Files that end in .yml are not read.", f"rename it to {file.stem}.yaml")
        return None
    if not file.is_file():
        report.add(Spot(), "006", "This is not a file.", "remove it, or put the file in its place")
        return None
    try:
        if file.stat().st_size > LARGEST_FILE:
            report.add(Spot(), "004", f"The file is larger than {LARGEST_FILE:,} bytes.")
            return None
        raw = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    return decode(raw, report)
