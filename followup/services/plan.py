"""What applying a folder would change, above all for the people inside; nothing is written, and nobody waits for it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from followup.authoring.bundle import Bundle
from followup.authoring.changes import Change, Changes, changes, letter_label
from followup.clock import Clock
from followup.core.gates import DAY
from followup.core.message import HaltScope
from followup.core.transfer import InFlight
from followup.core.workflow import WorkflowStatus
from followup.services import facts, timers, transfer
from followup.services.afterwards import Afterwards
from followup.services.concerned import Addressee, Place, places, without_letter
from followup.services.deploy import live
from followup.services.facts import Known
from followup.services.forecast import Forecast
from followup.services.going_live import GoesLive, going_live
from followup.services.lacking import Lack, sent_to_finishers
from followup.services.library import Library, as_switched
from followup.services.surroundings import Surroundings
from followup.services.transfer import Stranded
from followup.store import conversations, enrollments, halts, messages, switches, unsent, workflow_limits
from followup.store.engine import reading
from followup.store.enrollments import Standing
from followup.store.messages import StoredMessage

HOUR = timedelta(hours=1)
MOST = 20_000  # runs that are looked at one by one
BATCH = 500


@dataclass(frozen=True, slots=True)
class Soon:
    """How many letters would leave in the next hour, and in the next day."""

    hour: int
    day: int


@dataclass(frozen=True, slots=True)
class Postponed:
    """How many letters would be due within a day but wait for longer, and until when the first, in its zone."""

    number: int
    first: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What would change from ``before`` (a bundle's hash; None: nothing was applied yet) to ``after``.

    ``inside`` has, by workflow, how many stand at a step of it, ``finishing`` how many finish an older version anyway.
    ``unsent`` has, by letter that changes, how many of it have not left yet, and ``unable``, by what they lack, whose
    letters cannot leave then. ``waiting`` has, by person who is gone, how many customers wait for them. About those who
    are ``undecided`` it has to be said what becomes of them; decisions that concern nobody are ``unused``. With
    ``unseen`` there were too many to be looked at one by one, and what depends on that is at least so many. ``behind``
    are still to be moved to what runs already: an apply broke off. ``anew`` finish an older version, and would not any
    more: so it is decided now. ``finished_with`` has, by letter that is gone, in which workflows how many finish an
    older version that may still send it. ``halted`` is why no letter leaves at all, if none does.
    """

    before: str | None
    after: str
    changes: Changes
    places: tuple[Place, ...]
    inside: Mapping[str, int]
    finishing: Mapping[str, int]
    now: Soon
    then: Soon
    goes_live: tuple[GoesLive, ...]
    unsent: Mapping[str, int]
    unable: Mapping[Lack, tuple[Addressee, ...]]
    waiting: Mapping[str, int]
    switched: Mapping[str, WorkflowStatus]
    undecided: tuple[Stranded, ...] = ()
    unused: tuple[str, ...] = ()
    unseen: bool = False
    behind: int = 0
    anew: int = 0
    postponed: Postponed | None = None
    finished_with: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    halted: str | None = None

    def __bool__(self) -> bool:
        return bool(self.changes or self.behind or self.anew)


def plan(
    engine: Engine,
    bundle: Bundle,
    in_flight: Mapping[str, str],
    *,
    library: Library,
    suppression_key: str,
    clock: Clock,
) -> Plan:
    """Return what `services.deploy.put_in_force` with *bundle* and *in_flight* would change now."""
    now = clock.now()
    with reading(engine) as conn:
        return _Planner(conn, bundle, in_flight, library=library, suppression_key=suppression_key, now=now).plan()


def first_plan(bundle: Bundle) -> Plan:
    """Return what applying *bundle* would change where nothing was applied yet, not even a database made."""
    return Plan(
        before=None,
        after=bundle.hash,
        changes=changes(None, bundle),
        places=(),
        inside={},
        finishing={},
        now=Soon(0, 0),
        then=Soon(0, 0),
        goes_live=(),
        unsent={},
        unable={},
        waiting={},
        switched={},
    )


