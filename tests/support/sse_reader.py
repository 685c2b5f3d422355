"""A strict reader of our streams: it takes nothing that CONTRACT "Stream" does not allow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

DONE = "[DONE]"


def read_event(data: bytes) -> Any:
    """The value of one whole event: a dict, or DONE. Fails for anything but `data: …` and one blank line."""
    assert data.startswith(b"data: "), data
    assert data.endswith(b"\n\n"), data
    payload = data[len(b"data: ") : -2]
    assert payload.isascii(), payload
    assert b"\n" not in payload
    assert b"\r" not in payload
    text = payload.decode("ascii")
    return DONE if text == DONE else json.loads(text)


def is_comment(data: bytes) -> bool:
    """Whether these bytes are one comment and nothing else."""
    return data.startswith(b": ") and data.endswith(b"\n\n") and data.count(b"\n") == 2


def read_events(chunks: Sequence[bytes]) -> list[Any]:
    """The events of a stream whose every chunk is one event or one comment."""
    return [read_event(chunk) for chunk in chunks if not is_comment(chunk)]


def text_of(events: Sequence[Any], *, choice: int = 0) -> str:
    """The text that the chat chunks among these events add up to."""
    return "".join(
        part["delta"].get("content", "")
        for event in events
        if event != DONE and "choices" in event
        for part in event["choices"]
        if part["index"] == choice
    )
