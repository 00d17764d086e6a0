from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from followup.inbound.header_values import addresses, decoded
from followup.inbound.html_text import plain_text
from followup.inbound.kind import mail_kind
from followup.inbound.mime import read
from followup.inbound.structure import is_mail


def a_mail(body=b"Hello", content_type=b"text/plain; charset=utf-8", **headers):
    lines = [b"%s: %s" % (name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return b"\r\n".join([*lines, b"Content-Type: " + content_type, b"", body])


def test_the_parts_that_say_whose_it_is_are_read():
    mail = read(
        b"Delivered-To: alias@lumen.example\nDelivered-To: r+token@reply.lumen.example\n"
        b'X-Original-To: x@lumen.example\nFrom: "Ferrer, Joan (home)" <Joan@customer.example>\n'
        b'To: Mara <mara@lumen.example>,\n\t"B" <b@lumen.example>\n'
        b"Cc: c@lumen.example; d@lumen.example\nDate: Tue, 3 Mar 2026 10:14:09 +0100 (CET)\nMessage-ID: <m@x>\n"
        b"In-Reply-To: Your message <a@x> of Monday\nReferences: <r@x>\n <a@x>\n\nHi"
    )

    assert (mail.from_name, mail.from_address) == ("Ferrer, Joan (home)", "Joan@customer.example")
    assert mail.recipients == (
        "alias@lumen.example", "r+token@reply.lumen.example", "x@lumen.example", "mara@lumen.example",
        "b@lumen.example", "c@lumen.example", "d@lumen.example",
    )  # fmt: skip
    assert mail.date == datetime(2026, 3, 3, 9, 14, 9, tzinfo=UTC)
    assert (mail.message_id, mail.in_reply_to, mail.references) == ("<m@x>", "<a@x>", ("<r@x>", "<a@x>"))
    assert mail.text == "Hi"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?q?caf=C3=A9?= =?utf-8?q?_cr=C3=A8me?=", "café crème"),
        ("=?utf-8?b?w6k=?= plain =?utf-8?b?w6k=?=", "é plain é"),
        ("=?utf-8?b?4pw=?= =?utf-8?b?k+KckQ==?=", "✓✑"),
        ("=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?idna?q?xn--bcher?=", "xn--bcher"),
        ("=?zlib_codec?b?eJwDAAAAAAE=?=", "x\u0153\x03\x01".replace("\x03", "").replace("\x01", "")),
        ("=?utf-8?q?a=0D=0ABcc=3A?= x", "a Bcc: x"),
        ("=?utf-8?x?no?=", "=?utf-8?x?no?="),
        ("Gr\udcc3\udcbc\udcc3\udc9fe", "Grüße"),
        ("Gr\udcfc\udcdfe", "Grüße"),
    ],
)
def test_encoded_words_are_decoded_by_charsets_we_know(value, text):
    assert decoded(value) == text


def test_an_address_hidden_in_a_name_stays_a_name():
    [(name, address)] = addresses("=?utf-8?q?mara=40lumen=2Eexample?= <thief@x.example>")

    assert (name, address) == ("mara@lumen.example", "thief@x.example")


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        (b"text/plain; charset=iso-8859-1", b"\x93Gr\xfc\xdfe\x94", "“Grüße”"),
        (b"text/plain; charset=unknown-8bit", "Grüße".encode(), "Grüße"),
        (b"text/plain", b"Gr\xfc\xdfe", "Grüße"),
        (b"text/plain; charset=us-ascii", "Grüße".encode(), "Grüße"),
        (b"text/plain; charset=\"'utf-8'\"", "Grüße".encode(), "Grüße"),
        (b"text/plain; charset=utf-8", b"Gr\xfc\xdfe", "Gr\ufffd\ufffde"),
        (b"text/plain; charset=idna", b"a..b", "a..b"),
        (b"text/plain; charset=utf-7", b"+2AA-x", "?x"),
        (b"text/plain; charset=utf-8", b"a\x00b\x1bc\xef\xbb\xbf", "abc"),
        (b"multipart/mixed; boundary=none", b"lost?", "lost?"),
        (b"text", b"as it is", "as it is"),
    ],
)
def test_text_is_read_whatever_its_charset_claims(content_type, body, text):
    assert read(a_mail(body, content_type)).text == text


