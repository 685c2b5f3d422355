"""The real llama.cpp under our grammars: hot, small and badly prompted, so that only the grammar can hold it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from gateway.domain.json_closer import JsonCloser
from gateway.domain.response_format import engine_response_format, parse_response_format
from gateway.domain.tool_answer import ToolAnswerShaper
from gateway.domain.tools import answer_format, parse_tools, render_instructions

from tests.support.deltas import fold
from tests.support.real_engine import serve_model

pytestmark = pytest.mark.model

Ask = Callable[..., tuple[str, str]]

CASES: dict[str, Any] = {
    "empty": {},
    "top array": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
    "enum": {"enum": ["zebra", 17, None]},
    "const": {"const": {"quoted": 'a"b\\c\né'}},
    "reference": {"$defs": {"d": {"pattern": "^[A-Z]{3}-\\d{2}$"}}, "type": "array", "items": {"$ref": "#/$defs/d"},
                  "minItems": 1, "maxItems": 2},
    "number bounds": {"type": "number", "minimum": 0.25, "exclusiveMaximum": 0.75},
    "format": {"type": "string", "format": "date-time"},
    "lengths": {"type": "string", "minLength": 9, "maxLength": 12},
    "oneOf": {"oneOf": [{"type": "integer", "minimum": 90}, {"type": "null"}]},
    "allOf": {"allOf": [{"properties": {"a": {"type": "boolean"}}}, {"required": ["a"], "properties": {"b": False}}]},
    "unique": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True, "minItems": 2},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2},
    "patterned names": {"type": "object", "patternProperties": {"^x-[a-z]{1,5}$": {"const": 1}},
                        "additionalProperties": False, "minProperties": 1, "maxProperties": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """The address of the local model's engine."""
    with serve_model(context_tokens=1024, sequences=1) as address:
        yield address


@pytest.fixture
def ask(engine: str) -> Ask:
    """One question to the engine; answers its text and finish_reason."""

    def asking(
        question: str, *, system: str = "", max_tokens: int = 80, seed: int = 1, **fields: Any
    ) -> tuple[str, str]:
        messages = [{"role": "system", "content": system}] if system else []
        body = {
            "messages": [*messages, {"role": "user", "content": question}],
            "temperature": 1.2,
            "seed": seed,
            "max_tokens": max_tokens,
            **fields,
        }
        request = urllib.request.Request(
            f"{engine}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            choice = json.loads(response.read())["choices"][0]
        return choice["message"]["content"], choice["finish_reason"]

    return asking


@pytest.mark.parametrize("name", CASES)
def test_the_engine_s_answer_validates(ask: Ask, name: str) -> None:
    fmt = parse_response_format({"type": "json", "schema": CASES[name]})
    text, reason = ask("Tell me a story.", **engine_response_format(fmt, dialect="llama.cpp"))
    closer = JsonCloser()
    closer.feed(text)
    value = json.loads(text + closer.closing())
    if reason == "stop":
        assert closer.complete
        jsonschema.Draft202012Validator(
            CASES[name], format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        ).validate(value)
    else:
        assert name == "empty", "only free JSON may outlast the tokens"


def test_json_mode_cut_short_still_parses(ask: Ask) -> None:
    schema = {"properties": {"name": {"type": "string", "minLength": 60}}, "required": ["name"]}
    fmt = parse_response_format({"type": "json", "schema": schema})
    text, reason = ask("Describe Oslo as JSON.", max_tokens=9, **engine_response_format(fmt, dialect="llama.cpp"))
    closer = JsonCloser()
    closer.feed(text)
    assert isinstance(json.loads(text + closer.closing()), dict)
    assert reason == "length"


def test_a_required_tool_is_called_with_valid_arguments(ask: Ask) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    plan = parse_tools([tool], "required", False)
    assert plan is not None
    fields = engine_response_format(answer_format(plan), dialect="llama.cpp")
    text, reason = ask("How is the weather in Oslo?", system=render_instructions(plan), **fields)
    shaper = ToolAnswerShaper(lambda: "call_1")
    deltas = shaper.feed(text)
    last, final = shaper.finish(reason)
    (call,) = fold(deltas + last)["tool_calls"]
    jsonschema.validate(json.loads(call["function"]["arguments"]), schema)
    assert final == "tool_calls"


def test_the_engine_holds_back_a_stop_string_that_spans_tokens(ask: Ask) -> None:
    grammar = 'root ::= "one, two, three, four, five"'
    whole, _ = ask("Count.", grammar=grammar)
    assert whole == "one, two, three, four, five"
    cut, reason = ask("Count.", grammar=grammar, stop=["ree, fo", "never"])
    assert (cut, reason) == ("one, two, th", "stop")


def test_a_grammar_that_is_none_is_a_400_before_anything_is_generated(ask: Ask) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask("Hi", grammar="root ::= missing")
    assert refused.value.code == 400
    refused.value.close()
