import logging
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest

from followup.clock import VirtualClock
from followup.core.message import Accepted, Misconfigured, Rejected, RetrySafe, Unknown
from followup.errors import ConfigurationError
from followup.mail.message import to_bytes
from followup.mail.smtp import Server, Smtp, Tls, check, parse_server
from followup.mail.transport import NOT_BEGUN, Check, Transport, always
from tests.mail.certificates import self_signed
from tests.mail.letters import a_mail, all_sent, within
from tests.mail.smtp_server import BREAK, DRIP, HANG, SmtpServer

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLOCK = VirtualClock(NOW)


def smtp(server, user="", **more):
    return Smtp(f"smtp://{user}127.0.0.1:{server.port}", CLOCK, **more)


def mails(count):
    return [replace(a_mail(), token=f"token{number}", to_email=f"joan{number}@x.example") for number in range(count)]


def sent(transport: Transport, *given, may_begin=always):
    return [answer for _, answer in all_sent(transport, given, may_begin=may_begin)]


def one(transport, mail=None):
    [answer] = sent(transport, mail or a_mail())
    return answer


def test_a_letter_arrives_byte_for_byte_for_its_recipient_alone():
    mail = a_mail(text=".\n..\n.hidden\nGrüße\n.", html="<p>Grüße</p>")
    with SmtpServer() as server:
        assert one(smtp(server), mail) == Accepted(mail.token)

    [(sender, recipient, content)] = server.letters
    assert (sender, recipient) == (mail.from_email, mail.to_email)
    assert content == to_bytes(mail)
    text = message_from_bytes(content, policy=default).get_body(("plain",)).get_content()
    assert text.splitlines() == [".", "..", ".hidden", "Grüße", "."]


def test_letters_go_one_after_the_other_over_one_connection():
    with SmtpServer() as server:
        assert sent(smtp(server), *mails(5)) == [Accepted(f"token{number}") for number in range(5)]

    assert [letter[1] for letter in server.letters] == [mail.to_email for mail in mails(5)]
    assert server.connections == 1
    assert server.commands[-1] == "QUIT"


def test_no_letter_no_connection():
    with SmtpServer() as server:
        assert sent(smtp(server)) == []
        assert server.connections == 0


@pytest.mark.parametrize("methods", ["PLAIN", "LOGIN", "CRAM-MD5 PLAIN"])
def test_a_user_logs_in_with_whatever_both_sides_know(methods):
    says = {"EHLO": [f"AUTH {methods}"]}
    with SmtpServer(says, users={"shop@x": "p@ss:/word"}) as server:
        assert isinstance(one(smtp(server, "shop%40x:p%40ss%3A%2Fword@")), Accepted)


@pytest.mark.parametrize(
    ("says", "kind", "reason"),
    [
        ({"MAIL": "550 5.7.1 not yours"}, Rejected, "550: 5.7.1 not yours"),
        ({"MAIL": "451 later"}, RetrySafe, "451"),
        ({"MAIL": "530 5.7.0 Authentication required"}, Misconfigured, "FOLLOWUP_SMTP_URL"),
        ({"RCPT": "550 5.1.1 <joan@customer.example>: unknown"}, Rejected, "<[address]>: unknown"),
        ({"RCPT": "450 4.2.0 greylisted"}, RetrySafe, "greylisted"),
        ({"RCPT": "421 closing"}, RetrySafe, "421"),
        ({"DATA": "554 no"}, Rejected, "554"),
        ({"DATA": "451 later"}, RetrySafe, "451"),
        ({"DATA": "250 what"}, RetrySafe, "nothing was handed over"),
        ({"MAIL": "what?"}, RetrySafe, "nothing was handed over"),
        ({"END": "554 5.7.1 spam"}, Rejected, "spam"),
        ({"END": "452 full"}, RetrySafe, "full"),
        ({"END": "354 go on"}, Unknown, "354"),
        ({"END": "what?"}, Unknown, "-1"),
        ({"END": "250 ok~"}, Unknown, "no answer"),
        ({"END": "250-ok~"}, Unknown, "no answer"),
        ({"END": BREAK}, Unknown, "no answer"),
        ({"END": HANG}, Unknown, "no answer"),
        ({"END": "250 " + "x" * 9000}, Unknown, "Line too long"),
        ({"DATA": BREAK}, RetrySafe, "nothing was handed over"),
        ({"RCPT": HANG}, RetrySafe, "nothing was handed over"),
        ({"MAIL": BREAK}, RetrySafe, "nothing was handed over"),
        ({"GREETING": "554 go away"}, RetrySafe, "554"),
        ({"GREETING": BREAK}, RetrySafe, "no connection"),
        ({"GREETING": HANG}, RetrySafe, "no connection"),
    ],
)
def test_what_the_server_says_decides_what_is_safe_next(says, kind, reason):
    with SmtpServer(says) as server:
        begun = time.monotonic()
        answer = one(smtp(server, deadline_seconds=0.3))
        passed = time.monotonic() - begun

    assert isinstance(answer, kind)
    assert passed < 3
    assert reason in answer.reason
    assert "customer.example" not in answer.reason
    if kind is RetrySafe:
        assert answer.not_before == NOW, "the row says how long to wait"
        assert server.letters == []


