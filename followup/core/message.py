"""A message: its states, the moves between them, and the five answers of a transport."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from followup.errors import IllegalTransition

_MESSAGE_ID = re.compile(r"<[\x21-\x3b=\x3f-\x7e]{1,250}@[\x21-\x3b=\x3f-\x7e]{1,250}>")


class MessageState(StrEnum):
    DUE = "due"  # waits for due_at
    HELD = "held"  # has no due time: the customer waits for us, the workflow is paused, …
    CLAIMED = "claimed"  # leased by a worker, nothing sent yet
    SENDING = "sending"  # token and payload committed; the request may leave at any moment
    ACCEPTED = "accepted"  # the provider took it
    UNKNOWN = "unknown"  # the request left (or may have) and no answer came
    BLOCKED = "blocked"  # cannot be rendered, or the sender is misconfigured
    REJECTED = "rejected"  # the provider said never
    SKIPPED = "skipped"  # a gate said no, or a person
    EXPIRED = "expired"  # too late
    CANCELLED = "cancelled"  # the enrollment ended, or has to


class Purpose(StrEnum):
    """Why a letter goes out; decides which consent it needs (core.gates)."""

    SERVICE = "service"  # concrete facts of this order only
    RELATIONSHIP = "relationship"  # needs opt-in or an existing-customer basis
    MARKETING = "marketing"  # needs opt-in


class HaltScope(StrEnum):
    """What stands still."""

    ALL = "all"  # an operator stopped every letter


class Action(StrEnum):
    CLAIM = "claim"
    HOLD = "hold"
    RELEASE = "release"
    POSTPONE = "postpone"
    SKIP = "skip"
    EXPIRE = "expire"
    CANCEL = "cancel"
    GIVE_BACK = "give back"  # nothing left yet: the lease ended, or the worker shuts down
    BLOCK = "block"
    UNBLOCK = "unblock"
    BEGIN = "begin"  # commit token and payload
    ACCEPT = "accept"
    RETRY = "retry"  # known not to have been accepted
    REJECT = "reject"
    LOSE = "lose"  # no answer came
    DOUBT = "doubt"  # the database was restored: it may have left in the time that is lost
    PROVE = "prove"  # an attempt that had been given up was accepted after all
    RESEND = "resend"  # a person orders it, or it is proven that the attempt was not accepted


TRANSITIONS: Mapping[tuple[MessageState, Action], MessageState] = {
    (MessageState.DUE, Action.CLAIM): MessageState.CLAIMED,
    (MessageState.DUE, Action.HOLD): MessageState.HELD,
    (MessageState.DUE, Action.POSTPONE): MessageState.DUE,
    (MessageState.DUE, Action.SKIP): MessageState.SKIPPED,
    (MessageState.DUE, Action.EXPIRE): MessageState.EXPIRED,
    (MessageState.DUE, Action.CANCEL): MessageState.CANCELLED,
    (MessageState.HELD, Action.RELEASE): MessageState.DUE,
    (MessageState.HELD, Action.SKIP): MessageState.SKIPPED,
    (MessageState.HELD, Action.CANCEL): MessageState.CANCELLED,
    (MessageState.CLAIMED, Action.GIVE_BACK): MessageState.DUE,
    (MessageState.CLAIMED, Action.BLOCK): MessageState.BLOCKED,
    (MessageState.CLAIMED, Action.BEGIN): MessageState.SENDING,
    (MessageState.SENDING, Action.ACCEPT): MessageState.ACCEPTED,
    (MessageState.SENDING, Action.RETRY): MessageState.DUE,
    (MessageState.SENDING, Action.REJECT): MessageState.REJECTED,
    (MessageState.SENDING, Action.BLOCK): MessageState.BLOCKED,
    (MessageState.SENDING, Action.LOSE): MessageState.UNKNOWN,
    (MessageState.UNKNOWN, Action.ACCEPT): MessageState.ACCEPTED,
    (MessageState.UNKNOWN, Action.RESEND): MessageState.DUE,
    (MessageState.DUE, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.HELD, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.CLAIMED, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.BLOCKED, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.SENDING, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.UNKNOWN, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.REJECTED, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.SKIPPED, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.EXPIRED, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.CANCELLED, Action.PROVE): MessageState.ACCEPTED,
    (MessageState.DUE, Action.DOUBT): MessageState.UNKNOWN,
    (MessageState.HELD, Action.DOUBT): MessageState.UNKNOWN,
    (MessageState.CLAIMED, Action.DOUBT): MessageState.UNKNOWN,
    (MessageState.SENDING, Action.DOUBT): MessageState.UNKNOWN,
    (MessageState.BLOCKED, Action.DOUBT): MessageState.UNKNOWN,
    (MessageState.BLOCKED, Action.UNBLOCK): MessageState.DUE,
    (MessageState.BLOCKED, Action.EXPIRE): MessageState.EXPIRED,
    (MessageState.BLOCKED, Action.SKIP): MessageState.SKIPPED,
    (MessageState.BLOCKED, Action.CANCEL): MessageState.CANCELLED,
}
FINAL = frozenset(MessageState) - {state for state, action in TRANSITIONS if action is not Action.PROVE}
MAY_HAVE_LEFT = frozenset(
    {MessageState.CLAIMED, MessageState.SENDING, MessageState.UNKNOWN, MessageState.ACCEPTED}
)  # what a cap counts
UNSETTLED = frozenset({MessageState.SENDING, MessageState.UNKNOWN})  # it may have left: evidence decides
NOT_SENT = frozenset({MessageState.SKIPPED, MessageState.EXPIRED, MessageState.REJECTED, MessageState.CANCELLED})
CANCELLABLE = frozenset({MessageState.DUE, MessageState.HELD, MessageState.BLOCKED})


def moved(state: MessageState, action: Action) -> MessageState:
    """
    Return the state that *action* leads to.

    Raises:
        IllegalTransition: *action* is not one of ours to take in *state*.
    """
    try:
        return TRANSITIONS[state, action]
    except KeyError:
        raise IllegalTransition(f"a message that is {state.value} cannot {action.value}") from None


def goal(action: Action) -> MessageState:
    """Return the one state that *action* leads to, from wherever it is legal."""
    (state,) = {moved_to for (_, taken), moved_to in TRANSITIONS.items() if taken is action}
    return state


def sources(action: Action) -> tuple[MessageState, ...]:
    """Return every state from which *action* is legal: the WHERE of the update that takes it."""
    return tuple(state for state, taken in TRANSITIONS if taken is action)


class Outcome(StrEnum):
    """What the provider said of one accepted message, from the mildest to the gravest."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    DROPPED = "dropped"
    BOUNCED = "bounced"  # can follow "delivered": some servers bounce after accepting
    COMPLAINED = "complained"


