"""The steps of a workflow file: ids, options, branches and splits."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import time
from math import isfinite
from typing import TypeVar

from followup.authoring.diagnostics import Report, Spot, did_you_mean, listed
from followup.authoring.durations import Unclear, read_duration, read_time
from followup.authoring.event_names import read_event
from followup.authoring.expressions import read_condition
from followup.authoring.names import UNKNOWN, NameType, child, in_conditions, unknown_message
from followup.authoring.remembered import field_of, read_fields
from followup.authoring.shapes import Fields, as_mapping, as_sequence, as_text, parse
from followup.authoring.source import Entry, Node, Scalar, Sequence
from followup.authoring.source import Mapping as YamlMapping
from followup.authoring.texts import read_text
from followup.core.facts import NAMES
from followup.core.schedule import Duration
from followup.core.workflow import (
    Ask,
    Branch,
    Case,
    Condition,
    Handoff,
    Remember,
    Send,
    Split,
    Start,
    Step,
    Stop,
    Text,
    Variant,
    Wait,
    WaitFor,
)

COMMON = ("id", "when")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "ask": ("timeout", "remind_after", "remind_with", "from", "reply_in_thread"),
    "send": ("from", "ignore_send_window"),
    "wait": (),
    "wait_for": ("where", "timeout"),
    "branch": (),
    "split": ("variants",),
    "handoff": ("note", "urgent"),
    "remember": (),
    "start": (),
    "stop": (),
}
REQUIRED: Mapping[str, tuple[str, ...]] = {"ask": ("timeout",), "wait_for": ("timeout",), "split": ("variants",)}
NAMED_BY_VALUE = ("ask", "send", "split")  # the steps whose id is made of what they name
DEEPEST = 8  # branches and splits within each other
FEWEST_VARIANTS, MOST_VARIANTS, MOST_WEIGHT = 2, 10, 1_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_ID_HELP = 'use letters, digits, "-" and "_", at most 60'
_FIELD = re.compile(r"[a-z_]+(\.[a-z0-9_]+)+")
_ENDINGS = {"letter": ".md", "workflow": ".yaml"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reference:
    """A letter, person or workflow that a workflow names; ``asks`` the letters that are sent as a question."""

    name: str
    spot: Spot
    kind: str  # "letter", "person" or "workflow"
    asks: bool = False
    reminds_of: str | None = None  # the letter of the ask, for the letter of its reminder


@dataclass(slots=True)
class StepsReader:
    """
    Reads the steps of one file; ``ids`` are decided before anything else, since conditions may name them.

    ``remembered`` are the fields of a customer that some workflow remembers; None for any.
    """

    report: Report
    remembered: Collection[str] | None = None
    references: list[Reference] = field(default_factory=list)
    ids: dict[int, str] = field(default_factory=dict)  # by identity of the step's mapping
    numbered: set[str] = field(default_factory=set)  # ids that only count
    asks: list[str] = field(default_factory=list)
    nodes: dict[str, YamlMapping] = field(default_factory=dict)  # the steps by id
    splits: dict[str, Spot] = field(default_factory=dict)
    known: dict[bool, Mapping[str, NameType]] = field(default_factory=dict)  # without and with ``event``

    def read(self, node: Node | None) -> tuple[Step, ...]:
        """Return every step that can be read; *node* is the list under ``steps``."""
        sequence = as_sequence(node, self.report, '"steps"')
        if sequence is None:
            return ()
        if not sequence.items:
            self.report.add(sequence.spot, "112", "A workflow needs at least one step.")
        self._name_steps(list(_walk(sequence)))
        return self._steps(sequence, 0)

    def condition(self, node: Node | None, what: str, *, event: bool = False) -> Condition | None:
        """Return the condition in *node*, or report why there is none."""
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            word = node.raw.lower()
            self.report.add(node.spot, "103", f"{what} is always {word}.", "leave it out, or write a condition")
            return None
        if as_text(node, self.report, what) is None:
            return None
        assert isinstance(node, Scalar)
        return read_condition(node, self.report, self._known(event=event))

    def _known(self, *, event: bool = False) -> Mapping[str, NameType]:
        """Return the names that can be read; made once, since a file may remember or ask very often."""
        if event not in self.known:
            self.known[event] = in_conditions(self.asks, event=event, remembered=self.remembered)
        return self.known[event]

    def _text(self, node: Node | None, what: str) -> Text | None:
        """Return the text with names in *node*, or report why there is none."""
        if as_text(node, self.report, what, numbers=True) is None:
            return None
        assert isinstance(node, Scalar)
        return read_text(node, self.report, self._known())

    def _name_steps(self, steps: list[YamlMapping]) -> None:
        """Give every step its id: the one written, else one made of its kind and letter, else a number."""
        first: dict[str, Spot] = {}
        for step in steps:
            if (name := self._given_id(step)) is None:
                continue
            spot = step.entries["id"].value.spot
            if name in first:
                self.report.add(spot, "110", f'Two steps have the id "{name}".', f"first on line {first[name].line}")
            first.setdefault(name, spot)
            self.ids[id(step)] = name
        taken, counted = set(first), Counter[str]()
        for step in steps:
            kind = _kind(step)
            if id(step) not in self.ids and kind is not None:
                self.ids[id(step)], numbered = _derived(step, kind, taken, counted)
                taken.add(self.ids[id(step)])
                if numbered:
                    self.numbered.add(self.ids[id(step)])
            if kind == "ask":
                self.asks.append(self.ids[id(step)])
            if id(step) in self.ids:
                self.nodes[self.ids[id(step)]] = step

    def _given_id(self, step: YamlMapping) -> str | None:
        entry = step.entries.get("id")
        if entry is None:
            return None
        name = as_text(entry.value, self.report, '"id"', numbers=True)
        if name is not None and not _ID.fullmatch(name):
            self.report.add(entry.value.spot, "114", f'"{name}" cannot be a step id.', _ID_HELP)
            return None
        return name

    def _steps(self, sequence: Sequence, depth: int) -> tuple[Step, ...]:
        if depth > DEEPEST:
            self.report.add(sequence.spot, "103", f"Branches and splits are nested more than {DEEPEST} deep.")
            return ()
        read = (self._step(item, depth) for item in sequence.items)
        return tuple(step for step in read if step is not None)

    def _step(self, node: Node, depth: int) -> Step | None:
        mapping = as_mapping(node, self.report, "A step")
        if mapping is None:
            return None
        kinds = [key for key in mapping.entries if key in OPTIONS]
        if len(kinds) != 1:
            self._report_kind(mapping, kinds)
            return None
        kind = kinds[0]
        article = "an" if kind == "ask" else "a"
        fields = Fields(mapping, self.report, f"{article} {kind} step", (*COMMON, kind, *OPTIONS[kind]))
        fields.check(*REQUIRED.get(kind, ()))
        when = self.condition(fields.get("when"), '"when"')
        step = self._of_kind(kind, fields, self.ids[id(mapping)], when, depth)
        return replace(step, numbered=True) if step is not None and step.id in self.numbered else step

    def _of_kind(  # noqa: PLR0911 - one a kind
        self, kind: str, fields: Fields, step_id: str, when: Condition | None, depth: int
    ) -> Step | None:
        match kind:
            case "wait":
                return self._wait(fields, step_id, when)
            case "wait_for":
                return self._wait_for(fields, step_id, when)
            case "ask":
                return self._ask(fields, step_id, when)
            case "send":
                return self._send(fields, step_id, when)
            case "branch":
                return self._branch(fields, step_id, when, depth)
            case "split":
                return self._split(fields, step_id, when, depth)
            case "handoff":
                return self._handoff(fields, step_id, when)
            case "remember":
                return self._remember(fields, step_id, when)
            case "start":
                workflow = self._refer(fields, "start", "workflow")
                return Start(id=step_id, when=when, workflow=workflow) if workflow else None
        outcome = fields.text("stop", numbers=True)
        return Stop(id=step_id, when=when, outcome=outcome) if outcome else None

    def _report_kind(self, mapping: YamlMapping, kinds: list[str]) -> None:
        if kinds:
            spot = mapping.entries[kinds[1]].spot
            help = 'start the second one as a step of its own, with "- "'
            self.report.add(spot, "103", f'A step does one thing, this one has "{kinds[0]}" and "{kinds[1]}".', help)
            return
        for key, entry in mapping.entries.items():
            if key in COMMON:
                continue
            guess = did_you_mean(key, OPTIONS)
            hint = f' Did you mean "{guess}"?' if guess else ""
            self.report.add(entry.spot, "101", f'Unknown step "{key}".{hint}', f"steps: {listed(OPTIONS)}")
            return
        self.report.add(mapping.spot, "102", "This step does nothing.", f"give it one of: {listed(OPTIONS)}")

    def _letter(self, fields: Fields, key: str, *, asks: bool, reminds_of: str | None = None) -> str | None:
        return self._refer(fields, key, "letter", asks=asks, reminds_of=reminds_of)

    def _refer(
        self, fields: Fields, key: str, kind: str, *, asks: bool = False, reminds_of: str | None = None
    ) -> str | None:
        name, node = fields.text(key, numbers=True), fields.get(key)
        if name is not None and node is not None:
            name = name.removesuffix(_ENDINGS.get(kind, ""))
            self.references.append(Reference(name, node.spot, kind, asks, reminds_of))
        return name

    def _wait(self, fields: Fields, step_id: str, when: Condition | None) -> Step | None:
        node = fields.get("wait")
        if not isinstance(node, YamlMapping):
            duration = fields.parsed("wait", read_duration)
            return Wait(id=step_id, when=when, duration=duration) if duration else None
        parts = Fields(node, self.report, "a wait", ("for", "until"))
        parts.check()
        if not node.entries:
            self.report.add(node.spot, "102", '"for" or "until" is missing in a wait.')
        length = parts.parsed("for", read_duration) or Duration()
        until = parts.text("until")
        if until is None:
            return Wait(id=step_id, when=when, duration=length)
        spot = node.entries["until"].value
        if not _FIELD.fullmatch(until):
            wall = parse(spot, until, self.report, "until", _time_or_field)
            return Wait(id=step_id, when=when, duration=length, until=wall)
        if "for" in node.entries:
            self.report.add(spot.spot, "103", '"for" and a date field cannot be combined.', "use one of them")
        self._check_date_field(until, spot.spot)
        return Wait(id=step_id, when=when, until_field=until)

    def _wait_for(self, fields: Fields, step_id: str, when: Condition | None) -> Step | None:
        event = read_event(fields, "wait_for")
        where = self.condition(fields.get("where"), '"where"', event=True)
        timeout = fields.parsed("timeout", read_duration)
        if event is None or timeout is None:
            return None
        return WaitFor(id=step_id, when=when, event=event, where=where, timeout=timeout)

    def _check_date_field(self, dotted: str, spot: Spot) -> None:
        kind: object = NAMES
        parents: list[str] = []
        for key in dotted.split("."):
            below, _ = child(kind, key)
            if below is UNKNOWN:
                message, help = unknown_message(".".join(parents), kind, key)
                if parents != ["customer"] or "Did you mean" in message:  # else a field the shop remembers
                    self.report.add(spot, "W207", message, help)
                return
            kind = below
            parents.append(key)
        if not str(kind).startswith(("moment", "date")):
            self.report.add(spot, "105", f'"{dotted}" is not a date.', 'for example "order.promised_at"')

    def _ask(self, fields: Fields, step_id: str, when: Condition | None) -> Step | None:
        letter = self._letter(fields, "ask", asks=True)
        remind_with = self._letter(fields, "remind_with", asks=False, reminds_of=letter)
        sender = self._refer(fields, "from", "person")
        timeout = fields.parsed("timeout", read_duration)
        remind_after = fields.parsed("remind_after", read_duration)
        in_thread = fields.flag("reply_in_thread") or False
        if remind_with and "remind_after" not in fields.node.entries:
            spot = fields.node.entries["remind_with"].spot
            self.report.add(spot, "102", '"remind_with" needs "remind_after".', "say after how long to remind")
        if letter is None or timeout is None:
            return None
        return Ask(
            id=step_id,
            when=when,
            letter=letter,
            sender=sender,
            timeout=timeout,
            remind_after=remind_after,
            remind_with=remind_with,
            reply_in_thread=in_thread,
        )

    def _send(self, fields: Fields, step_id: str, when: Condition | None) -> Step | None:
        letter = self._letter(fields, "send", asks=False)
        sender = self._refer(fields, "from", "person")
        node = fields.get("ignore_send_window")  # true and the like are read as well: authoring.meaning asks why
        reason = node.raw.strip() if isinstance(node, Scalar) else fields.text("ignore_send_window")
        if letter is None:
            return None
        return Send(id=step_id, when=when, letter=letter, sender=sender, ignore_send_window=reason)

    def _branch(self, fields: Fields, step_id: str, when: Condition | None, depth: int) -> Step | None:
        sequence = fields.sequence("branch")
        if sequence is None:
            return None
        if not sequence.items:
            self.report.add(sequence.spot, "112", "A branch needs at least one case.")
        cases = []
        for number, item in enumerate(sequence.items, start=1):
            case = self._case(item, last=number == len(sequence.items), depth=depth)
            if case is not None:
                cases.append(case)
        return Branch(id=step_id, when=when, cases=tuple(cases))

    def _case(self, node: Node, *, last: bool, depth: int) -> Case | None:
        mapping = as_mapping(node, self.report, "A case of a branch")
        if mapping is None:
            return None
        if "otherwise" in mapping.entries:
            fields = Fields(mapping, self.report, "the last case of a branch", ("otherwise",))
            fields.check()
            if not last:
                spot = mapping.entries["otherwise"].spot
                self.report.add(spot, "113", '"otherwise" must be the last case: those after it never come true.')
            return Case(None, self._do(fields, "otherwise", depth))
        fields = Fields(mapping, self.report, "a case of a branch", ("when", "do", "otherwise"))
        fields.check("when", "do")
        condition = self.condition(fields.get("when"), '"when"')
        steps = self._do(fields, "do", depth)  # what is wrong in there shows even if the condition is wrong
        return Case(condition, steps) if condition else None

    def _split(self, fields: Fields, step_id: str, when: Condition | None, depth: int) -> Step | None:
        name = self._split_name(fields)
        mapping = fields.mapping("variants")
        if mapping is None:
            return None
        if not FEWEST_VARIANTS <= len(mapping.entries) <= MOST_VARIANTS:
            message = f"A split has {FEWEST_VARIANTS} to {MOST_VARIANTS} variants, this one {len(mapping.entries)}."
            self.report.add(mapping.spot, "112", message)
            return None
        written = mapping.entries.values()
        weighed = any(isinstance(entry.value, YamlMapping) and entry.value.get("weight") for entry in written)
        read = [self._variant(entry, depth, weighed=weighed) for entry in written]
        variants = tuple(variant for variant in read if variant)
        return Split(id=step_id, when=when, name=name, variants=variants) if name else None

    def _split_name(self, fields: Fields) -> str | None:
        name, node = fields.text("split", numbers=True), fields.get("split")
        if name is None or node is None:
            return None
        if not _ID.fullmatch(name):
            self.report.add(node.spot, "114", f'"{name[:80]}" cannot be the name of a split.', _ID_HELP)
            return None
        if name in self.splits:
            help = f"first on line {self.splits[name].line}; by its name a split draws its lots"
            self.report.add(node.spot, "110", f'Two splits have the name "{name}".', help)
        self.splits.setdefault(name, node.spot)
        return name

    def _variant(self, entry: Entry, depth: int, *, weighed: bool) -> Variant | None:
        if not _ID.fullmatch(entry.key):
            self.report.add(entry.spot, "114", f'"{entry.key[:80]}" cannot be the name of a variant.', _ID_HELP)
        mapping = as_mapping(entry.value, self.report, "A variant")
        if mapping is None:
            return None
        fields = Fields(mapping, self.report, "a variant", ("weight", "do"))
        if weighed and "weight" not in mapping.entries:
            fields.check("weight", "do", help="give each variant a weight, or none: then all are equal")
        else:
            fields.check("do", help='to let nothing happen, write "do: []"')
        weight = fields.integer("weight", 1, MOST_WEIGHT)
        sequence = fields.sequence("do")  # may be empty: nothing happens, to compare with
        steps = self._steps(sequence, depth + 1) if sequence else ()
        return Variant(entry.key, weight or 1, steps)

    def _handoff(self, fields: Fields, step_id: str, when: Condition | None) -> Step | None:
        person = self._refer(fields, "handoff", "person")
        note = self._text(fields.get("note"), '"note"')
        urgent = fields.flag("urgent") or False
        return Handoff(id=step_id, when=when, person=person, note=note, urgent=urgent) if person else None

    def _remember(self, fields: Fields, step_id: str, when: Condition | None) -> Step | None:
        mapping = fields.mapping("remember")
        if mapping is None:
            return None
        if not mapping.entries:
            help = 'write for example customer.use_case: "{{ reply.text }}"'
            self.report.add(mapping.spot, "112", '"remember" is empty.', help)
        read = {name: self._value(name, node) for name, node in read_fields(mapping, self.report)}
        values = {name: value for name, value in read.items() if value is not None}
        return Remember(id=step_id, when=when, values=values)

    def _value(self, name: str, node: Node) -> Text | str | int | float | bool | None:
        """Return what is remembered under *name*: a text with names, or the value itself."""
        if isinstance(node, Scalar) and isinstance(node.value, bool | int | float):
            if isfinite(node.value):
                return node.value
            self.report.add(node.spot, "105", f'The number for "{name}" is too large.')
            return None
        text = self._text(node, f'"{name}"')
        return text.source if text and "{" not in text.source else text

    def _do(self, fields: Fields, key: str, depth: int) -> tuple[Step, ...]:
        sequence = fields.sequence(key)
        if sequence is None:
            return ()
        if not sequence.items:
            message = f'"{key}" is empty.'
            self.report.add(sequence.spot, "112", message, 'leave the case out, or end here with "- stop: …"')
        return self._steps(sequence, depth + 1)


def _time_or_field(text: str) -> time:
    try:
        return read_time(text)
    except Unclear as error:
        help = 'write a time like "08:30", or a date field like "order.promised_at"'
        raise Unclear("107", f"'{text}' is neither a time of day nor a date field", help) from error


def _kind(step: YamlMapping) -> str | None:
    return next((key for key in step.entries if key in OPTIONS), None)


def remembered_in(node: Node | None) -> set[str]:
    """Return the fields of a customer that a workflow file remembers, whatever else may be wrong with it."""
    steps = node.get("steps") if isinstance(node, YamlMapping) else None
    written = [step.get("remember") for step in _walk(steps)] if isinstance(steps, Sequence) else []
    keys = (key for mapping in written if isinstance(mapping, YamlMapping) for key in mapping.entries)
    return {field for field in map(field_of, keys) if field is not None}


def _walk(sequence: Sequence, depth: int = 0) -> Iterator[YamlMapping]:
    """Yield every step in file order, whatever else may be wrong with the file."""
    for item in sequence.items:
        if not isinstance(item, YamlMapping):
            continue
        yield item
        if depth > DEEPEST:
            continue
        for inner in _inside(item):
            yield from _walk(inner, depth + 1)


def _inside(step: YamlMapping) -> Iterator[Sequence]:
    """Yield the lists of steps in a branch or a split."""
    cases, variants = step.get("branch"), step.get("variants")
    ways = cases.items if isinstance(cases, Sequence) else []
    if isinstance(variants, YamlMapping):
        ways = [*ways, *(entry.value for entry in variants.entries.values())]
    for way in ways:
        inner = (way.get("do") or way.get("otherwise")) if isinstance(way, YamlMapping) else None
        if isinstance(inner, Sequence):
            yield inner


def _derived(step: YamlMapping, kind: str, taken: set[str], counted: Counter[str]) -> tuple[str, bool]:
    """Return a readable id that no step has: the name of the letter or split, or (True) one that only counts."""
    named = step.get(kind) if kind in NAMED_BY_VALUE else None
    name = named.raw.strip().removesuffix(".md") if isinstance(named, Scalar) else ""
    base = name if _ID.fullmatch(name) else kind
    counted[base] += 1
    candidate = base if base == name and counted[base] == 1 else f"{base}-{counted[base]}"
    while candidate in taken:
        counted[base] += 1
        candidate = f"{base}-{counted[base]}"
    return candidate, candidate != name
