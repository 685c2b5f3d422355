"""The spellings of `response_format`, and what each engine is sent."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from gateway.domain.errors import InvalidRequest
from gateway.domain.response_format import engine_response_format, parse_response_format

from tests.support.grammar_sampler import GrammarSampler

SCHEMA = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    ("value", "kind", "top"),
    [
        ("json", "json", "object"),
        ({"type": "json"}, "json", "object"),
        ({"type": "json_object"}, "json_object", "object"),
        ({"type": "text"}, "text", "value"),
        ({"type": "json", "schema": SCHEMA}, "json_schema", "array"),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            "json_schema",
            "array",
        ),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}, "json_schema", "value"),
    ],
)
def test_every_spelling_of_the_contract_is_understood(value: Any, kind: str, top: str) -> None:
    fmt = parse_response_format(value)
    assert fmt is not None
    assert (fmt.kind, fmt.top) == (kind, top)


def test_the_name_and_strict_of_a_schema_are_kept() -> None:
    fmt = parse_response_format({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}})
    assert fmt is not None
    assert (fmt.name, fmt.strict, fmt.schema) == ("n", True, SCHEMA)


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("xml", "response_format"),
        (1, "response_format"),
        ({}, "response_format.type"),
        ({"type": "grammar"}, "response_format.type"),
        ({"type": "json", "schema": "x"}, "response_format.schema"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {"name": 1, "schema": {}}}, "response_format.json_schema.name"),
        ({"type": "json_schema", "json_schema": {"strict": 1, "schema": {}}}, "response_format.json_schema.strict"),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"not": {"enum": [1]}}}},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_a_bad_format_is_named_exactly(value: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_response_format(value)
    assert refused.value.param == param


@pytest.mark.parametrize("dialect", ["llama.cpp", "vllm"])
def test_text_needs_nothing_of_the_engine(dialect: str) -> None:
    assert parse_response_format(None) is None
    assert engine_response_format(None, dialect=dialect) == {}
    assert engine_response_format(parse_response_format({"type": "text"}), dialect=dialect) == {}


@pytest.mark.parametrize(("value", "types"), [("json", {dict, list}), ({"type": "json_object"}, {dict})])
def test_json_mode_starts_with_an_object_or_an_array(value: Any, types: set[type]) -> None:
    body = engine_response_format(parse_response_format(value), dialect="llama.cpp")
    sampler = GrammarSampler(body["grammar"], Random(1))
    assert {type(json.loads(sampler.sentence())) for _ in range(40)} == types


def test_vllm_gets_the_schema_in_openai_s_shape() -> None:
    fmt = parse_response_format({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}})
    assert engine_response_format(fmt, dialect="vllm") == {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    }
