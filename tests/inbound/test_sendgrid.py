"""What SendGrid posts: signatures, events and mails, genuine and hostile."""

import json
import time
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from followup.core.events import EventKind
from followup.core.message import Outcome
from followup.core.replies import MailKind
from followup.errors import ConfigurationError
from followup.inbound.form_data import MAX_FIELDS, read_form
from followup.inbound.kind import delivery_failed, mail_kind
from followup.inbound.match import referenced_ids
from followup.inbound.mime import ReadMail, read
from followup.inbound.reply_text import own_words
from followup.inbound.sendgrid import (
    EVENTS_MAX_AGE,
    MAIL_MAX_AGE,
    MAX_EVENTS,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    InboundPost,
    UnreadablePost,
    is_signed,
    public_keys,
    read_events,
    read_post,
    report,
)
from tests.inbound.posts import BOUNDARY, CONTENT_TYPE, Signer, a_form, a_raw_post

# The example that the sendgrid-python project tests itself with.
KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eN"
    "Ec6wEA3F+g=="
)
SIGNATURE = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
TIMESTAMP = "1600112502"
BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
NOW = float(TIMESTAMP)
TOKEN = "abcdefghijklmnop"


class TestSignature:
    def signed(self, *body, signature=SIGNATURE, timestamp=TIMESTAMP, keys=(KEY,), now=NOW, max_age=EVENTS_MAX_AGE):
        parsed = public_keys(keys, setting="KEYS")
        return is_signed(
            iter(body or (BODY,)), signature, timestamp, keys=parsed, max_age_seconds=max_age, real_now=now
        )

    def test_the_published_example_is_signed(self):
        assert len(BODY) == 327
        assert self.signed()

    def test_a_byte_more_or_less_is_not_signed(self):
        assert not self.signed(BODY.strip())
        assert not self.signed(BODY + b" ")
        assert not self.signed(timestamp=str(int(TIMESTAMP) + 1))

    def test_any_of_several_keys_may_have_signed(self):
        other = Signer()
        assert self.signed(keys=(other.public, KEY))
        assert not self.signed(keys=(other.public,))
        assert not self.signed(keys=())

    def test_a_body_that_is_no_text_can_be_signed(self):
        signer, body = Signer(), bytes(range(256)) * 3
        headers = signer.sign(body, NOW)
        named = {"signature": headers[SIGNATURE_HEADER], "timestamp": headers[TIMESTAMP_HEADER]}
        assert self.signed(body, **named, keys=(signer.public,))
        assert self.signed(body[:7], b"", body[7:], **named, keys=(signer.public,))
        assert not self.signed(body[1:], **named, keys=(signer.public,))
        assert not self.signed(body[7:], body[:7], **named, keys=(signer.public,))

    @pytest.mark.parametrize(
        "signature", [None, "", "x", "é", "====", SIGNATURE[:-4], SIGNATURE + "\n", SIGNATURE * 2, "MEUCIQ==", "\x00"]
    )
    def test_a_signature_that_is_none_is_no_error(self, signature):
        assert not self.signed(signature=signature)

    @pytest.mark.parametrize(
        "timestamp", [None, "", "soon", "1e9", "-1", "٣", TIMESTAMP + ".0", " " + TIMESTAMP, "9" * 40]
    )
    def test_a_timestamp_that_is_none_is_no_error(self, timestamp):
        assert not self.signed(timestamp=timestamp)

    @pytest.mark.parametrize(("max_age", "hours"), [(EVENTS_MAX_AGE, 25), (MAIL_MAX_AGE, 73)])
    def test_what_the_provider_may_still_repeat_is_taken_and_nothing_older(self, max_age, hours):
        ages = [hours * 3600, hours * 3600 + 1, -600, -601]
        accepted = [self.signed(max_age=max_age, now=NOW + age) for age in ages]
        assert accepted == [True, False, True, False]

    def test_a_key_may_be_pasted_with_its_first_and_last_line(self):
        pem = f"-----BEGIN PUBLIC KEY-----\n{KEY[:64]}\n{KEY[64:]}\n-----END PUBLIC KEY-----\n"
        assert self.signed(keys=(pem,))
        assert self.signed(keys=(pem.replace("\n", r"\n"),))

    @pytest.mark.parametrize("kind", ["text", "half", "rsa", "curve"])
    def test_a_key_that_is_none_is_refused_by_the_name_of_its_setting(self, kind):
        def shown(key):
            lines = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
            return "".join(lines.splitlines()[1:-1])

        text = {
            "text": lambda: "SG.an-api-key",
            "half": lambda: KEY[:60],
            "rsa": lambda: shown(rsa.generate_private_key(65537, 2048)),
            "curve": lambda: shown(ec.generate_private_key(ec.SECP384R1())),
        }[kind]()
        with pytest.raises(ConfigurationError, match="FOLLOWUP_SENDGRID_EVENT_KEYS"):
            public_keys([KEY, text], setting="FOLLOWUP_SENDGRID_EVENT_KEYS")


