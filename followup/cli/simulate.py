"""``simulate``: a workflow as it stands in the folder, tried on somebody who feels nothing of it."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from followup.cli import completion, output
from followup.cli import moves as told_moves
from followup.cli.shared import Moment, json_option, make_app
from followup.core.workflow import WorkflowStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from zoneinfo import ZoneInfo

    from followup.app import App
    from followup.authoring.bundle import Bundle
    from followup.authoring.samples import Sample
    from followup.core.customer import Customer
    from followup.services.endings import Ending, Endings
    from followup.services.moves import Move
    from followup.services.rehearsal import Rehearsal
    from followup.services.simulate import Response, Setting

RESPONSES = ("answer", "reply", "no_reply")  # options whose order on the command line counts
GIVEN = "followup.given"
TYPICAL = "typical"


class _InOrder(click.Command):
    """Notes in which order options were given, each as often as it was."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[GIVEN] = [param.name for param in order]
        return super().parse_args(ctx, args)


@click.command("simulate", cls=_InOrder)
@click.argument("workflow", shell_complete=completion.workflows)
@click.option(
    "--sample",
    metavar="NAME",
    shell_complete=completion.samples,
    help=f"Try it on templates/_samples/NAME.yaml (default: {TYPICAL}).",
)
@click.option("--order", "order_number", metavar="N", help="Try it on a copy of the customer with this order instead.")
@click.option("--answer", multiple=True, metavar="ID", help="Answer the next question so.")
@click.option("--reply", multiple=True, metavar="TEXT", help="Answer the next question by a mail that says TEXT.")
@click.option("--no-reply", multiple=True, is_flag=True, help="Leave the next question unanswered.")
@click.option("--happens", multiple=True, metavar="EVENT", help="Let EVENT happen, without data, when it is awaited.")
@click.option("--from", "since", type=Moment(), metavar="DATE", help="When the trigger happens (ISO, UTC); now.")
@click.option("--variant", multiple=True, metavar="[SPLIT=]NAME", help="Go this way at the split that has it.")
@click.option(
    "--close-after",
    type=told_moves.CloseAfter(),
    default="1 day",
    show_default=True,
    metavar="DURATION",
    help="When we have answered a customer who waits for us, or never.",
)
@click.option("--paths", is_flag=True, help="Show every way it can end, and a shortest example of each.")
@json_option
@click.pass_context
def simulate_command(
    ctx: click.Context,
    /,
    *,
    workflow: str,
    sample: str | None,
    order_number: str | None,
    since: datetime | None,
    variant: tuple[str, ...],
    happens: tuple[str, ...],
    close_after: timedelta | None,
    paths: bool,
    as_json: bool,
    **responses: tuple[Any, ...],
) -> None:
    """
    Show what WORKFLOW would do, move by move, as it stands in the folder; nothing is sent or written.

    Edit, simulate, apply: drafts and paused workflows are tried as if they were live. Other workflows do not
    run, unless this one starts them. Questions are answered in the order of --answer, --reply and --no-reply,
    each a day after it came; when none is left there is silence.
    """
    if sample is not None and order_number is not None:
        raise click.UsageError("Give one of --sample NAME and --order N.")
    if paths and (any(responses.values()) or happens):
        raise click.UsageError("--paths tries every answer: leave --answer, --reply, --no-reply and --happens out.")
    if order_number is not None and variant:
        raise click.UsageError("A real customer goes the way they go: leave --variant out.")
    from followup.services import simulate
    from followup.services.choices import whom

    app = make_app()
    now = app.clock.now()
    chosen, on = _prepared(app, workflow, sample, order_number, since=since, now=now, close_after=close_after)
    simulate.check_events(chosen, happens)
    _remarks(chosen)
    whose = simulate.customers_who_take(chosen, variant) if variant else None
    if paths:
        _paths(chosen, on, None if order_number is None else 0, variant, as_json=as_json)
        return
    rehearsal = on(whose or 1)
    ctx.call_on_close(rehearsal.close)
    given = _responses(ctx.meta[GIVEN], responses)
    simulated = simulate.simulate(rehearsal, chosen, given, happens)
    if as_json:
        output.document([told_moves.document(move) for move in simulated.moves])
    else:
        customer, zone = whom(rehearsal, chosen.meant)
        output.say(_heading(workflow, customer, _on(sample, order_number, simulated.moves), zone))
        known = told_moves.columns(simulated.moves, one_workflow=len(chosen.scope) == 1)
        told_moves.tell(simulated.moves, zone, known, assumed=told_moves.assumed(close_after))
        told_moves.tell_assumed(simulated.moves, close_after)
    for response in simulated.unused:
        output.tell(f"not used: {_named(response)}; no question was left to answer")
    for event in simulated.not_happened:
        output.tell(f"not used: --happens {event}; nothing waited for it")
    for wait in simulated.in_vain:
        output.tell(f"{wait.step} waited on although {wait.event} happened: {wait.in_vain}")


