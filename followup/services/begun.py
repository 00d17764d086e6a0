"""Which of a customer's runs a simulation is about: the one that it began, and those that this one starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from followup.services.moves import Move
from followup.services.rehearsal import Rehearsal

ENTRY = frozenset({"entered", "not_entered", "held_out"})


@dataclass(frozen=True, slots=True)
class Begun:
    """
    How to tell the run that begins in *workflow* at *at*, about the order called *order*, from all others.

    ``scope`` are the workflow and those it can start; ``past`` is what was on the record before.
    """

    workflow: str
    scope: frozenset[str]
    at: datetime
    order: str
    past: frozenset[tuple[int | None, Move]]

    def entry(self, rehearsal: Rehearsal) -> Move | None:
        """Return the move by which the run began, or was kept from it; None while nothing was asked for."""
        return next((move for move in self._news(rehearsal) if move.kind in ENTRY and self._is_meant(move)), None)

    def run(self, rehearsal: Rehearsal) -> int | None:
        """Return the run that was begun, if it was let in."""
        entry = self.entry(rehearsal)
        return entry.run if entry else None

    def runs(self, rehearsal: Rehearsal) -> frozenset[int]:
        """Return the run that was begun, and those that it started, directly or not."""
        first = self.entry(rehearsal)
        return self._runs(first, self._news(rehearsal)) if first else frozenset()

    def moves(self, rehearsal: Rehearsal) -> list[Move]:
        """Return what these runs went through, and what happened to the customer in no run, oldest first."""
        news, first = self._news(rehearsal), self.entry(rehearsal)
        own = self._runs(first, news) if first else frozenset()
        starts = {(move.at, move.reason) for move in news if move.kind == "start" and move.run in own}
        return [
            move
            for move in news
            if move.run in own
            or move is first
            or (move.run is None and (move.workflow is None or self._is_refusal(move, starts)))
        ]

    def _news(self, rehearsal: Rehearsal) -> list[Move]:
        return [move for move in rehearsal.moves if (move.run, move) not in self.past]

    def _is_meant(self, move: Move) -> bool:
        return (move.workflow, move.at) == (self.workflow, self.at) and move.order in {self.order, None}

    def _is_refusal(self, move: Move, starts: set[tuple[datetime, str]]) -> bool:
        asked_for = (move.at, move.workflow) in starts
        return move.kind == "not_entered" and move.order in {self.order, None} and asked_for

    def _runs(self, first: Move, news: Sequence[Move]) -> frozenset[int]:
        own: set[int] = set() if first.run is None else {first.run}
        entered = [move for move in news if move.kind == "entered" and not move.reason]  # by no event
        while True:
            started = {move.reason for move in news if move.kind == "start" and move.run in own}
            more = {
                move.run
                for move in entered
                if move.run is not None and move.workflow in started and move.order == first.order
            }
            if more <= own:
                return frozenset(own)
            own |= more
