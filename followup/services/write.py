"""Write one letter: the bundle's newest text, this customer's facts, one person's name under it."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from followup.authoring.bundle import Bundle
from followup.authoring.render import Letter, Links, Rendered
from followup.core import tokens
from followup.core.asks import names_for
from followup.core.facts import Facts
from followup.core.message import Purpose
from followup.core.replies import Choice
from followup.core.workflow import Ask, Workflow
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A letter to be written: its place in a workflow, who signs it unless it says so itself, about what, to whom."""

    letter: Letter
    workflow: Workflow
    step: str
    sender: str
    about: Facts
    recipient: Recipient


def write(one: Claimed, bundle: Bundle, identity: MailIdentity, now: datetime) -> Written:
    """
    Return the letter as it will leave, under a token of its own.

    Raises:
        FollowupError: letter or person are missing, the letter fails with these facts, or an address
            cannot be written to.
    """
    message, customer = one.message, one.facts.customer
    letter = bundle.letter(message.letter, customer.language)
    draft = Draft(
        letter=letter,
        workflow=one.workflow,
        step=message.step,
        sender=message.sender,
        about=one.facts,
        recipient=Recipient(customer.email, _full_name(customer.first_name, customer.last_name)),
    )
    mail, rendered = write_out(draft, bundle, identity, now, thread=_thread(one, identity))
    choices = letter.question.choices if letter.question else ()
    return Written(one, mail, rendered, letter.content_hash, letter.purpose, choices)


def write_out(
    draft: Draft, bundle: Bundle, identity: MailIdentity, now: datetime, *, thread: Thread | None = None
) -> tuple[OutgoingMail, Rendered]:
    """
    Return *draft* as a mail under a token of its own, and what the record keeps of it.

    Raises:
        FollowupError: as `write`.
    """
    letter, key = draft.letter, draft.letter.sender or draft.sender
    person = bundle.people.get(key)
    if person is None:
        raise NotFound(f"{key!r} is not in people.yaml")
    name = tokens.name_from(secrets.token_bytes(tokens.NAME_BYTES))
    choices = letter.question.choices if letter.question else ()
    rendered = letter.render(
        names_for(draft.workflow, replace(draft.about, sender=person), now=now, before=draft.step),
        person=person,
        links=Links(
            answers={choice.id: identity.answer_url(name, choice.id) for choice in choices},
            stop=identity.stop_url(name),
        ),
    )
    mail = compose(
        Content(rendered.subject, rendered.text, rendered.html),
        sender=person,
        recipient=draft.recipient,
        name=name,
        origin=Origin(draft.workflow.name, draft.step, letter.key, bundle.shop.name),
        identity=identity,
        now=now,
        thread=thread,
    )
    return mail, rendered


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
