"""What engines send and refuse, as ours."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from gateway.domain.engine import ContextExceeded, EngineChunk, parse_chunk, translate_refusal
from gateway.domain.errors import GatewayError, InvalidRequest, ServerError, ServiceUnavailable
from gateway.domain.usage import Tokens
from hypothesis import given
from hypothesis import strategies as st

LLAMA_CONTEXT = {
    "error": {
        "code": 400,
        "message": "the request exceeds the available context size",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000,
        "n_ctx": 8192,
    }
}
VLLM_CONTEXTS = [
    "This model's maximum context length is 8192 tokens. However, you requested 9100 tokens (9000 in the messages, "
    "100 in the completion). Please reduce the length of the messages or completion.",
    "This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens. Please reduce "
    "the length of the input messages.",
    "'max_tokens' or 'max_completion_tokens' is too large: 100. This model's maximum context length is 8192 tokens and "
    "your request has 9000 input tokens (100 > 8192 - 9000). None",
    "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    "The decoder prompt (length 9000) plus the number of requested output tokens (at least 1) is longer than the "
    "maximum model length of 8192. Make sure that `max_model_len` is no smaller than the number of text tokens.",
    "Input length (9000) exceeds model's maximum context length (8192).",
]
VLLM_COUNTED_IN_PART = {
    "This model's maximum context length is 8192 tokens. However, your prompt contains at least 8193 input tokens, "
    "which exceeds this limit even without any output tokens.": 8193,
    "This model's maximum context length is 8192 tokens. However, you requested 1000 output tokens and your prompt "
    "contains at least 7193 input tokens, for a total of at least 8193 tokens.": 7193,
    "This model's maximum context length is 8192 tokens. However, your prompt contains 99999 characters (more than "
    "98304 characters, which is the upper bound for 8192 input tokens). Please reduce the input prompt.": 8193,
    "max_tokens=9000 cannot be greater than max_model_len=8192. Please request fewer output tokens.": 1,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "usage", "timings", "error", "content", "prompt_tokens", "cache_n"]),
            inner,
            max_size=3,
        )
    ),
)


def parse(chunk: dict[str, Any]) -> EngineChunk:
    parsed = parse_chunk(json.dumps(chunk).encode())
    assert parsed != "done"
    return parsed


def test_a_piece_of_llama_cpp_carries_its_text_and_the_counts_so_far() -> None:
    chunk = parse(
        {
            "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}],
            "timings": {"cache_n": 3, "prompt_n": 4, "predicted_n": 2, "predicted_ms": 9.0},
        }
    )
    assert chunk == EngineChunk("Hi", tokens=Tokens(7, 2))


def test_a_piece_of_vllm_carries_its_usage_and_is_not_the_closing_count() -> None:
    chunk = parse(
        {
            "choices": [{"index": 0, "delta": {"content": "Hi"}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        }
    )
    assert chunk == EngineChunk("Hi", tokens=Tokens(7, 2))


def test_the_closing_count_comes_without_choices() -> None:
    chunk = parse({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
    assert chunk == EngineChunk(tokens=Tokens(7, 2), final_usage=True)


@pytest.mark.parametrize("delta", [{"role": "assistant", "content": None}, {"role": "assistant"}, {}, None])
def test_a_first_delta_without_text_is_an_empty_piece(delta: object) -> None:
    assert parse({"choices": [{"index": 0, "delta": delta}], "usage": None}) == EngineChunk()


def test_the_finish_and_the_logprobs_come_through() -> None:
    chunk = parse({"choices": [{"delta": {}, "finish_reason": "length", "logprobs": {"content": [1]}}]})
    assert chunk == EngineChunk(finish_reason="length", logprobs={"content": [1]})


def test_the_end_mark_is_told_apart() -> None:
    assert parse_chunk(b"[DONE]") == "done"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b'"text"', b"null", b"\xff", b"[done]"])
def test_what_is_no_chunk_breaks_the_stream(data: bytes) -> None:
    with pytest.raises(ServerError) as caught:
        parse_chunk(data)
    assert caught.value.reason == "stream_broken"


@given(JSON)
def test_no_json_does_more_than_break_the_stream(value: object) -> None:
    with suppress(GatewayError):
        parse_chunk(json.dumps(value).encode())


def test_an_error_event_in_a_stream_is_the_refusal_it_holds() -> None:
    with pytest.raises(ContextExceeded):
        parse_chunk(json.dumps(LLAMA_CONTEXT).encode())
    with pytest.raises(ServerError) as caught:
        parse_chunk(b'{"error": "out of memory"}')
    assert caught.value.reason == "engine_failed"


@pytest.mark.parametrize("body", [LLAMA_CONTEXT, *({"error": {"message": message}} for message in VLLM_CONTEXTS)])
@pytest.mark.parametrize("form", ["mapping", "text", "bytes"])
def test_a_prompt_over_the_context_is_refused_with_both_numbers(body: dict[str, Any], form: str) -> None:
    text = json.dumps(body)
    forms: dict[str, dict[str, Any] | str | bytes] = {"mapping": body, "text": text, "bytes": text.encode()}
    refusal = translate_refusal(400, forms[form])
    assert isinstance(refusal, ContextExceeded)
    assert (refusal.prompt_tokens, refusal.context_tokens) == (9000, 8192)
    assert (refusal.status, refusal.reason, refusal.param) == (400, "context_length_exceeded", "messages")
    assert "9000" in refusal.message
    assert "8192" in refusal.message


@pytest.mark.parametrize("message", VLLM_COUNTED_IN_PART)
def test_where_vllm_stopped_counting_the_number_is_told_as_a_least(message: str) -> None:
    refusal = translate_refusal(400, {"error": {"message": message, "param": "input_tokens", "code": 400}})
    assert isinstance(refusal, ContextExceeded)
    least = VLLM_COUNTED_IN_PART[message]
    assert (refusal.prompt_tokens, refusal.context_tokens) == (least, 8192)
    assert f"at least {least} tokens" in refusal.message


def test_a_field_that_the_engine_names_is_named_to_the_client_and_nothing_else_is() -> None:
    for named, param in (("logit_bias", "logit_bias"), ("messages", None), ("secret", None), (None, None), ([], None)):
        refusal = translate_refusal(400, {"error": {"message": "the secret prompt", "param": named, "code": 400}})
        assert isinstance(refusal, InvalidRequest)
        assert refusal.param == param
        assert "secret" not in refusal.message


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, InvalidRequest, None),
        (422, InvalidRequest, None),
        (429, ServiceUnavailable, "line_full"),
        (503, ServiceUnavailable, "model_warming"),
        (401, ServerError, "engine_failed"),
        (404, ServerError, "engine_failed"),
        (500, ServerError, "engine_failed"),
    ],
)
def test_each_status_of_an_engine_has_its_place_in_the_contract(status: int, kind: type, reason: str | None) -> None:
    refusal = translate_refusal(status, {"error": {"message": "the secret prompt"}})
    assert type(refusal) is kind
    assert refusal.reason == reason
    assert "secret" not in refusal.message


@given(st.sampled_from([400, 429, 500, 503]), JSON | st.binary(max_size=40) | st.text(max_size=40))
def test_any_body_of_a_refusal_is_translated(status: int, body: Any) -> None:
    text = body if isinstance(body, bytes | str) else json.dumps(body)
    assert isinstance(translate_refusal(status, text), GatewayError)
