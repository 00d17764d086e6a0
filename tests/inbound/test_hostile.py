"""Inputs of a megabyte made to take forever; each is read to the customer's words in well under a second."""

import time
import tracemalloc

import pytest

from followup.inbound.kind import mail_kind
from followup.inbound.mime import read
from followup.inbound.reply_text import own_words
from followup.inbound.returns import returns_on

SIZE = 1_000_000
HEAD = b"From: a@b.example\r\nTo: c@d.example\r\n"


def filled(scrap: bytes) -> bytes:
    return scrap * (SIZE // len(scrap))


def as_text(body: bytes) -> bytes:
    return HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + body


def as_html(body: bytes) -> bytes:
    return HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + body


def nested(levels: int) -> bytes:
    opening = b"".join(
        b"Content-Type: multipart/alternative; boundary=n%d\r\n\r\n--n%d\r\n" % (n, n) for n in range(levels)
    )
    return HEAD + opening + b"\r\n" + filled(b"\n")


HOSTILE = {
    "nested multiparts with a million lines": nested(300),
    "one boundary, endlessly": HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + filled(b"--x\n"),
    "near boundaries": HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + filled(b"--xx\n"),
    "endless folding": b"Subject: x\n" + filled(b" \n") + b"\nhi",
    "unclosed quotes in addresses": b"To: " + filled(b'"<(') + b"\n\nhi",
    "encoded words unclosed": b"Subject: " + filled(b"=?utf-8?q?") + b"\n\nhi",
    "parameters": HEAD + b"Content-Type: text/plain" + filled(b"; a*0*=utf-8''x") + b"\n\nhi",
    "no header ever": filled(b"hello world "),
    "attributions without end": as_text(filled(b"On 1 Jan 2020 at 10:00 a@b.c\n")),
    "attributions one after the other": as_text(filled(b"On Mon, 2 Mar 2026 at 9:00 Mara <m@l.example> wrote:\n")),
    "one line of attributions": as_text(filled(b"On 1 Am 2 Le 3 a@b.c ")),
    "header labels": as_text(filled(b"From: a@b.c\n")),
    "labels without values": as_text(filled(b"Sent:")),
    "dashes and words": as_text(filled(b"---- original ----")),
    "dashes": as_text(filled(b"-- - ")),
    "closings": as_text(filled(b"Kind regards\n")),
    "signatures": as_text(filled(b"-- \nx\n")),
    "quotes and blanks": as_text(filled(b">\n\n")),
    "dates": as_text(filled(b"1. Mai 2 juin 3/3/3 back until ")),
    "return words": as_text(filled(b"back ")),
    "combining marks": as_text(filled("e\u0301\u0302".encode())),
    "tags unclosed": as_html(filled(b"<a ")),
    "tags with open quotes": as_html(filled(b"<a b='>")),
    "comments unclosed": as_html(filled(b"<!--")),
    "declarations unclosed": as_html(filled(b"<!x")),
    "styles unclosed": as_html(filled(b"<style>")),
    "styles almost closed": as_html(b"<style>" + filled(b"</styl")),
    "classes": as_html(b"<div " + filled(b"class=") + b">hi"),
    "one long class": as_html(b"<div class='" + filled(b"a ") + b"'>hi"),
    "entities of digits": as_html(b"&#" + filled(b"9") + b";"),
    "entities": as_html(filled(b"&lt;")),
    "quotes in quotes": as_html(filled(b"<blockquote>")),
    "paragraphs": as_html(filled(b"<p>x")),
    "pre": as_html(b"<pre>" + filled(b"\n")),
    "broken base64": HEAD + b"Content-Transfer-Encoding: base64\n\n" + filled(b"$a="),
    "broken quoted-printable": HEAD + b"Content-Transfer-Encoding: quoted-printable\n\n" + filled(b"=\n=Z"),
    "references": HEAD + b"References: " + filled(b"<a@b>") + b"\n\nhi",
    "lone carriage returns": as_text(filled(b"a\r")),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_mail_costs_well_under_a_second(raw):
    began = time.process_time()
    mail = read(raw)
    own_words(mail, ["reply.lumen.example"])
    mail_kind(mail)
    returns_on(mail.text, mail.date.date()) if mail.date else None

    assert time.process_time() - began < 0.9


BOMBS = {
    "2,000 levels": nested(2_000),
    "50,000 parts": HEAD + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\na\r\n" * 50_000,
    "50,000 files": HEAD
    + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    + b"--x\r\nContent-Disposition: attachment; filename=a.zip\r\n\r\nPK\r\n" * 50_000,
    "20,000 encoded words": b"Subject:" + b" =?utf-8?q?x?=\r\n" * 20_000 + b"\r\nhi",
    "20,000 parameters": HEAD + b"Content-Type: text/plain" + b";\r\n a*0*=utf-8''x" * 20_000 + b"\r\n\r\nhi",
    "20,000 references": b"References:" + b" <a@b.example>\r\n" * 20_000 + b"\r\nhi",
    "20,000 addresses": b"To:" + b" a@b.example,\r\n" * 20_000 + b"\r\nhi",
    "20,000 headers": b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\nhi",
}


@pytest.mark.parametrize("raw", BOMBS.values(), ids=BOMBS)
def test_a_bomb_takes_no_more_memory_than_a_few_copies_of_itself(raw):
    began = time.process_time()
    tracemalloc.start()
    try:
        mail = read(raw)
        own_words(mail, ["reply.lumen.example"])
        mail_kind(mail)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
    assert time.process_time() - began < 3, "with all memory counted"
    assert len(mail.attachments) <= 200
    assert len(mail.part_types) <= 200


def test_thirty_megabytes_of_attachment_are_measured_and_not_decoded():
    raw = (
        HEAD + b"Content-Type: application/zip\nContent-Transfer-Encoding: base64\n\n" + b"A" * 76 + b"\n" * 30_000_000
    )
    began = time.process_time()
    [file] = read(raw).attachments

    assert file.size == 57
    assert time.process_time() - began < 0.9
