"""Runs as they would stand once a folder is applied; nothing is written."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle
from followup.core.enrollment import Phase, Position
from followup.core.facts import Sent
from followup.core.message import CANCELLABLE, MessageState
from followup.core.transfer import Landing
from followup.core.workflow import Workflow
from followup.services import facts, transfer
from followup.services.facts import Known
from followup.services.library import Library
from followup.store.enrollments import Standing


class Afterwards:
    """
    What `services.transfer` would do with the runs inside if ``bundle`` were applied now, with ``in_flight``.

    Args:
        bundle: as operators have switched its workflows.
    """

    def __init__(
        self, conn: Connection, bundle: Bundle, in_flight: Mapping[str, str], *, library: Library, now: datetime
    ) -> None:
        self.conn, self.bundle, self.in_flight, self.library, self.now = conn, bundle, in_flight, library, now
        self._landed: dict[int, tuple[Known, Known | None]] = {}  # by run: as it is, and where it goes on

    def new_step(self, workflow: str, version_id: int, step: str | None, phase: Phase) -> str | None:
        """Return the step at which those go on who stand at *step* of a version; None: there is none."""
        if step is None:
            return None
        return transfer.new_step(self.conn, workflow, version_id, step, phase, bundle=self.bundle, library=self.library)

    def stays(self, place: Standing) -> bool:
        """Tell whether nothing changes for those who stand at *place*."""
        return transfer.same_place(self.conn, place, self.bundle, self.library) is not None

    def would_stray(self, one: Known, onward: Position) -> bool:
        return transfer.would_stray(
            self.conn, one.stored, onward, self.in_flight, bundle=self.bundle, library=self.library
        )

    def is_due(self, one: Known) -> bool:
        """Tell whether a run goes on anyway, by the version it is in (services.advance)."""
        due = one.stored.wake_at
        return due is not None and due <= self.now and not one.stored.is_fresh

    def is_behind(self, one: Known) -> bool:
        """Tell whether a run is in another version than the bundle has, and follows it."""
        stored, name = one.stored, one.workflow.name
        return not stored.finishes and not self.library.is_current(self.conn, self.bundle, name, stored.version_id)

    def landing(self, one: Known) -> Landing | None:
        """Return where a run that is behind goes on; None: it finishes the version it is in."""
        return transfer.landing(
            self.conn, one.stored, self.in_flight, bundle=self.bundle, library=self.library, now=self.now
        )

    def moved(self, one: Known) -> Known | None:
        """Return a run as it would stand after the folder was applied, itself where nothing changes; None: it ends."""
        known = self._landed.get(one.stored.id)
        if known is None or known[0] is not one:
            known = self._landed[one.stored.id] = (one, self._move(one))
        return known[1]

    def _move(self, one: Known) -> Known | None:
        stored, new = one.stored, self.bundle.workflows.get(one.workflow.name)
        landing = self.landing(one) if self.is_behind(one) else None
        if landing is None:
            return self._stays_in(one)
        if landing.ended is not None or new is None:
            return None
        enrollment = replace(stored.enrollment, position=landing.position, moved_at=self.now)
        about = replace(
            one.facts,
            **facts.from_folder(one.facts.customer, new, self.bundle),
            sent={key: self._withdrawn(sent, stored.version_id, landing, new) for key, sent in one.facts.sent.items()},
            moved_at=self.now,
            stands_at=landing.position.step,
        )
        return Known(replace(stored, enrollment=enrollment, wake_at=self.now), new, about)

    def _withdrawn(self, sent: Sent, version_id: int, landing: Landing, new: Workflow) -> Sent:
        """Return a letter as `services.transfer` leaves it: what has not left may be none of the step's any more."""
        if sent.state not in CANCELLABLE:
            return sent
        old = self.library.workflow(self.conn, version_id)
        reason = transfer.why_withdrawn(sent.step, sent.round, landing, old, new)
        return replace(sent, state=MessageState.CANCELLED, reason=reason) if reason else sent

    def _stays_in(self, one: Known) -> Known:
        """Return a run that stays in its version, as the folder lets that run, with the people and shop it has."""
        workflow = facts.in_force(self.library.workflow(self.conn, one.stored.version_id), self.bundle)
        about = replace(one.facts, **facts.from_folder(one.facts.customer, workflow, self.bundle))
        return one if workflow == one.workflow and about == one.facts else replace(one, workflow=workflow, facts=about)
