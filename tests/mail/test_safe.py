from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.message import Accepted, Unknown
from followup.errors import ConfigurationError
from followup.mail.safe import OnlyTo
from tests.mail.letters import a_mail, all_sent

INBOX = "shop-test@lumen.example"


def never():
    return False


class Recording:
    """A transport that takes everything, last first, and remembers it."""

    def __init__(self):
        self.sent = []
        self.asked = []

    name = "recording"

    def send(self, mails, *, may_begin):
        self.sent.extend(mails)
        self.may_begin = may_begin
        for mail in reversed(mails):
            yield [(mail, Accepted(f"{mail.token} to {mail.to_email}"))]

    def recover(self, mail):
        self.asked.append(mail)
        return Unknown("who knows")


def only_to(*allowed):
    beyond = Recording()
    return beyond, OnlyTo(beyond, allowed=allowed, inbox=INBOX, outbox=Recording())


def written_to(*addresses):
    return [replace(a_mail(), to_email=address, token=f"t{n}") for n, address in enumerate(addresses)]


def sent(transport, *mails):
    return all_sent(transport, mails, may_begin=never)


def test_a_letter_to_a_stranger_goes_to_the_inbox_and_says_whose_it_was():
    beyond, transport = only_to()
    mail = a_mail(to="ana@example.com", to_name="Ana")

    sent(transport, mail)

    [form] = beyond.sent
    assert form == replace(mail, to_email=INBOX, to_name=None, subject="[to ana@example.com] How is the lamp?")
    assert beyond.may_begin is never


def test_a_letter_to_somebody_who_is_allowed_goes_as_it_is():
    beyond, transport = only_to("Ana@Example.com ", "@Büro.example")
    mails = written_to("ana@example.com", "ANA@EXAMPLE.COM", "x@xn--bro-hoa.example", "x@BÜRO.example")

    sent(transport, *mails)

    assert all(form is mail for form, mail in zip(beyond.sent, mails, strict=True))


@pytest.mark.parametrize(
    "address",
    [
        "bob@example.com",
        "ana+1@example.com",
        "xana@example.com",
        "ana@sub.example.com",
        "ana@example.com.evil.example",
        "x@evilshop.example",
        "x@sub.shop.example",
        "x@shop.example.evil.example",
        "shop.example",
        "@shop.example",
        "",
        " ",
        "ana@example.com, bob@example.com",
        "bob@evil.example\n@shop.example",
        '"x@shop.example"@evil.example',
        "bob@evil.example <x@shop.example>",
    ],
)
def test_whoever_is_not_clearly_allowed_gets_nothing(address):
    beyond, transport = only_to("ana@example.com", "@shop.example")

    sent(transport, *written_to(address))

    assert beyond.sent[0].to_email == INBOX


@given(local=st.text(max_size=20), domain=st.text(max_size=20))
def test_no_address_whatever_gets_past_an_empty_list(local, domain):
    beyond, transport = only_to()

    sent(transport, *written_to(f"{local}@{domain}", local))

    assert {form.to_email for form in beyond.sent} == {INBOX}
    assert not any(mark in form.subject for form in beyond.sent for mark in "\r\n\0")


def test_each_answer_is_about_the_letter_that_was_given():
    _, transport = only_to("b@x.example")
    mails = written_to("a@x.example", "b@x.example", "c@x.example")

    answers = sent(transport, *mails)

    assert [mail is given for (mail, _), given in zip(answers, reversed(mails), strict=True)] == [True] * 3
    assert [answer.provider_id for _, answer in answers] == [f"t2 to {INBOX}", "t1 to b@x.example", f"t0 to {INBOX}"]


def test_what_became_of_a_letter_is_asked_about_the_form_in_which_it_went():
    beyond, transport = only_to("b@x.example")
    stranger, friend = written_to("a@x.example", "b@x.example")

    assert transport.recover(stranger) == Unknown("who knows")
    transport.recover(friend)
    sent(transport, stranger, friend)

    assert beyond.asked == beyond.sent


def test_a_long_subject_stays_within_its_bounds():
    beyond, transport = only_to()

    sent(transport, a_mail(to="ana@example.com", subject="x" * 150))

    assert beyond.sent[0].subject == "[to ana@example.com] " + "x" * 128 + "…"


@pytest.mark.parametrize("entry", ["example.com", "@", "@@example.com", "ana@", "ana@example.com bob@example.com", ""])
def test_an_entry_that_is_no_address_is_refused(entry):
    with pytest.raises(ConfigurationError) as caught:
        only_to(entry)

    assert "FOLLOWUP_TEST_ALLOW" in caught.value.hint


@pytest.mark.parametrize("inbox", ["", "nobody", "@example.com"])
def test_without_an_inbox_there_is_no_test_mode(inbox):
    with pytest.raises(ConfigurationError):
        OnlyTo(Recording(), allowed=(), inbox=inbox, outbox=Recording())


def test_without_an_inbox_strangers_letters_stay_in_the_outbox_as_they_are():
    beyond, outbox = Recording(), Recording()
    transport = OnlyTo(beyond, allowed=["@lumen.example"], inbox=None, outbox=outbox)
    ours, stranger = written_to("mia@lumen.example", "ana@example.com")
    answers = dict((mail.token, answer) for mail, answer in sent(transport, stranger, ours))
    assert (beyond.sent, outbox.sent) == ([ours], [stranger])
    assert answers == {
        ours.token: Accepted(f"{ours.token} to mia@lumen.example"),
        stranger.token: Accepted(f"{stranger.token} to ana@example.com"),
    }
    transport.recover(stranger)
    assert (beyond.asked, outbox.asked) == ([], [stranger])
