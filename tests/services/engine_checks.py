"""What must hold of the record after every step of a story, and once more when a worker has done all that was due."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select

from followup.core.decide import decide
from followup.core.decision import CancelMessages
from followup.core.workflow import Per
from followup.services import facts
from followup.services.library import Library
from followup.store import enrollments
from followup.store.engine import reading
from followup.store.schema import metadata
from tests.services.engine_files import Data
from tests.services.engine_ledger import Ledger, held_out

TABLES = (
    "answers", "conversations", "customers", "decisions", "enrollments", "events", "inbound_mail", "messages",
    "notices", "orders", "provider_events", "replies", "timers",
)  # fmt: skip
UNDER_WAY = {"due", "held", "claimed", "sending", "unknown", "blocked"}
WITHDRAWABLE = {"due", "held", "blocked"}
ONCE = {"handed off", "remembered", "started", "split", "branch", "happened", "timed out"}  # of a step, in a run
PHASES = ("before", "waiting", "sending", "asked", "done")
SHOWS = {  # what the record shows beside the reason, by the gate that objected
    "order": {"order"},
    "consent": {"consent_basis", "last_order_at", "purpose"},
    "waiting_for_us": {"waiting_since"},
    "max_late": {"due_at", "not_after"},
    "max_postpone": {"next_chance", "postponable_until"},
    "capacity": {"owner", "waiting", "backlog"},
    "cap": {"cap", "span_hours", "last"},
    "window": {"local_time"},
    "per_day": {"per_day", "left"},
    "halted": {"because"},
    "timeout": {"timeout_at"},
}
STOPPED = {"held", "skipped", "expired"}  # states of a letter that are a gate's verdict
QUIET_AFTER = timedelta(days=20)
DAY = timedelta(days=1)
LEAST = timedelta(seconds=60)


@dataclass(frozen=True)
class Seen:
    """Every row there was at one moment, by table."""

    rows: Mapping[str, list[Any]]
    limits: Mapping[str, Any]
    senders: Mapping[str, Any]

    def __getitem__(self, table: str) -> list[Any]:
        return self.rows[table]


def look(engine: Engine) -> Seen:
    with reading(engine) as conn:
        rows = {}
        for name in TABLES:
            table = metadata.tables[name]
            rows[name] = list(conn.execute(select(table).order_by(table.c.id)))
        limits = {row.workflow: row for row in conn.execute(select(metadata.tables["workflow_limits"]))}
        senders = {row.key: row for row in conn.execute(select(metadata.tables["senders"]))}
    return Seen(rows, limits, senders)


def told(seen: Seen) -> dict[str, list[Any]]:
    """Return what a repetition of what came in must not change."""
    left_out = {"enrollments": {"rev", "leased_until"}, "messages": {"leased_until"}, "notices": {"leased_until"}}
    tables = ("enrollments", "messages", "decisions", "events", "conversations", "notices", "answers", "replies")
    return {
        name: [
            {key: value for key, value in row._mapping.items() if key not in left_out.get(name, set())}
            for row in seen[name]
        ]
        for name in tables
    }


@dataclass
class Watch:
    """Holds what it sees against what it saw before."""

    engine: Engine
    library: Library
    ledger: Ledger
    before: Seen | None = None
    order: dict[int, dict[str, int]] = field(default_factory=dict)  # by version: where each step stands in the file

    def check(self, seen: Seen, workflows: Mapping[str, Data], statuses: Mapping[str, str]) -> None:
        self.no_letter_is_there_twice(seen)
        self.what_was_taken_is_on_the_record(seen)
        self.runs_only_go_forward(seen)
        self.nobody_enters_twice(seen)
        self.steps_happen_once(seen)
        self.who_is_held_out_gets_nothing(seen)
        self.what_stopped_a_letter_is_on_the_record(seen)
        self.every_trigger_was_heard(seen, workflows, statuses)
        self.before = seen

    # -- always --

    def no_letter_is_there_twice(self, seen: Seen) -> None:
        letters = Counter((row.enrollment_id, row.step, row.round) for row in seen["messages"])
        assert not [letter for letter, times in letters.items() if times > 1]
        taken = Counter(entry.letter for entry in self.ledger.entries.values())
        assert not [letter for letter, times in taken.items() if times > 1], "a letter was taken twice"
        assert len(self.ledger.posts) == len(set(self.ledger.posts))

    def what_was_taken_is_on_the_record(self, seen: Seen) -> None:
        rows = {row.token: row for row in seen["messages"] if row.token}
        for token, entry in self.ledger.entries.items():
            assert token in rows, f"{entry.letter} was taken, and its token is gone"
            assert rows[token].state in {"sending", "accepted", "unknown"}, f"{entry.letter} is {rows[token].state}"

    def runs_only_go_forward(self, seen: Seen) -> None:
        before = {row.id: row for row in self.before["enrollments"]} if self.before else {}
        for row in seen["enrollments"]:
            was = before.get(row.id)
            if was is None:
                continue
            if was.ended_at is not None:
                stays = "state", "ended_at", "outcome", "step", "phase"
                assert [getattr(row, name) for name in stays] == [getattr(was, name) for name in stays], f"run {row.id}"
                continue
            assert row.since >= was.since, f"run {row.id} came to {row.step} before it was at {was.step}"
            if row.ended_at is None:
                places = self._places(row.version_id)
                there, then = (places[one.step] if one.step else -1 for one in (row, was))
                assert (there, PHASES.index(row.phase)) >= (then, PHASES.index(was.phase)) or there > then, (
                    f"run {row.id} goes back from {was.step} ({was.phase}) to {row.step} ({row.phase})"
                )

    def _places(self, version_id: int) -> dict[str, int]:
        if version_id not in self.order:
            with reading(self.engine) as conn:
                workflow = self.library.workflow(conn, version_id)
            self.order[version_id] = {step.id: number for number, step in enumerate(workflow.all_steps)}
        return self.order[version_id]

    def nobody_enters_twice(self, seen: Seen) -> None:
        keys = Counter((row.workflow, row.entry_key) for row in seen["enrollments"])
        assert not [key for key, times in keys.items() if times > 1]
        orders = Counter(
            (row.workflow, row.trigger_event_id) for row in seen["enrollments"] if row.trigger_event_id is not None
        )
        assert not [key for key, times in orders.items() if times > 1], "one event let somebody in twice"
        under_way: dict[tuple[str, int], list[Any]] = defaultdict(list)
        for row in seen["enrollments"]:
            if row.ended_at is None:
                under_way[row.workflow, row.customer_id].append(row)
        for runs in under_way.values():
            for row in runs[1:]:
                assert self._per(row) is not Per.CUSTOMER, f"run {row.id} goes on beside run {runs[0].id}"

    def _per(self, run: Any) -> Per:
        with reading(self.engine) as conn:
            return self.library.workflow(conn, run.version_id).trigger.per

    def steps_happen_once(self, seen: Seen) -> None:
        notes = [row for row in seen["decisions"] if row.verdict in ONCE]
        times = Counter((row.enrollment_id, row.step, row.verdict) for row in notes)
        assert not [key for key, count in times.items() if count > 1], "a step happened twice"
        handed = {f"{row.enrollment_id}:{row.step}" for row in notes if row.verdict == "handed off"}
        notices = [row.key.removeprefix("handoff:run:") for row in seen["notices"]]
        assert sorted(notices) == sorted(handed), "each hand-off is one notice"
        events = [row for row in seen["events"] if row.kind == "conversation.handed_off"]
        assert sorted(row.external_id.rpartition("run:")[2] for row in events) == sorted(handed)
        remembered: dict[int, dict[str, object]] = defaultdict(dict)
        for row in notes:
            if row.verdict == "remembered":
                remembered[row.customer_id] |= row.values
        for row in seen["customers"]:
            assert row.remembered == remembered[row.id], f"customer {row.id}"
        chosen = {(row.workflow, row.step, row.customer_id, row.reason) for row in notes if row.verdict == "split"}
        assert len(chosen) == len({key[:3] for key in chosen}), "a split sends a customer another way"

    def who_is_held_out_gets_nothing(self, seen: Seen) -> None:
        out = {row.id for row in seen["enrollments"] if row.state == "held_out"}
        assert not [row.id for row in seen["messages"] if row.enrollment_id in out]
        noted = {row.verdict for row in seen["decisions"] if row.enrollment_id in out}
        assert noted <= {"held_out", "exited"}
        for row in seen["enrollments"]:
            with reading(self.engine) as conn:
                came_into = row.entered_version_id or row.version_id  # it may have been moved since
                share = self.library.workflow(conn, came_into).holdout
            is_out = bool(share) and held_out(row.workflow, row.customer_id)
            assert (row.state == "held_out") == is_out, f"run {row.id} is {row.state}"

    def what_stopped_a_letter_is_on_the_record(self, seen: Seen) -> None:
        about: dict[int, list[Any]] = defaultdict(list)
        for row in seen["decisions"]:
            if row.message_id is not None:
                about[row.message_id].append(row)
                missing = SHOWS.get(row.gate, set()) - row.values.keys()
                assert not missing, f"decision {row.id} ({row.gate}) does not show {missing}"
            if row.verdict == "postponed":
                assert row.until is not None
                assert row.until >= row.at + LEAST, f"decision {row.id} postpones by {row.until - row.at}"
        ended = {row.id: row for row in seen["enrollments"] if row.ended_at is not None}
        for row in seen["messages"]:
            last = about[row.id][-1] if about[row.id] else None
            if row.state in STOPPED:
                assert last is not None, f"nothing says why message {row.id} is {row.state}"
                assert last.verdict in {row.state, "withdrawn"}, f"message {row.id} is {row.state}, {last.verdict} last"
            if row.state == "due" and row.postponed_since is not None:
                assert last is not None
                assert last.verdict == "postponed", f"message {row.id} was {last.verdict} last"
            if row.state == "cancelled":
                noted = [one for one in seen["decisions"] if one.enrollment_id == row.enrollment_id]
                assert any(one.verdict == "cancelled" and one.step == row.step for one in noted) or (
                    row.enrollment_id in ended and any(one.verdict in {"exited", "ended"} for one in noted)
                ), f"nothing says why message {row.id} was cancelled"

    def every_trigger_was_heard(self, seen: Seen, workflows: Mapping[str, Data], statuses: Mapping[str, str]) -> None:
        known = {row.id for row in self.before["events"]} if self.before else set()
        for event in seen["events"]:
            if event.id in known:
                continue
            for name, data in workflows.items():
                if data["trigger"]["event"] != event.kind or statuses[name] == "draft":
                    continue
                if event.kind == "customer.quiet" and event.data["workflow"] != name:
                    continue
                entered = [run for run in seen["enrollments"] if run.workflow == name and _by(run, event)]
                refused = [
                    row
                    for row in seen["decisions"]
                    if row.workflow == name and row.customer_id == event.customer_id
                    if row.verdict == "not_entered" and row.at == event.recorded_at
                ]
                assert entered or refused, f"{event.kind} ({event.id}) let nobody into {name}, and nothing says why"
                for row in refused:
                    if row.reason.startswith(("entry:", "the trigger is older", "re_entry: less")):
                        assert row.values, f"decision {row.id} does not show why"

    # -- when a worker has done all that was due --

    def check_rest(
        self, seen: Seen, workflows: Mapping[str, Data], statuses: Mapping[str, str], now: datetime, *, halted: bool
    ) -> None:
        self.nothing_is_in_anybodys_hands(seen, now)
        self.what_was_taken_counts(seen)
        self.nothing_is_held_for_nothing(seen, statuses, halted=halted)
        self.letters_of_runs_that_are_over_are_withdrawn(seen)
        self.no_timer_is_lost(seen, workflows, statuses, now)
        self.every_run_has_a_reason_to_be_where_it_is(seen, now)
        self.nothing_sleeps_through_anything(seen, now)

    def nothing_is_in_anybodys_hands(self, seen: Seen, now: datetime) -> None:
        assert not [row.id for row in seen["messages"] if row.state in {"claimed", "sending"}]
        shut = {key for key, row in seen.senders.items() if row.paused}
        late = [row for row in seen["messages"] if row.state == "due" and row.due_at <= now and row.sender not in shut]
        assert not late, f"message {late[0].id} is due and nobody looks at it"
        assert not [row.id for row in seen["timers"] if row.due_at <= now]
        assert not [row.id for row in seen["inbound_mail"] if row.state == "received"]
        assert not [row.id for row in seen["provider_events"] if row.state == "received"]
        assert not [row.id for row in seen["notices"] if row.told_at is None]
        asked = Counter(mail.subject for mail in self.ledger.told)
        assert sum(asked.values()) >= len(seen["notices"])

    def what_was_taken_counts(self, seen: Seen) -> None:
        rows = {row.token: row for row in seen["messages"] if row.token}
        for token, entry in self.ledger.entries.items():
            allowed = {"accepted", "unknown"} if token in self.ledger.mute else {"accepted"}
            assert rows[token].state in allowed, f"{entry.letter} was taken and is {rows[token].state}"
        for row in seen["messages"]:
            if row.state == "accepted":
                assert row.token in self.ledger.entries or row.token in self.ledger.mute, f"message {row.id} never left"

    def nothing_is_held_for_nothing(self, seen: Seen, statuses: Mapping[str, str], *, halted: bool) -> None:
        waiting = {row.customer_id for row in seen["conversations"] if not row.closed_at and row.waiting_since}
        pending = {name for name, row in seen.limits.items() if row.approved < row.first}
        for row in seen["messages"]:
            if row.state != "held":
                continue
            because = {
                "everything is halted": halted,
                "the customer waits for an answer from us": row.customer_id in waiting,
                "the first letters wait until a person has read them": row.workflow in pending,
                f"the workflow is {statuses.get(row.workflow)}": statuses.get(row.workflow, "live") != "live",
            }
            assert because.get(row.reason), f"message {row.id} is held: {row.reason}"

    def letters_of_runs_that_are_over_are_withdrawn(self, seen: Seen) -> None:
        ended = {row.id for row in seen["enrollments"] if row.ended_at is not None}
        left = [row for row in seen["messages"] if row.state in WITHDRAWABLE and row.enrollment_id in ended]
        assert not left, f"message {left[0].id} is {left[0].state}, and its run is over"

    def no_timer_is_lost(
        self, seen: Seen, workflows: Mapping[str, Data], statuses: Mapping[str, str], now: datetime
    ) -> None:
        timers = {(row.kind, row.workflow, row.subject_id): row.due_at for row in seen["timers"]}
        ran = {name: data for name, data in workflows.items() if statuses[name] != "draft"}
        if any("order.promise_missed" in set(_named(data)) for data in ran.values()):
            for order in seen["orders"]:
                gone = order.delivered_at or order.status in {"delivered", "cancelled", "refunded"}
                if order.promised_at and not gone and order.promised_at + DAY > now:
                    assert timers.get(("promise", "", order.id)) == order.promised_at + DAY, f"order {order.number}"
        contacts: dict[int, datetime] = {}
        for event in seen["events"]:
            if event.kind in {"order.placed", "answer.given", "reply.received"}:
                at = contacts.get(event.customer_id, event.occurred_at)
                contacts[event.customer_id] = max(at, event.occurred_at)
        for name, data in ran.items():
            if data["trigger"]["event"] == "customer.quiet":
                for customer_id, at in contacts.items():
                    if at + QUIET_AFTER > now:
                        assert timers.get(("quiet", name, customer_id)) == at + QUIET_AFTER, f"{name}, {customer_id}"

    def every_run_has_a_reason_to_be_where_it_is(self, seen: Seen, now: datetime) -> None:
        letters = {(row.enrollment_id, row.step, row.round): row for row in seen["messages"]}
        for row in seen["enrollments"]:
            if row.state != "active":
                continue
            where = f"run {row.id} ({row.workflow}) at {row.step}, {row.phase}"
            letter = letters.get((row.id, row.step, 0))
            if row.wake_at is not None:
                assert row.wake_at > now, f"{where} was to wake at {row.wake_at}, and it is {now}"
            else:
                assert letter is not None, f"{where} sleeps for ever"
                assert letter.state in UNDER_WAY, f"{where} sleeps for ever: its letter is {letter.state}"
            if row.phase == "asked":
                assert letter is not None
                assert letter.state == "accepted", f"{where} asks nothing: its letter is {letter.state}"

    def nothing_sleeps_through_anything(self, seen: Seen, now: datetime) -> None:
        """Whoever looks at a run now finds it where it stands: nobody has forgotten to wake it."""
        ids = [row.id for row in seen["enrollments"] if row.ended_at is None]
        with reading(self.engine) as conn:
            stored = list(enrollments.by_id(conn, ids).values())
            known = facts.read(conn, stored, library=self.library, now=now)
        for one in known.values():
            decision = decide(one.workflow, one.stored.enrollment, one.facts, now=now)
            where = f"run {one.stored.id} ({one.stored.enrollment.workflow}) at {one.stored.enrollment.position}"
            assert decision.ended is None, f"{where} sleeps, and is over: {decision.outcome}"
            assert decision.position == one.stored.enrollment.position, f"{where} sleeps: {decision.position}"
            assert not [one for one in decision.effects if not isinstance(one, CancelMessages)], where
            assert decision.wake_at == one.stored.wake_at, f"{where} wakes at {one.stored.wake_at}: {decision.wake_at}"


def _by(run: Any, event: Any) -> bool:
    """Tell whether *run* is the one that *event* lets in, or let in before."""
    if run.trigger_event_id == event.id:
        return True
    own = event.kind.partition(".")[0] == "order" and event.order_id is not None
    return own and re.fullmatch(rf"(customer:{event.customer_id}:)?order:{event.order_id}", run.entry_key) is not None


def _named(data: Data) -> Iterator[str]:
    """Yield the events that a workflow names."""
    yield data["trigger"]["event"]
    yield from (way_out["event"] for way_out in data.get("exit_on", ()))
    from tests.services.engine_files import walk

    yield from (step["wait_for"] for step in walk(data["steps"]) if "wait_for" in step)
