"""
What a workflow means, checked before anybody is in it: the rules W201 to W216.

Each rule is a function that says in its docstring whom it protects. They look at `core.workflow.Workflow`
values and at what the letters ask; positions come from the file. What is running is never checked again.
"""

from collections.abc import Iterator, Mapping

from followup.authoring.diagnostics import Report
from followup.authoring.meaning import answers, order, reviews, terms
from followup.authoring.meaning.letters import Meant, meant
from followup.authoring.meaning.subject import Finding, Rule, Subject

__all__ = ["RULES", "Finding", "Meant", "Subject", "check", "findings", "meant"]

RULES: Mapping[str, Rule] = {  # in order: at one place, the first one that finds something is reported
    "202": answers.no_such_answer,
    "206": order.unreachable,
    "215": reviews.review_gating,
    "201": answers.leads_nowhere,
    "205": order.question_upon_question,
    "208": answers.nobody_hears,
    "211": answers.pitch_after_a_complaint,
    "204": terms.awaited_and_exit,
    "209": terms.holdout_without_goal,
    "210": terms.goal_before_the_end,
    "212": terms.late_reminder,
    "213": terms.window_never_opens,
    "214": terms.no_reason,
    "216": order.which_of_two,
}


def findings(subject: Subject) -> Iterator[tuple[str, Finding]]:
    """Yield what the rules find, each with the number of its rule."""
    for number, rule in RULES.items():
        for finding in dict.fromkeys(rule(subject)):
            yield number, finding


def check(subject: Subject, report: Report) -> None:
    """Report everything in the workflow that cannot be meant."""
    for number, finding in findings(subject):
        report.add(finding.spot, number, finding.message, finding.help)