def test_html_is_read_where_there_is_no_plain_text():
    parts = b"--x\n\n \n--x\nContent-Type: text/html\n\n<p>Yes &lt;3</p>\n--x--"
    mail = read(a_mail(parts, b"multipart/alternative; boundary=x"))

    assert (mail.text, mail.from_html) == ("Yes <3", True)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a<br>b<br><br>c", "a\nb\n\nc"),
        ("<div>a</div><div>b<br></div><div><br></div><div>c</div>", "a\nb\n\nc"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("a <!-- no --> b<style>no</style><script>no</script>", "a b"),
        ("I <3 it, 2 < 3 > 1", "I <3 it, 2 < 3 > 1"),
        ("<a title='>'>x</a>", "x"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("one<blockquote>two<blockquote>three</blockquote>two</blockquote>four", "one\n> two\n> three\n> two\nfour"),
        ("own<div class='x yahoo_quoted'><div>q</div>q</div>own", "own\n> q\n> q\nown"),
        ("own<div id=divRplyFwdMsg>From</div>all of it", "own\n> From\n> all of it"),
        ("&#9999999999;", "\ufffd"),
        ("&#" + "9" * 5000 + ";", "&#" + "9" * 5000 + ";"),
        ("never<b closed", "never"),
        ("<p title=it's>we don't</p> <b>mind</b>", "we don't\nmind"),
        ("<a href=\"x='>'\">x</a>", "x"),
    ],
)
def test_html_reads_as_a_reader_sees_it(source, text):
    assert plain_text(source) == (text, False)


def test_a_part_that_is_attached_is_named_and_not_read():
    attached = b"Content-Disposition: attachment; filename=a.txt\n\nnot mine\n"
    enclosed = b"Content-Type: message/rfc822\n\nSubject: y\n\nno\n"
    body = b"--x\n\nmine\n--x\n" + attached + b"--x\n" + enclosed + b"--x--"
    mail = read(a_mail(body, b"multipart/mixed; boundary=x"))

    assert mail.text == "mine"
    assert [(file.name, file.size) for file in mail.attachments] == [("a.txt", 8)]


def nested(levels):
    opening = b"".join(b"Content-Type: multipart/mixed; boundary=n%dn\n\n--n%dn\n" % (n, n) for n in range(levels))
    return opening + b"\nhi"


def test_a_bound_that_is_met_is_marked():
    assert read(a_mail()).truncated is False
    assert read(b"X: " + b"a" * 8_001 + b"\n\nhi").truncated
    assert not read(nested(20)).truncated
    assert read(nested(21)).truncated
    assert read(b"X: y\n" * 1_001 + b"\nhi").truncated
    assert read(b"X: " + b" y\n" * 100_000 + b"\nhi").text == "hi"
    assert read(a_mail(b"x" * 1_000_001)).truncated
    assert len(read(a_mail(b"x" * 1_000_001)).text) == 1_000_000
    assert len(read(a_mail(b"--x\n\na\n" * 300, b"multipart/mixed; boundary=x")).part_types) < 200


@given(st.binary(max_size=2000))
@example(b"\r")
@example(b"From: \xff\n\n")
@example(b"Content-Type: multipart/mixed; boundary*=utf-7''%2B2AA-\n\n--\xed\xa0\x80")
@example(b"Content-Disposition: attachment; filename*=idna''a..b\n\n")
@example(b"Date: Mon, 1 Jan 0001 00:00:00 +2359\n\n")
def test_any_bytes_are_a_mail(raw):
    mail = read(raw)

    mail_kind(mail)
    mail.text.encode()
    assert "\x00" not in mail.text + mail.subject + mail.from_name + (mail.from_address or "")


SCRAPS = [
    b"Content-Type: multipart/mixed; boundary=x\n", b"--x\n", b"--x--\n", b"\n", b"\r\n", b"<div>", b"text", b"=\n",
    b"Content-Type: text/html; charset=utf-7\n", b"Content-Transfer-Encoding: base64\n", b"+2AA-", b"=?x", b"&#x;",
    b'Content-Type: multipart/alternative; boundary=""\n', b"<blockquote class=", b"References: <<>\n", b" folded\n",
    b'To: ((("\\\n', b"Date: 99\n", b"Content-Type: message/delivery-status\n", b"\xff\xfe", b"Return-Path: <>\n",
    b"Subject: =?utf-8?q?=\n", b"From: a <\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(SCRAPS), max_size=40).map(b"".join))
def test_scraps_of_mails_are_a_mail(raw):
    mail_kind(read(raw))


@pytest.mark.parametrize("file", sorted((Path(__file__).parent / "mails").glob("*.eml")), ids=lambda file: file.stem)
def test_every_kind_of_mail_is_known_as_one_by_its_headers(file: Path) -> None:
    assert is_mail(file.read_bytes())
