import asyncio
import json
import random
import re
import threading
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sendgrid.helpers.eventwebhook import EventWebhook
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from followup.clock import SystemClock
from followup.mail.sendgrid import SendGrid
from followup.mail.transport import always
from tests.local_sendgrid import LocalSendGrid, Signer, events_for, inbound_form, post_events, post_inbound
from tests.local_sendgrid.hooks import SIGNATURE, TIMESTAMP, events_body
from tests.local_sendgrid.server import EventSender
from tests.mail.letters import a_mail


@pytest.fixture
def hook():
    """A web hook that answers 204 and keeps what came: (headers, body)."""
    came = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            came.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", came
        server.shutdown()
        thread.join()


@pytest.fixture
def accepted():
    """The ledger's entry of a letter that was accepted."""
    with LocalSendGrid() as server:
        list(SendGrid("SG.local", SystemClock(), url=server.url).send([a_mail()], may_begin=always))
        return server.accepted[0]


def genuine(signer, headers, body):
    webhook = EventWebhook(signer.public_key)
    return webhook.verify_signature(body.decode(), headers[SIGNATURE], headers[TIMESTAMP])


def test_events_are_signed_so_that_sendgrids_own_package_takes_them(hook, accepted):
    url, came = hook
    signer = Signer()

    assert post_events(url, events_for(accepted, "processed", "delivered"), signer) == 204

    [(headers, body)] = came
    assert body.endswith(b"]\r\n")
    assert genuine(signer, headers, body)
    assert not genuine(Signer(), headers, body)
    assert not genuine(signer, headers, body.rstrip())


def test_a_key_outlives_the_process_that_made_it():
    signer = Signer()

    assert Signer.from_pem(signer.pem).public_key == signer.public_key


def test_events_name_the_letter_they_are_about(accepted):
    events = events_for(accepted, "processed", "deferred", "delivered", "bounce", "blocked", "dropped", at=100)

    assert [event["event"] for event in events] == [
        "processed", "deferred", "delivered", "bounce", "bounce", "dropped",
    ]  # fmt: skip
    assert {event["fu_token"] for event in events} == {a_mail().token}
    assert {event["email"] for event in events} == {a_mail().to_email}
    assert [event["timestamp"] for event in events] == list(range(100, 106))
    assert all(event["sg_message_id"].startswith(f"{accepted.provider_id}.filter0001") for event in events)
    assert [event["type"] for event in events if event["event"] == "bounce"] == ["bounce", "blocked"]
    assert len({event["sg_event_id"] for event in events}) == 6
    assert json.loads(events_body(events)) == events


def test_what_is_accepted_is_told_of_by_itself_even_twice(hook):
    url, came = hook
    signer = Signer()
    sender = EventSender(url, signer, chaos=random.Random(1))
    with LocalSendGrid(on_entry=sender.tell) as server:
        transport = SendGrid("SG.local", SystemClock(), url=server.url)
        list(transport.send([a_mail() for _ in range(20)], may_begin=always))
    sender.stop()

    events = [event for _, body in came for event in json.loads(body)]
    assert len({event["sg_event_id"] for event in events}) == 40
    assert len(events) > 40
    assert all(genuine(signer, headers, body) for headers, body in came)
    assert {status for _, status in sender.posted} == {204}


def an_answer():
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Zoë <zoe@customer.example>", "r+token@reply.lumen.example", "Re: Grüße"
    mail.set_content("Schön, danke!", charset="iso-8859-1")
    mail.add_alternative("<p>Schön</p>", subtype="html")
    mail.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="lamp.png")
    return mail.as_bytes()


def opened(content_type, body):
    async def stream():
        yield body

    return asyncio.run(MultiPartParser(Headers({"content-type": content_type}), stream()).parse())


def test_an_answer_is_posted_whole():
    mail = an_answer()
    form = opened(*inbound_form(mail, "r+token@reply.lumen.example", "zoe@customer.example"))

    assert form["email"].encode("latin-1") == mail  # starlette's way with a field that is not UTF-8
    assert json.loads(form["envelope"]) == {"to": ["r+token@reply.lumen.example"], "from": "zoe@customer.example"}
    assert form["subject"] == "Re: Grüße"


def test_an_answer_is_posted_in_parts_as_the_default_form_has_them():
    _, body = inbound_form(an_answer(), ["a@x", "b@x"], "zoe@customer.example", parsed=True)
    names = re.findall(rb'name="([^"]+)"', body)

    assert b"Sch\xf6n, danke!" in body  # in the charset that the mail was in, as `charsets` says
    assert {b"headers", b"text", b"html", b"attachments", b"attachment-info", b"attachment1", b"charsets"} <= set(names)
    assert b"email" not in names
    assert b'"text": "iso-8859-1"' in body
    assert b"\x89PNG" in body


def test_an_answer_is_signed_over_the_bytes_of_the_form(hook):
    url, came = hook
    signer = Signer()

    assert post_inbound(url, b"From: a@x\r\n\r\nhi", "r@y", "a@x", signer=signer) == 204
    assert genuine(signer, *came[0])
