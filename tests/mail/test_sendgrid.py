import logging
import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sendgrid.helpers.mail import (
    ClickTracking,
    CustomArg,
    From,
    Ganalytics,
    Header,
    Mail,
    OpenTracking,
    ReplyTo,
    SubscriptionTracking,
    To,
    TrackingSettings,
)

from followup.clock import SystemClock, VirtualClock
from followup.core.message import Accepted, Cause, Misconfigured, Rejected, RetrySafe, Unknown
from followup.errors import ConfigurationError
from followup.mail.message import Thread
from followup.mail.sendgrid import SendGrid, check, payload
from followup.mail.transport import NOT_BEGUN, Transport, always
from tests.local_sendgrid import Behaviour, LocalSendGrid
from tests.mail.certificates import self_signed
from tests.mail.letters import a_mail, all_sent, within

KEY = "SG.local"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLOCK = VirtualClock(NOW)


@pytest.fixture
def server():
    with LocalSendGrid(drip_seconds=0.05) as server:
        yield server


@pytest.fixture
def sendgrid(server):
    with_server = SendGrid(KEY, CLOCK, url=server.url)
    yield with_server
    with_server.close()


@pytest.fixture
def hurried(server):
    """A transport that does not wait for long."""
    with_server = SendGrid(KEY, CLOCK, url=server.url, deadline_seconds=0.3)
    yield with_server
    with_server.close()


def mails(count):
    return [replace(a_mail(), token=f"token{number}", to_email=f"joan{number}@x.example") for number in range(count)]


def sent(transport: Transport, *given, may_begin=always):
    return [answer for _, answer in all_sent(transport, given, may_begin=may_begin)]


def one(transport, mail=None):
    [answer] = sent(transport, mail or a_mail())
    return answer


# What leaves


def test_a_letter_arrives_as_it_was_written(server, sendgrid):
    mail = a_mail(subject="Grüße „aus“ 東京", text="Hallo – du", html="<p>Hallo – du</p>")

    answer = one(sendgrid, mail)

    [entry] = server.accepted
    assert answer == Accepted(entry.provider_id)
    assert entry.payload == payload(mail)
    assert (entry.token, entry.to, entry.subject) == (mail.token, mail.to_email, mail.subject)
    assert entry.headers["content-type"] == "application/json"
    assert "expect" not in entry.headers


@pytest.mark.parametrize("to_name", ["Joan", None])
def test_a_payload_is_what_sendgrids_own_package_builds(to_name):
    mail = a_mail(subject="Grüße", to_name=to_name, thread=Thread("<last@x>", ("<first@x>",)))

    built = Mail(
        from_email=From(mail.from_email, mail.from_name),
        to_emails=To(mail.to_email, mail.to_name),
        subject=mail.subject,
        plain_text_content=mail.text,
        html_content=mail.html,
    )
    built.reply_to = ReplyTo(mail.reply_to, mail.from_name)
    for name, value in mail.headers.items():
        built.add_header(Header(name, value))
    built.add_custom_arg(CustomArg("fu_token", mail.token))
    built.tracking_settings = TrackingSettings(
        click_tracking=ClickTracking(enable=False, enable_text=False),
        open_tracking=OpenTracking(enable=False),
        subscription_tracking=SubscriptionTracking(enable=False),
        ganalytics=Ganalytics(enable=False),
    )
    assert payload(mail) == built.get()


def test_nothing_of_ours_names_the_customer_beyond_the_address_itself():
    mail = a_mail(text="Hello", html="<p>Hello</p>", subject="Hello")
    content = payload(mail)
    content["personalizations"] = None

    assert content["custom_args"] == {"fu_token": mail.token}
    assert "joan" not in str(content).lower()


