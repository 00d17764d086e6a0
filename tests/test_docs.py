"""The documents say what is there: links lead somewhere, commands exist, every setting is listed."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest

from followup.authoring.bundle import load
from followup.authoring.sandbox import FILTERS
from followup.cli.main import COMMANDS, followup
from followup.settings import Settings, variable

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(page.read_text()) if name == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_pages_exist_with_their_options(page: Path) -> None:
    text = page.read_text()
    told = "\n".join([*blocks(page, "sh"), *re.findall(r"`(followup [^`]*)`", text)])
    used = re.findall(r"(?:^|[/ ])followup ((?:[a-z][a-z|-]* ?)+)([^\n#&]*)", told, re.MULTILINE)
    for words, rest in used:
        command: click.Command | None = followup
        context = click.Context(followup)
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            name = word.split("|")[0]
            assert command.get_command(context, name) is not None, f"{page.name}: followup {words}"
            command = command.get_command(context, name)
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, f"{page.name}: followup {words}{rest}"


def test_nothing_promises_that_one_tap_is_an_answer() -> None:
    demo = [ROOT / "followup/demo/acts.yaml", *sorted((ROOT / "templates").glob("*.md"))]
    promise = re.compile(r"\b(one|a single)[ -](tap|click)", re.IGNORECASE)
    assert [(page.name, said.group()) for page in [*PAGES, *demo] for said in promise.finditer(page.read_text())] == []


def test_every_command_of_the_table_can_be_loaded() -> None:
    context = click.Context(followup)
    for name in COMMANDS:
        command = followup.get_command(context, name)
        assert command is not None
        assert command.help


def test_every_setting_is_described_and_nothing_else() -> None:
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
    assert listed == {variable(field) for field in Settings.model_fields}


def test_every_filter_is_named_in_the_files_page() -> None:
    text = (ROOT / "docs/files.md").read_text()
    assert set(re.findall(r"`(\w+)`", text.split("Filters:")[1].split("Dates are")[0])) == set(FILTERS)


def test_the_workflow_and_the_letter_of_the_files_page_are_valid() -> None:
    page = ROOT / "docs/files.md"
    workflow, steps, people, shop, sample = blocks(page, "yaml")
    (letter,) = blocks(page, "markdown")
    parcels = "workflow: parcels\ntitle: T\nstatus: live\nowner: nell\nsender: tom\ntrigger: {event: order.fulfilled}\n"
    thanks = "---\nsubject: Thank you\npurpose: service\n---\nThat helps. {{ signature }}\n"
    bundle = load(
        {
            "workflows/first-weeks.yaml": workflow,
            "workflows/parcels.yaml": parcels + steps,
            "workflows/people.yaml": people,
            "workflows/shop.yaml": shop,
            "templates/_samples/typical.yaml": sample,
            "templates/arrived-well.md": letter,
            "templates/thank-you.md": thanks,
        }
    )
    assert set(bundle.workflows) == {"first-weeks", "parcels"}
    assert set(bundle.people) == {"nell", "tom"}
    assert set(bundle.samples) == {"typical"}


def test_the_commands_of_the_readme_stand_on_one_line_each() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    setups = [line for line in lines if line.startswith("python3 -m venv")]
    assert len(setups) == 2
    assert setups[0].endswith("followup demo")
    assert "pytest" in setups[1]


def test_the_layers_of_the_architecture_page_are_those_that_are_checked() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    drawn = [
        re.split(r"  +", line.strip())[0]
        for line in page.split("Layers")[1].split("`cli` stands")[0].splitlines()
        if line.startswith("    ")
    ]
    checked = (ROOT / "pyproject.toml").read_text().split("layers = [")[1].split("]")[0]
    wanted = [
        re.sub(r"\(followup\.\w+\) \| | \| \(followup\.\w+\)", "", line).replace("followup.", "")
        for line in re.findall(r'"(.*)"', checked)
    ]
    assert drawn == wanted


def test_every_module_has_one_room_on_the_architecture_page() -> None:
    page = (ROOT / "docs/architecture.md").read_text().split("## Rooms")[1].split("\n## ")[0]
    rooms = []
    for first, *others in (re.findall(r"`([^`]+)`", row) for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)):
        folder = first.rpartition("/")[0]
        rooms += [first, *(f"{folder}/{name}".removeprefix("/") for name in others)]
    files = [path.relative_to(ROOT / "followup") for path in (ROOT / "followup").rglob("*.py")]
    modules = {"/".join(path.with_suffix("").parts[:2]) for path in files if path.name != "__init__.py"}
    assert sorted(rooms) == sorted(modules)


def test_every_fault_and_bad_input_of_the_reliability_page_names_tests_that_exist() -> None:
    page = (ROOT / "docs/reliability.md").read_text()
    for title, fewest in (("faults", 20), ("bad input", 13)):
        section = page.split(f"## What was tried: {title}\n")[1].split("\n## ")[0]
        _, _, *rows = (line for line in section.splitlines() if line.startswith("|"))
        assert len(rows) >= fewest
        for row in rows:
            named = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", row)
            assert named, f"no test is named: {row[:60]}"
            for file, test in named:
                assert test in all_tests_of(ROOT / file), f"{file}::{test}"


@cache
def all_tests_of(file: Path) -> set[str]:
    """Return the tests of a file by name, those of a class with its name before theirs."""
    found: set[str] = set()
    inside: list[tuple[str, ast.AST]] = [("", ast.parse(file.read_text()))]
    while inside:
        within, node = inside.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                inside.append((f"{within}{child.name}::", child))
            elif isinstance(child, ast.FunctionDef) and child.name.startswith("test_"):
                found.add(within + child.name)
    return found


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from followup.cli.main import followup\n"
        "try: followup.main(['--help'], prog_name='followup')\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'pydantic', 'jinja2', 'alembic', 'holidays', 'structlog', 'psycopg'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
