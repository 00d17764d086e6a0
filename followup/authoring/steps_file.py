"""The steps of a workflow file: ids, options, branches."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import TypeVar

from followup.authoring import later
from followup.authoring.diagnostics import Report, Spot, did_you_mean, listed
from followup.authoring.durations import Unclear, read_duration, read_time
from followup.authoring.expressions import read_condition
from followup.authoring.names import UNKNOWN, child, in_conditions, unknown_message
from followup.authoring.shapes import Fields, as_mapping, as_sequence, as_text, parse
from followup.authoring.source import Mapping as YamlMapping
from followup.authoring.source import Node, Scalar, Sequence
from followup.core.facts import NAMES
from followup.core.schedule import Duration
from followup.core.workflow import Ask, Branch, Case, Condition, Send, Step, Stop, Wait

COMMON = ("id", "when")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "ask": ("timeout", "remind_after", "remind_with", "from", "reply_in_thread"),
    "send": ("from", "ignore_send_window"),
    "wait": (),
    "branch": (),
    "stop": (),
}
DEEPEST = 8  # branches within branches
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_FIELD = re.compile(r"[a-z_]+(\.[a-z0-9_]+)+")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reference:
    """A letter or a person that a workflow names; ``asks`` the letters that are sent as a question."""

    name: str
    spot: Spot
    kind: str  # "letter" or "person"
    asks: bool = False
    reminds_of: str | None = None  # the letter of the ask, for the letter of its reminder


@dataclass(slots=True)
class StepsReader:
    """Reads the steps of one file; ``ids`` are decided before anything else, since conditions may name them."""

    report: Report
    references: list[Reference] = field(default_factory=list)
    ids: dict[int, str] = field(default_factory=dict)  # by identity of the step's mapping
    asks: list[str] = field(default_factory=list)

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
        return read_condition(node, self.report, in_conditions(self.asks, event=event))

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
                self.ids[id(step)] = _derived(step, kind, taken, counted)
                taken.add(self.ids[id(step)])
            if kind == "ask":
                self.asks.append(self.ids[id(step)])

    def _given_id(self, step: YamlMapping) -> str | None:
        entry = step.entries.get("id")
        if entry is None:
            return None
        name = as_text(entry.value, self.report, '"id"', numbers=True)
        if name is not None and not _ID.fullmatch(name):
            help = 'use letters, digits, "-" and "_", at most 60'
            self.report.add(entry.value.spot, "114", f'"{name}" cannot be a step id.', help)
            return None
        return name

    def _steps(self, sequence: Sequence, depth: int) -> tuple[Step, ...]:
        if depth > DEEPEST:
            self.report.add(sequence.spot, "103", f"Branches are nested more than {DEEPEST} deep.")
            return ()
        read = (self._step(item, depth) for item in sequence.items)
        return tuple(step for step in read if step is not None)

    def _step(self, node: Node, depth: int) -> Step | None:  # noqa: PLR0911 - one answer for each kind
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
        fields.check(*(["timeout"] if kind == "ask" else []))
        when = self.condition(fields.get("when"), '"when"')
        step_id = self.ids[id(mapping)]
        match kind:
            case "wait":
                return self._wait(fields, step_id, when)
            case "ask":
                return self._ask(fields, step_id, when)
            case "send":
                return self._send(fields, step_id, when)
            case "branch":
                return self._branch(fields, step_id, when, depth)
        outcome = fields.text("stop", numbers=True)
        return Stop(id=step_id, when=when, outcome=outcome) if outcome else None

    def _report_kind(self, mapping: YamlMapping, kinds: list[str]) -> None:
        if kinds:
            spot = mapping.entries[kinds[1]].spot
            help = 'start the second one as a step of its own, with "- "'
            self.report.add(spot, "103", f'A step does one thing, this one has "{kinds[0]}" and "{kinds[1]}".', help)
            return
        verbs = later.STEPS
        for key, entry in mapping.entries.items():
            if key in verbs:
                self.report.add(entry.spot, "190", later.not_yet(f'"{key}"'))
                return
        for key, entry in mapping.entries.items():
            if key in COMMON:
                continue
            guess = did_you_mean(key, [*OPTIONS, *verbs])
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
            name = name.removesuffix(".md") if kind == "letter" else name
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
        reason = fields.text("ignore_send_window")
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


def _walk(sequence: Sequence, depth: int = 0) -> Iterator[YamlMapping]:
    """Yield every step in file order, whatever else may be wrong with the file."""
    for item in sequence.items:
        if not isinstance(item, YamlMapping):
            continue
        yield item
        cases = item.get("branch")
        if not isinstance(cases, Sequence) or depth > DEEPEST:
            continue
        for case in cases.items:
            inner = (case.get("do") or case.get("otherwise")) if isinstance(case, YamlMapping) else None
            if isinstance(inner, Sequence):
                yield from _walk(inner, depth + 1)


def _derived(step: YamlMapping, kind: str, taken: set[str], counted: Counter[str]) -> str:
    """Return a readable id that no step has: the letter's name, or the kind with a number."""
    letter = step.get(kind) if kind in {"ask", "send"} else None
    name = letter.raw.strip().removesuffix(".md") if isinstance(letter, Scalar) else ""
    base = name if _ID.fullmatch(name) else kind
    counted[base] += 1
    candidate = base if base == name and counted[base] == 1 else f"{base}-{counted[base]}"
    while candidate in taken:
        counted[base] += 1
        candidate = f"{base}-{counted[base]}"
    return candidate
