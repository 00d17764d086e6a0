"""What customers write comes onto the right record, once, and nothing is lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from followup.core.replies import InboundState, MailKind
from followup.core.tokens import TokenPurpose, sign
from followup.services import converse
from followup.services.receive import receive, store_raw
from tests.services.world import ASK, MONDAY, World, a_purchase, a_reply


@pytest.fixture
def asked(world: World) -> World:
    """Return a shop that has just asked its one customer."""
    world.take_in(a_purchase())
    world.go_to(MONDAY + timedelta(days=2))
    return world


def test_a_reply_is_put_on_the_record_in_the_customers_own_words(asked: World) -> None:
    heard = asked.hear(a_reply(asked.letters()[0], "It came with a dent."))
    assert (heard.state, heard.kind, heard.text) == (InboundState.PROCESSED, MailKind.HUMAN, "It came with a dent.")
    (reply,) = asked.rows("replies")
    assert reply.text == "It came with a dent."
    assert [row.kind for row in asked.rows("events")][-2:] == ["reply.received", "conversation.opened"]
    (conversation,) = asked.rows("conversations")
    assert (conversation.owner, conversation.waiting_since) == ("nell", asked.clock.now())


def test_a_reply_wakes_the_run(asked: World) -> None:
    asked.later(hours=5)
    asked.hear(a_reply(asked.letters()[0]))
    asked.drain()
    assert asked.rows("enrollments")[0].step == "wait-2"


def test_the_same_mail_twice_is_one_reply(asked: World) -> None:
    mail = a_reply(asked.letters()[0])
    asked.hear(mail)
    again = asked.hear(mail)
    assert again.state is InboundState.PROCESSED
    assert len(asked.rows("replies")) == len(asked.rows("inbound_mail")) == 1


def test_the_same_mail_by_another_way_is_one_reply_and_both_copies_are_kept(asked: World) -> None:
    letter = asked.letters()[0]
    asked.hear(a_reply(letter))
    copy = asked.hear(b"Received: by another.example\r\n" + a_reply(letter))
    assert copy.state is InboundState.IGNORED
    assert len(asked.rows("replies")) == 1
    assert len(asked.rows("inbound_mail")) == 2


def test_the_same_mail_read_by_many_at_once_is_one_reply(asked: World) -> None:
    inbound_id, _ = store_raw(asked.engine, a_reply(asked.letters()[0]), channel="test", clock=asked.clock)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: receive(asked.engine, inbound_id, library=asked.library, post=asked.post), range(6)))
    assert len(asked.rows("replies")) == 1
    assert len([row for row in asked.rows("events") if row.kind == "reply.received"]) == 1


def test_a_reply_that_names_an_answer_is_that_answer(asked: World) -> None:
    heard = asked.hear(a_reply(asked.letters()[0], "something is BROKEN."))
    assert heard.answer == "broken"
    asked.drain()
    assert asked.rows("enrollments")[0].outcome == "a person took over"


def test_an_answer_is_matched_in_the_customers_language(world: World) -> None:
    german = ASK.replace('fine: "Yes, all good"', 'fine: "Ja, alles gut"').replace(
        "Something is broken", "Etwas ist kaputt"
    )
    world.apply({"templates/arrived.de.md": german})
    world.take_in(a_purchase(language="de-AT"))
    world.go_to(MONDAY + timedelta(days=2))
    assert world.hear(a_reply(world.letters()[0], "Etwas ist kaputt")).answer == "broken"


def test_a_letter_of_ours_that_comes_back_is_a_machines_and_is_not_answered(asked: World) -> None:
    (file,) = (asked.folder / "outbox").glob("*.eml")
    (letter,) = asked.letters()
    back = f"Delivered-To: {letter['Reply-To'].addresses[0].addr_spec}\r\n".encode()
    heard = asked.hear(back + file.read_bytes())
    assert (heard.kind, heard.answer) == (MailKind.LIST, None)
    asked.drain()
    assert asked.rows("conversations") == asked.rows("answers") == []
    assert len(asked.letters()) == 1


def test_an_out_of_office_note_is_no_answer_and_no_conversation_and_extends_the_timeout(asked: World) -> None:
    mail = a_reply(asked.letters()[0], "I am out of office until 20 March 2026.", Auto_Submitted="auto-replied")
    assert asked.hear(mail).kind is MailKind.AUTO_REPLY
    asked.drain()
    assert asked.rows("conversations") == []
    asked.go_to(MONDAY + timedelta(days=7))
    assert asked.rows("enrollments")[0].state == "active", "without the note it would have given up today"
    asked.go_to(MONDAY + timedelta(days=20))
    assert asked.rows("enrollments")[0].outcome == "silent"


BOUNCE = """\
From: MAILER-DAEMON@mx.example
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <b@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