GRAVITY = {outcome: rank for rank, outcome in enumerate(Outcome)}


def outcome(events: Iterable[Outcome]) -> Outcome:
    """Return the gravest of *events*, in whatever order they came."""
    return max(events, key=GRAVITY.__getitem__, default=Outcome.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message."""

    provider_id: str


class Cause(StrEnum):
    """Why a letter that can safely be tried again did not leave."""

    FAILED = "failed"  # it did not get to the provider
    LIMITED = "limited"  # the provider limits how fast we may send: until then it would refuse others too
    KEPT = "kept"  # we did not let it begin: time was up, or everything was stopped


@dataclass(frozen=True, slots=True)
class RetrySafe:
    """Not accepted for sure; may be tried again at ``not_before`` (aware UTC), or later where tries failed before."""

    not_before: datetime
    reason: str
    cause: Cause = Cause.FAILED


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider will never take this message."""

    reason: str


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Our side is set up wrongly; the message is kept until that changes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request left and no answer came. Never repeated by itself."""

    reason: str


Answer = Accepted | RetrySafe | Rejected | Misconfigured | Unknown


def is_message_id(text: str) -> bool:
    """Tell whether *text* is a Message-ID with its angle brackets (RFC 5322, 3.6.4), fit for a header."""
    return _MESSAGE_ID.fullmatch(text) is not None
