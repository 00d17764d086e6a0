"""Printing a plan: what changes, for whom, and what leaves."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC
from typing import TYPE_CHECKING

from followup.authoring.changes import Change, FileChange, StepChange, WorkflowChange
from followup.cli import concerned, output
from followup.cli.shared import tell_halted

if TYPE_CHECKING:
    from followup.services.concerned import Addressee, Place
    from followup.services.going_live import GoesLive
    from followup.services.plan import Plan

SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~", Change.SAME: " "}


def tell(
    plan: "Plan", *, people: bool = False, command: str = "followup plan", goal: str = "applying would make it"
) -> None:
    """
    Print the plan.

    Args:
        people: name those who stand at steps that change.
        command: what to write to decide about people.
        goal: what leads to the bundle that it is about.
    """
    runs = f"bundle {plan.before[:12]} runs" if plan.before else "nothing runs yet"
    if not plan.changes:
        output.say(f"No changes: {runs} already.")
        if plan.behind:
            are = "1 person is" if plan.behind == 1 else f"{plan.behind:,} people are"
            output.say(f"{are} still to be moved to it: an apply broke off, and doing it again moves the rest.")
        if plan.anew:
            number = "1 person who finishes" if plan.anew == 1 else f"{plan.anew:,} people who finish"
            output.say(f"{number} an older version would be taken up again:")
        for place in plan.places if plan.anew else ():
            output.entry("  ", f"{place.workflow}/{place.step}: {concerned.in_short(place, unseen=plan.unseen)}")
            if people:
                concerned.tell_names(place)
        _tell_leaving(plan)
        return
    output.say(f"Plan: {runs}; {goal} bundle {plan.after[:12]}.")
    for workflow in plan.changes.workflows:
        _tell_workflow(workflow, plan, people=people)
    _tell_letters(plan, people=people)
    _tell_people(plan, people=people)
    if plan.changes.others:
        output.heading("other files")
        for one in plan.changes.others:
            output.say(f"  {SIGNS[one.change]} {one.name}")
    output.say()
    _tell_leaving(plan)
    _tell_undecided(plan, command)


def _tell_workflow(workflow: WorkflowChange, plan: "Plan", *, people: bool) -> None:
    status = plan.switched.get(workflow.name)
    by_operator = f" (an operator has it {status.value})" if status else ""
    added = f", {workflow.status.value}" if workflow.change is Change.ADDED else ""
    output.heading(f"{SIGNS[workflow.change]} {workflow.name}: {workflow.change.value}{added}{by_operator}")
    places = _by_step(workflow, plan)
    for live in plan.goes_live:
        if live.workflow == workflow.name:
            output.entry("    ", _goes_live(live))
    if workflow.change is Change.ADDED:
        output.entry("    ", workflow.title)
        if inside := plan.inside.get(workflow.name, 0):
            are = "1 person is" if inside == 1 else f"{inside:,} people are"
            output.entry("    ", f"{are} inside: they came into this very version, and go on in it")
        _tell_finishing(workflow, plan)
        return
    for term in workflow.terms:
        output.entry(f"  {_sign(term.was, term.now)} ", f"{term.about}: {_from_to(term.was, term.now)}")
    told = [
        step for step in workflow.steps if step.change is not Change.SAME or _concerns(places.get(step.old or "", ()))
    ]
    if workflow.change is Change.REMOVED:
        told = [step for step in told if step.old in places]
    for step in told:
        output.entry(f"  {SIGNS[step.change]} ", _step(step))
        for place in places.get(step.old or "", ()):
            said = concerned.in_short(place, unseen=plan.unseen)
            output.entry("      ", said + _renamed(place, step, workflow))
            if people:
                concerned.tell_names(place)
    told_of = {step.old for step in told}
    inside = plan.inside.get(workflow.name, 0)
    others = inside - sum(one.number for one in plan.places if one.workflow == workflow.name and one.step in told_of)
    if not inside:
        output.entry("    ", "nobody is inside")
    elif others:
        more = " more" if others < inside else ""
        them = output.plural(others, "person", "people")
        output.entry("    ", f"{them}{more} inside: nothing changes where they stand")
    _tell_finishing(workflow, plan)


def _tell_finishing(workflow: WorkflowChange, plan: "Plan") -> None:
    if finishing := plan.finishing.get(workflow.name):
        output.entry("    ", f"{finish(finishing)} an older version, whatever is applied")


def finish(number: int) -> str:
    """Return that so many people finish; what follows says what."""
    return "1 person finishes" if number == 1 else f"{number:,} people finish"


def _renamed(place: "Place", step: StepChange, workflow: WorkflowChange) -> str:
    """Return that a step which is gone may only have another id now."""
    alike = [one.new for one in workflow.steps if one.change is Change.ADDED and one.now == step.was]
    if place.to is not None or not alike:
        return ""
    if step.old in alike:
        return f". A {step.old} elsewhere says the same: was what it stands in renamed or moved?"
    return f". {alike[0]} says the same: was its id changed?"


def _by_step(workflow: WorkflowChange, plan: "Plan") -> "dict[str, list[Place]]":
    places: dict[str, list[Place]] = {}
    for one in plan.places:
        if one.workflow == workflow.name:
            places.setdefault(one.step, []).append(one)
    return places


def _concerns(places: "Sequence[Place]") -> bool:
    """Tell whether those at a step that stays as it is have something happen to them all the same."""
    return any(place.to is None or place.at_once for place in places)


def _sign(was: str | None, now: str | None) -> str:
    return SIGNS[Change.ADDED if was is None else Change.REMOVED if now is None else Change.CHANGED]


def _from_to(was: str | None, now: str | None) -> str:
    return f"{was} → {now}" if was is not None and now is not None else was or now or ""


def _step(step: StepChange) -> str:
    name = step.new if step.new is not None else step.old
    return f"{name}: {_from_to(step.was, step.now) if step.change is not Change.SAME else step.now}"


def _goes_live(live: "GoesLive") -> str:
    if live.happened is None:
        return "goes live"
    if not live.happened:
        nobody = "nobody has just become quiet" if live.at_once else "its trigger has not happened in the last 7 days"
        return f"goes live; {nobody}"
    apart = [f"{live.held_out:,} held out: they get nothing and are measured"] if live.held_out else []
    refused = "; ".join([*apart, *(f"{number:,} not: {reason}" for reason, number in live.refused.items())])
    whom = f"{live.entering:,} of {live.happened:,}"
    if live.at_once:
        taken = f"takes in {whom} who have just become quiet, when it is applied"
    else:
        taken = f"goes live; would have taken in {whom} in the last 7 days"
    return f"{taken}{f' ({refused})' if refused else ''}"


def _tell_letters(plan: "Plan", *, people: bool) -> None:
    if not plan.changes.letters:
        return
    output.heading("letters")
    for one in plan.changes.letters:
        output.entry(f"  {SIGNS[one.change]} ", _letter(one, plan))
        if people:
            concerned.tell_addressees(_unable(plan, "letter", one.name))


def _letter(one: FileChange, plan: "Plan") -> str:
    said = [f"{one.name}: {one.change.value}"]
    finishing = plan.finished_with.get(one.name, {})
    if one.used or not finishing:
        said.append(f"in {', '.join(one.used)}" if one.used else "no workflow sends it")
    for workflow, number in finishing.items():
        nothing = ", and would get nothing there" if one.change is Change.REMOVED else ""
        said.append(f"{finish(number)} an older version of {workflow} that sends it{nothing}")
    if one.change is Change.REMOVED:
        if unable := len(_unable(plan, "letter", one.name)):
            said.append(f"{output.plural(unable, 'letter')} inside cannot leave without it")
    elif unsent := _unsent(one, plan):
        have = "letter that has" if unsent == 1 else "letters that have"
        said.append(f"{unsent:,} {have} not left yet will be the new one")
    return "; ".join(said)


def _unable(plan: "Plan", kind: str, name: str) -> "tuple[Addressee, ...]":
    """Return whose letters cannot leave because a person, or the letter itself, is gone."""
    return next((people for lack, people in plan.unable.items() if (lack.kind, lack.name) == (kind, name)), ())


def _tell_people(plan: "Plan", *, people: bool) -> None:
    if not plan.changes.people:
        return
    output.heading("people")
    for one in plan.changes.people:
        unable, waiting = _unable(plan, "person", one.name), plan.waiting.get(one.name, 0)
        left = [f"{output.plural(len(unable), 'letter')} they would sign cannot leave"] if unable else []
        left += [output.plural(waiting, "customer waits", "customers wait") + " for them"] if waiting else []
        output.entry(f"  {SIGNS[one.change]} ", f"{one.name}: {'; '.join([one.change.value, *left])}")
        if people:
            concerned.tell_addressees(unable)


def _tell_leaving(plan: "Plan") -> None:
    if plan.before is None:
        return
    now, then = plan.now, plan.then
    least = "at least " if plan.unseen else ""
    output.say("Letters that would leave, of those inside, if nobody answers:")
    if plan:
        output.say(f"  in the next hour   {least}{then.hour:,} (as it is: {least}{now.hour:,})")
        output.say(f"  in the next day    {least}{then.day:,} (as it is: {least}{now.day:,})")
    else:
        output.say(f"  in the next hour   {least}{now.hour:,}")
        output.say(f"  in the next day    {least}{now.day:,}")
    if later := plan.postponed:
        wait = "1 waits" if later.number == 1 else f"{later.number:,} wait, the first"
        output.say(f"  later              {wait} until {output.local(later.first, later.first.tzinfo)}")
    if plan.halted is not None:
        tell_halted(plan.halted)


def tell_unused(decisions: Sequence[str]) -> None:
    """Say which decisions about people concern nobody."""
    for name in decisions:
        output.tell(f"--in-flight {name} concerns nobody: the step is not gone, or nobody stands there.")


def _tell_undecided(plan: "Plan", command: str) -> None:
    tell_unused(plan.unused)
    if not plan.undecided:
        return
    output.tell(f"\n{_stand_nowhere(plan)}")
    for one in plan.undecided:
        where = f"{one.workflow}/{one.step}"
        output.hint(f"{command} --in-flight {where}=finish", "they go on as they began")
        if not one.gone:
            output.hint(f"{command} --in-flight {where}=skip", "they go on with what follows it")
        output.hint(f"{command} --in-flight {where}=stop", "their runs end")


def _stand_nowhere(plan: "Plan") -> str:
    """Return how many it has to be decided about, and what could be done instead."""
    total = sum(one.number for one in plan.undecided)
    stands = "1 person stands" if total == 1 else f"{total:,} people stand"
    if not all(one.gone for one in plan.undecided):
        return f"{stands} where there is no step any more. Keep the step's id if it is the same step; or decide:"
    is_skipped = any(one.how is not None for one in plan.undecided)
    only = "There is nothing to skip to, so skip is not possible. " if is_skipped else ""
    return f"{stands} in a workflow that is gone. {only}Keep its file, or decide:"


def as_document(plan: "Plan", *, people: bool = False) -> Mapping[str, object]:
    """Return the plan as JSON has it; with *people*, those who stand at steps that change by name."""
    return {
        "before": plan.before,
        "after": plan.after,
        "changes": bool(plan),
        "workflows": [_workflow_document(one, plan, people=people) for one in plan.changes.workflows],
        "letters": [
            _file_document(one) | {"unsent": _unsent(one, plan), "finished_with": plan.finished_with.get(one.name, {})}
            for one in plan.changes.letters
        ],
        "people": [
            _file_document(one)
            | {"letters": len(_unable(plan, "person", one.name)), "waiting": plan.waiting.get(one.name, 0)}
            for one in plan.changes.people
        ],
        "others": [_file_document(one) for one in plan.changes.others],
        "leaving": {
            "now": {"hour": plan.now.hour, "day": plan.now.day},
            "then": {"hour": plan.then.hour, "day": plan.then.day},
            "complete": not plan.unseen,
            "postponed": plan.postponed.number if plan.postponed else 0,
            "first_postponed": plan.postponed.first.astimezone(UTC) if plan.postponed else None,
            "halted": plan.halted,
        },
        "goes_live": [
            {
                "workflow": one.workflow,
                "happened": one.happened,
                "entering": one.entering,
                "held_out": one.held_out,
                "refused": dict(one.refused),
                "at_once": one.at_once,
            }
            for one in plan.goes_live
        ],
        "cannot_leave": [
            {"lacks": lack.kind.value, "name": lack.name, "letters": len(unable)}
            | ({"who": [asdict(one) for one in unable]} if people else {})
            for lack, unable in plan.unable.items()
        ],
        "behind": plan.behind,
        "taken_up": plan.anew,
        "undecided": [{"workflow": one.workflow, "step": one.step, "people": one.number} for one in plan.undecided],
    }


def _unsent(one: FileChange, plan: "Plan") -> int:
    return plan.unsent.get(one.name, 0)


def _file_document(one: FileChange) -> dict[str, object]:
    return {"name": one.name, "change": one.change.value, "used": list(one.used)}


def _workflow_document(workflow: WorkflowChange, plan: "Plan", *, people: bool) -> dict[str, object]:
    status = plan.switched.get(workflow.name)
    return {
        "workflow": workflow.name,
        "change": workflow.change.value,
        "switched": status.value if status else None,
        "terms": [{"about": one.about, "was": one.was, "now": one.now} for one in workflow.terms],
        "steps": list(_step_documents(workflow, plan, people=people)),
        "finishing": plan.finishing.get(workflow.name, 0),
    }


def _step_documents(workflow: WorkflowChange, plan: "Plan", *, people: bool) -> Iterator[dict[str, object]]:
    places = _by_step(workflow, plan)
    for step in workflow.steps:
        here = places.get(step.old or "", [])
        phases: Counter[str] = Counter()
        for place in here:
            phases.update({phase.value: number for phase, number in place.phases.items()})
        gone = [place for place in here if place.to is None]
        document: dict[str, object] = {
            "step": step.new,
            "old_step": step.old,
            "change": step.change.value,
            "was": step.was,
            "now": step.now,
            "people": phases.total(),
            "phases": dict(phases),
            "at_once": sum(place.at_once for place in here),
            "stranded": sum(place.number for place in gone),
            "in_flight": next((place.how.value for place in gone if place.how), None),
        }
        if people:
            document["who"] = [one for place in here for one in concerned.as_documents(place)]
        yield document
