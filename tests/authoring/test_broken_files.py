"""Every file in ``broken/`` is refused with exactly the diagnostics that stand beside it."""

from pathlib import Path

import pytest

from followup.authoring.bundle import BundleError, load
from tests.authoring.project import FILES

CASES = sorted(path for path in (Path(__file__).parent / "broken").rglob("*") if path.suffix in {".yaml", ".md"})


def diagnostics_of(case: Path) -> str:
    if case.parent.name == "people":
        path = "workflows/people.yaml"
    elif case.parent.name == "samples":
        path = f"templates/_samples/{case.name}"
    else:
        path = f"{'workflows' if case.suffix == '.yaml' else 'templates'}/{case.name}"
    with pytest.raises(BundleError) as raised:
        load({**FILES, path: case.read_text("utf-8")})
    return str(raised.value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_file_gets_the_diagnostics_beside_it(case: Path) -> None:
    assert diagnostics_of(case) + "\n" == case.with_name(case.name + ".txt").read_text("utf-8")
