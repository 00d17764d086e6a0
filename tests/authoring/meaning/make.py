"""Workflows as values for the rules: letters, and what is found."""

from collections.abc import Mapping
from typing import Any

from followup.authoring.meaning import Meant, Subject, findings
from followup.authoring.places import Places
from followup.core.replies import Choice, Question
from followup.core.workflow import Step, Workflow
from tests.core.make import a_workflow


def asking(*answers: str, bad: tuple[str, ...] = (), **options: Any) -> Meant:
    """Return a letter with these answers, of which some are negative; without any, its question is open."""
    choices = tuple(Choice(answer, answer.title(), answer in bad) for answer in answers)
    labels = {choice.id: frozenset({choice.label}) for choice in choices}
    return Meant("templates/asked.md", Question("How is it?", choices), labels, **options)


LETTERS: Mapping[str, Meant] = {
    "arrived": asking("all-good", "not-opened", "problem", bad=("problem",)),
    "fit": asking("well", "tight"),
    "open": asking(),
    "thanks": Meant("templates/thanks.md"),
    "offer": Meant("templates/offer.md", sells=True),
    "review": Meant("templates/review.md", asks_for_review=True),
}


def found(
    *steps: Step,
    letters: Mapping[str, Meant] = LETTERS,
    workflows: Mapping[str, Workflow] | None = None,
    **options: Any,
) -> list[tuple[str, str]]:
    """Return what the rules find in a workflow of *steps*: numbers and messages."""
    workflow = a_workflow(*steps, **options)
    subject = Subject(workflow, letters, {**(workflows or {}), workflow.name: workflow}, Places())
    return [(number, finding.message) for number, finding in findings(subject)]


def numbers(*steps: Step, **options: Any) -> list[str]:
    """Return the numbers of the rules that find something."""
    return [number for number, _ in found(*steps, **options)]