def test_sendgrids_tracking_is_off_whatever_the_account_says():
    tracking = payload(a_mail())["tracking_settings"]

    assert {name: setting["enable"] for name, setting in tracking.items()} == dict.fromkeys(
        ("click_tracking", "open_tracking", "subscription_tracking", "ganalytics"), False
    )


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"text": "x" * 30_000_000}, "30,000,000"),
        ({"subject": ""}, "subject"),
        ({"text": ""}, "empty"),
        ({"html": ""}, "empty"),
        ({"from_email": "mära@lumen.example"}, "ASCII"),
        ({"to_email": "joän@customer.example"}, "ASCII"),
        ({"to_name": "Joan; Marc"}, "semicolon"),
        ({"to_name": "Marc, Joan"}, "comma"),
        ({"token": "x" * 10_000}, "10,000"),
        ({"token": 7}, "not text"),
        ({"headers": {"Reply-to": "x@y"}}, "Reply-to"),
        ({"headers": {"DKIM-Signature": "v=1"}}, "DKIM-Signature"),
        ({"headers": {"X-One": "a\r\nBcc: all@x"}}, "X-One"),
        ({"headers": {"X-One:\n": "a"}}, "one line"),
        ({"headers": {"X-One": "ü"}}, "X-One"),
        ({"subject": "\ud800"}, "JSON"),
    ],
)
def test_a_letter_that_breaks_a_documented_limit_is_refused_and_never_leaves(server, sendgrid, changes, limit):
    answer = one(sendgrid, replace(a_mail(), **changes))

    assert isinstance(answer, Rejected)
    assert limit in answer.reason
    assert server.ledger == []


def test_a_letter_that_breaks_nothing_is_one_that_an_independent_reading_of_the_limits_takes(server, sendgrid):
    assert isinstance(one(sendgrid, a_mail(thread=Thread("<last@x>"), to_name="Żółw 東京")), Accepted)
    assert server.ledger[0].problems == ()


def test_a_bug_with_one_letter_costs_the_others_nothing(server, sendgrid, caplog):
    good, bad = mails(2)
    broken = replace(bad, headers=7)

    with caplog.at_level(logging.ERROR):
        answers = {mail.token: answer for mail, answer in all_sent(sendgrid, [broken, good])}

    assert isinstance(answers[good.token], Accepted)
    assert answers[bad.token].not_before > CLOCK.now()
    assert "TypeError" in answers[bad.token].reason
    assert [entry.token for entry in server.ledger] == [good.token]


# What the answers mean

TAKEN_OR_NOT = [
    (Behaviour.ACCEPT_THEN_FAIL, "500"),
    (Behaviour.FAIL, "500"),
    (Behaviour.UNAVAILABLE, "503"),
    (Behaviour.CREATED, "201"),
    (Behaviour.REDIRECT, "302"),
    (Behaviour.GARBAGE, "not HTTP"),
    (Behaviour.ACCEPT_THEN_TRUNCATE, "broke off"),
    (Behaviour.ACCEPT_WRONG_LENGTH, "broke off"),
    (Behaviour.BREAK, "ended"),
    (Behaviour.ACCEPT_THEN_BREAK, "ended"),
    (Behaviour.RESET, "reset"),
    (Behaviour.HANG, "timed out"),
    (Behaviour.ACCEPT_THEN_HANG, "timed out"),
    (Behaviour.ACCEPT_SLOWLY, "timed out"),
]


@pytest.mark.parametrize(("behaviour", "reason"), TAKEN_OR_NOT)
def test_what_may_have_been_taken_is_unknown_and_was_posted_once(server, hurried, behaviour, reason):
    server.script(behaviour)

    answer = one(hurried)

    assert isinstance(answer, Unknown)
    assert reason in answer.reason
    assert len(server.ledger) == 1


def test_a_letter_that_was_broken_off_while_it_left_is_unknown(server, hurried):
    server.script(Behaviour.BREAK_BEFORE)

    assert isinstance(one(hurried, a_mail(text="x" * 5_000_000)), Unknown)
    assert len(server.ledger) == 1


@pytest.mark.parametrize(
    ("behaviour", "kind", "reason"),
    [
        (Behaviour.REFUSE, Rejected, "SendGrid answered 400: Does not contain a valid address: [address]"),
        (Behaviour.TOO_LARGE, Rejected, "SendGrid answered 413: The JSON payload"),
        (Behaviour.UNAUTHORIZED, Misconfigured, "SENDGRID_API_KEY"),
        (Behaviour.FORBIDDEN, Misconfigured, "verified Sender Identity. The API key lacks"),
        (Behaviour.NOT_FOUND, Misconfigured, "FOLLOWUP_SENDGRID_URL"),
        (Behaviour.NOT_ALLOWED, Misconfigured, "405"),
        (Behaviour.TEAPOT, Misconfigured, "418"),
    ],
)
def test_a_refusal_says_whether_the_letter_or_our_side_is_wrong(server, sendgrid, behaviour, kind, reason):
    server.script(behaviour)

    answer = one(sendgrid)

    assert isinstance(answer, kind)
    assert reason in answer.reason
    assert "customer.example" not in answer.reason
    assert server.accepted == []