def test_a_refused_letter_does_not_touch_the_next():
    first, second, third = mails(3)
    with SmtpServer({f"RCPT {first.to_email}": "550 no", "END": ["554 spam"]}) as server:
        answers = sent(smtp(server), first, second, third)

    assert [type(answer) for answer in answers] == [Rejected, Rejected, Accepted]
    assert [letter[1] for letter in server.letters] == [third.to_email]
    assert server.connections == 1


@pytest.mark.parametrize("end", [BREAK, "421 4.3.2 going down", "what?"])
def test_after_a_connection_that_ended_the_next_letter_has_a_new_one(end):
    with SmtpServer({"END": [end]}) as server:
        answers = sent(smtp(server), *mails(3))

    assert [type(answer) for answer in answers[1:]] == [Accepted, Accepted]
    assert server.connections == 2


def test_a_server_that_is_away_is_asked_once_for_all_letters():
    with SmtpServer({"GREETING": "421 busy"}) as server:
        answers = sent(smtp(server), *mails(5))

    assert [type(answer) for answer in answers] == [RetrySafe] * 5
    assert server.connections == 1


def test_without_a_connection_nothing_has_left():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    for place in (f"127.0.0.1:{port}", "no-such-host.invalid:587"):
        answer = one(Smtp(f"smtp://{place}", CLOCK))
        assert isinstance(answer, RetrySafe)
        assert place in answer.reason


@pytest.mark.parametrize(("says", "kind"), [({"GREETING": DRIP}, RetrySafe), ({"END": DRIP}, Unknown)])
def test_an_answer_that_drips_ends_at_the_deadline(says, kind):
    with SmtpServer(says) as server:
        begun = time.monotonic()
        answer = one(smtp(server, deadline_seconds=0.3))
        passed = time.monotonic() - begun

    assert isinstance(answer, kind)
    assert passed < 3


def test_what_has_not_begun_in_time_does_not_begin():
    with SmtpServer() as server:
        answers = sent(smtp(server), *mails(3), may_begin=within(-1))
        assert server.connections == 0

    assert all(isinstance(answer, RetrySafe) and answer.reason == NOT_BEGUN for answer in answers)


def test_what_can_no_longer_begin_after_a_slow_letter_does_not():
    with SmtpServer({"END": [HANG]}) as server:
        answers = sent(smtp(server, deadline_seconds=0.4), *mails(3), may_begin=within(0.2))

    assert [type(answer) for answer in answers] == [Unknown, RetrySafe, RetrySafe]
    assert len(server.letters) == 1


def test_a_wrong_password_is_our_own_fault_and_is_not_shown():
    with SmtpServer(users={"shop": "right"}) as server:
        answers = sent(smtp(server, "shop:wrong-secret@"), *mails(3))

    assert [type(answer) for answer in answers] == [Misconfigured] * 3
    assert "FOLLOWUP_SMTP_URL" in answers[0].reason
    assert "secret" not in answers[0].reason
    assert server.connections == 1


