"""What is drawn: a workflow, and who is inside."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from followup.authoring.in_words import plain, trigger_in_words
from followup.core.workflow import Step, Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """
    A workflow with the runs that have not ended, by the step they stand at, and those that are held out.

    ``finishing`` has those who are in an older version, by the step of that at which they stand.
    """

    workflow: Workflow
    people: Mapping[str, int] = field(default_factory=dict)
    held_out: int = 0
    finishing: Mapping[str, int] = field(default_factory=dict)

    def at(self, step: Step) -> int:
        """Return how many runs stand at *step*."""
        return self.people.get(step.id, 0)

    @property
    def elsewhere(self) -> Mapping[str, int]:
        """Return the runs at steps that this version of the workflow does not have."""
        return {step: runs for step, runs in self.people.items() if runs and self.workflow.step(step) is None}

    @property
    def title(self) -> str:
        return plain(f"{self.workflow.name}: {self.workflow.title}")

    @property
    def begins(self) -> str:
        """Return what begins a run, and whether that happens at all now."""
        return f"{trigger_in_words(self.workflow.trigger)} ({self.workflow.status.value})"

    @property
    def beside(self) -> list[str]:
        """Return who is inside and at none of the steps, one line each."""
        lines = [f"{runs:,} at {plain(step)}, a step of an earlier version" for step, runs in self.elsewhere.items()]
        lines += [f"{runs:,} at {plain(step)}, finishing an older version" for step, runs in self.finishing.items()]
        return [*lines, f"{self.held_out:,} held out, and only measured"] if self.held_out else lines
