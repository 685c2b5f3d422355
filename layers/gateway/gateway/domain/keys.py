"""API keys: `sk-<account>-<key>-<secret><checksum>`, fixed lengths, URL-safe.

A key names its account, so one write on one item can authenticate it. The checksum lets a typo be refused
without I/O; it is no secret and proves nothing about a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from zlib import crc32

ACCOUNT_ID_LENGTH = 12
KEY_ID_LENGTH = 8
SECRET_LENGTH = 32
"""32 characters of 62 are 190 bits: a plain SHA-256 of the whole key is enough, no slow hash is needed."""

ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
SECRET_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_LENGTH = 6
_FORM = re.compile(
    rf"sk-([0-9a-z]{{{ACCOUNT_ID_LENGTH}}})-([0-9a-z]{{{KEY_ID_LENGTH}}})"
    rf"-([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)
_ACCOUNT_ID = re.compile(rf"[0-9a-z]{{{ACCOUNT_ID_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A well-formed key; whether it is a good one only the ledger can tell."""

    account_id: str
    key_id: str
    hash: str | None = field(repr=False)
    """None where a trusted event source asks in the account's name; no HTTP request can make such a key."""


def format_key(*, account_id: str, key_id: str, secret: str) -> str:
    """The key's text, checksum included. The parts must have the lengths above."""
    body = f"sk-{account_id}-{key_id}-{secret}"
    text = body + _checksum(body)
    if _FORM.fullmatch(text) is None:
        raise ValueError("account id, key id or secret has the wrong length or alphabet")
    return text


def parse_key(text: str) -> ApiKey | None:
    """The key that `text` spells, or None where form or checksum is wrong."""
    match = _FORM.fullmatch(text)
    if match is None or _checksum(text[:-_CHECKSUM_LENGTH]) != match[4]:
        return None
    return ApiKey(account_id=match[1], key_id=match[2], hash=hash_key(text))


def is_account_id(text: str) -> bool:
    """Whether `text` has the form of an account id."""
    return _ACCOUNT_ID.fullmatch(text) is not None


def hash_key(text: str) -> str:
    """What the table holds of a key: the SHA-256 of all of it, in hex."""
    return sha256(text.encode()).hexdigest()


def _checksum(body: str) -> str:
    number = crc32(body.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(SECRET_ALPHABET))
        digits = SECRET_ALPHABET[digit] + digits
    return digits
