"""
A path file: a story about customers, and the moves that have to come of it.

A file has these keys:

    about        one sentence: the rule that the path holds
    zone         where the customers live, and where every moment in the file is told (default Europe/London)
    workflows    the workflow files, as a marketer writes them
    people       people.yaml, if it is not that of the project
    shop         what shop.yaml says otherwise
    letters      letters that are not in the project, or other ones by the same name
    customers    by name, what is not as usual: language, country, region, timezone, consent (a basis)
    happens      a list of `moment: {what: …}`; the player says what there is
    until        where the path ends; without it, when nothing more falls due
    moves        everything that has to come of it, a line each, and nothing else

Moments are local, like ``Mon 2 Mar 2026 10:00``. One that occurs twice in a night has its offset behind it, one
somewhere else its zone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from followup.services.moves import Move

FOLDER = Path(__file__).parent
PROJECT = FOLDER / "project"
_KEYS = {
    "about", "zone", "workflows", "people", "shop", "letters", "customers", "happens", "until", "moves",
}  # fmt: skip
_MOMENT = re.compile(
    r"(?P<wall>\w{3} \d{1,2} \w{3} \d{4} \d\d:\d\d)(?P<seconds>:\d\d)?"
    r"( (?P<offset>[+-]\d\d:\d\d))?( (?P<zone>\w+/\w+))?"
)


@dataclass(frozen=True, slots=True)
class Happening:
    at: datetime
    what: str
    value: Any
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a path file says, read."""

    about: str
    zone: ZoneInfo
    workflows: Mapping[str, str]
    others: Mapping[str, str]  # path in the project -> text: people, the shop, letters
    customers: Mapping[str, Mapping[str, Any]]
    happens: list[Happening]
    until: datetime | None
    moves: list[str] = field(default_factory=list)


def read(path: Path) -> Story:
    told = yaml.safe_load(path.read_text("utf-8"))
    assert set(told) <= _KEYS, f"{path.name}: unknown {sorted(set(told) - _KEYS)}"
    zone = ZoneInfo(told.get("zone", "Europe/London"))
    return Story(
        about=told["about"],
        zone=zone,
        workflows=by_name(told["workflows"]),
        others={**_project(), **_instead(told)},
        customers=told.get("customers", {"ana": {}}),
        happens=[_happening(one, zone) for one in told["happens"]],
        until=instant(told["until"], zone) if "until" in told else None,
        moves=plain_lines(told["moves"]),
    )


def by_name(workflows: list[str]) -> dict[str, str]:
    """Return workflow files by the name each says it has."""
    return {re.findall(r"^workflow: ([\w-]+)", text, re.MULTILINE)[0]: text for text in workflows}


def _project() -> Mapping[str, str]:
    letters = {f"templates/{file.name}": file.read_text("utf-8") for file in (PROJECT / "letters").glob("*.md")}
    others = {f"workflows/{name}.yaml": (PROJECT / f"{name}.yaml").read_text("utf-8") for name in ("people", "shop")}
    return letters | others


def _instead(told: Mapping[str, Any]) -> dict[str, str]:
    files = {f"templates/{name}.md": text for name, text in told.get("letters", {}).items()}
    if "people" in told:
        files["workflows/people.yaml"] = told["people"]
    if "shop" in told:
        files["workflows/shop.yaml"] = told["shop"]
    return files


def _happening(one: Mapping[str, Mapping[str, Any]], zone: ZoneInfo) -> Happening:
    ((when, told),) = one.items()
    (what, value), *options = told.items()
    return Happening(instant(when, zone), what, value, dict(options))


def instant(text: str, zone: ZoneInfo) -> datetime:
    """Return the moment that *text* names; the day of the week has to be right."""
    found = _MOMENT.fullmatch(" ".join(text.split()))
    assert found is not None, f"{text!r} is no moment; one is written like Mon 2 Mar 2026 10:00"
    wall, offset = found["wall"], found["offset"]
    where = ZoneInfo(found["zone"]) if found["zone"] else zone
    local = datetime.strptime(wall + (found["seconds"] or ":00"), "%a %d %b %Y %H:%M:%S").replace(tzinfo=where)
    assert f"{local:%a}" == wall[:3], f"{text!r} is a {local:%A}"
    if offset is not None and f"{local:%z}" != offset.replace(":", ""):
        local = local.replace(fold=1)
        assert f"{local:%z}" == offset.replace(":", ""), f"{text!r} has another offset there"
    return local


def plain_lines(text: str) -> list[str]:
    """Return the lines of a block without what only makes them pleasant to read: columns, empty lines, remarks."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def told(moment: datetime, zone: ZoneInfo) -> str:
    """Return a moment as path files write it."""
    local = moment.astimezone(zone)
    seconds = f":{local:%S}" if local.second else ""
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    offset = f" {local:%z}"[:4] + ":" + f"{local:%z}"[3:] if twice else ""
    return f"{local:%a} {local.day:>2} {local:%b %Y %H:%M}{seconds}{offset}"


def line(move: Move, who: str, zone: ZoneInfo) -> str:
    """Return a move as path files write it, in columns."""
    subject = move.step or ""
    if move.letter and move.letter != move.step:
        subject += f" ({move.letter})"
    if move.reminder and move.kind != "remind":
        subject = f"reminder of {subject}"
    until = f"until {told(move.until, zone)}" if move.until else ""
    about = ", ".join(part for part in (subject, until) if part)
    rest = ": ".join(part for part in (about, " ".join(move.reason.split())) if part)
    return f"{told(move.at, zone)}  {move.order or who:<4} {move.workflow or '-':<10} {move.kind:<11} {rest}".rstrip()
