"""Whole mails as they come in, each beside what has to be read from it (`mails/*.eml`, `*.json`)."""

import json
from datetime import date
from pathlib import Path

import pytest

from followup.inbound.kind import delivery_failed, mail_kind
from followup.inbound.match import name_in, referenced_ids
from followup.inbound.mime import ReadMail, read
from followup.inbound.reply_text import own_words
from followup.inbound.returns import returns_on

MAILS = sorted(Path(__file__).parent.glob("mails/*.eml"))
DOMAIN = "reply.lumen.example"


def what_is_read(mail: ReadMail) -> dict[str, object]:
    words = own_words(mail, [DOMAIN, "mara@lumen.example"])
    back = returns_on(mail.text, mail.date.date() if mail.date else date(2026, 3, 3))
    return {
        "kind": mail_kind(mail).value,
        "text": words.text,
        "with_signature": words.with_signature,
        "subject": mail.subject,
        "from_address": mail.from_address,
        "from_name": mail.from_name,
        "from_html": mail.from_html,
        "in_reply_to": mail.in_reply_to,
        "truncated": mail.truncated,
        "attachments": [[file.name, file.content_type, file.size] for file in mail.attachments],
        "returns_on": back.isoformat() if back else None,
        "delivery_failed": delivery_failed(mail),
        "names": [name for message_id in referenced_ids(mail) if (name := name_in(message_id, DOMAIN))],
    }


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_mail_is_read_as_a_person_would(path, line_end):
    wanted = json.loads(path.with_suffix(".json").read_text("utf-8"))
    raw = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", line_end)

    found = what_is_read(read(raw))

    assert {key: found[key] for key in wanted} == wanted


def test_there_are_mails_to_read():
    assert len(MAILS) >= 25
