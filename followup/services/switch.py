"""Pausing, resuming and archiving workflows: what an operator says of one stands above its file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.workflow import WorkflowStatus
from followup.errors import UsageError
from followup.services import deploy, find
from followup.services.advance import advance
from followup.services.library import Library
from followup.store import audit, bundles, enrollments, switches, unsent
from followup.store.engine import reading, writing
from followup.store.switches import Switch

BATCH = 200


@dataclass(frozen=True, slots=True)
class Inside:
    """
    The runs that have not ended, by the step they stand at, and those that are held out and only measured.

    ``finishing`` has those in an older version, by its steps, where that is told apart.
    """

    steps: Mapping[str, int]
    held_out: int
    finishing: Mapping[str, int] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        return sum(self.steps.values()) + self.held_out + sum(self.finishing.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """
    How a workflow stands still from now on, or (not ``changed``) since it was switched before.

    ``in_file`` is the status its file has; None: the file is gone. ``due`` (by now), ``due_later`` and
    ``held`` count its letters.
    """

    switch: Switch
    changed: bool
    in_file: WorkflowStatus | None
    inside: Inside
    due: int
    due_later: int
    held: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """What was lifted, how many letters go on, and how many first letters a person has to read now."""

    lifted: Switch
    released: int
    first: int


@dataclass(frozen=True, slots=True)
class Archived:
    """What ended: ``changed`` is False when the workflow was archived before, and the rest of it ended now."""

    switch: Switch
    changed: bool
    ended: int


def pause(engine: Engine, workflow: str, reason: str, *, library: Library, clock: Clock) -> Paused:
    """
    Take nobody into *workflow* any more, and hold its letters, until it is resumed.

    Waits and timeouts of the people inside go on. What is on its way to the provider at this moment still leaves.
    One that was paused or archived already stays as it is.

    Raises:
        NotFound: there is no such workflow; the hint names the nearest.
    """
    now = clock.now()
    with writing(engine, "switch.pause") as conn:
        in_file = _in_file(conn, workflow, library)
        known = switches.current(conn).get(workflow)
        switch = known or Switch(WorkflowStatus.PAUSED, reason, now)
        if known is None:
            switches.set_(conn, workflow, switch.status, reason=reason, now=now)
            audit.add(conn, "workflow.pause", {"workflow": workflow, "reason": reason}, now=now)
    with reading(engine) as conn:  # the brake is on, however long the counting takes
        waiting = unsent.count_waiting(conn, workflow, now=now)
        return Paused(
            switch=switch,
            changed=known is None,
            in_file=in_file,
            inside=count_inside(conn, workflow),
            due=waiting.due,
            due_later=waiting.later,
            held=waiting.held,
        )


def resume(engine: Engine, workflow: str, *, library: Library, clock: Clock) -> Resumed | None:
    """
    Let *workflow* go on as its file says; return None when nobody had switched it.

    The lateness of its letters starts anew, and every gate is asked again before each of them leaves. Runs that
    ended when it was archived stay so.

    Raises:
        NotFound: there is no such workflow; the hint names the nearest.
        UsageError: its file itself says that it is not live.
    """
    with writing(engine, "switch.resume") as conn:
        return lift(conn, workflow, library=library, now=clock.now())


def lift(conn: Connection, workflow: str, *, library: Library, now: datetime) -> Resumed | None:
    """Do what `resume` does, in a transaction that may also be taken back."""
    in_file = _in_file(conn, workflow, library)
    if in_file not in {None, WorkflowStatus.LIVE}:
        raise UsageError(
            f"{workflow} cannot be resumed: its file says status: {in_file}",
            hint=f"Write status: live into workflows/{workflow}.yaml, then followup apply",
        )
    lifted = switches.current(conn).get(workflow)
    if lifted is None or not switches.lift(conn, workflow):
        return None
    first = deploy.ask_for_first(conn, library.newest(conn), [workflow] if in_file else [])
    released = deploy.release_paused(conn, [workflow], library=library, now=now)
    audit.add(conn, "workflow.resume", {"workflow": workflow, "released": released}, now=now)
    return Resumed(lifted, released, first.get(workflow, 0))


def inside(engine: Engine, workflow: str, *, library: Library) -> Inside:
    """
    Return who is inside *workflow*, step by step in the order of its file.

    Raises:
        NotFound: there is no such workflow; the hint names the nearest.
    """
    with reading(engine) as conn:
        _in_file(conn, workflow, library)
        found = count_inside(conn, workflow)
        newest = library.newest(conn).workflows.get(workflow)
        order = [step.id for step in newest.all_steps] if newest else []
        known = {step: found.steps[step] for step in order if step in found.steps}
        return Inside({**known, **found.steps}, found.held_out)  # others: of an older version


def count_inside(conn: Connection, workflow: str) -> Inside:
    """Return who is inside *workflow* by the step they stand at, whichever version has it."""
    counts = enrollments.count_inside(conn, workflow)
    return Inside({step: number for step, number in counts.items() if step is not None}, counts.get(None, 0))


def archive(engine: Engine, workflow: str, reason: str, *, library: Library, clock: Clock) -> Archived:
    """
    Take nobody into *workflow* any more, and end every run in it with the outcome ``archived``.

    What has not left is withdrawn. What is on its way settles as ever, and answers to earlier questions still come
    onto the record. Doing it again ends what an archiving that broke off has left.

    Raises:
        NotFound: there is no such workflow; the hint names the nearest.
    """
    now = clock.now()
    with writing(engine, "switch.archive") as conn:
        _in_file(conn, workflow, library)
        bundles.lock_versions(conn, workflow)  # whoever is coming in has come in, or sees the switch
        known = switches.current(conn).get(workflow)
        changed = known is None or known.status is not WorkflowStatus.ARCHIVED
        switch = Switch(WorkflowStatus.ARCHIVED, reason, now) if known is None or changed else known
        if changed:
            switches.set_(conn, workflow, switch.status, reason=reason, now=now)
            audit.add(conn, "workflow.archive", {"workflow": workflow, "reason": reason}, now=now)
    with reading(engine) as conn:
        runs = iter(enrollments.inside(conn, workflow))
    ended = 0
    while batch := list(islice(runs, BATCH)):  # each is one transaction, and ends as any run does
        ended += advance(engine, batch, library=library, clock=clock).number
    return Archived(switch, changed, ended)


def _in_file(conn: Connection, workflow: str, library: Library) -> WorkflowStatus | None:
    """Return the status in the workflow's file; None when the file is gone and people are inside, or it is switched."""
    applied = library.as_applied(conn).workflows
    if workflow in applied:
        return applied[workflow].status
    if workflow in switches.current(conn) or enrollments.inside(conn, workflow):
        return None
    raise find.no_workflow(workflow, applied)
