"""``replay`` and ``demo``: the engine in virtual time."""

import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from followup.cli import output, story
from followup.cli.shared import FILE, ORDERS_FILE, Moment, json_option, look_up, make_app, tell_mode
from followup.clock import SystemClock
from followup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from followup.app import App
    from followup.authoring.acts_file import Act
    from followup.clock import VirtualClock
    from followup.core.order import Purchase
    from followup.services.lookups import Status
    from followup.services.replay import Replayed


@click.command("replay")
@click.argument("file", type=ORDERS_FILE)
@click.option("--acts", "acts_file", type=FILE, help="A script of what customers do.")
@click.option("--until", metavar="DATE", type=Moment(), help="Stop there (ISO, UTC); else when nothing more is due.")
@json_option
def replay_command(file: Path, acts_file: Path | None, until: datetime | None, as_json: bool) -> None:
    """
    Let the orders in FILE happen in virtual time, into the configured database.

    The project folder is applied first. Letters go to the outbox, whatever the transport. Started again
    after an interruption, it ends where it would have ended.
    """
    from followup.authoring.acts_file import read_acts
    from followup.clock import VirtualClock
    from followup.services import lookups
    from followup.settings import Mode, TransportKind

    purchases, bad = _read(file)
    acts = read_acts(acts_file) if acts_file else []
    clock = VirtualClock(_beginning(purchases))
    app = make_app(clock=clock, transport=TransportKind.OUTBOX, mode=Mode.TEST)
    tell_mode(app)
    started = time.perf_counter()
    replayed = _play(app, clock, purchases, acts, until=until)
    seconds = time.perf_counter() - started
    status = lookups.status(app.engine)
    if as_json:
        output.document(asdict(status) | _numbers(replayed, seconds) | {"acts_scripted": len(acts)})
    else:
        _summarise(replayed, status, seconds)
        if acts:
            output.say(f"acts         {replayed.acts:,} of {len(acts):,} played")
        output.hint(f"followup why {purchases[0].order.number}" if purchases else "followup status", "look closer")
    for line in bad:
        output.tell(line)
    if bad:
        raise click.exceptions.Exit(1)


def _read(file: Path) -> tuple[list["Purchase"], list[str]]:
    from followup.shops.csv_file import BadRow, read_orders

    purchases: list[Purchase] = []
    bad: list[str] = []
    for one in read_orders(file):
        if isinstance(one, BadRow):
            bad.append(f"{file}:{one.line}: {one.message}")
        else:
            purchases.append(one)
    return purchases, bad


def _beginning(purchases: "Sequence[Purchase]") -> datetime:
    """Return when the first order was placed; an empty file begins now."""
    return min((purchase.order.placed_at for purchase in purchases), default=SystemClock().now())


def _play(
    app: "App",
    clock: "VirtualClock",
    purchases: "Sequence[Purchase]",
    acts: "Sequence[Act]",
    *,
    until: datetime | None = None,
) -> "Replayed":
    """Apply the project folder and replay, with the time of the shop shown on a terminal."""
    from followup.authoring.bundle import read_folder
    from followup.services import deploy
    from followup.services.replay import replay, reserve

    engine = app.upgraded_engine
    reserve(engine, clock=clock)
    deploy.apply(engine, read_folder(app.settings.project), clock=clock)
    first = clock.now()
    last = max((at for purchase in purchases for _, at in purchase.order.milestones()), default=first)
    days = max(1, (last - first).days)
    with output.progress(days, "Replaying") as bar:

        def show(moment: datetime) -> None:
            bar.update(min(days, (moment - first).days) - bar.pos)

        return replay(
            engine, purchases, acts, library=app.library, post=app.post(), clock=clock, until=until, progress=show
        )


def _numbers(replayed: "Replayed", seconds: float) -> dict[str, object]:
    return {
        "began_at": replayed.began_at,
        "ended_at": replayed.ended_at,
        "moments": replayed.moments,
        "acts": replayed.acts,
        "enrolled": replayed.taken_in.enrolled,
        "seconds": round(seconds, 1),
    }


def _summarise(replayed: "Replayed", status: "Status", seconds: float) -> None:
    assert replayed.began_at is not None
    assert replayed.ended_at is not None
    days = (replayed.ended_at - replayed.began_at).days
    output.say(f"{output.plural(days, 'day')} of the shop, {replayed.moments:,} moments, in {seconds:.1f} s")
    story.tell_status(status)


@click.command("demo")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep database and letters in this new folder.")
@json_option
def demo_command(keep: Path | None, as_json: bool) -> None:
    """
    Show a small shop's conversations: a few months in virtual time, on a temporary database.

    Several customers answer the shop's questions in different ways. Nothing leaves this machine.
    """
    if keep is not None:
        if keep.exists():
            raise UsageError(f"{keep} exists already", hint="Name a folder that does not")
        _demo(keep, as_json=as_json, kept=True)
        return
    with TemporaryDirectory(prefix="followup-demo-") as folder:
        _demo(Path(folder) / "shop", as_json=as_json, kept=False)


def _demo(folder: Path, *, as_json: bool, kept: bool) -> None:
    from followup.authoring.acts_file import read_acts
    from followup.authoring.starter import DEMO, make_project
    from followup.clock import VirtualClock
    from followup.services import lookups
    from followup.settings import Mode, TransportKind

    make_project(folder)
    purchases, _ = _read(DEMO / "orders.csv")
    clock = VirtualClock(_beginning(purchases))
    database = f"sqlite:///{(folder / 'followup.db').absolute()}"
    app = make_app(
        clock=clock,
        project=folder,
        database_url=database,
        transport=TransportKind.OUTBOX,
        mode=Mode.TEST,
        log_level="ERROR",
        outbox=Path("outbox"),
    )
    output.tell("test mode: nothing leaves this machine")
    replayed = _play(app, clock, purchases, read_acts(DEMO / "acts.yaml"))
    status = lookups.status(app.engine)
    numbers = {
        "orders": status.orders,
        "customers": status.customers,
        "enrolled": sum(status.enrollments.values()),
        "sent": status.messages.get("accepted", 0),
        "replies": sum(status.replies.values()),
        "answers": status.answers,
        "waiting_for_us": status.waiting_for_us,
    }
    if as_json:
        output.document(numbers)
        return
    _tell_stories(app, purchases, replayed)
    output.say("In all: " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in numbers.items()))
    _what_next(folder if kept else None)


def _tell_stories(app: "App", purchases: "Sequence[Purchase]", replayed: "Replayed") -> None:
    assert replayed.began_at is not None
    assert replayed.ended_at is not None
    days = (replayed.ended_at - replayed.began_at).days
    output.say(f"{days} days of a small shop, as its customers' records tell them:")
    for email in dict.fromkeys(purchase.customer.email for purchase in purchases):
        output.say("")
        story.tell(look_up(app, email))
    output.say("")


def _what_next(folder: Path | None) -> None:
    output.tell("\nNext:")
    if folder is None:
        output.hint("followup demo --keep demo-shop", "the same, and keep letters (.eml) and database")
        output.hint("followup init my-shop", "a project of your own, with these workflows")
    else:
        output.hint(f"cd {folder}", "")
        output.hint("followup why T-1003", "why a customer got what they got")
        output.hint("followup status", "how things stand")
        output.hint("ls outbox", "the letters: any mail client opens them")
