"""Tools: what a client may ask, what the model is told, what it may write."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import jsonschema
import pytest
from gateway.domain.errors import InvalidRequest
from gateway.domain.json_grammar import grammar_of
from gateway.domain.response_format import engine_response_format
from gateway.domain.tool_answer import ToolAnswerShaper
from gateway.domain.tools import ToolPlan, answer_format, answer_schema, parse_tools, render_instructions, written_calls

from tests.support.deltas import fold
from tests.support.grammar_sampler import GrammarSampler

CITY = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/s"}},
    "required": ["city"],
    "$defs": {"s": {"type": "string"}},
}
TREE = {"properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}}, "required": ["n"]}


def tool(name: str, parameters: Any = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": parameters}}


TOOLS = [tool("weather", CITY), tool("plant", TREE), tool("now")]


def plan_of(choice: Any = None, *, parallel: bool | None = None) -> ToolPlan:
    plan = parse_tools(TOOLS, choice, parallel)
    assert plan is not None
    return plan


def answers(plan: ToolPlan, *, count: int = 60) -> list[Any]:
    """What a model may write under the plan."""
    sampler = GrammarSampler(grammar_of(answer_schema(plan)), Random(3))
    return [json.loads(sampler.sentence()) for _ in range(count)]


def form(answer: Any) -> str:
    return "calls" if isinstance(answer, list) else "text" if "answer" in answer else "call"


def test_auto_allows_text_one_call_or_several() -> None:
    assert {form(answer) for answer in answers(plan_of())} == {"text", "call", "calls"}


def test_without_parallel_calls_there_is_one_at_most() -> None:
    assert {form(answer) for answer in answers(plan_of(parallel=False))} == {"text", "call"}


def test_required_always_calls() -> None:
    assert {form(answer) for answer in answers(plan_of("required"))} == {"call", "calls"}


def test_a_named_tool_is_the_only_one_called() -> None:
    plan = plan_of({"type": "function", "function": {"name": "plant"}}, parallel=False)
    assert {answer["tool"] for answer in answers(plan)} == {"plant"}
    assert "weather" not in render_instructions(plan)


def test_arguments_always_validate_against_the_schema_of_their_tool() -> None:
    seen = set()
    for answer in answers(plan_of("required"), count=200):
        for call in answer if isinstance(answer, list) else [answer]:
            schema = {"weather": CITY, "plant": TREE, "now": {"type": "object", "maxProperties": 0}}[call["tool"]]
            jsonschema.validate(call["arguments"], schema)
            seen.add(call["tool"])
    assert seen == {"weather", "plant", "now"}


@pytest.mark.parametrize("parallel", [True, False])
def test_whatever_is_written_is_read_back_as_it_was_meant(parallel: bool) -> None:
    sampler = GrammarSampler(grammar_of(answer_schema(plan_of(parallel=parallel))), Random(5))
    for _ in range(60):
        written = sampler.sentence()
        shaper = ToolAnswerShaper(lambda: "call_x")
        deltas = [delta for char in written for delta in shaper.feed(char)]
        last, reason = shaper.finish("stop")
        message = fold(deltas + last)
        meant = json.loads(written)
        if form(meant) == "text":
            assert (message["content"], reason) == (meant["answer"].encode("utf-8", "replace").decode(), "stop")
            assert "tool_calls" not in message
        else:
            calls = [
                {"tool": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
                for call in message["tool_calls"]
            ]
            assert (calls, reason) == (meant if isinstance(meant, list) else [meant], "tool_calls")
            assert message["content"] is None


def test_the_instructions_show_the_form_that_is_enforced() -> None:
    text = render_instructions(plan_of())
    assert '{"name": "weather", "description": "Does weather.", "parameters": {"type": "object"' in text
    assert '{"tool": "<name>", "arguments": {<arguments>}}' in text
    assert '{"answer": "<text>"}' in text
    assert '{"answer"' not in render_instructions(plan_of("required"))


def test_earlier_calls_are_written_in_that_form_too() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "now", "arguments": ""}}
    assert written_calls([call]) == '{"tool": "now", "arguments": {}}'
    broken = {"id": "c", "type": "function", "function": {"name": "now", "arguments": "{oops"}}
    assert json.loads(written_calls([call, broken])) == [
        {"tool": "now", "arguments": {}},
        {"tool": "now", "arguments": "{oops"},
    ]


def test_both_engines_get_the_same_schema() -> None:
    fmt = answer_format(plan_of())
    assert set(engine_response_format(fmt, dialect="llama.cpp")) == {"grammar"}
    sent = engine_response_format(fmt, dialect="vllm")["response_format"]["json_schema"]["schema"]
    assert sent == answer_schema(plan_of())
    jsonschema.Draft202012Validator.check_schema(sent)


@pytest.mark.parametrize(("tools", "choice"), [(None, None), ([], None), ([], "auto"), (None, "none"), (TOOLS, "none")])
def test_nothing_to_call_is_no_plan(tools: Any, choice: Any) -> None:
    assert parse_tools(tools, choice, None) is None


def changed(**fields: Any) -> list[dict[str, Any]]:
    return [TOOLS[0], {"type": "function", "function": {"name": "f", **fields}}]


@pytest.mark.parametrize(
    ("tools", "choice", "parallel", "param"),
    [
        ("x", None, None, "tools"),
        ([TOOLS[0]] * 129, None, None, "tools"),
        ([1], None, None, "tools[0]"),
        ([{"type": "custom", "custom": {}}], None, None, "tools[0].type"),
        ([{"type": "function"}], None, None, "tools[0].function"),
        (changed(name="no spaces"), None, None, "tools[1].function.name"),
        (changed(name="x" * 65), None, None, "tools[1].function.name"),
        (changed(name="weather"), None, None, "tools[1].function.name"),
        (changed(description=1), None, None, "tools[1].function.description"),
        (changed(strict="yes"), None, None, "tools[1].function.strict"),
        (changed(parameters=[]), None, None, "tools[1].function.parameters"),
        (changed(parameters={"type": "string"}), None, None, "tools[1].function.parameters.type"),
        (changed(parameters={"not": {"minLength": 1}}), None, None, "tools[1].function.parameters"),
        (TOOLS, "always", None, "tool_choice"),
        (TOOLS, {"type": "custom"}, None, "tool_choice"),
        (TOOLS, {"type": "function", "function": {"name": "none"}}, None, "tool_choice.function.name"),
        (None, "required", None, "tool_choice"),
        (TOOLS, None, "yes", "parallel_tool_calls"),
    ],
)
def test_a_bad_tool_field_is_named_exactly(tools: Any, choice: Any, parallel: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_tools(tools, choice, parallel)
    assert refused.value.param == param