class TestEvents:
    def test_an_event_is_kept_as_it_came(self):
        posted = read_events(BODY)
        (event,) = posted.events
        assert event.raw == json.loads(BODY)[0]
        assert event.event_id == "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA"
        assert (event.token, posted.trouble) == (None, "")

    @pytest.mark.parametrize("token", ["", TOKEN.upper(), TOKEN + "a", TOKEN[1:], "a b'; DROP TABLE", 7, None, [TOKEN]])
    def test_what_looks_like_no_token_is_none(self, token):
        (event,) = read_events(json.dumps([{"fu_token": token}]).encode()).events
        assert event.token is None
        (event,) = read_events(json.dumps([{"fu_token": TOKEN}]).encode()).events
        assert event.token == TOKEN

    @pytest.mark.parametrize("event_id", [None, "", "x" * 101, 7])
    def test_an_event_without_a_usable_id_is_named_by_what_it_says(self, event_id):
        def named(**more):
            (event,) = read_events(json.dumps([{"sg_event_id": event_id, **more}]).encode()).events
            return event.event_id

        assert len(named(event="open")) == 64
        assert named(event="open", email="a@b.example") == named(email="a@b.example", event="open")
        assert named(event="open") != named(event="click")

    def test_an_event_posted_twice_in_one_post_is_one(self):
        body = json.dumps([{"sg_event_id": "1", "event": "open"}, {"sg_event_id": "2"}, {"sg_event_id": "1"}])
        assert [one.event_id for one in read_events(body.encode()).events] == ["1", "2"]

    @pytest.mark.parametrize(
        "body",
        [b"", b"{}", b"null", b"<html>", b"[", b"\xff\xfe", b"[" * 100_000, b"[1" + b"0" * 5000 + b"]", b'"text"'],
        ids=lambda body: repr(body[:8]),
    )
    def test_what_is_no_list_of_events_is_kept_with_the_reason(self, body):
        posted = read_events(body)
        assert (posted.events, bool(posted.trouble)) == ((), True)
        assert len(posted.unread) <= 10_000

    def test_what_is_no_event_keeps_no_other_from_being_read(self):
        posted = read_events(b'[1, {"sg_event_id": "1"}, "two", null, [3]]')
        assert [one.event_id for one in posted.events] == ["1"]
        assert (posted.trouble, json.loads(posted.unread)) == ("4 are no objects", [1, "two", None, [3]])

    def test_more_events_than_sendgrid_ever_posts_are_not_read(self):
        assert read_events(b"[" + b"{}," * MAX_EVENTS + b"{}]").trouble == f"more than {MAX_EVENTS} events"

    def test_what_no_database_stores_is_replaced(self):
        body = (
            rb'[{"a\u0000": "b\u0000\ud800", "n": NaN, "i": -Infinity, "big": 1e999, "deep": ' + b"[" * 90 + b"]" * 90
        )
        (event,) = read_events(body + b"}]").events
        assert event.raw["a\ufffd"] == "b\ufffd?"
        assert (event.raw["n"], event.raw["i"], event.raw["big"]) == ("NaN", "-Infinity", "1e999")
        json.dumps(event.raw, allow_nan=False)


