"""The check-up of what only the database knows: what runs, what stands still, what went wrong."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle, BundleError, load
from followup.authoring.starter import sample_shop
from followup.core.gates import FIRST_LETTERS
from followup.core.message import HaltScope
from followup.core.workflow import WorkflowStatus
from followup.services import quarantine
from followup.services.checkup import Away, Finding, Grade, Setup, is_reserved
from followup.services.library import Library
from followup.services.watch import span, strangers
from followup.store import enrollments, gaps, halts, pulse, senders, signs, switches, unsent, workflow_limits

SWEEP_LATE = timedelta(minutes=2)
PUBLIC_MAILBOXES = frozenset({"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com"})


def bundle_findings(conn: Connection, files: Callable[[], Mapping[str, str]], *, library: Library) -> Iterator[Finding]:
    """
    Check that something was applied and that it is what the folder holds.

    Args:
        files: reads the folder; raises `Away` when there is none.
    """
    running, what = library.find_newest(conn), "workflows"
    try:
        folder = load(files())
    except Away as error:
        if running is None:
            yield Finding(Grade.FAIL, what, f"none were applied, and {error}", "followup init makes a project")
        else:
            yield Finding(Grade.WARN, what, f"bundle {running.hash[:12]} runs; {error}", "set FOLLOWUP_PROJECT")
        return
    except BundleError as error:
        first = error.diagnostics[0]
        text = f"the folder has {_problems(len(error.diagnostics))}, the first in {first.path}:{first.line}"
        yield Finding(Grade.FAIL, what, text, "followup apply --dry-run shows them")
        return
    if running is None:
        yield Finding(Grade.FAIL, what, "none were applied yet", "followup apply")
    elif running.hash != folder.hash:
        yield Finding(Grade.WARN, what, "the folder differs from what runs", "followup apply")
    else:
        yield Finding(Grade.OK, what, f"bundle {running.hash[:12]} runs, the same as in the folder")


def _problems(number: int) -> str:
    return "1 error" if number == 1 else f"{number} errors"


def record_findings(conn: Connection, setup: Setup, *, library: Library, now: datetime) -> Iterator[Finding]:
    """Check what stands still, whether a worker lives, what went wrong with letters, and who writes them."""
    yield from _halts(conn, now)
    yield from _switched(conn, now)
    yield from _senders(conn, setup)
    yield from _first_letters(conn)
    yield from _restored(conn, now)
    yield _sweep(setup, signs.ages(conn).get(signs.SWEEP))
    yield from _letters(conn)
    yield from _aside(conn, now)
    if setup.live:
        yield from _rehearsed(conn)
    bundle = library.find_newest(conn)
    if bundle is not None:
        yield from _people(setup, bundle)
        yield from _shop(setup, bundle)


def _sweep(setup: Setup, age: timedelta | None) -> Finding:
    grade, start = setup.at_least(Grade.FAIL), "start followup worker, and keep it running"
    if age is None:
        return Finding(grade, "worker", "none has run yet", start)
    if age > SWEEP_LATE:
        return Finding(grade, "worker", f"the last one looked for work {span(age)} ago", start)
    return Finding(Grade.OK, "worker", f"looked for work {span(age)} ago")


def _halts(conn: Connection, now: datetime) -> Iterator[Finding]:
    standing = halts.current(conn)
    if halt := standing.get(HaltScope.ALL):
        since = f"all letters are halted for {span(now - halt.since)}: {halt.reason}"
        yield Finding(Grade.WARN, "halted", since, "followup unhalt lets them go on")


def _switched(conn: Connection, now: datetime) -> Iterator[Finding]:
    for workflow, switch in switches.current(conn).items():
        since = f"{workflow} is {switch.status.value} by an operator for {span(now - switch.since)}: {switch.reason}"
        if switch.status is WorkflowStatus.PAUSED:
            yield Finding(Grade.WARN, "paused", since, f"followup resume {workflow} shows what would leave")
        elif inside := len(enrollments.inside(conn, workflow)):  # whoever archived it was interrupted
            again = f"followup archive {workflow} ends the rest"
            yield Finding(Grade.WARN, "archived", f"{since}; {inside:,} still inside", again)
        else:
            yield Finding(Grade.OK, "archived", since)


def _senders(conn: Connection, setup: Setup) -> Iterator[Finding]:
    standing, _ = senders.all_of(conn)
    for sender in standing.values():
        if sender.paused:
            yield Finding(
                setup.at_least(Grade.FAIL),
                "sender",
                f"the provider refuses letters of {sender.key}: {sender.paused}",
                "correct that, then restart the worker or run followup apply",
            )
        elif sender.trips:
            yield Finding(
                Grade.WARN,
                "sender",
                f"letters of {sender.key} got no answer {sender.trips} times in a row, one at a time is tried:"
                f" {sender.because}",
                "look at the provider's status page",
            )


def _restored(conn: Connection, now: datetime) -> Iterator[Finding]:
    gap = gaps.latest(conn)
    if stray := strangers(conn, now):
        text, _, remedy = stray.partition(". ")
        yield Finding(Grade.FAIL, "restored", text, remedy[0].lower() + remedy[1:])
    elif gap is not None:
        since, until = (f"{moment:%Y-%m-%d %H:%M}" for moment in (gap.since, gap.until))
        yield Finding(Grade.OK, "restored", f"lost is what happened from {since} to {until} UTC")


def _first_letters(conn: Connection) -> Iterator[Finding]:
    for workflow, first in workflow_limits.pending(conn).items():
        held = len(unsent.held_ids(conn, workflow, FIRST_LETTERS))
        yield Finding(
            Grade.WARN if held else Grade.OK,
            "first letters",
            f"{workflow}: {held:,} wait until a person has read them ({first.approved} of {first.first} let go)",
            "followup messages list --state held, then followup messages release" if held else "",
        )


def _letters(conn: Connection) -> Iterator[Finding]:
    blocked, reason = pulse.first_blocked(conn)
    unknown = pulse.count_unknown(conn)
    if blocked:
        yield Finding(
            Grade.WARN, "letters", f"{blocked:,} blocked; the first: {reason}", "correct that, then followup apply"
        )
    if unknown:
        yield Finding(
            Grade.WARN,
            "letters",
            f"{unknown:,} left without an answer from the provider",
            "followup messages list --state unknown",
        )
    if not blocked and not unknown:
        yield Finding(Grade.OK, "letters", "none is blocked, none of unknown fate")


def _aside(conn: Connection, now: datetime) -> Iterator[Finding]:
    aside, what = quarantine.lately(conn, now=now), "inbound mail"
    if aside.unsigned:
        yield Finding(
            Grade.WARN,
            what,
            f"within a day {quarantine.mails_were(aside.unsigned)} set aside unread: no key of ours has signed them",
            "if SendGrid signs with another key now, add it to FOLLOWUP_SENDGRID_INBOUND_KEYS, restart followup web,"
            " and have each read: followup inbound list, followup inbound retry NUMBER",
        )
    if aside.is_full:
        yield Finding(
            Grade.WARN,
            what,
            f"within a day {quarantine.mails_were(aside.posts)} set aside unread, and there is no room for more",
            "see why: followup inbound list; SendGrid gives up after three days what finds no room",
        )


def _rehearsed(conn: Connection) -> Iterator[Finding]:
    """Check for letters that stand on customers' records as sent, and that no customer got."""
    if number := pulse.count_kept_from_customers(conn):
        yield Finding(
            Grade.WARN,
            "test letters",
            f"{number:,} of test mode went to you, and stand on customers' records as sent to them",
            "unless customers have had letters from this database, begin with an empty one: docs/deploy.md, step 5",
        )


