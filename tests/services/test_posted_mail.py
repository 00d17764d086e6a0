"""Mail that comes in a provider's post: opened by a worker, matched by where it was delivered, tried again if asked."""

import json
from datetime import timedelta
from typing import Any

import pytest

from followup.core.replies import InboundState, MailKind
from followup.errors import NotFound, UsageError
from followup.services import quarantine
from followup.services.receive import Heard, receive, retry, store_post
from tests.inbound.posts import CONTENT_TYPE, a_form, a_raw_post
from tests.services.test_findings import stop_mail
from tests.services.world import MONDAY, World, a_purchase, a_reply


@pytest.fixture
def asked(world: World) -> World:
    """Return a shop that has just asked its one customer."""
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    return world


def read(world: World, body: bytes, content_type: str = CONTENT_TYPE) -> Heard:
    """Store a post as the hook does, and read it as a worker does."""
    inbound_id = store_post(world.engine, body, content_type=content_type, clock=world.clock)
    return receive(world.engine, inbound_id, library=world.library, post=world.post)


def again(world: World, inbound_id: int) -> Heard:
    return retry(world.engine, inbound_id, library=world.library, post=world.post)


def to_nobody(letter: Any, text: str = "It came with a dent.", **headers: str) -> bytes:
    """Return a reply whose headers do not show where it went: a blind copy, a forwarded mail."""
    elsewhere = {"Reply-To": "nell@forge.example", "Subject": letter["Subject"], "Message-ID": "<x@elsewhere.example>"}
    return a_reply(elsewhere, text, **headers)


def test_a_raw_mail_in_a_post_is_a_reply(asked: World) -> None:
    letter = asked.letters()[0]
    heard = read(asked, a_raw_post(a_reply(letter), letter["Reply-To"].addresses[0].addr_spec))
    assert (heard.state, heard.kind, heard.text) == (InboundState.PROCESSED, MailKind.HUMAN, "It came with a dent.")
    assert len(asked.rows("conversations")) == 1


def test_a_mail_that_was_taken_apart_is_a_reply_too(asked: World) -> None:
    letter = asked.letters()[0]
    headers, _, text = a_reply(letter).partition(b"\n\n")
    to = [letter["Reply-To"].addresses[0].addr_spec]
    fields = [("headers", headers), ("text", text), ("envelope", json.dumps({"to": to, "from": "a@b"}).encode())]
    heard = read(asked, a_form(fields))
    assert (heard.state, heard.text) == (InboundState.PROCESSED, "It came with a dent.")
    assert asked.rows("replies")[0].rfc_message_id == "<1@mail.example>"


def test_whose_mail_it_is_follows_from_where_it_was_delivered(asked: World) -> None:
    letter = asked.letters()[0]
    to = letter["Reply-To"].addresses[0].addr_spec
    assert read(asked, a_raw_post(to_nobody(letter))).state is InboundState.UNMATCHED
    assert read(asked, a_raw_post(to_nobody(letter, "Dented."), "x@y.example", to.upper())).text == "Dented."


def test_where_it_was_delivered_outranks_what_its_headers_say(world: World) -> None:
    world.take_in(a_purchase("T-1"), a_purchase("T-2", email="bo@example.com"))
    world.go_to(MONDAY + timedelta(days=2))
    anas, bos = sorted(world.letters(), key=lambda letter: letter["To"])
    delivered = bos["Reply-To"].addresses[0].addr_spec
    assert read(world, a_raw_post(a_reply(anas), delivered)).state is InboundState.PROCESSED
    addresses = {row.id: row.address for row in world.rows("customers")}
    assert [addresses[row.customer_id] for row in world.rows("replies")] == ["bo@example.com"]


def test_an_address_that_stops_in_the_headers_alone_stops_nobody(world: World) -> None:
    world.take_in(a_purchase("T-1"), a_purchase("T-2", email="bo@example.com"))
    world.go_to(MONDAY + timedelta(days=2))
    anas, bos = sorted(world.letters(), key=lambda letter: letter["To"])
    read(world, a_raw_post(stop_mail(anas), bos["Reply-To"].addresses[0].addr_spec))
    assert world.rows("suppressions") == []


def test_a_mail_delivered_to_the_address_that_stops_is_a_wish_to_stop(asked: World) -> None:
    letter = asked.letters()[0]
    stop = letter["List-Unsubscribe"].split("mailto:")[1].split("?")[0]
    assert read(asked, a_raw_post(to_nobody(letter, "stop"), stop)).kind is MailKind.UNSUBSCRIBE
    assert [row.reason for row in asked.rows("suppressions")] == ["unsubscribed"]