def test_a_letter_taken_without_a_name_goes_by_ours(server, sendgrid):
    server.script(Behaviour.ACCEPT_NAMELESS)

    assert one(sendgrid) == Accepted(a_mail().token)


def test_the_sandbox_takes_letters_that_go_nowhere(server, sendgrid):
    server.script(Behaviour.SANDBOX)

    assert one(sendgrid) == Accepted("sandbox")
    assert server.accepted == []


def test_a_wrong_key_is_our_own_fault(server):
    answer = one(SendGrid("SG.other", CLOCK, url=server.url))

    assert isinstance(answer, Misconfigured)
    assert "SG.other" not in answer.reason


@pytest.mark.parametrize(
    ("behaviour", "shortest", "longest"),
    [
        (Behaviour.LIMIT, 25, 31),
        (Behaviour.LIMIT_PAST, 10, 10.1),
        (Behaviour.LIMIT_FAR, 3600, 3600.1),
        (Behaviour.LIMIT_GARBAGE, 10, 10.1),
        (Behaviour.LIMIT_SILENT, 10, 10.1),
    ],
)
def test_a_limit_is_waited_for_within_bounds(server, behaviour, shortest, longest):
    server.script(behaviour)
    clock = SystemClock()  # as the server's, whose limit is a time of day

    before = clock.now()
    answer = one(SendGrid(KEY, clock, url=server.url))
    passed = (clock.now() - before).total_seconds()

    assert isinstance(answer, RetrySafe)
    assert shortest - 1 <= (answer.not_before - before).total_seconds() <= longest + passed
    assert server.accepted == []


def test_nobody_can_say_what_became_of_a_letter(sendgrid):
    assert isinstance(sendgrid.recover(a_mail()), Unknown)


# Nothing twice


def test_a_connection_that_dies_under_a_letter_is_never_followed_by_a_second_post(server, sendgrid):
    first, second = mails(2)
    server.script(Behaviour.ACCEPT, Behaviour.ACCEPT_THEN_BREAK)

    assert isinstance(one(sendgrid, first), Accepted)
    answer = one(sendgrid, second)

    # libcurl by itself sends the second letter again here, over a connection of its own
    assert [entry.token for entry in server.ledger] == [first.token, second.token]
    assert [entry.connection for entry in server.ledger] == [1, 1]
    assert isinstance(answer, Unknown)


def test_a_connection_that_is_reset_under_a_letter_is_never_followed_by_a_second_post(server, sendgrid):
    server.script(Behaviour.ACCEPT, Behaviour.RESET)

    one(sendgrid)

    assert isinstance(one(sendgrid), Unknown)
    assert len(server.ledger) == 2


def test_a_connection_that_was_closed_while_it_rested_costs_a_new_one_and_no_letter(server, sendgrid):
    server.script(*[Behaviour.ACCEPT_AND_CLOSE] * 3)

    for number, mail in enumerate(mails(3), 1):
        assert isinstance(one(sendgrid, mail), Accepted)
        server.until_closed(number)

    assert [entry.connection for entry in server.ledger] == [1, 2, 3]


def test_a_redirect_is_not_followed(server, sendgrid):
    server.script(Behaviour.REDIRECT)

    assert isinstance(one(sendgrid), Unknown)
    assert len(server.ledger) == 1


# What did not leave


def test_without_a_connection_nothing_has_left(server):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    for url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
        answer = one(SendGrid(KEY, CLOCK, url=url))
        assert isinstance(answer, RetrySafe)
        assert answer.not_before == NOW, "the row says how long to wait"
        assert url in answer.reason


