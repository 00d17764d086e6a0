"""The only module that prints. Results go to stdout, everything said about them to stderr."""

import csv
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from unicodedata import combining, east_asian_width

import click

from followup.errors import FollowupError
from followup.terminal import takes_colour

if TYPE_CHECKING:
    from followup.core.customer import Customer

HINTED = 38  # cells of a command beside which its purpose stands
LEAST_ROOM = 24  # cells a wrapped column needs to be readable
JOINERS = "\u200c\u200d"  # invisible, but Persian words and families of emoji fall apart without them


class ReaderGone(Exception):
    """Whoever read our output (head, less) has seen enough."""


def prepare() -> None:
    """Make output that is closed, or no UTF-8, lose signs instead of breaking off."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the process ends
        elif getattr(stream, "errors", None) == "strict":
            stream.reconfigure(errors="replace")


def finish() -> None:
    """Print what is still on its way, so that a failure shows here and not after the exit code was chosen."""
    _print("", end="", flush=True)


def say(text: str = "") -> None:
    """
    Print a line of the result; on a terminal that is too narrow it goes on below itself.

    Control characters of strangers' text are made visible.
    """
    _print("\n".join(_folded(line, sys.stdout) for line in _harmless(text).split("\n")))


def verbatim(text: str) -> None:
    """Print lines of the result as they are, however wide: what programs read, and drawings."""
    _print(_harmless(text))


def heading(text: str) -> None:
    """Print the first line of a part of the result, apart from the part before."""
    line = _hanging("", _harmless(text))
    _print()
    _print(click.style(line, bold=True) if takes_colour(sys.stdout) else line)


def entry(lead: str, text: str) -> None:
    """Print *text* after *lead*; on a terminal that is too narrow it goes on below itself."""
    _print(_hanging(_harmless(lead), _harmless(text)))


def difference(line: str) -> None:
    """Print a line of a comparison: what is new begins with +, what is gone with -."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    colour = colours.get(line[:1]) if takes_colour(sys.stdout) else None
    _print(click.style(_harmless(line), fg=colour) if colour else _harmless(line))


def _print(text: str = "", *, end: str = "\n", flush: bool = False) -> None:
    try:
        print(text, end=end, flush=flush)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere, quietly
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from error
        raise FollowupError(f"the output cannot be written: {error.strerror}") from error


def tell(text: str) -> None:
    """
    Print a remark about the result; on a terminal that is too narrow it goes on below itself.

    It is written at one go: another thread's log line cannot come between it and the end of its line.
    """
    folded = "\n".join(_folded(line, sys.stderr) for line in _harmless(text).split("\n"))
    print(f"{folded}\n", end="", file=sys.stderr)


def hint(command: str, purpose: str) -> None:
    """Print a command that helps from here, and what it is good for: beside it, or below a long one."""
    lead, columns = f"  {command:<{HINTED}}  ", terminal_columns(sys.stderr)
    fits = columns is None or cells_wide(lead + purpose) <= columns
    if fits and cells_wide(command) <= HINTED:
        tell((lead + purpose).rstrip())
        return
    tell(f"  {command}")
    if purpose:
        tell(f"      {purpose}")


def fail(error: FollowupError) -> None:
    """Print an error and what to do about it."""
    found = getattr(error, "diagnostics", None)
    if found:  # places in files: each begins its own line, so that editors can jump to it
        print(_harmless(str(error)), file=sys.stderr)  # with lines of the files, and carets below them
        files = {one.path for one in found}
        complain(f"{plural(len(found), 'problem')} in {plural(len(files), 'file')}; nothing was done")
    else:
        complain(str(error))
    if error.hint:
        tell(f"hint: {error.hint}")


def complain(message: str) -> None:
    """Print that something went wrong."""
    label = click.style("error:", fg="red", bold=True) if takes_colour(sys.stderr) else "error:"
    first, *rest = _folded(f"error: {_harmless(message)}", sys.stderr).split("\n")
    print("\n".join([label + first.removeprefix("error:"), *rest]), file=sys.stderr)


def document(value: Any) -> None:
    """Print *value* as one JSON document; moments are UTC with Z, amounts text."""
    text = json.dumps(value, default=_jsonable, ensure_ascii=not speaks_unicode(), indent=2)
    _print("".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text))


def speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def csv_rows(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print CSV (RFC 4180); a cell that a spreadsheet would take for a formula is made text by an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([[_no_formula(str(cell)) for cell in row] for row in rows])
    _print(text.getvalue(), end="")


def _no_formula(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """
    Print aligned columns; the last one may be as long as it likes.

    Where a terminal has no room for the others, each row becomes lines of its own.
    """
    cells = [[_harmless(str(cell)) for cell in row] for row in rows]
    widths = [max(map(cells_wide, column)) for column in zip(header, *cells, strict=True)]
    beside = sum(widths[:-1]) + 2 * len(widths[:-1])
    columns = terminal_columns()
    if columns is not None and beside - 2 > columns:
        _row_by_row(header, cells)
        return
    below = columns is not None and beside + widths[-1] > columns and columns - beside < LEAST_ROOM
    for number, row in enumerate([list(header), *cells]):
        lead = "".join(
            cell + " " * (width - cells_wide(cell) + 2) for cell, width in zip(row[:-1], widths, strict=False)
        )
        if number == 0:
            fits = columns is None or cells_wide(lead) + cells_wide(row[-1]) <= columns
            line = (lead + row[-1]).rstrip() if fits else f"{lead.rstrip()}\n    {row[-1]}"
            _print(click.style(line, bold=True) if takes_colour(sys.stdout) else line)
        elif below and row[-1]:
            _print(lead.rstrip())
            _print(_hanging("    ", row[-1]))
        else:
            _print(_hanging(lead, row[-1]))


def _row_by_row(header: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    width = max(map(cells_wide, header))
    for number, row in enumerate(cells):
        if number:
            _print()
        for name, cell in zip(header, row, strict=True):
            if cell:
                _print(_hanging(name + " " * (width - cells_wide(name) + 2), cell))


def terminal_columns(stream: Any = None) -> int | None:
    """Return how wide the terminal is to which *stream* (else stdout) leads; None where a program reads along."""
    return shutil.get_terminal_size().columns if (stream or sys.stdout).isatty() else None


def _hanging(lead: str, text: str) -> str:
    """Return *lead* and *text*; what is too long for the terminal goes on below where *text* began."""
    columns = terminal_columns()
    if columns is None or cells_wide(lead) + cells_wide(text) <= columns:
        return (lead + text).rstrip()
    if lead.strip() and columns - cells_wide(lead) < LEAST_ROOM:
        return "\n".join([lead.rstrip(), *("    " + line for line in _wrapped(text, columns - 4))])
    room = max(columns - cells_wide(lead), LEAST_ROOM)
    return lead + f"\n{' ' * cells_wide(lead)}".join(_wrapped(text, room))


def _folded(line: str, stream: Any) -> str:
    """Return *line*; what is too long for the terminal goes on below it, further in than it began."""
    columns = terminal_columns(stream)
    if columns is None or cells_wide(line) <= columns:
        return line
    text = line.lstrip(" ")
    lead = " " * (len(line) - len(text))
    further = lead + "  "
    first, *rest = _wrapped(text, max(columns - len(further), LEAST_ROOM))
    return "\n".join([lead + first, *(further + one for one in rest)])


def _wrapped(text: str, room: int) -> list[str]:
    """Break *text* between words into lines of at most *room* cells; only longer words stick out."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and cells_wide(lines[-1]) + 1 + cells_wide(word) > room:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return [line.rstrip() for line in lines]


def cells_wide(text: str) -> int:
    """Return how many terminal cells *text* takes."""
    return sum(map(_cells, text))


def _cells(char: str) -> int:
    if combining(char) or char in JOINERS:
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def _harmless(text: str) -> str:
    """Replace what could steer a terminal: mail and orders are strangers' text."""
    return "".join(map(_shown, text))


def _shown(char: str) -> str:
    if char.isprintable() or char == "\n" or char in JOINERS:
        return char
    return " " if char.isspace() else "\ufffd"


def local(moment: datetime, zone: Any) -> str:
    """Return *moment* as people there would write it, with its offset: ``Mon 02 Nov 2026 09:00 +01:00``."""
    here = moment.astimezone(zone)
    offset = here.strftime("%z")
    return f"{here:%a %d %b %Y %H:%M} {offset[:3]}:{offset[3:5]}"


def recorded(value: object, zone: Any) -> str:
    """Return a value that a decision rests on as people write it; moments were recorded as text."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    if isinstance(value, datetime):
        return local(value, zone)
    if isinstance(value, str) and "T" in value:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return local(moment, zone) if moment.tzinfo else value
    return str(value)


def amount(cents: int, currency: str) -> str:
    """Return an amount with its currency; cents only where there are any."""
    return f"{currency} {Decimal(cents) / 100:,.2f}".removesuffix(".00").strip()


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 order`` or ``1,042 orders``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def named(customer: "Customer") -> str:
    """Return a customer's name and address, on one line whatever the name is."""
    parts = [part for part in (customer.first_name, customer.last_name) if part]
    return f"{' '.join(' '.join(parts).split()) or '(no name)'} <{customer.email}>"


def quoted(text: str, *, most: int = 160) -> str:
    """Return *text* on one line in quotation marks, cut with an ellipsis."""
    flat = re.sub(r"\s+", " ", text).strip()
    return f"“{flat if len(flat) <= most else flat[: most - 1].rstrip() + '…'}”"


def confirm(consequence: str, *, yes: bool) -> bool:
    """Ask whether *consequence* is wanted; without a terminal only ``--yes`` will do."""
    if yes:
        return True
    if sys.stdin.isatty() and click.confirm(f"{consequence} Go on?", err=True):
        return True
    tell("Nothing was done." if sys.stdin.isatty() else f"{consequence} Nothing was done: add --yes.")
    return False


def progress(length: int, label: str) -> Any:
    """Return a progress bar on a terminal, and something silent elsewhere."""
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def talks_to_people() -> bool:
    """Tell whether remarks are read on a terminal."""
    return sys.stderr.isatty()