@pytest.mark.parametrize(
    ("says", "user", "kind"),
    [
        ({"AUTH": "454 4.7.0 later"}, "shop:right@", RetrySafe),
        ({"EHLO": []}, "shop:right@", Misconfigured),
        ({"EHLO": ["AUTH GSSAPI"]}, "shop:right@", Misconfigured),
        ({}, "shöp:right@", Misconfigured),
    ],
)
def test_a_login_that_fails_says_whose_turn_it_is(says, user, kind):
    with SmtpServer(says, users={"shop": "right"}) as server:
        assert isinstance(one(smtp(server, user)), kind)
        assert server.letters == []


def test_a_letter_goes_encrypted_and_logged_in(tmp_path, monkeypatch):
    file, context = self_signed(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with SmtpServer(tls=context, implicit=True, users={"shop": "right"}) as server:
        assert isinstance(one(Smtp(f"smtps://shop:right@localhost:{server.port}", CLOCK)), Accepted)


def test_starttls_comes_before_the_password(tmp_path, monkeypatch):
    # localhost needs no STARTTLS, so it goes by another of its names
    file, context = self_signed(tmp_path, "localhost.localdomain")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setattr(socket, "getaddrinfo", _to_this_machine(socket.getaddrinfo))
    with SmtpServer(tls=context, users={"shop": "right"}) as server:
        url = f"smtp://shop:right@localhost.localdomain:{server.port}"
        assert isinstance(one(Smtp(url, CLOCK)), Accepted)

    assert server.commands[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


def _to_this_machine(real):
    return lambda host, *more, **named: real("127.0.0.1", *more, **named)


def test_a_server_that_offers_no_encryption_gets_neither_letter_nor_password(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", _to_this_machine(socket.getaddrinfo))
    with SmtpServer(users={"shop": "right"}) as server:
        answer = one(Smtp(f"smtp://shop:right@smtp.example.com:{server.port}", CLOCK))
        plain = one(Smtp(f"smtp://shop:right@smtp.example.com:{server.port}?tls=off", CLOCK))

    assert isinstance(answer, Misconfigured)
    assert "tls=off" in answer.reason
    assert isinstance(plain, Accepted)
    assert len(server.letters) == 1


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_that_nobody_we_trust_signed_stops_the_letter(tmp_path, monkeypatch, implicit):
    _, context = self_signed(tmp_path, "smtp.example.com")
    monkeypatch.setattr(socket, "getaddrinfo", _to_this_machine(socket.getaddrinfo))
    with SmtpServer(tls=context, implicit=implicit, users={"shop": "right"}) as server:
        scheme = "smtps" if implicit else "smtp"
        answer = one(Smtp(f"{scheme}://shop:right@smtp.example.com:{server.port}", CLOCK))

    assert isinstance(answer, RetrySafe)
    assert "certificate" in answer.reason
    assert "AUTH" not in server.commands


def test_a_bug_with_one_letter_costs_the_others_nothing(caplog):
    good, bad = mails(2)
    bads = [replace(bad, to_email="a\r\nb"), replace(bad, text="\ud800"), replace(bad, subject=7)]
    with SmtpServer() as server, caplog.at_level(logging.ERROR):
        answers = sent(smtp(server), *bads, good)

    assert [type(answer) for answer in answers] == [Rejected, Rejected, RetrySafe, Accepted]
    assert "AttributeError" in answers[2].reason
    assert [letter[1] for letter in server.letters] == [good.to_email]


def test_nobody_can_say_what_became_of_a_letter():
    assert isinstance(Smtp("smtp://localhost", CLOCK).recover(a_mail()), Unknown)


def test_a_caller_that_stops_early_ends_the_connection():
    with SmtpServer() as server:
        going = smtp(server).send(mails(3), may_begin=always)
        next(going)
        going.close()

    assert len(server.letters) == 1
    assert server.commands[-1] == "QUIT"


# The look at the way out


def look(server, user="", scheme="smtp", host="127.0.0.1", **more):
    return check(f"{scheme}://{user}{host}:{server.port}", **more)


def test_a_check_logs_in_and_hands_nothing_over():
    with SmtpServer(users={"shop": "right"}) as server:
        assert look(server, "shop:right@") == Check()

    assert server.commands == ["EHLO", "AUTH", "QUIT"]
    assert server.letters == []


@pytest.mark.parametrize("implicit", [True, False])
def test_a_check_encrypts_as_a_letter_does(tmp_path, monkeypatch, implicit):
    file, context = self_signed(tmp_path, "localhost.localdomain")
    monkeypatch.setattr(socket, "getaddrinfo", _to_this_machine(socket.getaddrinfo))
    scheme = "smtps" if implicit else "smtp"
    with SmtpServer(tls=context, implicit=implicit, users={"shop": "right"}) as server:
        distrusted = look(server, "shop:right@", scheme, "localhost.localdomain")
        assert "AUTH" not in server.commands
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert look(server, "shop:right@", scheme, "localhost.localdomain").ok

    assert "certificate" in distrusted.problem


@pytest.mark.parametrize(
    ("says", "user", "problem"),
    [
        ({}, "shop:wrong-secret@", "535: 5.7.8 no. The user or the password in FOLLOWUP_SMTP_URL is wrong"),
        ({"EHLO": []}, "shop:right@", "SMTP AUTH extension not supported"),
        ({}, "shöp:right@", "must be ASCII"),
        ({"GREETING": "554 go away"}, "", "answered 554: go away"),
        ({"GREETING": BREAK}, "", "no connection to 127.0.0.1"),
        ({"GREETING": HANG}, "", "no connection to 127.0.0.1"),
        ({"GREETING": DRIP}, "", "no connection to 127.0.0.1"),
        ({"AUTH": HANG}, "shop:right@", "no connection to 127.0.0.1"),
    ],
)
def test_a_check_says_what_is_wrong_and_what_to_do(says, user, problem):
    with SmtpServer(says, users={"shop": "right"}) as server:
        begun = time.monotonic()
        found = look(server, user, timeout_seconds=0.3)
        passed = time.monotonic() - begun

    assert not found.ok
    assert problem in found.problem
    assert "FOLLOWUP_SMTP_URL" in found.remedy
    assert "secret" not in found.problem + found.remedy
    assert passed < 3


def test_a_check_of_what_demands_encryption_wants_it_offered(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", _to_this_machine(socket.getaddrinfo))
    with SmtpServer(users={"shop": "right"}) as server:
        assert "tls=off" in look(server, "shop:right@", host="smtp.example.com").problem
        assert "AUTH" not in server.commands


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", Server("mail.example.com", 587, Tls.STARTTLS)),
        ("smtp://u:p%40%2F@mail.example.com:25", Server("mail.example.com", 25, Tls.STARTTLS, "u", "p@/")),
        ("smtps://u:p@mail.example.com", Server("mail.example.com", 465, Tls.IMPLICIT, "u", "p")),
        ("smtp://mail.example.com?tls=off", Server("mail.example.com", 587, Tls.OFF)),
        ("smtp://localhost:1025", Server("localhost", 1025, Tls.OFF)),
        ("smtp://[::1]:1025", Server("::1", 1025, Tls.OFF)),
        ("smtps://localhost", Server("localhost", 465, Tls.IMPLICIT)),
    ],
)
def test_a_url_says_where_and_how(url, server):
    assert parse_server(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "secret",
        "http://mail.example.com",
        "smtp://",
        "smtp://u@mail.example.com",
        "smtp://u:sec/ret@mail.example.com",
        "smtp://u:sec#ret@mail.example.com",
        "smtp://u:sec?ret@mail.example.com",
        "smtp://u:secret@mail.example.com:port",
        "smtp://u:secret@mail.example.com?tls=on",
        "smtps://u:secret@mail.example.com?tls=off",
        "smtp://u:secret@[mail",
    ],
)
def test_a_url_that_is_none_is_refused_without_being_shown(url):
    with pytest.raises(ConfigurationError) as caught:
        Smtp(url, CLOCK)

    assert "sec" not in str(caught.value)
    assert "%40" in caught.value.hint


def test_a_password_does_not_show_when_a_server_is_printed():
    assert "secret" not in repr(parse_server("smtp://u:secret@mail.example.com"))
