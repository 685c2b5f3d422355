"""From a valid request to an order: what the engine is asked, and how much of the quota that may take."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from gateway.application.generation import Order
from gateway.application.orders import CHAT, COMPLETIONS, LONGEST_TOKEN_BYTES, Orders
from gateway.catalogue import load_catalogue
from gateway.domain.chat import parse_chat_request, parse_completion_request
from gateway.domain.errors import InvalidRequest, NotFound
from hypothesis import given
from hypothesis import strategies as st

from tests.support.accounts import new_customer, new_model
from tests.support.fakes import NumberedIds

MODELS = [new_model("small"), new_model("other", dialect="vllm")]
KEY = new_customer().key
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def orders() -> Orders:
    catalogue = replace(load_catalogue(), models={model.id: model for model in MODELS})
    return Orders(catalogue, NumberedIds())


def chat(**fields: Any) -> Order:
    request = {"model": "small", "messages": [{"role": "user", "content": "hi"}], **fields}
    return orders().of_chat(parse_chat_request(json.dumps(request).encode()), key=KEY)


def completion(**fields: Any) -> Order:
    request = {"model": "small", "prompt": "hi", **fields}
    return orders().of_completion(parse_completion_request(json.dumps(request).encode()), key=KEY)


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        chat(**fields)
    return caught.value


def test_a_chat_request_is_asked_as_it_was_sent_with_the_defaults_of_the_contract() -> None:
    order = chat()
    assert (order.endpoint, order.kind, order.stream, order.key) == (CHAT, "chat", False, KEY)
    (choice,) = order.choices
    assert choice.body["messages"] == [{"role": "user", "content": "hi"}]
    assert {name: choice.body[name] for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty")} == {
        "temperature": 0.7,
        "top_p": 1.0,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
    }
    assert not {"seed", "stop", "top_k", "min_p", "tools", "response_format", "logprobs"} & choice.body.keys()


def test_what_the_client_set_reaches_the_engine() -> None:
    asked = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "min_p": 0.1,
        "stop": ["END"],
        "seed": 7,
        "logit_bias": {"5": 1},
    }
    body = chat(**asked, logprobs=True, top_logprobs=2).choices[0].body
    assert {name: body[name] for name in asked} == asked
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)


@pytest.mark.parametrize("model", ["small", "other"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_engine_always_streams_and_counts_with_every_chunk(model: str, stream: bool) -> None:
    body = chat(model=model, stream=stream).choices[0].body
    assert body["stream"] is True
    assert body["stream_options"]["include_usage"] is True
    assert body.get("timings_per_token") or body["stream_options"].get("continuous_usage_stats")


@given(st.integers(1, 10**9))
def test_a_large_max_tokens_is_clipped_to_the_models_own_limit(asked: int) -> None:
    order = chat(max_tokens=asked)
    assert order.choices[0].body["max_tokens"] == min(asked, 50)


@given(st.lists(TEXTS, min_size=1, max_size=4), st.integers(1, 8), st.integers(1, 60))
def test_the_reservation_holds_every_choice_at_its_longest_and_each_prompt_once(
    texts: list[str], n: int, max_tokens: int
) -> None:
    messages = [{"role": "user", "content": text} for text in texts]
    one, several = (chat(messages=messages, n=number, max_tokens=max_tokens) for number in (1, n))
    longest = min(max_tokens, 50)
    assert several.reserved_tokens - one.reserved_tokens == (n - 1) * longest
    assert one.reserved_tokens - longest >= sum(len(text.encode()) for text in texts) / 3


def test_several_choices_are_numbered_and_the_first_pays_for_the_prompt() -> None:
    choices = chat(n=3).choices
    assert [(choice.index, choice.counts_prompt) for choice in choices] == [(0, True), (1, False), (2, False)]


def test_the_choices_of_a_seeded_request_differ_and_repeat() -> None:
    assert [choice.body["seed"] for choice in chat(n=3, seed=7).choices] == [7, 8, 9]
    assert [choice.body.get("seed") for choice in chat(n=2).choices] == [None, None]


def test_each_choice_has_a_shaper_of_its_own() -> None:
    order = chat(n=2, response_format="json")
    shapers = [choice.new_shaper() for choice in order.choices]
    assert shapers[0] is not shapers[1]


def test_each_prompt_of_a_completion_is_one_user_message_that_pays_for_itself() -> None:
    order = completion(prompt=["a", "b"], n=2)
    assert (order.endpoint, order.kind) == (COMPLETIONS, "text")
    assert [
        (choice.index, choice.counts_prompt, choice.body["messages"][0]["content"]) for choice in order.choices
    ] == [(0, True, "a"), (1, False, "a"), (2, True, "b"), (3, False, "b")]


@pytest.mark.parametrize("model", ["Small", "small ", "gpt-4", "x" * 200])
def test_an_unknown_model_is_not_found_and_never_another(model: str) -> None:
    with pytest.raises(NotFound) as caught:
        chat(model=model)
    assert (caught.value.status, caught.value.param, caught.value.reason) == (404, "model", "model_not_found")
    assert len(caught.value.message) < 200


def test_a_prompt_that_no_counting_could_fit_is_refused_before_anything_is_admitted() -> None:
    fits = "x" * (100 * LONGEST_TOKEN_BYTES)
    assert chat(messages=[{"role": "user", "content": fits}]).choices
    error = refusal(messages=[{"role": "user", "content": fits + "x"}])
    assert (error.reason, error.param) == ("context_length_exceeded", "messages")


def test_a_prompt_is_measured_in_bytes_not_characters() -> None:
    assert refusal(messages=[{"role": "user", "content": "😀" * (100 * LONGEST_TOKEN_BYTES // 4 + 1)}]).reason


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logit_bias": {"foo": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"": 1}}, "logit_bias"),
    ],
)
def test_what_no_engine_could_honour_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).param == param


def test_json_without_a_schema_is_constrained_and_told_to_the_model() -> None:
    body = chat(response_format={"type": "json_object"}).choices[0].body
    assert "JSON" in json.dumps(body["messages"])
    assert {"response_format", "grammar", "json_schema", "structured_outputs", "guided_json"} & body.keys()


def test_every_order_has_a_request_id_of_its_own() -> None:
    maker = orders()
    request = parse_chat_request(b'{"model": "small", "messages": [{"role": "user", "content": "hi"}]}')
    assert len({maker.of_chat(request, key=KEY).request_id for _ in range(5)}) == 5
