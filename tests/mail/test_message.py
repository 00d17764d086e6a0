from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.customer import InvalidAddress
from followup.core.tokens import TokenPurpose, verify
from followup.mail.message import Origin, OutgoingMail, Thread, answer_url, feedback_id, stop_url, to_bytes
from tests.mail.letters import IDENTITY, KEYS, NAME, NOW, a_mail, named


def opened(mail):
    """Open *mail* with the strict modern parser, which shares no code with how it was written."""
    return message_from_bytes(to_bytes(mail), policy=default)


def test_a_mail_opens_with_its_text_first_and_its_html_preferred():
    message = opened(a_mail(text="Grüße – 你好\nFrom me\n.\n" + "x" * 2000, html="<p>Grüße</p>"))

    text, html = message.iter_parts()
    assert message.get_content_type() == "multipart/alternative"
    assert text.get_content().splitlines() == ["Grüße – 你好", "From me", ".", "x" * 2000]
    assert html.get_content().strip() == "<p>Grüße</p>"
    assert not message.defects
    assert not text.defects


def test_a_person_writes_and_the_answer_comes_back_to_a_signed_address():
    message = opened(a_mail())

    reply_to = message["Reply-To"].addresses[0]
    assert message["From"] == "Mara Lind <mara@lumen.example>"
    assert message["To"] == "Joan <joan@customer.example>"
    assert (reply_to.display_name, reply_to.domain) == ("Mara Lind", "reply.lumen.example")
    prefix, token = reply_to.username.split("+")
    assert prefix == "r"
    assert verify(TokenPurpose.REPLY, token, KEYS) == NAME
    assert len(reply_to.username) <= 64
    assert message["Message-ID"] == f"<{NAME}@reply.lumen.example>"
    assert message["Date"].datetime == NOW.replace(microsecond=0)


def test_one_click_unsubscription_is_offered_by_link_and_by_mail():
    message = opened(a_mail())

    link, address = (part.strip("<> ") for part in message["List-Unsubscribe"].split(","))
    assert verify(TokenPurpose.STOP, link.removeprefix("https://follow.lumen.example/u/"), KEYS) == NAME
    assert address.startswith("mailto:u+")
    assert address.endswith("@reply.lumen.example?subject=unsubscribe")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_a_letter_asks_for_an_answer_but_not_for_a_machines():
    message = opened(a_mail())

    assert message["X-Auto-Response-Suppress"] == "AutoReply"
    assert message["Auto-Submitted"] is None


def test_a_feedback_id_has_four_bounded_fields_that_separate_nothing_else():
    given_id = feedback_id("After: a lamp", "x" * 100, "Köhler & Söhne, Inc.")

    assert given_id == f"after-a-lamp:{'x' * 40}:kohler-sohne-inc:followup"
    assert feedback_id("…", "", "店").split(":") == ["none", "none", "none", "followup"]


def test_a_thread_names_its_parent_and_its_ancestors_and_nothing_that_is_no_id():
    thread = Thread("<last@x>", ("<first@x>", "no id", "<evil@x>\r\nBcc: all@x", *(f"<{n}@x>" for n in range(40))))
    message = opened(a_mail(thread=thread))

    references = message["References"].split()
    assert message["In-Reply-To"] == "<last@x>"
    assert (references[0], references[-1], len(references)) == ("<first@x>", "<last@x>", 20)
    assert message["Bcc"] is None


def test_an_id_that_is_none_is_no_parent():
    message = opened(a_mail(thread=Thread("<evil@x>\nBcc: all@x")))

    assert message["In-Reply-To"] is None
    assert message["References"] is None


def test_a_domain_in_any_script_is_written_in_the_form_that_every_relay_takes():
    mail = a_mail(to="Joan@Bücher.example")

    assert mail.to_email == "Joan@xn--bcher-kva.example"
    assert opened(mail)["To"].addresses[0].addr_spec == "Joan@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example\r\nBcc: c@d.example",
        "a\x00@b.example",
        "a@b.example, c@d.example",
        "a b@c.example",
        "a@b",
        "ü@b.example",
    ],
)
def test_an_address_that_is_not_one_plain_address_is_refused(address):
    with pytest.raises(InvalidAddress):
        a_mail(to=address)


