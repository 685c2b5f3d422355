"""The real llama.cpp under any schema: it takes our grammar, and what it writes parses, and validates where whole."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from gateway.domain.errors import InvalidRequest
from gateway.domain.json_closer import JsonCloser
from gateway.domain.json_distinct import distinct_places
from gateway.domain.json_schema import normalise
from gateway.domain.response_format import engine_response_format, parse_response_format
from gateway.domain.tool_answer import ToolAnswerShaper
from gateway.domain.tools import answer_format, parse_tools, render_instructions
from hypothesis import HealthCheck, Phase, assume, event, given, settings

from tests.support.bench_schemas import bench_names, bench_schema
from tests.support.corpora import Tool, sampled_tool_sets
from tests.support.deltas import fold
from tests.support.real_engine import serve_model
from tests.support.schema_judge import Judge
from tests.support.schema_strategy import ACCEPTED_MOSTLY
from tests.support.shown import shown

_WAITED_S = 600
"""One test may take so long: an answer takes a second or two, and a minute on a machine with much else to do."""
pytestmark = [pytest.mark.model, pytest.mark.timeout(_WAITED_S)]
EVERY = 15
"""One schema in so many is asked."""


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with serve_model(context_tokens=1024, sequences=1) as url:
        yield url


def engine_fields(schema: Any) -> dict[str, Any] | None:
    """What the engine is told of a schema; None where it is refused."""
    try:
        form = parse_response_format({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    except InvalidRequest:
        return None
    return engine_response_format(form, dialect="llama.cpp")


def ask(engine: str, fields: dict[str, Any], *, max_tokens: int, instructions: str = "") -> tuple[str, str]:
    """A hot answer to a question that has nothing to do with the schema."""
    system = [{"role": "system", "content": instructions}] if instructions else []
    body = {
        "messages": [*system, {"role": "user", "content": "Tell me of the sea."}],
        "temperature": 1.2,
        "seed": 5,
        "max_tokens": max_tokens,
        **fields,
    }
    request = urllib.request.Request(
        f"{engine}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_WAITED_S) as response:
        choice = json.load(response)["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def check(schema: Any, text: str, reason: str) -> None:
    closer = JsonCloser("value")
    closer.feed(text)
    value = json.loads(shown(normalise(schema, param="schema"), text + closer.closing()))
    if reason == "stop":
        Judge(schema).validate(value)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(schema=ACCEPTED_MOSTLY)
def test_the_engine_holds_to_any_schema_that_is_taken(engine: str, schema: Any) -> None:
    fields = engine_fields(schema)
    assume(fields is not None)
    assert fields is not None
    text, reason = ask(engine, fields, max_tokens=60)
    event(reason)
    check(schema, text, reason)


@pytest.mark.parametrize("name", bench_names(every=EVERY))
def test_the_engine_holds_to_a_schema_of_the_world(engine: str, name: str) -> None:
    schema = bench_schema(name)
    fields = engine_fields(schema)
    if fields is not None:
        check(schema, *ask(engine, fields, max_tokens=120))


@pytest.mark.parametrize("tools", sampled_tool_sets(4), ids=lambda tools: tools[0]["function"]["name"])
def test_required_calls_one_of_any_tools_with_arguments_that_validate(engine: str, tools: list[Tool]) -> None:
    plan = parse_tools(tools, "required", False)
    assert plan is not None
    told = render_instructions(plan)[:400]  # the model may be told little: the grammar knows them all
    fields = engine_response_format(answer_format(plan), dialect="llama.cpp")
    text, reason = ask(engine, fields, max_tokens=80, instructions=told)
    distinct = {tool.name: places for tool in plan.tools if (places := distinct_places(tool.core))}
    shaper = ToolAnswerShaper(lambda: "call_1", distinct=distinct)
    deltas = shaper.feed(text)
    last, final = shaper.finish(reason)
    (call,) = fold(deltas + last)["tool_calls"]
    arguments = json.loads(call["function"]["arguments"])
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    assert call["function"]["name"] in schemas
    if final == "tool_calls":
        jsonschema.Draft202012Validator(schemas[call["function"]["name"]]).validate(arguments)
    else:
        assert (final, reason) == ("length", "length")
