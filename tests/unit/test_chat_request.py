"""The fields of a chat request and of a text completion: defaults, ranges, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gateway.domain.chat import (
    REFUSED_CHAT_FIELDS,
    REFUSED_COMPLETION_FIELDS,
    ChatRequest,
    parse_chat_request,
    parse_completion_request,
)
from gateway.domain.errors import InvalidRequest
from hypothesis import given
from hypothesis import strategies as st

MESSAGES = [{"role": "user", "content": "hi"}]
RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


def chat(**fields: Any) -> ChatRequest:
    return parse_chat_request(json.dumps({"model": "small", "messages": MESSAGES} | fields).encode())


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        chat(**fields)
    return caught.value


def test_the_defaults_are_those_of_the_contract() -> None:
    request = chat()
    assert (request.temperature, request.top_p, request.max_tokens, request.stream) == (0.7, 1.0, 1000, False)
    assert (request.frequency_penalty, request.presence_penalty, request.n) == (0.0, 0.0, 1)
    assert not request.web_search
    assert (request.response_format, request.stop) == (None, None)


@pytest.mark.parametrize("field", RANGES)
@given(data=st.data())
def test_a_number_is_taken_exactly_within_its_range(field: str, data: st.DataObject) -> None:
    low, high = RANGES[field]
    value = data.draw(st.floats(low - 1, high + 1) | st.integers(low - 1, high + 1))
    if low <= value <= high:
        assert getattr(chat(**{field: value}), field) == value
    else:
        error = refusal(**{field: value})
        assert (error.param, error.status, error.type) == (field, 400, "invalid_request_error")
        assert f"from {low} to {high}" in error.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [*MESSAGES, "hi"]}, "messages[1]"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"stream": "true"}, "stream"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"seed": 2**63}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": []}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"user": "u" * 513}, "user"),
    ],
)
def test_a_bad_field_is_refused_under_its_path(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert error.message.startswith(f"'{param}'")
    assert "must be" in error.message or "is required" in error.message


def test_one_stop_string_is_a_list_of_one() -> None:
    assert chat(stop="END").stop == ["END"]


def test_the_current_name_of_the_token_limit_wins_over_the_old_one() -> None:
    assert chat(max_tokens=5).completion_limit == 5
    assert chat(max_tokens=5, max_completion_tokens=7).completion_limit == 7


def test_a_huge_token_limit_is_no_error() -> None:
    assert chat(max_tokens=10**9).completion_limit == 10**9


def test_the_usage_chunk_is_asked_for_by_its_option_alone() -> None:
    assert not chat(stream=True).include_usage
    assert not chat(stream_options={"include_usage": False}).include_usage
    assert chat(stream_options={"include_usage": True}).include_usage


def test_fields_that_nobody_knows_are_named_and_ignored() -> None:
    assert chat(reasoning_effort="low", x={"y": 1}).unknown_fields == ("reasoning_effort", "x")


@pytest.mark.parametrize("field", [*REFUSED_CHAT_FIELDS, "modalities"])
def test_what_would_change_the_answer_and_can_not_be_honoured_is_refused_by_name(field: str) -> None:
    error = refusal(**{field: ["audio"]})
    assert (error.param, error.reason) == (field, "unsupported_parameter")


@pytest.mark.parametrize(
    "fields", [{"modalities": ["text"]}, {"modalities": None}, {"functions": None}, {"audio": False}]
)
def test_asking_for_what_happens_anyway_is_no_error_and_not_told_as_ignored(fields: dict[str, Any]) -> None:
    assert chat(**fields).unknown_fields == ()


@pytest.mark.parametrize(("prompt", "expected"), [("a", ["a"]), (["a", "b"], ["a", "b"])])
def test_a_completion_takes_one_prompt_or_several(prompt: str | list[str], expected: list[str]) -> None:
    body = json.dumps({"model": "small", "prompt": prompt}).encode()
    assert parse_completion_request(body).prompt == expected


@pytest.mark.parametrize(
    ("prompt", "param"), [([], "prompt"), (["a", ""], "prompt[1]"), ([1, 2], "prompt[0]"), (None, "prompt")]
)
def test_a_completion_without_a_usable_prompt_is_refused(prompt: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_completion_request(json.dumps({"model": "small", "prompt": prompt}).encode())
    assert caught.value.param == param


@pytest.mark.parametrize("field", REFUSED_COMPLETION_FIELDS)
def test_a_completion_refuses_what_chat_models_can_not_do(field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_completion_request(json.dumps({"model": "small", "prompt": "a", field: 2}).encode())
    assert (caught.value.param, caught.value.reason) == (field, "unsupported_parameter")
