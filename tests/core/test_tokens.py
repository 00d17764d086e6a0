"""Tokens in addresses and links: nobody can make one up, or use one for something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.core.tokens import MAC_LENGTH, NAME_BYTES, NAME_LENGTH, TokenPurpose, name_from, sign, verify

KEYS = ["new key", "old key"]
NAME = name_from(bytes(range(NAME_BYTES)))
REPLY, ANSWER = TokenPurpose.REPLY, TokenPurpose.ANSWER

names = st.binary(min_size=NAME_BYTES, max_size=NAME_BYTES).map(name_from)


@given(names, st.sampled_from(TokenPurpose))
def test_a_signed_name_comes_back(name, purpose):
    assert verify(purpose, sign(purpose, name, KEYS), KEYS) == name


@given(names)
def test_a_token_fits_a_local_part_that_lost_its_case(name):
    token = sign(REPLY, name, KEYS)
    assert len(token) == NAME_LENGTH + MAC_LENGTH == 28
    assert token == token.lower()
    assert token.isalnum()
    assert verify(REPLY, token.upper(), KEYS) == name


@pytest.mark.parametrize("other", [TokenPurpose.ANSWER, TokenPurpose.STOP])
def test_a_token_serves_one_purpose(other):
    assert verify(other, sign(REPLY, NAME, KEYS), KEYS) is None


def test_a_token_of_another_key_is_none_of_ours():
    assert verify(REPLY, sign(REPLY, NAME, ["someone else's"]), KEYS) is None


def test_without_keys_nothing_is_ours():
    assert verify(REPLY, sign(REPLY, NAME, KEYS), []) is None


def test_keys_can_be_rotated():
    before = sign(REPLY, NAME, ["old key"])
    assert verify(REPLY, before, KEYS) == NAME
    assert sign(REPLY, NAME, KEYS) == sign(REPLY, NAME, ["new key"]), "the newest key signs"
    assert verify(REPLY, before, ["new key"]) is None, "a retired key opens nothing"


@given(st.integers(0, 27), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_one_wrong_character_spoils_it(place, letter):
    token = sign(REPLY, NAME, KEYS)
    forged = token[:place] + letter + token[place + 1 :]
    assert verify(REPLY, forged, KEYS) == (NAME if forged == token else None)


@given(st.text())
def test_any_text_is_read_without_harm(text):
    assert verify(ANSWER, text, KEYS) is None


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "a", lambda t: " " + t, lambda t: "ü" + t[1:]])
def test_a_token_of_another_length_or_alphabet_is_none(change):
    assert verify(REPLY, change(sign(REPLY, NAME, KEYS)), KEYS) is None


@pytest.mark.parametrize("size", [0, 9, 11])
def test_a_name_takes_ten_random_bytes(size):
    with pytest.raises(ValueError, match=f"takes 10 random bytes, not {size}"):
        name_from(bytes(size))


def test_two_names_differ():
    assert name_from(bytes(10)) != name_from(bytes([1] * 10))


def test_a_token_stays_what_it_was():
    """Links in letters already sent must keep working: this value never changes."""
    assert sign(REPLY, "aaaaaaaaaaaaaaaa", ["key"]) == "aaaaaaaaaaaaaaaa" + "uhycsmjrmqx7"
