"""The chat and the text-completion request: fields, defaults and ranges (CONTRACT "Chat request")."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from gateway.domain.errors import InvalidRequest
from gateway.domain.wire import WHOLE, WireModel, parse_json_object, parse_request

MAX_CHOICES = 8
MAX_STOPS = 4
MAX_PROMPTS = 32


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Stop = Annotated[str, Field(min_length=1, max_length=256)]
_Prompt = Annotated[str, Field(min_length=1)]
Stops = Annotated[
    list[_Stop],
    BeforeValidator(
        _as_list, json_schema_input_type=_Stop | Annotated[list[_Stop], Field(min_length=1, max_length=MAX_STOPS)]
    ),
    Field(min_length=1, max_length=MAX_STOPS),
]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class StreamOptions(WireModel):
    """How a stream reports; the one option that matters is the usage chunk."""

    include_usage: bool = False


class Sampling(WireModel):
    """What chat and text completions have in common."""

    model: Annotated[str, Field(min_length=1, max_length=256, description="Model ID (see GET /v1/models)")]
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Annotated[int, Field(ge=1), WHOLE] = 1000
    stream: bool = False
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Penalty = 0.0
    presence_penalty: Penalty = 0.0
    stop: Stops | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WHOLE] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE] = 1
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=512)] | None = None

    @property
    def completion_limit(self) -> int:
        """The most tokens one answer may have, as the client asked."""
        return self.max_tokens

    @property
    def include_usage(self) -> bool:
        """Whether the stream ends with a usage chunk of its own."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Sampling):
    """POST /v1/chat/completions."""

    model_config = ConfigDict(title="ChatRequest")

    messages: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=4096)]
    max_completion_tokens: Annotated[int, Field(ge=1), WHOLE] | None = None
    # None is told apart from false: `web_search_options` alone searches, beside an explicit false it does not
    web_search: Annotated[Any, Field(json_schema_extra={"default": False})] = None
    web_search_options: Any = None
    response_format: Any = None
    tools: Annotated[list[Any], Field(max_length=128)] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    metadata: dict[str, str] | None = None

    @property
    def completion_limit(self) -> int:
        """The most tokens one answer may have; the current name of the field wins."""
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(Sampling):
    """POST /v1/completions (legacy)."""

    model_config = ConfigDict(title="CompletionRequest")

    prompt: Annotated[
        list[_Prompt],
        BeforeValidator(
            _as_list,
            json_schema_input_type=_Prompt | Annotated[list[_Prompt], Field(min_length=1, max_length=MAX_PROMPTS)],
        ),
        Field(min_length=1, max_length=MAX_PROMPTS),
    ]


EXPECTED = {
    "model": "the id of a model, a string of 1 to 256 characters",
    "messages": "an array of at least one message",
    "messages.*": "a message object",
    "prompt.*": "a string that is not empty",
    "prompt": f"a string, or an array of 1 to {MAX_PROMPTS} strings, none empty",
    "temperature": "a number from 0 to 2",
    "max_tokens": "an integer of at least 1",
    "max_completion_tokens": "an integer of at least 1",
    "stream": "true or false",
    "top_p": "a number from 0 to 1",
    "top_k": "an integer from 0 to 2147483647",
    "min_p": "a number from 0 to 1",
    "frequency_penalty": "a number from -2 to 2",
    "presence_penalty": "a number from -2 to 2",
    "stop.*": "a string of 1 to 256 characters",
    "stop": f"a string, or an array of 1 to {MAX_STOPS} strings, each of 1 to 256 characters",
    "seed": "a 64-bit integer",
    "n": f"an integer from 1 to {MAX_CHOICES}",
    "stream_options": "an object with 'include_usage': true or false",
    "stream_options.include_usage": "true or false",
    "user": "a string of at most 512 characters",
    "tools": "an array of at most 128 tools",
    "parallel_tool_calls": "true or false",
    "logprobs": "true or false",
    "top_logprobs": "an integer from 0 to 20",
    "logit_bias.*": "a number from -100 to 100",
    "logit_bias": "an object of token ids with numbers from -100 to 100",
    "metadata": "an object of strings",
    "web_search": '"auto", "force", "images", true or false',
    "web_search_options": "an object",
    "response_format": '"json", or an object whose type is "text", "json", "json_object" or "json_schema"',
    "tool_choice": '"none", "auto", "required", or an object that names a function',
    "modalities": 'an array of "text" alone',
    "metadata.*": "a string",
}

REFUSED_CHAT_FIELDS = {
    "functions": "Send 'tools' instead.",
    "function_call": "Send 'tool_choice' instead.",
    "audio": "This API answers with text only.",
}
"""Fields that would change the answer and that no model here can honour; refused, never dropped in silence."""

REFUSED_COMPLETION_FIELDS = {
    "suffix": "No model here fills in the middle.",
    "echo": "Prepend the prompt yourself.",
    "best_of": "Send 'n' and choose.",
    "logprobs": "Use POST /v1/chat/completions with 'logprobs'.",
    "logit_bias": "Use POST /v1/chat/completions.",
}


def parse_chat_request(body: bytes) -> ChatRequest:
    """The chat request in `body`. Raises InvalidRequest with the JSON path of the first bad field."""
    fields = parse_json_object(body)
    _refuse(fields, REFUSED_CHAT_FIELDS)
    modalities = fields.pop("modalities", None)
    if modalities not in (None, ["text"]):
        raise unsupported("modalities", "This API answers with text only.")
    return parse_request(ChatRequest, fields, expected=EXPECTED)


def parse_completion_request(body: bytes) -> CompletionRequest:
    """The text-completion request in `body`. Raises InvalidRequest with the JSON path of the first bad field."""
    fields = parse_json_object(body)
    _refuse(fields, REFUSED_COMPLETION_FIELDS)
    return parse_request(CompletionRequest, fields, expected=EXPECTED)


def _refuse(fields: dict[str, Any], refused: dict[str, str]) -> None:
    for name, remedy in refused.items():
        value = fields.pop(name, None)
        if not (value is None or value is False):
            raise unsupported(name, remedy)


def unsupported(param: str, remedy: str) -> InvalidRequest:
    """The refusal of a parameter that cannot be honoured."""
    return InvalidRequest(f"'{param}' is not supported. {remedy}", param=param, reason="unsupported_parameter")
