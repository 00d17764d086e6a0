"""Workflow files that mean something, and those that cannot be meant, with exactly what is said of them."""

from pathlib import Path

import pytest

from followup.authoring.bundle import BundleError, load, load_applied, load_workflow
from followup.authoring.folder import read_folder
from followup.authoring.meaning import RULES
from tests.authoring.meaning.shop import FILES

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
FINE = sorted((HERE / "fine").glob("*.yaml"))
READ_AS_SUCH = {"203", "207"}  # found while references and names are read


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


def test_each_rule_has_two_files_that_break_it_and_a_near_miss() -> None:
    assert sorted({*RULES, *READ_AS_SUCH}) == [str(number) for number in range(201, 217)]
    for number in RULES:
        assert sum(f": W{number} " in case.with_suffix(".txt").read_text("utf-8") for case in BROKEN) >= 2
        assert f"w{number}" in {case.stem for case in FINE}
        assert (RULES[number].__doc__ or "").strip().startswith(f"W{number}: ")


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


def test_a_workflow_with_another_error_in_it_is_not_checked_on_top() -> None:
    case = HERE / "broken" / "w201-at-the-end.yaml"
    files = files_with(case)
    path = f"workflows/{case.name}"
    with pytest.raises(BundleError) as raised:
        load({**files, path: files[path].replace("owner: mara", "owner: maria")})
    assert [one.code for one in raised.value.diagnostics] == ["W203"]


def test_a_workflow_with_a_letter_that_cannot_be_read_is_not_checked_and_others_are() -> None:
    with pytest.raises(BundleError) as raised:
        load(
            {
                **files_with(HERE / "broken" / "w201-at-the-end.yaml", arrived="nothing"),
                **files_with(HERE / "broken" / "w209-alone.yaml", arrived="nothing"),
            }
        )
    assert {one.code for one in raised.value.diagnostics} == {"T102", "W209", "T112"}
