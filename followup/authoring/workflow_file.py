"""A workflow file: text in, a ``core.workflow.Workflow`` and diagnostics out."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from followup.authoring.diagnostics import Report, Spot, did_you_mean, listed
from followup.authoring.durations import Unclear, read_cap, read_hours, read_share, read_timedelta
from followup.authoring.event_names import read_event, read_trigger
from followup.authoring.places import Places
from followup.authoring.shapes import Fields, as_mapping, as_text, kind_of
from followup.authoring.source import Mapping, Node, Scalar, Sequence, read_yaml
from followup.authoring.steps_file import Reference, StepsReader
from followup.calendars import zone
from followup.core.events import EventKind
from followup.core.schedule import SendWindow
from followup.core.workflow import Cap, Condition, Exit, Goal, Per, ReEntry, Trigger, Workflow, WorkflowStatus

KEYS = (
    "workflow",
    "title",
    "status",
    "learn",
    "owner",
    "sender",
    "trigger",
    "entry",
    "exit_on",
    "send_window",
    "limits",
    "holdout",
    "goal",
    "first",
    "max_late",
    "max_postpone",
    "steps",
)
MOST_FIRST, MOST_PER_DAY = 1_000, 1_000_000
REQUIRED = ("workflow", "title", "status", "owner", "sender", "trigger", "steps")
STATUSES = (WorkflowStatus.DRAFT, WorkflowStatus.LIVE, WorkflowStatus.PAUSED)  # to archive one is an operator's
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class WorkflowFile:
    """What a file says: the workflow, when all of it could be read, and the letters, people, workflows it names."""

    workflow: Workflow | None
    references: tuple[Reference, ...] = ()
    places: Places | None = None  # there is one when there is a workflow


def read_workflow(name: str, text: str, report: Report, *, remembered: Collection[str] | None = None) -> WorkflowFile:
    """
    Read the workflow called *name* (its file name without ``.yaml``).

    Everything wrong goes into *report*; the workflow is None then.

    Args:
        remembered: the fields of a customer that some workflow remembers, for conditions; None for any.
    """
    node = read_yaml(text, report)
    if report.diagnostics:
        return WorkflowFile(None)
    if not isinstance(node, Mapping):
        what = "empty" if node is None else kind_of(node)
        spot = node.spot if node else Spot()
        report.add(
            spot, "103", f"A workflow file must be keys with values, not {what}.", f"it needs {listed(REQUIRED)}"
        )
        return WorkflowFile(None)
    return _Reader(name, node, report, remembered).read()


class _Reader:
    """The state of reading one file."""

    def __init__(self, name: str, node: Mapping, report: Report, remembered: Collection[str] | None) -> None:
        self.name, self.report = name, report
        self.fields = Fields(node, report, "a workflow", KEYS)
        self.steps = StepsReader(report, remembered)

    def read(self) -> WorkflowFile:
        self.fields.check(*REQUIRED)
        self._check_name()
        steps = self.steps.read(self.fields.get("steps"))  # first: conditions elsewhere may name asks
        title, status, trigger = self.fields.text("title", numbers=True), self._status(), self._trigger()
        owner, sender = self._person("owner"), self._person("sender")
        only_if, re_entry = self._entry()
        limits, first = self._limits(), self._first()
        rest = {
            "exit_on": self._exits(),
            "holdout": self.fields.parsed("holdout", read_share) or Workflow.holdout,
            "goal": self._goal(),
            "send_window": self._window(),
            "max_late": self._span("max_late", Workflow.max_late),
            "max_postpone": self._span("max_postpone", Workflow.max_postpone),
        }
        learn = self.fields.text("learn")
        self._check_starts()
        references = tuple(self.steps.references)
        if self.report.diagnostics:
            return WorkflowFile(None, references)
        assert title is not None
        assert status is not None
        assert trigger is not None
        assert owner is not None
        assert sender is not None
        workflow = Workflow(
            name=self.name,
            title=title,
            status=status,
            trigger=trigger,
            owner=owner,
            sender=sender,
            steps=steps,
            learn=learn,
            only_if=only_if,
            re_entry=re_entry,
            first=first,
            **limits,
            **rest,  # type: ignore[arg-type]
        )
        return WorkflowFile(workflow, references, Places(self.fields.node, self.steps.nodes))

    def _check_name(self) -> None:
        written, node = self.fields.text("workflow", numbers=True), self.fields.get("workflow")
        if written is not None and node is not None and written != self.name:
            message = f'The workflow is called "{written}", but its file "{self.name}.yaml".'
            self.report.add(node.spot, "111", message, f'write "{self.name}" here, or rename the file')

    def _status(self) -> WorkflowStatus | None:
        word = self.fields.choice("status", STATUSES)
        return WorkflowStatus(word) if word else None

    def _person(self, key: str) -> str | None:
        name, node = self.fields.text(key), self.fields.get(key)
        if name is not None and node is not None:
            self.steps.references.append(Reference(name, node.spot, "person"))
        return name

    def _check_starts(self) -> None:
        for reference in self.steps.references:
            if (reference.kind, reference.name) == ("workflow", self.name):
                help = 'to let customers in again is up to "re_entry" and the trigger'
                self.report.add(reference.spot, "105", "A workflow cannot start itself.", help)

    def _trigger(self) -> Trigger | None:
        mapping = self.fields.mapping("trigger")
        if mapping is None:
            return None
        fields = Fields(mapping, self.report, "a trigger", ("event", "per", "after"))
        event = read_trigger(fields)
        quiet = event == EventKind.CUSTOMER_QUIET
        if quiet:
            fields.check("event", "after", help='say how long nothing is heard of them, as in "after: 90 days"')
        else:
            fields.check("event")
        after = fields.parsed("after", read_timedelta)
        per = fields.choice("per", [per.value for per in Per])
        if event is None:
            return None
        if quiet and per == Per.ORDER:
            message = f'"{event}" is about a customer, not about an order.'
            self.report.add(mapping.entries["per"].value.spot, "105", message, "leave it out, or write customer")
        if not quiet and "after" in mapping.entries:
            help = 'it says how long a customer is quiet; to write later, begin the steps with "- wait: …"'
            self.report.add(mapping.entries["after"].spot, "105", '"after" belongs to "customer.quiet" only.', help)
        return Trigger(event, Per.CUSTOMER if quiet else Per(per or Per.ORDER), after)

    def _goal(self) -> Goal | None:
        mapping = self.fields.mapping("goal")
        if mapping is None:
            return None
        fields = Fields(mapping, self.report, '"goal"', ("event", "within"))
        fields.check("event", "within")
        event, within = read_event(fields), fields.parsed("within", read_timedelta)
        return Goal(event, within) if event and within else None

    def _entry(self) -> tuple[tuple[Condition, ...], ReEntry]:
        mapping = self.fields.mapping("entry")
        if mapping is None:
            return (), ReEntry()
        fields = Fields(mapping, self.report, '"entry"', ("only_if", "re_entry"))
        fields.check()
        conditions = fields.sequence("only_if")
        read = [self.steps.condition(item, "A condition") for item in conditions.items] if conditions else []
        return tuple(condition for condition in read if condition), fields.parsed("re_entry", _re_entry) or ReEntry()

    def _exits(self) -> tuple[Exit, ...]:
        sequence = self.fields.sequence("exit_on")
        read = [self._exit(item) for item in sequence.items] if sequence else []
        return tuple(way_out for way_out in read if way_out)

    def _exit(self, node: Node) -> Exit | None:
        mapping = as_mapping(node, self.report, 'An item of "exit_on"')
        if mapping is None:
            return None
        fields = Fields(mapping, self.report, '"exit_on"', ("event", "where", "as"))
        fields.check("event")
        event = read_event(fields)
        where = self.steps.condition(fields.get("where"), '"where"', event=True)
        label = fields.text("as", numbers=True)
        return Exit(event, where, label) if event else None

    def _window(self) -> SendWindow | None:
        mapping = self.fields.mapping("send_window")
        if mapping is None:
            return None
        fields = Fields(mapping, self.report, '"send_window"', ("days", "hours", "timezone", "fallback_timezone"))
        fields.check()
        opens, closes = fields.parsed("hours", read_hours) or (time(0), time(0))
        weekdays, business = self._days(fields)
        name = fields.text("timezone")
        return SendWindow(
            opens=opens,
            closes=closes,
            weekdays=weekdays,
            business_days=business,
            zone=fields.parsed("timezone", read_zone) if name not in (None, "customer") else None,
            fallback_zone=fields.parsed("fallback_timezone", read_zone),
        )

    def _days(self, fields: Fields) -> tuple[frozenset[int], bool]:
        node = fields.get("days")
        every = frozenset(range(7))
        if isinstance(node, Sequence):
            days = [self._weekday(item) for item in node.items]
            return frozenset(day for day in days if day is not None), False
        if isinstance(node, Scalar) and node.raw.strip().casefold()[:3] in WEEKDAYS:
            day = self._weekday(node)
            return (frozenset({day}) if day is not None else every), False
        word = fields.choice("days", ("any day", "weekdays", "business days"))
        return (frozenset(range(5)) if word in ("weekdays", "business days") else every), word == "business days"

    def _weekday(self, node: Node) -> int | None:
        text = as_text(node, self.report, "A day")
        if text is None:
            return None
        day = text.casefold()
        for names in (WEEKDAYS, DAY_NAMES):
            if day in names:
                return names.index(day)
        guess = did_you_mean(text, [*WEEKDAYS, *DAY_NAMES])
        hint = f' Did you mean "{guess}"?' if guess else ""
        self.report.add(node.spot, "105", f'"{text}" is not a day.{hint}', f"days: {', '.join(WEEKDAYS)}")
        return None

    def _first(self) -> int:
        return self.fields.integer("first", 1, MOST_FIRST) or 0

    def _limits(self) -> dict[str, Any]:
        mapping = self.fields.mapping("limits")
        if mapping is None:
            return {}
        fields = Fields(mapping, self.report, '"limits"', ("cap", "when_capped", "per_day", "priority"))
        fields.check()
        found = fields.parsed("cap", read_cap)
        skip = fields.choice("when_capped", ("postpone", "skip")) == "skip"
        priority = fields.integer("priority", 0, 100)
        if "when_capped" in mapping.entries and "cap" not in mapping.entries:
            self.report.add(mapping.entries["when_capped"].spot, "102", '"when_capped" needs "cap".')
        return {
            "cap": Cap(*found, skip) if found else None,
            "per_day": fields.integer("per_day", 1, MOST_PER_DAY),
            "priority": Workflow.priority if priority is None else priority,
        }

    def _span(self, key: str, default: timedelta) -> timedelta:
        return self.fields.parsed(key, read_timedelta) or default


def read_zone(text: str) -> ZoneInfo:
    """
    Return the time zone called *text*.

    Raises:
        Unclear: there is none of that name.
    """
    found = zone(text)
    if found is None:
        from zoneinfo import available_timezones  # noqa: PLC0415

        guess = did_you_mean(text, available_timezones())
        hint = f'did you mean "{guess}"? ' if guess else ""
        raise Unclear("108", f'there is no time zone "{text}"', f'{hint}zones are written like "Europe/Berlin"')
    return found


def _re_entry(text: str) -> ReEntry:
    words = " ".join(text.split())
    if words == "never":
        return ReEntry(never=True)
    if words == "every order":
        return ReEntry()
    if words.startswith("after "):
        return ReEntry(after=read_timedelta(words.removeprefix("after ")))
    raise Unclear("105", f"'{text}' is not a rule", 'write "never", "every order" or for example "after 90 days"')
