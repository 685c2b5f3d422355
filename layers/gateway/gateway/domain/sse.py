"""Server-sent events: an incremental decoder for what engines send, and the one encoder for what we send."""

from __future__ import annotations

import re

DONE = b"data: [DONE]\n\n"

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")


class SseDecoder:
    """Bytes cut anywhere in, the data of whole events out.

    Parts of a SageMaker stream end at any byte, inside a line or a character (FACTS "SageMaker"), so nothing is
    decoded before its event is whole. Comments and other fields are skipped; data lines are joined by a newline.
    """

    __slots__ = ("_max_bytes", "_pending")

    def __init__(self, *, max_event_bytes: int = 1 << 20) -> None:
        self._pending = bytearray()
        self._max_bytes = max_event_bytes

    def feed(self, part: bytes) -> list[bytes]:
        """The data of every event that this part completes. Raises ValueError for an event over the limit."""
        pending = self._pending
        # a separator can straddle the border: look again from three bytes before it
        searched = max(0, len(pending) - 3)
        pending += part
        events: list[bytes] = []
        start = 0
        for end in _EVENT_END.finditer(pending, searched):
            data = _data_of(bytes(pending[start : end.start()]))
            if data is not None:
                events.append(data)
            start = end.end()
        if start:
            del pending[:start]
        if len(pending) > self._max_bytes:
            raise ValueError(f"an event is over {self._max_bytes} bytes")
        return events

    @property
    def pending(self) -> bool:
        """Whether an event has begun that is not whole; at the end of a stream it means a cut."""
        return bool(self._pending.strip())


def _data_of(event: bytes) -> bytes | None:
    if event.startswith(b"data: ") and b"\n" not in event and b"\r" not in event:
        return event[6:]
    data = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in _LINE_END.split(event)
        if line.startswith(b"data:")
    ]
    return b"\n".join(data) if data else None


def encode_event(payload: str) -> bytes:
    """One event. `payload` is ASCII without line ends: JSON as `json.dumps` writes it by default."""
    return b"data: " + payload.encode("ascii") + b"\n\n"


def encode_comment(text: str) -> bytes:
    """A comment line, which every client skips: it keeps idle limits and read timeouts away."""
    return b": " + text.encode("ascii") + b"\n\n"
