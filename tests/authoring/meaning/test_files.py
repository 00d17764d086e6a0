"""Workflow files that mean something, and those that cannot be meant, with exactly what is said of them."""

from pathlib import Path

import pytest

from followup.authoring.bundle import BundleError, load, load_applied, load_workflow
from followup.authoring.folder import read_folder
from tests.authoring.meaning.shop import FILES

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
FINE = sorted((HERE / "fine").glob("*.yaml"))


def files_with(case: Path, **others: str) -> dict[str, str]:
    templates = {f"templates/{name}.md": text for name, text in others.items()}
    return {**FILES, f"workflows/{case.name}": case.read_text("utf-8"), **templates}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.stem)
def test_a_workflow_that_cannot_be_meant_gets_the_diagnostics_beside_it(case: Path) -> None:
    with pytest.raises(BundleError) as raised:
        load(files_with(case))
    assert f"{raised.value}\n" == case.with_suffix(".txt").read_text("utf-8")


@pytest.mark.parametrize("case", FINE, ids=lambda case: case.stem)
def test_a_near_miss_is_fine(case: Path) -> None:
    assert case.stem in load(files_with(case)).workflows


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.stem)
def test_what_is_running_stays_readable(case: Path) -> None:
    if case.stem != "w213-no-hours":  # that cannot even be read
        assert case.stem in load_applied(files_with(case)).workflows
        assert load_workflow(case.stem, case.read_text("utf-8")).name == case.stem


def test_what_runs_is_read_with_all_other_checks() -> None:
    with pytest.raises(BundleError, match="W203"):
        load_applied({**FILES, "workflows/other.yaml": FILES["workflows/other.yaml"].replace("review", "nothing")})


def test_the_projects_own_workflows_mean_something() -> None:
    assert load(read_folder(HERE.parents[2])).workflows