class _Planner:
    def __init__(
        self,
        conn: Connection,
        bundle: Bundle,
        in_flight: Mapping[str, str],
        *,
        library: Library,
        suppression_key: str,
        now: datetime,
    ) -> None:
        self.conn, self.library, self.key, self.now = conn, library, suppression_key, now
        self.in_flight = in_flight
        self.before = library.find_newest(conn)
        self.switched = {name: switch.status for name, switch in switches.current(conn).items()}
        self.after = as_switched(bundle, self.switched)
        self.afterwards = Afterwards(conn, self.after, in_flight, library=library, now=now)
        self.changes = changes(library.as_applied(conn) if self.before else None, bundle)
        self.gone = [one.name for one in self.changes.people if one.change is Change.REMOVED]
        standing = enrollments.standing(conn) if self.before else []
        self.anew: list[Standing] = []
        if self.before and self.before.hash == bundle.hash:
            self.anew = transfer.taken_up(conn, self.after, library, standing, in_flight)
        self.standing = [replace(one, finishes=False) if self._is_back(one) else one for one in standing]
        self.outdated = transfer.outdated(conn, self.after, library, self.standing)
        self.moves = bool(self.changes or self.outdated)
        self.live_again = live(self.after) - (live(self.before) if self.before else set())

    def _is_back(self, one: Standing) -> bool:
        """Tell whether who finishes an older version would not any more: it runs again, or so it is decided."""
        return one in self.anew or self.library.is_current(self.conn, self.after, one.workflow, one.version_id)

    def plan(self) -> Plan:
        found = transfer.stranded(self.conn, self.after, self.library, self.standing, self.in_flight)
        transfer.check_names(self.in_flight, self.standing, self.before, self.after)
        changing = [one for one in self.outdated if one.step is not None]
        inside, unseen = self._inside(changing) if self.before else ([], False)
        known = self._read(inside)
        written = self._written(known)
        now, then = self._played(known, written, self.before), self._played(known, written, self.after)
        halt = halts.current(self.conn).get(HaltScope.ALL)
        taken_up = sum(one.number for one in self.anew)
        anew = timers.renewed(self.before, self.after).keys() & live(self.after)  # they wait for another silence
        undecided = tuple(transfer.undecided(found)) if self.changes else ()
        return Plan(
            before=self.before.hash if self.before else None,
            after=self.after.hash,
            changes=self.changes,
            places=tuple(
                places(
                    changing,
                    list(known.values()),
                    self.afterwards,
                    undecided={(one.workflow, one.step) for one in undecided},
                    live_again=self.live_again,
                    objections=then.objections if then else {},
                )
            ),
            inside=self._people(finishing=False),
            finishing=self._people(finishing=True),
            now=_soon(now),
            then=_soon(then),
            goes_live=tuple(
                going_live(self.conn, self.after.workflows[name], bundle=self.after, now=self.now, anew=name in anew)
                for name in sorted(self.live_again | anew)
            ),
            unsent=self._unsent(unsent.count(self.conn) if self.before else []),
            unable=self._unable(known, written),
            waiting=conversations.waiting_for(self.conn, self.gone) if self.gone else {},
            switched={name: status for name, status in self.switched.items() if name in self.after.workflows},
            undecided=undecided,
            unused=transfer.unused(self.in_flight, found, self.anew),
            unseen=unseen,
            behind=0 if self.changes else sum(one.number for one in self.outdated) - taken_up,
            anew=taken_up,
            postponed=_postponed(then),
            finished_with=self._finished_with(),
            halted=halt.reason if halt else None,
        )

    def _people(self, *, finishing: bool) -> dict[str, int]:
        found: Counter[str] = Counter()
        for one in self.standing:
            if one.finishes == finishing and one.step is not None:
                found[one.workflow] += one.number
        return dict(found)

    # -- what would leave --

    def _inside(self, changing: Collection[Standing]) -> tuple[list[int], bool]:
        """Return the runs that decide how many letters leave soon, before or after; True: there were too many."""
        until = self.now + DAY
        found = dict.fromkeys(enrollments.due_by(self.conn, until, limit=MOST + 1))
        found |= dict.fromkeys(unsent.runs_due_by(self.conn, until, limit=MOST + 1))
        if self.moves:
            found |= dict.fromkeys(unsent.runs_blocked(self.conn, limit=MOST + 1))
            letters = [one.name for one in self.changes.letters if one.change is Change.REMOVED]
            found |= dict.fromkeys(unsent.runs_of(self.conn, self.gone, letters, limit=MOST + 1))
        if self.live_again:
            found |= dict.fromkeys(unsent.runs_held(self.conn, self.live_again, limit=MOST + 1))
        for version_id in sorted({one.version_id for one in changing if not self.afterwards.stays(one)}):
            found |= dict.fromkeys(enrollments.in_version(self.conn, version_id, after_id=0, limit=MOST + 1))
        for one in self.anew:
            found |= dict.fromkeys(enrollments.finishing_at(self.conn, one.version_id, one.step, limit=MOST + 1))
        return list(found)[:MOST], len(found) > MOST

    def _read(self, ids: list[int]) -> dict[int, Known]:
        known: dict[int, Known] = {}
        for start in range(0, len(ids), BATCH):
            some = enrollments.by_id(self.conn, ids[start : start + BATCH])
            active = [one for one in some.values() if one.ended_at is None]
            known |= facts.read(
                self.conn, active, library=self.library, now=self.now, also=self.after.workflows.values()
            )
        taken_up = {(one.version_id, one.step) for one in self.anew}
        for key, one in known.items():
            if (one.stored.version_id, one.stored.enrollment.position.step) in taken_up:
                known[key] = replace(one, stored=replace(one.stored, finishes=False))
        return known

    def _written(self, known: Collection[int]) -> dict[int, list[StoredMessage]]:
        written: dict[int, list[StoredMessage]] = {}
        ids = list(known)
        for start in range(0, len(ids), BATCH):
            written |= messages.of_enrollments(self.conn, ids[start : start + BATCH])
        return written

    def _played(
        self, known: Mapping[int, Known], written: Mapping[int, list[StoredMessage]], bundle: Bundle | None
    ) -> Forecast | None:
        """Return what would leave by *bundle*, as it is or after the folder was applied; None: there is nothing."""
        if bundle is None or self.before is None or not known:
            return None
        applying = bundle is self.after and self.moves
        moved = (
            [there for one in known.values() if (there := self.afterwards.moved(one))]
            if applying
            else list(known.values())
        )
        around = Surroundings.read(
            self.conn,
            [*known.values(), *moved] if applying else moved,
            {one.workflow.name for one in known.values()},
            bundle=bundle,
            suppression_key=self.key,
            now=self.now,
        )
        limits = {one.workflow.name: one.workflow.per_day for one in moved if one.workflow.per_day}
        today = {
            name: messages.left_since(self.conn, name, self.now - DAY, now=self.now, limit=limit)
            for name, limit in sorted(limits.items())
        }
        unread = self._unread(bundle)
        forecast = Forecast(around, now=self.now, until=self.now + DAY, left_today=today, unread=unread)
        for key, one in known.items():
            if applying:
                again = one.workflow.name in self.live_again
                forecast.apply(
                    one,
                    written.get(key, ()),
                    move=self.afterwards.moved,
                    strays=self.afterwards.would_stray,
                    live_again=again,
                )
            else:
                forecast.add(one, written.get(key, ()))
        forecast.play()
        return forecast

    def _unread(self, bundle: Bundle) -> set[str]:
        """Return the workflows whose first letters would wait for a person."""
        unread = set(workflow_limits.pending(self.conn))
        if bundle is self.after:
            asked = workflow_limits.first_letters(self.conn, self.live_again)
            going_live = self.live_again - self.switched.keys() - asked.keys()
            unread |= {name for name in going_live if bundle.workflows[name].first}
        return unread

    # -- what else --

    def _unsent(self, left: Iterable[unsent.Unsent]) -> dict[str, int]:
        """Return by changed letter how many have not left yet of those who get, or got, its language."""
        changed = {one.name for one in self.changes.letters}
        found: Counter[str] = Counter()
        for one in left:
            written = {
                letter_label(bundle.letter(one.letter, one.language).path)
                for bundle in (self.before, self.after)
                if bundle and one.letter in bundle.defaults
            }
            for name in written & changed:
                found[name] += one.number
        return dict(found)

    def _finished_with(self) -> dict[str, dict[str, int]]:
        """Return by letter that comes or goes in which workflows people finish a version that has it, and how many."""
        concerned = {one.name for one in self.changes.letters if one.change is not Change.CHANGED}
        finishing = [one for one in self.standing if one.finishes or self._will_finish(one)]
        sent = sent_to_finishers(self.conn, finishing, self.library) if concerned else {}
        return {letter: sent[letter] for letter in sorted(concerned & sent.keys())}

    def _will_finish(self, one: Standing) -> bool:
        how = transfer.decided(self.in_flight, one.workflow, one.step or "")
        to = self.afterwards.new_step(one.workflow, one.version_id, one.step, one.phase)
        return one in self.outdated and how is InFlight.FINISH and to is None

    def _unable(
        self, known: Mapping[int, Known], written: Mapping[int, list[StoredMessage]]
    ) -> dict[Lack, tuple[Addressee, ...]]:
        if not self.moves:
            return {}
        found = without_letter(known.values(), written, self.afterwards)
        return {lack: tuple(people) for lack, people in sorted(found.items())}


def _soon(forecast: Forecast | None) -> Soon:
    if forecast is None:
        return Soon(0, 0)
    return Soon(sum(one.at <= forecast.now + HOUR for one in forecast.left), len(forecast.left))


def _postponed(forecast: Forecast | None) -> Postponed | None:
    if forecast is None or not forecast.postponed:
        return None
    first, zone = min(forecast.postponed, key=lambda one: one[0])
    return Postponed(len(forecast.postponed), first.astimezone(zone))
