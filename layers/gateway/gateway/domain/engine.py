"""How the two engines speak: the body they take, the chunks they send, the refusals they give.

Both take OpenAI chat bodies; what differs is in the tables here. Both are asked to tell their counts with every
chunk, so that a stream cut in the middle still ends with the engine's own numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import from_json

from gateway.domain.errors import GatewayError, InvalidRequest, ServerError, ServiceUnavailable
from gateway.domain.usage import Tokens

COUNT_EVERY_CHUNK: Mapping[str, Mapping[str, Any]] = {
    "llama.cpp": {"timings_per_token": True, "stream_options": {"include_usage": True}},
    "vllm": {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
}

_LIMIT = r"maximum context length is (?P<limit>\d+) tokens.*?"
_CONTEXT_NUMBERS = tuple(
    re.compile(form, re.S)
    for form in (
        # "... upper bound for 8192 input tokens": so long a text that vLLM did not count its tokens
        _LIMIT + r"(?P<passed>\d+) input tokens\)",
        # "... your prompt contains at least 8193 input tokens": counted up to the first that is too many
        _LIMIT + r"at least (?P<least>\d+) input tokens",
        # counted whole: "8900 in the messages", in later versions "8900 input tokens"
        _LIMIT + r"(?P<prompt>\d+) (?:in the messages|input tokens)",
        r"prompt \(length (?P<prompt>\d+)\).*?(?:max_model_len|maximum model length) of (?P<limit>\d+)",
        r"Input length \((?P<prompt>\d+)\) exceeds model's maximum context length \((?P<limit>\d+)\)",
        # max_tokens alone is over; nothing was counted
        r"max_(?:completion_)?tokens=\d+ cannot be greater than max_model_len=(?P<limit>\d+)",
    )
)
"""vLLM's refusals, in the words of its versions up to 0.33."""

_NAMED_BY_ENGINES = frozenset({"logit_bias", "logprobs", "top_logprobs", "seed", "stop", "top_k", "min_p"})
"""The client's own fields, passed on as they are: an engine that refuses one of them names it to the client."""


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of one call of a tool, of an engine whose model has native tools; `name` and `id` come once, or never."""

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class EngineChunk:
    """One chunk of an engine's stream, reduced to what an answer is made of.

    `tokens` are the engine's counts so far, None where the chunk tells none. `final_usage` marks the engine's own
    closing count.
    """

    text: str = ""
    finish_reason: str | None = None
    tokens: Tokens | None = None
    final_usage: bool = False
    logprobs: Mapping[str, Any] | None = None
    calls: tuple[CallPiece, ...] = ()


class ContextExceeded(InvalidRequest):
    """The prompt does not fit the model's context; both numbers are in tokens.

    `at_least` says that the engine stopped counting at `prompt_tokens`.
    """

    def __init__(self, *, prompt_tokens: int, context_tokens: int, at_least: bool = False) -> None:
        counted = f"at least {prompt_tokens}" if at_least else f"{prompt_tokens}"
        super().__init__(
            f"The prompt has {counted} tokens; the model's context holds {context_tokens}. Shorten the messages.",
            param="messages",
            reason="context_length_exceeded",
        )
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens


def parse_chunk(data: bytes) -> EngineChunk | Literal["done"]:
    """The chunk in one event's data, or `done` for the end mark.

    Raises GatewayError for an error event, ServerError where the data is no chunk.
    """
    if data == b"[DONE]":
        return "done"
    try:
        chunk = from_json(data)
        if "error" not in chunk:
            return _chunk_of(chunk)
        refusal = translate_refusal(_status_of(chunk), chunk)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ServerError(reason="stream_broken") from None
    raise refusal


def _chunk_of(chunk: Mapping[str, Any]) -> EngineChunk:
    choices = chunk.get("choices")
    tokens, final = _tokens_of(chunk)
    if not choices:
        return EngineChunk(tokens=tokens, final_usage=final)
    choice = choices[0]
    delta = choice.get("delta") or {}
    return EngineChunk(
        delta.get("content") or "",
        choice.get("finish_reason"),
        tokens,
        final,
        choice.get("logprobs"),
        tuple(_call_piece(piece) for piece in delta.get("tool_calls") or ()),
    )


def _call_piece(piece: Mapping[str, Any]) -> CallPiece:
    function = piece.get("function") or {}
    index, arguments = piece.get("index", 0), function.get("arguments")
    if not (isinstance(index, int) and isinstance(arguments, str | None)):
        raise TypeError
    return CallPiece(index, piece.get("id"), function.get("name"), arguments or "")


def _tokens_of(chunk: Mapping[str, Any]) -> tuple[Tokens | None, bool]:
    usage = chunk.get("usage")
    if usage is not None:
        return Tokens(usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)), not chunk.get("choices")
    timings = chunk.get("timings")
    if timings is not None:
        return Tokens(timings["cache_n"] + timings["prompt_n"], timings["predicted_n"]), False
    return None, False


def _status_of(chunk: Mapping[str, Any]) -> int:
    error = chunk["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def translate_refusal(status: int, body: Mapping[str, Any] | bytes | str) -> GatewayError:
    """An engine's error status and body as ours.

    Only what the client can mend becomes a 400, in our words: an engine's text may hold parts of a prompt.
    """
    if not isinstance(body, Mapping):
        try:
            parsed = from_json(body)
        except ValueError:
            parsed = {}
        body = parsed if isinstance(parsed, dict) else {}
    error = body.get("error", body)
    error = error if isinstance(error, dict) else {"message": str(error)}
    message = str(error.get("message", ""))
    prompt, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    if isinstance(prompt, int) and isinstance(context, int):  # llama.cpp's exceed_context_size_error
        return ContextExceeded(prompt_tokens=prompt, context_tokens=context)
    for form in _CONTEXT_NUMBERS:
        if found := form.search(message):
            return _context_exceeded(found.groupdict())
    if status == 503:
        return ServiceUnavailable("The model is loading.", reason="model_warming", retry_after_s=10)
    if status == 429:
        return ServiceUnavailable("The model is busy.", reason="line_full", retry_after_s=5)
    if status in (400, 422):
        param = error.get("param")
        if isinstance(param, str) and param in _NAMED_BY_ENGINES:
            return InvalidRequest(f"The model's engine refused '{param}'.", param=param)
        return InvalidRequest("The model's engine refused the request: a parameter or the conversation's form.")
    return ServerError(reason="engine_failed")


def _context_exceeded(numbers: Mapping[str, str]) -> ContextExceeded:
    limit = int(numbers["limit"])
    if "prompt" in numbers:
        return ContextExceeded(prompt_tokens=int(numbers["prompt"]), context_tokens=limit)
    least = int(numbers["least"]) if "least" in numbers else int(numbers.get("passed", 0)) + 1
    return ContextExceeded(prompt_tokens=least, context_tokens=limit, at_least=True)
