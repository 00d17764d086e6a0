"""Moves in words, and as JSON: what happened, or would."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import click

from followup.cli import output

if TYPE_CHECKING:
    from datetime import timedelta

    from followup.services.moves import Move

LONGEST_WORDS = 200  # signs of a reply


class CloseAfter(click.ParamType["timedelta | None"]):
    """How long our person takes to answer a customer; ``never`` is None."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "timedelta | None":
        from datetime import timedelta

        from followup.authoring.durations import Unclear, read_timedelta

        if isinstance(value, timedelta) or value == "never":
            return None if value == "never" else value
        try:
            return read_timedelta(value)
        except Unclear as error:
            self.fail(f"{error}; {error.help}, or never", param, ctx)


@dataclass(frozen=True, slots=True)
class Columns:
    """How wide the columns of moves are; what is the same in all of them, or in none, has no column."""

    kinds: int
    workflows: int
    orders: int


def columns(moves: "Sequence[Move]", *, one_workflow: bool = True, one_order: bool | None = None) -> Columns:
    """
    Return the columns that *moves* need.

    Args:
        one_order: tells whether all are about the same one; None: as they say.
    """
    numbers = {move.order for move in moves if move.order}
    if one_order is None:
        one_order = len(numbers) < 2
    return Columns(
        kinds=max((len(move.kind) for move in moves), default=0),
        workflows=0 if one_workflow else max((len(move.workflow or "") for move in moves), default=0),
        orders=0 if one_order else max((output.cells_wide(number) for number in numbers), default=0),
    )


def tell(moves: "Sequence[Move]", zone: tzinfo, known: Columns, *, assumed: str = "") -> None:
    """
    Print moves, a line each, in the customer's local time; their workflow and order where they have a column.

    Args:
        assumed: what was taken for granted of our own people, where these are moves to come.
    """
    for move in moves:
        lead = f"{output.local(move.at, zone)}  "
        if known.workflows:
            lead += f"{move.workflow or '':<{known.workflows}}  "
        if known.orders:
            number = move.order or ""
            lead += number + " " * (known.orders - output.cells_wide(number) + 2)
        text = about(move, zone)
        output.entry(f"{lead}{move.kind:<{known.kinds}}  ", f"{text}{assumed}" if move.kind == "closed" else text)


def assumed(close_after: "timedelta | None") -> str:
    """Return in short what was taken for granted of when our people have answered somebody."""
    from followup.core.schedule import in_words

    return f", assumed after {in_words(close_after)}" if close_after is not None else ""


def tell_assumed(moves: "Sequence[Move]", close_after: "timedelta | None") -> None:
    """Say that somebody of ours answers in what is to come, if they do."""
    from followup.core.schedule import in_words

    if close_after is not None and any(move.kind == "closed" for move in moves):
        output.tell(f"It is assumed that we answer whoever waits for us after {in_words(close_after)} (--close-after).")


def about(move: "Move", zone: tzinfo) -> str:
    """Return what there is to say about a move besides its kind."""
    if move.kind == "closed":
        return "by us"
    if move.kind == "told":
        return f"{_flat(move.reason).replace(': ', ', by mail: ', 1)}"
    subject = move.step or ""
    if move.letter and move.letter != move.step:
        subject = f"{subject} ({move.letter})"
    if move.reminder and move.kind != "remind":
        subject = f"reminder of {subject}"
    until = f"until {output.local(move.until, zone)}" if move.until else ""
    reason = output.quoted(move.reason, most=LONGEST_WORDS) if move.kind == "reply" else _flat(move.reason)
    if move.kind == "opened":
        reason = f"they wait for an answer from {reason or 'us'}"
    if move.kind == "not_entered" and move.values:
        reason += f" ({', '.join(f'{name}: {output.recorded(value, zone)}' for name, value in move.values.items())})"
    return ": ".join(part for part in (", ".join(part for part in (subject, until) if part), reason) if part)


def _flat(text: str) -> str:
    return " ".join(text.split())


def document(move: "Move") -> dict[str, object]:
    """Return a move as JSON has it; times UTC."""
    values: Mapping[str, object] = move.values if move.kind == "not_entered" else {}
    return {
        "at": move.at,
        "kind": move.kind,
        "step": move.step,
        "letter": move.letter,
        "reason": move.reason or None,
        "until": move.until,
        "workflow": move.workflow,
        "order": move.order,
        "reminder": move.reminder,
        **({"values": dict(values)} if values else {}),
    }
