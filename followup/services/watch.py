"""Noticing what is wrong and saying so: once when it begins, once a day while it lasts, once when it is over."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from followup.clock import Clock
from followup.core.sender import Sender
from followup.errors import FollowupError
from followup.inbound.sendgrid import report
from followup.mail.json_http import post_json
from followup.services import quarantine
from followup.store import alerts, enrollments, feed, gaps, notices, pulse, senders, signs, timers, unsent
from followup.store.engine import reading, writing

log = logging.getLogger(__name__)

SWEEP_SILENT = timedelta(minutes=2)
NEVER_SWEPT = timedelta(minutes=5)
UNREAD = timedelta(minutes=15)
UNTOLD = timedelta(minutes=15)
EVENTS_EXPECTED = timedelta(hours=1)  # the provider reports a letter within minutes
EVENTS_LOOK_BACK = timedelta(hours=24)
STRANGERS_LOOK_BACK = timedelta(days=7)
REPEAT = timedelta(hours=24)
TELL_SECONDS = 5
LEASE = timedelta(minutes=2)  # whoever died while telling is told for after this long


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something an operator has to know: ``key`` names it for good, ``text`` says what it is and what to do."""

    key: str
    text: str


Tell = Callable[[Trouble, bool], bool]  # (trouble, True: it is there, False: it is over) -> whether it arrived


def conditions(conn: Connection, *, now: datetime, expects_events: bool) -> list[Trouble]:
    """
    Return what is wrong at *now* (business time).

    Args:
        expects_events: letters go through a provider that reports what became of them.
    """
    found = [*_letters(conn), *_sweep(conn, now), *_mail(conn, now), *_aside(conn, now), *_notices(conn, now)]
    return [*found, *_events(conn, now), *_strangers(conn, now)] if expects_events else found


def _letters(conn: Connection) -> Iterator[Trouble]:
    standing, _ = senders.all_of(conn)
    if paused := [sender for sender in standing.values() if sender.paused]:
        yield Trouble(
            "sender",
            f"No letters of {_names(paused)} leave: the mail provider refuses them ({paused[0].paused}). Correct its"
            " settings; sending is tried again at the next start of a worker and with followup apply.",
        )
    if closed := [sender for sender in standing.values() if sender.trips and not sender.paused]:
        yield Trouble(
            "provider",
            f"Letters of {_names(closed)} get no answer from the mail provider ({closed[0].because}). One at a time is"
            " tried, at longer and longer intervals; the others wait. Look at the provider's status page.",
        )
    blocked, reason = pulse.first_blocked(conn)
    if blocked:
        yield Trouble(
            "blocked",
            f"{_letters_are(blocked)} blocked. The first one: {reason or 'no reason given'}. Correct the letter or the"
            " setting; they are tried again with followup apply and at the next start of a worker.",
        )
    if unknown := pulse.count_unknown(conn):
        yield Trouble(
            "unknown",
            f"{_letters_are(unknown)} of unknown fate: the request left and no answer came. An event, a click or a"
            " reply settles each; followup messages list --state unknown says for which it is proven that it was not"
            " accepted.",
        )


def _names(some: Iterable[Sender]) -> str:
    return ", ".join(sender.key for sender in some)


def _letters_are(number: int) -> str:
    return "1 letter is" if number == 1 else f"{number:,} letters are"


def _notices(conn: Connection, now: datetime) -> Iterator[Trouble]:
    if untold := notices.count_untold(conn, since=now - UNTOLD):
        are = "1 customer was" if untold == 1 else f"{untold:,} customers were"
        yield Trouble(
            "notices",
            f"{are} handed to a person who could not be told by mail. The log says why; followup conversations list"
            " shows who waits.",
        )


def _strangers(conn: Connection, now: datetime) -> Iterator[Trouble]:
    if stray := strangers(conn, now):
        yield Trouble("restored", stray)


def strangers(conn: Connection, now: datetime) -> str | None:
    """Say that the provider reports on letters this database does not know, or None: what a restored one would show."""
    gap = gaps.latest(conn)
    since = max(now - STRANGERS_LOOK_BACK, gap.noted_at if gap else now - STRANGERS_LOOK_BACK)
    strange = [
        (token, came_at)
        for token, came_at, raw in feed.strangers_since(conn, since)
        if gap is None or (happened := report(raw).at) is None or happened > gap.until  # else it is of what is lost
    ]
    if not strange:
        return None
    attempts, first = len({token for token, _ in strange}), strange[0][1]
    known = "1 letter" if attempts == 1 else f"{attempts:,} letters"
    return (
        f"The mail provider reports on {known} that this database does not know, since {first:%Y-%m-%d %H:%M} UTC."
        " If it was restored from a backup, stop the workers and run: followup db recovered --since TIME-OF-THE-BACKUP."
    )


def _sweep(conn: Connection, now: datetime) -> Iterator[Trouble]:
    due = [enrollments.next_wake(conn), unsent.next_due(conn), timers.next_due(conn), pulse.oldest_unread(conn)]
    oldest = min((moment for moment in due if moment is not None), default=None)
    if oldest is None or oldest > now:
        return
    age = signs.ages(conn).get(signs.SWEEP)
    if age is None and now - oldest > NEVER_SWEPT:
        yield Trouble("sweep", "Something is due and no worker has ever run. Start one: followup worker.")
    elif age is not None and age > SWEEP_SILENT:
        yield Trouble(
            "sweep",
            f"Something is due and no worker has looked for {span(age)}. Start followup worker, or read its log.",
        )


