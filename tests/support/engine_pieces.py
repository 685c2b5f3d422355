"""What engines send, as bytes: llama.cpp's chunks with its counts on each, and vLLM's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

DONE = b"data: [DONE]\n\n"


def event(value: Any) -> bytes:
    """One event of an engine, in raw UTF-8 as engines write it."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def text_piece(text: str, *, prompt: int = 10, completion: int = 1) -> bytes:
    """A piece of text with the counts so far."""
    return event(
        {
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
            "object": "chat.completion.chunk",
            "timings": {"cache_n": 1, "prompt_n": prompt - 1, "predicted_n": completion},
        }
    )


def finish_piece(reason: str = "stop") -> bytes:
    """The chunk with the finish reason."""
    return event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def usage_piece(prompt: int = 10, completion: int = 2) -> bytes:
    """The chunk with the counts."""
    return event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


def whole(*texts: str, prompt: int = 10, completion: int | None = None, reason: str = "stop") -> list[bytes]:
    """All pieces of an answer of these texts; a text counts as one token unless told otherwise."""
    return [
        *opening(*texts, prompt=prompt),
        *closing(prompt=prompt, completion=completion or len(texts), reason=reason),
    ]


def opening(*texts: str, prompt: int = 10) -> Sequence[bytes]:
    """The role chunk with llama.cpp's null content, then the texts."""
    role = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}]})
    return [role, *(text_piece(text, prompt=prompt, completion=n) for n, text in enumerate(texts, start=1))]


def closing(*, prompt: int = 10, completion: int = 2, reason: str = "stop") -> Sequence[bytes]:
    """The end of an answer."""
    return [finish_piece(reason), usage_piece(prompt, completion), DONE]
