"""Who stands where something changes, and what comes for them: in words, and as JSON."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from followup import calendars
from followup.cli import output
from followup.core.enrollment import Phase
from followup.core.transfer import InFlight

if TYPE_CHECKING:
    from followup.services.concerned import Addressee, Outlook, Place, Shift, Who

HALF_A_YEAR = timedelta(days=182)  # days that are further apart need their years
FATES = {  # of one person, and of several
    InFlight.FINISH: ("finishes as they began", "finish as they began"),
    InFlight.SKIP: ("goes on with what follows", "go on with what follows"),
    InFlight.STOP: ("is stopped", "are stopped"),
}
PHASES = {
    Phase.BEFORE: "about to begin",
    Phase.WAITING: "waiting",
    Phase.SENDING: "whose letter has not left",
    Phase.ASKED: "asked and not heard from",
    Phase.DONE: "done",
}
NAMED = 50  # of those whose letters cannot leave
UNDECIDED = "STRANDED, it has to be decided what becomes of them"
NO_SKIP = "STRANDED: skip is not possible, for the workflow is gone; only finish or stop"
AT = {  # what comes next, before its moment
    "look": "is looked at",
    "wait": "waits until",
    "event": "waits for an event, until",
    "letter": "letter due",
    "reminder": "reminder",
    "answer": "waits for an answer until",
}
ALONE = {  # what comes next, where no moment belongs to it
    "look": "is looked at when something happens",
    "letter": "letter due",
    "held": "letter held",
    "blocked": "letter blocked",
    "under way": "letter on its way",
    "unknown": "letter of unknown fate",
    "answer": "waits for an answer",
    "end": "run ends",
}


def in_short(place: "Place", *, unseen: bool) -> str:
    """Return who stands there and what becomes of them; *unseen* if there were too many to look at all of them."""
    one = place.number == 1
    who = output.plural(place.number, "person", "people")
    if len(place.phases) == 1:
        who += f", {PHASES[next(iter(place.phases))]}"
    else:
        who += f" ({', '.join(f'{number:,} {PHASES[phase]}' for phase, number in place.phases.items())})"
    if place.to is not None:
        return f"{who}: {_going_on(place, unseen=unseen)}"
    if place.gone and place.how is InFlight.SKIP:
        return f"{who}: {NO_SKIP}"
    if place.how is None:
        return f"{who}: {UNDECIDED}"
    return f"{who}: {FATES[place.how][0 if one else 1]}"


def _going_on(place: "Place", *, unseen: bool) -> str:
    if place.at_once == place.number:
        return "goes on at once" if place.number == 1 else "all go on at once"
    if place.at_once and unseen:
        return f"at least {place.at_once:,} would go on at once"
    rest = place.number - place.at_once
    later = _shifted(place.shift, rest) if place.shift and not unseen else ""
    if place.at_once:
        return f"{place.at_once:,} would go on at once, {rest:,} {'waits' if rest == 1 else 'wait'} on{later}"
    if later:
        return f"{'waits' if rest == 1 else 'wait'} on{later}"
    return f"{'stays' if rest == 1 else 'stay'} there"


def _shifted(shift: "Shift", rest: int) -> str:
    """Return when something comes now for the *rest*, and when as it is."""
    zone = calendars.zone(shift.timezone) or calendars.UTC
    then, now = _short(shift.then.astimezone(zone), shift.now.astimezone(zone))
    when = f"{'reminded' if shift.next == 'reminder' else 'until'} {then} instead of {now}"
    if rest == 1:
        return f", {when}"
    if shift.number == rest:
        return f", the first {when}"
    return f", {shift.number:,} of them for another time, the first {when}"


def _short(*moments: datetime) -> list[str]:
    """Return local moments, as short as tells them apart."""
    shape = "%a %d %b"
    if max(moments) - min(moments) > HALF_A_YEAR:
        shape += " %Y"
    if len({one.date() for one in moments}) == 1:
        shape += " %H:%M"
    return [f"{one:{shape}}" for one in moments]


def tell_names(place: "Place") -> None:
    """Print who stands there, and what comes for each."""
    for one in place.who:
        output.entry("        ", f"{_address(one.email, one.order)}: {_outlook(one, place)}")
    _tell_more(place.number - len(place.who))


def tell_addressees(people: "tuple[Addressee, ...]") -> None:
    """Print whose letters cannot leave."""
    for one in people[:NAMED]:
        output.entry("      ", f"{_address(one.email, one.order)}: letter {one.letter}")
    _tell_more(len(people) - NAMED)


def _tell_more(number: int) -> None:
    if number > 0:
        output.entry("        ", f"and {number:,} more")


def _address(email: str, order: str | None) -> str:
    return f"{email}, order {order}" if order else email


def _outlook(one: "Who", place: "Place") -> str:
    """Return what comes for one person, and what comes as it is where that is something else."""
    zone = calendars.zone(one.timezone) or calendars.UTC
    now, then = (_what(outlook, zone) for outlook in (one.now, one.then))
    if one.lacks is not None:
        then = f"{then}, cannot leave: {one.lacks}"
    elif one.objection is not None:
        until = f" until {output.local(one.objection.until, zone)}" if one.objection.until else ""
        then = f"{then}, {one.objection.kind.value}{until}: {one.objection.reason}"
    if place.to is None and (place.how is None or (place.gone and place.how is InFlight.SKIP)):
        return f"{now} (as it is)"
    if one.onward is not None:
        then = f"goes on with {one.onward} at once: {then}"
    elif one.at_once:
        then = "run ends at once" if one.then.next == "end" else f"goes on at once: {then}"
    return then if then == now else f"{then} (as it is: {now})"


def _what(outlook: "Outlook", zone: object) -> str:
    """Return what comes next, and when where that is known."""
    if outlook.is_due:
        return f"{AT[outlook.next]} now"
    if outlook.at is None:
        return ALONE[outlook.next]
    return f"{AT[outlook.next]} {output.local(outlook.at, zone)}"


def as_documents(place: "Place") -> list[dict[str, object]]:
    """Return who stands there as JSON has it."""
    return [
        {
            "email": one.email,
            "order": one.order,
            "timezone": one.timezone,
            "at_once": one.at_once,
            "onward": one.onward,
            "now": one.now.at,
            "next_now": one.now.next.value,
            "then": one.then.at,
            "next_then": one.then.next.value,
            "lacks": str(one.lacks) if one.lacks else None,
            "objection": one.objection.reason if one.objection else None,
        }
        for one in place.who
    ]
