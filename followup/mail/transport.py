"""What every way of sending has in common."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from followup.core.message import Answer
from followup.mail.message import OutgoingMail


class Transport(Protocol):
    """
    Takes mails away. It never raises, never retries and never sends a mail it was not given.

    The caller has committed each mail before it asks, and settles each answer as it comes.
    """

    def send(self, mails: Sequence[OutgoingMail], *, begin_by: float) -> Iterator[tuple[OutgoingMail, Answer]]:
        """
        Send each of *mails* once and yield its answer as it comes, in any order.

        Exactly one answer per mail; a caller that stops early has to count the rest as unknown.

        Args:
            begin_by: in seconds of ``time.monotonic()``. What has not begun to leave by then does not leave
                any more (``RetrySafe``): the caller's lease would run out before an answer came.
        """
        ...

    def recover(self, mail: OutgoingMail) -> Answer:
        """
        Say what became of *mail*, whose answer was lost in a crash, without sending it.

        ``Accepted`` with proof that it was taken, ``RetrySafe`` with proof that it was not, and
        ``Unknown`` from a transport that cannot tell. Call it only when no `send` of *mail* still runs.
        """
        ...
