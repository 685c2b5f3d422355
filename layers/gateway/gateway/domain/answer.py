"""What a client reads: chunks of a stream, and whole answers.

Every event of a stream repeats the same id, created and model. That part is rendered once; the usual event, a piece
of text, is then one string join and one C call for the escape, which is what the frame budget of DESIGN allows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from typing import Any, Literal, NamedTuple

from gateway.domain.models import usd_of_nano
from gateway.domain.sse import encode_event
from gateway.domain.usage import Tokens

Kind = Literal["chat", "text"]
_OBJECTS = {"chat": ("chat.completion", "chat.completion.chunk"), "text": ("text_completion", "text_completion")}
_ID_PREFIXES = {"chat": "chatcmpl-", "text": "cmpl-"}


class Piece(NamedTuple):
    """A piece of one choice of an answer: a delta in OpenAI's shape."""

    choice: int
    delta: Mapping[str, Any]
    logprobs: Mapping[str, Any] | None = None


class Ending(NamedTuple):
    """The end of one choice."""

    choice: int
    reason: str


class Extra(NamedTuple):
    """Top-level fields of the answer beside its choices (search results); they come before the first piece."""

    choice: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """What the answer used and cost, as the client is told; `cost_nano_usd` is in 10⁻⁹ USD."""

    tokens: Tokens
    cost_nano_usd: int
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The `usage` object."""
        return {
            "prompt_tokens": self.tokens.prompt,
            "completion_tokens": self.tokens.completion,
            "total_tokens": self.tokens.total,
            "cost": usd_of_nano(self.cost_nano_usd),
            **self.details,
        }


def answer_id(kind: Kind, request_id: str) -> str:
    """The answer's id, `chatcmpl-…` or `cmpl-…`."""
    return _ID_PREFIXES[kind] + request_id


class ChunkWriter:
    """Renders the events of one stream."""

    __slots__ = ("_envelope", "_kind", "_tail", "_text_head", "_text_tail", "_usage_apart")

    def __init__(self, *, kind: Kind, request_id: str, created: int, model: str, include_usage: bool) -> None:
        self._kind = kind
        self._usage_apart = include_usage
        head = {"id": answer_id(kind, request_id), "object": _OBJECTS[kind][1], "created": created, "model": model}
        self._envelope = json.dumps(head, separators=(",", ":"))[:-1]
        self._tail = ',"usage":null}' if include_usage else "}"
        self._text_head = self._envelope + ',"choices":[{"index":'
        self._text_tail = '},"finish_reason":null}]' + self._tail

    def role(self, index: int) -> bytes:
        """The first event of a choice; text completions have none."""
        return self.piece(Piece(index, {"role": "assistant", "content": ""})) if self._kind == "chat" else b""

    def piece(self, piece: Piece) -> bytes:
        """One event for one delta."""
        index, delta, logprobs = piece
        if self._kind == "text":
            return self._event({"text": delta.get("content", ""), "index": index, "finish_reason": None})
        if logprobs is None and len(delta) == 1 and "content" in delta:
            text = encode_basestring_ascii(delta["content"])
            return encode_event(f'{self._text_head}{index},"delta":{{"content":{text}{self._text_tail}')
        choice: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": None}
        if logprobs is not None:
            choice["logprobs"] = logprobs
        return self._event(choice)

    def ending(self, ending: Ending, usage: Usage | None) -> bytes:
        """The last event of a choice; `usage` rides on the last choice's unless it was asked for apart."""
        choice: dict[str, Any]
        if self._kind == "text":
            choice = {"text": "", "index": ending.choice, "finish_reason": ending.reason}
        else:
            choice = {"index": ending.choice, "delta": {}, "finish_reason": ending.reason}
        return self._event(choice, None if self._usage_apart else usage)

    def usage(self, usage: Usage) -> bytes:
        """The usage chunk, whose choices are empty; nothing where it was not asked for."""
        if not self._usage_apart:
            return b""
        return encode_event(f'{self._envelope},"choices":[],"usage":{_dump(usage.to_json())}}}')

    def fields(self, extra: Extra) -> bytes:
        """An event with an empty delta that carries top-level fields."""
        choice = {"index": extra.choice, "delta": {}, "finish_reason": None}
        fields = _dump(extra.fields)[1:-1]
        return encode_event(f'{self._envelope},"choices":[{_dump(choice)}],{fields}{self._tail}')

    def _event(self, choice: Mapping[str, Any], usage: Usage | None = None) -> bytes:
        tail = self._tail if usage is None else f',"usage":{_dump(usage.to_json())}}}'
        return encode_event(f'{self._envelope},"choices":[{_dump(choice)}]{tail}')


def error_event(body: Mapping[str, Any]) -> bytes:
    """The event of a failure after the first one; the stream then ends without `[DONE]`."""
    return encode_event(_dump(body))


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def whole_answer(
    *,
    kind: Kind,
    request_id: str,
    created: int,
    model: str,
    choices: Sequence[Mapping[str, Any]],
    usage: Usage,
    extra: Mapping[str, Any],
) -> bytes:
    """The body of a buffered answer."""
    body = {
        "id": answer_id(kind, request_id),
        "object": _OBJECTS[kind][0],
        "created": created,
        "model": model,
        "choices": choices,
        "usage": usage.to_json(),
        **extra,
    }
    return json.dumps(body, separators=(",", ":")).encode("ascii")


class ChoiceFold:
    """Folds the pieces of one choice into what the buffered face answers."""

    __slots__ = ("_logprobs", "_text", "_tool_calls", "annotations", "index", "reason")

    def __init__(self, index: int) -> None:
        self.index = index
        self.reason: str | None = None
        self.annotations: list[Any] = []
        self._text: list[str] = []
        self._tool_calls: dict[int, dict[str, Any]] = {}
        self._logprobs: list[Any] = []

    def add(self, piece: Piece) -> None:
        """Takes the next piece."""
        delta = piece.delta
        if "content" in delta:
            self._text.append(delta["content"])
        for call in delta.get("tool_calls", ()):
            self._add_call(call)
        self.annotations.extend(delta.get("annotations", ()))
        if piece.logprobs:
            self._logprobs.extend(piece.logprobs.get("content") or ())

    def _add_call(self, call: Mapping[str, Any]) -> None:
        function = call.get("function", {})
        if call["index"] not in self._tool_calls:
            self._tool_calls[call["index"]] = {
                "id": call["id"],
                "type": "function",
                "function": {"name": function["name"], "arguments": function.get("arguments", "")},
            }
        else:
            self._tool_calls[call["index"]]["function"]["arguments"] += function.get("arguments", "")

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def to_json(self, kind: Kind) -> dict[str, Any]:
        """The choice of a whole answer."""
        if kind == "text":
            return {"text": self.text, "index": self.index, "finish_reason": self.reason}
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.text if self._text or not self._tool_calls else None,
        }
        if self._tool_calls:
            message["tool_calls"] = [self._tool_calls[index] for index in sorted(self._tool_calls)]
        if self.annotations:
            message["annotations"] = self.annotations
        choice: dict[str, Any] = {"index": self.index, "message": message, "finish_reason": self.reason}
        if self._logprobs:
            choice["logprobs"] = {"content": self._logprobs}
        return choice
