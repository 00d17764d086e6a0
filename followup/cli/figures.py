"""The figures of a report as JSON has them: shares are 0 to 1, intervals their two ends, spans seconds."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from followup.core.comparison import Comparison, Share
from followup.core.statistics import Interval

if TYPE_CHECKING:
    from followup.core.lessons import Answers, Chosen, GoalLesson, Group, Lessons, LetterLesson, SplitLesson


def as_document(learned: "Lessons") -> dict[str, object]:
    """Return all that was learned."""
    entries = learned.entries
    return {
        "workflow": learned.workflow,
        "title": learned.title,
        "learn": learned.learn,
        "status": learned.status.value if learned.status else None,
        "since": learned.since,
        "until": learned.until,
        "runs": entries.runs,
        "customers": entries.customers,
        "let_in": entries.let_in,
        "held_out": entries.held_out,
        "inside": dict(entries.inside),
        "ended": dict(entries.ended),
        "not_let_in": dict(entries.not_let_in),
        "asks": [_letter(one, "asked", one.answers) for one in learned.letters if one.answers],
        "sends": [_letter(one, "sent", None) for one in learned.letters if not one.answers],
        "splits": [_split(one) for one in learned.splits],
        "replies": dict(learned.replies),
        "waiting_for_us": {"customers": learned.waiting.customers, "since": learned.waiting.since}
        if learned.waiting
        else None,
        "goal": _goal(learned.goal) if learned.goal else None,
    }


def _letter(lesson: "LetterLesson", verb: str, answers: "Answers | None") -> dict[str, object]:
    return {
        "step": lesson.step,
        "letter": lesson.letter,
        "in_file": lesson.in_file,
        verb: lesson.sent,
        f"not_{verb}": [asdict(one) for one in lesson.not_sent],
        "to_come": [asdict(one) for one in lesson.to_come],
        **(_answers(answers) if answers else {}),
    }


def _answers(answers: "Answers") -> dict[str, object]:
    return {
        "question": answers.question,
        "answered": answers.answered,
        "chose": answers.chose,
        "choices": _choices(answers.choices, answers.chose),
        "wrote": answers.wrote,
        "only_wrote": answers.only_wrote,
        "silent": answers.silent,
        "waiting": answers.waiting,
        "left": answers.left,
        "median_seconds_to_answer": answers.median.total_seconds() if answers.median is not None else None,
        "reminded": answers.reminded,
        "answered_after_reminder": answers.after_reminder,
    }


def _choices(choices: "Sequence[Chosen]", chose: int) -> list[dict[str, object]]:
    return [asdict(one) | {"share": _rounded(Share(one.runs, chose).value)} for one in choices]


def _split(split: "SplitLesson") -> dict[str, object]:
    return {
        "step": split.step,
        "name": split.name,
        "variants": [
            {
                "name": variant.name,
                "runs": variant.answered.of,
                "answered": variant.answered.did,
                "share": _rounded(variant.answered.value),
                "interval": _ends(variant.answered.interval),
                "asks": {step: {"asked": said.asked} | _answers(said) for step, said in variant.asks.items()},
            }
            for variant in split.variants
        ],
        "comparison": _comparison(split.comparison) if split.comparison else None,
    }


def _goal(goal: "GoalLesson") -> dict[str, object]:
    return {
        "event": goal.event,
        "within_seconds": goal.within.total_seconds(),
        "let_in": _group(goal.let_in),
        "held_out": _group(goal.held_out),
        "not_compared": goal.not_compared,
        "comparison": _comparison(goal.comparison),
    }


def _group(group: "Group") -> dict[str, object]:
    return {
        "runs": group.reached.of,
        "customers": group.customers,
        "reached": group.reached.did,
        "share": _rounded(group.reached.value),
        "interval": _ends(group.reached.interval),
        "too_young": group.too_young,
    }


def _comparison(comparison: Comparison) -> dict[str, object]:
    return {
        "difference": _rounded(comparison.difference),
        "interval": _ends(comparison.interval),
        "conclusion": comparison.conclusion.value,
    }


def _ends(interval: Interval) -> list[float | None]:
    return [_rounded(interval.low), _rounded(interval.high)]


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
