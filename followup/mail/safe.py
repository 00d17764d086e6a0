"""Test mode: letters go to those who are allowed, and every other one to an inbox of our own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from followup.core.customer import InvalidAddress, normalize_address
from followup.core.message import Answer
from followup.errors import ConfigurationError
from followup.mail.headers import SUBJECT_LENGTH, one_line
from followup.mail.message import OutgoingMail
from followup.mail.transport import Answered, Transport


class OnlyTo:
    """
    A `mail.transport.Transport` around another, through which no letter reaches a stranger.

    A letter to somebody who is not allowed goes to the inbox, with the address it was for in its subject, or,
    where there is no inbox, into the outbox. So does one whose address cannot be judged. Answers are about
    the letter that was given.
    """

    def __init__(self, transport: Transport, *, allowed: Iterable[str], inbox: str | None, outbox: Transport) -> None:
        """
        Args:
            allowed: addresses, and domains as ``@shop.example``, which let in no subdomain.
            inbox: the address that everything else goes to; None: it goes to *outbox*.

        Raises:
            ConfigurationError: one of them is not an address.
        """
        self._transport, self._outbox = transport, outbox
        self._allowed = frozenset(_normalized(entry) for entry in allowed)
        self._inbox = _normalized(inbox) if inbox is not None else None
        if self._inbox is not None and self._inbox.startswith("@"):
            raise _not_an_address(self._inbox)

    @property
    def name(self) -> str:
        return f"test mode, {self._transport.name}"

    def send(self, mails: Sequence[OutgoingMail], *, may_begin: Callable[[], bool]) -> Iterator[Answered]:
        """Send each of *mails*, or its redirected form, by the way it may take."""
        forms = [self._form(mail) for mail in mails]
        given = {id(form): mail for form, mail in zip(forms, mails, strict=True)}
        for way in (self._transport, self._outbox):
            if some := [form for form in forms if self._way(form) is way]:
                for answered in way.send(some, may_begin=may_begin):
                    yield [(given[id(form)], answer) for form, answer in answered]

    def recover(self, mail: OutgoingMail) -> Answer:
        """Ask about the form in which *mail* went."""
        form = self._form(mail)
        return self._way(form).recover(form)

    def _way(self, form: OutgoingMail) -> Transport:
        """Return the way for a form: the one to the world for ourselves and whom we allowed, and for nobody else."""
        ours = form.to_email == self._inbox or self._is_allowed(form.to_email)
        return self._transport if ours else self._outbox

    def _form(self, mail: OutgoingMail) -> OutgoingMail:
        if self._inbox is None or self._is_allowed(mail.to_email):
            return mail
        subject = one_line(f"[to {mail.to_email}] {mail.subject}", SUBJECT_LENGTH)
        return replace(mail, to_email=self._inbox, to_name=None, subject=subject)

    def _is_allowed(self, address: str) -> bool:
        try:
            known = normalize_address(address)
        except InvalidAddress:
            return False
        return known in self._allowed or f"@{known.rpartition('@')[2]}" in self._allowed


def _normalized(entry: str) -> str:
    """Return an address as it is compared, or ``@domain`` likewise."""
    entry = entry.strip()
    try:
        if entry.startswith("@"):
            return normalize_address(f"anybody{entry}").removeprefix("anybody")
        return normalize_address(entry)
    except InvalidAddress as error:
        raise _not_an_address(entry) from error


def _not_an_address(entry: str) -> ConfigurationError:
    return ConfigurationError(
        f"test mode: {entry!r} is not an address",
        hint="Write FOLLOWUP_TEST_ALLOW as ana@shop.example,@shop.example and FOLLOWUP_TEST_INBOX as one address",
    )