def test_the_same_mail_in_two_posts_is_one_reply(asked: World) -> None:
    letter = asked.letters()[0]
    to = letter["Reply-To"].addresses[0].addr_spec
    mail = a_reply(letter)
    assert read(asked, a_raw_post(mail, to)).state is InboundState.PROCESSED
    assert read(asked, a_raw_post(mail, to, sender="another@path.example")).state is InboundState.IGNORED
    assert asked.hear(mail).state is InboundState.IGNORED
    assert len(asked.rows("replies")) == 1


def test_a_mail_without_an_id_in_two_posts_is_one_reply(asked: World) -> None:
    letter = asked.letters()[0]
    to = letter["Reply-To"].addresses[0].addr_spec
    mail = a_reply(letter).replace(b"Message-ID: <1@mail.example>\n", b"")
    assert read(asked, a_raw_post(mail, to)).state is InboundState.PROCESSED
    assert read(asked, a_raw_post(mail, to, sender="another@path.example")).state is InboundState.IGNORED


@pytest.mark.parametrize("body", [b"x", b"--xYzZY\r\n", a_form([("subject", b"hi")])])
def test_a_post_that_holds_no_mail_is_kept_with_the_reason(asked: World, body: bytes) -> None:
    heard = read(asked, body)
    assert heard.state is InboundState.FAILED
    assert heard.error
    assert asked.rows("inbound_mail")[0].error == heard.error


def test_a_post_is_read_by_the_next_sweep(asked: World) -> None:
    letter = asked.letters()[0]
    body = a_raw_post(a_reply(letter), letter["Reply-To"].addresses[0].addr_spec)
    store_post(asked.engine, body, content_type=CONTENT_TYPE, clock=asked.clock)
    asked.drain()
    assert len(asked.rows("replies")) == 1


class TestTryingAgain:
    def kept_aside(self, world: World) -> bytes:
        letter = world.letters()[0]
        body = a_raw_post(a_reply(letter), letter["Reply-To"].addresses[0].addr_spec)
        assert quarantine.keep(world.engine, body, quarantine.UNSIGNED, content_type=CONTENT_TYPE, clock=world.clock)
        return body

    def test_what_was_kept_aside_is_not_touched_unless_somebody_asks(self, asked: World) -> None:
        self.kept_aside(asked)
        heard = receive(asked.engine, 1, library=asked.library, post=asked.post)
        assert (heard.state, heard.error) == (InboundState.FAILED, quarantine.UNSIGNED)
        asked.drain()
        assert asked.rows("replies") == []
        assert again(asked, 1).state is InboundState.PROCESSED
        assert len(asked.rows("replies")) == 1
        assert asked.rows("inbound_mail")[0].error is None

    def test_the_beginning_of_a_mail_that_was_too_large_can_be_read(self, asked: World) -> None:
        letter = asked.letters()[0]
        form = a_form([("envelope", json.dumps({"to": [letter["Reply-To"].addresses[0].addr_spec]}).encode())])
        whole = form[: form.rindex(b"--xYzZY--")] + a_raw_post(a_reply(letter))
        head = whole[: whole.index(b"Did everything")]
        quarantine.keep(asked.engine, head, quarantine.TOO_LARGE, content_type=CONTENT_TYPE, clock=asked.clock)
        assert again(asked, 1).text == "It came with a dent."

    def test_a_mail_that_was_nobodys_may_be_somebodys_now(self, asked: World) -> None:
        letter = asked.letters()[0]
        assert read(asked, a_raw_post(to_nobody(letter))).state is InboundState.UNMATCHED
        assert again(asked, 1).state is InboundState.UNMATCHED

    def test_what_cannot_be_read_cannot_be_read_the_second_time_either(self, asked: World) -> None:
        first = read(asked, b"x")
        assert again(asked, 1) == first

    def test_what_is_on_the_record_stays_as_it_is(self, asked: World) -> None:
        asked.hear(a_reply(asked.letters()[0]))
        with pytest.raises(UsageError, match="processed"):
            again(asked, 1)
        assert len(asked.rows("replies")) == 1

    def test_a_mail_nobody_has_got_round_to_is_read_now(self, asked: World) -> None:
        store_post(asked.engine, b"x", content_type=CONTENT_TYPE, clock=asked.clock)
        assert again(asked, 1).state is InboundState.FAILED

    def test_a_mail_that_is_not_there_is_not_found(self, asked: World) -> None:
        with pytest.raises(NotFound):
            again(asked, 99)


def test_a_wish_to_stop_in_two_posts_stops_once(asked: World) -> None:
    mail = stop_mail(asked.letters()[0])
    for sender in ("a@b.example", "c@d.example"):
        assert read(asked, a_raw_post(mail, sender=sender)).kind is MailKind.UNSUBSCRIBE
    assert [row.kind for row in asked.rows("events")].count("customer.unsubscribed") == 1