class TestReports:
    @pytest.mark.parametrize(
        ("event", "outcome", "stops"),
        [
            ({"event": "processed"}, Outcome.ACCEPTED, None),
            ({"event": "deferred", "attempt": "5"}, Outcome.DEFERRED, None),
            ({"event": "delivered"}, Outcome.DELIVERED, None),
            ({"event": "bounce", "type": "bounce"}, Outcome.BOUNCED, EventKind.MESSAGE_BOUNCED),
            ({"event": "bounce", "type": "blocked"}, Outcome.DROPPED, None),
            ({"event": "dropped", "reason": "Bounced Address"}, Outcome.DROPPED, EventKind.MESSAGE_BOUNCED),
            ({"event": "dropped", "reason": "Invalid"}, Outcome.DROPPED, EventKind.MESSAGE_BOUNCED),
            ({"event": "dropped", "reason": "Spam Reporting Address"}, Outcome.DROPPED, EventKind.MESSAGE_COMPLAINED),
            ({"event": "dropped", "reason": "Unsubscribed Address"}, Outcome.DROPPED, EventKind.CUSTOMER_UNSUBSCRIBED),
            ({"event": "dropped", "reason": "Recipient List over Package Quota"}, Outcome.DROPPED, None),
            ({"event": "spamreport"}, Outcome.COMPLAINED, EventKind.MESSAGE_COMPLAINED),
            ({"event": "unsubscribe"}, None, EventKind.CUSTOMER_UNSUBSCRIBED),
            ({"event": "group_unsubscribe"}, None, EventKind.CUSTOMER_UNSUBSCRIBED),
            ({"event": "group_resubscribe"}, None, None),
            ({"event": "open"}, None, None),
            ({"event": "click"}, None, None),
            ({"event": "account_status_change"}, None, None),
            ({"event": ["bounce"]}, None, None),
            ({}, None, None),
        ],
    )
    def test_each_kind_means_what_it_means(self, event, outcome, stops):
        found = report(event)
        assert (found.outcome, found.stops) == (outcome, stops)
        assert found.says_nothing is (outcome is None and stops is None)

    def test_the_published_example_is_read(self):
        found = report(json.loads(BODY)[0])
        assert found.address == "hello@world.com"
        assert found.at == datetime(2020, 9, 14, 19, 41, 32, tzinfo=UTC)
        assert found.provider_id == "LRzXl_NHStOGhQ4kofSm_A"
        assert found.message_id == "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>"
        assert found.reason == "Bounced Address"

    @pytest.mark.parametrize("timestamp", [None, "soon", True, 10**30, -(10**30), 1.5, [1]])
    def test_a_moment_that_is_none_is_left_out(self, timestamp):
        assert report({"timestamp": timestamp}).at is None

    @pytest.mark.parametrize("message_id", ["", "no brackets@x", "<a@b>\r\nx: y", "<a b@c>", f"<{'a' * 600}@b>", 7])
    def test_a_message_id_that_is_none_is_left_out(self, message_id):
        assert report({"smtp-id": message_id}).message_id is None

    def test_whatever_a_field_holds_is_bounded(self):
        found = report(dict.fromkeys(("event", "reason", "email", "sg_message_id", "smtp-id", "type"), "x" * 1_000_000))
        assert max(map(len, (found.kind, found.reason, found.address))) <= 500


MAIL = (
    b"From: Ana <ana@example.com>\r\nTo: nell@forge.example\r\nSubject: Re: hi\r\nMessage-ID: <1@mail.example>\r\n"
    b"\r\nIt came with a dent, \xe9t\xff.\r\n"
)


def opened(body: bytes, content_type: str = CONTENT_TYPE) -> InboundPost:
    post = read_post(body, content_type)
    assert isinstance(post, InboundPost), post
    return post


