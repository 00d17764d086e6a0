"""What holds for every workflow and every history."""

from collections import Counter
from dataclasses import replace
from datetime import time, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from followup.calendars import holidays_of
from followup.core.asks import ask_results, timeout_at
from followup.core.decide import decide
from followup.core.decision import CancelMessages, NewMessage
from followup.core.enrollment import Action, EnrollmentState, Phase
from followup.core.message import MessageState
from followup.core.schedule import Calendar, Duration
from followup.core.workflow import Ask, Branch, Case, Exit, Send, Stop, Wait
from tests.core.make import START, a_story, an_order, answer, equals, hours, is_set

CALENDARS = [
    Calendar(ZoneInfo("UTC")),
    Calendar(ZoneInfo("America/New_York"), holidays_of("US", None)),
    Calendar(ZoneInfo("Australia/Lord_Howe")),
]
CONDITIONS = [
    answer("yes"),
    answer("no"),
    *map(is_set, ["replied", "no_reply", "not_asked", "reply.text", "asks.a1.replied", "order.is_gift"]),
    equals("order.number", "1007"),
]
ANSWERS = ["yes", "no", None]

# -- random workflows: trees first, ids afterwards --

durations = st.one_of(st.integers(0, 240).map(hours), st.integers(1, 6).map(lambda n: Duration(business_days=n)))
conditions = st.sampled_from(CONDITIONS)
whens = st.none() | conditions
waits = st.builds(dict, kind=st.just(Wait), when=whens, duration=durations, until=st.none() | st.just(time(2, 30)))
date_waits = st.builds(
    dict,
    kind=st.just(Wait),
    when=whens,
    until_field=st.sampled_from(["order.promised_at", "order.placed_at", "customer.renewal_on"]),
)
sends = st.builds(dict, kind=st.just(Send), when=whens, letter=st.just("letter"))
asks = st.builds(
    dict,
    kind=st.just(Ask),
    when=whens,
    letter=st.just("letter"),
    timeout=durations,
    remind_after=st.none() | durations,
)
stops = st.builds(dict, kind=st.just(Stop), when=whens, outcome=st.sampled_from(["done", "gone"]))


def branches(children):
    cases = st.lists(st.tuples(conditions, st.lists(children, max_size=3)), max_size=3)
    last = st.none() | st.lists(children, max_size=3)
    return st.builds(dict, kind=st.just(Branch), when=whens, cases=cases, otherwise=last)


plain = st.one_of(waits, sends, asks, asks, date_waits, stops)
trees = st.lists(st.recursive(plain, branches, max_leaves=8), max_size=6)


def grown(tree, numbers):
    """Make steps of a drawn tree, with ids a1, a2, … in file order."""
    steps = []
    for drawn in tree:
        options = dict(drawn)
        kind, step_id = options.pop("kind"), f"a{next(numbers)}"
        if kind is Branch:
            cases = [Case(when, grown(do, numbers)) for when, do in options.pop("cases")]
            last = options.pop("otherwise")
            options["cases"] = (*cases, *([] if last is None else [Case(None, grown(last, numbers))]))
        steps.append(kind(id=step_id, **options))
    return tuple(steps)


@st.composite
def stories(draw):
    steps = grown(draw(trees), count(1))
    order = an_order(promised_at=START + timedelta(days=draw(st.integers(-3, 9))), is_gift=draw(st.booleans()))
    known = {"calendar": draw(st.sampled_from(CALENDARS)), "order": order}
    exits = draw(st.lists(st.sampled_from([Exit("order.placed"), Exit("x", answer("no"), "left")]), max_size=2))
    return a_story(*steps, known=known, exit_on=tuple(exits))


# -- random histories --

OPEN_MOVES = [
    MessageState.HELD,
    MessageState.CLAIMED,
    MessageState.SENDING,
    MessageState.ACCEPTED,
    MessageState.ACCEPTED,
    MessageState.ACCEPTED,
    MessageState.UNKNOWN,
    MessageState.BLOCKED,
    MessageState.SKIPPED,
    MessageState.EXPIRED,
    MessageState.REJECTED,
]
ONCE = {
    MessageState.ACCEPTED,
    MessageState.SKIPPED,
    MessageState.EXPIRED,
    MessageState.REJECTED,
    MessageState.CANCELLED,
}
EXITS = ["customer.unsubscribed", "order.cancelled", "message.bounced", "order.refunded"]
HARMLESS = ["order.fulfilled", "reply.received", "order.placed", "order.delivered"]

passing = st.tuples(st.just("time"), st.integers(0, 200))
moving = st.tuples(st.just("letter"), st.integers(0, 9), st.sampled_from(OPEN_MOVES))
saying = st.tuples(st.just("answer"), st.integers(0, 9), st.sampled_from(ANSWERS), st.booleans())
happening = st.tuples(st.just("event"), st.sampled_from(HARMLESS))
leaving = st.tuples(st.just("exit"), st.sampled_from(EXITS))
histories = st.lists(st.one_of(passing, passing, moving, moving, saying, happening), max_size=25)


