"""What we send to vLLM, and what it answers and refuses, on a real one. Its weights may be noise: nothing is read."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tests.http.asking import Asker
from tests.support.golden_streams import accumulated
from tests.support.sse_reader import read_events, text_of
from tests.support.stack import SECOND_MODEL, OpenedAccount, Stack

CONTEXT_TOKENS = 512
"""What the server is started with: --max-model-len."""

SCHEMAS: dict[str, Any] = {
    "enum": {"enum": ["zebra", 17, None]},
    "integers": {
        "type": "array",
        "items": {"type": "integer", "minimum": 3, "maximum": 7},
        "minItems": 2,
        "maxItems": 3,
    },
    "number bounds": {"type": "number", "minimum": 0.25, "exclusiveMaximum": 0.75},
    "record": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"enum": [1, 2]}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    "pattern": {"type": "string", "pattern": "^[A-Z]{3}-\\d{2}$"},
    "date": {"type": "string", "format": "date"},
    "unique": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True, "minItems": 2},
    "oneOf": {"oneOf": [{"type": "integer", "minimum": 90, "maximum": 99}, {"type": "null"}]},
    "reference": {"$ref": "#/$defs/d", "$defs": {"d": {"const": {"quoted": 'a"b\\c\né'}}}},
}
SCHEMA_OF_WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 5}, "days": {"type": "integer", "maximum": 9}},
    "required": ["city", "days"],
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA_OF_WEATHER}}


def answered(ask: Asker, **fields: Any) -> dict[str, Any]:
    response = ask(model=SECOND_MODEL, **{"max_tokens": 20, "seed": 3, **fields})
    assert response.status == 200, response.body
    body: dict[str, Any] = response.json()
    return body


def text(ask: Asker, **fields: Any) -> str:
    return str(answered(ask, **fields)["choices"][0]["message"]["content"])


def test_an_answer_carries_the_engines_counts(ask: Asker) -> None:
    body = answered(ask, max_tokens=5, logit_bias={"2": -100})
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5
    assert body["usage"]["prompt_tokens"] > 0


def test_a_stream_tells_what_a_whole_answer_does(ask: Asker) -> None:
    whole = text(ask, temperature=0)
    head, chunks = ask.stream(model=SECOND_MODEL, max_tokens=20, seed=3, temperature=0)
    assert head.status == 200
    events = read_events(chunks)
    assert events[-1] == "[DONE]"
    assert text_of(events) == whole
    assert events[-2]["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_held(ask: Asker, name: str) -> None:
    schema = SCHEMAS[name]
    body = answered(ask, max_tokens=60, response_format={"type": "json", "schema": schema})
    choice = body["choices"][0]
    value = json.loads(choice["message"]["content"])
    if choice["finish_reason"] == "stop":
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(value)


def test_a_form_leaves_no_room_for_blanks(ask: Asker) -> None:
    body = answered(ask, max_tokens=60, response_format={"type": "json", "schema": SCHEMAS["record"]})
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "stop"
    value = json.loads(choice["message"]["content"])
    assert choice["message"]["content"] == json.dumps(value, separators=(",", ":"))


def test_a_list_has_nothing_twice(ask: Asker) -> None:
    items = {"type": "string", "maxLength": 1, "pattern": "^[ab]*$"}
    schema = {"type": "array", "items": items, "uniqueItems": True, "maxItems": 12}
    (choice,) = answered(ask, max_tokens=90, response_format={"type": "json", "schema": schema})["choices"]
    value = json.loads(choice["message"]["content"])
    assert len(value) == len(set(value)) <= 3
    if choice["finish_reason"] == "stop":
        jsonschema.validate(value, schema)


@pytest.mark.parametrize("form", ["json", {"type": "json_object"}])
def test_free_json_parses_wherever_it_is_cut(ask: Asker, form: Any) -> None:
    for max_tokens in (1, 2, 7, 30):
        value = json.loads(text(ask, max_tokens=max_tokens, response_format=form))
        assert isinstance(value, dict if form != "json" else (dict, list))


def test_a_required_tool_is_called_with_arguments_that_validate(ask: Asker) -> None:
    choice = answered(ask, max_tokens=60, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False)[
        "choices"
    ][0]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    jsonschema.validate(json.loads(call["function"]["arguments"]), SCHEMA_OF_WEATHER)


def test_the_same_seed_gives_the_same_answer_and_another_another(ask: Asker) -> None:
    first, again, other = (text(ask, seed=seed, temperature=1.5) for seed in (11, 11, 12))
    assert first == again
    assert first != other


def test_n_choices_differ_by_seed_and_pay_for_the_prompt_once(ask: Asker) -> None:
    one, two = (answered(ask, n=n, temperature=1.5) for n in (1, 2))
    told = [choice["message"]["content"] for choice in two["choices"]]
    assert told[0] == one["choices"][0]["message"]["content"] != told[1]
    assert two["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]


def test_a_stop_string_is_never_leaked(ask: Asker) -> None:
    schema = {"const": "one, two, three, four, five"}
    asked = {"max_tokens": 60, "response_format": {"type": "json", "schema": schema}}
    assert json.loads(text(ask, **asked)) == schema["const"]
    assert json.loads(text(ask, **asked, stop=["ree, fo", "never"])) == "one, two, th"


@pytest.mark.parametrize("alternatives", [None, 0, 3, 20])
@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_come_as_openai_tells_them(ask: Asker, alternatives: int | None, stream: bool) -> None:
    asked: dict[str, Any] = {"max_tokens": 4, "logprobs": True, "top_logprobs": alternatives, "logit_bias": {"2": -100}}
    if stream:
        events = read_events(ask.stream(model=SECOND_MODEL, **asked)[1])
        content = accumulated(events[:-1]).choices[0].logprobs.content  # type: ignore[union-attr]
        tokens = [token.model_dump() for token in content or ()]
    else:
        tokens = answered(ask, **asked)["choices"][0]["logprobs"]["content"]
    assert len(tokens) == 4
    for token in tokens:
        assert token["logprob"] <= 0
        assert len(token["top_logprobs"]) == (alternatives or 0)


def test_a_bias_puts_a_token_into_the_answer(ask: Asker) -> None:
    twice = text(ask, max_tokens=2, temperature=0, logit_bias={"100": 100})
    assert twice == text(ask, max_tokens=1, temperature=0, logit_bias={"100": 100}) * 2


def test_a_bias_of_a_token_that_is_none_is_a_400_that_names_it(ask: Asker) -> None:
    response = ask(model=SECOND_MODEL, logit_bias={"99999999": 1})
    assert (response.status, response.error["param"]) == (400, "logit_bias")


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"min_p": 1.0}, {"top_p": 0}])
def test_sampling_that_leaves_one_token_is_greedy_at_any_heat(ask: Asker, narrow: dict[str, Any]) -> None:
    assert text(ask, temperature=2, max_tokens=5, **narrow) == text(ask, temperature=0, max_tokens=5)


@pytest.mark.parametrize("words", [600, 20_000], ids=["counted", "too long to be counted"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_over_the_context_is_a_400_with_both_numbers_that_bills_nothing(
    ask: Asker, stack: Stack, account: OpenedAccount, words: int, stream: bool
) -> None:
    messages = [{"role": "user", "content": "word " * words}]
    response = ask(model=SECOND_MODEL, messages=messages, stream=stream)
    assert (response.status, response.error["reason"]) == (400, "context_length_exceeded")
    assert f" {CONTEXT_TOKENS}." in response.error["message"]
    told = stack.account_of(account)
    assert (told.tokens_today, dict(told.open)) == (0, {})
    assert stack.line(SECOND_MODEL).open == {}


@pytest.mark.parametrize("max_tokens", [400, 500, 5000])
def test_what_the_context_leaves_is_the_most_that_an_answer_gets(ask: Asker, max_tokens: int) -> None:
    messages = [{"role": "user", "content": "word " * 440}]
    body = answered(ask, messages=messages, max_tokens=max_tokens, logit_bias={"2": -100})
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["total_tokens"] == CONTEXT_TOKENS


def test_any_order_of_roles_is_answered(ask: Asker) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
    ]
    assert answered(ask, messages=messages)["usage"]["prompt_tokens"] > 0
