"""What a workflow has taught, as values: figures a marketer reads. They are by run: who came in twice counts twice."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from followup.core.comparison import Comparison, Share
from followup.core.message import MessageState
from followup.core.replies import Question
from followup.core.statistics import median
from followup.core.workflow import Split, WorkflowStatus


class Standing(StrEnum):
    """How a question that was asked stands with a run."""

    ANSWERED = "answered"  # by a choice or in words, however late
    WAITING = "waiting"  # the run still stands there
    LEFT = "left"  # the run ended there, before an answer or the timeout
    SILENT = "silent"  # the run went on without an answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A letter that asks has left (``round`` 1: its reminder), and how that stands if nothing came back."""

    run: int
    step: str
    round: int
    at: datetime
    unanswered: Standing


@dataclass(frozen=True, slots=True)
class Said:
    """One response to a question: a choice, words (a comment, a mail that names no choice), or both."""

    run: int
    step: str
    at: datetime
    answer: str | None
    label: str | None
    has_words: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """A question that was put to a run, and all it has said to it, oldest first."""

    asked: Asked
    reminded_at: datetime | None
    said: Sequence[Said]

    @property
    def standing(self) -> Standing:
        return Standing.ANSWERED if self.said else self.asked.unanswered

    @property
    def chosen(self) -> Said | None:
        """Return the choice that stands: the last one."""
        return next((one for one in reversed(self.said) if one.answer is not None), None)

    @property
    def took(self) -> timedelta | None:
        """Return how long it was to the first answer."""
        return self.said[0].at - self.asked.at if self.said else None

    @property
    def was_reminded_first(self) -> bool:
        return self.reminded_at is not None and bool(self.said) and self.said[0].at > self.reminded_at


def heard(asked: Iterable[Asked], said: Iterable[Said]) -> list[Heard]:
    """Return every question that was asked with its reminder and what was said; of one moment as in *said*."""
    responses, reminders = defaultdict[tuple[int, str], list[Said]](list), dict[tuple[int, str], datetime]()
    for response in sorted(said, key=lambda one: one.at):
        responses[response.run, response.step].append(response)
    first = []
    for letter in asked:
        if letter.round:
            reminders[letter.run, letter.step] = letter.at
        else:
            first.append(letter)
    return [Heard(one, reminders.get((one.run, one.step)), responses.get((one.run, one.step), ())) for one in first]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """
    Who came in: ``runs`` of so many ``customers``, some of them ``held_out``.

    ``not_let_in`` is by reason; ``inside`` by the step at which runs stand now and ``ended`` by outcome, both without
    those held out.
    """

    runs: int
    customers: int
    held_out: int
    not_let_in: Mapping[str, int]
    inside: Mapping[str, int]
    ended: Mapping[str, int]

    @property
    def let_in(self) -> int:
        return self.runs - self.held_out


@dataclass(frozen=True, slots=True)
class Unsent:
    """So many letters did not leave, or not yet: the state they are in, and why."""

    state: MessageState
    reason: str | None
    runs: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """So many runs chose this answer last."""

    answer: str
    label: str
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """
    What those who were asked have said: ``answered``, ``silent``, ``waiting`` and ``left`` are all of them.

    Whoever answered chose, wrote, or did both. A run that ``left`` ended before an answer or the timeout.
    ``after_reminder`` are those of the ``reminded`` who answered only then.
    """

    question: str | None
    answered: int
    choices: Sequence[Chosen]
    wrote: int
    only_wrote: int
    silent: int
    waiting: int
    left: int
    median: timedelta | None
    reminded: int
    after_reminder: int

    @property
    def asked(self) -> int:
        return self.answered + self.silent + self.waiting + self.left

    @property
    def chose(self) -> int:
        return self.answered - self.only_wrote


def answers(question: Question | None, asked: Sequence[Heard]) -> Answers:
    """Return what *asked*, all of one step, amounts to; the *question* as it is asked now, if it still is."""
    standing = Counter(one.standing for one in asked)
    answered = [one for one in asked if one.said]
    return Answers(
        question=question.ask if question else None,
        answered=len(answered),
        choices=choices(question, answered),
        wrote=sum(any(one.has_words for one in heard.said) for heard in answered),
        only_wrote=sum(heard.chosen is None for heard in answered),
        silent=standing[Standing.SILENT],
        waiting=standing[Standing.WAITING],
        left=standing[Standing.LEFT],
        median=median([took for heard in answered if (took := heard.took) is not None]),
        reminded=sum(one.reminded_at is not None for one in asked),
        after_reminder=sum(one.was_reminded_first for one in asked),
    )


