"""
What kind of mail it is: a person's, or a machine's, and then which.

When in doubt it is a person's. A machine's mail shown to a person costs a glance; a customer's words
taken for a machine's are lost.
"""

import re
from collections.abc import Mapping

from followup.core.replies import MailKind
from followup.inbound import kind_signs
from followup.inbound.mime import ReadMail, read
from followup.inbound.phrases import listed, words

TEXT_SEEN = 4_000  # characters of the body

_OUR_STOP_ADDRESS = re.compile(r"u\+[a-z2-7]{28}@", re.IGNORECASE)
_OUR_REPLY_ADDRESS = re.compile(r"r\+[a-z2-7]{28}@", re.IGNORECASE)
_ACTION = re.compile(r"^action:\s{0,5}(\w{1,20})", re.IGNORECASE | re.MULTILINE)
_PREFIXES = re.compile(r"(?:\[[^\]]{0,40}\]\s|\S{1,60}\.\S{1,60}\s)?")  # "[list] …", "host.example.com …"


def _beginning_with(table: Mapping[str, str], end: str = "") -> re.Pattern[str]:
    phrases = sorted(words(table), key=len, reverse=True)
    return re.compile(rf"(?:{'|'.join(map(re.escape, phrases))}){end}", re.IGNORECASE)


# Something that is no further word of a sentence, so that "Out of office chairs" stays a customer's.
_SUBJECT_END = r"(?=\s?[:!(,;/\[–-]|\s(?:re|aw|from|until|bis|du|au|\d)\b|\s?$)"
_AUTO_REPLY = _beginning_with(kind_signs.AUTO_REPLY_SUBJECTS, end=_SUBJECT_END)
_BOUNCE = _beginning_with(kind_signs.BOUNCE_SUBJECTS)
_CHALLENGE = _beginning_with(kind_signs.CHALLENGE_SUBJECTS)
_BOUNCE_TEXT = _beginning_with(kind_signs.BOUNCE_TEXTS)
_DELAY = _beginning_with(kind_signs.DELAY)
_DAEMONS = listed(kind_signs.DAEMONS)
_POSTMASTERS = listed(kind_signs.POSTMASTERS)
_CHALLENGERS = listed(kind_signs.CHALLENGERS)
_AUTO_REPLY_HEADERS = listed(kind_signs.AUTO_REPLY_HEADERS)


def mail_kind(mail: ReadMail) -> MailKind:
    """Return what *mail* is. Whether a mail to a stop address bears a valid token is for `match` to say."""
    return next((kind for kind, holds in _TESTS if holds(mail)), MailKind.HUMAN)


def kind_of_bytes(raw: bytes) -> str:
    """Return the kind of a raw mail, as its name."""
    return mail_kind(read(raw)).value


def delivery_failed(mail: ReadMail) -> bool:
    """Tell whether a bounce is final; a notice of delay, and one of success (RFC 3464, 2.3.3), is not."""
    actions = {action.lower() for action in _ACTION.findall(mail.returned)}
    if actions:
        return "failed" in actions
    return _DELAY.search(mail.subject) is None


def _is_unsubscribe(mail: ReadMail) -> bool:
    return any(_OUR_STOP_ADDRESS.match(address) for address in mail.recipients)


def _is_complaint(mail: ReadMail) -> bool:
    """RFC 5965, and what Outlook.com sends instead."""
    return (
        mail.report_type == "feedback-report"
        or "message/feedback-report" in mail.part_types
        or (_sender(mail) == "staff" and mail.subject.lower().startswith("complaint about message from"))
    )


def _is_bounce(mail: ReadMail) -> bool:
    if mail.is_delivery_report or "x-failed-recipients" in mail.headers:
        return True
    if mail.report_type == "disposition-notification":  # a read receipt (RFC 8098)
        return False
    sender = _sender(mail)
    if sender and sender not in _DAEMONS and sender not in _POSTMASTERS and not _null_path(mail):
        return False  # a person may pass a bounce on, and ask about it
    subject = mail.subject[_subject_start(mail.subject) :]
    about_delivery = _BOUNCE.match(mail.subject) or _BOUNCE.match(subject)
    if about_delivery or _BOUNCE_TEXT.search(mail.text[:TEXT_SEEN]):
        return True
    return sender in _DAEMONS and not _declares_auto_reply(mail)


def _subject_start(subject: str) -> int:
    match = _PREFIXES.match(subject[:120])
    return match.end() if match else 0


def _is_challenge(mail: ReadMail) -> bool:
    sender = (mail.from_address or "").lower()
    return (
        any(name in sender for name in _CHALLENGERS)
        or any(header.startswith("x-" + name) for name in _CHALLENGERS for header in mail.headers)
        or _CHALLENGE.match(mail.subject) is not None
    )


def _is_auto_reply(mail: ReadMail) -> bool:
    """
    RFC 3834, its forerunners, and typical subjects.

    X-Auto-Response-Suppress is no sign by itself: companies set it on everything they send.
    """
    return (
        _declares_auto_reply(mail)
        or mail.report_type == "disposition-notification"
        or _AUTO_REPLY.match(mail.subject) is not None
        or _null_path(mail)
        or (_is_bulk(mail) and mail.in_reply_to is not None)  # the vacation program of old
    )


def _declares_auto_reply(mail: ReadMail) -> bool:
    submitted = mail.headers.get("auto-submitted", "").lower()
    precedence = mail.headers.get("precedence", "").lower()
    return (
        submitted.startswith("auto")
        or precedence in ("auto_reply", "auto-reply", "junk")
        or any(header in mail.headers for header in _AUTO_REPLY_HEADERS)
    )


def _is_list(mail: ReadMail) -> bool:
    """Tell newsletters and lists; a mail in answer to another one, to one of our addresses, is neither."""
    if mail.in_reply_to and any(_OUR_REPLY_ADDRESS.match(address) for address in mail.recipients):
        return False
    return _is_bulk(mail) or not mail.headers.keys().isdisjoint(("list-id", "list-unsubscribe", "list-post"))


def _is_bulk(mail: ReadMail) -> bool:
    return mail.headers.get("precedence", "").lower() in ("bulk", "list")


def _sender(mail: ReadMail) -> str:
    return (mail.from_address or "").partition("@")[0].lower()


def _null_path(mail: ReadMail) -> bool:
    """Tell whether the envelope had no sender (RFC 5321, 4.5.5), as far as a header says so."""
    path = mail.headers.get("return-path")
    return path is not None and (path.strip(" <>") == "" or "mailer-daemon" in path.lower())


_TESTS = (
    (MailKind.UNSUBSCRIBE, _is_unsubscribe),
    (MailKind.COMPLAINT, _is_complaint),
    (MailKind.BOUNCE, _is_bounce),
    (MailKind.CHALLENGE, _is_challenge),
    (MailKind.AUTO_REPLY, _is_auto_reply),
    (MailKind.LIST, _is_list),
)
