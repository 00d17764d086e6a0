import pytest

from followup.core.tokens import TokenPurpose, sign
from followup.inbound.match import Addressed, addressed_token, name_in, referenced_ids
from followup.inbound.mime import read

DOMAIN = "reply.lumen.example"
KEYS = ["the newest key, long enough to sign", "an older key"]
NAME = "abcdefghijklmnop"
OTHER = "ponmlkjihgfedcba"


def reply_to(name, keys=KEYS):
    return f"r+{sign(TokenPurpose.REPLY, name, keys)}@{DOMAIN}"


def stop_to(name):
    return f"u+{sign(TokenPurpose.STOP, name, KEYS)}@{DOMAIN}"


def found(headers):
    return addressed_token(read(headers.encode() + b"\n\nhi"), DOMAIN, KEYS)


@pytest.mark.parametrize("header", ["To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To"])
def test_the_message_is_known_by_the_address_in_whatever_header(header):
    assert found(f"From: a@b.example\n{header}: Mara <{reply_to(NAME)}>") == Addressed(NAME, TokenPurpose.REPLY)


def test_case_is_lost_on_the_way_and_an_older_key_still_counts():
    address = reply_to(NAME, KEYS[1:]).upper()

    assert found(f"To: {address}") == Addressed(NAME, TokenPurpose.REPLY)


def test_an_address_to_stop_is_one_and_outranks_one_to_reply_to():
    assert found(f"To: {stop_to(NAME)}") == Addressed(NAME, TokenPurpose.STOP)
    assert found(f"To: {reply_to(OTHER)}, {stop_to(NAME)}") == Addressed(NAME, TokenPurpose.STOP)


@pytest.mark.parametrize(
    "address",
    [
        reply_to(NAME).replace(DOMAIN, "elsewhere.example"),
        reply_to(NAME, ["another key"]),
        reply_to(NAME).replace("r+", "u+"),
        stop_to(NAME).replace("u+", "r+"),
        reply_to(NAME).replace(NAME, OTHER),
        f"r+@{DOMAIN}",
        f"mara@{DOMAIN}",
    ],
)
def test_an_address_that_we_did_not_sign_is_nobodys(address):
    assert found(f"To: {address}") is None


def test_the_sender_does_not_say_whose_mail_it_is():
    assert found(f"From: {reply_to(NAME)}\nReply-To: {reply_to(NAME)}\nTo: mara@lumen.example") is None


def test_our_message_ids_are_found_nearest_first_and_strangers_are_not():
    mail = read(
        f"In-Reply-To: <{NAME}@{DOMAIN}>\nReferences: <{OTHER}@{DOMAIN}> <x@y.example> <{NAME}@elsewhere.example>\n"
        f" <{'q' * 16}@{DOMAIN.upper()}> <{NAME}@{DOMAIN}> <{NAME}x@{DOMAIN}>\n\n".encode()
    )

    names = [name_in(message_id, DOMAIN) for message_id in referenced_ids(mail)]
    assert names == [NAME, None, "q" * 16, None, None, OTHER]
