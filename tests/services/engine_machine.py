"""
A shop with random workflows in which anything happens, in any order: what a state machine draws from.

Half of what happens is drawn at the beginning, for moments of its own; the rest comes between, whenever a rule is
chosen. Everything goes through the real services, in virtual time. After each step, and whenever workers have done all
that was due, the record is held against the promises (engine_checks); each letter is asked as it leaves whether it may
(engine_ledger).
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Engine

from followup import failpoints
from followup.core.order import OrderStatus
from followup.services.sweep import next_moment
from followup.store.engine import reading
from tests.services.engine_checks import look
from tests.services.engine_files import NAMES, Data, workflows
from tests.services.engine_ledger import Fate
from tests.services.engine_stage import AT_ONCE, DAY, DEEDS, EVENTS, HOUR, ORDERS, REACTIONS, REPORTS, Act, Stage

MOMENTS = 400  # more than any shop here takes to come to rest
AT_MOST = 12  # moments that are looked at, one by one, while time passes
STARTS = (
    datetime(2026, 3, 2, 10, tzinfo=UTC),
    datetime(2026, 3, 27, 20, tzinfo=UTC),  # two days before European clocks go forward
    datetime(2026, 10, 23, 15, tzinfo=UTC),  # two days before they go back
    datetime(2026, 12, 30, 23, 30, tzinfo=UTC),
)
FAILPOINTS = (
    "sweep.lease", "sweep.recover", "advance", "timers.ring", "deliver.claim", "deliver.begin", "settle",
    "notify.lease", "notify.told", "receive.record", "track.apply",
    "receive.store_raw", "track.store", "intake.order", "happen", "answers.record", "answers.confirm", "answers.visit",
    "stop.unsubscribe", "converse.close", "deploy.apply", "halt", "unhalt", "approve.workflow", "suppress.add",
    "backfill", "fate.cancel",
)  # fmt: skip
AT_WORK = FAILPOINTS[:11]
spans = st.sampled_from([timedelta(minutes=20), 5 * HOUR, DAY, DAY, 3 * DAY, 3 * DAY, 10 * DAY, 10 * DAY, 60 * DAY])
later = st.sampled_from([AT_ONCE, timedelta(minutes=20), 5 * HOUR, DAY, 3 * DAY, 10 * DAY])
crashes = st.builds(
    "{}{}:{}:raise".format, st.sampled_from(FAILPOINTS[9:]), st.sampled_from(["", "+"]), st.integers(1, 2)
)
deaths = st.builds("{}{}:{}:raise".format, st.sampled_from(AT_WORK), st.sampled_from(["", "+"]), st.integers(1, 4))
fates = st.lists(st.sampled_from([Fate.TAKEN, *Fate]), max_size=3)


def acts(*groups: Sequence[tuple[str, object]]) -> st.SearchStrategy[Act]:
    return st.builds(
        Act,
        st.one_of(*map(st.sampled_from, groups)),
        number=st.integers(0, 11),
        ago=st.sampled_from([AT_ONCE, AT_ONCE, AT_ONCE, HOUR, 2 * DAY, 30 * DAY]),
        crash=st.none() | st.none() | crashes,
    )


anything = st.tuples(st.integers(0, 500), acts(REPORTS, REPORTS, EVENTS, REACTIONS, REACTIONS, DEEDS))


class Engines(RuleBasedStateMachine):
    """A shop and its workers; `engine` and `folder` are set by the test."""

    engine: Engine
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(self.engine, self.folder)
        self.agenda: list[tuple[datetime, Act]] = []

    @initialize(
        start=st.sampled_from(STARTS),
        drawn=st.tuples(*(workflows(name) for name in NAMES)),
        orders=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 100)), min_size=2, max_size=ORDERS),
        agenda=st.lists(anything, min_size=2, max_size=12),
    )
    def opens(
        self,
        start: datetime,
        drawn: tuple[Data, ...],
        orders: list[tuple[int, int]],
        agenda: list[tuple[int, Act]],
    ) -> None:
        """Apply three workflows; what happens in the next weeks is known by its hour, as is what becomes of orders."""
        self.stage.clock.move_to(start)
        self.stage.workflows = {data["workflow"]: data for data in drawn}
        self.stage.statuses = dict.fromkeys(NAMES, "live")
        self.stage.apply()
        for number, (placed, takes) in enumerate(orders):
            moments = (placed, OrderStatus.PLACED), (placed + takes / 2, OrderStatus.FULFILLED)
            for hours, status in (*moments, (placed + takes, OrderStatus.DELIVERED)):
                agenda.append((hours, Act(("reports", status), number)))
        self.agenda = sorted(((start + hours * HOUR, act) for hours, act in agenda), key=lambda one: one[0])

    @rule(act=acts(REPORTS, EVENTS), after=later)
    def the_shop_reports(self, act: Act, after: timedelta) -> None:
        self.go_on(after)
        self.stage.play(act)

    @rule(act=acts(REACTIONS), after=later)
    def a_customer_acts(self, act: Act, after: timedelta) -> None:
        self.go_on(after)
        self.stage.play(act)

    @rule(act=acts(DEEDS), after=later)
    def somebody_in_the_shop_acts(self, act: Act, after: timedelta) -> None:
        self.go_on(after)
        self.stage.play(act)

    @rule(
        drawn=st.sampled_from(NAMES).flatmap(workflows),
        status=st.sampled_from([None, "live", "paused", "live", "draft"]),
        crash=st.none() | crashes,
    )
    def a_folder_is_applied(self, drawn: Data, status: str | None, crash: str | None) -> None:
        """A workflow gets another status, or is written anew."""
        if status is None:
            self.stage.workflows[drawn["workflow"]] = drawn
        else:
            self.stage.statuses[drawn["workflow"]] = status
        self.stage.apply(crash)

    @rule(span=spans, crash=st.none() | deaths, fates=fates)
    def time_passes(self, span: timedelta, crash: str | None, fates: list[Fate]) -> None:
        self.go_on(span)
        self.stage.die(crash, fates)
        self.stage.work()

    @rule(
        how=st.sampled_from(["work", "die", "stop half-way", "claim at once", "hear it again", "nobody works"]),
        after=spans,
        crash=deaths,
        fates=fates,
    )
    def workers(self, how: str, after: timedelta, crash: str, fates: list[Fate]) -> None:
        """A worker works, dies or stops after nobody worked for a while; or two work at once; or nobody works."""
        self.happens_until(self.stage.now + after)
        match how:
            case "work":
                self.stage.work()
            case "die":
                self.stage.die(crash, fates)
            case "stop half-way":
                self.stage.end_leases()
                self.stage.sweep(1 + len(fates))
            case "claim at once":
                self.stage.claim_at_once()
            case "hear it again":
                self.stage.hear_all_again()

    def go_on(self, span: timedelta) -> None:
        """Have workers look at each moment at which something falls due, but for the last ones of a long time."""
        until = self.stage.now + span
        for _ in range(AT_MOST):
            due = self.next_moment()
            if due is None or due > until:
                break
            self.happens_until(due)
            self.stage.work()
        self.happens_until(until)

    def next_moment(self) -> datetime | None:
        """Return when something falls due, or happens by the agenda, next."""
        with reading(self.engine) as conn:
            moments = next_moment(conn), self.agenda[0][0] if self.agenda else None
        return min((moment for moment in moments if moment is not None), default=None)

    def happens_until(self, moment: datetime) -> None:
        """Move to *moment*, and let happen what is on the agenda by then, though nobody works."""
        while self.agenda and self.agenda[0][0] <= moment:
            at, act = self.agenda.pop(0)
            self.stage.clock.move_to(at)
            self.stage.play(act)
        self.stage.clock.move_to(moment)

    @invariant()
    def the_promises_are_kept(self) -> None:
        self.stage.check()

    def teardown(self) -> None:
        """Let everything calm down: then nothing is due, held or under way any more."""
        if sys.exc_info()[1] is not None or not self.stage.workflows:
            return
        failpoints.arm(None)
        while self.agenda:
            self.happens_until(self.agenda[0][0])
            self.stage.work()
        self.stage.statuses = dict.fromkeys(NAMES, "live")
        self.stage.apply()
        self.stage.unhalts(Act(("", None), 0), None)
        for _ in range(MOMENTS):
            self.stage.look_after_what_waits()
            due = self.next_moment()
            if due is None:
                break
            self.happens_until(due)
            self.stage.work()
        else:
            raise AssertionError("it never comes to rest")
        seen = look(self.engine)
        assert not [row.id for row in seen["enrollments"] if row.state == "active"]
        left = {"due", "held", "claimed", "sending", "unknown", "blocked"}
        assert not [row.id for row in seen["messages"] if row.state in left]
