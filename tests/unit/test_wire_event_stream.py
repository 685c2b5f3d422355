"""Our reader of event streams against botocore's, wherever the bytes are cut and whichever is wrong."""

from __future__ import annotations

import struct
from itertools import pairwise
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from gateway.adapters.aws.wire.event_stream import EventStreamDecoder, NotAnEventStream
from hypothesis import given
from hypothesis import strategies as st

from infra.local.event_stream import encode_exception, encode_message, encode_payload_part

Pair = tuple[dict[str, str], bytes]
STREAM = (
    encode_payload_part("data: é\n\n".encode())
    + encode_payload_part(b"")
    + encode_exception("ModelStreamError", {"Message": "gone", "ErrorCode": "StreamBroken"})
    + encode_payload_part(b"\x00\xff")
)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
MESSAGES = st.builds(encode_message, st.dictionaries(NAMES, st.text(max_size=40), max_size=4), st.binary(max_size=300))


def by_us(*chunks: bytes) -> list[Pair]:
    decoder = EventStreamDecoder()
    found = [(message.headers, message.payload) for chunk in chunks for message in decoder.feed(chunk)]
    assert decoder.is_between
    return found


def by_botocore(*chunks: bytes) -> list[Pair]:
    buffer, found = EventStreamBuffer(), []
    for chunk in chunks:
        buffer.add_data(chunk)
        found += [(message.headers, message.payload) for message in buffer]
    return found


def test_messages_come_out_whole_wherever_the_bytes_are_cut() -> None:
    expected = by_botocore(STREAM)
    assert len(expected) == 4
    for at in range(len(STREAM) + 1):
        assert by_us(STREAM[:at], STREAM[at:]) == expected


def test_messages_come_out_whole_byte_by_byte() -> None:
    assert by_us(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == by_botocore(STREAM)


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(0, 2000), max_size=5))
def test_any_messages_cut_anywhere_are_what_botocore_reads(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(messages)
    places = sorted({min(cut, len(stream)) for cut in (0, *cuts, len(stream))})
    chunks = [stream[start:end] for start, end in pairwise(places)]
    assert by_us(*chunks) == by_botocore(*chunks)


def test_headers_of_every_type_are_passed_over_and_only_strings_told() -> None:
    values = [b"\x00", b"\x01", b"\x02\x07", b"\x03" + b"\x00" * 2, b"\x04" + b"\x00" * 4, b"\x05" + b"\x00" * 8]
    values += [b"\x06\x00\x02ab", b"\x08" + b"\x00" * 8, b"\x09" + b"\x00" * 16, b"\x07\x00\x03yes"]
    packed = b"".join(bytes([2]) + b"h%d" % number + value for number, value in enumerate(values))
    message = framed(packed, b"payload")
    assert by_us(message) == [({"h9": "yes"}, b"payload")]
    (headers, payload) = by_botocore(message)[0]
    assert (len(headers), headers["h9"], payload) == (10, "yes", b"payload")


@given(st.binary(max_size=50), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_is_refused(payload: bytes, where: int, flip: int) -> None:
    message = bytearray(encode_payload_part(payload))
    message[where % len(message)] ^= flip
    with pytest.raises(NotAnEventStream):
        EventStreamDecoder().feed(bytes(message))


@pytest.mark.parametrize("flipped", range(len(encode_payload_part(b"two"))))
def test_what_came_before_a_changed_byte_is_told_and_nothing_behind_it(flipped: int) -> None:
    bad = bytearray(encode_payload_part(b"two"))
    bad[flipped] ^= 1
    decoder = EventStreamDecoder()
    (first,) = decoder.feed(encode_payload_part(b"one") + bytes(bad) + encode_payload_part(b"three"))
    assert first.payload == b"one"
    for _ in range(2):
        with pytest.raises(NotAnEventStream):
            decoder.feed(encode_payload_part(b"four"))
    assert not decoder.is_between


def framed(headers: bytes, payload: bytes, *, total: int | None = None, header_bytes: int | None = None) -> bytes:
    """A message whose checksums are right, whatever its lengths say."""
    total = 16 + len(headers) + len(payload) if total is None else total
    prelude = struct.pack("!II", total, len(headers) if header_bytes is None else header_bytes)
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


@pytest.mark.parametrize(
    "message",
    [
        framed(b"", b"", total=15),
        framed(b"", b"", total=1 << 30),
        framed(b"", b"", header_bytes=1),
        framed(b"", b"", total=(200 << 10) + 16, header_bytes=200 << 10),
        framed(b"\x01", b""),
        framed(b"\x01h", b""),
        framed(b"\x01h\x07\x00", b""),
        framed(b"\x01h\x07\x00\x05yes", b""),
        framed(b"\x01h\x0a", b""),
        framed(b"\x01\xff\x00", b""),
        framed(b"\x01h\x07\x00\x01\xff", b""),
    ],
)
def test_lengths_and_headers_that_can_not_be_are_refused_before_anything_is_waited_for(message: bytes) -> None:
    with pytest.raises(NotAnEventStream):
        EventStreamDecoder().feed(message)