def test_a_connection_that_takes_too_long_leaves_the_letter_here():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]  # the kernel answers no more than these
        for one_of_them in waiting:
            one_of_them.setblocking(False)
            one_of_them.connect_ex(full.getsockname())
        answer = one(SendGrid(KEY, CLOCK, url=f"http://127.0.0.1:{full.getsockname()[1]}", deadline_seconds=0.3))
        for one_of_them in waiting:
            one_of_them.close()

    assert isinstance(answer, RetrySafe)


def test_a_certificate_that_nobody_we_trust_signed_stops_the_letter(tmp_path):
    _, context = self_signed(tmp_path)
    with LocalSendGrid(tls=context) as server:
        answer = one(SendGrid(KEY, CLOCK, url=server.url))

        assert isinstance(answer, RetrySafe)
        assert "certificate" in answer.reason
        assert server.ledger == []


def test_a_certificate_for_another_host_stops_the_letter(tmp_path, monkeypatch):
    file, context = self_signed(tmp_path, "elsewhere.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with LocalSendGrid(tls=context) as server:
        assert isinstance(one(SendGrid(KEY, CLOCK, url=server.url)), RetrySafe)
        assert server.ledger == []


def test_a_certificate_that_the_operator_trusts_is_good(tmp_path, monkeypatch):
    file, context = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with LocalSendGrid(tls=context) as server:
        sendgrid = SendGrid(KEY, CLOCK, url=server.url)
        assert isinstance(one(sendgrid), Accepted)
        assert isinstance(one(sendgrid), Accepted)
        assert server.connections == 1
        sendgrid.close()


def test_a_server_that_does_not_speak_tls_gets_no_letter(server):
    answer = one(SendGrid(KEY, CLOCK, url=server.url.replace("http", "https"), deadline_seconds=1))

    assert isinstance(answer, RetrySafe)
    assert server.ledger == []


def test_what_has_not_begun_in_time_does_not_begin(server, sendgrid):
    answers = sent(sendgrid, *mails(3), may_begin=within(-1))

    assert answers == [RetrySafe(NOW, NOT_BEGUN, Cause.KEPT)] * 3, "and may begin elsewhere at once"
    assert (server.ledger, server.connections) == ([], 0)


def test_a_body_does_not_begin_to_leave_after_the_time_even_if_its_connection_began_before(tmp_path, monkeypatch):
    file, context = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    received = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def late():
            client, _ = listener.accept()
            threading.Event().wait(0.3)  # a handshake that takes its time
            with suppress(OSError), context.wrap_socket(client, server_side=True) as encrypted:  # it is broken off
                while chunk := encrypted.recv(10_000):
                    received.append(chunk)

        thread = threading.Thread(target=late)
        thread.start()
        sendgrid = SendGrid(KEY, CLOCK, url=f"https://localhost:{listener.getsockname()[1]}", deadline_seconds=5)
        [answer] = sent(sendgrid, a_mail(), may_begin=within(0.1))
        sendgrid.close()
        thread.join()

    assert isinstance(answer, RetrySafe)
    assert a_mail().token.encode() not in b"".join(received)


def test_of_many_letters_only_those_leave_whose_turn_comes_in_time(server):
    server.latency_seconds = 0.2
    sendgrid = SendGrid(KEY, CLOCK, url=server.url, in_flight=1)

    answers = sent(sendgrid, *mails(4), may_begin=within(0.3))

    kinds = Counter(type(answer) for answer in answers)
    assert kinds[Accepted] == len(server.ledger) < 4
    assert kinds[RetrySafe] == 4 - len(server.ledger)


# Many at once


def test_each_letter_has_one_answer_of_its_own(server, sendgrid):
    everybody = mails(100)
    behaviours = (Behaviour.ACCEPT, Behaviour.REFUSE, Behaviour.FAIL, Behaviour.LIMIT, Behaviour.BREAK)
    given = [
        replace(mail, to_email=f"{behaviours[number % 5]}+{number}@x.example") for number, mail in enumerate(everybody)
    ]

    answers = all_sent(sendgrid, given)

    assert sorted(mail.token for mail, _ in answers) == sorted(mail.token for mail in given)
    assert all(any(mail is one for one in given) for mail, _ in answers)
    for mail, answer in answers:
        kinds = {"accept": Accepted, "refuse": Rejected, "fail": Unknown, "limit": RetrySafe, "break": Unknown}
        assert isinstance(answer, kinds[mail.to_email.partition("+")[0]])
    assert Counter(entry.token for entry in server.ledger) == Counter(mail.token for mail in given)
    provider_ids = {entry.token: entry.provider_id for entry in server.accepted}
    assert provider_ids == {mail.token: answer.provider_id for mail, answer in answers if isinstance(answer, Accepted)}


def test_many_letters_are_on_their_way_together():
    everybody_is_there = threading.Barrier(32)  # no letter is answered before the last has come
    with LocalSendGrid(on_entry=lambda _: everybody_is_there.wait(10)) as server:
        sendgrid = SendGrid(KEY, CLOCK, url=server.url)
        assert all(isinstance(answer, Accepted) for answer in sent(sendgrid, *mails(32)))
        sendgrid.close()


def test_no_more_are_on_their_way_than_was_asked_for(server):
    server.latency_seconds = 0.01
    sent(SendGrid(KEY, CLOCK, url=server.url, in_flight=3), *mails(20))

    assert server.most_at_once <= 3
    assert server.connections <= 3


def test_connections_stay_open_from_one_call_to_the_next(server, sendgrid):
    for mail in mails(20):
        one(sendgrid, mail)

    assert server.connections == 1


def test_one_letter_that_hangs_does_not_hold_up_the_others(server, hurried):
    first, *others = mails(10)
    hanging = replace(first, to_email="hang@x.example")

    answers = all_sent(hurried, [hanging, *others])

    assert [mail.token for mail, answer in answers if isinstance(answer, Unknown)] == [first.token]
    assert answers[-1][0] is hanging


def test_threads_share_a_transport(server, sendgrid):
    everybody = mails(120)
    answers = []

    def work(part):
        answers.extend(all_sent(sendgrid, part))

    threads = [threading.Thread(target=work, args=(everybody[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(isinstance(answer, Accepted) for _, answer in answers)
    assert Counter(entry.token for entry in server.accepted) == Counter(mail.token for mail in everybody)


def test_a_caller_that_stops_early_leaves_a_transport_that_works(server, sendgrid):
    first, *others = mails(3)
    going = sendgrid.send([first, *(replace(mail, to_email="hang@x.example") for mail in others)], may_begin=always)
    assert [mail for mail, _ in next(going)] == [first]
    going.close()

    assert isinstance(one(sendgrid), Accepted)


def test_no_proxy_of_the_environment_is_asked(server, sendgrid, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert isinstance(one(sendgrid), Accepted)


# Set up wrongly


@pytest.mark.parametrize("key", ["", "  ", "SG.a b", "SG.a\r\nX-Evil: 1", "SG.ü"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(key):
    with pytest.raises(ConfigurationError) as caught:
        SendGrid(key, CLOCK)

    assert "SG.a" not in str(caught.value)
    assert "SENDGRID_API_KEY" in caught.value.hint


def test_a_key_does_not_show_when_a_transport_is_printed():
    assert "secret" not in repr(SendGrid("SG.secret", CLOCK))


@pytest.mark.parametrize("url", ["", "api.sendgrid.com", "ftp://x.example", "https://", "https://x.example:port"])
def test_a_url_that_cannot_be_one_is_refused(url):
    with pytest.raises(ConfigurationError):
        SendGrid(KEY, CLOCK, url=url)


def test_a_check_says_what_is_wrong_with_a_key(server):
    assert check(KEY, url=server.url).ok

    wrong = check("SG.wrong", url=server.url)
    server.scopes = ("mail.read",)
    weak = check(KEY, url=server.url)
    elsewhere = check(KEY, url=f"{server.url}/elsewhere")
    server.script(Behaviour.FORBIDDEN)
    refused = check(KEY, url=server.url)
    server.stop()
    away = check(KEY, url=server.url)

    assert "does not know" in wrong.problem
    assert "may not send" in weak.problem
    assert "403" in refused.problem
    assert "404" in elsewhere.problem
    assert "did not answer" in away.problem
    assert all(one.remedy and not one.ok for one in (wrong, weak, elsewhere, refused, away))