def _prepared(
    app: "App",
    workflow: str,
    sample: str | None,
    order_number: str | None,
    *,
    since: datetime | None,
    now: datetime,
    close_after: timedelta | None,
) -> "tuple[Setting, Callable[[int], Rehearsal]]":
    """Return the setting, and how to make a rehearsal of the customer with an id."""
    from followup.authoring.bundle import load, read_folder
    from followup.services import simulate
    from followup.services.rehearsal import rehearsing

    bundle = load(read_folder(app.settings.project))
    post = rehearsing(app.identity, suppression_key=app.settings.suppression_key.get_secret_value())
    at = since or (now if order_number else now.replace(second=0, microsecond=0))
    chosen = simulate.setting(bundle, workflow, at=at, post=post, close_after=close_after)
    if order_number is not None:
        number = order_number
        return chosen, lambda _: simulate.on_order(app.engine, chosen, number, now=now)
    found = _sample(bundle, sample or TYPICAL)
    return chosen, lambda customer_id: simulate.on_sample(chosen, found, customer_id=customer_id)


def _sample(bundle: "Bundle", name: str) -> "Sample":
    from followup.authoring.starter import typical_sample
    from followup.errors import NotFound
    from followup.services.find import nearest

    if name in bundle.samples:
        return bundle.samples[name]
    if not bundle.samples and name == TYPICAL:
        output.tell("there are no templates/_samples/*.yaml here: this is the sample that comes with followup")
        return typical_sample()
    hint = nearest(name, bundle.samples) or f"There are {', '.join(sorted(bundle.samples)) or 'none'}"
    raise NotFound(f"there is no sample {name!r} in templates/_samples", hint=hint)


def _remarks(chosen: "Setting") -> None:
    workflow = chosen.meant
    if workflow.status is not WorkflowStatus.LIVE:
        output.tell(f"{workflow.name} is {workflow.status.value}; this is what it would do if it were live")
    for name in sorted(chosen.scope):
        if share := chosen.bundle.workflows[name].holdout:
            output.tell(f"{name} holds {share * 100:g}% out; here nobody is")


def _responses(order: "Sequence[str]", given: "dict[str, tuple[Any, ...]]") -> "list[Response]":
    """Return the responses in the order in which they stood on the command line."""
    from followup.services.simulate import Kind, Response

    values = {name: iter(given[name]) for name in RESPONSES}
    kinds = {"answer": Kind.ANSWER, "reply": Kind.REPLY, "no_reply": Kind.SILENCE}
    found = []
    for name in order:
        if name in RESPONSES:
            value = next(values[name])
            found.append(Response(kinds[name], "" if name == "no_reply" else value))
    return found


def _named(response: "Response") -> str:
    from followup.services.simulate import Kind

    if response.kind is Kind.SILENCE:
        return "--no-reply"
    return f"--{response.kind.value} {response.text}"


def _on(sample: str | None, order_number: str | None, moves: "Sequence[Move]") -> str:
    """Return on what it was tried; which number a sample's order has, the moves say."""
    if order_number is not None:
        return f"on order {order_number}"
    number = next((move.order for move in moves if move.order), None)
    return f"on the sample {sample or TYPICAL}" + (f", order {number}" if number else "")


def _heading(workflow: str, customer: "Customer", on: str, zone: "ZoneInfo") -> str:
    return f"{workflow} as in the folder, {on}: {output.named(customer)}; times in {zone.key}"


def _paths(
    chosen: "Setting",
    on: "Callable[[int], Rehearsal]",
    customer_id: int | None,
    variants: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    from followup.services.endings import endings

    found = endings(chosen, on, customer_id, variants=variants)
    if as_json:
        told = [_ending(one) for one in found.found]
        not_followed = [{"step": one.step, "event": one.event, "reason": one.reason} for one in found.unfollowed]
        left = {
            "left_out": found.left + found.ways_left,
            "unreached": found.unreached,
            "not_followed": not_followed,
        }
        output.document({"endings": told, "looked_at": found.nodes, **left})
    else:
        rows = [
            (_outcome(one), _range(one.letters), _range(tuple(map(round, one.days))), one.ways, ", ".join(one.example))
            for one in found.found
        ]
        output.table(("ends", "letters", "days", "ways", "for example"), rows)
    _limits(found)


def _outcome(ending: "Ending") -> str:
    word = "" if ending.kind in {"stop", "ended"} else f"{ending.kind}: "
    return f"{word}{ending.outcome}" if ending.outcome else f"{word}{ending.step or ''}".strip()


def _range(both: "tuple[int, ...]") -> str:
    fewest, most = both
    return f"{fewest}" if fewest == most else f"{fewest}-{most}"


def _ending(ending: "Ending") -> dict[str, object]:
    return {
        "kind": ending.kind,
        "step": ending.step,
        "outcome": ending.outcome,
        "ways": ending.ways,
        "letters": list(ending.letters),
        "days": [round(days, 1) for days in ending.days],
        "example": list(ending.example),
    }


def _limits(found: "Endings") -> None:
    if found.left:
        output.tell(
            f"There is more: {found.nodes:,} futures were looked at, first those in which something else happens, and"
            f" {found.left:,} that begin otherwise were left out"
        )
    if found.ways_left:
        output.tell(f"{output.plural(found.ways_left, 'way')} through the splits were left out")
    for one in found.unfollowed:
        output.tell(f"{one.step} waits for {one.event}; only one end of that was followed: {one.reason}")
    if found.unreached:
        output.tell(f"None of those that were looked at led to: {', '.join(found.unreached)}")
