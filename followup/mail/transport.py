"""What every way of sending has in common."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from followup.core.message import Answer
from followup.mail.message import OutgoingMail

Answered = Sequence[tuple[OutgoingMail, Answer]]
NOT_BEGUN = "it did not begin to leave"


def always() -> bool:
    """Let every mail begin."""
    return True


@dataclass(frozen=True, slots=True)
class Check:
    """What a look at the way out, without a letter, has found: nothing wrong, or what is and what to do."""

    problem: str = ""
    remedy: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


class Transport(Protocol):
    """
    Takes mails away. It never raises, never retries and never sends a mail it was not given.

    The caller has committed each mail before it asks, and settles the answers as they come.
    """

    @property
    def name(self) -> str:
        """Return what tells this way out from others: only the one a mail was given to can say what became of it."""
        ...

    def send(self, mails: Sequence[OutgoingMail], *, may_begin: Callable[[], bool]) -> Iterator[Answered]:
        """
        Send each of *mails* once, and yield the answers that are there, as they come, in any order.

        Exactly one answer per mail; a caller that stops early has to count the rest as unknown.

        Args:
            may_begin: asked right before each mail begins to leave. When it says no, that mail stays here
                (``RetrySafe``): time is up, the process stops, or somebody has halted everything.
        """
        ...

    def recover(self, mail: OutgoingMail) -> Answer:
        """
        Say what became of *mail*, whose answer was lost in a crash, without sending it.

        ``Accepted`` with proof that it was taken, ``RetrySafe`` with proof that it was not, and
        ``Unknown`` from a transport that cannot tell. Call it only when no `send` of *mail* still runs.
        """
        ...
