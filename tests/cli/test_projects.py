"""``init``, ``apply``, ``config`` and ``db``."""

import re
from pathlib import Path

import click
import pytest

from followup.authoring.starter import GITIGNORE, PROCFILE, README
from followup.cli.main import COMMANDS, followup
from tests.cli.conftest import Cli


def test_a_new_project_can_be_applied_as_it_is(folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cli("init", "my-shop")
    monkeypatch.chdir(folder / "my-shop")
    applied = cli("apply")

    assert all(Path(folder, line).is_file() for line in made.out.splitlines())
    assert "followup apply" in made.err
    assert re.fullmatch(r"Applied \d+ workflows, \d+ letters as bundle [0-9a-f]{12}\.\n", applied.out)
    assert applied.err == ""


def test_a_new_project_keeps_its_secrets(folder: Path, cli: Cli) -> None:
    cli("init", "one")
    cli("init", "two")
    first, second = ((folder / name / ".env").read_text() for name in ("one", "two"))

    assert (folder / "one/.env").stat().st_mode & 0o077 == 0
    assert re.search(r"^FOLLOWUP_SECRET_KEYS=[0-9a-f]{64}$", first, re.MULTILINE)
    assert re.search(r"^FOLLOWUP_SUPPRESSION_KEY=[0-9a-f]{64}$", first, re.MULTILINE)
    assert first != second
    ignored = (folder / "one/.gitignore").read_text().split()
    assert {".env", "outbox/", "rehearsal/", "*.eml", "*.db", "*.csv", "*.pem"} <= set(ignored)


def test_what_the_documents_have_people_make_stays_out_of_version_control() -> None:
    ours = Path(__file__).parents[2] / ".gitignore"
    assert {".env", "outbox/", "rehearsal/", "*.eml", "*.db", "*.pem"} <= set(ours.read_text().split())


def test_a_project_in_the_current_folder_names_only_the_files_it_made(folder: Path, cli: Cli) -> None:
    (folder / "notes").mkdir()
    (folder / "notes/mine.txt").write_text("mine")
    made = cli("init")
    assert "mine.txt" not in made.out
    assert "cd " not in made.err


def test_a_project_can_begin_in_a_repository(folder: Path, cli: Cli) -> None:
    (folder / "README.md").write_text("mine")
    (folder / ".gitignore").write_text("*.bak")
    cli("init")
    assert (folder / "README.md").read_text() == "mine"
    assert (folder / ".gitignore").read_text() == "*.bak\n" + GITIGNORE


def test_init_never_writes_over_what_is_there(project: Path, cli: Cli) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    ran = cli("init", code=2)
    assert ran.err.startswith("error: workflows exists already\nhint: ")
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["file.txt", "file.txt/below"])
def test_a_project_cannot_be_made_in_a_file(folder: Path, cli: Cli, name: str) -> None:
    (folder / "file.txt").write_text("")
    ran = cli("init", name, code=2)
    assert ran.err.startswith("error: file.txt")
    assert ran.out == ""


def test_everything_the_new_project_tells_to_run_exists() -> None:
    told = re.findall(r"^(?:    |\w+: )followup ([a-z]+)(?: ([a-z]+))?", README + PROCFILE, re.MULTILINE)
    context = click.Context(followup)
    assert len(told) > 8
    for name, second in told:
        assert name in COMMANDS
        command = followup.get_command(context, name)
        assert not isinstance(command, click.Group) or command.get_command(context, second)


