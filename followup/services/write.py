"""Write one letter: the bundle's newest text, this customer's facts, one person's name under it."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from followup.authoring.bundle import Bundle
from followup.authoring.render import Links, Rendered
from followup.core import tokens
from followup.core.decide import names_for
from followup.core.message import Purpose
from followup.core.replies import Choice
from followup.core.workflow import Ask
from followup.errors import NotFound
from followup.mail.message import Content, MailIdentity, Origin, OutgoingMail, Recipient, Thread, compose
from followup.services.claim import Claimed


@dataclass(frozen=True, slots=True)
class Written:
    """A letter as this customer gets it, with what the record keeps of it."""

    claimed: Claimed
    mail: OutgoingMail
    rendered: Rendered
    letter_hash: str
    purpose: Purpose
    choices: tuple[Choice, ...] = ()


def write(one: Claimed, bundle: Bundle, identity: MailIdentity, now: datetime) -> Written:
    """
    Return the letter as it will leave, under a token of its own.

    Raises:
        FollowupError: letter or person are missing, the letter fails with these facts, or an address
            cannot be written to.
    """
    message, customer = one.message, one.facts.customer
    letter = bundle.letter(message.letter, customer.language)
    person = bundle.people.get(letter.sender or message.sender)
    if person is None:
        raise NotFound(f"{letter.sender or message.sender!r} is not in people.yaml")
    name = tokens.name_from(secrets.token_bytes(tokens.NAME_BYTES))
    choices = letter.question.choices if letter.question else ()
    about = replace(one.facts, sender=person)
    rendered = letter.render(
        names_for(one.workflow, about, now=now, before=message.step),
        person=person,
        links=Links(
            answers={choice.id: identity.answer_url(name, choice.id) for choice in choices},
            stop=identity.stop_url(name),
        ),
    )
    mail = compose(
        Content(rendered.subject, rendered.text, rendered.html),
        sender=person,
        recipient=Recipient(customer.email, _full_name(customer.first_name, customer.last_name)),
        name=name,
        origin=Origin(message.workflow, message.step, message.letter, bundle.shop.name),
        identity=identity,
        now=now,
        thread=_thread(one, identity),
    )
    return Written(one, mail, rendered, letter.content_hash, letter.purpose, choices)


def _full_name(first: str | None, last: str | None) -> str | None:
    return " ".join(part for part in (first, last) if part) or None


def _thread(one: Claimed, identity: MailIdentity) -> Thread | None:
    """Return the letter that this one continues: a reminder its question, a question the letter before it."""
    step = one.workflow.step(one.message.step)
    if not isinstance(step, Ask) or not step.reply_in_thread:
        return None
    earlier = (
        [one.facts.sent[step.id, 0]]
        if one.message.round
        else sorted((sent for sent in one.facts.sent.values() if sent.accepted_at), key=lambda sent: sent.id)
    )
    return Thread(identity.message_id(earlier[-1].token)) if earlier and earlier[-1].token else None
