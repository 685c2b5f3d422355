"""The bytes of `application/vnd.amazon.eventstream`, as SageMaker's runtime sends them.

A message is: total length, length of the headers, CRC-32 of those two, headers, payload, CRC-32 of all before it;
integers are big-endian. Every header here is a string (type 7).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
_PRELUDE_AND_CRCS = 16


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. Header names are ASCII of at most 255 bytes, values at most 65535 bytes of UTF-8."""
    packed = b"".join(_encode_header(name.encode("ascii"), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", _PRELUDE_AND_CRCS + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack("!I", crc32(prelude)) + packed + payload
    return message + struct.pack("!I", crc32(message))


def _encode_header(name: bytes, value: bytes) -> bytes:
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING, len(value)) + value


def encode_payload_part(data: bytes) -> bytes:
    """A `PayloadPart` event that carries `data`."""
    headers = {
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
    return encode_message(headers, data)


def encode_exception(kind: str, fields: Mapping[str, str]) -> bytes:
    """An exception in the stream: `ModelStreamError` or `InternalStreamFailure` with the members of its shape."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode_message(headers, json.dumps(fields).encode())
