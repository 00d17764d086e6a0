"""Workflows as a marketer might write them, at random: all ten steps, and the letters, people and shop they name."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.services.world import ASK, OPEN, PEOPLE, SEND, SHOP

Data = dict[str, Any]  # a workflow, or a step of one, as it stands in the file
NAMES = ("alpha", "beta", "gamma")
KINDS = ("support.solved", "support.rated", "shop.visited")  # events of the shop's own
ASKS, SENDS = ("arrived", "cooking", "rating"), ("advice", "tips", "offer", "dear")
MEMO = """\
workflow: memo
title: What anybody may remember
status: live
owner: nell
sender: nell
trigger: {event: shop.memo}
steps:
  - remember: {customer.taste: sweet, customer.words: "{{ last_reply }}"}
"""
RATING = ASK.replace("purpose: service\n", "").replace("broken: Something is broken", 'bad: "No, not at all"')
LETTERS = {
    "arrived": ASK.replace("broken:", "bad:"),
    "cooking": OPEN,
    "rating": RATING,
    "nudge": ASK.replace("broken:", "bad:").replace("Hi", "Once more,"),
    "advice": SEND,
    "tips": SEND.replace("purpose: service\n", ""),
    "offer": SEND.replace("purpose: service", "purpose: marketing"),
    "dear": SEND.replace("Wash it", "Dear {{ customer.first_name }}, wash it"),  # cannot be written to who has no name
}
STAFF = PEOPLE.replace("signature: Nell}", "signature: Nell, backlog: 1}").replace(
    "signature: Tomás}", "signature: Tomás, away: {from: 2026-03-20, until: 2026-11-01, cover: nell}}"
)


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice: a workflow file knows no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def yaml_of(data: Data) -> str:
    return yaml.dump(data, Dumper=_Plain, sort_keys=False)


def files(workflows: Mapping[str, Data], statuses: Mapping[str, str]) -> dict[str, str]:
    """Return the folder with these workflows, each in its status."""
    written = {name: yaml_of({**data, "status": statuses[name]}) for name, data in workflows.items()}
    return {
        "workflows/people.yaml": STAFF,
        "workflows/shop.yaml": SHOP,
        "workflows/memo.yaml": MEMO,
        **{f"workflows/{name}.yaml": text for name, text in written.items()},
        **{f"templates/{name}.md": text for name, text in LETTERS.items()},
    }


# -- what a workflow says beside its steps --

SPANS = ("20 minutes", "3 hours", "1 day", "2 days", "2 business days", "9 days", "40 days")
spans = st.sampled_from(SPANS)
windows = st.sampled_from(
    [
        None,
        None,
        {"days": "weekdays", "hours": "09:00-17:30", "timezone": "customer", "fallback_timezone": "Europe/Berlin"},
        {"hours": "22:00-06:00", "timezone": "America/New_York"},
        {"days": "business days", "hours": "08:30-12:00", "timezone": "customer"},
        {"days": ["sun"], "hours": "02:15-02:45", "timezone": "Europe/Berlin"},  # on one Sunday there is no such time
    ]
)
limits = st.sampled_from(
    [
        None,
        None,
        {"cap": "1 message per 3 days"},
        {"cap": "1 message per 3 days", "priority": 80},
        {"cap": "1 message per 2 days", "when_capped": "skip"},
        {"cap": "2 messages per 9 days", "priority": 20},
        {"per_day": 1},
    ]
)
triggers = st.sampled_from(
    [
        {"event": "order.placed"},
        {"event": "order.placed"},
        {"event": "order.placed"},
        {"event": "order.placed", "per": "customer"},
        {"event": "order.placed", "per": "customer"},
        {"event": "order.delivered"},
        {"event": "order.delivered"},
        {"event": "order.delivered"},
        {"event": "order.delivered", "per": "customer"},
        {"event": "order.fulfilled"},
        {"event": "order.cancelled"},
        {"event": "order.refunded"},
        {"event": "order.promise_missed"},
        {"event": "order.promise_missed", "per": "customer"},
        {"event": "customer.quiet", "after": "20 days"},
        {"event": "support.solved"},
        {"event": "support.solved", "per": "customer"},
        {"event": "manual"},
    ]
)
entries = st.sampled_from(
    [
        None,
        None,
        None,
        None,
        None,
        None,
        {"only_if": ["order.total > 50"]},
        {"only_if": ["customer.order_count > 1", 'customer.taste != "sour"']},
        {"re_entry": "never"},
        {"re_entry": "after 9 days"},
    ]
)
exits = st.lists(
    st.sampled_from(
        [
            {"event": "order.placed"},
            {"event": "order.delivered", "where": "event.order.total > 50"},
            {"event": "support.rated", "where": "event.stars < 3", "as": "unhappy"},
            {"event": "answer.given", "where": 'event.answer == "bad"'},
            {"event": "reply.received"},
            {"event": "conversation.opened"},
            {"event": "message.accepted", "where": 'event.letter == "offer"'},
        ]
    ),
    max_size=1,
)
lateness = st.sampled_from([None, None, "2 hours", "1 day"])
patience = st.sampled_from([None, None, "2 days", "20 days"])


# -- steps --

ABOUT_ASKS = ('answer == "fine"', 'answer == "bad"', "replied", "no_reply", "not_asked", "asks.q1.replied")
ABOUT_OTHERS = (
    "timed_out",
    "order.total > 50",
    "customer.order_count > 1",
    'customer.taste == "sweet"',
    'answers.arrived == "fine"',
    "order.days_late >= 1",
)
conditions = st.sampled_from([*ABOUT_ASKS, *ABOUT_OTHERS])
whens = st.sampled_from([*[None] * 36, *ABOUT_ASKS, *ABOUT_OTHERS])


def a_step(**options: Any) -> st.SearchStrategy[Data]:
    """Return steps with these options, each a value or a strategy; what is None is left out."""
    drawn = {key: value if isinstance(value, st.SearchStrategy) else st.just(value) for key, value in options.items()}
    return st.fixed_dictionaries(drawn).map(lambda step: {key: v for key, v in step.items() if v is not None})


asks = st.builds(
    lambda step, times: step | times,
    a_step(ask=st.sampled_from(ASKS), when=whens, **{"from": st.sampled_from([None, None, "tomas"])}),
    st.sampled_from(
        [
            {"timeout": "2 days"},
            {"timeout": "5 days", "remind_after": "1 day"},
            {"timeout": "4 business days", "remind_after": "1 business day", "reply_in_thread": True},
            {"timeout": "9 days", "remind_after": "3 days", "remind_with": "nudge"},
        ]
    ),
)
sends = a_step(
    send=st.sampled_from(SENDS), when=whens, ignore_send_window=st.sampled_from([None, None, "it cannot wait"])
)
waits = a_step(
    wait=spans
    | st.sampled_from(
        [
            {"until": "02:30"},
            {"for": "1 day", "until": "08:30"},
            {"until": "order.promised_at"},
            {"until": "customer.renewal_on"},
        ]
    ),
    when=whens,
)
awaited = st.builds(
    lambda event, timeout, when: {**event, "timeout": timeout, **({"when": when} if when else {})},
    st.sampled_from(
        [
            {"wait_for": "order.delivered"},
            {"wait_for": "order.placed", "where": "event.order.total > 50"},
            {"wait_for": "order.promise_missed"},
            {"wait_for": "support.rated"},
            {"wait_for": "support.rated", "where": "event.stars < 3"},
            {"wait_for": "conversation.closed"},
            {"wait_for": "answer.given"},
            {"wait_for": "reply.received"},
            {"wait_for": "message.accepted"},
        ]
    ),
    spans,
    whens,
)
handoffs = a_step(
    handoff=st.sampled_from(["nell", "tomas"]),
    note=st.sampled_from([None, "{{ customer.first_name }} says {{ answer_label }}"]),
    urgent=st.sampled_from([None, True]),
    when=whens,
)
remembered = a_step(
    remember=st.sampled_from(
        [{"customer.taste": "sweet"}, {"customer.taste": "sour", "visits": 3}, {"customer.words": "{{ reply.text }}"}]
    ),
    when=whens,
)
starts = a_step(start=st.sampled_from(NAMES), when=whens)
stops = a_step(stop=st.sampled_from(["done", "gone"]), when=whens)
letters = st.one_of(asks, sends)
plain = st.one_of(letters, letters, asks, waits, waits, awaited, handoffs, remembered, starts, stops)


def branches(inner: st.SearchStrategy[Data]) -> st.SearchStrategy[Data]:
    some = st.lists(inner, min_size=1, max_size=2)
    cases = st.lists(st.fixed_dictionaries({"when": conditions, "do": some}), min_size=1, max_size=2)
    last = st.lists(st.fixed_dictionaries({"otherwise": some}), max_size=1)
    return a_step(branch=st.builds(lambda some, last: [*some, *last], cases, last), when=whens)


def splits(inner: st.SearchStrategy[Data]) -> st.SearchStrategy[Data]:
    variant = st.fixed_dictionaries({"do": st.lists(inner, max_size=2)})
    return a_step(split="way", variants=st.fixed_dictionaries({"a": variant, "b": variant}), when=whens)


trees = st.one_of(plain, plain, st.recursive(plain, lambda inner: branches(inner) | splits(inner), max_leaves=5))


def inside(step: Data) -> Iterator[list[Data]]:
    """Yield the lists of steps that a step holds."""
    for case in step.get("branch", ()):
        yield case["do"] if "do" in case else case["otherwise"]
    yield from (variant["do"] for variant in step.get("variants", {}).values())


def walk(steps: list[Data]) -> Iterator[Data]:
    for step in steps:
        yield step
        for some in inside(step):
            yield from walk(some)


def _rewrite(step: Data, change: Callable[[Data], Data | None]) -> Data | None:
    """Return a copy of a step that *change* has seen, its own steps first; None: it is left out."""
    copy = dict(step)
    if "branch" in copy:
        copy["branch"] = [
            {key: _rewritten(value, change) if isinstance(value, list) else value for key, value in case.items()}
            for case in copy["branch"]
        ]
    if "variants" in copy:
        copy["variants"] = {name: {"do": _rewritten(one["do"], change)} for name, one in copy["variants"].items()}
    return change(copy)


def _rewritten(steps: list[Data], change: Callable[[Data], Data | None]) -> list[Data]:
    return [changed for step in steps if (changed := _rewrite(step, change)) is not None]


@st.composite
def workflows(draw: st.DrawFn, name: str) -> Data:
    """Draw a workflow that can be applied; its status is left to the shop."""
    return finished(
        name,
        draw(triggers),
        draw(st.lists(trees, min_size=2, max_size=5)),
        entry=draw(entries),
        exit_on=draw(exits) or None,
        send_window=draw(windows),
        limits=draw(limits),
        holdout=draw(st.sampled_from([None, None, None, "50%"])),
        first=draw(st.sampled_from([None, None, None, None, 1])),
        max_late=draw(lateness),
        max_postpone=draw(patience),
    )


def finished(name: str, trigger: Data, steps: list[Data], **more: Any) -> Data:
    """Return a workflow in which every step has a name of its own, and conditions name what there is."""
    counted: Counter[str] = Counter()
    has_asks = any("ask" in step for step in walk(steps))

    def named(step: Data) -> Data | None:
        step = {key: _known(value, has_asks) if key == "when" else value for key, value in step.items()}
        if step.get("ask") == "cooking":  # it offers no answers, so its reminder cannot either
            step.pop("remind_with", None)
        if step.get("start") == name:
            step["start"] = NAMES[(NAMES.index(name) + 1) % len(NAMES)]
        if "branch" in step:
            step["branch"] = [
                {key: _known(value, has_asks) if key == "when" else value for key, value in case.items()}
                for case in step["branch"]
            ]
        for kind, short in (("ask", "q"), ("split", "s")):
            if kind in step:
                counted[kind] += 1
                step["id" if kind == "ask" else "split"] = f"{short}{counted[kind]}"
        return step

    steps = _rewritten(steps, named)
    known = {key: value for key, value in more.items() if value is not None}
    if "holdout" in known:
        known["goal"] = {"event": "order.placed", "within": "60 days"}
    who = {"title": f"The {name} one", "status": "live", "owner": "nell", "sender": "nell"}
    return {"workflow": name, **who, "trigger": trigger, **known, "steps": steps}


def _known(condition: str, has_asks: bool) -> str:
    return "replied" if condition.startswith("asks.") and not has_asks else condition


# -- what may be changed about a workflow --


@st.composite
def edits(draw: st.DrawFn, data: Data) -> Data:
    """Draw a workflow that was made of *data* by one change or a few: of its steps, or of what it says beside them."""
    new = copy.deepcopy(data)
    for number in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 5)) == 0:
            _put(new, "limits", draw(limits))
            _put(new, "send_window", draw(windows))
        else:
            _edit_steps(draw, new["steps"], f"new-{number}")
    if not any(step.get("id") == "q1" for step in walk(new["steps"])):
        new["steps"] = _rewritten(new["steps"], _without_q1)
    return new


def _put(data: Data, key: str, value: Data | None) -> None:
    data.pop(key, None)
    if value is not None:
        data[key] = value


def _edit_steps(draw: st.DrawFn, steps: list[Data], name: str) -> None:
    """Drop, repeat, change, exchange, rename or enclose a step somewhere, or put a new one in."""
    lists = [steps, *(some for step in walk(steps) for some in inside(step) if some)]
    some = draw(st.sampled_from(lists))
    at = draw(st.integers(0, len(some) - 1))
    step = some[at]
    match draw(st.sampled_from(["drop", "repeat", "change", "exchange", "rename", "enclose", "put in"])):
        case "drop" if len(some) > 1:
            del some[at]
        case "repeat":
            some.insert(draw(st.integers(0, len(some))), _anew(step, name))
        case "exchange":
            other = draw(st.integers(0, len(some) - 1))
            some[at], some[other] = some[other], some[at]
        case "rename":
            step["id"] = name
        case "enclose":
            some[at] = {"branch": [{"when": draw(conditions), "do": [step]}]}
        case "put in":
            some.insert(at, _anew(draw(plain.filter(lambda step: "start" not in step)), name))
        case _:
            for key in {"wait", "timeout"} & step.keys():
                step[key] = draw(spans)
            step.pop("remind_after" if draw(st.booleans()) else "when", None)


def _anew(step: Data, name: str) -> Data:
    """Return a step like *step* that is another one, and so are those in it."""
    fresh = count()

    def named(one: Data) -> Data:
        kept = {key: value for key, value in one.items() if key != "id"}
        number = next(fresh)
        if "split" in kept:
            kept["split"] = f"{name}-{number}"
        return {"id": f"{name}-{number}-step", **kept}

    renamed = _rewrite(step, named)
    assert renamed is not None
    return renamed


def _without_q1(step: Data) -> Data:
    step = {key: _known(value, has_asks=False) if key == "when" else value for key, value in step.items()}
    if "branch" in step:
        cases = step["branch"]
        step["branch"] = [
            {key: _known(value, has_asks=False) if key == "when" else value for key, value in case.items()}
            for case in cases
        ]
    return step
