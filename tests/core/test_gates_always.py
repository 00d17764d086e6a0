"""
No reasons to wait, however they come together, keep a letter for ever or let it leave when it may not.

A letter is played to its end: the gates are asked, it waits as long as they say, and they are asked again, in time or
when a late worker comes round. Between two rounds its row changes as ``services.claim`` changes it.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from itertools import cycle
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from followup.calendars import holidays_of
from followup.core.gates import LOOK_AGAIN, Candidate, Verdict, VerdictKind, judge, last_chance
from followup.core.message import Purpose
from followup.core.schedule import Calendar, SendWindow
from followup.core.workflow import Ask, Cap, Workflow
from tests.core.make import a_workflow, ask, by_step, days, send, sent, utc
from tests.core.test_gates import a_candidate
from tests.core.test_schedule import shows_open

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
NO_TIME = timedelta(0)
NEW_YORK, CHATHAM = ZoneInfo("America/New_York"), ZoneInfo("Pacific/Chatham")
PLACES = (
    Calendar(ZoneInfo("Europe/Berlin"), holidays_of("DE", None)),
    Calendar(NEW_YORK, holidays_of("US", None)),
    Calendar(ZoneInfo("Australia/Lord_Howe")),
    Calendar(ZoneInfo("Asia/Kathmandu")),
    Calendar(ZoneInfo("Africa/Cairo")),
)
HARD_MOMENTS = (
    "2026-03-29T01:00Z",  # clocks change in Berlin
    "2026-10-25T01:00Z",
    "2026-03-08T07:00Z",  # in New York
    "2026-11-01T06:00Z",
    "2026-10-03T15:30Z",  # on Lord Howe
    "2026-04-23T22:00Z",  # in Cairo
    "2026-12-24T17:00Z",
    "2028-02-29T00:00Z",
)


# -- one letter and its rounds --


@dataclass
class Chain:
    """One letter: as it stands, when the gates were asked, and what became of it."""

    letter: Candidate
    asked: list[datetime] = field(default_factory=list)
    left_at: datetime | None = None
    ended: Verdict | None = None

    @property
    def is_over(self) -> bool:
        return self.left_at is not None or self.ended is not None

    @property
    def at_the_utmost(self) -> datetime:
        """Return when a worker in time asks for the last time, if all that may be waited is waited."""
        since = self.letter.postponed_since
        return self.letter.due_at if since is None else since + self.letter.workflow.max_postpone

    def ask(self, now: datetime, **seen: object) -> None:
        """Ask the gates about the letter at *now*, with what a claim has *seen* around it, and do as they say."""
        letter = replace(self.letter, **seen)
        self.asked.append(now)
        match judge(letter, now=now):
            case None:
                check_that_it_may_leave(letter, now)
                self.left_at = now
            case Verdict(kind=VerdictKind.POSTPONE) as verdict:
                assert not is_free(letter, now) or comes_again(letter, now)
                self._wait(verdict, now)
            case verdict:
                assert verdict.kind in {VerdictKind.SKIP, VerdictKind.EXPIRE}
                assert verdict.reason
                self.ended = verdict

    def _wait(self, verdict: Verdict, now: datetime) -> None:
        since = self.letter.postponed_since or now
        rules = self.letter.workflow
        assert now + MINUTE <= verdict.until <= since + rules.max_postpone
        not_after = last_chance(rules, self.letter.step, verdict.until, self.letter.facts.calendar)
        self.letter = replace(self.letter, due_at=verdict.until, not_after=not_after, postponed_since=since)


def check_that_it_may_leave(letter: Candidate, now: datetime) -> None:
    assert is_free(letter, now)
    assert now <= letter.not_after
    if letter.postponed_since is not None:
        # it may have been put off to the last moment, at which its window was shut: lateness counts from its opening
        last = letter.postponed_since + letter.workflow.max_postpone
        assert now <= last_chance(letter.workflow, letter.step, last, letter.facts.calendar)


def is_free(letter: Candidate, now: datetime) -> bool:
    """Tell whether window, cap, daily limit and the owner all let it go, by counting and by the clock on the wall."""
    rules = letter.workflow
    window, cap = rules.send_window, None if letter.purpose is Purpose.SERVICE else rules.cap
    return (
        (window is None or shows_open(window, now, where_it_opens(letter)))
        and (cap is None or sum(now - cap.span < at <= now for at in letter.recent) < cap.count)
        and (rules.per_day is None or len(letter.today) < rules.per_day)
        and not (letter.waiting_for_owner and isinstance(rules.steps[0], Ask) and not letter.is_reminder)
    )


def comes_again(letter: Candidate, now: datetime) -> bool:
    """Tell whether the clock shows an hour for the second time, in which a window may be shut that was open before."""
    return where_it_opens(letter).local(now).fold == 1


def where_it_opens(letter: Candidate) -> Calendar:
    window, place = letter.workflow.send_window, letter.facts.calendar
    return replace(place, zone=(window and window.zone) or place.zone)


@dataclass(frozen=True)
class Others:
    """What goes on around a letter, before it is due and while it waits."""

    to_the_customer: tuple[datetime, ...] = ()  # when other letters leave
    of_the_workflow: tuple[datetime, ...] = ()  # when others of its workflow do
    ahead: int = 0  # how many of its workflow each claim comes to before it
    busy_until: datetime | None = None  # till then the owner can listen to nobody else

    def seen(self, rules: Workflow, now: datetime) -> dict[str, object]:
        """Return what a claim at *now* would see of it."""
        today = [at for at in self.of_the_workflow if now - DAY < at <= now]
        for _ in range(self.ahead if rules.per_day else 0):  # those ahead leave, or take the next slots
            today.append(now if len(today) < rules.per_day else today[-rules.per_day] + DAY)
        return {
            "recent": tuple(at for at in self.to_the_customer if at <= now),
            "today": tuple(today),
            "backlog": 0,
            "waiting_for_owner": int(self.busy_until is not None and now < self.busy_until),
        }

    def patience(self, rules: Workflow) -> int:
        """
        Return how many rounds a letter may take: one that waits still would wait for ever.

        A round outlasts one of the others, or leads to an opening or a slot (about one a day) or to the next look
        at how busy the owner is; and each may be followed by one that waits for the window.
        """
        others = len(self.to_the_customer) + len(self.of_the_workflow)
        return 2 * (others + 2 * (rules.max_postpone // DAY + 2) + rules.max_postpone // LOOK_AGAIN)


def played(letter: Candidate, others: Others, delays: list[timedelta]) -> Chain:
    """Play *letter* to its end with a worker that each time comes round that much later than it should."""
    chain, late = Chain(letter), cycle(delays)
    for _ in range(others.patience(letter.workflow)):
        now = chain.letter.due_at + next(late)
        chain.ask(now, **others.seen(letter.workflow, now))
        if chain.is_over:
            return chain
    raise AssertionError("it waits for ever")


# -- what is drawn --

moments = st.one_of(
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)),
    st.builds(
        lambda near, n, before: utc(near) + n * 15 * MINUTE - before * SECOND,
        st.sampled_from(HARD_MOMENTS),
        st.integers(-40, 40),
        st.sampled_from([0, 0, 1, 59]),
    ),
)
delays = st.lists(
    st.sampled_from([NO_TIME, NO_TIME, SECOND, 7 * MINUTE, HOUR - SECOND, 30 * HOUR]), min_size=1, max_size=5
)
IN_TIME = [NO_TIME]


def a_window(opens: time, minutes: int, **options: object) -> SendWindow:
    hour, minute = divmod(60 * opens.hour + opens.minute + minutes, 60)
    return SendWindow(opens=opens, closes=time(hour % 24, minute), **options)


windows = st.builds(
    a_window,
    opens=st.builds(time, st.integers(0, 23), st.integers(0, 59))
    | st.builds(time, st.integers(0, 3), st.sampled_from([0, 15, 30, 45])),
    minutes=st.sampled_from([1, 2, 30, 60, 510, 720, 1439, 1440]),
    weekdays=st.just(frozenset(range(7))) | st.frozensets(st.integers(0, 6), min_size=1),
    business_days=st.booleans(),
    zone=st.sampled_from([None, None, NEW_YORK, CHATHAM]),
)
spans = st.integers(1, 14).map(lambda n: n * DAY) | st.integers(1, 5000).map(lambda n: n * MINUTE)
caps = st.builds(Cap, count=st.integers(1, 3), span=spans, skip=st.sampled_from([False, False, False, True]))
some_days = st.integers(0, 40 * 24).map(lambda n: n * HOUR) | st.integers(1, 40).map(lambda n: n * DAY)
any_rules = st.fixed_dictionaries(
    {
        "send_window": st.none() | windows,
        "cap": st.none() | caps | caps,
        "per_day": st.none() | st.integers(1, 3),
        "max_late": st.integers(0, 100).map(lambda n: n * HOUR),
        "max_postpone": some_days,
    }
)
PATIENT = {"max_postpone": 400 * DAY, "max_late": NO_TIME}
patient_rules = st.fixed_dictionaries(
    {
        "send_window": st.none() | windows,
        "cap": st.none() | caps.map(lambda cap: replace(cap, skip=False)),
        "per_day": st.none() | st.integers(1, 3),
    }
).map(lambda drawn: drawn | PATIENT)
purposes = st.sampled_from([Purpose.RELATIONSHIP, Purpose.RELATIONSHIP, Purpose.SERVICE])


def a_letter(rules: dict[str, object], due_at: datetime, place: Calendar, kind: str, purpose: Purpose) -> Candidate:
    """Return a letter as ``services.advance`` writes it down, before any gate has seen it."""
    step = send("s") if kind == "send" else ask("s", timeout=days(9), remind_after=days(3))
    question = sent("s", due_at=due_at - 3 * DAY, accepted_at=due_at - 3 * DAY)
    return a_candidate(
        step=step,
        round=int(kind == "reminder"),
        workflow=rules,
        known={"calendar": place, "sent": by_step(question) if kind == "reminder" else {}},
        due_at=due_at,
        not_after=last_chance(a_workflow(step, **rules), "s", due_at, place),
        purpose=purpose,
    )


places = st.sampled_from(PLACES)
letters = st.builds(a_letter, any_rules, moments, places, st.sampled_from(["send", "ask", "reminder"]), purposes)
patient_letters = st.builds(a_letter, patient_rules, moments, places, st.sampled_from(["send", "ask"]), purposes)


def others_around(moment: datetime, ahead: int = 4) -> st.SearchStrategy[Others]:
    times = st.lists(st.integers(-100, 300), min_size=1, max_size=8).map(
        lambda hours: tuple(sorted(moment + n * HOUR for n in hours))
    )
    busy = st.integers(-100, 100).map(lambda n: moment + n * HOUR)
    return st.builds(Others, times, times, st.integers(0, ahead), busy)


# -- what holds for one letter --


@given(st.data(), letters, delays)
def test_every_letter_leaves_or_ends_within_its_bounds_however_late_the_worker(data, letter, delays):
    chain = played(letter, data.draw(others_around(letter.due_at)), delays)
    assert chain.asked[-1] <= chain.at_the_utmost + max(delays)


@given(st.data(), letters)
def test_waiting_as_long_as_the_gates_say_is_never_lateness(data, letter):
    chain = played(letter, data.draw(others_around(letter.due_at)), IN_TIME)
    assert chain.ended is None or chain.ended.gate != "max_late"


@given(st.data(), letters)
def test_a_letter_leaves_at_once_if_and_only_if_nothing_stands_in_its_way(data, letter):
    now = letter.due_at
    seen = replace(letter, **data.draw(others_around(now)).seen(letter.workflow, now))
    assume(not comes_again(seen, now))
    assert (judge(seen, now=now) is None) is is_free(seen, now)


@given(st.data(), patient_letters)
def test_whoever_has_patience_leaves_in_the_end(data, letter):
    chain = played(letter, data.draw(others_around(letter.due_at, ahead=0)), IN_TIME)
    assert chain.left_at is not None


# -- several letters to one customer, one a wave, the most urgent first --


def played_in_waves(letters: list[Candidate], delays: list[timedelta]) -> list[Chain]:
    """Play all *letters* to their ends; what has left counts for the others."""
    chains, late = [Chain(letter) for letter in letters], cycle(delays)
    now = min(letter.due_at for letter in letters)
    rounds = sum(Others(tuple(now for _ in letters)).patience(letter.workflow) for letter in letters)
    while waiting := [chain for chain in chains if not chain.is_over]:
        now = max(now, min(chain.letter.due_at for chain in waiting) + next(late))
        while due := [chain for chain in waiting if not chain.is_over and chain.letter.due_at <= now]:
            first = min(due, key=lambda chain: (-chain.letter.workflow.priority, chain.letter.due_at))
            first.ask(now, recent=tuple(sorted(one.left_at for one in chains if one.left_at)))
            rounds -= 1
            assert rounds > 0, "one waits for ever"
    return chains


one_in_some_days = st.integers(1, 7).map(lambda n: Cap(1, n * DAY))


def families(rules: dict[str, st.SearchStrategy[object]], size: int = 5) -> st.SearchStrategy[list[Candidate]]:
    """Draw letters of so many workflows to one customer, due within ten days."""
    every = {"priority": st.integers(0, 100), "cap": one_in_some_days, **rules}
    one = st.tuples(st.fixed_dictionaries(every), st.integers(0, 240), purposes)

    def of(moment: datetime, place: Calendar, drawn: list[tuple[dict[str, object], int, Purpose]]) -> list[Candidate]:
        return [a_letter(some, moment + n * HOUR, place, "send", purpose) for some, n, purpose in drawn]

    return st.builds(of, moments, places, st.lists(one, min_size=2, max_size=size))


any_families = families(
    {
        "send_window": st.none() | windows,
        "max_late": st.integers(0, 100).map(lambda n: n * HOUR),
        "max_postpone": some_days,
    }
)
patient_families = families({"send_window": st.none() | windows} | {key: st.just(PATIENT[key]) for key in PATIENT})


@given(any_families, delays)
def test_of_several_letters_each_leaves_or_ends_within_its_bounds(letters, delays):
    for chain in played_in_waves(letters, delays):
        assert chain.asked[-1] <= chain.at_the_utmost + max(delays)


@given(patient_families)
def test_with_patience_even_the_least_urgent_leaves(letters):
    assert all(chain.left_at is not None for chain in played_in_waves(letters, IN_TIME))


@given(st.data(), one_in_some_days, st.none() | windows, moments, st.lists(st.integers(0, 100), min_size=2, max_size=5))
def test_of_letters_that_are_alike_the_more_urgent_leaves_first(data, cap, window, due_at, priorities):
    rules, place = {"cap": cap, "send_window": window, **PATIENT}, data.draw(places)
    family = [a_letter(rules | {"priority": n}, due_at, place, "send", Purpose.RELATIONSHIP) for n in priorities]
    chains = played_in_waves(family, IN_TIME)
    by_time = sorted(chains, key=lambda chain: chain.left_at)
    assert [chain.letter.workflow.priority for chain in by_time] == sorted(priorities, reverse=True)