def test_the_order_of_the_deploy_page_is_let_into_the_workflow_it_names(folder: Path, cli: Cli) -> None:
    page = (Path(__file__).parents[2] / "docs/deploy.md").read_text(encoding="utf-8")
    (order,) = re.findall(r"^```csv\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (trigger,) = re.findall(r"^followup (trigger .*--order TEST-1 --now)$", page, re.MULTILINE)
    cli("init")
    cli("apply")
    (folder / "my-order.csv").write_text(order)
    cli("import", "orders", "my-order.csv")
    assert cli(*trigger.split()).out == "1 order enrolled in before-we-pack (TEST-1)\n"
    assert "before-we-pack: active" in cli("why", "TEST-1").out


def test_applying_twice_changes_nothing(project: Path, cli: Cli) -> None:
    assert cli("apply").out.startswith("Applied 1 workflow, 2 letters as bundle ")
    assert re.fullmatch(r"Nothing changed: bundle [0-9a-f]{12} already runs\.\n", cli("apply").out)
    document = cli("apply", "--json").document
    assert document["changed"] is False
    assert document["workflows"] == {"after-arrival": "live"}
    assert document["letters"] == ["arrived", "thanks"]


def test_a_broken_project_is_explained_place_by_place_and_not_applied(project: Path, cli: Cli) -> None:
    letter = project / "templates/thanks.md"
    letter.write_text(letter.read_text().replace("Good to hear.", "Good to hear, {{ customer.frist_name }}."))
    workflow = project / "workflows/after-arrival.yaml"
    workflow.write_text(workflow.read_text().replace("ask: arrived", "ask: arived"))
    ran = cli("apply", code=1)

    assert ran.out == ""
    assert ran.err.startswith("templates/thanks.md:5:27: J001 Unknown name")
    assert '\nworkflows/after-arrival.yaml:17:10: W203 There is no letter "arived". Did you mean "arrived"?' in ran.err
    assert ran.err.endswith("error: 2 problems in 2 files; nothing was done\n")
    assert not (project / "followup.db").exists()


def test_what_is_broken_can_be_read_by_an_editor(project: Path, cli: Cli) -> None:
    (project / "templates/thanks.md").write_text("---\nsubject: Hi\npurpose: service\n---\n{{ nobody }}\n")
    ran = cli("apply", "--dry-run", "--json", code=1)
    (found,) = ran.document["diagnostics"]
    assert (found["path"], found["line"], found["column"], found["code"]) == ("templates/thanks.md", 5, 4, "J001")


def test_a_dry_run_of_apply_leaves_no_database(project: Path, cli: Cli) -> None:
    assert cli("apply", "--dry-run").out == "No errors in 1 workflow, 2 letters. Nothing was applied.\n"
    assert not (project / "followup.db").exists()


def test_outside_a_project_apply_says_where_to_go(folder: Path, cli: Cli) -> None:
    ran = cli("apply", code=1)
    assert ran.err.startswith("error: . has no folder workflows/\nhint: Run the command in a project folder")
    assert list(folder.iterdir()) == []


def test_config_shows_every_setting_and_no_secret(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLLOWUP_SECRET_KEYS", "hush-1,hush-2")
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:hush-3@db.example/shop?password=hush-4")
    (project / ".env").write_text("SENDGRID_API_KEY=hush-5\nFOLLOWUP_TEST_INBOX=me@shop.example\n")
    ran = cli("config")

    assert "hush" not in ran.out + cli("config", "--json").out
    assert re.search(r"^DATABASE_URL +postgresql://ann:••••@db\.example/shop ", ran.out, re.MULTILINE)
    assert re.search(r"^FOLLOWUP_TEST_INBOX +me@shop\.example ", ran.out, re.MULTILINE)
    assert re.search(r"^FOLLOWUP_MODE +test +\(default\) ", ran.out, re.MULTILINE)
    assert ran.err == "Read from the environment and .env.\n"
    settings = cli("config", "--json").document
    assert settings["FOLLOWUP_MODE"] == {
        "value": "test",
        "set": False,
        "what": "test: nothing reaches a stranger; live: letters go out",
    }


def test_a_mistyped_setting_is_named_beside_those_there_are(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLLOWUP_MODE", "production")
    ran = cli("config", code=1)
    assert "error: FOLLOWUP_MODE" in ran.err
    assert re.search(r"^FOLLOWUP_MODE +test: nothing reaches a stranger", ran.out, re.MULTILINE)
    assert "production" not in ran.out


def test_live_mode_wants_secrets_of_its_own(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLLOWUP_MODE", "live")
    ran = cli("worker", "--once", code=1)
    assert "FOLLOWUP_SECRET_KEYS must be set" in ran.err


def test_a_database_is_upgraded_once(
    empty_database_url: str, folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    assert re.fullmatch(r"The database is now at version \w+\.\n", cli("db", "upgrade").out)
    assert cli("db", "upgrade").out == "The database is up to date.\n"


READING = [
    ("status",),
    ("workflows", "list"),
    ("replies", "list"),
    ("conversations", "list"),
    ("customers", "show", "ana@example.com"),
    ("why", "A-1"),
    ("worker", "--once"),
    ("conversations", "close", "ana@example.com"),
    ("trigger", "after-arrival", "--order", "A-1"),
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_without_a_database_nothing_is_made_and_the_way_there_is_told(
    folder: Path, cli: Cli, command: tuple[str, ...]
) -> None:
    ran = cli(*command, code=1)
    assert ran.out == ""
    assert ran.err.startswith(f"error: there is no database {folder}/followup.db yet\nhint: ")
    assert "followup apply" in ran.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_database_that_is_away_is_temporary(
    folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:hush@127.0.0.1:1/shop")
    ran = cli(*command, "--json", code=3) if command[0] != "worker" else cli(*command, code=3)
    assert ran.out == ""
    assert ran.err.startswith("error: the database ")
    assert "hush" not in ran.err
    assert "Traceback" not in ran.err


def test_an_empty_database_wants_an_upgrade(
    empty_database_url: str, folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    (folder.parent / "empty.db").touch()
    ran = cli("status", code=1)
    assert ran.err == "error: the database is empty\nhint: Run: followup db upgrade\n"


def test_a_project_that_is_not_there_is_named(folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLLOWUP_PROJECT", "elsewhere")
    ran = cli("status", code=1)
    assert ran.err.startswith("error: FOLLOWUP_PROJECT is elsewhere, and there is no such folder\nhint: ")