def choices(question: Question | None, answered: Iterable[Heard]) -> list[Chosen]:
    """Return what was chosen, in the order of the *question*, then what only earlier wordings of it offered."""
    last = [chosen for one in answered if (chosen := one.chosen)]
    runs = Counter(one.answer for one in last if one.answer is not None)
    labels = {one.answer: one.label or one.answer for one in last if one.answer is not None}
    offered = {choice.id: choice.label for choice in question.choices} if question else {}
    others = [answer for answer, _ in runs.most_common() if answer not in offered]
    return [Chosen(answer, (labels | offered)[answer], runs[answer]) for answer in (*offered, *others)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterLesson:
    """
    What became of the letters of a step, and of the question in them (None: it only sends).

    ``in_file`` is False for a step that only earlier versions of the workflow have.
    """

    step: str
    letter: str
    sent: int
    not_sent: Sequence[Unsent]
    to_come: Sequence[Unsent]
    answers: Answers | None
    in_file: bool


@dataclass(frozen=True, slots=True)
class VariantLesson:
    """``answered`` is how many of those who took it answered any question from there on."""

    name: str
    answered: Share
    asks: Mapping[str, Answers]  # by step


@dataclass(frozen=True, slots=True)
class SplitLesson:
    """What became of those who took each variant of a split."""

    step: str
    name: str
    variants: Sequence[VariantLesson]

    @property
    def comparison(self) -> Comparison | None:
        """Return the first variant against the second, where there are no more."""
        return Comparison(self.variants[0].answered, self.variants[1].answered) if len(self.variants) == 2 else None


def of_split(
    split: Split,
    taken: Mapping[int, str],
    questions: Mapping[str, Question | None],
    heard: Mapping[str, Sequence[Heard]],
) -> SplitLesson:
    """
    Return what became of the variants of *split*.

    Args:
        taken: which one each run took.
        questions: those that come after the split, by step, in their order.
        heard: what was said to each of them.
    """
    runs = Counter(taken.values())
    variants = []
    for name in dict.fromkeys([*(variant.name for variant in split.variants), *sorted(runs)]):
        theirs = {step: [one for one in heard[step] if taken.get(one.asked.run) == name] for step in questions}
        answered = {one.asked.run for some in theirs.values() for one in some if one.said}
        asks = {step: answers(questions[step], some) for step, some in theirs.items()}
        variants.append(VariantLesson(name, Share(len(answered), runs[name]), asks))
    return SplitLesson(split.id, split.name, variants)


@dataclass(frozen=True, slots=True)
class Group:
    """``reached`` is about the runs that have had their time, of so many ``customers``; others are ``too_young``."""

    reached: Share
    customers: int
    too_young: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalLesson:
    """
    Who reached the goal: of all that were let in, whatever they got, and of those held out.

    ``not_compared`` are runs that came in while nobody was held out: chance did not choose them.
    """

    event: str
    within: timedelta
    let_in: Group
    held_out: Group
    not_compared: int

    @property
    def anybody_held_out(self) -> bool:
        return self.held_out.reached.of + self.held_out.too_young > 0

    @property
    def comparison(self) -> Comparison:
        return Comparison(self.let_in.reached, self.held_out.reached)


@dataclass(frozen=True, slots=True)
class WaitingForUs:
    """So many customers wait for an answer from us; the longest since ``since``, and lives in ``timezone``."""

    customers: int
    since: datetime
    timezone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """All of it; ``status`` is None for a workflow that is no longer among the applied ones."""

    workflow: str
    title: str
    learn: str | None
    status: WorkflowStatus | None
    since: datetime | None
    until: datetime | None
    entries: Entries
    letters: Sequence[LetterLesson]
    splits: Sequence[SplitLesson]
    replies: Mapping[str, int]
    waiting: WaitingForUs | None
    goal: GoalLesson | None