class TestRawPosts:
    @pytest.mark.parametrize(
        "mail", [MAIL, MAIL.replace(b"\r\n", b"\n"), b"x", bytes(range(256)) * 99, MAIL + b"\r\n\r\n"]
    )
    def test_the_mail_comes_out_byte_for_byte(self, mail):
        post = opened(a_raw_post(mail, "r+one@reply.example", "r+two@reply.example"))
        assert post.raw == mail
        assert post.envelope_to == ("r+one@reply.example", "r+two@reply.example")
        assert post.envelope_from == "ana@example.com"

    @pytest.mark.parametrize(
        "envelope", [b"", b"{", b"[]", b"null", b'{"to": "a@b"}', b'{"to": [1, null, {}]}', b"[" * 99_999, b"\xff"]
    )
    def test_an_envelope_that_is_none_leaves_the_mail(self, envelope):
        post = opened(a_form([("email", MAIL), ("envelope", envelope)]))
        assert (post.raw, post.envelope_to, post.envelope_from) == (MAIL, (), None)

    def test_an_envelope_is_bounded_and_clean(self):
        envelope = json.dumps({"to": [f"{n}\x00@x.example" for n in range(9_999)] * 2, "from": "y" * 9_999}).encode()[
            :99_000
        ]
        assert opened(a_form([("email", MAIL), ("envelope", envelope)])).envelope_to == ()  # cut, and so no JSON
        envelope = json.dumps({"to": [f"{n}\x00@x.example" for n in range(900)], "from": "y" * 9_999}).encode()
        post = opened(a_form([("email", MAIL), ("envelope", envelope)]))
        assert (len(post.envelope_to), post.envelope_to[0], len(post.envelope_from or "")) == (500, "0@x.example", 320)

    def test_a_mail_posted_as_a_file_is_whole_as_well(self):
        mail = MAIL + b"more\r\n" * 50_000
        assert opened(a_form([], [("email", "mail.eml", "message/rfc822", mail)])).raw == mail

    def test_a_post_that_breaks_off_is_read_as_far_as_it_goes(self):
        whole = a_raw_post(MAIL)
        assert opened(whole[: whole.index(b"dent")]).raw == MAIL[: MAIL.index(b"dent")]

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (a_raw_post(MAIL), "application/json"),
            (a_raw_post(MAIL), "multipart/form-data"),
            (a_raw_post(MAIL), "multipart/form-data; boundary=" + "x" * 400),
            (a_raw_post(MAIL), 'multipart/form-data; boundary="another"'),
            (a_raw_post(MAIL), "\x00; boundary=\x00"),
            (a_raw_post(MAIL), "multipart/mixed; boundary=" + BOUNDARY),
            (b"", CONTENT_TYPE),
            (b"email=x", CONTENT_TYPE),
            (a_form([("email", b" \r\n"), ("subject", b"x")]), CONTENT_TYPE),
            (a_form([("other", b"x")]), CONTENT_TYPE),
            (b"--xYzZY\r\nno header\r\n\r\nx\r\n--xYzZY--", CONTENT_TYPE),
        ],
        ids=range(11),
    )
    def test_a_post_without_a_mail_is_a_reason(self, body, content_type):
        post = read_post(body, content_type)
        assert isinstance(post, UnreadablePost)
        assert 0 < len(post.reason) <= 200


HEADERS = (
    b"Received: by mx.example\nFrom: Ana Li <ana@example.com>\nTo: r+x@reply.example\nSubject: Re: hi\n"
    b"Message-ID: <1@mail.example>\nIn-Reply-To: <2@reply.example>\nReferences: <3@reply.example>\n <2@reply.example>\n"
    b"MIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary=old\nContent-Transfer-Encoding: 7bit\n"
)
REPORT = b"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; ana@example.com\nAction: failed\nStatus: 5.1.1\n"


def parsed(*fields: tuple[str, bytes], headers: bytes = HEADERS, files=()) -> ReadMail:
    return read(opened(a_form([("headers", headers), *fields], files)).raw)


