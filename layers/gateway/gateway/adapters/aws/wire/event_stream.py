"""Reading `application/vnd.amazon.eventstream`.

A message is: total length, length of the headers, CRC-32 of those two, headers, payload, CRC-32 of all before it;
integers are big-endian (Smithy, "Amazon Event Stream Specification"). No I/O.
"""

from __future__ import annotations

from struct import Struct, error
from typing import NamedTuple
from zlib import crc32

MOST_BYTES = 24 << 20
"""The largest message of the specification: 24 MiB of payload, and headers beside it that are small."""
_MOST_HEADERS = 128 << 10
_PRELUDE = Struct("!III")
_UINT32 = Struct("!I")
_UINT16 = Struct("!H")
_FRAME_BYTES = 16
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type: true, false, byte, short, integer, long, timestamp, UUID."""
_BYTES, _STRING = 6, 7


class NotAnEventStream(Exception):
    """The bytes break the format, or a checksum of it."""


class Message(NamedTuple):
    """One message with those of its headers that are strings."""

    headers: dict[str, str]
    payload: bytes


class EventStreamDecoder:
    """Bytes in, however they are cut; whole messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = _PRELUDE.size
        self._known: tuple[bytes, dict[str, str]] = (b"", {})
        self._broken: NotAnEventStream | None = None

    @property
    def is_between(self) -> bool:
        """Whether a message has just ended and none has begun."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Message]:
        """The messages that end in `data`. Raises NotAnEventStream, at the next call where messages came before."""
        if self._broken is not None:
            raise self._broken
        messages: list[Message] = []
        try:
            self._read(data, messages)
        except NotAnEventStream as broken:
            self._broken = broken
            if not messages:
                raise
        return messages

    def _read(self, data: bytes, messages: list[Message]) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= self._needed:
            if self._needed == _PRELUDE.size:
                self._needed = _checked_length(buffer, start)
                continue
            end = start + self._needed
            messages.append(self._message(bytes(buffer[start:end])))
            start, self._needed = end, _PRELUDE.size
        del buffer[:start]

    def _message(self, data: bytes) -> Message:
        if crc32(data[:-4]) != _UINT32.unpack_from(data, len(data) - 4)[0]:
            raise NotAnEventStream("checksum of the message")
        headers_end = _PRELUDE.size + _UINT32.unpack_from(data, 4)[0]
        packed = data[_PRELUDE.size : headers_end]
        # a stream's messages have the same headers, all but the last: reading them is half of a frame's cost
        if packed != self._known[0]:
            self._known = (packed, _read_headers(packed))
        return Message(self._known[1], data[headers_end:-4])


def _checked_length(buffer: bytearray, start: int) -> int:
    total, headers, checksum = _PRELUDE.unpack_from(buffer, start)
    if crc32(buffer[start : start + 8]) != checksum:
        raise NotAnEventStream("checksum of the prelude")
    if not _FRAME_BYTES + headers <= total <= MOST_BYTES + _MOST_HEADERS or headers > _MOST_HEADERS:
        raise NotAnEventStream(f"a message of {total} bytes with {headers} of headers")
    return int(total)


def _read_headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind, at = data[at + 1 : name_end].decode(), data[name_end], name_end + 1
            if kind in _FIXED_SIZES:
                at += _FIXED_SIZES[kind]
                continue
            if kind not in (_BYTES, _STRING):
                raise NotAnEventStream(f"a header of type {kind}")
            value_start = at + 2
            at = value_start + _UINT16.unpack_from(data, at)[0]
            if kind == _STRING:
                headers[name] = data[value_start:at].decode()
    except (IndexError, UnicodeDecodeError, error):
        raise NotAnEventStream("headers") from None
    if at != len(data):
        raise NotAnEventStream("headers that end past their end")
    return headers
