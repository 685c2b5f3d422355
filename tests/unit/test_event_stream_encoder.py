"""The encoder against botocore's own decoder, at every split point."""

from __future__ import annotations

import json

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from infra.local.event_stream import encode_exception, encode_message, encode_payload_part

HEADERS = st.dictionaries(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
    st.text(max_size=40),
    max_size=4,
)


def decoded(*chunks: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer, messages = EventStreamBuffer(), []
    for chunk in chunks:
        buffer.add_data(chunk)
        messages += [(message.headers, message.payload) for message in buffer]
    return messages


def test_messages_come_out_whole_wherever_the_bytes_are_cut() -> None:
    stream = encode_payload_part("data: é\n\n".encode()) + encode_payload_part(b"") + encode_payload_part(b"\x00\xff")
    for at in range(len(stream) + 1):
        assert [payload for _, payload in decoded(stream[:at], stream[at:])] == [
            "data: é\n\n".encode(),
            b"",
            b"\x00\xff",
        ]


def test_messages_come_out_whole_byte_by_byte() -> None:
    stream = encode_payload_part(b"one") + encode_exception("InternalStreamFailure", {"Message": "gone"})
    assert len(decoded(*(stream[at : at + 1] for at in range(len(stream))))) == 2


@given(headers=HEADERS, payload=st.binary(max_size=300))
def test_any_headers_and_payload_survive(headers: dict[str, str], payload: bytes) -> None:
    assert decoded(encode_message(headers, payload)) == [(headers, payload)]


@given(payload=st.binary(max_size=50), where=st.integers(min_value=8), flip=st.integers(1, 255))
def test_a_changed_byte_is_noticed_by_the_checksums(payload: bytes, where: int, flip: int) -> None:
    message = bytearray(encode_payload_part(payload))
    # The first eight bytes are lengths: a decoder may wait for more instead of refusing.
    message[8 + where % (len(message) - 8)] ^= flip
    with pytest.raises(ChecksumMismatch):
        decoded(bytes(message))


def test_an_exception_carries_its_kind_and_its_members() -> None:
    [(headers, payload)] = decoded(
        encode_exception("ModelStreamError", {"Message": "cut", "ErrorCode": "StreamBroken"})
    )
    assert headers[":message-type"] == "exception"
    assert headers[":exception-type"] == "ModelStreamError"
    assert json.loads(payload) == {"Message": "cut", "ErrorCode": "StreamBroken"}