Your mail could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; ana@example.com
Action: {action}
Status: {status}
--b--
"""


@pytest.mark.parametrize(("action", "status", "ends"), [("failed", "5.1.1", True), ("delayed", "4.4.1", False)])
def test_a_bounce_ends_the_run_and_a_notice_of_delay_does_not(asked: World, action, status, ends) -> None:
    to = asked.letters()[0]["Reply-To"]
    heard = asked.hear(BOUNCE.format(to=to, action=action, status=status).encode())
    assert heard.kind is MailKind.BOUNCE
    asked.drain()
    assert (asked.rows("enrollments")[0].outcome == "bounced") is ends
    assert asked.rows("conversations") == []


def test_a_forged_address_reaches_nobody(asked: World) -> None:
    letter = asked.letters()[0]
    forged = sign(TokenPurpose.REPLY, asked.rows("messages")[0].token, ["another key"])
    fake = {"Reply-To": f"r+{forged}@reply.forge.example", "Subject": "x", "Message-ID": "<x@elsewhere.example>"}
    heard = asked.hear(a_reply(fake))
    assert heard.state is InboundState.UNMATCHED
    assert "customer" in (heard.error or ""), "the sender's address is a suggestion"
    assert asked.rows("replies") == []
    assert letter["Reply-To"] != fake["Reply-To"]


def test_a_mail_to_the_persons_own_address_is_found_by_what_it_refers_to(asked: World) -> None:
    letter = asked.letters()[0]
    direct = {"Reply-To": "nell@forge.example", "Subject": "x", "Message-ID": letter["Message-ID"]}
    assert asked.hear(a_reply(direct)).state is InboundState.PROCESSED


def test_a_mail_that_answers_nothing_is_kept(asked: World) -> None:
    heard = asked.hear(b"From: someone@elsewhere.example\r\nSubject: hello\r\n\r\nhi")
    assert heard.state is InboundState.UNMATCHED
    assert asked.rows("inbound_mail")[0].state == "unmatched"


@pytest.mark.parametrize("raw", [b"x", b"\x00" * 5000, b"To: " + b"a" * 300_000, bytes(range(256)) * 50])
def test_whatever_bytes_arrive_are_kept_and_break_nothing(asked: World, raw: bytes) -> None:
    assert asked.hear(raw).state is InboundState.UNMATCHED
    assert len(asked.rows("inbound_mail")) == 1


def test_a_mail_that_was_only_stored_is_read_by_the_next_sweep_as_of_when_it_came(asked: World) -> None:
    came_at = asked.clock.now()
    store_raw(asked.engine, a_reply(asked.letters()[0]), channel="test", clock=asked.clock)
    asked.later(hours=8)
    (reply,) = asked.rows("replies")
    assert reply.received_at == came_at


class TestClosing:
    def test_held_letters_go_on_when_the_conversation_is_closed_and_are_not_late(self, asked: World) -> None:
        asked.hear(a_reply(asked.letters()[0], "All well, thank you."))
        asked.go_to(MONDAY + timedelta(days=12))
        assert asked.states() == ["accepted", "held"]
        asked.go_to(MONDAY + timedelta(days=60))
        assert converse.close(asked.engine, "ana@example.com", library=asked.library, clock=asked.clock) == 1
        asked.drain()
        assert asked.states() == ["accepted", "accepted"]
        assert [row.kind for row in asked.rows("events")][-2:] == ["conversation.closed", "message.accepted"]

    def test_a_second_mail_makes_it_our_turn_again_in_the_same_conversation(self, asked: World) -> None:
        letter = asked.letters()[0]
        asked.hear(a_reply(letter))
        asked.later(hours=1)
        asked.hear(a_reply(letter, "And another thing.", message_id="<2@mail.example>"))
        assert len(asked.rows("conversations")) == 1

    def test_nothing_open_is_said_so(self, asked: World) -> None:
        with pytest.raises(Exception, match=r"no conversation with ana@example\.com is open"):
            converse.close(asked.engine, "ana@example.com", library=asked.library, clock=asked.clock)
