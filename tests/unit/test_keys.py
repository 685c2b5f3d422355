"""API keys: form, checksum, hash."""

from __future__ import annotations

from hashlib import sha256

import pytest
from gateway.adapters.system import SystemIds
from gateway.domain.keys import (
    ACCOUNT_ID_LENGTH,
    ID_ALPHABET,
    KEY_ID_LENGTH,
    SECRET_ALPHABET,
    SECRET_LENGTH,
    format_key,
    is_account_id,
    parse_key,
)
from hypothesis import given
from hypothesis import strategies as st

ACCOUNT_IDS = st.text(ID_ALPHABET, min_size=ACCOUNT_ID_LENGTH, max_size=ACCOUNT_ID_LENGTH)
KEY_IDS = st.text(ID_ALPHABET, min_size=KEY_ID_LENGTH, max_size=KEY_ID_LENGTH)
SECRETS = st.text(SECRET_ALPHABET, min_size=SECRET_LENGTH, max_size=SECRET_LENGTH)
KEYS = st.builds(lambda a, k, s: format_key(account_id=a, key_id=k, secret=s), ACCOUNT_IDS, KEY_IDS, SECRETS)
A_KEY = format_key(account_id="0" * 12, key_id="k" * 8, secret="S" * 32)


@given(ACCOUNT_IDS, KEY_IDS, SECRETS)
def test_a_key_names_its_account_and_itself_and_hashes_all_of_its_text(
    account_id: str, key_id: str, secret: str
) -> None:
    text = format_key(account_id=account_id, key_id=key_id, secret=secret)
    key = parse_key(text)
    assert key is not None
    assert (key.account_id, key.key_id) == (account_id, key_id)
    assert key.hash == sha256(text.encode()).hexdigest()


@given(KEYS, st.data())
def test_a_key_with_one_wrong_character_is_refused(text: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw(st.characters().filter(lambda character: character != text[position]))
    assert parse_key(text[:position] + wrong + text[position + 1 :]) is None


@given(KEYS, st.data())
def test_a_key_with_two_neighbours_swapped_is_refused(text: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(text) - 2))
    swapped = text[:position] + text[position + 1] + text[position] + text[position + 2 :]
    assert (parse_key(swapped) is None) == (swapped != text)


@given(st.text(max_size=80))
def test_any_other_text_is_no_key(text: str) -> None:
    assert parse_key(text) is None


@pytest.mark.parametrize("text", ["", "sk-", A_KEY[:-1], A_KEY + "0", A_KEY + "\n", " " + A_KEY, A_KEY.upper()])
def test_a_key_cut_lengthened_or_padded_is_refused(text: str) -> None:
    assert parse_key(text) is None


def test_the_shown_form_of_a_key_object_does_not_hold_its_hash() -> None:
    key = parse_key(A_KEY)
    assert key is not None
    assert key.hash is not None
    assert key.hash not in repr(key)


@pytest.mark.parametrize(
    ("account_id", "key_id", "secret"),
    [("short", "k" * 8, "S" * 32), ("0" * 12, "K" * 8, "S" * 32), ("0" * 12, "k" * 8, "S" * 31 + "-")],
)
def test_parts_of_a_wrong_length_or_alphabet_make_no_key(account_id: str, key_id: str, secret: str) -> None:
    with pytest.raises(ValueError, match="wrong length or alphabet"):
        format_key(account_id=account_id, key_id=key_id, secret=secret)


def test_fresh_ids_make_keys_that_parse() -> None:
    ids = SystemIds()
    text = format_key(account_id=ids.account_id(), key_id=ids.key_id(), secret=ids.key_secret())
    assert parse_key(text) is not None
    assert len(ids.request_id()) == 24
    assert len({ids.request_id() for _ in range(100)}) == 100
    assert set("".join(ids.request_id() for _ in range(200))) == set(SECRET_ALPHABET), "each letter, and no other"


@pytest.mark.parametrize(("text", "expected"), [("0a" * 6, True), ("0A" * 6, False), ("0a", False), ("0a" * 7, False)])
def test_an_account_id_is_twelve_small_letters_and_digits(text: str, expected: bool) -> None:
    assert is_account_id(text) is expected
