"""The main job, JSON and tools: forms that decoding enforces, so that even a small model keeps to them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tests.main_job.conftest import Asker

pytestmark = pytest.mark.model

LANGUAGES = [{"role": "user", "content": "List 3 languages as JSON."}]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "forecast", "description": "The weather.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "introduce", "parameters": PERSON}},
]
SCHEMAS = {"forecast": WEATHER, "introduce": PERSON}


@pytest.mark.parametrize("form", ["json", {"type": "json"}, {"type": "json_object"}], ids=str)
def test_json_mode_always_parses_to_an_object_or_an_array(asker: Asker, form: Any) -> None:
    body = asker.whole(messages=LANGUAGES, response_format=form, temperature=0, max_tokens=120)

    value = json.loads(body["choices"][0]["message"]["content"])
    assert isinstance(value, dict if form == {"type": "json_object"} else dict | list)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 13])
def test_json_that_max_tokens_cuts_still_parses_and_says_length(asker: Asker, limit: int) -> None:
    asked: dict[str, Any] = {
        "messages": LANGUAGES,
        "response_format": {"type": "json", "schema": {"type": "array", "items": PERSON, "minItems": 3}},
        "temperature": 0,
        "max_tokens": limit,
    }

    whole, chunks = asker.whole(**asked), asker.stream(**asked)

    assert isinstance(json.loads(whole["choices"][0]["message"]["content"]), list)
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["usage"]["completion_tokens"] == limit
    joined = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert isinstance(json.loads(joined), list)
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_an_answer_with_a_schema_validates_against_it(asker: Asker) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}

    body = asker.whole(messages=[{"role": "user", "content": "Who are you?"}], response_format=form, temperature=0)

    assert body["choices"][0]["finish_reason"] == "stop"
    jsonschema.validate(json.loads(body["choices"][0]["message"]["content"]), PERSON)


@pytest.mark.parametrize("question", ["How is the weather in Oslo?", "Hello!", "I am Ada, 36 years old."])
def test_a_required_tool_is_always_called_with_arguments_that_validate(asker: Asker, question: str) -> None:
    body = asker.whole(
        messages=[{"role": "user", "content": question}], tools=TOOLS, tool_choice="required", seed=3, max_tokens=200
    )

    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    for call in choice["message"]["tool_calls"]:
        function = call["function"]
        jsonschema.validate(json.loads(function["arguments"]), SCHEMAS[function["name"]])


def test_a_named_tool_is_the_one_that_is_called_in_a_stream_too(asker: Asker) -> None:
    chunks = asker.stream(
        messages=[{"role": "user", "content": "Hello!"}],
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "introduce"}},
        parallel_tool_calls=False,
        temperature=0,
    )

    pieces = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert {piece["index"] for piece in pieces} == {0}
    assert pieces[0]["function"]["name"] == "introduce"
    arguments = "".join(piece["function"].get("arguments", "") for piece in pieces)
    jsonschema.validate(json.loads(arguments), PERSON)
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_tool_that_names_no_parameters_is_called_without_any(asker: Asker) -> None:
    body = asker.whole(
        messages=[{"role": "user", "content": "Restart with force=true and delay=5."}],
        tools=[
            {"type": "function", "function": {"name": "restart", "parameters": {"type": "object", "properties": {}}}}
        ],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=60,
    )

    (call,) = body["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {}
