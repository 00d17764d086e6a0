"""Questions, answers and replies as values; matching what someone wrote to the answers we offered."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

BURST = timedelta(seconds=60)  # visits closer together than this belong together


class Source(StrEnum):
    """How an answer reached us."""

    CLICK = "click"  # a one-click answer, confirmed on the page
    REPLY = "reply"  # by mail
    NOTE = "note"  # typed in by one of us


class MailKind(StrEnum):
    """What an incoming mail is."""

    HUMAN = "human"  # a person's own words
    AUTO_REPLY = "auto_reply"  # out of office, ticket receipts (RFC 3834)
    BOUNCE = "bounce"  # a delivery report (RFC 3464) or its home-made cousins
    CHALLENGE = "challenge"  # "confirm that you are human to reach me"
    COMPLAINT = "complaint"  # a feedback report (RFC 5965)
    LIST = "list"  # newsletters and mailing lists
    UNSUBSCRIBE = "unsubscribe"  # a mail to our own List-Unsubscribe address


class InboundState(StrEnum):
    """How far a raw mail has come."""

    RECEIVED = "received"  # committed, not yet worked on
    PROCESSED = "processed"  # on someone's record
    UNMATCHED = "unmatched"  # we cannot tell whose it is; a person has to look
    IGNORED = "ignored"  # a second copy of a mail that is on the record already
    FAILED = "failed"  # reading it failed; kept, and tried again on demand


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer offered with one click. ``negative`` means: someone should read this soon."""

    id: str
    label: str
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What a letter asks; without choices it is open."""

    ask: str
    choices: tuple[Choice, ...] = ()

    def choice(self, choice_id: str) -> Choice | None:
        return next((choice for choice in self.choices if choice.id == choice_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """
    What a customer answered to the ask at ``step``, by whatever way.

    ``provisional`` marks a click that nobody confirmed: it stops the reminder, branches do not see it.
    """

    at: datetime
    step: str
    source: Source
    answer: str | None = None
    label: str | None = None
    text: str | None = None
    sentiment: str | None = None
    intent: str | None = None
    language: str | None = None
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Absence:
    """An out-of-office note: when it came, and the day of return that it gave."""

    told_at: datetime
    back_on: date


@dataclass(frozen=True, slots=True)
class Visit:
    """A link of a letter was opened: that of an answer (its id), or the stop link (None)."""

    at: datetime
    choice: str | None


@dataclass(frozen=True, slots=True)
class Burst:
    """Visits to the links of one letter, each within ``BURST`` of the one before it; oldest first, at least one."""

    visits: tuple[Visit, ...]

    @property
    def opened(self) -> frozenset[str | None]:
        """Return which links were opened."""
        return frozenset(visit.choice for visit in self.visits)

    @property
    def mark(self) -> Visit | None:
        """Return the first visit if all of them were to the link of one answer: as a person does, and no scanner."""
        first = self.visits[0]
        return first if self.opened == {first.choice} and first.choice is not None else None


def bursts(visits: Sequence[Visit]) -> list[Burst]:
    """Return the *visits* to one letter in their bursts, oldest first."""
    found: list[list[Visit]] = []
    for visit in sorted(visits, key=lambda visit: visit.at):
        if found and visit.at - found[-1][-1].at <= BURST:
            found[-1].append(visit)
        else:
            found.append([visit])
    return [Burst(tuple(one)) for one in found]


def lone_mark(visits: Sequence[Visit]) -> Visit | None:
    """
    Return the visit to a letter that counts as an unconfirmed answer, or None.

    Mail scanners open every link of a letter within seconds, so a burst that opened different links says
    nothing about anybody. Of several marks the last one counts.
    """
    marks = [burst.mark for burst in bursts(visits)]
    return next((mark for mark in reversed(marks) if mark is not None), None)


def combined(responses: Sequence[Response]) -> Response:
    """
    Return what several responses to one question (oldest first, at least one) amount to.

    It counts from the first; a changed mind overwrites: the last choice and the last words stand.
    """
    first = responses[0]
    chosen = next((r for r in reversed(responses) if r.answer is not None), first)
    worded = next((r for r in reversed(responses) if r.text is not None), first)
    return replace(
        first,
        answer=chosen.answer,
        label=chosen.label,
        text=worded.text,
        sentiment=worded.sentiment,
        intent=worded.intent,
        language=worded.language,
    )


def _plain(text: str) -> str:
    """
    Fold case, width, punctuation and space, so that "Yes – all good!" equals "yes all good".

    Letters, marks and numbers stay: in many scripts a mark is a vowel, and two words differ by it alone.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded).split())


def matching_choice(text: str, question: Question) -> Choice | None:
    """
    Return the choice that *text* names, or None.

    Only a text that is nothing but a choice counts: its label, its id, or its number in the list
    (``2``). "All good, but the lid is cracked" is left to people: a wrong match would hide a problem.
    """
    said = _plain(text)
    if not said:
        return None
    for number, choice in enumerate(question.choices, start=1):
        numbered = str(number) if not any(c.id.isdecimal() for c in question.choices) else None
        if said in {_plain(choice.id), _plain(choice.label), numbered}:
            return choice
    return None