def _mail(conn: Connection, now: datetime) -> Iterator[Trouble]:
    oldest = pulse.oldest_unread(conn)
    if oldest is not None and now - oldest > UNREAD:
        yield Trouble(
            "inbound",
            f"A customer's mail has been unread for {span(now - oldest)}. Workers read mail: see whether one runs, and"
            " its log.",
        )


def _aside(conn: Connection, now: datetime) -> Iterator[Trouble]:
    aside = quarantine.lately(conn, now=now)
    if aside.unsigned:
        yield Trouble(
            "unsigned",
            f"Within a day {quarantine.mails_were(aside.unsigned)} set aside unread, because no key in"
            " FOLLOWUP_SENDGRID_INBOUND_KEYS has signed what came. If SendGrid signs with another key now, these are"
            " your customers' replies: add that key, restart followup web, and have each read with followup inbound"
            " list and followup inbound retry NUMBER. If not, somebody else posts to the hook; leave them there.",
        )
    if aside.is_full:
        yield Trouble(
            "quarantine",
            f"Within a day {quarantine.mails_were(aside.posts)} set aside unread, and there is no room for more:"
            " they are answered 503, and SendGrid gives each up after three days. What is signed comes in as ever."
            " followup inbound list says why they were set aside; followup inbound retry NUMBER has one read, which"
            " makes room.",
        )


def _events(conn: Connection, now: datetime) -> Iterator[Trouble]:
    accepted = pulse.last_accepted_between(conn, now - EVENTS_LOOK_BACK, now - EVENTS_EXPECTED)
    event = pulse.last_event(conn)
    if accepted is not None and (event is None or event < accepted):
        yield Trouble(
            "events",
            "Letters left and the mail provider has reported nothing about them for more than an hour. Check the"
            " event webhook at the provider: its address, that it is switched on, and its public key in"
            " FOLLOWUP_SENDGRID_EVENT_KEYS.",
        )


def span(age: timedelta) -> str:
    """Return how long that is, in the unit people would use."""
    seconds = max(int(age.total_seconds()), 0)
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size * (2 if size > 60 else 1):
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "0 seconds"


def watch(engine: Engine, *, clock: Clock, expects_events: bool, tell: Tell) -> None:
    """
    Look once at everything that can be wrong, log it, and have it told.

    Any number of processes may watch: each alert is told by one of them. What could not be told is tried
    again the next time somebody looks; after the first that fails the others wait for that as well.
    """
    with reading(engine) as conn:
        troubles = {one.key: one for one in conditions(conn, now=clock.now(), expects_events=expects_events)}
    with writing(engine, "watch.raise") as conn:
        new = alerts.raise_(conn, {key: one.text for key, one in troubles.items()})
        claimed = alerts.claim(conn, troubles, every=REPEAT, lease=LEASE)
        over = alerts.clear(conn, except_=troubles)
    works = True
    for claim in claimed:
        trouble = troubles[claim.key]
        if claim.key in new or claim.before is not None:
            log.error("alert.raised", extra={"alert": trouble.key, "text": trouble.text})
        works = works and tell(trouble, True)
        with writing(engine, "watch.told") as conn:
            (alerts.told if works else alerts.give_back)(conn, claim)
    for alert in over:
        works = _tell_over(engine, alert, tell=tell, works=works)


def _tell_over(engine: Engine, alert: alerts.Alert, *, tell: Tell, works: bool) -> bool:
    """Say that *alert* is over to whoever heard of it; return whether telling still works."""
    if alert.told_at is None:
        log.info("alert.resolved", extra={"alert": alert.key})
        return works
    works = works and tell(Trouble(alert.key, alert.text), False)
    if works:
        log.info("alert.resolved", extra={"alert": alert.key})
    else:
        with writing(engine, "watch.put_back") as conn:
            alerts.put_back(conn, alert)
    return works


def tell_by_post(url: str, *, mode: str, clock: Clock, timeout_seconds: float = TELL_SECONDS) -> Tell:
    """
    Return a way of telling that posts JSON to *url*; any answer of the 200s counts as heard.

    ``text`` goes by the name that chat webhooks read, so that one of those can be given as it is.
    """

    def tell(trouble: Trouble, raised: bool) -> bool:
        payload = {
            "key": trouble.key,
            "state": "raised" if raised else "resolved",
            "text": trouble.text if raised else f"Over: {trouble.text}",
            "mode": mode,
            "at": clock.now().isoformat().replace("+00:00", "Z"),
        }
        try:
            status, _ = post_json(url, payload, timeout_seconds=timeout_seconds)
        except FollowupError as error:
            log.warning("alert.not_told", extra={"alert": trouble.key, "reason": str(error)})
            return False
        if not 200 <= status < 300:
            log.warning("alert.not_told", extra={"alert": trouble.key, "status": status})
            return False
        return True

    return tell


def only_log(_trouble: Trouble, _raised: bool) -> bool:
    """Tell nobody: the log has it already."""
    return True