def _shop(setup: Setup, bundle: Bundle) -> Iterator[Finding]:
    sample = sample_shop()
    pairs = {
        "name": (bundle.shop.name, sample.name),
        "postal address": (bundle.shop.postal_address, sample.postal_address),
    }
    left = [what for what, (ours, theirs) in pairs.items() if _plain(ours) == _plain(theirs)]
    if left:
        text = f"shop.yaml still has the {' and the '.join(left)} of the sample shop, and every letter carries them"
        remedy = "write those of your shop into workflows/shop.yaml, then followup apply"
        yield Finding(setup.at_least(Grade.FAIL), "shop", text, remedy)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _people(setup: Setup, bundle: Bundle) -> Iterator[Finding]:
    domains = sorted({person.email.rpartition("@")[2].lower() for person in bundle.people.values()})
    for domain in domains:
        if is_reserved(domain):
            text = f"people.yaml still has addresses of {domain}, where nobody reads"
            yield Finding(
                setup.at_least(Grade.FAIL), "sender domain", text, "name the people of your shop, then followup apply"
            )
        elif domain in PUBLIC_MAILBOXES:
            text = f"nobody but its owner can authenticate {domain}; letters from it land in spam"
            yield Finding(setup.at_least(Grade.FAIL), "sender domain", text, "use addresses of a domain of your own")
        elif setup.transport != "outbox":
            check = f"`dig +short TXT _dmarc.{domain}` prints v=DMARC1…"
            yield Finding(
                Grade.OK, "sender domain", f"{domain}; see that it is authenticated at the provider, and that {check}"
            )