class TestParsedPosts:
    def test_the_mail_that_is_put_together_says_the_same(self):
        mail = parsed(("text", b"It came with a dent."), ("html", b"<p>It came with a dent.</p>"))
        assert (mail.from_address, mail.from_name, mail.subject) == ("ana@example.com", "Ana Li", "Re: hi")
        assert (mail.message_id, mail.in_reply_to) == ("<1@mail.example>", "<2@reply.example>")
        assert referenced_ids(mail) == ["<2@reply.example>", "<3@reply.example>"]
        assert (mail.text, mail.from_html, mail.attachments) == ("It came with a dent.", False, ())
        assert own_words(mail, []).text == "It came with a dent."
        assert mail_kind(mail) is MailKind.HUMAN

    def test_each_text_is_in_the_charset_it_was_posted_in(self):
        charsets = b'{"text":"iso-8859-1","html":"utf-8"}'
        assert parsed(("text", "é".encode("latin-1")), ("charsets", charsets)).text == "é"
        mail = parsed(("html", "<b>ü</b>".encode()), ("charsets", charsets))
        assert (mail.text.strip(), mail.from_html) == ("ü", True)

    @pytest.mark.parametrize(
        "charsets", [b"[]", b"{", b'{"text": 1}', b'{"text": "x\\r\\nSubject: y"}', b'{"text": "idna"}']
    )
    def test_a_charset_that_is_none_is_guessed(self, charsets):
        mail = parsed(("text", "é".encode()), ("charsets", charsets))
        assert (mail.text, mail.subject) == ("é", "Re: hi")

    def test_files_are_named_and_left_out(self):
        picture = ("attachment1", "dent.jpg", "image/jpeg", b"\xff" * 200_000)
        note = ("attachment2", "übel.txt", "no type", b"x")
        post = opened(a_form([("headers", HEADERS), ("text", b"see")], [picture, note]))
        assert len(post.raw) < 2_000
        mail = read(post.raw)
        assert [(file.name, file.content_type) for file in mail.attachments] == [
            ("dent.jpg", "image/jpeg"),
            ("übel.txt", "application/octet-stream"),
        ]
        assert mail.text == "see"

    def test_a_machines_mail_is_one_by_its_headers(self):
        assert (
            mail_kind(parsed(("text", b"away"), headers=HEADERS + b"Auto-Submitted: auto-replied\n"))
            is MailKind.AUTO_REPLY
        )

    def test_a_delivery_report_keeps_its_reports(self):
        headers = HEADERS.replace(b"multipart/mixed;", b"multipart/report; report-type=delivery-status;")
        files = [
            ("attachment1", "status", "message/delivery-status", REPORT),
            ("attachment2", "returned", "message/rfc822", b"Message-ID: <abcdefghijklmnop@reply.example>\n\nhi"),
        ]
        mail = parsed(("text", b"could not be delivered"), headers=headers, files=files)
        assert (mail_kind(mail), mail.is_delivery_report, delivery_failed(mail)) == (MailKind.BOUNCE, True, True)
        assert "<abcdefghijklmnop@reply.example>" in referenced_ids(mail)

    def test_what_the_headers_leave_out_is_taken_from_the_fields(self):
        post = a_form(
            [("text", b"hi"), ("from", "Zoë <zoe@example.com>\r\nBcc: x@y".encode()), ("subject", "Ünter".encode())]
        )
        mail = read(opened(post).raw)
        assert (mail.from_address, mail.subject, "bcc" in mail.headers) == ("zoe@example.com", "Ünter", False)

    def test_the_same_post_is_the_same_mail(self):
        post = a_form([("headers", HEADERS), ("text", b"hi")])
        assert opened(post).raw == opened(post).raw

    def test_headers_that_end_early_take_no_body_along(self):
        mail = parsed(("text", b"hi"), headers=b"From: a@b.example\n\nforged\n\n--x\nSubject: late\n")
        assert (mail.from_address, mail.subject, mail.text) == ("a@b.example", "late", "hi")


SIZE = 8_000_000
OPENING = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="email"\r\n\r\n'.encode()


def filled(scrap: bytes) -> bytes:
    return scrap * (SIZE // len(scrap))


HOSTILE = {
    "boundaries": filled(f"--{BOUNDARY}\r\n".encode()),
    "empty parts": filled(f"--{BOUNDARY}\r\n\r\n\r\n".encode()),
    "near boundaries": OPENING + filled(f"\r\n--{BOUNDARY[:-1]}".encode()),
    "ends of lines": OPENING + filled(b"\r\n"),
    "carriage returns": OPENING + filled(b"\r"),
    "many headers": f"--{BOUNDARY}\r\n".encode() + filled(b"a: b\r\n"),
    "a long header": f"--{BOUNDARY}\r\n".encode() + filled(b"a"),
    "parameters": b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: form-data" + filled(b"; a*0*=utf-8''x"),
    "many fields": filled(OPENING + b"\r\n"),
    "before the first": filled(b"x"),
    "headers of a mail": a_form([("headers", filled(b" \n"))]),
    "charsets": a_form([("text", b"x"), ("charsets", filled(b"["))]),
    "text": a_form([("text", filled(b"\xff")), ("html", filled(b"<"))]),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_post_costs_little_time(body):
    began = time.process_time()
    read_post(body, CONTENT_TYPE)
    assert time.process_time() - began < 3


def test_a_form_is_read_up_to_so_many_fields():
    form = read_form(a_form([(f"f{n}", b"x") for n in range(MAX_FIELDS + 5)]), CONTENT_TYPE)
    assert len(form.fields) == MAX_FIELDS
    assert "more than" in form.trouble


def test_hostile_events_cost_little_time():
    began = time.process_time()
    for body in (b"[" + b"{}," * 1_300_000 + b"{}]", b'[{"a":' * 300_000, b'["' + b"\\u0000" * 600_000 + b'"]'):
        read_events(body)
    assert time.process_time() - began < 5