def test_links_quote_what_they_are_given():
    assert answer_url("https://x.example/", "TOKEN", "not good/ü") == "https://x.example/a/TOKEN/not%20good%2F%C3%BC"
    assert stop_url("https://x.example", "TOKEN") == "https://x.example/u/TOKEN"
    token = IDENTITY.answer_url(NAME, "2").split("/")[-2]
    assert verify(TokenPurpose.ANSWER, token, KEYS) == NAME


def test_keys_do_not_show_when_an_identity_is_printed():
    assert KEYS[0] not in repr(IDENTITY)


def test_the_same_mail_is_the_same_bytes_before_and_after_storage():
    mail = a_mail(to_name="Zoë", subject="Grüße")

    assert OutgoingMail.from_json(mail.to_json()) == mail
    assert to_bytes(OutgoingMail.from_json(mail.to_json())) == to_bytes(mail)


def test_bytes_are_fit_for_smtp():
    content = to_bytes(a_mail(text="ü" * 3000 + "\r\n\rline", html="<p>" + "<b>x</b>" * 3000 + "</p>", to_name="Żółw"))

    lines = content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert content.isascii()
    assert all(b"\r" not in line and b"\n" not in line for line in lines)


ANYTHING = st.text(max_size=200) | st.text('\r\n\x00\u2028\u2029\x85 :,;<>"\\=?ü\u202e\ud800abc', max_size=200)
EXPECTED = [
    "Content-Type", "MIME-Version", "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To",
    "References", "List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID", "X-Auto-Response-Suppress",
]  # fmt: skip


@given(subject=ANYTHING, sender=ANYTHING, to_name=ANYTHING, workflow=ANYTHING, parent=ANYTHING)
def test_no_text_whatever_adds_a_header_or_an_address(subject, sender, to_name, workflow, parent):
    mail = a_mail(
        subject=subject,
        sender=named(sender or "x"),
        to_name=to_name,
        origin=Origin(workflow, workflow, workflow, "Lumen"),
        thread=Thread("<p@x>", (parent,)),
        text=subject,
        html=parent,
    )
    message = opened(mail)

    assert message.keys() == EXPECTED
    for header, address in (("From", "mara@lumen.example"), ("To", "joan@customer.example")):
        assert [found.addr_spec for found in message[header].addresses] == [address]
    assert len(message["Reply-To"].addresses) == 1
    assert message["Feedback-ID"].count(":") == 3
    assert OutgoingMail.from_json(mail.to_json()) == mail


@given(subject=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=150))
def test_a_subject_arrives_as_it_was_written(subject):
    assert opened(a_mail(subject=subject))["Subject"] == subject


@given(name=st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters=',;<>"'), min_size=1, max_size=80))
def test_a_name_arrives_as_it_was_written(name):
    # The modern parser leaves the space between two encoded words in place (RFC 2047, 6.2, drops it).
    written, address = parseaddr(message_from_bytes(to_bytes(a_mail(sender=named(name))))["From"])
    assert (str(make_header(decode_header(written))), address) == (name, "mara@lumen.example")


def test_what_looks_encoded_arrives_as_it_looks():
    message = opened(a_mail(subject="=?utf-8?q?free?=", sender=named("=?utf-8?q?Bank?=")))

    assert message["Subject"] == "=?utf-8?q?free?="
    assert message["From"].addresses[0].display_name == "=?utf-8?q?Bank?="


def test_a_name_loses_what_separates_addresses_and_what_turns_the_reading_direction():
    assert a_mail(sender=named('Li;nd, "M" <a@b>\u202e x')).from_name == "Lind M a@b x"


def test_what_is_too_long_is_cut_where_it_shows():
    mail = a_mail(subject="x" * 500, sender=named("y" * 500))

    assert mail.subject == "x" * 149 + "…"
    assert mail.from_name == "y" * 79 + "…"