def let_happen(story, act, now):
    match act:
        case ("letter", which, state):
            unsettled = [letter for letter in story.facts.sent.values() if letter.state not in ONCE]
            if unsettled:
                letter = unsettled[which % len(unsettled)]
                taken = now if state is MessageState.ACCEPTED else None
                due = None if state is MessageState.HELD else (letter.due_at or now)
                story.settles(letter.step, state, letter.round, accepted_at=taken, due_at=due, reason="why not")
        case ("answer", which, choice, provisional):
            asked = [letter for letter in story.facts.sent.values() if letter.accepted_at and letter.round == 0]
            if asked:
                story.answers(asked[which % len(asked)].step, now, choice, provisional=provisional, text=choice)
        case ("event", kind):
            story.happens(kind, now)
        case ("exit", kind):
            story.happens(kind, now, full=True)


def checked_decision(story, now):
    """Decide, with everything that must hold of a single decision."""
    before = story.enrollment
    written = set(story.facts.sent)
    decision = decide(story.workflow, before, story.facts, now=now)
    assert decision == decide(story.workflow, before, story.facts, now=now), "the same facts, another decision"

    new = [effect for effect in decision.effects if isinstance(effect, NewMessage)]
    assert all((message.step, message.round) not in written for message in new)
    assert all(n == 1 for n in Counter((message.step, message.round) for message in new).values())
    assert before.position.since <= decision.position.since <= now
    assert all(message.due_at <= now for message in new), "written before its time"
    if decision.ended:
        assert decision.effects == (CancelMessages(),)
        assert decision.outcome
        assert decision.wake_at is None
        assert decision.position.phase is Phase.DONE
    else:
        assert decision.outcome is None
        assert decision.wake_at is None or decision.wake_at > now
        assert decision.position.step is not None
    check_reminders(story, new)
    assert story.decide(now) == decision
    return decision


def check_reminders(story, new):
    for reminder in (message for message in new if message.round == 1):
        step = story.workflow.step(reminder.step)
        asked = story.facts.sent[reminder.step, 0]
        assert asked.accepted_at <= reminder.due_at < timeout_at(step, asked, story.facts)


def check_repeating_changes_nothing(story, now):
    """With its effects folded in, the same moment has nothing more to say."""
    again = decide(story.workflow, story.enrollment, story.facts, now=now)
    assert again.effects == ()
    assert again.position == story.enrollment.position


def played(story, history):
    """Play *history*, deciding after each act as the engine does; return the time at which it stopped."""
    now = START
    for act in [("time", 0), *history]:
        if act[0] == "time":
            now += timedelta(hours=act[1])
        let_happen(story, act, now)
        if checked_decision(story, now).ended:
            return None
        check_repeating_changes_nothing(story, now)
    return now


@given(stories(), histories)
def test_a_decision_is_sound_whatever_happened(story, history):
    played(story, history)


@given(stories(), histories)
def test_only_what_was_asked_has_a_result_and_silence_is_never_an_answer(story, history):
    played(story, history)
    for result in ask_results(story.workflow, story.facts, now=START + timedelta(days=400)).values():
        assert (result.response is not None) + result.timed_out + (result.not_asked is not None) <= 1


@given(stories(), histories, leaving)
def test_after_an_exit_event_a_run_always_ends(story, history, exit_):
    now = played(story, history)
    if now is None:
        return
    let_happen(story, exit_, now)
    assert checked_decision(story, now).ended is Action.EXIT
    assert not [letter for letter in story.facts.sent.values() if letter.state is MessageState.DUE]


@given(stories(), st.lists(st.sampled_from([MessageState.ACCEPTED, MessageState.EXPIRED]), min_size=1))
def test_a_run_whose_letters_find_an_end_comes_to_its_own(story, fates):
    """Each round wakes at the time the decision named, or settles what it waits for."""
    now, steps = START, len(list(story.workflow.all_steps))
    for number in range(4 * steps + 4):
        decision = checked_decision(story, now)
        if decision.ended:
            break
        open_letters = [letter for letter in story.facts.sent.values() if letter.state is MessageState.DUE]
        for letter in open_letters:
            let_happen(story, ("letter", 0, fates[number % len(fates)]), now)
            assert letter is not story.letter(letter.step, letter.round)
        if not open_letters:
            assert decision.wake_at is not None, "sleeps for ever"
            now = decision.wake_at
    assert story.enrollment.state is not EnrollmentState.ACTIVE


@given(st.lists(waits, max_size=6), st.sampled_from(CALENDARS), st.lists(st.integers(1, 2000), max_size=8))
def test_a_late_worker_changes_no_schedule(tree, calendar, looks):
    steps = grown([drawn | {"when": None} for drawn in tree], count(1))
    prompt, late = (a_story(*steps, Send(id="s", letter="s"), known={"calendar": calendar}) for _ in range(2))
    now = START
    while (decision := prompt.decide(now)).wake_at:
        now = decision.wake_at
    for look in sorted(looks):
        late.decide(START + timedelta(hours=look))
    late.decide(START + timedelta(days=400))
    assert late.letter("s").due_at == prompt.letter("s").due_at


@given(stories(), histories)
def test_the_order_of_letters_in_the_facts_does_not_matter(story, history):
    played(story, history)
    turned = replace(story.facts, sent=dict(reversed(story.facts.sent.items())))
    now = START + timedelta(days=400)
    one = decide(story.workflow, story.enrollment, story.facts, now=now)
    assert one == decide(story.workflow, story.enrollment, turned, now=now)
